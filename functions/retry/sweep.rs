//! What is due: claimed, and sent on its way. All shards are walked side by side, so that a long
//! one keeps none of the others waiting; and in a shard with a long backlog what has come due
//! lately is walked beside it, so that a bad hour of some is not one of everybody.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use futures_util::future::join_all;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::machine::{Effect, Event};
use shared::domain::delivery::scheduled::ScheduledMessage;
use shared::domain::delivery::{Delivery, LEASE_MS};
use shared::domain::id::TaskId;
use shared::queue::record::{Record, delay_until};
use shared::queue::{MAX_BATCH, Outgoing, send_all};
use shared::store::table::Position;
use shared::store::{Advanced, Due, StoreError, Versioned, keys, keys::Key};
use tokio::sync::Semaphore;
use tracing::{error, warn};

use crate::patience::{PAGE, Patience};
use crate::{Part, Report, Sweeper};

/// What has come due within this is walked beside what was due before, in milliseconds: what one
/// run could not claim the next two find here.
const LATELY_MS: u64 = 3 * 60_000;

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

/// Things that were claimed, with their records, and those that the store would not have claimed.
struct Claimed<T> {
    held: Vec<Versioned<T>>,
    records: Vec<Outgoing>,
    refused: Vec<Versioned<T>>,
}

/// What came of some things that are due.
struct Round {
    /// How many are due no longer.
    moved: usize,
    /// Those that may be claimed in a moment.
    refused: Vec<Due>,
}

/// One walk over the index. Its turns are given in the order in which they are asked for, so a
/// shard with much to do leaves the others theirs.
struct Walk<'a> {
    sweeper: &'a Sweeper,
    reads: Semaphore,
    calls: Semaphore,
}

/// A stretch of a shard, and how far it has been walked.
struct Stretch<'a> {
    shard: u32,
    span: RangeInclusive<Timestamp>,
    after: Option<Position>,
    until: Option<Timestamp>,
    patience: Patience<'a>,
}

impl<'a> Stretch<'a> {
    fn new(
        sweeper: &'a Sweeper,
        shard: u32,
        span: RangeInclusive<Timestamp>,
        until: Option<Timestamp>,
    ) -> Self {
        let patience = Patience::until(sweeper, until);
        Self { shard, span, after: None, until, patience }
    }
}

/// Some of what is due in a stretch, and where there is more.
struct Page {
    due: Vec<Due>,
    next: Option<Position>,
}

impl Page {
    /// Whether there is more that was due before then.
    fn is_before(&self, then: Timestamp) -> bool {
        let then = keys::due_sk(then);
        self.next.as_ref().is_some_and(|next| next.index_key.sk < then)
    }
}

/// Claims and sends everything in this part that is due, until `until`.
pub(crate) async fn run(sweeper: &Sweeper, part: Part, until: Option<Timestamp>) -> Swept {
    let walk = Walk {
        sweeper,
        reads: Semaphore::new(sweeper.concurrency.reads),
        calls: Semaphore::new(sweeper.concurrency.calls),
    };
    let shards = join_all(part.shards().map(|shard| walk.sweep(shard, until))).await;
    let mut all = Swept { oldest: Some(sweeper.ambient.now()), ..Swept::default() };
    for swept in shards {
        all.report.add(swept.report);
        all.tasks.extend(swept.tasks);
        all.oldest = all.oldest.min(swept.oldest);
    }
    all
}

