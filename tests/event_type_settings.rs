//! Retry schedules and timeouts of event types and endpoints: set through the API, kept on the
//! way.

use serde_json::{Value, json};
use shared::store::keys;

use crate::support::answers::places;
use crate::support::faults::Fault;
use crate::support::network::answer;
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const DAY_S: u64 = 86_400;

#[tokio::test]
async fn an_event_types_schedule_and_timeout_hold_for_its_deliveries_and_no_others() {
    let (world, app) = ready(json!({"retrySchedule": [10, 20], "timeoutSeconds": 4})).await;
    world.network.always(URL, answer(500));
    let slow = publish(&world, &app, "order.slow").await;
    let other = publish(&world, &app, "order.other").await;
    world.live_s(2 * DAY_S).await;
    assert_eq!(world.attempts(&app, &slow).await.len(), 3);
    assert_eq!(world.attempts(&app, &other).await.len(), 8);
    let timeout = |id: &str| {
        let sent = world.network.sent();
        let sent = sent.iter().find(|sent| {
            sent.headers.iter().any(|(name, value)| name.as_str() == "webhook-id" && value == id)
        });
        sent.expect("it was sent").timeout_ms
    };
    assert_eq!((timeout(&slow), timeout(&other)), (4_000, 15_000));
}

#[tokio::test]
async fn an_endpoints_own_word_counts_before_the_event_types() {
    let (world, app) = ready(json!({"retrySchedule": [10], "timeoutSeconds": 4})).await;
    let ep = endpoint(&world, &app).await;
    patch(&world, &ep, json!({"retrySchedule": [5, 5, 5]})).await;
    world.network.always(URL, answer(500));
    let msg = publish(&world, &app, "order.slow").await;
    world.live_s(DAY_S).await;
    assert_eq!(world.attempts(&app, &msg).await.len(), 4);
    // It said nothing of the timeout.
    assert_eq!(world.network.sent()[0].timeout_ms, 4_000);
    patch(&world, &ep, json!({"retrySchedule": null, "timeoutSeconds": 9})).await;
    let msg = publish(&world, &app, "order.slow").await;
    world.live_s(DAY_S).await;
    assert_eq!(world.attempts(&app, &msg).await.len(), 2);
    assert_eq!(world.network.sent().last().unwrap().timeout_ms, 9_000);
}

#[tokio::test]
async fn a_schedule_that_is_changed_counts_from_the_next_attempt_on() {
    let (world, app) = ready(json!({"retrySchedule": [600, 600, 600]})).await;
    world.network.always(URL, answer(500));
    let msg = publish(&world, &app, "order.slow").await;
    world.dispatch_all().await;
    set(&world, json!({"retrySchedule": [600]})).await;
    world.live_s(DAY_S).await;
    assert_eq!(world.attempts(&app, &msg).await.len(), 2);
}

#[tokio::test]
async fn a_schedule_that_comes_while_a_message_is_under_way_holds_for_its_retries() {
    let (world, app) = ready(json!({})).await;
    world.network.always(URL, answer(500));
    let msg = publish(&world, &app, "order.slow").await;
    world.dispatch_all().await;
    set(&world, json!({"retrySchedule": [5]})).await;
    world.live_s(2 * DAY_S).await;
    assert_eq!(world.attempts(&app, &msg).await.len(), 2);
}

#[tokio::test]
async fn a_schedule_goes_with_its_event_type() {
    let (world, app) = ready(json!({"retrySchedule": []})).await;
    world.network.always(URL, answer(500));
    let archived = world.call("DELETE", "/api/v1/event-type/order.slow", Value::Null).await;
    assert_eq!(archived.status, 204);
    let msg = publish(&world, &app, "order.slow").await;
    world.live_s(DAY_S).await;
    assert_eq!(world.attempts(&app, &msg).await.len(), 1, "an archived type still goes out");
    let gone = "/api/v1/event-type/order.slow?expunge=true";
    assert_eq!(world.call("DELETE", gone, Value::Null).await.status, 204);
    world.advance_s(30);
    let msg = publish(&world, &app, "order.slow").await;
    world.live_s(2 * DAY_S).await;
    assert_eq!(world.attempts(&app, &msg).await.len(), 8);
    let org = crate::support::world::organisation();
    let left = world.table.get(&keys::settings(&org, "order.slow")).await.unwrap();
    assert_eq!(left, None);
}

