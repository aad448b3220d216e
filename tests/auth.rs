//! Tokens for visitors, and tokens that were taken back.

use serde_json::{Value, json};
use shared::store::REVOCATION_TTL_MS;

use crate::support::answers::places;
use crate::support::stage::{Stage, routes};
use crate::support::world::{World, text};

async fn visit(world: &World, app: &str, body: Value) -> String {
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let reply = world.call("POST", &path, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let token = text(&reply.body["token"]);
    assert!(text(&reply.body["url"]).ends_with(&token));
    token
}

async fn status(world: &World, token: &str, path: &str) -> u16 {
    world.call_as(token, "GET", path, Value::Null).await.status.as_u16()
}

#[tokio::test]
async fn a_visitor_sees_its_own_application_only() {
    let world = World::new();
    let (app, other) = (world.application().await, world.application().await);
    let token = visit(&world, &app, Value::Null).await;
    assert_eq!(status(&world, &token, &format!("/api/v1/app/{app}")).await, 200);
    assert_eq!(status(&world, &token, &format!("/api/v1/app/{other}")).await, 404);
    assert_eq!(status(&world, &token, "/api/v1/app").await, 403);
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    assert_eq!(world.call_as(&token, "POST", &path, json!({})).await.status, 403);
}

#[tokio::test]
async fn a_visitor_with_a_flag_sees_what_is_behind_it() {
    let (world, app) = World::with_application().await;
    let said = json!({"name": "hidden", "description": "d", "featureFlags": ["beta"]});
    world.call("POST", "/api/v1/event-type", said).await;
    let plain = visit(&world, &app, Value::Null).await;
    let flagged = visit(&world, &app, json!({"featureFlags": ["beta"]})).await;
    assert_eq!(status(&world, &plain, "/api/v1/event-type/hidden").await, 404);
    assert_eq!(status(&world, &flagged, "/api/v1/event-type/hidden").await, 200);
}

#[tokio::test]
async fn a_visitors_flags_leave_room_for_other_headers() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let flags = |count: usize, length: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("{n:0length$}")).collect();
        json!({"featureFlags": names})
    };
    for (said, status) in [
        (flags(100, 40), 200),
        (flags(101, 4), 422),
        (flags(20, 205), 422),
        (flags(30_000, 5), 422),
    ] {
        let made = world.call("POST", &path, said).await;
        assert_eq!(made.status.as_u16(), status, "{}", made.body);
    }
}

#[tokio::test]
async fn an_application_that_is_not_there_is_created_for_its_visitor() {
    let world = World::new();
    let token =
        visit(&world, "new-one", json!({"application": {"name": "New", "uid": "new-one"}})).await;
    assert_eq!(status(&world, &token, "/api/v1/app/new-one").await, 200);
    let again = json!({"application": {"name": "Other"}});
    visit(&world, "new-one", again).await;
    let kept = world.call("GET", "/api/v1/app/new-one", Value::Null).await;
    assert_eq!(kept.body["name"], "New");
    let path = "/api/v1/auth/app-portal-access/unknown";
    assert_eq!(world.call("POST", path, json!({})).await.status, 404);
    let other = json!({"application": {"name": "New", "uid": "another"}});
    assert_eq!(world.call("POST", path, other).await.status, 422);
}

#[tokio::test]
async fn a_visit_ends_when_it_was_said_to() {
    let (world, app) = World::with_application().await;
    let token = visit(&world, &app, json!({"expiry": 3600})).await;
    let path = format!("/api/v1/app/{app}");
    world.advance_s(3599);
    assert_eq!(status(&world, &token, &path).await, 200);
    world.advance_s(1);
    assert_eq!(status(&world, &token, &path).await, 401);
    let url = format!("/api/v1/auth/app-portal-access/{app}");
    for expiry in [0, 3599, 604_801] {
        assert_eq!(world.call("POST", &url, json!({"expiry": expiry})).await.status, 422);
    }
}

