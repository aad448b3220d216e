//! Second phase: an attempt may be made, under a lease where it needs one; or it has to wait; or
//! there is nothing left to do.
//!
//! What waits is never a failure. Whatever it waits for (the rate of its endpoint or application, a
//! circuit that is open, somebody who may be busy, more time than this invocation has left), the
//! delivery is on record as pending and its record comes again at its moment. The record that was
//! received is done.

use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::circuit::Passage;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::clearance::{self, Clearance, Freshness};
use shared::domain::delivery::machine::{Effect, Event, Refusal};
use shared::domain::delivery::scheduled::ScheduleState;
use shared::domain::delivery::{Delivery, Plan, Reason};
use shared::domain::id::AttemptId;
use shared::queue::VISIBILITY_S;
use shared::queue::record::Record;
use shared::store::{Advanced, Versioned};
use shared::work::{Met, Sending};

use crate::job::{ByHand, Job, NotDone};
use crate::phases::{Cleared, Known};
use crate::target::Target;
use crate::{circuit, followed_up, measure, recorded};

/// Whether something keeps an attempt from being made now.
enum Gate {
    /// Nothing does.
    Open,
    /// It has to wait, which this event says.
    Later(Event),
    /// It fails without a request, for this reason.
    Shut(String),
}

impl Gate {
    /// The attempt, as far as it may be made.
    fn let_through(self, cleared: Option<Cleared>) -> Option<Cleared> {
        match self {
            Self::Open => cleared,
            Self::Shut(reason) => cleared.map(|it| Cleared { shut: Some(reason), ..it }),
            Self::Later(_) => None,
        }
    }
}

/// Whether the first attempt of a message may be made.
pub(crate) async fn first(
    job: &Job,
    target: &Target,
    known: &Known,
) -> Result<Option<Cleared>, NotDone> {
    let (ep, on_record) = (&target.endpoint().id, known.on_record.as_ref());
    let found = on_record.and_then(|snapshot| snapshot.delivery(ep));
    let attempted = on_record.is_some_and(|snapshot| snapshot.was_attempted(ep));
    first_of(job, target, known.freshness, found, attempted).await
}

/// The same when what was on record may be otherwise by now.
pub(crate) async fn first_by_now(
    job: &Job,
    target: &Target,
    freshness: Freshness,
) -> Result<Option<Cleared>, NotDone> {
    let (deliveries, message) = (&job.context.parts.deliveries, &target.message);
    if deliveries.schedule_state(message).await? == Some(ScheduleState::Canceled) {
        return Ok(None);
    }
    match freshness == Freshness::First && message.deliver_at.is_none() {
        true => first_of(job, target, freshness, None, false).await,
        false => look(job, target, freshness).await,
    }
}

/// Looks up what is on record of a first attempt.
async fn look(
    job: &Job,
    target: &Target,
    freshness: Freshness,
) -> Result<Option<Cleared>, NotDone> {
    let (msg, ep) = (target.message.id, target.endpoint().id);
    let found = job.context.parts.deliveries.delivery(&msg, &ep).await?;
    let attempted = found.is_none() && was_attempted(job, target).await?;
    Box::pin(first_of(job, target, freshness, found.as_ref(), attempted)).await
}

async fn first_of(
    job: &Job,
    target: &Target,
    freshness: Freshness,
    found: Option<&Versioned<Delivery>>,
    attempted: bool,
) -> Result<Option<Cleared>, NotDone> {
    let delivery = found.map(|found| &found.value);
    let clearance = clearance::first(freshness, delivery, attempted, job.now());
    match (clearance, found) {
        (Clearance::Send, _) if job.context.parts.settings.always_lease => {
            lease_new(job, target, false).await
        }
        (Clearance::Send, _) => send_unleased(job, target).await,
        (Clearance::LeaseNew, _) => lease_new(job, target, true).await,
        (Clearance::Lease, Some(found)) => under_lease(job, target, found).await,
        (clearance, Some(found)) => {
            without_sending(job, &found.value, clearance).await.map(|()| None)
        }
        (_, None) => {
            measure::found_done(job);
            Ok(None)
        }
    }
}

