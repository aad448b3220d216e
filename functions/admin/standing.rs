//! How far a message is with an endpoint: decided here, once, and worded for each answer. The
//! lists of Svix have a status, our list of deliveries a state, the explanation a verdict.

use std::collections::{BTreeSet, HashMap};

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use serde::Serialize;
use shared::domain::attempt::Attempt;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::{Delivery, State};
use shared::domain::id::EndpointId;
use shared::domain::message::Message;

/// Statuses of messages and attempts (Svix).
pub(crate) const SUCCESS: (u8, &str) = (0, "success");
pub(crate) const PENDING: (u8, &str) = (1, "pending");
pub(crate) const FAIL: (u8, &str) = (2, "fail");
pub(crate) const SENDING: (u8, &str) = (3, "sending");
pub(crate) const CANCELED: (u8, &str) = (4, "canceled");

/// States that a list of deliveries can be confined to.
pub(crate) const STATES: [&str; 6] =
    ["delivered", "failing", "failed", "canceled", "waiting", "none"];
/// The state of a message that went to no endpoint.
pub(crate) const NOWHERE: &str = STATES[5];
/// The state of a message that is to be attempted first.
pub(crate) const WAITING: &str = STATES[4];

/// How long a message without anything on record counts as in the queue, in milliseconds: long
/// after the stack's alarm has told that the queue is behind, which it does at two minutes.
const IN_QUEUE_MS: u64 = 15 * 60_000;

/// Whether a message of which nothing is on record may still be in the queue.
pub(crate) fn is_in_queue(message: &Message, now: Timestamp) -> bool {
    now.since(message.released_at()) < IN_QUEUE_MS
}

/// What is on record of a message's attempts to reach an endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    /// There is one at least.
    pub(crate) any: bool,
    /// One of them succeeded.
    pub(crate) ok: bool,
}

impl Tried {
    /// What these attempts come to.
    pub(crate) fn of<'a>(attempts: impl IntoIterator<Item = &'a Attempt>) -> Self {
        attempts
            .into_iter()
            .fold(Self::default(), |tried, attempt| Self { any: true, ok: tried.ok || attempt.ok })
    }
}

/// What is on record of a message, by endpoint: there may be thousands.
pub(crate) struct OnRecord<'a> {
    attempts: HashMap<EndpointId, Vec<&'a Attempt>>,
    deliveries: HashMap<EndpointId, &'a Delivery>,
}

impl<'a> OnRecord<'a> {
    /// Sorts what was found.
    pub(crate) fn of(attempts: &'a [Attempt], deliveries: &'a [Delivery]) -> Self {
        let mut by_endpoint: HashMap<_, Vec<&Attempt>> = HashMap::new();
        for attempt in attempts {
            by_endpoint.entry(attempt.ep).or_default().push(attempt);
        }
        let deliveries = deliveries.iter().map(|delivery| (delivery.ep, delivery)).collect();
        Self { attempts: by_endpoint, deliveries }
    }

    /// The delivery to this endpoint, and the attempts to reach it in the order in which they were
    /// found.
    pub(crate) fn at(&self, ep: &EndpointId) -> (Option<&'a Delivery>, &[&'a Attempt]) {
        let attempts = self.attempts.get(ep).map(Vec::as_slice).unwrap_or_default();
        (self.deliveries.get(ep).copied(), attempts)
    }

    /// All endpoints with something on record.
    pub(crate) fn endpoints(&self) -> BTreeSet<EndpointId> {
        self.attempts.keys().chain(self.deliveries.keys()).copied().collect()
    }
}

/// How far a message is with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// The endpoint took it.
    Delivered,
    /// Its first attempt is under way.
    First,
    /// Another attempt is under way.
    Again,
    /// Its first attempt is to come.
    Waiting,
    /// It failed, and is tried again.
    Retrying,
    /// It was given up.
    Failed,
    /// It was canceled.
    Canceled,
}

impl Stand {
    /// As the delivery and the attempts say; `None` where there is nothing of either. An attempt
    /// that succeeded may be on record before its delivery knows.
    pub(crate) fn of(delivery: Option<&Delivery>, tried: Tried, now: Timestamp) -> Option<Self> {
        if tried.ok {
            return Some(Self::Delivered);
        }
        let Some(delivery) = delivery else { return tried.any.then_some(Self::Failed) };
        let attempted = tried.any || !delivery.is_unattempted();
        Some(match (&delivery.state, attempted) {
            (State::Delivered, _) => Self::Delivered,
            (State::Failed { .. }, _) => Self::Failed,
            (State::Canceled, _) => Self::Canceled,
            (State::Pending(pending), true) if pending.is_leased(now) => Self::Again,
            (State::Pending(pending), false) if pending.is_leased(now) => Self::First,
            (State::Pending(_), true) => Self::Retrying,
            (State::Pending(_), false) => Self::Waiting,
        })
    }

    /// The same at an endpoint that was deleted: what is left to be done there is never done, and
    /// given up as soon as it is due.
    pub(crate) fn of_the_deleted(self) -> Self {
        match self {
            Self::First | Self::Again | Self::Waiting | Self::Retrying => Self::Failed,
            Self::Delivered | Self::Failed | Self::Canceled => self,
        }
    }

    /// The status of it (Svix). Once it was attempted, it is being sent until it is over.
    pub(crate) fn status(self) -> (u8, &'static str) {
        match self {
            Self::Delivered => SUCCESS,
            Self::First | Self::Again | Self::Retrying => SENDING,
            Self::Waiting => PENDING,
            Self::Failed => FAIL,
            Self::Canceled => CANCELED,
        }
    }

    /// One of [`STATES`].
    pub(crate) fn state(self) -> &'static str {
        match self {
            Self::Delivered => STATES[0],
            Self::Again | Self::Retrying => STATES[1],
            Self::Failed => STATES[2],
            Self::Canceled => STATES[3],
            Self::First | Self::Waiting => WAITING,
        }
    }

    /// How far it is from success: a message that is at several endpoints is as far as the worst.
    pub(crate) fn badness(self) -> u8 {
        match self {
            Self::Delivered => 0,
            Self::Canceled => 1,
            Self::First | Self::Waiting => 2,
            Self::Again | Self::Retrying => 3,
            Self::Failed => 4,
        }
    }
}

/// How far a message is with an endpoint, as Svix's lists have it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    #[schemars(with = "description::MessageStatus")]
    pub(crate) status: u8,
    #[schemars(with = "description::MessageStatusText")]
    status_text: &'static str,
    #[schemars(with = "Option<Moment>")]
    next_attempt: Option<String>,
    /// Why the delivery was given up, if it was: `exhausted`, `not retried`, `gone`, `endpoint
    /// disabled`, `endpoint deleted`, `expired`, or what the profile says.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Standing {
    /// What is not on record at all counts as failed.
    pub(crate) fn of(delivery: Option<&Delivery>, tried: Tried, now: Timestamp) -> Self {
        let (status, status_text) = Stand::of(delivery, tried, now).map_or(FAIL, Stand::status);
        let next_at = delivery.and_then(Delivery::next_at);
        let reason = delivery.and_then(Delivery::reason);
        Self {
            status,
            status_text,
            next_attempt: next_at.map(Timestamp::to_rfc3339),
            reason: reason.map(|reason| reason.as_str().to_owned()),
        }
    }
}
