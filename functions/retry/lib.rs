//! Third stage of the trip: what is due goes back into the queue, what died comes back to life.
//!
//! The cast: [`Sweeper`] runs on a schedule and shares its time out among three:
//!
//! - `sweep` walks the `due` index a minute ahead, *claims* each delivery by moving its due time
//!   forward, and sends its retry with the delay that remains, so a schedule of one minute gives
//!   retries to the second. Scheduled messages stand in the same index and go out the same way.
//! - `redrive` empties the dead-letter queues: a record goes back once; one that dies again is
//!   parked with its reason, where the operator finds it.
//! - The [`Worker`] carries on with the background tasks that stand in the same index, in turns.
//!
//! The schedule starts several runs at once, each over its [`Part`] of the index, since there is
//! more to do in a bad hour than one function gets through.
//!
//! Runs may overlap: a claim that somebody else made is simply lost, and a record that is
//! redriven twice is recognised by dispatch. A run that dies between claim and send leaves a
//! delivery that is due again when its claim runs out.
//!
//! Not guaranteed: that a retry comes earlier than the sweep after it became due; order.

use std::sync::Arc;

use serde::Serialize;
use shared::domain::clock::{Ambient, Timestamp};
use shared::domain::metrics::{Metric, Metrics};
use shared::host::assembly::Base;
use shared::queue::{Consumer, DeadLetters, Producer, Queues};
use shared::store::{Deliveries, Parking};
use shared::work::Worker;
use tracing::{info, instrument};

mod part;
mod patience;
mod redrive;
mod sweep;

pub use part::Part;

/// Time that is kept for ending in order, in milliseconds.
const WRAP_UP_MS: u64 = 5_000;
/// How long a run works on background tasks, in milliseconds. A quarter of its time is kept for
/// them, however much else is due.
const TASKS_MS: u64 = 15_000;

/// How much a run does at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Shards of the index that are read from. A run with nothing to do needs no more connections.
    pub reads: usize,
    /// Calls to the store and messages that are held for them, in all shards together: at 5 to
    /// 10 ms a call far more than one function's share of a processor gets through, and a quarter
    /// of the descriptors that Lambda has.
    pub calls: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { reads: 8, calls: 256 }
    }
}

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
    /// How much it does at the same time; other numbers than the usual ones are for simulations.
    pub concurrency: Concurrency,
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

impl Report {
    /// This and what another part of the run did.
    fn add(&mut self, other: Self) {
        self.enqueued += other.enqueued;
        self.lost += other.lost;
        self.redriven += other.redriven;
        self.parked += other.parked;
        self.released += other.released;
        self.tasks += other.tasks;
        self.failed += other.failed;
    }
}

impl Sweeper {
    /// Puts the function together.
    pub fn new(base: Base, queues: Queues, dead: DeadLetters) -> Self {
        let Base { stores, in_flight, metrics, ambient, .. } = base;
        let worker =
            Worker::new(&stores, queues.clone(), in_flight, metrics.clone(), ambient.clone());
        let Queues { deliveries: accepted, retries } = queues;
        let redrive = |name, dead_letters, queue: &Arc<dyn Producer>| Redrive {
            name,
            dead_letters,
            queue: queue.clone(),
        };
        Self {
            deliveries: stores.deliveries,
            redrives: vec![
                redrive("deliveries", dead.deliveries, &accepted),
                redrive("retries", dead.retries, &retries),
            ],
            accepted,
            retries,
            parking: stores.parking,
            worker,
            concurrency: Concurrency::default(),
            metrics,
            ambient,
        }
    }

    /// One run over everything. `deadline` is when the invocation will be cut off.
    pub async fn run(&self, deadline: Option<Timestamp>) -> Report {
        self.run_part(Part::WHOLE, deadline).await
    }

    /// The run that the schedule asks this part for: over one of the parts, in turns. All parts of a
    /// minute have to agree which minute it is, though they begin some seconds apart: `scheduled` is
    /// the one that they were scheduled for.
    pub async fn run_scheduled(
        &self,
        part: Part,
        scheduled: Option<Timestamp>,
        deadline: Option<Timestamp>,
    ) -> Report {
        let minute = scheduled.unwrap_or_else(|| self.ambient.now());
        self.run_part(part.in_turn(minute), deadline).await
    }

    /// One run over a part. Runs over the other parts may go on meanwhile.
    #[instrument(name = "sweep", skip_all)]
    pub async fn run_part(&self, part: Part, deadline: Option<Timestamp>) -> Report {
        let until = deadline.map(|deadline| deadline.minus_ms(WRAP_UP_MS));
        let began = self.ambient.now();
        let sweep_until = until.map(|until| until.minus_ms(until.since(began) / 4));
        let (swept, mut report) = tokio::join!(
            sweep::run(self, part, sweep_until),
            redrive::run(self, part, sweep_until)
        );
        report.add(swept.report);
        if let Some(oldest) = swept.oldest {
            self.metrics.add(Metric::SweepLag, self.ambient.now().since(oldest) / 1000);
        }
        let tasks_until = self.ambient.now().plus_ms(TASKS_MS);
        let tasks_until = until.map_or(tasks_until, |until| tasks_until.min(until));
        // In turns: a long one keeps none of the others waiting. What is left is due at the next run.
        let turns = self.worker.take_turns(swept.tasks, tasks_until).await;
        report.tasks += turns.worked;
        report.failed += turns.failed;
        info!(
            part = part.number(),
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

    /// Whether the time of a part of the run is up.
    fn is_late(&self, until: Option<Timestamp>) -> bool {
        until.is_some_and(|until| self.ambient.now() > until)
    }
}