/// The first attempt of a fresh record takes no lease.
async fn send_unleased(job: &Job, target: &Target) -> Result<Option<Cleared>, NotDone> {
    let (msg, ep) = (target.message.id, target.endpoint().id);
    let sending = match job.context.parts.in_flight.begin(msg, ep) {
        Ok(sending) => sending,
        Err(Met::Copy) => {
            // That one's record stays in the queue until its attempt is on record.
            measure::found_done(job);
            return Ok(None);
        }
        // A replay is opening this very delivery: it has the delivery's item, or is about to.
        Err(Met::Replay) => return look(job, target, Freshness::Repeated).await,
    };
    let gate = put_off_new(job, target).await?;
    Ok(gate.let_through(Some(cleared(job, target, 1, None, Some(sending)))))
}

async fn was_attempted(job: &Job, target: &Target) -> Result<bool, NotDone> {
    let (msg, ep) = (target.message.id, target.endpoint().id);
    let attempt = job.context.parts.deliveries.attempt(&msg, &ep, Trigger::Scheduled(1)).await?;
    Ok(attempt.is_some())
}

/// Makes a delivery that is leased for its first attempt. `look`: whether that may be on record
/// already.
async fn lease_new(job: &Job, target: &Target, look: bool) -> Result<Option<Cleared>, NotDone> {
    let gate = put_off_new(job, target).await?;
    if matches!(gate, Gate::Later(_)) {
        return Ok(None);
    }
    let now = job.now();
    let until = now.plus_ms(job.context.parts.settings.lease_ms);
    let first = Delivery::first(&target.message, target.endpoint().id, now, now);
    let leased =
        match job.context.parts.deliveries.begin(&first, Event::Leased { until }, now).await? {
            Advanced::Done { held, .. } if look => settle_or_go(job, target, held).await?,
            Advanced::Done { held, .. } => Some(cleared(job, target, 1, Some(held), None)),
            Advanced::Refused(_) | Advanced::Lost => {
                wait(job, &first, until).await?;
                None
            }
        };
    Ok(gate.let_through(leased))
}

/// Puts the first attempt of a delivery that has no item yet off, if it has to wait.
async fn put_off_new(job: &Job, target: &Target) -> Result<Gate, NotDone> {
    let now = job.now();
    let gate = reserve(job, target, None, now).await?;
    let Gate::Later(event) = &gate else { return Ok(gate) };
    let event = event.clone();
    let first = Delivery::first(&target.message, target.endpoint().id, now, now);
    match job.context.parts.deliveries.begin(&first, event, now).await? {
        Advanced::Done { held, effects } => was_put_off(job, &held.value, &effects).await?,
        // Somebody else has made the delivery, and sees to it.
        Advanced::Refused(_) | Advanced::Lost => {}
    }
    Ok(gate)
}

/// Puts a delivery off whose endpoint is left alone.
pub(crate) async fn put_off(
    job: &Job,
    found: &Versioned<Delivery>,
    until: Timestamp,
) -> Result<(), NotDone> {
    move_on(job, found, Event::PutOff { at: until, counted: false }, job.now()).await
}

async fn move_on(
    job: &Job,
    found: &Versioned<Delivery>,
    event: Event,
    now: Timestamp,
) -> Result<(), NotDone> {
    match job.context.parts.deliveries.advance(found, event, now).await? {
        Advanced::Done { held, effects } => was_put_off(job, &held.value, &effects).await,
        // Somebody else sees to it.
        Advanced::Refused(_) | Advanced::Lost => Ok(()),
    }
}

/// Leases a delivery whose next attempt is due, unless that has to wait.
pub(crate) async fn under_lease(
    job: &Job,
    target: &Target,
    found: &Versioned<Delivery>,
) -> Result<Option<Cleared>, NotDone> {
    let deliveries = &job.context.parts.deliveries;
    let now = job.now();
    let gate = reserve(job, target, Some(&found.value), now).await?;
    if let Gate::Later(event) = gate {
        return move_on(job, found, event, now).await.map(|()| None);
    }
    let until = now.plus_ms(job.context.parts.settings.lease_ms);
    let leased = match deliveries.advance(found, Event::Leased { until }, now).await? {
        Advanced::Done { held, .. } => match held.value.attempts {
            0 => settle_or_go(job, target, held).await?,
            made => Some(cleared(job, target, made + 1, Some(held), None)),
        },
        Advanced::Refused(_) | Advanced::Lost => {
            wait(job, &found.value, until).await?;
            None
        }
    };
    Ok(gate.let_through(leased))
}

