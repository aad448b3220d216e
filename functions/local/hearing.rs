//! How much is read of the body of somebody who has proved nothing yet. Room for what is long is
//! bounded, so that no crowd of strangers fills the memory by sending bodies that never end.
//!
//! Not guaranteed: that the room is shared fairly. Who takes all of it keeps others' long bodies
//! waiting for as long as a body may take; they are told to come again. Short bodies, and those of
//! whoever may publish, need no room.

use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of all bodies that are read at once of those who share a room.
const ROOM_BYTES: usize = 64 * 1024 * 1024;
/// What room is given in.
const UNIT_BYTES: usize = 64 * 1024;

/// How long a body may be.
pub(crate) enum Hearing {
    /// No longer than any stranger's.
    Stranger,
    /// So many bytes; the room that they take is held while they are read.
    UpTo(
        usize,
        #[expect(dead_code, reason = "dropping it frees the room")] Option<OwnedSemaphorePermit>,
    ),
    /// There is no room for it at the moment.
    Busy,
}

/// Room for the long bodies of some kind of sender.
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    /// Room in which nobody is.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_BYTES / UNIT_BYTES)))
    }

    /// Room for the body of a request with this head, of at most so many bytes.
    pub(crate) fn hear(&self, head: &Parts, most: usize) -> Hearing {
        let said = head.headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
        let bytes = said.map_or(most, |said: usize| said.min(most));
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        match self.0.clone().try_acquire_many_owned(units) {
            Ok(place) => Hearing::UpTo(most, Some(place)),
            Err(_) => Hearing::Busy,
        }
    }
}
