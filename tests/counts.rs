//! Attempts in numbers: how they ended, and how near an endpoint is to its rate.

use serde_json::{Value, json};

use crate::support::network::answer;
use crate::support::world::World;

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn every_attempt_counts_as_it_ended() {
    let (world, app, path) = ready(json!({"url": URL})).await;
    world.network.next(URL, answer(500));
    world.network.next(URL, answer(500));
    for _ in 0..3 {
        world.publish(&app, json!({})).await;
    }
    world.live_s(600).await;
    let stats = get(&world, &format!("{path}/attempt-stats")).await;
    assert_eq!(stats, json!({"success": 3, "fail": 2, "canceled": 0}));
}

#[tokio::test]
async fn attempts_are_counted_by_whole_hours() {
    let (world, app, path) = ready(json!({"url": URL})).await;
    // From the beginning of an hour.
    let now = world.ambient.now().as_ms();
    world.clock.advance_ms(3_600_000 - now % 3_600_000);
    let hour = world.ambient.now();
    for minutes in [10, 40, 20] {
        world.advance_s(minutes * 60);
        world.publish(&app, json!({})).await;
        world.dispatch_all().await;
    }
    world.advance_s(3_600);
    let at = |minutes: u64| hour.plus_ms(minutes * 60_000).to_rfc3339();
    for (since, until, count) in
        [(30, 40, 2), (0, 60, 2), (0, 61, 3), (60, 120, 1), (119, 119, 1), (120, 130, 0)]
    {
        let query = format!("since={}&until={}", at(since), at(until));
        let stats = get(&world, &format!("{path}/attempt-stats?{query}")).await;
        assert_eq!(stats["success"], count, "{since} {until}");
    }
    let query = format!("since={}&until={}", at(0), hour.plus_ms(29 * 86_400_000).to_rfc3339());
    let reply = world.call("GET", &format!("{path}/attempt-stats?{query}"), Value::Null).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn an_endpoint_is_at_its_rate_when_it_was_sent_as_much_as_it_asked_for() {
    let (world, app, path) = ready(json!({"url": URL, "throttleRate": 2})).await;
    let status = format!("{path}/rate-limit-status");
    let idle = json!({
        "throttleRate": 2, "applicationThrottleRate": null, "attemptsLastMinute": 0,
        "atLimit": false,
    });
    assert_eq!(get(&world, &status).await, idle);
    for n in 0..40 {
        world.publish(&app, json!({"n": n})).await;
    }
    world.live_s(5).await;
    assert_eq!(get(&world, &status).await["atLimit"], false, "it may send more");
    world.live_s(10).await;
    let busy = get(&world, &status).await;
    assert_eq!(busy["atLimit"], true, "{busy}");
    let sent = world.network.sent().len();
    assert_eq!(busy["attemptsLastMinute"], sent);
    world.live_s(90).await;
    assert_eq!(world.network.sent().len(), 40);
    assert_eq!(get(&world, &status).await, idle);
}

#[tokio::test]
async fn an_endpoint_without_a_rate_is_never_at_it() {
    let (world, app, path) = ready(json!({"url": URL})).await;
    for n in 0..20 {
        world.publish(&app, json!({"n": n})).await;
    }
    world.dispatch_all().await;
    let rate = json!({"name": "C", "throttleRate": 100});
    assert_eq!(world.call("PUT", &format!("/api/v1/app/{app}"), rate).await.status, 200);
    let expected = json!({
        "throttleRate": null, "applicationThrottleRate": 100, "attemptsLastMinute": 20,
        "atLimit": false,
    });
    assert_eq!(get(&world, &format!("{path}/rate-limit-status")).await, expected);
}

/// A world with this endpoint, and the endpoint's path.
async fn ready(endpoint: Value) -> (World, String, String) {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, endpoint).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    (world, app, path)
}

async fn get(world: &World, path: &str) -> Value {
    let reply = world.call("GET", path, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}
