//! Event types from an OpenAPI description, and back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::world::{Reply, World, text};

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
    assert_eq!(reply.body["data"]["to_archive"], json!([]));
    let listed = world.call("GET", "/api/v1/event-type", Value::Null).await;
    assert_eq!(listed.body["data"], json!([]));
}

#[tokio::test]
async fn a_dry_run_names_what_would_be_archived() {
    let world = World::new();
    for name in ["order.paid", "other"] {
        let body = json!({"name": name, "description": "old"});
        assert_eq!(world.call("POST", "/api/v1/event-type", body).await.status, 201);
    }
    for (replace_all, gone) in [(true, json!(["other"])), (false, json!([]))] {
        let body = json!({"spec": spec(), "dryRun": true, "replaceAll": replace_all});
        let reply = world.call("POST", PATH, body).await;
        assert_eq!(reply.body["data"]["to_archive"], gone, "{replace_all}");
    }
    let other = world.call("GET", "/api/v1/event-type/other", Value::Null).await.body;
    assert_eq!(other["archived"], false);
}

#[tokio::test]
async fn an_import_that_deprecates_tells_so_once() {
    const NOTICES: &str = "http://127.0.0.1:9/notices";
    let world = World::new();
    let body = json!({"url": NOTICES, "eventTypes": ["event_type.deprecated"]});
    let made = world.call("POST", "/api/v1/operational-webhook/endpoint", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let old = json!({"webhooks": {"old": {"post": {"deprecated": true}}, "new": {"post": {}}}});
    for _ in 0..2 {
        let imported = world.call("POST", PATH, json!({"spec": old})).await;
        assert_eq!(imported.status, 200, "{imported:?}");
    }
    world.live_s(120).await;
    let told = world.network.sent_to(NOTICES);
    let told: Vec<Value> =
        told.iter().map(|sent| serde_json::from_slice(&sent.body).unwrap()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["data"]["name"], "old");
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
async fn an_export_by_post_is_a_task_whose_data_is_the_description() {
    let world = World::new();
    world.call("POST", PATH, json!({"spec": spec()})).await;
    let path = "/api/v1/event-type/export/openapi";
    let begun = world.call("POST", path, Value::Null).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let facts = (&begun.body["status"], &begun.body["task"]);
    assert_eq!(facts, (&json!("finished"), &json!("sdk.generate")));
    let id = text(&begun.body["id"]);
    let task = format!("/api/v1/background-task/{id}");
    let shown = world.call("GET", &task, Value::Null).await;
    let exported = world.call("GET", path, Value::Null).await;
    assert_eq!(shown.body["data"], exported.body);
    // The text, because a number of a schema keeps every digit of it.
    let [shown, exported] =
        [shown, exported].map(|it| String::from_utf8(it.bytes.to_vec()).unwrap());
    assert!(shown.contains(&exported), "{shown} {exported}");
    let listed = world.call("GET", "/api/v1/background-task", Value::Null).await.body;
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["data"]), (&json!(id), &json!({})));
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
async fn what_names_no_webhooks_is_refused_and_archives_nothing() {
    let world = World::new();
    let kept = json!({"name": "kept", "description": ""});
    assert_eq!(world.call("POST", "/api/v1/event-type", kept).await.status, 201);
    for (field, said) in [
        ("specRaw", json!("::: bad")),
        ("spec", json!({})),
        ("spec", json!({"opneapi": "3.1.0", "webhook": {"a": {"post": {}}}})),
        ("spec", json!({"openapi": "3.1.0", "paths": {}})),
    ] {
        for dry_run in [true, false] {
            let body = json!({field: said, "replaceAll": true, "dryRun": dry_run});
            let reply = world.call("POST", PATH, body).await;
            assert_eq!(reply.status, 422, "{said}: {reply:?}");
            assert!(reply.body.to_string().contains("`webhooks`"), "{reply:?}");
        }
    }
    let listed = world.call("GET", "/api/v1/event-type", Value::Null).await.body;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    // None on purpose is none.
    let none = json!({"spec": {"openapi": "3.1.0", "webhooks": {}}, "replaceAll": true});
    assert_eq!(world.call("POST", PATH, none).await.body["data"]["modified"], json!(["kept"]));
}

#[tokio::test]
async fn what_is_no_description_is_refused() {
    let world = World::new();
    for (body, field) in [
        (json!({}), "spec"),
        (json!({"spec": spec(), "specRaw": "{}"}), "spec"),
        (json!({"specRaw": "a: [b"}), "specRaw"),
        (json!({"specRaw": "text"}), "specRaw"),
        (json!({"spec": 5}), "spec"),
        (json!({"spec": {"webhooks": {"a b": {"post": {}}}}}), "spec"),
    ] {
        let reply = world.call("POST", PATH, body.clone()).await;
        assert_eq!(reply.status, 422, "{body}: {reply:?}");
        assert_eq!(reply.body["detail"][0]["loc"][1], field, "{body}");
    }
    // A name keeps its full stops.
    let unresolved = json!({"webhooks": {"user.created": {"$ref": "#/nowhere"}}});
    for (field, given) in [("spec", unresolved.clone()), ("specRaw", json!(unresolved.to_string()))]
    {
        let reply = world.call("POST", PATH, json!({field: given})).await;
        let place = json!(["body", field, "webhooks", "user.created"]);
        assert_eq!(reply.body["detail"][0]["loc"], place, "{reply:?}");
    }
    let app = world.application().await;
    let confined = world.app_token(&app);
    let reply = world.call_as(&confined, "POST", PATH, json!({"spec": spec()})).await;
    assert_eq!(reply.status, 403);
}

/// On a thread whose stack is as small as any that the platform runs on.
fn on_a_small_stack(bodies: Vec<Value>) -> Vec<(Reply, Duration)> {
    let ask = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let mut replies = Vec::new();
            for body in bodies {
                let begun = Instant::now();
                let reply = world.call("POST", PATH, body).await;
                replies.push((reply, begun.elapsed()));
            }
            replies
        })
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(ask).unwrap().join().unwrap()
}

