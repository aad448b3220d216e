//! What this process did in the last hour, minute by minute: what the console draws. It is kept in
//! memory, beside the sums of [`Totals`], and nothing is stored for it; a restart begins anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use shared::domain::clock::{Clock, Timestamp};
use shared::domain::metrics::{Metric, Metrics, Totals};
use shared::domain::sync::hold;

/// How long a bar is, in milliseconds.
const STEP_MS: u64 = 60_000;
/// Minutes that are kept, the one that goes on included.
const KEPT: usize = 60;
/// The longest duration that is told apart, in milliseconds: longer than a schedule.
const LONGEST_MS: u64 = u32::MAX as u64;
/// Decimal digits of a duration that are told apart: a percentile is at most an eighth more than
/// what was measured.
const DIGITS: u8 = 1;

/// Counts by minute, and keeps the sums as well.
pub(crate) struct Minutes {
    totals: Totals,
    clock: Arc<dyn Clock>,
    kept: Mutex<VecDeque<Minute>>,
}

/// What happened within a minute.
struct Minute {
    /// Whole minutes since the epoch.
    number: u64,
    accepted: u64,
    delivered: u64,
    failed: u64,
    /// Delivery times.
    times: Histogram<u32>,
}

/// The last hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Hour {
    /// When the first minute began.
    pub(crate) since: String,
    /// How long each is, in milliseconds.
    pub(crate) step_ms: u64,
    /// Messages that were taken, minute by minute.
    pub(crate) accepted: Vec<u64>,
    /// Attempts that succeeded, minute by minute.
    pub(crate) delivered: Vec<u64>,
    /// Attempts that failed, minute by minute.
    pub(crate) failed: Vec<u64>,
    /// Half of a minute's deliveries took at most so long from publishing to the answer, the waits
    /// of the schedule included, in milliseconds; none without a delivery.
    pub(crate) p50_ms: Vec<Option<u64>>,
    /// The same of 99 of 100.
    pub(crate) p99_ms: Vec<Option<u64>>,
    /// Both over the whole hour.
    pub(crate) hour_p50_ms: Option<u64>,
    pub(crate) hour_p99_ms: Option<u64>,
}

impl Minutes {
    /// Nothing yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { totals: Totals::default(), clock, kept: Mutex::default() }
    }

    /// Sums since the process started.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The last hour, up to now.
    pub(crate) fn hour(&self) -> Hour {
        let last = self.clock.now().0 / STEP_MS;
        let first = (last + 1).saturating_sub(KEPT as u64);
        let mut hour = Hour {
            since: Timestamp(first * STEP_MS).to_rfc3339(),
            step_ms: STEP_MS,
            ..Hour::default()
        };
        let mut all = no_times();
        let kept = hold(&self.kept);
        for number in first..=last {
            let minute = kept.iter().find(|minute| minute.number == number);
            let count = |of: fn(&Minute) -> u64| minute.map_or(0, of);
            hour.accepted.push(count(|minute| minute.accepted));
            hour.delivered.push(count(|minute| minute.delivered));
            hour.failed.push(count(|minute| minute.failed));
            let within = |share| minute.and_then(|minute| quantile(&minute.times, share));
            hour.p50_ms.push(within(0.5));
            hour.p99_ms.push(within(0.99));
            if let Some(minute) = minute {
                all.add(&minute.times).expect("histograms of the same bounds");
            }
        }
        hour.hour_p50_ms = quantile(&all, 0.5);
        hour.hour_p99_ms = quantile(&all, 0.99);
        hour
    }
}

impl Metrics for Minutes {
    fn add(&self, metric: Metric, value: u64) {
        self.totals.add(metric, value);
        let counts = [Metric::Accepted, Metric::Delivered, Metric::Failed, Metric::EndToEndLatency];
        if !counts.contains(&metric) {
            return;
        }
        let number = self.clock.now().0 / STEP_MS;
        let mut kept = hold(&self.kept);
        // A clock that is set back counts in the minute that goes on.
        if kept.back().is_none_or(|last| last.number < number) {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            let times = no_times();
            kept.push_back(Minute { number, accepted: 0, delivered: 0, failed: 0, times });
        }
        let Some(minute) = kept.back_mut() else { return };
        match metric {
            Metric::Accepted => minute.accepted += value,
            Metric::Delivered => minute.delivered += value,
            Metric::Failed => minute.failed += value,
            _ => minute.times.saturating_record(value),
        }
    }
}

fn no_times() -> Histogram<u32> {
    Histogram::new_with_bounds(1, LONGEST_MS, DIGITS).expect("bounds that fit one digit")
}

/// What this share of the times does not exceed; `None` of nothing.
fn quantile(times: &Histogram<u32>, share: f64) -> Option<u64> {
    (!times.is_empty()).then(|| times.value_at_quantile(share))
}
