//! Counting over an organisation, and small questions: whose token, whether anybody listens.

use serde_json::{Value, json};

use crate::support::faults::Fault;
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn messages_are_counted_for_each_endpoint_that_they_were_sent_to() {
    let world = World::new();
    let since = world.ambient.now().to_rfc3339();
    let busy = world.application().await;
    for n in 0..2 {
        world.endpoint(&busy, &format!("{URL}/{n}")).await;
    }
    world.advance_s(1);
    let idle = world.application().await;
    world.advance_s(1);
    let silent = world.application().await;
    world.endpoint(&silent, URL).await;
    for n in 0..3 {
        world.publish(&busy, json!({"n": n})).await;
    }
    // Retries are not messages.
    world.network.next(&format!("{URL}/0"), crate::support::network::answer(500));
    world.dispatch_all().await;
    world.live_s(30).await;
    let until = world.ambient.now().to_rfc3339();
    world.publish(&busy, json!({})).await;
    world.advance_s(5);
    world.dispatch_all().await;
    let line =
        |app: &str, count: u64| json!({"appId": app, "appUid": null, "messageDestinations": count});
    let all = [line(&busy, 6), line(&idle, 0), line(&silent, 0)];
    let span = json!({"since": since, "until": until});
    assert_eq!(count(&world, span.clone()).await["appStats"], json!(all));
    let mut named = span.clone();
    named["appIds"] = json!([silent, busy, busy]);
    assert_eq!(count(&world, named).await["appStats"], json!([line(&busy, 6), line(&silent, 0)]));
    let mut unknown = span;
    unknown["appIds"] = json!([busy, "nobody"]);
    let reply = world.call("POST", "/api/v1/stats/usage/app", unknown).await;
    assert_eq!(reply.body["unresolvedAppIds"], json!(["nobody"]));
}

