//! Applications of more endpoints than one record is for: their messages are cut into shares, and
//! whoever needs one of their endpoints does not read them all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use dispatch::{Dispatcher, Parts};
use serde_json::{Value, json};
use shared::domain::endpoint::NARROW;
use shared::host::config::{Environment, variable};
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::record::Record;
use shared::queue::{Consumer, MAX_BATCH, Outgoing, Producer, QueueError, VISIBILITY_S};
use shared::sender::{Outbound, Outcome, Sender};
use shared::store::table::{Index, Query};
use tokio::sync::Semaphore;

use crate::support::network::answer;
use crate::support::world::{Builder, World, text};

/// Seconds for which a second copy of a share waits.
const COPY_S: u64 = 35;

fn url(number: usize) -> String {
    format!("http://127.0.0.1:9/{number}")
}

/// A world as on AWS, in which applications of more than two endpoints are wide.
fn narrow() -> World {
    let mut world = World::build(Builder { one_process: false, narrow: 2, ..Builder::default() });
    world.admin.settings.max_endpoints = 10_000;
    world
}

/// An application with so many endpoints, and their ids.
async fn application(world: &World, endpoints: usize) -> (String, Vec<String>) {
    let app = world.application().await;
    let mut ids = Vec::with_capacity(endpoints);
    for number in 0..endpoints {
        ids.push(world.endpoint(&app, &url(number)).await);
        // Ids are in the order of creation to the millisecond.
        world.clock.advance_ms(4);
    }
    (app, ids)
}

/// Asserts that each of so many endpoints was called once.
fn assert_each_once(world: &World, endpoints: usize) {
    let mut calls = BTreeMap::new();
    for sent in world.network.sent() {
        *calls.entry(sent.url).or_insert(0) += 1;
    }
    let once = (0..endpoints).map(|number| (url(number), 1)).collect();
    assert_eq!(calls, once);
}

/// Works on what can be received from this queue, and deletes what is done.
async fn work(dispatcher: &Dispatcher, queue: &EmbeddedQueue) {
    let batch = queue.receive(MAX_BATCH, 0).await.unwrap();
    let receipts: Vec<(String, String)> =
        batch.iter().map(|record| (record.id.clone(), record.receipt.clone())).collect();
    let undone = dispatcher.handle(batch, None).await;
    let done = receipts.into_iter().filter(|(id, _)| !undone.contains(id));
    queue.delete(&done.map(|(_, receipt)| receipt).collect::<Vec<_>>()).await.unwrap();
}

/// Sends the first record of a batch. Then the process dies, as far as can be told.
struct Dying {
    queue: EmbeddedQueue,
    died: Semaphore,
}

#[async_trait]
impl Producer for Dying {
    async fn send(
        &self,
        mut batch: Vec<Outgoing>,
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        batch.truncate(1);
        self.queue.send(batch).await?;
        self.died.add_permits(1);
        std::future::pending().await
    }
}

/// Has a message's record be received by a process that dies when the first of its shares is in
/// the queue.
async fn die_over_the_first_share(world: &World) {
    let retries = Dying { queue: world.queues.retries.clone(), died: Semaphore::new(0) };
    let retries = Arc::new(retries);
    let parts = Parts { retries: retries.clone(), ..world.parts.clone() };
    let dispatcher = Dispatcher::new(parts);
    let batch = world.queues.deliveries.receive(1, 0).await.unwrap();
    tokio::select! {
        _ = retries.died.acquire() => {}
        done = dispatcher.handle(batch, None) => panic!("it lives: {done:?}"),
    }
}

/// A network whose first requests wait until they are let through.
struct Held {
    world: Arc<dyn Sender>,
    waiting: AtomicUsize,
    entered: Semaphore,
    open: Semaphore,
}

#[async_trait]
impl Sender for Held {
    async fn send(&self, request: Outbound) -> Outcome {
        let first = |left: usize| left.checked_sub(1);
        if self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, first).is_ok() {
            self.entered.add_permits(1);
            self.open.acquire().await.unwrap().forget();
        }
        self.world.send(request).await
    }
}

