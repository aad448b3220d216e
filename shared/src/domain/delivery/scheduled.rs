//! A message that waits for the time that its publisher named.
//!
//! It is stored together with the message, in one transaction, and is due until the sweep has
//! put the message in the queue: neither can be without the other. The lifecycle: `Waiting`, a
//! claim that moves its due time forward, then `Released` or `Canceled`. A message that is
//! canceled while its record is in the queue is not sent: dispatch looks here first.

use serde::{Deserialize, Serialize};

use super::{QUEUE_GRACE_MS, SWEEP_AHEAD_MS};
use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, MessageId};
use crate::domain::message::Message;

/// How far a scheduled message is. What is stored keeps the names that it had first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleState {
    /// Its time has not come.
    #[serde(rename = "yes")]
    Waiting,
    /// It is in the queue.
    #[serde(rename = "over")]
    Released,
    /// It was canceled.
    Canceled,
}

/// A message that waits, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledMessage {
    /// The message.
    pub msg: MessageId,
    /// Its application.
    pub app: ApplicationId,
    /// When it is to be delivered.
    pub at: Timestamp,
    /// How far it is.
    #[serde(rename = "waiting")]
    pub state: ScheduleState,
    /// When the sweep looks at it, while it waits.
    pub due_at: Timestamp,
    /// When the message may be forgotten, and this with it.
    pub expires_at: Timestamp,
}

impl ScheduledMessage {
    /// This message, waiting until `at`.
    pub fn new(message: &Message, at: Timestamp) -> Self {
        Self {
            msg: message.id,
            app: message.app,
            at,
            state: ScheduleState::Waiting,
            due_at: at.minus_ms(SWEEP_AHEAD_MS),
            expires_at: message.expires_at,
        }
    }

    /// Whether no sweep has released it yet.
    pub fn is_waiting(&self) -> bool {
        self.state == ScheduleState::Waiting
    }

    /// Whether a sweep claimed it before: then its record may be in the queue already.
    pub fn was_claimed(&self) -> bool {
        self.due_at > self.at.minus_ms(SWEEP_AHEAD_MS)
    }

    /// Claimed by a sweep, so that no other sends it meanwhile.
    #[must_use]
    pub fn claimed(&self, now: Timestamp) -> Self {
        Self { due_at: self.at.max(now).plus_ms(QUEUE_GRACE_MS), ..self.clone() }
    }

    /// Given back by a sweep that could not send it: due at once, and not as if it had never been
    /// claimed, since a send that failed may have had its effect.
    #[must_use]
    pub fn unclaimed(&self, now: Timestamp) -> Self {
        let first_due = self.at.minus_ms(SWEEP_AHEAD_MS);
        Self { due_at: now.max(first_due.plus_ms(1)), ..self.clone() }
    }

    /// It is in the queue.
    #[must_use]
    pub fn released(&self) -> Self {
        Self { state: ScheduleState::Released, ..self.clone() }
    }

    /// Canceled, unless it was before.
    pub fn canceled(&self) -> Option<Self> {
        (self.state != ScheduleState::Canceled)
            .then(|| Self { state: ScheduleState::Canceled, ..self.clone() })
    }
}
