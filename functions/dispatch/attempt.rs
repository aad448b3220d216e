//! The way of one attempt through its phases: received, cleared, sent, recorded, followed up.

use shared::domain::attempt::Attempt;
use shared::domain::delivery::Reason;
use shared::domain::delivery::clearance::{self, Clearance};
use shared::domain::delivery::machine::Outcome;
use shared::domain::id::{ApplicationId, EndpointId, MessageId};
use shared::domain::message::Message;
use shared::store::Recorded;

use crate::budget::within;
use crate::job::{ByHand, Job, NotDone};
use crate::phases::{About, Cleared, Known};
use crate::slots::Slot;
use crate::target::Target;
use crate::{circuit, cleared, followed_up, recorded, sent};

/// The first attempt to bring a message to an endpoint. The slot that was waited for is kept until
/// it is over. While it was, the endpoint may have moved, and others may have come between.
pub(crate) async fn first(
    job: &Job,
    mut target: Target,
    _slot: Option<Slot>,
    known: &Known,
) -> Result<(), NotDone> {
    let cleared = match known.is_stale(job.now()) {
        false => cleared::first(job, &target, known).await?,
        true => {
            let Some(by_now) = target.by_now(job).await? else { return Ok(()) };
            target = by_now;
            cleared::first_by_now(job, &target, known.freshness(job.now())).await?
        }
    };
    match cleared {
        Some(cleared) => make(job, &target, cleared).await,
        None => Ok(()),
    }
}

/// A later attempt that has come due, or a first one that was put off.
pub(crate) async fn later(
    job: &Job,
    app: ApplicationId,
    msg: MessageId,
    ep: EndpointId,
    number: u32,
) -> Result<(), NotDone> {
    let slot = slot(job, app).await;
    let deliveries = &job.context.parts.deliveries;
    let found = deliveries.delivery(&msg, &ep).await?;
    let delivery = found.as_ref().map(|found| &found.value);
    let clearance = clearance::later(delivery, number, job.receipt.receive_count, job.now());
    let Some(found) = &found else { return Ok(()) };
    if clearance != Clearance::Lease {
        return cleared::without_sending(job, &found.value, clearance).await;
    }
    let kept = found.value.pending().filter(|pending| pending.counted);
    let _slot = match kept.map(|pending| pending.next.at()).filter(|at| *at > job.now()) {
        None => slot,
        Some(moment) => {
            // Others of its application need no moment.
            drop(slot);
            job.wait_until(moment).await;
            self::slot(job, app).await
        }
    };
    let bar = async |reason| cleared::bar(job, found, reason).await;
    let Some(tenant) = job.tenant_with(app, ep).await? else {
        return bar(Reason::EndpointDeleted).await;
    };
    let left_alone = match tenant.endpoint_by_id(&ep) {
        None => return bar(Reason::EndpointDeleted).await,
        Some(endpoint) if endpoint.disabled => return bar(Reason::EndpointDisabled).await,
        Some(endpoint) => circuit::left_alone(job, endpoint, &found.value),
    };
    if let Some(until) = left_alone {
        // Its message may have a quarter of a megabyte, and is not read for this.
        return cleared::put_off(job, found, until).await;
    }
    let Some(message) = deliveries.message(&msg, job.now()).await? else {
        return bar(Reason::Expired).await;
    };
    let Some(target) = Target::one(&job.context, &tenant, ep, message).await? else {
        return bar(Reason::EndpointDeleted).await;
    };
    // A replay opens deliveries by the endpoint's filters alone, and a grant may have ended.
    if let Some(why) = target.barred() {
        return bar(Reason::NotAdmitted(why.to_owned())).await;
    }
    match cleared::under_lease(job, &target, found).await? {
        Some(cleared) => make(job, &target, cleared).await,
        None => Ok(()),
    }
}

