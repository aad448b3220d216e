//! What is sent, what is answered, and what is refused, field by field.

use serde_json::{Value, json};

use super::{URL, get};
use crate::support::answers::another_organisation;
use crate::support::network::answer;
use crate::support::world::{Reply, World, text};

const TYPES: &str = "/api/v1/event-type";

/// The field that a 422 names.
#[track_caller]
fn place(refused: &Reply) -> Value {
    assert_eq!(refused.status, 422, "{refused:?}");
    refused.body["detail"][0]["loc"].clone()
}

#[tokio::test]
async fn event_types_are_listed_in_a_query_in_every_spelling() {
    let (world, app) = World::with_application().await;
    world.network.always(URL, answer(200));
    let ep = world.endpoint(&app, URL).await;
    let mut ids = Vec::new();
    for kind in ["a", "b", "c"] {
        let body = json!({"eventType": kind, "payload": {}});
        let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
        ids.push(text(&reply.body["id"]));
        world.advance_s(1);
        world.dispatch_all().await;
    }
    let below = format!("/api/v1/app/{app}");
    for (list, all) in [
        (format!("{below}/msg"), 2),
        (format!("{below}/endpoint/{ep}/msg"), 2),
        (format!("{below}/attempt/endpoint/{ep}"), 2),
        (format!("{below}/attempt/msg/{}", ids[0]), 1),
        (format!("{below}/attempt/msg/{}", ids[2]), 0),
    ] {
        for query in [
            "event_types=a,b",
            "event_types=a&event_types=b",
            "event_types[]=a&event_types[]=b",
            "event_types%5B%5D=a&event_types%5B%5D=b",
            "event_types[0]=a&event_types[1]=b",
            "event_types[]=a,b",
        ] {
            // A client percent-encodes the brackets or not; a URI here has them encoded.
            let query = query.replace('[', "%5B").replace(']', "%5D");
            let page = get(&world, &format!("{list}?{query}")).await;
            let found = page.body["data"].as_array().unwrap().len();
            assert_eq!(found, all, "{list}?{query}");
        }
    }
}

#[tokio::test]
async fn a_patch_with_null_for_what_cannot_be_null_is_refused_at_the_field() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.describe("a").await;
    let app = format!("/api/v1/app/{app}");
    let (ep, headers) = (format!("{app}/endpoint/{ep}"), format!("{app}/endpoint/{ep}/headers"));
    let kind = format!("{TYPES}/a");
    for (path, fields) in [
        (app, vec!["name", "metadata", "sandbox"]),
        (ep, vec!["url", "description", "disabled", "metadata", "version"]),
        (kind, vec!["description", "archived", "deprecated"]),
        (headers, vec!["headers", "deleteHeaders"]),
    ] {
        let before = get(&world, &path).await.body;
        for field in fields {
            let refused = world.call("PATCH", &path, json!({field: null})).await;
            assert_eq!(place(&refused), json!(["body", field]), "{path}");
        }
        assert_eq!(get(&world, &path).await.body, before);
    }
}

#[tokio::test]
async fn a_patch_with_null_clears_what_can_be_null() {
    let (world, app) = World::with_application().await;
    world.describe("a").await;
    let full = json!({"url": URL, "uid": "u", "eventTypes": ["a"], "channels": ["c"],
        "throttleRate": 3});
    let ep = world.endpoint_with(&app, full).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    for field in ["uid", "eventTypes", "channels", "throttleRate"] {
        let patched = world.call("PATCH", &path, json!({field: null})).await;
        assert_eq!((patched.status.as_u16(), &patched.body[field]), (200, &Value::Null));
    }
}

#[tokio::test]
async fn what_may_be_absent_is_there_as_null() {
    let world = World::new();
    world.network.always(URL, answer(500));
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.describe("a").await;
    let below = format!("/api/v1/app/{app}");
    for (path, fields) in [
        (below.clone(), vec!["uid", "throttleRate"]),
        (format!("{below}/endpoint/{ep}"), vec!["uid", "eventTypes", "channels", "throttleRate"]),
        (format!("{below}/msg/{msg}"), vec!["channels", "eventId"]),
        (format!("{TYPES}/a"), vec!["schemas", "featureFlag"]),
    ] {
        let shown = get(&world, &path).await.body;
        for field in fields {
            assert_eq!(shown.get(field), Some(&Value::Null), "{field} of {path}");
        }
    }
    for (path, fields) in [
        (format!("{below}/endpoint/{ep}/msg"), vec!["channels", "eventId"]),
        (format!("{below}/msg/{msg}/endpoint"), vec!["uid", "eventTypes", "throttleRate"]),
    ] {
        let page = get(&world, &path).await.body;
        for field in fields {
            assert_eq!(page["data"][0].get(field), Some(&Value::Null), "{field} of {path}");
        }
    }
    let body = json!({"eventType": "a", "payload": {}});
    let published = world.call("POST", &format!("{below}/msg"), body).await.body;
    assert_eq!(published.get("channels"), Some(&Value::Null));
}

