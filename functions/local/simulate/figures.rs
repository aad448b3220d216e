//! What a run came to.

use hdrhistogram::Histogram;
use serde::Serialize;
use shared::domain::message::DEFAULT_RETENTION_DAYS;

use super::account::{Account, Pipes};
use super::aws::capacity::Throttled;
use super::lambda::Stats;
use super::ledger::{Fates, Times};
use super::publishers::{Answers, Asked, Publishers};
use crate::cost::{Ran, bill_of};
use crate::counting::Usage;
use crate::deployed::{DISPATCH, Deployed, RECEIVE, RETRY};

/// Times, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quantiles {
    pub(crate) p50_ms: u64,
    pub(crate) p95_ms: u64,
    pub(crate) p99_ms: u64,
    pub(crate) longest_ms: u64,
}

/// Times of everybody, and of those who are in no trouble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spread {
    pub(crate) all: Quantiles,
    pub(crate) innocent: Quantiles,
}

/// What publishers were answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    #[serde(flatten)]
    pub(crate) asked: Asked,
    /// The share of 5xx after the warm-up.
    pub(crate) warm_error_share: f64,
    /// Events that they gave up.
    pub(crate) refused: u64,
    /// How long an answer of 202 took.
    pub(crate) took: Quantiles,
}

/// What a function did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Work {
    pub(crate) invocations: u64,
    pub(crate) throttled: u64,
    pub(crate) timed_out: u64,
    pub(crate) cold_starts: u64,
    /// Most at once.
    pub(crate) peak: u64,
    /// At once on average.
    pub(crate) mean: f64,
    pub(crate) gb_s: f64,
}

/// Calls that were throttled after the warm-up, by what could not follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refused {
    /// Before, by anything.
    pub(crate) warming_up: u64,
    pub(crate) table: u64,
    pub(crate) partition: u64,
    pub(crate) index: u64,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    /// Virtual seconds from the first request to the last settled delivery.
    pub(crate) took_s: f64,
    pub(crate) accepted: u64,
    pub(crate) deliveries: u64,
    /// What became of them at the end.
    #[serde(flatten)]
    pub(crate) fates: Fates,
    pub(crate) parked: u64,
    /// Records that became dead letters.
    pub(crate) dead_letters: u64,
    /// When there was no dead letter for the first time, in milliseconds.
    pub(crate) dead_gone_ms: u64,
    /// Endpoints, and those that were planned.
    pub(crate) endpoints: u64,
    pub(crate) planned_endpoints: u64,
    /// Messages a second that were planned.
    pub(crate) planned_rate: f64,
    /// Attempts on record.
    pub(crate) attempts: u64,
    /// Requests to endpoints.
    pub(crate) posts: u64,
    /// Requests without an attempt of their own on record.
    pub(crate) sent_twice: u64,
    /// Of these, those of processes that were killed.
    pub(crate) died: u64,
    /// Deliveries that an endpoint took more than once.
    pub(crate) delivered_again: u64,
    /// From acceptance to the first request.
    pub(crate) first: Spread,
    /// From acceptance to the answer that took it.
    pub(crate) end_to_end: Spread,
    /// How late later attempts were.
    pub(crate) late: Spread,
    /// When the last first attempt was made, after its message was due, in milliseconds.
    pub(crate) last_first_ms: u64,
    /// The fewest and the most requests in any two seconds to an endpoint with a rate that had a
    /// backlog.
    pub(crate) in_two_seconds: Option<(u64, u64)>,
    pub(crate) published: Published,
    pub(crate) receive: Work,
    pub(crate) dispatch: Work,
    pub(crate) retry: Work,
    /// Most invocations at once in the account.
    pub(crate) concurrency: u64,
    pub(crate) throttled: Refused,
    pub(crate) usage: Usage,
    /// Write units, read units and SQS requests for each delivery that was taken.
    pub(crate) write_units_each: f64,
    pub(crate) read_units_each: f64,
    pub(crate) sqs_requests_each: f64,
    /// Dollars for a million deliveries that were taken, line by line.
    pub(crate) bill: Vec<(&'static str, f64)>,
}

impl Refused {
    /// All of it.
    pub(crate) fn when_warm(self) -> u64 {
        self.table + self.partition + self.index
    }
}

impl Figures {
    /// Invocations at once, on average, of all functions.
    pub(crate) fn at_once(&self) -> f64 {
        self.receive.mean + self.dispatch.mean + self.retry.mean
    }

