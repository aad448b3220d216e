//! The life of a process on Lambda: when it is killed, whatever it was doing stops at its next
//! call of a port, and nothing more of it has any effect.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use shared::queue::{Consumer, Outgoing, Producer, QueueError, Received};
use shared::sender::{Outbound, Outcome, Sender};
use shared::store::StoreError;
use shared::store::keys::ATTEMPT_PREFIX;
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};

/// Whether a process lives, and what it has sent and recorded since its invocation began. Clones
/// are the same life.
#[derive(Clone, Default)]
pub(crate) struct Life(Arc<State>);

#[derive(Default)]
struct State {
    dead: AtomicBool,
    sent: AtomicU64,
    recorded: AtomicU64,
}

impl Life {
    /// An invocation begins.
    pub(crate) fn begin(&self) {
        self.0.sent.store(0, Ordering::Relaxed);
        self.0.recorded.store(0, Ordering::Relaxed);
    }

    /// The process is no more. How many requests it had sent whose attempts are not on record.
    pub(crate) fn end(&self) -> u64 {
        self.0.dead.store(true, Ordering::Relaxed);
        let recorded = self.0.recorded.load(Ordering::Relaxed);
        self.0.sent.load(Ordering::Relaxed).saturating_sub(recorded)
    }

    async fn stop_if_dead(&self) {
        if self.0.dead.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        self.stop_if_dead().await;
        let answer = call.await;
        self.stop_if_dead().await;
        answer
    }
}

/// A port in the hands of one process.
pub(crate) struct Mortal<T> {
    inner: T,
    life: Life,
}

impl<T> Mortal<T> {
    /// The port, as long as this life lasts.
    pub(crate) fn new(inner: T, life: &Life) -> Arc<Self> {
        Arc::new(Self { inner, life: life.clone() })
    }

    fn note_attempts(&self, attempts: u64) {
        self.life.0.recorded.fetch_add(attempts, Ordering::Relaxed);
    }
}

fn attempts(writes: &[Write]) -> u64 {
    let is_attempt = |write: &&Write| write.key().sk.starts_with(ATTEMPT_PREFIX);
    writes.iter().filter(is_attempt).count() as u64
}

#[async_trait]
impl<T: Table> Table for Mortal<T> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.life.call(self.inner.get(key)).await
    }

    async fn glance(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.life.call(self.inner.glance(key)).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.life.call(self.inner.query(query)).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let attempts = attempts(std::slice::from_ref(&write));
        let written = self.life.call(self.inner.write(write)).await?;
        self.note_attempts(attempts);
        Ok(written)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        let attempts = attempts(&writes);
        let done = self.life.call(self.inner.transact(writes)).await?;
        if done == Transacted::Done {
            self.note_attempts(attempts);
        }
        Ok(done)
    }
}

#[async_trait]
impl<T: Producer> Producer for Mortal<T> {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.life.call(self.inner.send(batch)).await
    }
}

#[async_trait]
impl<T: Consumer> Consumer for Mortal<T> {
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError> {
        self.life.call(self.inner.receive(max, wait_s)).await
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.life.call(self.inner.delete(receipts)).await
    }

    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError> {
        self.life.call(self.inner.release(receipt, after_s)).await
    }
}

#[async_trait]
impl Sender for Mortal<Arc<dyn Sender>> {
    async fn send(&self, request: Outbound) -> Outcome {
        let sending = async {
            self.life.0.sent.fetch_add(1, Ordering::Relaxed);
            self.inner.send(request).await
        };
        self.life.call(sending).await
    }
}
