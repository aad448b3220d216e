//! DynamoDB inside the test process: an engine that speaks DynamoDB's JSON, behind the SDK's
//! HTTP port. Nothing listens and nothing is encrypted, but every request and answer is what
//! the SDK would have sent and read.
//!
//! Indexes are up to date at once, and the engine knows no conflict between transactions:
//! [`Fault`] is there to bring about what it does not do by itself.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::lambda::aws::{AwsEnvironment, Caller, dynamodb_client};
use shared::store::dynamodb::DynamoTable;
use shared::store::keys::attribute::{DOC, DPK, DSK, EXPIRES_AT, PK, REV, SK, TPK, TSK};
use shared::store::keys::index::{BY_TIME, DUE};

const TABLE: &str = "posthorn";

/// Something that goes wrong with the next request.
pub(crate) enum Fault {
    /// The request is carried out, but its answer does not arrive.
    AnswerLost,
    /// The request is not carried out; this is the answer.
    Answer(u16, Value),
}

/// One database in memory with one table in it.
#[derive(Clone)]
pub(crate) struct Dynoxide {
    database: Database,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    /// What the transactions that came called themselves.
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Dynoxide {
    /// A database with an empty table and both indexes.
    pub(crate) fn start() -> Self {
        let database = Database::memory().expect("a database in memory");
        let request = serde_json::from_value(table_definition()).expect("a table definition");
        database.create_table(request).expect("a table");
        Self { database, faults: Arc::default(), tokens: Arc::default() }
    }

    /// The table, through the SDK.
    pub(crate) fn table(&self) -> DynamoTable {
        let environment = AwsEnvironment::from_lookup(&|name| match name {
            "AWS_REGION" => Some("us-east-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
            _ => None,
        });
        let connector = SharedHttpConnector::new(self.clone());
        let http = http_client_fn(move |_, _| connector.clone());
        let client = dynamodb_client(&environment.expect("an environment"), http, Caller::Waits);
        DynamoTable::new(client, TABLE)
    }

    /// Lets one of the next requests go wrong; faults are used up in order, one a request.
    pub(crate) fn next(&self, fault: Fault) {
        self.faults.lock().expect("the faults").push_back(fault);
    }

    /// The tokens of the transactions that came so far.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.tokens.lock().expect("the tokens").clone()
    }

    fn answer(&self, request: &HttpRequest) -> Result<(u16, String), ConnectorError> {
        let said: Value =
            serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let token = said["ClientRequestToken"].as_str().map(str::to_owned);
        self.tokens.lock().expect("the tokens").extend(token);
        let fault = self.faults.lock().expect("the faults").pop_front();
        if let Some(Fault::Answer(status, body)) = fault {
            return Ok((status, body.to_string()));
        }
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let database = &self.database;
        let answer = match target.rsplit('.').next().unwrap_or_default() {
            "GetItem" => run(body, |request| database.get_item(request)),
            "PutItem" => run(body, |request| database.put_item(request)),
            "DeleteItem" => run(body, |request| database.delete_item(request)),
            "Query" => run(body, |request| database.query(request)),
            "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
            other => Err(DynoxideError::ValidationException(format!("no operation {other}"))),
        };
        if fault.is_some() {
            return Err(ConnectorError::io("the answer was lost".into()));
        }
        Ok(match answer {
            Ok(body) => (200, body),
            Err(error) => (error.status_code(), error.to_json()),
        })
    }
}

impl fmt::Debug for Dynoxide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dynoxide")
    }
}

impl HttpConnector for Dynoxide {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.answer(&request).map(|(status, body)| {
            let status = status.try_into().expect("an HTTP status");
            HttpResponse::new(status, SdkBody::from(body))
        }))
    }
}

fn run<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    call: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> dynoxide::Result<String> {
    // The engine's readers refuse some requests through serde, marked as what they are.
    let request = serde_json::from_slice(body).map_err(|error| {
        let why = error.to_string();
        let why = why.strip_prefix("VALIDATION:").unwrap_or(&why);
        DynoxideError::ValidationException(why.to_owned())
    })?;
    let answer = call(request)?;
    Ok(serde_json::to_string(&answer).expect("an answer in JSON"))
}

/// The same table as in `template.yaml`, which a test holds it to.
pub(crate) fn table_definition() -> Value {
    let keys = [PK, SK, TPK, TSK, DPK, DSK];
    let keys = keys.map(|name| json!({ "AttributeName": name, "AttributeType": "S" }));
    let schema = |pk, sk| {
        json!([
            { "AttributeName": pk, "KeyType": "HASH" },
            { "AttributeName": sk, "KeyType": "RANGE" },
        ])
    };
    let include = [DOC, REV, EXPIRES_AT];
    let index = |name, pk, sk| {
        json!({
            "IndexName": name,
            "KeySchema": schema(pk, sk),
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": include,
            },
        })
    };
    json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": keys,
        "KeySchema": schema(PK, SK),
        "GlobalSecondaryIndexes": [index(BY_TIME, TPK, TSK), index(DUE, DPK, DSK)],
    })
}
