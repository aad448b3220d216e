//! The time of a simulation: that of the runtime's paused clock, counted from a fixed moment.

use shared::domain::clock::{Clock, Timestamp};
use tokio::time::Instant;

/// When every simulation begins: 2027-01-15T08:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);

/// The clock of one simulation.
pub(crate) struct VirtualClock(Instant);

impl VirtualClock {
    /// Time begins.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        START.plus_ms(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
