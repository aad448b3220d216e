//! Whatever goes wrong half way, a second try makes good, once.

use super::*;

/// Port calls of a request before the one that stores the message: the application is read.
const BEFORE_STORE: usize = 1;
/// Port calls before the one that sends it to the queue.
const BEFORE_QUEUE: usize = 2;

fn assert_unavailable(reply: &Reply) {
    assert_error(reply, 503, "unavailable");
    assert!(!reply.body.to_string().contains("injected"), "the reason is for the log alone");
}

/// The call after so many more goes wrong; if it is the one to the queue, so does the second try.
fn fail_after(world: &World, skip: usize, to_queue: bool, fault: Fault) {
    world.plan.fail_after(skip, fault);
    if to_queue {
        world.plan.fail_after(skip + 1, fault);
    }
}

/// Publishes with this fault at that call, then once more; asserts one delivery.
async fn published_once(skip: usize, fault: Fault, headers: &[(&str, &str)], id: Option<&str>) {
    let (world, app) = world().await;
    let mut body = event();
    body["eventId"] = json!(id);
    fail_after(&world, skip, skip == BEFORE_QUEUE, fault);
    assert_unavailable(&publish(&world, &app, headers, &body).await);
    world.dispatch_all().await;
    let again = publish(&world, &app, headers, &body).await;
    assert_eq!(again.status, 202, "{again:?}");
    assert_eq!(delivered_later(&world).await, 1, "{skip} {fault:?}");
    assert_eq!(header(&world.network.sent_to(URL)[0], "webhook-id"), again.body["id"]);
    world.live_s(3600).await;
    assert_eq!(world.network.sent_to(URL).len(), 1, "{skip} {fault:?}");
}

#[tokio::test]
async fn a_request_that_died_between_store_and_queue_is_delivered_once_when_repeated() {
    let key = [("idempotency-key", "k-1")];
    published_once(BEFORE_QUEUE, Fault::Before, &key, None).await;
    published_once(BEFORE_QUEUE, Fault::Before, &key, Some("order-1")).await;
}

#[tokio::test]
async fn a_request_whose_queue_answer_was_lost_is_delivered_once_when_repeated() {
    let key = [("idempotency-key", "k-1")];
    published_once(BEFORE_QUEUE, Fault::After, &key, None).await;
}

#[tokio::test]
async fn a_request_whose_store_answer_was_lost_is_delivered_once_when_repeated() {
    let key = [("idempotency-key", "k-1")];
    published_once(BEFORE_STORE, Fault::After, &key, None).await;
}

#[tokio::test]
async fn a_request_that_never_reached_the_store_is_delivered_once_when_repeated() {
    published_once(BEFORE_STORE, Fault::Before, &[("idempotency-key", "k-1")], None).await;
    published_once(BEFORE_STORE, Fault::Before, &[], Some("order-1")).await;
    published_once(0, Fault::Before, &[], None).await;
}

#[tokio::test]
async fn an_event_that_died_between_store_and_queue_is_delivered_though_its_repeat_conflicts() {
    let (world, app) = world().await;
    let mut body = event();
    body["eventId"] = json!("order-1");
    fail_after(&world, BEFORE_QUEUE, true, Fault::Before);
    assert_unavailable(&publish(&world, &app, &[], &body).await);
    assert_eq!(delivered_later(&world).await, 0);
    assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
    assert_eq!(delivered_later(&world).await, 1);
    assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
    assert_eq!(delivered_later(&world).await, 1);
}

