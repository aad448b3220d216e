//! Faults at the ports: a call that fails before its effect, or after it, or never returns
//! because the process died there.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use shared::queue::{Consumer, Outgoing, Producer, QueueError, Received};
use shared::sender::{Outbound, Outcome, Sender};
use shared::store::StoreError;
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};
use tokio::sync::Notify;

/// What happens at one call of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An error, and no effect.
    Before,
    /// The effect, and an error: the answer was lost.
    After,
    /// The process dies before the effect.
    DieBefore,
    /// The process dies after the effect.
    DieAfter,
}

/// Which calls go wrong. The calls of all ports share one count.
#[derive(Default)]
pub(crate) struct Plan {
    /// Calls until each fault, soonest last.
    faults: Mutex<Vec<(usize, Fault)>>,
    calls: Mutex<usize>,
    dead: AtomicBool,
    died: Notify,
    /// Attempts whose request was sent when the process died before it could be recorded.
    excused: Mutex<Vec<String>>,
}

impl Plan {
    /// Faults at these calls, counted from 0.
    pub(crate) fn new(mut faults: Vec<(usize, Fault)>) -> Arc<Self> {
        faults.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Arc::new(Self { faults: Mutex::new(faults), ..Self::default() })
    }

    /// Whether faults are still to come.
    pub(crate) fn is_over(&self) -> bool {
        self.faults.lock().unwrap().is_empty()
    }

    /// No more faults.
    pub(crate) fn end(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// Resolves when the process dies.
    pub(crate) async fn death(&self) {
        while !self.dead.load(Ordering::SeqCst) {
            self.died.notified().await;
        }
    }

    /// A new process, on what the old one left.
    pub(crate) fn restart(&self) {
        self.dead.store(false, Ordering::SeqCst);
    }

    /// Port calls so far.
    pub(crate) fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }

    async fn next(&self) -> Option<Fault> {
        if self.dead.load(Ordering::SeqCst) {
            // What is left of a dead process does nothing more.
            std::future::pending::<()>().await;
        }
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls - 1
        };
        let mut faults = self.faults.lock().unwrap();
        match faults.last() {
            Some((at, fault)) if *at <= call => {
                let fault = *fault;
                faults.pop();
                Some(fault)
            }
            _ => None,
        }
    }

    async fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_waiters();
        self.died.notify_one();
        std::future::pending::<()>().await;
    }

    /// Runs one port call under the plan.
    pub(crate) async fn run<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        error: impl FnOnce(&str) -> E,
    ) -> Result<T, E> {
        match self.next().await {
            None => {
                let result = call.await;
                self.stop_if_dead().await;
                result
            }
            Some(Fault::Before) => Err(error("injected, before the effect")),
            Some(Fault::After) => {
                call.await?;
                Err(error("injected, after the effect"))
            }
            Some(Fault::DieBefore) => {
                self.die().await;
                Err(error("unreachable"))
            }
            Some(Fault::DieAfter) => {
                call.await?;
                self.die().await;
                Err(error("unreachable"))
            }
        }
    }

    async fn stop_if_dead(&self) {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    /// The requests that were on the wire when the process died.
    pub(crate) fn excused(&self) -> Vec<String> {
        self.excused.lock().unwrap().clone()
    }
}

/// A port under a plan.
#[derive(Clone)]
pub(crate) struct Faulty<T> {
    pub(crate) inner: T,
    pub(crate) plan: Arc<Plan>,
}

impl<T> Faulty<T> {
    pub(crate) fn new(inner: T, plan: &Arc<Plan>) -> Self {
        Self { inner, plan: plan.clone() }
    }
}

fn store(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

fn queue(why: &str) -> QueueError {
    QueueError::Unavailable(why.to_owned())
}

#[async_trait]
impl Table for Faulty<Arc<dyn Table>> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.plan.run(self.inner.get(key), store).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.plan.run(self.inner.query(query), store).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.plan.run(self.inner.write(write), store).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.plan.run(self.inner.transact(writes), store).await
    }
}

#[async_trait]
impl<Q: Producer> Producer for Faulty<Q> {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.plan.run(self.inner.send(batch), queue).await
    }
}

#[async_trait]
impl<Q: Consumer> Consumer for Faulty<Q> {
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError> {
        self.plan.run(self.inner.receive(max, wait_s), queue).await
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.plan.run(self.inner.delete(receipts), queue).await
    }

    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError> {
        self.plan.run(self.inner.release(receipt, after_s), queue).await
    }
}

/// The network has no errors, so the faults of a call are two: the process dies before the
/// request leaves, or after.
#[async_trait]
impl<S: Sender> Sender for Faulty<S> {
    async fn send(&self, request: Outbound) -> Outcome {
        match self.plan.next().await {
            Some(Fault::DieBefore) => self.plan.die().await,
            Some(Fault::DieAfter) => {
                self.inner.send(request).await;
                self.plan.die().await;
            }
            // A lost answer is a time-out, which is an outcome.
            Some(Fault::Before) => {
                return Outcome { duration_ms: 0, ending: shared::sender::Ending::TimedOut };
            }
            Some(Fault::After) => {
                self.inner.send(request).await;
                return Outcome { duration_ms: 0, ending: shared::sender::Ending::TimedOut };
            }
            None => {
                let outcome = self.inner.send(request).await;
                self.plan.stop_if_dead().await;
                return outcome;
            }
        }
        std::future::pending().await
    }
}
