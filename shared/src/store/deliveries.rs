//! The life of a delivery after its first attempt, and the fence that every attempt passes.
//!
//! An attempt is a put under a key that holds its number: whoever comes second with the same
//! number finds it taken, and does nothing more. Where an attempt changes how far a delivery
//! is, both are written in one transaction, so there is never an attempt without its
//! consequence nor the other way round.
//!
//! A [`Delivery`] item exists from the moment when a first attempt fails (or is leased because
//! it may be a repetition). While it is pending it stands in the `due` index, always: a claim
//! moves it forward in time and never takes it out, so whoever dies holding it is found out.
//!
//! A message that takes the place of one past its retention (the same `eventId`, months later)
//! finds that one's leftovers until they are cleaned up: what belongs to another message does
//! not count, and what has expired is overwritten.
//!
//! Not guaranteed: that an attempt which was sent gets recorded. Between the two lies the one
//! place where a crash makes an endpoint see the same attempt twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::postponed::{HeldBack, Waiting, read_postponed};
use super::table::prefix_range;
use super::table::{Condition, Index, Item, Key, Query, Table, Transacted, Write, Written};
use super::{StoreError, doc, inbox, keys};
use crate::domain::attempt::{Attempt, Delivery, Progress, Turn};
use crate::domain::clock::Timestamp;
use crate::domain::id::{EndpointId, MessageId, TaskId};
use crate::domain::limits::MAX_QUEUE_DELAY_S;
use crate::domain::message::Message;

/// How far the sweep looks ahead, in milliseconds: a minute, the shortest interval of a
/// schedule on AWS.
pub const SWEEP_AHEAD_MS: u64 = 60_000;
/// When the sweep looks after a retry that went through the queue: this long after it should
/// have come, in milliseconds.
pub const QUEUE_GRACE_MS: u64 = 15 * 60_000;

/// Leases, records and schedules attempts.
#[derive(Clone)]
pub struct Deliveries {
    pub(super) table: Arc<dyn Table>,
    beside: Vec<Write>,
}

/// A delivery as it was read, with what proves it unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// How far it is.
    pub delivery: Delivery,
    rev: u64,
}

/// Something that the sweep has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// A delivery whose next attempt comes soon.
    Retry(Box<Leased>),
    /// A message whose time comes soon.
    Postponed(Box<HeldBack>),
    /// A background task that nobody works on.
    Task(TaskId),
}

/// Everything on record about a message's attempts.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    attempted: HashSet<EndpointId>,
    deliveries: HashMap<EndpointId, Leased>,
    canceled: bool,
}

impl Snapshot {
    /// The delivery to this endpoint, if there is one.
    pub fn delivery(&self, ep: &EndpointId) -> Option<&Leased> {
        self.deliveries.get(ep)
    }

    /// Whether the message was called off before its time.
    pub fn is_canceled(&self) -> bool {
        self.canceled
    }

    /// Whether any scheduled attempt to this endpoint is on record.
    pub fn was_attempted(&self, ep: &EndpointId) -> bool {
        self.attempted.contains(ep)
    }
}

/// What became of an attempt that was offered for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is on record, and so is its consequence.
    Done,
    /// Another one recorded this attempt before.
    Already,
    /// It is on record, but the delivery went on without it (resent by hand, say), so it has
    /// no consequence.
    Superseded,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours.
    Mine(Leased),
    /// Somebody else was faster.
    Theirs,
}

/// What an attempt means for its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The endpoint took it.
    Delivered,
    /// Try again at that time; the sweep looks at the other.
    Retry {
        /// When to try again.
        at: Timestamp,
        /// When the sweep looks at it.
        due: Timestamp,
    },
    /// Given up.
    Failed,
}