#[tokio::test]
async fn without_content_the_payload_is_empty_whatever_became_of_it() {
    let world = World::new();
    world.network.always(URL, answer(200));
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    let below = format!("/api/v1/app/{app}");
    for expunged in [false, true] {
        if expunged {
            let path = format!("{below}/msg/{msg}/content");
            assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
        }
        let one = get(&world, &format!("{below}/msg/{msg}?with_content=false")).await.body;
        assert_eq!(one["payload"], json!({}), "expunged: {expunged}");
        for list in ["msg".to_owned(), format!("endpoint/{ep}/msg")] {
            let page = get(&world, &format!("{below}/{list}?with_content=false")).await.body;
            assert_eq!(page["data"][0]["payload"], json!({}), "{list}, expunged: {expunged}");
        }
    }
    let with = get(&world, &format!("{below}/msg/{msg}")).await.body;
    assert_eq!(with["payload"], json!({"expired": true}));
}

#[tokio::test]
async fn an_example_is_sent_not_found_or_missing() {
    let world = World::new();
    world.network.always(URL, answer(200));
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.describe("bare").await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/send-example");
    let send = async |kind: &str| world.call("POST", &path, json!({"eventType": kind})).await;
    let ping = send("svix.ping").await;
    assert_eq!((ping.status.as_u16(), &ping.body["payload"]), (200, &json!({"success": true})));
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent[0].body.as_ref(), br#"{"success":true}"#);
    let bare = send("bare").await;
    assert_eq!((bare.status.as_u16(), &bare.body["code"]), (400, &json!("invalid_scheme")));
    let unknown = send("nobody.knows").await;
    assert_eq!((unknown.status.as_u16(), &unknown.body["code"]), (404, &json!("not_found")));
    assert_eq!(place(&send("no name").await), json!(["body", "eventType"]));
}

#[tokio::test]
async fn the_example_of_an_index_is_sent_and_one_that_is_no_payload_is_not() {
    let world = World::new();
    world.network.always(URL, answer(200));
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let deep = format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    for (name, examples) in [
        ("three", json!([{"a": 1}, {"a": 2}, {"a": 3}])),
        ("number", json!([1])),
        ("deep", json!([deep])),
    ] {
        let schemas = json!({"1": {"type": "object", "examples": examples}});
        let body = json!({"name": name, "description": "", "schemas": schemas});
        assert_eq!(world.call("POST", TYPES, body).await.status, 201, "{name}");
    }
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/send-example");
    let send = async |kind: &str, index: Value| {
        world.call("POST", &path, json!({"eventType": kind, "exampleIndex": index})).await
    };
    for (index, a) in [(0, 1), (1, 2), (2, 3)] {
        let sent = send("three", json!(index)).await;
        assert_eq!((sent.status.as_u16(), &sent.body["payload"]["a"]), (200, &json!(a)));
    }
    for (kind, index) in
        [("three", json!(3)), ("svix.ping", json!(1)), ("three", json!(-1)), ("three", json!("1"))]
    {
        let refused = send(kind, index.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), place(&refused)),
            (422, json!(["body", "exampleIndex"])),
            "{index}"
        );
    }
    let own = json!({"eventType": "number", "payload": {"b": 1}});
    let sent = world.call("POST", &path, own).await;
    assert_eq!((sent.status.as_u16(), &sent.body["payload"]), (200, &json!({"b": 1})));
    let unknown = json!({"eventType": "unknown", "payload": {"b": 1}});
    assert_eq!(world.call("POST", &path, unknown).await.status, 404);
    for kind in ["number", "deep"] {
        let refused = send(kind, json!(0)).await;
        let said = (refused.status.as_u16(), &refused.body["code"]);
        assert_eq!(said, (400, &json!("invalid_scheme")), "{kind}");
    }
}

