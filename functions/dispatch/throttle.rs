//! The rates that endpoints and applications ask for (`throttleRate`), kept without a call.
//!
//! A bucket for each of them in this process's memory: a second's worth goes out at once, then
//! one at a time as the rate says. What has to wait gets a moment of its own, is put on record
//! as pending without an attempt, and comes back through the queue or the sweep at that moment.
//! So waiting is not an attempt, and costs the writes and the send of a retry.
//!
//! Every attempt counts: first ones and retries, scheduled, replayed and sent by hand.
//!
//! Not guaranteed: the rate across processes. On Lambda each of the environments that run at
//! once keeps its own count; what one has delayed is counted there, wherever it comes back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use shared::domain::clock::Timestamp;

use crate::policy::{Owner, Rate};

/// Buckets beyond this are looked through for those that are full again.
const MAX_BUCKETS: usize = 10_000;

/// Every bucket: when it would be full again, in microseconds since the epoch.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<HashMap<Owner, u64>>);

impl Throttle {
    /// Counts one delivery against these rates. `None`: it may go now; otherwise the moment
    /// that is kept for it.
    pub(crate) fn take(&self, rates: &[Rate], now: Timestamp) -> Option<Timestamp> {
        if rates.is_empty() {
            return None;
        }
        let now_us = now.as_ms() * 1000;
        // A count is whole after every statement, whatever panicked in between.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > MAX_BUCKETS {
            buckets.retain(|_, full_us| *full_us > now_us);
        }
        let mut free_us = now_us;
        for (owner, rate) in rates {
            let interval_us = 1_000_000 / u64::from(*rate).max(1);
            let full_us = buckets.entry(*owner).or_insert(now_us);
            let burst_us = interval_us * (u64::from(*rate).max(1) - 1);
            free_us = free_us.max(full_us.saturating_sub(burst_us));
            *full_us = (*full_us).max(now_us) + interval_us;
        }
        (free_us > now_us).then(|| Timestamp(free_us.div_ceil(1000)))
    }
}
