//! The API's description: made of the code, held by a golden file, and true of what every
//! operation answers and costs.
//!
//! `UPDATE_GOLDEN=1 cargo test golden` writes the file anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::golden;
use crate::support::stage::{KIND, MARK, Stage, described, descriptions, routes};
use crate::support::world::World;

const GOLDEN: &str = "functions/admin/openapi.json";
/// Requests and answers, for the pages of `/docs`.
const EXAMPLES: &str = "functions/admin/examples.json";
/// Most characters of a text in an example, and most items of a list: the rest says nothing more.
const MAX_TEXT: usize = 160;
const MAX_ITEMS: usize = 2;

#[tokio::test]
async fn the_golden_description_is_what_the_code_says_and_costs() {
    let otherwise = "is not what the code says; UPDATE_GOLDEN=1 cargo test golden writes it anew";
    let (costs, examples) = played().await;
    golden::check(GOLDEN, &described(&costs), otherwise);
    golden::check(EXAMPLES, &examples, otherwise);
}

#[test]
fn no_schema_names_a_default_that_it_refuses_or_has_anything_but_fields_for_fields() {
    let document = golden::read(GOLDEN);
    let document: Value = serde_json::from_str(&document).unwrap();
    let mut fields = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let Some(properties) = schema.get("properties") else { continue };
        for (field, schema) in properties.as_object().expect(name) {
            fields += 1;
            let refuses = schema.get("$ref").is_some() || schema["type"].is_string();
            assert!(!(refuses && schema.get("default") == Some(&Value::Null)), "{name}.{field}");
        }
    }
    assert!(fields > 500, "{fields}");
}

#[test]
fn examples_show_what_somebody_would_send_and_get() {
    let examples = golden::read(EXAMPLES);
    for silly in [
        r#""secret": "acme""#,
        r#""name": "New""#,
        r#""Changed""#,
        r#""Test""#,
        "nobody",
        "new.type",
        "test.event",
        "mark",
        r#""data": []"#,
    ] {
        assert!(!examples.contains(silly), "an example says {silly}");
    }
}

#[test]
fn every_operation_is_described_and_every_description_is_of_an_operation() {
    described(&BTreeMap::new());
}

#[test]
fn the_description_leads_nowhere_that_is_not_there() {
    let document = described(&BTreeMap::new());
    let mut links = Vec::new();
    collect_links(&document, &mut links);
    assert!(links.len() > 20);
    for link in links {
        let place = link.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{link}");
    }
}

#[test]
fn every_parameter_of_a_query_that_is_no_list_may_be_said_once() {
    let document = described(&BTreeMap::new());
    let operations = document["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    let parameters = operations.flat_map(|operation| operation["parameters"].as_array());
    let mut names: Vec<&str> = parameters
        .flatten()
        .filter(|parameter| parameter["in"] == "query")
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| {
        let uri = format!("/?{name}=a&{name}=b").parse().unwrap();
        shared::api::request::check_query(&uri).is_ok()
    });
    // Each may be said once for every item.
    assert_eq!(names, ["event_types"]);
}

#[test]
fn nothing_that_runs_is_built_with_what_makes_the_description() {
    for (name, manifest) in [
        ("shared", include_str!("../shared/Cargo.toml")),
        ("receive", include_str!("../functions/receive/Cargo.toml")),
        ("dispatch", include_str!("../functions/dispatch/Cargo.toml")),
        ("retry", include_str!("../functions/retry/Cargo.toml")),
        ("admin", include_str!("../functions/admin/Cargo.toml")),
    ] {
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
        for line in dependencies.lines() {
            let makes_it = line.starts_with("schemars") || line.starts_with("description");
            assert!(!makes_it || line.contains("optional = true"), "{name}: {line}");
        }
        for feature in ["lambda", "aws", "embedded", "default"] {
            let enabled = manifest.lines().find(|line| line.starts_with(&format!("{feature} = [")));
            assert!(!enabled.unwrap_or_default().contains("description"), "{name}: {feature}");
        }
    }
}

#[tokio::test]
async fn the_document_and_the_page_are_served_without_a_token() {
    let world = World::new();
    let get = |path: &'static str| {
        let request = http::Request::get(path).body(bytes::Bytes::new()).unwrap();
        world.admin.handle(request)
    };
    let document = get("/api/v1/openapi.json").await;
    assert_eq!(document.headers()["content-type"], "application/json");
    let document: Value = serde_json::from_slice(document.body()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let page = get("/docs").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let page = std::str::from_utf8(page.body()).unwrap();
    assert!(!page.contains("<script"));
    for description in descriptions() {
        let anchor = format!("id='{}'", description.id);
        assert!(page.contains(&anchor), "{anchor}: UPDATE_GOLDEN=1 cargo test golden");
    }
    let welcome = get("/").await;
    assert_eq!(welcome.status(), 200);
    assert!(std::str::from_utf8(welcome.body()).unwrap().contains("href=/docs"));
}

#[tokio::test]
async fn the_pages_show_every_operation_with_an_example_in_three_languages() {
    let world = World::new();
    let examples: Value = serde_json::from_str(&golden::read(EXAMPLES)).unwrap();
    let document = described(&BTreeMap::new());
    let mut shown = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let (tag, id) = (operation["tags"][0].as_str().unwrap(), &operation["operationId"]);
            let page = docs(&world, &format!("noun={tag}")).await;
            let id = id.as_str().unwrap();
            let (_, section) = page.split_once(&format!("<h3 id='{id}'>")).unwrap();
            let section = section.split("<h3").next().unwrap();
            assert!(section.contains(path.split('{').next().unwrap()), "{id}");
            let example = &examples[id];
            if example.is_null() {
                continue;
            }
            shown += 1;
            let path = example["path"].as_str().unwrap();
            let method = method.to_uppercase();
            for says in [
                format!("$URL{path}"),
                format!("requests.{}(", method.to_lowercase()),
                format!("await fetch(`${{URL}}{path}`"),
                format!("answers {}", example["status"]),
            ] {
                assert!(section.contains(&says), "{id} does not say {says}: {section}");
            }
        }
    }
    assert!(shown > 80, "{shown}");
}

