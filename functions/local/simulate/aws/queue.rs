//! The queue port on a simulated SQS standard queue: visibility, delays, receive counts, dead
//! letters, fair groups, second copies now and then.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::clock::{Clock, Timestamp};
use shared::domain::sync::hold;
use shared::queue::{
    Consumer, MAX_BATCH, MAX_RECEIVES, Outgoing, Producer, QueueError, Received, VISIBILITY_S,
    validate,
};
use tokio::sync::Notify;

use super::dice::Dice;
use super::groups::Groups;
use super::weather::Weather;

/// Records in flight at once (docs: SQS quotas, standard queues). With long polling nothing more
/// comes then, without an error.
const MAX_IN_FLIGHT: u64 = 120_000;
/// How long after a record its second copy comes at the most, in milliseconds (est.).
const SECOND_COPY_MS: u64 = 2_000;
/// Longest wait of a receive, and longest visibility timeout, in seconds (docs: SQS quotas).
const MAX_WAIT_S: u32 = 20;
const MAX_RELEASE_S: u32 = 43_200;

/// A queue of one account. Clones are the same queue.
#[derive(Clone)]
pub(crate) struct SimulatedQueue(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    arrived: Notify,
    dead_letters: Option<SimulatedQueue>,
    dice: Arc<Dice>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    records: HashMap<u64, Record>,
    groups: Groups,
    later: BinaryHeap<Reverse<(Timestamp, u64)>>,
    next: u64,
    weather: Weather,
    ever: u64,
}

struct Record {
    /// The id that consumers see: that of the first copy.
    id: u64,
    body: Arc<str>,
    group: Arc<str>,
    receives: u32,
    first_received_at: Option<Timestamp>,
    /// When it becomes visible, while it is not.
    visible_at: Option<Timestamp>,
    /// The receive that holds it.
    receipt: Option<u64>,
}

impl SimulatedQueue {
    /// An empty queue. What is received too often goes to `dead_letters`.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        dice: Arc<Dice>,
        weather: Weather,
        dead_letters: Option<SimulatedQueue>,
    ) -> Self {
        let state = Mutex::new(State { weather, ..State::default() });
        Self(Arc::new(Inner { state, arrived: Notify::new(), dead_letters, dice, clock }))
    }

    /// Changes what the queue is like from now on.
    pub(crate) fn set_weather(&self, weather: Weather) {
        hold(&self.0.state).weather = weather;
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        hold(&self.0.state).records.is_empty()
    }

    /// Records that were ever put in it.
    pub(crate) fn ever(&self) -> u64 {
        hold(&self.0.state).ever
    }

    /// The bodies of everything in it, in the order in which it came.
    pub(crate) fn bodies(&self) -> Vec<Arc<str>> {
        let state = hold(&self.0.state);
        let mut keys: Vec<&u64> = state.records.keys().collect();
        keys.sort();
        keys.into_iter().map(|key| state.records[key].body.clone()).collect()
    }

    /// Records that could be received now.
    pub(crate) fn backlog(&self) -> usize {
        let (now, mut state) = (self.0.clock.now(), hold(&self.0.state));
        state.wake(now);
        state.groups.ready()
    }

    async fn answer_in(&self) {
        let latency = self.0.dice.latency(hold(&self.0.state).weather.queue);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    fn add(&self, record: Record, delay_ms: u64) {
        let (now, mut state) = (self.0.clock.now(), hold(&self.0.state));
        state.add(record, now.plus_ms(delay_ms), now);
        drop(state);
        if delay_ms == 0 {
            self.0.arrived.notify_one();
        }
    }

    /// Waits until something can be received, at most until `deadline`.
    async fn wait(&self, deadline: Timestamp) {
        loop {
            let (now, until) = {
                let (now, mut state) = (self.0.clock.now(), hold(&self.0.state));
                state.wake(now);
                if state.groups.ready() > 0 && state.groups.in_flight() < MAX_IN_FLIGHT {
                    return;
                }
                (now, state.next_wake().unwrap_or(deadline).min(deadline))
            };
            if now >= deadline {
                return;
            }
            let longest = Duration::from_millis(until.since(now).max(1));
            let arrival = tokio::time::timeout(longest, self.0.arrived.notified());
            // Whatever it was: look again.
            let _ = arrival.await;
        }
    }

    fn take(&self, max: usize) -> Vec<Received> {
        let mut received = Vec::new();
        let mut dead = Vec::new();
        let (now, mut state) = (self.0.clock.now(), hold(&self.0.state));
        state.wake(now);
        while received.len() < max && state.groups.in_flight() < MAX_IN_FLIGHT {
            let Some(key) = state.groups.pop() else { break };
            let State { records, groups, .. } = &mut *state;
            let Some(record) = records.get_mut(&key) else { continue };
            if self.0.dead_letters.is_some() && record.receives >= MAX_RECEIVES {
                groups.landed(&record.group);
                dead.extend(records.remove(&key));
                continue;
            }
            received.push(state.hold(key, now));
            let copies = state.weather.second_copies;
            if self.0.dice.hits(copies) {
                let after = self.0.dice.below(SECOND_COPY_MS);
                state.copy(key, now.plus_ms(after), now);
            }
        }
        drop(state);
        if let Some(queue) = &self.0.dead_letters {
            for record in dead {
                let fresh = Record { visible_at: None, receipt: None, ..record };
                queue.add(fresh, 0);
            }
        }
        received
    }
}

