//! What a publisher may say about a message beside its payload: labels, how long it is kept,
//! and when it is to be delivered.

use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::store::Deliveries;
use shared::store::table::Table;

use crate::support::faults::{Fault, Faulty, Plan};
use crate::support::network::{answer, header};
use crate::support::world::{Reply, World, text};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn a_message_goes_out_at_its_time_to_the_second_and_not_before() {
    for seconds in [60, 95, 3_600, 30 * 86_400] {
        let (world, app) = stage().await;
        let msg = publish(&world, &app, json!({"deliverAt": at(&world, seconds)})).await;
        // Sweeps come each minute, not exactly when something is due.
        world.advance_s(seconds.saturating_sub(90));
        let mut waited = seconds.saturating_sub(90);
        while world.network.sent().is_empty() {
            if waited % 60 == 13 || waited + 60 == seconds {
                world.sweep().await;
            }
            world.dispatch_all().await;
            assert!(waited <= seconds, "{seconds} s: not there after {waited} s");
            if world.network.sent().is_empty() {
                world.advance_s(1);
                waited += 1;
            }
        }
        assert_eq!(waited, seconds);
        assert_eq!(header(&world.network.sent()[0], "webhook-id"), msg);
        world.live_s(3_600).await;
        assert_eq!(world.network.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_message_that_waits_is_there_at_once() {
    let (world, app) = stage().await;
    let deliver_at = at(&world, 3_600);
    let msg = publish(&world, &app, json!({"deliverAt": deliver_at, "tags": ["a", "b/c"]})).await;
    for path in [format!("/api/v1/app/{app}/msg/{msg}"), format!("/api/v1/app/{app}/msg")] {
        let reply = world.call("GET", &path, Value::Null).await;
        let shown =
            if reply.body["data"].is_array() { &reply.body["data"][0] } else { &reply.body };
        assert_eq!(shown["id"], msg);
        assert_eq!(shown["deliverAt"], deliver_at);
        assert_eq!(shown["tags"], json!(["a", "b/c"]));
    }
}

#[tokio::test]
async fn what_was_expunged_before_its_time_is_not_sent_even_if_it_is_published_again() {
    let (world, app) = stage().await;
    let mut body = message(json!({"deliverAt": at(&world, 600)}));
    body["eventId"] = "once".into();
    let path = format!("/api/v1/app/{app}/msg");
    assert_eq!(world.call("POST", &path, body.clone()).await.status, 202);
    let gone = world.call("DELETE", &format!("{path}/once/content"), Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(world.call("POST", &path, body).await.status, 409);
    world.live_s(3_600).await;
    assert_eq!(world.network.sent().len(), 0);
}

#[tokio::test]
async fn publishing_a_message_twice_does_not_send_it_before_its_time() {
    let (world, app) = stage().await;
    let mut body = message(json!({"deliverAt": at(&world, 600)}));
    body["eventId"] = "once".into();
    let path = format!("/api/v1/app/{app}/msg");
    assert_eq!(world.call("POST", &path, body.clone()).await.status, 202);
    assert_eq!(world.call("POST", &path, body).await.status, 409);
    world.live_s(300).await;
    assert_eq!(world.network.sent().len(), 0);
    world.live_s(420).await;
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn of_many_who_cancel_a_message_at_once_one_did() {
    let (world, app) = stage().await;
    let msg = publish(&world, &app, json!({"deliverAt": at(&world, 600)})).await;
    let path = format!("/api/v1/app/{app}/msg/{msg}/cancel");
    // Each call lets the others get on with theirs.
    world.gauge.switch_on();
    let calls = (0..12).map(|_| world.call("POST", &path, Value::Null));
    let mut canceled = 0;
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.status, 200, "{reply:?}");
        canceled += reply.body["canceled"].as_u64().unwrap();
    }
    assert_eq!(canceled, 1);
}

#[tokio::test]
async fn a_message_that_was_canceled_is_not_sent() {
    // Before and after the sweep has put it in the queue.
    for waited in [0, 560] {
        let (world, app) = stage().await;
        let msg = publish(&world, &app, json!({"deliverAt": at(&world, 600)})).await;
        world.advance_s(waited);
        let released = world.sweep().await.released;
        assert_eq!(released, usize::from(waited > 0));
        let path = format!("/api/v1/app/{app}/msg/{msg}/cancel");
        let reply = world.call("POST", &path, Value::Null).await;
        assert_eq!((reply.status.as_u16(), &reply.body["canceled"]), (200, &json!(1)));
        let again = world.call("POST", &path, Value::Null).await;
        assert_eq!(again.body["canceled"], 0);
        // Now, at its time, and long after.
        for later in [0, 600, 600] {
            world.live_s(later).await;
            assert_eq!(stands(&world, &app, &msg).await, ["canceled"; 3], "after {later} s");
        }
        assert_eq!(world.network.sent().len(), 0, "after {waited} s");
        // What was canceled is not missing.
        let ep = world.call("GET", &format!("/api/v1/app/{app}/endpoint"), Value::Null).await;
        let ep = text(&ep.body["data"][0]["id"]);
        let replay = format!("/api/v1/app/{app}/endpoint/{ep}/replay-missing");
        let since =
            json!({"since": Timestamp(world.ambient.now().as_ms() - 7_200_000).to_rfc3339()});
        assert_eq!(world.call("POST", &replay, since).await.status, 202);
        world.dispatch_all().await;
        assert_eq!(world.network.sent().len(), 0);
        let missing = format!("/api/v1/app/{app}/endpoint/{ep}/missing");
        assert_eq!(world.call("GET", &missing, Value::Null).await.body["missing"], 0);
    }
}

#[tokio::test]
async fn a_message_that_is_overdue_and_waits_for_a_late_sweep_can_be_canceled() {
    let (world, app) = stage().await;
    let msg = publish(&world, &app, json!({"deliverAt": at(&world, 600)})).await;
    world.advance_s(900);
    let path = format!("/api/v1/app/{app}/msg/{msg}/cancel");
    let reply = world.call("POST", &path, Value::Null).await;
    assert_eq!((reply.status.as_u16(), &reply.body["canceled"]), (200, &json!(1)));
    world.live_s(1_200).await;
    assert_eq!(world.network.sent().len(), 0);
    assert_eq!(stands(&world, &app, &msg).await, ["canceled"; 3]);
    // What a sweep has claimed may be out, though it died before it said so.
    let msg = publish(&world, &app, json!({"deliverAt": at(&world, 600)})).await;
    world.advance_s(570);
    let deliveries = &world.parts.deliveries;
    let found = deliveries.scheduled(&msg.parse().unwrap()).await.unwrap().unwrap();
    let claimed = found.value.claimed(world.ambient.now());
    assert!(deliveries.save_scheduled(&found, claimed).await.unwrap().is_some());
    world.advance_s(60);
    let path = format!("/api/v1/app/{app}/msg/{msg}/cancel");
    assert_eq!(world.call("POST", &path, Value::Null).await.body["canceled"], 0);
    world.live_s(1_200).await;
    assert_eq!(world.network.sent().len(), 1);
    // What was sent at its time is past that.
    let msg = publish(&world, &app, json!({"deliverAt": at(&world, 600)})).await;
    world.live_s(1_200).await;
    assert_eq!(world.network.sent().len(), 2);
    let path = format!("/api/v1/app/{app}/msg/{msg}/cancel");
    assert_eq!(world.call("POST", &path, Value::Null).await.body["canceled"], 0);
}

/// How far a message is, by all that tell it.
async fn stands(world: &World, app: &str, msg: &str) -> [String; 3] {
    let get = async |path: String| world.call("GET", &path, Value::Null).await.body;
    let listed = get(format!("/api/v1/app/{app}/delivery")).await;
    let canceled = get(format!("/api/v1/app/{app}/delivery?state=canceled")).await;
    let explained = get(format!("/api/v1/app/{app}/msg/{msg}/explain")).await;
    assert_eq!(canceled["data"], listed["data"]);
    let state = |body: &Value| text(&body["data"][0]["state"]);
    [state(&listed), state(&canceled), text(&explained["endpoints"][0]["verdict"])]
}

#[tokio::test]
async fn one_endpoint_alone_cannot_call_off_what_waits_for_its_time_and_says_so() {
    let (world, app) = stage().await;
    let msg = publish(&world, &app, json!({"deliverAt": at(&world, 600)})).await;
    let ep = world.call("GET", &format!("/api/v1/app/{app}/endpoint"), Value::Null).await;
    let ep = text(&ep.body["data"][0]["id"]);
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/cancel-msgs");
    let refused = world.call("POST", &path, json!({"msgIds": [msg]})).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(text(&refused.body["detail"][0]["msg"]).contains(&format!("/msg/{msg}/cancel")));
    world.live_s(700).await;
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn calling_off_a_message_that_is_being_retried_ends_the_retries() {
    let (world, app) = stage().await;
    world.network.always(URL, answer(500));
    let msg = publish(&world, &app, json!({})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/msg/{msg}/cancel");
    assert_eq!(world.call("POST", &path, Value::Null).await.body["canceled"], 1);
    world.live_s(900).await;
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn wherever_a_sweep_dies_a_message_goes_out_once() {
    let mut struck = 0;
    for call in 0..20 {
        for fault in [Fault::DieBefore, Fault::DieAfter, Fault::Before, Fault::After] {
            let (world, app) = stage().await;
            publish(&world, &app, json!({"deliverAt": at(&world, 90)})).await;
            world.advance_s(60);
            let plan = Plan::new(vec![(call, fault)]);
            let table: std::sync::Arc<dyn Table> =
                std::sync::Arc::new(Faulty::new(world.table.clone(), &plan));
            let mut sweeper = world.sweeper.clone();
            sweeper.deliveries = Deliveries::new(table);
            sweeper.accepted =
                std::sync::Arc::new(Faulty::new(world.queues.deliveries.clone(), &plan));
            tokio::select! {
                biased;
                () = plan.death() => {}
                _ = sweeper.run(None) => {}
            }
            struck += plan.fired();
            world.live_s(3_600).await;
            assert_eq!(world.network.sent().len(), 1, "{fault:?} at call {call}");
        }
    }
    assert!(struck > 60, "only {struck} faults struck");
}

#[tokio::test]
async fn messages_and_attempts_are_found_by_their_tags() {
    let (world, app) = stage().await;
    let tagged = publish(&world, &app, json!({"tags": ["invoice", "2027"]})).await;
    publish(&world, &app, json!({"tags": ["invoices"]})).await;
    publish(&world, &app, json!({})).await;
    world.dispatch_all().await;
    let ep = world.call("GET", &format!("/api/v1/app/{app}/endpoint"), Value::Null).await;
    let ep = text(&ep.body["data"][0]["id"]);
    for (path, id) in [
        (format!("/api/v1/app/{app}/msg?tag=invoice"), "id"),
        (format!("/api/v1/app/{app}/attempt/endpoint/{ep}?tag=2027"), "msgId"),
        (format!("/api/v1/app/{app}/attempt/msg/{tagged}?tag=2027"), "msgId"),
    ] {
        let reply = world.call("GET", &path, Value::Null).await;
        let found = reply.body["data"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{path}: {reply:?}");
        assert_eq!(found[0][id], tagged);
    }
}

#[tokio::test]
async fn a_message_is_kept_for_as_many_hours_as_its_publisher_says() {
    let (world, app) = stage().await;
    let msg = publish(&world, &app, json!({"payloadRetentionHours": 2})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/msg/{msg}");
    world.advance_s(2 * 3_600 - 1);
    assert_eq!(world.call("GET", &path, Value::Null).await.status, 200);
    world.advance_s(2);
    assert_eq!(world.call("GET", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_with_its_field() {
    let (world, app) = stage().await;
    let long = "x".repeat(129);
    for (extra, field) in [
        (json!({"deliverAt": at(&world, 59)}), "deliverAt"),
        (json!({"deliverAt": at(&world, 31 * 86_400)}), "deliverAt"),
        (json!({"deliverAt": "tomorrow"}), "deliverAt"),
        (json!({"payloadRetentionHours": 0}), "payloadRetentionHours"),
        (json!({"payloadRetentionHours": 2_161}), "payloadRetentionHours"),
        (
            json!({"payloadRetentionHours": 24, "payloadRetentionPeriod": 5}),
            "payloadRetentionHours",
        ),
        (json!({"tags": ["a b"]}), "tags"),
        (json!({"tags": [long]}), "tags"),
        (json!({"tags": vec!["x"; 11]}), "tags"),
    ] {
        let reply = send(&world, &app, extra.clone()).await;
        assert_eq!(reply.status, 422, "{extra}: {reply:?}");
        assert_eq!(reply.body["detail"][0]["loc"][1], field, "{extra}");
    }
}

async fn stage() -> (World, String) {
    let (world, app, _) = World::with_endpoint(URL).await;
    (world, app)
}

fn message(extra: Value) -> Value {
    let mut body = json!({"eventType": "test.event", "payload": {}});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

async fn send(world: &World, app: &str, extra: Value) -> Reply {
    world.call("POST", &format!("/api/v1/app/{app}/msg"), message(extra)).await
}

async fn publish(world: &World, app: &str, extra: Value) -> String {
    let reply = send(world, app, extra).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    text(&reply.body["id"])
}

fn at(world: &World, seconds: u64) -> String {
    world.ambient.now().plus_ms(seconds * 1_000).to_rfc3339()
}
