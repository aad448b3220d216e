//! Works on background tasks: admin, which begins one when it is asked for, and retry, which
//! carries on with what is left.
//!
//! The cast: a [`Worker`] takes a task by moving its due time forward, does a step (a page of
//! history, say), stores the cursor, and goes on until its turn is over; then the task is due at
//! once. If the worker dies, the task is due when its claim runs out. Either way the next one
//! begins where the cursor stands. Tasks take turns, so one that is long holds nobody up.
//!
//! A task ends as failed, with a sentence in `error`, after ten failures in a row, a worker that
//! died included; or at once when trying again cannot help: when what it has to say outgrows what
//! can be kept.
//!
//! A step that is done twice sends nothing twice: a delivery is opened or reopened under a
//! condition that only one can win, and a message that is sent again as a whole has an attempt
//! id that is made of the task and the message.
//!
//! Not guaranteed: that a task sees what was written in the second before it (DynamoDB's
//! indexes lag); that a resend which a dead worker put in the queue and its successor puts
//! there once more is sent once, if the queue is so far behind (35 s) that both are received
//! together.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tracing::{error, info, warn};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::delivery::SECOND_COPY_DELAY_S;
use crate::domain::id::{OrganisationId, TaskId};
use crate::domain::metrics::Metrics;
use crate::domain::notice::Notice;
use crate::domain::task::{Status, Task, Work};
use crate::queue::{QueueError, Queues};
use crate::store::table::Write;
use crate::store::{
    Deliveries, Directory, Eraser, History, Inbox, Listed, Notices, StoreError, Stores, Tasks,
    Versioned,
};

mod broadcast;
mod in_flight;
pub mod intake;
mod purge;
mod replay;
mod stats;

pub use in_flight::{InFlight, Met, Sending};
pub use intake::Intake;

/// How long a worker has a task for itself after each step, in milliseconds: longer than any
/// function that works on tasks may run.
const CLAIM_MS: u64 = 120_000;
/// How long the request that asks for a task is held up by it, in milliseconds.
const FIRST_PART_MS: u64 = 5_000;
/// Most steps of that first part.
const FIRST_PART_STEPS: usize = 10;
/// Most steps of one turn.
const TURN_STEPS: usize = 20;
/// Longest turn, in milliseconds, but for the step that is under way then.
const TURN_MS: u64 = 2_000;
/// Most that a task may have to say, in bytes of JSON: an item has 400 KB, and a notice, which
/// carries it as well, 350.
const MAX_DATA_BYTES: usize = 300 * 1024;
/// Where a task says why it was given up.
const ERROR: &str = "error";
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
    queues: Queues,
    in_flight: Option<InFlight>,
    metrics: Arc<dyn Metrics>,
    ambient: Ambient,
}

/// Why a step could not be done.
enum StepError {
    /// Something that may be over the next time.
    Passing(String),
    /// Something that stays, in a sentence for whoever asked for the task.
    Lasting(String),
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Passing(error.to_string())
    }
}

impl From<QueueError> for StepError {
    fn from(error: QueueError) -> Self {
        Self::Passing(error.to_string())
    }
}

/// What became of a task that was carried on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing was to be done: somebody else has it, or it is over.
    Nothing,
    /// Its turn is over, and some of it is left to do.
    More,
    /// All of it is done, or it has failed, or is to be tried again later.
    Enough,
}

/// What came of letting tasks take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// Tasks that were worked on.
    pub worked: usize,
    /// Tasks that could not be taken.
    pub failed: usize,
}

/// Whether a step was the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    More,
    Last,
}

/// Why a task with too long a result is given up.
const TOO_MUCH: &str = "The result is larger than what can be kept: ask for less at once.";

/// What a step has done to its task.
fn note(task: &mut Task, done: Result<Step, StepError>) {
    match done {
        Ok(done) => {
            task.failures = 0;
            if done == Step::Last {
                task.status = Status::Finished;
            }
            if serde_json::to_string(&task.data).map_or(0, |json| json.len()) > MAX_DATA_BYTES {
                give_up(task, TOO_MUCH);
            }
        }
        Err(StepError::Lasting(reason)) => give_up(task, &reason),
        Err(StepError::Passing(reason)) => {
            warn!(task.id = %task.id, reason, "a step of a task failed");
            task.failures += 1;
            if task.failures >= MAX_FAILURES {
                error!(task.id = %task.id, reason, "gave a task up");
                give_up(task, &format!("It failed {MAX_FAILURES} times in a row."));
            }
        }
    }
}

/// Ends a task without success. Lists of what was found so far go: they may be what is too long.
fn give_up(task: &mut Task, reason: &str) {
    task.status = Status::Failed;
    task.data.retain(|_, value| !value.is_array());
    task.data.insert(ERROR.to_owned(), reason.into());
}

/// Moves a task's cursor past a page; whether that was the last one.
fn turn_page<T>(task: &mut Task, listed: Listed<T>) -> Step {
    task.cursor = listed.iterator;
    if listed.done { Step::Last } else { Step::More }
}