#[test]
fn no_nesting_of_yaml_takes_the_stack_the_memory_or_the_time() {
    let half = |text: &str| text.repeat(500 * 1024 / text.len());
    let mut texts = vec!["? ".repeat(25), "? ".repeat(26) + "a", "? - ".repeat(26)];
    for nest in
        ["? ", "- ", ": ", "a: ", "? - ", "- ? ", "- - a: ", "[", "{", "{[", "!!seq - ", "&a - "]
    {
        texts.push(half(nest));
    }
    texts.push((0..980).map(|depth| " ".repeat(depth) + "a:\n").collect());
    texts.push((0..980).map(|depth| " ".repeat(depth) + "-\n").collect());
    texts.push(half("[a, ") + "b");
    let bodies = texts.iter().map(|text| json!({"specRaw": text})).collect();
    for (text, (reply, took)) in texts.iter().zip(on_a_small_stack(bodies)) {
        let text = &text[..10];
        assert_eq!(reply.status, 422, "{text}");
        assert_eq!(reply.body["detail"][0]["loc"][1], "specRaw", "{text}: {reply:?}");
        assert!(took < Duration::from_secs(10), "{text}: {took:?}");
        assert!(reply.bytes.len() < 1_000, "{text}");
    }
}

#[test]
fn what_yaml_makes_of_a_long_text_is_bounded_and_takes_no_longer_than_reading_it() {
    let list = |item: &str| format!("[{}]", item.repeat(480 * 1024 / item.len()));
    let long = "x".repeat(480 * 1024);
    let many: String = (0..40 * 1024).map(|number| format!("a{number}: b\n")).collect();
    let bodies = vec![
        json!({"specRaw": format!("a: {}", list("b, "))}),
        json!({"specRaw": "- b\n".repeat(90 * 1024)}),
        json!({"specRaw": format!("webhooks: {{}}\n{many}")}),
        json!({"specRaw": format!("webhooks: {{}}\na: {long}")}),
        json!({"specRaw": format!("webhooks: {{}}\na: \"{}\"", "\\0".repeat(160 * 1024))}),
    ];
    let expected = [422, 422, 200, 200, 200];
    let replies = on_a_small_stack(bodies);
    for (number, ((reply, took), status)) in replies.into_iter().zip(expected).enumerate() {
        assert_eq!(reply.status, status, "{number}: {reply:?}");
        assert!(took < Duration::from_secs(10), "{number}: {took:?}");
    }
}

