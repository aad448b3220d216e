//! How far a delivery is, in words and numbers, and who asked for an attempt.

use serde_json::{Value, json};

use super::{URL, get};
use crate::support::network::answer;
use crate::support::world::{World, text};

/// An endpoint that fails, with one message that waits for its retry.
async fn stage() -> (World, String, String, String) {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.always(URL, answer(500));
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    (world, app, ep, msg)
}

async fn listed(world: &World, app: &str, ep: &str, status: u8) -> Vec<Value> {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/msg?status={status}");
    get(world, &path).await.body["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_delivery_that_waits_for_its_retry_is_sending() {
    let (world, app, ep, msg) = stage().await;
    let sending = listed(&world, &app, &ep, 3).await;
    assert_eq!(sending.len(), 1);
    let one = &sending[0];
    let said = (&one["id"], &one["status"], &one["statusText"]);
    assert_eq!(said, (&json!(msg), &json!(3), &json!("sending")));
    assert!(one["nextAttempt"].is_string(), "{one}");
    assert!(listed(&world, &app, &ep, 1).await.is_empty());
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
    let there = &get(&world, &path).await.body["data"][0];
    assert_eq!((&there["status"], there["nextAttempt"].is_string()), (&json!(3), true));
    // What waits for its first attempt is pending.
    let rated = json!({"url": "http://127.0.0.1:9/slow", "throttleRate": 1});
    let slow = world.endpoint_with(&app, rated).await;
    for n in 0..2 {
        world.publish(&app, json!({"n": n})).await;
    }
    world.network.always("http://127.0.0.1:9/slow", answer(200));
    world.dispatch().await;
    let pending = listed(&world, &app, &slow, 1).await;
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0]["statusText"], "pending");
}

#[tokio::test]
async fn statistics_count_the_attempts_and_what_waits_for_its_first() {
    let (world, app, ep, msg) = stage().await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/stats");
    let stats = async || get(&world, &path).await.body;
    let counted = |success: u64, fail: u64, pending: u64| json!({"success": success, "fail": fail, "pending": pending, "sending": 0, "canceled": 0});
    assert_eq!(stats().await, counted(0, 1, 0), "a failed one counts at once");
    world.live_s(10).await;
    assert_eq!(stats().await, counted(0, 2, 0), "its retry counts as well");
    world.network.always(URL, answer(200));
    let resend = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &resend, Value::Null).await.status, 202);
    world.dispatch_all().await;
    assert_eq!(stats().await, counted(1, 2, 0), "and what was sent by hand");
    let since = world.ambient.now().plus_ms(1000).to_rfc3339();
    world.advance_s(60);
    assert_eq!(get(&world, &format!("{path}?since={since}")).await.body, counted(0, 0, 0));
    // What waits for its first attempt.
    let rate = json!({"throttleRate": 1});
    world.call("PATCH", &format!("/api/v1/app/{app}/endpoint/{ep}"), rate).await;
    world.advance_s(60);
    for n in 0..3 {
        world.publish(&app, json!({"n": n})).await;
    }
    world.dispatch().await;
    assert_eq!(stats().await, counted(2, 2, 2));
}

#[tokio::test]
async fn attempts_made_by_recover_are_made_by_hand_and_so_are_their_retries() {
    let (world, app) = World::with_application().await;
    let body = json!({"url": URL, "retrySchedule": [5]});
    let ep = world.endpoint_with(&app, body).await;
    world.network.always(URL, answer(500));
    let since = world.ambient.now().to_rfc3339();
    let msg = world.publish(&app, json!({})).await;
    world.live_s(10).await;
    let triggers = async || -> Vec<Value> {
        world.attempts(&app, &msg).await.iter().map(|it| it["triggerType"].clone()).collect()
    };
    assert_eq!(triggers().await, [json!(0), json!(0)]);
    // So that the order does not hang on the random part of their ids.
    world.advance_s(1);
    let recover = format!("/api/v1/app/{app}/endpoint/{ep}/recover");
    assert_eq!(world.call("POST", &recover, json!({"since": since})).await.status, 202);
    world.live_s(10).await;
    let all = triggers().await;
    assert!(all.len() > 2, "{all:?}");
    assert!(all[2..].iter().all(|trigger| *trigger == json!(1)), "{all:?}");
    let path = format!("/api/v1/app/{app}/attempt/endpoint/{ep}");
    let latest = &get(&world, &path).await.body["data"][0];
    let one = format!("/api/v1/app/{app}/msg/{msg}/attempt/{}", text(&latest["id"]));
    assert_eq!(latest["triggerType"], 1);
    assert_eq!(get(&world, &one).await.body["triggerType"], 1);
}
