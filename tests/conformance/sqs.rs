//! What only a queue across a network can get wrong: answers that do not arrive, and batches
//! of which a part is taken. No account is needed: the answers are written here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use shared::lambda::aws::{AwsEnvironment, SetupError, sqs_client};
use shared::queue::sqs::SqsQueue;
use shared::queue::{Consumer, Outgoing, Producer, QueueError, send_one};

#[tokio::test]
async fn a_send_without_an_answer_is_not_repeated() {
    let service = Scripted::default();
    let sent = send_one(&service.queue(), record("once")).await;
    assert!(matches!(sent, Err(QueueError::Unavailable(_))), "{sent:?}");
    assert_eq!(service.calls(), ["SendMessageBatch"]);
}

#[tokio::test]
async fn a_send_that_the_service_failed_is_not_repeated() {
    let service = Scripted::default();
    service.answer(500, json!({ "__type": "InternalError" }));
    service.answer(400, json!({ "__type": "ThrottlingException" }));
    for calls in 1..=2 {
        let sent = send_one(&service.queue(), record("once")).await;
        assert!(matches!(sent, Err(QueueError::Unavailable(_))), "{sent:?}");
        assert_eq!(service.calls().len(), calls);
    }
}

#[tokio::test]
async fn a_delete_without_an_answer_is_repeated() {
    let service = Scripted::default();
    let deleted = service.queue().delete(&["receipt".into()]).await;
    assert!(matches!(deleted, Err(QueueError::Unavailable(_))), "{deleted:?}");
    assert_eq!(service.calls(), ["DeleteMessageBatch"; 4]);
}

#[tokio::test]
async fn of_a_batch_each_record_has_its_own_result_and_silence_is_a_failure() {
    let service = Scripted::default();
    let sent = json!({ "Id": "2", "MessageId": "m", "MD5OfMessageBody": "d" });
    let failed = |id, code, fault| json!({ "Id": id, "Code": code, "SenderFault": fault });
    let failed = [failed("3", "InternalError", false), failed("0", "InvalidMessageContents", true)];
    service.answer(200, json!({ "Successful": [sent], "Failed": failed }));
    let batch = ["a", "b", "c", "d"].map(record).to_vec();
    let results = service.queue().send(batch).await.expect("a send");
    assert!(
        matches!(
            results.as_slice(),
            [
                Err(QueueError::Invalid(_)),
                Err(QueueError::Unavailable(_)),
                Ok(()),
                Err(QueueError::Unavailable(_)),
            ]
        ),
        "{results:?}"
    );
}

#[tokio::test]
async fn a_refused_batch_never_reaches_the_network() {
    let service = Scripted::default();
    let sent = send_one(&service.queue(), record("\0")).await;
    assert!(matches!(sent, Err(QueueError::Invalid(_))), "{sent:?}");
    assert_eq!(service.calls(), [""; 0]);
}

#[tokio::test]
async fn a_delete_that_fails_for_another_reason_than_its_receipt_is_an_error() {
    let service = Scripted::default();
    let failed = |id, code, fault| json!({ "Id": id, "Code": code, "SenderFault": fault });
    let stale = failed("0", "ReceiptHandleIsInvalid", true);
    service.answer(200, json!({ "Successful": [], "Failed": [stale] }));
    let broken = [stale.clone(), failed("1", "InternalError", false)];
    service.answer(200, json!({ "Successful": [], "Failed": broken }));
    let receipts = ["old".to_owned(), "new".to_owned()];
    assert_eq!(service.queue().delete(&receipts).await, Ok(()));
    let deleted = service.queue().delete(&receipts).await;
    assert!(matches!(deleted, Err(QueueError::Unavailable(_))), "{deleted:?}");
}

#[test]
fn a_missing_variable_is_named_and_credentials_are_never_shown() {
    let without = |missing: &str| {
        AwsEnvironment::from_lookup(&|name| (name != missing).then(|| "s3cret".to_owned()))
    };
    for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        assert_eq!(without(name).err(), Some(SetupError::Missing(name)));
    }
    let environment = AwsEnvironment::from_lookup(&|name| {
        let shown = name == "AWS_REGION" || name == "AWS_ENDPOINT_URL";
        Some(if shown { "shown" } else { "s3cret" }.to_owned())
    });
    let environment = environment.expect("an environment");
    assert_eq!(environment.region(), "shown");
    assert!(!format!("{environment:?}").contains("s3cret"));
}

/// A service that gives the answers it was told to, then none.
#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<(u16, Value)>,
    calls: Vec<String>,
}

impl Scripted {
    fn answer(&self, status: u16, body: Value) {
        self.0.lock().expect("the script").answers.push_back((status, body));
    }

    fn calls(&self) -> Vec<String> {
        self.0.lock().expect("the script").calls.clone()
    }

    fn queue(&self) -> SqsQueue {
        let environment = AwsEnvironment::from_lookup(&|name| {
            (name != "AWS_ENDPOINT_URL").then(|| "us-east-1".to_owned())
        });
        let connector = SharedHttpConnector::new(self.clone());
        let http = http_client_fn(move |_, _| connector.clone());
        let client = sqs_client(&environment.expect("an environment"), http);
        SqsQueue::new(client, "https://sqs.us-east-1.amazonaws.com/123456789012/deliveries")
    }
}

impl HttpConnector for Scripted {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let mut script = self.0.lock().expect("the script");
        script.calls.push(target.trim_start_matches("AmazonSQS.").to_owned());
        let answer = script.answers.pop_front();
        let answer = answer.ok_or_else(|| ConnectorError::io("no answer".into()));
        HttpConnectorFuture::ready(answer.map(|(status, body)| {
            let status = status.try_into().expect("an HTTP status");
            HttpResponse::new(status, SdkBody::from(body.to_string()))
        }))
    }
}

fn record(body: &str) -> Outgoing {
    Outgoing { body: body.into(), group: "app".into(), delay_s: 0 }
}
