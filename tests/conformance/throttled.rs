//! What DynamoDB says when it takes no more: which limit it was, and how long a function whose
//! callers can ask again tries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use shared::lambda::aws::{AwsEnvironment, Caller, dynamodb_client};
use shared::store::dynamodb::DynamoTable;
use shared::store::table::{Condition, Item, Key, Table, Write};
use shared::store::{Backpressure, Limit, StoreError, Tries};

/// A table that refuses everything in the same words.
#[derive(Clone, Debug)]
struct Busy {
    words: Value,
    calls: Arc<AtomicUsize>,
}

impl Busy {
    fn saying(words: Value) -> Self {
        Self { words, calls: Arc::default() }
    }

    fn table(&self) -> DynamoTable {
        let environment = AwsEnvironment::from_lookup(&|name| {
            (name != "AWS_ENDPOINT_URL").then(|| "us-east-1".to_owned())
        });
        let connector = SharedHttpConnector::new(self.clone());
        let http = http_client_fn(move |_, _| connector.clone());
        let environment = environment.expect("an environment");
        DynamoTable::new(dynamodb_client(&environment, http, Caller::MayAskAgain), "posthorn")
    }
}

impl HttpConnector for Busy {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let status = 400.try_into().expect("an HTTP status");
        let body = SdkBody::from(self.words.to_string());
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
    }
}

fn put(pk: &str) -> Write {
    let key = Key { pk: pk.to_owned(), sk: "MSG".to_owned() };
    Write::Put(Item::new(key, "{}".to_owned()), Condition::Always)
}

fn reasons(field: &str, kind: &str, reason: &str, resource: &str) -> Value {
    let resource = format!("arn:aws:dynamodb:us-east-1:123456789012:table/posthorn{resource}");
    json!({
        "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"),
        "message": "Throughput exceeds the current capacity.",
        field: [{"reason": reason, "resource": resource}],
    })
}

#[tokio::test(start_paused = true)]
async fn it_is_told_which_limit_a_throttled_call_ran_into() {
    let throttling =
        |reason, resource| reasons("throttlingReasons", "ThrottlingException", reason, resource);
    for (words, limit) in [
        (throttling("TableWriteKeyRangeThroughputExceeded", ""), Limit::Partition),
        (throttling("IndexWriteKeyRangeThroughputExceeded", "/index/by_time"), Limit::List),
        (throttling("IndexWriteKeyRangeThroughputExceeded", "/index/due"), Limit::Due),
        (throttling("TableWriteMaxOnDemandThroughputExceeded", ""), Limit::Store),
        (throttling("IndexWriteAccountLimitExceeded", "/index/by_time"), Limit::Store),
        (
            reasons(
                "ThrottlingReasons",
                "ProvisionedThroughputExceededException",
                "IndexWriteKeyRangeThroughputExceeded",
                "/index/by_time",
            ),
            Limit::List,
        ),
        (json!({"__type": "com.amazonaws.dynamodb.v20120810#RequestLimitExceeded"}), Limit::Store),
    ] {
        let refused = Busy::saying(words.clone()).table().write(put("MSG#1")).await;
        let Err(StoreError::Throttled { limit: told, why }) = refused else {
            panic!("{words}: {refused:?}")
        };
        assert_eq!(told, limit, "{words}");
        assert!(!why.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_whose_callers_can_ask_again_tries_for_three_tenths_of_a_second() {
    let words = reasons("throttlingReasons", "ThrottlingException", "x", "");
    for _ in 0..20 {
        let busy = Busy::saying(words.clone());
        let before = tokio::time::Instant::now();
        busy.table().write(put("MSG#1")).await.expect_err("busy");
        assert_eq!(busy.calls.load(Ordering::SeqCst), 4);
        assert!(before.elapsed() <= Duration::from_millis(310), "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn every_try_that_a_busy_table_refuses_is_told_to_whoever_is_to_ask_less() {
    let store = reasons("throttlingReasons", "ThrottlingException", "x", "");
    let key_range =
        |reason, index| reasons("throttlingReasons", "ThrottlingException", reason, index);
    let partition = key_range("TableWriteKeyRangeThroughputExceeded", "");
    let list = key_range("IndexWriteKeyRangeThroughputExceeded", "/index/by_time");
    let tries = |all, refused| Tries { all, refused };
    for (words, refused) in [
        // Both kinds of a single write, four tries each.
        (store, [4, 4]),
        // The first of two keys might be the only one that gets too much.
        (partition, [0, 1]),
        (list, [0, 0]),
    ] {
        let backpressure = Backpressure::default();
        let table = Busy::saying(words.clone()).table().telling(backpressure.clone());
        table.write(put("MSG#1")).await.expect_err("busy");
        assert_eq!(backpressure.take(), tries(4, refused[0]), "{words}");
        let Write::Put(Item { key, .. }, _) = put("MSG#2") else { unreachable!() };
        table.write(Write::Delete(key, Condition::Always)).await.expect_err("busy");
        assert_eq!(backpressure.take(), tries(4, refused[1]), "{words}");
        assert_eq!(backpressure.take(), tries(0, 0));
    }
}
