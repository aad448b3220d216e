//! Fifth phase: what follows from an attempt that is on record. Its delivery is safe by now, so
//! whatever is said about the endpoint is best effort and never brings the record back; a next
//! attempt that cannot be put in the queue does.

use shared::domain::application::Application;
use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::machine::Effect;
use shared::domain::delivery::{Delivery, Reason};
use shared::queue::record::{Record, delay_until};
use shared::queue::send_one;
use shared::store::Recorded;

use crate::job::{Job, NotDone};
use crate::phases::{About, GONE};
use crate::{circuit, health, measure};

/// Sends what comes next on its way, and notes what the attempt says about the endpoint.
///
/// # Errors
/// When the next attempt is not in the queue, or an endpoint that is gone is not disabled: the
/// record comes again, and finds what is left to do.
pub(crate) async fn follow_up(
    job: &Job,
    about: About<'_>,
    attempt: &Attempt,
    recorded: &Recorded,
) -> Result<(), NotDone> {
    let by_hand = matches!(attempt.trigger, Trigger::Manual(_));
    let effects = match recorded {
        Recorded::Done(effects) => effects.as_slice(),
        // Whoever was faster has done the rest. By hand there is no other.
        Recorded::Ours(_) | Recorded::Already | Recorded::Superseded if by_hand => &[],
        Recorded::Ours(_) | Recorded::Already | Recorded::Superseded => return Ok(()),
    };
    for effect in effects {
        if let Effect::Enqueue { attempt: number, at } = *effect {
            let (app, msg, ep) = (attempt.app, attempt.msg, attempt.ep);
            send(job, &Record::Retry { app, msg, ep, attempt: number }, at).await?;
        }
    }
    let Some(tenant) = about.tenant else { return Ok(()) };
    if attempt.status == GONE {
        return health::gone(job, &tenant.application, attempt).await;
    }
    let Some(endpoint) = tenant.endpoint_by_id(&attempt.ep) else { return Ok(()) };
    if let Some(answered) = about.answered.filter(|_| !job.context.parts.settings.without.circuits)
    {
        circuit::note(job, endpoint, &attempt.url, answered).await;
    }
    if attempt.ok {
        if !by_hand && about.message.test {
            health::verified(job, endpoint).await;
        }
        health::succeeded(job, endpoint).await;
        return Ok(());
    }
    let silent = endpoint.unanswered_since();
    let released = about.message.released_at();
    let since = silent.map_or(released, |silent| silent.min(released));
    if effects.contains(&Effect::CountExhausted) {
        health::given_up(job, endpoint, &tenant.application, attempt, since).await;
    } else if matches!(attempt.trigger, Trigger::Scheduled(2..)) || silent.is_some() {
        // Of an endpoint that is left alone each probe is the first attempt of another message.
        health::stumbled(job, endpoint, &tenant.application, attempt, since).await;
    }
    Ok(())
}

/// What is left to do for a delivery that is over, when its record comes again: the endpoint that
/// it found gone may not have been disabled.
pub(crate) async fn finish(job: &Job, found: &Delivery) -> Result<(), NotDone> {
    if found.reason() != Some(&Reason::Gone) {
        return Ok(());
    }
    let Some(tenant) = job.tenant(found.app).await? else { return Ok(()) };
    let trigger = Trigger::Scheduled(found.attempts);
    match job.context.parts.deliveries.attempt(&found.msg, &found.ep, trigger).await? {
        Some(attempt) => health::gone(job, &tenant.application, &attempt).await,
        None => Ok(()),
    }
}

/// The same for an attempt by hand that is on record.
pub(crate) async fn finish_by_hand(
    job: &Job,
    application: &Application,
    made: &Attempt,
) -> Result<(), NotDone> {
    match made.status {
        GONE => health::gone(job, application, made).await,
        _ => Ok(()),
    }
}

/// Does what follows from an event that was no attempt of this record.
pub(crate) async fn enqueue_and_count(
    job: &Job,
    delivery: &Delivery,
    effects: &[Effect],
) -> Result<(), NotDone> {
    for effect in effects {
        match *effect {
            Effect::Enqueue { attempt, at } => enqueue(job, delivery, attempt, at).await?,
            Effect::CountExhausted => {
                measure::given_up(job, delivery, "the attempt is on record");
            }
            Effect::Notify(_) => {}
        }
    }
    Ok(())
}

/// Puts an attempt of this delivery in the queue, to be received at `at`.
pub(crate) async fn enqueue(
    job: &Job,
    delivery: &Delivery,
    attempt: u32,
    at: Timestamp,
) -> Result<(), NotDone> {
    let Delivery { app, msg, ep, .. } = *delivery;
    let record = Record::Retry { app, msg, ep, attempt };
    match delivery.pending().is_some_and(|pending| pending.counted) {
        true => send_ahead(job, &record, at).await,
        false => send(job, &record, at).await,
    }
}

/// The same for a record that a rate has kept this moment for: it comes a little before, and
/// [waits](Job::wait_until) for it in hand.
pub(crate) async fn send_ahead(job: &Job, record: &Record, at: Timestamp) -> Result<(), NotDone> {
    send(job, record, at.minus_ms(job.context.parts.settings.early_ms)).await
}

/// Puts a record in the retries queue, to be received at `at`.
pub(crate) async fn send(job: &Job, record: &Record, at: Timestamp) -> Result<(), NotDone> {
    let outgoing = record.outgoing(delay_until(at, job.now()));
    Ok(send_one(&*job.context.parts.retries, outgoing).await?)
}
