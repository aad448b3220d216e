//! A month's bill: quantities from what was counted, times list prices.

use super::Cost;
use super::operations::{
    ATTEMPT, ATTEMPT_BYTES, Counts, DELIVERY, ENDPOINTS, FAN_OUT, LINE_BYTES, MEASURED, MESSAGES,
    Measured, POLLED_QUEUES, Stored,
};
use super::prices::{self, MILLION};
use crate::deployed::{DISPATCH, RETRY, SWEEP_EVERY_S, SWEEP_PARTS};
use shared::domain::attempt::EXCERPT_BYTES;

/// Bytes that a request to an endpoint takes beside its payload: headers and a TLS handshake.
pub(super) const OVERHEAD_BYTES: usize = 2048;
/// Seconds in a month of 730 hours.
const MONTH_S: f64 = 730.0 * 3_600.0;
/// Runs of the retry function in a month, and what one takes.
const SWEEPS: f64 = MONTH_S / SWEEP_EVERY_S as f64 * SWEEP_PARTS as f64;
const SWEEP_READ_UNITS: f64 = 8.0;
const SWEEP_S: f64 = 0.05;
/// Bytes of the lines about a failed attempt and about a sweep, as the functions wrote them under
/// `.ci/invoke.py`, with the 26 that CloudWatch adds to each.
pub(super) const FAILURE_BYTES: u32 = 760;
const SWEEP_BYTES: f64 = 400.0;
/// Receives of 20 s in a month by five idle pollers at each queue (Lambda).
const EMPTY_RECEIVES: f64 = MONTH_S / 20.0 * 5.0;
/// Attempts of a delivery that fails for good.
const ATTEMPTS: f64 = 8.0;
/// How long an attempt at an endpoint that hangs takes, in seconds.
const HANGS_S: f64 = 15.0;
/// A batch holds what arrives in so many seconds: about what a batch takes, receive and delete
/// included.
const GATHERED_S: f64 = 0.2;
/// Most records of a batch, and most that one call sends (SQS).
const FULL_BATCH: f64 = 10.0;
/// Bytes of a write unit.
const UNIT_BYTES: usize = 1024;

/// One line of the bill.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) quantity: f64,
    pub(super) unit: &'static str,
    pub(super) dollars: f64,
}

/// What a run was seen to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    /// Requests of publishers.
    pub(crate) requests: u64,
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// Invocations of all functions.
    pub(crate) invocations: u64,
    /// Time of functions, by their memory.
    pub(crate) gb_s: f64,
    /// Attempts, and those of them that failed.
    pub(crate) attempts: u64,
    pub(crate) failures: u64,
    /// Days for which messages are kept.
    pub(crate) stored_days: u64,
}

/// Dollars for what a run did, which was metered by the `usage` of its ports; line by line. What
/// is paid by the month, whatever happens in it, is left out.
pub(crate) fn bill_of(ran: &Ran, usage: &crate::counting::Usage) -> Vec<(&'static str, f64)> {
    let months = ran.stored_days as f64 / 30.0;
    let (requests, attempts) = (ran.requests as f64, ran.attempts as f64);
    let kept = |figure: fn(&Stored) -> usize| {
        (requests * message_bytes(ran.payload, figure) + attempts * figure(&ATTEMPT) as f64)
            * months
            / prices::GB
    };
    let api = requests * prices::chunks(ran.payload, prices::API_REQUEST_BYTES);
    let logs = ran.invocations as f64 * f64::from(LINE_BYTES)
        + ran.failures as f64 * f64::from(FAILURE_BYTES);
    let egress = attempts * (ran.payload + OVERHEAD_BYTES) as f64;
    let kept = (kept(|stored| stored.table), kept(|stored| stored.index));
    let counts = Counts {
        write_units: usage.write_units as f64,
        read_units: usage.read_units,
        sqs_requests: usage.sqs_requests as f64,
    };
    let lines = lines(&Quantities {
        api,
        invocations: ran.invocations as f64,
        gb_s: ran.gb_s,
        counts,
        fair_queues: true,
        kept,
        logs: logs / prices::GB,
        egress: egress / prices::GB,
    });
    lines.into_iter().map(|line| (line.name, line.dollars)).collect()
}

