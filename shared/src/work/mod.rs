//! Works on background tasks: admin, which begins one when it is asked for, and retry, which
//! carries on with what is left.
//!
//! The cast: a [`Worker`] takes a task by moving its due time forward, does a step (a page of
//! history, say), stores the cursor, and goes on until its time is up; then the task is due at
//! once. If the worker dies, the task is due when its claim runs out. Either way the next one
//! begins where the cursor stands.
//!
//! A step that is done twice sends nothing twice: a delivery is opened or reopened under a
//! condition that only one can win, and a message that is sent again as a whole has an attempt
//! id that is made of the task and the message.
//!
//! Not guaranteed: that a task sees what was written in the second before it (DynamoDB's
//! indexes lag); that a resend which a dead worker put in the queue and its successor puts
//! there once more is sent once, if the queue is so far behind (35 s) that both are received
//! together.

use std::sync::Arc;

use bytes::Bytes;
use tracing::{error, info, warn};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::delivery::LEASE_MS;
use crate::domain::id::{OrganisationId, TaskId};
use crate::domain::notice::Notice;
use crate::domain::task::{Status, Task, Work};
use crate::queue::{Producer, QueueError};
use crate::store::table::{Table, Write};
use crate::store::{
    Deliveries, Directory, Eraser, HeldTask, History, Inbox, Notices, StoreError, Tasks,
};

mod broadcast;
mod in_flight;
mod purge;
mod replay;
mod stats;

pub use in_flight::{InFlight, Met, Sending};

/// How long a worker has a task for itself after each step, in milliseconds: longer than any
/// function that works on tasks may run.
const CLAIM_MS: u64 = 120_000;
/// How long the request that asks for a task is held up by it, in milliseconds.
const FIRST_PART_MS: u64 = 5_000;
/// Most steps of that first part.
const FIRST_PART_STEPS: usize = 10;
/// Most steps in one go.
const MAX_STEPS: usize = 500;
/// Seconds before a second copy of a resend can be received: as long as a dispatcher may be busy
/// with the first.
const SECOND_COPY_DELAY_S: u32 = (LEASE_MS / 1000) as u32;
/// Failures in a row after which a task is given up.
const MAX_FAILURES: u32 = 10;

/// Works on background tasks.
#[derive(Clone)]
pub struct Worker {
    tasks: Tasks,
    history: History,
    deliveries: Deliveries,
    eraser: Eraser,
    directory: Directory,
    notices: Notices,
    inbox: Inbox,
    deliveries_queue: Arc<dyn Producer>,
    retries: Arc<dyn Producer>,
    in_flight: Option<InFlight>,
    ambient: Ambient,
}

/// Why a step could not be done.
struct Trouble(String);

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<QueueError> for Trouble {
    fn from(error: QueueError) -> Self {
        Self(error.to_string())
    }
}

/// What a turn at a task came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was not due.
    None,
    /// There is more to do, and it may be done at once.
    More,
    /// It is over, or has to wait for another run.
    Over,
}

/// Whether a step was the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    More,
    Last,
}

impl Worker {
    /// A worker on this table, with both queues.
    pub fn new(
        table: Arc<dyn Table>,
        deliveries_queue: Arc<dyn Producer>,
        retries: Arc<dyn Producer>,
        ambient: Ambient,
    ) -> Self {
        Self {
            tasks: Tasks::new(table.clone()),
            history: History::new(table.clone()),
            deliveries: Deliveries::new(table.clone()),
            eraser: Eraser::new(table.clone()),
            directory: Directory::new(table.clone()),
            notices: Notices::new(table.clone(), ambient.clone(), 0),
            inbox: Inbox::new(table),
            deliveries_queue,
            retries,
            in_flight: None,
            ambient,
        }
    }

    /// The same in the process that does all the dispatching: it knows what is being sent, and
    /// need not wait for what might be.
    #[must_use]
    pub fn beside(self, in_flight: InFlight) -> Self {
        Self { in_flight: Some(in_flight), ..self }
    }

