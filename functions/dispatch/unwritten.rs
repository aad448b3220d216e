//! Attempts of this process that the store has not taken yet. Whoever gets their record again in
//! this process writes them, and sends no request.

use std::sync::Arc;

use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::{Clock, Timestamp};
use shared::domain::delivery::QUEUE_GRACE_MS;
use shared::domain::id::{EndpointId, MessageId};
use shared::store::cache::Cache;

use crate::phases::{Cleared, Sent};
use crate::target::Target;

/// Most attempts that are remembered: a few megabytes.
const MAX_KEPT: usize = 4_096;

/// Which attempt.
type Key = (MessageId, EndpointId, Trigger);

/// The attempts, each for as long as others are kept from making it.
pub(crate) struct Unwritten(Cache<Key, Sent>);

impl Unwritten {
    /// None yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Cache::new(clock, QUEUE_GRACE_MS, MAX_KEPT))
    }

    /// Remembers an attempt until it is written.
    pub(crate) fn keep(&self, sent: &Sent, now: Timestamp) {
        self.0.set(key(&sent.attempt), sent.clone(), now.plus_ms(QUEUE_GRACE_MS));
    }

    /// The attempt that was made already, if it is known.
    pub(crate) fn find(&self, target: &Target, cleared: &Cleared) -> Option<Sent> {
        self.0.get(&(target.message.id, target.endpoint().id, cleared.trigger))
    }

    /// It is written, by whomever.
    pub(crate) fn forget(&self, attempt: &Attempt) {
        self.0.forget(&key(attempt));
    }
}

fn key(attempt: &Attempt) -> Key {
    (attempt.msg, attempt.ep, attempt.trigger)
}
