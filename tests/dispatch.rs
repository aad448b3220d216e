//! What dispatch does with records, endpoints and time.

use std::sync::Arc;

use async_trait::async_trait;
use dispatch::{Dispatcher, Parts, Settings};
use serde_json::{Value, json};
use shared::domain::attempt::EXCERPT_BYTES;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::{Delivery, Reason, State};
use shared::domain::id::MessageId;
use shared::domain::schedule::Schedule;
use shared::domain::secret::{RootSecret, SigningSecret};
use shared::domain::signature;
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::record::{Record, redriven};
use shared::queue::{Consumer, MAX_BATCH, Outgoing, Producer, QueueError, Received, VISIBILITY_S};
use shared::sender::{Ending, Outbound, Outcome, Sender};
use shared::store::keys::{DUE_SHARDS, message_pk};
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};
use shared::store::{Deliveries, StoreError};
use tokio::sync::Semaphore;

use crate::support::faults::{Fault, Faulty, Plan};
use crate::support::network::{Network, answer, answer_with, header};
use crate::support::still::{START, StillClock};
use crate::support::world::{Builder, Shared, World, text};

mod answers;
mod batches;
mod by_hand;
mod changes;
mod deadline;
mod deaths;
mod expired;
mod fence;
mod health;
mod late;
mod pace;
mod ports;
mod recipients;
mod requests;
mod reused;
mod slots;
mod store;

use ports::{Broken, Gate, Panicking, Slow};

const URL: &str = "http://127.0.0.1:9/hook";
const OTHER: &str = "http://127.0.0.1:9/other";

/// No record.
const NONE: [&str; 0] = [];
const NO_VALUES: [Value; 0] = [];

fn url(name: &str) -> String {
    format!("http://127.0.0.1:9/{name}")
}

/// The last segments of the URLs that were called, sorted.
fn receivers(world: &World) -> Vec<String> {
    let name = |sent: Outbound| sent.url.rsplit('/').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = world.network.sent().into_iter().map(name).collect();
    names.sort();
    names
}

async fn publish(world: &World, app: &str, event: Value) -> String {
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), event).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    text(&reply.body["id"])
}

