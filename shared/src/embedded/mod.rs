//! One SQLite file that holds store and queues of a single machine, with group commit.
//!
//! One thread owns the writing connection. It takes whatever jobs are waiting, runs them in one
//! transaction, commits (one `fsync` for all of them) and only then tells their callers. So a
//! call that returned is on disk, and hundreds of callers share the price of a sync. Large jobs,
//! and those of threads that [stand back](stand_back), come a few at a time, and rest in between as
//! long as there are others. A job that fails or panics is undone and hears why; the others of its
//! transaction do not notice.
//!
//! The file never shrinks: what is deleted leaves pages that the next writes use. So it stays as
//! large as what it once held at the same time.
//!
//! Reads run on the caller's thread, on read-only connections of their own (WAL mode: they
//! never wait for the writer).
//!
//! Not guaranteed: anything between two processes; a lock file keeps a second one out.

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{oneshot, watch};

use crate::domain::sync::hold;
use checkpoint::Checkpoints;
use writer::{Job, Task, write_in_groups};

mod checkpoint;
mod writer;

/// The file's name in its directory.
pub const FILE_NAME: &str = "posthorn.db";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS items (
        pk TEXT NOT NULL, sk TEXT NOT NULL,
        tpk TEXT, tsk TEXT, dpk TEXT, dsk TEXT,
        expires_at INTEGER, rev INTEGER NOT NULL,
        doc TEXT NOT NULL, body BLOB
    );
    CREATE UNIQUE INDEX IF NOT EXISTS items_key ON items (pk, sk);
    CREATE INDEX IF NOT EXISTS items_by_time ON items (tpk, tsk) WHERE tpk IS NOT NULL;
    CREATE INDEX IF NOT EXISTS items_due ON items (dpk, dsk) WHERE dpk IS NOT NULL;
    CREATE INDEX IF NOT EXISTS items_expiry ON items (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE IF NOT EXISTS records (
        id INTEGER PRIMARY KEY,
        queue TEXT NOT NULL, body TEXT NOT NULL, grp TEXT NOT NULL,
        deliver_at INTEGER NOT NULL, receive_count INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
";

/// Why the file did not do as asked. It leaves open whether the work had its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineError(pub String);

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EngineError {}

/// The file, open. Clones share it.
#[derive(Clone)]
pub struct Engine {
    jobs: Sender<Box<dyn Job>>,
    readers: Arc<Readers>,
    /// Closed when the writer has stopped.
    writing: watch::Receiver<()>,
    /// Keeps other processes out for as long as anybody holds this.
    _lock: Arc<std::fs::File>,
}

/// The file that is locked by whoever has the directory open.
const LOCK_FILE: &str = "lock";
/// How often it is tried to be locked, and the first pause between.
const LOCK_TRIES: u32 = 4;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Whether a process has this directory open. Where the file system knows no locks nobody can say;
/// then it counts as open.
pub fn is_open(directory: &Path) -> bool {
    let Ok(file) = std::fs::File::open(directory.join(LOCK_FILE)) else { return false };
    file.try_lock_shared().is_err()
}

impl Engine {
    /// Opens `posthorn.db` in this directory, which is created if it is missing.
    ///
    /// # Errors
    /// A sentence for the operator: no permission, a disk that fails, or another Posthorn that
    /// has it open.
    pub fn open(directory: &Path) -> Result<Self, String> {
        let at = |what: &str, error: &dyn std::fmt::Display| {
            format!("{what} {}: {error}", directory.display())
        };
        create_directory(directory).map_err(|error| at("cannot create", &error))?;
        let lock = open_private(&directory.join(LOCK_FILE))
            .map_err(|error| at("cannot write to", &error))?;
        // Whoever only looks whether it is open has it for a moment.
        let is_ours = (0..LOCK_TRIES).any(|tries| {
            std::thread::sleep(LOCK_PAUSE * tries);
            lock.try_lock().is_ok()
        });
        if !is_ours {
            return Err(format!(
                "another Posthorn is running on {}: stop it, or choose another directory",
                directory.display()
            ));
        }
        let path = directory.join(FILE_NAME);
        // SQLite gives what it makes beside it the same permissions.
        let file = open_private(&path).map_err(|error| at("cannot write to", &error))?;
        let file = Arc::new(file);
        let writer =
            open_writer(&path).map_err(|error| at("cannot open the database in", &error))?;
        let checkpoints = Checkpoints::of(&writer, &path, file.clone())
            .map_err(|error| at("cannot open the log of", &error))?;
        let (jobs, inbox) = mpsc::channel();
        let (alive, writing) = watch::channel(());
        let readers = Arc::new(Readers { path, idle: Mutex::default(), _file: file.clone() });
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                let _alive = alive;
                write_in_groups(&writer, &inbox, checkpoints);
                // The file last: see where the readers keep it.
                drop(writer);
                drop(file);
            })
            .map_err(|error| format!("cannot start the writer: {error}"))?;
        Ok(Self { jobs, readers, writing, _lock: Arc::new(lock) })
    }

    /// Runs `work` in the next transaction; returns when it is on disk. It may run twice, when
    /// somebody else's work of that transaction has failed, but has its effect once.
    ///
    /// # Errors
    /// When it failed, in which case nothing of it happened, or when the disk did.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.write_bytes(0, work).await
    }

    /// Like [`Self::write`], for what adds about so many bytes: what is large goes behind others.
    ///
    /// # Errors
    /// As there.
    pub async fn write_bytes<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.write_then(bytes, work, |_| {}).await
    }

    /// Like [`Self::write_bytes`], but before the answer `then` hears what has become of it, whether
    /// or not anybody still waits.
    ///
    /// # Errors
    /// As there.
    pub async fn write_then<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: impl FnOnce(&Result<T, EngineError>) + Send + 'static,
    ) -> Result<T, EngineError> {
        let (done, answer) = oneshot::channel();
        self.submit(bytes, work, move |result| {
            then(&result);
            // A caller that stopped waiting has given up its answer, not the work.
            let _ = done.send(result);
        })?;
        answer.await.map_err(|_| closed())?
    }

    /// Like [`Self::write_then`], for what nobody waits for.
    ///
    /// # Errors
    /// When the writer is gone.
    pub fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        then: impl FnOnce(Result<T, EngineError>) + Send + 'static,
    ) -> Result<(), EngineError> {
        self.jobs.send(Box::new(Task::new(bytes, work, then))).map_err(|_| closed())
    }

    /// Notes something about this file, once: later calls change nothing. What was noted first.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn note_once(&self, name: &str, text: &str) -> Result<String, EngineError> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.write(move |connection| {
            connection
                .prepare_cached("INSERT INTO notes VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute([&name, &text])?;
            connection
                .prepare_cached("SELECT text FROM notes WHERE name = ?1")?
                .query_row([&name], |row| row.get(0))
        })
        .await
    }

    /// Keeps this text under `name`, whatever was there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn note(&self, name: &str, text: &str) -> Result<(), EngineError> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.write(move |connection| {
            connection
                .prepare_cached("INSERT OR REPLACE INTO notes VALUES (?1, ?2)")?
                .execute([&name, &text])?;
            Ok(())
        })
        .await
    }

    /// Returns when nothing can be written any more, which only a new process can mend.
    pub async fn stopped(&self) {
        let mut writing = self.writing.clone();
        while writing.changed().await.is_ok() {}
    }

    /// Reads what has been committed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, EngineError> {
        let connection = self.readers.take()?;
        let result = work(&connection).map_err(unavailable);
        self.readers.give_back(connection);
        result
    }
}

