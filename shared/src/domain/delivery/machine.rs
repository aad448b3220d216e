//! What happens to a delivery: one function, [`step`], that takes a delivery, an event and the
//! present, and answers with the delivery that follows and what else has to be done.
//!
//! Whoever acts on a transition stores its delivery first, under the revision that was read.
//! Who loses that race does nothing. The effects come after: one that is lost with a process is
//! made good by the sweep, because what is pending is always due at some time.

use serde::{Deserialize, Serialize};

use super::{Delivery, Pending, Plan, QUEUE_GRACE_MS, Reason, State};
use crate::domain::clock::Timestamp;
use crate::domain::notice::FAILING_AFTER;

/// Something that happens to a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A dispatcher takes the next attempt on, and may be busy with it until then.
    Leased {
        /// When the lease runs out.
        until: Timestamp,
    },
    /// A scheduled attempt is over.
    Outcome {
        /// Which one, counted from 1.
        number: u32,
        /// What it came to.
        outcome: Outcome,
    },
    /// A scheduled attempt is over, but the store would not take it: what it came to is in the
    /// queue, to be written later. Nobody makes it again until then.
    Unwritten {
        /// Which one, counted from 1.
        number: u32,
        /// When it may be made again, should what it came to be lost.
        until: Timestamp,
    },
    /// The next attempt has to wait: for a rate, for a circuit that is open, or for want of time.
    /// Waiting is not an attempt.
    PutOff {
        /// Until when.
        at: Timestamp,
        /// Whether the rate has kept that moment for it.
        counted: bool,
    },
    /// The sweep takes it on, so that no other sweep does.
    Claimed,
    /// The sweep could not send what it claimed.
    Unclaimed,
    /// There can be no further attempt.
    Barred(Reason),
    /// Somebody calls it off.
    Canceled,
    /// Somebody wants it to be tried again although it was given up.
    Recovered,
    /// An attempt by hand succeeded.
    SentByHand,
    /// The process that held a lease is known to be dead.
    HolderDied,
}

/// What a scheduled attempt came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The endpoint took the message.
    Delivered,
    /// It did not; another attempt is to be made at `at`.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// It did not, and there will be no other.
    Failed(Reason),
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The delivery as it is now to be stored.
    pub delivery: Delivery,
    /// What has to be done once it is stored.
    pub effects: Vec<Effect>,
}

/// Something to do beside storing the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the attempt's record to the retries queue, to be received at `at`.
    Enqueue {
        /// The attempt's number.
        attempt: u32,
        /// When it is to be made.
        at: Timestamp,
    },
    /// Tell the organisation, in the transaction that stores the delivery.
    Notify(Notification),
    /// Count a delivery that was given up.
    CountExhausted,
}

/// What an organisation is told about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The last attempt failed.
    Exhausted,
    /// It keeps failing.
    Failing,
    /// It was taken after it had kept failing.
    Recovered,
}

/// Why an event does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A dispatcher may be busy with it until then.
    UnderWay {
        /// When its lease runs out.
        until: Timestamp,
    },
    /// It is not in a state in which this can happen.
    Over,
}

/// What this event makes of the delivery.
///
/// # Errors
/// Why it does not apply: the delivery stays as it is.
pub fn step(delivery: &Delivery, event: Event, now: Timestamp) -> Result<Transition, Refusal> {
    match event {
        Event::SentByHand => {
            let told = is_told_failing(delivery).then_some(Effect::Notify(Notification::Recovered));
            return Ok(to(delivery, State::Delivered, told.into_iter().collect()));
        }
        Event::Recovered => return recover(delivery, now),
        _ => {}
    }
    let Some(pending) = delivery.pending() else { return Err(Refusal::Over) };
    match event {
        Event::Leased { until } => {
            free(pending, now)?;
            let leased = Pending { lease_until: Some(until), unwritten: false, ..*pending };
            Ok(to(delivery, State::Pending(leased), Vec::new()))
        }
        Event::Outcome { number, outcome } => conclude(delivery, number, outcome, now),
        Event::Unwritten { number, .. } if number <= delivery.attempts => Err(Refusal::Over),
        Event::Unwritten { until, .. } => {
            let kept = Pending {
                lease_until: pending.lease_until.max(Some(until)),
                unwritten: true,
                due_at: pending.due_at.max(until),
                ..*pending
            };
            Ok(to(delivery, State::Pending(kept), Vec::new()))
        }
        Event::PutOff { at, counted } => {
            free(pending, now)?;
            let later = Pending { counted, ..Pending::planned(at, now) };
            let effects = enqueue(delivery.attempts + 1, later.next);
            Ok(to(delivery, State::Pending(later), effects))
        }
        Event::Claimed => {
            let at = pending.next.at();
            let claimed = Pending { due_at: at.max(now).plus_ms(QUEUE_GRACE_MS), ..*pending };
            let effects = vec![Effect::Enqueue { attempt: delivery.attempts + 1, at }];
            Ok(to(delivery, State::Pending(claimed), effects))
        }
        Event::Unclaimed => {
            Ok(to(delivery, State::Pending(Pending { due_at: now, ..*pending }), Vec::new()))
        }
        Event::HolderDied => {
            if pending.unwritten {
                // The queue has what it did.
                free(pending, now)?;
            }
            let freed = Pending { lease_until: None, due_at: now, ..*pending };
            Ok(to(delivery, State::Pending(freed), Vec::new()))
        }
        Event::Barred(reason) => {
            free(pending, now)?;
            Ok(to(delivery, State::Failed { reason }, vec![Effect::CountExhausted]))
        }
        Event::Canceled => {
            free(pending, now)?;
            Ok(to(delivery, State::Canceled, Vec::new()))
        }
        Event::SentByHand | Event::Recovered => Err(Refusal::Over),
    }
}

