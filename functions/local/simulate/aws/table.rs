//! The table port on a simulated DynamoDB: the same calls, tries and pauses as the real adapter
//! makes with the SDK, against a table that throttles, lags and is unwell to order.
//!
//! A change has its effect when the call begins; what takes time is the answer. Whoever is killed
//! while waiting for it does not learn of the effect, as with the real one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::clock::{Clock, Timestamp};
use shared::domain::sync::hold;
use shared::store::table::{
    Index, Item, Key, Page, Query, Table, Transacted, Write, Written, check_transaction,
};
use shared::store::{Backpressure, Limit, StoreError};

use super::capacity::{Capacity, Demand, Throttled, demand};
use super::dice::Dice;
use super::items::Items;
use super::weather::{INDEX_LAG_MS, Weather};

/// Tries of a call (`MAX_ATTEMPTS` of `shared::lambda::aws`).
const TRIES: u32 = 4;

/// How long a client asks (`Caller` of `shared::lambda::aws`).
#[derive(Clone, Copy)]
struct Patience {
    /// Longest wait for the answer to one try.
    a_try: Duration,
    /// Longest wait for a call with all its tries.
    call: Duration,
    /// Largest pause before the second try; it doubles with each (the SDK's standard mode, with
    /// full jitter: aws-smithy-runtime, `standard.rs`).
    first_pause: Duration,
    /// Largest pause.
    longest_pause: Duration,
}

/// `ATTEMPT_TIMEOUT`, `OPERATION_TIMEOUT` of `shared::aws`, `INITIAL_BACKOFF` of
/// `shared::lambda::aws`, and the SDK's longest pause.
const USUAL: Patience = Patience {
    a_try: Duration::from_millis(1_500),
    call: Duration::from_secs(4),
    first_pause: Duration::from_millis(25),
    longest_pause: Duration::from_secs(20),
};
/// `brief_timeouts` and `brief_retries` there.
const BRIEF: Patience = Patience {
    a_try: Duration::from_secs(1),
    call: Duration::from_secs(3),
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_millis(100),
};
/// Longest pauses after a conflict with somebody's transaction, and after a transaction that was
/// throttled, which the SDK does not repeat (`PAUSES_MS` of `shared::store::dynamodb`).
const PAUSES_MS: [u64; 4] = [10, 20, 40, 80];

/// Hears of every change that was made.
pub(crate) trait Watch: Send + Sync {
    /// This item is stored now; it replaced `old`.
    fn stored(&self, item: &Item, old: Option<&Item>);
}

/// A table of one account. Clones are the same table.
#[derive(Clone)]
pub(crate) struct SimulatedTable {
    state: Arc<Mutex<State>>,
    dice: Arc<Dice>,
    clock: Arc<dyn Clock>,
    watch: Arc<dyn Watch>,
    backpressure: Backpressure,
    patience: Patience,
}

struct State {
    items: Items,
    capacity: Capacity,
    weather: Weather,
}

/// Why a try came to nothing.
enum Trouble {
    /// No capacity, without an effect.
    Throttled(Limit),
    /// Somebody's transaction is at work on the same key.
    Conflict,
    /// No answer, or an error of the service's own.
    Unanswered,
}

/// What a try of a write came to, if it came to anything.
enum Effect {
    Done,
    Lost(Vec<usize>, Option<Box<Item>>),
}

/// Keys that a transaction is at work on, until it is answered.
struct Locks<'a>(&'a SimulatedTable, Vec<Key>);

impl Drop for Locks<'_> {
    fn drop(&mut self) {
        let mut state = hold(&self.0.state);
        for key in &self.1 {
            state.items.locked.remove(key);
        }
    }
}

