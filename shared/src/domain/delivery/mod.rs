//! A delivery: where one message stands with one endpoint.
//!
//! The cast: a dispatcher makes attempts, a sweeper sends what is due on its way, an admin
//! cancels, recovers and sends by hand. Each of them reads a [`Delivery`], asks
//! [`machine::step`] what an event makes of it, and stores the answer under the revision that
//! was read. [`clearance`] says what a dispatcher may do about a record that it received, and
//! [`scheduled`] is the life of a message before its own time has come.
//!
//! The lifecycle:
//!
//! ```text
//!            ┌── put off, leased, claimed, retry ──┐
//!            ▼                                     │
//!   (none) ──▶ Pending ────────────────────────────┘
//!     │           ├── outcome, sent by hand ──▶ Delivered
//!     │           ├── outcome, barred ────────▶ Failed(reason) ── recovered ──▶ Pending
//!     │           └── canceled ───────────────▶ Canceled
//!     └── a first attempt that simply succeeds leaves no delivery, only its attempt
//! ```
//!
//! Nothing here does I/O or knows the present: `now` comes in, effects go out.
//!
//! Not guaranteed: that a pending delivery is looked at before its `due_at`; order.

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, EndpointId, MessageId};
use crate::domain::limits::MAX_QUEUE_DELAY_S;
use crate::domain::message::Message;

pub mod clearance;
pub mod machine;
pub mod scheduled;
mod stored;

/// How long a dispatcher may be busy with an attempt, in milliseconds: longer than the dispatch
/// function may run (30 s), so that a lease never runs out under somebody alive.
pub const LEASE_MS: u64 = 35_000;
/// Seconds before a second copy of a record can be received: as long as a dispatcher may be busy
/// with the first.
pub const SECOND_COPY_DELAY_S: u32 = (LEASE_MS / 1000) as u32;
/// How far the sweep looks ahead, in milliseconds: a minute, the shortest interval of a
/// schedule on AWS.
pub const SWEEP_AHEAD_MS: u64 = 60_000;
/// When the sweep looks after an attempt that goes through the queue: this long after it should
/// have been made, in milliseconds.
pub const QUEUE_GRACE_MS: u64 = 15 * 60_000;

/// A message on its way to an endpoint that did not take it at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "stored::Stored", into = "stored::Stored")]
pub struct Delivery {
    /// The message.
    pub msg: MessageId,
    /// Its application.
    pub app: ApplicationId,
    /// The endpoint.
    pub ep: EndpointId,
    /// Scheduled attempts recorded so far: the next one has this number plus one.
    pub attempts: u32,
    /// How far it is.
    pub state: State,
    /// Whether somebody asked for it after it had been given up, or before it came of itself: its
    /// attempts say so.
    pub by_hand: bool,
    /// Whether its organisation was told that it had been given up: it is to hear when it is taken
    /// after all.
    pub told_exhausted: bool,
    /// When the message may be forgotten, and this with it once it is over.
    pub expires_at: Timestamp,
}

/// How far a delivery is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Another attempt will come.
    Pending(Pending),
    /// The endpoint took it.
    Delivered,
    /// Given up.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// Called off by somebody before it was over.
    Canceled,
}

/// What is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The way that the next attempt takes, and when it is to be made.
    pub next: Plan,
    /// Whether the rates of its endpoint and application have been asked about the next attempt,
    /// so that the moment is its own.
    pub counted: bool,
    /// Until when a dispatcher may be busy with it.
    pub lease_until: Option<Timestamp>,
    /// Whether the next attempt was made, and the lease keeps others from making it while what it
    /// came to waits in the queue to be written.
    pub unwritten: bool,
    /// When the sweep looks at it.
    pub due_at: Timestamp,
}

/// How the next attempt gets to a dispatcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// As a record that is in the queue, or about to be sent there.
    Queue {
        /// When it is to be made.
        at: Timestamp,
    },
    /// The sweep sends it on its way: it is too far off for the queue to hold.
    Sweep {
        /// When it is to be made.
        at: Timestamp,
    },
}