#[tokio::test]
async fn a_message_to_450_endpoints_is_cut_in_three_and_costs_two_writes_each() {
    let mut world = World::new();
    world.admin.settings.max_endpoints = 450;
    let (app, _) = application(&world, 450).await;
    world.publish(&app, json!({"n": 1})).await;
    let before = world.meter.usage();
    work(&world.dispatcher, &world.queues.deliveries).await;
    let cut = world.meter.usage().since(&before);
    assert!(world.network.sent().is_empty(), "it is only cut");
    // One call sends the three. The application is read, and then all of its endpoints.
    assert_eq!((cut.write_units, cut.sqs_requests), (0, 1));
    let before = world.meter.usage();
    work(&world.dispatcher, &world.queues.retries).await;
    let sent = world.meter.usage().since(&before);
    assert_each_once(&world, 450);
    assert_eq!((sent.write_units, sent.sqs_requests), (900, 0));
    // Both together read about 0.7 units for each delivery: an endpoint has half a kibibyte, and a
    // unit takes eight of them; the first read of a wide application is in vain.
    assert!(cut.read_units + sent.read_units < 0.75 * 450.0, "{cut:?} {sent:?}");
}

#[tokio::test]
async fn whoever_dies_over_half_of_the_shares_makes_450_endpoints_get_it_once_each() {
    let mut world = World::build(Builder { one_process: false, ..Builder::default() });
    world.admin.settings.max_endpoints = 450;
    let (app, _) = application(&world, 450).await;
    world.publish(&app, json!({})).await;
    die_over_the_first_share(&world).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), NARROW, "what was cut goes out");
    world.advance_s(u64::from(VISIBILITY_S));
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), NARROW, "second copies wait");
    world.advance_s(COPY_S);
    world.dispatch_all().await;
    assert_each_once(&world, 450);
}

#[tokio::test]
async fn a_share_that_was_in_a_backlog_and_its_second_copy_at_once_go_out_once() {
    let world = narrow();
    let (app, _) = application(&world, 5).await;
    world.publish(&app, json!({})).await;
    die_over_the_first_share(&world).await;
    world.advance_s(u64::from(VISIBILITY_S));
    // The record comes again while the first share still waits for somebody to receive it.
    work(&world.dispatcher, &world.queues.deliveries).await;
    world.advance_s(COPY_S);
    let retries = &world.queues.retries;
    let first = retries.receive(1, 0).await.unwrap();
    assert!(matches!(Record::parse(&first[0].body), Ok(Record::Share { again: false, .. })));
    let copies = retries.receive(MAX_BATCH, 0).await.unwrap();
    assert_eq!(copies.len(), 3);
    let held = Arc::new(Held {
        world: world.network.clone(),
        waiting: AtomicUsize::new(4),
        entered: Semaphore::new(0),
        open: Semaphore::new(0),
    });
    let dispatcher = || Dispatcher::new(Parts { sender: held.clone(), ..world.parts.clone() });
    let (one, other) = (dispatcher(), dispatcher());
    let let_through = async {
        // As many as can be under way: two of the first share, whoever has them, and two others.
        held.entered.acquire_many(4).await.unwrap().forget();
        held.open.add_permits(4);
    };
    tokio::join!(one.handle(first, None), other.handle(copies, None), let_through);
    // Whoever found a lease comes back when it is over, and finds it done.
    world.live_s(120).await;
    assert_each_once(&world, 5);
}

#[tokio::test]
async fn a_share_that_is_late_but_was_not_cut_again_takes_no_lease() {
    let world = narrow();
    let (app, _) = application(&world, 5).await;
    world.publish(&app, json!({})).await;
    work(&world.dispatcher, &world.queues.deliveries).await;
    world.advance_s(100);
    let before = world.meter.usage();
    world.dispatch_all().await;
    assert_each_once(&world, 5);
    assert_eq!(world.meter.usage().since(&before).write_units, 2 * 5, "a backlog costs no writes");
}

#[tokio::test]
async fn a_message_that_few_of_many_endpoints_want_is_not_cut() {
    let world = narrow();
    let (app, _) = application(&world, 5).await;
    for number in 5..7 {
        let body = json!({"url": url(number), "channels": ["few"]});
        world.endpoint_with(&app, body).await;
    }
    for ep in
        world.call("GET", &format!("/api/v1/app/{app}/endpoint?limit=250"), Value::Null).await.body
            ["data"]
            .as_array()
            .unwrap()
    {
        if ep["channels"].is_null() {
            let path = format!("/api/v1/app/{app}/endpoint/{}", text(&ep["id"]));
            let patched = world.call("PATCH", &path, json!({"channels": ["many"]})).await;
            assert_eq!(patched.status, 200);
        }
    }
    let publish = async |channel: &str| {
        let body = json!({"eventType": "a.b", "payload": {}, "channels": [channel]});
        let path = format!("/api/v1/app/{app}/msg");
        assert_eq!(world.call("POST", &path, body).await.status, 202);
    };
    world.describe("a.b").await;
    publish("few").await;
    work(&world.dispatcher, &world.queues.deliveries).await;
    assert_eq!(world.network.sent().len(), 2);
    assert!(world.queues.retries.is_empty());
    publish("many").await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 2 + 5);
}

