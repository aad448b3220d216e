//! The directory where everything is kept: the database, the root secret, the address.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use shared::domain::clock::Ambient;
use shared::domain::id::OrganisationId;
use shared::domain::secret::{RootSecret, SigningSecret};
use shared::domain::token::{Access, ORGANISATION_TOKEN_S, Tokens};
use shared::embedded::{self, Engine, FILE_NAME};
use shared::host::config::DEFAULT_ORGANISATION;

const SECRET_FILE: &str = "root-secret";
const LISTEN_SECRET_FILE: &str = "listen-secret";
const ADDRESS_FILE: &str = "address";

/// The root secret of this directory, which is made if there is nothing yet.
///
/// # Errors
/// A sentence for the operator: it cannot be read or made, was lost, is too short, or others may
/// read it.
pub(crate) fn root_secret(directory: &Path, ambient: &Ambient) -> Result<RootSecret, String> {
    let path = directory.join(SECRET_FILE);
    if !path.exists() && directory.join(FILE_NAME).exists() {
        return Err(format!(
            "{} is missing: secrets in the database open with it alone; put it back, or begin with \
             another directory",
            path.display()
        ));
    }
    let text = kept(&path, || RootSecret::generate(ambient))?;
    RootSecret::new(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The secret of what listens from this directory, which is made if there is none yet: a receiver
/// that is being written keeps it over many starts.
///
/// # Errors
/// A sentence for the operator, as for the root secret.
pub(crate) fn listen_secret(directory: &Path, ambient: &Ambient) -> Result<String, String> {
    let path = directory.join(LISTEN_SECRET_FILE);
    kept(&path, || SigningSecret::generate(ambient).reveal())
}

/// What is in a file that only its owner may read; it is made if it is not there.
fn kept(path: &Path, make: impl FnOnce() -> String) -> Result<String, String> {
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    let directory = path.parent().unwrap_or(Path::new("."));
    let of_directory = |error| format!("{}: {error}", directory.display());
    shared::embedded::create_directory(directory).map_err(of_directory)?;
    if !path.try_exists().map_err(describe)? {
        write_private(path, &make(), Place::Keep).map_err(describe)?;
    }
    refuse_eyes(path)?;
    std::fs::read_to_string(path).map_err(describe)
}

/// Whether a platform was begun in this directory.
///
/// # Errors
/// A sentence for the operator: somebody else's directory, say.
pub(crate) fn is_begun(directory: &Path) -> Result<bool, String> {
    for name in [SECRET_FILE, FILE_NAME] {
        let path = directory.join(name);
        if path.try_exists().map_err(|error| format!("{}: {error}", path.display()))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts another root secret in the place of the one in this directory.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn replace_secret(directory: &Path, secret: &RootSecret) -> Result<(), String> {
    let path = directory.join(SECRET_FILE);
    write_private(&path, &secret.to_text(), Place::Replace)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// What [`check_secret`] compares with.
const FIRST_SECRET: &str = "root-secret";

/// Notes that this database has nothing any more that needs another key than the one in use.
///
/// # Errors
/// When it cannot be written.
pub(crate) async fn begin_anew(engine: &Engine, secret: &RootSecret) -> Result<(), String> {
    let noted = engine.note(FIRST_SECRET, &secret.fingerprint()).await;
    noted.map_err(|error| error.to_string())
}

/// Refuses a root secret that has not the key which this database was begun with. What was sealed
/// with another one does not open, and every delivery would be parked for it.
///
/// # Errors
/// A sentence for the operator.
pub(crate) async fn check_secret(engine: &Engine, secret: &RootSecret) -> Result<(), String> {
    let first = engine.note_once(FIRST_SECRET, &secret.fingerprint()).await;
    if secret.has(&first.map_err(|error| error.to_string())?) {
        return Ok(());
    }
    Err(format!(
        "{SECRET_FILE} is not the one that this database was begun with: secrets in it would not \
         open; put the old one back, or begin with another directory"
    ))
}

/// The organisation of a platform on one machine.
pub(crate) fn organisation() -> OrganisationId {
    DEFAULT_ORGANISATION.parse().expect("the default organisation's id is one")
}

/// A token that opens everything on this platform.
pub(crate) fn organisation_token(secret: &RootSecret, ambient: &Ambient) -> String {
    Tokens::of(secret).issue(
        Access::Organisation(organisation()),
        ambient.now(),
        ORGANISATION_TOKEN_S,
    )
}

/// Leaves a note for the other commands where the platform listens.
pub(crate) fn write_address(directory: &Path, addr: SocketAddr) -> Result<(), String> {
    let path = directory.join(ADDRESS_FILE);
    std::fs::write(&path, addr.to_string()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Where the platform of this directory listens, if it runs. Where it listened last somebody else may
/// listen by now, who is not to be shown a token.
///
/// # Errors
/// A sentence for the operator: somebody else's directory, say.
pub(crate) fn read_address(directory: &Path) -> Result<Option<SocketAddr>, String> {
    let path = directory.join(ADDRESS_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().ok().filter(|_| embedded::is_open(directory))),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(format!("{}: {error}", path.display()))
        }
        Err(_) => Ok(None),
    }
}

/// What is said of a platform that does not know the token of its own directory.
pub(crate) fn another_platform(addr: SocketAddr, status: StatusCode) -> String {
    format!(
        "the platform at {addr} answered {status}: it is another one, or was started before its root \
         secret was changed, and is to be started anew"
    )
}

/// Permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

fn refuse_eyes(path: &Path) -> Result<(), String> {
    match mode(path) {
        Some(mode) if mode & OTHERS != 0 => {
            let name = path.display();
            Err(format!("{name} can be used by others (mode {mode:o}): `chmod 600 {name}`"))
        }
        _ => Ok(()),
    }
}

/// The permissions of a file or directory, where the system has such.
fn mode(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    let mode = std::fs::metadata(path)
        .ok()
        .map(|found| std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777);
    #[cfg(not(unix))]
    let mode = None;
    mode
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy)]
enum Place {
    /// It stays: another process was faster.
    Keep,
    /// It goes.
    Replace,
}

/// Only the owner may read it, from the first byte on, and it is there as a whole or not at all.
fn write_private(path: &Path, text: &str, place: Place) -> std::io::Result<()> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("{}-{call}.new", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let placed = match place {
        Place::Replace => std::fs::rename(&beside, path),
        // Unlike a rename, a link replaces nothing. Some file systems have none.
        Place::Keep => match std::fs::hard_link(&beside, path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(_) => std::fs::rename(&beside, path),
        },
    };
    let _ = std::fs::remove_file(&beside);
    placed?;
    // So that the name is on disk as well.
    #[cfg(unix)]
    std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}
