//! What this process is publishing at this moment, and what it put in the queue lately.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::domain::id::{MessageId, MessageKey};
use shared::domain::sync::hold;
use tokio::sync::OwnedMutexGuard;

/// How many are remembered: the last seconds of a busy process.
const REMEMBERED: usize = 16_384;
/// How long a request waits for another one that publishes in the same place.
const PATIENCE: Duration = Duration::from_secs(5);

/// A memory of what is safely in the queue, and a turn for each name that is being published
/// under. Clones share it.
///
/// A publisher that repeats a request often reaches the process that took it the first time;
/// then there is no need to ask the store or to send a second copy. If the first is still under
/// way, the second waits for it: between store and queue there is nothing yet that would tell
/// it from one whose process died there.
#[derive(Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    known: HashSet<MessageId>,
    order: VecDeque<MessageId>,
    turns: HashMap<MessageKey, Arc<tokio::sync::Mutex<()>>>,
}

/// The right to publish in a place, until it is dropped.
pub(crate) struct Turn {
    // The guard is given back before the seat is.
    _guard: OwnedMutexGuard<()>,
    _seat: Seat,
}

/// Somebody who publishes in a place, or waits for that.
struct Seat {
    recent: Recent,
    key: MessageKey,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Recent {
    /// Remembers that the queue has acknowledged this message.
    pub(crate) fn remember(&self, id: MessageId) {
        let mut memory = hold(&self.0);
        if memory.known.insert(id) {
            memory.order.push_back(id);
        }
        if memory.order.len() > REMEMBERED
            && let Some(oldest) = memory.order.pop_front()
        {
            memory.known.remove(&oldest);
        }
    }

    /// Whether the queue has acknowledged this message, as far as this process knows.
    pub(crate) fn contains(&self, id: &MessageId) -> bool {
        hold(&self.0).known.contains(id)
    }

    /// Waits until nobody else in this process publishes in this place; `None` if that takes
    /// too long.
    pub(crate) async fn turn(&self, key: MessageKey) -> Option<Turn> {
        let turn = hold(&self.0).turns.entry(key).or_default().clone();
        let seat = Seat { recent: self.clone(), key, turn: turn.clone() };
        let guard = match turn.clone().try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => tokio::time::timeout(PATIENCE, turn.lock_owned()).await.ok()?,
        };
        Some(Turn { _guard: guard, _seat: seat })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        /// The map's and this one's: nobody else has a seat.
        const LAST: usize = 2;
        let mut memory = hold(&self.recent.0);
        if Arc::strong_count(&self.turn) <= LAST {
            memory.turns.remove(&self.key);
        }
    }
}
