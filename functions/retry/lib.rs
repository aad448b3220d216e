//! Third stage of the trip: what is due goes back into the queue, what died comes back to life.
//!
//! The cast: [`Sweeper`] runs on a schedule. It walks the `due` index a minute ahead, *claims*
//! each delivery by moving its due time forward, and sends its retry with the delay that
//! remains, so a schedule of one minute gives retries to the second. Messages that were published
//! for a later time stand in the same index and go out the same way. It then empties the
//! dead-letter queues: a record goes back once; one that dies again is parked with its reason,
//! where the operator finds it. Background tasks that were begun elsewhere stand in the same
//! index; it carries on with them in the time that is left.
//!
//! Runs may overlap: a claim that somebody else made is simply lost, and a record that is
//! redriven twice is recognised by dispatch. A run that dies between claim and send leaves a
//! delivery that is due again when its claim runs out.
//!
//! Not guaranteed: that a retry comes earlier than the sweep after it became due; order.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use shared::domain::clock::{Ambient, Timestamp};
use shared::domain::id::TaskId;
use shared::domain::metrics::{Metric, Metrics};
use shared::queue::record::{Record, delay_until, redriven};
use shared::queue::{Consumer, MAX_BATCH, Outgoing, Producer, Received, send_all, send_one};
use shared::store::keys::DUE_SHARDS;
use shared::store::{
    Claimed, Deliveries, Due, HeldBack, Leased, Parked, Parking, QUEUE_GRACE_MS, StoreError,
    Waiting,
};
use shared::work::Worker;
use tracing::{error, info, instrument, warn};

/// Deliveries that are read from a shard at once.
const PAGE: usize = 100;
/// Records that one run takes from a dead-letter queue at the most.
const MAX_REDRIVEN: usize = 1000;
/// Times that a record is redriven before it is parked.
const MAX_REDRIVES: u32 = 1;
/// How long a run works on background tasks, in milliseconds.
const TASKS_MS: u64 = 20_000;
/// Time that is kept for ending in order, in milliseconds.
const WRAP_UP_MS: u64 = 5_000;

/// A queue whose dead records are brought back.
#[derive(Clone)]
pub struct Redrive {
    /// What operators call it.
    pub name: &'static str,
    /// Where its dead records are.
    pub dead_letters: Arc<dyn Consumer>,
    /// Where they go.
    pub queue: Arc<dyn Producer>,
}

/// The retry function.
#[derive(Clone)]
pub struct Sweeper {
    /// Finds and claims what is due.
    pub deliveries: Deliveries,
    /// The deliveries queue, for messages whose time has come.
    pub accepted: Arc<dyn Producer>,
    /// The retries queue.
    pub retries: Arc<dyn Producer>,
    /// Queues with dead-letter queues.
    pub redrives: Vec<Redrive>,
    /// Keeps what dies twice.
    pub parking: Parking,
    /// Carries on with background tasks.
    pub worker: Worker,
    /// Hears what happened.
    pub metrics: Arc<dyn Metrics>,
    /// Time and randomness.
    pub ambient: Ambient,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Retries sent.
    pub enqueued: usize,
    /// Deliveries that somebody else claimed first.
    pub lost: usize,
    /// Dead records that went back into their queue.
    pub redriven: usize,
    /// Dead records that were parked.
    pub parked: usize,
    /// Messages whose time has come.
    pub released: usize,
    /// Background tasks that were carried on with.
    pub tasks: usize,
    /// Things that failed; the next run tries them again.
    pub failed: usize,
}

impl Sweeper {
    /// One run. `deadline` is when the invocation will be cut off.
    #[instrument(name = "sweep", skip_all)]
    pub async fn run(&self, deadline: Option<Timestamp>) -> Report {
        let mut report = Report::default();
        let mut tasks = BTreeSet::new();
        let mut oldest = Some(self.ambient.now());
        for shard in 0..DUE_SHARDS {
            if self.is_late(deadline) {
                oldest = None;
                break;
            }
            let due_since = self.sweep(shard, deadline, &mut tasks, &mut report).await;
            oldest = oldest.min(due_since);
        }
        if let Some(oldest) = oldest {
            self.metrics.add(Metric::SweepLag, self.ambient.now().since(oldest) / 1000);
        }
        for redrive in &self.redrives {
            self.redrive(redrive, deadline, &mut report).await;
        }
        self.carry_on(tasks, deadline, &mut report).await;
        info!(
            enqueued = report.enqueued,
            lost = report.lost,
            redriven = report.redriven,
            parked = report.parked,
            released = report.released,
            tasks = report.tasks,
            failed = report.failed,
            "sweep"
        );
        report
    }

