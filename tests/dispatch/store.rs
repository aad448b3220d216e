//! A store that throttles, or whose answers get lost, when the request is out already.

use std::sync::atomic::{AtomicUsize, Ordering};

use shared::domain::metrics::Metric;

use super::*;

/// Calls before the record of a first attempt: the application is read, the request sent.
const BEFORE_RECORD: usize = 2;
/// How often the record is tried again where nothing ends the invocation.
const TRIES: usize = 11;

#[tokio::test(start_paused = true)]
async fn the_record_of_an_attempt_is_tried_again_while_the_store_throttles() {
    for (status, faults) in [(200, 1), (200, TRIES), (500, 1), (500, TRIES)] {
        let world = World::new();
        let app = world.application().await;
        world.endpoint(&app, URL).await;
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
async fn a_store_that_stays_away_is_asked_until_shortly_before_the_deadline() {
    let (world, app, msg, record) = accepted().await;
    let away = Arc::new(Away {
        inner: world.table.clone(),
        clock: world.clock.clone(),
        refused: AtomicUsize::new(0),
    });
    let behind = dispatcher(&world, |parts| {
        let table: Arc<dyn Table> = away.clone();
        parts.deliveries = Deliveries::new(table);
    });
    let deadline = world.ambient.now().plus_ms(30_000);
    let undone = behind.handle(vec![copy(&record, 1)], Some(deadline)).await;
    assert_eq!(undone, [record.id.as_str()]);
    let now = world.ambient.now();
    assert!(now < deadline && now.plus_ms(3_000) > deadline, "{} ms left", deadline.since(now));
    assert!(away.refused.load(Ordering::SeqCst) > 20);
    assert_eq!(world.network.sent().len(), 1);
    assert_eq!(world.attempts(&app, &msg).await, NO_VALUES);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_record_was_answered_with_an_error_is_recognised_and_has_its_consequence()
{
    for status in [200, 500] {
        let world = World::new();
        let app = world.application().await;
        let ep = world.endpoint(&app, URL).await;
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

/// A table that takes a second to refuse every write.
struct Away {
    inner: Arc<dyn Table>,
    clock: Arc<StillClock>,
    refused: AtomicUsize,
}

impl Away {
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

    async fn write(&self, _: Write) -> Result<Written, StoreError> {
        self.refuse()
    }

    async fn transact(&self, _: Vec<Write>) -> Result<Transacted, StoreError> {
        self.refuse()
    }
}
