//! What is counted and measured: one list, and what the functions tell it to.
//!
//! The cast: a function tells [`Metrics`] what is on record, when it is. On Lambda a
//! [`Collector`] keeps it until the invocation is over, and [`crate::lambda::emf`] writes it down; the
//! local platform keeps [`Totals`].
//!
//! A count is of things that the store has acknowledged, so nothing is counted twice, however
//! often a record comes. Nothing here knows customers: a series of its own for each of them would
//! cost more than their deliveries.
//!
//! Not guaranteed: that something is counted whose acknowledgement was lost, or whose process
//! died before it could tell. The records in the table are the truth.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::sync::hold;

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Messages that were stored to be delivered. An event that is cut counts by its parts;
    /// operational webhooks do not count.
    Accepted,
    /// Attempts that their endpoint took.
    Delivered,
    /// Attempts that failed.
    Failed,
    /// Attempts that the schedule asked for after a first one, whatever came of them.
    Retried,
    /// Deliveries that were given up.
    Exhausted,
    /// Attempts that were put off: a rate was used up, the endpoint's circuit is open, or too
    /// little time was left.
    Deferred,
    /// What was asked for or received again, and found done or over.
    Duplicates,
    /// Requests to a source that are not proved to come from where they say.
    Unverified,
    /// From when a message was to be delivered (published, unless another time was named) to when
    /// an endpoint had taken it, the waits of the schedule included. Resends have none.
    EndToEndLatency,
    /// How long an endpoint took for an attempt, of whatever outcome.
    EndpointLatency,
    /// How long the oldest of what a sweep found had been due. Only of sweeps that looked
    /// everywhere; up to a minute is usual, as the sweep looks a minute ahead.
    SweepLag,
    /// Records that were set aside: nobody can read them, or they died again after a redrive.
    /// They go out only if the operator says so.
    Parked,
    /// Dead letters that went back into their queue.
    Redriven,
    /// Whether a record that dispatch was given has to come back: 1, or 0 if it is done. So the
    /// average is the share of them.
    Undone,
    /// Of those that have to come back: left to somebody who may still be busy with them.
    UndoneBusy,
    /// Of those that have to come back: something of ours failed.
    UndoneFailed,
    /// Of those that have to come back: a newer version has written them.
    UndoneUnknown,
}

/// What a metric's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// How many.
    Count,
    /// Each number is a duration of its own, in milliseconds.
    Milliseconds,
    /// Each number is a duration of its own, in seconds.
    Seconds,
    /// Each number is 1 for a thing that is so, and 0 for one that is not.
    Share,
}

impl Metric {
    /// Every metric that CloudWatch makes a series of. What is not here tells a sum by its causes;
    /// the line of the invocation has it, and a series of it would be paid for.
    pub const ALL: [Self; 14] = [
        Self::Accepted,
        Self::Delivered,
        Self::Failed,
        Self::Retried,
        Self::Exhausted,
        Self::Deferred,
        Self::Duplicates,
        Self::Unverified,
        Self::EndToEndLatency,
        Self::EndpointLatency,
        Self::SweepLag,
        Self::Parked,
        Self::Redriven,
        Self::Undone,
    ];

    /// What it is called, in CloudWatch too: as it is here.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// What its numbers are.
    pub fn unit(self) -> Unit {
        match self {
            Self::EndToEndLatency | Self::EndpointLatency => Unit::Milliseconds,
            Self::SweepLag => Unit::Seconds,
            Self::Undone => Unit::Share,
            _ => Unit::Count,
        }
    }
}

/// Where functions tell what happened.
pub trait Metrics: Send + Sync {
    /// So many more of a count, or one number of anything else.
    fn add(&self, metric: Metric, value: u64);

    /// One more.
    fn count(&self, metric: Metric) {
        self.add(metric, 1);
    }
}

/// What was told: of a count the sum, of everything else each number.
pub type Readings = BTreeMap<Metric, Vec<u64>>;

/// Keeps what is told until somebody takes it. On Lambda that is the end of each invocation.
#[derive(Default)]
pub struct Collector(Mutex<Readings>);

impl Collector {
    /// What was told since the last time.
    pub fn take(&self) -> Readings {
        std::mem::take(&mut *hold(&self.0))
    }
}

impl Metrics for Collector {
    fn add(&self, metric: Metric, value: u64) {
        let mut readings = hold(&self.0);
        let values = readings.entry(metric).or_default();
        match (metric.unit(), values.first_mut()) {
            (Unit::Count, Some(sum)) => *sum += value,
            _ => values.push(value),
        }
    }
}

/// Keeps only sums, for a process that runs for long.
#[derive(Default)]
pub struct Totals(Mutex<BTreeMap<Metric, Total>>);

/// What came together of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// How often something was told.
    pub times: u64,
    /// The sum of it: of a count, how many there were.
    pub sum: u64,
    /// The largest that was told at once.
    pub max: u64,
}

impl Totals {
    /// What there is, by the metric's name.
    pub fn by_name(&self) -> BTreeMap<String, Total> {
        hold(&self.0).iter().map(|(metric, total)| (metric.name(), *total)).collect()
    }
}

impl Metrics for Totals {
    fn add(&self, metric: Metric, value: u64) {
        let mut totals = hold(&self.0);
        let total = totals.entry(metric).or_default();
        total.times += 1;
        total.sum += value;
        total.max = total.max.max(value);
    }
}
