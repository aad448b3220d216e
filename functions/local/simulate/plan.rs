//! What happens in a run: who publishes how much, what the endpoints are like, and what goes wrong
//! when. Data; nothing here acts.

use clap::ValueEnum;
use serde::Serialize;

use super::aws::dice::Latency;
use super::aws::weather::{NEW_TABLE_READS, NEW_TABLE_WRITES, TABLE_QUOTA};
use super::front::REQUESTS_PER_S;
use super::lambda::ACCOUNT_CONCURRENCY;
use crate::deployed::DISPATCH_CONCURRENCY;

/// A time within a run, in seconds from the start of its load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    /// From when on.
    pub(crate) from_s: f64,
    /// Until when.
    pub(crate) until_s: f64,
}

impl Span {
    /// Whether it is on after so many seconds.
    pub(crate) fn has(self, since_s: f64) -> bool {
        self.from_s <= since_s && since_s < self.until_s
    }
}

/// What an endpoint is like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Behaviour {
    /// How long it takes to answer.
    pub(crate) latency: Latency,
    /// Deliveries whose first attempt it answers with 500.
    pub(crate) fails_once: f64,
    /// When it takes connections and does not answer.
    pub(crate) hangs: Option<Span>,
    /// When it answers 503 to everything.
    pub(crate) down: Option<Span>,
    /// Requests a second above which it answers 429 with `Retry-After`.
    pub(crate) most_per_s: Option<f64>,
    /// It answers 410 to everything.
    pub(crate) gone: bool,
    /// Requests a second that its owner asked for (`throttleRate`).
    pub(crate) rate: Option<u16>,
}

/// How long a healthy endpoint takes: 150 ms in the middle (as `cost --latency`).
const HEALTHY: Latency = Latency { p50_ms: 150.0, p99_ms: 400.0 };

impl Behaviour {
    /// An endpoint that takes everything, but for a share of first attempts.
    pub(crate) fn healthy(fails_once: f64) -> Self {
        Self {
            latency: HEALTHY,
            fails_once,
            hangs: None,
            down: None,
            most_per_s: None,
            gone: false,
            rate: None,
        }
    }

    /// One that never answers.
    pub(crate) fn hanging() -> Self {
        Self::hanging_until(f64::INFINITY)
    }

    /// One that does not answer before so many seconds have passed.
    pub(crate) fn hanging_until(until_s: f64) -> Self {
        Self { hangs: Some(Span { from_s: 0.0, until_s }), ..Self::healthy(0.0) }
    }
}

/// An application with its endpoints.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tenant {
    /// What share of the traffic is its own, relative to the others.
    pub(crate) weight: f64,
    /// Its endpoints, all of which get all that it publishes.
    pub(crate) endpoints: Vec<Behaviour>,
    /// Whether it is in trouble, so that others are to be spared of it.
    pub(crate) troubled: bool,
}

/// Work that is there when the load begins, beside dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Waiting {
    /// Messages that are scheduled for one second: how many, and when, in seconds.
    pub(crate) scheduled: (u64, f64),
    /// Retries that are due when it begins.
    pub(crate) retries: u64,
    /// Retries that are dead letters.
    pub(crate) dead: u64,
}

/// A part of the platform that can be taken out, to see what it is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Part {
    /// A store that would not take an attempt is asked again, and the outcome goes to the queue.
    Patience,
    /// The sweep works on many shards and deliveries at the same time.
    Sweep,
    /// Each application has slots of its own, and dispatch knows how much time is left.
    Slots,
    /// Endpoints that do not answer are left alone.
    Circuits,
    /// All processes keep a rate together.
    Rates,
    /// Dispatch waits where the table throttles.
    Pace,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The applications.
    pub(crate) tenants: Vec<Tenant>,
    /// Messages a second, of all of them.
    pub(crate) rate: f64,
    /// How many messages at the most; the load ends after them.
    pub(crate) most: Option<u64>,
    /// How long the load lasts, in seconds.
    pub(crate) load_s: f64,
    /// How long of it the rate grows and the account follows: times and throttling count from
    /// then on.
    pub(crate) warm_up_s: f64,
    /// How long is waited at the most for the rest, in seconds.
    pub(crate) rest_s: f64,
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// What is there at first.
    pub(crate) waiting: Waiting,
    /// How large the account is, of a real one.
    pub(crate) scale: f64,
    /// Concurrency that is kept for receive.
    pub(crate) receive_reserved: Option<u64>,
    /// Half of the processes are of the version before, half of the records of the newest format.
    pub(crate) mixed_versions: bool,
    /// What the stack's and the account's throttles let in, in requests a second.
    pub(crate) requests_per_s: f64,
    /// `MaximumConcurrency` of both mappings.
    pub(crate) dispatch_concurrency: usize,
    /// The account's concurrency.
    pub(crate) account_concurrency: u64,
    /// How much of it others take, and when.
    pub(crate) others: Option<(Span, u64)>,
    /// Write units a second that the table takes at once (warm throughput).
    pub(crate) warm_writes: f64,
    /// The same of read units.
    pub(crate) warm_reads: f64,
    /// Units a second, of either kind, that the account lets it take at the most (a quota).
    pub(crate) table_quota: f64,
    /// When writes take long or fail: the share that fails, and milliseconds of the others.
    pub(crate) brown_out: Option<(Span, f64, u64)>,
    /// After how many seconds somebody sends the first hundred messages again.
    pub(crate) by_hand_s: Option<f64>,
    /// What is taken out of the platform.
    pub(crate) without: Option<Part>,
}

impl Plan {
    /// The same with everything smaller: the load, and the account that bears it.
    #[must_use]
    pub(crate) fn scaled(self, scale: f64) -> Self {
        let count = |number: u64| (number as f64 * scale).round() as u64;
        let at_least_one = |number: usize| ((number as f64 * scale).round() as usize).max(1);
        let Waiting { scheduled: (scheduled, at_s), retries, dead } = self.waiting;
        Self {
            rate: self.rate * scale,
            waiting: Waiting {
                scheduled: (count(scheduled), at_s),
                retries: count(retries),
                dead: count(dead),
            },
            scale,
            dispatch_concurrency: at_least_one(self.dispatch_concurrency),
            account_concurrency: count(self.account_concurrency).max(1),
            receive_reserved: self.receive_reserved.map(count),
            others: self.others.map(|(span, much)| (span, count(much))),
            ..self
        }
    }

    /// So many messages a second, for so long, to one healthy endpoint of each application.
    pub(crate) fn steady(rate: f64, load_s: f64, applications: usize, fails_once: f64) -> Self {
        let tenant = Tenant {
            weight: 1.0,
            endpoints: vec![Behaviour::healthy(fails_once)],
            troubled: false,
        };
        Self {
            tenants: vec![tenant; applications.max(1)],
            rate,
            most: None,
            load_s,
            warm_up_s: 60.0_f64.min(load_s / 4.0),
            rest_s: 120.0,
            payload: 1024,
            waiting: Waiting::default(),
            scale: 1.0,
            receive_reserved: None,
            mixed_versions: false,
            requests_per_s: REQUESTS_PER_S,
            dispatch_concurrency: DISPATCH_CONCURRENCY,
            account_concurrency: ACCOUNT_CONCURRENCY,
            others: None,
            warm_writes: NEW_TABLE_WRITES,
            warm_reads: NEW_TABLE_READS,
            table_quota: TABLE_QUOTA,
            brown_out: None,
            by_hand_s: None,
            without: None,
        }
    }
}