#[tokio::test]
async fn only_organisations_that_treat_event_types_pay_for_looking_and_only_once_in_a_while() {
    let (world, app) = ready(json!({})).await;
    for (fields, reads) in [(json!({}), 1.0), (json!({"timeoutSeconds": 5}), 2.0), (json!({}), 1.0)]
    {
        set(&world, fields).await;
        let event_type = "order.slow";
        publish(&world, &app, event_type).await;
        let before = world.meter.usage();
        world.dispatch_all().await;
        let after = world.meter.usage();
        assert_eq!(after.read_units - before.read_units, reads, "{event_type}");
        assert_eq!(after.write_units - before.write_units, 2, "{event_type}");
    }
}

#[tokio::test]
async fn every_application_is_treated_alike_whenever_it_came() {
    let world = World::new();
    let mut apps = Vec::new();
    // More than are read together.
    for _ in 0..300 {
        apps.push(world.application().await);
    }
    set_up(&world, json!({"retrySchedule": []})).await;
    apps.push(world.application().await);
    let message = json!({
        "eventType": "order.slow", "payload": {}, "application": {"name": "On the way", "uid": "later"},
    });
    let reply = world.call("POST", "/api/v1/app/later/msg", message).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    apps.push("later".to_owned());
    world.network.always(URL, answer(500));
    let few = [&apps[0], &apps[299], &apps[300], &apps[301]];
    for app in few {
        world.endpoint(app, URL).await;
        let msg = publish(&world, app, "order.slow").await;
        world.live_s(60).await;
        assert_eq!(world.attempts(app, &msg).await.len(), 1);
    }
    assert!(apps.len() > 300);
}

#[tokio::test]
async fn a_schedule_whose_setting_broke_off_anywhere_holds_when_it_is_set_again() {
    for call in 1.. {
        let (world, app) = ready(json!({})).await;
        world.plan.fail_after(call, Fault::Before);
        let fields = json!({"retrySchedule": []});
        let first = world.call("PATCH", KIND, fields.clone()).await;
        if world.plan.fired() == 0 {
            assert!(call > 4, "there is more to it than {call} calls");
            break;
        }
        assert_eq!(first.status, 503, "call {call}");
        set(&world, fields).await;
        world.network.always(URL, answer(500));
        let msg = publish(&world, &app, "order.slow").await;
        world.live_s(60).await;
        assert_eq!(world.attempts(&app, &msg).await.len(), 1, "call {call}");
    }
}

