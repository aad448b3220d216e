//! Event types from an OpenAPI description, and back.

use serde_json::{Value, json};

use crate::support::world::World;

const PATH: &str = "/api/v1/event-type/import/openapi";

#[tokio::test]
async fn the_webhooks_of_a_description_become_event_types_with_their_schemas() {
    for body in [json!({"spec": spec()}), json!({"specRaw": spec().to_string()}), yaml()] {
        let world = World::new();
        let reply = world.call("POST", PATH, body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body, json!({"data": {"modified": ["order.paid", "order.refunded"]}}));
        let paid = world.call("GET", "/api/v1/event-type/order.paid", Value::Null).await.body;
        assert_eq!(paid["description"], "Somebody paid");
        assert_eq!(
            paid["schemas"]["1"],
            json!({
                "type": "object",
                "properties": {"order": {"$ref": "#/$defs/Order"}},
                "$defs": {"Order": {
                    "type": "object",
                    "properties": {"parent": {"$ref": "#/$defs/Order"}, "n": {"type": "integer"}},
                }},
            })
        );
        let refunded = world.call("GET", "/api/v1/event-type/order.refunded", Value::Null).await;
        assert_eq!(refunded.body["deprecated"], true);
    }
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let world = World::new();
    let reply = world.call("POST", PATH, json!({"spec": spec(), "dryRun": true})).await;
    assert_eq!(reply.body["data"]["modified"], json!([]));
    let names: Vec<&Value> = reply.body["data"]["to_modify"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["order.paid", "order.refunded"]);
    let listed = world.call("GET", "/api/v1/event-type", Value::Null).await;
    assert_eq!(listed.body["data"], json!([]));
}

#[tokio::test]
async fn an_import_keeps_or_archives_what_the_description_does_not_have() {
    let world = World::new();
    for name in ["order.paid", "other"] {
        let body = json!({"name": name, "description": "old", "groupName": "kept"});
        assert_eq!(world.call("POST", "/api/v1/event-type", body).await.status, 201);
    }
    world.call("POST", PATH, json!({"spec": spec()})).await;
    let other = world.call("GET", "/api/v1/event-type/other", Value::Null).await.body;
    assert_eq!(other["archived"], false);
    let paid = world.call("GET", "/api/v1/event-type/order.paid", Value::Null).await.body;
    assert_eq!(
        (&paid["description"], &paid["groupName"]),
        (&json!("Somebody paid"), &json!("kept"))
    );
    let reply = world.call("POST", PATH, json!({"spec": spec(), "replaceAll": true})).await;
    let modified = json!(["order.paid", "order.refunded", "other"]);
    assert_eq!(reply.body["data"]["modified"], modified);
    let other = world.call("GET", "/api/v1/event-type/other", Value::Null).await.body;
    assert_eq!(other["archived"], true);
}

#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let world = World::new();
    world.call("POST", PATH, json!({"spec": spec()})).await;
    let exported = world.call("GET", "/api/v1/event-type/export/openapi", Value::Null).await;
    assert_eq!(exported.status, 200, "{exported:?}");
    let other = World::new();
    other.call("POST", PATH, json!({"spec": exported.body})).await;
    for name in ["order.paid", "order.refunded"] {
        let path = format!("/api/v1/event-type/{name}");
        let [mut first, mut second] = [
            world.call("GET", &path, Value::Null).await.body,
            other.call("GET", &path, Value::Null).await.body,
        ];
        for one in [&mut first, &mut second] {
            one.as_object_mut().unwrap().retain(|field, _| !field.ends_with("At"));
        }
        assert_eq!(first, second);
    }
}

#[tokio::test]
async fn what_is_no_description_is_refused() {
    let world = World::new();
    for (body, field) in [
        (json!({}), "spec"),
        (json!({"spec": spec(), "specRaw": "{}"}), "spec"),
        (json!({"specRaw": "a: [b"}), "specRaw"),
        (json!({"specRaw": "text"}), "specRaw"),
        (json!({"spec": {"webhooks": {"a b": {"post": {}}}}}), "spec"),
    ] {
        let reply = world.call("POST", PATH, body.clone()).await;
        assert_eq!(reply.status, 422, "{body}: {reply:?}");
        assert_eq!(reply.body["detail"][0]["loc"][1], field, "{body}");
    }
    let app = world.application().await;
    let confined = world.app_token(&app);
    let reply = world.call_as(&confined, "POST", PATH, json!({"spec": spec()})).await;
    assert_eq!(reply.status, 403);
}

fn spec() -> Value {
    json!({
        "openapi": "3.1.0",
        "webhooks": {"order.paid": {"post": {
            "description": "Somebody paid",
            "requestBody": {"content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/Paid"},
            }}},
        }}},
        "x-webhooks": {"order.refunded": {"post": {"summary": "Money back", "deprecated": true}}},
        "components": {"schemas": {
            "Paid": {
                "type": "object",
                "properties": {"order": {"$ref": "#/components/schemas/Order"}},
            },
            "Order": {
                "type": "object",
                "properties": {
                    "parent": {"$ref": "#/components/schemas/Order"}, "n": {"type": "integer"},
                },
            },
        }},
    })
}

fn yaml() -> Value {
    let text = r##"
openapi: 3.1.0
webhooks:
  order.paid:
    post:
      description: Somebody paid
      requestBody:
        content:
          application/json:
            schema: {$ref: "#/components/schemas/Paid"}
x-webhooks:
  order.refunded:
    post: {summary: Money back, deprecated: true}
components:
  schemas:
    Paid:
      type: object
      properties:
        order: {$ref: "#/components/schemas/Order"}
    Order:
      type: object
      properties:
        parent: {$ref: "#/components/schemas/Order"}
        n: {type: integer}
"##;
    json!({"specRaw": text})
}
