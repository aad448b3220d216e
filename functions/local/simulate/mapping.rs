//! Between a queue and the dispatch function: Lambda's event source mapping.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use dispatch::Dispatcher;
use shared::queue::record::FORMAT;
use shared::queue::{Consumer, MAX_BATCH, Received};

use super::lambda::Function;

/// Batches at once at first (docs: Lambda, SQS scaling).
const FIRST_POLLERS: usize = 5;
/// More of them in a minute while there is a backlog (docs: as above).
const MORE_A_MINUTE: usize = 300;
/// Seconds that one receive waits (docs: long polling).
const WAIT_S: u32 = 20;
/// How often the number of pollers is looked at, in seconds (est.).
const LOOK_EVERY_S: usize = 1;
/// Looks without a backlog after which a poller goes (est.).
const IDLE_LOOKS: usize = 30;
/// Milliseconds that a process of 256 MB takes for a batch and for each of its records, beside
/// what it waits for: 0.2 ms of a whole core, of which it has a seventh (`cost --attempt-ms`).
const BATCH_MS: u64 = 3;
const RECORD_MS: u64 = 2;

/// How a mapping is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Most batches at once (`MaximumConcurrency`).
    pub(crate) most: usize,
    /// Whether every other process is of the version before, and every other record of a format
    /// that only the new one reads.
    pub(crate) mixed: bool,
    /// Whether dispatch is told when it will be cut off.
    pub(crate) knows_its_time: bool,
}

/// A mapping of one queue.
pub(crate) struct Mapping<Q> {
    queue: Q,
    dispatch: Arc<Function<Dispatcher>>,
    setup: Setup,
    batches: AtomicUsize,
    wanted: AtomicUsize,
    pollers: AtomicUsize,
    open: Open,
}

/// Whether the mappings receive anything more.
pub(crate) type Open = Arc<AtomicBool>;

impl Setup {
    /// Batches at once at first.
    fn first(self) -> usize {
        FIRST_POLLERS.min(self.most)
    }
}

/// Every other record is of a format that the version before does not know.
fn as_the_old_version_sees(received: &mut Received) {
    let is_newer = received.id.bytes().last().is_some_and(|digit| digit % 2 == 1);
    let fields = received.body.strip_prefix(r#"{"v":"#).and_then(|rest| rest.split_once(','));
    if is_newer && let Some((_, fields)) = fields {
        received.body = format!(r#"{{"v":{},{fields}"#, FORMAT + 1);
    }
}

/// How many records of its queue wait to be received.
pub(crate) type Backlog = Arc<dyn Fn() -> usize + Send + Sync>;

impl<Q: Consumer + 'static> Mapping<Q> {
    /// A mapping that has begun to poll.
    pub(crate) fn start(
        queue: Q,
        dispatch: Arc<Function<Dispatcher>>,
        setup: Setup,
        open: &Open,
        backlog: Backlog,
    ) {
        let wanted = AtomicUsize::new(setup.first());
        let (pollers, batches) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let open = open.clone();
        let mapping = Arc::new(Self { queue, dispatch, setup, batches, wanted, pollers, open });
        tokio::spawn(mapping.scale(backlog));
    }

    /// More pollers while records wait, fewer when they have not for a while.
    async fn scale(self: Arc<Self>, backlog: Backlog) {
        let mut idle = 0;
        while self.open.load(Ordering::Relaxed) {
            self.fill();
            tokio::time::sleep(Duration::from_secs(LOOK_EVERY_S as u64)).await;
            let wanted = self.wanted.load(Ordering::Relaxed);
            let next = if backlog() > 0 {
                idle = 0;
                (wanted + MORE_A_MINUTE / 60 * LOOK_EVERY_S).min(self.setup.most)
            } else {
                idle += 1;
                let fewer = usize::from(idle > IDLE_LOOKS);
                wanted.saturating_sub(fewer).max(self.setup.first())
            };
            self.wanted.store(next, Ordering::Relaxed);
        }
    }

    fn fill(self: &Arc<Self>) {
        while self.pollers.load(Ordering::Relaxed) < self.wanted.load(Ordering::Relaxed) {
            self.pollers.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(self.clone().poll());
        }
    }

    async fn poll(self: Arc<Self>) {
        let is_wanted =
            || self.pollers.load(Ordering::Relaxed) <= self.wanted.load(Ordering::Relaxed);
        while self.open.load(Ordering::Relaxed) && is_wanted() {
            if let Ok(batch) = self.queue.receive(MAX_BATCH, WAIT_S).await
                && !batch.is_empty()
            {
                self.work(batch).await;
            }
        }
        self.pollers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Hands a batch to the function and deletes what it has done. The rest was given back; all of
    /// a batch that was throttled or killed becomes visible when its time has passed.
    async fn work(&self, mut batch: Vec<Received>) {
        let nth = self.batches.fetch_add(1, Ordering::Relaxed);
        if self.setup.mixed && nth % 2 == 1 {
            batch.iter_mut().for_each(as_the_old_version_sees);
        }
        let held: Vec<(String, String)> =
            batch.iter().map(|record| (record.id.clone(), record.receipt.clone())).collect();
        let takes = Duration::from_millis(BATCH_MS + RECORD_MS * batch.len() as u64);
        let (queue, knows_its_time) = (&self.queue, self.setup.knows_its_time);
        let answer = self.dispatch.invoke(|dispatcher, deadline| async move {
            tokio::time::sleep(takes).await;
            dispatcher.serve(queue, batch, Some(deadline).filter(|_| knows_its_time)).await
        });
        let Ok(failed) = answer.await else { return };
        let is_done = |(id, _): &(String, String)| !failed.contains(id);
        let done: Vec<String> =
            held.into_iter().filter(is_done).map(|(_, receipt)| receipt).collect();
        if !done.is_empty() {
            // What cannot be deleted comes again.
            let _ = self.queue.delete(&done).await;
        }
    }
}
