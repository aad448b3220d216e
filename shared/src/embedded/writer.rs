//! The one thread that writes: whatever waits, in one transaction, but large jobs only a few at a
//! time, so that the small ones of everybody else do not wait behind many megabytes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use super::checkpoint::Checkpoints;
use super::{EngineError, unavailable};

/// Most jobs in one transaction: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 1024;
/// Bytes from which a job is large: an ordinary event stays below it, and what is recorded of it.
const LARGE: usize = 32 * 1024;
/// Bytes of large jobs in one transaction, which has room for one of them in any case: bounds how
/// long a small job waits for large ones.
const MAX_LARGE_BYTES: usize = 256 * 1024;

/// Something to be written, and somebody to be told.
pub(super) trait Job: Send {
    /// About how many bytes it adds.
    fn bytes(&self) -> usize;

    /// Makes the change. It may be undone and made again, so it changes nothing but the file.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    /// Tells what has become of it.
    fn complete(self: Box<Self>, written: Result<(), EngineError>);
}

/// A job of two closures: what is to be done, and what then.
pub(super) struct Task<T, W, C> {
    bytes: usize,
    work: W,
    then: C,
    value: Option<T>,
}

impl<T, W, C> Task<T, W, C> {
    pub(super) fn new(bytes: usize, work: W, then: C) -> Self {
        Self { bytes, work, then, value: None }
    }
}

impl<T, W, C> Job for Task<T, W, C>
where
    T: Send,
    W: FnMut(&Connection) -> rusqlite::Result<T> + Send,
    C: FnOnce(Result<T, EngineError>) + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

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
    let mut turns = Turns::new(inbox);
    while turns.begin() {
        let mut group = Vec::new();
        let results = match write_group(connection, &mut turns, &mut group) {
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

/// Whose turn it is of those who wait. Small jobs come in the order in which they were sent, and
/// so do large ones; a transaction in which large ones were is followed by one without them when
/// small ones wait.
struct Turns<'a> {
    inbox: &'a Receiver<Box<dyn Job>>,
    small: VecDeque<Box<dyn Job>>,
    large: VecDeque<Box<dyn Job>>,
    /// Bytes of large jobs that this transaction still has room for.
    room: usize,
    /// Whether large ones were in this transaction.
    had_large: bool,
}

impl<'a> Turns<'a> {
    fn new(inbox: &'a Receiver<Box<dyn Job>>) -> Self {
        Self {
            inbox,
            small: VecDeque::new(),
            large: VecDeque::new(),
            room: MAX_LARGE_BYTES,
            had_large: false,
        }
    }

    /// Waits until there is something for another transaction; false when nobody can send any
    /// more.
    fn begin(&mut self) -> bool {
        self.take_in();
        if self.small.is_empty() && self.large.is_empty() {
            let Ok(job) = self.inbox.recv() else { return false };
            self.sort(job);
        }
        let rest = std::mem::take(&mut self.had_large) && !self.small.is_empty();
        self.room = if rest { 0 } else { MAX_LARGE_BYTES };
        true
    }

    /// The next job for this transaction. Large ones are at its beginning: one that comes while
    /// small ones are written waits for the next, and small ones that come while a large one is
    /// written need not.
    fn next(&mut self) -> Option<Box<dyn Job>> {
        self.take_in();
        let fits =
            |job: &mut Box<dyn Job>| job.bytes() <= self.room || self.room == MAX_LARGE_BYTES;
        if let Some(job) = self.large.pop_front_if(fits) {
            self.room = self.room.saturating_sub(job.bytes());
            self.had_large = true;
            return Some(job);
        }
        self.room = 0;
        self.small.pop_front()
    }

    fn take_in(&mut self) {
        while let Ok(job) = self.inbox.try_recv() {
            self.sort(job);
        }
    }

    fn sort(&mut self, job: Box<dyn Job>) {
        let line = if job.bytes() < LARGE { &mut self.small } else { &mut self.large };
        line.push_back(job);
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
    turns: &mut Turns<'_>,
    group: &mut Vec<Box<dyn Job>>,
) -> Result<(), Failure> {
    let of_all = |error| Failure::OfAll(unavailable(error));
    // Taken first: were there no transaction, it would hear of it.
    group.extend(turns.next());
    execute(connection, "BEGIN IMMEDIATE").map_err(of_all)?;
    while let Some(job) = group.last_mut() {
        attempt(job.as_mut(), connection).map_err(|_| Failure::OfOne)?;
        if group.len() == MAX_GROUP {
            break;
        }
        let Some(next) = turns.next() else { break };
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
