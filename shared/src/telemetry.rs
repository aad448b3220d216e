//! Logs: readable text on a terminal, one JSON line an event on Lambda.
//!
//! Fields are dotted and carry their unit (`duration_ms`). Ids go in; payloads, secrets,
//! tokens and header values never do. What could bring them in by itself is kept out here: the
//! messages of panics, which may quote anything, and the finer lines of libraries, which quote
//! whole requests. An error of a JSON parser goes in by [`place_in_json`].

use std::panic::PanicHookInfo;

#[cfg(feature = "aws")]
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
#[cfg(feature = "aws")]
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
#[cfg(feature = "aws")]
use tracing_subscriber::layer::Layer;
#[cfg(feature = "aws")]
use tracing_subscriber::registry::LookupSpan;

#[cfg(feature = "otel")]
use crate::otel::Traces;

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

/// Starts logging on Lambda, as the function's logging configuration says through `look_up`:
/// `AWS_LAMBDA_LOG_FORMAT` (text unless `JSON`) and `AWS_LAMBDA_LOG_LEVEL` (`INFO` unless set).
///
/// The runtime's own subscriber also takes filters for each module. With them comes an engine
/// for regular expressions, for which a binary of five megabytes is too good.
#[cfg(feature = "aws")]
pub fn on_lambda(look_up: &dyn Fn(&str) -> Option<String>) -> Telemetry {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;
    use tracing_subscriber::util::SubscriberInitExt;

    let registry = registry();
    #[cfg(feature = "otel")]
    let traces = Traces::from_lookup(look_up);
    #[cfg(feature = "otel")]
    let registry = registry.with(traces.as_ref().ok().and_then(Option::as_ref).map(Traces::layer));
    // Fails only when something started logging before, which is as good.
    let _ = registry.with(lambda_logs(look_up)).try_init();
    log_panics();
    Telemetry {
        #[cfg(feature = "otel")]
        traces: traces.unwrap_or_else(|reason| {
            tracing::error!(reason, "there will be no traces");
            None
        }),
    }
}

#[cfg(feature = "aws")]
fn lambda_logs<S>(look_up: &dyn Fn(&str) -> Option<String>) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    use tracing_subscriber::fmt;

    let json = look_up("AWS_LAMBDA_LOG_FORMAT").is_some_and(|it| it.eq_ignore_ascii_case("json"));
    let layer: Box<dyn Layer<S> + Send + Sync> = match json {
        // With the time, although Lambda would add it: a line without it counts as INFO, whatever
        // its own `level` says, and is dropped where only warnings are asked for (Lambda's guide,
        // "Log-level filtering").
        true => Box::new(fmt::layer().json().with_target(false).with_current_span(false)),
        // Here Lambda adds the time, and colours would be noise.
        false => Box::new(fmt::layer().with_target(false).without_time().with_ansi(false)),
    };
    layer.with_filter(lambda_filter(look_up("AWS_LAMBDA_LOG_LEVEL").as_deref()))
}

/// What is logged at this level of Lambda's: ours down to it, and nothing of libraries below
/// `INFO`. The AWS SDK and the runtime quote requests at `TRACE`, payload and all.
#[cfg(feature = "aws")]
pub fn lambda_filter(level: Option<&str>) -> Targets {
    let level = match level {
        // Lambda's name for what is worse than anything that `tracing` knows.
        Some("FATAL") => LevelFilter::ERROR,
        level => level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO),
    };
    ours(level).with_default(level.min(LevelFilter::INFO))
}

/// What our own crates say down to this level.
#[cfg(feature = "aws")]
pub(crate) fn ours(level: LevelFilter) -> Targets {
    let crates = ["shared", "receive", "dispatch", "retry", "admin"];
    Targets::new().with_targets(crates.map(|name| (name, level)))
}

/// What goes on beside the log.
#[cfg(feature = "aws")]
#[derive(Default)]
pub struct Telemetry {
    /// Traces, if the environment asks for them.
    #[cfg(feature = "otel")]
    pub traces: Option<Traces>,
}

#[cfg(feature = "aws")]
impl Telemetry {
    /// Sends what has been gathered.
    pub async fn flush(&self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = &self.traces {
            traces.flush().await;
        }
    }
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
