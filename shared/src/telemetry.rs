//! Logs: readable text on a terminal, one JSON line an event on Lambda.
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

/// Starts logging on Lambda, as the function's logging configuration says through `look_up`:
/// `AWS_LAMBDA_LOG_FORMAT` (text unless `JSON`) and `AWS_LAMBDA_LOG_LEVEL` (`INFO` unless set).
///
/// The runtime's own subscriber also takes filters for each module. With them comes an engine
/// for regular expressions, for which a binary of five megabytes is too good.
#[cfg(feature = "aws")]
pub fn on_lambda(look_up: &dyn Fn(&str) -> Option<String>) {
    use tracing_subscriber::filter::LevelFilter;

    let level = match look_up("AWS_LAMBDA_LOG_LEVEL").as_deref() {
        // Lambda's name for what is worse than anything that `tracing` knows.
        Some("FATAL") => LevelFilter::ERROR,
        level => level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO),
    };
    let logs = tracing_subscriber::fmt().with_max_level(level).with_target(false);
    let json = look_up("AWS_LAMBDA_LOG_FORMAT").is_some_and(|it| it.eq_ignore_ascii_case("json"));
    // Fails only when something started logging before, which is as good.
    let _ = match json {
        // With the time, although Lambda would add it: a line without it counts as INFO, whatever
        // its own `level` says, and is dropped where only warnings are asked for (Lambda's guide,
        // "Log-level filtering").
        true => logs.json().with_current_span(false).try_init(),
        // Here Lambda adds the time, and colours would be noise.
        false => logs.without_time().with_ansi(false).try_init(),
    };
}
