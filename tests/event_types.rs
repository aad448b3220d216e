//! Event types: described by an organisation, chosen by its customers.

use serde_json::{Value, json};

use crate::support::world::{Reply, World, text};

const TYPES: &str = "/api/v1/event-type";

async fn create(world: &World, name: &str) -> Reply {
    let reply = world.call("POST", TYPES, json!({"name": name, "description": "d"})).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply
}

async fn names(world: &World, query: &str) -> Vec<String> {
    let reply = world.call("GET", &format!("{TYPES}{query}"), Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().unwrap().iter().map(|one| text(&one["name"])).collect()
}

#[tokio::test]
async fn what_was_said_of_a_type_is_what_is_read() {
    let world = World::new();
    let said = json!({
        "name": "order.paid",
        "description": "An order was paid",
        "deprecated": true,
        "schemas": {"1": {"type": "object", "examples": [{"order": "1"}]}},
        "featureFlags": ["beta"],
        "groupName": "orders",
    });
    let created = world.call("POST", TYPES, said.clone()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let read = world.call("GET", &format!("{TYPES}/order.paid"), Value::Null).await;
    for (field, value) in said.as_object().unwrap() {
        assert_eq!(&read.body[field], value, "{field}");
    }
    assert_eq!(read.body["featureFlag"], "beta", "the name of older SDKs");
    assert_eq!(read.body["archived"], false);
    assert_eq!(read.body, created.body);
}

#[tokio::test]
async fn a_name_is_taken_until_it_is_archived() {
    let world = World::new();
    create(&world, "order.paid").await;
    let again = json!({"name": "order.paid", "description": "other"});
    let refused = world.call("POST", TYPES, again.clone()).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["code"]),
        (409, &json!("event_type_exists"))
    );
    let path = format!("{TYPES}/order.paid");
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
    let archived = world.call("GET", &path, Value::Null).await;
    assert_eq!((archived.status.as_u16(), &archived.body["archived"]), (200, &json!(true)));
    let back = world.call("POST", TYPES, again).await;
    assert_eq!((back.status.as_u16(), &back.body["archived"]), (201, &json!(false)));
    assert_eq!(back.body["description"], "other");
    assert_eq!(back.body["createdAt"], archived.body["createdAt"]);
}

#[tokio::test]
async fn an_archived_type_is_changed_without_being_taken_back_and_taken_back_by_one_field() {
    let world = World::new();
    let made = json!({"name": "a", "description": "A", "groupName": "g"});
    assert_eq!(world.call("POST", TYPES, made).await.status, 201);
    let path = format!("{TYPES}/a");
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
    let saved = json!({"description": "B", "groupName": "g", "archived": true});
    let saved = world.call("PUT", &path, saved).await;
    assert_eq!((saved.status.as_u16(), &saved.body["archived"]), (200, &json!(true)));
    let back = world.call("PATCH", &path, json!({"archived": false})).await;
    assert_eq!((back.status.as_u16(), &back.body["archived"]), (200, &json!(false)));
    assert_eq!((&back.body["description"], &back.body["groupName"]), (&json!("B"), &json!("g")));
    assert_eq!(names(&world, "").await, ["a"]);
}

#[tokio::test]
async fn archived_types_are_listed_only_when_asked_for() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        create(&world, name).await;
    }
    world.call("DELETE", &format!("{TYPES}/b"), Value::Null).await;
    assert_eq!(names(&world, "").await, ["a", "c"]);
    assert_eq!(names(&world, "?include_archived=true").await, ["a", "b", "c"]);
    assert_eq!(names(&world, "?order=descending").await, ["c", "a"]);
}

