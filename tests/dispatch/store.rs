//! A store that throttles, or whose answers get lost, when the request is out already.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shared::domain::metrics::Metric;
use shared::store::keys::ATTEMPT_PREFIX;
use shared::store::{Directory, DirectoryEditor};

use super::*;
use crate::support::awake::Awake;
use crate::support::faults::{Faulty, Plan};

/// Calls before the record of a first attempt: the application is read, the request sent.
const BEFORE_RECORD: usize = 2;
/// How often the record is tried again where nothing ends the invocation.
const TRIES: usize = 11;

#[tokio::test(start_paused = true)]
async fn the_record_of_an_attempt_is_tried_again_while_the_store_throttles() {
    for (status, faults) in [(200, 1), (200, TRIES), (500, 1), (500, TRIES)] {
        let (world, app, _) = World::with_endpoint(URL).await;
        world.network.next(URL, answer(status));
        let msg = world.publish(&app, json!({})).await;
        for fault in 0..faults {
            world.plan.fail_after(BEFORE_RECORD + fault, Fault::Before);
        }
        assert_eq!(world.dispatch().await, 1, "{status}, {faults} times");
        assert_eq!(world.plan.fired(), faults);
        assert_eq!(codes(&world.attempts(&app, &msg).await), [u64::from(status)]);
        world.live_s(600).await;
        let sent = if status == 200 { 1 } else { 2 };
        assert_eq!(world.network.sent().len(), sent, "{status}, {faults} times");
    }
}

