//! Operational webhooks: an organisation is told what happens to its endpoints, messages and
//! tasks, and an endpoint that only fails is disabled.

use std::time::Duration;

use dispatch::{DISABLE_AFTER_MS, Dispatcher, Parts, Settings};
use serde_json::{Value, json};
use shared::domain::schedule::Schedule;
use shared::store::{Cached, Directory};

use crate::support::faults::Fault;
use crate::support::network::{answer, header};
use crate::support::world::{Builder, World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const NOTICES: &str = "http://127.0.0.1:9/notices";
const PATH: &str = "/api/v1/operational-webhook/endpoint";

#[tokio::test]
async fn changes_of_an_endpoint_are_told() {
    let (world, app) = World::with_application().await;
    listen(&world, Value::Null).await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "uid": "mine"})).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &path, json!({"description": "changed"})).await;
    world.call("PATCH", &path, json!({"disabled": true})).await;
    world.call("PUT", &path, json!({"url": URL, "uid": "mine", "disabled": false})).await;
    world.call("DELETE", &path, Value::Null).await;
    let told = told(&world).await;
    let mut kinds: Vec<String> = told.iter().map(|notice| text(&notice["type"])).collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "endpoint.created",
            "endpoint.deleted",
            "endpoint.disabled",
            "endpoint.enabled",
            "endpoint.updated",
            "endpoint.updated",
            "endpoint.updated",
        ]
    );
    for notice in &told {
        assert_eq!(notice["data"]["appId"], app);
        assert_eq!(notice["data"]["endpointId"], ep);
        assert_eq!(notice["data"]["endpointUid"], "mine");
    }
    let disabled = of_kind(&told, "endpoint.disabled");
    assert_eq!(disabled[0]["trigger"], "manual");
}

#[tokio::test]
async fn what_two_change_at_once_is_told_once() {
    let (world, app) = World::with_application().await;
    listen(&world, Value::Null).await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "uid": "mine"})).await;
    world.describe("a.b").await;
    let ending = |title: &str| {
        let profile = format!("name = \"small\"\ntitle = \"{title}\"\n[delivery]\n")
            + "timeout_ms = 5_000\nschedule_s = []\nsuccess = [\"2xx\"]\n"
            + "[deprecated]\nnotice = \"Use big.\"\nends = \"2027-06-30\"\n";
        json!({"toml": profile})
    };
    let of_type = |words: &str| json!({"description": words, "deprecated": true});
    let of_endpoint = |words: &str| json!({"description": words, "disabled": true});
    at_once(&world, "PUT", "/api/v1/profile/small", ending).await;
    at_once(&world, "PATCH", "/api/v1/event-type/a.b", of_type).await;
    at_once(&world, "PATCH", &format!("/api/v1/app/{app}/endpoint/{ep}"), of_endpoint).await;
    let told = told(&world).await;
    for (kind, times) in [
        ("profile.deprecated", 1),
        ("event_type.deprecated", 1),
        ("endpoint.disabled", 1),
        ("endpoint.updated", 2),
    ] {
        assert_eq!(of_kind(&told, kind).len(), times, "{kind}: {told:?}");
    }
}

/// One enables it while another disables it: whoever is last has changed something.
#[tokio::test]
async fn an_endpoint_that_another_disables_meanwhile_is_told_to_be_enabled() {
    let (world, app) = World::with_application().await;
    listen(&world, Value::Null).await;
    let ep = world.endpoint(&app, URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    // The first that waits for the writer is the first that it serves.
    let body = |words: &str| json!({"description": words, "disabled": words == "one"});
    at_once(&world, "PATCH", &path, body).await;
    assert!(!is_disabled(&world, &app, &ep).await);
    let told = told(&world).await;
    let count = |kind| of_kind(&told, kind).len();
    assert_eq!((count("endpoint.disabled"), count("endpoint.enabled")), (1, 1), "{told:?}");
}

#[tokio::test]
async fn what_is_told_of_a_changed_endpoint_is_what_it_is_now() {
    let (world, app) = World::with_application().await;
    listen(&world, Value::Null).await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "uid": "before"})).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &path, json!({"uid": "after"})).await;
    let told = told(&world).await;
    assert_eq!(of_kind(&told, "endpoint.updated")[0]["endpointUid"], "after");
}

