//! What the work would cost on AWS: DynamoDB units and SQS sends of each part, counted at the
//! ports. What the queue bills for receiving and deleting comes on top: 0.2 requests a record
//! in batches of ten.
//!
//! The figures are exact, so that a change of price shows. Receive reads the application at
//! every request here unless a test lets it remember, as the function on Lambda does.

use crate::counting::Usage;
use dispatch::Settings;
use serde_json::{Value, json};
use shared::domain::attempt::EXCERPT_BYTES;
use shared::domain::circuit::OPENS_AFTER;
use shared::domain::schedule::Schedule;
use shared::sender::Ending;
use shared::store::{Cached, Directory, Need};

use crate::support::network::{answer, answer_with};
use crate::support::world::{Builder, World};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn a_kibibyte_to_one_endpoint_costs_four_writes_one_read_and_one_send() {
    let (mut world, app) = world_with(Settings::default()).await;
    remember(&mut world, &app).await;
    let whole = cost(&world, async {
        world.publish(&app, event()).await;
        world.dispatch_all().await;
    })
    .await;
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(billed(&whole), (4, 1.0, 1));
}

#[tokio::test]
async fn publishing_costs_two_writes_and_one_send_and_a_read_only_when_the_application_is_new() {
    let (mut world, app) = world_with(Settings::default()).await;
    let publish = cost(&world, world.publish(&app, event())).await;
    assert_eq!(billed(&publish), (2, 1.0, 1));
    remember(&mut world, &app).await;
    let publish = cost(&world, world.publish(&app, event())).await;
    assert_eq!(billed(&publish), (2, 0.0, 1));
    assert_eq!(publish.store_calls, 1);
}

#[tokio::test]
async fn what_a_source_takes_costs_what_publishing_does_and_what_it_refuses_a_read_and_one_note() {
    let (world, app) = world_with(Settings::default()).await;
    let source = json!({"name": "s", "type": "generic-webhook", "app": app,
        "config": {"secret": "token"}, "verification": {"scheme": "bearer"}});
    let made = world.call("POST", "/ingest/api/v1/source", source).await;
    let path = format!("/in/{}", made.body["id"].as_str().unwrap());
    let event = || json!({"type": "a", "data": "x".repeat(900)});
    // The source is read anew each time in these tests, and remembered for half a minute else.
    let taken = cost(&world, world.call_as("token", "POST", &path, event())).await;
    assert_eq!(billed(&taken), (2, 2.0, 1));
    for note in [1, 0, 0] {
        let refused = cost(&world, world.call_as("no token", "POST", &path, event())).await;
        assert_eq!(billed(&refused), (2 * note, 1.0, 0), "it is noted once a minute");
    }
}

#[tokio::test]
async fn a_first_attempt_that_succeeds_costs_two_writes_and_one_read() {
    let (world, app) = world_with(Settings::default()).await;
    world.publish(&app, event()).await;
    let dispatch = cost(&world, world.dispatch_all()).await;
    assert_eq!(billed(&dispatch), (2, 1.0, 0));
    assert_eq!(dispatch.store_calls, 2);
}

#[tokio::test]
async fn a_message_older_than_a_lease_costs_one_read_more_and_no_write() {
    let (world, app) = world_with(Settings::default()).await;
    for n in 1..10 {
        world.endpoint(&app, &format!("{URL}/{n}")).await;
    }
    world.publish(&app, event()).await;
    world.advance_s(60);
    let dispatch = cost(&world, world.dispatch_all()).await;
    assert_eq!(world.network.sent().len(), 10);
    // It is looked up for all its endpoints at once.
    assert_eq!(billed(&dispatch), (20, 2.0, 0));
    assert_eq!(dispatch.store_calls, 12);
}

#[tokio::test]
async fn a_batch_reads_its_application_once() {
    let (world, app) = world_with(Settings::default()).await;
    for _ in 0..10 {
        world.publish(&app, event()).await;
    }
    let dispatch = cost(&world, world.dispatch_all()).await;
    assert_eq!(world.network.sent().len(), 10);
    assert_eq!(billed(&dispatch), (20, 1.0, 0));
}

#[tokio::test]
async fn a_batch_under_a_rate_asks_for_it_once() {
    let world = World::build(Builder::default());
    let app = world.application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 100})).await;
    for _ in 0..10 {
        world.publish(&app, event()).await;
    }
    let dispatch = cost(&world, world.dispatch_all()).await;
    assert_eq!(world.network.sent().len(), 10);
    assert_eq!(billed(&dispatch), (20 + 1, 1.0 + 1.0, 0));
}

#[tokio::test]
async fn ten_endpoints_cost_two_writes_each_and_the_message_once() {
    let (world, app) = world_with(Settings::default()).await;
    for n in 1..10 {
        world.endpoint(&app, &format!("{URL}/{n}")).await;
    }
    let publish = cost(&world, world.publish(&app, event())).await;
    let dispatch = cost(&world, world.dispatch_all()).await;
    assert_eq!(world.network.sent().len(), 10);
    // Ten endpoints and their application fit in one read unit.
    assert_eq!(billed(&publish), (2, 1.0, 1));
    assert_eq!(billed(&dispatch), (20, 1.0, 0));
}

