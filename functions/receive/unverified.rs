//! What the logs say of webhooks that nobody proved, or that nobody can read: whoever knows an
//! address can send them, so there is one line for each source and minute, with how many there were.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use shared::domain::clock::Timestamp;
use shared::domain::id::SourceId;
use shared::domain::sync::hold;

/// Between two lines about one source, in milliseconds.
const EVERY_MS: u64 = 60_000;
/// Most sources that are remembered. Beyond that the count of one may be lost, no line.
const REMEMBERED: usize = 4_096;

/// Counts them. Clones share the counts.
#[derive(Clone, Default)]
pub(crate) struct Unverified(Arc<Mutex<HashMap<SourceId, Told>>>);

/// What was said of a source, and what was not.
struct Told {
    at: Timestamp,
    untold: u64,
}

impl Unverified {
    /// Counts one more. If it is time for a line: how many came since the last one, this one
    /// included.
    pub(crate) fn count(&self, source: SourceId, now: Timestamp) -> Option<u64> {
        let mut told = hold(&self.0);
        if let Some(last) = told.get_mut(&source) {
            last.untold += 1;
            return (now.since(last.at) >= EVERY_MS).then(|| {
                last.at = now;
                std::mem::take(&mut last.untold)
            });
        }
        if told.len() >= REMEMBERED {
            told.retain(|_, last| now.since(last.at) < EVERY_MS);
        }
        if told.len() < REMEMBERED {
            told.insert(source, Told { at: now, untold: 0 });
        }
        Some(1)
    }
}
