//! Deliveries at rest, and the fence that every attempt passes.
//!
//! An attempt is a put under a key that holds its number: whoever comes second with the same
//! number finds it taken, and does nothing more. Where an attempt changes how far a delivery
//! is, both are written in one transaction, so there is never an attempt without its
//! consequence nor the other way round.
//!
//! What an event makes of a delivery is decided by [`machine`](crate::domain::delivery::machine);
//! here it is loaded, and saved under the revision that was read. While a delivery is pending it
//! stands in the `due` index, always: a claim moves it forward in time and never takes it out,
//! so whoever dies holding it is found out.
//!
//! A message that takes the place of one past its retention (the same `eventId`, months later)
//! finds that one's leftovers until they are cleaned up: what belongs to another message does
//! not count, and is overwritten under its revision.
//!
//! Not guaranteed: that an attempt which was sent gets recorded. Between the two lies the one
//! place where a crash makes an endpoint see the same attempt twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scheduled;
use super::table::{Condition, Item, Table, Transacted, Write, Written, prefix_range};
use super::{StoreError, Versioned, attempts, doc, inbox, keys, read_range};
use crate::domain::attempt::{Attempt, Trigger};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::machine::{Effect, Event, Outcome, Refusal, Transition, step};
use crate::domain::delivery::scheduled::{ScheduleState, ScheduledMessage};
use crate::domain::delivery::{Delivery, State};
use crate::domain::endpoint::Stretch;
use crate::domain::id::{EndpointId, MessageId};
use crate::domain::message::Message;

/// Loads deliveries, saves what becomes of them, records attempts.
#[derive(Clone)]
pub struct Deliveries {
    pub(super) table: Arc<dyn Table>,
}

/// Everything on record about a message's attempts.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    attempted: HashSet<EndpointId>,
    deliveries: HashMap<EndpointId, Versioned<Delivery>>,
    /// The message was canceled before its time.
    pub canceled: bool,
    /// There may be second copies of the message's shares.
    pub cut_again: bool,
}

/// That there may be second copies of a message's shares.
#[derive(Serialize, Deserialize)]
struct CutAgain {
    msg: MessageId,
}

impl Snapshot {
    /// The delivery to this endpoint, if there is one.
    pub fn delivery(&self, ep: &EndpointId) -> Option<&Versioned<Delivery>> {
        self.deliveries.get(ep)
    }

    /// Reads what is on record.
    fn of(msg: &MessageId, items: &[Item]) -> Result<Self, StoreError> {
        let mut snapshot = Self::default();
        let mark = keys::cut_again(&msg.key());
        for item in items {
            if item.key == mark {
                snapshot.cut_again = doc::decode::<CutAgain>(&item.doc)?.msg == *msg;
            } else if item.key.sk == keys::SCHEDULED_SK {
                let scheduled: ScheduledMessage = doc::decode(&item.doc)?;
                snapshot.canceled =
                    scheduled.msg == *msg && scheduled.state == ScheduleState::Canceled;
            } else if item.key.sk.starts_with(keys::DELIVERY_PREFIX) {
                let found = Versioned::<Delivery>::read(item)?;
                if found.value.msg == *msg {
                    snapshot.deliveries.insert(found.value.ep, found);
                }
            } else {
                let attempt: Attempt = doc::decode(&item.doc)?;
                if attempt.msg == *msg && matches!(attempt.trigger, Trigger::Scheduled(_)) {
                    snapshot.attempted.insert(attempt.ep);
                }
            }
        }
        Ok(snapshot)
    }

    /// Whether any scheduled attempt to this endpoint is on record.
    pub fn was_attempted(&self, ep: &EndpointId) -> bool {
        self.attempted.contains(ep)
    }
}

/// What became of an event that was offered to a stored delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// It is stored.
    Done {
        /// The delivery as it is now.
        held: Versioned<Delivery>,
        /// What is left to do.
        effects: Vec<Effect>,
    },
    /// The event does not apply.
    Refused(Refusal),
    /// Somebody else changed the delivery first.
    Lost,
}

/// What became of an attempt that was offered for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is on record, and so is what follows from it.
    Done(Vec<Effect>),
    /// It was on record under its own id, and so was what follows from it: an earlier call wrote
    /// it and was answered with an error, or somebody else who has it to write was faster.
    Ours(Vec<Effect>),
    /// Another one recorded this attempt before.
    Already,
    /// It is on record, but the delivery went on without it (resent by hand, say), so nothing
    /// follows from it.
    Superseded,
}