#[tokio::test]
async fn an_array_is_no_object_wherever_one_is_meant() {
    let (world, app) = World::with_application().await;
    let (msg, batch) = (format!("/api/v1/app/{app}/msg"), format!("/api/v1/app/{app}/msg/batch"));
    let source = "/ingest/api/v1/source";
    let made = json!({"name": "s", "type": "generic-webhook", "app": app, "verification": {"scheme": "none"}});
    let made = world.call("POST", source, made).await;
    assert_eq!(made.status, 201, "{made:?}");
    let patched = format!("{source}/{}", text(&made.body["id"]));
    let event = json!({"eventType": "a", "payload": {}});
    let generic = json!({"name": "s", "type": "generic-webhook", "app": app, "verification": {"scheme": "none"}});
    for (method, path, field, body, value) in [
        (
            "POST",
            source,
            "config",
            json!({"name": "s", "type": "github", "app": app}),
            json!(["secret"]),
        ),
        ("POST", source, "verification", generic, json!(["none"])),
        ("PATCH", &patched, "config", json!({}), json!(["secret"])),
        ("PATCH", &patched, "verification", json!({}), json!(["none"])),
        ("POST", &msg, "transformationsParams", event.clone(), json!(["<a/>"])),
        ("POST", &msg, "application", event.clone(), json!(["A", null, "a"])),
        ("POST", &msg.replace(&app, "new"), "application", event.clone(), json!(["A", null, "a"])),
        (
            "POST",
            &batch.replace(&app, "new"),
            "application",
            json!({"messages": [event]}),
            json!(["A"]),
        ),
        ("POST", "/api/v1/auth/app-portal-access/new", "application", json!({}), json!(["A"])),
        ("POST", "/api/v1/environment/import", "settings", json!({}), json!([null])),
    ] {
        let mut body = body;
        body[field] = value;
        let refused = world.call(method, path, body.clone()).await;
        let said = (refused.status.as_u16(), place(&refused), &refused.body["detail"][0]["msg"]);
        let expected = (422, json!(["body", field]), &json!("must be an object"));
        assert_eq!(said, expected, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn a_span_of_another_type_is_refused_at_its_field() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let since = "2027-01-01T00:00:00Z";
    for what in ["bulk-replay", "recover", "replay-missing"] {
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/{what}");
        for (body, field) in [
            (json!({"since": null}), "since"),
            (json!({"since": 5}), "since"),
            (json!({"since": since, "until": 5}), "until"),
        ] {
            let refused = world.call("POST", &path, body).await;
            assert_eq!(
                (refused.status.as_u16(), place(&refused)),
                (422, json!(["body", field])),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn an_error_names_the_field_by_the_name_that_was_sent() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.describe("a").await;
    let (one, eps) = (format!("/api/v1/app/{app}"), format!("/api/v1/app/{app}/endpoint"));
    let ep = format!("{eps}/{ep}");
    let with = |rest: Value| {
        let mut body = json!({"url": URL, "name": "n", "description": ""});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        body
    };
    for name in ["rateLimit", "throttleRate"] {
        for (method, path) in [
            ("POST", "/api/v1/app"),
            ("PUT", one.as_str()),
            ("PATCH", one.as_str()),
            ("POST", eps.as_str()),
            ("PUT", ep.as_str()),
            ("PATCH", ep.as_str()),
        ] {
            let refused = world.call(method, path, with(json!({name: 0}))).await;
            assert_eq!(place(&refused), json!(["body", name]), "{method} {path}");
        }
    }
    for name in ["filterTypes", "eventTypes"] {
        for (method, path) in [("POST", &eps), ("PUT", &ep), ("PATCH", &ep)] {
            for types in [json!([]), json!(["not.there"])] {
                let refused = world.call(method, path, with(json!({name: types}))).await;
                assert_eq!(place(&refused), json!(["body", name]), "{method} {types}");
            }
        }
    }
    for (method, path) in [("POST", TYPES.to_owned()), ("PATCH", format!("{TYPES}/a"))] {
        let refused = world.call(method, &path, with(json!({"featureFlag": "no name"}))).await;
        assert_eq!(place(&refused), json!(["body", "featureFlag"]), "{method}");
    }
}

#[tokio::test]
async fn the_old_name_of_the_feature_flag_is_read_shown_and_cleared() {
    let world = World::new();
    let body = json!({"name": "a", "description": "", "featureFlag": "beta"});
    let made = world.call("POST", TYPES, body).await;
    let both =
        |shown: &Reply| (shown.body["featureFlag"].clone(), shown.body["featureFlags"].clone());
    assert_eq!(both(&made), (json!("beta"), json!(["beta"])));
    let path = format!("{TYPES}/a");
    let patched = world.call("PATCH", &path, json!({"featureFlag": "gamma"})).await;
    assert_eq!(both(&patched), (json!("gamma"), json!(["gamma"])));
    let cleared = world.call("PATCH", &path, json!({"featureFlag": null})).await;
    assert_eq!(both(&cleared), (Value::Null, Value::Null));
    let put = json!({"description": "", "featureFlags": ["x", "y"]});
    let put = world.call("PUT", &path, put).await;
    assert_eq!(both(&put), (json!("x"), json!(["x", "y"])));
    let cleared = world.call("PUT", &path, json!({"description": ""})).await;
    assert_eq!(both(&cleared), (Value::Null, Value::Null));
    let listed = get(&world, TYPES).await.body;
    assert!(listed["data"][0].get("featureFlag").is_some());
}

#[tokio::test]
async fn an_application_that_is_brought_along_names_itself_as_the_path_does() {
    let world = World::new();
    let publish =
        |application: Value| json!({"eventType": "a", "payload": {}, "application": application});
    let open = |application: Value| json!({"application": application});
    for application in [
        json!({"name": "A"}),
        json!({"name": "A", "uid": "other"}),
        json!({"name": "A", "uid": null}),
    ] {
        for (path, body) in [
            ("/api/v1/app/mine/msg", publish(application.clone())),
            ("/api/v1/auth/app-portal-access/mine", open(application.clone())),
        ] {
            let refused = world.call("POST", path, body).await;
            assert_eq!(place(&refused), json!(["body", "application", "uid"]), "{path}");
        }
    }
    assert_eq!(get(&world, "/api/v1/app/mine").await.status, 404);
    let named = json!({"name": "A", "uid": "mine"});
    let taken = world.call("POST", "/api/v1/app/mine/msg", publish(named)).await;
    assert_eq!(taken.status, 202);
    // Another organisation's is none of its business.
    let token = world.token_of(another_organisation());
    assert_eq!(world.call_as(&token, "GET", "/api/v1/app/mine", Value::Null).await.status, 404);
}

#[tokio::test]
async fn the_version_of_an_endpoint_is_set_kept_and_shown() {
    let (world, app) = World::with_application().await;
    let eps = format!("/api/v1/app/{app}/endpoint");
    let made = world.call("POST", &eps, json!({"url": URL, "version": 3})).await;
    assert_eq!((made.status.as_u16(), &made.body["version"]), (201, &json!(3)));
    let path = format!("{eps}/{}", text(&made.body["id"]));
    assert_eq!(get(&world, &path).await.body["version"], 3);
    let patched = world.call("PATCH", &path, json!({"version": 7})).await;
    assert_eq!(patched.body["version"], 7);
    let other = world.call("PATCH", &path, json!({"description": "d"})).await;
    assert_eq!(other.body["version"], 7);
    let put = world.call("PUT", &path, json!({"url": URL, "version": 2})).await;
    assert_eq!(put.body["version"], 2);
    let plain = world.call("POST", &eps, json!({"url": URL})).await;
    assert_eq!(plain.body["version"], 1);
    for (method, path) in [("POST", &eps), ("PUT", &path), ("PATCH", &path)] {
        let refused = world.call(method, path, json!({"url": URL, "version": 0})).await;
        assert_eq!(place(&refused), json!(["body", "version"]), "{method}");
    }
}

#[tokio::test]
async fn statistics_over_more_than_28_days_are_a_bad_request() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let since = world.ambient.now().minus_ms(29 * 86_400_000).to_rfc3339();
    for what in ["stats", "attempt-stats"] {
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/{what}?since={since}");
        let refused = get(&world, &path).await;
        let said = (refused.status.as_u16(), &refused.body["code"]);
        assert_eq!(said, (400, &json!("invalid_range")), "{what}");
    }
}

#[tokio::test]
async fn the_schemas_of_an_event_type_are_json_schemas_at_every_level() {
    let world = World::new();
    world.describe("a").await;
    let path = format!("{TYPES}/a");
    for (schema, wrong) in [
        (json!({"type": "objekt"}), vec!["type"]),
        (json!({"type": []}), vec!["type"]),
        (json!({"properties": []}), vec!["properties"]),
        (json!({"properties": {"p": {"type": 7}}}), vec!["properties", "p", "type"]),
        (json!({"items": {"minimum": "1"}}), vec!["items", "minimum"]),
        (json!({"items": [{"minLength": -1}]}), vec!["items", "0", "minLength"]),
        (json!({"required": ["a", "a"]}), vec!["required"]),
        (json!({"enum": "a"}), vec!["enum"]),
        (json!({"multipleOf": 0}), vec!["multipleOf"]),
        (json!({"anyOf": []}), vec!["anyOf"]),
        (json!({"not": "x"}), vec!["not"]),
        (json!({"$ref": 1}), vec!["$ref"]),
        (json!({"additionalProperties": null}), vec!["additionalProperties"]),
    ] {
        let mut expected = vec!["body", "schemas", "1"];
        expected.extend(wrong);
        let schemas = json!({"1": schema});
        for (method, path) in [("POST", TYPES), ("PUT", &path), ("PATCH", &path)] {
            let body = json!({"name": "b", "description": "", "schemas": schemas});
            let refused = world.call(method, path, body).await;
            assert_eq!(place(&refused), json!(expected), "{method} {schemas}");
        }
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "An order",
        "type": ["object", "null"], "required": ["id"], "additionalProperties": false,
        "properties": {
            "id": {"type": "integer", "minimum": 0.5, "exclusiveMaximum": true},
            "type": true, "tags": {"items": {"$ref": "#/$defs/tag"}, "uniqueItems": true},
            "required": {"enum": [1, null], "const": {"type": 7}, "default": {"type": 7}},
        },
        "$defs": {"tag": {"type": "string", "maxLength": 3.0}}, "x-own": {"type": 7},
        "examples": [{"type": 7}], "dependencies": {"a": ["b"], "c": {}},
    });
    let body = json!({"schemas": {"1": schema}});
    let taken = world.call("PATCH", &path, body).await;
    assert_eq!((taken.status.as_u16(), &taken.body["schemas"]["1"]), (200, &schema));
}

/// Types of ours tell a caller nothing.
#[tokio::test]
async fn a_value_of_another_type_is_refused_in_the_words_of_json() {
    let (world, app) = World::with_application().await;
    let endpoints = format!("/api/v1/app/{app}/endpoint");
    let source = |verification: Value| json!({"name": "s", "type": "generic-webhook", "config": verification});
    for (path, body, field, rule) in [
        (&*endpoints, json!({"url": 5}), "url", "must be a text"),
        (&endpoints, json!({"url": URL, "disabled": "no"}), "disabled", "must be true or false"),
        (&endpoints, json!({"url": URL, "channels": "a"}), "channels", "must be a list"),
        (&endpoints, json!({"url": URL, "metadata": []}), "metadata", "must be an object"),
        (&endpoints, json!({"url": URL, "rateLimit": "9"}), "rateLimit", "from 0 to 65535"),
        (&endpoints, json!({"url": URL, "rateLimit": 65_536}), "rateLimit", "from 0 to 65535"),
        (&endpoints, json!({"url": URL, "format": "xml"}), "format", "must be `json` or `jwt`"),
        (
            TYPES,
            json!({"name": "b", "description": "", "timeoutSeconds": -1}),
            "timeoutSeconds",
            "0 or more",
        ),
        ("/ingest/api/v1/source", source(json!(7)), "config", "must be an object"),
    ] {
        let refused = world.call("POST", path, body.clone()).await;
        let told = &refused.body["detail"][0];
        let (place, said) = (told["loc"].to_string(), told["msg"].as_str().unwrap_or_default());
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        assert!(place.contains(&format!("\"{field}\"")) && said.starts_with("must be "), "{told}");
        assert!(said.contains(rule), "{body}: {said}");
        assert!(
            !["struct", "enum", "u16", "u64", "map", "sequence"].iter().any(|it| said.contains(it)),
            "{said}"
        );
    }
}