#[tokio::test]
async fn counting_goes_on_in_the_next_sweep_where_it_stopped() {
    let world = World::new();
    let since = world.ambient.now().to_rfc3339();
    // More than the request that asks for it may look at.
    for n in 0..510 {
        let app = world.application().await;
        if n % 50 == 0 {
            world.endpoint(&app, &format!("{URL}/{n}")).await;
            world.publish(&app, json!({"n": n})).await;
        }
    }
    world.dispatch_all().await;
    world.advance_s(1);
    let span = json!({"since": since, "until": world.ambient.now().to_rfc3339()});
    let begun = world.call("POST", "/api/v1/stats/usage/app", span).await;
    assert_eq!(begun.body["status"], "running");
    world.sweep().await;
    let task = read(&world, &begun.body).await;
    assert_eq!(task["status"], "finished");
    let counts: Vec<u64> = task["data"]["appStats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["messageDestinations"].as_u64().unwrap())
        .collect();
    assert_eq!(counts.len(), 510);
    assert_eq!(counts.iter().sum::<u64>(), 11);
}

#[tokio::test]
async fn how_far_counting_has_come_is_not_stored_after_each_application() {
    let world = World::new();
    for _ in 0..60 {
        world.application().await;
    }
    let before = world.meter.usage();
    let told = count(&world, month()).await;
    assert_eq!(told["appStats"].as_array().unwrap().len(), 60);
    let units = world.meter.usage().since(&before).write_units;
    assert!(units < 100, "{units}");
}

#[tokio::test]
async fn an_application_is_told_of_once_whatever_fails_while_counting() {
    for path in ["app", "event-types"] {
        for call in 0..24 {
            let world = World::new();
            for n in 0..3 {
                let app = world.application().await;
                world.endpoint(&app, &format!("{URL}/{n}")).await;
                world.advance_s(1);
            }
            world.plan.fail_after(call, Fault::Before);
            let (method, body) = match path {
                "app" => ("POST", month()),
                _ => ("PUT", Value::Null),
            };
            let path = format!("/api/v1/stats/usage/{path}");
            let mut begun = world.call(method, &path, body.clone()).await;
            world.plan.end();
            if begun.status == 503 {
                begun = world.call(method, &path, body).await;
            }
            world.live_s(180).await;
            let task = read(&world, &begun.body).await;
            assert_eq!(task["status"], "finished", "{path}, {call}: {task}");
            let told = task["data"].as_object().unwrap().values().next().unwrap();
            assert_eq!(told.as_array().unwrap().len(), 3, "{path}, {call}: {told}");
        }
    }
}

#[tokio::test]
async fn the_event_types_that_endpoints_chose_are_collected() {
    let world = World::new();
    let choosy = world.application().await;
    for types in [json!(["b", "a"]), json!(["b", "c"])] {
        world.endpoint_with(&choosy, json!({"url": URL, "eventTypes": types})).await;
    }
    world.advance_s(1);
    let open = world.application().await;
    world.endpoint(&open, URL).await;
    let begun = world.call("PUT", "/api/v1/stats/usage/event-types", Value::Null).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    assert_eq!(begun.body["task"], "event-type.aggregate");
    let task = read(&world, &begun.body).await;
    assert_eq!(
        task["data"]["event_types"],
        json!([
            {
                "appId": choosy,
                "explicitlySubscribedEventTypes": ["a", "b", "c"],
                "hasCatchAllEndpoint": false,
            },
            {"appId": open, "explicitlySubscribedEventTypes": [], "hasCatchAllEndpoint": true},
        ])
    );
}

#[tokio::test]
async fn a_token_tells_whose_it_is() {
    let (world, app) = World::with_application().await;
    let who = world.call("GET", "/api/v1/auth/whoami", Value::Null).await.body;
    assert!(text(&who["orgId"]).starts_with("org_"));
    assert_eq!(who["appId"], Value::Null);
    let token = world.app_token(&app);
    let who = world.call_as(&token, "GET", "/api/v1/auth/whoami", Value::Null).await.body;
    assert_eq!(who["appId"], app);
}

#[tokio::test]
async fn tokens_that_are_expired_all_at_once_open_nothing_and_new_ones_do() {
    let world = World::new();
    let (app, other) = (world.application().await, world.application().await);
    let access = format!("/api/v1/auth/app-portal-access/{app}");
    let old = text(&world.call("POST", &access, Value::Null).await.body["token"]);
    let foreign = world.app_token(&other);
    let expire = format!("/api/v1/auth/app/{app}/expire-all");
    let get = format!("/api/v1/app/{app}");
    let later = world.call("POST", &expire, json!({"expiry": 60})).await;
    assert_eq!(later.status, 204, "{later:?}");
    assert_eq!(world.call_as(&old, "GET", &get, Value::Null).await.status, 200);
    world.advance_s(60);
    assert_eq!(world.call_as(&old, "GET", &get, Value::Null).await.status, 401);
    let newer = text(&world.call("POST", &access, Value::Null).await.body["token"]);
    assert_eq!(world.call_as(&newer, "GET", &get, Value::Null).await.status, 200);
    assert_eq!(world.call("POST", &expire, Value::Null).await.status, 204);
    // Made in the same second, but after.
    let newest = text(&world.call("POST", &access, Value::Null).await.body["token"]);
    assert_eq!(world.call_as(&newer, "GET", &get, Value::Null).await.status, 401);
    let endpoint = format!("/api/v1/app/{app}/endpoint");
    let new = json!({"url": "http://127.0.0.1:9/"});
    assert_eq!(world.call_as(&newer, "POST", &endpoint, new.clone()).await.status, 401);
    let who = "/api/v1/auth/whoami";
    assert_eq!(world.call_as(&newer, "GET", who, Value::Null).await.status, 401);
    assert_eq!(world.call_as(&newest, "GET", &get, Value::Null).await.status, 200);
    assert_eq!(world.call_as(&newest, "POST", &endpoint, new).await.status, 201);
    let other = format!("/api/v1/app/{other}");
    assert_eq!(world.call_as(&foreign, "GET", &other, Value::Null).await.status, 200);
    assert_eq!(world.call_as(&newest, "POST", &expire, Value::Null).await.status, 403);
}

#[tokio::test]
async fn a_precheck_tells_whether_anybody_would_get_a_message() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/msg/precheck/active");
    let body = json!({"eventType": "a.b", "channels": ["one"]});
    assert_eq!(world.call("POST", &path, body.clone()).await.body["active"], false);
    world.endpoint_with(&app, json!({"url": URL, "eventTypes": ["a.b"]})).await;
    assert_eq!(world.call("POST", &path, body).await.body["active"], true);
    let other = json!({"eventType": "a.c"});
    assert_eq!(world.call("POST", &path, other).await.body["active"], false);
}

/// The span in which a world begins.
fn month() -> Value {
    json!({"since": "2027-01-01T00:00:00Z", "until": "2027-02-01T00:00:00Z"})
}

async fn count(world: &World, body: Value) -> Value {
    let reply = world.call("POST", "/api/v1/stats/usage/app", body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.body["task"], "application.stats");
    world.sweep().await;
    let task = read(world, &reply.body).await;
    assert_eq!(task["status"], "finished", "{task}");
    task["data"].clone()
}

async fn read(world: &World, task: &Value) -> Value {
    let path = format!("/api/v1/background-task/{}", text(&task["id"]));
    world.call("GET", &path, Value::Null).await.body
}
