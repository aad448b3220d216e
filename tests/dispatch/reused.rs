//! An event id that is used again after its message's retention: what is left of the old message
//! is not the new one's.

use super::*;

/// The second retry comes when the message is past its retention.
const SCHEDULE: [u64; 4] = [5, 7_200, 60, 60];

#[tokio::test]
async fn an_event_in_the_place_of_an_expired_one_that_is_pending_gets_all_its_retries() {
    let (world, app, _, old) = leftover(json!({})).await;
    for _ in 0..=SCHEDULE.len() {
        world.network.next(URL, answer(500));
    }
    let new = publish_again(&world, &app, json!({})).await;
    assert_ne!(new, old);
    world.dispatch_all().await;
    assert_eq!(standing(&world, &app, &new).await, "sending");
    world.live_s(4 * 3_600).await;
    assert_eq!(codes(&world.attempts(&app, &new).await), [500; 5]);
    assert_eq!(standing(&world, &app, &new).await, "fail");
    assert_eq!(pending(&world).await, 0);
}

#[tokio::test]
async fn a_record_that_comes_again_does_not_take_an_expired_messages_delivery_for_its_own() {
    let (world, app, ep, _) = leftover(json!({})).await;
    let new = dies_with_the_new_one(&world, &app).await;
    world.dispatch_all().await;
    assert_eq!(sent(&world, &new), 1);
    assert_eq!(codes(&world.attempts(&app, &new).await), [200]);
    // It was leased over what the old one had left.
    let delivery = delivery(&world, &new, &ep).await;
    assert_eq!((delivery.attempts, delivery.state), (1, State::Delivered));
    assert_eq!(pending(&world).await, 0);
}

#[tokio::test]
async fn a_record_that_comes_again_does_not_take_an_expired_messages_attempt_for_its_own() {
    let (world, app, _) = World::with_endpoint(URL).await;
    publish_again(&world, &app, json!({"payloadRetentionHours": 1})).await;
    world.dispatch_all().await;
    world.advance_s(3_601);
    let new = dies_with_the_new_one(&world, &app).await;
    world.dispatch_all().await;
    assert_eq!((sent(&world, &new), world.network.sent().len()), (1, 2));
}

#[tokio::test]
async fn an_event_in_the_place_of_an_expired_one_that_is_pending_waits_for_the_rate() {
    let (world, app, ep, _) = leftover(json!({"throttleRate": 1})).await;
    let first = world.publish(&app, json!({})).await;
    let new = publish_again(&world, &app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!((sent(&world, &first), sent(&world, &new)), (1, 0));
    assert!(delivery(&world, &new, &ep).await.is_pending());
    world.live_s(10).await;
    assert_eq!(sent(&world, &new), 1);
    assert_eq!(standing(&world, &app, &new).await, "success");
}

#[tokio::test]
async fn a_resend_in_the_place_of_an_expired_message_that_is_pending_is_the_new_ones() {
    let (world, app, ep, old) = leftover(json!({})).await;
    world.describe("other.event").await;
    change_endpoint(&world, &app, &ep, json!({"filterTypes": ["other.event"]})).await;
    let new = publish_again(&world, &app, json!({})).await;
    world.dispatch_all().await;
    resend(&world, &app, &new, &ep).await;
    world.dispatch_all().await;
    assert_eq!(sent(&world, &new), 1);
    assert_eq!(delivery(&world, &new, &ep).await.state, State::Delivered);
    world.live_s(3 * 3_600).await;
    assert_eq!((sent(&world, &old), sent(&world, &new)), (2, 1));
}

/// A message past its retention whose delivery waits for its third attempt, and the endpoint.
async fn leftover(endpoint: Value) -> (World, String, String, String) {
    let settings = Settings { schedule: Schedule::new(SCHEDULE.to_vec()), ..Settings::default() };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let mut body = json!({"url": URL});
    for (name, value) in endpoint.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let ep = world.endpoint_with(&app, body).await;
    for _ in 0..2 {
        world.network.next(URL, answer(500));
    }
    let old = publish_again(&world, &app, json!({"payloadRetentionHours": 1})).await;
    world.live_s(30).await;
    world.advance_s(3_600);
    let waits = delivery(&world, &old, &ep).await;
    assert_eq!((waits.attempts, waits.is_pending()), (2, true));
    (world, app, ep, old)
}

/// An event of the name that all of these have.
async fn publish_again(world: &World, app: &str, more: Value) -> String {
    let mut event = json!({"eventType": "test.event", "eventId": "order-1", "payload": {}});
    for (name, value) in more.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    publish(world, app, event).await
}

/// Publishes the new event; its first dispatcher dies before it does anything, and its record
/// comes again.
async fn dies_with_the_new_one(world: &World, app: &str) -> String {
    let new = publish_again(world, app, json!({})).await;
    assert_eq!(receive(&world.queues.deliveries).await.len(), 1);
    world.advance_s(VISIBILITY_S.into());
    new
}

/// How often this message was sent.
fn sent(world: &World, msg: &str) -> usize {
    world.network.sent().iter().filter(|sent| header(sent, "webhook-id") == msg).count()
}