#[tokio::test]
async fn a_payload_that_does_not_deflate_costs_what_it_weighs() {
    for (bytes, writes) in [(1_024, 3), (10 * 1_024, 9), (100 * 1_024, 78)] {
        let (world, app) = world_with(Settings::default()).await;
        let payload = noise(&world, bytes);
        let publish = cost(&world, world.publish(&app, payload)).await;
        assert_eq!(publish.write_units, writes, "{bytes} bytes");
        let dispatch = cost(&world, world.dispatch_all()).await;
        assert_eq!(billed(&dispatch), (2, 1.0, 0), "{bytes} bytes");
    }
}

#[tokio::test]
async fn a_first_attempt_that_fails_costs_six_writes_one_read_and_one_send() {
    let (world, app) = world_with(Settings::default()).await;
    world.network.next(URL, answer(500));
    world.publish(&app, event()).await;
    let dispatch = cost(&world, world.dispatch_all()).await;
    assert_eq!(billed(&dispatch), (6, 1.0, 1));
}

#[tokio::test]
async fn headers_of_an_answer_cost_nothing_however_long_it_and_they_are() {
    let long = "h".repeat(250);
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("retry-after", "120"),
        ("server", "cloudflare"),
        ("cf-ray", "8e1f6a0c3b7d2a91-FRA"),
        ("date", "Thu, 26 Nov 2026 14:05:31 GMT"),
        ("x-a", &long),
        ("x-b", &long),
    ];
    let mut without = 0;
    let bodies: Vec<usize> = (0..=EXCERPT_BYTES).step_by(16).collect();
    let count = bodies.len();
    for bytes in bodies {
        let costs = async |headers: &[(&str, &str)]| {
            let (world, app) = world_with(Settings::default()).await;
            world.network.next(URL, answer_with(500, &"x".repeat(bytes), headers));
            let msg = world.publish(&app, event()).await;
            let billed = billed(&cost(&world, world.dispatch_all()).await);
            let kept = world.attempts(&app, &msg).await[0]["responseHeaders"].clone();
            (billed, kept.as_array().map_or(0, Vec::len))
        };
        let (bare, with) = (costs(&[]).await, costs(&headers).await);
        assert_eq!(with.0, bare.0, "{bytes} bytes of body");
        if bytes <= 128 {
            assert!(with.1 >= 5, "a short answer has room for what tells: {with:?}");
        }
        without += usize::from(with.1 == 0);
    }
    // Where the unit is full to the last bytes nothing fits.
    assert!(without * 20 <= count, "{without} of {count} have no headers");
}

#[tokio::test]
async fn a_short_retry_costs_nine_writes_three_reads_one_write_more_if_it_fails_and_a_change_of_health()
 {
    let (world, app) = world_with(Settings::default()).await;
    world.network.next(URL, answer(500));
    world.network.next(URL, answer(500));
    world.publish(&app, event()).await;
    world.dispatch_all().await;
    world.advance_s(7);
    let fails = cost(&world, world.dispatch_all()).await;
    world.advance_s(7 * 60);
    let succeeds = cost(&world, world.dispatch_all()).await;
    assert_eq!(world.network.sent().len(), 3);
    // The endpoint has failed twice in a row: that is written down once, and once that it is over.
    assert_eq!(billed(&fails), (10 + 2, 3.0 + 1.0, 1));
    assert_eq!(billed(&succeeds), (9 + 2, 3.0 + 1.0, 0));
}

#[tokio::test]
async fn a_delivery_that_waits_for_its_endpoint_does_not_read_its_message() {
    for bytes in [1_024, 200 * 1_024] {
        let (world, app) = world_with(Settings::default()).await;
        world.network.next(URL, answer(500));
        let payload = noise(&world, bytes);
        world.publish(&app, payload).await;
        world.dispatch_all().await;
        world.network.always(URL, Ending::TimedOut);
        for _ in 0..OPENS_AFTER {
            world.publish(&app, event()).await;
        }
        world.dispatch().await;
        world.advance_s(6);
        let sent = world.network.sent().len();
        let waits = cost(&world, world.dispatch()).await;
        assert_eq!(world.network.sent().len(), sent);
        // Each of the six reads its delivery and moves it on; all of them read their application.
        let all = u64::from(OPENS_AFTER) + 1;
        assert_eq!(waits.read_units, (all + 1) as f64, "{bytes} bytes: {waits:?}");
    }
}