#[tokio::test]
async fn a_retry_in_a_wide_application_reads_its_endpoint_alone() {
    let world = narrow();
    let (app, _) = application(&world, 40).await;
    world.network.next(&url(7), answer(500));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.advance_s(7);
    let before = world.meter.usage();
    world.dispatch_all().await;
    let retry = world.meter.usage().since(&before);
    assert_eq!(world.network.sent().len(), 41);
    // One more than where an application and its endpoint come in one call.
    assert_eq!((retry.write_units, retry.read_units), (9, 3.0 + 1.0));
}

#[tokio::test]
async fn whatever_can_be_done_with_an_endpoint_can_be_in_a_wide_application_and_reads_little() {
    let world = narrow();
    let (app, ids) = application(&world, 100).await;
    let ep = &ids[50];
    let path = format!("/api/v1/app/{app}/endpoint");
    let named = world.call("PATCH", &format!("{path}/{ep}"), json!({"uid": "hook"})).await;
    assert_eq!(named.status, 200, "{named:?}");
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let event = format!("/api/v1/app/{app}/msg/{msg}");
    let since = json!({"since": world.ambient.now().minus_ms(3_600_000).to_rfc3339()});
    let none = Value::Null;
    let by_name = format!("{path}/hook");
    for (method, path, body, status) in [
        ("GET", format!("{path}/{ep}"), none.clone(), 200),
        ("GET", by_name.clone(), none.clone(), 200),
        ("PATCH", by_name.clone(), json!({"description": "x"}), 200),
        ("PUT", by_name.clone(), json!({"url": url(50), "uid": "hook"}), 200),
        ("GET", format!("{by_name}/secret"), none.clone(), 200),
        ("GET", format!("{by_name}/headers"), none.clone(), 200),
        ("GET", format!("{by_name}/stats"), none.clone(), 200),
        ("GET", format!("{by_name}/health"), none.clone(), 200),
        ("GET", format!("{by_name}/overview"), none.clone(), 200),
        ("GET", format!("{by_name}/msg"), none.clone(), 200),
        ("GET", format!("/api/v1/app/{app}/attempt/endpoint/hook"), none.clone(), 200),
        ("GET", format!("{event}/endpoint/{ep}/attempt"), none.clone(), 200),
        ("POST", format!("{event}/endpoint/{ep}/resend"), none.clone(), 202),
        ("POST", format!("{by_name}/recover"), since.clone(), 202),
        ("POST", format!("{by_name}/replay-missing"), since, 202),
        ("GET", format!("{path}/ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"), none.clone(), 404),
        ("GET", format!("{path}?limit=3"), none.clone(), 200),
        ("DELETE", by_name.clone(), none.clone(), 204),
        ("GET", by_name, none, 404),
    ] {
        let before = world.meter.usage();
        let reply = world.call(method, &path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        let read = world.meter.usage().since(&before).read_units;
        // All 100 endpoints would be 13.
        assert!(read <= 9.0, "{method} {path}: {read} read units");
    }
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 100, "a deleted endpoint gets no resend");
}

#[tokio::test]
async fn the_endpoints_of_a_wide_application_are_listed_there_and_back_as_those_of_any() {
    let world = narrow();
    let (app, mut ids) = application(&world, 7).await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let page = async |query: &str| {
        let page = world.call("GET", &format!("{path}?{query}"), Value::Null).await.body;
        let ids: Vec<String> =
            page["data"].as_array().unwrap().iter().map(|ep| text(&ep["id"])).collect();
        (ids, page)
    };
    for order in ["ascending", "descending"] {
        for limit in 1..=8 {
            let (mut seen, mut back, mut at) = (Vec::new(), Vec::new(), String::new());
            loop {
                let (ids, page) = page(&format!("order={order}&limit={limit}{at}")).await;
                seen.extend(ids);
                at = format!("&iterator={}", page["iterator"].as_str().unwrap_or_default());
                if page["done"] == true {
                    let prev = page["prevIterator"].as_str().unwrap().to_owned();
                    at = format!("&iterator={prev}");
                    let last = (seen.len() - 1) / limit * limit;
                    back.extend(seen[last..].iter().cloned());
                    break;
                }
            }
            assert_eq!(seen, ids, "{order}, by {limit}");
            while back.len() < ids.len() {
                let (ids, page) = page(&format!("order={order}&limit={limit}{at}")).await;
                assert!(!ids.is_empty(), "{order}, by {limit}: {page}");
                back.splice(0..0, ids);
                at = format!("&iterator={}", page["prevIterator"].as_str().unwrap());
            }
            assert_eq!(back, ids, "{order}, by {limit}, backwards");
        }
        ids.reverse();
    }
}

