//! What the sweep does when something in its way cannot be read, sent or given back; and that
//! nobody's endpoints hold up another's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use dispatch::{Dispatcher, Settings};
use retry::{Concurrency, Part, Report, Sweeper};
use serde_json::json;
use shared::domain::clock::Timestamp;
use shared::domain::id::MessageId;
use shared::domain::schedule::Schedule;
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::{Consumer, MAX_BATCH, Outgoing, Producer, QueueError};
use shared::sender::{Outbound, Outcome, Sender};
use shared::store::table::{Condition, Item, Key, Page, Query, Table, Transacted, Write, Written};
use shared::store::{Deliveries, StoreError, keys};

use crate::retry::{Tired, due_in};
use crate::support::faults::{Fault, Faulty, Plan};
use crate::support::network::{Network, answer};
use crate::support::still::START;
use crate::support::world::{Builder, World};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_and_does_not_block_its_shard() {
    let settings = Settings { schedule: Schedule::new(vec![3_600]), ..Settings::default() };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.advance_s(2 * 3_600);
    // More than a page of it, all due before the delivery.
    let shard =
        keys::due_shard_of(&app.parse().unwrap(), &msg.parse().unwrap(), &ep.parse().unwrap());
    for n in 0..250 {
        let due = Key { pk: keys::due_pk(shard), sk: keys::due_sk(Timestamp(n)) };
        let key = Key {
            pk: format!("MSG#{n}"),
            sk: keys::delivery(&msg.parse::<MessageId>().unwrap().key(), &ep.parse().unwrap()).sk,
        };
        let item = Item::new(key, r#"{"written":"by a later version"}"#.to_owned()).due(Some(due));
        let put = Write::Put(item, Condition::AbsentAt(world.ambient.now()));
        assert_eq!(world.table.write(put).await.unwrap(), Written::Done);
    }
    let report = world.sweep().await;
    assert_eq!((report.failed, report.enqueued), (250, 1));
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 2);
    // It is left alone for an hour, and not for ever.
    assert_eq!(world.sweep().await.failed, 0);
    world.advance_s(3_601);
    assert_eq!(world.sweep().await.failed, 250);
}

