//! What an account is like at a moment: its limits, its latencies, and what is wrong with it.

use shared::domain::clock::Timestamp;

use super::dice::Latency;

/// DynamoDB within a region (est.: 3 to 10 ms from a function of 256 MB).
pub(crate) const TABLE_LATENCY: Latency = Latency { p50_ms: 4.0, p99_ms: 20.0 };
/// SQS within a region (est.: about 10 ms).
pub(crate) const QUEUE_LATENCY: Latency = Latency { p50_ms: 8.0, p99_ms: 50.0 };
/// How far an index is behind its table (docs: "a fraction of a second, under normal
/// conditions"; est.).
pub(crate) const INDEX_LAG: Latency = Latency { p50_ms: 40.0, p99_ms: 400.0 };
/// The least and the most of it, in milliseconds.
pub(crate) const INDEX_LAG_MS: (u64, u64) = (5, 1_000);
/// Records that a standard queue delivers a second time although they were deleted or are held.
/// SQS promises no figure ("on rare occasions"; est.).
pub(crate) const SECOND_COPIES: f64 = 1e-5;

/// Write units a second that a new on-demand table, and each of its indexes, takes at once
/// (docs: on-demand capacity mode, "initial throughput").
pub(crate) const NEW_TABLE_WRITES: f64 = 4_000.0;
/// The same of read units.
pub(crate) const NEW_TABLE_READS: f64 = 12_000.0;
/// What a table and each index takes at the most, of either (docs: service quotas, table-level
/// read and write throughput).
pub(crate) const TABLE_QUOTA: f64 = 40_000.0;

/// A time in which a service is unwell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BrownOut {
    /// From when on, in milliseconds from the start of the load.
    pub(crate) from: Timestamp,
    /// Until when.
    pub(crate) until: Timestamp,
    /// Writes that fail; the others take so long, in milliseconds.
    pub(crate) failing: f64,
    /// How long the others take, in milliseconds.
    pub(crate) slow_ms: u64,
}

/// What DynamoDB and SQS are like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weather {
    /// Whether units, keys in flight and partitions are limited.
    pub(crate) limited: bool,
    /// How large the limits are, of the real ones: a small run needs a small account.
    pub(crate) scale: f64,
    /// Write units a second that the table takes from the beginning.
    pub(crate) warm_writes: f64,
    /// The same of read units.
    pub(crate) warm_reads: f64,
    /// Units a second that it takes at the most, of either kind.
    pub(crate) table_quota: f64,
    /// How long a call to the table takes.
    pub(crate) table: Latency,
    /// How long a call to a queue takes.
    pub(crate) queue: Latency,
    /// How far the indexes are behind.
    pub(crate) lag: Latency,
    /// Records that come twice.
    pub(crate) second_copies: f64,
    /// When the table is unwell.
    pub(crate) brown_outs: Vec<BrownOut>,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            limited: true,
            scale: 1.0,
            warm_writes: NEW_TABLE_WRITES,
            warm_reads: NEW_TABLE_READS,
            table_quota: TABLE_QUOTA,
            table: TABLE_LATENCY,
            queue: QUEUE_LATENCY,
            lag: INDEX_LAG,
            second_copies: SECOND_COPIES,
            brown_outs: Vec::new(),
        }
    }
}

impl Weather {
    /// No limits, no latency, nothing ever goes wrong.
    pub(crate) fn calm() -> Self {
        Self {
            limited: false,
            table: Latency::NONE,
            queue: Latency::NONE,
            lag: Latency::NONE,
            second_copies: 0.0,
            ..Self::default()
        }
    }

    /// What is wrong with writes at this moment.
    pub(crate) fn brown_out(&self, now: Timestamp) -> Option<BrownOut> {
        self.brown_outs.iter().copied().find(|it| it.from <= now && now < it.until)
    }
}
