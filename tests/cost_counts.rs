//! The counts that `cargo run -- cost` reckons with are those of the real handlers, and the
//! functions/README.md shows what the command prints.

use std::process::Command;

use crate::counting::{CountingQueue, Usage};
use serde_json::{Value, json};
use shared::lambda::emf;
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::{Consumer, MAX_BATCH};
use shared::store::{Cached, Directory};

use self::operations::{
    ATTEMPT, ATTEMPT_BYTES, Counts, DELIVERY, ENDPOINTS, FAN_OUT, LINE_BYTES, MEASURED, MESSAGES,
    Measured, POLLED_QUEUES, Stored,
};
use crate::support::kinds::kind_of;
use crate::support::network::answer;
use crate::support::world::World;

#[path = "../functions/local/cost/operations.rs"]
pub(crate) mod operations;

const URL: &str = "http://127.0.0.1:9/hook";
/// Read units of a sweep that finds nothing; the command counts sweeps by the minute.
const IDLE_SWEEP: f64 = 32.0;

#[tokio::test]
async fn the_counts_of_the_cost_command_are_those_of_the_handlers() {
    let mut found = Vec::new();
    for row in MEASURED {
        found.push(measure(&row).await);
    }
    assert_eq!(found, MEASURED);
}

#[tokio::test]
async fn what_is_kept_is_as_large_as_the_cost_command_reckons() {
    let mut messages = Vec::new();
    for row in MEASURED {
        messages.push(largest(&failed_once(row.payload).await, "message").1);
    }
    let world = failed_once(1024).await;
    let (bytes, attempt) = largest(&world, "attempt by schedule");
    let found = (messages, bytes, attempt, largest(&world, "delivery").1);
    let reckoned = MEASURED.map(|row| row.message).to_vec();
    assert_eq!(found, (reckoned, ATTEMPT_BYTES, ATTEMPT, DELIVERY));
}

/// A world with one message, which was delivered at the second attempt.
async fn failed_once(payload: usize) -> World {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    world.publish(&app, event(&world, payload)).await;
    work(&world).await;
    world.advance_s(7);
    work(&world).await;
    assert_eq!(world.network.sent().len(), 2);
    world
}

/// The largest item of a kind: its bytes without those of an answer, and what it is billed for.
fn largest(world: &World, kind: &str) -> (usize, Stored) {
    /// What DynamoDB adds to each item, of the table and of an index (billing of storage).
    const ADDED_BYTES: usize = 100;
    let stored = world.stored.lock().unwrap();
    let of_kind = stored.values().filter(|item| kind_of(&item.key) == Some(kind));
    let sizes = of_kind.map(|item| {
        let doc: Value = serde_json::from_str(&item.doc).unwrap();
        let headers = doc.get("headers").map_or(0, |kept| kept.to_string().len() + 11);
        let answer = doc["response"].as_str().map_or(0, str::len) + headers;
        let table = item.size() - answer;
        let body = item.body.as_ref().map_or(0, bytes::Bytes::len);
        let indexes = usize::from(item.by_time.is_some()) + usize::from(item.due.is_some());
        let index = indexes * (table - body + ADDED_BYTES);
        (table, Stored { table: table + ADDED_BYTES, index })
    });
    sizes.max_by_key(|(bytes, _)| *bytes).expect("an item of the kind")
}

#[test]
fn as_many_queues_are_polled_as_the_cost_command_reckons() {
    let template = crate::template::template();
    let events = &crate::template::properties(&template, "DispatchFunction")["Events"];
    let polled = events.as_object().unwrap().values().filter(|event| event["Type"] == "SQS");
    assert_eq!(polled.count(), POLLED_QUEUES as usize);
}

#[test]
fn the_aims_are_met_at_a_hundred_million_messages_a_month() {
    // Everything is logged and listed in both.
    let standard = dollars_a_million(&[]);
    assert!(standard <= 6.0, "{standard}");
    let lean = dollars_a_million(&["--published-at-once", "10", "--stored-days", "14"]);
    assert!(lean <= 4.0, "{lean}");
}

/// What a million costs at volume, all of it.
fn dollars_a_million(options: &[&str]) -> f64 {
    dollars(&[&["--messages", "1e8"], options].concat())
}

/// What a million costs, all of it.
fn dollars(options: &[&str]) -> f64 {
    let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
        .args([&["cost"], options].concat())
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    let all = said.lines().find(|line| line.starts_with("all of it")).expect("a sum");
    all.split_whitespace().last().and_then(|text| text.parse().ok()).expect("dollars")
}

