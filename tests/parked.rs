//! What a record is parked under: one takes the place of another only if both are about the same.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use shared::domain::delivery::machine::Outcome;
use shared::domain::message::Message;
use shared::queue::record::Record;
use shared::queue::{Consumer, Received};
use shared::store::{Parked, Parking};

use crate::retry::failed;
use crate::support::world::{Builder, World};

const URL: &str = "http://127.0.0.1:9/hook";

async fn park(world: &World, id: &str, body: String) {
    let (queue, reason, at) = ("retries".to_owned(), "a test".to_owned(), world.ambient.now());
    let parked = Parked { id: id.to_owned(), queue, reason, at, body };
    Parking::new(world.table.clone()).park(&parked).await.unwrap();
}

async fn parked(world: &World) -> usize {
    let listed = world.call("GET", "/api/v1/operator/parked", Value::Null).await;
    listed.body["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn each_share_of_the_endpoints_of_a_wide_application_is_parked_and_redriven() {
    let mut world = World::build(Builder { one_process: false, narrow: 2, ..Builder::default() });
    world.admin.settings.max_endpoints = 10_000;
    let app = world.application().await;
    for number in 0..8 {
        world.endpoint(&app, &format!("{URL}/{number}")).await;
        world.clock.advance_ms(4);
    }
    world.publish(&app, Value::Object(serde_json::Map::new())).await;
    let accepted = world.queues.deliveries.receive(1, 0).await.unwrap();
    let receipts = [accepted[0].receipt.clone()];
    assert!(world.dispatcher.handle(accepted, None).await.is_empty());
    world.queues.deliveries.delete(&receipts).await.unwrap();
    let shares: Vec<Received> = world.queues.retries.receive(10, 0).await.unwrap();
    assert_eq!(shares.len(), 4);
    for share in shares {
        park(&world, &share.id, share.body).await;
        world.queues.retries.delete(&[share.receipt]).await.unwrap();
    }
    assert_eq!(parked(&world).await, 4);
    world.call("POST", "/api/v1/operator/parked/redrive", Value::Null).await;
    world.live_s(3_600).await;
    let reached: BTreeSet<_> = world.network.sent().into_iter().map(|sent| sent.url).collect();
    assert_eq!(reached.len(), 8);
}

#[tokio::test]
async fn an_attempt_that_is_to_be_written_takes_the_place_of_neither_its_message_nor_another() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.publish(&app, Value::Object(serde_json::Map::new())).await;
    let accepted = world.queues.deliveries.receive(1, 0).await.unwrap().remove(0);
    park(&world, &accepted.id, accepted.body.clone()).await;
    let Ok(Record::Accepted { message, .. }) = Record::parse(&accepted.body) else {
        panic!("{}", accepted.body)
    };
    for _ in 0..2 {
        let attempt = failed(&world, &message, ep.parse().unwrap());
        let message = Box::new(Message { payload: Bytes::new(), ..*message.clone() });
        let outcome = Some(Outcome::Delivered);
        let record = Record::Outcome { message, attempt: Box::new(attempt), outcome };
        let body = record.outgoing(0).body;
        // The same one twice.
        park(&world, "first", body.clone()).await;
        park(&world, "second", body).await;
    }
    assert_eq!(parked(&world).await, 3);
}