impl Walk<'_> {
    async fn sweep(&self, shard: u32, until: Option<Timestamp>) -> Swept {
        let now = self.sweeper.ambient.now();
        let lately = now.minus_ms(LATELY_MS);
        let mut whole = Stretch::new(self.sweeper, shard, Timestamp(0)..=now, until);
        let mut swept = Swept::default();
        let Some(first) = self.read(&mut whole, &mut swept).await else { return swept };
        // The first page begins with the oldest.
        swept.oldest = Some(first.due.iter().filter_map(due_since).fold(now, Timestamp::min));
        if !first.is_before(lately) {
            self.walk(first, whole, &mut swept).await;
            return swept;
        }
        whole.span = Timestamp(0)..=lately.minus_ms(1);
        let recent = async {
            let mut recent = Stretch::new(self.sweeper, shard, lately..=now, until);
            let mut swept = Swept::default();
            if let Some(page) = self.read(&mut recent, &mut swept).await {
                self.walk(page, recent, &mut swept).await;
            }
            swept
        };
        let ((), recent) = tokio::join!(self.walk(first, whole, &mut swept), recent);
        swept.report.add(recent.report);
        swept.tasks.extend(recent.tasks);
        swept
    }

    /// The next page of a stretch. `None` when it cannot be read, or there is no time left.
    async fn read(&self, stretch: &mut Stretch<'_>, swept: &mut Swept) -> Option<Page> {
        let (sweeper, shard) = (self.sweeper, stretch.shard);
        loop {
            // When it is its turn there may be no time left.
            let read = turn(&self.reads, async {
                let (span, after) = (stretch.span.clone(), stretch.after.clone());
                match sweeper.is_late(stretch.until) {
                    true => None,
                    false => Some(sweeper.deliveries.due(shard, span, PAGE, after).await),
                }
            });
            match read.await? {
                Ok((due, next)) => return Some(Page { due, next }),
                Err(error) if error.is_passing() && stretch.patience.pause().await => {}
                Err(error) => {
                    error!(shard, %error, "cannot read what is due");
                    swept.report.failed += 1;
                    return None;
                }
            }
        }
    }

    /// Does what there is to do about a stretch, from this page of it on.
    async fn walk(&self, first: Page, mut stretch: Stretch<'_>, swept: &mut Swept) {
        let mut page = Some(first);
        while let Some(Page { due, next }) = page {
            let failed = swept.report.failed;
            let moved = self.act_patiently(due, swept, &mut stretch.patience).await;
            // Where nothing but failures came of a page, another run may have more luck.
            let is_vain = moved == 0 && swept.report.failed > failed;
            stretch.after = next.filter(|_| !is_vain);
            page = match stretch.after {
                Some(_) => self.read(&mut stretch, swept).await,
                None => None,
            };
        }
    }

    /// Does what there is to do about a page, again for what the store refuses to claim; how much
    /// of it is due no longer. What is claimed is sent before anything is waited for.
    async fn act_patiently(
        &self,
        due: Vec<Due>,
        swept: &mut Swept,
        patience: &mut Patience<'_>,
    ) -> usize {
        let (mut left, mut moved) = (due, 0);
        while !left.is_empty() {
            let rest = left.split_off(patience.width().min(left.len()));
            let Round { moved: taken, refused } = self.act(left, swept).await;
            moved += taken;
            patience.learn(taken, refused.len());
            let is_over = !refused.is_empty() && !patience.pause().await;
            // What is refused comes last, so that it keeps nothing else waiting.
            left = rest;
            left.extend(refused);
            if is_over {
                swept.report.failed += left.len();
                break;
            }
        }
        moved
    }

    /// Does what there is to do about some things, once.
    async fn act(&self, due: Vec<Due>, swept: &mut Swept) -> Round {
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
        let aside = self.set_aside(unreadable, &mut swept.report).await;
        let (sent, deliveries) = self.send_deliveries(deliveries, &mut swept.report).await;
        let (released, scheduled) = self.release(scheduled, &mut swept.report).await;
        let deliveries = deliveries.into_iter().map(|found| Due::Delivery(Box::new(found)));
        let scheduled = scheduled.into_iter().map(|found| Due::Scheduled(Box::new(found)));
        Round { moved: aside + sent + released, refused: deliveries.chain(scheduled).collect() }
    }

    /// Moves what cannot be read out of the way; how much of it is due no longer.
    async fn set_aside(&self, unreadable: Vec<Key>, report: &mut Report) -> usize {
        let moves = unreadable.iter().map(async |key| {
            error!(pk = key.pk, sk = key.sk, "cannot read something that is due: set aside");
            let (deliveries, now) = (&self.sweeper.deliveries, self.sweeper.ambient.now());
            let moved = turn(&self.calls, deliveries.set_aside(key, now)).await;
            moved.inspect_err(|error| warn!(%error, "cannot set it aside"))
        });
        report.failed += unreadable.len();
        join_all(moves).await.iter().filter(|moved| moved.is_ok()).count()
    }

    /// Claims things side by side.
    async fn claim_all<T: Clone, C>(
        &self,
        due: Vec<Versioned<T>>,
        claim: impl Fn(Versioned<T>) -> C,
        report: &mut Report,
    ) -> Claimed<T>
    where
        C: Future<Output = Result<Option<Claim<T>>, StoreError>>,
    {
        let claims = due.iter().map(|found| turn(&self.calls, claim(found.clone())));
        let claims = join_all(claims).await;
        let mut claimed = Claimed { held: Vec::new(), records: Vec::new(), refused: Vec::new() };
        for (found, claim) in due.into_iter().zip(claims) {
            match claim {
                Ok(Some(claim)) => {
                    claimed.held.push(claim.held);
                    claimed.records.push(claim.outgoing);
                }
                Ok(None) => report.lost += 1,
                Err(error) if error.is_passing() => {
                    warn!(%error, "what is due is not claimed yet");
                    claimed.refused.push(found);
                }
                Err(error) => {
                    warn!(%error, "cannot claim what is due");
                    report.failed += 1;
                }
            }
        }
        claimed
    }

    /// Puts the next attempts of deliveries in the queue; how many of them are due no longer, and
    /// those that the store refused to claim.
    async fn send_deliveries(
        &self,
        due: Vec<Versioned<Delivery>>,
        report: &mut Report,
    ) -> (usize, Vec<Versioned<Delivery>>) {
        let sweeper = self.sweeper;
        let Claimed { held, records, refused } =
            self.claim_all(due, |found| claim(sweeper, found), report).await;
        let sent = send_all(&*sweeper.retries, records).await;
        let count = sent.len();
        let ends = held.iter().zip(sent).filter_map(|(held, sent)| Some((held, sent.err()?)));
        let unsent = ends.map(async |(held, error)| {
            warn!(message.id = %held.value.msg, %error, "cannot send a retry");
            // Due again at once; if even that fails, when the claim runs out.
            let now = sweeper.ambient.now();
            let given_back = sweeper.deliveries.advance(held, Event::Unclaimed, now);
            if let Err(error) = turn(&self.calls, given_back).await {
                warn!(message.id = %held.value.msg, %error, "cannot give a claim back");
            }
        });
        let unsent = join_all(unsent).await.len();
        report.failed += unsent;
        report.enqueued += count - unsent;
        (count - unsent, refused)
    }

    /// Puts messages in the queue whose time comes soon; how many of them are due no longer, and
    /// those that the store refused to claim. A batch at a time: each is held with its payload from
    /// when it is claimed to when it is sent, and a page of the largest has 35 MB.
    async fn release(
        &self,
        due: Vec<Versioned<ScheduledMessage>>,
        report: &mut Report,
    ) -> (usize, Vec<Versioned<ScheduledMessage>>) {
        let (mut released, mut refused) = (0, Vec::new());
        let mut due = due.into_iter();
        loop {
            let batch: Vec<_> = due.by_ref().take(MAX_BATCH).collect();
            if batch.is_empty() {
                return (released, refused);
            }
            let (sent, others) = self.release_batch(batch, report).await;
            released += sent;
            refused.extend(others);
        }
    }

    async fn release_batch(
        &self,
        due: Vec<Versioned<ScheduledMessage>>,
        report: &mut Report,
    ) -> (usize, Vec<Versioned<ScheduledMessage>>) {
        let sweeper = self.sweeper;
        let claim = |found| claim_scheduled(sweeper, found);
        let Claimed { held, records, refused } = self.claim_all(due, claim, report).await;
        let sent = send_all(&*sweeper.accepted, records).await;
        let ends = held.into_iter().zip(sent).map(async |(held, sent)| {
            let in_queue = sent.is_ok();
            if let Err(error) = sent {
                warn!(message.id = %held.value.msg, %error, "cannot release a message");
            }
            turn(&self.calls, end_release(sweeper, held, in_queue)).await;
            in_queue
        });
        let ends = join_all(ends).await;
        let released = ends.iter().filter(|in_queue| **in_queue).count();
        report.released += released;
        report.failed += ends.len() - released;
        (released, refused)
    }
}

