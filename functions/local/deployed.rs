//! How `template.yaml` deploys the functions unless it is asked otherwise: what the bill and the
//! simulation reckon with (`tests/deployed.rs` compares the two).

/// A function as it is deployed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Deployed {
    /// What the template calls it.
    pub(crate) name: &'static str,
    /// Its memory, in MB.
    pub(crate) memory_mb: u32,
    /// When an invocation is killed, in seconds.
    pub(crate) timeout_s: u64,
}

impl Deployed {
    /// Its memory in GB, by which its time is billed.
    pub(crate) const fn memory_gb(self) -> f64 {
        self.memory_mb as f64 / 1024.0
    }

    /// When an invocation is killed, in milliseconds.
    pub(crate) const fn timeout_ms(self) -> u64 {
        self.timeout_s * 1000
    }
}

/// Takes messages.
pub(crate) const RECEIVE: Deployed = Deployed { name: "Receive", memory_mb: 256, timeout_s: 10 };
/// Attempts deliveries.
pub(crate) const DISPATCH: Deployed = Deployed { name: "Dispatch", memory_mb: 256, timeout_s: 30 };
/// Looks for what is due.
pub(crate) const RETRY: Deployed = Deployed { name: "Retry", memory_mb: 512, timeout_s: 50 };

/// Most batches of one queue at once (`DeliveriesConcurrency`, `RetriesConcurrency`).
pub(crate) const DISPATCH_CONCURRENCY: usize = 200;
/// Runs of retry that are begun at once, each over a part of what is due.
pub(crate) const SWEEP_PARTS: u32 = 4;
/// How often they are begun, in seconds.
pub(crate) const SWEEP_EVERY_S: u64 = 60;
/// How long Lambda tries to begin one, in seconds.
pub(crate) const SWEEP_EVENT_AGE_S: u64 = 60;