/// What is billed by how much there is of it.
struct Quantities {
    api: f64,
    invocations: f64,
    gb_s: f64,
    counts: Counts,
    fair_queues: bool,
    /// GB in the table and in its indexes.
    kept: (f64, f64),
    /// GB.
    logs: f64,
    /// GB.
    egress: f64,
}

fn lines(all: &Quantities) -> Vec<Line> {
    let sqs = match all.fair_queues {
        true => prices::SQS_REQUESTS,
        false => prices::SQS_REQUESTS_WITHOUT_GROUP,
    };
    let counts = &all.counts;
    vec![
        Line {
            name: "API Gateway",
            quantity: all.api,
            unit: "requests",
            dollars: prices::api(all.api),
        },
        million("Lambda, invocations", all.invocations, "requests", prices::LAMBDA_REQUESTS),
        each("Lambda, time", all.gb_s, "GB-s", prices::LAMBDA_GB_S),
        million("SQS", counts.sqs_requests, "requests", sqs),
        million("DynamoDB, writes", counts.write_units, "units", prices::WRITE_UNITS),
        million("DynamoDB, reads", counts.read_units, "units", prices::READ_UNITS),
        each(
            "DynamoDB, table and backup",
            all.kept.0,
            "GB",
            prices::STORED_GB + prices::RECOVERY_GB,
        ),
        each("DynamoDB, indexes", all.kept.1, "GB", prices::STORED_GB),
        each("CloudWatch, logs", all.logs, "GB", prices::LOGS_GB),
        each("Internet, out", all.egress, "GB", prices::EGRESS_GB),
    ]
}

/// Bytes that are kept of a message with a payload of this size.
fn message_bytes(payload: usize, figure: fn(&Stored) -> usize) -> f64 {
    let sizes = MEASURED.map(|row| row.payload as f64);
    straight(sizes, MEASURED.map(|row| figure(&row.message) as f64), payload as f64)
}

/// A month.
pub(super) struct Bill {
    /// What follows the traffic.
    pub(super) traffic: Vec<Line>,
    /// What is paid for in any case.
    pub(super) fixed: Vec<Line>,
    /// Messages a second.
    pub(super) a_second: f64,
    /// Messages, and retries, that dispatch takes at once.
    pub(super) batch: f64,
    pub(super) retry_batch: f64,
}

/// What the month has of everything that is billed.
struct Traffic<'a> {
    cost: &'a Cost,
    deliveries: f64,
    failed: f64,
    /// Deliveries that are never made.
    given_up: f64,
    hung: f64,
    batch: f64,
    retry_batch: f64,
}

impl Bill {
    pub(super) fn of(cost: &Cost) -> Self {
        let deliveries = cost.messages * f64::from(cost.endpoints);
        let [failed, exhausted, hung] =
            [cost.failures, cost.exhausted, cost.hang].map(|share| deliveries * share);
        let given_up = exhausted + hung;
        let retries = failed + (ATTEMPTS - 1.0) * given_up;
        let gathered = |a_month: f64| match cost.batch {
            Some(batch) => f64::from(batch),
            None => (a_month / MONTH_S * GATHERED_S).clamp(1.0, FULL_BATCH),
        };
        let (batch, retry_batch) = (gathered(cost.messages), gathered(retries));
        let traffic = Traffic { cost, deliveries, failed, given_up, hung, batch, retry_batch };
        Self {
            traffic: traffic.lines(),
            fixed: fixed(),
            a_second: cost.messages / MONTH_S,
            batch,
            retry_batch,
        }
    }

    /// The same month where dispatch takes each message by itself.
    pub(super) fn one_by_one(cost: &Cost) -> Self {
        Self::of(&Cost { batch: Some(1), ..cost.clone() })
    }

    pub(super) fn sum(&self) -> f64 {
        self.traffic.iter().chain(&self.fixed).map(|line| line.dollars).sum()
    }
}

