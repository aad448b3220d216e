//! A message that more endpoints of a wide application want than one record is for: it is cut into
//! shares, a record each, which say from which endpoint to which they go.
//!
//! Shares travel with the payload: a queue takes 64 KiB for a fifth of what reading them costs.
//! What wants the message is decided where a share is received, on its endpoints as they are then.
//! That they were cut is nowhere on record. So whoever cuts a second time, for want of knowing
//! better, marks the message first and sends second copies, which look and take leases; see
//! [`clearance`](shared::domain::delivery::clearance).
//!
//! Not guaranteed: that an endpoint of an application which ceases to be wide while it is cut a
//! second time gets the message once.

use std::sync::Arc;

use shared::domain::delivery::SECOND_COPY_DELAY_S;
use shared::domain::delivery::clearance::{Arrival, Freshness};
use shared::domain::endpoint::{Endpoint, Stretch};
use shared::domain::message::Message;
use shared::queue::MAX_BATCH;
use shared::queue::record::Record;
use shared::store::Tenant;
use tracing::info;

use crate::job::{Job, NotDone};

/// Most endpoints that a share spans, whether they want the message or not, for each that may: what
/// is read for it.
const SPAN: usize = 5;

/// Cuts a message of a wide application into shares and sends them on their way. If few enough
/// endpoints want it, and nobody can have cut it before, it is not cut: then the answer is the
/// application with its endpoints.
///
/// # Errors
/// When not all of the shares are in the queue: the record comes again.
pub(crate) async fn cut(
    job: &Job,
    message: &Arc<Message>,
    arrival: &Arrival,
) -> Result<Option<Arc<Tenant>>, NotDone> {
    let share = job.context.parts.settings.share;
    let Some(tenant) = job.whole_tenant(message.app).await? else { return Ok(None) };
    let again = arrival.freshness(job.now()) == Freshness::Repeated;
    let wants = |endpoint: &Endpoint| endpoint.wants(&message.event_type, &message.channels);
    if !again && tenant.endpoints.iter().filter(|endpoint| wants(endpoint)).count() <= share {
        return Ok(Some(tenant));
    }
    if again {
        job.context.parts.deliveries.mark_cut_again(message).await?;
    }
    let since = job.receipt.first_received_at;
    let stretches = stretches(&tenant.endpoints, share, wants);
    info!(message.id = %message.id, shares = stretches.len(), again, "cut into shares");
    let record = |stretch| {
        let message = Box::new(Message::clone(message));
        let record = Record::Share { message, stretch, since, again };
        record.outgoing(if again { SECOND_COPY_DELAY_S } else { 0 })
    };
    for some in stretches.chunks(MAX_BATCH) {
        let shares = some.iter().copied().map(record).collect();
        job.send_to_retries(shares).await?;
    }
    Ok(None)
}

/// Stretches of these endpoints with at most `share` each that want it, and no more than [`SPAN`]
/// times as many in all. Together they have all that want it.
fn stretches(
    endpoints: &[Arc<Endpoint>],
    share: usize,
    wants: impl Fn(&Endpoint) -> bool,
) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let (mut after, mut wanting, mut spanned) = (None, 0, 0);
    for (place, endpoint) in endpoints.iter().enumerate() {
        wanting += usize::from(wants(endpoint));
        spanned += 1;
        let is_last = place + 1 == endpoints.len();
        if !is_last && wanting < share && spanned < SPAN * share {
            continue;
        }
        if wanting > 0 {
            stretches.push(Stretch { after, until: Some(endpoint.id) });
        }
        (after, wanting, spanned) = (Some(endpoint.id), 0, 0);
    }
    stretches
}
