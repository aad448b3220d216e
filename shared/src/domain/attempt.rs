//! An attempt: one request to one endpoint, and what came of it.

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, AttemptId, EndpointId, MessageId};
use crate::domain::spread::Spread;

/// Bytes of an endpoint's answer that are kept.
pub const EXCERPT_BYTES: usize = 1024;
/// As much of the answer of an endpoint that took the message, unless a deployment says otherwise:
/// nobody looks for what is wrong there, and with it the attempt stays within a unit of the table.
pub const TAKEN_EXCERPT_BYTES: usize = 64;

/// What an attempt was made for: the key that two recorders compete for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
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
    /// What it was made for.
    #[serde(rename = "turn")]
    pub trigger: Trigger,
    /// Whether somebody asked for the delivery that it belongs to; of one that was asked for itself
    /// it goes without saying.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
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
    /// Names and values of [headers of the answer](crate::domain::answer_headers), what tells
    /// most first; none of a success. On record are as many as cost nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
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
    /// Over how many places of the index the attempts of its endpoint are spread as it is recorded.
    #[serde(skip)]
    pub spread: Spread,
}

impl Attempt {
    /// Whether somebody asked for it.
    pub fn is_by_hand(&self) -> bool {
        self.by_hand || matches!(self.trigger, Trigger::Manual(_))
    }
}
