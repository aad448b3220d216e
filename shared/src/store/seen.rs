//! Which applications were seen to have many endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::id::ApplicationId;

/// Most of them that are remembered.
const MAX_SEEN: usize = 10_000;

/// Applications that were seen to be wide, or large: their endpoints are not looked for in the call
/// that reads them. One that is so no more is read as if it were. With each that is wide, how many
/// endpoints this process may create before it counts them again.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<HashMap<ApplicationId, usize>>>);

impl Seen {
    /// Whether this one was seen to be so.
    pub(super) fn holds(&self, app: &ApplicationId) -> bool {
        self.lock().contains_key(app)
    }

    /// Takes the room for one endpoint, if there is known to be any.
    pub(super) fn take_room(&self, app: &ApplicationId) -> bool {
        match self.lock().get_mut(app) {
            Some(room) if *room > 0 => {
                *room -= 1;
                true
            }
            _ => false,
        }
    }

    /// Notes that this one is so, and has room for so many endpoints.
    pub(super) fn note(&self, app: &ApplicationId, room: usize) {
        let mut seen = self.lock();
        if seen.len() >= MAX_SEEN {
            seen.clear();
        }
        seen.insert(*app, room);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ApplicationId, usize>> {
        // The map is whole after every statement, whatever panicked in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
