//! Attempts of this process that the store has not taken yet. Whoever gets their record again in
//! this process writes them, and sends no request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::QUEUE_GRACE_MS;
use shared::domain::id::{EndpointId, MessageId};
use shared::domain::sync::hold;

use crate::phases::{Cleared, Sent};
use crate::target::Target;

/// Most attempts that are remembered, some tens of megabytes: one machine has twice 8,192 records in
/// hand. Of more the oldest are forgotten.
const MAX_KEPT: usize = 16_384;

/// Which attempt.
type Key = (MessageId, EndpointId, Trigger);

/// The attempts, each for as long as others are kept from making it.
#[derive(Default)]
pub(crate) struct Unwritten(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    attempts: HashMap<Key, Attempted>,
    /// In the order in which they were kept.
    order: BTreeMap<u64, Key>,
    /// How many have been kept so far.
    count: u64,
}

struct Attempted {
    sent: Sent,
    until: Timestamp,
    /// Its place in the order.
    place: u64,
}

impl Kept {
    fn forget(&mut self, key: &Key) {
        if let Some(Attempted { place, .. }) = self.attempts.remove(key) {
            self.order.remove(&place);
        }
    }

    fn oldest(&self) -> Option<(Key, Timestamp)> {
        let (_, key) = self.order.first_key_value()?;
        Some((*key, self.attempts.get(key)?.until))
    }
}

impl Unwritten {
    /// Remembers an attempt until it is written.
    pub(crate) fn keep(&self, sent: &Sent, now: Timestamp) {
        let mut kept = hold(&self.0);
        let key = key(&sent.attempt);
        kept.forget(&key);
        while let Some((oldest, until)) = kept.oldest()
            && (until < now || kept.order.len() >= MAX_KEPT)
        {
            kept.forget(&oldest);
        }
        let (place, until) = (kept.count, now.plus_ms(QUEUE_GRACE_MS));
        kept.count += 1;
        kept.order.insert(place, key);
        kept.attempts.insert(key, Attempted { sent: sent.clone(), until, place });
    }

    /// The attempt that was made already, if it is known.
    pub(crate) fn find(&self, target: &Target, cleared: &Cleared, now: Timestamp) -> Option<Sent> {
        let key = (target.message.id, target.endpoint().id, cleared.trigger);
        let kept = hold(&self.0);
        kept.attempts.get(&key).filter(|it| it.until >= now).map(|it| it.sent.clone())
    }

    /// It is written, by whomever.
    pub(crate) fn forget(&self, attempt: &Attempt) {
        hold(&self.0).forget(&key(attempt));
    }
}

fn key(attempt: &Attempt) -> Key {
    (attempt.msg, attempt.ep, attempt.trigger)
}