impl Worker {
    /// A worker on these stores and both queues. In the process that does all the dispatching it
    /// knows what is being sent, and need not wait for what might be.
    pub fn new(
        stores: &Stores,
        queues: Queues,
        in_flight: Option<InFlight>,
        metrics: Arc<dyn Metrics>,
        ambient: Ambient,
    ) -> Self {
        Self {
            tasks: stores.tasks.clone(),
            history: stores.history.clone(),
            deliveries: stores.deliveries.clone(),
            eraser: stores.eraser.clone(),
            directory: stores.directory.clone(),
            notices: stores.notices(0),
            inbox: stores.inbox.clone(),
            queues,
            in_flight,
            metrics,
            ambient,
        }
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

    /// Carries on with tasks, each for a turn and then the next one, until all are done with or the
    /// time is up. Who begins is another one from minute to minute.
    pub async fn take_turns(
        &self,
        tasks: impl IntoIterator<Item = TaskId>,
        until: Timestamp,
    ) -> Turns {
        let mut waiting: VecDeque<TaskId> = tasks.into_iter().collect();
        if !waiting.is_empty() {
            let minute = usize::try_from(self.ambient.now().as_secs() / 60).unwrap_or_default();
            let first = minute % waiting.len();
            waiting.rotate_left(first);
        }
        let mut worked = BTreeSet::new();
        let mut failed = 0;
        while let Some(id) = waiting.pop_front() {
            let now = self.ambient.now();
            if now >= until {
                break;
            }
            match self.carry_on(&id, until.min(now.plus_ms(TURN_MS))).await {
                Ok(Carried::Nothing) => {}
                Ok(carried) => {
                    worked.insert(id);
                    if carried == Carried::More {
                        waiting.push_back(id);
                    }
                }
                Err(error) => {
                    warn!(task.id = %id, %error, "cannot take a task");
                    failed += 1;
                }
            }
        }
        Turns { worked: worked.len(), failed }
    }

    /// Carries on with a task that is due, for a turn, which ends at `until` at the latest.
    ///
    /// # Errors
    /// When the task cannot be taken.
    pub async fn carry_on(&self, id: &TaskId, until: Timestamp) -> Result<Carried, StoreError> {
        let now = self.ambient.now();
        let Some(mut held) = self.tasks.claim(id, now, now.plus_ms(CLAIM_MS)).await? else {
            return Ok(Carried::Nothing);
        };
        if held.value.failures > MAX_FAILURES {
            let id = held.value.id;
            error!(task.id = %id, "gave up a task whose workers died");
            give_up(&mut held.value, &format!("It failed {MAX_FAILURES} times in a row."));
            held.value.updated_at = now;
            self.save(held).await?;
            return Ok(Carried::Enough);
        }
        // It stays if this worker dies.
        held.value.failures -= 1;
        // Whoever had it before may have died, or failed, after it sent what this step sends.
        let task = self.work(held, until, TURN_STEPS, SECOND_COPY_DELAY_S).await;
        let is_due = task.due_at <= self.ambient.now();
        let goes_on = task.status == Status::Running && task.failures == 0 && is_due;
        Ok(if goes_on { Carried::More } else { Carried::Enough })
    }

    /// Does steps until the time is up or all is done; the task as it is then.
    /// What the first step sends becomes visible after `delay_s` seconds.
    async fn work(
        &self,
        mut held: Versioned<Task>,
        until: Timestamp,
        most_steps: usize,
        mut delay_s: u32,
    ) -> Task {
        let id = held.value.id;
        for step in 1.. {
            let done = self.step(&mut held.value, std::mem::take(&mut delay_s)).await;
            note(&mut held.value, done);
            let now = self.ambient.now();
            let late = step >= most_steps
                || now >= until
                || held.value.failures > 0
                || held.value.status != Status::Running;
            held.value.updated_at = now;
            held.value.due_at = if late { now } else { now.plus_ms(CLAIM_MS) };
            let mut task = held.value.clone();
            held = match self.save(held).await {
                Ok(Some(saved)) => saved,
                // Somebody else has taken it, or will when the claim runs out.
                Ok(None) => {
                    task.due_at = now.plus_ms(CLAIM_MS);
                    return task;
                }
                Err(error) => {
                    warn!(task.id = %id, %error, "cannot store how far a task has come");
                    task.due_at = now.plus_ms(CLAIM_MS);
                    return task;
                }
            };
            if late {
                break;
            }
        }
        info!(task.id = %id, status = ?held.value.status, "worked on a task");
        held.value
    }

    /// Stores how far a task has come. One that the store can never take, however small we think
    /// it is, ends here instead of repeating its last step for ever.
    async fn save(&self, held: Versioned<Task>) -> Result<Option<Versioned<Task>>, StoreError> {
        let outbox = self.outbox(&held.value).await?;
        match self.tasks.save(held.clone(), outbox).await {
            Err(StoreError::Invalid(reason)) if held.value.status != Status::Failed => {
                warn!(task.id = %held.value.id, reason, "what a task has to say cannot be stored");
                let mut ended = held;
                give_up(&mut ended.value, TOO_MUCH);
                let outbox = self.outbox(&ended.value).await?;
                self.tasks.save(ended, outbox).await
            }
            saved => saved,
        }
    }

    /// What the organisation is told when a task is over, to be written with its end.
    async fn outbox(&self, task: &Task) -> Result<Vec<Write>, StoreError> {
        match task.status {
            Status::Running => Ok(Vec::new()),
            Status::Finished | Status::Failed => {
                self.notices.to(&task.org, Notice::task(task)).await
            }
        }
    }

    /// Does the next step of a task and moves its cursor on.
    async fn step(&self, task: &mut Task, delay_s: u32) -> Result<Step, StepError> {
        match task.work.clone() {
            Work::Recover { app, ep, span } => self.recover(task, (app, ep), span).await,
            Work::ReplayMissing { app, ep, span } => self.replay_missing(task, app, ep, span).await,
            Work::AppStats { span, apps } => self.app_stats(task, span, &apps).await,
            Work::EventTypes {} => self.event_types(task).await,
            Work::Describe {} => Ok(Step::Last),
            Work::Purge { app } => self.purge(task, app).await,
            Work::Broadcast { event, name } => self.broadcast(task, &event, name.as_deref()).await,
            Work::BulkReplay { app, ep, span, selection } => {
                self.bulk_replay(task, (app, ep), span, &selection, delay_s).await
            }
        }
    }
}