impl Deliveries {
    /// Deliveries in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table, beside: Vec::new() }
    }

    /// The same, writing these in the transaction that records a scheduled attempt with a
    /// consequence.
    #[must_use]
    pub fn with(&self, beside: Vec<Write>) -> Self {
        Self { beside, ..self.clone() }
    }

    /// What is on record about a message: read before a record that came twice is worked on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn snapshot(&self, msg: &MessageId) -> Result<Snapshot, StoreError> {
        let (from, _) = prefix_range(keys::ATTEMPT_PREFIX);
        let (_, to) = prefix_range(keys::DELIVERY_PREFIX);
        let items = super::read_range(&*self.table, keys::message_pk(&msg.key()), from, to).await?;
        let mut snapshot = Snapshot::default();
        for item in items {
            if item.key.sk == keys::POSTPONED_SK {
                let postponed = read_postponed(&item)?.postponed;
                snapshot.canceled = postponed.msg == *msg && postponed.waiting == Waiting::Canceled;
            } else if item.key.sk.starts_with(keys::DELIVERY_PREFIX) {
                let leased = read_delivery(&item)?;
                if leased.delivery.msg == *msg {
                    snapshot.deliveries.insert(leased.delivery.ep, leased);
                }
            } else {
                let attempt: Attempt = doc::decode(&item.doc)?;
                if attempt.msg == *msg && matches!(attempt.turn, Turn::Scheduled(_)) {
                    snapshot.attempted.insert(attempt.ep);
                }
            }
        }
        Ok(snapshot)
    }

    /// The delivery of a message to an endpoint.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delivery(
        &self,
        msg: &MessageId,
        ep: &EndpointId,
    ) -> Result<Option<Leased>, StoreError> {
        let item = self.table.get(&keys::delivery(&msg.key(), ep)).await?;
        let leased = item.as_ref().map(read_delivery).transpose()?;
        Ok(leased.filter(|leased| leased.delivery.msg == *msg))
    }

    /// The message itself, payload included.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn message(
        &self,
        msg: &MessageId,
        now: Timestamp,
    ) -> Result<Option<Message>, StoreError> {
        let item = self.table.get(&keys::message(&msg.key())).await?;
        let message = item
            .filter(|item| inbox::is_live(item, now))
            .map(|item| inbox::read_message(&item))
            .transpose()?;
        // Without its payload it cannot be sent.
        Ok(message.filter(|message| message.id == *msg && !message.expunged))
    }

    /// The recorded attempt of this turn.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempt(
        &self,
        msg: &MessageId,
        ep: &EndpointId,
        turn: Turn,
    ) -> Result<Option<Attempt>, StoreError> {
        let item = self.table.get(&keys::attempt(&msg.key(), ep, turn)).await?;
        let attempt: Option<Attempt> = item.map(|item| doc::decode(&item.doc)).transpose()?;
        Ok(attempt.filter(|attempt| attempt.msg == *msg))
    }

    /// Leases the first attempt of a delivery that has no item yet, until `until`.
    ///
    /// # Errors
    /// When the store fails; the lease may or may not be taken then.
    pub async fn lease_first(
        &self,
        message: &Message,
        ep: &EndpointId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Claimed, StoreError> {
        self.put_first(message, ep, now, Some(until)).await
    }

    /// Leases the next attempt of a delivery, until `until`.
    ///
    /// # Errors
    /// When the store fails; the lease may or may not be taken then.
    pub async fn lease(&self, seen: &Leased, until: Timestamp) -> Result<Claimed, StoreError> {
        let mut leased = seen.clone();
        leased.delivery.lease_until = Some(until);
        self.put(leased, Condition::Revision(seen.rev)).await
    }

    /// Moves a due delivery forward in time, so that nobody else sweeps it meanwhile.
    ///
    /// # Errors
    /// When the store fails; the claim may or may not be made then.
    pub async fn claim(&self, seen: &Leased, due: Timestamp) -> Result<Claimed, StoreError> {
        let mut claimed = seen.clone();
        claimed.delivery.due_at = due;
        self.put(claimed, Condition::Revision(seen.rev)).await
    }

    /// Gives a pending delivery up without another attempt.
    ///
    /// # Errors
    /// When the store fails; it may or may not be given up then.
    pub async fn give_up(&self, seen: &Leased, reason: &str) -> Result<Claimed, StoreError> {
        let mut given_up = seen.clone();
        given_up.delivery.progress = Progress::Failed;
        given_up.delivery.lease_until = None;
        given_up.delivery.reason = Some(reason.to_owned());
        self.put(given_up, Condition::Revision(seen.rev)).await
    }

    /// Records a scheduled attempt and what follows from it. `held` is the delivery as it was
    /// leased, if it was.
    ///
    /// A first attempt that succeeds without a lease is a single put; everything else is a
    /// transaction of two.
    ///
    /// # Errors
    /// When the store fails; it may or may not be on record then.
    pub async fn record(
        &self,
        attempt: &Attempt,
        message: &Message,
        held: Option<&Leased>,
        consequence: &Consequence,
    ) -> Result<Recorded, StoreError> {
        let Turn::Scheduled(number) = attempt.turn else {
            return Err(StoreError::Invalid("a manual attempt has no consequence".into()));
        };
        let put = put_attempt(attempt, message)?;
        if held.is_none() && *consequence == Consequence::Delivered {
            return Ok(match self.table.write(put).await? {
                Written::Done => Recorded::Done,
                Written::Lost(_) => Recorded::Already,
            });
        }
        let mut held = held.cloned();
        loop {
            let (rev, condition) = match &held {
                Some(held) => (held.rev, Condition::Revision(held.rev)),
                None => (0, Condition::AbsentAt(attempt.at)),
            };
            let delivery = after(attempt, message, number, consequence);
            let mut writes =
                vec![put.clone(), Write::Put(delivery_item(&delivery, rev + 1)?, condition)];
            writes.extend(self.beside.iter().cloned());
            let lost = match self.table.transact(writes).await? {
                Transacted::Done => return Ok(Recorded::Done),
                Transacted::Lost(lost) => lost,
            };
            if lost.contains(&0) {
                return Ok(Recorded::Already);
            }
            // The delivery changed under us. If it still waits for this very attempt (somebody
            // took over a lease that ran out), this is its outcome all the same.
            match self.delivery(&attempt.msg, &attempt.ep).await? {
                Some(now)
                    if now.delivery.progress == Progress::Pending
                        && now.delivery.attempts < number =>
                {
                    held = Some(now);
                }
                _ => {
                    return Ok(match self.table.write(put).await? {
                        Written::Done => Recorded::Superseded,
                        Written::Lost(_) => Recorded::Already,
                    });
                }
            }
        }
    }

    /// Records an attempt that was asked for by hand. If it succeeded, the delivery is done,
    /// whatever it was before; if not, it stays as it was.
    ///
    /// # Errors
    /// When the store fails; it may or may not be on record then.
    pub async fn record_manual(
        &self,
        attempt: &Attempt,
        message: &Message,
    ) -> Result<Recorded, StoreError> {
        let put = put_attempt(attempt, message)?;
        if !attempt.ok {
            return Ok(match self.table.write(put).await? {
                Written::Done => Recorded::Done,
                Written::Lost(_) => Recorded::Already,
            });
        }
        loop {
            let seen = self.delivery(&attempt.msg, &attempt.ep).await?;
            let (rev, attempts, condition) = match &seen {
                Some(seen) => (seen.rev, seen.delivery.attempts, Condition::Revision(seen.rev)),
                None => (0, 0, Condition::AbsentAt(attempt.at)),
            };
            let delivery = after(attempt, message, attempts, &Consequence::Delivered);
            let writes =
                vec![put.clone(), Write::Put(delivery_item(&delivery, rev + 1)?, condition)];
            match self.table.transact(writes).await? {
                Transacted::Done => return Ok(Recorded::Done),
                Transacted::Lost(lost) if lost.contains(&0) => return Ok(Recorded::Already),
                Transacted::Lost(_) => {}
            }
        }
    }

    /// Brings a delivery that was leased for its first attempt in line with that attempt,
    /// which turned out to be on record already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle(
        &self,
        held: &Leased,
        consequence: &Consequence,
    ) -> Result<Claimed, StoreError> {
        let mut settled = held.clone();
        settled.delivery.attempts = settled.delivery.attempts.max(1);
        apply(&mut settled.delivery, consequence);
        self.put(settled, Condition::Revision(held.rev)).await
    }

    /// What the sweep should look at by now in one shard, oldest first, at most `limit`.
    /// Something that has just changed may be missing or out of date.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn due(
        &self,
        shard: u32,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Due>, StoreError> {
        let query = due_until(shard, now, limit);
        self.table.query(&query).await?.items.iter().map(read_due).collect()
    }

    /// Makes a delivery that was given up pending again, to be attempted once more at `now`.
    ///
    /// # Errors
    /// When the store fails; it may or may not be pending then.
    pub async fn reopen(&self, seen: &Leased, now: Timestamp) -> Result<Claimed, StoreError> {
        let mut reopened = seen.clone();
        let delivery = &mut reopened.delivery;
        delivery.progress = Progress::Pending;
        delivery.lease_until = None;
        delivery.reason = None;
        delivery.next_at = now;
        delivery.due_at = now.plus_ms(QUEUE_GRACE_MS);
        self.put(reopened, Condition::Revision(seen.rev)).await
    }

    /// Makes a delivery of a message that was never sent to this endpoint, pending, to be
    /// attempted at `now`. `Theirs` when there is one, or was.
    ///
    /// # Errors
    /// When the store fails; it may or may not be there then.
    pub async fn open(
        &self,
        message: &Message,
        ep: &EndpointId,
        now: Timestamp,
    ) -> Result<Claimed, StoreError> {
        if self.attempt(&message.id, ep, Turn::Scheduled(1)).await?.is_some() {
            return Ok(Claimed::Theirs);
        }
        if message.deliver_at.is_some() {
            let held_back = self.postponed(&message.id).await?;
            if held_back.is_some_and(|held| held.postponed.waiting != Waiting::Over) {
                return Ok(Claimed::Theirs);
            }
        }
        self.put_first(message, ep, now, None).await
    }

    /// Calls a pending delivery off, unless an attempt may be under way.
    ///
    /// # Errors
    /// When the store fails; it may or may not be called off then.
    pub async fn cancel(&self, seen: &Leased) -> Result<Claimed, StoreError> {
        let mut canceled = seen.clone();
        canceled.delivery.progress = Progress::Canceled;
        canceled.delivery.lease_until = None;
        self.put(canceled, Condition::Revision(seen.rev)).await
    }

    /// Every pending delivery of one shard, whenever it is due.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pending(&self, shard: u32) -> Result<Vec<Leased>, StoreError> {
        let mut query = due_until(shard, Timestamp(9_999_999_999_999), 1000);
        let mut pending = Vec::new();
        loop {
            let page = self.table.query(&query).await?;
            for item in &page.items {
                if let Due::Retry(found) = read_due(item)? {
                    pending.push(*found);
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(pending),
            }
        }
    }

    /// Takes a lease back whose holder is known to be dead.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn release(&self, seen: &Leased, due: Timestamp) -> Result<Claimed, StoreError> {
        let mut released = seen.clone();
        released.delivery.lease_until = None;
        released.delivery.due_at = due;
        self.put(released, Condition::Revision(seen.rev)).await
    }

    /// Puts the first attempt of a delivery off until `at`. `Theirs` when the delivery has an
    /// item already.
    ///
    /// # Errors
    /// When the store fails; it may or may not be put off then.
    pub async fn put_off(
        &self,
        message: &Message,
        ep: &EndpointId,
        now: Timestamp,
        at: Timestamp,
    ) -> Result<Claimed, StoreError> {
        let through_queue = at.since(now) <= u64::from(MAX_QUEUE_DELAY_S) * 1000;
        let due_at = match through_queue {
            true => at.plus_ms(QUEUE_GRACE_MS),
            false => at.minus_ms(SWEEP_AHEAD_MS),
        };
        let mut delivery = first(message, ep, at, None);
        delivery.due_at = due_at;
        self.put(Leased { delivery, rev: 0 }, Condition::AbsentAt(now)).await
    }

    async fn put_first(
        &self,
        message: &Message,
        ep: &EndpointId,
        now: Timestamp,
        lease_until: Option<Timestamp>,
    ) -> Result<Claimed, StoreError> {
        let delivery = first(message, ep, now, lease_until);
        self.put(Leased { delivery, rev: 0 }, Condition::AbsentAt(now)).await
    }

    async fn put(&self, mut leased: Leased, condition: Condition) -> Result<Claimed, StoreError> {
        leased.rev += 1;
        let item = delivery_item(&leased.delivery, leased.rev)?;
        Ok(match self.table.write(Write::Put(item, condition)).await? {
            Written::Done => Claimed::Mine(leased),
            Written::Lost(_) => Claimed::Theirs,
        })
    }
}

