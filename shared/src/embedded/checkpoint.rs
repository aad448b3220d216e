//! Folds the write-ahead log back into the file, as far as that can be done beside the writer.
//!
//! A log that is folded back by the writer alone holds up everybody for as long as it takes to
//! copy and sync it. So a thread of its own copies it while the writer goes on, again and again
//! from when the log is nearly full; what is left when it is full is what came during the last
//! copy, and only the writer can do that, since the log begins anew then. While somebody reads what
//! was there before, the log grows. What the background writes is copied soon after: it is much at a
//! time and hardly ever written again, and copied with all the rest it would keep the disk from the
//! commits of others for a tenth of a second.
//!
//! SQLite syncs the file only after a copy that left nothing: of many megabytes at once, then, and
//! by the writer. So that thread syncs it itself, while it copies, too: a commit waits no longer
//! for the disk than a few megabytes take.

use std::cell::Cell;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rusqlite::Connection;

/// Pages of the log (4 KiB each) from which on it is folded back by whoever writes: large, since
/// pages that are written again and again then reach the main file once.
const FULL_PAGES: u32 = 16_384;
/// Pages of the log after which it is copied beside the writer.
const COPY_PAGES: u32 = 12_288;
/// Pages that are worth another copy: each ends with a sync of the main file.
const MORE_PAGES: u32 = 256;
/// Bytes of background jobs that are.
const BACKGROUND_BYTES: usize = 2 * 1024 * 1024;
/// Pages that may be left to the writer, which then holds up others no longer than a few large
/// commits do. Twice what the log has too much comes on top: the copies may be slower than the
/// writer.
const LAST_PAGES: u32 = 1024;
/// Between two syncs while pages are copied.
const SYNC_PAUSE: Duration = Duration::from_millis(1);

thread_local! {
    /// Pages of the log after the last commit of this thread.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Who is to fold the log back; belongs to the writer's thread.
pub(super) struct Checkpoints {
    /// Takes what is sent only when nothing is being copied.
    ask: SyncSender<()>,
    /// Pages of the log when the last copy began; 0 when the log begins anew.
    asked_at: u32,
    /// Bytes of background jobs since then.
    background_bytes: usize,
    /// Pages of the log that have been copied and synced.
    copied: Arc<AtomicU32>,
}

impl Checkpoints {
    /// Takes it over from this connection to `file`, whose thread is to call
    /// [`Self::after_commit`].
    ///
    /// # Errors
    /// When the file cannot be opened a second time, or there is no thread.
    pub(super) fn of(writer: &Connection, path: &Path, file: Arc<File>) -> Result<Self, String> {
        // Replaces what SQLite does by itself.
        writer.wal_hook(Some(|_, pages| {
            PAGES.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        let connection = Connection::open(path).map_err(|error| error.to_string())?;
        let (ask, asked) = sync_channel::<()>(0);
        let copied = Arc::<AtomicU32>::default();
        let copies = copied.clone();
        std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || {
                while asked.recv().is_ok() {
                    copies.store(copy(&connection, &file), Ordering::Relaxed);
                }
                // The file last, as the writer does.
                drop(connection);
                drop(file);
            })
            .map_err(|error| error.to_string())?;
        Ok(Self { ask, asked_at: 0, background_bytes: 0, copied })
    }

    /// Sees to it that the log does not grow for ever. So many bytes of the commit were those of
    /// background jobs.
    pub(super) fn after_commit(&mut self, writer: &Connection, background_bytes: usize) {
        let pages = PAGES.get();
        if pages < self.asked_at || self.asked_at == 0 {
            self.asked_at = 0;
            // Of the log before this one, whose last copy may have ended only now.
            self.copied.store(0, Ordering::Relaxed);
        }
        self.background_bytes += background_bytes;
        let is_much = self.background_bytes >= BACKGROUND_BYTES;
        if pages < COPY_PAGES && !is_much {
            return;
        }
        let left = pages.saturating_sub(self.copied.load(Ordering::Relaxed));
        let too_much = pages.checked_sub(FULL_PAGES);
        if too_much.is_some_and(|too_much| left <= LAST_PAGES + 2 * too_much) {
            fold_back(writer);
        } else if is_much || pages.saturating_sub(self.asked_at) >= MORE_PAGES {
            match self.ask.try_send(()) {
                Ok(()) => (self.asked_at, self.background_bytes) = (pages, 0),
                // Still at it.
                Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => {
                    fold_back(writer);
                }
            }
        }
    }
}

/// Copies what there is of the log, and syncs it; how many of its pages have been copied by now.
fn copy(connection: &Connection, file: &File) -> u32 {
    let copying = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let beside = || {
            while copying.load(Ordering::Relaxed) {
                sync(file);
                std::thread::sleep(SYNC_PAUSE);
            }
        };
        // Without that thread everything is synced in the end.
        let _ = std::thread::Builder::new().name("store-sync".into()).spawn_scoped(scope, beside);
        let copied = fold_back(connection);
        copying.store(false, Ordering::Relaxed);
        sync(file);
        copied
    })
}

fn sync(file: &File) {
    if let Err(error) = file.sync_data() {
        // The last copy of a log syncs all of it again, and fails for the writer.
        tracing::warn!(%error, "the database could not be synced");
    }
}

/// As much of it as nobody reads from; how many of its pages have been copied by now.
fn fold_back(connection: &Connection) -> u32 {
    let done = connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, Option<i64>>(2));
    match done {
        // -1 while another thread is at it.
        Ok(copied) => copied.and_then(|copied| u32::try_from(copied).ok()).unwrap_or(0),
        Err(error) => {
            tracing::warn!(%error, "the log of the database could not be folded back yet");
            0
        }
    }
}
