//! The events in `events/`, as Lambda would hand them over: through the deserialisers that the
//! functions use, into the handlers that they run.
//!
//! `TOKEN` and the ids in the files stand for those of a world that a test makes.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use bytes::Bytes;
use http::{Request, Response};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use shared::domain::clock::{self, Timestamp};
use shared::queue::Consumer;

use crate::support::network::{answer, header};
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

/// The ids in the files, for which a test puts in those of its world.
const APP: &str = "app_2xmplWq7RbT4nKc9LsVd1HgYz3F";
const MSG: &str = "msg_3MSN3rKecIKqf9HrEwrBqh5aq8z";
const EP: &str = "ep_2xmplWs9TdV6pMe1NuXf3JiAb5H";

/// Names the files and, for each, the claims that are made of it.
macro_rules! files {
    ($($file:literal: $($claim:ident)+,)*) => {
        const FILES: &[&str] = &[$($file),*];

        mod fed {
            $($(
                #[tokio::test]
                async fn $claim() {
                    super::$claim(super::Event::read($file)).await;
                }
            )+)*
        }
    };
}

files! {
    "receive-publish.json":
        a_published_event_is_accepted_and_delivered_as_it_was_written
        an_event_that_lambda_hands_over_twice_is_accepted_once,
    "receive-publish-base64.json": a_body_that_api_gateway_encoded_is_delivered_decoded,
    "receive-function-url.json": a_function_url_is_as_good_as_an_api,
    "receive-source.json": a_webhook_of_another_system_is_proved_and_published,
    "receive-malformed.json": a_body_that_breaks_off_is_refused_and_nothing_is_sent,
    "receive-unauthorized.json": a_request_without_a_token_is_refused_and_nothing_is_sent,
    "admin-create-application.json": an_application_is_created_and_found_by_its_uid,
    "admin-get-unknown.json": an_application_that_nobody_made_is_not_found,
    "admin-list-applications.json": applications_are_listed,
    "dispatch-batch.json":
        a_batch_is_delivered_and_nothing_of_it_comes_back
        of_a_batch_only_the_record_that_somebody_may_be_busy_with_comes_back
        a_batch_that_no_time_is_left_for_is_put_off_untried
        a_deadline_that_an_emulator_made_up_is_none,
    "dispatch-retry.json": a_retry_and_a_resend_go_out_once_each,
    "dispatch-poison.json": a_record_that_cannot_be_read_is_parked_and_does_not_come_back,
    "dispatch-mixed.json": a_poisoned_record_does_not_hold_up_its_neighbour,
    "retry-schedule.json": a_scheduled_run_sends_what_is_due,
}

#[test]
fn no_event_lies_about_untested() {
    let mut found: Vec<String> = std::fs::read_dir("events")
        .expect("the events")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    let mut known = FILES.to_vec();
    found.sort_unstable();
    known.sort_unstable();
    assert_eq!(found, known);
}

// Publishing.

async fn a_published_event_is_accepted_and_delivered_as_it_was_written(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let event = event.with("TOKEN", &world.token()).with(APP, &app);
    let request = event.request();
    let written = std::str::from_utf8(request.body()).expect("text").to_owned();
    let (status, body) = open(world.receiver.handle(request).await);
    assert_eq!((status, &body["eventId"]), (202, &json!("transfer-48213-completed")));
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 1);
    assert_eq!(header(&sent[0], "webhook-id"), text(&body["id"]));
    let delivered = std::str::from_utf8(&sent[0].body).expect("text");
    assert!(written.contains(&format!("\"payload\":{delivered},\"eventId\"")), "{delivered}");
}

async fn an_event_that_lambda_hands_over_twice_is_accepted_once(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let event = event.with("TOKEN", &world.token()).with(APP, &app);
    let (first, _) = open(world.receiver.handle(event.request()).await);
    world.dispatch_all().await;
    let (second, _) = open(world.receiver.handle(event.request()).await);
    world.dispatch_all().await;
    assert_eq!((first, second), (202, 409));
    assert_eq!(world.network.sent_to(URL).len(), 1);
}

