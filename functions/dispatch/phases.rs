//! What each phase of an attempt hands to the next.

use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::delivery::clearance::{Arrival, Freshness};
use shared::domain::id::AttemptId;
use shared::domain::message::Message;
use shared::store::{Snapshot, Tenant, Versioned};
use shared::work::Sending;

use crate::job::STALE_MS;

/// "This address is gone for good": Standard Webhooks asks to stop calling it.
pub(crate) const GONE: u16 = 410;

/// What is known of a message whose record was received.
pub(crate) struct Known {
    pub(crate) arrival: Arrival,
    pub(crate) freshness: Freshness,
    /// What is on record, if it was looked up.
    pub(crate) on_record: Option<Snapshot>,
    /// When all of this was so, about: the application may have been read a second before.
    pub(crate) at: Timestamp,
}

impl Known {
    /// Whether it may be otherwise by now.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        now.since(self.at) >= STALE_MS
    }

    /// How fresh the record is by now. Of a share that is late nobody looks whether its message was
    /// cut again meanwhile.
    pub(crate) fn freshness(&self, now: Timestamp) -> Freshness {
        match (self.freshness, self.arrival.freshness(now)) {
            (Freshness::Repeated, _) => Freshness::Repeated,
            (_, Freshness::Late) if self.arrival.cut_since.is_some() => Freshness::Repeated,
            (_, by_now) => by_now,
        }
    }
}

/// An attempt that may be made.
pub(crate) struct Cleared {
    pub(crate) trigger: Trigger,
    /// The id that it will have.
    pub(crate) id: AttemptId,
    /// The delivery as it was leased, if it was.
    pub(crate) held: Option<Versioned<Delivery>>,
    /// Why it fails without a request, if it does.
    pub(crate) shut: Option<String>,
    /// Longest that the exchange may take, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// Kept until the attempt is on record.
    pub(crate) _sending: Option<Sending>,
}

/// An attempt that was made, in the form in which it is recorded.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) attempt: Attempt,
    pub(crate) verdict: Verdict,
}

/// What an attempt is about, as far as it is known when it is recorded.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    /// The message; its payload may be missing.
    pub(crate) message: &'a Message,
    /// Its application with its endpoints, unless it was deleted meanwhile.
    pub(crate) tenant: Option<&'a Tenant>,
    /// Whether the endpoint answered, if it was asked and that is known.
    pub(crate) answered: Option<bool>,
}

/// What an answer comes to.
#[derive(Clone)]
pub(crate) struct Verdict {
    pub(crate) ok: bool,
    pub(crate) gone: bool,
    /// Whether the endpoint answered, if it was asked and that is known.
    pub(crate) answered: Option<bool>,
    pub(crate) retry_after: Option<String>,
    pub(crate) status: u16,
    pub(crate) response: String,
}

impl Verdict {
    /// What is known of an attempt that is on record.
    pub(crate) fn of(attempt: &Attempt) -> Self {
        Self {
            ok: attempt.ok,
            gone: attempt.status == GONE,
            answered: None,
            retry_after: None,
            status: attempt.status,
            response: attempt.response.clone(),
        }
    }
}
