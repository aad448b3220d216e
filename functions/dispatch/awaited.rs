//! What waits for an endpoint that does not answer and had no attempt yet: one of it asks when the
//! next probe is due, and all of it is [released](crate::released) once the endpoint answers again.
//! It stands in the endpoint's list, where it is found.
//!
//! Nobody's own record depends on this: what is not appointed or released asks by itself, if later.
//! What was asked for by hand is left out: it may stand there while the attempt that it repeats is
//! under way.

use shared::domain::circuit::Open;
use shared::domain::delivery::Delivery;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::MessageId;
use shared::queue::record::{Record, delay_until};
use shared::queue::send_one;
use tracing::warn;

use crate::job::{Job, NotDone};

/// Lines of the endpoint's list that are looked through for one that waits: the last ones are of
/// what came since it fell silent, unless it had hundreds of attempts by hand.
const LAST_LINES: usize = 100;

/// Whether a delivery that waits is found when the endpoint answers again.
pub(crate) fn is_found(delivery: &Delivery, open: &Open) -> bool {
    delivery.attempts == 0
        && !delivery.by_hand
        && delivery.msg.ksuid().timestamp() >= open.releases_from()
}

/// Lets one of those that wait, another than `probe`, ask when the next probe is due. Best effort.
pub(crate) async fn appoint(job: &Job, endpoint: &Endpoint, open: &Open, probe: MessageId) {
    let appointed = async {
        let deliveries = &job.context.parts.deliveries;
        let last = deliveries.last_unattempted(&endpoint.id, LAST_LINES).await?;
        let mut waiting = last.into_iter().map(|found| found.value);
        let other = waiting.find(|found| may_come(found) && found.msg != probe);
        let Some(Delivery { app, msg, ep, .. }) = other else { return Ok::<_, NotDone>(()) };
        let delay_s = delay_until(open.probe_at, job.now());
        let record = Record::Retry { app, msg, ep, attempt: 1 }.outgoing(delay_s);
        Ok(send_one(&*job.context.parts.retries, record).await?)
    };
    if let Err(why) = appointed.await {
        warn!(endpoint.id = %endpoint.id, ?why, "nobody is told to ask when a probe is due");
    }
}

/// Has everything released that waits. Best effort.
pub(crate) async fn announce(job: &Job, endpoint: &Endpoint, open: &Open) {
    let since = open.releases_from();
    let word = Record::release(endpoint.app, endpoint.id, since, job.now());
    if let Err(error) = send_one(&*job.context.parts.retries, word).await {
        warn!(endpoint.id = %endpoint.id, %error, "what waits for it comes later");
    }
}

/// Whether it may come before its time: not if a rate has kept a moment for it.
pub(crate) fn may_come(delivery: &Delivery) -> bool {
    !delivery.by_hand && delivery.pending().is_some_and(|pending| !pending.counted)
}
