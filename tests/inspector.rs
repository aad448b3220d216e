//! Inspectors: what is sent to one can be looked at, by its owner only.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use shared::domain::id::OrganisationId;
use shared::domain::inspector::{KEPT_BYTES, LIFETIME_MS, MAX_KEPT};

use crate::support::world::{Reply, World, text};

const INSPECTORS: &str = "/api/v1/operator/inspector";

async fn inspector(world: &World) -> String {
    let reply = world.call("POST", INSPECTORS, json!({})).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    text(&reply.body["token"])
}

/// Sends to an inspector as an endpoint is sent to: without a token of ours.
async fn send(world: &World, path: &str, body: &[u8]) -> Reply {
    let request = Request::builder()
        .method("POST")
        .uri(path)
        .header("webhook-id", "msg_1")
        .body(Bytes::copy_from_slice(body))
        .unwrap();
    world.send(request).await
}

async fn inspected(world: &World, token: &str) -> Vec<Value> {
    let reply = world.call("GET", &format!("{INSPECTORS}/{token}"), Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_was_sent_can_be_looked_at_newest_first() {
    let world = World::new();
    let token = inspector(&world).await;
    assert_eq!(send(&world, &format!("/inspect/{token}"), b"{\"n\": 1}").await.status, 200);
    world.advance_s(1);
    assert_eq!(send(&world, &format!("/inspect/{token}?status=503"), b"two").await.status, 503);
    let seen = inspected(&world, &token).await;
    let bodies: Vec<&str> = seen.iter().map(|one| one["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["two", "{\"n\": 1}"]);
    assert_eq!(seen[0]["answered"], 503);
    assert!(seen[1]["headers"].as_array().unwrap().contains(&json!(["webhook-id", "msg_1"])));
}

#[tokio::test]
async fn the_url_is_that_by_which_the_caller_reached_us() {
    let world = World::new();
    let request = Request::builder()
        .method("POST")
        .uri(INSPECTORS)
        .header("host", "hooks.example")
        .header("x-forwarded-proto", "https")
        .header("authorization", format!("Bearer {}", world.token()))
        .body(Bytes::new())
        .unwrap();
    let reply = world.send(request).await;
    let token = text(&reply.body["token"]);
    assert_eq!(reply.body["url"], format!("https://hooks.example/inspect/{token}"));
}

#[tokio::test]
async fn a_long_body_is_cut_and_its_length_told() {
    let world = World::new();
    let token = inspector(&world).await;
    let body = vec![b'x'; KEPT_BYTES + 1];
    assert_eq!(send(&world, &format!("/inspect/{token}"), &body).await.status, 200);
    let seen = inspected(&world, &token).await;
    assert_eq!(seen[0]["body"].as_str().unwrap().len(), KEPT_BYTES);
    assert_eq!(seen[0]["bodyBytes"], KEPT_BYTES + 1);
}

#[tokio::test]
async fn nobody_else_sees_what_was_sent() {
    let world = World::new();
    let token = inspector(&world).await;
    let app = world.application().await;
    let stranger = OrganisationId::new(&world.ambient);
    let path = format!("{INSPECTORS}/{token}");
    let others = world.call_as(&world.token_of(stranger), "GET", &path, Value::Null).await;
    assert_eq!(others.status, 404);
    let confined = world.call_as(&world.app_token(&app), "GET", &path, Value::Null).await;
    assert_eq!(confined.status, 403);
    let confined = world.call_as(&world.app_token(&app), "POST", INSPECTORS, json!({})).await;
    assert_eq!(confined.status, 403);
}

#[tokio::test]
async fn who_only_looks_sees_no_credentials_of_what_was_sent() {
    let world = World::new();
    let token = inspector(&world).await;
    let request = Request::post(format!("/inspect/{token}"))
        .header("authorization", "Bearer hidden-from-readers")
        .header("x-order", "7")
        .body(Bytes::new());
    assert_eq!(world.send(request.unwrap()).await.status, 200);
    let asked = json!({"name": "reader", "scope": "read"});
    let made = world.call("POST", "/api/v1/operator/api-token", asked).await;
    let reader = text(&made.body["token"]);
    let path = format!("{INSPECTORS}/{token}");
    let seen = world.call_as(&reader, "GET", &path, Value::Null).await;
    let headers = seen.body["data"][0]["headers"].to_string();
    assert!(headers.contains(r#"["x-order","7"]"#), "{headers}");
    assert!(headers.contains(r#"["authorization","(hidden)"]"#), "{headers}");
    let all = inspected(&world, &token).await;
    assert!(all[0]["headers"].to_string().contains("Bearer hidden-from-readers"));
}

#[tokio::test]
async fn an_unknown_or_forgotten_inspector_takes_nothing() {
    let world = World::new();
    assert_eq!(send(&world, "/inspect/0123456789abcdef", b"{}").await.status, 404);
    let token = inspector(&world).await;
    world.advance_s(LIFETIME_MS / 1000);
    assert_eq!(send(&world, &format!("/inspect/{token}"), b"{}").await.status, 404);
    let reply = world.call("GET", &format!("{INSPECTORS}/{token}"), Value::Null).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn an_answer_that_is_no_status_is_refused() {
    let world = World::new();
    let token = inspector(&world).await;
    for status in ["abc", "99", "199", "600", "-1", "2000"] {
        let reply = send(&world, &format!("/inspect/{token}?status={status}"), b"{}").await;
        assert_eq!(reply.status, 422, "{status}");
    }
    assert!(inspected(&world, &token).await.is_empty());
}

#[tokio::test]
async fn an_inspector_keeps_a_thousand_requests_and_answers_the_others_all_the_same() {
    let world = World::new();
    let token = inspector(&world).await;
    let path = format!("/inspect/{token}");
    for _ in 0..MAX_KEPT + 5 {
        assert_eq!(send(&world, &path, b"x").await.status, 200);
    }
    let partition = format!("INSPECT#{token}");
    let count = || {
        let stored = world.stored.lock().unwrap();
        stored.keys().filter(|key| key.pk == partition).count()
    };
    assert_eq!(count(), MAX_KEPT as usize + 1, "the requests and the inspector");
    let other = inspector(&world).await;
    send(&world, &format!("/inspect/{other}"), b"y").await;
    assert_eq!(inspected(&world, &other).await.len(), 1);
}

#[tokio::test]
async fn a_link_has_no_scheme_and_no_host_that_make_it_something_else() {
    let world = World::new();
    for (host, scheme, start) in [
        ("hooks.example", "javascript", "http://hooks.example/inspect/"),
        ("hooks.example", "HTTPS", "https://hooks.example/inspect/"),
        ("hooks.example", "https://evil.example/?", "http://hooks.example/inspect/"),
        ("me@evil.example", "https", "/inspect/"),
        ("evil.example/a?b", "https", "/inspect/"),
        ("[::1]:8071", "http", "http://[::1]:8071/inspect/"),
    ] {
        let request = Request::builder()
            .method("POST")
            .uri(INSPECTORS)
            .header("host", host)
            .header("x-forwarded-proto", scheme)
            .header("authorization", format!("Bearer {}", world.token()))
            .body(Bytes::new())
            .unwrap();
        let url = text(&world.send(request).await.body["url"]);
        assert!(url.starts_with(start), "{host} {scheme}: {url}");
    }
}
