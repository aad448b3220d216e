//! What is stored and queued keeps its shape: today's is held by a golden file, the first
//! format's is still read, and what a newer Posthorn adds is passed over.
//!
//! `UPDATE_GOLDEN=1 cargo test golden` writes `golden/stored.json` anew. Never change
//! `golden/first-format.json`: it is what the first format really wrote.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::queue::Consumer;
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::record::Record;
use shared::store::Parked;
use shared::store::table::{Condition, Item, Key, Write};

use crate::support::golden;
use crate::support::keys::rsa_pem;
use crate::support::kinds::{kind_of, kinds};
use crate::support::network::{answer, header};
use crate::support::world::{World, text};

const GOLDEN: &str = "tests/golden/stored.json";
const SHARES: &str = "tests/golden/shares.json";
const RELEASE: &str = "tests/golden/release.json";
const SECOND: &str = "tests/golden/second-format.json";
const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn every_kind_of_item_is_stored_as_in_the_golden_file() {
    let otherwise = "what is stored has changed. Old items must still be read: then \
                     UPDATE_GOLDEN=1 cargo test golden";
    golden::check(GOLDEN, &story().await, otherwise);
}

#[tokio::test]
async fn the_golden_file_knows_every_kind_of_item_that_there_is() {
    let golden: Value = serde_json::from_str(&golden::read(GOLDEN)).unwrap();
    let known: BTreeSet<&str> =
        golden["items"].as_object().unwrap().keys().map(String::as_str).collect();
    // What is only still read is in the first format's file.
    let written =
        kinds().into_iter().map(|kind| kind.name).filter(|name| !name.ends_with("earlier"));
    let there: BTreeSet<&str> = written.collect();
    assert_eq!(known, there);
    for item in golden["items"].as_object().unwrap().values() {
        assert_eq!(item["doc"]["v"], shared::store::keys::FORMAT);
    }
}

#[tokio::test]
async fn items_of_the_first_format_are_still_read() {
    read_all(|_| {}).await;
}

#[tokio::test]
async fn a_field_that_a_newer_posthorn_added_to_an_item_is_passed_over() {
    read_all(|doc| doc["addedLater"] = json!({"deep": [1, "two"]})).await;
}

#[test]
fn records_of_the_first_format_are_still_read_and_still_written() {
    let mut seen = BTreeSet::new();
    for record in first_format()["records"].as_array().unwrap() {
        let read = Record::parse(&record["body"].to_string()).unwrap();
        seen.insert(kind_of_record(&read));
        assert_eq!(record["kind"], kind_of_record(&read));
        let written: Value = serde_json::from_str(&read.outgoing(0).body).unwrap();
        assert_eq!(written, record["body"]);
        let mut newer = record["body"].clone();
        newer["addedLater"] = json!([1]);
        assert_eq!(Record::parse(&newer.to_string()).unwrap(), read);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["accepted", "resend", "retry"]);
}

#[test]
fn records_of_the_second_format_are_written_as_in_the_golden_file_and_read() {
    use shared::domain::delivery::Reason;
    use shared::domain::delivery::machine::Outcome;
    let outcomes = [
        Some(Outcome::Delivered),
        Some(Outcome::Retry { at: Timestamp(1_800_000_005_000) }),
        Some(Outcome::Failed(Reason::NotRetried)),
        None,
    ];
    let records: Vec<Record> = outcomes.into_iter().map(crate::record::outcome).collect();
    let bodies = records.iter().map(|record| record.outgoing(0).body);
    let written: Vec<Value> = bodies.map(|body| serde_json::from_str(&body).unwrap()).collect();
    golden::check(SECOND, &json!(written), "a reader of this format would not know it");
    let golden: Vec<Value> = serde_json::from_str(&golden::read(SECOND)).unwrap();
    for (body, record) in golden.iter().zip(records) {
        assert_eq!(body["v"], 2);
        assert_eq!(Record::parse(&body.to_string()).unwrap(), record);
    }
}

#[test]
fn shares_are_written_as_in_the_golden_file_and_read() {
    let records = [false, true].map(crate::record::share);
    check_written(SHARES, "share", &records);
}

#[test]
fn a_release_is_written_as_in_the_golden_file_and_read() {
    let pages = [None, Some("atmpt_3Ouil37cs5vfeexc1vqVbvOZwTE ")].map(crate::record::release);
    let records: Vec<Record> =
        pages.into_iter().chain([crate::record::release_by_rate()]).collect();
    check_written(RELEASE, "release", &records);
}

