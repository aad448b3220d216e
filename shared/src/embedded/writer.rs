//! The one thread that writes: whatever waits, in one transaction, but of what is in the background
//! only a little at a time, so that nobody in the foreground waits behind many megabytes, or behind
//! thousands of jobs of somebody else. While there is a foreground the background also rests after
//! each of its transactions, so that most of what comes finds the disk idle. In the background are
//! large jobs, and those of threads that [stand back](stand_back).

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::checkpoint::Checkpoints;
use super::{EngineError, unavailable};

/// Most jobs in one transaction: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 1024;
/// Bytes from which a job is large: an ordinary event stays below it, and what is recorded of it.
const LARGE: usize = 32 * 1024;
/// Bytes of background jobs in one transaction, which has room for one of them in any case: bounds
/// how long the foreground waits for them.
const MAX_BACKGROUND_BYTES: usize = 128 * 1024;
/// What a background job counts as at least, in bytes: a small one takes about as long as so many
/// bytes of a large one.
const LEAST_BACKGROUND_BYTES: usize = 2 * 1024;
/// After each of its transactions the background rests this many times as long as that took: beside
/// others it gets a fifth of the writer, and they rarely meet it.
const REST: u32 = 4;
/// Longest rest: a disk that stalls once does not stall the background for ever.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// Without a job of the foreground for so long there is none, and the background has the writer to
/// itself.
const ALONE_AFTER: Duration = Duration::from_millis(500);

thread_local! {
    static STANDS_BACK: Cell<bool> = const { Cell::new(false) };
}

/// From now on what this thread asks to be written is in the background.
pub(super) fn stand_back() {
    STANDS_BACK.set(true);
}

/// Something to be written, and somebody to be told.
pub(super) trait Job: Send {
    /// What it counts as in the background, in bytes; `None` in the foreground.
    fn background(&self) -> Option<usize>;

    /// Makes the change. It may be undone and made again, so it changes nothing but the file.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    /// Tells what has become of it.
    fn complete(self: Box<Self>, written: Result<(), EngineError>);
}

/// A job of two closures: what is to be done, and what then.
pub(super) struct Task<T, W, C> {
    background: Option<usize>,
    work: W,
    then: C,
    value: Option<T>,
}

impl<T, W, C> Task<T, W, C> {
    /// A job of the thread that calls this, which adds about so many bytes.
    pub(super) fn new(bytes: usize, work: W, then: C) -> Self {
        let is_background = bytes >= LARGE || STANDS_BACK.get();
        let background = is_background.then_some(bytes.max(LEAST_BACKGROUND_BYTES));
        Self { background, work, then, value: None }
    }
}

impl<T, W, C> Job for Task<T, W, C>
where
    T: Send,
    W: FnMut(&Connection) -> rusqlite::Result<T> + Send,
    C: FnOnce(Result<T, EngineError>) + Send,
{
    fn background(&self) -> Option<usize> {
        self.background
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
        let began = Instant::now();
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
        checkpoints.after_commit(connection, turns.spent);
        turns.end(began.elapsed());
        if !connection.is_autocommit() {
            tracing::error!("a transaction can neither be ended nor undone: the writer stops");
            return;
        }
    }
}

/// Whose turn it is of those who wait. Jobs of the foreground come in the order in which they were
/// sent, and so do those of the background; a transaction in which the background had a part is
/// followed by one without when the foreground waits, and by none with it for a while when the
/// foreground is at work at all.
struct Turns<'a> {
    inbox: &'a Receiver<Box<dyn Job>>,
    foreground: VecDeque<Box<dyn Job>>,
    /// Each with what it counts as.
    background: VecDeque<(usize, Box<dyn Job>)>,
    /// Bytes of the background that this transaction still has room for.
    room: usize,
    /// Bytes of the background in this transaction.
    spent: usize,
    /// Until when the background rests.
    rests_until: Instant,
    /// When the last job of the foreground came.
    foreground_at: Option<Instant>,
}

impl<'a> Turns<'a> {
    fn new(inbox: &'a Receiver<Box<dyn Job>>) -> Self {
        Self {
            inbox,
            foreground: VecDeque::new(),
            background: VecDeque::new(),
            room: MAX_BACKGROUND_BYTES,
            spent: 0,
            rests_until: Instant::now(),
            foreground_at: None,
        }
    }

    /// Waits until there is something for another transaction; false when nobody can send any
    /// more.
    fn begin(&mut self) -> bool {
        self.take_in();
        if self.foreground.is_empty() && self.background.is_empty() {
            let Ok(job) = self.inbox.recv() else { return false };
            self.sort(job);
        }
        while self.foreground.is_empty()
            && let Some(rest) = self.rest()
        {
            match self.inbox.recv_timeout(rest) {
                Ok(job) => self.sort(job),
                Err(RecvTimeoutError::Timeout) => {}
                // What waits is all that there will be.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let had_background = std::mem::take(&mut self.spent) > 0;
        let is_behind = had_background || self.rest().is_some();
        self.room = if is_behind && !self.foreground.is_empty() { 0 } else { MAX_BACKGROUND_BYTES };
        true
    }

    /// Ends a transaction that took so long.
    fn end(&mut self, took: Duration) {
        if self.spent > 0 {
            self.rests_until = Instant::now() + (took * REST).min(LONGEST_REST);
        }
    }

    /// How long the background still rests, if it does.
    fn rest(&self) -> Option<Duration> {
        let is_alone = self.foreground_at.is_none_or(|at| at.elapsed() > ALONE_AFTER);
        let rest = self.rests_until.saturating_duration_since(Instant::now());
        (!is_alone && !rest.is_zero()).then_some(rest)
    }

    /// The next job for this transaction. Those of the background are at its beginning: one that
    /// comes while others are written waits for the next, and what comes in the foreground
    /// meanwhile need not.
    fn next(&mut self) -> Option<Box<dyn Job>> {
        self.take_in();
        let fits =
            |(bytes, _): &mut (usize, _)| *bytes <= self.room || self.room == MAX_BACKGROUND_BYTES;
        if let Some((bytes, job)) = self.background.pop_front_if(fits) {
            self.room = self.room.saturating_sub(bytes);
            self.spent += bytes;
            return Some(job);
        }
        self.room = 0;
        self.foreground.pop_front()
    }

    fn take_in(&mut self) {
        while let Ok(job) = self.inbox.try_recv() {
            self.sort(job);
        }
    }

    fn sort(&mut self, job: Box<dyn Job>) {
        match job.background() {
            Some(bytes) => self.background.push_back((bytes, job)),
            None => {
                self.foreground_at = Some(Instant::now());
                self.foreground.push_back(job);
            }
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