#[tokio::test]
async fn yaml_that_json_cannot_say_is_refused_with_the_reason() {
    let world = World::new();
    for (yaml, reason) in [
        ("a: &x {b: 1}\nc: *x", "alias"),
        ("<<: {a: 1}", "merge"),
        ("? [a]\n: b", "names"),
        ("? {a: b}\n: b", "names"),
        ("a: .inf", "infinite"),
        ("a: !!int x", "!!int"),
        ("a: !mine x", "tags"),
        ("--- {}\n--- {}", "one document"),
        ("webhooks: {}\n\"webhooks\": {}", "the name \"webhooks\" twice"),
        ("webhooks: {a: {b: 1}, c: {b: 1, b: 2}}", "the name \"b\" twice"),
        ("a: [b", "YAML"),
        ("text", "object"),
        ("", "object"),
    ] {
        let reply = world.call("POST", PATH, json!({"specRaw": yaml})).await;
        assert_eq!(reply.status, 422, "{yaml}: {reply:?}");
        let message = text(&reply.body["detail"][0]["msg"]);
        assert!(message.contains(reason), "{yaml}: {message}");
    }
}

#[tokio::test]
async fn what_is_written_wrong_clears_nothing_that_is_stored() {
    let world = World::new();
    let stored =
        json!({"description": "d", "deprecated": true, "schemas": {"1": {"type": "object"}}});
    assert_eq!(world.call("PUT", "/api/v1/event-type/x", stored.clone()).await.status, 201);
    for (operation, said) in [
        (json!(null), "`post`"),
        (json!([]), "`post`"),
        (json!({"description": 5}), "`description`"),
        (json!({"summary": null}), "`summary`"),
        (json!({"deprecated": "true"}), "`deprecated`"),
        (json!({"requestBody": null}), "`requestBody`"),
        (json!({"requestBody": []}), "`requestBody`"),
        (json!({"requestBody": {"content": null}}), "`requestBody.content`"),
        (json!({"requestBody": {"content": {"application/json": null}}}), "`requestBody.content`"),
    ] {
        let spec = json!({"openapi": "3.1.0", "webhooks": {"x": {"post": operation}}});
        let refused = world.call("POST", PATH, json!({"spec": spec})).await;
        assert_eq!(refused.status, 422, "{spec}: {refused:?}");
        let message = text(&refused.body["detail"][0]["msg"]);
        assert!(message.contains(said), "{spec}: {message}");
    }
    let kept = world.call("GET", "/api/v1/event-type/x", Value::Null).await.body;
    for (field, value) in stored.as_object().unwrap() {
        assert_eq!(&kept[field], value, "{field}");
    }
}

