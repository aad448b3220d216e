//! Background tasks, in turns: a long one keeps none of the others waiting.

use std::collections::BTreeSet;

use shared::domain::clock::Timestamp;
use shared::domain::id::TaskId;
use shared::work::Turn;
use tracing::warn;

use crate::{Report, Sweeper};

/// How long a task is worked on before the next one has its turn, in milliseconds.
const TURN_MS: u64 = 2_000;

/// Works on tasks until `until`, or until none is left. What is left is due at the next run.
pub(crate) async fn run(sweeper: &Sweeper, tasks: BTreeSet<TaskId>, until: Timestamp) -> Report {
    let mut report = Report::default();
    let mut waiting: Vec<TaskId> = tasks.into_iter().collect();
    let mut worked = BTreeSet::new();
    while !waiting.is_empty() {
        let mut again = Vec::new();
        for id in waiting {
            let now = sweeper.ambient.now();
            if now >= until {
                report.tasks = worked.len();
                return report;
            }
            match sweeper.worker.carry_on(&id, until.min(now.plus_ms(TURN_MS))).await {
                Ok(Turn::None) => {}
                Ok(turn) => {
                    worked.insert(id);
                    if turn == Turn::More {
                        again.push(id);
                    }
                }
                Err(error) => {
                    warn!(task.id = %id, %error, "cannot take a task");
                    report.failed += 1;
                }
            }
        }
        waiting = again;
    }
    report.tasks = worked.len();
    report
}
