//! What is kept of webhooks that a source did not take: a note once in a while, however many come.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::domain::clock::Timestamp;
use crate::domain::id::MessageId;

/// How long it is known that webhooks were refused, in days.
pub const REFUSED_DAYS: u64 = 7;

/// Webhooks that were refused since the note before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The id that a message would have got of the last of them.
    pub id: MessageId,
    /// When the last of them came.
    pub at: Timestamp,
    /// Why that was not taken.
    pub reason: Refusal,
    /// How many there were, that one included.
    pub count: u64,
}
