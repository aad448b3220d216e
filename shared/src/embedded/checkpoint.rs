//! Folds the write-ahead log back into the file, as far as that can be done beside the writer.
//!
//! A log that is folded back by the writer alone holds up everybody for as long as it takes to
//! copy and sync it. So a thread of its own copies it while the writer goes on, again and again
//! from when the log is nearly full; what is left when it is full is what came during the last
//! copy, and only the writer can do that, since the log begins anew then.

use std::cell::Cell;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use rusqlite::Connection;

/// Pages of the log (4 KiB each) after which it is folded back by whoever writes: large, since
/// pages that are written again and again then reach the main file once.
const FULL_PAGES: u32 = 16_384;
/// Pages of the log after which it is copied beside the writer.
const COPY_PAGES: u32 = 12_288;
/// Pages that are worth another copy: each ends with a sync of the main file.
const MORE_PAGES: u32 = 256;

thread_local! {
    /// Pages of the log after the last commit of this thread.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Who is to fold the log back; belongs to the writer's thread.
pub(super) struct Checkpoints {
    /// Takes what is sent only when nothing is being copied.
    ask: SyncSender<()>,
    /// Pages of the log when the last copy began; 0 when the log begins anew.
    copied: u32,
}

impl Checkpoints {
    /// Takes it over from this connection, whose thread is to call [`Self::after_commit`].
    ///
    /// # Errors
    /// When the file cannot be opened a second time, or there is no thread.
    pub(super) fn of(writer: &Connection, path: &Path) -> Result<Self, String> {
        // Replaces what SQLite does by itself.
        writer.wal_hook(Some(|_, pages| {
            PAGES.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        let connection = Connection::open(path).map_err(|error| error.to_string())?;
        let (ask, asked) = sync_channel::<()>(0);
        std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || {
                while asked.recv().is_ok() {
                    fold_back(&connection)
                }
            })
            .map_err(|error| error.to_string())?;
        Ok(Self { ask, copied: 0 })
    }

    /// Sees to it that the log does not grow for ever.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        let pages = PAGES.get();
        if pages < COPY_PAGES {
            self.copied = 0;
        } else if pages >= FULL_PAGES {
            fold_back(writer);
        } else if pages.saturating_sub(self.copied) >= MORE_PAGES && self.ask.try_send(()).is_ok() {
            self.copied = pages;
        }
    }
}

/// As much of it as nobody reads from.
fn fold_back(connection: &Connection) {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = done {
        tracing::warn!(%error, "the log of the database could not be folded back yet");
    }
}