#[tokio::test]
async fn a_token_that_logged_out_opens_nothing_and_no_other_is_touched() {
    let (world, app) = World::with_application().await;
    let (token, other) =
        (visit(&world, &app, json!({})).await, visit(&world, &app, json!({})).await);
    let path = format!("/api/v1/app/{app}");
    let out = world.call_as(&token, "POST", "/api/v1/auth/logout", Value::Null).await;
    assert_eq!(out.status, 204);
    assert_eq!(status(&world, &token, &path).await, 401);
    assert_eq!(status(&world, &other, &path).await, 200);
}

#[tokio::test]
async fn a_process_that_remembers_a_token_forgets_it_within_half_a_minute() {
    let (world, app) = World::with_application().await;
    let token = visit(&world, &app, json!({})).await;
    let body = json!({"eventType": "a", "payload": {}});
    let path = format!("/api/v1/app/{app}/msg");
    let publish = async || world.call_as(&token, "POST", &path, body.clone()).await.status.as_u16();
    // Another process, which knows the token from before.
    let stale = shared::store::Revocations::new(world.table.clone(), world.ambient.clock.clone());
    let bearer = world.tokens.open_bearer(&token, world.ambient.now()).unwrap();
    assert!(!stale.is_revoked(&bearer).await.unwrap());
    assert_eq!(publish().await, 403, "a visitor's");
    world.call_as(&token, "POST", "/api/v1/auth/logout", Value::Null).await;
    assert_eq!(publish().await, 401);
    assert!(!stale.is_revoked(&bearer).await.unwrap(), "it remembers");
    world.advance_s(REVOCATION_TTL_MS / 1000);
    assert!(stale.is_revoked(&bearer).await.unwrap());
}

#[tokio::test]
async fn what_is_wrong_with_an_application_that_is_brought_along_is_said_where_it_is() {
    let (world, app) = World::with_application().await;
    for named in ["new-one", &app] {
        let path = format!("/api/v1/auth/app-portal-access/{named}");
        let wrong = json!({"name": "", "uid": "not one", "throttleRate": 0});
        let refused = world.call("POST", &path, json!({"application": wrong})).await;
        let fields = ["name", "uid", "throttleRate"];
        assert_eq!(places(&refused), fields.map(|field| format!("body/application/{field}")));
    }
    let other = json!({"application": {"name": "New", "uid": "other"}});
    let refused = world.call("POST", "/api/v1/auth/app-portal-access/new-one", other).await;
    assert_eq!(places(&refused), ["body/application/uid"]);
}

#[tokio::test]
async fn tokens_of_a_session_are_taken_back_and_others_are_not() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}");
    let expire = format!("/api/v1/auth/app/{app}/expire-all");
    let of = async |session: &str| visit(&world, &app, json!({"sessionId": session})).await;
    let (one, two) = (of("one").await, of("two").await);
    let none = visit(&world, &app, Value::Null).await;
    let named = json!({"sessionIds": ["one"]});
    assert_eq!(world.call("POST", &expire, named).await.status, 204);
    assert_eq!(status(&world, &one, &path).await, 401);
    assert_eq!((status(&world, &two, &path).await, status(&world, &none, &path).await), (200, 200));
    let publish = json!({"eventType": "a.b", "payload": {}});
    let refused = world.call_as(&one, "POST", &format!("{path}/msg"), publish).await;
    assert_eq!(refused.status, 401);
    // Made in the same second, but after.
    assert_eq!(status(&world, &of("one").await, &path).await, 200);
    // A session of this name of another application is another one.
    let other = world.application().await;
    let foreign = visit(&world, &other, json!({"sessionId": "two"})).await;
    let later = json!({"sessionIds": ["two"], "expiry": 60});
    assert_eq!(world.call("POST", &expire, later).await.status, 204);
    assert_eq!(status(&world, &two, &path).await, 200);
    world.advance_s(60);
    assert_eq!(status(&world, &two, &path).await, 401);
    assert_eq!(status(&world, &foreign, &format!("/api/v1/app/{other}")).await, 200);
    assert_eq!(status(&world, &none, &path).await, 200);
}

