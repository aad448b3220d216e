//! The queues on one machine: rows of a SQLite file, with their state in memory.
//!
//! A record is on disk before a send returns, and stays there until it is deleted. Who holds
//! it, and until when, is only in memory: there is one process, so after a restart nobody
//! holds anything, and every record can be received at once. It then counts as received
//! before, for it may have been.
//!
//! Groups take turns, one record each: an application with a long backlog does not make the
//! others wait (SQS fair queues aim at the same).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Consumer, MAX_BATCH, Outgoing, Producer, QueueError, Received, validate};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::sync::hold;
use crate::embedded::{Engine, EngineError};
use state::{Entry, State};

mod state;
mod take;

/// Bytes of bodies that all queues together keep in memory; the rest is read back from the
/// file when its turn comes.
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// What may be held at once, shared by the groups that have something: enough for an application
/// alone to keep a machine busy (a thousand a second whose endpoint takes four seconds), and 16 MiB of
/// bodies.
const MOST_HELD: u64 = 4096;

/// How a queue treats its records.
#[derive(Clone, Copy, Debug)]
pub struct QueueSettings {
    /// Seconds that a received record stays invisible.
    pub visibility_s: u32,
    /// Receives after which it moves to the dead-letter queue, if there is one.
    pub max_receives: u32,
    /// What may be held at once, each group the same part of it, in records with short bodies; one
    /// with a long body counts for as many as it has blocks of 4 KiB.
    pub most_held: u64,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            visibility_s: super::VISIBILITY_S,
            max_receives: super::MAX_RECEIVES,
            most_held: MOST_HELD,
        }
    }
}

/// A queue in a SQLite file. Clones are the same queue.
#[derive(Clone)]
pub struct EmbeddedQueue {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    engine: Engine,
    clock: Arc<dyn Clock>,
    settings: QueueSettings,
    dead_letters: Option<EmbeddedQueue>,
    ids: Arc<Ids>,
    state: Mutex<State>,
    arrived: Notify,
}

/// What the queues of one file share: the next id, and the memory that bodies take.
struct Ids {
    next: AtomicU64,
    body_bytes: AtomicU64,
}

/// The four queues of a platform.
#[derive(Clone)]
pub struct EmbeddedQueues {
    /// First attempts.
    pub deliveries: EmbeddedQueue,
    /// What dispatch could not process of them.
    pub deliveries_dlq: EmbeddedQueue,
    /// Later attempts.
    pub retries: EmbeddedQueue,
    /// What dispatch could not process of them.
    pub retries_dlq: EmbeddedQueue,
}

impl EmbeddedQueues {
    /// Opens the queues of this file, with everything that is in them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(
        engine: &Engine,
        clock: &Arc<dyn Clock>,
        settings: QueueSettings,
    ) -> Result<Self, EngineError> {
        let last: u64 = engine.read(|connection| {
            connection.query_row("SELECT coalesce(max(id), 0) FROM records", [], |row| row.get(0))
        })?;
        let ids = Arc::new(Ids { next: AtomicU64::new(last + 1), body_bytes: AtomicU64::new(0) });
        let open = |name: &str, dead_letters: Option<EmbeddedQueue>| {
            // What could not be sent back or parked is tried again soon, as on AWS.
            let visibility_s = match dead_letters {
                Some(_) => settings.visibility_s,
                None => settings.visibility_s.min(super::VISIBILITY_S),
            };
            let settings = QueueSettings { visibility_s, ..settings };
            EmbeddedQueue::open(name, engine, clock, settings, dead_letters, &ids)
        };
        let deliveries_dlq = open("deliveries-dlq", None)?;
        let retries_dlq = open("retries-dlq", None)?;
        Ok(Self {
            deliveries: open("deliveries", Some(deliveries_dlq.clone()))?,
            deliveries_dlq,
            retries: open("retries", Some(retries_dlq.clone()))?,
            retries_dlq,
        })
    }
}

