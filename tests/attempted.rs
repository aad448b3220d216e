//! What an endpoint was sent, message by message and in numbers.

use serde_json::{Value, json};

use crate::support::network::answer;
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

async fn list(world: &World, app: &str, ep: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/msg{query}");
    let reply = world.call("GET", &path, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().unwrap().clone()
}

async fn stats(world: &World, app: &str, ep: &str, query: &str) -> Value {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/stats{query}");
    let reply = world.call("GET", &path, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

/// One message that was taken, one that is being retried, one that failed for good; in the order
/// in which they were sent.
async fn stage() -> (World, String, String, [String; 3]) {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.always(URL, answer(500));
    let failed = world.publish(&app, json!({"n": 1})).await;
    world.live_s(40 * 3600).await;
    world.network.always(URL, answer(200));
    let taken = world.publish(&app, json!({"n": 2})).await;
    world.dispatch_all().await;
    world.advance_s(1);
    world.network.always(URL, answer(500));
    let retried = world.publish(&app, json!({"n": 3})).await;
    world.dispatch_all().await;
    (world, app, ep, [failed, taken, retried])
}

#[tokio::test]
async fn each_message_is_listed_once_with_how_far_it_is() {
    let (world, app, ep, [failed, taken, retried]) = stage().await;
    let listed = list(&world, &app, &ep, "").await;
    let seen: Vec<(String, String, Value)> = listed
        .iter()
        .map(|one| (text(&one["id"]), text(&one["statusText"]), one["payload"]["n"].clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (retried.clone(), "sending".to_owned(), json!(3)),
            (taken.clone(), "success".to_owned(), json!(2)),
            (failed.clone(), "fail".to_owned(), json!(1)),
        ]
    );
    assert!(listed[0]["nextAttempt"].is_string() && listed[1]["nextAttempt"].is_null());
    for (status, expected) in [(0, &taken), (3, &retried), (2, &failed)] {
        let listed = list(&world, &app, &ep, &format!("?status={status}")).await;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0]["id"], expected.as_str());
    }
    let bare = list(&world, &app, &ep, "?with_content=false").await;
    assert_eq!(bare[0]["payload"], json!({}));
}

#[tokio::test]
async fn pages_of_attempted_messages_go_both_ways() {
    let (world, app, ep, [failed, taken, retried]) = stage().await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/msg?limit=2");
    let first = world.call("GET", &path, Value::Null).await.body;
    assert_eq!(first["data"][1]["id"], taken.as_str());
    assert_eq!(first["done"], false);
    let iterator = text(&first["iterator"]);
    let second = world.call("GET", &format!("{path}&iterator={iterator}"), Value::Null).await.body;
    assert_eq!((&second["data"][0]["id"], &second["done"]), (&json!(failed), &json!(true)));
    let prev = text(&second["prevIterator"]);
    let back = world.call("GET", &format!("{path}&iterator={prev}"), Value::Null).await.body;
    assert_eq!(back["data"][0]["id"], retried.as_str());
}

#[tokio::test]
async fn a_page_is_not_empty_because_what_is_wanted_comes_a_little_later() {
    let (world, app, ep, [failed, ..]) = stage().await;
    for _ in 0..5 {
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    world.network.always(URL, answer(200));
    // All of these failed at first, and all but the oldest arrived in the end.
    world.live_s(60).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/msg?status=2&limit=2");
    let page = world.call("GET", &path, Value::Null).await.body;
    assert_eq!(page["data"][0]["id"], failed.as_str(), "{page}");
    assert_eq!(page["done"], true);
}

#[tokio::test]
async fn a_message_that_was_resent_is_still_listed_and_counted_once() {
    let (world, app, ep, [failed, ..]) = stage().await;
    world.network.always(URL, answer(200));
    let resend = format!("/api/v1/app/{app}/msg/{failed}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &resend, Value::Null).await.status, 202);
    world.dispatch().await;
    let listed = list(&world, &app, &ep, "").await;
    let of_it: Vec<&Value> = listed.iter().filter(|one| one["id"] == failed.as_str()).collect();
    assert_eq!(of_it.len(), 1);
    assert_eq!(of_it[0]["statusText"], "success");
}

#[tokio::test]
async fn statistics_count_each_attempt_of_their_window() {
    let (world, app, ep, _) = stage().await;
    let all = json!({"success": 1, "pending": 0, "sending": 0, "fail": 9, "canceled": 0});
    assert_eq!(stats(&world, &app, &ep, "").await, all);
    let now = world.ambient.now();
    let since = now.minus_ms(3_600_000).to_rfc3339();
    let lately = stats(&world, &app, &ep, &format!("?since={since}")).await;
    assert_eq!((&lately["success"], &lately["fail"]), (&json!(1), &json!(1)));
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/stats");
    let long_ago = now.minus_ms(29 * 86_400_000).to_rfc3339();
    for (query, status) in [(format!("?since={long_ago}"), 400), ("?since=x".to_owned(), 400)] {
        let refused = world.call("GET", &format!("{path}{query}"), Value::Null).await;
        assert_eq!(refused.status, status, "{query}");
    }
}

#[tokio::test]
async fn what_a_page_has_to_look_up_is_looked_up_side_by_side() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let mut published = Vec::new();
    for n in 0..20 {
        published.push(world.publish(&app, json!({"n": n})).await);
        world.advance_s(1);
        world.dispatch_all().await;
    }
    published.reverse();
    let of_app = format!("/api/v1/app/{app}");
    for (path, id) in [
        (format!("{of_app}/msg"), "/id"),
        (format!("{of_app}/endpoint/{ep}/msg"), "/id"),
        (format!("{of_app}/attempt/endpoint/{ep}?with_msg=true"), "/msg/id"),
    ] {
        world.gauge.switch_on();
        let page = world.call("GET", &path, Value::Null).await.body;
        let ids: Vec<&str> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.pointer(id).unwrap().as_str().unwrap())
            .collect();
        assert_eq!(ids, published, "{path}");
        assert!(world.gauge.store().most() > 4, "{path}");
    }
}