#[test]
fn the_template_says_what_it_costs_to_keep_messages_for_longer() {
    let more = dollars(&["--stored-days", "90"]) - dollars(&[]);
    let template = std::fs::read_to_string("template.yaml").unwrap();
    let said = format!("90 days cost ${more:.2} a million more (`posthorn cost --stored-days 90");
    assert!(template.contains(&said), "template.yaml should say: {said}");
}

#[test]
fn requests_beyond_three_hundred_million_cost_less() {
    let api = |messages: &str| -> f64 {
        let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
            .args(["cost", "--json", "--messages", messages])
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&ran.stdout).unwrap();
        let lines = said["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["name"] == "API Gateway").unwrap();
        line["usd"].as_f64().unwrap()
    };
    assert_eq!([api("1e6"), api("3e8"), api("1e9")].map(f64::round), [1.0, 300.0, 930.0]);
}

#[test]
fn what_batches_answers_and_hanging_endpoints_cost_is_said() {
    let plain = dollars_a_million(&[]);
    let more = |options: &[&str]| dollars_a_million(options) - plain;
    // Records that come one by one: two requests of SQS, an invocation, its time and its line.
    assert!((1.0..2.5).contains(&more(&["--batch", "1"])), "{}", more(&["--batch", "1"]));
    // A unit more of the table and of the index, if an answer is kept as a whole.
    let kept = more(&["--answer", "1k", "--taken-answer", "1024"]);
    assert!((1.25..3.0).contains(&kept), "{kept}");
    assert!(more(&["--answer", "1k"]) < 0.01, "of a success little is kept");
    // Retries of what hangs come one by one, and each holds a function for its 15 s.
    assert!((3.0..6.0).contains(&more(&["--hang", "1%"])), "{}", more(&["--hang", "1%"]));
    assert!(more(&["--stored-days", "90"]) > 1.5);
    assert!(more(&["--no-fair-queues"]) < -0.05);
    assert!(more(&["--function-url"]) < -0.99);
}

#[tokio::test]
async fn what_invocations_write_down_is_as_long_as_the_cost_command_reckons() {
    /// What CloudWatch adds to each line (PutLogEvents).
    const ADDED_BYTES: usize = 26;
    let (world, app, _) = World::with_endpoint(URL).await;
    world.metrics.take();
    let mut lines = Vec::new();
    for n in 0..MESSAGES {
        world.publish(&app, json!({"n": n})).await;
        lines.extend(emf::lines(&world.metrics.take(), "prod", world.ambient.now()));
    }
    world.advance_s(1);
    world.dispatch().await;
    lines.extend(emf::lines(&world.metrics.take(), "prod", world.ambient.now()));
    assert_eq!(lines.len(), MESSAGES + 1);
    let bytes: usize = lines.iter().map(|line| line.len() + ADDED_BYTES).sum();
    let average = bytes.div_ceil(lines.len()) as u32;
    assert!((LINE_BYTES - 10..=LINE_BYTES).contains(&average), "{average}");
}

#[test]
fn the_readme_shows_what_the_cost_command_prints() {
    let arguments = "cost --messages 1e6 --payload 1k --endpoints 1 --failures 2%";
    let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
        .args(arguments.split(' '))
        .output()
        .expect("the command");
    assert!(ran.status.success(), "{ran:?}");
    let printed = String::from_utf8(ran.stdout).expect("text");
    let block = format!("```\n$ cargo run -- {arguments}\n{printed}```\n");
    assert!(
        include_str!("../functions/README.md").contains(&block),
        "functions/README.md should show:\n{block}"
    );
}

#[test]
fn arguments_that_make_no_sense_are_refused_by_name() {
    for (name, value) in [
        ("--messages", "many"),
        ("--messages", "-1"),
        ("--payload", "2m"),
        ("--failures", "101%"),
        ("--endpoints", "0"),
    ] {
        let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
            .args(["cost", &format!("{name}={value}")])
            .output()
            .expect("the command");
        assert!(!ran.status.success(), "{name} {value}");
        assert!(String::from_utf8_lossy(&ran.stderr).contains(name), "{ran:?}");
    }
}

#[tokio::test]
async fn the_counts_of_fan_out_are_those_of_the_handlers() {
    let mut found = Vec::new();
    for endpoints in ENDPOINTS {
        found.push(deliver(endpoints, 1024).await.1);
    }
    assert_eq!(found, FAN_OUT);
}