    /// Claims and sends everything of one shard that is due, and collects its tasks. Since when
    /// the oldest of it was due, or the present; `None` if that could not be read.
    async fn sweep(
        &self,
        shard: u32,
        deadline: Option<Timestamp>,
        tasks: &mut BTreeSet<TaskId>,
        report: &mut Report,
    ) -> Option<Timestamp> {
        let mut oldest = None;
        while !self.is_late(deadline) {
            let now = self.ambient.now();
            let due = match self.deliveries.due(shard, now, PAGE).await {
                Ok(due) => due,
                Err(error) => {
                    error!(shard, %error, "cannot read what is due");
                    report.failed += 1;
                    return oldest;
                }
            };
            // The first page begins with the oldest.
            oldest = oldest.or(Some(due.iter().filter_map(due_since).fold(now, Timestamp::min)));
            let full = due.len() == PAGE;
            let released = report.released;
            let mut retries = Vec::with_capacity(due.len());
            for found in due {
                match found {
                    Due::Retry(found) => retries.push(*found),
                    Due::Postponed(held) => self.release(*held, report).await,
                    Due::Task(id) => {
                        tasks.insert(id);
                    }
                }
            }
            let claimed = self.claim(retries, report).await;
            let sent = self.send(claimed, report).await;
            // The index lags behind the claims, and what could not be sent is due again: a page
            // that brought nothing is read by another run.
            if !full || sent + report.released == released {
                return oldest;
            }
        }
        oldest
    }

    /// Puts a message in the queue whose time comes soon. It says that it comes again, so that
    /// dispatch looks whether it was called off or sent before.
    async fn release(&self, held: HeldBack, report: &mut Report) {
        let id = held.postponed.msg;
        match self.try_release(held).await {
            Ok(true) => report.released += 1,
            Ok(false) => report.lost += 1,
            Err(reason) => {
                warn!(message.id = %id, reason, "cannot release a message");
                report.failed += 1;
            }
        }
    }

    async fn try_release(&self, held: HeldBack) -> Result<bool, String> {
        let now = self.ambient.now();
        let trouble = |error: StoreError| error.to_string();
        let claimed = self.deliveries.claim_postponed(&held, now).await.map_err(trouble)?;
        let Some(claimed) = claimed else { return Ok(false) };
        let message =
            self.deliveries.message(&claimed.postponed.msg, now).await.map_err(trouble)?;
        if let Some(message) = message {
            let record = Record::Accepted { message: Box::new(message), again: true };
            let outgoing = record.outgoing(delay_until(claimed.postponed.at, now));
            send_one(&*self.accepted, outgoing).await.map_err(|error| error.to_string())?;
        }
        // If this is lost, the message was called off meanwhile: dispatch will find out.
        self.deliveries.end_waiting(&claimed, Waiting::Over).await.map_err(trouble)?;
        Ok(true)
    }

    /// Works on tasks for a while. What is left is due at the next run.
    async fn carry_on(
        &self,
        tasks: BTreeSet<TaskId>,
        deadline: Option<Timestamp>,
        report: &mut Report,
    ) {
        let until = self.ambient.now().plus_ms(TASKS_MS);
        let until = deadline.map_or(until, |deadline| until.min(deadline.minus_ms(WRAP_UP_MS)));
        let turns = self.worker.take_turns(tasks, until).await;
        report.tasks += turns.worked;
        report.failed += turns.failed;
    }

    async fn claim(&self, due: Vec<Leased>, report: &mut Report) -> Vec<Leased> {
        let mut claimed = Vec::with_capacity(due.len());
        for found in due {
            let next = found.delivery.next_at.max(self.ambient.now());
            match self.deliveries.claim(&found, next.plus_ms(QUEUE_GRACE_MS)).await {
                Ok(Claimed::Mine(mine)) => claimed.push(mine),
                Ok(Claimed::Theirs) => report.lost += 1,
                Err(error) => {
                    warn!(message.id = %found.delivery.msg, %error, "cannot claim");
                    report.failed += 1;
                }
            }
        }
        claimed
    }

