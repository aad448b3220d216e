//! How many calls of a port are under way at once: what tells whether work is done side by side,
//! without looking at any clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use shared::queue::{Outgoing, Producer, QueueError};
use shared::store::StoreError;
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};

/// Turns that a call stays under way: enough for whoever may begin another one to do so.
const TURNS: usize = 50;

/// Looks at the store and the queues of a world. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Gauge(Arc<State>);

#[derive(Default)]
struct State {
    on: AtomicBool,
    store: Level,
    queue: Level,
}

/// Calls of one port since the gauge was switched on.
#[derive(Default)]
pub(crate) struct Level {
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Level {
    /// All calls.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Most calls that were under way at once.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    async fn during<T>(&self, on: &AtomicBool, call: impl Future<Output = T>) -> T {
        if !on.load(Ordering::SeqCst) {
            return call.await;
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        let result = call.await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

impl Gauge {
    /// From now on calls are counted, from nothing.
    pub(crate) fn switch_on(&self) {
        for level in [&self.0.store, &self.0.queue] {
            level.calls.store(0, Ordering::SeqCst);
            level.most.store(0, Ordering::SeqCst);
        }
        self.0.on.store(true, Ordering::SeqCst);
    }

    /// Calls to the store.
    pub(crate) fn store(&self) -> &Level {
        &self.0.store
    }

    /// Sends to any queue.
    pub(crate) fn queue(&self) -> &Level {
        &self.0.queue
    }

    /// This port, looked at.
    pub(crate) fn of<T>(&self, inner: T) -> Gauged<T> {
        Gauged { inner, gauge: self.clone() }
    }
}

/// A port that is looked at.
pub(crate) struct Gauged<T> {
    inner: T,
    gauge: Gauge,
}

impl<T> Gauged<T> {
    async fn store<A>(&self, call: impl Future<Output = A>) -> A {
        self.gauge.store().during(&self.gauge.0.on, call).await
    }
}

#[async_trait]
impl<T: Table> Table for Gauged<T> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.store(self.inner.get(key)).await
    }

    async fn glance(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.store(self.inner.glance(key)).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.store(self.inner.query(query)).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.store(self.inner.write(write)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.store(self.inner.transact(writes)).await
    }
}

#[async_trait]
impl<Q: Producer> Producer for Gauged<Q> {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.gauge.queue().during(&self.gauge.0.on, self.inner.send(batch)).await
    }
}
