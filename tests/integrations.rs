//! Integrations of an application: each has a key that publishes to it and does nothing else.

use serde_json::{Value, json};
use shared::store::REVOCATION_TTL_MS;

use crate::support::answers::places;
use crate::support::world::{World, text};

async fn make(world: &World, app: &str, name: &str) -> String {
    let path = format!("/api/v1/app/{app}/integration");
    let made = world.call("POST", &path, json!({"name": name})).await;
    assert_eq!(made.status, 201, "{made:?}");
    text(&made.body["id"])
}

async fn key(world: &World, app: &str, id: &str) -> String {
    let path = format!("/api/v1/app/{app}/integration/{id}/key");
    text(&world.call("GET", &path, Value::Null).await.body["key"])
}

async fn publish(world: &World, token: &str, app: &str) -> u16 {
    let body = json!({"eventType": "a.b", "payload": {}});
    let path = format!("/api/v1/app/{app}/msg");
    world.call_as(token, "POST", &path, body).await.status.as_u16()
}

#[tokio::test]
async fn an_integration_is_made_listed_changed_and_deleted() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/integration");
    let body = json!({"name": "Zap", "featureFlags": ["beta"]});
    let made = world.call("POST", &path, body).await;
    assert_eq!(made.status, 201);
    let id = text(&made.body["id"]);
    let expected = json!({
        "id": id, "name": "Zap", "featureFlags": ["beta"],
        "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:00:00Z",
    });
    assert_eq!(made.body, expected);
    let one = format!("{path}/{id}");
    assert_eq!(world.call("GET", &one, Value::Null).await.body, expected);
    world.advance_s(60);
    let changed = world.call("PUT", &one, json!({"name": "Zip"})).await.body;
    assert_eq!((&changed["name"], &changed["featureFlags"]), (&json!("Zip"), &json!([])));
    assert_eq!(changed["updatedAt"], "2027-01-15T08:01:00Z");
    let second = make(&world, &app, "Other").await;
    let page = world.call("GET", &format!("{path}?limit=1"), Value::Null).await.body;
    assert_eq!((&page["data"][0]["id"], &page["done"]), (&json!(id), &json!(false)));
    let iterator = text(&page["iterator"]);
    let next = world.call("GET", &format!("{path}?iterator={iterator}"), Value::Null).await.body;
    assert_eq!((&next["data"][0]["id"], &next["done"]), (&json!(second), &json!(true)));
    assert_eq!(world.call("DELETE", &one, Value::Null).await.status, 204);
    for (method, path) in
        [("GET", one.clone()), ("DELETE", one.clone()), ("GET", format!("{one}/key"))]
    {
        assert_eq!(world.call(method, &path, Value::Null).await.status, 404, "{method} {path}");
    }
    let unknown = format!("{path}/nobody");
    assert_eq!(world.call("PUT", &unknown, json!({"name": "n"})).await.status, 404);
}

#[tokio::test]
async fn the_key_of_an_integration_publishes_to_its_application_and_does_nothing_else() {
    let world = World::new();
    let (app, other) = (world.application().await, world.application().await);
    let id = make(&world, &app, "Zap").await;
    let shown = key(&world, &app, &id).await;
    world.advance_s(3_600);
    assert_eq!(key(&world, &app, &id).await, shown, "it is shown again");
    assert!(!world.on_disk(&shown));
    assert_eq!(publish(&world, &shown, &app).await, 202);
    assert_eq!(publish(&world, &shown, &other).await, 404);
    for path in [
        "/api/v1/app".to_owned(),
        format!("/api/v1/app/{app}"),
        format!("/api/v1/app/{app}/msg"),
        format!("/api/v1/app/{app}/endpoint"),
        format!("/api/v1/app/{app}/integration"),
        format!("/api/v1/app/{app}/integration/{id}/key"),
    ] {
        assert_eq!(world.call_as(&shown, "GET", &path, Value::Null).await.status, 403, "{path}");
    }
    let who = world.call_as(&shown, "GET", "/api/v1/auth/whoami", Value::Null).await.body;
    assert_eq!((&who["scope"], &who["appId"]), (&json!("publish"), &json!(app)));
}

#[tokio::test]
async fn a_key_that_was_replaced_or_whose_integration_is_gone_opens_nothing() {
    let (world, app) = World::with_application().await;
    let (id, other) = (make(&world, &app, "Zap").await, make(&world, &app, "Other").await);
    let (old, others) = (key(&world, &app, &id).await, key(&world, &app, &other).await);
    assert_eq!(publish(&world, &old, &app).await, 202);
    let path = format!("/api/v1/app/{app}/integration/{id}");
    let rotated = world.call("POST", &format!("{path}/key/rotate"), Value::Null).await;
    let new = text(&rotated.body["key"]);
    assert_eq!(key(&world, &app, &id).await, new);
    // What a process remembers is forgotten after half a minute.
    world.advance_s(REVOCATION_TTL_MS / 1_000);
    assert_eq!(publish(&world, &old, &app).await, 401);
    assert_eq!(publish(&world, &new, &app).await, 202);
    assert_eq!(publish(&world, &others, &app).await, 202);
    world.call("DELETE", &path, Value::Null).await;
    world.advance_s(REVOCATION_TTL_MS / 1_000);
    assert_eq!(publish(&world, &new, &app).await, 401);
    assert_eq!(publish(&world, &others, &app).await, 202);
    // Expiring all of an application's tokens expires keys as well; a new one holds at once.
    world.call("POST", &format!("/api/v1/auth/app/{app}/expire-all"), Value::Null).await;
    world.advance_s(REVOCATION_TTL_MS / 1_000);
    assert_eq!(publish(&world, &others, &app).await, 401);
    let path = format!("/api/v1/app/{app}/integration/{other}/key/rotate");
    world.call("POST", &format!("/api/v1/auth/app/{app}/expire-all"), Value::Null).await;
    let new = text(&world.call("POST", &path, Value::Null).await.body["key"]);
    assert_eq!(publish(&world, &new, &app).await, 202);
    world.call("DELETE", &format!("/api/v1/app/{app}"), Value::Null).await;
    let items = world.stored.lock().unwrap().len();
    assert_ne!(publish(&world, &new, &app).await, 202);
    assert_eq!(world.stored.lock().unwrap().len(), items);
}

#[tokio::test]
async fn what_an_integration_may_be_is_bounded() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/integration");
    for (body, place) in [
        (json!({"name": ""}), "body/name"),
        (json!({"name": "x".repeat(1_000)}), "body/name"),
        (json!({"name": "n", "featureFlags": ["a b"]}), "body/featureFlags/0"),
        (json!({"name": "n", "featureFlags": vec!["a"; 1_000]}), "body/featureFlags"),
    ] {
        let reply = world.call("POST", &path, body).await;
        assert_eq!(reply.status, 422, "{place}: {reply:?}");
        assert_eq!(places(&reply), [place]);
    }
    for n in 0..50 {
        make(&world, &app, &format!("n{n}")).await;
    }
    let reply = world.call("POST", &path, json!({"name": "one too many"})).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!("limit_reached")));
}