/// A delivery whose first attempt is to be made at `at`.
fn first(
    message: &Message,
    ep: &EndpointId,
    at: Timestamp,
    lease_until: Option<Timestamp>,
) -> Delivery {
    Delivery {
        msg: message.id,
        app: message.app,
        ep: *ep,
        progress: Progress::Pending,
        attempts: 0,
        next_at: at,
        lease_until,
        due_at: at.plus_ms(QUEUE_GRACE_MS),
        expires_at: message.expires_at,
        reason: None,
    }
}

fn due_until(shard: u32, until: Timestamp, limit: usize) -> Query {
    Query {
        index: Index::Due,
        pk: keys::due_pk(shard),
        from: keys::due_sk(Timestamp(0)),
        to: keys::due_sk(until),
        descending: false,
        after: None,
        limit,
    }
}

fn after(
    attempt: &Attempt,
    message: &Message,
    attempts: u32,
    consequence: &Consequence,
) -> Delivery {
    let mut delivery = Delivery {
        msg: attempt.msg,
        app: attempt.app,
        ep: attempt.ep,
        progress: Progress::Pending,
        attempts,
        next_at: attempt.at,
        lease_until: None,
        due_at: attempt.at,
        expires_at: message.expires_at,
        reason: None,
    };
    apply(&mut delivery, consequence);
    delivery
}

