//! What is counted and measured: each metric by its claim, and how it is written down.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Request;
use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::domain::metrics::{Collector, Metric, Metrics, Readings, Totals, Unit};
use shared::lambda::emf::{self, Emf};
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::{Consumer, MAX_BATCH, Outgoing, Producer, Received};

use crate::support::faults::{Fault, Plan};
use crate::support::network::answer;
use crate::support::world::{Builder, Reply, World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const OTHER: &str = "http://127.0.0.1:9/other";

// Accepted.

#[tokio::test]
async fn a_message_counts_as_accepted_once_however_often_its_publisher_asks() {
    let (world, app) = stage().await;
    for status in [202, 202, 202] {
        assert_eq!(publish_as(&world, &app, "key").await.status, status);
    }
    world.dispatch_all().await;
    assert_eq!(publish_as(&world, &app, "key").await.status, 202);
    let told = world.metrics.take();
    assert_eq!(sum(&told, Metric::Accepted), 1);
    assert_eq!(sum(&told, Metric::Duplicates), 3);
    assert_eq!(sum(&told, Metric::Delivered), 1);
}

#[tokio::test]
async fn a_broadcast_counts_for_each_application_once() {
    let (world, _) = stage().await;
    world.application().await;
    let body = json!({"eventType": "a.b", "eventId": "news", "payload": {}});
    for _ in 0..2 {
        let begun = world.call("POST", "/api/v1/msg/broadcast", body.clone()).await;
        assert_eq!(begun.status, 202, "{begun:?}");
        world.live_s(60).await;
    }
    assert_eq!(sum(&world.metrics.take(), Metric::Accepted), 2);
}

#[tokio::test]
async fn an_event_of_a_name_that_is_taken_counts_as_a_duplicate() {
    let (world, app) = stage().await;
    let path = format!("/api/v1/app/{app}/msg");
    let body = json!({"eventType": "a.b", "eventId": "order-1", "payload": {}});
    assert_eq!(world.call("POST", &path, body.clone()).await.status, 202);
    assert_eq!(world.call("POST", &path, body).await.status, 409);
    assert_eq!(counts(&world), [(Metric::Accepted, 1), (Metric::Duplicates, 1)]);
}

#[tokio::test]
async fn what_is_refused_counts_nowhere() {
    let (world, app) = stage().await;
    let path = format!("/api/v1/app/{app}/msg");
    let wrong = world.call("POST", &path, json!({"eventType": "no type", "payload": {}})).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(world.call_as("none", "POST", &path, json!({})).await.status, 401);
    assert_eq!(counts(&world), []);
}

#[tokio::test]
async fn a_message_whose_place_in_the_queue_was_not_acknowledged_counts_once_when_asked_again() {
    let plan = Plan::new(Vec::new());
    let world = World::build(Builder { plan: plan.clone(), ..Builder::default() });
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.metrics.take();
    // The application, the store, the queue, and that once more.
    plan.fail_after(2, Fault::Before);
    plan.fail_after(3, Fault::Before);
    assert_eq!(publish_as(&world, &app, "key").await.status, 503);
    assert_eq!(publish_as(&world, &app, "key").await.status, 202);
    assert_eq!(counts(&world), [(Metric::Accepted, 1)]);
}

#[tokio::test]
async fn a_message_that_waits_for_its_time_counts_when_it_is_accepted_and_its_latency_from_its_time()
 {
    let (world, app) = stage().await;
    let at = world.ambient.now().plus_ms(3_600_000);
    let body = json!({
        "eventType": "a.b", "eventId": "later", "payload": {}, "deliverAt": at.to_rfc3339(),
    });
    let path = format!("/api/v1/app/{app}/msg");
    assert_eq!(world.call("POST", &path, body.clone()).await.status, 202);
    assert_eq!(world.call("POST", &path, body).await.status, 409);
    assert_eq!(counts(&world), [(Metric::Accepted, 1), (Metric::Duplicates, 1)]);
    world.live_s(3_700).await;
    let told = world.metrics.take();
    assert_eq!(sum(&told, Metric::Delivered), 1);
    let [latency_ms] = told[&Metric::EndToEndLatency][..] else { panic!("{told:?}") };
    assert!(latency_ms < 10_000, "{latency_ms}");
}

#[tokio::test]
async fn an_example_counts_as_accepted_and_delivered() {
    let (world, app) = stage().await;
    let event_type = json!({"name": "a.b", "description": "", "schemas": {"1": {"type": "object", "examples": [{"n": 1}]}}});
    assert_eq!(world.call("POST", "/api/v1/event-type", event_type).await.status, 201);
    let ep = world.endpoint(&app, OTHER).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/send-example");
    let reply = world.call("POST", &path, json!({"eventType": "a.b"})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    world.dispatch_all().await;
    let told = world.metrics.take();
    assert_eq!((sum(&told, Metric::Accepted), sum(&told, Metric::Delivered)), (1, 1));
}

// Attempts.

#[tokio::test]
async fn a_delivery_counts_once_with_its_latency_and_its_endpoints() {
    let (world, app) = stage().await;
    world.publish(&app, json!({})).await;
    world.advance_s(3);
    world.dispatch_all().await;
    let told = world.metrics.take();
    assert_eq!(sum(&told, Metric::Delivered), 1);
    assert_eq!(sum(&told, Metric::Failed), 0);
    assert_eq!(sum(&told, Metric::Retried), 0);
    // The endpoint takes 7 ms.
    assert_eq!(told[&Metric::EndpointLatency], [7]);
    assert_eq!(told[&Metric::EndToEndLatency], [3_007]);
}

#[tokio::test]
async fn every_endpoint_counts_for_itself() {
    let (world, app) = stage().await;
    world.endpoint(&app, OTHER).await;
    world.network.always(OTHER, answer(500));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let told = world.metrics.take();
    assert_eq!((sum(&told, Metric::Delivered), sum(&told, Metric::Failed)), (1, 1));
    assert_eq!(told[&Metric::EndpointLatency].len(), 2);
    assert_eq!(told[&Metric::EndToEndLatency].len(), 1);
}

#[tokio::test]
async fn a_delivery_by_retry_counts_its_failure_its_retry_and_the_wait() {
    let (world, app) = stage().await;
    world.network.next(URL, answer(503));
    world.publish(&app, json!({})).await;
    world.live_s(60).await;
    let told = world.metrics.take();
    assert_eq!(sum(&told, Metric::Failed), 1);
    assert_eq!(sum(&told, Metric::Retried), 1);
    assert_eq!(sum(&told, Metric::Delivered), 1);
    assert_eq!(sum(&told, Metric::Exhausted), 0);
    let [latency_ms] = told[&Metric::EndToEndLatency][..] else { panic!("{told:?}") };
    assert!((4_000..20_000).contains(&latency_ms), "{latency_ms}");
}

#[tokio::test]
async fn eight_failures_are_seven_retries_and_one_exhausted_delivery() {
    let (world, app) = stage().await;
    world.network.always(URL, answer(500));
    world.publish(&app, json!({})).await;
    world.live_s(40 * 3_600).await;
    let told = world.metrics.take();
    assert_eq!(sum(&told, Metric::Failed), 8);
    assert_eq!(sum(&told, Metric::Retried), 7);
    assert_eq!(sum(&told, Metric::Exhausted), 1);
    assert_eq!(sum(&told, Metric::Delivered), 0);
    assert!(!told.contains_key(&Metric::EndToEndLatency));
}

#[tokio::test]
async fn a_delivery_that_is_given_up_without_an_attempt_is_exhausted_too() {
    let (world, app) = stage().await;
    world.network.always(URL, answer(500));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let ep = text(&world.call("GET", &path, Value::Null).await.body["data"][0]["id"]);
    let reply = world.call("PATCH", &format!("{path}/{ep}"), json!({"disabled": true})).await;
    assert_eq!(reply.status, 200);
    world.live_s(60).await;
    let told = world.metrics.take();
    assert_eq!((sum(&told, Metric::Failed), sum(&told, Metric::Exhausted)), (1, 1));
}

#[tokio::test]
async fn a_resend_counts_as_delivered_and_neither_as_a_retry_nor_with_a_latency_end_to_end() {
    let (world, app) = stage().await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.metrics.take();
    let path = format!("/api/v1/app/{app}/endpoint");
    let ep = text(&world.call("GET", &path, Value::Null).await.body["data"][0]["id"]);
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &path, json!({})).await.status, 202);
    world.advance_s(60);
    world.dispatch_all().await;
    let told = world.metrics.take();
    assert_eq!(
        told.keys().collect::<Vec<_>>(),
        [&Metric::Delivered, &Metric::EndpointLatency, &Metric::Undone]
    );
    assert_eq!(sum(&told, Metric::Delivered), 1);
}

