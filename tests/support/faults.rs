//! Faults at the ports: a call that fails before its effect, or after it, or never returns
//! because the process died there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::queue::{Consumer, Outgoing, Producer, QueueError, Received};
use shared::sender::{Ending, Outbound, Outcome, Sender};
use shared::store::keys::ATTEMPT_PREFIX;
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};
use shared::store::{Limit, StoreError};
use shared::work::Intake;
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
    /// From now on the store refuses so many writes, as one that throttles does. Whoever is
    /// refused asks again, so this excuses nothing.
    Throttle(u32),
    /// An error, and no effect: the store takes no more of this.
    Busy(Limit),
    /// From now on the store refuses to record so many attempts, since it takes no more of this.
    /// Whoever is refused asks again, so this excuses nothing.
    Full(Limit, u32),
}

/// What is in a delivery whose next attempt was made and is only to be written.
const MADE: &str = r#""unwritten":true"#;

/// What a port is told of a fault that only the store knows.
fn busy(limit: Limit) -> String {
    format!("injected, too busy: {limit:?}")
}

/// Which calls go wrong. The calls of all ports share one count.
#[derive(Default)]
pub(crate) struct Plan {
    state: Mutex<State>,
    /// Which process is alive: ports of an earlier one do nothing any more.
    generation: AtomicU64,
    died: Notify,
}

#[derive(Default)]
struct State {
    /// Calls with faults, soonest last.
    faults: Vec<(usize, Fault)>,
    calls: usize,
    fired: usize,
    dead: bool,
    /// Writes that are still to be refused.
    throttled: u32,
    /// Attempts that are still to be refused, and what it is that takes no more.
    full: Option<(Limit, u32)>,
    /// Requests that were sent and whose attempt is not on record yet, by message and URL.
    open: BTreeMap<(String, String), usize>,
    /// Requests of these that a fault kept from being recorded.
    excused: BTreeMap<(String, String), usize>,
    /// The URL of each endpoint, so that a record can be matched with its request.
    urls: BTreeMap<String, String>,
}

impl State {
    /// One request less is open: an attempt by schedule and one by hand may be under way at once.
    /// Whether there was any.
    fn close(&mut self, delivery: &(String, String)) -> bool {
        let Some(count) = self.open.get_mut(delivery) else { return false };
        *count -= 1;
        if *count == 0 {
            self.open.remove(delivery);
        }
        true
    }
}

impl Plan {
    /// Faults at these calls, counted from 0.
    pub(crate) fn new(mut faults: Vec<(usize, Fault)>) -> Arc<Self> {
        faults.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Arc::new(Self {
            state: Mutex::new(State { faults, ..State::default() }),
            ..Self::default()
        })
    }

