//! Background tasks, in turns: a long one keeps none of the others waiting.

use std::collections::BTreeSet;

use shared::domain::clock::Timestamp;
use shared::domain::id::TaskId;

use crate::{Report, Sweeper};

/// Works on tasks until `until`, or until none is left. What is left is due at the next run.
pub(crate) async fn run(sweeper: &Sweeper, tasks: BTreeSet<TaskId>, until: Timestamp) -> Report {
    let turns = sweeper.worker.take_turns(tasks, until).await;
    Report { tasks: turns.worked, failed: turns.failed, ..Report::default() }
}
