//! Who may do what.

use super::*;

/// Every route that names an application, with a body that would do.
fn routes(app: &str, ep: &str, msg: &str, attempt: &str) -> Vec<(&'static str, String, Value)> {
    let base = format!("/api/v1/app/{app}");
    let application = json!({"name": "Changed"});
    let endpoint = json!({"url": URL});
    let event = json!({"eventType": "a", "payload": {}});
    let none = Value::Null;
    [
        ("GET", "", &none),
        ("PUT", "", &application),
        ("PATCH", "", &application),
        ("GET", "/integration-key", &none),
        ("POST", "/integration-key/rotate", &none),
        ("GET", "/endpoint", &none),
        ("POST", "/endpoint", &endpoint),
        ("GET", "/endpoint/{ep}", &none),
        ("PUT", "/endpoint/{ep}", &endpoint),
        ("PATCH", "/endpoint/{ep}", &endpoint),
        ("GET", "/endpoint/{ep}/secret", &none),
        ("POST", "/endpoint/{ep}/secret/rotate", &none),
        ("GET", "/msg", &none),
        ("POST", "/msg", &event),
        ("GET", "/msg/{msg}", &none),
        ("GET", "/msg/{msg}/attempt/{attempt}", &none),
        ("GET", "/msg/{msg}/endpoint", &none),
        ("POST", "/msg/{msg}/endpoint/{ep}/resend", &none),
        ("GET", "/attempt/msg/{msg}", &none),
        ("GET", "/attempt/endpoint/{ep}", &none),
        ("DELETE", "/endpoint/{ep}", &none),
        ("DELETE", "", &none),
    ]
    .map(|(method, path, body)| {
        let path = path.replace("{ep}", ep).replace("{msg}", msg).replace("{attempt}", attempt);
        (method, format!("{base}{path}"), body.clone())
    })
    .to_vec()
}

const ORGANISATION_ONLY: [(&str, &str); 4] = [
    ("GET", "/api/v1/app"),
    ("POST", "/api/v1/app"),
    ("GET", "/api/v1/operator/parked"),
    ("POST", "/api/v1/operator/parked/x/redrive"),
];