    /// No more faults.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock().unwrap();
        state.faults.clear();
        state.throttled = 0;
        state.full = None;
    }

    /// A fault at the call after `skip` more.
    pub(crate) fn fail_after(&self, skip: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        let at = state.calls + skip;
        state.faults.push((at, fault));
        state.faults.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    }

    /// Faults that happened.
    pub(crate) fn fired(&self) -> usize {
        self.state.lock().unwrap().fired
    }

    /// Tells which endpoint has which URL.
    pub(crate) fn endpoint(&self, ep: &str, url: &str) {
        self.state.lock().unwrap().urls.insert(ep.to_owned(), url.to_owned());
    }

    /// Resolves when the process dies.
    pub(crate) async fn death(&self) {
        loop {
            let died = self.died.notified();
            if self.state.lock().unwrap().dead {
                return;
            }
            died.await;
        }
    }

    /// A new process, on what the old one left. Ports of the old one never return.
    pub(crate) fn restart(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.state.lock().unwrap().dead = false;
    }

    /// How often a request of this message to this URL was sent and, by a fault between request
    /// and record, not recorded.
    pub(crate) fn excused(&self, msg: &str, url: &str) -> usize {
        let key = (msg.to_owned(), url.to_owned());
        self.state.lock().unwrap().excused.get(&key).copied().unwrap_or(0)
    }

    async fn next(&self, generation: u64) -> Option<Fault> {
        self.stop_if_dead(generation).await;
        let mut state = self.state.lock().unwrap();
        state.calls += 1;
        let call = state.calls - 1;
        let (at, fault) = *state.faults.last()?;
        if at > call {
            return None;
        }
        state.faults.pop();
        state.fired += 1;
        if let Fault::Throttle(writes) = fault {
            state.throttled += writes;
            return None;
        }
        if let Fault::Full(limit, writes) = fault {
            state.full = Some((limit, writes));
            return None;
        }
        Some(fault)
    }

    /// Refuses a write if the store throttles, or if it `records` an attempt and the store takes no
    /// more of those.
    fn refuse(&self, records: bool) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap();
        if state.dead {
            return Ok(());
        }
        if let Some((limit, left @ 1..)) = &mut state.full
            && records
        {
            *left -= 1;
            return Err(store(&busy(*limit)));
        }
        if state.throttled > 0 {
            state.throttled -= 1;
            return Err(store(&busy(Limit::Store)));
        }
        Ok(())
    }

    async fn die(&self) {
        {
            let mut state = self.state.lock().unwrap();
            state.dead = true;
            let open = std::mem::take(&mut state.open);
            for (delivery, count) in open {
                *state.excused.entry(delivery).or_default() += count;
            }
        }
        self.died.notify_waiters();
        std::future::pending::<()>().await;
    }

    /// What is left of a dead process does nothing more.
    async fn stop_if_dead(&self, generation: u64) {
        let dead = self.state.lock().unwrap().dead;
        if dead || self.generation.load(Ordering::SeqCst) != generation {
            std::future::pending::<()>().await;
        }
    }

    /// Runs one port call under the plan. `about` are the deliveries that it is about.
    async fn run<T, E>(
        &self,
        generation: u64,
        about: &BTreeSet<(String, String)>,
        call: impl Future<Output = Result<T, E>>,
        error: impl FnOnce(&str) -> E,
    ) -> Result<T, E> {
        match self.next(generation).await {
            None | Some(Fault::Throttle(_) | Fault::Full(..)) => {
                let result = call.await;
                self.stop_if_dead(generation).await;
                result
            }
            Some(Fault::Before) => {
                self.excuse(about);
                Err(error("injected, before the effect"))
            }
            Some(Fault::Busy(limit)) => {
                self.excuse(about);
                Err(error(&busy(limit)))
            }
            Some(Fault::After) => {
                call.await?;
                self.excuse(about);
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

    fn sent(&self, request: &Outbound) {
        let delivery = (message_id(request).to_owned(), request.url.clone());
        *self.state.lock().unwrap().open.entry(delivery).or_default() += 1;
    }

    /// A fault at a call that is about deliveries whose request is out: they may stay without
    /// a record.
    fn excuse(&self, about: &BTreeSet<(String, String)>) {
        let mut state = self.state.lock().unwrap();
        for delivery in about {
            if state.close(delivery) {
                *state.excused.entry(delivery.clone()).or_default() += 1;
            }
        }
    }

    fn recorded(&self, about: &BTreeSet<(String, String)>) {
        let mut state = self.state.lock().unwrap();
        for delivery in about {
            state.close(delivery);
        }
    }

    /// The deliveries that these items are about, as message and URL; only those whose attempt
    /// is among the items, if asked so.
    fn deliveries<'a>(
        &self,
        docs: impl Iterator<Item = &'a str>,
        attempts_only: bool,
    ) -> BTreeSet<(String, String)> {
        let state = self.state.lock().unwrap();
        docs.filter_map(|doc| {
            let doc: serde_json::Value = serde_json::from_str(doc).ok()?;
            if attempts_only && doc["turn"].is_null() {
                return None;
            }
            let url = state.urls.get(doc["ep"].as_str()?)?;
            Some((doc["msg"].as_str()?.to_owned(), url.clone()))
        })
        .collect()
    }
}

/// A port of one process, under a plan.
#[derive(Clone)]
pub(crate) struct Faulty<T> {
    inner: T,
    plan: Arc<Plan>,
    generation: u64,
}

impl<T> Faulty<T> {
    pub(crate) fn new(inner: T, plan: &Arc<Plan>) -> Self {
        let generation = plan.generation.load(Ordering::SeqCst);
        Self { inner, plan: plan.clone(), generation }
    }

    async fn run<A, E>(
        &self,
        call: impl Future<Output = Result<A, E>>,
        error: impl FnOnce(&str) -> E,
    ) -> Result<A, E> {
        self.plan.run(self.generation, &BTreeSet::new(), call, error).await
    }
}

fn store(why: &str) -> StoreError {
    let limits = [Limit::Store, Limit::Partition, Limit::List, Limit::Due];
    match limits.into_iter().find(|limit| busy(*limit) == why) {
        Some(limit) => StoreError::Throttled { limit, why: why.to_owned() },
        None => StoreError::Unavailable(why.to_owned()),
    }
}

fn queue(why: &str) -> QueueError {
    QueueError::Unavailable(why.to_owned())
}

/// Whether these record an attempt.
fn records(writes: &[Write]) -> bool {
    writes.iter().any(|write| write.key().sk.starts_with(ATTEMPT_PREFIX))
}

fn docs(writes: &[Write]) -> impl Iterator<Item = &str> {
    writes.iter().filter_map(|write| match write {
        Write::Put(item, _) => Some(item.doc.as_str()),
        Write::Delete(..) => None,
    })
}

#[async_trait]
impl Table for Faulty<Arc<dyn Table>> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.run(self.inner.get(key), store).await
    }

    async fn glance(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.run(self.inner.glance(key), store).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.run(self.inner.query(query), store).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let about = self.plan.deliveries(docs(std::slice::from_ref(&write)), false);
        let attempts = self.plan.deliveries(docs(std::slice::from_ref(&write)), true);
        let records = records(std::slice::from_ref(&write));
        let tells_that_it_was_made =
            docs(std::slice::from_ref(&write)).any(|doc| doc.contains(MADE));
        let call = async {
            let refused = self.plan.refuse(records);
            if refused.is_err() && tells_that_it_was_made {
                // It took neither the attempt nor the word that it was made: who comes next cannot
                // know of it.
                self.plan.excuse(&about);
            }
            refused?;
            let written = self.inner.write(write).await?;
            if written == Written::Done {
                self.plan.recorded(&attempts);
            }
            Ok(written)
        };
        self.plan.run(self.generation, &about, call, store).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        let about = self.plan.deliveries(docs(&writes), false);
        let attempts = self.plan.deliveries(docs(&writes), true);
        let records = records(&writes);
        let call = async {
            self.plan.refuse(records)?;
            let done = self.inner.transact(writes).await?;
            if done == Transacted::Done {
                self.plan.recorded(&attempts);
            }
            Ok(done)
        };
        self.plan.run(self.generation, &about, call, store).await
    }
}