async fn a_body_that_api_gateway_encoded_is_delivered_decoded(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let event = event.with("TOKEN", &world.token()).with(APP, &app);
    let (status, _) = open(world.receiver.handle(event.request()).await);
    assert_eq!(status, 202);
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 1);
    let delivered: Value = serde_json::from_slice(&sent[0].body).expect("JSON");
    let title = &delivered["data"]["object"]["payment_link_title"];
    assert_eq!(title, "Abonnement \u{e9}t\u{e9} \u{2013} \u{6771}\u{4eac}");
}

async fn a_function_url_is_as_good_as_an_api(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let event = event.with("TOKEN", &world.token()).with(APP, &app);
    let (status, body) = open(world.receiver.handle(event.request()).await);
    assert_eq!((status, &body["eventType"]), (202, &json!("newTransactions")));
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
}

async fn a_webhook_of_another_system_is_proved_and_published(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let source = json!({
        "name": "Billing", "type": "generic-webhook", "app": app,
        "verification": {"scheme": "bearer"}, "config": {"secret": "of-the-other-system"},
    });
    let made = world.call("POST", "/ingest/api/v1/source", source).await;
    let event = event.with("src_2xmplWt3KqR8vNf5OyYg4LkBc7J", &text(&made.body["id"]));
    let (status, body) = open(world.receiver.handle(event.request()).await);
    assert_eq!((status, &body["eventType"]), (202, &json!("invoice.paid")));
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL)[0].body, event.request().body());
    let forged = event.with("of-the-other-system", "of-a-stranger");
    let (status, _) = open(world.receiver.handle(forged.request()).await);
    assert_eq!(status, 401);
}

async fn a_body_that_breaks_off_is_refused_and_nothing_is_sent(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let event = event.with("TOKEN", &world.token()).with(APP, &app);
    let (status, body) = open(world.receiver.handle(event.request()).await);
    assert_eq!((status, &body["detail"][0]["type"]), (422, &json!("value_error.jsondecode")));
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 0);
}

async fn a_request_without_a_token_is_refused_and_nothing_is_sent(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let (status, body) = open(world.receiver.handle(event.with(APP, &app).request()).await);
    assert_eq!((status, &body["code"]), (401, &json!("authentication_failed")));
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 0);
}

// Administration.

async fn an_application_is_created_and_found_by_its_uid(event: Event) {
    let world = World::new();
    let event = event.with("TOKEN", &world.token());
    let (status, created) = open(world.admin.handle(event.request()).await);
    assert_eq!((status, &created["name"]), (201, &json!("Northwind Payouts")));
    let found = world.call("GET", "/api/v1/app/northwind", Value::Null).await;
    assert_eq!(found.body, created);
}

async fn an_application_that_nobody_made_is_not_found(event: Event) {
    let world = World::new();
    world.application().await;
    let event = event.with("TOKEN", &world.token());
    let (status, body) = open(world.admin.handle(event.request()).await);
    assert_eq!((status, &body["code"]), (404, &json!("not_found")));
}

async fn applications_are_listed(event: Event) {
    let world = World::new();
    let made = [world.application().await, world.application().await];
    let event = event.with("TOKEN", &world.token());
    let (status, body) = open(world.admin.handle(event.request()).await);
    let listed: Vec<String> =
        body["data"].as_array().expect("a list").iter().map(|app| text(&app["id"])).collect();
    assert_eq!((status, listed.len(), &body["done"]), (200, 2, &json!(true)));
    assert!(made.iter().all(|app| listed.contains(app)), "{listed:?}");
}

// Dispatching.