async fn change_endpoint(world: &World, app: &str, ep: &str, patch: Value) {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let reply = world.call("PATCH", &path, patch).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn delete(world: &World, path: &str) {
    let reply = world.call("DELETE", path, Value::Null).await;
    assert_eq!(reply.status, 204, "{reply:?}");
}

async fn is_disabled(world: &World, app: &str, ep: &str) -> bool {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("GET", &path, Value::Null).await.body["disabled"] == true
}

async fn secret(world: &World, app: &str, ep: &str) -> SigningSecret {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    let reply = world.call("GET", &path, Value::Null).await;
    SigningSecret::parse(&text(&reply.body["key"])).expect("a secret")
}

/// Asks for another attempt, a second later, so that attempts have an order.
async fn resend(world: &World, app: &str, msg: &str, ep: &str) {
    world.advance_s(1);
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    let reply = world.call("POST", &path, Value::Null).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

/// How far the message is with its only endpoint.
async fn standing(world: &World, app: &str, msg: &str) -> String {
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
    text(&world.call("GET", &path, Value::Null).await.body["data"][0]["statusText"])
}

fn is_signed(sent: &Outbound, key: &SigningSecret, world: &World) -> bool {
    let [id, timestamp, signatures] =
        ["id", "timestamp", "signature"].map(|name| header(sent, &format!("webhook-{name}")));
    let (keys, now) = ([key.clone()], world.ambient.now());
    signature::verify(&keys, id, timestamp, signatures, &sent.body, now).is_ok()
}

/// Status codes of attempts.
fn codes(attempts: &[Value]) -> Vec<u64> {
    attempts.iter().map(|attempt| attempt["responseStatusCode"].as_u64().unwrap_or(999)).collect()
}

fn time_of(attempt: &Value) -> Timestamp {
    Timestamp::parse_rfc3339(&text(&attempt["timestamp"])).expect("a date")
}

// Helpers: the store.

async fn delivery(world: &World, msg: &str, ep: &str) -> Delivery {
    let (msg, ep) = (msg.parse().expect("an id"), ep.parse().expect("an id"));
    let found = world.parts.deliveries.delivery(&msg, &ep).await.expect("an answer");
    found.expect("a delivery").value
}

/// Every pending delivery.
async fn all_pending(world: &World) -> Vec<Delivery> {
    let mut pending = Vec::new();
    for shard in 0..DUE_SHARDS {
        let found = world.parts.deliveries.pending(shard).await.expect("an answer");
        pending.extend(found.into_iter().map(|found| found.value));
    }
    pending
}

/// How many deliveries are pending.
async fn pending(world: &World) -> usize {
    all_pending(world).await.len()
}

/// The pending delivery of this message.
async fn the_pending(world: &World, msg: &str) -> Delivery {
    let of_message = |delivery: &Delivery| delivery.msg.to_string() == msg;
    all_pending(world).await.into_iter().find(of_message).expect("a pending delivery")
}

async fn assert_given_up(world: &World, msg: &str, ep: &str, reason: &str) {
    world.live_s(60).await;
    assert_eq!(world.network.sent().len(), 1);
    let delivery = delivery(world, msg, ep).await;
    assert_eq!(delivery.reason().map(Reason::as_str), Some(reason));
    assert_eq!((delivery.attempts, pending(world).await), (1, 0));
    assert!(world.queues.retries.is_empty());
}

// Helpers: dispatchers and records.

/// A delivery to [`URL`] that has failed once and waits for its retry.
struct Waiting {
    world: World,
    app: String,
    ep: String,
    msg: String,
}

async fn waiting() -> Waiting {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    Waiting { world, app, ep, msg }
}

/// A message to [`URL`] whose record was received and not yet worked on.
async fn accepted() -> (World, String, String, Received) {
    let (world, app, _) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({"n": 1})).await;
    let record = receive(&world.queues.deliveries).await.remove(0);
    (world, app, msg, record)
}

/// A message to [`URL`] after a first attempt that ended like this.
async fn answered(ending: Ending) -> (World, String, String) {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.network.next(URL, ending);
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    (world, app, msg)
}

/// A dispatcher in another process, the same as the world's but for the change.
fn dispatcher(world: &World, change: impl FnOnce(&mut Parts)) -> Dispatcher {
    let mut parts = world.parts.clone();
    change(&mut parts);
    Dispatcher::new(parts)
}

/// One attempt at a time, each of which takes ten seconds.
fn slow_dispatcher(world: &World) -> Dispatcher {
    dispatcher(world, |parts| {
        parts.settings.parallel = 1;
        let (network, clock) = (world.network.clone(), world.clock.clone());
        parts.sender = Arc::new(Slow { network, clock });
    })
}

fn another_root_secret(parts: &mut Parts) {
    let secret = RootSecret::new("fedcba9876543210fedcba9876543210").expect("a root secret");
    parts.sealer = secret.sealer();
}

async fn receive(queue: &EmbeddedQueue) -> Vec<Received> {
    queue.receive(MAX_BATCH, 0).await.expect("a batch")
}

async fn put(queue: &EmbeddedQueue, body: &str) {
    let record = Outgoing { body: body.to_owned(), group: "test".to_owned(), delay_s: 0 };
    queue.send(vec![record]).await.expect("an answer").remove(0).expect("sent");
}

/// What came of a batch.
#[derive(Debug, PartialEq, Eq)]
struct Polled {
    done: usize,
    undone: usize,
}

/// One batch, worked on by this dispatcher: what was done is deleted.
async fn poll(queue: &EmbeddedQueue, dispatcher: &Dispatcher) -> Polled {
    let batch = receive(queue).await;
    let undone = dispatcher.handle(batch.clone(), None).await;
    let done = batch.into_iter().filter(|record| !undone.contains(&record.id));
    let receipts: Vec<String> = done.map(|record| record.receipt).collect();
    queue.delete(&receipts).await.expect("a deletion");
    Polled { done: receipts.len(), undone: undone.len() }
}

/// The same record, received for the n-th time.
fn copy(record: &Received, receive_count: u32) -> Received {
    Received { receive_count, ..record.clone() }
}

/// A record that asks for a retry.
fn retry(app: &str, msg: &str, ep: &str, attempt: u32) -> Received {
    let (app, msg, ep) = (app.parse(), msg.parse(), ep.parse());
    let record = Record::Retry {
        app: app.expect("an id"),
        msg: msg.expect("an id"),
        ep: ep.expect("an id"),
        attempt,
    };
    Received {
        id: "retry".to_owned(),
        receipt: String::new(),
        body: record.outgoing(0).body,
        group: None,
        receive_count: 1,
        first_received_at: START,
    }
}

/// A dispatcher that works on this record, up to the moment when its request is under way.
async fn under_way(
    world: &World,
    record: Received,
    change: impl FnOnce(&mut Parts),
) -> (Arc<Gate>, tokio::task::JoinHandle<Vec<String>>) {
    let gate = Gate::new(world);
    let behind = dispatcher(world, |parts| {
        change(parts);
        parts.sender = gate.clone();
    });
    let mut work = tokio::spawn(async move { behind.handle(vec![record], None).await });
    tokio::select! {
        () = gate.entered() => {}
        over = &mut work => panic!("no request: {over:?}"),
    }
    (gate, work)
}

/// What was left to somebody who is busy comes again when that one's lease is over, as a record
/// of its own: waiting spends no receive.
async fn comes_back_after_the_lease(world: &World) {
    let queue = &world.queues.retries;
    assert!(!queue.is_empty(), "nothing comes back");
    assert_eq!(queue.receive(10, 0).await.unwrap(), [], "it comes back too soon");
}

/// Gives two dispatchers a record each at the same moment: one sends its request, and while
/// that is under way the other leaves the attempt to it, and comes back after its lease.
async fn one_sends(world: &World, records: [Received; 2], change: impl Fn(&mut Parts)) {
    let gate = Gate::new(world);
    let [mut one, mut other] = records.map(|record| {
        let behind = dispatcher(world, |parts| {
            change(parts);
            parts.sender = gate.clone();
        });
        tokio::spawn(async move { behind.handle(vec![record], None).await })
    });
    let (left, sending) = tokio::select! {
        left = &mut one => (left, other),
        left = &mut other => (left, one),
        () = gate.entered_twice() => panic!("the same attempt is under way twice"),
    };
    assert_eq!(left.expect("no panic"), NONE);
    comes_back_after_the_lease(world).await;
    gate.open();
    assert_eq!(sending.await.expect("no panic"), NONE);
}

/// A dispatcher takes what is in this queue and dies just before it sends a retry.
async fn dies_before_sending_the_retry(world: &World, queue: &EmbeddedQueue) {
    let plan = Plan::new(vec![(0, Fault::DieBefore)]);
    let mortal = dispatcher(world, |parts| {
        parts.retries = Arc::new(Faulty::new(world.queues.retries.clone(), &plan));
    });
    let batch = receive(queue).await;
    assert_eq!(batch.len(), 1);
    tokio::select! {
        () = plan.death() => {}
        undone = mortal.handle(batch, None) => panic!("survived: {undone:?}"),
    }
}