/// A first attempt that went ahead without a lease leaves no trace before it is recorded. So
/// whoever leases attempt 1 afterwards looks once more, and brings the delivery in line with
/// what is there.
async fn settle_or_go(
    job: &Job,
    target: &Target,
    held: Versioned<Delivery>,
) -> Result<Option<Cleared>, NotDone> {
    if settle(job, target, &held).await? {
        measure::found_done(job);
        return Ok(None);
    }
    Ok(Some(cleared(job, target, 1, Some(held), None)))
}

/// Brings a leased delivery in line with its next attempt, if that is on record. Whether it is.
pub(crate) async fn settle(
    job: &Job,
    target: &Target,
    held: &Versioned<Delivery>,
) -> Result<bool, NotDone> {
    let deliveries = &job.context.parts.deliveries;
    let number = held.value.attempts + 1;
    let (msg, ep, trigger) = (held.value.msg, held.value.ep, Trigger::Scheduled(number));
    let Some(attempt) = deliveries.attempt(&msg, &ep, trigger).await? else { return Ok(false) };
    let outcome = recorded::outcome_of(job, target, &attempt, number);
    let event = Event::Outcome { number, outcome };
    if let Advanced::Done { effects, .. } = deliveries.advance(held, event, job.now()).await? {
        followed_up::enqueue_and_count(job, &held.value, &effects).await?;
    }
    Ok(true)
}

/// There can be no further attempt.
pub(crate) async fn bar(
    job: &Job,
    found: &Versioned<Delivery>,
    reason: Reason,
) -> Result<(), NotDone> {
    let event = Event::Barred(reason.clone());
    match job.context.parts.deliveries.advance(found, event, job.now()).await? {
        Advanced::Done { .. } => {
            measure::given_up(job, &found.value, reason.as_str());
            Ok(())
        }
        Advanced::Refused(Refusal::UnderWay { until }) => wait(job, &found.value, until).await,
        // Then somebody else decides.
        Advanced::Refused(Refusal::Over) | Advanced::Lost => Ok(()),
    }
}

/// What is left to do where nothing may be sent.
pub(crate) async fn without_sending(
    job: &Job,
    found: &Delivery,
    clearance: Clearance,
) -> Result<(), NotDone> {
    match clearance {
        Clearance::Wait { until } => wait(job, found, until).await,
        Clearance::FollowUp => {
            measure::found_done(job);
            send_again(job, found).await
        }
        _ => {
            measure::found_done(job);
            followed_up::finish(job, found).await
        }
    }
}

/// Sends what a pending delivery waits for once more: it may never have been sent, and once too
/// often is harmless, since an attempt is leased and made once. The sweep does it for what it
/// has planned itself.
async fn send_again(job: &Job, delivery: &Delivery) -> Result<(), NotDone> {
    let Some(pending) = delivery.pending() else { return Ok(()) };
    match pending.next {
        Plan::Queue { at } if !pending.is_leased(job.now()) => {
            followed_up::enqueue(job, delivery, delivery.attempts + 1, at).await
        }
        Plan::Queue { .. } | Plan::Sweep { .. } => Ok(()),
    }
}

/// Comes back when whoever may be busy with the next attempt is done.
async fn wait(job: &Job, delivery: &Delivery, until: Timestamp) -> Result<(), NotDone> {
    followed_up::enqueue(job, delivery, delivery.attempts + 1, until).await
}

async fn was_put_off(job: &Job, delivery: &Delivery, effects: &[Effect]) -> Result<(), NotDone> {
    measure::deferred(job, delivery);
    followed_up::enqueue_and_count(job, delivery, effects).await
}