#[tokio::test]
async fn an_expunged_type_is_gone() {
    let world = World::new();
    create(&world, "order.paid").await;
    let path = format!("{TYPES}/order.paid");
    assert_eq!(
        world.call("DELETE", &format!("{path}?expunge=true"), Value::Null).await.status,
        204
    );
    assert_eq!(world.call("GET", &path, Value::Null).await.status, 404);
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn pages_go_both_ways_by_name() {
    let world = World::new();
    for name in ["a", "b", "c", "d", "e"] {
        create(&world, name).await;
    }
    let first = world.call("GET", &format!("{TYPES}?limit=2"), Value::Null).await.body;
    assert_eq!((&first["iterator"], &first["done"]), (&json!("b"), &json!(false)));
    let second = world.call("GET", &format!("{TYPES}?limit=2&iterator=b"), Value::Null).await.body;
    assert_eq!(second["data"][0]["name"], "c");
    assert_eq!(second["prevIterator"], "-c");
    assert_eq!(names(&world, "?limit=2&iterator=-c").await, ["a", "b"]);
    assert_eq!(names(&world, "?limit=2&iterator=d").await, ["e"]);
    let last = world.call("GET", &format!("{TYPES}?limit=2&iterator=d"), Value::Null).await.body;
    assert_eq!(last["done"], true);
    // What is hidden behind the last does not make another page.
    assert_eq!(world.call("DELETE", &format!("{TYPES}/e"), Value::Null).await.status, 204);
    let last = world.call("GET", &format!("{TYPES}?limit=4"), Value::Null).await.body;
    assert_eq!((&last["data"][3]["name"], &last["done"]), (&json!("d"), &json!(true)));
    let short = world.call("GET", &format!("{TYPES}?limit=3"), Value::Null).await.body;
    assert_eq!((&short["iterator"], &short["done"]), (&json!("c"), &json!(false)));
}

#[tokio::test]
async fn schemas_are_listed_only_with_content() {
    let world = World::new();
    let said = json!({"name": "a", "description": "d", "schemas": {"1": {"type": "object"}}});
    world.call("POST", TYPES, said).await;
    let bare = world.call("GET", TYPES, Value::Null).await.body;
    assert_eq!(bare["data"][0]["schemas"], Value::Null);
    let whole = world.call("GET", &format!("{TYPES}?with_content=true"), Value::Null).await.body;
    assert_eq!(whole["data"][0]["schemas"]["1"]["type"], "object");
}

#[tokio::test]
async fn an_update_clears_what_it_leaves_out_and_a_patch_keeps_it() {
    let world = World::new();
    let path = format!("{TYPES}/a");
    let said = json!({"description": "d", "groupName": "g", "featureFlag": "f"});
    assert_eq!(world.call("PUT", &path, said).await.status, 201);
    let patched = world.call("PATCH", &path, json!({"description": "e"})).await;
    assert_eq!(
        (&patched.body["description"], &patched.body["groupName"]),
        (&json!("e"), &json!("g"))
    );
    let patched = world.call("PATCH", &path, json!({"featureFlag": null})).await;
    assert_eq!(patched.body["featureFlags"], Value::Null);
    let updated = world.call("PUT", &path, json!({"description": "f"})).await;
    assert_eq!(updated.status, 200);
    assert_eq!(updated.body["groupName"], Value::Null);
    assert_eq!(world.call("PATCH", &format!("{TYPES}/b"), json!({})).await.status, 404);
}

#[tokio::test]
async fn a_type_behind_a_flag_is_hidden_from_applications_without_it() {
    let (world, app) = World::with_application().await;
    create(&world, "open").await;
    let said = json!({"name": "hidden", "description": "d", "featureFlags": ["beta"]});
    world.call("POST", TYPES, said).await;
    let token = world.app_token(&app);
    let listed = world.call_as(&token, "GET", TYPES, Value::Null).await.body;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let hidden = world.call_as(&token, "GET", &format!("{TYPES}/hidden"), Value::Null).await;
    assert_eq!(hidden.status, 404);
    let refused =
        world.call_as(&token, "POST", TYPES, json!({"name": "x", "description": ""})).await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn a_hidden_type_of_a_profile_is_hidden_with_it() {
    const NAME: &str = "checkout_session.completed";
    let (world, app) = World::with_application().await;
    world.call("PATCH", &format!("/api/v1/app/{app}"), json!({"profile": "dashx"})).await;
    let token = world.app_token(&app);
    let shown = async || {
        let path = format!("/api/v1/app/{app}/profile");
        world.call_as(&token, "GET", &path, Value::Null).await.body.to_string().contains(NAME)
    };
    let create = async |name: &str| {
        let said = json!({"url": format!("http://127.0.0.1:9/{name}"), "filterTypes": [NAME]});
        let path = format!("/api/v1/app/{app}/endpoint");
        world.call_as(&token, "POST", &path, said).await.status.as_u16()
    };
    assert!(shown().await);
    assert_eq!(create("before").await, 201);
    let said = json!({"description": "", "featureFlags": ["beta"]});
    world.call("PUT", &format!("{TYPES}/{NAME}"), said).await;
    assert!(!shown().await);
    assert_eq!(create("after").await, 422);
}

#[tokio::test]
async fn every_broken_rule_of_a_type_is_named() {
    let world = World::new();
    let said = json!({
        "name": "no spaces", "description": "d", "schemas": {"1": 7}, "featureFlags": ["a b"],
        "groupName": "",
    });
    let refused = world.call("POST", TYPES, said).await;
    assert_eq!(refused.status, 422);
    let fields: Vec<&str> = refused.body["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["loc"][1].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["name", "schemas", "featureFlags", "groupName"]);
}

#[tokio::test]
async fn an_endpoint_chooses_among_event_types_that_there_are() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let choosing = |types: &[&str]| json!({"url": "http://127.0.0.1:9/hook", "eventTypes": types});
    world.describe("order.paid").await;
    for wrong in [&["order.payed"][..], &["order.paid", "order.payed"]] {
        let refused = world.call("POST", &path, choosing(wrong)).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "eventTypes"]));
        let rule = refused.body["detail"][0]["msg"].to_string();
        assert!(
            rule.contains("`order.payed`") && rule.contains("POST /api/v1/event-type"),
            "{rule}"
        );
    }
    // Whose token describes nothing is told where they are listed.
    let visitor = world.app_token(&app);
    let refused = world.call_as(&visitor, "POST", &path, choosing(&["order.payed"])).await;
    let rule = refused.body["detail"][0]["msg"].to_string();
    assert!(rule.ends_with("is not one: GET /api/v1/event-type lists them\""), "{refused:?}");
    let many: Vec<String> = (0..30).map(|number| format!("kind.{number}")).collect();
    for name in &many[..29] {
        world.describe(name).await;
    }
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(world.call("POST", &path, choosing(&names)).await.status, 422);
    assert_eq!(world.call("POST", &path, choosing(&names[..29])).await.status, 201);
    let made = world.call("POST", &path, choosing(&["order.paid"])).await;
    assert_eq!(made.status, 201, "{made:?}");
    // What was chosen stays chosen when its type is gone; nothing else may join it.
    let one = format!("{path}/{}", made.body["id"].as_str().unwrap());
    let gone =
        world.call("DELETE", "/api/v1/event-type/order.paid?expunge=true", json!(null)).await;
    assert_eq!(gone.status, 204);
    let patch = |types: &[&str]| world.call("PATCH", &one, json!({"eventTypes": types}));
    assert_eq!(patch(&["order.paid"]).await.status, 200);
    assert_eq!(patch(&["order.paid", "other"]).await.status, 422);
    let dots =
        json!({"url": "http://127.0.0.1:9/hook", "profile": "dots", "eventTypes": ["app.updated"]});
    assert_eq!(world.call("POST", &path, dots).await.status, 201, "the profile knows it");
    assert_eq!(world.call("POST", &path, choosing(&["app.updated"])).await.status, 422);
    let unheard = json!({"eventType": "never.described", "payload": {}});
    let published = world.call("POST", &format!("/api/v1/app/{app}/msg"), unheard).await;
    assert_eq!(published.status, 202, "publishing asks for no description");
}

