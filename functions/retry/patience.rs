//! How a store that takes no more, or is away, is asked again: after longer and longer pauses, until
//! the time of the run is up. What is left by then is found by the next run.

use std::time::Duration;

use shared::domain::clock::Timestamp;

use crate::Sweeper;

/// Things that are read from a shard at once: ten batches of a queue.
pub(crate) const PAGE: usize = 100;
/// Longest first pause, in milliseconds; each later one may be twice as long.
const FIRST_PAUSE_MS: u64 = 50;
/// Longest pause, in milliseconds: what a partition takes is counted by the second.
const LONGEST_PAUSE_MS: u64 = 2_000;
/// How often a store is asked again that takes nothing at all: about half a minute, the most that
/// a run has. A clock that stands still ends nothing else.
const MOST_IN_VAIN: u32 = 32;

/// What is left of it. Where nothing ends the run there is none: the next run is soon enough.
pub(crate) struct Patience<'a> {
    sweeper: &'a Sweeper,
    until: Option<Timestamp>,
    in_vain: u32,
    width: usize,
}

impl<'a> Patience<'a> {
    /// Until this moment.
    pub(crate) fn until(sweeper: &'a Sweeper, until: Option<Timestamp>) -> Self {
        Self { sweeper, until, in_vain: 0, width: PAGE }
    }

    /// How much the store is asked for at once: twice what it took the last time, if that was not
    /// everything.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The store took so many of those that it was asked for, and refused so many.
    pub(crate) fn learn(&mut self, taken: usize, refused: usize) {
        if taken > 0 {
            self.in_vain = 0;
        }
        self.width = match (self.until, refused) {
            (None, _) => PAGE,
            (_, 0) => (2 * self.width).min(PAGE),
            _ => (2 * taken).clamp(1, PAGE),
        };
    }

    /// Pauses before the store is asked again; whether it is to be.
    pub(crate) async fn pause(&mut self) -> bool {
        let Some(until) = self.until.filter(|_| self.in_vain < MOST_IN_VAIN) else { return false };
        let ambient = &self.sweeper.ambient;
        let pause_ms = ambient.pause_ms(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, self.in_vain);
        if ambient.now().plus_ms(pause_ms) > until {
            return false;
        }
        self.in_vain += 1;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        true
    }
}
