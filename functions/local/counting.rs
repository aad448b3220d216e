//! What the work would cost on AWS, counted at the ports: DynamoDB units and SQS requests.
//!
//! The counters wrap any adapter. They count what the service bills for each call: units by
//! the size of the items, requests by 64 KB. Where the bill depends on what was stored before
//! (moving an item within an index costs two units, entering it one), they assume the dearer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use shared::queue::{Consumer, Outgoing, Producer, QueueError, Received};
use shared::store::StoreError;
use shared::store::table::{
    Condition, Index, Item, Key, Page, Query, Table, Transacted, WRITE_UNIT_BYTES, Write, Written,
};
use shared::work::Intake;

/// DynamoDB bills strongly consistent reads by this many bytes (AWS pricing).
const READ_UNIT_BYTES: usize = 4096;
/// SQS bills a call by this many bytes (AWS pricing).
const REQUEST_BYTES: usize = 64 * 1024;

/// Running totals. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Totals>);

#[derive(Default)]
struct Totals {
    write_units: AtomicU64,
    half_read_units: AtomicU64,
    sqs_requests: AtomicU64,
    empty_receives: AtomicU64,
    store_calls: AtomicU64,
}

/// Totals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// DynamoDB write request units.
    pub(crate) write_units: u64,
    /// DynamoDB read request units.
    pub(crate) read_units: f64,
    /// SQS requests, without receives that brought nothing.
    pub(crate) sqs_requests: u64,
    /// Receives that brought nothing. SQS bills them; how many there are depends on idle
    /// time, not on work.
    pub(crate) empty_receives: u64,
    /// Calls to the store.
    pub(crate) store_calls: u64,
}

impl Usage {
    /// What was used after `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            write_units: self.write_units - before.write_units,
            read_units: self.read_units - before.read_units,
            sqs_requests: self.sqs_requests - before.sqs_requests,
            empty_receives: self.empty_receives - before.empty_receives,
            store_calls: self.store_calls - before.store_calls,
        }
    }
}

impl Meter {
    /// The totals so far.
    pub(crate) fn usage(&self) -> Usage {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            write_units: get(&self.0.write_units),
            read_units: get(&self.0.half_read_units) as f64 / 2.0,
            sqs_requests: get(&self.0.sqs_requests),
            empty_receives: get(&self.0.empty_receives),
            store_calls: get(&self.0.store_calls),
        }
    }

    fn write(&self, (base, index): (usize, usize), written: &Written) {
        // A lost condition is billed like the write, but no index changes.
        self.writes(base + if *written == Written::Done { index } else { 0 });
    }

    fn writes(&self, units: usize) {
        self.0.store_calls.fetch_add(1, Ordering::Relaxed);
        self.0.write_units.fetch_add(units as u64, Ordering::Relaxed);
    }

    fn reads(&self, bytes: usize, strong: bool) {
        let units = bytes.div_ceil(READ_UNIT_BYTES).max(1);
        self.0.store_calls.fetch_add(1, Ordering::Relaxed);
        let halves = units * if strong { 2 } else { 1 };
        self.0.half_read_units.fetch_add(halves as u64, Ordering::Relaxed);
    }

    fn requests(&self, bytes: usize) {
        let requests = bytes.div_ceil(REQUEST_BYTES).max(1);
        self.0.sqs_requests.fetch_add(requests as u64, Ordering::Relaxed);
    }
}

/// A [`Table`] whose calls are counted.
pub(crate) struct CountingTable<T> {
    inner: T,
    meter: Meter,
}

impl<T> CountingTable<T> {
    /// Counts the calls to `inner` on `meter`.
    pub(crate) fn new(inner: T, meter: Meter) -> Self {
        Self { inner, meter }
    }
}

#[async_trait]
impl<T: Table> Table for CountingTable<T> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let found = self.inner.get(key).await?;
        self.meter.reads(found.as_ref().map_or(0, Item::size), true);
        Ok(found)
    }

    async fn glance(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let found = self.inner.glance(key).await?;
        self.meter.reads(found.as_ref().map_or(0, Item::size), false);
        Ok(found)
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let page = self.inner.query(query).await?;
        let bytes = page.items.iter().map(Item::size).sum();
        self.meter.reads(bytes, query.index == Index::Base);
        Ok(page)
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let units = units(&write);
        let written = self.inner.write(write).await?;
        self.meter.write(units, &written);
        Ok(written)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        let (base, index) = writes.iter().map(units).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let done = self.inner.transact(writes).await?;
        // Transactions are billed twice for the table, once for its indexes.
        self.meter.writes(2 * base + if done == Transacted::Done { index } else { 0 });
        Ok(done)
    }
}

/// Units of a write: for the table, and for its indexes.
fn units(write: &Write) -> (usize, usize) {
    let Write::Put(item, condition) = write else { return (1, 0) };
    let by_size = |bytes: usize| bytes.div_ceil(WRITE_UNIT_BYTES).max(1);
    let projected = by_size(item.size() - item.body.as_ref().map_or(0, bytes::Bytes::len));
    let by_time = if item.by_time.is_some() { projected } else { 0 };
    let due = match (item.due.is_some(), condition) {
        // It enters the index, or moves within it: out and in again.
        (true, Condition::AbsentAt(_)) => projected,
        (true, _) => 2 * projected,
        // It may leave the index.
        (false, Condition::Revision(_)) if item.by_time.is_none() => 1,
        (false, _) => 0,
    };
    (by_size(item.size()), by_time + due)
}

/// A queue whose calls are counted.
pub(crate) struct CountingQueue<Q> {
    inner: Q,
    meter: Meter,
}

impl<Q> CountingQueue<Q> {
    /// Counts the calls to `inner` on `meter`.
    pub(crate) fn new(inner: Q, meter: Meter) -> Self {
        Self { inner, meter }
    }
}

#[async_trait]
impl<Q: Producer> Producer for CountingQueue<Q> {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.meter.requests(batch.iter().map(|record| record.body.len()).sum());
        self.inner.send(batch).await
    }
}

#[async_trait]
impl<Q: Consumer> Consumer for CountingQueue<Q> {
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError> {
        let received = self.inner.receive(max, wait_s).await?;
        if received.is_empty() {
            self.meter.0.empty_receives.fetch_add(1, Ordering::Relaxed);
        } else {
            self.meter.requests(received.iter().map(|record| record.body.len()).sum());
        }
        Ok(received)
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.meter.requests(0);
        self.inner.delete(receipts).await
    }

    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError> {
        self.meter.requests(0);
        self.inner.release(receipt, after_s).await
    }
}

/// An [`Intake`] whose calls are counted as what they are where store and queue are two services.
pub(crate) struct CountingIntake<O> {
    inner: O,
    meter: Meter,
}

impl<O> CountingIntake<O> {
    /// Counts the calls to `inner` on `meter`.
    pub(crate) fn new(inner: O, meter: Meter) -> Self {
        Self { inner, meter }
    }
}

#[async_trait]
impl<O: Intake> Intake for CountingIntake<O> {
    async fn write_and_send(&self, write: Write, record: Outgoing) -> Result<Written, StoreError> {
        let (units, bytes) = (units(&write), record.body.len());
        let written = self.inner.write_and_send(write, record).await?;
        self.meter.write(units, &written);
        if written == Written::Done {
            self.meter.requests(bytes);
        }
        Ok(written)
    }
}