fn million(name: &'static str, quantity: f64, unit: &'static str, price: f64) -> Line {
    Line { name, quantity, unit, dollars: quantity / MILLION * price }
}

fn each(name: &'static str, quantity: f64, unit: &'static str, price: f64) -> Line {
    Line { name, quantity, unit, dollars: quantity * price }
}

/// What idle pollers, the sweep and the secret come to.
fn fixed() -> Vec<Line> {
    let sweep = SWEEPS / MILLION
        * (prices::SCHEDULED + prices::LAMBDA_REQUESTS + SWEEP_READ_UNITS * prices::READ_UNITS)
        + SWEEPS * SWEEP_S * RETRY.memory_gb() * prices::LAMBDA_GB_S
        + SWEEPS * SWEEP_BYTES / prices::GB * prices::LOGS_GB;
    // One part of each sweep also looks for dead letters, in a queue for each that is polled.
    let looks = SWEEPS / SWEEP_PARTS as f64;
    let pollers = (EMPTY_RECEIVES + looks) * f64::from(POLLED_QUEUES);
    vec![
        million("SQS, idle pollers", pollers, "requests", prices::SQS_EMPTY_RECEIVES),
        Line { name: "the sweep", quantity: SWEEPS, unit: "runs", dollars: sweep },
        each("Secrets Manager", 1.0, "secret", prices::SECRET),
    ]
}