fn apply(delivery: &mut Delivery, consequence: &Consequence) {
    delivery.lease_until = None;
    match *consequence {
        Consequence::Delivered => delivery.progress = Progress::Delivered,
        Consequence::Failed => delivery.progress = Progress::Failed,
        Consequence::Retry { at, due } => {
            delivery.progress = Progress::Pending;
            delivery.next_at = at;
            delivery.due_at = due;
        }
    }
}

fn put_attempt(attempt: &Attempt, message: &Message) -> Result<Write, StoreError> {
    let item = Item {
        key: keys::attempt(&attempt.msg.key(), &attempt.ep, attempt.turn),
        by_time: Some(Key {
            pk: keys::attempts_by_time(&attempt.ep),
            sk: keys::attempt_time(&attempt.id),
        }),
        due: None,
        expires_at: Some(message.expires_at),
        rev: 1,
        doc: doc::encode(attempt)?,
        body: None,
    };
    Ok(Write::Put(item, Condition::AbsentAt(attempt.at)))
}

fn delivery_item(delivery: &Delivery, rev: u64) -> Result<Item, StoreError> {
    let pending = delivery.progress == Progress::Pending;
    Ok(Item {
        key: keys::delivery(&delivery.msg.key(), &delivery.ep),
        by_time: None,
        due: pending.then(|| keys::due(&delivery.msg, &delivery.ep, delivery.due_at)),
        // Never forget what is still to be delivered.
        expires_at: (!pending).then_some(delivery.expires_at),
        rev,
        doc: doc::encode(delivery)?,
        body: None,
    })
}

fn read_due(item: &Item) -> Result<Due, StoreError> {
    #[derive(serde::Deserialize)]
    struct Named {
        id: TaskId,
    }
    match item.key.sk.as_str() {
        keys::TASK_SK => doc::decode(&item.doc).map(|Named { id }| Due::Task(id)),
        keys::POSTPONED_SK => read_postponed(item).map(|held| Due::Postponed(Box::new(held))),
        _ => read_delivery(item).map(|found| Due::Retry(Box::new(found))),
    }
}

fn read_delivery(item: &Item) -> Result<Leased, StoreError> {
    Ok(Leased { delivery: doc::decode(&item.doc)?, rev: item.rev })
}