    /// The tasks that it works on.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Stores a task and does the first part of it, a few seconds at most. What is left when
    /// this returns is carried on with by the sweep.
    ///
    /// # Errors
    /// When the task cannot be stored.
    pub async fn begin(
        &self,
        org: OrganisationId,
        work: Work,
        payload: Bytes,
    ) -> Result<Task, StoreError> {
        let now = self.ambient.now();
        let mut task = Task::new(TaskId::new(&self.ambient), org, work, now);
        task.payload = payload;
        task.due_at = now.plus_ms(CLAIM_MS);
        let held = self.tasks.create(task).await?;
        Ok(self.work(held, now.plus_ms(FIRST_PART_MS), FIRST_PART_STEPS, 0).await)
    }

    /// Carries on with a task that is due, until `until`: a turn of it.
    ///
    /// # Errors
    /// When the task cannot be taken.
    pub async fn carry_on(&self, id: &TaskId, until: Timestamp) -> Result<Turn, StoreError> {
        let now = self.ambient.now();
        let Some(held) = self.tasks.claim(id, now, now.plus_ms(CLAIM_MS)).await? else {
            return Ok(Turn::None);
        };
        // Whoever had it before may have died, or failed, after it sent what this step sends.
        let task = self.work(held, until, MAX_STEPS, SECOND_COPY_DELAY_S).await;
        // One whose step failed has a pause until the next run.
        let more = task.status == Status::Running && task.failures == 0;
        Ok(if more { Turn::More } else { Turn::Over })
    }

    /// Does steps until the time is up or all is done; the task as it is then.
    /// What the first step sends becomes visible after `delay_s` seconds.
    async fn work(
        &self,
        mut held: HeldTask,
        until: Timestamp,
        most_steps: usize,
        mut delay_s: u32,
    ) -> Task {
        let id = held.task.id;
        for step in 1.. {
            let mut late = step >= most_steps;
            match self.step(&mut held.task, std::mem::take(&mut delay_s)).await {
                Ok(done) => {
                    held.task.failures = 0;
                    if done == Step::Last {
                        held.task.status = Status::Finished;
                    }
                }
                Err(Trouble(reason)) => {
                    warn!(task.id = %id, reason, "a step of a task failed");
                    held.task.failures += 1;
                    if held.task.failures >= MAX_FAILURES {
                        error!(task.id = %id, reason, "gave a task up");
                        held.task.status = Status::Failed;
                    }
                    late = true;
                }
            }
            let now = self.ambient.now();
            held.task.updated_at = now;
            late |= now >= until || held.task.status != Status::Running;
            held.task.due_at = if late { now } else { now.plus_ms(CLAIM_MS) };
            let task = held.task.clone();
            let saved = match self.tidings(&task).await {
                Ok(tidings) => self.tasks.save_with(held, tidings).await,
                Err(error) => Err(error),
            };
            held = match saved {
                Ok(Some(saved)) => saved,
                // Somebody else has taken it, or will when the claim runs out.
                Ok(None) => return task,
                Err(error) => {
                    warn!(task.id = %id, %error, "cannot store how far a task has come");
                    return task;
                }
            };
            if late {
                break;
            }
        }
        info!(task.id = %id, status = ?held.task.status, "worked on a task");
        held.task
    }

    /// What the organisation is told when a task is over, to be written with its end.
    async fn tidings(&self, task: &Task) -> Result<Vec<Write>, StoreError> {
        match task.status {
            Status::Running => Ok(Vec::new()),
            Status::Finished | Status::Failed => {
                self.notices.to(&task.org, &Notice::task(task)).await
            }
        }
    }

    /// Does the next step of a task and moves its cursor on.
    async fn step(&self, task: &mut Task, delay_s: u32) -> Result<Step, Trouble> {
        match task.work.clone() {
            Work::Recover { ep, span, .. } => self.recover(task, ep, span).await,
            Work::ReplayMissing { app, ep, span } => self.replay_missing(task, app, ep, span).await,
            Work::AppStats { span, apps } => self.app_stats(task, span, &apps).await,
            Work::EventTypes {} => self.event_types(task).await,
            Work::Purge { app } => self.purge(task, app).await,
            Work::Broadcast { event } => self.broadcast(task, &event).await,
            Work::BulkReplay { app: _, ep, span, selection } => {
                self.bulk_replay(task, ep, span, &selection, delay_s).await
            }
        }
    }
}
