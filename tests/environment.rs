//! An organisation's event types and settings as one document: made in one place, taken in another.

use serde_json::{Value, json};

use crate::support::world::{Reply, World, text};

const EXPORT: &str = "/api/v1/environment/export";
const IMPORT: &str = "/api/v1/environment/import";

async fn exported(world: &World) -> Value {
    let reply = world.call("POST", EXPORT, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

async fn take(world: &World, body: Value) -> Reply {
    world.call("POST", IMPORT, body).await
}

/// What of an environment is said by people: no moments.
fn said(environment: &Value) -> Value {
    let mut said = environment.clone();
    for one in said["eventTypes"].as_array_mut().unwrap() {
        let one = one.as_object_mut().unwrap();
        assert!(one.remove("createdAt").is_some() && one.remove("updatedAt").is_some());
    }
    said.as_object_mut().unwrap().remove("createdAt");
    said
}

#[tokio::test]
async fn what_is_exported_in_one_place_is_the_same_once_it_is_imported_in_another() {
    let from = World::new();
    let paid = json!({
        "name": "order.paid", "description": "Paid", "deprecated": true, "groupName": "orders",
        "featureFlags": ["beta"], "retrySchedule": [60, 3600], "timeoutSeconds": 20,
        "schemas": {"1": {"type": "object", "examples": [{"n": 12345678901234567890_u64}]}},
    });
    for body in [paid, json!({"name": "old", "description": "", "archived": true})] {
        assert_eq!(from.call("POST", "/api/v1/event-type", body).await.status, 201);
    }
    let look = json!({"theme": "dark", "supportUrl": "https://example.com/help"});
    assert_eq!(from.call("PUT", "/api/v1/operator/portal", look).await.status, 200);
    let environment = exported(&from).await;
    assert_eq!(environment["version"], 1);
    assert_eq!(environment["connectors"], json!([]));
    assert_eq!(environment["eventTypes"].as_array().unwrap().len(), 2);

    let to = World::new();
    let taken = take(&to, environment.clone()).await;
    assert_eq!((taken.status.as_u16(), taken.bytes.len()), (204, 0), "{taken:?}");
    assert_eq!(said(&exported(&to).await), said(&environment));
    assert_eq!(said(&environment)["settings"]["portal"]["theme"], "dark");
    let again = exported(&to).await;
    take(&to, environment).await;
    assert_eq!(exported(&to).await["eventTypes"], again["eventTypes"], "nothing is changed twice");
}

#[tokio::test]
async fn an_import_adds_and_changes_and_takes_nothing_away() {
    let world = World::new();
    world.describe("kept").await;
    let look = json!({"theme": "dark"});
    assert_eq!(world.call("PUT", "/api/v1/operator/portal", look).await.status, 200);
    let new = json!({"eventTypes": [{"name": "new", "description": "New"}]});
    assert_eq!(take(&world, new).await.status, 204);
    assert_eq!(take(&world, json!({})).await.status, 204);
    let now = exported(&world).await;
    let names: Vec<String> =
        now["eventTypes"].as_array().unwrap().iter().map(|one| text(&one["name"])).collect();
    assert_eq!(names, ["kept", "new"]);
    assert_eq!(now["settings"]["portal"]["theme"], "dark");
}

#[tokio::test]
async fn settings_of_another_make_are_left_alone() {
    let world = World::new();
    let look = json!({"theme": "dark"});
    assert_eq!(world.call("PUT", "/api/v1/operator/portal", look).await.status, 200);
    let theirs = json!({"settings": {"customColor": "#fff"}, "connectors": [], "version": 7});
    assert_eq!(take(&world, theirs).await.status, 204);
    assert_eq!(exported(&world).await["settings"]["portal"]["theme"], "dark");
}

#[tokio::test]
async fn what_breaks_a_rule_is_named_and_nothing_at_all_is_imported() {
    let world = World::new();
    let good = json!({"name": "good", "description": ""});
    for (wrong, place) in [
        (json!({"eventTypes": [good, {"name": "a b", "description": ""}]}), "eventTypes.1.name"),
        (json!({"eventTypes": [good, {"name": "x"}]}), "eventTypes.1.description"),
        (json!({"eventTypes": [good, 7]}), "eventTypes.1"),
        (json!({"eventTypes": [good, good]}), "eventTypes.1.name"),
        (
            json!({"eventTypes": [good, {"name": "x", "description": "", "schemas": {"1": 1}}]}),
            "eventTypes.1.schemas.1",
        ),
        (json!({"eventTypes": vec![&good; 501]}), "eventTypes"),
        (json!({"eventTypes": [good], "settings": 1}), "settings"),
        (
            json!({"eventTypes": [good], "settings": {"portal": {"theme": 1}}}),
            "settings.portal.theme",
        ),
        (
            json!({"eventTypes": [good], "settings": {"portal": {"font": "<"}}}),
            "settings.portal.font",
        ),
        (json!({"eventTypes": [good], "connectors": [{"name": "Slack"}]}), "connectors"),
    ] {
        let refused = take(&world, wrong).await;
        assert_eq!(refused.status, 422, "{place}: {refused:?}");
        let loc = refused.body["detail"][0]["loc"].as_array().unwrap();
        let loc: Vec<&str> = loc.iter().map(|step| step.as_str().unwrap()).collect();
        assert_eq!(loc.join("."), format!("body.{place}"), "{refused:?}");
        assert_eq!(exported(&world).await["eventTypes"], json!([]), "{place}");
    }
    let many: Vec<Value> = (0..400).map(|_| json!({"name": "a b"})).collect();
    let refused = take(&world, json!({"eventTypes": many})).await;
    assert_eq!(refused.body["detail"].as_array().unwrap().len(), 20, "as many as are of use");
}

#[tokio::test]
async fn an_environment_that_is_too_large_for_an_answer_says_how_to_read_it() {
    let world = World::new();
    for n in 0..16 {
        let schemas = json!({"1": {"type": "object", "description": "x".repeat(380_000)}});
        let body = json!({"name": format!("t{n}"), "description": "", "schemas": schemas});
        assert_eq!(world.call("POST", "/api/v1/event-type", body).await.status, 201);
    }
    let refused = world.call("POST", EXPORT, Value::Null).await;
    assert_eq!(refused.status, 413, "{refused:?}");
    assert!(text(&refused.body["detail"]).contains("/api/v1/event-type?with_content=true"));
}
