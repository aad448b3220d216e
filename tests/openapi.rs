//! The API's description: made of the code, held by a golden file, and true of what every
//! operation answers and costs.
//!
//! `UPDATE_GOLDEN=1 cargo test golden` writes the file anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::golden;
use crate::support::stage::{Stage, described, descriptions, routes};
use crate::support::world::World;

const GOLDEN: &str = "functions/admin/openapi.json";

#[tokio::test]
async fn the_golden_description_is_what_the_code_says_and_costs() {
    let otherwise = "is not what the code says; UPDATE_GOLDEN=1 cargo test golden writes it anew";
    golden::check(GOLDEN, &described(&costs().await), otherwise);
}

#[test]
fn every_operation_is_described_and_every_description_is_of_an_operation() {
    described(&BTreeMap::new());
}

#[test]
fn the_description_leads_nowhere_that_is_not_there() {
    let document = described(&BTreeMap::new());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut links = Vec::new();
    collect_links(&document, &mut links);
    assert!(links.len() > 20);
    for link in links {
        let name = link.strip_prefix("#/components/schemas/").unwrap();
        assert!(schemas.contains_key(name), "{link}");
    }
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
}

#[tokio::test]
async fn a_path_that_does_not_take_a_method_says_which_it_takes() {
    let stage = Stage::new().await;
    for (path, allowed) in [
        ("/api/v1/app", "GET, HEAD, POST"),
        ("/api/v1/app/some/msg", "GET, HEAD, POST"),
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

/// What one call of each operation costs, on a stage of its own. Every one succeeds, with a
/// status that its description has.
async fn costs() -> BTreeMap<String, Value> {
    let document = described(&BTreeMap::new());
    let mut costs = BTreeMap::new();
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
        costs.insert(route.id, cost);
    }
    costs
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