impl Traffic<'_> {
    fn retries(&self) -> f64 {
        self.failed + (ATTEMPTS - 1.0) * self.given_up
    }

    fn attempts(&self) -> f64 {
        self.deliveries + self.retries()
    }

    /// Attempts that fail.
    fn failures(&self) -> f64 {
        self.failed + ATTEMPTS * self.given_up
    }

    fn lines(&self) -> Vec<Line> {
        let cost = self.cost;
        let calls = cost.messages / f64::from(cost.published_at_once);
        let dispatches = cost.messages / self.batch + self.retries() / self.retry_batch;
        let api = if cost.function_url { 0.0 } else { calls };
        let bytes = cost.payload * cost.published_at_once as usize;
        let api = api * prices::chunks(bytes, prices::API_REQUEST_BYTES);
        let invocations = calls + dispatches;
        let logs =
            invocations * f64::from(cost.log_bytes) + self.failures() * f64::from(FAILURE_BYTES);
        let egress = self.attempts() * (cost.payload + OVERHEAD_BYTES) as f64;
        let kept = self.stored();
        lines(&Quantities {
            api,
            invocations,
            gb_s: self.gb_s(calls),
            counts: self.counts(),
            fair_queues: !cost.no_fair_queues,
            kept: (kept.0 / prices::GB, kept.1 / prices::GB),
            logs: logs / prices::GB,
            egress: egress / prices::GB,
        })
    }

    /// GB-seconds of receive and dispatch. Batches wait for whichever of their endpoints hangs.
    fn gb_s(&self, calls: f64) -> f64 {
        let cost = self.cost;
        let in_tens = (f64::from(cost.published_at_once) / FULL_BATCH).ceil();
        let receive_s = calls * in_tens * f64::from(cost.receive_ms) / 1000.0;
        let latency_s = f64::from(cost.latency) / 1000.0;
        let quick = (1.0 - cost.hang).powf(self.batch * f64::from(cost.endpoints));
        let first_s = cost.messages / self.batch * (quick * latency_s + (1.0 - quick) * HANGS_S);
        let hung = (ATTEMPTS - 1.0) * self.hung;
        let again_s = (self.retries() - hung) / self.retry_batch * latency_s
            + hung / self.retry_batch * HANGS_S;
        let own_s = self.attempts() * f64::from(cost.attempt_ms) / 1000.0;
        (receive_s + first_s + again_s + own_s) * DISPATCH.memory_gb()
    }

    /// What the month takes of DynamoDB and SQS.
    fn counts(&self) -> Counts {
        let cost = self.cost;
        let sizes = MEASURED.map(|row| row.payload as f64);
        let of = |figure: &dyn Fn(&Measured) -> Counts| {
            between(sizes, MEASURED.each_ref().map(figure), cost.payload as f64)
        };
        let endpoints = f64::from(cost.endpoints);
        let fan_out = between(ENDPOINTS.map(|n| n as f64), FAN_OUT, endpoints);
        // What is received does not depend on where it goes, nor what is recorded on its size.
        let delivered = Counts { sqs_requests: of(&|row| row.delivered).sqs_requests, ..fan_out };
        let (tens, share) = (cost.messages / MESSAGES as f64, self.given_up / self.deliveries);
        let accepted = of(&|row| row.accepted);
        // One call sends up to ten.
        let at_once = f64::from(cost.published_at_once).min(FULL_BATCH);
        let accepted = Counts {
            sqs_requests: (accepted.sqs_requests / at_once).max(accepted.sqs_requests / FULL_BATCH),
            ..accepted
        };
        let parts = [
            (accepted, tens),
            (delivered, tens * (1.0 - cost.failures - share)),
            (of(&|row| row.second_attempt), tens * endpoints * cost.failures),
            (of(&|row| row.exhausted), self.given_up),
        ];
        let sum = |part: fn(&Counts) -> f64| {
            parts.iter().map(|(counts, times)| part(counts) * times).sum::<f64>()
        };
        // They were counted in full batches: each takes a receive, a delete and a look at the
        // application.
        let more = cost.messages * (1.0 / self.batch - 1.0 / FULL_BATCH);
        let more_again = self.retries() * (1.0 / self.retry_batch - 1.0 / FULL_BATCH);
        Counts {
            write_units: sum(|counts| counts.write_units) + self.answers(),
            read_units: sum(|counts| counts.read_units) + more,
            sqs_requests: sum(|counts| counts.sqs_requests) + 2.0 * (more + more_again),
        }
    }

    /// Write units that answers cost beyond those of short ones: for the table and its index, and
    /// for the table twice in the transaction of a failure.
    fn answers(&self) -> f64 {
        let beyond = |kept: usize| ((ATTEMPT_BYTES + kept).div_ceil(UNIT_BYTES) - 1) as f64;
        let taken = self.attempts() - self.failures();
        taken * 2.0 * beyond(self.kept_of_taken()) + self.failures() * 3.0 * beyond(self.kept())
    }

    fn kept(&self) -> usize {
        self.cost.answer.min(EXCERPT_BYTES)
    }

    fn kept_of_taken(&self) -> usize {
        self.cost.answer.min(self.cost.taken_answer as usize)
    }

    /// Bytes that are kept, in the table and in its indexes, of a month that goes on like this.
    fn stored(&self) -> (f64, f64) {
        let cost = self.cost;
        let answers = (self.attempts() - self.failures()) * self.kept_of_taken() as f64
            + self.failures() * self.kept() as f64;
        let tracked = self.failed + self.given_up;
        let sum = |figure: fn(&Stored) -> usize| {
            cost.messages * message_bytes(cost.payload, figure)
                + self.attempts() * figure(&ATTEMPT) as f64
                + answers
                + tracked * figure(&DELIVERY) as f64
        };
        let months = f64::from(cost.stored_days) / 30.0;
        (sum(|stored| stored.table) * months, sum(|stored| stored.index) * months)
    }
}

/// The figures at `x`, on the straight lines through those at `xs`; below the first, the first.
fn between(xs: [f64; 3], rows: [Counts; 3], x: f64) -> Counts {
    let mix = |part: fn(&Counts) -> f64| straight(xs, rows.map(|row| part(&row)), x);
    Counts {
        write_units: mix(|counts| counts.write_units),
        read_units: mix(|counts| counts.read_units),
        sqs_requests: mix(|counts| counts.sqs_requests),
    }
}

fn straight(xs: [f64; 3], ys: [f64; 3], x: f64) -> f64 {
    let from = usize::from(x > xs[1]);
    let share = ((x - xs[from]) / (xs[from + 1] - xs[from])).max(0.0);
    ys[from] + (ys[from + 1] - ys[from]) * share
}