#[tokio::test]
async fn a_visitor_cannot_choose_an_event_type_that_it_may_not_know_of() {
    let (world, app) = World::with_application().await;
    let hidden = json!({"name": "hid.den", "description": "", "featureFlags": ["beta"]});
    assert_eq!(world.call("POST", "/api/v1/event-type", hidden).await.status, 201);
    let visit = async |flags: Value| {
        let path = format!("/api/v1/auth/app-portal-access/{app}");
        let made = world.call("POST", &path, json!({"featureFlags": flags})).await;
        made.body["token"].as_str().unwrap().to_owned()
    };
    let path = format!("/api/v1/app/{app}/endpoint");
    let choice = json!({"url": "http://127.0.0.1:9/hook", "eventTypes": ["hid.den"]});
    let mut many = vec!["hid.den".to_owned()];
    for number in 0..12 {
        world.describe(&format!("kind.{number}")).await;
        many.push(format!("kind.{number}"));
    }
    let choices = json!({"url": "http://127.0.0.1:9/hook", "eventTypes": many});
    let (stranger, insider) = (visit(json!([])).await, visit(json!(["beta"])).await);
    for choice in [choice, choices] {
        let refused = world.call_as(&stranger, "POST", &path, choice.clone()).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(world.call_as(&insider, "POST", &path, choice).await.status, 201);
    }
}
