//! Attempts of this process that the store has not taken yet. Whoever gets their record again in
//! this process writes them, and sends no request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use shared::domain::attempt::{Attempt, Turn};
use shared::domain::id::{EndpointId, MessageId};

use crate::phases::{Cleared, Sent};
use crate::target::Target;

/// Most attempts that are remembered: a few megabytes.
const MAX_KEPT: usize = 4_096;

/// Which attempt.
type Key = (MessageId, EndpointId, Turn);

/// The attempts.
#[derive(Default)]
pub(crate) struct Unwritten(Mutex<HashMap<Key, Sent>>);

impl Unwritten {
    /// Remembers an attempt until it is written. When there are too many already it is not.
    pub(crate) fn keep(&self, sent: &Sent) {
        // The map is whole after every statement, whatever panicked in between.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.insert(key(&sent.attempt), sent.clone());
        }
    }

    /// The attempt that was made already, if it is known.
    pub(crate) fn find(&self, target: &Target, cleared: &Cleared) -> Option<Sent> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(target.message.id, target.endpoint().id, cleared.turn)).cloned()
    }

    /// It is written, by whomever.
    pub(crate) fn forget(&self, attempt: &Attempt) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(attempt));
    }
}

fn key(attempt: &Attempt) -> Key {
    (attempt.msg, attempt.ep, attempt.turn)
}
