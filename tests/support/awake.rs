//! Ports for tests in which tokio's time stands still and is moved on whenever nothing is left to
//! do (`start_paused`): while one of these is waited for, it is not. The embedded adapters write on
//! a thread of their own, of which the runtime knows nothing; they read on that of the caller.

use std::sync::Arc;

use async_trait::async_trait;
use shared::queue::{Outgoing, Producer, QueueError};
use shared::store::StoreError;
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};
use shared::work::Intake;
use tokio::runtime::Handle;
use tokio::task::{spawn_blocking, yield_now};

/// Waits for something that the embedded adapters have a part in, with the time kept from moving on.
pub(crate) async fn awake<T>(work: impl Future<Output = T>) -> T {
    let (done, until) = std::sync::mpsc::channel::<()>();
    let guard = spawn_blocking(move || until.recv());
    let answer = work.await;
    drop(done);
    // It only ever hears that nobody will send.
    let _ = guard.await;
    answer
}

/// A port that keeps the time from moving on.
pub(crate) struct Awake<T: ?Sized>(pub(crate) Arc<T>);

impl<T: ?Sized + Send + Sync + 'static> Awake<T> {
    async fn call<A, F>(&self, call: impl FnOnce(Arc<T>) -> F + Send + 'static) -> A
    where
        A: Send + 'static,
        F: Future<Output = A>,
    {
        let (port, handle) = (self.0.clone(), Handle::current());
        spawn_blocking(move || handle.block_on(call(port))).await.expect("no panic")
    }
}

#[async_trait]
impl Table for Awake<dyn Table> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        // Others have their turns before, as they would while a real one reads.
        yield_now().await;
        self.0.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        yield_now().await;
        self.0.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.call(|table| async move { table.write(write).await }).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.call(|table| async move { table.transact(writes).await }).await
    }
}

#[async_trait]
impl Intake for Awake<dyn Intake> {
    async fn write_and_send(&self, write: Write, record: Outgoing) -> Result<Written, StoreError> {
        self.call(|intake| async move { intake.write_and_send(write, record).await }).await
    }
}

#[async_trait]
impl Producer for Awake<dyn Producer> {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.call(|queue| async move { queue.send(batch).await }).await
    }
}