#[tokio::test]
async fn a_token_that_was_made_between_two_requests_of_one_second_is_taken_back_by_the_second() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}");
    let expire = format!("/api/v1/auth/app/{app}/expire-all");
    for named in [json!({}), json!({"sessionIds": ["one"]})] {
        let of_one = json!({"sessionId": "one"});
        for _ in 0..3 {
            let token = visit(&world, &app, of_one.clone()).await;
            assert_eq!(status(&world, &token, &path).await, 200, "{named}");
            assert_eq!(world.call("POST", &expire, named.clone()).await.status, 204);
            assert_eq!(status(&world, &token, &path).await, 401, "{named}");
        }
        // However often that is asked, whoever comes next gets in.
        for _ in 0..100 {
            world.call("POST", &expire, named.clone()).await;
        }
        let token = visit(&world, &app, of_one).await;
        assert_eq!(status(&world, &token, &path).await, 200, "{named}");
        world.advance_s(60);
    }
}

#[tokio::test]
async fn what_was_taken_back_stays_so_when_more_is_taken_back_later() {
    for sessions in [json!([]), json!(["one"])] {
        let (world, app) = World::with_application().await;
        let path = format!("/api/v1/app/{app}");
        let expire = format!("/api/v1/auth/app/{app}/expire-all");
        let after = |seconds: u64| json!({"sessionIds": sessions, "expiry": seconds});
        let old = visit(&world, &app, json!({"sessionId": "one"})).await;
        world.call("POST", &expire, after(0)).await;
        world.advance_s(10);
        let newer = visit(&world, &app, json!({"sessionId": "one"})).await;
        world.call("POST", &expire, after(3_600)).await;
        assert_eq!(status(&world, &old, &path).await, 401, "no hour more for the old one");
        assert_eq!(status(&world, &newer, &path).await, 200);
        world.advance_s(1_800);
        // Nor does a later date give more time to those that have one.
        world.call("POST", &expire, after(7_200)).await;
        world.advance_s(1_800);
        assert_eq!(status(&world, &newer, &path).await, 401);
    }
}

#[tokio::test]
async fn names_of_sessions_are_bounded() {
    let (world, app) = World::with_application().await;
    let access = format!("/api/v1/auth/app-portal-access/{app}");
    for wrong in ["".to_owned(), "x".repeat(257)] {
        let refused = world.call("POST", &access, json!({"sessionId": wrong})).await;
        assert_eq!(places(&refused), ["body/sessionId"]);
        let expire = format!("/api/v1/auth/app/{app}/expire-all");
        let refused = world.call("POST", &expire, json!({"sessionIds": [wrong]})).await;
        assert_eq!(places(&refused), ["body/sessionIds/0"]);
    }
}

#[tokio::test]
async fn a_visit_lasts_a_week_unless_something_else_is_said() {
    let (world, app) = World::with_application().await;
    let old = format!("/api/v1/auth/dashboard-access/{app}");
    let old = text(&world.call("POST", &old, Value::Null).await.body["token"]);
    let tokens =
        [visit(&world, &app, Value::Null).await, visit(&world, &app, json!({})).await, old];
    let path = format!("/api/v1/app/{app}");
    for (passing_s, expected) in [(7 * 86_400 - 1, 200), (1, 401)] {
        world.advance_s(passing_s);
        for token in &tokens {
            assert_eq!(status(&world, token, &path).await, expected);
        }
    }
}

