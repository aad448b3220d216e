//! A store or queue that takes no more, or does not answer: publishers are told to ask again, soon,
//! and whether it is about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use http::Response;
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};
use shared::store::{Directory, Limit, StoreError};

use super::*;
use crate::support::still::StillClock;

/// Port calls before the one that stores the message, and before the one that sends it.
const BEFORE_STORE: usize = 1;
const BEFORE_QUEUE: usize = 2;

/// The answer itself, headers and all.
async fn answered(world: &World, app: &str) -> Response<Bytes> {
    let request = Request::post(path(app))
        .header("authorization", format!("Bearer {}", world.token()))
        .body(event().to_string().into())
        .unwrap();
    world.receiver.handle(request).await
}

/// Asserts an answer that says when to ask again, and not why.
fn assert_later(response: &Response<Bytes>, status: u16, code: &str) {
    assert_eq!(response.status().as_u16(), status, "{response:?}");
    let after = response.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=3).contains(&after), "{after}");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["code"], code);
    assert!(body["detail"].as_str().unwrap().contains("ask again"), "{body}");
    assert!(!body.to_string().contains("injected"), "the reason is for the log alone: {body}");
}

#[tokio::test]
async fn a_hot_key_gets_429_and_whatever_else_is_not_there_503() {
    for (fault, status, code) in [
        (Fault::Busy(Limit::Partition), 429, "too_many_requests"),
        (Fault::Busy(Limit::Store), 503, "unavailable"),
        (Fault::Before, 503, "unavailable"),
        (Fault::After, 503, "unavailable"),
    ] {
        for call in [0, BEFORE_STORE] {
            let (world, app) = world().await;
            world.plan.fail_after(call, fault);
            assert_later(&answered(&world, &app).await, status, code);
            assert_eq!(answered(&world, &app).await.status(), 202, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for_by_few_and_asked_again_soon() {
    let (mut world, app) = world().await;
    let (store, clock) = (Slow::new(&world), world.clock.clone());
    world.receiver.directory = Directory::new(store.clone());
    let asked = async |expected: u16| {
        let before = store.calls.load(Ordering::Relaxed);
        let answer = answered(&world, &app).await;
        assert_eq!(answer.status(), expected);
        if expected == 503 {
            assert_later(&answer, 503, "unavailable");
        }
        store.calls.load(Ordering::Relaxed) - before
    };
    store.away.store(true, Ordering::Relaxed);
    // Two wait in vain; then nobody does for a second, and one tries.
    assert_eq!([asked(503).await, asked(503).await, asked(503).await], [1, 1, 0]);
    clock.advance_ms(1_000);
    assert_eq!([asked(503).await, asked(503).await], [1, 0]);
    store.away.store(false, Ordering::Relaxed);
    assert_eq!(asked(503).await, 0);
    clock.advance_ms(2_000);
    assert_eq!([asked(202).await, asked(202).await], [1, 1]);
}

#[tokio::test]
async fn requests_of_strangers_do_not_keep_publishers_from_a_store_that_is_back() {
    let (mut world, app) = world().await;
    let (store, clock) = (Slow::new(&world), world.clock.clone());
    world.receiver.directory = Directory::new(store.clone());
    store.away.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert_eq!(answered(&world, &app).await.status(), 503);
    }
    store.away.store(false, Ordering::Relaxed);
    clock.advance_ms(9_000);
    for _ in 0..3 {
        let stranger = Request::post(path(&app)).body("{}".into()).unwrap();
        assert_eq!(world.receiver.handle(stranger).await.status(), 401);
        assert_eq!(answered(&world, &app).await.status(), 202);
    }
}

/// A store that answers after two seconds, or says then that it cannot.
struct Slow {
    inner: Arc<dyn Table>,
    clock: Arc<StillClock>,
    away: AtomicBool,
    calls: AtomicUsize,
}

impl Slow {
    fn new(world: &World) -> Arc<Self> {
        let (inner, clock) = (world.table.clone(), world.clock.clone());
        Arc::new(Self { inner, clock, away: AtomicBool::default(), calls: AtomicUsize::default() })
    }

    fn work(&self) -> Result<(), StoreError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.clock.advance_ms(2_000);
        match self.away.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable("no answer".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Table for Slow {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.work()?;
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.work()?;
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.work()?;
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.work()?;
        self.inner.transact(writes).await
    }
}

#[tokio::test]
async fn what_the_queue_does_not_take_is_sent_once_more_and_arrives_once() {
    for fault in [Fault::Before, Fault::After] {
        let (world, app) = world().await;
        world.plan.fail_after(BEFORE_QUEUE, fault);
        assert_eq!(answered(&world, &app).await.status(), 202, "{fault:?}");
        assert_eq!(world.plan.fired(), 1);
        assert_eq!(delivered_later(&world).await, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_queue_that_is_down_gets_503() {
    let (world, app) = world().await;
    world.plan.fail_after(BEFORE_QUEUE, Fault::Before);
    world.plan.fail_after(BEFORE_QUEUE + 1, Fault::Before);
    assert_later(&answered(&world, &app).await, 503, "unavailable");
}

#[tokio::test]
async fn of_a_batch_each_message_is_told_and_the_call_as_well_if_it_is_all_of_them() {
    let (world, app) = world().await;
    let body = json!({"messages": [event(), event()]});
    let batch = format!("{}/batch", path(&app));
    world.plan.fail_after(BEFORE_STORE, Fault::Busy(Limit::Partition));
    let some = world.call("POST", &batch, body.clone()).await;
    assert_eq!((some.status.as_u16(), &some.body["failed"]), (202, &json!(1)));
    assert_eq!(some.body["results"][0]["status"], 429);
    for call in 0..2 {
        world.plan.fail_after(BEFORE_STORE + call, Fault::Before);
    }
    let none = world.call("POST", &batch, body).await;
    assert_eq!((none.status.as_u16(), &none.body["failed"]), (503, &json!(2)));
}

#[tokio::test]
async fn a_store_that_never_answers_gets_503_within_eight_seconds() {
    let (mut world, app) = world().await;
    world.receiver.directory = Directory::new(std::sync::Arc::new(Mute));
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    assert_later(&answered(&world, &app).await, 503, "unavailable");
    // A timer is as fine as a millisecond.
    let late = before.elapsed() - receive::PATIENCE;
    assert!(late <= std::time::Duration::from_millis(1), "{late:?}");
    assert_eq!(receive::PATIENCE.as_secs(), 8);
}

#[tokio::test]
async fn the_list_of_a_busy_application_is_spread_wider_and_read_in_order() {
    let (world, app) = world().await;
    let mut published = Vec::new();
    for round in 0..4 {
        world.plan.fail_after(BEFORE_STORE, Fault::Busy(Limit::List));
        for n in 0..5 {
            // An id tells 4 ms apart.
            world.clock.advance_ms(10);
            published.push(world.publish(&app, json!({"n": [round, n]})).await);
        }
    }
    let listed = |query: String| {
        let path = format!("{}?{query}", path(&app));
        let world = &world;
        async move { world.call("GET", &path, Value::Null).await.body }
    };
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|message| text(&message["id"])).collect()
    };
    let mut newest_first = published.clone();
    newest_first.reverse();
    assert_eq!(ids(&listed("limit=50".to_owned()).await), newest_first);
    // Page by page, on and back.
    let (mut on, mut iterator, mut pages) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = listed(format!("limit=3{iterator}")).await;
        on.extend(ids(&page));
        pages.push(ids(&page));
        if page["done"] == true {
            let back = listed(format!("limit=3&iterator={}", text(&page["prevIterator"]))).await;
            assert_eq!(ids(&back), pages[pages.len() - 2]);
            break;
        }
        iterator = format!("&iterator={}", text(&page["iterator"]));
    }
    assert_eq!(on, newest_first);
    let places: std::collections::BTreeSet<u8> = world
        .stored
        .lock()
        .unwrap()
        .values()
        .filter_map(|item| item.by_time.as_ref())
        .filter_map(|key| key.pk.strip_prefix(&format!("APP#{app}#"))?.parse().ok())
        .collect();
    // Four times it was too busy, so there are sixteen: of the last five messages one at least is
    // in the second half.
    assert!(places.last().is_some_and(|place| (8..16).contains(place)), "{places:?}");
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 20);
}

/// A table that never answers.
struct Mute;

#[async_trait]
impl Table for Mute {
    async fn get(&self, _: &Key) -> Result<Option<Item>, StoreError> {
        std::future::pending().await
    }

    async fn query(&self, _: &Query) -> Result<Page, StoreError> {
        std::future::pending().await
    }

    async fn write(&self, _: Write) -> Result<Written, StoreError> {
        std::future::pending().await
    }

    async fn transact(&self, _: Vec<Write>) -> Result<Transacted, StoreError> {
        std::future::pending().await
    }
}