/// What accepting and delivering at once takes.
async fn deliver(endpoints: usize, payload: usize) -> (Counts, Counts) {
    let (world, app) = ready(endpoints).await;
    let before = world.meter.usage();
    publish(&world, &app, payload).await;
    let accepted = since(&world, before, 0.0);
    let before = world.meter.usage();
    work(&world).await;
    assert_eq!(world.network.sent().len(), endpoints * (MESSAGES + 1));
    (accepted, since(&world, before, 0.0))
}

async fn measure(row: &Measured) -> Measured {
    let payload = row.payload;
    let (accepted, delivered) = deliver(1, payload).await;
    let (world, app) = ready(1).await;
    (0..MESSAGES).for_each(|_| world.network.next(URL, answer(500)));
    publish(&world, &app, payload).await;
    let before = world.meter.usage();
    work(&world).await;
    world.advance_s(7);
    work(&world).await;
    assert_eq!(world.network.sent().len(), 2 * MESSAGES + 1);
    let second_attempt = since(&world, before, 0.0);

    // One message alone: several would race for what is noted of the endpoint.
    let (world, app) = ready(1).await;
    world.network.always(URL, answer(500));
    world.publish(&app, event(&world, payload)).await;
    let before = world.meter.usage();
    let mut sweeps = 0.0;
    work(&world).await;
    // The longest of the schedule's delays, stretched as far as they go.
    for delay_s in [7, 7 * 60, 40 * 60, 3 * 3_600, 7 * 3_600, 13 * 3_600, 13 * 3_600] {
        world.advance_s(delay_s);
        world.sweep().await;
        sweeps += 1.0;
        work(&world).await;
    }
    assert_eq!(world.network.sent().len(), 8 + 1);
    let exhausted = since(&world, before, sweeps * IDLE_SWEEP);
    Measured { payload, message: row.message, accepted, delivered, second_attempt, exhausted }
}

/// A world with this many endpoints, whose receive knows the application as it does on Lambda.
async fn ready(endpoints: usize) -> (World, String) {
    let (mut world, app) = World::with_application().await;
    for n in 0..endpoints {
        let url = if n == 0 { URL.to_owned() } else { format!("{URL}/{n}") };
        world.endpoint(&app, &url).await;
    }
    let kept = Cached::new(world.clock.clone(), shared::store::APPLICATION_TTL_MS);
    world.receiver.directory = Directory::cached(world.table.clone(), kept);
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    (world, app)
}

async fn publish(world: &World, app: &str, bytes: usize) {
    for _ in 0..MESSAGES {
        world.publish(app, event(world, bytes)).await;
    }
}

/// Everything that can be received now, in full batches, with what the queues bill for it.
async fn work(world: &World) {
    while drain(world, &world.queues.deliveries).await + drain(world, &world.queues.retries).await
        > 0
    {}
}

async fn drain(world: &World, queue: &EmbeddedQueue) -> usize {
    let queue = CountingQueue::new(queue.clone(), world.meter.clone());
    let batch = queue.receive(MAX_BATCH, 0).await.expect("a batch");
    let receipts: Vec<String> = batch.iter().map(|record| record.receipt.clone()).collect();
    if batch.is_empty() {
        return 0;
    }
    assert_eq!(world.dispatcher.handle(batch, None).await.len(), 0);
    queue.delete(&receipts).await.expect("a deletion");
    receipts.len()
}

fn since(world: &World, before: Usage, idle_reads: f64) -> Counts {
    let now = world.meter.usage();
    Counts {
        write_units: (now.write_units - before.write_units) as f64,
        read_units: now.read_units - before.read_units - idle_reads,
        sqs_requests: (now.sqs_requests - before.sqs_requests) as f64,
    }
}

/// JSON of exactly this size as events are: the same names over and over, other values.
fn event(world: &World, bytes: usize) -> Value {
    let mut items: Vec<Value> = Vec::new();
    let mut left = bytes - json!({"items": [], "note": ""}).to_string().len();
    loop {
        let random: [u8; 16] = world.ambient.random();
        let id = u128::from_be_bytes(random);
        let item = json!({
            "transfer_id": format!("{id:032x}"),
            "amount": id % 1_000_000,
            "source_name": "Operating account",
            "destination_name": "Northwind Payouts Inc.",
            "created": format!("2026-11-20T14:{:02}:{:02}Z", id % 60, id / 60 % 60),
        });
        let length = item.to_string().len() + usize::from(!items.is_empty());
        if length > left {
            let event = json!({"items": items, "note": ".".repeat(left)});
            assert_eq!(event.to_string().len(), bytes);
            return event;
        }
        left -= length;
        items.push(item);
    }
}
