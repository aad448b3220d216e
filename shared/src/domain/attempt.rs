//! An attempt: one request to one endpoint and what came of it. A delivery: where a message
//! stands with an endpoint while that is not simply "sent at once".

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, AttemptId, EndpointId, MessageId};

/// Bytes of an endpoint's answer that are kept.
pub const EXCERPT_BYTES: usize = 1024;

/// How long a dispatcher may be busy with an attempt, in milliseconds: longer than the dispatch
/// function may run (30 s), so that a lease never runs out under somebody alive.
pub const LEASE_MS: u64 = 35_000;

/// Which attempt: the key that two recorders compete for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// The n-th by schedule, counted from 1.
    Scheduled(u32),
    /// Asked for by hand; the id was given when it was asked for.
    Manual(AttemptId),
}

/// One request, recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The message that was sent.
    pub msg: MessageId,
    /// The message's application.
    pub app: ApplicationId,
    /// The endpoint that was called.
    pub ep: EndpointId,
    /// Which attempt it was.
    pub turn: Turn,
    /// When it began.
    pub at: Timestamp,
    /// The URL that was called: the endpoint's may change later.
    pub url: String,
    /// Whether the endpoint took it.
    pub ok: bool,
    /// HTTP status; 0 when there was no answer (Svix).
    pub status: u16,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// The beginning of the answer, or why there was none.
    pub response: String,
    /// The message's event type, so that lists can filter on it without reading the message.
    pub event_type: String,
    /// The message's channels, for the same reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// The message's tags, for the same reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The message's subject, for the same reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Another attempt will come.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// Given up.
    Failed,
    /// Called off by somebody before it was over.
    Canceled,
}

/// A message on its way to an endpoint that did not take it at once. There is none for a first
/// attempt that simply succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The message.
    pub msg: MessageId,
    /// Its application.
    pub app: ApplicationId,
    /// The endpoint.
    pub ep: EndpointId,
    /// How far it is.
    pub progress: Progress,
    /// Scheduled attempts recorded so far. The next one has this number plus one.
    pub attempts: u32,
    /// When the next attempt is planned. Tells nothing once it is no longer pending.
    pub next_at: Timestamp,
    /// Until when a dispatcher may be busy with the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// When the sweep looks at it, while it is pending.
    pub due_at: Timestamp,
    /// When the message may be forgotten, and this with it.
    pub expires_at: Timestamp,
    /// Why it was given up, when that was not the last attempt's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Delivery {
    /// Whether a dispatcher may be busy with it.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }
}
