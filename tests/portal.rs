//! The customer's portal, as far as it can be told without a browser: its files, its link, and
//! what its token opens.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use shared::host::config::Environment;
use shared::host::config::variable::PORTAL_FRAMES;

use crate::support::world::{World, text};

#[tokio::test]
async fn every_file_that_the_portal_asks_for_is_served_without_a_token() {
    let world = World::new();
    let mut wanted = vec!["/portal".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = wanted.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let answer = get(&world, &path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let media = match path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(answer.headers()["content-type"], media, "{path}");
        let text = std::str::from_utf8(answer.body()).unwrap();
        // Attributes of the page, imports of a script.
        for quoted in text.split('"') {
            if quoted.starts_with("/portal/") {
                wanted.push(quoted.to_owned());
            } else if let Some(name) = quoted.strip_prefix("./").filter(|_| path.ends_with(".js")) {
                wanted.push(format!("/portal/{name}"));
            }
        }
    }
    let files = ["portal.css", "portal.js", "api.js", "dom.js", "endpoints.js", "messages.js"];
    for file in files.into_iter().chain(["events.js"]) {
        assert!(seen.contains(&format!("/portal/{file}")), "{file} in {seen:?}");
    }
    assert_eq!(get(&world, "/portal/other.js").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_portal_runs_no_script_but_its_own() {
    let world = World::new();
    let page = get(&world, "/portal").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    for rule in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "base-uri 'none'"]
    {
        assert!(policy.contains(rule), "{rule} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn a_link_leads_to_the_portal_with_its_token_where_no_server_sees_it() {
    let world = World::new();
    let app = world.application().await;
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let access = world.call("POST", &path, json!({})).await.body;
    let (page, fragment) = access["url"].as_str().unwrap().split_once('#').unwrap();
    assert!(page.ends_with("/portal"), "{page}");
    assert_eq!(fragment, format!("key={}", access["token"].as_str().unwrap()));
}

#[tokio::test]
async fn a_visitor_sees_the_rules_and_events_of_the_own_application() {
    let world = World::new();
    let body = json!({"name": "Merchant", "profile": "dotpe"});
    let app = world.call("POST", "/api/v1/app", body).await.body["id"].clone();
    let app = app.as_str().unwrap();
    let access = format!("/api/v1/auth/app-portal-access/{app}");
    let token = world.call("POST", &access, json!({})).await.body["token"].clone();
    let path = format!("/api/v1/app/{app}/profile");
    let seen = world.call_as(token.as_str().unwrap(), "GET", &path, Value::Null).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    assert_eq!(seen.body["name"], "dotpe");
    let whole = world.call("GET", "/api/v1/profile/dotpe", Value::Null).await.body;
    assert_eq!(seen.body, whole);
    assert!(!whole["events"].as_array().unwrap().is_empty());
    let other = world.application().await;
    let path = format!("/api/v1/app/{other}/profile");
    let refused = world.call_as(token.as_str().unwrap(), "GET", &path, Value::Null).await;
    assert_eq!(refused.status, 404, "{}", refused.body);
}

async fn get(world: &World, path: &str) -> Response<Bytes> {
    world.admin.handle(Request::get(path).body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn a_link_opens_as_long_as_the_operator_says_unless_it_says_so_itself() {
    let days = |text: &'static str| {
        let look_up = move |_: &str| Some(text.to_owned());
        Environment::new(&look_up).portal_link_s()
    };
    assert_eq!(days(""), Ok(7 * 86_400));
    assert!(days("0").is_err() && days("8").unwrap_err().contains("1 to 7, not 8"));
    let mut world = World::new();
    world.admin.settings.portal_link_s = days("2").unwrap();
    let app = world.application().await;
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let mut links = Vec::new();
    for body in [json!({}), json!({"expiry": 3 * 86_400})] {
        links.push(text(&world.call("POST", &path, body).await.body["token"]));
    }
    let path = format!("/api/v1/app/{app}/endpoint");
    for (advance_s, opens) in
        [(2 * 86_400 - 60, [200, 200]), (120, [401, 200]), (86_400, [401, 401])]
    {
        world.advance_s(advance_s);
        for (token, status) in links.iter().zip(opens) {
            let reply = world.call_as(token, "GET", &path, Value::Null).await;
            assert_eq!(reply.status, status);
        }
    }
}

#[tokio::test]
async fn only_pages_of_our_own_and_of_the_operator_may_frame_the_portal() {
    let mut world = World::new();
    let policy = async |world: &World| {
        get(world, "/portal").await.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert!(policy(&world).await.ends_with("; frame-ancestors 'self'"));
    for (set, frames) in [
        (None, "'self'"),
        (Some(""), "'self'"),
        (
            Some("https://app.example https://b.example"),
            "'self' https://app.example https://b.example",
        ),
        (Some("https://app.example; script-src *"), "'self' https://app.example"),
    ] {
        let look_up = |name: &str| set.filter(|_| name == PORTAL_FRAMES).map(str::to_owned);
        world.admin.settings.portal_frames = Environment::new(&look_up).portal_frames();
        assert!(policy(&world).await.ends_with(&format!("; frame-ancestors {frames}")), "{set:?}");
    }
    world.admin.settings.portal_frames = "not\na header".to_owned();
    assert_eq!(policy(&world).await, "frame-ancestors 'none'");
}
