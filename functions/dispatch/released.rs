//! What waits for an endpoint goes out before its time: once the endpoint answers again, has another
//! URL or is enabled anew; or when its rate is raised or lifted, or its application's. Then the
//! moments to come that the rate has given out are forgotten, and what waits for one asks anew.
//!
//! It is found in the endpoint's list, a page a second. What is released twice, or comes by its own
//! record as well, is sent once: the second finds it under a lease, or over.
//!
//! An endpoint that falls silent again before all has been released has it noted in its circuit
//! since when more waits.
//!
//! Not guaranteed: order; nor that what was put off on an older state of the endpoint, while all else
//! was released, comes with it; nor anything more once the endpoint is disabled in the middle; nor
//! what waits for a rate and was published more than a day before that was raised; nor that a raised
//! rate, or the one beside it whose moments were forgotten with it, is kept while what
//! had an attempt, or was asked for by hand, comes at the moments of before.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, EndpointId};
use shared::queue::record::Record;
use shared::queue::{Outgoing, send_one};
use shared::store::Look;
use tracing::info;

use crate::awaited::may_come;
use crate::cleared;
use crate::job::{Job, NotDone};

/// Lines of the endpoint's list that one record has looked through.
const PAGE: usize = 500;
/// After a page of which something was released, in seconds: an endpoint that has just come back is
/// not flooded.
const PAGE_EVERY_S: u32 = 1;
/// Deliveries that are put off anew, and rates whose moments are forgotten, at once.
const AT_ONCE: usize = 16;

/// What is released of what waits for endpoints of an application.
#[derive(Clone, Copy)]
pub(crate) struct Release {
    pub(crate) app: ApplicationId,
    /// Also what waits for a moment that a rate has kept for it.
    pub(crate) raised: bool,
    /// What was published from then on.
    pub(crate) since: Timestamp,
    /// What was published later is not.
    pub(crate) until: Timestamp,
}

/// Releases a page of what waits for an endpoint, and sends a record for the next one. Without
/// an endpoint it sends a record for each of them.
///
/// # Errors
/// When not all of it is in the queue: the record comes again.
pub(crate) async fn release(
    job: &Job,
    release: Release,
    ep: Option<EndpointId>,
    from: Option<String>,
) -> Result<(), NotDone> {
    let mut ep = ep;
    if release.raised && from.is_none() {
        let tenant = job.tenant(release.app).await?;
        let is_rated = tenant.is_some_and(|it| it.application.throttle_rate.is_some());
        if !forgets(job, &release, ep, is_rated).await? {
            return Ok(());
        }
        // Who asked its application's rate alone would be put behind everybody else: all ask anew.
        ep = ep.filter(|_| !is_rated);
    }
    match ep {
        Some(ep) => release_page(job, release, ep, from).await,
        None => release_each(job, release).await,
    }
}

/// Forgets the moments to come that a rate has given out: an endpoint's, its application's, or both
/// where that has one, too. Whether somebody may wait for one.
async fn forgets(
    job: &Job,
    release: &Release,
    ep: Option<EndpointId>,
    is_rated: bool,
) -> Result<bool, NotDone> {
    // Who had this record before may have forgotten them.
    let mut may_wait = job.receipt.receive_count > 1;
    let rates = &job.context.parts.rates;
    if let Some(ep) = ep {
        may_wait |= rates.forget(&ep.to_string(), job.now()).await?;
        if !may_wait || !is_rated {
            return Ok(may_wait);
        }
    }
    may_wait |= rates.forget(&release.app.to_string(), job.now()).await?;
    Ok(may_wait)
}

async fn release_each(job: &Job, release: Release) -> Result<(), NotDone> {
    let Release { app, raised, since, until } = release;
    let Some(tenant) = job.whole_tenant(app).await? else { return Ok(()) };
    // An endpoint asks anew for its own rate, too, and not behind what it gives up.
    let rated =
        tenant.endpoints.iter().filter(|endpoint| raised && endpoint.throttle_rate.is_some());
    let rated: Vec<EndpointId> = rated.map(|endpoint| endpoint.id).collect();
    let forgotten = rated
        .into_iter()
        .map(async |ep| job.context.parts.rates.forget(&ep.to_string(), job.now()).await);
    stream::iter(forgotten).buffer_unordered(AT_ONCE).try_collect::<Vec<bool>>().await?;
    let records = tenant.endpoints.iter().map(|endpoint| {
        // With a beginning: the moments have been forgotten.
        let (ep, from) = (Some(endpoint.id), Some(Look::start(since)));
        Record::Release { app, ep, raised, since, until, from }.outgoing(0)
    });
    job.send_to_retries(records.collect()).await
}

async fn release_page(
    job: &Job,
    release: Release,
    ep: EndpointId,
    from: Option<String>,
) -> Result<(), NotDone> {
    let Release { app, raised, since, until } = release;
    let Some(tenant) = job.tenant_with(app, ep).await? else { return Ok(()) };
    let Some(endpoint) = tenant.endpoint_by_id(&ep) else { return Ok(()) };
    if endpoint.disabled {
        return Ok(());
    }
    if endpoint.unanswered_since().is_some() {
        // What waits for a rate finds out for itself.
        return if raised { Ok(()) } else { remember(job, endpoint, since).await };
    }
    let look = job.context.parts.deliveries.unattempted(&ep, (since, until), from, PAGE).await?;
    let mut count = 0;
    if raised {
        let mut asking = Vec::new();
        for found in look.deliveries.iter().filter(|found| has_moment(&found.value)) {
            asking.push(cleared::put_off(job, found, job.now()));
        }
        count += asking.len();
        stream::iter(asking).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    }
    let ready = look.deliveries.iter().filter(|found| may_come(&found.value));
    let records: Vec<Outgoing> = ready
        .map(|found| Record::Retry { app, msg: found.value.msg, ep, attempt: 1 }.outgoing(0))
        .collect();
    count += records.len();
    job.send_to_retries(records).await?;
    if count > 0 {
        info!(endpoint.id = %ep, count, "released what waited for it");
    }
    // Last: a page that comes again must not send it twice.
    if let Some(next) = look.next {
        let record = Record::Release { app, ep: Some(ep), raised, since, until, from: Some(next) };
        let next = record.outgoing(if count > 0 { PAGE_EVERY_S } else { 0 });
        send_one(&*job.context.parts.retries, next).await?;
    }
    Ok(())
}

/// The endpoint is silent again: what waits since `since` is released when it answers the next time.
async fn remember(job: &Job, endpoint: &Endpoint, since: Timestamp) -> Result<(), NotDone> {
    let note = |endpoint: &mut Endpoint| {
        if let Some(open) = endpoint.circuit.as_mut().and_then(|circuit| circuit.open.as_mut()) {
            open.waiting_since = Some(open.waiting_since.map_or(since, |old| old.min(since)));
        }
    };
    let editor = &job.context.parts.editor;
    editor.edit_endpoint(&endpoint.app, &endpoint.id, job.now(), note).await?;
    Ok(())
}

/// Whether a rate has kept a moment for it.
fn has_moment(delivery: &Delivery) -> bool {
    !delivery.by_hand && delivery.pending().is_some_and(|pending| pending.counted)
}
