//! Sources that change: what stays, which address holds, and who looks after their endpoints.

use super::*;

#[tokio::test]
async fn some_of_a_source_changes_and_the_rest_stays() {
    let (world, app) = World::with_application().await;
    let id = source(&world, &app, "github", "s3cret").await;
    let path = format!("{SOURCES}/{id}");
    let before = world.call("GET", &path, Value::Null).await.body;
    world.advance_s(60);
    let patch = json!({"name": "Hub", "eventType": {"header": "x-kind"}});
    let patched = world.call("PATCH", &path, patch).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    assert_eq!(patched.body["name"], "Hub");
    assert_eq!(patched.body["eventType"], json!({"header": "x-kind"}));
    for kept in ["id", "type", "app", "metadata", "verification", "ingestUrl", "createdAt"] {
        assert_eq!(patched.body[kept], before[kept], "{kept}");
    }
    // Its secret as well.
    let body = r#"{"a":1}"#;
    let signature = hex_hmac("s3cret", body);
    let headers = [("x-hub-signature-256", signature.as_str()), ("x-kind", "a.b")];
    assert_eq!(post(&world, &id, &headers, body).await.status, 202);
    let cleared = world.call("PATCH", &path, json!({"eventType": null})).await;
    assert!(cleared.body.get("eventType").is_none());
    for (patch, place) in [
        (json!({"name": null}), "body/name"),
        (json!({"name": ""}), "body/name"),
        (json!({"app": "nobody"}), "body/app"),
        (json!({"verification": {"scheme": "bearer"}}), "body/verification"),
    ] {
        let refused = world.call("PATCH", &path, patch).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(crate::support::answers::places(&refused), [place]);
    }
    let nobody = format!("{SOURCES}/nobody");
    assert_eq!(world.call("PATCH", &nobody, json!({"name": "n"})).await.status, 404);
}

#[tokio::test]
async fn the_system_behind_a_source_may_be_another_from_now_on() {
    let (world, app) = World::with_application().await;
    let id = source(&world, &app, "github", "s3cret").await;
    let path = format!("{SOURCES}/{id}");
    let patch = json!({"type": "stripe", "config": {"secret": "whsec_other"}});
    let patched = world.call("PATCH", &path, patch).await;
    assert_eq!((patched.status.as_u16(), &patched.body["type"]), (200, &json!("stripe")));
    let signature = hex_hmac("s3cret", "{}");
    let headers = [("x-hub-signature-256", signature.as_str())];
    assert_eq!(post(&world, &id, &headers, "{}").await.status, 401);
    let refused = world.call("PATCH", &path, json!({"type": "nobody"})).await;
    assert_eq!(crate::support::answers::places(&refused), ["body/type"]);
}

#[tokio::test]
async fn a_rule_that_can_never_fit_is_refused() {
    let (world, app) = World::with_application().await;
    let hmac = |content: &str| json!({"scheme": "hmac", "header": "x-signature", "content": content, "encoding": "hex"});
    for (field, wrong, place) in [
        ("eventType", json!({"pointer": "type"}), "body/eventType/pointer"),
        ("eventType", json!({"pointer": "/a~2"}), "body/eventType/pointer"),
        ("eventId", json!({"pointer": ""}), "body/eventId/pointer"),
        ("verification", hmac("{foo}{body}"), "body/verification/content"),
    ] {
        let mut body = json!({
            "name": "n", "type": "generic-webhook", "app": app, "config": {"secret": "s3cret"},
        });
        body["verification"] = json!({"scheme": "bearer"});
        body[field] = wrong;
        let refused = world.call("POST", SOURCES, body).await;
        assert_eq!(crate::support::answers::places(&refused), [place], "{refused:?}");
    }
    let body = json!({
        "name": "n", "type": "generic-webhook", "app": app, "config": {"secret": "s3cret"},
        "verification": hmac(r#"{"b":{body}}"#), "eventType": {"pointer": "/a~1b"},
    });
    let made = world.call("POST", SOURCES, body).await;
    assert_eq!(made.status, 201, "braces that are none of a placeholder: {made:?}");
}

#[tokio::test]
async fn two_changes_of_a_source_at_once_are_both_kept() {
    let (world, app) = World::with_application().await;
    let made = json!({"name": "s", "type": "generic-webhook", "app": app, "metadata": {"a": "0"},
        "verification": {"scheme": "bearer"}, "config": {"secret": "first"}});
    let made = world.call("POST", SOURCES, made).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = text(&made.body["id"]);
    let path = format!("{SOURCES}/{id}");
    // Between the read of the first change and its write the second one is made.
    let table = Interleaved::new(&world.table);
    let other = {
        let sources = Sources::new(world.table.clone(), world.ambient.clock.clone(), 0);
        let id = id.parse().unwrap();
        async move {
            let change =
                |source: &mut Source| source.metadata.insert("a".to_owned(), "1".to_owned());
            sources.edit(&id, change).await.unwrap();
        }
    };
    table.after_next_read(other);
    let mut world = world;
    world.admin.sources = Sources::new(table, world.ambient.clock.clone(), 0);
    let renamed = world.call("PATCH", &path, json!({"name": "renamed"})).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    let shown = world.call("GET", &path, Value::Null).await.body;
    assert_eq!((&shown["name"], &shown["metadata"]["a"]), (&json!("renamed"), &json!("1")));
}

#[tokio::test]
async fn an_address_that_was_replaced_holds_for_two_days_and_is_in_nobody_s_store() {
    let (world, app) = World::with_application().await;
    let id = open_source(&world, &app, json!({"verification": {"scheme": "none"}})).await;
    let path = format!("{SOURCES}/{id}");
    let first = text(&world.call("GET", &path, Value::Null).await.body["ingestUrl"]);
    let rotate = format!("{path}/token/rotate");
    let second = text(&world.call("POST", &rotate, Value::Null).await.body["ingestUrl"]);
    assert_ne!(first, second);
    assert_eq!(world.call("GET", &path, Value::Null).await.body["ingestUrl"], second.as_str());
    let name = |url: &str| url.rsplit_once("/in/").unwrap().1.to_owned();
    let token = name(&second).split_once('.').unwrap().1.to_owned();
    assert!(!world.on_disk(&token));
    let status =
        async |url: &str| post(&world, &name(url), &[], r#"{"type":"a.b"}"#).await.status.as_u16();
    world.advance_s(60);
    assert_eq!((status(&first).await, status(&second).await), (202, 202));
    for wrong in [format!("{second}0"), format!("{first}."), format!("{first}.00")] {
        assert_eq!(status(&wrong).await, 404, "{wrong}");
    }
    world.advance_s(2 * 86_400);
    assert_eq!((status(&first).await, status(&second).await), (404, 202));
    // Three times in two days.
    for _ in 0..3 {
        assert_eq!(world.call("POST", &rotate, Value::Null).await.status, 200);
    }
    let last = text(&world.call("GET", &path, Value::Null).await.body["ingestUrl"]);
    let refused = world.call("POST", &rotate, Value::Null).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!("limit_reached")));
    world.advance_s(60);
    assert_eq!((status(&second).await, status(&last).await), (202, 202));
}

