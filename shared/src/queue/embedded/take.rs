//! Receiving: whose turn it is gets its records, and each gets its body.
//!
//! A body that cannot be read is the trouble of its own record, which comes again after a while and
//! ends in the dead-letter queue; the others of a batch are received.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{OptionalExtension, params};
use tracing::error;

use super::state::Entry;
use super::{EmbeddedQueue, Inner, queue_error};
use crate::domain::clock::Timestamp;
use crate::domain::sync::hold;
use crate::queue::{QueueError, Received};

/// How long a record waits whose body could not be read, in milliseconds: the reason may be that
/// the process has no descriptor left.
const UNREADABLE_MS: u64 = 30_000;

/// A record that this receive holds.
struct Taken {
    id: u64,
    receipt: u64,
    receives: u32,
    first_received_at: Timestamp,
    group: Arc<str>,
    /// `None` while it is only in the file.
    body: Option<Arc<str>>,
}

impl EmbeddedQueue {
    /// Takes what can be received now.
    pub(super) fn take(&self, max: usize) -> Vec<Received> {
        let now = self.inner.clock.now();
        let (taken, dead) = self.pick(max, now);
        for (id, entry) in dead {
            if let Err(error) = self.bury(id, entry, now) {
                error!(record.id = id, %error, "cannot move a record to the dead letters");
            }
        }
        taken.into_iter().filter_map(|taken| self.received(taken, now)).collect()
    }

    /// The records whose turn it is, held from now on, and those that were received too often.
    fn pick(&self, max: usize, now: Timestamp) -> (Vec<Taken>, Vec<(u64, Entry)>) {
        let inner = &*self.inner;
        let visible_at = now.plus_ms(u64::from(inner.settings.visibility_s) * 1000);
        let (mut taken, mut dead) = (Vec::new(), Vec::new());
        let mut state = hold(&inner.state);
        state.wake(now);
        while taken.len() < max {
            let Some(id) = state.next_ready() else { break };
            let Some(entry) = state.entries.get_mut(&id) else { continue };
            if inner.dead_letters.is_some() && entry.receives >= inner.settings.max_receives {
                dead.extend(state.entries.remove(&id).map(|entry| (id, entry)));
                continue;
            }
            entry.receives += 1;
            let receipt = inner.ids.next.fetch_add(1, Ordering::Relaxed);
            taken.push(Taken {
                id,
                receipt,
                receives: entry.receives,
                first_received_at: *entry.first_received_at.get_or_insert(now),
                group: entry.group.clone(),
                body: entry.body.clone(),
            });
            state.hold(id, receipt, visible_at);
        }
        (taken, dead)
    }

    /// The record with its body; none if it was deleted meanwhile, or has to wait.
    fn received(&self, taken: Taken, now: Timestamp) -> Option<Received> {
        let Taken { id, receipt, receives, first_received_at, group, body } = taken;
        let body = match body {
            Some(body) => body.to_string(),
            None => match self.inner.read_body(id) {
                Ok(found) => found?,
                Err(error) => {
                    error!(record.id = id, %error, "cannot read a record");
                    hold(&self.inner.state).put_off(id, now.plus_ms(UNREADABLE_MS));
                    return None;
                }
            },
        };
        // It may kill this process, which then counts it once less.
        if receives > 1
            && let Err(error) = self.inner.note_receives(id, receives)
        {
            error!(record.id = id, %error, "cannot note how often a record came");
        }
        Some(Received {
            id: id.to_string(),
            receipt: format!("{id}-{receipt}"),
            body,
            group: Some(group.to_string()),
            receive_count: receives,
            first_received_at,
        })
    }

    /// Moves a record that was received too often to the dead-letter queue.
    fn bury(&self, id: u64, mut entry: Entry, now: Timestamp) -> Result<(), QueueError> {
        let Some(grave) = self.inner.dead_letters.clone() else { return Ok(()) };
        let name = grave.inner.name.clone();
        entry.receives = 0;
        entry.first_received_at = None;
        entry.visible_at = None;
        entry.receipt = None;
        self.inner
            .engine
            .submit(
                0,
                move |connection| {
                    connection
                        .prepare_cached(
                            "UPDATE records SET queue = ?1, receive_count = 0 WHERE id = ?2",
                        )?
                        .execute(params![name, id])
                },
                move |_| {
                    // Where the update failed the record is in the old queue after a restart.
                    hold(&grave.inner.state).add(id, entry, now, now);
                    grave.inner.arrived.notify_one();
                },
            )
            .map_err(|error| queue_error(&error))
    }
}

impl Inner {
    fn read_body(&self, id: u64) -> Result<Option<String>, QueueError> {
        self.engine
            .read(|connection| {
                connection
                    .prepare_cached("SELECT body FROM records WHERE id = ?1")?
                    .query_row([id], |row| row.get(0))
                    .optional()
            })
            .map_err(|error| queue_error(&error))
    }

    /// Remembers how often a record came, so that one which kills the process still ends in
    /// the dead-letter queue. The first receive is not worth a write: after a restart every
    /// record counts as received once.
    fn note_receives(&self, id: u64, receives: u32) -> Result<(), QueueError> {
        self.engine
            .submit(
                0,
                move |connection| {
                    connection
                        .prepare_cached("UPDATE records SET receive_count = ?1 WHERE id = ?2")?
                        .execute(params![receives, id])
                },
                |_| {},
            )
            .map_err(|error| queue_error(&error))
    }
}
