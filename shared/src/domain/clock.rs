//! Time and randomness, the two things a test must be able to hold still.
//!
//! Every handler reads them through [`Clock`] and [`Entropy`]; nothing else in the workspace
//! calls `SystemTime::now` or the operating system's random source (a lint enforces it).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    pub fn as_ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The moment `ms` milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The moment `ms` milliseconds earlier.
    pub fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// Milliseconds from `earlier` to `self`; 0 when `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// RFC 3339 in UTC with milliseconds, as the API prints every date.
    pub fn to_rfc3339(self) -> String {
        let nanos = i128::from(self.0) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
    }

    /// Reads an RFC 3339 date; `None` when it is not one. What lies before 1970 counts as 1970:
    /// nothing here is older.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(at.unix_timestamp_nanos().max(0) / 1_000_000).ok().map(Self)
    }
}

/// When an invocation will be cut off, from what its context says. `None` when that is no moment
/// of our time: emulators send a duration (`cargo lambda`: 600000) or nothing.
pub fn deadline(context_ms: u64) -> Option<Timestamp> {
    /// 2020-01-01.
    const EARLIEST: Timestamp = Timestamp(1_577_836_800_000);
    Some(Timestamp(context_ms)).filter(|deadline| *deadline >= EARLIEST)
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// Where the present comes from.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// Where unpredictable bytes come from.
pub trait Entropy: Send + Sync {
    /// Fills `out` with random bytes. Secrets and ids are made of them.
    fn fill(&self, out: &mut [u8]);
}

/// Both, as the handlers carry them.
#[derive(Clone)]
pub struct Ambient {
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Ambient {
    /// The machine's clock and the operating system's random source.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(OsEntropy) }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.entropy.fill(&mut out);
        out
    }

    /// How long to pause after so many tries in vain: anything up to a time that doubles from
    /// `first_ms` to `longest_ms`, so that those who failed together do not come back together.
    pub fn pause_ms(&self, first_ms: u64, longest_ms: u64, tries: u32) -> u64 {
        let whole = first_ms.saturating_mul(1 << tries.min(10)).min(longest_ms);
        u64::from_be_bytes(self.random()) % (whole + 1)
    }
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The operating system's random source.
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place where randomness enters")]
    fn fill(&self, out: &mut [u8]) {
        // Without randomness there are no ids and no secrets: nothing can be served.
        getrandom::fill(out).expect("the operating system's random source failed");
    }
}
