//! A table that throttles is asked for less.

use shared::store::table::Key;
use shared::store::{Directory, Limit};
use tokio::time::Instant;

use super::*;
use crate::support::awake::Awake;

/// A world with an endpoint, whose table throttles to order.
struct Busy {
    world: World,
    app: String,
}

impl Busy {
    async fn new() -> Self {
        let (world, app, _) = World::with_endpoint(URL).await;
        Self { world, app }
    }

    /// So many tries of single writes since the last batch, of which the table refused some.
    fn throttle(&self, refused: u32, all: u32) {
        let key = Key { pk: "MSG#1".to_owned(), sk: "MSG".to_owned() };
        (0..all).for_each(|_| self.world.parts.backpressure.tried());
        (0..refused).for_each(|_| self.world.parts.backpressure.throttled(Limit::Store, &key));
    }

    /// How long the next batch is kept waiting.
    async fn waited_ms(&self) -> u128 {
        self.waited_by(&self.world.dispatcher, None).await
    }

    /// What is not fresh is written more for: here it may have been made already.
    async fn waited_by(&self, dispatcher: &Dispatcher, deadline: Option<Timestamp>) -> u128 {
        let mut batch = self.published().await;
        let long_ago = self.world.ambient.now().minus_ms(u64::from(VISIBILITY_S) * 1_000);
        for record in &mut batch {
            (record.receive_count, record.first_received_at) = (2, long_ago);
        }
        self.took(dispatcher, batch, deadline).await
    }

    async fn published(&self) -> Vec<Received> {
        self.world.publish(&self.app, json!({})).await;
        receive(&self.world.queues.deliveries).await
    }

    async fn took(
        &self,
        dispatcher: &Dispatcher,
        batch: Vec<Received>,
        deadline: Option<Timestamp>,
    ) -> u128 {
        let (sent, began) = (self.world.network.sent().len(), Instant::now());
        assert_eq!(dispatcher.handle(batch, deadline).await, NONE);
        assert_eq!(self.world.network.sent().len(), sent + 1, "it is delivered nevertheless");
        began.elapsed().as_millis()
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_the_longer_the_more_the_table_refused() {
    let busy = Busy::new().await;
    assert_eq!(busy.waited_ms().await, 0);
    busy.throttle(1, 10);
    assert_eq!(busy.waited_ms().await, 0, "a tenth is tolerated");
    for (refused, least, most) in [(5, 1_000, 2_000), (5, 3_000, 6_000), (10, 5_000, 10_000)] {
        busy.throttle(refused, 10);
        // The clock of the world stands still, so that nothing is forgotten.
        let waited = busy.waited_ms().await;
        assert!((least..=most).contains(&waited), "{waited} ms, not {least} to {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_for_the_first_time_waits_only_where_the_rest_waits_long() {
    let busy = Busy::new().await;
    for (refused, least, most) in [(5, 0, 0), (10, 5_000, 10_000)] {
        busy.throttle(refused, 10);
        let fresh = busy.published().await;
        let waited = busy.took(&busy.world.dispatcher, fresh, None).await;
        assert!((least..=most).contains(&waited), "{waited} ms, not {least} to {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_throttles_no_more_is_asked_as_much_as_before_within_half_a_minute() {
    let busy = Busy::new().await;
    busy.throttle(5, 10);
    busy.waited_ms().await;
    busy.world.advance_s(30);
    assert_eq!(busy.waited_ms().await, 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_leaves_time_for_the_request() {
    let busy = Busy::new().await;
    let awake = dispatcher(&busy.world, |parts| {
        let table: Arc<dyn Table> = Arc::new(Awake(busy.world.table.clone()));
        parts.directory = Directory::new(table.clone());
        parts.deliveries = Deliveries::new(table);
    });
    for _ in 0..3 {
        busy.throttle(10, 10);
        let deadline = busy.world.ambient.now().plus_ms(10_000);
        let waited = busy.waited_by(&awake, Some(deadline)).await;
        assert!((500..=1_001).contains(&waited), "{waited} ms of ten seconds");
    }
}
