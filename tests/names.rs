//! The name of an application where whoever publishes keeps what it read, as on Lambda: what is
//! published under a name does not go to whoever had it before.

use serde_json::{Value, json};
use shared::store::{APPLICATION_TTL_MS, Cached, Directory, NAME_REST_MS};

use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const OTHER: &str = "http://127.0.0.1:9/other";

/// A world whose receiver keeps what it read, and an application called `acme` that it knows.
async fn remembering() -> (World, String) {
    let mut world = World::new();
    let kept = Cached::new(world.clock.clone(), APPLICATION_TTL_MS);
    world.receiver.directory = Directory::cached(world.table.clone(), kept);
    world.admin.editor = world.admin.editor.clone().resting(NAME_REST_MS);
    let created = create(&world).await;
    assert_eq!(created.0, 201);
    world.endpoint(&created.1, URL).await;
    assert_eq!(publish(&world, "acme").await, 202);
    world.dispatch_all().await;
    (world, created.1)
}

async fn create(world: &World) -> (u16, String) {
    let reply = world.call("POST", "/api/v1/app", json!({"name": "A", "uid": "acme"})).await;
    (reply.status.as_u16(), reply.body["id"].as_str().unwrap_or_default().to_owned())
}

async fn publish(world: &World, app: &str) -> u16 {
    let event = json!({"eventType": "test.event", "payload": {}});
    world.call("POST", &format!("/api/v1/app/{app}/msg"), event).await.status.as_u16()
}

fn sent(world: &World) -> [usize; 2] {
    [URL, OTHER].map(|url| world.network.sent_to(url).len())
}

#[tokio::test]
async fn the_name_of_a_deleted_application_is_anothers_once_nobody_follows_it_any_more() {
    let (world, app) = remembering().await;
    assert_eq!(world.call("DELETE", &format!("/api/v1/app/{app}"), Value::Null).await.status, 204);
    assert_eq!(world.call("GET", "/api/v1/app/acme", Value::Null).await.status, 404);
    assert_eq!(create(&world).await.0, 409, "what was published for the new one would be lost");
    let bringing = json!({"eventType": "test.event", "payload": {}, "application": {"name": "A", "uid": "acme"}});
    let path = "/api/v1/app/acme/msg";
    // Whoever remembers it publishes to it in vain; then there is none, and none yet.
    world.clock.advance_ms(APPLICATION_TTL_MS);
    assert_eq!(publish(&world, "acme").await, 404);
    let later = world.call("POST", path, bringing).await;
    assert_eq!(later.status, 503, "{later:?}");
    let portal = json!({"application": {"name": "A", "uid": "acme"}});
    let portal = world.call("POST", "/api/v1/auth/app-portal-access/acme", portal).await;
    assert_eq!(portal.status, 409, "{portal:?}");
    world.clock.advance_ms(NAME_REST_MS - APPLICATION_TTL_MS);
    let (status, new) = create(&world).await;
    assert_eq!(status, 201);
    world.endpoint(&new, OTHER).await;
    assert_eq!(publish(&world, "acme").await, 202);
    world.dispatch_all().await;
    assert_eq!(sent(&world), [1, 1]);
}

#[tokio::test]
async fn the_name_of_a_renamed_application_rests_and_is_free_then() {
    let (world, app) = remembering().await;
    let path = format!("/api/v1/app/{app}");
    let renamed = world.call("PATCH", &path, json!({"uid": "acme-old"})).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    assert_eq!(publish(&world, "acme-old").await, 202, "at once, though it was read before");
    assert_eq!(create(&world).await.0, 409);
    world.clock.advance_ms(NAME_REST_MS);
    assert_eq!(publish(&world, "acme").await, 404, "nobody's");
    let (_, new) = create(&world).await;
    world.endpoint(&new, OTHER).await;
    assert_eq!([publish(&world, "acme").await, publish(&world, "acme-old").await], [202, 202]);
    world.dispatch_all().await;
    assert_eq!(sent(&world), [3, 1]);
    let found = world.call("GET", "/api/v1/app/acme", Value::Null).await;
    assert_eq!(text(&found.body["id"]), new);
}

#[tokio::test]
async fn where_nobody_keeps_what_it_read_a_name_is_free_at_once() {
    let world = World::new();
    let (_, app) = create(&world).await;
    let path = format!("/api/v1/app/{app}");
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
    let (status, app) = create(&world).await;
    assert_eq!(status, 201);
    let renamed = world.call("PATCH", &format!("/api/v1/app/{app}"), json!({"uid": "b"})).await;
    assert_eq!((renamed.status.as_u16(), create(&world).await.0), (200, 201));
}
