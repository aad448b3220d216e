//! Where store and queue are in one file, a message is stored and sent in one step.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::json;
use shared::domain::clock::Timestamp;
use shared::queue::{Consumer, Outgoing, Producer, QueueError};
use shared::store::StoreError;
use shared::store::keys::Key;
use shared::store::table::{Condition, Item, Write, Written};
use shared::work::Intake;

use crate::counting::Usage;
use crate::support::world::World;

/// A queue that takes nothing.
struct Away;

#[async_trait]
impl Producer for Away {
    async fn send(&self, _: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        Err(QueueError::Unavailable("away".into()))
    }
}

/// One machine, on which nothing can be sent in a step of its own.
fn one_machine() -> World {
    let mut world = World::new();
    world.receiver.intake = Some(Arc::new(world.intake()));
    world.receiver.deliveries = Arc::new(Away);
    world
}

fn key() -> Key {
    Key { pk: "P".to_owned(), sk: "S".to_owned() }
}

fn put(doc: &str) -> Write {
    Write::Put(Item::new(key(), doc.to_owned()), Condition::AbsentAt(Timestamp(0)))
}

fn record(body: &str) -> Outgoing {
    Outgoing { body: body.to_owned(), group: "g".to_owned(), delay_s: 0 }
}

/// What can be received of the deliveries queue.
async fn received(world: &World) -> Vec<String> {
    let received = world.queues.deliveries.receive(10, 0).await.unwrap();
    received.into_iter().map(|record| record.body).collect()
}

#[tokio::test]
async fn what_is_stored_is_sent_with_it() {
    let world = World::new();
    let written = world.intake().write_and_send(put("{}"), record("first")).await;
    assert_eq!(written, Ok(Written::Done));
    assert_eq!(world.table.get(&key()).await.unwrap().unwrap().doc, "{}");
    // In the file, and not only in memory.
    assert!(world.queues.deliveries.oldest_ms().unwrap().is_some());
    assert_eq!(received(&world).await, ["first"]);
}

#[tokio::test]
async fn it_is_sent_even_if_its_sender_is_gone() {
    let world = World::new();
    let intake = world.intake();
    let held = world.hold_writes();
    let asked = intake.write_and_send(put("{}"), record("first"));
    // Asked once, and no more.
    assert!(asked.now_or_never().is_none());
    drop(held);
    // Whatever is written after it finds it written.
    assert_ne!(intake.write_and_send(put("{}"), record("second")).await, Ok(Written::Done));
    assert_eq!(received(&world).await, ["first"]);
}

#[tokio::test]
async fn what_finds_its_place_taken_is_neither_stored_nor_sent() {
    let world = World::new();
    world.intake().write_and_send(put("1"), record("first")).await.unwrap();
    let written = world.intake().write_and_send(put("2"), record("second")).await;
    let Ok(Written::Lost(Some(in_the_way))) = written else { panic!("{written:?}") };
    assert_eq!(in_the_way.doc, "1");
    assert_eq!(world.table.get(&key()).await.unwrap().unwrap().doc, "1");
    assert_eq!(received(&world).await, ["first"]);
}

#[tokio::test]
async fn what_the_queue_refuses_is_not_stored() {
    let world = World::new();
    let written = world.intake().write_and_send(put("{}"), record("\u{0}")).await;
    assert!(matches!(written, Err(StoreError::Invalid(_))), "{written:?}");
    assert_eq!(world.table.get(&key()).await.unwrap(), None);
}

#[tokio::test]
async fn a_message_takes_no_second_step_and_is_delivered_once() {
    let world = one_machine();
    let app = world.application().await;
    world.endpoint(&app, "https://one.example/").await;
    let path = format!("/api/v1/app/{app}/msg");
    let event = json!({"eventType": "a.b", "payload": {}, "eventId": "e"});
    for status in [202, 409] {
        assert_eq!(world.call("POST", &path, event.clone()).await.status, status);
    }
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn what_is_to_wait_is_not_sent() {
    let world = one_machine();
    let app = world.application().await;
    let at = world.ambient.now().plus_ms(3_600_000).to_rfc3339();
    let event = json!({"eventType": "a.b", "payload": {}, "deliverAt": at});
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), event).await;
    assert_eq!(reply.status, 202);
    assert!(world.queues.deliveries.is_empty());
}

#[tokio::test]
async fn it_is_counted_as_what_it_costs_where_it_takes_two_steps() {
    let (one, two) = (used(&one_machine()).await, used(&World::new()).await);
    assert!(one.write_units > 0 && one.sqs_requests == 1, "{one:?}");
    assert_eq!(one, two);
}

/// What it takes to accept a message.
async fn used(world: &World) -> Usage {
    let app = world.application().await;
    let before = world.meter.usage();
    world.publish(&app, json!({})).await;
    world.meter.usage().since(&before)
}
