//! What is due: claimed, and sent on its way. All shards are walked side by side, so that a long
//! one keeps none of the others waiting.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::machine::{Effect, Event};
use shared::domain::delivery::scheduled::ScheduledMessage;
use shared::domain::delivery::{Delivery, LEASE_MS};
use shared::domain::id::TaskId;
use shared::queue::record::{Record, delay_until};
use shared::queue::{Outgoing, send_all};
use shared::store::keys::DUE_SHARDS;
use shared::store::{Advanced, Due, StoreError, Versioned};
use tracing::{error, warn};

use crate::{Report, Sweeper};

/// Things that are read from a shard at once.
const PAGE: usize = 100;
/// Calls to the store at the same time, for each shard.
const PARALLEL: usize = 16;

/// What the walk over the index came to.
#[derive(Default)]
pub(crate) struct Swept {
    pub(crate) report: Report,
    /// Background tasks that nobody works on.
    pub(crate) tasks: BTreeSet<TaskId>,
    /// Since when the oldest of what was found was due, or the present; `None` if a shard could
    /// not be read.
    pub(crate) oldest: Option<Timestamp>,
}

/// A claim, and the record to send for it.
struct Claim<T> {
    held: Versioned<T>,
    outgoing: Outgoing,
}

/// Claims and sends everything that is due, until `until`.
pub(crate) async fn run(sweeper: &Sweeper, until: Option<Timestamp>) -> Swept {
    let shards = join_all((0..DUE_SHARDS).map(|shard| sweep(sweeper, shard, until))).await;
    let mut all = Swept { oldest: Some(sweeper.ambient.now()), ..Swept::default() };
    for swept in shards {
        all.report.add(swept.report);
        all.tasks.extend(swept.tasks);
        all.oldest = all.oldest.min(swept.oldest);
    }
    all
}

async fn sweep(sweeper: &Sweeper, shard: u32, until: Option<Timestamp>) -> Swept {
    let mut swept = Swept::default();
    while !sweeper.is_late(until) {
        let now = sweeper.ambient.now();
        let due = match sweeper.deliveries.due(shard, now, PAGE).await {
            Ok(due) => due,
            Err(error) => {
                error!(shard, %error, "cannot read what is due");
                swept.report.failed += 1;
                return swept;
            }
        };
        // The first page begins with the oldest.
        let oldest = due.iter().filter_map(due_since).fold(now, Timestamp::min);
        swept.oldest = swept.oldest.or(Some(oldest));
        let full = due.len() == PAGE;
        let moved = act(sweeper, due, &mut swept).await;
        // The index lags behind the claims, and what could not be sent is due again: a page that
        // brought nothing is read by another run.
        if !full || moved == 0 {
            return swept;
        }
    }
    swept
}

