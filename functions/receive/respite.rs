//! A store or a queue that is away is not waited for by everybody. On Lambda each request that
//! waits is a process of its own, so within a second of an outage those of all publishers would
//! be all the concurrency that there is, and nobody would be answered at all.
//!
//! After two requests in a row that waited in vain this process answers at once for a while: 503
//! with `retry-after`. Then one request tries.

use std::sync::{Arc, Mutex};

use shared::domain::clock::Timestamp;
use shared::domain::sync::hold;

/// How long a request has waited in vain that says something about the store, in milliseconds.
/// Being refused takes no time, and is about one customer or one moment.
const IN_VAIN_MS: u64 = 1_000;
/// How many of them in a row.
const ENOUGH: u32 = 2;
/// How long nobody waits the first time, in milliseconds; twice as long each further time.
const FIRST_MS: u64 = 1_000;
/// The longest of it.
const LONGEST_MS: u64 = 8_000;

/// How a request may ask store and queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Nothing is known to be away.
    AsUsual,
    /// Alone, to find out whether they are back.
    ToTry,
}

/// What this process knows of it. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Respite(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    in_vain: u32,
    until: Timestamp,
}

impl Respite {
    /// Whether a request may ask store and queue. When the time is up one may, and those that come
    /// while it does not know yet may not.
    pub(crate) fn admits(&self, now: Timestamp) -> Option<Admitted> {
        let mut state = hold(&self.0);
        if state.in_vain < ENOUGH {
            return Some(Admitted::AsUsual);
        }
        if state.until > now {
            return None;
        }
        state.until = now.plus_ms(LONGEST_MS);
        Some(Admitted::ToTry)
    }

    /// Store and queue did what a request wanted.
    pub(crate) fn end(&self) {
        hold(&self.0).in_vain = 0;
    }

    /// The request that was to try was refused for what it is, which says nothing of store and queue:
    /// the next one may.
    pub(crate) fn pass_on(&self, now: Timestamp) {
        let mut state = hold(&self.0);
        state.until = state.until.min(now);
    }

    /// A request that began then was not done, because store or queue is away.
    pub(crate) fn note_in_vain(&self, began: Timestamp, now: Timestamp) {
        if now.since(began) < IN_VAIN_MS {
            return;
        }
        let mut state = hold(&self.0);
        let times = state.in_vain.saturating_sub(ENOUGH - 1).min(LONGEST_MS.ilog2());
        state.in_vain = state.in_vain.saturating_add(1);
        state.until = now.plus_ms((FIRST_MS << times).min(LONGEST_MS));
    }
}