/// Does this when it is its turn.
async fn turn<T>(turns: &Semaphore, work: impl Future<Output = T>) -> T {
    // Nobody closes it.
    let _turn = turns.acquire().await;
    work.await
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

/// Claims a scheduled message. If another sweep had it before, its record says that it may come
/// again, and comes when the first attempt of the other one's record is over: that one takes no
/// lease.
async fn claim_scheduled(
    sweeper: &Sweeper,
    found: Versioned<ScheduledMessage>,
) -> Result<Option<Claim<ScheduledMessage>>, StoreError> {
    let (deliveries, now) = (&sweeper.deliveries, sweeper.ambient.now());
    // Before it is claimed: what was claimed and cannot be read would wait for its claim to run out.
    let Some(message) = deliveries.message(&found.value.msg, now).await? else {
        // It expired or was expunged: there is nothing to send.
        deliveries.save_scheduled(&found, found.value.released()).await?;
        return Ok(None);
    };
    let claimed = deliveries.save_scheduled(&found, found.value.claimed(now)).await?;
    let Some(held) = claimed else { return Ok(None) };
    let again = found.value.was_claimed();
    let record = Record::Accepted { message: Box::new(message), again };
    let at = match again {
        true => held.value.at.max(now).plus_ms(LEASE_MS),
        false => held.value.at,
    };
    let outgoing = record.outgoing(delay_until(at, now));
    Ok(Some(Claim { held, outgoing }))
}

/// A message is in the queue, or due again at once. If neither can be stored, or it was canceled
/// meanwhile, dispatch finds out.
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