struct Scene {
    world: World,
    app: String,
    routes: Vec<(&'static str, String, Value)>,
}

async fn scene() -> Scene {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let attempt = text(&world.attempts(&app, &msg).await[0]["id"]);
    let routes = routes(&app, &ep, &msg, &attempt);
    Scene { world, app, routes }
}

#[tokio::test]
async fn the_organisation_may_do_everything() {
    let Scene { world, routes, .. } = scene().await;
    for (method, path, body) in routes {
        let reply = world.call(method, &path, body).await;
        assert!(reply.status.is_success(), "{method} {path}: {reply:?}");
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_answered() {
    let Scene { world, routes, .. } = scene().await;
    let only = ORGANISATION_ONLY.map(|(method, path)| (method, path.to_owned(), Value::Null));
    for (method, path, body) in routes.into_iter().chain(only) {
        let request = http::Request::builder().method(method).uri(&path);
        let reply = world.send(request.body(body.to_string().into()).unwrap()).await;
        assert_error(&reply, 401, "authentication_failed");
        for token in ["", "x", "a.b.c"] {
            let reply = world.call_as(token, method, &path, body.clone()).await;
            assert_error(&reply, 401, "authentication_failed");
        }
    }
}

#[tokio::test]
async fn to_another_organisation_nothing_is_there() {
    let Scene { world, app, routes } = scene().await;
    let token = world.token_of(another_organisation());
    let before = get(&world, &format!("/api/v1/app/{app}")).await;
    for (method, path, body) in routes {
        let reply = world.call_as(&token, method, &path, body).await;
        assert_error(&reply, 404, "not_found");
    }
    assert_eq!(get(&world, &format!("/api/v1/app/{app}")).await.body, before.body);
    assert!(ids(&world.call_as(&token, "GET", "/api/v1/app", Value::Null).await).is_empty());
}

#[tokio::test]
async fn another_application_has_no_access() {
    let Scene { world, app, routes } = scene().await;
    let other = world.application().await;
    let token = world.app_token(&other);
    let before = get(&world, &format!("/api/v1/app/{app}")).await;
    for (method, path, body) in routes {
        let reply = world.call_as(&token, method, &path, body).await;
        // As Svix has it: what is another application's is not there; what is for the
        // organisation alone is refused before it is looked for.
        match is_for_the_organisation(method, &path, &app) {
            true => assert_error(&reply, 403, "insufficient access"),
            false => assert_error(&reply, 404, "not_found"),
        }
    }
    for (method, path) in ORGANISATION_ONLY {
        let reply = world.call_as(&token, method, path, json!({"name": "x"})).await;
        assert_error(&reply, 403, "insufficient access");
    }
    assert_eq!(get(&world, &format!("/api/v1/app/{app}")).await.body, before.body);
}

/// Whether an operation on this application is not for its own token.
fn is_for_the_organisation(method: &str, path: &str, app: &str) -> bool {
    path == format!("/api/v1/app/{app}") && method != "GET"
        || path.contains("integration-key")
        || method == "POST" && path.ends_with("/msg")
}

#[tokio::test]
async fn an_application_looks_after_its_endpoints_but_not_after_itself_and_publishes_nothing() {
    let Scene { world, app, routes } = scene().await;
    let token = world.app_token(&app);
    for (method, path, body) in routes {
        let reply = world.call_as(&token, method, &path, body).await;
        if is_for_the_organisation(method, &path, &app) {
            assert_error(&reply, 403, "insufficient access");
        } else {
            assert!(reply.status.is_success(), "{method} {path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn an_application_cannot_take_the_uid_of_another_one_to_come() {
    let Scene { world, app, .. } = scene().await;
    let token = world.app_token(&app);
    let path = format!("/api/v1/app/{app}");
    for method in ["PATCH", "PUT"] {
        let body = json!({"name": "x", "uid": "customer-2"});
        let reply = world.call_as(&token, method, &path, body).await;
        assert_error(&reply, 403, "insufficient access");
    }
    let body = json!({"name": "x"});
    let reply = world.call_as(&token, "PUT", "/api/v1/app/customer-2", body).await;
    assert_error(&reply, 403, "insufficient access");
}

#[tokio::test]
async fn an_application_finds_itself_by_its_uid() {
    let world = World::new();
    let body = json!({"name": "x", "uid": "customer-1"});
    let app = text(&post(&world, "/api/v1/app", body).await.body["id"]);
    let token = world.app_token(&app);
    let reply = world.call_as(&token, "GET", "/api/v1/app/customer-1", Value::Null).await;
    assert_eq!(reply.body["id"], json!(app));
    // And learns nothing of names that are not its own.
    for reference in ["customer-2", UNKNOWN_APP] {
        let path = format!("/api/v1/app/{reference}");
        let reply = world.call_as(&token, "GET", &path, Value::Null).await;
        assert_error(&reply, 404, "not_found");
    }
}

#[tokio::test]
async fn a_trailing_slash_makes_no_difference() {
    let Scene { world, routes, .. } = scene().await;
    for (method, path, body) in routes {
        let reply = world.call(method, &format!("{path}/"), body).await;
        assert!(reply.status.is_success(), "{method} {path}: {reply:?}");
    }
}

#[tokio::test]
async fn a_path_that_there_is_not_is_not_found() {
    let Scene { world, app, .. } = scene().await;
    for (method, path) in [
        ("GET", "/api/v1".to_owned()),
        ("GET", "/api/v2/app".to_owned()),
        ("GET", "/app".to_owned()),
        ("GET", format!("/api/v1/app/{app}/nothing")),
        ("GET", format!("/api/v1/app/{app}/endpoint/x/y/z")),
    ] {
        let reply = world.call(method, &path, Value::Null).await;
        assert_error(&reply, 404, "not_found");
    }
}

#[tokio::test]
async fn health_needs_no_token() {
    let world = World::new();
    for path in ["/api/v1/health", "/api/v1/health/", "/api/v1/health/ping"] {
        let request = http::Request::get(path).body(bytes::Bytes::new()).unwrap();
        let reply = world.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.bytes.len()), (204, 0), "{path}");
    }
}

#[tokio::test]
async fn a_failing_store_is_our_fault_and_says_nothing_more() {
    use crate::support::faults::Fault;
    let Scene { world, routes, .. } = scene().await;
    for (method, path, body) in routes {
        world.plan.fail_after(0, Fault::Before);
        let reply = world.call(method, &path, body).await;
        assert_error(&reply, 503, "unavailable");
        assert!(!reply.body.to_string().contains("injected"), "{method} {path}: {reply:?}");
    }
}
