//! How endpoints are doing: what the API says of it, what it costs to ask, and that nothing is
//! written for a delivery that succeeds.

use serde_json::{Value, json};
use shared::domain::circuit::OPENS_AFTER;
use shared::sender::Ending;

use crate::support::captured::Captured;
use crate::support::network::{answer, answer_with};
use crate::support::world::{World, text};

const GOOD: &str = "http://127.0.0.1:9/good";
const BAD: &str = "http://127.0.0.1:9/bad";

#[tokio::test]
async fn an_endpoint_that_fails_is_failing_since_its_first_message_and_says_why() {
    let (world, app, ep) = world_with(BAD).await;
    world.network.always(BAD, answer(500));
    let began = world.ambient.now().to_rfc3339();
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let seen = health(&world, &app, &ep).await;
    assert_eq!(seen["state"], "failing");
    assert_eq!(
        (&seen["attempts"], &seen["failed"], &seen["waiting"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert!(seen["nextAttempt"].is_string(), "{seen}");
    assert_eq!(seen["lastError"]["kind"], "server_error");
    assert_eq!(seen["lastSuccess"], Value::Null);
    // Where nothing of it is left in the picture, it is still on record.
    world.advance_s(7);
    world.dispatch_all().await;
    world.advance_s(25 * 3_600);
    let seen = health(&world, &app, &ep).await;
    assert_eq!(seen["state"], "failing");
    assert_eq!(seen["failingSince"].as_str().unwrap(), began);
    assert_eq!(seen["lastError"]["status"], 500);
}

#[tokio::test]
async fn what_was_never_attempted_hides_no_attempt_and_is_no_failure() {
    let (world, app, ep) = world_with(GOOD).await;
    for n in 0..30 {
        world.network.next(GOOD, answer(if n == 0 { 500 } else { 200 }));
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    // It falls silent, is left alone, and more waits for it than attempts count.
    world.advance_s(1);
    world.network.always(GOOD, Ending::TimedOut);
    for _ in 0..OPENS_AFTER {
        world.publish(&app, json!({})).await;
        world.dispatch().await;
    }
    let seen = health(&world, &app, &ep).await;
    assert_eq!((&seen["attempts"], &seen["failed"]), (&35.into(), &6.into()), "{seen}");
    world.advance_s(1);
    for _ in 0..100 {
        world.publish(&app, json!({})).await;
        world.dispatch().await;
    }
    let before = world.meter.usage().read_units;
    let after = health(&world, &app, &ep).await;
    let units = world.meter.usage().read_units - before;
    for same in ["state", "failingSince", "p95Ms", "lastSuccess", "lastError"] {
        assert_eq!(after[same], seen[same], "{same}: {after}");
    }
    // Twenty say how it is. Of them those failed that were made.
    assert!(after["attempts"].as_u64() >= Some(20), "{after}");
    assert_eq!(after["failed"], OPENS_AFTER, "{after}");
    assert_eq!((&after["waiting"], &after["untried"]), (&(100 + OPENS_AFTER).into(), &100.into()));
    assert!(units <= 20.0, "{units}");
    // What is counted is listed, and says that it waits.
    let path = format!("/api/v1/app/{app}/delivery?endpoint_id={ep}&state=waiting&limit=250");
    let listed = world.call("GET", &path, Value::Null).await;
    let rows = listed.body["data"].as_array().unwrap();
    assert_eq!(rows.len(), 100, "{listed:?}");
    for row in rows {
        assert_eq!((&row["attempt"], &row["attemptedAt"]), (&0.into(), &Value::Null), "{row}");
        assert_eq!(row["eventType"], "test.event", "{row}");
    }
    let overview = format!("/api/v1/app/{app}/endpoint/{ep}/overview");
    let overview = world.call("GET", &overview, Value::Null).await.body;
    assert_eq!(overview["deliveries"]["data"].as_array().unwrap().len(), 8);
    assert!(overview["deliveries"]["data"][0]["state"] == "waiting", "{overview}");
}

#[tokio::test]
async fn the_next_try_is_the_first_that_comes_also_after_tries_by_hand() {
    let (world, app, ep) = world_with(BAD).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &path, json!({"retrySchedule": [3600]})).await;
    world.network.always(BAD, answer(500));
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(world.publish(&app, json!({})).await);
        world.dispatch_all().await;
        world.advance_s(300);
    }
    let first = format!("/api/v1/app/{app}/delivery?endpoint_id={ep}");
    let listed = world.call("GET", &first, Value::Null).await.body;
    let next = listed["data"].as_array().unwrap().iter().map(|row| row["nextAttempt"].as_str());
    let first = next.min().unwrap().unwrap().to_owned();
    let seen = health(&world, &app, &ep).await;
    assert_eq!((&seen["waiting"], &seen["nextAttempt"]), (&3.into(), &first.clone().into()));
    // So much is tried by hand that no try by schedule is among the attempts that count.
    for _ in 0..25 {
        for msg in &messages {
            let resend = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
            assert_eq!(world.call("POST", &resend, json!({})).await.status, 202);
        }
        world.dispatch_all().await;
    }
    let seen = health(&world, &app, &ep).await;
    assert_eq!((&seen["waiting"], &seen["nextAttempt"]), (&3.into(), &first.into()), "{seen}");
}

#[tokio::test]
async fn an_endpoint_that_recovers_is_failing_no_more_and_leaves_the_operators_list() {
    let (world, app, ep) = world_with(BAD).await;
    world.network.next(BAD, answer(500));
    world.network.next(BAD, Ending::Failed("connection refused".to_owned()));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(failing(&world).await, Vec::<String>::new(), "once is not enough");
    world.advance_s(7);
    world.dispatch_all().await;
    assert_eq!(failing(&world).await, std::slice::from_ref(&ep));
    let reply = world.call("GET", "/api/v1/operator/failing", Value::Null).await.body;
    assert_eq!(reply["data"][0]["lastError"]["kind"], "refused");
    assert_eq!(reply["data"][0]["application"], "Test");
    world.advance_s(7 * 60);
    world.dispatch_all().await;
    assert_eq!(failing(&world).await, Vec::<String>::new());
    let seen = health(&world, &app, &ep).await;
    assert_eq!(seen["failingSince"], Value::Null);
    assert!(seen["lastSuccess"].is_string());
    assert_eq!(seen["state"], "unsteady", "two of three failed");
}

#[tokio::test]
async fn an_endpoint_that_flaps_is_written_down_at_most_once_a_minute() {
    let (world, app, ep) = world_with(BAD).await;
    for _ in 0..3 {
        world.network.next(BAD, answer(500));
        world.network.next(BAD, answer(500));
        world.network.next(BAD, answer(200));
        world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        world.advance_s(7);
        world.dispatch_all().await;
        // The schedule would have it later; somebody asks for it now.
        let list = format!("/api/v1/app/{app}/msg?limit=1");
        let msg = text(&world.call("GET", &list, Value::Null).await.body["data"][0]["id"]);
        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
        world.call("POST", &path, Value::Null).await;
        world.dispatch_all().await;
    }
    let revision = {
        let stored = world.stored.lock().unwrap();
        stored.values().find(|item| item.key.sk == format!("EP#{ep}")).unwrap().rev
    };
    assert_eq!(revision, 3, "made, failing, recovered");
}

#[tokio::test]
async fn a_delivery_that_succeeds_writes_nothing_about_its_endpoint() {
    let (world, app, ep) = world_with(GOOD).await;
    for _ in 0..20 {
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    let stored = world.stored.lock().unwrap();
    let item = stored.values().find(|item| item.key.sk == format!("EP#{ep}")).unwrap();
    assert_eq!(item.rev, 1);
    assert_eq!(item.by_time, None);
}

/// The requests of the portal's pages, which .ci/portal holds the pages to.
const OPENED: &str = include_str!("../.ci/browser/opened.json");

#[tokio::test]
async fn a_failing_endpoint_of_a_large_customer_is_opened_for_at_most_twenty_one_read_units() {
    let (world, app, ep) = world_with(BAD).await;
    for n in 0..200 {
        let kind = json!({"name": format!("group_{}.event_{n}", n % 12), "description": "d",
            "schemas": {"1": {"type": "object", "examples": [{"n": n}]}}});
        assert_eq!(world.call("POST", "/api/v1/event-type", kind).await.status, 201);
    }
    for n in 1..40 {
        let url = format!("http://127.0.0.1:9/{n}");
        world.endpoint_with(&app, json!({"url": url, "eventTypes": ["none"]})).await;
    }
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("server", "cloudflare"),
        ("x-request-id", "6f1c2d1e-1f0b-4e36-9a52-0d6f1f0b4e36"),
        ("cf-ray", "8e1f6a0c3b7d2a91-FRA"),
        ("date", "Thu, 26 Nov 2026 14:05:31 GMT"),
    ];
    world.network.always(BAD, answer_with(500, "ok", &headers));
    for _ in 0..300 {
        world.publish(&app, json!({"some": "payload"})).await;
    }
    world.dispatch_all().await;
    world.advance_s(7);
    world.dispatch_all().await;
    let token = visitor(&world, &app, json!({})).await;
    let opened: Value = serde_json::from_str(OPENED).unwrap();
    let before = world.meter.usage().read_units;
    for request in opened["/endpoints/{ep}"].as_array().unwrap() {
        let path = request.as_str().unwrap().strip_prefix("GET ").unwrap();
        let path = path.replace("{app}", &app).replace("{ep}", &ep);
        let reply = world.call_as(&token, "GET", &format!("/api/v1{path}"), Value::Null).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }
    let units = world.meter.usage().read_units - before;
    assert!(units <= 21.0, "{units}");
}

#[tokio::test]
async fn an_open_page_looks_for_what_is_new_for_a_few_read_units() {
    /// Most of one look: the application, its endpoint, and the latest attempt.
    const MOST: f64 = 3.0;
    let (world, app, ep) = world_with(BAD).await;
    world.network.always(BAD, answer_with(500, &"no ".repeat(500), &[("server", "nginx")]));
    for _ in 0..30 {
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    let token = visitor(&world, &app, json!({})).await;
    for path in [format!("/attempt/endpoint/{ep}"), "/msg".to_owned()] {
        let path = format!("/api/v1/app/{app}{path}?limit=1&with_content=false");
        let before = world.meter.usage().read_units;
        let reply = world.call_as(&token, "GET", &path, Value::Null).await;
        assert_eq!(reply.body["data"].as_array().unwrap().len(), 1);
        let units = world.meter.usage().read_units - before;
        assert!(units <= MOST, "{path}: {units}");
    }
}

#[tokio::test]
async fn an_overview_is_what_its_parts_say_one_by_one() {
    for messages in [0, 3, 8, 9, 60] {
        let (world, app, ep) = world_with(BAD).await;
        for n in 0..messages {
            world.network.next(BAD, answer(if n % 3 == 0 { 200 } else { 500 }));
            world.publish(&app, json!({})).await;
        }
        world.dispatch_all().await;
        for advance_s in [0, 7, 25 * 3_600] {
            world.advance_s(advance_s);
            world.dispatch_all().await;
            let get = async |path: String| {
                let path = format!("/api/v1/app/{app}{path}");
                let reply = world.call("GET", &path, Value::Null).await;
                assert_eq!(reply.status, 200, "{path}: {reply:?}");
                reply.body
            };
            let seen = get(format!("/endpoint/{ep}/overview")).await;
            assert_eq!(seen["endpoint"], get(format!("/endpoint/{ep}")).await);
            assert_eq!(seen["health"], get(format!("/endpoint/{ep}/health")).await);
            let listed = get(format!("/delivery?endpoint_id={ep}&limit=8")).await;
            assert_eq!(seen["deliveries"], listed, "{messages} messages, {advance_s} s later");
        }
    }
}

#[tokio::test]
async fn all_endpoints_are_seen_in_one_request_with_pictures_that_add_up() {
    let (world, app, good) = world_with(GOOD).await;
    let bad = world.endpoint(&app, BAD).await;
    let idle = world
        .endpoint_with(&app, json!({"url": "http://127.0.0.1:9/idle", "channels": ["none"]}))
        .await;
    world.network.always(BAD, answer(404));
    for _ in 0..5 {
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/health");
    let body = world.call("GET", &path, Value::Null).await.body;
    let of = |ep: &str| {
        let all = body["data"].as_array().unwrap();
        all.iter().find(|one| one["endpointId"] == ep).unwrap().clone()
    };
    let sum = |bars: &Value| {
        bars.as_array().unwrap().iter().map(|bar| bar.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(of(&good)["state"], "healthy");
    assert_eq!(of(&bad)["state"], "failing");
    assert_eq!(of(&idle)["state"], "idle");
    assert_eq!(sum(&of(&good)["picture"]["success"]), 5);
    assert_eq!(sum(&of(&bad)["picture"]["fail"]), 5);
    assert_eq!(of(&good)["p95Ms"], 7);
}

#[tokio::test]
async fn however_many_endpoints_there_are_page_by_page_all_are_seen() {
    let (world, app) = World::with_application().await;
    let mut made = Vec::new();
    for n in 0..120 {
        made.push(world.endpoint(&app, &format!("http://127.0.0.1:9/{n}")).await);
    }
    made.sort();
    for limit in [7, 50, 250] {
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/app/{app}/health?order=ascending&limit={limit}{next}");
            let page = world.call("GET", &path, Value::Null).await.body;
            let ids = page["data"].as_array().unwrap().iter().map(|one| text(&one["endpointId"]));
            let ids: Vec<String> = ids.collect();
            assert!(ids.len() <= limit.min(50), "{} reads for {limit}", ids.len());
            seen.extend(ids);
            if page["done"] == true {
                break;
            }
            next = format!("&iterator={}", text(&page["iterator"]));
        }
        assert_eq!(seen, made, "{limit}");
    }
}

#[tokio::test]
async fn an_endpoint_that_moves_begins_anew_and_is_not_disabled_for_what_was_before() {
    let (world, app, ep) = world_with(BAD).await;
    world.network.always(BAD, answer(500));
    world.network.always(GOOD, answer(500));
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &path, json!({"retrySchedule": []})).await;
    let give_up = async || {
        world.publish(&app, json!({})).await;
        world.dispatch_all().await;
    };
    give_up().await;
    world.advance_s(6 * 86_400);
    world.call("PATCH", &path, json!({"url": GOOD})).await;
    give_up().await;
    assert_eq!(world.call("GET", &path, Value::Null).await.body["disabled"], false);
    world.advance_s(6 * 86_400);
    give_up().await;
    assert_eq!(world.call("GET", &path, Value::Null).await.body["disabled"], true);
}

#[tokio::test]
async fn an_endpoint_that_is_disabled_fails_no_more_on_any_record() {
    for by in ["request", "gone", "failing"] {
        let (world, app, ep) = world_with(BAD).await;
        world.network.always(BAD, answer(500));
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        world.call("PATCH", &path, json!({"retrySchedule": []})).await;
        let publish = async || {
            world.publish(&app, json!({})).await;
            world.dispatch_all().await;
        };
        publish().await;
        let stored = || {
            let stored = world.stored.lock().unwrap();
            let item = stored.values().find(|item| item.key.sk == format!("EP#{ep}")).unwrap();
            serde_json::from_str::<Value>(&item.doc).unwrap()
        };
        let records =
            |doc: &Value| [doc.get("failing").cloned(), doc["health"].get("failing").cloned()];
        assert!(records(&stored()).iter().all(Option::is_some), "{by}: {}", stored());
        match by {
            "request" => drop(world.call("PATCH", &path, json!({"disabled": true})).await),
            "gone" => {
                world.network.always(BAD, answer(410));
                publish().await;
            }
            _ => {
                world.advance_s(6 * 86_400);
                publish().await;
            }
        }
        assert_eq!(stored()["disabled"], true, "{by}");
        assert_eq!(records(&stored()), [None, None], "{by}");
    }
}

#[tokio::test]
async fn what_arrived_and_what_was_given_up_waits_for_nothing() {
    let (world, app, ep) = world_with(BAD).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &path, json!({"retrySchedule": [60]})).await;
    world.network.always(BAD, answer(500));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(health(&world, &app, &ep).await["waiting"], 1, "one of two attempts was made");
    world.live_s(120).await;
    assert_eq!(health(&world, &app, &ep).await["waiting"], 0, "both were");
    world.network.always(BAD, answer(200));
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.network.always(BAD, answer(500));
    let resend = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &resend, json!({})).await.status, 202);
    world.dispatch_all().await;
    let seen = health(&world, &app, &ep).await;
    assert_eq!((&seen["waiting"], &seen["failed"]), (&0.into(), &3.into()), "it arrived");
}

#[tokio::test]
async fn whoever_disabled_an_endpoint_is_on_record() {
    let (world, app, gone) = world_with(BAD).await;
    world.network.always(BAD, answer(410));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let other = world.endpoint(&app, GOOD).await;
    let path = format!("/api/v1/app/{app}/endpoint/{other}");
    world.call("PATCH", &path, json!({"disabled": true})).await;
    let customers = visitor(&world, &app, json!({})).await;
    let own = world.endpoint(&app, GOOD).await;
    let at = format!("/api/v1/app/{app}/endpoint/{own}");
    world.call_as(&customers, "PATCH", &at, json!({"disabled": true})).await;
    let body = json!({"url": GOOD, "disabled": true});
    let born = world.call("POST", &format!("/api/v1/app/{app}/endpoint"), body).await;
    let born = text(&born.body["id"]);
    let expected = [(&gone, "gone"), (&other, "operator"), (&own, "customer"), (&born, "operator")];
    for (ep, by) in expected {
        let seen = health(&world, &app, ep).await;
        assert_eq!((&seen["state"], &seen["disabledBy"]), (&"disabled".into(), &by.into()));
        assert!(seen["disabledAt"].is_string());
    }
    world.call("PATCH", &path, json!({"disabled": false})).await;
    assert_eq!(health(&world, &app, &other).await["disabledBy"], Value::Null);
}

#[tokio::test]
async fn deliveries_are_listed_with_their_state_and_by_it() {
    let (world, app, good) = world_with(GOOD).await;
    let bad = world.endpoint(&app, BAD).await;
    world.network.next(BAD, answer(503));
    let failing = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.advance_s(1);
    let fine = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let list = async |query: &str| {
        let path = format!("/api/v1/app/{app}/delivery?{query}");
        let reply = world.call("GET", &path, Value::Null).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["data"].as_array().unwrap().clone()
    };
    let all = list("").await;
    assert_eq!(all.len(), 2);
    let row = all.iter().find(|row| row["id"] == failing.as_str()).unwrap();
    assert_eq!((&row["state"], &row["status"]), (&"failing".into(), &503.into()));
    assert_eq!((&row["delivered"], &row["endpoints"]), (&1.into(), &2.into()));
    assert_eq!((&row["attempt"], &row["attempts"]), (&1.into(), &8.into()));
    assert!(row["nextAttempt"].is_string());
    for (query, expected) in [
        ("state=failing".to_owned(), vec![&failing]),
        ("state=delivered".to_owned(), vec![&fine]),
        (format!("endpoint_id={bad}&state=failing"), vec![&failing]),
        (format!("endpoint_id={good}"), vec![&fine, &failing]),
        ("event_types=other".to_owned(), vec![]),
    ] {
        let ids: Vec<String> = list(&query).await.iter().map(|row| text(&row["id"])).collect();
        assert_eq!(ids, expected.into_iter().cloned().collect::<Vec<_>>(), "{query}");
    }
    let wrong = format!("/api/v1/app/{app}/delivery?state=odd");
    assert_eq!(world.call("GET", &wrong, Value::Null).await.status, 400);
}

#[tokio::test]
async fn a_visitor_follows_the_tasks_of_the_own_application_and_of_no_other() {
    let (world, app, ep) = world_with(GOOD).await;
    let token = visitor(&world, &app, json!({})).await;
    let since = json!({"since": world.ambient.now().to_rfc3339()});
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/bulk-replay");
    let begun = world.call_as(&token, "POST", &path, since).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let task = text(&begun.body["id"]);
    let seen = world
        .call_as(&token, "GET", &format!("/api/v1/app/{app}/background-task/{task}"), Value::Null)
        .await;
    assert_eq!((seen.status.as_u16(), &seen.body["status"]), (200, &"finished".into()));
    let other = world.application().await;
    let path = format!("/api/v1/app/{other}/background-task/{task}");
    assert_eq!(world.call("GET", &path, Value::Null).await.status, 404);
}

async fn world_with(url: &str) -> (World, String, String) {
    World::with_endpoint(url).await
}

async fn health(world: &World, app: &str, ep: &str) -> Value {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/health");
    let reply = world.call("GET", &path, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

/// The ids of the endpoints in the operator's list.
async fn failing(world: &World) -> Vec<String> {
    let reply = world.call("GET", "/api/v1/operator/failing", Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().unwrap().iter().map(|one| text(&one["endpointId"])).collect()
}

async fn visitor(world: &World, app: &str, body: Value) -> String {
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    text(&world.call("POST", &path, body).await.body["token"])
}

#[tokio::test]
async fn of_many_deliveries_that_find_an_endpoint_gone_one_says_that_it_was_disabled() {
    let (log, _guard) = Captured::everything();
    let (world, app, _) = world_with(BAD).await;
    world.network.always(BAD, answer(410));
    for _ in 0..15 {
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    let said = |line: &&String| line.contains("disabled: it answered that it is gone");
    assert_eq!(log.lines().iter().filter(said).count(), 1);
}