#[tokio::test]
async fn a_retry_of_an_application_with_many_endpoints_reads_one_of_them() {
    let (world, app) = world_with(Settings::default()).await;
    for n in 0..60 {
        let body = json!({"url": format!("{URL}/{n}"), "filterTypes": ["another.type"]});
        world.endpoint_with(&app, body).await;
    }
    world.network.next(URL, answer(500));
    world.publish(&app, event()).await;
    let whole = cost(&world, world.dispatch_all()).await.read_units;
    assert!(whole > 5.0, "all of them are read for an event: {whole}");
    world.advance_s(7);
    let retry = cost(&world, world.dispatch_all()).await;
    // Its delivery, its message, its application, its endpoint.
    assert_eq!(billed(&retry), (9, 4.0, 0));
    // Who keeps what was read has read it.
    let kept = Cached::new(world.clock.clone(), shared::store::APPLICATION_TTL_MS);
    let (keeps, app) = (Directory::cached(world.table.clone(), kept), app.parse().unwrap());
    keeps.tenant(&app, Need::Application).await.unwrap();
    let again = cost(&world, keeps.tenant(&app, Need::Application)).await;
    assert_eq!((keeps.is_large(&app), again.store_calls), (false, 0));
}

#[tokio::test]
async fn a_long_retry_costs_three_writes_and_one_send_more_when_it_is_swept() {
    let schedule = Schedule::new(vec![3_600]);
    let (world, app) = world_with(Settings { schedule, ..Settings::default() }).await;
    world.network.next(URL, answer(500));
    world.publish(&app, event()).await;
    let fails = cost(&world, world.dispatch_all()).await;
    assert_eq!(billed(&fails), (6, 1.0, 0));
    world.advance_s(2 * 3_600);
    let sweep = cost(&world, world.sweep()).await;
    assert_eq!(billed(&sweep), (3, 32.0, 1));
    let succeeds = cost(&world, world.dispatch_all()).await;
    assert_eq!(billed(&succeeds), (9, 3.0, 0));
}

#[tokio::test]
async fn an_idle_sweep_costs_thirty_two_reads() {
    let (world, app) = world_with(Settings::default()).await;
    world.publish(&app, event()).await;
    world.dispatch_all().await;
    let sweep = cost(&world, world.sweep()).await;
    assert_eq!(billed(&sweep), (0, 32.0, 0));
}

#[tokio::test]
async fn a_retry_that_came_too_late_costs_one_read() {
    let (world, app) = world_with(Settings::default()).await;
    let ep = world.call("GET", &format!("/api/v1/app/{app}/endpoint"), Value::Null).await;
    let ep = ep.body["data"][0]["id"].as_str().unwrap().to_owned();
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, event()).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &path, Value::Null).await.status, 202);
    world.dispatch_all().await;
    world.advance_s(7);
    let dropped = cost(&world, world.dispatch_all()).await;
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(billed(&dropped), (0, 1.0, 0));
}

#[tokio::test]
async fn a_lease_before_every_first_attempt_costs_six_writes_more() {
    let (world, app) = world_with(Settings { always_lease: true, ..Settings::default() }).await;
    world.publish(&app, event()).await;
    let dispatch = cost(&world, world.dispatch_all()).await;
    assert_eq!(billed(&dispatch), (8, 1.0, 0));
}

/// A world with an application that has an endpoint.
async fn world_with(settings: Settings) -> (World, String) {
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    (world, app)
}

/// From now on receive keeps applications for a while, and it has seen this one.
async fn remember(world: &mut World, app: &str) {
    let kept = Cached::new(world.clock.clone(), shared::store::APPLICATION_TTL_MS);
    world.receiver.directory = Directory::cached(world.table.clone(), kept);
    world.publish(app, json!({})).await;
    world.dispatch_all().await;
}

/// What this work costs.
async fn cost<T>(world: &World, work: impl Future<Output = T>) -> Usage {
    let before = world.meter.usage();
    work.await;
    world.meter.usage().since(&before)
}

/// Write units, read units and sends.
fn billed(usage: &Usage) -> (u64, f64, u64) {
    (usage.write_units, usage.read_units, usage.sqs_requests)
}

/// A kibibyte of JSON as events are: names, ids, amounts, dates.
fn event() -> Value {
    let transactions: Vec<Value> = (0..5)
        .map(|n| {
            json!({
                "id": 48_213 + n,
                "type": "balance",
                "amount": 125_000 + 37 * n,
                "source_name": "Operating account",
                "destination_name": "Northwind Payouts Inc.",
                "created": format!("2026-11-20T14:05:3{n}Z"),
            })
        })
        .collect();
    let event = json!({
        "transfer_id": "b120a366-f0bb-49cf-82f2-dc05873f9bd0",
        "user_id": "9dfb369b-ab13-4fae-a276-55daa05f1119",
        "account_id": "78b7d0ac-8477-4ce0-8e4c-da11b43c589b",
        "external_id": "ach_9a4cbd787f6c813e_20261120",
        "status": "completed",
        "transactions": transactions,
    });
    assert_eq!(event.to_string().len(), 1_024);
    event
}

/// JSON of about this size in 64 characters without a pattern: it deflates to three quarters.
fn noise(world: &World, bytes: usize) -> Value {
    const CHARACTERS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = vec![0; bytes];
    world.ambient.entropy.fill(&mut random);
    let character = |byte: u8| char::from(CHARACTERS[usize::from(byte % 64)]);
    json!({"noise": random.into_iter().map(character).collect::<String>()})
}
