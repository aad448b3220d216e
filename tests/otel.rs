//! Traces by OpenTelemetry, as a collector gets them: a listener on loopback that speaks OTLP
//! over HTTP.

use std::sync::{Arc, Mutex};

use http::Request;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use shared::domain::metrics::Collector;
use shared::lambda::emf::Emf;
use shared::lambda::invocation::Invocation;
use shared::lambda::otel::{EXPORT_MS, MAX_SPANS, Traces};
use shared::lambda::telemetry::Telemetry;
use shared::queue::{Consumer, MAX_BATCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::captured::listen;
use crate::support::network::answer;
use crate::support::world::World;

const URL: &str = "http://127.0.0.1:9/hook?key=sloe-query-key";
const PAYLOAD: &str = "plum-payload-7f3a";

#[tokio::test]
async fn an_invocations_spans_arrive_when_it_is_done() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(503));
    let at = Otlp::start().await;
    let (invocation, _guard) = traced(&world, &at.url());

    let request = Request::post(format!("/api/v1/app/{app}/msg"))
        .header("authorization", format!("Bearer {}", world.token()))
        .body(json!({"eventType": "a.b", "payload": {"fruit": PAYLOAD}}).to_string().into())
        .unwrap();
    let reply = invocation.of(world.receiver.handle(request)).await;
    assert_eq!(reply.status(), 202);
    let spans = at.take();
    assert_eq!(names(&spans), ["receive"]);
    let msg = attribute(&spans[0], "message.id");

    let batch = world.queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    let records = batch.clone();
    assert!(invocation.of(world.dispatcher.handle(batch, None)).await.is_empty());
    let spans = at.take();
    assert_eq!(names(&spans), ["attempt", "dispatch", "record"]);
    let [attempt, dispatch, record] = &spans[..] else { unreachable!() };
    // One trace, each inside the other.
    assert!(dispatch.parent_span_id.is_empty());
    assert_eq!(record.parent_span_id, dispatch.span_id);
    assert_eq!(attempt.parent_span_id, record.span_id);
    assert!(spans.iter().all(|span| span.trace_id == dispatch.trace_id));
    assert_eq!(attribute(dispatch, "records"), "1");
    assert_eq!(attribute(record, "record.id"), records[0].id);
    for span in [record, attempt] {
        assert_eq!(attribute(span, "message.id"), msg);
        assert_eq!(attribute(span, "endpoint.id"), ep);
    }
    assert_eq!(attribute(attempt, "status"), "503");
    assert_eq!(attribute(attempt, "delivered"), "false");
    assert!(attempt.end_time_unix_nano >= attempt.start_time_unix_nano);
    let made = world.attempts(&app, &msg).await;
    assert_eq!(attribute(attempt, "attempt.id"), made[0]["id"]);

    invocation.of(world.sweeper.run(None)).await;
    assert_eq!(names(&at.take()), ["sweep"]);
    assert_eq!(at.services(), ["posthorn-test"; 3]);
}

#[tokio::test]
async fn no_payload_and_no_header_of_ours_leaves_by_a_trace_and_no_trace_by_a_header() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let at = Otlp::start().await;
    let (invocation, _guard) = traced(&world, &at.url());
    world.publish(&app, json!({"fruit": PAYLOAD})).await;
    invocation.of(world.dispatch_all()).await;
    assert!(!at.take().is_empty());
    let bodies = at.bodies();
    assert!(!bodies.is_empty());
    for text in [PAYLOAD, "sloe-query-key", &world.token()] {
        assert!(!bodies.iter().any(|body| body.contains(text)), "{text}");
    }
    for sent in world.network.sent() {
        let mut names = sent.headers.iter().map(|(name, _)| name.to_lowercase());
        assert!(!names.any(|name| name.starts_with("trace")), "{sent:?}");
    }
}

#[tokio::test]
async fn nothing_is_sent_where_nothing_happened_and_no_more_than_the_limit() {
    let world = World::new();
    let at = Otlp::start().await;
    let (invocation, _guard) = traced(&world, &at.url());
    invocation.of(async {}).await;
    assert!(at.bodies().is_empty());
    let busy = async {
        for _ in 0..MAX_SPANS + 10 {
            tracing::info_span!(target: "dispatch", "attempt").in_scope(|| ());
            tracing::info_span!(target: "hyper", "not ours").in_scope(|| ());
        }
    };
    invocation.of(busy).await;
    let spans = at.take();
    assert_eq!(spans.len(), MAX_SPANS);
    assert!(spans.iter().all(|span| span.name == "attempt"));
}