impl Plan {
    /// The plan for an attempt at `at`, made `now`: the one place that decides.
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        if at.since(now) <= u64::from(MAX_QUEUE_DELAY_S) * 1000 {
            Self::Queue { at }
        } else {
            Self::Sweep { at }
        }
    }

    /// When the attempt is to be made.
    pub fn at(self) -> Timestamp {
        match self {
            Self::Queue { at } | Self::Sweep { at } => at,
        }
    }

    /// When the sweep has to look: ahead of what it sends itself, after what the queue holds.
    fn due_at(self) -> Timestamp {
        match self {
            Self::Queue { at } => at.plus_ms(QUEUE_GRACE_MS),
            Self::Sweep { at } => at.minus_ms(SWEEP_AHEAD_MS),
        }
    }
}

/// Why a delivery was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Reason {
    /// The last attempt of its schedule failed.
    Exhausted,
    /// An attempt failed in a way that is not tried again.
    NotRetried,
    /// The endpoint answered 410.
    Gone,
    /// The endpoint is disabled.
    EndpointDisabled,
    /// The endpoint was deleted, or its application.
    EndpointDeleted,
    /// The message is past its retention, or its payload was expunged.
    Expired,
    /// The profile keeps the message from the endpoint: its sentence.
    NotAdmitted(String),
}

impl Reason {
    /// Whether an attempt came to it, so that somebody was told.
    pub fn is_of_an_attempt(&self) -> bool {
        matches!(self, Self::Exhausted | Self::NotRetried | Self::Gone)
    }

    /// The reason in words, as the API and the log show it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exhausted => "exhausted",
            Self::NotRetried => "not retried",
            Self::Gone => "gone",
            Self::EndpointDisabled => "endpoint disabled",
            Self::EndpointDeleted => "endpoint deleted",
            Self::Expired => "expired",
            Self::NotAdmitted(why) => why,
        }
    }
}

impl Delivery {
    /// A delivery that nothing has happened to, whose first attempt is to be made at `at`.
    pub fn first(message: &Message, ep: EndpointId, at: Timestamp, now: Timestamp) -> Self {
        Self {
            msg: message.id,
            app: message.app,
            ep,
            attempts: 0,
            state: State::Pending(Pending::planned(at, now)),
            by_hand: false,
            told_exhausted: false,
            expires_at: message.expires_at,
        }
    }

    /// What is to come, unless it is over.
    pub fn pending(&self) -> Option<&Pending> {
        match &self.state {
            State::Pending(pending) => Some(pending),
            State::Delivered | State::Failed { .. } | State::Canceled => None,
        }
    }

    /// Whether it waits for its first attempt by schedule, or ended before it.
    pub fn is_unattempted(&self) -> bool {
        self.attempts == 0 && self.state != State::Delivered
    }

    /// Whether another attempt will come.
    pub fn is_pending(&self) -> bool {
        self.pending().is_some()
    }

    /// Whether it was given up.
    pub fn is_failed(&self) -> bool {
        matches!(self.state, State::Failed { .. })
    }

    /// Why it was given up, if it was.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.state {
            State::Failed { reason } => Some(reason),
            State::Pending(_) | State::Delivered | State::Canceled => None,
        }
    }

    /// When the next attempt is planned, if there will be one.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.pending().map(|pending| pending.next.at())
    }

    /// Whether a dispatcher may be busy with it.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.pending().is_some_and(|pending| pending.is_leased(now))
    }
}

impl Pending {
    /// Planned for `at`, with nobody busy.
    pub(crate) fn planned(at: Timestamp, now: Timestamp) -> Self {
        let next = Plan::new(at, now);
        Self { next, counted: false, lease_until: None, unwritten: false, due_at: next.due_at() }
    }

    /// Whether a dispatcher may be busy with it.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }
}