async fn a_batch_is_delivered_and_nothing_of_it_comes_back(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let event = event.with(APP, &app);
    assert_eq!(dispatch(&world, &event, an_hour_left(&world)).await, json!([]));
    let sent = world.network.sent_to(URL);
    let ids: Vec<&str> = sent.iter().map(|outbound| header(outbound, "webhook-id")).collect();
    assert_eq!(sent.len(), 2);
    assert!(ids.contains(&MSG) && ids[0] != ids[1], "{ids:?}");
    // The second record's payload has a character that SQS takes only in base64.
    assert!(sent.iter().any(|outbound| contains(&outbound.body, "caf\u{e9} \u{fffe}")));
}

async fn of_a_batch_only_the_record_that_somebody_may_be_busy_with_comes_back(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let mut event = event.with(APP, &app);
    let first_received = (world.ambient.now().as_ms() - 1000).to_string();
    let second = &mut event.0["Records"][1];
    second["attributes"]["ApproximateReceiveCount"] = json!("2");
    second["attributes"]["ApproximateFirstReceiveTimestamp"] = json!(first_received);
    let id = second["messageId"].clone();
    let failures = dispatch(&world, &event, an_hour_left(&world)).await;
    assert_eq!(failures, json!([{ "itemIdentifier": id }]));
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 1);
    assert_eq!(header(&sent[0], "webhook-id"), MSG);
}

async fn a_batch_that_no_time_is_left_for_is_put_off_untried(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    // Time to put it off, but none to send it.
    let deadline = world.ambient.now().plus_ms(3_000);
    let failures = dispatch(&world, &event.with(APP, &app), deadline).await;
    assert_eq!((failures, world.network.sent().len()), (json!([]), 0));
    assert_eq!(world.queues.retries.len(), 2);
}

async fn a_deadline_that_an_emulator_made_up_is_none(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    // What `cargo lambda watch` sends.
    let failures = dispatch(&world, &event.with(APP, &app), Timestamp(600_000)).await;
    assert_eq!(failures, json!([]));
    assert_eq!(world.network.sent_to(URL).len(), 2);
}

async fn a_retry_and_a_resend_go_out_once_each(event: Event) {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({ "n": 1 })).await;
    world.dispatch_all().await;
    let mut event = event.with(APP, &app).with(EP, &ep).with(MSG, &msg);
    // A resend that was received long ago would be left to whoever gets its record next.
    let now = world.ambient.now().as_ms().to_string();
    for record in event.0["Records"].as_array_mut().unwrap() {
        record["attributes"]["ApproximateFirstReceiveTimestamp"] = json!(now);
    }
    assert_eq!(dispatch(&world, &event, an_hour_left(&world)).await, json!([]));
    let attempts = world.attempts(&app, &msg).await;
    let mut codes: Vec<_> =
        attempts.iter().map(|attempt| attempt["responseStatusCode"].to_string()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["200", "200", "500"]);
    assert_eq!(world.network.sent_to(URL).len(), 3);
    // SQS delivers at least once.
    world.advance_s(180);
    assert_eq!(dispatch(&world, &event.again(), an_hour_left(&world)).await, json!([]));
    assert_eq!(world.network.sent_to(URL).len(), 3);
}

async fn a_record_that_cannot_be_read_is_parked_and_does_not_come_back(event: Event) {
    let world = World::new();
    assert_eq!(dispatch(&world, &event, an_hour_left(&world)).await, json!([]));
    let parked = parked(&world).await;
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0]["id"], event.0["Records"][0]["messageId"]);
    assert!(text(&parked[0]["reason"]).starts_with("not a record: "), "{parked:?}");
}

async fn a_poisoned_record_does_not_hold_up_its_neighbour(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    let event = event.with(APP, &app);
    assert_eq!(dispatch(&world, &event, an_hour_left(&world)).await, json!([]));
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 1);
    assert_eq!(header(&sent[0], "webhook-id"), MSG);
    let parked = parked(&world).await;
    assert_eq!(parked.len(), 1);
    // It does not read as a whole, but it says which message it is about.
    let body: Value = serde_json::from_str(&text(&event.0["Records"][1]["body"])).unwrap();
    assert_eq!(parked[0]["id"], body["message"]["id"]);
    assert_eq!(parked[0]["reason"], "a record of kind `accepted` without its payload");
}