/// From now on what this thread asks to be written goes behind what other threads do.
pub fn stand_back() {
    writer::stand_back();
}

/// Creates the directory that everything is kept in, for its owner's eyes only: payloads and
/// the root secret rest in it. One that is there already is made private if nothing of anybody
/// else's is in it.
///
/// # Errors
/// When it cannot be created, or others can look into it and it is not ours to close.
pub fn create_directory(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)?;
    #[cfg(unix)]
    close_to_others(directory)?;
    Ok(())
}

#[cfg(unix)]
fn close_to_others(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    /// What we keep in it starts with one of these; the last one is the file system's own.
    const OURS: [&str; 6] =
        ["posthorn.", "root-secret", "listen-secret", "address", "lock", "lost+found"];
    let mode = std::fs::metadata(directory)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !OURS.iter().any(|ours| name.starts_with(ours)) {
            return Err(std::io::Error::other(format!(
                "others can look into it (mode {:o}), and it has other things in it (`{name}`): \
                 choose a directory for Posthorn alone",
                mode & 0o777
            )));
        }
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}

/// Opens a file for writing; if it is made by this, it is for its owner's eyes only.
fn open_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

struct Readers {
    path: std::path::PathBuf,
    idle: Mutex<Vec<Connection>>,
    /// Behind the connections, and whoever has others keeps it as well: on Unix a process gives up
    /// all its locks on a file when it closes it anywhere, and SQLite relies on its own.
    _file: Arc<std::fs::File>,
}

impl Readers {
    fn take(&self) -> Result<Connection, EngineError> {
        let idle = hold(&self.idle).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => open_reader(&self.path).map_err(unavailable),
        }
    }

    fn give_back(&self, connection: Connection) {
        hold(&self.idle).push(connection);
    }
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With FULL every commit of the log is synced: what was acknowledged survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.execute_batch(SCHEMA)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn unavailable(error: rusqlite::Error) -> EngineError {
    EngineError(format!("the database file: {error}"))
}

fn closed() -> EngineError {
    EngineError("the store's writer has stopped".into())
}