#[async_trait]
impl<O: Intake> Intake for Faulty<O> {
    async fn write_and_send(&self, write: Write, record: Outgoing) -> Result<Written, StoreError> {
        let call = async {
            self.plan.refuse(false)?;
            self.inner.write_and_send(write, record).await
        };
        self.run(call, store).await
    }
}

#[async_trait]
impl<Q: Producer> Producer for Faulty<Q> {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.run(self.inner.send(batch), queue).await
    }
}

#[async_trait]
impl<Q: Consumer> Consumer for Faulty<Q> {
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError> {
        self.run(self.inner.receive(max, wait_s), queue).await
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.run(self.inner.delete(receipts), queue).await
    }

    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError> {
        self.run(self.inner.release(receipt, after_s), queue).await
    }
}

/// The network has no errors: a request that fails, before or after it arrived, is an outcome.
#[async_trait]
impl<S: Sender> Sender for Faulty<S> {
    async fn send(&self, request: Outbound) -> Outcome {
        let timed_out = Outcome { duration_ms: 15_000, ending: Ending::TimedOut };
        match self.plan.next(self.generation).await {
            None | Some(Fault::Throttle(_) | Fault::Full(..)) => {
                self.plan.sent(&request);
                let outcome = self.inner.send(request).await;
                self.plan.stop_if_dead(self.generation).await;
                outcome
            }
            Some(Fault::Before | Fault::Busy(_)) => timed_out,
            Some(Fault::After) => {
                self.plan.sent(&request);
                self.inner.send(request).await;
                timed_out
            }
            Some(Fault::DieBefore) => {
                self.plan.die().await;
                timed_out
            }
            Some(Fault::DieAfter) => {
                self.plan.sent(&request);
                self.inner.send(request).await;
                self.plan.die().await;
                timed_out
            }
        }
    }
}

/// The message that a request brings; not every profile has both families of headers.
fn message_id(request: &Outbound) -> &str {
    let id = request.headers.iter().find(|(name, _)| name == "svix-id" || name == "webhook-id");
    id.map(|(_, value)| value.as_str()).expect("a message's id")
}