#[tokio::test]
async fn what_a_fault_of_the_disk_has_changed_is_set_aside_alone() {
    let (world, app, _) = World::with_endpoint(URL).await;
    for _ in 0..3 {
        world.network.next(URL, answer(500));
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    let deliveries = "UPDATE items SET doc = CAST(x'7b22ff22' AS TEXT) WHERE rowid IN \
        (SELECT rowid FROM items WHERE dpk IS NOT NULL LIMIT 1)";
    let changed = world.engine.write(|connection| connection.execute(deliveries, [])).await;
    assert_eq!(changed, Ok(1));
    // The queue is lost as well, so that what is due is all that there is.
    world.engine.write(|connection| connection.execute("DELETE FROM records", [])).await.unwrap();
    world.advance_s(24 * 3_600);
    let report = world.sweep().await;
    assert_eq!((report.failed, report.enqueued), (1, 2));
    assert_eq!(world.sweep().await.failed, 0);
}

#[tokio::test]
async fn a_message_that_could_not_be_released_is_due_again_at_once() {
    let (world, sweeper) = scheduled(Fault::Before).await;
    let report = sweeper.run(None).await;
    assert_eq!((report.released, report.failed), (0, 1));
    world.clock.advance_ms(1);
    let report = world.sweep().await;
    assert_eq!((report.released, report.failed), (1, 0));
    // The first may be in the queue all the same, so this one leaves it the time of a lease.
    world.live_s(60 + 35).await;
    assert_eq!(world.network.sent().len(), 1);
}

/// The first record is in the queue although the answer was lost, so that there are two.
#[tokio::test]
async fn a_message_that_was_released_twice_is_sent_once() {
    let (world, sweeper) = scheduled(Fault::After).await;
    assert_eq!(sweeper.run(None).await.released, 0);
    world.clock.advance_ms(1);
    assert_eq!(world.sweep().await.released, 1);
    world.live_s(1_200).await;
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn endpoints_that_hang_do_not_keep_another_applications_waiting() {
    const HANGS: &str = "http://127.0.0.1:9/hangs";
    let settings = Settings { parallel: 3, parallel_per_application: 2, ..Settings::default() };
    let world = World::build(Builder { settings: settings.clone(), ..Builder::default() });
    let (hangs, answers) = (world.application().await, world.application().await);
    world.endpoint(&hangs, HANGS).await;
    world.endpoint(&answers, URL).await;
    for _ in 0..5 {
        world.publish(&hangs, json!({})).await;
    }
    for _ in 0..3 {
        world.publish(&answers, json!({})).await;
    }
    let mut parts = world.parts.clone();
    parts.sender = Arc::new(Hanging { network: world.network.clone(), url: HANGS });
    let dispatcher = Dispatcher::new(parts);
    let batch = world.queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    assert_eq!(batch.len(), 8);
    let work = tokio::spawn(async move { dispatcher.handle(batch, None).await });
    let arrive = async {
        while world.network.sent_to(URL).len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), arrive).await.expect("they wait");
    work.abort();
}

#[test]
fn parts_take_turns_so_that_none_is_always_the_one_that_is_refused() {
    for minute in 0..8 {
        let now = START.plus_ms(minute * 60_000);
        let all: BTreeSet<u32> = Part::all(4).map(|part| part.in_turn(now).number()).collect();
        assert_eq!(all, (0..4).collect(), "all are done in each minute");
    }
    let first = Part::all(4).next().unwrap();
    let turns = (0..4).map(|minute| first.in_turn(START.plus_ms(minute * 60_000)).number());
    assert_eq!(turns.collect::<BTreeSet<u32>>(), (0..4).collect());
    assert_eq!(Part::WHOLE.in_turn(START.plus_ms(60_000)), Part::WHOLE);
}

#[test]
fn parts_agree_on_their_turns_though_they_begin_on_both_sides_of_a_minute() {
    let event = |part: u32| json!({"part": part, "parts": 4, "at": "2027-01-15T08:01:00Z"});
    let swept = (0..4).map(|number| {
        let event = event(number);
        let scheduled = Part::scheduled(&event).unwrap();
        Part::of(&event).in_turn(scheduled).number()
    });
    assert_eq!(swept.collect::<BTreeSet<u32>>(), (0..4).collect());
    // As it is where nobody puts a moment in its place.
    let event = json!({"part": 0, "parts": 4, "at": "<aws.scheduler.scheduled-time>"});
    assert_eq!(Part::scheduled(&event), None);
    assert_eq!(Part::scheduled(&json!({"part": 0, "parts": 4})), None);
}

#[tokio::test]
async fn a_run_that_began_late_sweeps_the_part_of_the_minute_that_it_was_scheduled_for() {
    let world = World::new();
    let scheduled = world.ambient.now();
    let first = Part::all(4).next().unwrap();
    let number = first.in_turn(scheduled).number();
    // The number of a part is that of its first shard.
    due_in(&world, number, 1).await;
    world.advance_s(61);
    let report = world.sweeper.run_scheduled(first, Some(scheduled), None).await;
    assert_eq!(report.enqueued, 1, "{report:?}");
}

#[tokio::test]
async fn a_store_that_takes_little_is_asked_again_while_there_is_time() {
    let world = World::new();
    due_in(&world, 3, 130).await;
    let plan = Plan::new(Vec::new());
    let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &plan));
    let unlucky = Sweeper { deliveries: Deliveries::new(table), ..world.sweeper.clone() };
    plan.fail_after(0, Fault::Throttle(101));
    let deadline = world.ambient.now().plus_ms(50_000);
    let expected = Report { enqueued: 130, ..Report::default() };
    assert_eq!(unlucky.run(Some(deadline)).await, expected);
    assert_eq!(world.sweep().await, Report::default());
}