impl Deliveries {
    /// Deliveries in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// What is on record about a message: read before a record that may be a repetition is
    /// worked on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn snapshot(&self, msg: &MessageId) -> Result<Snapshot, StoreError> {
        let (from, _) = prefix_range(keys::ATTEMPT_PREFIX);
        let (_, to) = prefix_range(keys::DELIVERY_PREFIX);
        let items = read_range(&*self.table, keys::message_pk(&msg.key()), from, to).await?;
        Snapshot::of(msg, &items)
    }

    /// The same about a share of its endpoints: in a wide application the rest is not looked at.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn snapshot_in(
        &self,
        msg: &MessageId,
        stretch: &Stretch,
    ) -> Result<Snapshot, StoreError> {
        let table = &*self.table;
        let read = |(from, to)| read_range(table, keys::message_pk(&msg.key()), from, to);
        let (scheduled, mark) = (keys::scheduled(&msg.key()), keys::cut_again(&msg.key()));
        let (attempts, deliveries, scheduled, mark) = tokio::try_join!(
            read(keys::attempts_in(stretch)),
            read(keys::deliveries_in(stretch)),
            table.get(&scheduled),
            table.get(&mark),
        )?;
        let items: Vec<Item> =
            attempts.into_iter().chain(deliveries).chain(scheduled).chain(mark).collect();
        Snapshot::of(msg, &items)
    }

    /// Notes that there may be second copies of a message's shares, before any is sent.
    ///
    /// # Errors
    /// When the store fails; it may or may not be noted then.
    pub async fn mark_cut_again(&self, message: &Message) -> Result<(), StoreError> {
        let mark = doc::encode(&CutAgain { msg: message.id })?;
        let item = Item::new(keys::cut_again(&message.id.key()), mark).until(message.expires_at);
        self.table.write(Write::Put(item, Condition::Always)).await.map(drop)
    }

    /// The delivery of a message to an endpoint.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delivery(
        &self,
        msg: &MessageId,
        ep: &EndpointId,
    ) -> Result<Option<Versioned<Delivery>>, StoreError> {
        Ok(self.in_place_of(msg, ep).await?.filter(|found| found.value.msg == *msg))
    }

    /// The same for who only shows it: what happened in the last moments may be missing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn glance(
        &self,
        msg: &MessageId,
        ep: &EndpointId,
    ) -> Result<Option<Delivery>, StoreError> {
        let item = self.table.glance(&keys::delivery(&msg.key(), ep)).await?;
        let found: Option<Delivery> = item.map(|item| doc::decode(&item.doc)).transpose()?;
        Ok(found.filter(|delivery| delivery.msg == *msg))
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
        let found = inbox::find(&*self.table, &msg.key(), now).await?;
        // Without its payload it cannot be sent.
        Ok(found.filter(|message| message.id == *msg && !message.expunged))
    }

    /// The recorded attempt of this trigger.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempt(
        &self,
        msg: &MessageId,
        ep: &EndpointId,
        trigger: Trigger,
    ) -> Result<Option<Attempt>, StoreError> {
        let item = self.table.get(&keys::attempt(&msg.key(), ep, trigger)).await?;
        let attempt: Option<Attempt> = item.map(|item| doc::decode(&item.doc)).transpose()?;
        Ok(attempt.filter(|attempt| attempt.msg == *msg))
    }

    /// Stores a delivery that was not there before, as the event leaves it; one that another
    /// message left in its place is overwritten. `Lost` when the message has one already.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn begin(
        &self,
        first: &Delivery,
        event: Event,
        now: Timestamp,
    ) -> Result<Advanced, StoreError> {
        match step(first, event, now) {
            Ok(transition) => self.create(transition, now).await,
            Err(refusal) => Ok(Advanced::Refused(refusal)),
        }
    }

    /// The same, as it is.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn open(&self, first: Delivery, now: Timestamp) -> Result<Advanced, StoreError> {
        self.create(Transition { delivery: first, effects: Vec::new() }, now).await
    }

    async fn create(&self, new: Transition, now: Timestamp) -> Result<Advanced, StoreError> {
        let Transition { delivery, effects } = new;
        let mut held = Versioned { value: delivery, rev: 1 };
        let mut condition = Condition::AbsentAt(now);
        loop {
            let put = Write::Put(delivery_item(&held.value, held.rev)?, condition);
            let in_the_way = match self.table.write(put).await? {
                Written::Done => return Ok(Advanced::Done { held, effects }),
                Written::Lost(None) => return Ok(Advanced::Lost),
                Written::Lost(Some(item)) => Versioned::<Delivery>::read(&item)?,
            };
            if in_the_way.value.msg == held.value.msg {
                return Ok(Advanced::Lost);
            }
            held.rev = in_the_way.rev + 1;
            condition = Condition::Revision(in_the_way.rev);
        }
    }

    /// Stores what an event makes of a delivery, if it is still as it was seen.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn advance(
        &self,
        seen: &Versioned<Delivery>,
        event: Event,
        now: Timestamp,
    ) -> Result<Advanced, StoreError> {
        let Transition { delivery, effects } = match step(&seen.value, event, now) {
            Ok(transition) => transition,
            Err(refusal) => return Ok(Advanced::Refused(refusal)),
        };
        let held = Versioned { value: delivery, rev: seen.rev + 1 };
        let item = delivery_item(&held.value, held.rev)?;
        Ok(match self.table.write(Write::Put(item, Condition::Revision(seen.rev))).await? {
            Written::Done => Advanced::Done { held, effects },
            Written::Lost(_) => Advanced::Lost,
        })
    }

    /// Records a scheduled attempt, what follows from it for its delivery, and in the same
    /// transaction `outbox`, if somebody is to be told. `held` is the delivery as it was leased, if
    /// it was.
    ///
    /// A first attempt that succeeds without a lease is a single put; everything else is a
    /// transaction of two. Repeating the call after an error is safe: an attempt that turns out
    /// to be on record under its own id is [`Recorded::Ours`].
    ///
    /// # Errors
    /// When the store fails; it may or may not be on record then.
    pub async fn record(
        &self,
        attempt: &Attempt,
        message: &Message,
        held: Option<&Versioned<Delivery>>,
        outcome: &Outcome,
        outbox: &[Write],
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let Trigger::Scheduled(number) = attempt.trigger else {
            return Err(StoreError::Invalid("an attempt by hand has no outcome".into()));
        };
        let event = Event::Outcome { number, outcome: outcome.clone() };
        if held.is_none() && number == 1 && *outcome == Outcome::Delivered {
            return self.record_alone(attempt, message, Recorded::Done(Vec::new())).await;
        }
        let first = held.cloned();
        self.record_with(attempt, message, first, &event, outbox, now).await
    }

    /// Records an attempt that was asked for by hand. If it succeeded, the delivery is done,
    /// whatever it was before, and `outbox` is written as well if somebody is to be told; if not,
    /// it stays as it was.
    ///
    /// # Errors
    /// When the store fails; it may or may not be on record then.
    pub async fn record_by_hand(
        &self,
        attempt: &Attempt,
        message: &Message,
        outbox: &[Write],
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        if !attempt.ok {
            return self.record_alone(attempt, message, Recorded::Done(Vec::new())).await;
        }
        let found = self.in_place_of(&attempt.msg, &attempt.ep).await?;
        self.record_with(attempt, message, found, &Event::SentByHand, outbox, now).await
    }

    /// Records an attempt together with what `event` makes of its delivery, and `outbox` where that
    /// notifies. `found` is what is thought to stand in the delivery's place; where that turns out
    /// to be wrong, it is read.
    async fn record_with(
        &self,
        attempt: &Attempt,
        message: &Message,
        mut found: Option<Versioned<Delivery>>,
        event: &Event,
        outbox: &[Write],
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        loop {
            let condition = Condition::unchanged(found.as_ref().map(|it| it.rev), attempt.at);
            // Of what there is only by hand nothing else says that the message was in the queue.
            let by_hand = matches!(event, Event::SentByHand);
            let first = || Delivery::first(message, attempt.ep, attempt.at, attempt.at);
            let seen = found
                .filter(|found| found.value.msg == attempt.msg)
                .map_or_else(|| Delivery { by_hand, ..first() }, |found| found.value);
            let Ok(next) = step(&seen, event.clone(), now) else {
                // It went on without this attempt.
                return self.record_alone(attempt, message, Recorded::Superseded).await;
            };
            let writes =
                [attempts::put(attempt, message)?, put_delivery(&next.delivery, condition)?];
            let is_told = next.effects.iter().any(|effect| matches!(effect, Effect::Notify(_)));
            let told = if is_told { outbox } else { &[] };
            let writes = writes.into_iter().chain(told.iter().cloned()).collect();
            match self.table.transact(writes).await? {
                Transacted::Done => return Ok(Recorded::Done(next.effects)),
                Transacted::Lost(lost) if lost.contains(&0) => {
                    return match self.is_ours(attempt).await? {
                        true => Ok(Recorded::Ours(next.effects)),
                        false => Ok(Recorded::Already),
                    };
                }
                Transacted::Lost(_) => {}
            }
            found = self.in_place_of(&attempt.msg, &attempt.ep).await?;
        }
    }

    async fn record_alone(
        &self,
        attempt: &Attempt,
        message: &Message,
        done: Recorded,
    ) -> Result<Recorded, StoreError> {
        Ok(match self.table.write(attempts::put(attempt, message)?).await? {
            Written::Done => done,
            Written::Lost(Some(item)) if doc::decode::<Attempt>(&item.doc)?.id == attempt.id => {
                Recorded::Ours(Vec::new())
            }
            Written::Lost(_) => Recorded::Already,
        })
    }

    /// Whether what stands in an attempt's place is that attempt: an earlier call wrote it and
    /// was answered with an error.
    async fn is_ours(&self, attempt: &Attempt) -> Result<bool, StoreError> {
        let found = self.attempt(&attempt.msg, &attempt.ep, attempt.trigger).await?;
        Ok(found.is_some_and(|found| found.id == attempt.id))
    }

    /// What makes this message wait for its time, or did.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn scheduled(
        &self,
        msg: &MessageId,
    ) -> Result<Option<Versioned<ScheduledMessage>>, StoreError> {
        scheduled::find(&*self.table, msg).await
    }

    /// How far a message is that was to wait for its time; others are not looked up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn schedule_state(
        &self,
        message: &Message,
    ) -> Result<Option<ScheduleState>, StoreError> {
        if message.deliver_at.is_none() {
            return Ok(None);
        }
        let found = self.scheduled(&message.id).await?;
        Ok(found.map(|found| found.value.state))
    }

    /// Stores what became of a scheduled message. `None` when somebody else has changed it.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn save_scheduled(
        &self,
        seen: &Versioned<ScheduledMessage>,
        next: ScheduledMessage,
    ) -> Result<Option<Versioned<ScheduledMessage>>, StoreError> {
        scheduled::save(&*self.table, seen, next).await
    }

    /// Whatever delivery stands in this place: of this message, or one that an earlier message
    /// of the same event left there.
    async fn in_place_of(
        &self,
        msg: &MessageId,
        ep: &EndpointId,
    ) -> Result<Option<Versioned<Delivery>>, StoreError> {
        let item = self.table.get(&keys::delivery(&msg.key(), ep)).await?;
        item.as_ref().map(Versioned::read).transpose()
    }
}

fn put_delivery(delivery: &Delivery, condition: Condition) -> Result<Write, StoreError> {
    Ok(Write::Put(delivery_item(delivery, condition.next_revision())?, condition))
}

/// While no attempt is on record or under way, the delivery itself stands in the endpoint's list,
/// at the time of its message: nothing else leads to it there.
fn delivery_item(delivery: &Delivery, rev: u64) -> Result<Item, StoreError> {
    let pending = delivery.pending();
    let under_way = pending.is_some_and(|pending| pending.lease_until.is_some());
    let unattempted = delivery.attempts == 0 && !under_way && delivery.state != State::Delivered;
    Ok(Item {
        key: keys::delivery(&delivery.msg.key(), &delivery.ep),
        by_time: unattempted.then(|| keys::unattempted_time(&delivery.ep, &delivery.msg)),
        due: pending
            .map(|pending| keys::due(&delivery.app, &delivery.msg, &delivery.ep, pending.due_at)),
        // Never forget what is still to be delivered.
        expires_at: pending.is_none().then_some(delivery.expires_at),
        rev,
        doc: doc::encode(delivery)?,
        body: None,
    })
}
