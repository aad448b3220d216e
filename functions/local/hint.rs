//! What to type next, spelled the way that this program was started.

use shared::host::config;

/// A command of this program, as its user would type it.
pub(crate) fn command(rest: &str) -> String {
    // Set by Cargo for what it runs.
    if config::from_process("CARGO").is_some() {
        return format!("cargo run -- {rest}");
    }
    let typed = std::env::args().next().unwrap_or_else(|| "posthorn".to_owned());
    format!("{typed} {rest}")
}
