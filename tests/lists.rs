//! Lists: no page is too large for Lambda, none leaves anything out, and none tells of what is
//! hidden.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::domain::inspector::Inspector;
use shared::store::table::Table;
use shared::store::{Inspectors, Parked, Parking, ProfileStore, Walk};

use crate::support::stingy::Stingy;
use crate::support::world::{Reply, World, organisation, text};

const URL: &str = "http://127.0.0.1:9/hook";
/// Lambda's limit for an answer.
const MAX_ANSWER: usize = 6_291_556;
const TYPES: &str = "/api/v1/event-type";

/// What Lambda has to pass on: the body once more as a string of JSON.
fn quoted(reply: &Reply) -> usize {
    Value::from(String::from_utf8_lossy(&reply.bytes)).to_string().len()
}

/// Walks a whole list by its iterators; what `field` says of each item, page by page.
async fn pages(world: &World, path: &str, field: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = path.to_owned();
    loop {
        let page = world.call("GET", &next, Value::Null).await;
        assert_eq!(page.status, 200, "{next}");
        assert!(quoted(&page) < MAX_ANSWER, "{} bytes: {next}", quoted(&page));
        let items = page.body["data"].as_array().unwrap();
        pages.push(items.iter().map(|item| text(&item[field])).collect::<Vec<_>>());
        if page.body["done"] == true {
            return pages;
        }
        let iterator = text(&page.body["iterator"]);
        let separator = if path.contains('?') { '&' } else { '?' };
        next = format!("{path}{separator}iterator={iterator}");
        assert!(pages.len() < 200, "the walk does not end");
    }
}

/// Text that grows when it is quoted.
fn text_of(bytes: usize) -> String {
    "\"".repeat(bytes / 2)
}

#[tokio::test]
async fn messages_with_large_payloads_come_on_pages_that_lambda_can_answer() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let mut published = Vec::new();
    for n in 0..60 {
        published.push(world.publish(&app, json!({"n": n, "text": "x".repeat(340_000)})).await);
        world.advance_s(1);
        world.dispatch_all().await;
    }
    published.reverse();
    let ep = world.call("GET", &format!("/api/v1/app/{app}/endpoint"), Value::Null).await.body;
    let ep = text(&ep["data"][0]["id"]);
    for path in [
        format!("/api/v1/app/{app}/msg"),
        format!("/api/v1/app/{app}/msg?limit=250"),
        format!("/api/v1/app/{app}/endpoint/{ep}/msg"),
    ] {
        let pages = pages(&world, &path, "id").await;
        assert!(pages[0].len() >= 10, "{path}: {}", pages[0].len());
        assert_eq!(pages.concat(), published, "{path}");
    }
    // Without contents nothing is large.
    let path = format!("/api/v1/app/{app}/msg?limit=250&with_content=false");
    assert_eq!(pages(&world, &path, "id").await, [published]);
}

#[tokio::test]
async fn a_page_that_ends_early_is_walked_back_to_as_well() {
    let (world, app) = World::with_application().await;
    let mut published = Vec::new();
    for n in 0..40 {
        let payload = json!({"n": n, "text": text_of(300_000)});
        published.push(world.publish(&app, payload).await);
        world.advance_s(1);
    }
    published.reverse();
    let path = format!("/api/v1/app/{app}/msg?limit=40");
    let (mut back, mut iterator) = (Vec::new(), Some(format!("-{}", published[39])));
    while let Some(prev) = iterator {
        let page = world.call("GET", &format!("{path}&iterator={prev}"), json!(null)).await;
        assert!(quoted(&page) < MAX_ANSWER);
        iterator = page.body["prevIterator"].as_str().map(str::to_owned);
        let data = page.body["data"].as_array().unwrap();
        back = data.iter().map(|item| text(&item["id"])).chain(back).collect();
        assert!(back.len() <= 40, "the walk back does not end");
    }
    assert_eq!(back, published[..39]);
}

#[tokio::test]
async fn event_types_with_large_schemas_come_on_pages_that_lambda_can_answer() {
    let world = World::new();
    let mut names = Vec::new();
    for n in 0..25 {
        names.push(format!("type.{n:02}"));
        let schema = json!({"1": {"type": "object", "description": text_of(180_000)}});
        let body = json!({"name": names[n], "description": "", "schemas": schema});
        assert_eq!(world.call("POST", TYPES, body).await.status, 201);
    }
    let pages_of = async |query: &str| pages(&world, &format!("{TYPES}?{query}"), "name").await;
    let with_content = pages_of("with_content=true").await;
    assert!(with_content.len() > 1 && with_content[0].len() > 5, "{with_content:?}");
    assert_eq!(with_content.concat(), names);
    assert_eq!(pages_of("limit=250").await, [names]);
}

#[tokio::test]
async fn an_export_that_lambda_cannot_answer_is_refused_with_a_hint() {
    let world = World::new();
    let mut answers = Vec::new();
    for n in 0..20 {
        let schema = json!({"1": {"type": "object", "description": "x".repeat(380_000)}});
        let body = json!({"name": format!("type.{n}"), "description": "", "schemas": schema});
        assert_eq!(world.call("POST", TYPES, body).await.status, 201);
        let path = "/api/v1/event-type/export/openapi";
        let exported = world.call("GET", path, Value::Null).await;
        assert!(quoted(&exported) < MAX_ANSWER);
        answers.push(exported);
    }
    assert_eq!(answers[0].status, 200);
    let last = &answers[19];
    assert_eq!((last.status.as_u16(), &last.body["code"]), (413, &json!("payload_too_large")));
    assert!(text(&last.body["detail"]).contains("with_content=true"), "{last:?}");
}

