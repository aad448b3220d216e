//! API tokens: what they are for, and that they can be taken back one by one and all at once.

use serde_json::{Value, json};
use shared::store::REVOCATION_TTL_MS;

use crate::support::answers::places;
use crate::support::world::{World, text};

const TOKENS: &str = "/api/v1/operator/api-token";

/// The token and its id.
async fn make(world: &World, body: Value) -> (String, String) {
    let reply = world.call("POST", TOKENS, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    (text(&reply.body["token"]), text(&reply.body["id"]))
}

async fn publish(world: &World, token: &str, app: &str) -> u16 {
    let body = json!({"eventType": "a.b", "payload": {}});
    let path = format!("/api/v1/app/{app}/msg");
    world.call_as(token, "POST", &path, body).await.status.as_u16()
}

async fn get(world: &World, token: &str, path: &str) -> u16 {
    world.call_as(token, "GET", path, Value::Null).await.status.as_u16()
}

#[tokio::test]
async fn a_token_for_one_application_publishes_to_it_and_does_nothing_else() {
    let world = World::new();
    let created = world.call("POST", "/api/v1/app", json!({"name": "n", "uid": "mine"})).await;
    let (app, other) = (text(&created.body["id"]), world.application().await);
    let asked = json!({"name": "shop", "scope": "publish", "app": "mine"});
    let (token, _) = make(&world, asked).await;
    assert_eq!(publish(&world, &token, &app).await, 202);
    assert_eq!(publish(&world, &token, "mine").await, 202);
    assert_eq!(publish(&world, &token, &other).await, 404);
    assert_eq!(publish(&world, &token, "nobody").await, 404);
    // Nor does it create an application on the way.
    let bringing = json!({
        "eventType": "a", "payload": {}, "application": {"name": "New", "uid": "new"},
    });
    let brought = world.call_as(&token, "POST", "/api/v1/app/new/msg", bringing).await;
    assert_eq!(brought.status, 404);
    assert_eq!(get(&world, &token, &format!("/api/v1/app/{app}")).await, 403);
    assert_eq!(get(&world, &token, TOKENS).await, 403);
    let who = world.call_as(&token, "GET", "/api/v1/auth/whoami", Value::Null).await.body;
    assert_eq!((&who["scope"], &who["appId"]), (&json!("publish"), &json!(app)));
    // It is over with its application, as a visitor's is.
    world.call("DELETE", &format!("/api/v1/app/{app}"), Value::Null).await;
    assert_eq!(publish(&world, &token, &app).await, 403);
}

#[tokio::test]
async fn a_token_is_listed_with_its_last_use_and_never_shown_again() {
    let (world, app) = World::with_application().await;
    let (token, id) =
        make(&world, json!({"name": "ci", "scope": "publish", "expiry": 7_200})).await;
    let listed = async || world.call("GET", TOKENS, Value::Null).await.body;
    let unused = listed().await;
    let made_at = world.ambient.now();
    assert_eq!(
        unused["data"],
        json!([{
            "id": id, "name": "ci", "scope": "publish", "appId": null,
            "createdAt": made_at.to_rfc3339(),
            "expiresAt": made_at.plus_ms(7_200_000).to_rfc3339(),
            "lastUsedAt": null,
        }])
    );
    assert!(!unused.to_string().contains(&token));
    world.advance_s(10);
    assert_eq!(publish(&world, &token, &app).await, 202);
    let used_at = world.ambient.now().to_rfc3339();
    assert_eq!(listed().await["data"][0]["lastUsedAt"], json!(used_at));
    // Written again when an hour is over, not before.
    world.advance_s(3_599);
    assert_eq!(publish(&world, &token, &app).await, 202);
    assert_eq!(listed().await["data"][0]["lastUsedAt"], json!(used_at));
    world.advance_s(REVOCATION_TTL_MS / 1_000);
    assert_eq!(publish(&world, &token, &app).await, 202);
    assert_eq!(listed().await["data"][0]["lastUsedAt"], json!(world.ambient.now().to_rfc3339()));
    world.advance_s(3_600);
    assert_eq!(publish(&world, &token, &app).await, 401, "expired");
    assert_eq!(listed().await["data"], json!([]));
}

#[tokio::test]
async fn a_token_that_cannot_be_noted_as_used_is_good_all_the_same() {
    let world = World::new();
    let (token, _) = make(&world, json!({"name": "ci", "scope": "read"})).await;
    // The revocation, the organisation's, the record; then the two calls of the note.
    for skip in [3, 4] {
        world.plan.fail_after(skip, crate::support::faults::Fault::Before);
        let reply = world.call_as(&token, "GET", "/api/v1/auth/whoami", Value::Null).await;
        world.plan.end();
        assert_eq!(reply.status, 200, "{skip}: {reply:?}");
        world.advance_s(REVOCATION_TTL_MS / 1_000);
    }
}

#[tokio::test]
async fn a_token_is_taken_back_by_its_id_and_no_other_is_touched() {
    let world = World::new();
    let (token, id) = make(&world, json!({"name": "one", "scope": "read"})).await;
    let (other, _) = make(&world, json!({"name": "other", "scope": "read"})).await;
    assert_eq!(get(&world, &token, "/api/v1/app").await, 200);
    let path = format!("{TOKENS}/{id}");
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(get(&world, &token, "/api/v1/app").await, 401);
    assert_eq!(get(&world, &token, "/api/v1/auth/whoami").await, 401);
    assert_eq!(get(&world, &other, "/api/v1/app").await, 200);
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 404);
    let path = format!("{TOKENS}/something");
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn only_who_holds_everything_makes_tokens() {
    let world = World::new();
    for scope in ["read", "publish", "manage"] {
        let (token, id) = make(&world, json!({"name": "n", "scope": scope})).await;
        let wider = json!({"name": "wider", "scope": "all"});
        assert_eq!(world.call_as(&token, "POST", TOKENS, wider).await.status, 403, "{scope}");
        let path = format!("{TOKENS}/{id}");
        assert_eq!(world.call_as(&token, "DELETE", &path, Value::Null).await.status, 403);
        let expire = "/api/v1/auth/expire-all";
        assert_eq!(world.call_as(&token, "POST", expire, Value::Null).await.status, 403);
    }
    let (token, _) = make(&world, json!({"name": "n"})).await;
    let again = world.call_as(&token, "POST", TOKENS, json!({"name": "again"})).await;
    assert_eq!((again.status.as_u16(), &again.body["scope"]), (201, &json!("all")));
}

#[tokio::test]
async fn all_tokens_of_an_organisation_are_taken_back_at_once() {
    let (world, app) = World::with_application().await;
    let visit = format!("/api/v1/auth/app-portal-access/{app}");
    let visitor = text(&world.call("POST", &visit, Value::Null).await.body["token"]);
    let (token, _) = make(&world, json!({"name": "n"})).await;
    let own = world.token();
    let all = [&own, &token, &visitor];
    let who = "/api/v1/auth/whoami";
    for token in all {
        assert_eq!(get(&world, token, who).await, 200);
    }
    let later = json!({"expiry": 60});
    let expire = "/api/v1/auth/expire-all";
    assert_eq!(world.call_as(&own, "POST", expire, later).await.status, 204);
    for token in all {
        assert_eq!(get(&world, token, who).await, 200, "not yet");
    }
    // Made in the same second, but after.
    let (newer, _) = make(&world, json!({"name": "newer"})).await;
    let newer_visitor = text(&world.call("POST", &visit, Value::Null).await.body["token"]);
    world.advance_s(60 + REVOCATION_TTL_MS / 1_000);
    for token in all {
        assert_eq!(get(&world, token, who).await, 401);
        assert_eq!(publish(&world, token, &app).await, 401);
    }
    for token in [&newer, &newer_visitor] {
        assert_eq!(get(&world, token, who).await, 200);
    }
    let at_once = world.call_as(&newer, "POST", expire, Value::Null).await;
    assert_eq!(at_once.status, 204);
    assert_eq!(get(&world, &newer, who).await, 401);
    let other = shared::domain::id::OrganisationId::new(&world.ambient);
    assert_eq!(get(&world, &world.token_of(other), who).await, 200, "another organisation's");
}

#[tokio::test]
async fn what_is_wrong_with_a_token_that_is_asked_for_is_said_where_it_is() {
    let world = World::new();
    let wrong = json!({"name": "", "expiry": 59});
    let refused = world.call("POST", TOKENS, wrong).await;
    assert_eq!(places(&refused), ["body/name", "body/expiry"]);
    let refused = world.call("POST", TOKENS, json!({"name": "n", "app": "nobody"})).await;
    assert_eq!(places(&refused), ["body/app"]);
    let refused = world.call("POST", TOKENS, json!({"name": "n", "scope": "fly"})).await;
    assert_eq!(refused.status, 422, "{refused:?}");
}
