//! Folds the write-ahead log back into the file, as far as that can be done beside the writer.
//!
//! A log that is folded back by the writer alone holds up everybody for as long as it takes to
//! copy and sync it. So a thread of its own copies most of it while the writer goes on; what is
//! left when the log is full is little, and only the writer can do it, since the log begins anew
//! then.

use std::cell::Cell;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use rusqlite::Connection;

/// Pages of the log (4 KiB each) after which it is folded back by whoever writes: large, since
/// pages that are written again and again then reach the main file once.
const FULL_PAGES: u32 = 16_384;
/// Pages of the log after which most of it is copied beside the writer.
const COPY_PAGES: u32 = 12_288;

thread_local! {
    /// Pages of the log after the last commit of this thread.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Who is to fold the log back; belongs to the writer's thread.
pub(super) struct Checkpoints {
    ask: SyncSender<()>,
    /// Whether the log as it is has been copied once.
    copied: bool,
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
        let (ask, asked) = sync_channel::<()>(1);
        std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || {
                while asked.recv().is_ok() {
                    fold_back(&connection)
                }
            })
            .map_err(|error| error.to_string())?;
        Ok(Self { ask, copied: false })
    }

    /// Sees to it that the log does not grow for ever.
    pub(super) fn after_commit(&mut self, writer: &Connection) {
        let pages = PAGES.get();
        if pages >= FULL_PAGES {
            fold_back(writer);
            self.copied = false;
        } else if pages < COPY_PAGES {
            self.copied = false;
        } else if !self.copied {
            self.copied = self.ask.try_send(()).is_ok();
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