    /// Sends what was claimed; how much of it is in the queue.
    async fn send(&self, claimed: Vec<Leased>, report: &mut Report) -> usize {
        let now = self.ambient.now();
        let mut in_queue = 0;
        let records: Vec<Outgoing> = claimed
            .iter()
            .map(|Leased { delivery, .. }| {
                let (app, msg, ep) = (delivery.app, delivery.msg, delivery.ep);
                let record = Record::Retry { app, msg, ep, attempt: delivery.attempts + 1 };
                record.outgoing(delay_until(delivery.next_at, now))
            })
            .collect();
        for (claim, sent) in claimed.iter().zip(send_all(&*self.retries, records).await) {
            let Err(error) = sent else {
                in_queue += 1;
                continue;
            };
            warn!(message.id = %claim.delivery.msg, %error, "cannot send a retry");
            report.failed += 1;
            // Due again at once; if even that fails, when the claim runs out.
            if let Err(error) = self.deliveries.claim(claim, now).await {
                warn!(message.id = %claim.delivery.msg, %error, "cannot give a claim back");
            }
        }
        report.enqueued += in_queue;
        in_queue
    }

    /// Brings dead records back, or parks them.
    async fn redrive(&self, redrive: &Redrive, deadline: Option<Timestamp>, report: &mut Report) {
        let mut taken = 0;
        while taken < MAX_REDRIVEN && !self.is_late(deadline) {
            let dead = match redrive.dead_letters.receive(MAX_BATCH, 0).await {
                Ok(dead) if dead.is_empty() => return,
                Ok(dead) => dead,
                Err(error) => {
                    error!(queue = redrive.name, %error, "cannot read the dead-letter queue");
                    report.failed += 1;
                    return;
                }
            };
            taken += dead.len();
            let mut handled = Vec::with_capacity(dead.len());
            for record in dead {
                if self.revive(redrive, &record, report).await {
                    handled.push(record.receipt);
                }
            }
            if handled.is_empty() {
                return;
            }
            if let Err(error) = redrive.dead_letters.delete(&handled).await {
                // They come again, and dispatch finds what is on record.
                warn!(queue = redrive.name, %error, "cannot delete from the dead-letter queue");
                report.failed += 1;
                return;
            }
        }
    }

    /// Sends one dead record back or parks it; whether it may be deleted.
    async fn revive(&self, redrive: &Redrive, record: &Received, report: &mut Report) -> bool {
        let reason = match redriven(&record.body, 0) {
            Ok((outgoing, redrives)) if redrives < MAX_REDRIVES => {
                return match send_one(&*redrive.queue, outgoing).await {
                    Ok(()) => {
                        report.redriven += 1;
                        true
                    }
                    Err(error) => {
                        warn!(queue = redrive.name, record.id, %error, "cannot redrive");
                        report.failed += 1;
                        false
                    }
                };
            }
            Ok((_, redrives)) => format!(
                "could not be processed, and not either after it was redriven {redrives} time(s); \
                 the log of the dispatch function tells why"
            ),
            Err(reason) => reason,
        };
        error!(queue = redrive.name, record.id, reason, "parked a record");
        let parked = Parked {
            id: record.id.clone(),
            queue: redrive.name.to_owned(),
            reason,
            at: self.ambient.now(),
            body: record.body.clone(),
        };
        match self.parking.park(&parked).await {
            Ok(()) => {
                report.parked += 1;
                true
            }
            Err(error) => {
                warn!(queue = redrive.name, record.id, %error, "cannot park");
                report.failed += 1;
                false
            }
        }
    }

    fn is_late(&self, deadline: Option<Timestamp>) -> bool {
        deadline.is_some_and(|deadline| deadline.since(self.ambient.now()) < WRAP_UP_MS)
    }
}

/// Tasks are left out: they are carried on with for as long as there is time, and no longer.
fn due_since(due: &Due) -> Option<Timestamp> {
    match due {
        Due::Retry(found) => Some(found.delivery.due_at),
        Due::Postponed(held) => Some(held.postponed.due_at),
        Due::Task(_) => None,
    }
}
