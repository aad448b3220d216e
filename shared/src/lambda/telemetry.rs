//! Logs and traces on Lambda.

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::host::telemetry::{log_panics, ours};
#[cfg(feature = "otel")]
use crate::lambda::otel::Traces;

/// Starts logging on Lambda, as the function's logging configuration says through `look_up`:
/// `AWS_LAMBDA_LOG_FORMAT` (text unless `JSON`) and `AWS_LAMBDA_LOG_LEVEL` (`INFO` unless set).
///
/// The runtime's own subscriber also takes filters for each module. With them comes an engine
/// for regular expressions, for which a binary of five megabytes is too good.
pub fn on_lambda(look_up: &dyn Fn(&str) -> Option<String>) -> Telemetry {
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

fn lambda_logs<S>(look_up: &dyn Fn(&str) -> Option<String>) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
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
pub fn lambda_filter(level: Option<&str>) -> Targets {
    let level = match level {
        // Lambda's name for what is worse than anything that `tracing` knows.
        Some("FATAL") => LevelFilter::ERROR,
        level => level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO),
    };
    ours(level).with_default(level.min(LevelFilter::INFO))
}

/// What goes on beside the log.
#[derive(Default)]
pub struct Telemetry {
    /// Traces, if the environment asks for them.
    #[cfg(feature = "otel")]
    pub traces: Option<Traces>,
}

impl Telemetry {
    /// Sends what has been gathered.
    pub async fn flush(&self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = &self.traces {
            traces.flush().await;
        }
    }
}
