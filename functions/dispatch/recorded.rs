//! Fourth phase: the attempt is on record under its number, the fence, together with what it
//! means for its delivery and with what the organisation is told.
//!
//! The request is out by now, so an attempt that is not recorded would be sent again. A store
//! that throttles or is away is asked again until shortly before the invocation has to end. If
//! it takes nothing by then, the attempt itself travels on as a record that is only to be
//! written, and this process remembers it: where its outcome is known it is not made again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryFutureExt;
use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::machine::{Event, Notification, Outcome, notification};
use shared::domain::delivery::{Delivery, QUEUE_GRACE_MS, Reason};
use shared::domain::message::Message;
use shared::domain::notice::Notice;
use shared::queue::record::Record;
use shared::store::table::Write;
use shared::store::{Advanced, Recorded, StoreError, Versioned};
use tracing::{error, warn};

use crate::budget::within;
use crate::job::{Job, NotDone};
use crate::phases::{About, Cleared, Sent, Verdict};
use crate::target::Target;
use crate::{followed_up, health, measure};

/// Longest first pause before a store that failed is asked again, in milliseconds; each later one
/// may be twice as long.
const FIRST_PAUSE_MS: u64 = 25;
/// Longest pause, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 2_000;
/// How often the store is asked again where nothing ends the invocation: about six seconds.
const TRIES_WITHOUT_DEADLINE: u32 = 11;
/// Time for a call to the store at the end, when there is none for asking it again.
const SHORT: Duration = Duration::from_millis(500);
/// How often the queue is asked to take an attempt that the store would not take.
const QUEUE_TRIES: u32 = 5;
/// How long an attempt that could not be written rests in the queue, in milliseconds.
const REST_MS: u64 = 5_000;

/// Puts an attempt on record. `None`: the queue has it instead, and it will be written later.
///
/// # Errors
/// When neither the store nor the queue would take it.
pub(crate) async fn record(
    job: &Job,
    target: &Target,
    cleared: &Cleared,
    sent: &Sent,
) -> Result<Option<Recorded>, NotDone> {
    let attempt = &sent.attempt;
    let (tenant, answered) = (Some(target.tenant()), sent.verdict.answered);
    let about = About { message: &target.message, tenant, answered };
    let outcome = match attempt.trigger {
        Trigger::Scheduled(number) => Some(outcome(job, target, &sent.verdict, number)),
        Trigger::Manual(_) => None,
    };
    let written = write(job, about, attempt, outcome.as_ref(), cleared.held.as_ref()).await;
    match written {
        Ok(recorded) => Ok(Some(recorded)),
        Err(why) if job.context.parts.settings.without.patience => Err(why),
        Err(_) => queue(job, about, sent, outcome).await.map(|()| None),
    }
}

/// Writes an attempt and what it came to. `held` is its delivery as it was leased, as far as that
/// is known.
///
/// # Errors
/// When the store could not be brought to do it in time.
pub(crate) async fn write(
    job: &Job,
    about: About<'_>,
    attempt: &Attempt,
    outcome: Option<&Outcome>,
    held: Option<&Versioned<Delivery>>,
) -> Result<Recorded, NotDone> {
    let (deliveries, message) = (&job.context.parts.deliveries, about.message);
    // Whether a call that failed may have had its effect.
    let unsure = AtomicBool::new(false);
    let doubt = |error: &StoreError| {
        if matches!(error, StoreError::Unavailable(_)) {
            unsure.store(true, Ordering::Relaxed);
        }
    };
    let recorded = match (attempt.trigger, outcome) {
        (Trigger::Scheduled(number), Some(outcome)) => {
            // Where it is not known: before a first attempt nothing was given up.
            let told_exhausted = held.map_or(number > 1, |held| held.value.told_exhausted);
            let told = notification(number, outcome, told_exhausted);
            let outbox = &*outbox(job, about, attempt, told).await;
            let call = || {
                let now = job.now();
                let call = move || deliveries.record(attempt, message, held, outcome, outbox, now);
                health::watched(job, attempt, call).inspect_err(doubt)
            };
            persist(job, call).await?
        }
        _ => {
            let told = attempt.ok.then_some(Notification::Recovered);
            let outbox = &*outbox(job, about, attempt, told).await;
            let call = || {
                let now = job.now();
                let call = move || deliveries.record_by_hand(attempt, message, outbox, now);
                health::watched(job, attempt, call).inspect_err(doubt)
            };
            persist(job, call).await?
        }
    };
    let recorded = match recorded {
        Recorded::Ours(effects) if unsure.into_inner() => Recorded::Done(effects),
        // Whoever has a copy of the record that asks for it was faster.
        Recorded::Ours(_) => Recorded::Already,
        recorded => recorded,
    };
    job.context.unwritten.forget(attempt);
    measure::recorded(job, attempt, message, &recorded, outcome);
    Ok(recorded)
}

/// Leaves an attempt that the store would not take to whoever gets its record.
async fn queue(
    job: &Job,
    about: About<'_>,
    sent: &Sent,
    outcome: Option<Outcome>,
) -> Result<(), NotDone> {
    job.context.unwritten.keep(sent, job.now());
    let message = Message { payload: Bytes::new(), ..about.message.clone() };
    let attempt = Box::new(sent.attempt.clone());
    let record = Record::Outcome { message: Box::new(message), attempt, outcome };
    let random = u64::from_be_bytes(job.context.parts.ambient.random());
    let at = job.now().plus_ms(REST_MS + random % REST_MS);
    send_surely(job, &record, at).await?;
    keep_unmade(job, about.message, &sent.attempt).await;
    warn!(message.id = %sent.attempt.msg, endpoint.id = %sent.attempt.ep, "to be written later");
    Ok(())
}