/// Whether the next attempt may be made now, and what that takes: the probe of a circuit that is
/// open, a moment of each rate, unless the delivery was given one before.
async fn reserve(
    job: &Job,
    target: &Target,
    found: Option<&Delivery>,
    now: Timestamp,
) -> Result<Gate, NotDone> {
    let pending = found.and_then(Delivery::pending);
    let counted = pending.is_some_and(|pending| pending.counted);
    if is_late(job, target, now) {
        return Ok(Gate::Later(Event::PutOff { at: now, counted }));
    }
    match circuit::passage(job, target.endpoint(), target.message.id, found).await {
        Passage::Wait { until } => {
            return Ok(Gate::Later(Event::PutOff { at: until, counted: false }));
        }
        Passage::Shut { since } => {
            let since = since.to_rfc3339();
            let why = format!("it has not answered since {since}, and waits for a probe");
            return Ok(Gate::Shut(why));
        }
        // It goes out at once: the time of the next probe has moved on, so one that waited for a rate
        // would come in vain. One a time is nothing to a rate.
        Passage::Probe => return Ok(Gate::Open),
        Passage::Go => {}
    }
    if counted {
        return Ok(Gate::Open);
    }
    let at = job.context.throttle.take(&target.policy.rates, now).await?;
    // Asking takes a moment itself.
    Ok(match at > job.now() {
        true => Gate::Later(Event::PutOff { at, counted: true }),
        false => Gate::Open,
    })
}

/// Whether what is started now may not be over and recorded before the deadline, or the process is
/// to end.
fn is_late(job: &Job, target: &Target, now: Timestamp) -> bool {
    job.context.slots.is_closed() || job.budget().is_late(target.policy.timeout_ms, now)
}

/// The attempt by hand, if it was made, as far as that can be known.
pub(crate) async fn made_by_hand(job: &Job, asked: &ByHand) -> Result<Option<Attempt>, NotDone> {
    let arrival = job.receipt.arrival(asked.again, job.now());
    job.check_first_receive(&arrival)?;
    if arrival.may_be_overtaken(job.now()) {
        // It takes no lease, so whoever gets the record next could not see it.
        let until = job.receipt.first_received_at.plus_ms(u64::from(VISIBILITY_S) * 1000);
        return Err(NotDone::Busy { until });
    }
    if arrival.freshness(job.now()) == Freshness::First {
        return Ok(None);
    }
    let trigger = Trigger::Manual(asked.id);
    let made = job.context.parts.deliveries.attempt(&asked.msg, &asked.ep, trigger).await?;
    if made.is_some() {
        measure::found_done(job);
    }
    Ok(made)
}

/// Whether an attempt by hand may be made now: it counts against the rate like any other.
pub(crate) async fn by_hand(
    job: &Job,
    target: &Target,
    asked: &ByHand,
) -> Result<Option<Cleared>, NotDone> {
    let now = job.now();
    let kept = asked.not_before;
    let later = match kept {
        Some(at) if at > now.plus_ms(clearance::EARLY_MS) => Some(at),
        _ if is_late(job, target, now) => Some(kept.unwrap_or(now)),
        Some(_) => None,
        None => {
            let at = job.context.throttle.take(&target.policy.rates, now).await?;
            // Each receive before this one may have left a copy with a moment of its own, which
            // this cannot see: it comes when what was begun at that one is over, and finds it on
            // record.
            let copies = u64::from(job.receipt.receive_count.saturating_sub(1));
            let behind_ms = copies * job.context.parts.settings.lease_ms;
            Some(at).filter(|at| *at > job.now()).map(|at| at.plus_ms(behind_ms))
        }
    };
    let Some(at) = later else {
        let trigger = Trigger::Manual(asked.id);
        return Ok(Some(go(job, target, (trigger, asked.id), None, None)));
    };
    let ByHand { app, msg, ep, id, .. } = *asked;
    let not_before = Some(at).filter(|at| kept.is_some() || *at > now);
    let record = Record::Resend { app, msg, ep, attempt: id, again: true, not_before };
    followed_up::send_ahead(job, &record, at).await?;
    Ok(None)
}

fn cleared(
    job: &Job,
    target: &Target,
    number: u32,
    held: Option<Versioned<Delivery>>,
    sending: Option<Sending>,
) -> Cleared {
    let id = AttemptId::new(&job.context.parts.ambient);
    go(job, target, (Trigger::Scheduled(number), id), held, sending)
}

/// The attempt may be made, and take what is left of the time if it needs more.
fn go(
    job: &Job,
    target: &Target,
    (trigger, id): (Trigger, AttemptId),
    held: Option<Versioned<Delivery>>,
    sending: Option<Sending>,
) -> Cleared {
    let timeout_ms = job.budget().cut_ms(target.policy.timeout_ms, job.now());
    Cleared { trigger, id, held, shut: None, timeout_ms, _sending: sending }
}