#[tokio::test]
async fn a_search_finds_operations_and_bodies_and_shows_strangers_words_as_text() {
    let world = World::new();
    let page = docs(&world, "q=rotate+SECRET").await;
    assert!(page.contains("#v1.endpoint.rotate-secret"), "{page}");
    assert!(!page.contains("#v1.application.create"), "{page}");
    let page = docs(&world, "q=timeoutSeconds").await;
    assert!(page.contains("?shape=EndpointIn'"), "{page}");
    let page = docs(&world, "shape=EndpointIn").await;
    assert!(page.contains("<code>timeoutSeconds</code>"), "{page}");
    let long = "x".repeat(5_000);
    let page = docs(&world, &format!("q=%3Cscript%3E%27{long}")).await;
    assert!(page.contains("&lt;script&gt;&#39;xxx") && !page.contains("<script"), "{page}");
    assert!(page.len() < 20_000 && page.contains("Nothing has all of these words."));
    // What is not there leads to the index.
    assert!(docs(&world, "noun=nothing").await.contains("<h1>Posthorn API</h1>"));
}

async fn docs(world: &World, query: &str) -> String {
    let request = http::Request::get(format!("/docs?{query}")).body(bytes::Bytes::new()).unwrap();
    let answer = world.admin.handle(request).await;
    assert_eq!(answer.status(), 200, "{query}");
    String::from_utf8(answer.body().to_vec()).unwrap()
}

#[tokio::test]
async fn a_path_that_does_not_take_a_method_says_which_it_takes() {
    let stage = Stage::new().await;
    for (path, allowed) in [
        ("/api/v1/app", "GET, HEAD, POST"),
        ("/api/v1/app/some/msg", "GET, HEAD, POST"),
        ("/api/v1/app/some/msg/batch", "POST"),
        ("/api/v1/app/some/endpoint/some/secret", "GET, HEAD"),
    ] {
        let request = http::Request::delete(path)
            .header("authorization", format!("Bearer {}", stage.world.token()))
            .body(bytes::Bytes::new())
            .unwrap();
        let answer = stage.world.admin.handle(request).await;
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(answer.headers()["allow"], allowed, "{path}");
    }
    let nowhere = stage.world.call("DELETE", "/api/v1/nowhere", Value::Null).await;
    assert_eq!(nowhere.status, 404);
}

/// What one call of each operation costs, and the call as an example, on a stage of its own. Every
/// one succeeds, with a status that its description has.
async fn played() -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
    let document = described(&BTreeMap::new());
    let (mut costs, mut examples) = (BTreeMap::new(), BTreeMap::new());
    for route in routes() {
        let stage = Stage::new().await;
        stage.prepare(&route.id).await;
        let play = stage.play(&route);
        let before = stage.world.meter.usage();
        let reply = stage.send(&stage.world.token(), &play).await;
        let after = stage.world.meter.usage();
        assert!(reply.status.is_success(), "{play:?}: {reply:?}");
        let operation = &document["paths"][&route.path][route.method.to_lowercase()];
        let described = &operation["responses"][reply.status.as_str()];
        assert!(described.is_object(), "{}: {} is not described", route.id, reply.status);
        assert_eq!(described["content"].is_object(), !reply.bytes.is_empty(), "{}", route.id);
        let cost = json!({
            "writeUnits": after.write_units - before.write_units,
            "readUnits": after.read_units - before.read_units,
            "sqsRequests": after.sqs_requests - before.sqs_requests,
        });
        if described["content"]["application/json"].is_object() || reply.bytes.is_empty() {
            let example = json!({
                "path": play.path, "body": play.body, "status": reply.status.as_u16(),
                "answer": shortened(reply.body),
            });
            examples.insert(route.id.clone(), named_as_people_do(&example));
        }
        costs.insert(route.id, cost);
    }
    // A key of its own kind each time, and the description itself.
    for id in ["posthorn.jwt-key.rotate", "posthorn.jwt-key.list", "posthorn.openapi.get"] {
        examples.remove(id);
    }
    (costs, examples)
}

/// An answer with as much of long texts and lists as is needed to understand it.
fn shortened(answer: Value) -> Value {
    match answer {
        Value::String(text) if text.chars().count() > MAX_TEXT => {
            Value::String(text.chars().take(MAX_TEXT).collect::<String>() + "...")
        }
        Value::Array(items) => items.into_iter().take(MAX_ITEMS).map(shortened).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, shortened(value))).collect()
        }
        answer => answer,
    }
}

/// The stage's names, as a customer's would be.
fn named_as_people_do(example: &Value) -> Value {
    let text = example.to_string();
    let text = text.replace("http://127.0.0.1:9/", "https://acme.example/");
    let text = text.replace(MARK, "acme").replace(KIND, "order.paid");
    let text =
        text.replace("test.event", "order.paid").replace(r#"name":"Test""#, r#"name":"Globex""#);
    serde_json::from_str(&text).unwrap()
}

fn collect_links(value: &Value, links: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            links.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect_links(field, links));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_links(item, links)),
        _ => {}
    }
}
