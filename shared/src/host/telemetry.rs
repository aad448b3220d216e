//! Logs: readable text on a terminal, one JSON line an event on Lambda.
//!
//! Fields are dotted and carry their unit (`duration_ms`). Ids go in; payloads, secrets,
//! tokens and header values never do. What could bring them in by itself is kept out here: the
//! messages of panics, which may quote anything, and the finer lines of libraries, which quote
//! whole requests. An error of a JSON parser goes in by [`place_in_json`](crate::domain::json::place_in_json).

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::host::config;

/// Starts logging to the terminal. `filter` is a `tracing` filter; `None` means warnings only.
pub fn to_terminal(filter: Option<&str>) {
    let (filter, wrong) = match EnvFilter::try_new(filter.unwrap_or("warn")) {
        Ok(filter) => (filter, None),
        Err(wrong) => (EnvFilter::new("warn"), Some(wrong)),
    };
    // Fails only when something started logging before, which is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(colours())
        .with_writer(std::io::stderr)
        .try_init();
    if let Some(wrong) = wrong {
        tracing::warn!("POSTHORN_LOG: {wrong}; only warnings are logged");
    }
    log_panics();
}

/// Whether whoever reads the log wants colours: a terminal, unless `NO_COLOR` is set.
fn colours() -> bool {
    let refused = config::from_process("NO_COLOR").is_some_and(|set| !set.is_empty());
    std::io::stderr().is_terminal() && !refused
}

/// Logs panics by their place. What a panic says is logged only when it was written in the code;
/// one that was put together may quote what it choked on.
pub fn log_panics() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let said = panic.payload().downcast_ref::<&'static str>().unwrap_or(&"not told");
    tracing::error!(place, said, "panic");
}

/// What our own crates say down to this level.
pub fn ours(level: LevelFilter) -> Targets {
    let crates = ["shared", "receive", "dispatch", "retry", "admin"];
    Targets::new().with_targets(crates.map(|name| (name, level)))
}
