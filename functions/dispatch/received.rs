//! First phase: a record is read, and it becomes clear what it is about and to whom it goes.

use std::sync::Arc;

use shared::domain::clock::Timestamp;
use shared::domain::delivery::clearance::{Arrival, Freshness};
use shared::domain::endpoint::Stretch;
use shared::domain::id::{EndpointId, MessageId};
use shared::domain::message::Message;
use shared::queue::record::{Record, Unread};
use shared::store::{Parked, Tenant};
use tracing::field::display;
use tracing::{Instrument, Span, error};

use crate::job::{ByHand, Job, NotDone, Task};
use crate::phases::Known;
use crate::released::{self, Release};
use crate::target::Target;
use crate::{attempt, measure, shares};

/// Works on one record until there is nothing left to do.
///
/// # Errors
/// Why it has to come back.
pub(crate) async fn process(job: Job, body: String) -> Result<(), NotDone> {
    let record = Record::parse(&body);
    job.keep_pace(is_fresh(&job, &record)).await;
    match record {
        Ok(Record::Accepted { message, again }) => {
            name(message.id, None);
            drop(body);
            fan_out(job, *message, again).await
        }
        Ok(Record::Share { message, stretch, since, again }) => {
            name(message.id, None);
            drop(body);
            share(job, *message, &stretch, since, again).await
        }
        Ok(Record::Retry { app, msg, ep, attempt: number }) => {
            name(msg, Some(ep));
            attempt::later(&job, app, msg, ep, number).await
        }
        Ok(Record::Resend { app, msg, ep, attempt, again, not_before }) => {
            name(msg, Some(ep));
            let asked = ByHand { app, msg, ep, id: attempt, again, not_before };
            attempt::by_hand(&job, asked).await
        }
        Ok(Record::Outcome { message, attempt, outcome }) => {
            name(message.id, Some(attempt.ep));
            attempt::outcome(&job, &message, &attempt, outcome.as_ref()).await
        }
        Ok(Record::Release { app, ep, raised, since, until, from }) => {
            if let Some(ep) = ep {
                Span::current().record("endpoint.id", display(ep));
            }
            let release = Release { app, raised, since, until };
            released::release(&job, release, ep, from).await
        }
        Err(Unread::Unknown(reason)) => Err(NotDone::Unknown(reason)),
        // It will not read better the next time.
        Err(Unread::Broken(reason)) => park(&job, body, reason).await,
    }
}

/// Whether somebody waits for this for the first time, and little is written for it.
fn is_fresh(job: &Job, record: &Result<Record, Unread>) -> bool {
    match record {
        Ok(Record::Accepted { again, .. } | Record::Share { again, .. }) => {
            job.receipt.receive_count == 1 && !again
        }
        Ok(Record::Resend { .. }) => true,
        Ok(Record::Retry { .. } | Record::Outcome { .. } | Record::Release { .. }) | Err(_) => {
            false
        }
    }
}

/// Sends a message to every endpoint that wants it, if they are not too many for one record.
async fn fan_out(job: Job, message: Message, again: bool) -> Result<(), NotDone> {
    let arrival = job.receipt.arrival(again, message.released_at());
    job.check_first_receive(&arrival)?;
    // Of one that was cut the parts are what is sent.
    if message.parts > 0 || job.is_expired(&message) {
        return Ok(());
    }
    let Some(tenant) = job.tenant(message.app).await? else {
        // The application was deleted, and its endpoints with it.
        return Ok(());
    };
    let message = Arc::new(message);
    // Of a wide application it is looked up whether the message was cut.
    let everybody = Stretch::default();
    let (few, stretch) = match tenant.is_whole {
        true => (Some(tenant), None),
        false => (shares::cut(&job, &message, &arrival).await?, Some(&everybody)),
    };
    match few {
        Some(few) => send_to_all(job, &few, message, &arrival, stretch).await,
        None => Ok(()),
    }
}

/// The same for a share of the endpoints of a wide application.
async fn share(
    job: Job,
    message: Message,
    stretch: &Stretch,
    since: Timestamp,
    again: bool,
) -> Result<(), NotDone> {
    let arrival = job.receipt.arrival(again, message.released_at());
    let arrival = Arrival { cut_since: Some(since), ..arrival };
    job.check_first_receive(&arrival)?;
    if job.is_expired(&message) {
        return Ok(());
    }
    let directory = &job.context.parts.directory;
    let Some(tenant) = directory.share(&message.app, stretch).await? else { return Ok(()) };
    send_to_all(job, &Arc::new(tenant), Arc::new(message), &arrival, Some(stretch)).await
}

/// Sends a message to every endpoint of the tenant that wants it, each in its own task.
async fn send_to_all(
    job: Job,
    tenant: &Arc<Tenant>,
    message: Arc<Message>,
    arrival: &Arrival,
    stretch: Option<&Stretch>,
) -> Result<(), NotDone> {
    let (mut targets, unresolved) = Target::all(&job.context, tenant, &message).await?;
    let unresolved = unresolved.map_or(Ok(()), |error| Err(NotDone::from(error)));
    if targets.is_empty() {
        return unresolved;
    }
    let at = job.now();
    let mut freshness = arrival.freshness(at);
    // A scheduled message may have been canceled while its record was in the queue.
    let look = freshness != Freshness::First || message.deliver_at.is_some();
    let deliveries = &job.context.parts.deliveries;
    let snapshot = match (look, stretch) {
        (true, Some(stretch)) => Some(deliveries.snapshot_in(&message.id, stretch).await?),
        (true, None) => Some(deliveries.snapshot(&message.id).await?),
        (false, _) => None,
    };
    if snapshot.as_ref().is_some_and(|snapshot| snapshot.canceled) {
        return Ok(());
    }
    if snapshot.as_ref().is_some_and(|snapshot| snapshot.cut_again) {
        freshness = Freshness::Repeated;
    }
    let known = Known { arrival: *arrival, freshness, on_record: snapshot, at };
    if targets.len() == 1
        && let Some(only) = targets.pop()
    {
        name(message.id, Some(only.endpoint().id));
        let slot = attempt::slot(&job, message.app).await;
        return attempt::first(&job, only, slot, &known).await.and(unresolved);
    }
    let shared = Arc::new((job, known));
    let mut tasks = Vec::with_capacity(targets.len());
    for target in targets {
        // Before the task: thousands that only wait take gigabytes.
        let slot = attempt::slot(&shared.0, message.app).await;
        let shared = shared.clone();
        let ep = target.endpoint().id;
        let work = async move {
            let (job, known) = &*shared;
            attempt::first(job, target, slot, known).await
        };
        tasks.push((ep, Task::spawn(work.in_current_span())));
    }
    let mut result = unresolved;
    for (ep, task) in tasks {
        let Err(why) = task.done().await else { continue };
        if let NotDone::Failed(reason) = &why {
            // The record's own line has only one of them.
            error!(endpoint.id = %ep, reason, "delivery failed");
        }
        result = Err(why);
    }
    result
}

async fn park(job: &Job, body: String, reason: String) -> Result<(), NotDone> {
    error!(record.id = job.receipt.id, reason, "parked a record that cannot be read");
    let parked = Parked {
        id: job.receipt.id.clone(),
        queue: "dispatch".to_owned(),
        reason,
        at: job.now(),
        body,
    };
    job.context.parts.parking.park(&parked).await?;
    measure::parked(job);
    Ok(())
}

/// Says in the record's span what the record is about.
fn name(msg: MessageId, ep: Option<EndpointId>) {
    let span = Span::current();
    span.record("message.id", display(msg));
    ep.map(|ep| span.record("endpoint.id", display(ep)));
}
