//! What the table would not take lately, as one process saw it.
//!
//! The adapter tells of every try of a single write, also of those that the SDK repeats by itself:
//! whoever asks knows of a busy table long before a call fails. A transaction does not say which
//! limit it ran into, so it tells nothing.
//!
//! One key that gets more than a partition takes says nothing of the table. A table that has not
//! grown yet refuses in the same words, but whatever key it is asked for.

use std::sync::{Arc, Mutex};

use super::Limit;
use super::table::Key;
use crate::domain::sync::hold;

/// Hears from the table what it would not take. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Backpressure(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    tries: Tries,
    /// The partition that took no more the last time.
    full: Option<String>,
}

/// Tries of single writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// All of them.
    pub all: u64,
    /// Those that the table as a whole would not take.
    pub refused: u64,
}

impl Backpressure {
    /// A single write was tried.
    pub fn tried(&self) {
        hold(&self.0).tries.all += 1;
    }

    /// A try of a write of this key was throttled.
    pub fn throttled(&self, limit: Limit, key: &Key) {
        let mut state = hold(&self.0);
        let is_busy = match limit {
            Limit::Store => true,
            Limit::Partition => {
                let last = state.full.replace(key.pk.clone());
                last.is_some_and(|last| last != key.pk)
            }
            Limit::List | Limit::Due => false,
        };
        state.tries.refused += u64::from(is_busy);
    }

    /// What was tried since this was asked the last time.
    pub fn take(&self) -> Tries {
        std::mem::take(&mut hold(&self.0).tries)
    }
}