#[tokio::test]
async fn what_a_visitor_may_do_is_said_by_its_token_and_by_the_api() {
    let (world, app) = World::with_application().await;
    let all = json!([
        "ViewBase",
        "ViewEndpointSecret",
        "ManageEndpointSecret",
        "ManageTransformations",
        "CreateAttempts",
        "ManageEndpoint",
    ]);
    let some = json!(["CreateAttempts", "ViewBase"]);
    for (asked, held) in [
        (json!({}), all.clone()),
        (json!({"readOnly": false}), all.clone()),
        (json!({"readOnly": null, "capabilities": null}), all),
        (json!({"capabilities": some}), some.clone()),
        (json!({"readOnly": true}), json!(["ViewBase"])),
        (json!({"readOnly": true, "capabilities": some}), json!(["ViewBase"])),
    ] {
        let token = visit(&world, &app, asked.clone()).await;
        let who = world.call_as(&token, "GET", "/api/v1/auth/whoami", Value::Null).await.body;
        assert_eq!(who["capabilities"], held, "{asked}");
        assert_eq!(who["scope"], Value::Null, "{asked}");
    }
    let who = world.call("GET", "/api/v1/auth/whoami", Value::Null).await.body;
    assert_eq!((&who["scope"], &who["capabilities"]), (&json!("all"), &Value::Null));
}

#[tokio::test]
async fn capabilities_that_make_no_sense_are_refused_at_their_field() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    for wrong in [json!([]), json!(["CreateAttempts"]), json!(vec!["ViewBase"; 13])] {
        let refused = world.call("POST", &path, json!({"capabilities": wrong})).await;
        assert_eq!(places(&refused), ["body/capabilities"], "{wrong}");
    }
    let unknown = world.call("POST", &path, json!({"capabilities": ["ViewBase", "Fly"]})).await;
    assert_eq!(unknown.status, 422, "{unknown:?}");
}

/// Every operation that there is, as a request.
fn every_operation() -> Vec<(&'static str, String)> {
    let operations = admin::OPERATIONS.iter();
    operations.map(|operation| (operation.method, operation.path())).collect()
}

#[tokio::test]
async fn a_token_that_was_taken_back_opens_no_operation_at_all() {
    for how in ["expire-all", "logout", "deleted"] {
        let (world, app) = World::with_application().await;
        let token = visit(&world, &app, Value::Null).await;
        let kept = json!({"idempotency-key": "k"});
        let path = format!("/api/v1/app/{app}/endpoint");
        let body = json!({"url": "http://127.0.0.1:9/hook"});
        let made = keyed(&world, &token, &path, &kept, &body).await;
        assert_eq!(made.0, 201);
        assert_eq!(keyed(&world, &token, &path, &kept, &body).await, made);
        let taken_back = match how {
            "logout" => world.call_as(&token, "POST", "/api/v1/auth/logout", Value::Null).await,
            "deleted" => world.call("DELETE", &format!("/api/v1/app/{app}"), Value::Null).await,
            _ => {
                let path = format!("/api/v1/auth/app/{app}/expire-all");
                world.call("POST", &path, Value::Null).await
            }
        };
        assert_eq!(taken_back.status, 204, "{how}: {taken_back:?}");
        world.advance_s(REVOCATION_TTL_MS / 1000 + 1);
        let refused = if how == "deleted" { 403 } else { 401 };
        assert_eq!(keyed(&world, &token, &path, &kept, &body).await.0, refused, "{how}: kept");
        for (method, path) in every_operation() {
            let path = path.replace("{app_id}", &app);
            let reply = world.call_as(&token, method, &path, Value::Null).await;
            assert_eq!(reply.status.as_u16(), refused, "{how}: {method} {path}");
        }
    }
}

async fn keyed(
    world: &World,
    token: &str,
    path: &str,
    headers: &Value,
    body: &Value,
) -> (u16, Value) {
    let request = http::Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", text(&headers["idempotency-key"]))
        .body(body.to_string().into())
        .unwrap();
    let reply = world.send(request).await;
    (reply.status.as_u16(), reply.body)
}

#[tokio::test]
async fn what_answers_get_answers_head() {
    let (world, app) = World::with_application().await;
    let paths = ["/portal", "/docs", "/api/v1/openapi.json", "/api/v1/health", "/api/v1/app"];
    let mut paths: Vec<String> = paths.map(str::to_owned).into();
    paths.extend([format!("/api/v1/app/{app}"), format!("/api/v1/app/{app}/endpoint")]);
    for path in paths {
        let get = world.call("GET", &path, Value::Null).await;
        let head = world.call("HEAD", &path, Value::Null).await;
        assert!(get.status.is_success(), "{path}");
        assert_eq!(head.status, get.status, "{path}");
    }
    for (method, path) in every_operation().into_iter().filter(|(method, _)| *method == "GET") {
        let path = path.replace("{app_id}", &app);
        let get = world.call(method, &path, Value::Null).await;
        assert_eq!(world.call("HEAD", &path, Value::Null).await.status, get.status, "{path}");
    }
}