#[tokio::test]
async fn names_that_begin_with_a_hyphen_are_walked_like_any_other() {
    let world = World::new();
    let names = ["--", "-a", "-b", "-c", "a", "d-", "msg"];
    for name in names {
        world.describe(name).await;
    }
    for limit in 1..=names.len() {
        let pages = pages(&world, &format!("{TYPES}?limit={limit}"), "name").await;
        assert_eq!(pages.concat(), names, "by {limit}");
    }
    // And back again.
    let (mut back, mut iterator) = (Vec::new(), Some("-msg".to_owned()));
    while let Some(prev) = iterator {
        let path = format!("{TYPES}?limit=1&iterator={prev}");
        let page = world.call("GET", &path, json!(null)).await;
        iterator = page.body["prevIterator"].as_str().map(str::to_owned);
        let found = page.body["data"].as_array().unwrap().iter().map(|item| text(&item["name"]));
        back = found.chain(back).collect();
        assert!(back.len() <= names.len(), "the walk back does not end: {back:?}");
    }
    assert_eq!(back, names[..6]);
}

#[tokio::test]
async fn no_iterator_names_what_the_caller_may_not_see() {
    let (world, app) = World::with_application().await;
    for n in 0..40 {
        let flags = if n % 13 == 5 { json!([]) } else { json!(["hidden"]) };
        let kind = if n % 13 == 5 { "open" } else { "secret" };
        let body = json!({"name": format!("t{n:02}.{kind}"), "description": "",
            "featureFlags": flags});
        assert_eq!(world.call("POST", TYPES, body).await.status, 201);
    }
    let token = world.app_token(&app);
    for (limit, order) in
        [(1, "ascending"), (2, "ascending"), (1, "descending"), (250, "ascending")]
    {
        let path = format!("{TYPES}?limit={limit}&order={order}");
        let (mut next, mut found) = (path.clone(), Vec::new());
        loop {
            let page = world.call_as(&token, "GET", &next, Value::Null).await;
            assert!(!String::from_utf8_lossy(&page.bytes).contains("secret"), "{page:?}");
            found.extend(page.body["data"].as_array().unwrap().iter().map(|it| text(&it["name"])));
            if page.body["done"] == true {
                break;
            }
            next = format!("{path}&iterator={}", text(&page.body["iterator"]));
            assert!(found.len() < 40, "the walk does not end");
            // The way back leaks nothing either.
            let back = format!("{path}&iterator=-{}", text(&page.body["iterator"]));
            let back = world.call_as(&token, "GET", &back, Value::Null).await;
            assert!(!String::from_utf8_lossy(&back.bytes).contains("secret"), "{back:?}");
        }
        if order == "descending" {
            found.reverse();
        }
        assert_eq!(found, ["t05.open", "t18.open", "t31.open"]);
    }
}

#[tokio::test]
async fn a_list_of_nothing_but_hidden_names_is_empty_and_done() {
    let (world, app) = World::with_application().await;
    for n in 0..300 {
        let body = json!({"name": format!("secret.{n}"), "description": "",
            "featureFlags": ["hidden"]});
        assert_eq!(world.call("POST", TYPES, body).await.status, 201);
    }
    let (token, path) = (world.app_token(&app), format!("{TYPES}?limit=1"));
    let page = world.call_as(&token, "GET", &path, Value::Null).await;
    assert_eq!(
        page.body,
        json!({"data": [], "iterator": null, "prevIterator": null, "done": true})
    );
}

#[tokio::test]
async fn a_list_goes_on_where_the_database_ended_a_page_early() {
    let world = World::new();
    let table: Arc<dyn Table> = Arc::new(Stingy(world.table.clone()));
    let (org, now) = (organisation(), world.ambient.now());
    let parking = Parking::new(table.clone());
    for n in 0..5 {
        let toml = format!("name = \"p{n}\"\ntitle = \"P\"\n");
        let path = format!("/api/v1/profile/p{n}");
        assert!(world.call("PUT", &path, json!({"toml": toml})).await.status.is_success());
        let parked = Parked {
            id: format!("r{n}"),
            queue: "deliveries".into(),
            reason: "a test".into(),
            at: now,
            body: "garbage".into(),
        };
        parking.park(&parked).await.unwrap();
    }
    assert_eq!(ProfileStore::new(table.clone()).list(&org, 4).await.unwrap().len(), 4);
    let walk = Walk {
        limit: 3,
        descending: true,
        iterator: None,
        backward: false,
        after: None,
        before: None,
    };
    assert_eq!(parking.list(&walk, now).await.unwrap().len(), 5);

    let made = world.call("POST", "/api/v1/operator/inspector", Value::Null).await.body;
    for n in 0..5 {
        world.advance_s(1);
        world.call("POST", &format!("/inspect/{}", text(&made["token"])), json!({"n": n})).await;
    }
    let inspectors = Inspectors::new(table);
    let inspector: Inspector =
        inspectors.find(&text(&made["token"]), now).await.unwrap().expect("an inspector");
    assert_eq!(inspectors.inspected(&inspector, 4).await.unwrap().len(), 4);
}

#[tokio::test]
async fn what_an_inspector_was_sent_is_shown_as_far_as_lambda_can_answer() {
    let world = World::new();
    let made = world.call("POST", "/api/v1/operator/inspector", Value::Null).await.body;
    let token = text(&made["token"]);
    for _ in 0..60 {
        world.advance_s(1);
        world.call("POST", &format!("/inspect/{token}"), json!(text_of(63_000))).await;
    }
    let shown =
        world.call("GET", &format!("/api/v1/operator/inspector/{token}"), Value::Null).await;
    assert!(quoted(&shown) < MAX_ANSWER, "{}", quoted(&shown));
    assert!(shown.body["data"].as_array().unwrap().len() > 10);
}
