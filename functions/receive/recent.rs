//! The messages that this process put in the queue lately.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use shared::domain::id::MessageId;

/// How many are remembered: the last seconds of a busy process.
const REMEMBERED: usize = 16_384;

/// A memory of what is safely in the queue. Clones share it.
///
/// A publisher that repeats a request often reaches the process that took it the first time;
/// then there is no need to ask the store or to send a second copy.
#[derive(Clone, Default)]
pub struct Recent(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    known: HashSet<MessageId>,
    order: VecDeque<MessageId>,
}

impl Recent {
    /// Remembers that the queue has acknowledged this message.
    pub(crate) fn remember(&self, id: MessageId) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.contains(id)
    }
}