#[tokio::test]
async fn no_answer_is_kept_by_a_cache_unless_it_is_everybodys_or_taken_for_something_else() {
    let (world, app) = World::with_application().await;
    for (method, path) in [
        ("POST", format!("/api/v1/auth/app-portal-access/{app}")),
        ("GET", format!("/api/v1/app/{app}/integration-key")),
        ("GET", format!("/api/v1/app/{app}")),
        ("GET", "/api/v1/nowhere".to_owned()),
        ("GET", "/api/v1/health".to_owned()),
        ("GET", "/portal".to_owned()),
        ("GET", "/docs".to_owned()),
        ("GET", "/api/v1/openapi.json".to_owned()),
        ("GET", "/.well-known/jwks.json".to_owned()),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(&path)
            .header("authorization", format!("Bearer {}", world.token()))
            .body(bytes::Bytes::new())
            .unwrap();
        let answer = world.admin.handle(request).await;
        let cache = answer.headers()["cache-control"].to_str().unwrap();
        let is_public = ["/portal", "/docs", "/api/v1/openapi.json", "/.well-known/jwks.json"]
            .contains(&path.as_str());
        assert_eq!(cache.starts_with("public"), is_public, "{path}: {cache}");
        assert!(is_public || cache == "no-store", "{path}: {cache}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
    }
}

#[tokio::test]
async fn a_path_means_the_same_however_it_is_encoded() {
    let world = World::new();
    let body = json!({"name": "n", "uid": "a.b"});
    assert_eq!(world.call("POST", "/api/v1/app", body).await.status, 201);
    let message = json!({"eventType": "a.b", "payload": {}});
    for uid in ["a.b", "a%2Eb", "a%2eb", "%61.%62", "%61%2e%62"] {
        let path = format!("/api/v1/app/{uid}");
        assert_eq!(world.call("GET", &path, Value::Null).await.status, 200, "{uid}");
        let path = format!("/api/v1/%61pp/{uid}/msg?with_content=false");
        assert_eq!(world.call("POST", &path, message.clone()).await.status, 202, "{uid}");
    }
    for path in ["/api/v1%2Fapp/a.b", "/api/v1/app%2Fa.b", "/api/v1/app/a%252Eb", "/api/v1/app/a%2"]
    {
        assert_eq!(world.call("GET", path, Value::Null).await.status, 404, "{path}");
    }
}

/// The local platform and each function bring a path into its plain spelling, one after the other.
#[test]
fn a_path_in_its_plain_spelling_stays_as_it_is() {
    for (path, expected) in [
        ("/a%2Eb/%61", "/a.b/a"),
        ("/a%2Fb%25", "/a%2Fb%25"),
        ("/%2561", "/%2561"),
        // A stray `%`, and what would be an encoding behind it once its end is decoded.
        ("/%%36%31", "/%%36%31"),
        ("/%6%31/%61", "/%6%31/%61"),
        ("/%61/%", "/%61/%"),
        ("/%zz%61", "/%zz%61"),
    ] {
        let request = http::Request::builder().uri(path).body(bytes::Bytes::new()).unwrap();
        let once = shared::api::request::plain(request);
        assert_eq!(once.uri().path(), expected, "{path}");
        let twice = shared::api::request::plain(once);
        assert_eq!(twice.uri().path(), expected, "{path} twice");
    }
}

#[tokio::test]
async fn a_body_that_is_compressed_is_refused_wherever_it_is_sent() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let mut taken = 0;
    for (encoding, status) in [("gzip", 415), ("br, gzip", 415), ("Identity", 0)] {
        for route in routes() {
            let play = stage.play(&route);
            if play.body.is_null() || route.right.is_none() {
                continue;
            }
            let request = http::Request::builder()
                .method(play.method.as_str())
                .uri(&play.path)
                .header("authorization", format!("Bearer {}", world.token()))
                .header("content-encoding", encoding)
                .body(play.body.to_string().into())
                .unwrap();
            let reply = world.send(request).await;
            let is_refused = reply.status == 415;
            assert_eq!(is_refused, status == 415, "{}: {reply:?}", route.id);
            taken += 1;
        }
    }
    assert!(taken > 60, "{taken}");
}

