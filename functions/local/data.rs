//! The directory where everything is kept: the database, the root secret, the address.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use shared::domain::clock::Ambient;
use shared::domain::id::OrganisationId;
use shared::domain::secret::RootSecret;
use shared::domain::token::{APPLICATION_TOKEN_S, Access, ORGANISATION_TOKEN_S, Tokens};
use shared::host::config::DEFAULT_ORGANISATION;

const SECRET_FILE: &str = "root-secret";
const ADDRESS_FILE: &str = "address";
/// Random bytes of a new root secret.
const SECRET_BYTES: usize = 32;

/// The root secret of this directory, which is made if there is none yet.
pub(crate) fn root_secret(directory: &Path, ambient: &Ambient) -> Result<RootSecret, String> {
    let path = directory.join(SECRET_FILE);
    let describe = |error: std::io::Error| format!("{}: {error}", path.display());
    match std::fs::read_to_string(&path) {
        Ok(text) => RootSecret::new(&text).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            shared::embedded::create_directory(directory).map_err(describe)?;
            let text: String =
                ambient.random::<SECRET_BYTES>().iter().map(|byte| format!("{byte:02x}")).collect();
            write_private(&path, &text).map_err(describe)?;
            RootSecret::new(&text)
        }
        Err(error) => Err(describe(error)),
    }
}

/// The organisation of a platform on one machine.
pub(crate) fn organisation() -> OrganisationId {
    DEFAULT_ORGANISATION.parse().expect("the default organisation's id is one")
}

/// A token that opens everything on this platform.
pub(crate) fn organisation_token(secret: &RootSecret, ambient: &Ambient) -> String {
    Tokens::new(&secret.token_key()).issue(
        Access::Organisation(organisation()),
        ambient.now(),
        ORGANISATION_TOKEN_S,
    )
}

/// A token for everything of an organisation, or for one application of it.
pub(crate) fn issue(
    tokens: &Tokens,
    organisation: OrganisationId,
    app: Option<&str>,
    ambient: &Ambient,
) -> Result<String, String> {
    let (access, seconds) = match app {
        None => (Access::Organisation(organisation), ORGANISATION_TOKEN_S),
        Some(app) => {
            let app = app.parse().map_err(|error| format!("--app {app}: {error}"))?;
            (Access::Application(organisation, app), APPLICATION_TOKEN_S)
        }
    };
    Ok(tokens.issue(access, ambient.now(), seconds))
}

/// Leaves a note for the other commands where the platform listens.
pub(crate) fn write_address(directory: &Path, addr: SocketAddr) -> Result<(), String> {
    let path = directory.join(ADDRESS_FILE);
    std::fs::write(&path, addr.to_string()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Where the platform of this directory listens, or listened last.
pub(crate) fn read_address(directory: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(directory.join(ADDRESS_FILE)).ok()?.trim().parse().ok()
}

/// Only the owner may read it, from the first byte on.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
