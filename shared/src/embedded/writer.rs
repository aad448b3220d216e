//! The one thread that writes: whatever waits, in one transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use super::checkpoint::Checkpoints;
use super::{EngineError, unavailable};

/// Most jobs in one transaction: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 1024;

/// Something to be written, and somebody to be told.
pub(super) trait Job: Send {
    /// Makes the change. It may be undone and made again, so it changes nothing but the file.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    /// Tells what has become of it.
    fn complete(self: Box<Self>, written: Result<(), EngineError>);
}

/// A job of two closures: what is to be done, and what then.
pub(super) struct Task<T, W, C> {
    work: W,
    then: C,
    value: Option<T>,
}

impl<T, W, C> Task<T, W, C> {
    pub(super) fn new(work: W, then: C) -> Self {
        Self { work, then, value: None }
    }
}

impl<T, W, C> Job for Task<T, W, C>
where
    T: Send,
    W: FnMut(&Connection) -> rusqlite::Result<T> + Send,
    C: FnOnce(Result<T, EngineError>) + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.value = Some((self.work)(connection)?);
        Ok(())
    }

    fn complete(self: Box<Self>, written: Result<(), EngineError>) {
        let Self { then, value, .. } = *self;
        then(written.and_then(|()| value.ok_or_else(|| EngineError("never written".into()))));
    }
}

/// Writes until nobody can send jobs any more, or until the connection is beyond use.
pub(super) fn write_in_groups(
    connection: &Connection,
    inbox: &Receiver<Box<dyn Job>>,
    mut checkpoints: Checkpoints,
) {
    while let Ok(first) = inbox.recv() {
        let mut group = Vec::new();
        let results = match write_group(connection, first, inbox, &mut group) {
            Ok(()) => vec![Ok(()); group.len()],
            Err(Failure::OfAll(error)) => {
                undo(connection);
                vec![Err(error); group.len()]
            }
            Err(Failure::OfOne) => {
                undo(connection);
                write_guarded(connection, &mut group)
            }
        };
        for (job, result) in group.into_iter().zip(results) {
            // Who is told must not take the writer with it.
            let _ = catch_unwind(AssertUnwindSafe(|| job.complete(result)));
        }
        checkpoints.after_commit(connection);
        if !connection.is_autocommit() {
            tracing::error!("a transaction can neither be ended nor undone: the writer stops");
            return;
        }
    }
}

enum Failure {
    /// One job failed; the others may not have to.
    OfOne,
    /// The transaction did.
    OfAll(EngineError),
}

/// The fast way: nothing is done for a single job but the job.
fn write_group(
    connection: &Connection,
    first: Box<dyn Job>,
    inbox: &Receiver<Box<dyn Job>>,
    group: &mut Vec<Box<dyn Job>>,
) -> Result<(), Failure> {
    let of_all = |error| Failure::OfAll(unavailable(error));
    group.push(first);
    execute(connection, "BEGIN IMMEDIATE").map_err(of_all)?;
    loop {
        if let Some(job) = group.last_mut() {
            attempt(job.as_mut(), connection).map_err(|_| Failure::OfOne)?;
        }
        if group.len() == MAX_GROUP {
            break;
        }
        let Ok(next) = inbox.try_recv() else { break };
        group.push(next);
    }
    execute(connection, "COMMIT").map_err(of_all)
}

/// The careful way, for a group in which something fails: each job can be undone without the
/// others. What has become of each.
fn write_guarded(
    connection: &Connection,
    group: &mut [Box<dyn Job>],
) -> Vec<Result<(), EngineError>> {
    let mut results = Vec::with_capacity(group.len());
    let written = (|| {
        execute(connection, "BEGIN IMMEDIATE")?;
        for job in group.iter_mut() {
            execute(connection, "SAVEPOINT job")?;
            let result = attempt(job.as_mut(), connection);
            if result.is_err() {
                execute(connection, "ROLLBACK TO job")?;
            }
            results.push(result);
            execute(connection, "RELEASE job")?;
        }
        execute(connection, "COMMIT")
    })();
    if let Err(error) = written.map_err(unavailable) {
        undo(connection);
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            *result = Err(error.clone());
        }
        results.resize(group.len(), Err(error));
    }
    results
}

fn attempt(job: &mut dyn Job, connection: &Connection) -> Result<(), EngineError> {
    match catch_unwind(AssertUnwindSafe(|| job.run(connection))) {
        Ok(done) => done.map_err(unavailable),
        Err(_) => Err(EngineError("a write panicked; it was undone".into())),
    }
}

fn undo(connection: &Connection) {
    // Some failures undo everything by themselves. What cannot be undone ends the writer.
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "cannot undo a transaction");
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