// The schedule.

async fn a_scheduled_run_sends_what_is_due(event: Event) {
    let world = World::new();
    let app = application(&world).await;
    world.network.always(URL, answer(500));
    let msg = world.publish(&app, json!({ "n": 1 })).await;
    // Attempts 1, 2 and 3; the fourth comes after half an hour, too late for a queue's delay.
    world.live_s(600).await;
    assert_eq!(world.attempts(&app, &msg).await.len(), 3);
    world.advance_s(1800);
    // As main.rs reads it: any JSON, of which only the deadline beside it matters.
    let LambdaEvent { payload, context } = event.invocation::<Value>(an_hour_left(&world));
    assert_eq!(payload["source"], "aws.scheduler");
    let report = world.sweeper.run(clock::deadline(context.deadline)).await;
    assert_eq!((report.enqueued, report.failed), (1, 0));
    world.dispatch_all().await;
    assert_eq!(world.attempts(&app, &msg).await.len(), 4);
}

// The harness.

/// A file of `events/`.
#[derive(Clone)]
struct Event(Value);

impl Event {
    fn read(file: &str) -> Self {
        let text = std::fs::read_to_string(format!("events/{file}")).expect("the event");
        Self(serde_json::from_str(&text).expect("JSON"))
    }

    /// With `value` wherever `placeholder` is.
    fn with(self, placeholder: &str, value: &str) -> Self {
        let text = self.0.to_string();
        assert!(text.contains(placeholder), "no {placeholder} in {text}");
        Self(serde_json::from_str(&text.replace(placeholder, value)).expect("JSON"))
    }

    /// As SQS delivers it another time, long after the first.
    fn again(mut self) -> Self {
        for record in self.0["Records"].as_array_mut().expect("records") {
            record["attributes"]["ApproximateReceiveCount"] = json!("2");
        }
        self
    }

    /// What receive and admin get to see of an event of an API or a function URL.
    fn request(&self) -> Request<Bytes> {
        lambda_http::request::from_str(&self.0.to_string())
            .expect("an HTTP event")
            .map(|body| Bytes::copy_from_slice(&body))
    }

    /// What dispatch and retry get to see.
    fn invocation<T: serde::de::DeserializeOwned>(&self, deadline: Timestamp) -> LambdaEvent<T> {
        let payload = serde_json::from_value(self.0.clone()).expect("the function's event");
        let mut context = Context::default();
        context.deadline = deadline.as_ms();
        LambdaEvent::new(payload, context)
    }
}

/// An application with an endpoint at [`URL`] that wants everything; its id.
async fn application(world: &World) -> String {
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    app
}

fn an_hour_left(world: &World) -> Timestamp {
    world.ambient.now().plus_ms(3_600_000)
}

/// Invokes dispatch; the list of failures as Lambda gets it.
async fn dispatch(world: &World, event: &Event, deadline: Timestamp) -> Value {
    let event = event.invocation::<SqsEvent>(deadline);
    let queue = &|name: &str| -> Arc<dyn Consumer> {
        assert!(!name.is_empty() && !name.contains([':', '/']), "{name}");
        Arc::new(world.queues.deliveries.clone())
    };
    let response =
        dispatch::lambda::handle(&world.dispatcher, queue, event).await.expect("an answer");
    let answer = serde_json::to_value::<SqsBatchResponse>(response).expect("JSON");
    answer["batchItemFailures"].clone()
}

/// Status and body of an answer.
fn open(response: Response<Bytes>) -> (u16, Value) {
    let body = serde_json::from_slice(response.body()).expect("a JSON body");
    (response.status().as_u16(), body)
}

async fn parked(world: &World) -> Vec<Value> {
    let reply = world.call("GET", "/api/v1/operator/parked", Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("a list").clone()
}

fn contains(body: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(body).contains(text)
}