/// Does what there is to do about a page; how much of it is due no longer.
async fn act(sweeper: &Sweeper, due: Vec<Due>, swept: &mut Swept) -> usize {
    let (mut deliveries, mut scheduled, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for found in due {
        match found {
            Due::Delivery(found) => deliveries.push(*found),
            Due::Scheduled(found) => scheduled.push(*found),
            Due::Unreadable(key) => unreadable.push(key),
            Due::Task(id) => {
                swept.tasks.insert(id);
            }
        }
    }
    let mut aside = 0;
    for key in unreadable {
        error!(pk = key.pk, sk = key.sk, "cannot read something that is due: set aside");
        swept.report.failed += 1;
        match sweeper.deliveries.set_aside(&key, sweeper.ambient.now()).await {
            Ok(()) => aside += 1,
            Err(error) => warn!(%error, "cannot set it aside"),
        }
    }
    let report = &mut swept.report;
    let sent = send_deliveries(sweeper, deliveries, report).await;
    let released = release(sweeper, scheduled, report).await;
    aside + sent + released
}

/// Claims things side by side: those that are ours, and their records.
async fn claim_all<T, C>(
    due: Vec<Versioned<T>>,
    claim: impl Fn(Versioned<T>) -> C,
    report: &mut Report,
) -> (Vec<Versioned<T>>, Vec<Outgoing>)
where
    C: Future<Output = Result<Option<Claim<T>>, StoreError>>,
{
    let claims: Vec<_> = stream::iter(due).map(claim).buffer_unordered(PARALLEL).collect().await;
    let mut claimed = Vec::with_capacity(claims.len());
    for claim in claims {
        match claim {
            Ok(Some(claim)) => claimed.push((claim.held, claim.outgoing)),
            Ok(None) => report.lost += 1,
            Err(error) => {
                warn!(%error, "cannot claim what is due");
                report.failed += 1;
            }
        }
    }
    claimed.into_iter().unzip()
}

async fn claim(
    sweeper: &Sweeper,
    found: Versioned<Delivery>,
) -> Result<Option<Claim<Delivery>>, StoreError> {
    let now = sweeper.ambient.now();
    let advanced = sweeper.deliveries.advance(&found, Event::Claimed, now).await?;
    let Advanced::Done { held, effects } = advanced else { return Ok(None) };
    let (app, msg, ep) = (held.value.app, held.value.msg, held.value.ep);
    let outgoing = effects.iter().find_map(|effect| match *effect {
        Effect::Enqueue { attempt, at } => {
            let record = Record::Retry { app, msg, ep, attempt };
            Some(record.outgoing(delay_until(at, now)))
        }
        Effect::Notify(_) | Effect::CountExhausted => None,
    });
    Ok(outgoing.map(|outgoing| Claim { held, outgoing }))
}

/// Puts the next attempts of deliveries in the queue; how many of them are due no longer.
async fn send_deliveries(
    sweeper: &Sweeper,
    due: Vec<Versioned<Delivery>>,
    report: &mut Report,
) -> usize {
    let (held, records) = claim_all(due, |found| claim(sweeper, found), report).await;
    let mut in_queue = 0;
    for (held, sent) in held.iter().zip(send_all(&*sweeper.retries, records).await) {
        let Err(error) = sent else {
            in_queue += 1;
            continue;
        };
        warn!(message.id = %held.value.msg, %error, "cannot send a retry");
        report.failed += 1;
        // Due again at once; if even that fails, when the claim runs out.
        let now = sweeper.ambient.now();
        if let Err(error) = sweeper.deliveries.advance(held, Event::Unclaimed, now).await {
            warn!(message.id = %held.value.msg, %error, "cannot give a claim back");
        }
    }
    report.enqueued += in_queue;
    in_queue
}

/// Puts messages in the queue whose time comes soon; how many of them are due no longer.
async fn release(
    sweeper: &Sweeper,
    due: Vec<Versioned<ScheduledMessage>>,
    report: &mut Report,
) -> usize {
    let (held, records) = claim_all(due, |found| claim_scheduled(sweeper, found), report).await;
    let sent = send_all(&*sweeper.accepted, records).await;
    let ends = stream::iter(held.into_iter().zip(sent))
        .map(|(held, sent)| async move {
            let in_queue = sent.is_ok();
            if let Err(error) = sent {
                warn!(message.id = %held.value.msg, %error, "cannot release a message");
            }
            end_release(sweeper, held, in_queue).await;
            in_queue
        })
        .buffer_unordered(PARALLEL)
        .collect::<Vec<_>>()
        .await;
    let released = ends.iter().filter(|in_queue| **in_queue).count();
    report.released += released;
    report.failed += ends.len() - released;
    released
}

/// Claims a scheduled message. If another sweep had it before, its record says that it may come
/// again, and comes when the first attempt of the other one's record is over: that one takes no
/// lease.
async fn claim_scheduled(
    sweeper: &Sweeper,
    found: Versioned<ScheduledMessage>,
) -> Result<Option<Claim<ScheduledMessage>>, StoreError> {
    let (deliveries, now) = (&sweeper.deliveries, sweeper.ambient.now());
    let claimed = deliveries.save_scheduled(&found, found.value.claimed(now)).await?;
    let Some(held) = claimed else { return Ok(None) };
    let Some(message) = deliveries.message(&held.value.msg, now).await? else {
        // It expired or was expunged: there is nothing to send.
        deliveries.save_scheduled(&held, held.value.released()).await?;
        return Ok(None);
    };
    let again = found.value.was_claimed();
    let record = Record::Accepted { message: Box::new(message), again };
    let at = match again {
        true => held.value.at.max(now).plus_ms(LEASE_MS),
        false => held.value.at,
    };
    let outgoing = record.outgoing(delay_until(at, now));
    Ok(Some(Claim { held, outgoing }))
}

/// A message is in the queue, or due again at once. If neither can be stored, or it was called
/// off meanwhile, dispatch finds out.
async fn end_release(sweeper: &Sweeper, held: Versioned<ScheduledMessage>, in_queue: bool) {
    let next = match in_queue {
        true => held.value.released(),
        false => held.value.unclaimed(sweeper.ambient.now()),
    };
    if let Err(error) = sweeper.deliveries.save_scheduled(&held, next).await {
        warn!(message.id = %held.value.msg, %error, "cannot end a release");
    }
}

/// Tasks are left out: they are carried on with for as long as there is time, and no longer.
fn due_since(due: &Due) -> Option<Timestamp> {
    match due {
        Due::Delivery(found) => found.value.pending().map(|pending| pending.due_at),
        Due::Scheduled(found) => Some(found.value.due_at),
        Due::Task(_) | Due::Unreadable(_) => None,
    }
}