#[tokio::test]
async fn a_link_that_opens_once_has_a_code_that_is_exchanged_once() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let asked = json!({"oneTime": true, "readOnly": true, "sessionId": "one"});
    let link = world.call("POST", &path, asked).await.body;
    let (page, code) = text(&link["url"]).split_once("#code=").map(own).unwrap();
    assert!(page.ends_with("/portal"));
    let token = text(&link["token"]);
    assert!(!text(&link["url"]).contains(&token));
    assert!(!world.on_disk(&code) && !world.on_disk(&token));
    let exchange = async |code: &str| {
        let request = http::Request::post("/api/v1/auth/one-time-token")
            .body(json!({"oneTimeToken": code}).to_string().into())
            .unwrap();
        world.send(request).await
    };
    for wrong in ["", "nobody", &code[1..], &"x".repeat(100_000)] {
        assert_eq!(exchange(wrong).await.status, 401);
    }
    let first = exchange(&code).await;
    assert_eq!((first.status.as_u16(), &first.body), (200, &json!({"token": token})));
    assert_eq!(exchange(&code).await.status, 401);
    assert_eq!(status(&world, &token, &format!("/api/v1/app/{app}")).await, 200);
    let endpoint = format!("/api/v1/app/{app}/endpoint/x");
    let delete = world.call_as(&token, "DELETE", &endpoint, Value::Null).await;
    assert_eq!(delete.status, 403, "it is what was asked for");
    // One that waited too long, and one whose session was ended meanwhile.
    let late = world.call("POST", &path, json!({"oneTime": true})).await.body;
    let late = text(&late["url"]).split_once("#code=").map(own).unwrap().1;
    world.advance_s(15 * 60);
    assert_eq!(exchange(&late).await.status, 401);
    let asked = json!({"oneTime": true, "sessionId": "two"});
    let ended = text(&world.call("POST", &path, asked).await.body["url"]);
    let expire = json!({"sessionIds": ["two"]});
    world.call("POST", &format!("/api/v1/auth/app/{app}/expire-all"), expire).await;
    let ended = exchange(ended.split_once("#code=").unwrap().1).await;
    let token = text(&ended.body["token"]);
    assert_eq!(status(&world, &token, &format!("/api/v1/app/{app}")).await, 401);
    let get = world.call("GET", "/api/v1/auth/one-time-token", Value::Null).await;
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn of_many_who_exchange_a_code_at_once_one_gets_the_token() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let link = text(&world.call("POST", &path, json!({"oneTime": true})).await.body["url"]);
    let body = json!({"oneTimeToken": link.split_once("#code=").unwrap().1});
    let exchange = || world.call("POST", "/api/v1/auth/one-time-token", body.clone());
    let replies = futures_util::future::join_all((0..8).map(|_| exchange())).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
}

fn own((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[tokio::test]
async fn head_is_answered_like_get_where_other_systems_shake_hands_as_well() {
    let (world, app) = World::with_application().await;
    let source = json!({"name": "n", "type": "meta", "app": app,
        "config": {"secret": "s", "verifyToken": "v"}});
    let source = world.call("POST", "/ingest/api/v1/source", source).await.body;
    let id = text(&source["id"]);
    for query in ["?hub.challenge=1&hub.verify_token=v", "?hub.challenge=1", ""] {
        let path = format!("/in/{id}{query}");
        let get = world.call("GET", &path, Value::Null).await;
        let head = world.call("HEAD", &path, Value::Null).await;
        assert_eq!(head.status, get.status, "{path}");
    }
}