/// That these records are written as in a golden file, in the first format, and read from it.
fn check_written(path: &str, kind: &str, records: &[Record]) {
    let bodies = records.iter().map(|record| record.outgoing(0).body);
    let written: Vec<Value> = bodies.map(|body| serde_json::from_str(&body).unwrap()).collect();
    golden::check(path, &json!(written), "a reader of this form would not know it");
    let golden: Vec<Value> = serde_json::from_str(&golden::read(path)).unwrap();
    for (body, record) in golden.iter().zip(records) {
        assert_eq!((&body["v"], &body["kind"]), (&json!(1), &json!(kind)));
        assert_eq!(Record::parse(&body.to_string()).unwrap(), *record);
    }
}

/// Exhaustive, so that a new kind of record is not forgotten here.
fn kind_of_record(record: &Record) -> &'static str {
    match record {
        Record::Accepted { .. } => "accepted",
        Record::Share { .. } => "share",
        Record::Retry { .. } => "retry",
        Record::Resend { .. } => "resend",
        Record::Outcome { .. } => "outcome",
        Record::Release { .. } => "release",
    }
}

/// Puts the items of the first format into a new world and has everything read them.
async fn read_all(change: impl Fn(&mut Value)) {
    let world = World::new();
    let fixture = first_format();
    for item in fixture["items"].as_array().unwrap() {
        let mut doc = item["doc"].clone();
        change(&mut doc);
        put(&world, item, &doc).await;
    }
    let msg = text(&fixture["msg"]);
    let app = world.call("GET", "/api/v1/app/first", Value::Null).await.body;
    assert_eq!((&app["id"], &app["name"]), (&fixture["app"], &json!("First")));
    assert_eq!(app["metadata"], json!({"a": "b"}));
    let ep = world.call("GET", "/api/v1/app/first/endpoint/hook", Value::Null).await.body;
    assert_eq!((&ep["id"], &ep["url"]), (&fixture["ep"], &json!(URL)));
    assert_eq!(ep["filterTypes"], json!(["test.event"]));
    let message = world.call("GET", &format!("/api/v1/app/first/msg/{msg}"), Value::Null).await;
    assert_eq!(message.body["payload"], json!({"n": 1}));
    assert_eq!(world.attempts("first", &msg).await.len(), 2);
    let parked = world.call("GET", "/api/v1/operator/parked", Value::Null).await.body;
    assert_eq!(parked["data"][0]["reason"], "not a record", "{parked}");
    // The delivery that waited is claimed and made, with the secret that was sealed then.
    world.advance_s(1_000);
    world.sweep().await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 1);
    assert_eq!(header(&world.network.sent()[0], "webhook-id"), msg);
    assert!(header(&world.network.sent()[0], "webhook-signature").starts_with("v1,"));
    assert_eq!(world.attempts("first", &msg).await.len(), 3);
}

async fn put(world: &World, item: &Value, doc: &Value) {
    let key = |value: &Value| {
        let part = |n: usize| value[n].as_str().map(str::to_owned);
        Some(Key { pk: part(0)?, sk: part(1)? })
    };
    let item = Item {
        key: key(&item["key"]).unwrap(),
        by_time: key(&item["byTime"]),
        due: key(&item["due"]),
        expires_at: item["expiresAt"].as_u64().map(Timestamp),
        rev: item["rev"].as_u64().unwrap(),
        doc: doc.to_string(),
        body: serde_json::from_value::<Option<Vec<u8>>>(item["body"].clone())
            .unwrap()
            .map(Bytes::from),
    };
    world.table.write(Write::Put(item, Condition::Always)).await.unwrap();
}

/// What the first format's code stored and queued of an application, an endpoint and a message
/// whose first attempt failed, as did one by hand.
fn first_format() -> Value {
    serde_json::from_str(include_str!("golden/first-format.json")).unwrap()
}

/// One item of each kind, as they are stored today.
async fn story() -> Value {
    let world = lived().await;
    let mut items = BTreeMap::new();
    for item in world.stored.lock().unwrap().values() {
        let key = |key: &Key| json!([key.pk, key.sk]);
        let shown = json!({
            "key": key(&item.key),
            "byTime": item.by_time.as_ref().map(key),
            "due": item.due.as_ref().map(key),
            "expiresAt": item.expires_at,
            "rev": item.rev,
            "doc": serde_json::from_str::<Value>(&item.doc).unwrap(),
            "body": item.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned()),
        });
        items.entry(kind_of(&item.key).unwrap()).or_insert(shown);
    }
    json!({"items": items})
}

