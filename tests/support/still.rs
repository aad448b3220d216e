//! A clock that moves only when told to, and randomness that repeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shared::domain::clock::{Ambient, Clock, Entropy, Timestamp};

/// When every test begins: 2027-01-15T08:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);

/// A clock that stands still.
pub(crate) struct StillClock(AtomicU64);

impl StillClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(START.as_ms())))
    }

    pub(crate) fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Randomness from a counter: different every time, the same in every run.
pub(crate) struct Counting(AtomicU64);

impl Counting {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1)))
    }
}

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            // A multiplication by an odd number spreads the counter over all bits.
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            let word = count.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// This clock and repeatable randomness.
pub(crate) fn ambient(clock: &Arc<StillClock>) -> Ambient {
    Ambient { clock: clock.clone(), entropy: Counting::new() }
}
