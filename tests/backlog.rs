//! What waits for an endpoint's rate has no attempt yet, and is a delivery all the same: it is
//! seen, counted, canceled, given up with a reason, and brought back.

use serde_json::{Value, json};

use crate::support::network::header;
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";
/// Statuses of Svix's API.
const PENDING: u64 = 1;
const FAIL: u64 = 2;
const CANCELED: u64 = 4;

#[tokio::test]
async fn what_was_given_up_while_it_waited_for_the_rate_arrives_when_it_is_recovered() {
    arrives_after("recover").await;
}

#[tokio::test]
async fn what_was_given_up_while_it_waited_for_the_rate_is_missing_and_replayed_as_such() {
    arrives_after("replay-missing").await;
}

#[tokio::test]
async fn what_was_given_up_while_it_waited_for_the_rate_arrives_by_a_bulk_replay() {
    arrives_after("bulk-replay").await;
}

/// Six events at one a second; the endpoint is disabled while five of them come due.
async fn arrives_after(task: &str) {
    let (world, app, ep) = stage().await;
    let since = world.ambient.now().to_rfc3339();
    let published = backlog(&world, &app, 6).await;
    assert_eq!(arrived(&world).len(), 1);
    disabled_for_a_minute(&world, &app, &ep).await;
    assert_eq!(arrived(&world).len(), 1);
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/{task}");
    let begun = world.call("POST", &path, json!({"since": since})).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let mut so_far = Vec::new();
    for _ in 0..3 {
        world.dispatch_all().await;
        so_far.push(arrived(&world).len());
        world.advance_s(1);
    }
    // At the rate, all the same. A bulk replay sends again what was sent, too.
    assert_eq!(so_far, [2, 3, 4], "{task}");
    world.live_s(30).await;
    let mut ids = arrived(&world);
    let again = usize::from(task == "bulk-replay");
    assert_eq!(ids.len(), 6 + again, "{task}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids, published, "{task}");
    assert_eq!(statuses(&world, &app, &ep).await, [0; 6], "{task}");
}

#[tokio::test]
async fn what_waits_for_the_rate_is_listed_as_pending_and_then_as_failed_with_a_reason() {
    let (world, app, ep) = stage().await;
    backlog(&world, &app, 6).await;
    assert_eq!(statuses(&world, &app, &ep).await, [0, 1, 1, 1, 1, 1]);
    for shown in list(&world, &app, &ep, "status=1").await {
        assert!(shown["nextAttempt"].is_string(), "{shown}");
        assert_eq!(shown["reason"], Value::Null);
        assert_eq!(standing(&world, &app, &shown["id"]).await["status"], PENDING);
    }
    disabled_for_a_minute(&world, &app, &ep).await;
    assert_eq!(statuses(&world, &app, &ep).await, [0, 2, 2, 2, 2, 2]);
    let failed = list(&world, &app, &ep, "status=2").await;
    assert_eq!(failed.len(), 5);
    for shown in failed {
        assert_eq!(shown["reason"], "endpoint disabled");
        let standing = standing(&world, &app, &shown["id"]).await;
        assert_eq!(
            (&standing["status"], &standing["reason"]),
            (&json!(FAIL), &json!("endpoint disabled"))
        );
    }
}

#[tokio::test]
async fn statistics_count_what_waits_for_the_rate_as_pending() {
    let (world, app, ep) = stage().await;
    backlog(&world, &app, 6).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/stats");
    let counted = async || {
        let stats = world.call("GET", &path, Value::Null).await.body;
        [&stats["success"], &stats["pending"], &stats["fail"]].map(|it| it.as_u64().unwrap())
    };
    assert_eq!(counted().await, [1, 5, 0]);
    disabled_for_a_minute(&world, &app, &ep).await;
    assert_eq!(counted().await, [1, 0, 5]);
}

#[tokio::test]
async fn a_backlog_is_canceled_page_by_page() {
    let (world, app, ep) = stage().await;
    let since = world.ambient.now().to_rfc3339();
    backlog(&world, &app, 620).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/cancel-msgs");
    let mut body = json!({"since": since});
    let mut canceled = Vec::new();
    loop {
        let reply = world.call("POST", &path, body.clone()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        canceled.push(reply.body["canceled"].as_u64().unwrap());
        if reply.body["done"] == true {
            break;
        }
        body["iterator"] = reply.body["iterator"].clone();
    }
    assert!(canceled.len() >= 3, "{canceled:?}");
    assert_eq!(canceled.iter().sum::<u64>(), 619);
    world.live_s(700).await;
    assert_eq!(arrived(&world).len(), 1);
    let shown = list(&world, &app, &ep, "status=4").await;
    assert!(!shown.is_empty());
    assert!(shown.iter().all(|shown| shown["status"] == CANCELED), "{shown:?}");
}

/// An application whose endpoint takes one event a second.
async fn stage() -> (World, String, String) {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    (world, app, ep)
}

/// Publishes so many events, of which one goes out; their ids in order.
async fn backlog(world: &World, app: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(world.publish(app, json!({"n": n})).await);
    }
    world.dispatch_all().await;
    ids.sort();
    ids
}

/// Everything that comes due in that minute is given up.
async fn disabled_for_a_minute(world: &World, app: &str, ep: &str) {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    for (disabled, seconds) in [(true, 60), (false, 0)] {
        let changed = world.call("PATCH", &path, json!({"disabled": disabled})).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        world.live_s(seconds).await;
    }
}

/// The messages of all requests so far.
fn arrived(world: &World) -> Vec<String> {
    world.network.sent().iter().map(|sent| header(sent, "webhook-id").to_owned()).collect()
}

/// What the endpoint was sent or is to be sent, newest first.
async fn list(world: &World, app: &str, ep: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/msg?{query}");
    let reply = world.call("GET", &path, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("a list").clone()
}

/// How far each message is with the endpoint, sorted: all were published in one moment.
async fn statuses(world: &World, app: &str, ep: &str) -> Vec<u64> {
    let listed = list(world, app, ep, "").await;
    let mut statuses: Vec<u64> =
        listed.iter().map(|shown| shown["status"].as_u64().expect("a status")).collect();
    statuses.sort_unstable();
    statuses
}

/// How far a message is with its only endpoint.
async fn standing(world: &World, app: &str, msg: &Value) -> Value {
    let path = format!("/api/v1/app/{app}/msg/{}/endpoint", text(msg));
    world.call("GET", &path, Value::Null).await.body["data"][0].clone()
}