/// A world in which there is an item of each kind.
pub(crate) async fn lived() -> World {
    let world = World::new();
    let post = async |path: &str, body: Value| {
        let reply = world.call("POST", path, body).await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
        reply.body
    };
    let app = json!({"name": "First", "uid": "first", "metadata": {"a": "b"}});
    let app = text(&post("/api/v1/app", app).await["id"]);
    post(
        "/api/v1/event-type",
        json!({"name": "test.event", "description": "d", "timeoutSeconds": 20}),
    )
    .await;
    let ep = json!({"url": URL, "uid": "hook", "filterTypes": ["test.event"], "rateLimit": 10});
    let ep = world.endpoint_with(&app, ep).await;
    let msg = format!("/api/v1/app/{app}/msg");
    world.network.always(URL, answer(500));
    let event = json!({"eventType": "test.event", "eventId": "event-7", "payload": {"n": 1}});
    let id = text(&post(&msg, event).await["id"]);
    one(&world, &world.queues.deliveries).await;
    post(&format!("{msg}/{id}/endpoint/{ep}/resend"), Value::Null).await;
    one(&world, &world.queues.retries).await;
    let now = world.ambient.now();
    let message = world.parts.deliveries.message(&id.parse().unwrap(), now).await.unwrap();
    world.parts.deliveries.mark_cut_again(&message.unwrap()).await.unwrap();
    let later = world.ambient.now().plus_ms(3_600_000).to_rfc3339();
    post(&msg, json!({"eventType": "test.event", "payload": {}, "deliverAt": later})).await;
    let since = json!({"since": world.ambient.now().to_rfc3339()});
    post(&format!("/api/v1/app/{app}/endpoint/{ep}/recover"), since).await;
    let at = world.ambient.now();
    let (queue, reason) = ("deliveries".to_owned(), "not a record".to_owned());
    let parked = Parked { id: "record-1".into(), queue, reason, at, body: "{}".into() };
    world.parts.parking.park(&parked).await.unwrap();
    let inspector = text(&post("/api/v1/operator/inspector", json!({})).await["token"]);
    post(&format!("/inspect/{inspector}"), json!({"n": 1})).await;
    let visit = post(&format!("/api/v1/auth/app-portal-access/{app}"), json!({})).await;
    world.call_as(&text(&visit["token"]), "POST", "/api/v1/auth/logout", Value::Null).await;
    post("/api/v1/operator/jwt-key/rotate", json!({"key": rsa_pem()})).await;
    let profile = "name = \"small\"\ntitle = \"Small\"\n\n[delivery]\ntimeout_ms = 2_000\n";
    let put = world.call("PUT", "/api/v1/profile/small", json!({"toml": profile})).await;
    assert!(put.status.is_success(), "{put:?}");
    let request = Request::post("/api/v1/app")
        .header("authorization", format!("Bearer {}", world.token()))
        .header("idempotency-key", "key-1")
        .body(Bytes::from_static(br#"{"name": "Second"}"#));
    assert_eq!(world.send(request.unwrap()).await.status, 201);
    let source = json!({"name": "Hub", "uid": "hub", "type": "github", "app": app,
        "config": {"secret": "s"}});
    let source = text(&post("/ingest/api/v1/source", source).await["id"]);
    assert_eq!(world.call("POST", &format!("/in/{source}"), json!({})).await.status, 401);
    post(
        &format!("/api/v1/app/{app}/integration"),
        json!({"name": "Zap", "featureFlags": ["beta"]}),
    )
    .await;
    post(&format!("/api/v1/auth/app-portal-access/{app}"), json!({"oneTime": true})).await;
    let portal = json!({"theme": "dark", "accent": "#7a1f5c"});
    let put = world.call("PUT", "/api/v1/operator/portal", portal).await;
    assert!(put.status.is_success(), "{put:?}");
    post("/api/v1/operator/api-token", json!({"name": "shop", "scope": "publish", "app": app}))
        .await;
    world
}

/// Dispatches one record, so that what happens has one order.
async fn one(world: &World, queue: &EmbeddedQueue) {
    let batch = queue.receive(1, 0).await.unwrap();
    let receipts: Vec<String> = batch.iter().map(|record| record.receipt.clone()).collect();
    assert_eq!(receipts.len(), 1);
    assert!(world.dispatcher.handle(batch, None).await.is_empty());
    queue.delete(&receipts).await.unwrap();
}
