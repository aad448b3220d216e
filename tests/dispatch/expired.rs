//! Records that come after their message's retention: parked ones are kept longer than messages.

use shared::store::embedded::EmbeddedTable;
use shared::store::{Parked, Parking};

use super::*;

/// An event that is kept for so many hours, and then gives its name free.
fn event(hours: u64) -> Value {
    json!({"eventType": "test.event", "eventId": "order-1", "payload": {}, "payloadRetentionHours": hours})
}

async fn publish(world: &World, app: &str, event: Value) -> String {
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), event).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    text(&reply.body["id"])
}

/// A world in which an event was delivered, though a copy of its record was parked: of several
/// endpoints, say, one was not done.
async fn delivered_and_parked() -> (World, String) {
    let (world, app, _) = World::with_endpoint(URL).await;
    publish(&world, &app, event(1)).await;
    let batch = world.queues.deliveries.receive(1, 0).await.unwrap();
    world.queues.deliveries.release(&batch[0].receipt, 0).await.unwrap();
    world.advance_s(40);
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    let parked = Parked {
        id: "one".to_owned(),
        queue: "deliveries".to_owned(),
        reason: "a test".to_owned(),
        at: world.ambient.now(),
        body: batch[0].body.clone(),
    };
    Parking::new(world.table.clone()).park(&parked).await.unwrap();
    world.advance_s(2 * 3_600);
    (world, app)
}

async fn redrive(world: &World) {
    let all = world.call("POST", "/api/v1/operator/parked/redrive", Value::Null).await;
    assert_eq!(all.status, 200, "{all:?}");
    assert_eq!(all.body["redriven"], 1, "{all:?}");
}

#[tokio::test]
async fn one_that_is_redriven_is_not_sent_to_those_who_had_it() {
    let (world, _) = delivered_and_parked().await;
    let table = EmbeddedTable::new(world.engine.clone());
    table.remove_all_expired(world.ambient.now()).await.unwrap();
    redrive(&world).await;
    world.live_s(120).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
}

#[tokio::test]
async fn one_that_is_redriven_leaves_the_next_event_of_its_name_alone() {
    let (world, app) = delivered_and_parked().await;
    world.network.always(URL, answer(500));
    let new = publish(&world, &app, event(24)).await;
    world.dispatch_all().await;
    redrive(&world).await;
    world.dispatch_all().await;
    world.network.always(URL, answer(200));
    world.live_s(12 * 3_600).await;
    let sent = world.network.sent_to(URL);
    let of_new = sent.iter().filter(|sent| header(sent, "webhook-id") == new).count();
    assert_eq!((of_new, sent.len()), (2, 3), "a failure and a success of the new one");
}

#[tokio::test]
async fn one_that_waited_in_the_queue_for_so_long_is_not_sent() {
    let (world, app, _) = World::with_endpoint(URL).await;
    publish(&world, &app, event(1)).await;
    world.advance_s(3_599);
    publish(&world, &app, json!({"eventType": "test.event", "payload": {}})).await;
    world.advance_s(1);
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
}
