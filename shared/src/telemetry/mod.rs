//! Logs: readable text on a terminal, one JSON line an event on Lambda.
//!
//! Fields are dotted and carry their unit (`duration_ms`). Ids go in; payloads, secrets,
//! tokens and header values never do. What could bring them in by itself is kept out here: the
//! messages of panics, which may quote anything, and the finer lines of libraries, which quote
//! whole requests. An error of a JSON parser goes in by [`place_in_json`].

use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

#[cfg(feature = "aws")]
mod lambda;

#[cfg(feature = "otel")]
pub(crate) use lambda::ours;
#[cfg(feature = "aws")]
pub use lambda::{Telemetry, lambda_filter, on_lambda};

/// Starts logging to the terminal. `filter` is a `tracing` filter; `None` means warnings only.
pub fn to_terminal(filter: Option<&str>) {
    let filter =
        EnvFilter::try_new(filter.unwrap_or("warn")).unwrap_or_else(|_| EnvFilter::new("warn"));
    // Fails only when something started logging before, which is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_writer(std::io::stderr)
        .try_init();
    log_panics();
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

/// What is wrong with some JSON and where, without quoting it as the error itself may do.
pub fn place_in_json(error: &serde_json::Error) -> String {
    use serde_json::error::Category;

    let what = match error.classify() {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is no JSON",
        Category::Data => "a value is missing or of a wrong type",
        Category::Eof => "it ends early",
    };
    // What was read from a value has no place.
    match error.line() {
        0 => what.to_owned(),
        line => format!("{what} (line {line}, column {})", error.column()),
    }
}
