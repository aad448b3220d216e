//! Which applications were seen to have many endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::domain::id::ApplicationId;
use crate::domain::sync::hold;

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
        hold(&self.0).contains_key(app)
    }

    /// Takes the room for one endpoint, if there is known to be any.
    pub(super) fn take_room(&self, app: &ApplicationId) -> bool {
        match hold(&self.0).get_mut(app) {
            Some(room) if *room > 0 => {
                *room -= 1;
                true
            }
            _ => false,
        }
    }

    /// Notes that this one is so, and has room for so many endpoints.
    pub(super) fn note(&self, app: &ApplicationId, room: usize) {
        let mut seen = hold(&self.0);
        if seen.len() >= MAX_SEEN {
            seen.clear();
        }
        seen.insert(*app, room);
    }
}