impl SimulatedTable {
    /// An empty table.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        dice: Arc<Dice>,
        weather: Weather,
        watch: Arc<dyn Watch>,
    ) -> Self {
        let capacity = Capacity::new(&weather, clock.now());
        let state = State { items: Items::default(), capacity, weather };
        let backpressure = Backpressure::default();
        let patience = USUAL;
        Self { state: Arc::new(Mutex::new(state)), dice, clock, watch, backpressure, patience }
    }

    /// The same table, as a process sees it that hears what is throttled.
    pub(crate) fn telling(self, backpressure: Backpressure) -> Self {
        Self { backpressure, ..self }
    }

    /// The same table, as a function asks it whose callers can ask again.
    pub(crate) fn for_callers(self) -> Self {
        Self { patience: BRIEF, ..self }
    }

    /// An empty table beside this one, without limits or latencies.
    pub(crate) fn apart(&self) -> Self {
        Self::new(self.clock.clone(), self.dice.clone(), Weather::calm(), self.watch.clone())
    }

    /// Changes what the table is like from now on.
    pub(crate) fn set_weather(&self, weather: Weather) {
        let mut state = hold(&self.state);
        state.capacity = Capacity::new(&weather, self.clock.now());
        state.weather = weather;
    }

    /// What was throttled so far.
    pub(crate) fn throttled(&self) -> Throttled {
        hold(&self.state).capacity.throttled
    }

    async fn answer_in(&self) {
        let latency = self.dice.latency(hold(&self.state).weather.table);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    /// The answer to a call, if it comes in time.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let done = tokio::time::timeout(self.patience.call, call).await;
        done.unwrap_or_else(|_| Err(unavailable("no answer in time")))
    }

    /// The SDK's pause before another try; whether there is one.
    async fn pause(&self, tries: &mut u32) -> bool {
        *tries += 1;
        if *tries >= TRIES {
            return false;
        }
        let Patience { first_pause, longest_pause, .. } = self.patience;
        let most = longest_pause.min(first_pause * (1 << (*tries - 1)));
        tokio::time::sleep(most.mul_f64(self.dice.share())).await;
        true
    }

    /// A read, tried as often as the SDK tries it.
    async fn reading<T>(
        &self,
        (index, pk): (Index, &str),
        read: impl Fn(&mut Items, Timestamp) -> (T, usize),
    ) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            let found = {
                let (now, mut state) = (self.clock.now(), hold(&self.state));
                let State { items, capacity, weather } = &mut *state;
                if !weather.limited || capacity.may_read(index, pk, now) {
                    let (found, bytes) = read(items, now);
                    if weather.limited {
                        capacity.read(index, pk, bytes, now);
                    }
                    Some(found)
                } else {
                    None
                }
            };
            self.answer_in().await;
            match found {
                Some(found) => return Ok(found),
                None if self.pause(&mut tries).await => {}
                None => return Err(unavailable("ThrottlingException on a read")),
            }
        }
    }

    /// One try of writes, all or none. With a transaction of several their keys are locked until
    /// it is answered.
    async fn try_write(&self, writes: &[Write]) -> Result<Effect, Trouble> {
        let alone = writes.len() == 1;
        let trouble = hold(&self.state).weather.brown_out(self.clock.now());
        if let Some(trouble) = trouble {
            return self.brown_out(writes, trouble.failing, trouble.slow_ms).await;
        }
        let (effect, _locks) = {
            let (now, mut state) = (self.clock.now(), hold(&self.state));
            let effect = self.effect(&mut state, writes, now);
            let locks = match (&effect, alone) {
                (Ok(_), false) => writes.iter().map(Write::key).cloned().collect(),
                _ => Vec::new(),
            };
            for key in &locks {
                state.items.locked.insert(key.clone(), 1);
            }
            (effect, Locks(self, locks))
        };
        self.answer_in().await;
        effect
    }

    /// A try while the table is unwell: no effect, or one that is answered too late.
    async fn brown_out(
        &self,
        writes: &[Write],
        failing: f64,
        slow_ms: u64,
    ) -> Result<Effect, Trouble> {
        if self.dice.hits(failing) {
            self.answer_in().await;
            return Err(Trouble::Unanswered);
        }
        let effect = {
            let (now, mut state) = (self.clock.now(), hold(&self.state));
            self.effect(&mut state, writes, now)
        };
        let takes = Duration::from_millis(slow_ms);
        let longest = self.patience.a_try;
        tokio::time::sleep(takes.min(longest)).await;
        if takes > longest { Err(Trouble::Unanswered) } else { effect }
    }

    fn effect(
        &self,
        state: &mut State,
        writes: &[Write],
        now: Timestamp,
    ) -> Result<Effect, Trouble> {
        if writes.iter().any(|write| state.items.locked.contains_key(write.key())) {
            return Err(Trouble::Conflict);
        }
        // Transactions are charged twice for the table (pricing).
        let times = if writes.len() == 1 { 1.0 } else { 2.0 };
        let mut wanted = Demand::new();
        for write in writes {
            demand(state.items.get(write.key()).map(|it| &**it), write, times, &mut wanted);
        }
        if state.weather.limited {
            state.capacity.write(&wanted, now).map_err(Trouble::Throttled)?;
        }
        let failed =
            |(_, write): &(usize, &Write)| !state.items.holds(write.key(), write.condition());
        let lost: Vec<usize> = writes.iter().enumerate().filter(failed).map(|(at, _)| at).collect();
        if !lost.is_empty() {
            let in_the_way = state.items.get(writes[lost[0]].key());
            return Ok(Effect::Lost(lost, in_the_way.map(|item| Box::new(Item::clone(item)))));
        }
        for write in writes {
            let old = state.items.get(write.key()).cloned();
            if let Write::Put(item, _) = write {
                self.watch.stored(item, old.as_deref());
            }
            let seen_at = now.plus_ms(self.lag_ms(state));
            state.items.apply(write.clone(), now, seen_at);
        }
        Ok(Effect::Done)
    }

    fn lag_ms(&self, state: &State) -> u64 {
        let lag = self.dice.latency(state.weather.lag).as_millis();
        let (least, most) = INDEX_LAG_MS;
        match u64::try_from(lag).unwrap_or(most) {
            0 if state.weather.lag.p50_ms <= 0.0 => 0,
            lag => lag.clamp(least, most),
        }
    }

    /// The adapter's pause before it asks again; an error if it has asked often enough.
    async fn wait_a_little(
        &self,
        pauses: &mut impl Iterator<Item = u64>,
        otherwise: StoreError,
    ) -> Result<(), StoreError> {
        let whole = pauses.next().ok_or(otherwise)?;
        let pause_ms = whole / 2 + self.dice.below(whole / 2 + 1);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        Ok(())
    }

    async fn write_tried(&self, write: Write) -> Result<Written, StoreError> {
        let (mut tries, mut unanswered) = (0, false);
        let mut pauses = PAUSES_MS.into_iter();
        let writes = [write];
        loop {
            self.backpressure.tried();
            match self.try_write(&writes).await {
                Ok(Effect::Done) => return Ok(Written::Done),
                Ok(Effect::Lost(..)) if unanswered => {
                    return Err(unavailable("the condition failed after a try without an answer"));
                }
                Ok(Effect::Lost(_, in_the_way)) => return Ok(Written::Lost(in_the_way)),
                Err(Trouble::Conflict) => {
                    self.wait_a_little(&mut pauses, unavailable("a conflict")).await?;
                }
                Err(Trouble::Throttled(limit)) => {
                    self.backpressure.throttled(limit, writes[0].key());
                    if !self.pause(&mut tries).await {
                        return Err(throttled(limit));
                    }
                }
                Err(Trouble::Unanswered) => {
                    unanswered = true;
                    if !self.pause(&mut tries).await {
                        return Err(unavailable("no answer"));
                    }
                }
            }
        }
    }

    async fn transact_tried(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        let mut tries = 0;
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            match self.try_write(&writes).await {
                Ok(Effect::Done) => return Ok(Transacted::Done),
                // DynamoDB knows a repetition by its token.
                Ok(Effect::Lost(..)) if self.is_done(&writes) => return Ok(Transacted::Done),
                Ok(Effect::Lost(positions, _)) => return Ok(Transacted::Lost(positions)),
                Err(Trouble::Conflict) => {
                    self.wait_a_little(&mut pauses, unavailable("a conflict")).await?;
                }
                Err(Trouble::Throttled(_)) => {
                    let why = unavailable("TransactionCanceledException: ThrottlingError");
                    self.wait_a_little(&mut pauses, why).await?;
                }
                Err(Trouble::Unanswered) if self.pause(&mut tries).await => {}
                Err(Trouble::Unanswered) => return Err(unavailable("no answer")),
            }
        }
    }

    /// Whether everything is stored exactly as these writes would leave it.
    fn is_done(&self, writes: &[Write]) -> bool {
        let state = hold(&self.state);
        writes.iter().all(|write| match write {
            Write::Put(item, _) => {
                let found = state.items.get(&item.key);
                found.is_some_and(|found| found.rev == item.rev && found.doc == item.doc)
            }
            Write::Delete(key, _) => state.items.get(key).is_none(),
        })
    }
}

#[async_trait]
impl Table for SimulatedTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let read = |items: &mut Items, _| {
            let found = items.get(key).map(|item| Item::clone(item));
            let bytes = found.as_ref().map_or(0, Item::size);
            (found, bytes)
        };
        self.within(self.reading((Index::Base, &key.pk), read)).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let read = |items: &mut Items, now| {
            let page = items.query(query, now);
            let bytes = page.items.iter().map(Item::size).sum();
            (page, bytes)
        };
        self.within(self.reading((query.index, &query.pk), read)).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        write.check_size()?;
        self.within(self.write_tried(write)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        if writes.is_empty() {
            return Ok(Transacted::Done);
        }
        check_transaction(&writes)?;
        self.within(self.transact_tried(writes)).await
    }
}

fn throttled(limit: Limit) -> StoreError {
    StoreError::Throttled { limit, why: "ThrottlingException".to_owned() }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}