#[tokio::test]
async fn notices_carry_the_headers_that_their_endpoint_was_given() {
    let (world, app) = World::with_application().await;
    let created = world.call("POST", PATH, json!({"url": NOTICES})).await;
    let path = format!("{PATH}/{}/headers", text(&created.body["id"]));
    let said = json!({"headers": {"X-Team": "webhooks", "Authorization": "Bearer of-ours"}});
    assert_eq!(world.call("PUT", &path, said).await.status, 204);
    let read = world.call("GET", &path, Value::Null).await;
    let expected = json!({"headers": {"X-Team": "webhooks"}, "sensitive": ["Authorization"]});
    assert_eq!((read.status.as_u16(), read.body), (200, expected));
    assert!(!world.on_disk("of-ours"), "values rest sealed");
    world.endpoint(&app, URL).await;
    world.live_s(120).await;
    let sent = &world.network.sent_to(NOTICES)[0];
    assert_eq!(header(sent, "X-Team"), "webhooks");
    assert_eq!(header(sent, "Authorization"), "Bearer of-ours");
    let token = world.app_token(&app);
    assert_eq!(world.call_as(&token, "GET", &path, Value::Null).await.status, 403);
    let wrong = json!({"headers": {"Host": "elsewhere"}});
    assert_eq!(world.call("PUT", &path, wrong).await.status, 422);
}

#[tokio::test]
async fn a_message_that_keeps_failing_is_told_after_the_fourth_attempt_and_when_it_is_given_up() {
    let (world, app, ep) = stage(Schedule::new(vec![60; 5])).await;
    world.network.always(URL, answer(503));
    let body = json!({"eventType": "a.b", "eventId": "mine", "payload": {}});
    let msg = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    let msg = text(&msg.body["id"]);
    world.live_s(900).await;
    let told = told(&world).await;
    assert_eq!(told.len(), 2, "{told:?}");
    let attempts = world.attempts(&app, &msg).await;
    assert_eq!(attempts.len(), 6);
    for (kind, last) in [("message.attempt.failing", 3), ("message.attempt.exhausted", 5)] {
        let expected = json!({
            "appId": app, "appUid": null, "endpointId": ep, "msgId": msg, "msgEventId": "mine",
            "lastAttempt": {
                "id": attempts[last]["id"],
                "responseStatusCode": 503,
                "timestamp": attempts[last]["timestamp"],
            },
        });
        assert_eq!(of_kind(&told, kind), [expected]);
    }
}

#[tokio::test]
async fn a_message_that_recovers_after_it_was_told_to_fail_is_told() {
    for (failures, kinds) in
        [(3, vec![]), (4, vec!["message.attempt.failing", "message.attempt.recovered"])]
    {
        let (world, app, _) = stage(Schedule::new(vec![60; 6])).await;
        for _ in 0..failures {
            world.network.next(URL, answer(503));
        }
        world.publish(&app, json!({})).await;
        world.live_s(900).await;
        let mut heard: Vec<String> =
            told(&world).await.iter().map(|notice| text(&notice["type"])).collect();
        heard.sort();
        assert_eq!(heard, kinds, "{failures} failures");
    }
}

