//! Tokens for visitors, and tokens that were taken back.

use serde_json::{Value, json};
use shared::store::REVOCATION_TTL_MS;

use crate::support::answers::places;
use crate::support::world::{World, text};

async fn visit(world: &World, app: &str, body: Value) -> String {
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let reply = world.call("POST", &path, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let token = text(&reply.body["token"]);
    assert!(text(&reply.body["url"]).ends_with(&token));
    token
}

async fn status(world: &World, token: &str, path: &str) -> u16 {
    world.call_as(token, "GET", path, Value::Null).await.status.as_u16()
}

#[tokio::test]
async fn a_visitor_sees_its_own_application_only() {
    let world = World::new();
    let (app, other) = (world.application().await, world.application().await);
    let token = visit(&world, &app, Value::Null).await;
    assert_eq!(status(&world, &token, &format!("/api/v1/app/{app}")).await, 200);
    assert_eq!(status(&world, &token, &format!("/api/v1/app/{other}")).await, 403);
    assert_eq!(status(&world, &token, "/api/v1/app").await, 403);
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    assert_eq!(world.call_as(&token, "POST", &path, json!({})).await.status, 403);
}

#[tokio::test]
async fn a_visitor_with_a_flag_sees_what_is_behind_it() {
    let world = World::new();
    let app = world.application().await;
    let said = json!({"name": "hidden", "description": "d", "featureFlags": ["beta"]});
    world.call("POST", "/api/v1/event-type", said).await;
    let plain = visit(&world, &app, Value::Null).await;
    let flagged = visit(&world, &app, json!({"featureFlags": ["beta"]})).await;
    assert_eq!(status(&world, &plain, "/api/v1/event-type/hidden").await, 404);
    assert_eq!(status(&world, &flagged, "/api/v1/event-type/hidden").await, 200);
}

#[tokio::test]
async fn an_application_that_is_not_there_is_created_for_its_visitor() {
    let world = World::new();
    let token = visit(&world, "new-one", json!({"application": {"name": "New"}})).await;
    assert_eq!(status(&world, &token, "/api/v1/app/new-one").await, 200);
    let again = json!({"application": {"name": "Other"}});
    visit(&world, "new-one", again).await;
    let kept = world.call("GET", "/api/v1/app/new-one", Value::Null).await;
    assert_eq!(kept.body["name"], "New");
    let path = "/api/v1/auth/app-portal-access/unknown";
    assert_eq!(world.call("POST", path, json!({})).await.status, 404);
    let other = json!({"application": {"name": "New", "uid": "another"}});
    assert_eq!(world.call("POST", path, other).await.status, 422);
}

#[tokio::test]
async fn a_visit_ends_when_it_was_said_to() {
    let world = World::new();
    let app = world.application().await;
    let token = visit(&world, &app, json!({"expiry": 3600})).await;
    let path = format!("/api/v1/app/{app}");
    world.advance_s(3599);
    assert_eq!(status(&world, &token, &path).await, 200);
    world.advance_s(1);
    assert_eq!(status(&world, &token, &path).await, 401);
    let url = format!("/api/v1/auth/app-portal-access/{app}");
    for expiry in [0, 3599, 604_801] {
        assert_eq!(world.call("POST", &url, json!({"expiry": expiry})).await.status, 422);
    }
}

#[tokio::test]
async fn a_token_that_logged_out_opens_nothing_and_no_other_is_touched() {
    let world = World::new();
    let app = world.application().await;
    let (token, other) =
        (visit(&world, &app, json!({})).await, visit(&world, &app, json!({})).await);
    let path = format!("/api/v1/app/{app}");
    let out = world.call_as(&token, "POST", "/api/v1/auth/logout", Value::Null).await;
    assert_eq!(out.status, 204);
    assert_eq!(status(&world, &token, &path).await, 401);
    assert_eq!(status(&world, &other, &path).await, 200);
}

#[tokio::test]
async fn a_process_that_remembers_a_token_forgets_it_within_half_a_minute() {
    let world = World::new();
    let app = world.application().await;
    let token = visit(&world, &app, json!({})).await;
    let body = json!({"eventType": "a", "payload": {}});
    let path = format!("/api/v1/app/{app}/msg");
    let publish = async || world.call_as(&token, "POST", &path, body.clone()).await.status.as_u16();
    // Another process, which knows the token from before.
    let stale = shared::store::Revocations::new(world.table.clone(), world.ambient.clock.clone());
    let bearer = world.tokens.open_bearer(&token, world.ambient.now()).unwrap();
    assert!(!stale.is_revoked(&bearer).await.unwrap());
    assert_eq!(publish().await, 403, "a visitor's");
    world.call_as(&token, "POST", "/api/v1/auth/logout", Value::Null).await;
    assert_eq!(publish().await, 401);
    assert!(!stale.is_revoked(&bearer).await.unwrap(), "it remembers");
    world.advance_s(REVOCATION_TTL_MS / 1000);
    assert!(stale.is_revoked(&bearer).await.unwrap());
}

#[tokio::test]
async fn what_is_wrong_with_an_application_that_is_brought_along_is_said_where_it_is() {
    let world = World::new();
    let app = world.application().await;
    for named in ["new-one", &app] {
        let path = format!("/api/v1/auth/app-portal-access/{named}");
        let wrong = json!({"name": "", "uid": "not one", "throttleRate": 0});
        let refused = world.call("POST", &path, json!({"application": wrong})).await;
        let fields = ["name", "uid", "throttleRate"];
        assert_eq!(places(&refused), fields.map(|field| format!("body/application/{field}")));
    }
    let other = json!({"application": {"name": "New", "uid": "other"}});
    let refused = world.call("POST", "/api/v1/auth/app-portal-access/new-one", other).await;
    assert_eq!(places(&refused), ["body/application/uid"]);
}

#[tokio::test]
async fn tokens_of_a_session_are_taken_back_and_others_are_not() {
    let world = World::new();
    let app = world.application().await;
    let path = format!("/api/v1/app/{app}");
    let expire = format!("/api/v1/auth/app/{app}/expire-all");
    let of = async |session: &str| visit(&world, &app, json!({"sessionId": session})).await;
    let (one, two) = (of("one").await, of("two").await);
    let none = visit(&world, &app, Value::Null).await;
    let named = json!({"sessionIds": ["one"]});
    assert_eq!(world.call("POST", &expire, named).await.status, 204);
    assert_eq!(status(&world, &one, &path).await, 401);
    assert_eq!((status(&world, &two, &path).await, status(&world, &none, &path).await), (200, 200));
    let publish = json!({"eventType": "a.b", "payload": {}});
    let refused = world.call_as(&one, "POST", &format!("{path}/msg"), publish).await;
    assert_eq!(refused.status, 401);
    // Made in the same second, but after.
    assert_eq!(status(&world, &of("one").await, &path).await, 200);
    // A session of this name of another application is another one.
    let other = world.application().await;
    let foreign = visit(&world, &other, json!({"sessionId": "two"})).await;
    let later = json!({"sessionIds": ["two"], "expiry": 60});
    assert_eq!(world.call("POST", &expire, later).await.status, 204);
    assert_eq!(status(&world, &two, &path).await, 200);
    world.advance_s(60);
    assert_eq!(status(&world, &two, &path).await, 401);
    assert_eq!(status(&world, &foreign, &format!("/api/v1/app/{other}")).await, 200);
    assert_eq!(status(&world, &none, &path).await, 200);
}

#[tokio::test]
async fn what_was_taken_back_stays_so_when_more_is_taken_back_later() {
    for sessions in [json!([]), json!(["one"])] {
        let world = World::new();
        let app = world.application().await;
        let path = format!("/api/v1/app/{app}");
        let expire = format!("/api/v1/auth/app/{app}/expire-all");
        let after = |seconds: u64| json!({"sessionIds": sessions, "expiry": seconds});
        let old = visit(&world, &app, json!({"sessionId": "one"})).await;
        world.call("POST", &expire, after(0)).await;
        world.advance_s(10);
        let newer = visit(&world, &app, json!({"sessionId": "one"})).await;
        world.call("POST", &expire, after(3_600)).await;
        assert_eq!(status(&world, &old, &path).await, 401, "no hour more for the old one");
        assert_eq!(status(&world, &newer, &path).await, 200);
        world.advance_s(1_800);
        // Nor does a later date give more time to those that have one.
        world.call("POST", &expire, after(7_200)).await;
        world.advance_s(1_800);
        assert_eq!(status(&world, &newer, &path).await, 401);
    }
}

#[tokio::test]
async fn names_of_sessions_are_bounded() {
    let world = World::new();
    let app = world.application().await;
    let access = format!("/api/v1/auth/app-portal-access/{app}");
    for wrong in ["".to_owned(), "x".repeat(257)] {
        let refused = world.call("POST", &access, json!({"sessionId": wrong})).await;
        assert_eq!(places(&refused), ["body/sessionId"]);
        let expire = format!("/api/v1/auth/app/{app}/expire-all");
        let refused = world.call("POST", &expire, json!({"sessionIds": [wrong]})).await;
        assert_eq!(places(&refused), ["body/sessionIds/0"]);
    }
}

#[tokio::test]
async fn a_token_that_is_to_open_less_than_its_application_is_not_made() {
    let world = World::new();
    let app = world.application().await;
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    for (field, value) in [("readOnly", json!(true)), ("capabilities", json!(["ViewBase"]))] {
        let refused = world.call("POST", &path, json!({field: value})).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", field]));
    }
    assert_eq!(world.call("POST", &path, json!({"readOnly": false})).await.status, 200);
}