#[tokio::test]
async fn a_record_that_comes_again_counts_as_a_duplicate_and_not_as_a_delivery() {
    let (world, app) = stage().await;
    world.publish(&app, json!({})).await;
    let records = received(&world.queues.deliveries).await;
    assert!(world.dispatcher.handle(records.clone(), None).await.is_empty());
    world.metrics.take();
    let again = records.into_iter().map(|record| Received { receive_count: 2, ..record }).collect();
    world.advance_s(600);
    assert!(world.dispatcher.handle(again, None).await.is_empty());
    assert_eq!(counts(&world), [(Metric::Duplicates, 1)]);
}

#[tokio::test]
async fn a_retry_whose_delivery_is_over_counts_as_a_duplicate() {
    let (world, app) = stage().await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let ep = text(&world.call("GET", &path, Value::Null).await.body["data"][0]["id"]);
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &path, json!({})).await.status, 202);
    world.live_s(60).await;
    let told = world.metrics.take();
    assert_eq!((sum(&told, Metric::Delivered), sum(&told, Metric::Failed)), (1, 1));
    assert_eq!((sum(&told, Metric::Retried), sum(&told, Metric::Duplicates)), (0, 1));
}

#[tokio::test]
async fn an_attempt_that_two_made_at_once_counts_once() {
    let (world, app) = stage().await;
    world.network.next(URL, answer(200));
    world.network.next(URL, answer(500));
    world.publish(&app, json!({})).await;
    world.metrics.take();
    let records = received(&world.queues.deliveries).await;
    for _ in 0..2 {
        assert!(world.dispatcher.handle(records.clone(), None).await.is_empty());
    }
    assert_eq!(world.network.sent().len(), 2);
    let told = world.metrics.take();
    assert_eq!((sum(&told, Metric::Delivered), sum(&told, Metric::Failed)), (1, 0));
    assert_eq!(told[&Metric::EndpointLatency].len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_record_was_not_acknowledged_does_not_count() {
    let plan = Plan::new(Vec::new());
    let world = World::build(Builder { plan: plan.clone(), ..Builder::default() });
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.publish(&app, json!({})).await;
    world.metrics.take();
    // The endpoints, the request, the record: however often the store is asked.
    for call in 2..30 {
        plan.fail_after(call, Fault::Before);
    }
    assert_eq!(world.dispatch().await, 0);
    assert_eq!(world.network.sent().len(), 1);
    assert_eq!(counts(&world), [(Metric::Undone, 1), (Metric::UndoneFailed, 1)]);
}

#[tokio::test]
async fn what_a_rate_puts_off_counts_as_deferred_and_is_delivered_later() {
    let (world, app) = World::with_application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    for _ in 0..3 {
        world.publish(&app, json!({})).await;
    }
    world.metrics.take();
    world.dispatch_all().await;
    let told = world.metrics.take();
    assert_eq!((sum(&told, Metric::Deferred), sum(&told, Metric::Delivered)), (2, 1));
    world.live_s(10).await;
    let told = world.metrics.take();
    assert_eq!((sum(&told, Metric::Deferred), sum(&told, Metric::Delivered)), (0, 2));
    assert_eq!(sum(&told, Metric::Retried), 0);
}

// Records that are not done.

#[tokio::test]
async fn a_record_that_nobody_can_read_counts_as_parked_and_as_done() {
    let (world, _) = stage().await;
    send(&world.queues.deliveries, "garbage").await;
    world.dispatch_all().await;
    let told = world.metrics.take();
    assert_eq!(sum(&told, Metric::Parked), 1);
    assert_eq!(told[&Metric::Undone], [0]);
}

#[tokio::test]
async fn a_dead_letter_counts_as_redriven_and_as_parked_when_it_dies_again() {
    let (world, app) = stage().await;
    world.publish(&app, json!({})).await;
    world.metrics.take();
    for expected in [Metric::Redriven, Metric::Parked] {
        let [record] = &received(&world.queues.deliveries).await[..] else { panic!("one record") };
        world
            .queues
            .deliveries
            .delete(std::slice::from_ref(&record.receipt))
            .await
            .expect("a deletion");
        send(&world.queues.deliveries_dlq, &record.body).await;
        world.sweep().await;
        let told: Vec<_> = counts(&world);
        let told: Vec<_> = told.into_iter().filter(|(it, _)| *it != Metric::SweepLag).collect();
        assert_eq!(told, [(expected, 1)]);
    }
}

#[tokio::test]
async fn a_record_whose_parking_was_not_acknowledged_does_not_count_as_parked() {
    let plan = Plan::new(Vec::new());
    let world = World::build(Builder { plan: plan.clone(), ..Builder::default() });
    send(&world.queues.deliveries, "garbage").await;
    plan.fail_after(1, Fault::Before);
    world.dispatch().await;
    let told = world.metrics.take();
    assert!(!told.contains_key(&Metric::Parked), "{told:?}");
    assert_eq!((sum(&told, Metric::Undone), sum(&told, Metric::UndoneFailed)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn of_ten_records_one_that_comes_back_is_a_tenth_undone_and_says_why() {
    let (world, app) = stage().await;
    for _ in 0..10 {
        world.publish(&app, json!({})).await;
    }
    let mut records = received(&world.queues.deliveries).await;
    // Somebody received it a moment ago, and may be busy with it.
    records[3].receive_count = 2;
    world.metrics.take();
    assert_eq!(world.dispatcher.handle(records, None).await.len(), 1);
    let told = world.metrics.take();
    assert_eq!((told[&Metric::Undone].len(), sum(&told, Metric::Undone)), (10, 1));
    assert_eq!((sum(&told, Metric::UndoneBusy), sum(&told, Metric::UndoneFailed)), (1, 0));
    let [line] = &emf::lines(&told, "prod", Timestamp(0))[..] else { panic!("one line") };
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["UndoneBusy"], 1);
    // What is not declared is no metric, and is not paid for.
    let declared = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].to_string();
    assert!(declared.contains("\"Undone\"") && !declared.contains("UndoneBusy"), "{declared}");
}

// Sources and sweeps.

#[tokio::test]
async fn a_webhook_that_is_not_proved_counts_as_unverified_and_not_as_accepted() {
    let (world, app) = stage().await;
    let body = json!({
        "name": "GitHub", "type": "github", "app": app, "config": {"secret": "as set up there"},
    });
    let reply = world.call("POST", "/ingest/api/v1/source", body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let path = format!("/in/{}", text(&reply.body["id"]));
    let request = Request::post(path)
        .header("x-hub-signature-256", "sha256=00")
        .body("{}".into())
        .expect("a request");
    assert_eq!(world.send(request).await.status, 401);
    assert_eq!(counts(&world), [(Metric::Unverified, 1)]);
}

#[tokio::test]
async fn a_sweep_tells_how_long_the_oldest_that_it_found_had_been_due() {
    let (world, app) = stage().await;
    world.sweep().await;
    assert_eq!(world.metrics.take()[&Metric::SweepLag], [0], "nothing is due");
    world.network.always(URL, answer(500));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    // The queue loses the first retry, which comes after 5 s ± 20 %; the sweep is to look after
    // it 15 minutes later.
    world.advance_s(10);
    for record in received(&world.queues.retries).await {
        world.queues.retries.delete(&[record.receipt]).await.expect("a deletion");
    }
    world.advance_s(15 * 60 - 10 + 5 + 40);
    world.metrics.take();
    world.sweep().await;
    let [lag_s] = world.metrics.take()[&Metric::SweepLag][..] else { panic!("one lag a sweep") };
    assert!((39..=41).contains(&lag_s), "{lag_s}");
    world.sweep().await;
    assert_eq!(world.metrics.take()[&Metric::SweepLag], [0], "it was claimed");
}

#[tokio::test]
async fn a_sweep_that_could_not_look_everywhere_tells_no_lag() {
    let plan = Plan::new(Vec::new());
    let world = World::build(Builder { plan: plan.clone(), ..Builder::default() });
    plan.fail_after(3, Fault::Before);
    assert_eq!(world.sweep().await.failed, 1);
    assert_eq!(counts(&world), []);
    // Nor does one that has no time left.
    world.sweeper.run(Some(world.ambient.now())).await;
    assert_eq!(counts(&world), []);
}

// Written down.

#[test]
fn an_invocation_is_one_line_that_says_what_cloudwatch_needs() {
    let told = readings(&[
        (Metric::Accepted, &[2]),
        (Metric::EndpointLatency, &[7, 9]),
        (Metric::SweepLag, &[61]),
    ]);
    let lines = emf::lines(&told, "prod", Timestamp(1_790_000_000_123));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(
        serde_json::from_str::<Value>(line).expect("JSON"),
        json!({
            "_aws": {
                "Timestamp": 1_790_000_000_123_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "Posthorn",
                    "Dimensions": [["Stage"]],
                    "Metrics": [
                        {"Name": "Accepted", "Unit": "Count"},
                        {"Name": "EndpointLatency", "Unit": "Milliseconds"},
                        {"Name": "SweepLag", "Unit": "Seconds"},
                    ],
                }],
            },
            "Stage": "prod",
            "Accepted": 2,
            "EndpointLatency": [7, 9],
            "SweepLag": 61,
        })
    );
}

#[test]
fn every_line_keeps_to_the_limits_of_the_format_and_no_value_is_lost() {
    let many: Vec<u64> = (0..250).collect();
    let told: Readings = Metric::ALL
        .into_iter()
        .map(|metric| match metric.unit() {
            Unit::Count => (metric, vec![5]),
            _ => (metric, many.clone()),
        })
        .collect();
    let lines = emf::lines(&told, "prod", Timestamp(0));
    assert_eq!(lines.len(), 3);
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in &lines {
        assert!(!line.contains('\n'));
        let line: Value = serde_json::from_str(line).expect("JSON");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        let metrics = directive["Metrics"].as_array().expect("metrics");
        assert!((1..=100).contains(&metrics.len()));
        for dimensions in directive["Dimensions"].as_array().expect("sets") {
            let dimensions = dimensions.as_array().expect("a set");
            assert!(dimensions.len() <= 30);
            assert!(dimensions.iter().all(|name| line[name.as_str().unwrap()].is_string()));
        }
        // What is declared is there, and the other way round.
        assert_eq!(line.as_object().unwrap().len(), metrics.len() + 2);
        for declared in metrics {
            let metric = Metric::ALL.into_iter().find(|it| declared["Name"] == it.name()).unwrap();
            let value = &line[metric.name()];
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            assert!((1..=100).contains(&values.len()));
            let values = values.iter().map(|value| value.as_u64().expect("a number"));
            found.entry(metric.name()).or_default().extend(values);
        }
    }
    let expected: BTreeMap<String, Vec<u64>> =
        told.into_iter().map(|(metric, values)| (metric.name(), values)).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_was_written_down_is_not_written_again_and_nothing_is_no_line() {
    let (world, app) = stage().await;
    let emf = emf(&world, Some("prod"));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let written = write(&emf);
    assert_eq!(written.lines().count(), 1);
    assert!(written.ends_with('\n'));
    let line: Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!((&line["Accepted"], &line["Delivered"]), (&json!(1), &json!(1)));
    assert_eq!(line["_aws"]["Timestamp"], world.ambient.now().as_ms());
    assert_eq!(write(&emf), "");
}

#[tokio::test]
async fn without_a_stage_nothing_is_written_and_nothing_piles_up() {
    let (world, app) = stage().await;
    world.publish(&app, json!({})).await;
    assert_eq!(write(&emf(&world, None)), "");
    assert!(world.metrics.take().is_empty());
}

#[tokio::test]
async fn no_name_of_a_customer_is_in_a_line() {
    let (world, app) = stage().await;
    let msg = world.publish(&app, json!({"secret": "payload"})).await;
    world.dispatch_all().await;
    let written = write(&emf(&world, Some("prod")));
    for text in [&app[..], &msg, "127.0.0.1", "ep_", "payload"] {
        assert!(!written.contains(text), "{text}: {written}");
    }
}

#[test]
fn totals_are_of_all_that_was_told() {
    let totals = Totals::default();
    totals.count(Metric::Accepted);
    totals.count(Metric::Accepted);
    totals.add(Metric::EndpointLatency, 7);
    totals.add(Metric::EndpointLatency, 5);
    let found = serde_json::to_value(totals.by_name()).expect("JSON");
    assert_eq!(
        found,
        json!({
            "Accepted": {"times": 2, "sum": 2, "max": 1},
            "EndpointLatency": {"times": 2, "sum": 12, "max": 7},
        })
    );
}

// The stage.

/// An application with an endpoint that takes everything, of whose making nothing is told.
async fn stage() -> (World, String) {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.metrics.take();
    (world, app)
}

async fn publish_as(world: &World, app: &str, key: &str) -> Reply {
    let request = Request::post(format!("/api/v1/app/{app}/msg"))
        .header("authorization", format!("Bearer {}", world.token()))
        .header("idempotency-key", key)
        .body(r#"{"eventType": "a.b", "payload": {}}"#.into())
        .expect("a request");
    world.send(request).await
}

async fn send(queue: &EmbeddedQueue, body: &str) {
    let record = Outgoing { body: body.to_owned(), group: "g".to_owned(), delay_s: 0 };
    queue.send(vec![record]).await.expect("a record in the queue");
}

async fn received(queue: &EmbeddedQueue) -> Vec<Received> {
    queue.receive(MAX_BATCH, 0).await.expect("a batch")
}

fn emf(world: &World, stage: Option<&str>) -> Emf {
    let clock = world.ambient.clock.clone();
    Emf::new(world.metrics.clone(), clock, stage.map(str::to_owned))
}

fn write(emf: &Emf) -> String {
    let mut out = Vec::new();
    emf.write(&mut out).expect("writing to memory");
    String::from_utf8(out).expect("text")
}

fn readings(told: &[(Metric, &[u64])]) -> Readings {
    let collector = Arc::<Collector>::default();
    for (metric, values) in told {
        for value in *values {
            collector.add(*metric, *value);
        }
    }
    collector.take()
}

/// What was told, by its sums. That all records were done is no news.
fn counts(world: &World) -> Vec<(Metric, u64)> {
    let told = world.metrics.take().into_iter();
    let sums = told.map(|(metric, values)| (metric, values.iter().sum()));
    sums.filter(|sum| *sum != (Metric::Undone, 0)).collect()
}

fn sum(told: &Readings, metric: Metric) -> u64 {
    told.get(&metric).map_or(0, |values| values.iter().sum())
}