/// Puts the last trace of an attempt in the queue, which nothing but this process knows of otherwise:
/// asks again, with longer and longer pauses, as long as there is time.
async fn send_surely(job: &Job, record: &Record, at: Timestamp) -> Result<(), NotDone> {
    let sending = async {
        let mut tries = 0;
        loop {
            let sent = followed_up::send(job, record, at).await;
            tries += 1;
            if sent.is_ok() || tries == QUEUE_TRIES {
                return sent;
            }
            pause(job, tries).await;
        }
    };
    let limit = job.budget().all(job.now());
    let late = || Err(NotDone::Failed("the queue did not answer in time".to_owned()));
    within(limit, sending).await.unwrap_or_else(late)
}

/// Keeps others from making an attempt again that is not on record yet, as far as the store takes
/// that: what it would not take may be the attempt alone, whose list is full.
pub(crate) async fn keep_unmade(job: &Job, message: &Message, attempt: &Attempt) {
    let Trigger::Scheduled(number) = attempt.trigger else { return };
    let limit = job.budget().store(job.now()).map(|left| left.max(SHORT));
    let mut last = StoreError::Unavailable("there was no time to ask".to_owned());
    let kept = within(limit, ask(job, || keep(job, message, attempt, number), &mut last)).await;
    if let Err(error) = kept.unwrap_or(Err(last)) {
        warn!(%error, "others may make the attempt again");
    }
}

async fn keep(
    job: &Job,
    message: &Message,
    attempt: &Attempt,
    number: u32,
) -> Result<(), StoreError> {
    let deliveries = &job.context.parts.deliveries;
    // Once more if somebody changed it meanwhile.
    for _ in 0..2 {
        let now = job.now();
        let event = Event::Unwritten { number, until: now.plus_ms(QUEUE_GRACE_MS) };
        let kept = match deliveries.delivery(&message.id, &attempt.ep).await? {
            Some(found) => deliveries.advance(&found, event, now).await?,
            None => {
                let first = Delivery::first(message, attempt.ep, attempt.at, attempt.at);
                deliveries.begin(&first, event, now).await?
            }
        };
        if kept != Advanced::Lost {
            break;
        }
    }
    Ok(())
}

/// What an attempt that is on record came to.
pub(crate) fn outcome_of(job: &Job, target: &Target, attempt: &Attempt, number: u32) -> Outcome {
    outcome(job, target, &Verdict::of(attempt), number)
}

fn outcome(job: &Job, target: &Target, verdict: &Verdict, number: u32) -> Outcome {
    if verdict.ok {
        return Outcome::Delivered;
    }
    if verdict.gone {
        return Outcome::Failed(Reason::Gone);
    }
    if !target.policy.is_retried(verdict.status) {
        return Outcome::Failed(Reason::NotRetried);
    }
    let random = u64::from_be_bytes(job.context.parts.ambient.random());
    let retry_after = verdict.retry_after.as_deref();
    match target.policy.schedule.next(number, job.now(), retry_after, random) {
        Some(at) => Outcome::Retry { at },
        None => Outcome::Failed(Reason::Exhausted),
    }
}

/// What the organisation is told about this attempt, if it is to be told. If the store cannot say
/// who listens, nobody is told, and the log has it: the attempt itself has to be recorded.
async fn outbox(
    job: &Job,
    about: About<'_>,
    attempt: &Attempt,
    told: Option<Notification>,
) -> Vec<Write> {
    let (Some(tenant), Some(told)) = (about.tenant, told) else { return Vec::new() };
    let kind = match told {
        Notification::Exhausted => "message.attempt.exhausted",
        Notification::Failing => "message.attempt.failing",
        Notification::Recovered => "message.attempt.recovered",
    };
    let application = &tenant.application;
    let notice = Notice::attempt(kind, application, about.message, attempt);
    let call = || job.context.parts.notices.about(application, notice.clone());
    persist(job, call).await.unwrap_or_else(|why| {
        error!(message.id = %attempt.msg, kind, ?why, "a notice is lost");
        Vec::new()
    })
}

/// Asks the store again, with longer and longer pauses, while it is unavailable.
async fn persist<T, F: Future<Output = Result<T, StoreError>>>(
    job: &Job,
    call: impl Fn() -> F,
) -> Result<T, NotDone> {
    let limit = job.budget().store(job.now());
    let mut last = StoreError::Unavailable("there was no time to ask".to_owned());
    let asked = within(limit, ask(job, call, &mut last)).await;
    asked.unwrap_or(Err(last)).map_err(NotDone::from)
}

/// Leaves in `last` what the store said while it is waited for.
async fn ask<T, F: Future<Output = Result<T, StoreError>>>(
    job: &Job,
    call: impl Fn() -> F,
    last: &mut StoreError,
) -> Result<T, StoreError> {
    let mut tries = 0;
    loop {
        let error = match call().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if !error.is_passing() || !may_ask_again(job, tries) {
            return Err(error);
        }
        warn!(%error, tries, "the store is asked again");
        *last = error;
        pause(job, tries).await;
        tries += 1;
    }
}

/// Waits before somebody is asked again who failed so many times before.
async fn pause(job: &Job, tries: u32) {
    let ambient = &job.context.parts.ambient;
    let pause_ms = ambient.pause_ms(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, tries);
    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
}

fn may_ask_again(job: &Job, tries: u32) -> bool {
    let enough = match job.deadline {
        None => tries >= TRIES_WITHOUT_DEADLINE,
        Some(_) => job.budget().store(job.now()).is_some_and(|left| left.is_zero()),
    };
    !enough && !job.context.parts.settings.without.patience
}