#[tokio::test]
async fn a_source_s_endpoints_are_those_of_its_application() {
    let (world, app) = World::with_application().await;
    let other = world.endpoint(&world.application().await, URL).await;
    let id = open_source(&world, &app, json!({})).await;
    let path = format!("{SOURCES}/{id}/endpoint");
    let made = world.call("POST", &path, json!({"url": URL, "uid": "hook"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let ep = text(&made.body["id"]);
    let own = format!("/api/v1/app/{app}/endpoint");
    for (here, there) in [
        (path.clone(), own.clone()),
        (format!("{path}/{ep}"), format!("{own}/{ep}")),
        (format!("{path}/hook/secret"), format!("{own}/hook/secret")),
        (format!("{path}/{ep}/headers"), format!("{own}/{ep}/headers")),
    ] {
        let here = world.call("GET", &here, Value::Null).await;
        assert_eq!(here.status, 200, "{here:?}");
        assert_eq!(here.body, world.call("GET", &there, Value::Null).await.body);
    }
    post(&world, &id, &[], r#"{"type":"a.b"}"#).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    let unknown = format!("{path}/{other}");
    assert_eq!(world.call("GET", &unknown, Value::Null).await.status, 404);
    assert_eq!(world.call("DELETE", &format!("{path}/{ep}"), Value::Null).await.status, 204);
    let nobody = format!("{SOURCES}/nobody/endpoint");
    assert_eq!(world.call("GET", &nobody, Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_visitor_of_a_source_looks_after_the_endpoints_of_its_application() {
    let world = World::new();
    let (app, other) = (world.application().await, world.application().await);
    let source = source(&world, &app, "github", "a secret").await;
    let path = format!("/ingest/api/v1/source/{source}/dashboard");
    let let_in = world.call("POST", &path, json!({"readOnly": true, "expiry": 3_600})).await;
    assert_eq!(let_in.status, 200, "{let_in:?}");
    let token = text(&let_in.body["token"]);
    assert!(text(&let_in.body["url"]).ends_with(&format!("/portal#key={token}")));
    let endpoints = |app: &str| format!("/api/v1/app/{app}/endpoint");
    let list = world.call_as(&token, "GET", &endpoints(&app), Value::Null).await;
    assert_eq!(list.status, 200);
    let body = json!({"url": "http://127.0.0.1:9/hook"});
    assert_eq!(world.call_as(&token, "POST", &endpoints(&app), body).await.status, 403);
    assert_eq!(world.call_as(&token, "GET", &endpoints(&other), Value::Null).await.status, 404);
    assert_eq!(world.call_as(&token, "POST", &path, Value::Null).await.status, 403);
    let nowhere = "/ingest/api/v1/source/src_000000000000000000000000000/dashboard";
    assert_eq!(world.call("POST", nowhere, Value::Null).await.status, 404);
}