#[tokio::test]
async fn what_is_told_of_all_endpoints_is_told_in_a_wide_application_too() {
    let world = narrow();
    let (app, ids) = application(&world, 7).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let get = async |path: String| world.call("GET", &path, Value::Null).await.body;
    let app_path = format!("/api/v1/app/{app}");
    let sent_to = get(format!("{app_path}/msg/{msg}/endpoint?limit=250")).await;
    assert_eq!(sent_to["data"].as_array().unwrap().len(), 7);
    let explained = get(format!("{app_path}/msg/{msg}/explain")).await;
    assert_eq!(explained["endpoints"].as_array().unwrap().len(), 7, "{explained}");
    let stats = json!({"since": "2027-01-01T00:00:00Z", "until": "2027-02-01T00:00:00Z",
        "appIds": [app]});
    let task = world.call("POST", "/api/v1/stats/usage/app", stats).await.body;
    world.live_s(60).await;
    let told = get(format!("/api/v1/background-task/{}", text(&task["id"]))).await;
    assert_eq!(told["data"]["appStats"][0]["messageDestinations"], 7, "{told}");
    let gone = world.call("DELETE", &app_path, Value::Null).await;
    assert_eq!(gone.status, 204);
    for ep in ids {
        assert_eq!(get(format!("{app_path}/endpoint/{ep}")).await["code"], "not_found");
    }
    let everything = Query {
        index: Index::Base,
        pk: format!("APP#{app}"),
        from: String::new(),
        to: "\u{10FFFF}".to_owned(),
        descending: false,
        after: None,
        limit: 10,
    };
    assert_eq!(world.table.query(&everything).await.unwrap().items, []);
}

#[tokio::test]
async fn an_application_has_as_many_endpoints_as_the_deployment_allows_and_the_refusal_says_how() {
    let mut world = narrow();
    world.admin.settings.max_endpoints = 5;
    let app = world.application().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let create = async || world.call("POST", &path, json!({"url": url(0)})).await;
    for pause_s in [0, 0, 10, 0, 10] {
        assert_eq!(create().await.status, 201);
        world.advance_s(pause_s);
    }
    for _ in 0..2 {
        let refused = create().await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["code"]),
            (400, &json!("limit_reached"))
        );
        let detail = text(&refused.body["detail"]);
        assert!(
            detail.contains("at most 5") && detail.contains(variable::MAX_ENDPOINTS),
            "{detail}"
        );
        world.advance_s(10);
    }
    let listed = world.call("GET", &path, Value::Null).await.body;
    let ep = text(&listed["data"][4]["id"]);
    assert_eq!(world.call("DELETE", &format!("{path}/{ep}"), Value::Null).await.status, 204);
    assert_eq!(create().await.status, 201, "there is room again");
    assert_eq!(create().await.status, 400);
}

#[tokio::test]
async fn whoever_creates_many_endpoints_does_not_read_them_all_for_each() {
    let world = narrow();
    let (app, _) = application(&world, 3).await;
    let before = world.meter.usage();
    for number in 3..103 {
        world.endpoint(&app, &url(number)).await;
    }
    let read = world.meter.usage().since(&before).read_units;
    // Three reads each, the last of them to see that the application is still there, and one call
    // that counts those that there were at first.
    assert!(read <= 100.0 * 3.0 + 1.0, "{read} read units");
}

#[test]
fn a_deployment_may_allow_an_application_up_to_10_000_endpoints() {
    let allowed = |text: &'static str| {
        let look_up = move |_: &str| Some(text.to_owned());
        Environment::new(&look_up).max_endpoints()
    };
    assert_eq!((allowed(""), allowed("10000")), (Ok(NARROW), Ok(10_000)));
    for wrong in ["0", "10001", "many"] {
        let why = allowed(wrong).unwrap_err();
        assert!(why.contains(variable::MAX_ENDPOINTS) && why.contains("1 to 10000"), "{why}");
    }
}