#[tokio::test]
async fn a_collector_that_is_not_there_changes_no_answer() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (invocation, _guard) = traced(&world, &url);
    let request = Request::get("/nothing").body(bytes::Bytes::new()).unwrap();
    assert_eq!(invocation.of(world.receiver.handle(request)).await.status(), 404);
}

#[tokio::test]
async fn a_collector_that_hangs_is_waited_for_no_longer_than_the_limit() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (invocation, _guard) = traced(&world, &url);
    let request = Request::get("/nothing").body(bytes::Bytes::new()).unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(invocation.of(world.receiver.handle(request)).await.status(), 404);
    let took_ms = began.elapsed().as_millis() as u64;
    assert!((EXPORT_MS..2 * EXPORT_MS).contains(&took_ms), "{took_ms}");
}

#[test]
fn without_a_collector_nothing_is_traced_and_a_wrong_one_is_said() {
    let with = |url: &'static str| {
        move |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| url.to_owned())
    };
    assert!(Traces::from_lookup(&|_| None).unwrap().is_none());
    assert!(Traces::from_lookup(&with("")).unwrap().is_none());
    assert!(Traces::from_lookup(&with("http://127.0.0.1:4318/")).unwrap().is_some());
    let wrong = Traces::from_lookup(&with("not an address")).map(drop).unwrap_err();
    assert!(wrong.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{wrong}");
}

// The collector.

/// What came: requests, whole.
#[derive(Clone, Default)]
struct Otlp {
    port: u16,
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    all: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
}

impl Otlp {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let otlp = Self { port: listener.local_addr().unwrap().port(), ..Self::default() };
        let served = otlp.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(served.clone().serve(stream));
            }
        });
        otlp
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut read = Vec::new();
        while let Some((head, body)) = request(&mut stream, &mut read).await {
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
            let decoded = ExportTraceServiceRequest::decode(&body[..]).expect("OTLP");
            self.got.lock().unwrap().push(decoded.clone());
            self.all.lock().unwrap().push(decoded);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    }

    /// The spans that came since the last time, by name.
    fn take(&self) -> Vec<Span> {
        let requests = std::mem::take(&mut *self.got.lock().unwrap());
        let mut spans: Vec<Span> = requests
            .into_iter()
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect();
        spans.sort_by(|a, b| a.name.cmp(&b.name));
        spans
    }

    /// Everything that came, written out.
    fn bodies(&self) -> Vec<String> {
        self.all.lock().unwrap().iter().map(|request| format!("{request:?}")).collect()
    }

    /// The service that each request names.
    fn services(&self) -> Vec<String> {
        let all = self.all.lock().unwrap();
        let resources = all.iter().flat_map(|request| &request.resource_spans);
        resources
            .map(|spans| {
                let attributes = &spans.resource.as_ref().expect("a resource").attributes;
                value(attributes, "service.name").expect("a name")
            })
            .collect()
    }
}

/// Reads one request: its head in lower case, and its body.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end + 2]).to_lowercase();
            let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
            let whole = end + 4 + length.parse::<usize>().ok()?;
            if read.len() >= whole {
                let body = read[end + 4..whole].to_vec();
                read.drain(..whole);
                return Some((head, body));
            }
        }
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
}

fn traced(world: &World, url: &str) -> (Invocation, DefaultGuard) {
    let traces = Traces::to(url, "posthorn-test").unwrap();
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    let guard = listen(subscriber);
    let emf = Emf::new(Arc::<Collector>::default(), world.ambient.clock.clone(), None);
    (Invocation::new(emf, Telemetry { traces: Some(traces) }), guard)
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn attribute(span: &Span, name: &str) -> String {
    value(&span.attributes, name).unwrap_or_else(|| panic!("no {name} in {span:?}"))
}

fn value(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match &found.value {
        Some(AnyValue { value: Some(Any::StringValue(text)) }) => Some(text.clone()),
        Some(AnyValue { value: Some(Any::IntValue(number)) }) => Some(number.to_string()),
        Some(AnyValue { value: Some(Any::BoolValue(flag)) }) => Some(flag.to_string()),
        _ => None,
    }
}
