//! What is too large to be stored is the caller's to change, and said so: never a failure of ours.

use serde_json::{Value, json};
use shared::sender::target::MAX_URL_BYTES;

use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const TYPES: &str = "/api/v1/event-type";

#[tokio::test]
async fn a_description_is_refused_at_its_field_when_it_is_too_long() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.describe("known").await;
    let endpoints = format!("/api/v1/app/{app}/endpoint");
    let endpoint = format!("{endpoints}/{ep}");
    let known = format!("{TYPES}/known");
    for (method, path, rest) in [
        ("POST", endpoints.as_str(), json!({"url": URL})),
        ("PUT", endpoint.as_str(), json!({"url": URL})),
        ("PATCH", endpoint.as_str(), json!({})),
        ("POST", TYPES, json!({"name": "new"})),
        ("PUT", known.as_str(), json!({})),
        ("PATCH", known.as_str(), json!({})),
    ] {
        let with = |chars: usize| {
            let mut body = rest.clone();
            body["description"] = json!("ü".repeat(chars));
            body
        };
        let refused = world.call(method, path, with(4_097)).await;
        assert_eq!(refused.status, 422, "{method} {path}: {refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "description"]));
        let taken = world.call(method, path, with(4_096)).await;
        assert!(taken.status.is_success(), "{method} {path}: {taken:?}");
    }
}

#[tokio::test]
async fn too_many_feature_flags_are_refused_at_their_field() {
    let world = World::new();
    let flags: Vec<String> = (0..101).map(|n| format!("flag-{n}")).collect();
    let body = json!({"name": "new", "description": "", "featureFlags": flags});
    let refused = world.call("POST", TYPES, body).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "featureFlags"]));
}

#[tokio::test]
async fn what_keeps_every_rule_and_is_still_too_large_gets_413() {
    let world = World::new();
    let schemas = json!({"1": {"type": "object", "description": "x".repeat(399_000)}});
    let body = json!({"name": "new", "description": "ü".repeat(4_096), "schemas": schemas,
        "featureFlags": (0..100).map(|n| format!("{n:0>200}")).collect::<Vec<_>>()});
    let refused = world.call("POST", TYPES, body).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["code"]),
        (413, &json!("payload_too_large"))
    );
    assert!(text(&refused.body["detail"]).contains("409600"), "{refused:?}");
    let there = world.call("GET", &format!("{TYPES}/new"), Value::Null).await;
    assert_eq!(there.status, 404);
}

#[tokio::test]
async fn a_url_is_as_long_as_can_be_called_and_no_longer() {
    let world = World::new();
    let path = format!("/api/v1/app/{}/endpoint", world.application().await);
    let url = |bytes: usize| format!("{URL}/{}", "x".repeat(bytes - URL.len() - 1));
    let create = async |bytes: usize| world.call("POST", &path, json!({"url": url(bytes)})).await;
    assert_eq!(create(MAX_URL_BYTES).await.status, 201);
    let refused = create(MAX_URL_BYTES + 1).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(text(&refused.body["detail"][0]["msg"]).contains("2048"), "{refused:?}");
}

#[tokio::test]
async fn an_iterator_of_nothing_is_refused_when_messages_are_canceled_by_time() {
    let (world, app) = World::with_application().await;
    let path =
        format!("/api/v1/app/{app}/endpoint/{}/cancel-msgs", world.endpoint(&app, URL).await);
    let since = world.ambient.now().to_rfc3339();
    let refused = world.call("POST", &path, json!({"since": since, "iterator": "zzz"})).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "iterator"]));
}