/// What somebody asks for in between says nothing about whether the event was in the queue.
#[tokio::test]
async fn an_event_that_died_is_delivered_to_all_though_somebody_sent_it_to_one_of_them() {
    for by_hand in ["resend", "replay-missing"] {
        let (world, app) = world().await;
        let other = format!("{URL}/other");
        let ep = world.endpoint(&app, &other).await;
        let key = [("idempotency-key", "k-1")];
        let mut body = event();
        body["eventId"] = json!("order-1");
        fail_after(&world, BEFORE_QUEUE, true, Fault::Before);
        assert_unavailable(&publish(&world, &app, &key, &body).await);
        let (asked, since) = match by_hand {
            "resend" => (format!("{}/order-1/endpoint/{ep}/resend", path(&app)), json!(null)),
            _ => (
                format!("/api/v1/app/{app}/endpoint/{ep}/replay-missing"),
                json!({"since": world.ambient.now().minus_ms(60_000).to_rfc3339()}),
            ),
        };
        let asked = world.call("POST", &asked, since).await;
        assert_eq!(asked.status, 202, "{asked:?}");
        assert_eq!(delivered_later(&world).await, 0, "{by_hand}");
        assert_eq!(world.network.sent_to(&other).len(), 1, "{by_hand}");
        publish(&world, &app, &key, &body).await;
        assert_eq!(delivered_later(&world).await, 1, "{by_hand}");
        assert_eq!(world.network.sent_to(&other).len(), 1, "{by_hand}");
    }
}

#[tokio::test]
async fn what_was_expunged_before_it_was_sent_is_not_sent_when_it_is_published_again() {
    let (world, app) = world().await;
    let mut body = event();
    body["eventId"] = json!("order-1");
    let key = [("idempotency-key", "k-1")];
    fail_after(&world, BEFORE_QUEUE, true, Fault::Before);
    assert_unavailable(&publish(&world, &app, &key, &body).await);
    let content = format!("{}/order-1/content", path(&app));
    assert_eq!(world.call("DELETE", &content, Value::Null).await.status, 204);
    let again = publish(&world, &app, &key, &body).await;
    assert_eq!(again.body["payload"], json!({"expired": true}), "{again:?}");
    assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
    assert_eq!(delivered_later(&world).await, 0);
}

/// Six days: longer than the shortest retention, and nothing has been cleaned up yet.
const FORGOTTEN_S: u64 = 6 * 86_400;

fn short_lived() -> Value {
    let mut body = event();
    body["eventId"] = json!("order-1");
    body["payloadRetentionPeriod"] = json!(5);
    body
}

#[tokio::test]
async fn an_event_id_that_comes_back_after_its_retention_names_a_new_event() {
    let (world, app) = world().await;
    assert_eq!(publish(&world, &app, &[], &short_lived()).await.status, 202);
    assert_eq!(delivered_later(&world).await, 1);
    world.advance_s(FORGOTTEN_S);
    // After so long it is read again whether the token was taken back, alone or with all others.
    fail_after(&world, BEFORE_QUEUE + 2, true, Fault::Before);
    assert_unavailable(&publish(&world, &app, &[], &short_lived()).await);
    assert_error(&publish(&world, &app, &[], &short_lived()).await, 409, "conflict");
    assert_eq!(delivered_later(&world).await, 2);
}

#[tokio::test]
async fn attempts_of_a_forgotten_event_do_not_count_for_the_new_one_of_its_name() {
    let (world, app) = world().await;
    assert_eq!(publish(&world, &app, &[], &short_lived()).await.status, 202);
    assert_eq!(delivered_later(&world).await, 1);
    world.advance_s(FORGOTTEN_S);
    assert_eq!(publish(&world, &app, &[], &short_lived()).await.status, 202);
    // Whoever received it first died.
    let taken = world.queues.deliveries.receive(1, 0).await.unwrap();
    assert_eq!(taken.len(), 1);
    world.live_s(600).await;
    assert_eq!(world.network.sent_to(URL).len(), 2);
}

#[tokio::test]
async fn a_repeat_that_dies_too_leaves_the_event_for_the_next_one() {
    let (world, app) = world().await;
    let key = [("idempotency-key", "k-1")];
    // A repeat finds the message in the store, and looks for attempts before it sends.
    for calls in [BEFORE_QUEUE, BEFORE_QUEUE + 1, BEFORE_QUEUE + 1] {
        fail_after(&world, calls, true, Fault::Before);
        assert_unavailable(&publish(&world, &app, &key, &event()).await);
    }
    assert_eq!(delivered_later(&world).await, 0);
    assert_eq!(publish(&world, &app, &key, &event()).await.status, 202);
    assert_eq!(delivered_later(&world).await, 1);
}