    /// What is in the books at the end of a run that began with this usage and had throttled so
    /// much when it was warm.
    pub(crate) fn of(
        account: &Account,
        publishers: &Publishers,
        (before, cold): (&Usage, Throttled),
        (took_s, payload): (f64, usize),
    ) -> Self {
        let fates = account.ledger.fates();
        let endpoints = account.ledger.endpoints() as u64;
        let Pipes { deliveries_dlq, retries_dlq, .. } = &account.ports.pipes;
        let books = account.ledger.lock();
        let usage = account.ports.meter.usage().since(before);
        let throttled = account.ports.table.throttled();
        let died = account.dispatch.stats().unrecorded;
        // Where nothing arrives, what was meant to is what it was spent on.
        let shares = if books.delivered > 0 { books.delivered } else { books.deliveries };
        let share = |of: f64| if shares > 0 { of / shares as f64 } else { 0.0 };
        let each = |count: f64| round(share(count));
        let work = |function, stats| work(function, stats, took_s);
        let (receive, dispatch, retry) = (
            work(RECEIVE, account.receive.stats()),
            work(DISPATCH, account.dispatch.stats()),
            work(RETRY, account.retry.stats()),
        );
        let answers = publishers.answers();
        let ran = Ran {
            requests: answers.asked.requests,
            payload,
            invocations: receive.invocations + dispatch.invocations + retry.invocations,
            gb_s: receive.gb_s + dispatch.gb_s + retry.gb_s,
            attempts: books.posts,
            failures: books.posts.saturating_sub(books.delivered),
            stored_days: DEFAULT_RETENTION_DAYS,
        };
        let million = |dollars: f64| round(share(dollars) * 1e6);
        let bill = bill_of(&ran, &usage);
        let bill = bill.into_iter().map(|(name, dollars)| (name, million(dollars))).collect();
        Self {
            took_s: round(took_s),
            accepted: books.accepted,
            deliveries: books.deliveries,
            fates,
            parked: books.parked,
            dead_letters: deliveries_dlq.ever() + retries_dlq.ever(),
            dead_gone_ms: 0,
            endpoints,
            planned_endpoints: endpoints,
            planned_rate: 0.0,
            attempts: books.recorded,
            posts: books.posts,
            sent_twice: books.posts.saturating_sub(books.recorded),
            died,
            delivered_again: books.delivered_again,
            first: spread(&books.first),
            end_to_end: spread(&books.end_to_end),
            late: spread(&books.late),
            last_first_ms: books.last_first_ms,
            in_two_seconds: account.endpoints.least_and_most(2_000),
            published: published(&answers),
            receive,
            dispatch,
            retry,
            bill,
            concurrency: account.concurrency.peak(),
            throttled: Refused {
                warming_up: cold.table + cold.partition + cold.index,
                table: throttled.table - cold.table,
                partition: throttled.partition - cold.partition,
                index: throttled.index - cold.index,
            },
            write_units_each: each(usage.write_units as f64),
            read_units_each: each(usage.read_units),
            sqs_requests_each: each(usage.sqs_requests as f64),
            usage,
        }
    }
}

fn published(answers: &Answers) -> Published {
    let requests = answers.warm_requests.max(1) as f64;
    Published {
        asked: answers.asked,
        warm_error_share: answers.warm_errors as f64 / requests,
        refused: answers.refused,
        took: quantiles(&answers.took),
    }
}

fn work(function: Deployed, stats: Stats, took_s: f64) -> Work {
    let busy_s = stats.billed_ms as f64 / 1000.0;
    Work {
        invocations: stats.invocations,
        throttled: stats.throttled,
        timed_out: stats.timed_out,
        cold_starts: stats.cold_starts,
        peak: stats.peak,
        mean: round(busy_s / took_s.max(1.0)),
        gb_s: round(busy_s * function.memory_gb()),
    }
}

fn spread(times: &Times) -> Spread {
    Spread { all: quantiles(&times.all), innocent: quantiles(&times.innocent) }
}

fn quantiles(times: &Histogram<u64>) -> Quantiles {
    Quantiles {
        p50_ms: times.value_at_quantile(0.5),
        p95_ms: times.value_at_quantile(0.95),
        p99_ms: times.value_at_quantile(0.99),
        longest_ms: times.max(),
    }
}

/// With three decimals.
pub(crate) fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