#[tokio::test]
async fn what_has_come_due_lately_does_not_wait_for_a_long_backlog() {
    let world = World::new();
    due_in(&world, 4, 230).await;
    world.advance_s(600);
    due_in(&world, 4, 3).await;
    let table = Arc::new(Tired { inner: world.table.clone(), clock: world.clock.clone() });
    // Reads that are under way together end in any order, and the next are asked for in that order.
    let concurrency = Concurrency { reads: 1, ..Concurrency::default() };
    let tired =
        Sweeper { deliveries: Deliveries::new(table), concurrency, ..world.sweeper.clone() };
    // Time for the first pages of all 64 shards and one more, which is not the second of the oldest.
    let deadline = world.ambient.now().plus_ms(91_000);
    let expected = Report { enqueued: 103, ..Report::default() };
    assert_eq!(tired.run(Some(deadline)).await, expected);
    assert_eq!(world.sweep().await, Report { enqueued: 130, ..Report::default() });
}

/// Scheduled messages have their payloads, which may be large.
#[tokio::test]
async fn no_more_scheduled_messages_are_held_than_a_batch_of_each_shard() {
    const MESSAGES: usize = 240;
    let (world, app, _) = World::with_endpoint(URL).await;
    let at = world.ambient.now().plus_ms(600_000).to_rfc3339();
    let body = json!({"eventType": "a.b", "payload": {"n": "x".repeat(100)}, "deliverAt": at});
    let path = format!("/api/v1/app/{app}/msg");
    for _ in 0..MESSAGES {
        assert_eq!(world.call("POST", &path, body.clone()).await.status, 202);
    }
    world.advance_s(600);
    let held = Arc::new(Held::default());
    let table = Reading { inner: world.table.clone(), held: held.clone() };
    let accepted = Sending { inner: world.queues.deliveries.clone(), held: held.clone() };
    let sweeper = Sweeper {
        deliveries: Deliveries::new(Arc::new(table)),
        accepted: Arc::new(accepted),
        ..world.sweeper.clone()
    };
    assert_eq!(sweeper.run(None).await.released, MESSAGES);
    let most = held.most.load(Ordering::SeqCst);
    // An application has eight shards.
    assert!((1..=8 * MAX_BATCH).contains(&most), "{most} at once");
}

/// Payloads that were read and not sent yet.
#[derive(Default)]
struct Held {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A table of which it is counted how many payloads are read.
struct Reading {
    inner: Arc<dyn Table>,
    held: Arc<Held>,
}

#[async_trait]
impl Table for Reading {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let found = self.inner.get(key).await?;
        if found.as_ref().is_some_and(|item| item.body.is_some()) {
            let now = self.held.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.held.most.fetch_max(now, Ordering::SeqCst);
        }
        Ok(found)
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.inner.transact(writes).await
    }
}

/// A queue of which it is counted how many are sent to it.
struct Sending {
    inner: EmbeddedQueue,
    held: Arc<Held>,
}

#[async_trait]
impl Producer for Sending {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.held.now.fetch_sub(batch.len(), Ordering::SeqCst);
        self.inner.send(batch).await
    }
}

/// A message whose time comes in exactly a minute, when it is first due; and a sweep whose first
/// send goes wrong.
async fn scheduled(fault: Fault) -> (World, Sweeper) {
    let (world, app, _) = World::with_endpoint(URL).await;
    let at = world.ambient.now().plus_ms(600_000).to_rfc3339();
    let body = json!({"eventType": "a.b", "payload": {}, "deliverAt": at});
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    world.advance_s(540);
    let plan = Plan::new(vec![(0, fault)]);
    let accepted = Arc::new(Faulty::new(world.queues.deliveries.clone(), &plan));
    let sweeper = Sweeper { accepted, ..world.sweeper.clone() };
    (world, sweeper)
}

/// A network where one URL never answers.
struct Hanging {
    network: Arc<Network>,
    url: &'static str,
}

#[async_trait]
impl Sender for Hanging {
    async fn send(&self, request: Outbound) -> Outcome {
        if request.url == self.url {
            std::future::pending::<()>().await;
        }
        self.network.send(request).await
    }
}