/// An attempt that somebody asked for. It goes out whatever the endpoint's filters say, but not
/// to a disabled endpoint, nor past what the profile forbids.
pub(crate) async fn by_hand(job: &Job, asked: ByHand) -> Result<(), NotDone> {
    if let Some(moment) = asked.not_before {
        job.wait_until(moment).await;
    }
    let _slot = slot(job, asked.app).await;
    let Some(_sending) = job.context.parts.in_flight.begin_by_hand(asked.id) else {
        return Err(NotDone::Busy {
            until: job.now().plus_ms(job.context.parts.settings.lease_ms),
        });
    };
    let deliveries = &job.context.parts.deliveries;
    let Some(tenant) = job.tenant_with(asked.app, asked.ep).await? else { return Ok(()) };
    let enabled = tenant.endpoint_by_id(&asked.ep).is_some_and(|it| !it.disabled);
    if !enabled {
        return Ok(());
    }
    if let Some(made) = cleared::made_by_hand(job, &asked).await? {
        return followed_up::finish_by_hand(job, &tenant.application, &made).await;
    }
    let Some(message) = deliveries.message(&asked.msg, job.now()).await? else { return Ok(()) };
    if message.parts > 0 {
        // Its parts are what is sent.
        return Ok(());
    }
    let Some(target) = Target::one(&job.context, &tenant, asked.ep, message).await? else {
        return Ok(());
    };
    if target.barred().is_some() {
        return Ok(());
    }
    match cleared::by_hand(job, &target, &asked).await? {
        Some(cleared) => make(job, &target, cleared).await,
        None => Ok(()),
    }
}

async fn make(job: &Job, target: &Target, cleared: Cleared) -> Result<(), NotDone> {
    let sent = match job.context.unwritten.find(target, &cleared, job.now()) {
        Some(made) => made,
        None => sent::send(job, target, &cleared).await?,
    };
    let Some(recorded) = recorded::record(job, target, &cleared, &sent).await? else {
        return Ok(());
    };
    if let (Recorded::Already, Some(held)) = (&recorded, &cleared.held) {
        // Should its delivery not know of it, nobody else would ever tell it.
        cleared::settle(job, target, held).await?;
    }
    drop(cleared);
    let answered = sent.verdict.answered;
    let about = About { message: &target.message, tenant: Some(target.tenant()), answered };
    followed_up::follow_up(job, about, &sent.attempt, &recorded).await
}

/// An attempt that was made before, and is only to be written.
pub(crate) async fn outcome(
    job: &Job,
    message: &Message,
    attempt: &Attempt,
    outcome: Option<&Outcome>,
) -> Result<(), NotDone> {
    if job.is_expired(message) {
        return Ok(());
    }
    let tenant = job.tenant_with(message.app, attempt.ep).await?;
    let about = About { message, tenant: tenant.as_deref(), answered: None };
    // Unless it was a first attempt without a lease, it has a delivery that waits for it.
    let held = match outcome {
        Some(_) => job.context.parts.deliveries.delivery(&message.id, &attempt.ep).await?,
        None => None,
    };
    let written = recorded::write(job, about, attempt, outcome, held.as_ref()).await;
    if written.is_err() {
        recorded::keep_unmade(job, message, attempt).await;
    }
    let recorded = written?;
    if recorded == Recorded::Already && outcome.is_some() {
        // Whoever wrote it may not have been told so, or have failed to send the next one on its way.
        let found = job.context.parts.deliveries.delivery(&message.id, &attempt.ep).await?;
        let Some(found) = found else { return Ok(()) };
        let left = if found.value.is_pending() { Clearance::FollowUp } else { Clearance::Done };
        return cleared::without_sending(job, &found.value, left).await;
    }
    followed_up::follow_up(job, about, attempt, &recorded).await
}

/// Waits for a slot. `None` when it is too late by then to begin anything: what is left to do
/// needs no slot.
pub(crate) async fn slot(job: &Job, app: ApplicationId) -> Option<Slot> {
    let slot = job.context.slots.take(app);
    within(job.budget().waiting(job.now()), slot).await.flatten()
}
