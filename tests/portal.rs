//! The customer's portal, as far as it can be told without a browser: its files, its link, and
//! what its token opens.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use shared::host::config::Environment;
use shared::host::config::variable::PORTAL_FRAMES;

use crate::support::world::{World, text};

#[tokio::test]
async fn two_requests_bring_all_pages_and_the_script_is_kept_for_good() {
    /// Most bytes of both, as they travel.
    const MOST: usize = 35 * 1024;
    let world = World::new();
    let page = get(&world, "/portal").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(page.headers()["cache-control"], "public, no-cache");
    let text = std::str::from_utf8(page.body()).unwrap();
    let files: Vec<&str> = text.split('"').filter(|quoted| quoted.starts_with('/')).collect();
    let [script] = files.as_slice() else { panic!("one file, not {files:?}") };
    let packed = get_as(&world, script, "br, gzip").await;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["content-type"], "text/javascript; charset=utf-8");
    assert!(packed.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let bytes = page.body().len() + packed.body().len();
    assert!(bytes <= MOST, "{bytes} bytes");
    let plain = get(&world, script).await;
    assert!(!plain.headers().contains_key("content-encoding"));
    assert!(plain.body().len() > packed.body().len());
    assert!(std::str::from_utf8(plain.body()).unwrap().contains("Endpoints"));
    assert_eq!(get(&world, "/console").await.body(), page.body(), "the same files");
    assert_eq!(get(&world, "/portal/other.js").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn code_to_copy_arrives_as_it_was_written_with_its_indentation() {
    const SAMPLES: &str = include_str!("../functions/admin/portal/samples.js");
    let world = World::new();
    let page = text_of(&get(&world, "/portal").await);
    let script = page.split('"').find(|quoted| quoted.ends_with(".js")).unwrap().to_owned();
    let first = text_of(&get(&world, &script).await);
    let mut scripts = String::new();
    for later in first.split('"').filter(|quoted| quoted.starts_with("/portal/")) {
        scripts += &text_of(&get(&world, later).await);
    }
    let samples: Vec<&str> = SAMPLES.split('`').skip(1).step_by(2).collect();
    let many = samples.iter().filter(|sample| sample.contains("\n  ")).count();
    assert!(many >= 8, "{many} of {}", samples.len());
    for sample in samples {
        assert!(scripts.contains(sample), "{sample}");
    }
}

fn text_of(response: &Response<Bytes>) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

#[tokio::test]
async fn what_the_operator_sets_is_what_visitors_see_and_who_may_frame_it() {
    let (world, app) = World::with_application().await;
    let put = async |body: Value| world.call("PUT", "/api/v1/operator/portal", body).await;
    for (body, field) in [
        (json!({"accent": "blue"}), "accent"),
        // Yellow under white text.
        (json!({"accent": "#ffee00"}), "accent"),
        (json!({"font": "x; } body"}), "font"),
        (json!({"logo": "https://example.com/logo.png"}), "logo"),
        (json!({"logo": "data:text/html;base64,AAAA"}), "logo"),
        (json!({"backUrl": "javascript:alert(1)"}), "backUrl"),
        (json!({"frameAncestors": ["https://a.example; script-src *"]}), "frameAncestors"),
        (json!({"frameAncestors": ["*"]}), "frameAncestors"),
    ] {
        let refused = put(body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        assert!(refused.body.to_string().contains(field), "{refused:?}");
    }
    let settings = json!({"theme": "dark", "accent": "#7a1f5c", "font": "Georgia, serif",
        "frameAncestors": ["https://app.example.com"]});
    assert_eq!(put(settings).await.status, 200);
    let access = format!("/api/v1/auth/app-portal-access/{app}");
    let token = world.call("POST", &access, json!({"readOnly": true})).await.body["token"].clone();
    let token = token.as_str().unwrap();
    let path = format!("/api/v1/app/{app}/portal");
    let seen = world.call_as(token, "GET", &path, Value::Null).await.body;
    assert_eq!((&seen["theme"], &seen["accent"]), (&"dark".into(), &"#7a1f5c".into()));
    assert_eq!((&seen["font"], &seen["frameAncestors"]), (&"Georgia, serif".into(), &json!([])));
    let page = get(&world, "/portal").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.ends_with("frame-ancestors 'self' https://app.example.com"), "{policy}");
    let page = get(&world, "/console").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
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
    let (world, app) = World::with_application().await;
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

/// With this `accept-encoding`.
async fn get_as(world: &World, path: &str, encoding: &str) -> Response<Bytes> {
    let request = Request::get(path).header("accept-encoding", encoding);
    world.admin.handle(request.body(Bytes::new()).unwrap()).await
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
    ] {
        let look_up = |name: &str| set.filter(|_| name == PORTAL_FRAMES).map(str::to_owned);
        world.admin.settings.portal_frames = Environment::new(&look_up).portal_frames().unwrap();
        assert!(policy(&world).await.ends_with(&format!("; frame-ancestors {frames}")), "{set:?}");
    }
    world.admin.settings.portal_frames = "not\na header".to_owned();
    assert_eq!(policy(&world).await, "frame-ancestors 'none'");
}