#[tokio::test]
async fn a_name_that_is_there_twice_is_refused_in_json_as_in_yaml() {
    let world = World::new();
    let twice = r#"{"openapi":"3.1.0","webhooks":{"a":{"post":{}}},"webhooks":{"b":{"post":{}}}}"#;
    let spec = format!(r#"{{"replaceAll":true,"spec":{twice}}}"#);
    let raw = json!({"replaceAll": true, "specRaw": twice}).to_string();
    for (body, field) in [(spec, "spec"), (raw, "specRaw")] {
        let request = http::Request::post(PATH)
            .header("authorization", format!("Bearer {}", world.token()))
            .body(body.into())
            .unwrap();
        let refused = world.send(request).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"][1], field, "{refused:?}");
        let message = text(&refused.body["detail"][0]["msg"]);
        assert!(message.contains(r#""webhooks" twice"#), "{message}");
    }
}

/// The schema `x` that is imported of a description.
async fn imported(body: Value) -> (String, Value) {
    let world = World::new();
    let reply = world.call("POST", PATH, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let reply = world.call("GET", "/api/v1/event-type/x", Value::Null).await;
    (String::from_utf8(reply.bytes.to_vec()).unwrap(), reply.body["schemas"]["1"].clone())
}

#[tokio::test]
async fn an_example_beside_a_schema_or_in_openapis_own_word_becomes_one_of_the_schema() {
    let beside = json!({"example": {"n": 1}});
    let of_its_own = json!({"schema": {"examples": [{"n": 0}]}, "example": {"n": 1}});
    let named =
        json!({"examples": {"b": {"value": {"n": 2}}, "a": {"$ref": "#/components/examples/A"}}});
    let inside = json!({"schema": {"type": "object", "example": {"n": 1}}, "example": {"n": 2}});
    let elsewhere = json!({"examples": {"a": {"externalValue": "https://a.example/a.json"}}});
    for (media, expected) in [
        (beside, json!([{"n": 1}])),
        (of_its_own, json!([{"n": 0}])),
        (named, json!([{"n": 3}])),
        (inside, json!([{"n": 1}])),
        (elsewhere, Value::Null),
    ] {
        let mut content = json!({"schema": {"type": "object"}});
        content.as_object_mut().unwrap().extend(media.as_object().unwrap().clone());
        let body = json!({"content": {"application/json": content}});
        let spec = json!({
            "webhooks": {"x": {"post": {"requestBody": body}}},
            "components": {"examples": {"A": {"value": {"n": 3}}}},
        });
        let (_, schema) = imported(json!({"spec": spec})).await;
        assert_eq!(schema["examples"], expected, "{content}");
    }
}

#[tokio::test]
async fn a_body_of_any_range_that_has_json_in_it_is_read_and_one_of_none_is_refused() {
    let spec = |content: Value| {
        let body = json!({"content": content});
        json!({"spec": {"webhooks": {"x": {"post": {"requestBody": body}}}}})
    };
    let media = json!({"schema": {"type": "object", "title": "new"}});
    let other = json!({"schema": {"type": "object", "title": "other"}});
    for content in [
        json!({"*/*": media}),
        json!({"application/*": media, "*/*": other}),
        json!({"text/json": media, "text/*": other}),
        json!({"*/*": other, "application/cloudevents+json": media}),
    ] {
        let (_, schema) = imported(spec(content.clone())).await;
        assert_eq!(schema["title"], "new", "{content}");
    }
    let world = World::new();
    assert_eq!(world.call("POST", PATH, spec(json!({"*/*": media}))).await.status, 200);
    let refused = world.call("POST", PATH, spec(json!({"application/xml": media}))).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let kept = world.call("GET", "/api/v1/event-type/x", Value::Null).await.body;
    assert_eq!(kept["schemas"]["1"]["title"], "new", "{kept}");
}

#[tokio::test]
async fn yaml_means_what_its_core_schema_says() {
    let yaml = r##"
webhooks:
  x:
    post:
      requestBody:
        content:
          application/json:
            schema:
              const: [007, +5, 0x1F, 0o17, .5, 1., -1.50, 1e3, ~, null, True, "true", 'no', no, 0x,
                1.2.3, !!str 1, !!float 2, "<<", -, 1_000, 12345678901234567890123]
              200: kept
              true: kept
              properties: {<: {description: "a\tb"}}
"##;
    let yaml = yaml.replace(" -, 1_000", " 1_000");
    let (_, schema) = imported(json!({"specRaw": yaml})).await;
    let expected = r#"[7, 5, 31, 15, 0.5, 1, -1.50, 1e3, null, null, true, "true", "no", "no",
        "0x", "1.2.3", "1", 2, "<<", "1_000", 12345678901234567890123]"#;
    assert_eq!(schema["const"], serde_json::from_str::<Value>(expected).unwrap());
    assert_eq!((&schema["200"], &schema["true"]), (&json!("kept"), &json!("kept")));
    assert_eq!(schema["properties"]["<"]["description"], "a\tb");
}

#[tokio::test]
async fn every_digit_of_a_schema_is_kept() {
    let f64_min = format!("-17976931348623157{}.0", "0".repeat(292));
    let numbers = ["12345678901234567890123", "0.1234567890123456789", "1e400", "1.50", &f64_min];
    for number in numbers {
        let schema = format!(r#"{{"examples":[{{"n":{number}}}],"maximum":{number}}}"#);
        let world = World::new();
        let has = |reply: &Reply| {
            let text = String::from_utf8_lossy(&reply.bytes).matches(number).count();
            assert_eq!(text, 2, "{number}: {reply:?}");
        };
        let put = format!(r#"{{"description": "d", "schemas": {{"1": {schema}}}}}"#);
        let create = put.replacen('{', r#"{"name": "created","#, 1);
        let patch = format!(r#"{{"schemas": {{"1": {schema}}}}}"#);
        for (method, path, body) in [
            ("PUT", "/api/v1/event-type/x", put),
            ("PATCH", "/api/v1/event-type/x", patch),
            ("POST", "/api/v1/event-type", create),
        ] {
            let reply = world.send(raw(&world, method, path, body)).await;
            assert!(reply.status.is_success(), "{method}: {reply:?}");
            has(&reply);
        }
        has(&world.call("GET", "/api/v1/event-type/x", Value::Null).await);
        let media = format!(r#"{{"content": {{"application/json": {{"schema": {schema}}}}}}}"#);
        let spec = format!(r#"{{"webhooks": {{"x": {{"post": {{"requestBody": {media}}}}}}}}}"#);
        let raw_spec = json!({"specRaw": spec}).to_string();
        for body in [format!(r#"{{"spec": {spec}}}"#), raw_spec] {
            let world = World::new();
            let reply = world.send(raw(&world, "POST", PATH, body)).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            has(&world.call("GET", "/api/v1/event-type/x", Value::Null).await);
            has(&world.call("GET", "/api/v1/event-type/export/openapi", Value::Null).await);
        }
    }
}

fn raw(world: &World, method: &str, path: &str, body: String) -> http::Request<bytes::Bytes> {
    http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", world.token()))
        .body(body.into())
        .unwrap()
}

/// A description whose webhook `x` has this schema.
fn with_schema(schema: Value, components: Value) -> Value {
    let content = json!({"application/json": {"schema": schema}});
    let post = json!({"requestBody": {"content": content}});
    json!({"webhooks": {"x": {"post": post}}, "components": components})
}

#[tokio::test]
async fn any_reference_within_the_description_is_followed() {
    let schema = json!({"type": "object", "title": "T"});
    let inline = with_schema(schema.clone(), Value::Null);
    let post = inline["webhooks"]["x"].clone();
    let body = post["post"]["requestBody"].clone();
    let media = body["content"]["application/json"].clone();
    let refer = |link: &str| json!({"$ref": link});
    let via = |webhook: Value, components: Value| json!({"webhooks": {"x": webhook}, "components": components});
    let described = [
        via(refer("#/components/pathItems/X"), json!({"pathItems": {"X": post}})),
        via(refer("#/components/webhooks/a~1b"), json!({"webhooks": {"a/b": post}})),
        via(refer("#/components/pathItems/a%20b"), json!({"pathItems": {"a b": post}})),
        via(
            refer("#/components/pathItems/One"),
            json!({"pathItems": {"One": refer("#/components/pathItems/Two"), "Two": post}}),
        ),
        via(
            json!({"post": {"requestBody": refer("#/components/requestBodies/B")}}),
            json!({"requestBodies": {"B": refer("#/components/requestBodies/C"), "C": body}}),
        ),
        via(
            json!({"post": {"requestBody": {"content": {"application/json; charset=utf-8": media}}}}),
            Value::Null,
        ),
        with_schema(
            refer("#/components/schemas/A"),
            json!({"schemas": {"A": refer("#/components/schemas/B"), "B": schema}}),
        ),
        with_schema(
            refer("#/components/responses/R/content/application~1json/schema"),
            json!({"responses": {"R": body}}),
        ),
    ];
    for spec in described {
        assert_eq!(imported(json!({"spec": spec})).await.1, schema, "{spec}");
        let world = World::new();
        assert_eq!(world.call("POST", PATH, json!({"spec": inline})).await.status, 200);
        let all = json!({"spec": spec, "replaceAll": true});
        assert_eq!(world.call("POST", PATH, all).await.status, 200);
        let kept = world.call("GET", "/api/v1/event-type/x", Value::Null).await;
        assert_eq!(kept.body["archived"], false, "{spec}");
    }
}

#[tokio::test]
async fn what_a_schema_refers_to_comes_along_under_names_of_its_own() {
    let schema = json!({
        "oneOf": [{"$ref": "#/components/schemas/Dog"}, {"$ref": "#/components/schemas/a~1b"}],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"d": "Dog", "c": "#/components/schemas/Cat"},
        },
        "properties": {
            "deep": {"$ref": "#/components/schemas/Dog/properties/name"},
            "other": {"$ref": "#/components/responses/Dog/schema"},
            "own": {"$ref": "#/$defs/Own"},
            "self": {"$ref": "#"},
            "named": {"$ref": "#here"},
            "$ref": {"type": "string"},
        },
        "$defs": {"Own": {"$ref": "#/components/schemas/Cat", "$anchor": "here"}},
        "examples": [{"$ref": "#/is/data"}],
    });
    let components = json!({
        "schemas": {
            "Dog": {"properties": {"name": {"type": "string"}}},
            "Cat": {"type": "object"},
            "a/b": {"type": "null"},
        },
        "responses": {"Dog": {"schema": {"type": "integer"}}},
    });
    let (_, got) = imported(json!({"spec": with_schema(schema, components)})).await;
    let expected = json!({
        "oneOf": [{"$ref": "#/$defs/Dog"}, {"$ref": "#/$defs/a~1b"}],
        "discriminator": {
            "propertyName": "kind", "mapping": {"d": "#/$defs/Dog", "c": "#/$defs/Cat"},
        },
        "properties": {
            "deep": {"$ref": "#/$defs/Dog/properties/name"},
            "other": {"$ref": "#/$defs/schema"},
            "own": {"$ref": "#/$defs/Own"},
            "self": {"$ref": "#"},
            "named": {"$ref": "#here"},
            "$ref": {"type": "string"},
        },
        "examples": [{"$ref": "#/is/data"}],
        "$defs": {
            "Own": {"$ref": "#/$defs/Cat", "$anchor": "here"},
            "Dog": {"properties": {"name": {"type": "string"}}},
            "Cat": {"type": "object"},
            "a/b": {"type": "null"},
            "schema": {"type": "integer"},
        },
    });
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_reference_that_cannot_be_followed_is_refused_and_nothing_is_archived() {
    let world = World::new();
    world.call("POST", PATH, json!({"spec": with_schema(json!({}), Value::Null)})).await;
    let refer = |link: &str| json!({"$ref": link});
    let webhook = |item: Value| json!({"webhooks": {"x": item}});
    let circle = json!({"schemas": {"A": refer("#/components/schemas/A")}});
    let mapping = json!({"discriminator": {"propertyName": "k", "mapping": {"a": "a.json"}}});
    for spec in [
        webhook(refer("#/components/pathItems/X")),
        webhook(refer("other.yaml#/X")),
        webhook(refer("https://example.com/x")),
        webhook(json!({"post": {"requestBody": refer("#/components/requestBodies/B")}})),
        webhook(json!([])),
        json!({"webhooks": []}),
        with_schema(refer("#/components/schemas/A"), circle),
        with_schema(json!({"items": refer("#/components/schemas/Gone")}), Value::Null),
        with_schema(json!({"items": refer("https://example.com/x.json")}), Value::Null),
        with_schema(json!({"items": refer("#nowhere")}), Value::Null),
        with_schema(mapping, Value::Null),
        // What could not be stored as an event type by itself, nor be imported as one of an
        // environment.
        with_schema(json!({"type": "banana"}), Value::Null),
        with_schema(json!({"properties": {"a": {"minLength": -1}}}), Value::Null),
        with_schema(json!(true), Value::Null),
        webhook(json!({"post": {"description": "d".repeat(4_097)}})),
    ] {
        let reply = world.call("POST", PATH, json!({"spec": spec, "replaceAll": true})).await;
        assert_eq!(reply.status, 422, "{spec}: {reply:?}");
    }
    let unsent = json!({"spec": webhook(json!({"get": {}})), "replaceAll": true});
    let reply = world.call("POST", PATH, unsent).await;
    assert_eq!(reply.body["data"]["modified"], json!([]), "{reply:?}");
    let kept = world.call("GET", "/api/v1/event-type/x", Value::Null).await;
    assert_eq!(kept.body["archived"], false);
}

#[tokio::test]
async fn what_an_import_makes_of_shared_definitions_is_bounded() {
    let names = (0..1_000).map(|n| format!("D{n}"));
    let definitions: serde_json::Map<String, Value> =
        names.map(|name| (name, json!({"description": "d".repeat(100)}))).collect();
    let all: Vec<Value> = definitions
        .keys()
        .map(|name| json!({"$ref": format!("#/components/schemas/{name}")}))
        .collect();
    let mut spec = with_schema(json!({"$ref": "#/components/schemas/All"}), Value::Null);
    let one = spec["webhooks"]["x"].clone();
    spec["webhooks"] = (0..500).map(|n| (format!("w{n}"), one.clone())).collect();
    spec["components"]["schemas"] = definitions.into();
    spec["components"]["schemas"]["All"] = json!({"anyOf": all});
    let world = World::new();
    let reply = world.call("POST", PATH, json!({"spec": spec})).await;
    assert_eq!(reply.status, 422);
    assert_eq!(reply.body["detail"].as_array().unwrap().len(), 1, "{reply:?}");
    let listed = world.call("GET", "/api/v1/event-type", Value::Null).await;
    assert_eq!(listed.body["data"], json!([]));
}

#[tokio::test]
async fn what_is_said_of_a_wrong_description_is_bounded() {
    let long = format!("#/{}", "x".repeat(100_000));
    let shared = json!({"items": {"$ref": long}, "description": "d".repeat(100_000)});
    let mut spec = with_schema(json!({"$ref": "#/components/schemas/All"}), Value::Null);
    let one = spec["webhooks"]["x"].clone();
    spec["webhooks"] = (0..500).map(|n| (format!("w{n}"), one.clone())).collect();
    spec["components"] = json!({"schemas": {"All": shared}});
    let named: Value = (0..500).map(|n| (format!("not a name {n}"), one.clone())).collect();
    for spec in [spec, json!({"webhooks": named})] {
        let reply = World::new().call("POST", PATH, json!({"spec": spec})).await;
        assert_eq!(reply.status, 422);
        assert!(reply.bytes.len() < 10_000, "{}", reply.bytes.len());
    }
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
