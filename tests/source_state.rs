//! How sources are, as the operator's list of them says it.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::world::{World, text};

const SOURCES: &str = "/ingest/api/v1/source";
const STATES: &str = "/api/v1/operator/source-state";

async fn source(world: &World, app: &str) -> String {
    let body = json!({"name": "s", "type": "generic-webhook", "app": app,
        "config": {"secret": "token"}, "verification": {"scheme": "bearer"}});
    text(&world.call("POST", SOURCES, body).await.body["id"])
}

async fn post(world: &World, source: &str, token: &str, body: &str) -> u16 {
    let request = Request::post(format!("/in/{source}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::from(body.to_owned()));
    world.send(request.unwrap()).await.status.as_u16()
}

async fn take(world: &World, source: &str) {
    assert_eq!(post(world, source, "token", r#"{"type":"a.made"}"#).await, 202);
}

async fn refuse(world: &World, source: &str) {
    assert_eq!(post(world, source, "wrong", "{}").await, 401);
}

async fn page(world: &World, query: &str) -> Value {
    let reply = world.call("GET", &format!("{STATES}{query}"), Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

async fn state(world: &World, source: &str) -> Value {
    let data = page(world, "").await["data"].clone();
    data.as_array().unwrap().iter().find(|one| one["sourceId"] == source).unwrap().clone()
}

#[tokio::test]
async fn a_source_waits_for_the_first_and_then_is_as_the_last_that_came() {
    let (world, app) = World::with_application().await;
    let (own, other) = (source(&world, &app).await, source(&world, &app).await);
    world.publish(&app, json!({"not": "of a source"})).await;
    let seen = state(&world, &own).await;
    assert_eq!(seen["state"], "waiting");
    let path = format!("/api/v1/app/{app}");
    let name = world.call("GET", &path, Value::Null).await.body["name"].clone();
    assert_eq!(seen["application"], name);
    assert_eq!((&seen["lastTaken"], &seen["refused"]), (&Value::Null, &Value::Null));
    assert_eq!((&seen["lookedAt"], &seen["complete"]), (&json!(1), &json!(true)));

    take(&world, &own).await;
    let at = world.ambient.now().to_rfc3339();
    world.advance_s(1);
    take(&world, &other).await;
    let seen = state(&world, &own).await;
    assert_eq!((&seen["state"], &seen["lastTaken"]["timestamp"]), (&json!("verified"), &json!(at)));
    assert_eq!(seen["lastTaken"]["eventType"], "a.made");

    world.advance_s(1);
    refuse(&world, &own).await;
    let seen = state(&world, &own).await;
    assert_eq!(seen["state"], "refused");
    assert_eq!(
        (&seen["refused"]["reason"], &seen["refused"]["count"]),
        (&json!("signature"), &json!(1))
    );
    assert_eq!(seen["lastTaken"]["timestamp"], at, "what was taken before is still told");
    assert_eq!(state(&world, &other).await["state"], "verified");

    world.advance_s(1);
    take(&world, &own).await;
    let seen = state(&world, &own).await;
    assert_eq!(seen["state"], "verified");
    assert_eq!(seen["refused"]["count"], 1, "and so is what was refused before");
}

#[tokio::test]
async fn what_a_source_refused_is_told_with_its_reason_and_number_and_noted_once_a_minute() {
    let (world, app) = World::with_application().await;
    let one = source(&world, &app).await;
    let other = source(&world, &app).await;
    let quiet = source(&world, &app).await;
    refuse(&world, &other).await;
    let writes = world.meter.usage().write_units;
    let first = world.ambient.now().to_rfc3339();
    for _ in 0..100 {
        refuse(&world, &one).await;
    }
    // The note, and its place in the log.
    assert_eq!(world.meter.usage().write_units, writes + 2, "strangers cause one note a minute");
    world.advance_s(60);
    assert_eq!(post(&world, &one, "token", "no json").await, 422);
    let last = world.ambient.now().to_rfc3339();
    let refused = state(&world, &one).await["refused"].clone();
    assert_eq!((&refused["count"], &refused["reason"]), (&json!(101), &json!("body")));
    assert_eq!((&refused["since"], &refused["timestamp"]), (&json!(first), &json!(last)));
    assert!(text(&refused["says"]).contains("JSON"), "{refused}");
    assert_eq!(state(&world, &other).await["refused"]["count"], 1);
    assert_eq!(state(&world, &quiet).await["refused"], Value::Null);
    world.advance_s(7 * 86_400);
    let seen = state(&world, &one).await;
    assert_eq!((&seen["state"], &seen["refused"]), (&json!("waiting"), &Value::Null));
}

#[tokio::test]
async fn behind_many_messages_of_others_a_source_is_not_said_to_wait() {
    let (world, app) = World::with_application().await;
    let busy = source(&world, &app).await;
    let seldom = source(&world, &app).await;
    take(&world, &seldom).await;
    let publish = async |many: usize| {
        for _ in 0..many {
            world.advance_s(1);
            take(&world, &busy).await;
        }
    };
    publish(99).await;
    let seen = state(&world, &seldom).await;
    assert_eq!((&seen["state"], &seen["lookedAt"]), (&json!("verified"), &json!(100)));
    publish(1).await;
    let seen = state(&world, &seldom).await;
    assert_eq!((&seen["state"], &seen["complete"]), (&json!("quiet"), &json!(false)));
    assert_eq!((&seen["lastTaken"], &seen["lookedAt"]), (&Value::Null, &json!(100)));
}

#[tokio::test]
async fn the_states_are_listed_page_by_page_as_the_sources_are() {
    let (world, app) = World::with_application().await;
    for _ in 0..3 {
        source(&world, &app).await;
    }
    let mut query = "?limit=2".to_owned();
    for many in [2, 1] {
        let (listed, states) = (
            world.call("GET", &format!("{SOURCES}{query}"), Value::Null).await.body,
            page(&world, &query).await,
        );
        let ids = |of: &Value, name: &str| -> Vec<String> {
            of["data"].as_array().unwrap().iter().map(|one| text(&one[name])).collect()
        };
        assert_eq!(ids(&listed, "id"), ids(&states, "sourceId"));
        assert_eq!(ids(&states, "sourceId").len(), many);
        for name in ["iterator", "prevIterator", "done"] {
            assert_eq!(listed[name], states[name], "{name}");
        }
        query = format!("?limit=2&iterator={}", text(&states["iterator"]));
    }
    let key = world.call("POST", &format!("/api/v1/auth/app-portal-access/{app}"), json!({})).await;
    let refused = world.call_as(&text(&key.body["token"]), "GET", STATES, Value::Null).await;
    assert_eq!(refused.status, 403, "it is the operator's: {refused:?}");
}

/// Read units of a page of the states, and writes.
async fn cost(world: &World) -> (f64, u64) {
    let before = world.meter.usage();
    assert_eq!(page(world, "").await["data"].as_array().unwrap().len(), 50);
    let usage = world.meter.usage().since(&before);
    (usage.read_units, usage.write_units)
}

#[tokio::test]
async fn a_page_of_states_costs_what_its_description_says_and_no_write() {
    let told = include_str!("../functions/admin/openapi/source.rs");
    let (world, app) = World::with_application().await;
    for _ in 0..60 {
        let made = source(&world, &app).await;
        take(&world, &made).await;
        refuse(&world, &made).await;
    }
    let (one, writes) = cost(&world).await;
    assert_eq!(writes, 0);
    let world = World::new();
    for _ in 0..50 {
        let app = world.application().await;
        let made = source(&world, &app).await;
        for _ in 0..30 {
            world.publish(&app, json!({"a": "x".repeat(900)})).await;
        }
        refuse(&world, &made).await;
    }
    let (many, writes) = cost(&world).await;
    assert_eq!(writes, 0);
    let told: String =
        told.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ");
    let says = format!("one application costs {one} read units, of 50 applications {many}.");
    assert!(told.contains(&says), "{says}");
}
