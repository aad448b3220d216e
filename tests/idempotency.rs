//! A POST that is repeated with the same key is worked on once.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use shared::store::{ANSWER_TTL_MS, PLACE_TTL_MS, Place};

use crate::support::faults::Fault;
use crate::support::world::{Reply, World, text};

const APPS: &str = "/api/v1/app";

async fn post(world: &World, token: &str, path: &str, key: &str, body: Value) -> Reply {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", key)
        .body(Bytes::from(body.to_string()))
        .unwrap();
    world.send(request).await
}

async fn applications(world: &World) -> usize {
    world.call("GET", APPS, Value::Null).await.body["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_and_nothing_is_done_twice() {
    let world = World::new();
    let token = world.token();
    let first = post(&world, &token, APPS, "k", json!({"name": "One"})).await;
    let again = post(&world, &token, APPS, "k", json!({"name": "One"})).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(applications(&world).await, 1);
}

#[tokio::test]
async fn a_path_may_be_written_in_two_ways() {
    let world = World::new();
    let (token, one) = (world.token(), json!({"name": "One"}));
    for uri in [APPS.to_owned(), format!("{APPS}/"), format!("{APPS}?")] {
        assert_eq!(post(&world, &token, &uri, "k", one.clone()).await.status, 201, "{uri}");
    }
    assert_eq!(applications(&world).await, 1);
}

#[tokio::test]
async fn another_key_another_uri_or_another_caller_is_another_request() {
    let world = World::new();
    let (token, one) = (world.token(), json!({"name": "One", "uid": "one"}));
    assert_eq!(post(&world, &token, APPS, "k", one.clone()).await.status, 201);
    assert_eq!(post(&world, &token, APPS, "l", one.clone()).await.status, 409);
    let uri = format!("{APPS}?get_if_exists=true");
    assert_eq!(post(&world, &token, &uri, "k", one.clone()).await.status, 200);
    let other = world.token_of(shared::domain::id::OrganisationId::new(&world.ambient));
    assert_eq!(post(&world, &other, APPS, "k", one).await.status, 201);
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let world = World::new();
    let token = world.token();
    assert_eq!(post(&world, &token, APPS, "k", json!({"name": ""})).await.status, 422);
    assert_eq!(post(&world, &token, APPS, "k", json!({"name": "One"})).await.status, 201);
}

#[tokio::test]
async fn an_answer_is_kept_for_half_a_day() {
    let world = World::new();
    let token = world.token();
    post(&world, &token, APPS, "k", json!({"name": "One"})).await;
    world.advance_s(ANSWER_TTL_MS / 1000 - 1);
    post(&world, &token, APPS, "k", json!({"name": "One"})).await;
    assert_eq!(applications(&world).await, 1);
    world.advance_s(1);
    post(&world, &token, APPS, "k", json!({"name": "One"})).await;
    assert_eq!(applications(&world).await, 2);
}

#[tokio::test]
async fn a_secret_in_an_answer_rests_sealed() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let token = world.token();
    let first = post(&world, &token, &path, "k", json!({})).await;
    let again = post(&world, &token, &path, "k", json!({})).await;
    assert_eq!(first.bytes, again.bytes, "the same token, opened again");
    let secret = text(&first.body["token"]);
    assert!(world.on_disk("ANSWER#"), "the answer is there");
    assert!(!world.on_disk(&secret));
}

#[tokio::test]
async fn a_repetition_of_work_under_way_is_refused_and_one_of_the_dead_takes_over() {
    /// It is read whether the token was taken back, alone or with all others, and the place is
    /// taken.
    const RELEASING: usize = 3;
    let world = World::new();
    let token = world.token();
    // Its answer does not get through to the place, as if its process had died.
    world.plan.fail_after(RELEASING, Fault::Before);
    assert_eq!(post(&world, &token, APPS, "k", json!({"name": ""})).await.status, 422);
    let request = || post(&world, &token, APPS, "k", json!({"name": "One"}));
    let busy = request().await;
    assert_eq!(busy.status, 409, "{busy:?}");
    world.advance_s(PLACE_TTL_MS / 1000);
    assert_eq!(request().await.status, 201);
    assert_eq!(applications(&world).await, 1);
}

#[tokio::test]
async fn a_place_is_free_again_when_its_holder_died() {
    let world = World::new();
    let answers = world.admin.answers.clone();
    let now = world.ambient.now();
    assert_eq!(answers.take("r", now).await.unwrap(), Place::Mine);
    assert_eq!(answers.take("r", now).await.unwrap(), Place::Taken);
    let later = now.plus_ms(PLACE_TTL_MS);
    assert_eq!(answers.take("r", later).await.unwrap(), Place::Mine);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let world = World::new();
    let token = world.token();
    for key in [String::new(), "k".repeat(257)] {
        let reply = post(&world, &token, APPS, &key, json!({"name": "One"})).await;
        assert_eq!(reply.body["code"], "invalid_idempotency_key");
    }
    assert_eq!(applications(&world).await, 0);
}

#[tokio::test]
async fn a_page_of_any_origin_may_call_and_read() {
    let world = World::new();
    let asked = Request::options("/api/v1/app/x/msg")
        .header("origin", "https://customer.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,idempotency-key")
        .body(Bytes::new())
        .unwrap();
    let answer = world.admin.handle(asked).await;
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "*");
    assert_eq!(header("access-control-allow-methods"), "POST");
    assert_eq!(header("access-control-allow-headers"), "authorization,idempotency-key");
    assert_eq!(header("access-control-max-age"), "600");
    for path in ["/api/v1/app", "/api/v1/app/x/msg"] {
        let method = if path.ends_with("msg") { "POST" } else { "GET" };
        let called = Request::builder()
            .method(method)
            .uri(path)
            .header("origin", "https://customer.example")
            .body(Bytes::new())
            .unwrap();
        let answer = match method {
            "POST" => world.receiver.handle(called).await,
            _ => world.admin.handle(called).await,
        };
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "failures are read too");
    }
}
