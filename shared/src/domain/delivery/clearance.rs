//! Whether a dispatcher that has received a record may send: the one place that knows when a
//! record may be a repetition.
//!
//! The first attempt of a record that comes for the first time takes no lease: its first receive
//! is one, which the queue writes down for free. So while such an attempt is under way nothing
//! of it can be seen, and everything that might meet it has to wait for a lease's length.
//!
//! A message of a wide application is cut into shares, a record each. Whoever cuts them a second
//! time marks the message before, and has them wait for a lease's length: a share that comes later
//! than a lease after the record that it was cut from looks for the mark. One that finds none
//! goes ahead, and is over when the second copies come.
//!
//! Not guaranteed: anything about a record that a queue hands out twice at the same instant with
//! a count of 1 both times. Taking a lease before every first attempt guarantees that too.

use super::{Delivery, LEASE_MS};
use crate::domain::clock::Timestamp;

/// What a dispatcher may run ahead of a planned time, in milliseconds: queues count in seconds.
pub const EARLY_MS: u64 = 1_500;

/// Longest that a first receive can be under way, in milliseconds: no batch waits for an invocation
/// through several visibility time-outs. What says otherwise is a sample or made up.
const LONGEST_HELD_MS: u64 = 3_600_000;

/// How a record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// When it was received for the first time.
    pub first_received_at: Timestamp,
    /// How long a receive keeps it from others, in milliseconds.
    pub visibility_ms: u64,
    /// Whether whoever sent it knows that it may be a copy.
    pub again: bool,
    /// When its message could be sent at the earliest.
    pub released_at: Timestamp,
    /// Of a share: when whoever cut it received what it is a share of for the first time.
    pub cut_since: Option<Timestamp>,
}

/// What is known about the record of a first attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nobody else can have had it: send.
    First,
    /// It is late, so that somebody may have opened the delivery by hand meanwhile: look, and
    /// send without a lease where nothing is on record. A backlog must not multiply writes.
    Late,
    /// It may be a repetition: look, and take a lease.
    Repeated,
}

impl Arrival {
    /// What has to be done before a first attempt is sent.
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        if self.again || self.receive_count > 1 || self.may_be_overtaken(now) {
            return Freshness::Repeated;
        }
        // Whoever comes after whoever cut it may do so again once a lease is over, and says so
        // where it is looked for.
        let is_old = |since: Timestamp| now.since(since) > LEASE_MS;
        match is_old(self.released_at) || self.cut_since.is_some_and(is_old) {
            true => Freshness::Late,
            false => Freshness::First,
        }
    }

    /// Whether the visibility of a first receive may be over before the attempt is: then somebody
    /// else gets the record.
    pub fn may_be_overtaken(&self, now: Timestamp) -> bool {
        let held_ms = now.since(self.first_received_at);
        let is_late = held_ms.saturating_add(LEASE_MS) > self.visibility_ms;
        self.receive_count == 1 && is_late && held_ms < LONGEST_HELD_MS
    }

    /// Whether whoever received the record before may still be sending without a lease.
    pub fn may_be_in_other_hands(&self, now: Timestamp, lease_ms: u64) -> bool {
        self.receive_count > 1 && now.since(self.first_received_at) < lease_ms
    }
}

/// What a dispatcher may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clearance {
    /// Send, without a lease.
    Send,
    /// Make a delivery that is leased, then look whether attempt 1 is on record after all, then
    /// send.
    LeaseNew,
    /// Lease the delivery that was found; if it is the first attempt's, look whether that is on
    /// record after all; then send.
    Lease,
    /// Nothing is left to do.
    Done,
    /// It is on record. Whether what comes next is on its way is not: send that again.
    FollowUp,
    /// Somebody may be busy with it: come back then.
    Wait {
        /// When.
        until: Timestamp,
    },
}

/// What to do about the first attempt to one endpoint. `found` is its delivery, and `attempted`
/// whether a scheduled attempt is on record; both are unknown, and not asked for, while the
/// record is fresh.
pub fn first(
    freshness: Freshness,
    found: Option<&Delivery>,
    attempted: bool,
    now: Timestamp,
) -> Clearance {
    let Some(delivery) = found else {
        return match freshness {
            // It succeeded at once.
            _ if attempted => Clearance::Done,
            Freshness::First | Freshness::Late => Clearance::Send,
            Freshness::Repeated => Clearance::LeaseNew,
        };
    };
    let Some(pending) = delivery.pending() else { return Clearance::Done };
    if delivery.attempts > 0 || pending.next.at() > now {
        return Clearance::FollowUp;
    }
    match pending.lease_until {
        Some(until) if until > now => Clearance::Wait { until },
        _ => Clearance::Lease,
    }
}

/// What to do about the record of attempt `number` of a delivery that exists.
pub fn later(
    found: Option<&Delivery>,
    number: u32,
    receive_count: u32,
    now: Timestamp,
) -> Clearance {
    let Some(delivery) = found else { return Clearance::Done };
    let Some(pending) = delivery.pending() else { return Clearance::Done };
    if delivery.attempts + 1 != number {
        // It was made. If this record comes again, whoever made it may have died before sending
        // the next one on its way.
        return match receive_count > 1 && delivery.attempts >= number {
            true => Clearance::FollowUp,
            false => Clearance::Done,
        };
    }
    match pending.lease_until {
        Some(until) if until > now => return Clearance::Wait { until },
        _ => {}
    }
    // The endpoint's rate has kept a moment for it after this record was sent.
    match pending.counted && pending.next.at().since(now) > EARLY_MS {
        true => Clearance::FollowUp,
        false => Clearance::Lease,
    }
}
