//! A rate: so many in a second, whenever that second begins.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

/// How long something that was given out counts, in milliseconds.
const COUNTS_MS: u64 = 1_000;
/// How far apart moments to come are at the least, in milliseconds: a second's worth spread over
/// so many of them as can be told apart.
const APART_MS: u64 = 50;
/// Most moments that are told apart. Beyond them two neighbours become the later one, which errs
/// on the side of less.
const MAX_MOMENTS: usize = 24;

/// What was given out of a rate within the last second of it, or is kept for moments to come:
/// moments, oldest first, each with how many it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Given(Vec<(Timestamp, u32)>);

/// Whether a rate lets more through than before; without one everything goes.
pub fn is_raised(before: Option<u16>, now: Option<u16>) -> bool {
    before.is_some_and(|before| now.is_none_or(|now| now > before))
}

impl Given {
    /// Gives out the next of `rate` a second: the first moment from `now` on that leaves no second
    /// with more. A second's worth goes out at once, and what has to wait goes out evenly; moments
    /// are given in order. Asked five times at once, a rate of 2 gives the moments 0, 0, 1, 1.5 and
    /// 2 s from then.
    pub fn next(&mut self, rate: u16, now: Timestamp) -> Timestamp {
        let rate = u32::from(rate).max(1);
        let apart_ms = (COUNTS_MS / u64::from(rate)).max(APART_MS);
        // Behind the last one, if anybody waits for that.
        let mut at = match self.0.last() {
            Some((last, count)) if *last > now => {
                let is_full = u64::from(*count) * COUNTS_MS >= u64::from(rate) * apart_ms;
                last.plus_ms(if is_full { apart_ms } else { 0 })
            }
            _ => now,
        };
        // And on, while the second before is full.
        while let Some(until) = self.full_until(rate, at) {
            at = until;
        }
        match self.0.last_mut() {
            Some((last, count)) if *last == at => *count += 1,
            _ => self.0.push((at, 1)),
        }
        self.0.retain(|(moment, _)| counts(*moment, at));
        if self.0.len() > MAX_MOMENTS {
            self.merge();
        }
        at
    }

    /// Forgets the moments after `now` that were given out; whether there were any.
    pub fn forget_after(&mut self, now: Timestamp) -> bool {
        let before = self.0.len();
        self.0.retain(|(moment, _)| *moment <= now);
        self.0.len() < before
    }

    /// The last moment that was given out.
    pub fn last(&self) -> Option<Timestamp> {
        self.0.last().map(|(at, _)| *at)
    }

    /// When the oldest of those ceases to count that fill the second before `at`, if they do.
    fn full_until(&self, rate: u32, at: Timestamp) -> Option<Timestamp> {
        let counting = || self.0.iter().filter(|(moment, _)| counts(*moment, at));
        let given: u32 = counting().map(|(_, count)| count).sum();
        let (oldest, _) = counting().next().filter(|_| given >= rate)?;
        Some(oldest.plus_ms(COUNTS_MS))
    }

    /// Makes one of the two that are closest together.
    fn merge(&mut self) {
        let gap = |at: &usize| self.0[at + 1].0.since(self.0[*at].0);
        let Some(closest) = (0..self.0.len() - 1).min_by_key(gap) else { return };
        let (_, count) = self.0.remove(closest);
        self.0[closest].1 += count;
    }
}

/// Whether what was given at a moment counts at another.
fn counts(moment: Timestamp, at: Timestamp) -> bool {
    moment.plus_ms(COUNTS_MS) > at
}
