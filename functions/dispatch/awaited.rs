//! What waits for an endpoint that does not answer and had no attempt yet: one of it asks when the
//! next probe is due, and all of it goes out once the endpoint answers again. It stands in the
//! endpoint's list, where it is found.
//!
//! Nobody's own record depends on this: what is not appointed or brought back asks by itself, if
//! later. What is brought back twice, or by its own record as well, is sent once: the second
//! finds it under a lease, or over. What was asked for by hand is left out: it may stand there while
//! the attempt that it repeats is under way.
//!
//! An endpoint that falls silent again before all has been brought back has it noted in its circuit
//! since when more waits.
//!
//! Not guaranteed: order; nor that what was put off on an older state of the endpoint, while all else
//! was brought back, comes with it; nor anything more once the endpoint is disabled in the middle.

use shared::domain::circuit::Open;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, EndpointId, MessageId};
use shared::queue::record::{Record, delay_until};
use shared::queue::{Outgoing, QueueError, send_all, send_one};
use shared::store::Edited;
use tracing::{info, warn};

use crate::job::{Job, NotDone};

/// Lines of the endpoint's list that are looked through for one that waits: the last ones are of
/// what came since it fell silent, unless it had hundreds of attempts by hand.
const LAST_LINES: usize = 100;
/// Lines that one record has looked through for all that waits.
const PAGE: usize = 500;
/// After a page of which something was brought back, in seconds: an endpoint that has just come back
/// is not flooded.
const PAGE_EVERY_S: u32 = 1;

/// Whether a delivery that waits is found when the endpoint answers again.
pub(crate) fn is_found(delivery: &Delivery, open: &Open) -> bool {
    delivery.attempts == 0
        && !delivery.by_hand
        && delivery.msg.ksuid().timestamp() >= open.brings_back_from()
}

/// Lets one of those that wait, another than `probe`, ask when the next probe is due. Best effort.
pub(crate) async fn appoint(job: &Job, endpoint: &Endpoint, open: &Open, probe: MessageId) {
    let appointed = async {
        let deliveries = &job.context.parts.deliveries;
        let last = deliveries.last_unattempted(&endpoint.id, LAST_LINES).await?;
        let other = last.into_iter().find(|found| may_come(found) && found.msg != probe);
        let Some(Delivery { app, msg, ep, .. }) = other else { return Ok(()) };
        let delay_s = delay_until(open.probe_at, job.now());
        let record = Record::Retry { app, msg, ep, attempt: 1 }.outgoing(delay_s);
        send_one(&*job.context.parts.retries, record).await.map_err(not_sent)
    };
    if let Err(why) = appointed.await {
        warn!(endpoint.id = %endpoint.id, ?why, "nobody is told to ask when a probe is due");
    }
}

/// Has everything brought back that waits. Best effort.
pub(crate) async fn announce(job: &Job, endpoint: &Endpoint, open: &Open) {
    let since = open.brings_back_from();
    let word = Record::answering_again(endpoint.app, endpoint.id, since, job.now());
    if let Err(error) = send_one(&*job.context.parts.retries, word).await {
        warn!(endpoint.id = %endpoint.id, %error, "what waits for it comes later");
    }
}

/// Brings back a page of what waits, and sends a record for the next one.
///
/// # Errors
/// When not all of it is in the queue: the record comes again.
pub(crate) async fn bring_back(
    job: &Job,
    (app, ep): (ApplicationId, EndpointId),
    (since, until): (Timestamp, Timestamp),
    from: Option<String>,
) -> Result<(), NotDone> {
    let Some(tenant) = job.tenant_with(app, ep).await? else { return Ok(()) };
    let Some(endpoint) = tenant.endpoint_by_id(&ep) else { return Ok(()) };
    if endpoint.disabled {
        return Ok(());
    }
    if endpoint.unanswered_since().is_some() {
        return remember(job, endpoint, since).await;
    }
    let look = job.context.parts.deliveries.unattempted(&ep, (since, until), from, PAGE).await?;
    let records: Vec<Outgoing> = look
        .deliveries
        .iter()
        .filter(|delivery| may_come(delivery))
        .map(|delivery| Record::Retry { app, msg: delivery.msg, ep, attempt: 1 }.outgoing(0))
        .collect();
    let count = records.len();
    for sent in send_all(&*job.context.parts.retries, records).await {
        sent.map_err(not_sent)?;
    }
    if count > 0 {
        info!(endpoint.id = %ep, count, "brought back what waited for it");
    }
    // Last: a page that comes again must not send it twice.
    if let Some(next) = look.next {
        let record = Record::Answers { app, ep, since, until, from: Some(next) };
        let next = record.outgoing(if count > 0 { PAGE_EVERY_S } else { 0 });
        send_one(&*job.context.parts.retries, next).await.map_err(not_sent)?;
    }
    Ok(())
}

/// The endpoint is silent again: what waits since `since` is brought back when it answers the next
/// time.
async fn remember(job: &Job, endpoint: &Endpoint, since: Timestamp) -> Result<(), NotDone> {
    let note = |endpoint: &mut Endpoint| {
        if let Some(open) = endpoint.circuit.as_mut().and_then(|circuit| circuit.open.as_mut()) {
            open.waiting_since = Some(open.waiting_since.map_or(since, |old| old.min(since)));
        }
    };
    let editor = &job.context.parts.editor;
    match editor.edit_endpoint(&endpoint.app, &endpoint.id, job.now(), note).await? {
        Edited::Done(_) | Edited::Gone | Edited::UidTaken => Ok(()),
    }
}

fn not_sent(error: QueueError) -> NotDone {
    NotDone::Failed(error.to_string())
}

/// Whether it may come before its time: not if its endpoint's rate has kept a moment for it.
fn may_come(delivery: &Delivery) -> bool {
    !delivery.by_hand && delivery.pending().is_some_and(|pending| !pending.counted)
}