impl State {
    fn add(&mut self, mut record: Record, visible_at: Timestamp, now: Timestamp) {
        let key = self.next;
        self.next += 1;
        self.ever += 1;
        if record.id == u64::MAX {
            record.id = key;
        }
        if visible_at > now {
            record.visible_at = Some(visible_at);
            self.later.push(Reverse((visible_at, key)));
        } else {
            self.groups.push(&record.group, key);
        }
        self.records.insert(key, record);
    }

    /// Makes a record invisible for whoever receives it.
    fn hold(&mut self, key: u64, now: Timestamp) -> Received {
        let visible_at = now.plus_ms(u64::from(VISIBILITY_S) * 1000);
        self.next += 1;
        let receipt = self.next;
        self.later.push(Reverse((visible_at, key)));
        let record = self.records.get_mut(&key).expect("it was just popped");
        record.receives += 1;
        record.visible_at = Some(visible_at);
        record.receipt = Some(receipt);
        let first_received_at = *record.first_received_at.get_or_insert(now);
        Received {
            id: record.id.to_string(),
            receipt: format!("{key}-{receipt}"),
            body: record.body.to_string(),
            group: Some(record.group.to_string()),
            receive_count: record.receives,
            first_received_at,
        }
    }

    fn copy(&mut self, key: u64, visible_at: Timestamp, now: Timestamp) {
        let Some(of) = self.records.get(&key) else { return };
        let copy = Record {
            id: of.id,
            body: of.body.clone(),
            group: of.group.clone(),
            receives: of.receives,
            first_received_at: of.first_received_at,
            visible_at: None,
            receipt: None,
        };
        self.add(copy, visible_at, now);
    }

    /// Makes whatever has become visible ready.
    fn wake(&mut self, now: Timestamp) {
        while let Some(Reverse((at, key))) = self.later.peek().copied() {
            if at > now {
                return;
            }
            self.later.pop();
            let Some(record) = self.records.get_mut(&key) else { continue };
            if record.visible_at != Some(at) {
                // It was held again or released since.
                continue;
            }
            record.visible_at = None;
            if record.receipt.take().is_some() {
                self.groups.landed(&record.group);
            }
            self.groups.push(&record.group, key);
        }
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.later.peek().map(|Reverse((at, _))| *at)
    }

    /// The record that this receipt still holds.
    fn held_by(&self, receipt: &str) -> Option<u64> {
        let (key, receipt) = receipt.split_once('-')?;
        let (key, receipt) = (key.parse().ok()?, receipt.parse().ok()?);
        (self.records.get(&key)?.receipt == Some(receipt)).then_some(key)
    }
}

#[async_trait]
impl Producer for SimulatedQueue {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        validate(&batch)?;
        let sent = batch.iter().map(|_| Ok(())).collect();
        for Outgoing { body, group, delay_s } in batch {
            let record = Record {
                id: u64::MAX,
                body: body.into(),
                group: group.into(),
                receives: 0,
                first_received_at: None,
                visible_at: None,
                receipt: None,
            };
            self.add(record, u64::from(delay_s) * 1000);
        }
        self.answer_in().await;
        Ok(sent)
    }
}

#[async_trait]
impl Consumer for SimulatedQueue {
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError> {
        if max == 0 || max > MAX_BATCH {
            return Err(QueueError::Invalid(format!("1 to {MAX_BATCH} records, not {max}")));
        }
        if wait_s > MAX_WAIT_S {
            return Err(QueueError::Invalid(format!("at most {MAX_WAIT_S} s, not {wait_s}")));
        }
        let deadline = self.0.clock.now().plus_ms(u64::from(wait_s) * 1000);
        loop {
            self.wait(deadline).await;
            self.answer_in().await;
            let received = self.take(max);
            // Somebody else may have been faster.
            if !received.is_empty() || self.0.clock.now() >= deadline {
                return Ok(received);
            }
        }
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        if receipts.len() > MAX_BATCH {
            return Err(QueueError::Invalid(format!("at most {MAX_BATCH} records at once")));
        }
        {
            let mut state = hold(&self.0.state);
            for receipt in receipts {
                let Some(key) = state.held_by(receipt) else { continue };
                if let Some(record) = state.records.remove(&key) {
                    state.groups.landed(&record.group);
                }
            }
        }
        self.answer_in().await;
        Ok(())
    }

    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError> {
        if after_s > MAX_RELEASE_S {
            return Err(QueueError::Invalid(format!("at most {MAX_RELEASE_S} s, not {after_s}")));
        }
        let at = {
            let (now, mut state) = (self.0.clock.now(), hold(&self.0.state));
            let at = now.plus_ms(u64::from(after_s) * 1000);
            if let Some(key) = state.held_by(receipt) {
                state.later.push(Reverse((at, key)));
                if let Some(record) = state.records.get_mut(&key) {
                    record.visible_at = Some(at);
                }
            }
            state.wake(now);
            at
        };
        if at <= self.0.clock.now() {
            self.0.arrived.notify_one();
        }
        self.answer_in().await;
        Ok(())
    }
}
