//! The rates that endpoints and applications ask for: kept, and waiting is not an attempt.

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::network::{answer, header};
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn a_second_gets_no_more_than_the_rate() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 5})).await;
    publish(&world, &app, 13).await;
    let mut sent = Vec::new();
    for _ in 0..4 {
        world.dispatch_all().await;
        sent.push(world.network.sent().len());
        world.advance_s(1);
    }
    assert_eq!(sent, [5, 10, 13, 13]);
}

#[tokio::test]
async fn waiting_is_not_an_attempt_and_costs_none() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    let ids = publish(&world, &app, 2).await;
    world.dispatch_all().await;
    assert_eq!(world.attempts(&app, &ids[0]).await.len(), 1);
    assert_eq!(world.attempts(&app, &ids[1]).await.len(), 0);
    world.network.always(URL, answer(500));
    world.live_s(2 * 86_400).await;
    // All eight of the schedule.
    assert_eq!(world.attempts(&app, &ids[1]).await.len(), 8);
}

#[tokio::test]
async fn another_endpoint_does_not_wait() {
    let world = World::new();
    let app = world.application().await;
    let slow = format!("{URL}/slow");
    world.endpoint_with(&app, json!({"url": slow, "throttleRate": 1})).await;
    world.endpoint(&app, URL).await;
    publish(&world, &app, 4).await;
    world.dispatch_all().await;
    let sent = |url: &str| world.network.sent_to(url).len();
    assert_eq!((sent(&slow), sent(URL)), (1, 4));
    world.live_s(10).await;
    assert_eq!((sent(&slow), sent(URL)), (4, 4));
}

#[tokio::test]
async fn an_applications_rate_is_for_all_its_endpoints_together() {
    let world = World::new();
    let body = json!({"name": "C", "throttleRate": 3});
    let app = text(&world.call("POST", "/api/v1/app", body).await.body["id"]);
    for n in 0..2 {
        world.endpoint(&app, &format!("{URL}/{n}")).await;
    }
    publish(&world, &app, 3).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 3);
    world.advance_s(1);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 6);
}

#[tokio::test]
async fn what_waits_longer_than_the_queue_can_hold_comes_with_the_sweep() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    publish(&world, &app, 1_000).await;
    world.dispatch_all().await;
    world.live_s(500).await;
    let sent = world.network.sent().len();
    assert!((450..=501).contains(&sent), "{sent}");
    world.live_s(700).await;
    let mut ids: Vec<String> =
        world.network.sent().iter().map(|sent| header(sent, "webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((world.network.sent().len(), ids.len()), (1_000, 1_000));
}

#[tokio::test]
async fn a_record_that_comes_again_does_not_bring_what_waits_forward() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    publish(&world, &app, 1).await;
    world.dispatch_all().await;
    // The second is put off, and sending it on its way fails.
    publish(&world, &app, 1).await;
    world.plan.fail_after(2, Fault::Before);
    world.dispatch_all().await;
    assert_eq!((world.plan.fired(), world.network.sent().len()), (1, 1));
    world.live_s(600).await;
    assert_eq!(world.network.sent().len(), 2);
}

#[tokio::test]
async fn retries_are_counted_and_not_held_back() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    world.network.next(URL, answer(500));
    publish(&world, &app, 1).await;
    world.dispatch_all().await;
    world.advance_s(7);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 2);
    publish(&world, &app, 1).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 2);
    world.advance_s(1);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 3);
}

async fn publish(world: &World, app: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(world.publish(app, Value::from_iter([("n".to_owned(), json!(n))])).await);
    }
    ids
}
