//! Fourth phase: the attempt is on record under its number, the fence, together with what it
//! means for its delivery and with what the organisation is told.
//!
//! The request is out by now, so an attempt that is not recorded would be sent again. A store
//! that throttles or is away for a moment is asked again until the invocation has to end.

use std::time::Duration;

use shared::domain::attempt::{Attempt, Turn};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Reason;
use shared::domain::delivery::machine::{Notification, Outcome, notification};
use shared::domain::notice::Notice;
use shared::store::table::Write;
use shared::store::{Recorded, StoreError};
use tracing::{error, warn};

use crate::job::{Job, NotDone};
use crate::phases::{Cleared, Sent, Verdict};
use crate::target::Target;
use crate::{Context, measure};

/// First pause before a store that failed is asked again, in milliseconds; each later one is
/// twice as long.
const FIRST_PAUSE_MS: u64 = 10;
/// Longest pause, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 1_000;
/// How often the store is asked again where nothing ends the invocation: about five seconds.
const TRIES_WITHOUT_DEADLINE: u32 = 11;
/// How often it is asked again at the most: about as long as an invocation may take.
const MAX_TRIES: u32 = 40;
/// Time that is kept for the last answer, in milliseconds.
const LAST_CALL_MS: u64 = 500;

/// Puts an attempt on record.
///
/// # Errors
/// When the store could not be brought to do it before the deadline.
pub(crate) async fn record(
    job: &Job,
    target: &Target,
    cleared: &Cleared,
    sent: &Sent,
) -> Result<Recorded, NotDone> {
    let deliveries = &job.context.parts.deliveries;
    let (attempt, message) = (&sent.attempt, &target.message);
    let Turn::Scheduled(number) = attempt.turn else {
        let recorded =
            persist(job, || deliveries.record_by_hand(attempt, message, job.now())).await?;
        measure::recorded(job, attempt, message, &recorded, None);
        return Ok(recorded);
    };
    let outcome = outcome(job, target, &sent.verdict, number);
    let outbox = match notification(number, &outcome) {
        Some(about) => outbox(job, target, attempt, about).await,
        None => Vec::new(),
    };
    let held = cleared.held.as_ref();
    let call = || deliveries.record(attempt, message, held, &outcome, &outbox, job.now());
    let recorded = persist(job, call).await?;
    measure::recorded(job, attempt, message, &recorded, Some(&outcome));
    Ok(recorded)
}

/// What an attempt that is on record came to.
pub(crate) fn outcome_of(job: &Job, target: &Target, attempt: &Attempt) -> Outcome {
    outcome(job, target, &Verdict::of(attempt), 1)
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

/// What the organisation is told about this attempt. If the store cannot say who listens, nobody
/// is told, and the log has it: the attempt itself has to be recorded.
async fn outbox(job: &Job, target: &Target, attempt: &Attempt, about: Notification) -> Vec<Write> {
    let kind = match about {
        Notification::Exhausted => "message.attempt.exhausted",
        Notification::Failing => "message.attempt.failing",
        Notification::Recovered => "message.attempt.recovered",
    };
    let application = target.application();
    let notice = Notice::attempt(kind, application, &target.message, attempt);
    let about = || job.context.parts.notices.about(application, &notice);
    persist(job, about).await.unwrap_or_else(|why| {
        error!(message.id = %target.message.id, kind, ?why, "a notice is lost");
        Vec::new()
    })
}

/// Asks the store again, with longer and longer pauses, while it is unavailable.
async fn persist<T, F: Future<Output = Result<T, StoreError>>>(
    job: &Job,
    call: impl Fn() -> F,
) -> Result<T, NotDone> {
    let mut tries = 0;
    loop {
        let error = match call().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let pause_ms = pause_ms(&job.context, tries);
        let again = matches!(error, StoreError::Unavailable(_))
            && may_ask_again(job.deadline, job.now(), tries, pause_ms);
        if !again {
            return Err(error.into());
        }
        warn!(%error, tries, "the store is asked again");
        tries += 1;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

fn may_ask_again(deadline: Option<Timestamp>, now: Timestamp, tries: u32, pause_ms: u64) -> bool {
    match deadline {
        None => tries < TRIES_WITHOUT_DEADLINE,
        Some(deadline) => tries < MAX_TRIES && now.plus_ms(pause_ms + LAST_CALL_MS) < deadline,
    }
}

/// Half to all of a pause that doubles, so that those who failed together do not come back
/// together.
fn pause_ms(context: &Context, tries: u32) -> u64 {
    let whole = FIRST_PAUSE_MS.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE_MS);
    let random = u64::from_be_bytes(context.parts.ambient.random());
    whole / 2 + random % (whole / 2 + 1)
}