/// What an organisation is told when this attempt comes to this. `told_exhausted`: whether it has
/// heard that the delivery was given up.
pub fn notification(number: u32, outcome: &Outcome, told_exhausted: bool) -> Option<Notification> {
    match outcome {
        Outcome::Failed(_) => Some(Notification::Exhausted),
        Outcome::Retry { .. } if number == FAILING_AFTER => Some(Notification::Failing),
        Outcome::Delivered if number > FAILING_AFTER || told_exhausted => {
            Some(Notification::Recovered)
        }
        Outcome::Retry { .. } | Outcome::Delivered => None,
    }
}

/// Whether its organisation has heard that it fails.
fn is_told_failing(delivery: &Delivery) -> bool {
    let has_heard = delivery.told_exhausted || delivery.attempts >= FAILING_AFTER;
    match &delivery.state {
        State::Pending(_) => has_heard,
        State::Failed { reason } => has_heard || reason.is_of_an_attempt(),
        State::Delivered | State::Canceled => false,
    }
}

/// A scheduled attempt is over. Whether the lease that it was made under still holds makes no
/// difference: it is the outcome of this attempt as long as no other is on record.
fn conclude(
    delivery: &Delivery,
    number: u32,
    outcome: Outcome,
    now: Timestamp,
) -> Result<Transition, Refusal> {
    if number <= delivery.attempts {
        return Err(Refusal::Over);
    }
    let made = Delivery { attempts: number, ..delivery.clone() };
    let told = notification(number, &outcome, delivery.told_exhausted);
    let told = told.map(Effect::Notify).into_iter();
    Ok(match outcome {
        Outcome::Delivered => to(&made, State::Delivered, told.collect()),
        Outcome::Retry { at } => {
            let pending = Pending::planned(at, now);
            let effects = enqueue(number + 1, pending.next).into_iter().chain(told).collect();
            to(&made, State::Pending(pending), effects)
        }
        Outcome::Failed(reason) => {
            let effects = told.chain([Effect::CountExhausted]).collect();
            to(&made, State::Failed { reason }, effects)
        }
    })
}

fn recover(delivery: &Delivery, now: Timestamp) -> Result<Transition, Refusal> {
    if !delivery.is_failed() {
        return Err(Refusal::Over);
    }
    let pending = Pending::planned(now, now);
    let effects = enqueue(delivery.attempts + 1, pending.next);
    let told_exhausted = is_told_failing(delivery);
    let again = Delivery { by_hand: true, told_exhausted, ..delivery.clone() };
    Ok(to(&again, State::Pending(pending), effects))
}

/// Refuses what must not happen under somebody who may be sending at this moment.
fn free(pending: &Pending, now: Timestamp) -> Result<(), Refusal> {
    match pending.lease_until {
        Some(until) if until > now => Err(Refusal::UnderWay { until }),
        _ => Ok(()),
    }
}

fn enqueue(attempt: u32, next: Plan) -> Vec<Effect> {
    match next {
        Plan::Queue { at } => vec![Effect::Enqueue { attempt, at }],
        Plan::Sweep { .. } => Vec::new(),
    }
}

fn to(delivery: &Delivery, state: State, effects: Vec<Effect>) -> Transition {
    Transition { delivery: Delivery { state, ..delivery.clone() }, effects }
}
