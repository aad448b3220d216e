//! What is in the log, and what never is: a story with distinctive payloads, secrets, tokens and
//! header values goes through all four functions at the finest level.

use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dispatch::{Dispatcher, Parts};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde_json::{Value, json};
use shared::domain::json::place_in_json;
use shared::domain::metrics::Collector;
use shared::host::telemetry::log_panics;
use shared::lambda::emf::Emf;
use shared::lambda::invocation::Invocation;
use shared::lambda::telemetry::{Telemetry, lambda_filter};
use shared::queue::{Consumer, MAX_BATCH, Outgoing, Producer, VISIBILITY_S};
use shared::sender::target::TargetPolicy;
use shared::sender::{Ending, HttpSender, Outbound, Outcome, Sender, SenderSettings};
use shared::store::table::Table;
use shared::store::{Deliveries, Inbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tracing::Level;

use crate::support::captured::Captured;
use crate::support::dynoxide::Dynoxide;
use crate::support::faults::{Fault, Plan};
use crate::support::network::{answer, header};
use crate::support::world::{Builder, ROOT_SECRET, Reply, World, text};

const URL: &str = "http://127.0.0.1:9/hook?key=sloe-query-key";
const PAYLOAD: &str = "plum-payload-7f3a";
const HEADER: &str = "quince-header-value";
const WRONG_TOKEN: &str = "medlar-wrong-token";
const SOURCE_SECRET: &str = "damson-source-secret";
const PROOF: &str = "greengage-proof";
/// `bullace-signing-secret-32-bytes!` in base64.
const SECRET: &str = "whsec_YnVsbGFjZS1zaWduaW5nLXNlY3JldC0zMi1ieXRlcyE=";
const KEY: &str = "bullace-signing-secret-32-bytes!";

#[tokio::test]
async fn no_payload_no_secret_no_token_and_no_header_value_is_in_any_line() {
    let (log, _guard) = Captured::everything();
    let plan = Plan::new(Vec::new());
    let world = World::build(Builder { plan: plan.clone(), ..Builder::default() });
    let app = world.application().await;
    let mut secret = publish_well_and_badly(&world, &app).await;
    secret.extend(deliver_well_and_badly(&world, &app, &plan).await);
    sweep_and_administer(&world, &app).await;
    secret.extend([PAYLOAD, HEADER, WRONG_TOKEN, SOURCE_SECRET, PROOF].map(str::to_owned));
    secret
        .extend([&SECRET["whsec_".len()..], KEY, "sloe-query-key", ROOT_SECRET].map(str::to_owned));
    secret.extend([world.token(), world.app_token(&app)]);
    assert!(secret.len() > 15, "{secret:?}");
    for text in secret {
        assert_eq!(log.leak(&text), None, "{text}");
    }
    // What happened is there nevertheless.
    let lines = log.lines().join("\n");
    for event in [
        "attempt delivered",
        "attempt failed",
        "unverified webhook",
        "request failed",
        "record failed",
        "parked a record that cannot be read",
        "sweep",
    ] {
        assert!(lines.contains(event), "{event}");
    }
}

#[tokio::test]
async fn a_payload_that_is_logged_is_found_in_whatever_spelling() {
    let ways: [fn(&[u8]); 5] = [
        |bytes| tracing::trace!(payload = ?bytes, "a line"),
        |bytes| tracing::debug!(payload = ?bytes::Bytes::copy_from_slice(bytes), "a line"),
        |bytes| tracing::info!("a line about {}", String::from_utf8_lossy(bytes)),
        |bytes| tracing::info!(payload64 = STANDARD.encode(bytes), "a line"),
        |bytes| drop(tracing::info_span!("a span", payload = ?bytes).entered()),
    ];
    for write in ways {
        let (log, _guard) = Captured::everything();
        write(format!(r#"{{"fruit":"{PAYLOAD}"}}"#).as_bytes());
        assert!(log.leak(PAYLOAD).is_some(), "{:?}", log.lines());
    }
}

#[tokio::test]
async fn what_failed_was_deferred_or_exhausted_is_logged_with_its_ids_at_info() {
    let (log, _guard) = Captured::with(lambda_filter(None));
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    world.network.always(URL, answer(500));
    let failing = world.publish(&app, json!({})).await;
    let deferred = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let first = attempt_id(&world, &app, &failing, 0).await;
    find(&log, "attempt failed", &[&failing, &ep, &first, "next_at"]);
    find(&log, "attempt deferred", &[&deferred, &ep, "next_at"]);
    world.live_s(40 * 3_600).await;
    let last = attempt_id(&world, &app, &failing, 7).await;
    find(&log, "attempt failed, delivery exhausted", &[&failing, &ep, &last]);
}

#[tokio::test]
async fn a_delivery_that_is_given_up_is_logged_with_its_ids_and_the_reason() {
    let (log, _guard) = Captured::with(lambda_filter(None));
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.always(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    assert_eq!(world.call("PATCH", &path, json!({"disabled": true})).await.status, 200);
    world.live_s(60).await;
    find(&log, "delivery exhausted", &[&msg, &ep, "endpoint disabled"]);
}

#[tokio::test]
async fn that_a_circuit_opens_and_closes_is_logged_once_however_many_attempts_find_out() {
    let (log, _guard) = Captured::with(lambda_filter(None));
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.always(URL, Ending::TimedOut);
    for _ in 0..20 {
        world.publish(&app, json!({})).await;
    }
    // All of a batch begin before the first of them is over.
    world.dispatch_all().await;
    let said = |event: &str| {
        let lines = log.lines();
        lines.iter().filter(|line| line.contains(event) && line.contains(&ep)).count()
    };
    assert_eq!(said("its circuit is open"), 1);
    world.network.always(URL, answer(200));
    world.live_s(600).await;
    assert_eq!((said("its circuit is open"), said("its circuit is closed")), (1, 1));
}

#[tokio::test]
async fn a_record_that_fails_is_logged_with_its_message_and_endpoint() {
    let (log, _guard) = Captured::with(lambda_filter(None));
    let (world, app, ep) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({})).await;
    let batch = world.queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    assert_eq!(panicking(&world).handle(batch, None).await.len(), 1);
    find(&log, "record failed", &[&msg, &ep, "it panicked"]);
    // With several endpoints each has a line.
    let other = world.endpoint(&app, "http://127.0.0.1:9/other").await;
    world.publish(&app, json!({})).await;
    let batch = world.queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    assert_eq!(panicking(&world).handle(batch, None).await.len(), 1);
    find(&log, "delivery failed", &[&other, "it panicked"]);
    find(&log, "delivery failed", &[&ep, "it panicked"]);
}

#[tokio::test]
async fn what_was_delivered_is_logged_at_debug_and_not_at_info() {
    for (level, logged) in [("INFO", false), ("DEBUG", true)] {
        let (log, _guard) = Captured::with(lambda_filter(Some(level)));
        let (world, app, _) = World::with_endpoint(URL).await;
        let msg = world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        let lines = log.lines();
        let found = lines.iter().any(|line| line.contains("attempt delivered"));
        assert_eq!(found, logged, "{level}");
        assert!(!logged || lines.iter().any(|line| line.contains(&msg)));
    }
}

// The way to the network and to AWS.

#[tokio::test]
async fn the_real_sender_logs_neither_what_it_sends_nor_what_it_gets() {
    let (log, _guard) = Captured::everything();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = SenderSettings { policy: TargetPolicy::local(), ..SenderSettings::default() };
    let sender = HttpSender::new(settings).unwrap();
    let request = Outbound {
        url: format!("http://127.0.0.1:{port}/?key=sloe-query-key"),
        headers: vec![("x-customer".to_owned(), HEADER.to_owned())],
        body: PAYLOAD.into(),
        timeout_ms: 5_000,
        owner: None,
    };
    let receiver = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = vec![0; 4096];
        assert!(stream.read(&mut read).await.unwrap() > 0);
        let reply =
            format!("HTTP/1.1 200 OK\r\nx-echo: {PROOF}\r\ncontent-length: 17\r\n\r\n{PAYLOAD}");
        stream.write_all(reply.as_bytes()).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(sender.send(request), receiver);
    assert!(matches!(outcome.ending, Ending::Answered { status: 200, .. }), "{outcome:?}");
    for text in [PAYLOAD, HEADER, PROOF, "sloe-query-key"] {
        assert_eq!(log.leak(text), None, "{text}");
    }
}

#[tokio::test]
async fn at_lambdas_finest_level_the_sdk_does_not_log_what_is_read() {
    let store = async || {
        let table: Arc<dyn Table> = Arc::new(Dynoxide::start().table());
        let (inbox, deliveries) = (Inbox::new(table.clone()), Deliveries::new(table));
        inbox.accept(&message()).await.unwrap();
        let found = deliveries.message(&message().id, message().at).await.unwrap();
        assert_eq!(found, Some(message()));
    };
    let (log, guard) = Captured::with(lambda_filter(Some("TRACE")));
    store().await;
    tracing::trace!(target: "dispatch::attempt", "ours");
    assert_eq!(log.leak(PAYLOAD), None);
    assert!(log.lines().iter().any(|line| line.contains("ours")));
    drop(guard);
    // It would, if it were let.
    let (log, _guard) = Captured::everything();
    store().await;
    assert!(log.leak(PAYLOAD).is_some());
}

#[test]
fn lambdas_levels_are_understood_and_libraries_never_go_below_info() {
    for (said, finest) in [
        (None, Level::INFO),
        (Some("nonsense"), Level::INFO),
        (Some("TRACE"), Level::TRACE),
        (Some("DEBUG"), Level::DEBUG),
        (Some("WARN"), Level::WARN),
        (Some("FATAL"), Level::ERROR),
    ] {
        let filter = lambda_filter(said);
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            assert_eq!(
                filter.would_enable("dispatch::attempt", &level),
                level <= finest,
                "{said:?}"
            );
            let theirs = level <= finest.min(Level::INFO);
            assert_eq!(filter.would_enable("aws_smithy_runtime::client", &level), theirs);
            assert_eq!(filter.would_enable("lambda_runtime::layers", &level), theirs);
        }
    }
}

// Errors and panics.

#[test]
fn an_error_of_a_json_parser_is_told_without_what_it_quotes() {
    let error = serde_json::from_str::<u32>(&format!("\n \"{PAYLOAD}\"")).unwrap_err();
    assert!(error.to_string().contains(PAYLOAD));
    assert_eq!(place_in_json(&error), "a value is missing or of a wrong type (line 2, column 20)");
    let error = serde_json::from_value::<u32>(json!(PAYLOAD)).unwrap_err();
    assert_eq!(place_in_json(&error), "a value is missing or of a wrong type");
    let error = serde_json::from_str::<u32>("1 2").unwrap_err();
    assert_eq!(place_in_json(&error), "it is not JSON (line 1, column 3)");
}

#[test]
fn a_panic_is_logged_by_its_place_and_never_by_what_it_chokes_on() {
    // In a process of its own: what is done with panics is a matter of the whole process.
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "logs::panics_for_another_test", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("1 passed"), "{said}");
    assert!(!said.contains(PAYLOAD), "{said}");
    assert!(said.matches("tests/logs.rs:").count() >= 2, "{said}");
    assert!(said.contains("written in the code"), "{said}");
    assert!(said.contains("not told"), "{said}");
}

#[test]
#[ignore = "run by another test"]
fn panics_for_another_test() {
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log_panics();
    let quoting = std::thread::spawn(|| panic!("choked on {PAYLOAD}"));
    assert!(quoting.join().is_err());
    let plain = std::thread::spawn(|| panic!("written in the code"));
    assert!(plain.join().is_err());
}

#[tokio::test]
async fn a_handler_that_panics_tells_lambda_nothing_and_its_metrics_are_kept() {
    use futures_util::FutureExt;
    use shared::domain::metrics::{Metric, Metrics};

    let world = World::new();
    let collector = Arc::<Collector>::default();
    let emf = Emf::new(collector.clone(), world.ambient.clock.clone(), None);
    let invocation = Invocation::new(emf, Telemetry::default());
    let work = invocation.of(async {
        collector.count(Metric::Accepted);
        panic!("choked on {PAYLOAD}")
    });
    let panic =
        std::panic::AssertUnwindSafe(work).catch_unwind().await.map(|(): ()| ()).unwrap_err();
    let said = panic.downcast_ref::<&str>().expect("a text of ours");
    assert!(!said.contains(PAYLOAD));
    assert!(collector.take().is_empty(), "written down");
}

// The story.

/// What else must not be seen of it.
async fn publish_well_and_badly(world: &World, app: &str) -> Vec<String> {
    let ep = world.endpoint_with(app, json!({"url": URL, "secret": SECRET})).await;
    let headers = format!("/api/v1/app/{app}/endpoint/{ep}/headers");
    let wanted = json!({"headers": {"x-customer": HEADER}});
    assert_eq!(world.call("PUT", &headers, wanted).await.status, 204);
    let wrong = json!({"headers": {"x-customer\n": HEADER}});
    assert_eq!(world.call("PUT", &headers, wrong).await.status, 422);
    let path = format!("/api/v1/app/{app}/msg");
    let publish = async |token: &str, body: String| {
        let request = Request::post(&path)
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", PROOF)
            .header("x-api-key", HEADER)
            .body(body.into())
            .unwrap();
        world.send(request).await
    };
    let good = format!(r#"{{"eventType": "a.b", "payload": {{"fruit": "{PAYLOAD}"}}}}"#);
    assert_eq!(publish(&world.token(), good.clone()).await.status, 202);
    assert_eq!(publish(&world.token(), good.clone()).await.status, 202);
    assert_eq!(publish(WRONG_TOKEN, good.clone()).await.status, 401);
    assert_eq!(publish(&world.token(), good.replace('}', "")).await.status, 422);
    let wrong = format!(r#"{{"eventType": {{"fruit": "{PAYLOAD}"}}, "payload": "{PAYLOAD}"}}"#);
    assert_eq!(publish(&world.token(), wrong).await.status, 422);
    let key = world.call("GET", &format!("/api/v1/app/{app}/integration-key"), Value::Null).await;
    assert_eq!(key.status, 200, "{key:?}");
    let signed = Request::post(&path)
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", world.ambient.now().as_secs())
        .header("webhook-signature", format!("v1,{PROOF}"))
        .body(good.into())
        .unwrap();
    assert_eq!(world.send(signed).await.status, 401);
    let source = source(world, app).await;
    for proof in [None, Some(PROOF)] {
        let mut request = Request::post(format!("/in/{source}"));
        if let Some(proof) = proof {
            request = request.header("x-hub-signature-256", format!("sha256={proof}"));
        }
        let reply = world.send(request.body(format!(r#"{{"a": "{PAYLOAD}"}}"#).into()).unwrap());
        assert_eq!(reply.await.status, 401);
    }
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    assert_eq!(world.call("GET", &path, Value::Null).await.body["key"], SECRET);
    vec![text(&key.body["key"]).trim_start_matches("whsec_").to_owned()]
}

async fn source(world: &World, app: &str) -> String {
    let body = json!({
        "name": "GitHub", "type": "github", "app": app, "config": {"secret": SOURCE_SECRET},
    });
    let made = world.call("POST", "/ingest/api/v1/source", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    text(&made.body["id"])
}

async fn deliver_well_and_badly(world: &World, app: &str, plan: &Plan) -> Vec<String> {
    // An endpoint that sends back what it got.
    let echo = |status| Ending::Answered {
        status,
        excerpt: format!("got {PAYLOAD} with {HEADER}").into_bytes(),
        retry_after: Some(PROOF.to_owned()),
        headers: HeaderMap::from_iter([(
            HeaderName::from_static("x-got"),
            HeaderValue::from_static(PROOF),
        )]),
    };
    world.network.next(URL, echo(500));
    world.network.next(URL, Ending::Failed(format!("the connection broke after {PAYLOAD}")));
    world.network.next(URL, echo(200));
    world.live_s(600).await;
    assert_eq!(world.network.sent().len(), 3);
    assert_eq!(header(&world.network.sent()[0], "x-customer"), HEADER);
    // What cannot be read, in all the ways.
    for body in [
        format!("\"{PAYLOAD}\""),
        PAYLOAD.to_owned(),
        format!(r#"{{"v": 1, "kind": "{PAYLOAD}"}}"#),
        format!(r#"{{"v": 1, "kind": "accepted", "message": "{PAYLOAD}"}}"#),
        format!(r#"{{"v": 1, "kind": "accepted", "message": {{"id": "{PAYLOAD}"}}}}"#),
    ] {
        let group = String::new();
        let record = Outgoing { body, group, delay_s: 0 };
        shared::queue::send_one(&world.queues.deliveries as &dyn Producer, record).await.unwrap();
    }
    world.dispatch_all().await;
    // A store that fails, at each call in turn, and a bug.
    for skip in 0..3 {
        publish(world, app).await;
        plan.fail_after(skip, if skip == 1 { Fault::After } else { Fault::Before });
        world.dispatch().await;
    }
    plan.end();
    plan.fail_after(1, Fault::Before);
    let reply = publish(world, app).await;
    assert_eq!(reply.status, 503);
    plan.end();
    world.advance_s(VISIBILITY_S.into());
    let batch = world.queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    assert!(!batch.is_empty());
    panicking(world).handle(batch, None).await;
    world.live_s(600).await;
    let sent = world.network.sent();
    sent.iter()
        .map(|it| header(it, "webhook-signature").trim_start_matches("v1,").to_owned())
        .collect()
}

async fn publish(world: &World, app: &str) -> Reply {
    let body = json!({"eventType": "a.b", "payload": {"fruit": PAYLOAD}});
    world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await
}

async fn sweep_and_administer(world: &World, app: &str) {
    // A dead record that nobody can read, and one that goes back.
    for body in [format!("\"{PAYLOAD}\""), format!(r#"{{"kind": "{PAYLOAD}"}}"#)] {
        let record = Outgoing { body, group: String::new(), delay_s: 0 };
        shared::queue::send_one(&world.queues.deliveries_dlq as &dyn Producer, record)
            .await
            .unwrap();
    }
    world.sweep().await;
    world.live_s(86_400).await;
    let path = format!("/api/v1/app/{app}/endpoint");
    for body in [
        json!({"url": PAYLOAD, "secret": SECRET}),
        json!({"url": URL, "secret": format!("whsec_{PAYLOAD}")}),
        json!({"url": {"a": PAYLOAD}}),
    ] {
        let reply = world.call("POST", &path, body.clone()).await;
        assert_eq!(reply.status, 422, "{body} {reply:?}");
    }
    let parked = world.call("GET", "/api/v1/operator/parked", Value::Null).await;
    assert_eq!(parked.body["data"].as_array().unwrap().len(), 6, "{parked:?}");
    let list = format!("/api/v1/app/{app}/msg?with_content=true");
    let list = world.call("GET", &list, Value::Null).await;
    assert!(list.body.to_string().contains(PAYLOAD));
    let inspector = world.call("POST", "/api/v1/operator/inspector", Value::Null).await;
    let url = format!("/inspect/{}", text(&inspector.body["token"]));
    world.call("POST", &url, json!({"fruit": PAYLOAD})).await;
    assert_eq!(world.call_as(WRONG_TOKEN, "GET", &path, Value::Null).await.status, 401);
}

// Helpers.

/// A line with this event and all of these texts.
fn find(log: &Captured, event: &str, texts: &[&str]) {
    let quoted = format!("\"{event}\"");
    let lines = log.lines();
    let found = lines
        .iter()
        .any(|line| line.contains(&quoted) && texts.iter().all(|text| line.contains(text)));
    assert!(found, "{event} with {texts:?} in\n{}", lines.join("\n"));
}

async fn attempt_id(world: &World, app: &str, msg: &str, number: usize) -> String {
    text(&world.attempts(app, msg).await[number]["id"])
}

fn message() -> shared::domain::message::Message {
    let body = json!({
        "id": "msg_2Wd1fdUYDJWYmmVuvJpQFgi6OKh", "app": "app_2Wd1fdUYDJWYmmVuvJpQFgi6OKh",
        "eventType": "a.b", "at": 1, "expiresAt": 9_999_999_999_999_u64,
    });
    let message: shared::domain::message::Message = serde_json::from_value(body).unwrap();
    shared::domain::message::Message { payload: PAYLOAD.into(), ..message }
}

/// A dispatcher whose way out has a bug that tells the payload.
fn panicking(world: &World) -> Dispatcher {
    struct Panicking;

    #[async_trait]
    impl Sender for Panicking {
        async fn send(&self, request: Outbound) -> Outcome {
            panic!("choked on {:?}", request.body);
        }
    }

    Dispatcher::new(Parts { sender: Arc::new(Panicking), ..world.parts.clone() })
}