/// Of a delivery that was given up it is told that it was taken after all, whoever sees to that and
/// however few attempts there were.
#[tokio::test]
async fn a_message_that_somebody_brings_through_is_told_to_recover() {
    const EXHAUSTED: &str = "message.attempt.exhausted";
    const FAILING: &str = "message.attempt.failing";
    const RECOVERED: &str = "message.attempt.recovered";
    for (retries, failures, by, kinds) in [
        (0, 1, "recover", vec![EXHAUSTED, RECOVERED]),
        (0, 1, "resend", vec![EXHAUSTED, RECOVERED]),
        (9, 4, "resend", vec![FAILING, RECOVERED]),
        (9, 4, "disabled", vec![FAILING, RECOVERED]),
        (9, 2, "resend", vec![]),
        (9, 0, "resend", vec![]),
    ] {
        let (world, app, ep) = stage(Schedule::new(vec![3_600; retries])).await;
        for _ in 0..failures {
            world.network.next(URL, answer(503));
        }
        let msg = world.publish(&app, json!({})).await;
        world.live_s(3_700 * failures.max(1) - 3_000).await;
        let endpoint = format!("/api/v1/app/{app}/endpoint/{ep}");
        if by == "disabled" {
            world.call("PATCH", &endpoint, json!({"disabled": true})).await;
            world.live_s(7_200).await;
            world.call("PATCH", &endpoint, json!({"disabled": false})).await;
        }
        let (path, body) = match by {
            "resend" | "disabled" => {
                (format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend"), Value::Null)
            }
            _ => (
                format!("{endpoint}/recover"),
                json!({"since": world.ambient.now().minus_ms(86_400_000).to_rfc3339()}),
            ),
        };
        assert_eq!(world.call("POST", &path, body).await.status, 202);
        world.live_s(120).await;
        let of_messages = |notice: &Value| text(&notice["type"]).starts_with("message.");
        let mut told = told(&world).await;
        told.retain(of_messages);
        let mut heard: Vec<String> = told.iter().map(|notice| text(&notice["type"])).collect();
        heard.sort();
        assert_eq!(heard, kinds, "{retries} retries, {failures} failures, {by}");
    }
}

#[tokio::test]
async fn the_end_of_a_task_is_told() {
    let (world, app, ep) = stage(Schedule::default()).await;
    let since = world.ambient.now().to_rfc3339();
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/recover");
    let begun = world.call("POST", &path, json!({"since": since})).await.body;
    let told = told(&world).await;
    let finished = of_kind(&told, "background_task.finished");
    assert_eq!(finished.len(), 1, "{told:?}");
    assert_eq!(finished[0]["id"], begun["id"]);
    assert_eq!(finished[0]["task"], "endpoint.recover");
    assert_eq!(finished[0]["status"], "finished");
    assert_eq!(finished[0]["data"], json!({"messagesSent": 0}));
}

#[tokio::test]
async fn only_what_an_endpoint_asked_for_is_told_and_to_its_organisation_alone() {
    let world = World::new();
    listen(&world, json!(["endpoint.deleted"])).await;
    let stranger = world.token_of("org_000000000000000000000000000".parse().unwrap());
    let created =
        world.call_as(&stranger, "POST", PATH, json!({"url": "http://127.0.0.1:9/other"})).await;
    assert_eq!(created.status, 201, "{created:?}");
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    assert_eq!(told(&world).await, Vec::<Value>::new());
    world.call("DELETE", &format!("/api/v1/app/{app}/endpoint/{ep}"), Value::Null).await;
    assert_eq!(told(&world).await.len(), 1);
    assert_eq!(world.network.sent_to("http://127.0.0.1:9/other").len(), 0);
}

#[tokio::test]
async fn endpoints_for_notices_are_handled_as_others_and_their_application_is_in_no_list() {
    let world = World::new();
    let none = world.call("GET", PATH, Value::Null).await;
    assert_eq!((none.status.as_u16(), &none.body["data"]), (200, &json!([])));
    let ep = listen(&world, Value::Null).await;
    let path = format!("{PATH}/{ep}");
    assert_eq!(world.call("GET", &path, Value::Null).await.body["url"], NOTICES);
    let listed = world.call("GET", PATH, Value::Null).await;
    assert_eq!(listed.body["data"][0]["id"], ep);
    let changed = json!({"url": NOTICES, "description": "changed"});
    assert_eq!(world.call("PUT", &path, changed).await.body["description"], "changed");
    let secret = world.call("GET", &format!("{path}/secret"), Value::Null).await.body;
    let rotated = world.call("POST", &format!("{path}/secret/rotate"), json!({})).await;
    assert_eq!(rotated.status, 204);
    let other = world.call("GET", &format!("{path}/secret"), Value::Null).await.body;
    assert_ne!(secret, other);
    let applications = world.call("GET", "/api/v1/app", Value::Null).await;
    assert_eq!(applications.body["data"], json!([]));
    let app = world.application().await;
    let confined = world.app_token(&app);
    for (method, path) in [("GET", PATH), ("GET", &*path), ("DELETE", &*path)] {
        assert_eq!(world.call_as(&confined, method, path, Value::Null).await.status, 403);
    }
    let stranger = world.token_of("org_000000000000000000000000000".parse().unwrap());
    assert_eq!(world.call_as(&stranger, "GET", &path, Value::Null).await.status, 404);
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(world.call("GET", &path, Value::Null).await.status, 404);
    // Its own endpoints are nothing to tell about.
    assert_eq!(told(&world).await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_endpoint_chooses_among_the_notices_that_there_are() {
    let world = World::new();
    let ep = listen(&world, json!(["message.attempt.exhausted"])).await;
    let misspelt = json!({"url": NOTICES, "filterTypes": ["message.attempt.exausted"]});
    for (method, path) in [("POST", PATH.to_owned()), ("PUT", format!("{PATH}/{ep}"))] {
        let reply = world.call(method, &path, misspelt.clone()).await;
        assert_eq!(reply.status, 422, "{method}: {reply:?}");
        assert_eq!(reply.body["detail"][0]["loc"], json!(["body", "filterTypes"]));
        assert!(reply.body["detail"][0]["msg"].as_str().unwrap().contains("attempt.exhausted"));
    }
}

/// Whatever call fails, before or after its effect: when the attempt is on record, so is its
/// notice.
#[tokio::test]
async fn a_notice_is_not_lost_when_something_breaks() {
    let mut struck = 0;
    for call in 0..24 {
        for fault in [Fault::Before, Fault::After] {
            let (world, app, _) = stage(Schedule::new(vec![])).await;
            world.network.always(URL, answer(500));
            world.plan.fail_after(call, fault);
            publish_surely(&world, &app).await;
            for _ in 0..6 {
                world.dispatch_all().await;
                world.sweep().await;
                world.advance_s(200);
            }
            struck += world.plan.fired();
            world.plan.end();
            let attempts = world.attempts(&app, "mine").await;
            assert_eq!(attempts.len(), 1, "{fault:?} at call {call}");
            let told = told(&world).await;
            let exhausted = of_kind(&told, "message.attempt.exhausted");
            assert!(!exhausted.is_empty(), "{fault:?} at call {call}: {told:?}");
        }
    }
    assert!(struck > 40, "only {struck} faults struck");
}

#[tokio::test]
async fn an_endpoint_that_only_fails_for_five_days_is_disabled_after_warnings() {
    let (world, app, ep) = stage(Schedule::new(vec![])).await;
    world.network.always(URL, answer(500));
    let began = world.ambient.now();
    let mut hours = 0;
    while !is_disabled(&world, &app, &ep).await {
        world.publish(&app, json!({"hour": hours})).await;
        world.dispatch_all().await;
        world.advance_s(3_600);
        hours += 1;
        assert!(hours <= 122, "not disabled after {hours} hours");
    }
    assert_eq!(hours, 121);
    let told = told(&world).await;
    let warnings = of_kind(&told, "endpoint.failing");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    let until = began.plus_ms(DISABLE_AFTER_MS).to_rfc3339();
    for warning in &warnings {
        assert_eq!(warning["failSince"], began.to_rfc3339());
        assert_eq!(warning["disabledAt"], until);
    }
    let disabled = of_kind(&told, "endpoint.disabled");
    assert_eq!(disabled.len(), 1);
    assert_eq!(disabled[0]["trigger"], "automatic");
    assert_eq!(disabled[0]["failSince"], began.to_rfc3339());
    // Whoever enables it again gives it a new chance.
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &path, json!({"disabled": false})).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert!(!is_disabled(&world, &app, &ep).await);
}

#[tokio::test]
async fn one_success_stops_the_clock_of_an_endpoint() {
    let (world, app, ep) = stage(Schedule::new(vec![])).await;
    for day in 0..12 {
        // It takes one message every fourth day.
        world.network.next(URL, answer(if day % 4 == 3 { 200 } else { 500 }));
        world.publish(&app, json!({"day": day})).await;
        world.dispatch_all().await;
        world.advance_s(86_400);
    }
    assert!(!is_disabled(&world, &app, &ep).await);
}

#[tokio::test]
async fn an_endpoint_that_nothing_was_sent_to_for_long_is_not_disabled_by_its_next_failure() {
    let (world, app, ep) = stage(Schedule::new(vec![])).await;
    world.network.always(URL, answer(500));
    for _ in 0..2 {
        world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        world.advance_s(11 * 86_400);
    }
    assert!(!is_disabled(&world, &app, &ep).await);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_told() {
    let (world, app, ep) = stage(Schedule::default()).await;
    world.network.next(URL, answer(410));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert!(is_disabled(&world, &app, &ep).await);
    let told = told(&world).await;
    assert_eq!(of_kind(&told, "endpoint.disabled")[0]["trigger"], "automatic");
}

/// Dispatch remembers an endpoint for a while; what it tells of it is what it is by then.
#[tokio::test]
async fn what_is_told_of_an_endpoint_that_is_disabled_by_itself_is_what_it_is_now() {
    for (last, days) in [(410, 0), (500, 6)] {
        let (mut world, app, ep) = stage(Schedule::new(vec![])).await;
        let cached = Cached::new(world.ambient.clock.clone(), 60_000);
        let directory = Directory::cached(world.table.clone(), cached);
        world.dispatcher = Dispatcher::new(Parts { directory, ..world.parts.clone() });
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        for name in ["test.event", "other"] {
            world.describe(name).await;
        }
        world.call("PATCH", &path, json!({"filterTypes": ["test.event"]})).await;
        let publish = async |status| {
            world.network.next(URL, answer(status));
            world.publish(&app, json!({})).await;
            world.dispatch_all().await;
        };
        publish(500).await;
        world.advance_s(days * 86_400);
        // Has dispatch read the endpoint, which does not want it.
        let other = json!({"eventType": "other", "payload": {}});
        world.call("POST", &format!("/api/v1/app/{app}/msg"), other).await;
        world.dispatch_all().await;
        world.call("PATCH", &path, json!({"uid": "after"})).await;
        publish(last).await;
        assert!(is_disabled(&world, &app, &ep).await, "{last}");
        let told = told(&world).await;
        let disabled = of_kind(&told, "endpoint.disabled");
        assert_eq!(disabled[0]["endpointUid"], "after", "{last}: {disabled:?}");
    }
}

/// Publishes as an SDK does: again, until it is answered well.
async fn publish_surely(world: &World, app: &str) {
    let body = json!({"eventType": "a.b", "eventId": "mine", "payload": {}});
    for _ in 0..3 {
        let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), body.clone()).await;
        if reply.status != 503 {
            break;
        }
    }
}

/// An application with an endpoint, and somebody who listens to everything that is told from
/// now on.
async fn stage(schedule: Schedule) -> (World, String, String) {
    let settings = Settings { schedule, ..Settings::default() };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    listen(&world, Value::Null).await;
    (world, app, ep)
}

/// Has two callers change the same, with these bodies of "one" and "two", each of whom has read what
/// there is before the other has written. Both succeed.
async fn at_once(world: &World, method: &str, path: &str, body: impl Fn(&str) -> Value) {
    let writes = world.hold_writes();
    let change = |words| world.call(method, path, body(words));
    let both = async { tokio::join!(change("one"), change("two")) };
    let go_on = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(writes);
    };
    let ((one, two), ()) = tokio::join!(both, go_on);
    assert!(one.status.is_success() && two.status.is_success(), "{one:?}, {two:?}");
}

async fn listen(world: &World, event_types: Value) -> String {
    let mut body = json!({"url": NOTICES});
    if !event_types.is_null() {
        body["eventTypes"] = event_types;
    }
    let created = world.call("POST", PATH, body).await;
    assert_eq!(created.status, 201, "{created:?}");
    text(&created.body["id"])
}

/// Everything that was told so far.
async fn told(world: &World) -> Vec<Value> {
    world.sweep().await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(NOTICES);
    for request in &sent {
        assert!(!header(request, "webhook-signature").is_empty());
    }
    sent.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

/// The data of all notices of a kind.
fn of_kind(told: &[Value], kind: &str) -> Vec<Value> {
    let of_kind = told.iter().filter(|notice| notice["type"] == kind);
    of_kind.map(|notice| notice["data"].clone()).collect()
}

async fn is_disabled(world: &World, app: &str, ep: &str) -> bool {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let reply = world.call("GET", &path, Value::Null).await;
    reply.body["disabled"].as_bool().expect("a bool")
}