#[tokio::test]
async fn fields_are_kept_by_callers_that_do_not_know_them_and_cleared_by_null() {
    let (world, app) = ready(json!({"retrySchedule": [7], "timeoutSeconds": 4})).await;
    let ep = endpoint(&world, &app).await;
    let put = json!({"url": URL, "retrySchedule": [1, 604_800], "timeoutSeconds": 25});
    for (path, new) in [(ep, put), (KIND.to_owned(), json!({"description": "Slow"}))] {
        let changed = world.call("PUT", &path, new.clone()).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let (schedule, timeout) = match path == KIND {
            true => (json!([7]), json!(4)),
            false => (json!([1, 604_800]), json!(25)),
        };
        let mut bare = new;
        bare.as_object_mut().unwrap().retain(|name, _| name == "url" || name == "description");
        assert_eq!(world.call("PUT", &path, bare.clone()).await.status, 200);
        let got = world.call("GET", &path, Value::Null).await.body;
        assert_eq!((&got["retrySchedule"], &got["timeoutSeconds"]), (&schedule, &timeout));
        bare["retrySchedule"] = Value::Null;
        assert_eq!(world.call("PUT", &path, bare).await.status, 200);
        patch(&world, &path, json!({"timeoutSeconds": null})).await;
        let got = world.call("GET", &path, Value::Null).await.body;
        let fields = got.as_object().unwrap();
        assert!(!fields.contains_key("retrySchedule") && !fields.contains_key("timeoutSeconds"));
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_name() {
    let (world, app) = ready(json!({})).await;
    let ep = endpoint(&world, &app).await;
    for (wrong, field) in [
        (json!({"retrySchedule": [5, 0]}), json!(["body", "retrySchedule", "1"])),
        (json!({"retrySchedule": [604_801]}), json!(["body", "retrySchedule", "0"])),
        (json!({"retrySchedule": vec![1; 21]}), json!(["body", "retrySchedule"])),
        (json!({"timeoutSeconds": 0}), json!(["body", "timeoutSeconds"])),
        (json!({"timeoutSeconds": 26}), json!(["body", "timeoutSeconds"])),
    ] {
        for path in [&ep, KIND] {
            let reply = world.call("PATCH", path, wrong.clone()).await;
            assert_eq!((reply.status.as_u16(), &reply.body["detail"][0]["loc"]), (422, &field));
        }
    }
    let create = json!({"url": URL, "timeoutSeconds": 26});
    let path = format!("/api/v1/app/{app}/endpoint");
    assert_eq!(world.call("POST", &path, create).await.status, 422);
}

#[tokio::test]
async fn the_schedule_of_an_event_type_is_set_in_svixs_shape_too() {
    let (world, _) = ready(json!({})).await;
    let path = format!("{KIND}/retry-schedule");
    let none = world.call("GET", &path, Value::Null).await;
    assert_eq!((none.status.as_u16(), &none.body["retrySchedule"]), (200, &Value::Null));
    let durations = json!({"retrySchedule": [{"secs": 60, "nanos": 0}, {"secs": 3_600}]});
    let set = world.call("PUT", &path, durations).await;
    let whole = json!({"retrySchedule": [{"secs": 60, "nanos": 0}, {"secs": 3_600, "nanos": 0}]});
    assert_eq!((set.status.as_u16(), &set.body), (200, &whole));
    assert_eq!(world.call("PUT", &path, json!({"retrySchedule": [60, 3_600]})).await.body, whole);
    assert_eq!(world.call("GET", &path, Value::Null).await.body, whole);
    let kind = world.call("GET", KIND, Value::Null).await.body;
    assert_eq!(kind["retrySchedule"], json!([60, 3_600]));
    let broken = json!({"retrySchedule": [{"secs": 1, "nanos": 5}]});
    let refused = world.call("PUT", &path, broken).await;
    assert_eq!(places(&refused), ["body/retrySchedule/0/nanos"]);
    let refused = world.call("PUT", &path, json!({"retrySchedule": [1, "2"]})).await;
    assert_eq!(places(&refused), ["body/retrySchedule/1"]);
    let said = text(&refused.body["detail"][0]["msg"]);
    assert!(said.contains("whole seconds"), "{said}");
    assert_eq!(world.call("PUT", &path, json!({})).await.body, json!({"retrySchedule": null}));
    let unknown = "/api/v1/event-type/nobody/retry-schedule";
    assert_eq!(world.call("PUT", unknown, json!({"retrySchedule": [1]})).await.status, 404);
    assert_eq!(world.call("GET", unknown, Value::Null).await.status, 404);
}

const KIND: &str = "/api/v1/event-type/order.slow";

/// A world with an endpoint, and an event type that says this of its deliveries.
async fn ready(fields: Value) -> (World, String) {
    let (world, app, _) = World::with_endpoint(URL).await;
    set_up(&world, fields).await;
    (world, app)
}

/// An event type that says this of its deliveries.
async fn set_up(world: &World, mut fields: Value) {
    fields["name"] = json!("order.slow");
    fields["description"] = json!("Slow");
    let created = world.call("POST", "/api/v1/event-type", fields).await;
    assert_eq!(created.status, 201, "{created:?}");
}

async fn endpoint(world: &World, app: &str) -> String {
    let path = format!("/api/v1/app/{app}/endpoint");
    let listed = world.call("GET", &path, Value::Null).await;
    format!("{path}/{}", text(&listed.body["data"][0]["id"]))
}

async fn set(world: &World, fields: Value) {
    patch(world, KIND, fields).await;
}

async fn patch(world: &World, path: &str, fields: Value) {
    let reply = world.call("PATCH", path, fields).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn publish(world: &World, app: &str, event_type: &str) -> String {
    let message = json!({"eventType": event_type, "payload": {"n": 1}});
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), message).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    text(&reply.body["id"])
}
