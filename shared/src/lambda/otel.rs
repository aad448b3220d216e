//! Traces by OpenTelemetry, for functions that are built with the feature `otel`: the spans of
//! an invocation go to a collector by OTLP over HTTP when its work is done.
//!
//! They are the spans of the log: `receive`, `dispatch` with a `record` for each record and an
//! `attempt` for each request, `sweep`. Each invocation is a trace of its own; the attributes
//! `message.id` and `endpoint.id` hold together what belongs together. What leaves out the log
//! leaves out a payload here too.
//!
//! No endpoint is sent a trace header: customers' systems are not part of the operator's traces,
//! and what they got would be signed for nothing.
//!
//! The variables are OpenTelemetry's own. Without `OTEL_EXPORTER_OTLP_ENDPOINT` nothing is
//! gathered; `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME` (else the function's name),
//! `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_TRACES_SAMPLER` mean what they mean everywhere.
//!
//! Not guaranteed: spans beyond [`MAX_SPANS`] an invocation, and those that a collector does not
//! take within [`EXPORT_MS`]. Nothing waits longer for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor, Tracer,
};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{Filtered, LevelFilter, Targets};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::domain::sync::hold;
use crate::host::telemetry::ours;
use crate::sender::tls;

/// Most spans that are kept of an invocation: a batch of ten to a hundred endpoints each has
/// half as many.
pub const MAX_SPANS: usize = 2048;
/// Longest that an invocation waits for the collector, in milliseconds.
pub const EXPORT_MS: u64 = 1_000;

/// Where the collector takes traces, below its address (OTLP specification).
const TRACES_PATH: &str = "/v1/traces";

/// Gathers spans and sends them to a collector.
pub struct Traces {
    provider: SdkTracerProvider,
    exporter: opentelemetry_otlp::SpanExporter,
    gathered: Arc<Gathered>,
}

impl Traces {
    /// As OpenTelemetry's variables say; `None` if they name no collector.
    ///
    /// # Errors
    /// A sentence that says what is wrong with them.
    pub fn from_lookup(look_up: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let said = |name: &str| look_up(name).filter(|value| !value.is_empty());
        let Some(collector) = said("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
        let service = said("OTEL_SERVICE_NAME").or_else(|| said("AWS_LAMBDA_FUNCTION_NAME"));
        Self::to(&collector, service.as_deref().unwrap_or("posthorn")).map(Some)
    }

    /// To the collector at this address, under the name of this service.
    ///
    /// # Errors
    /// When the address is none.
    pub fn to(collector: &str, service: &str) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{}{TRACES_PATH}", collector.trim_end_matches('/')))
            .build()
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}"))?;
        let resource = Resource::builder().with_service_name(service.to_owned()).build();
        exporter.set_resource(&resource);
        let gathered = Arc::<Gathered>::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Gatherer(gathered.clone()))
            .with_resource(resource)
            .build();
        Ok(Self { provider, exporter, gathered })
    }

    /// What makes spans of ours those that are gathered.
    pub fn layer<S>(&self) -> Filtered<OpenTelemetryLayer<S, Tracer>, Targets, S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("posthorn"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours(LevelFilter::INFO))
    }

    /// Sends what was gathered since the last time. What the collector does not take is lost,
    /// and the log says so.
    pub async fn flush(&self) {
        let spans = self.gathered.take();
        let count = spans.len();
        if count == 0 {
            return;
        }
        // Around the exporter, which tries several times.
        let limit = Duration::from_millis(EXPORT_MS);
        let why = match tokio::time::timeout(limit, self.exporter.export(spans)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {EXPORT_MS} ms"),
        };
        tracing::warn!(count, why, "the collector did not take the spans");
    }
}

/// Spans that have ended.
#[derive(Debug, Default)]
struct Gathered(Mutex<Vec<SpanData>>);

impl Gathered {
    fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut *hold(&self.0))
    }
}

/// The SDK's own processors export on a thread of theirs, which Lambda freezes half way, or block
/// the only thread that there is.
#[derive(Debug)]
struct Gatherer(Arc<Gathered>);

impl SpanProcessor for Gatherer {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut spans = hold(&self.0.0);
        if spans.len() < MAX_SPANS {
            spans.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
