//! How fast records are worked on. A table that throttles takes what it takes; the more is asked of
//! it, the more of that is refused, whoever asks. Deliveries can wait in their queue, publishers
//! cannot. So a process that was throttled waits before its next batch, the longer the more of its
//! writes were refused, and less and less as long as few are: what all processes ask for together
//! settles a little above what the table takes, few writes have to be tried twice, and receive gets
//! through. (The figures are those with which the scenario `account` of `simulate` answers few
//! publishers with an error, and `million` takes little longer than without.)
//!
//! What comes for the first time takes least of the table and is waited for most, so it waits only
//! where slowing down the rest was not enough.
//!
//! What waits is held, not given back: that would cost a receive, of which a record has so many
//! before it is a dead letter.

use std::sync::Mutex;
use std::time::Duration;

use shared::domain::clock::Timestamp;
use shared::domain::sync::hold;
use shared::store::{Backpressure, Tries};

/// First pause when everything was refused, in milliseconds.
const FIRST_MS: f64 = 4_000.0;
/// How much longer the next one is then, in times of the last.
const GROWS: f64 = 4.0;
/// The share of writes that is refused without anybody waiting longer: the table is asked for all
/// that it takes.
const TOLERATED: f64 = 0.1;
/// Longest, in milliseconds: an endpoint that may take 15 s still gets them.
const LONGEST_MS: u64 = 10_000;
/// Shorter pauses are none, in milliseconds.
const SHORTEST_MS: u64 = 50;
/// From which pause on what is fresh waits as well, in milliseconds.
const FRESH_FROM_MS: u64 = LONGEST_MS / 2;
/// After so long with no more refused than is tolerated there is no pause, in milliseconds.
const FORGOTTEN_MS: u64 = 30_000;

/// The pace of a process.
pub(crate) struct Pace {
    backpressure: Backpressure,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pause_ms: u64,
    at: Timestamp,
}

/// How long the records of a batch wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pause {
    /// Those that come for the first time.
    pub(crate) fresh: Duration,
    /// Retries, and what may be a repetition.
    pub(crate) others: Duration,
}

impl Pace {
    /// Full speed, until the table throttles.
    pub(crate) fn new(backpressure: Backpressure) -> Self {
        Self { backpressure, state: Mutex::default() }
    }

    /// How long the next batch waits. `random` spreads those that were throttled together.
    pub(crate) fn next(&self, now: Timestamp, random: impl FnOnce() -> u64) -> Pause {
        let Tries { all, refused } = self.backpressure.take();
        let share = (refused as f64 / all.max(1) as f64).min(1.0);
        let mut state = hold(&self.state);
        let passed_ms = now.since(state.at).min(FORGOTTEN_MS);
        let left_ms = state.pause_ms - state.pause_ms * passed_ms / FORGOTTEN_MS;
        let pause_ms = match share > TOLERATED {
            true => (share * FIRST_MS).max((1.0 + GROWS * share) * left_ms as f64) as u64,
            false => left_ms,
        };
        let pause_ms = if pause_ms < SHORTEST_MS { 0 } else { pause_ms.min(LONGEST_MS) };
        *state = State { pause_ms, at: now };
        if pause_ms == 0 {
            return Pause::default();
        }
        let random = random();
        let fresh_ms = 2 * pause_ms.saturating_sub(FRESH_FROM_MS);
        Pause { fresh: spread(fresh_ms, random), others: spread(pause_ms, random) }
    }
}

/// Between half of it and all of it.
fn spread(pause_ms: u64, random: u64) -> Duration {
    let least_ms = pause_ms / 2;
    Duration::from_millis(least_ms + random % (pause_ms - least_ms + 1))
}
