//! Logs on a terminal, as readable text. On Lambda the runtime writes one JSON line an event.
//!
//! Fields are dotted and carry their unit (`duration_ms`). Ids go in; payloads, secrets,
//! tokens and header values never do.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

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
}
