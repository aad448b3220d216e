//! The rates that endpoints and applications ask for (`throttleRate`), kept across processes.
//!
//! What was given out of a rate lately is an [item of the store](shared::store::Rates). A second's
//! worth goes out at once, and nothing more within that second. What has to wait gets a moment of
//! its own, is put on record as pending without an attempt, and comes back through the queue or
//! the sweep: a little before that moment, for which it then waits in hand, since queues count in
//! whole seconds. So waiting is not an attempt, and costs the writes and the send of a retry, and
//! half a second of an invocation.
//!
//! Those of one process who want some of the same rate at once ask the store once: a batch for one
//! endpoint costs one read and one write. Who has no rate costs nothing.
//!
//! Every attempt counts: first ones and retries, scheduled, replayed and sent by hand. Only the probes
//! of an endpoint that does not answer do not: there is one in half a minute at the most.
//!
//! Not guaranteed: the moment at which a request goes out. What is sent on time may arrive
//! together with what was late. Where an endpoint has a rate beside its application's, it counts
//! for the application when the application's turn comes, and goes out when its own does: of what
//! went through both, a second may see more than the application's rate.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use shared::domain::clock::Timestamp;
use shared::domain::sync::hold;
use shared::store::{Rates, StoreError};

use crate::policy::{Owner, Rate};

/// Owners beyond this are looked through for those that nobody asks for.
const MAX_KEPT: usize = 1_000;
/// How old a moment may be that was asked for somebody who needs it no more, in milliseconds.
const STALE_MS: u64 = 1_000;

/// Who of this process waits for which rate.
pub(crate) struct Throttle {
    rates: Rates,
    owners: Mutex<HashMap<Owner, Arc<Line>>>,
}

/// Those who wait for one rate.
#[derive(Default)]
struct Line {
    /// How many they are.
    waiting: AtomicUsize,
    /// Moments that are theirs. One asks, and the others wait for it.
    moments: tokio::sync::Mutex<VecDeque<Timestamp>>,
}

/// Somebody who waits, until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Throttle {
    /// Rates that the store keeps.
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, owners: Mutex::default() }
    }

    /// Counts one delivery against these rates: the moment that is kept for it, which is not
    /// after `now` if it may go at once.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn take(
        &self,
        rates: &[Rate],
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let mut at = now;
        for (owner, rate) in rates {
            at = at.max(self.next(*owner, *rate, at).await?);
        }
        Ok(at)
    }

    async fn next(&self, owner: Owner, rate: u16, now: Timestamp) -> Result<Timestamp, StoreError> {
        let line = self.line(owner);
        let _waiting = Waiting::begin(&line.waiting);
        let mut moments = line.moments.lock().await;
        moments.retain(|moment| moment.plus_ms(STALE_MS) >= now);
        if moments.is_empty() {
            // The others of the batch are about to ask as well.
            tokio::task::yield_now().await;
            let count = line.waiting.load(Ordering::Relaxed);
            moments.extend(self.rates.take(&owner.id(), rate, count, now).await?);
        }
        Ok(moments.pop_front().unwrap_or(now))
    }

    fn line(&self, owner: Owner) -> Arc<Line> {
        let mut owners = hold(&self.owners);
        if owners.len() > MAX_KEPT {
            owners.retain(|_, line| Arc::strong_count(line) > 1);
        }
        owners.entry(owner).or_default().clone()
    }
}
