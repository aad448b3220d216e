//! What is told of attempts: to the metrics, and to the log those that an endpoint did not take.
//!
//! An attempt that was taken is on record, where it costs nothing more to look for it; at `INFO`
//! the log does not repeat it.

use std::sync::Arc;

use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::delivery::machine::Outcome;
use shared::domain::message::Message;
use shared::domain::metrics::{Metric, Metrics};
use shared::store::Recorded;
use tracing::field::{self, DebugValue};
use tracing::{debug, info};

use crate::job::{Job, NotDone};

/// What comes after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Nothing: it was taken, or asked for by hand.
    Nothing,
    /// Another attempt at this moment.
    Retry(Timestamp),
    /// Nothing, although it was not taken, and why.
    GivenUp(&'a str),
}

/// Watches attempts as they are put on record: somebody at a terminal. It must not wait.
pub trait Observer: Send + Sync {
    /// An attempt is on record.
    fn attempted(&self, attempt: &Attempt, next: Next<'_>);
}

/// An attempt was offered for the record. `outcome`: what it came to, unless it was asked for by
/// hand.
pub(crate) fn recorded(
    job: &Job,
    attempt: &Attempt,
    message: &Message,
    recorded: &Recorded,
    outcome: Option<&Outcome>,
) {
    if *recorded != Recorded::Already {
        measure(job, attempt, message);
        observe(job, attempt, outcome);
    }
    if matches!(recorded, Recorded::Done(_)) && matches!(outcome, Some(Outcome::Failed(_))) {
        job.context.parts.metrics.count(Metric::Exhausted);
    }
    log(attempt, recorded, outcome);
}

fn observe(job: &Job, attempt: &Attempt, outcome: Option<&Outcome>) {
    let Some(observer) = &job.context.parts.observer else { return };
    observer.attempted(
        attempt,
        match outcome {
            Some(Outcome::Retry { at }) => Next::Retry(*at),
            Some(Outcome::Failed(reason)) => Next::GivenUp(reason.as_str()),
            Some(Outcome::Delivered) | None => Next::Nothing,
        },
    );
}

fn measure(job: &Job, attempt: &Attempt, message: &Message) {
    let metrics = &job.context.parts.metrics;
    metrics.add(Metric::EndpointLatency, attempt.ms);
    metrics.count(if attempt.ok { Metric::Delivered } else { Metric::Failed });
    let Trigger::Scheduled(number) = attempt.trigger else { return };
    if number > 1 {
        metrics.count(Metric::Retried);
    }
    if attempt.ok {
        let asked_at = message.released_at();
        let latency_ms = attempt.at.plus_ms(attempt.ms).since(asked_at);
        metrics.add(Metric::EndToEndLatency, latency_ms);
    }
}

/// A record is done, or has to come back.
pub(crate) fn settled(metrics: &Arc<dyn Metrics>, result: &Result<(), NotDone>) {
    metrics.add(Metric::Undone, result.is_err().into());
    if let Err(why) = result {
        metrics.count(why.cause());
    }
}

/// A record was set aside.
pub(crate) fn parked(job: &Job) {
    job.context.parts.metrics.count(Metric::Parked);
}

/// What was asked for is on record already.
pub(crate) fn found_done(job: &Job) {
    job.context.parts.metrics.count(Metric::Duplicates);
}

/// An attempt has to wait.
pub(crate) fn deferred(job: &Job, delivery: &Delivery) {
    job.context.parts.metrics.count(Metric::Deferred);
    info!(
        message.id = %delivery.msg,
        endpoint.id = %delivery.ep,
        next_at = ?delivery.next_at(),
        "attempt deferred"
    );
}

/// A delivery was given up by other means than a record of its last attempt.
pub(crate) fn given_up(job: &Job, delivery: &Delivery, reason: &str) {
    job.context.parts.metrics.count(Metric::Exhausted);
    info!(message.id = %delivery.msg, endpoint.id = %delivery.ep, reason, "delivery exhausted");
}

fn log(attempt: &Attempt, recorded: &Recorded, outcome: Option<&Outcome>) {
    let recorded = match recorded {
        Recorded::Done(_) => "done",
        Recorded::Ours(_) | Recorded::Already => "already",
        Recorded::Superseded => "superseded",
    };
    macro_rules! line {
        ($level:ident, $text:expr, $next_at:expr, $reason:expr) => {
            $level!(
                message.id = %attempt.msg,
                endpoint.id = %attempt.ep,
                attempt.id = %attempt.id,
                attempt.trigger = ?attempt.trigger,
                status = attempt.status,
                duration_ms = attempt.ms,
                recorded,
                next_at = $next_at,
                reason = $reason,
                $text
            )
        };
    }
    const NEVER: Option<DebugValue<Timestamp>> = None;
    const NONE: Option<&str> = None;
    match outcome {
        _ if attempt.ok => line!(debug, "attempt delivered", NEVER, NONE),
        Some(Outcome::Retry { at }) => line!(info, "attempt failed", field::debug(at), NONE),
        Some(Outcome::Failed(reason)) => {
            line!(info, "attempt failed, delivery exhausted", NEVER, reason.as_str());
        }
        Some(Outcome::Delivered) | None => line!(info, "attempt failed", NEVER, NONE),
    }
}
