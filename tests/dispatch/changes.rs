//! Things change while a retry is pending.

use super::*;

#[tokio::test]
async fn a_pending_delivery_is_given_up_when_its_endpoint_is_deleted() {
    let Waiting { world, app, ep, msg } = waiting().await;
    delete(&world, &format!("/api/v1/app/{app}/endpoint/{ep}")).await;
    assert_given_up(&world, &msg, &ep, "endpoint deleted").await;
}

#[tokio::test]
async fn a_pending_delivery_is_given_up_when_its_application_is_deleted() {
    let Waiting { world, app, ep, msg } = waiting().await;
    delete(&world, &format!("/api/v1/app/{app}")).await;
    assert_given_up(&world, &msg, &ep, "endpoint deleted").await;
}

#[tokio::test]
async fn a_pending_delivery_is_given_up_when_its_endpoint_is_disabled() {
    let Waiting { world, app, ep, msg } = waiting().await;
    change_endpoint(&world, &app, &ep, json!({"disabled": true})).await;
    assert_given_up(&world, &msg, &ep, "endpoint disabled").await;
    // Enabling it does not bring the delivery back; a resend does.
    change_endpoint(&world, &app, &ep, json!({"disabled": false})).await;
    world.live_s(3600).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert_eq!(delivery(&world, &msg, &ep).await.state, State::Delivered);
}

#[tokio::test]
async fn a_retry_goes_out_although_the_endpoint_no_longer_wants_that_type() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.describe("another.type").await;
    change_endpoint(&world, &app, &ep, json!({"eventTypes": ["another.type"]})).await;
    world.live_s(10).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
}

#[tokio::test]
async fn a_pending_delivery_is_given_up_when_its_message_is_past_retention() {
    const DAY_S: u64 = 86_400;
    let settings = Settings { schedule: Schedule::new(vec![7 * DAY_S]), ..Settings::default() };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    let event = json!({"eventType": "a.b", "payload": {}, "payloadRetentionPeriod": 5});
    let msg = publish(&world, &app, event).await;
    world.dispatch_all().await;
    // Past the retention, but the delivery itself is not forgotten before it is decided.
    world.advance_s(5 * DAY_S);
    assert!(delivery(&world, &msg, &ep).await.is_pending());
    world.advance_s(4 * DAY_S);
    world.sweep().await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    let delivery = delivery(&world, &msg, &ep).await;
    assert_eq!(delivery.reason(), Some(&Reason::Expired));
    assert_eq!(pending(&world).await, 0);
}