impl EmbeddedQueue {
    /// Records in the queue, held and delayed ones included.
    pub fn len(&self) -> usize {
        hold(&self.inner.state).entries.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Dates at which records become visible that it remembers, useless ones included: about twice
    /// as many as it has records, at the most, and a thousand.
    pub fn dates(&self) -> usize {
        hold(&self.inner.state).dates()
    }

    /// For how long the oldest record has been there to be received, in milliseconds; held ones
    /// included. Looked for among the first thousand.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn oldest_ms(&self) -> Result<Option<u64>, EngineError> {
        const OLDEST: &str = "SELECT id, deliver_at FROM records \
            WHERE queue = ?1 AND deliver_at <= ?2 ORDER BY id LIMIT 1000";
        let now = self.inner.clock.now();
        let found: Vec<(u64, u64)> = self.inner.engine.read(|connection| {
            let of = rusqlite::params![self.inner.name, now.0];
            let mut select = connection.prepare_cached(OLDEST)?;
            select.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        // What was deleted leaves the file a little later.
        let state = hold(&self.inner.state);
        let there = found.into_iter().filter(|(id, _)| state.entries.contains_key(id));
        Ok(there.map(|(_, since)| now.since(Timestamp(since))).max())
    }

    fn open(
        name: &str,
        engine: &Engine,
        clock: &Arc<dyn Clock>,
        settings: QueueSettings,
        dead_letters: Option<EmbeddedQueue>,
        ids: &Arc<Ids>,
    ) -> Result<Self, EngineError> {
        let now = clock.now();
        let mut state = State::new(settings.most_held);
        let rows = engine.read(|connection| {
            connection
                .prepare("SELECT id, grp, deliver_at, receive_count, length(body) FROM records WHERE queue = ?1 ORDER BY id")?
                .query_map([name], |row| {
                    let group: String = row.get(1)?;
                    Ok((row.get(0)?, group, row.get(2)?, row.get(3)?, row.get(4)?))
                })?
                .collect::<rusqlite::Result<Vec<(u64, String, u64, u32, u64)>>>()
        })?;
        for (id, group, deliver_at, receives, bytes) in rows {
            let deliver_at = Timestamp(deliver_at);
            let entry = Entry {
                // It may have been received before the process died.
                receives: if deliver_at <= now { u32::max(receives, 1) } else { receives },
                // Whoever received it died with the last process, so nobody is busy with it.
                first_received_at: Some(Timestamp(0)),
                ..Entry::new(group.into(), bytes)
            };
            state.add(id, entry, deliver_at, now);
        }
        let inner = Inner {
            name: name.to_owned(),
            engine: engine.clone(),
            clock: clock.clone(),
            settings,
            dead_letters,
            ids: ids.clone(),
            state: Mutex::new(state),
            arrived: Notify::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// These records with their places in the queue, which they are to take in two steps.
    ///
    /// # Errors
    /// What is wrong with the batch.
    pub(crate) fn incoming(&self, batch: Vec<Outgoing>) -> Result<Incoming, QueueError> {
        validate(&batch)?;
        let now = self.inner.clock.now();
        let records = batch.into_iter().map(|record| Row {
            id: self.inner.ids.next.fetch_add(1, Ordering::Relaxed),
            deliver_at: now.plus_ms(u64::from(record.delay_s) * 1000),
            group: record.group.into(),
            body: record.body.into(),
        });
        Ok(Incoming { inner: self.inner.clone(), rows: records.collect() })
    }
}

/// Records on their way in: [inserted](Self::insert) within a transaction, and
/// [there](Self::arrive) once that is on disk. Clones are the same records.
#[derive(Clone)]
pub(crate) struct Incoming {
    inner: Arc<Inner>,
    rows: Arc<[Row]>,
}

struct Row {
    id: u64,
    deliver_at: Timestamp,
    group: Arc<str>,
    body: Arc<str>,
}

impl Incoming {
    /// About what they add to the file.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.body.len()).sum()
    }

    /// Writes them.
    pub(crate) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(
            "INSERT INTO records (id, queue, body, grp, deliver_at, receive_count) \
             VALUES (?1, ?2, ?3, ?4, ?5, 0)",
        )?;
        for Row { id, deliver_at, group, body } in self.rows.iter() {
            insert.execute(params![id, self.inner.name, body, group, deliver_at.as_ms()])?;
        }
        Ok(())
    }

    /// From now on they can be received.
    pub(crate) fn arrive(&self) {
        let inner = &*self.inner;
        let now = inner.clock.now();
        {
            let mut state = hold(&inner.state);
            for Row { id, deliver_at, group, body } in self.rows.iter() {
                let bytes = body.len() as u64;
                let fits = inner.ids.body_bytes.load(Ordering::Relaxed) + bytes <= MAX_BODY_BYTES;
                let body_bytes = if fits { bytes } else { 0 };
                inner.ids.body_bytes.fetch_add(body_bytes, Ordering::Relaxed);
                let body = fits.then(|| body.clone());
                let entry = Entry { body, body_bytes, ..Entry::new(group.clone(), bytes) };
                state.add(*id, entry, *deliver_at, now);
            }
        }
        for _ in self.rows.iter() {
            inner.arrived.notify_one();
        }
    }
}

#[async_trait]
impl Producer for EmbeddedQueue {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let count = batch.len();
        let incoming = self.incoming(batch)?;
        let (bytes, rows) = (incoming.bytes(), incoming.clone());
        let work = move |connection: &Connection| rows.insert(connection);
        let then = move |committed: &Result<(), EngineError>| {
            if committed.is_ok() {
                incoming.arrive();
            }
        };
        let sent = self.inner.engine.write_then(bytes, work, then).await;
        sent.map(|()| vec![Ok(()); count]).map_err(|error| queue_error(&error))
    }
}

#[async_trait]
impl Consumer for EmbeddedQueue {
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError> {
        if max == 0 || max > MAX_BATCH {
            return Err(QueueError::Invalid(format!("receive 1 to {MAX_BATCH} at a time")));
        }
        let deadline = Instant::now() + Duration::from_secs(u64::from(wait_s));
        loop {
            // Registered before looking, so that nothing arrives unnoticed in between.
            let arrived = self.inner.arrived.notified();
            let received = self.take(max);
            if !received.is_empty() || Instant::now() >= deadline {
                return Ok(received);
            }
            let now = self.inner.clock.now();
            let next_wake = hold(&self.inner.state).next_wake().map_or(deadline, |at| {
                Instant::now() + Duration::from_millis(at.since(now).max(1))
            });
            let _ = tokio::time::timeout_at(next_wake.min(deadline), arrived).await;
        }
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        if receipts.len() > MAX_BATCH {
            return Err(QueueError::Invalid(format!("delete at most {MAX_BATCH} at a time")));
        }
        let mut deleted = Vec::with_capacity(receipts.len());
        // Whether somebody's turn has come by this.
        let mut rested = false;
        {
            let mut state = hold(&self.inner.state);
            for receipt in receipts {
                let Some(id) = state.held_by(receipt) else { continue };
                rested |= state.let_go(id);
                if let Some(entry) = state.entries.remove(&id) {
                    self.inner.ids.body_bytes.fetch_sub(entry.body_bytes, Ordering::Relaxed);
                    deleted.push(id);
                }
            }
        }
        if rested {
            self.inner.arrived.notify_one();
        }
        if deleted.is_empty() {
            return Ok(());
        }
        // Nobody waits for the disk: if the process dies first, the record comes again, and
        // its attempt is found on record.
        self.inner
            .engine
            .submit(
                0,
                move |connection| {
                    let mut delete =
                        connection.prepare_cached("DELETE FROM records WHERE id = ?1")?;
                    for id in &deleted {
                        delete.execute([id])?;
                    }
                    Ok(())
                },
                |_| {},
            )
            .map_err(|error| queue_error(&error))
    }

    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError> {
        let now = self.inner.clock.now();
        let visible_at = now.plus_ms(u64::from(after_s) * 1000);
        {
            let mut state = hold(&self.inner.state);
            let Some(id) = state.held_by(receipt) else { return Ok(()) };
            state.put_off(id, visible_at);
        }
        self.inner.arrived.notify_one();
        Ok(())
    }
}

fn queue_error(EngineError(why): &EngineError) -> QueueError {
    QueueError::Unavailable(why.clone())
}