#[tokio::test(start_paused = true)]
async fn the_record_of_an_attempt_by_hand_is_tried_again_while_the_store_throttles() {
    for status in [200, 500] {
        let Waiting { world, app, ep, msg } = waiting().await;
        world.network.next(URL, answer(status));
        resend(&world, &app, &msg, &ep).await;
        let record = receive(&world.queues.retries).await;
        // Its message is read as well; one that succeeded reads the delivery first.
        for fault in 0..TRIES {
            world.plan.fail_after(BEFORE_RECORD + 1 + fault, Fault::Before);
        }
        assert_eq!(world.dispatcher.handle(record, None).await, NONE);
        assert_eq!(world.plan.fired(), TRIES);
        assert_eq!(codes(&world.attempts(&app, &msg).await), [500, u64::from(status)]);
        assert_eq!(world.network.sent().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_takes_until_shortly_before_the_end_at_no_time_is_written_later() {
    for (status, in_time) in [(200, true), (500, true), (200, false), (500, false)] {
        let (world, app, msg, record) = accepted().await;
        world.network.next(URL, answer(status));
        let (away, behind) = without_writes(&world);
        // Either there is no time to ask the store, or none for anything else.
        let left_ms = if in_time { 9_100 } else { 30_000 };
        let deadline = world.ambient.now().plus_ms(left_ms);
        assert_eq!(behind.handle(vec![record.clone()], Some(deadline)).await, NONE);
        assert!(world.ambient.now() < deadline);
        assert_eq!(away.refused.load(Ordering::SeqCst) > 20, !in_time);
        assert_eq!(world.attempts(&app, &msg).await, NO_VALUES);
        world.queues.deliveries.delete(&[record.receipt]).await.unwrap();
        // It is written by another process, which knows nothing but the record.
        world.advance_s(10);
        assert_eq!(world.dispatch().await, 1);
        assert_eq!(codes(&world.attempts(&app, &msg).await), [u64::from(status)]);
        assert_eq!(world.network.sent().len(), 1, "{status}");
        // And what follows from it is as ever.
        world.live_s(600).await;
        let sent = if status == 200 { 1 } else { 2 };
        assert_eq!((world.network.sent().len(), pending(&world).await), (sent, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_outcome_of_a_later_attempt_that_is_written_later_ends_its_delivery() {
    for number in [1, 2] {
        let (world, msg, record) = match number {
            1 => {
                let (world, _, msg, record) = accepted().await;
                // Somebody else may have had it, so a lease is taken for it.
                world.advance_s(u64::from(VISIBILITY_S) + 60);
                (world, msg, copy(&record, 2))
            }
            _ => {
                let Waiting { world, msg, .. } = waiting().await;
                world.advance_s(7);
                let record = receive(&world.queues.retries).await.remove(0);
                (world, msg, record)
            }
        };
        let before = world.network.sent().len();
        let away = Away::new(&world);
        // A lease is taken before; what it came to is not.
        let behind = dispatcher(&world, |parts| {
            on_table(parts, &world.table, away.clone());
            parts.retries = Arc::new(Awake(parts.retries.clone()));
        });
        away.only_attempts.store(true, Ordering::SeqCst);
        let deadline = Some(world.ambient.now().plus_ms(9_100));
        let receipt = record.receipt.clone();
        assert_eq!(behind.handle(vec![record], deadline).await, NONE, "{number}");
        let queues = &world.queues;
        let from = if number == 1 { &queues.deliveries } else { &queues.retries };
        from.delete(&[receipt]).await.unwrap();
        assert_eq!(world.network.sent().len(), before + 1, "{number}");
        let ep = the_pending(&world, &msg).await.ep.to_string();
        world.advance_s(10);
        assert_eq!(world.dispatch().await, 1, "{number}");
        assert_eq!(delivery(&world, &msg, &ep).await.state, State::Delivered, "{number}");
        world.live_s(3_600).await;
        assert_eq!(world.network.sent().len(), before + 1, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_neither_store_nor_queue_takes_at_first_is_written_later_all_the_same() {
    for tries in 1..4 {
        let (world, app, msg, record) = accepted().await;
        let plan = Plan::new((0..tries).map(|call| (call, Fault::Before)).collect());
        let away = Away::new(&world);
        let behind = dispatcher(&world, |parts| {
            on_table(parts, &world.table, away.clone());
            parts.retries = Arc::new(Faulty::new(Awake(parts.retries.clone()), &plan));
        });
        let deadline = Some(world.ambient.now().plus_ms(9_100));
        assert_eq!(behind.handle(vec![record.clone()], deadline).await, NONE, "{tries}");
        assert_eq!(plan.fired(), tries);
        world.queues.deliveries.delete(&[record.receipt]).await.unwrap();
        world.advance_s(10);
        assert_eq!(world.dispatch().await, 1, "{tries}");
        assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
        assert_eq!(world.network.sent().len(), 1, "{tries}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_whose_record_comes_twice_is_counted_once() {
    let (world, app, msg, record) = accepted().await;
    let (_, behind) = without_writes(&world);
    let deadline = Some(world.ambient.now().plus_ms(9_100));
    assert_eq!(behind.handle(vec![record.clone()], deadline).await, NONE);
    world.queues.deliveries.delete(&[record.receipt]).await.unwrap();
    world.advance_s(10);
    let outcome = receive(&world.queues.retries).await.remove(0);
    world.metrics.take();
    for receive_count in [1, 1, 2] {
        let copy = vec![copy(&outcome, receive_count)];
        assert_eq!(world.dispatcher.handle(copy, None).await, NONE);
    }
    assert_eq!(world.metrics.take().get(&Metric::Delivered).map(Vec::len), Some(1));
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_written_yet_stays_in_the_queue() {
    let (world, app, msg, record) = accepted().await;
    let (_, behind) = without_writes(&world);
    let deadline = || Some(world.ambient.now().plus_ms(9_100));
    assert_eq!(behind.handle(vec![record.clone()], deadline()).await, NONE);
    world.queues.deliveries.delete(&[record.receipt]).await.unwrap();
    for _ in 0..6 {
        world.advance_s(31);
        let batch = receive(&world.queues.retries).await;
        let id = batch[0].id.clone();
        assert_eq!(behind.serve(&world.queues.retries, batch, deadline()).await, [id]);
    }
    world.advance_s(31);
    world.dispatch_all().await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_knows_an_outcome_makes_no_other_request_for_it() {
    for turn in ["first", "retry", "by hand"] {
        let Waiting { world, app, ep, msg } = waiting().await;
        let record = match turn {
            "first" => {
                world.publish(&app, json!({"n": 2})).await;
                receive(&world.queues.deliveries).await.remove(0)
            }
            "retry" => {
                world.advance_s(7);
                receive(&world.queues.retries).await.remove(0)
            }
            _ => {
                resend(&world, &app, &msg, &ep).await;
                receive(&world.queues.retries).await.remove(0)
            }
        };
        let away = Away::new(&world);
        // Neither the store nor the queue takes it; a lease is taken before.
        let behind = dispatcher(&world, |parts| {
            on_table(parts, &world.table, away.clone());
            let plan = Plan::new((0..9).map(|call| (call, Fault::Before)).collect());
            let queue = Faulty::new(world.queues.retries.clone(), &plan);
            let queue: Arc<dyn Producer> = Arc::new(queue);
            parts.retries = Arc::new(Awake(queue));
        });
        away.only_attempts.store(true, Ordering::SeqCst);
        let deadline = || Some(world.ambient.now().plus_ms(9_100));
        let undone = behind.handle(vec![copy(&record, 1)], deadline()).await;
        assert_eq!(undone, [record.id.as_str()], "{turn}");
        assert_eq!(world.network.sent().len(), 2, "{turn}");
        away.back.store(true, Ordering::SeqCst);
        world.advance_s(u64::from(VISIBILITY_S) + 60);
        assert_eq!(behind.handle(vec![copy(&record, 2)], None).await, NONE, "{turn}");
        assert_eq!(world.network.sent().len(), 2, "{turn}");
        world.queues.retries.delete(&[record.receipt]).await.unwrap();
        world.live_s(600).await;
        // The other message's retry, unless this was it or ended it.
        let others = usize::from(turn == "first");
        assert_eq!(world.network.sent().len(), 2 + others, "{turn}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_patience_a_store_that_throttles_once_makes_a_second_request() {
    for patience in [true, false] {
        let (world, app, msg, record) = accepted().await;
        world.network.next(URL, answer(500));
        let plan = Plan::new(vec![(0, Fault::Throttle(1))]);
        let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &plan));
        let behind = dispatcher(&world, |parts| {
            parts.settings.without.patience = !patience;
            on_table(parts, &world.table, table);
        });
        let undone = behind.handle(vec![copy(&record, 1)], None).await;
        assert_eq!(undone.is_empty(), patience);
        if patience {
            assert_eq!(codes(&world.attempts(&app, &msg).await), [500]);
        } else {
            world.advance_s(VISIBILITY_S.into());
            assert_eq!(behind.handle(vec![copy(&record, 2)], None).await, NONE);
        }
        assert_eq!(world.network.sent().len(), if patience { 1 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_record_was_answered_with_an_error_is_recognised_and_has_its_consequence()
{
    for status in [200, 500] {
        let (world, app, ep) = World::with_endpoint(URL).await;
        world.network.next(URL, answer(status));
        let msg = world.publish(&app, json!({})).await;
        world.plan.fail_after(BEFORE_RECORD, Fault::After);
        assert_eq!(world.dispatch().await, 1, "{status}");
        assert_eq!(world.plan.fired(), 1);
        let told = world.metrics.take();
        let metric = if status == 200 { Metric::Delivered } else { Metric::Failed };
        assert_eq!(told.get(&metric).map(Vec::len), Some(1), "{status}");
        assert_eq!(codes(&world.attempts(&app, &msg).await), [u64::from(status)]);
        if status == 500 {
            assert_eq!(delivery(&world, &msg, &ep).await.attempts, 1);
            // Its retry is in the queue, without the sweep's help.
            world.advance_s(7);
            assert_eq!(world.dispatch().await, 1);
            assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
        }
        world.live_s(1_200).await;
        assert_eq!(world.network.sent().len(), if status == 200 { 1 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_store_never_says_it_has_is_followed_by_the_next_in_time() {
    let (world, app, msg, record) = accepted().await;
    world.network.next(URL, answer(500));
    let (away, behind) = without_writes(&world);
    away.unheard.store(true, Ordering::SeqCst);
    let deadline = Some(world.ambient.now().plus_ms(30_000));
    assert_eq!(behind.handle(vec![record.clone()], deadline).await, NONE);
    world.queues.deliveries.delete(&[record.receipt]).await.unwrap();
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500]);
    for _ in 0..4 {
        world.advance_s(10);
        world.dispatch_all().await;
    }
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_by_hand_whose_record_was_answered_with_an_error_is_recognised() {
    for (status, metric) in [(200, Metric::Delivered), (500, Metric::Failed)] {
        let Waiting { world, app, ep, msg } = waiting().await;
        let before = delivery(&world, &msg, &ep).await;
        world.metrics.take();
        world.network.next(URL, answer(status));
        resend(&world, &app, &msg, &ep).await;
        let record = receive(&world.queues.retries).await;
        // One that succeeded reads the delivery before it is recorded.
        let calls = BEFORE_RECORD + 1 + usize::from(status == 200);
        world.plan.fail_after(calls, Fault::After);
        assert_eq!(world.dispatcher.handle(record, None).await, NONE);
        assert_eq!(world.plan.fired(), 1);
        assert_eq!(world.metrics.take().get(&metric).map(Vec::len), Some(1), "{status}");
        assert_eq!(codes(&world.attempts(&app, &msg).await), [500, u64::from(status)]);
        let after = delivery(&world, &msg, &ep).await;
        match status {
            200 => assert_eq!(after.state, State::Delivered),
            _ => assert_eq!(after, before),
        }
        assert_eq!(world.network.sent().len(), 2);
    }
}

/// Has a dispatcher keep deliveries in one table and everything else in another, in a time that
/// only moves on while nobody works.
fn on_table(parts: &mut Parts, others: &Arc<dyn Table>, deliveries: Arc<dyn Table>) {
    parts.deliveries = Deliveries::new(Arc::new(Awake(deliveries)));
    let others: Arc<dyn Table> = Arc::new(Awake(others.clone()));
    parts.directory = Directory::new(others.clone());
    parts.editor = DirectoryEditor::new(others, None);
}

/// A dispatcher that cannot write, and its table.
fn without_writes(world: &World) -> (Arc<Away>, Dispatcher) {
    let away = Away::new(world);
    let behind = dispatcher(world, |parts| {
        on_table(parts, &world.table, away.clone());
        parts.retries = Arc::new(Awake(parts.retries.clone()));
    });
    (away, behind)
}

/// A table that takes a second to refuse every write.
struct Away {
    inner: Arc<dyn Table>,
    clock: Arc<StillClock>,
    refused: AtomicUsize,
    /// Whether it refuses attempts alone.
    only_attempts: AtomicBool,
    /// Whether it refuses nothing any more.
    back: AtomicBool,
    /// Whether it does what it refuses.
    unheard: AtomicBool,
}

impl Away {
    fn new(world: &World) -> Arc<Self> {
        Arc::new(Self {
            inner: world.table.clone(),
            clock: world.clock.clone(),
            refused: AtomicUsize::default(),
            only_attempts: AtomicBool::default(),
            back: AtomicBool::default(),
            unheard: AtomicBool::default(),
        })
    }

    fn takes(&self, write: &Write) -> bool {
        let attempt = write.key().sk.starts_with(ATTEMPT_PREFIX);
        self.back.load(Ordering::SeqCst) || self.only_attempts.load(Ordering::SeqCst) && !attempt
    }

    fn refuse<T>(&self) -> Result<T, StoreError> {
        self.refused.fetch_add(1, Ordering::SeqCst);
        self.clock.advance_ms(1_000);
        Err(StoreError::Unavailable("throttled".to_owned()))
    }
}

#[async_trait]
impl Table for Away {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        match self.takes(&write) {
            true => self.inner.write(write).await,
            false if self.unheard.load(Ordering::SeqCst) => {
                self.inner.write(write).await?;
                self.refuse()
            }
            false => self.refuse(),
        }
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        if writes.iter().all(|write| self.takes(write)) {
            return self.inner.transact(writes).await;
        }
        if self.unheard.load(Ordering::SeqCst) {
            self.inner.transact(writes).await?;
        }
        self.refuse()
    }
}
