//! What the two AWS adapters stand on: settings, one HTTP connection pool, two SDK clients.
//!
//! [`AwsEnvironment`] holds the region, the credentials and, for an emulated account, the
//! endpoint. [`connections`] are what both SDK clients and
//! [Secrets Manager](crate::lambda::secrets_manager) share.
//! [`dynamodb_client`] and [`sqs_client`] put them together with timeouts and retries.
//!
//! The SDK's own configuration loader and HTTPS client are left out on purpose: a Lambda
//! function has all it needs in its environment, and parsing a second set of root certificates
//! is the largest part of a cold start.
//!
//! Not guaranteed: that an endpoint variable that names a service (`AWS_ENDPOINT_URL_SQS`), a
//! profile file or instance credentials are looked at. Credentials are read once; Lambda
//! replaces the process before they expire.

use std::fmt;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use bytes::{Bytes, BytesMut};

use crate::aws::{CONNECT_TIMEOUT, brief_timeouts, chain, timeouts};
use crate::lambda::secrets_manager::SecretsManager;
use crate::sender::tls;

/// Tries of a call that may be repeated (the SDK's "standard" mode).
const MAX_ATTEMPTS: u32 = 4;
/// Longest first pause between two tries; the SDK doubles it and takes anything up to that. Its
/// own second is far too long for a service that answers in milliseconds.
const INITIAL_BACKOFF: Duration = Duration::from_millis(25);
/// How long an unused connection is kept. A frozen Lambda process does not notice that the
/// other side has hung up, so this is shorter than the services' own limits.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer that is read. The largest real one is ten records of 1 MiB, in JSON that
/// escapes every character with two.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Where AWS is and who we are there.
#[derive(Clone)]
pub struct AwsEnvironment {
    region: String,
    credentials: Credentials,
    endpoint_url: Option<String>,
}

impl AwsEnvironment {
    /// Reads `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`
    /// (optional) and `AWS_ENDPOINT_URL` (optional: an emulated account) through `lookup`.
    /// An empty value counts as none.
    pub fn from_lookup(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, SetupError> {
        let optional = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let required = |name: &'static str| optional(name).ok_or(SetupError::Missing(name));
        let credentials = Credentials::from_keys(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            optional("AWS_SESSION_TOKEN"),
        );
        Ok(Self {
            region: required("AWS_REGION")?,
            credentials,
            endpoint_url: optional("AWS_ENDPOINT_URL"),
        })
    }

    /// The region, as `us-east-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Secrets Manager in this account.
    pub fn secrets<'a>(&'a self, client: &'a reqwest::Client) -> SecretsManager<'a> {
        SecretsManager {
            client,
            credentials: &self.credentials,
            region: &self.region,
            endpoint_url: self.endpoint_url.as_deref(),
        }
    }
}

impl fmt::Debug for AwsEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the credentials.
        f.debug_struct("AwsEnvironment")
            .field("region", &self.region)
            .field("endpoint_url", &self.endpoint_url)
            .finish_non_exhaustive()
    }
}

/// Why no AWS client could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// An environment variable that is not set.
    Missing(&'static str),
    /// The HTTP client could not be built.
    Http(String),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is not set"),
            Self::Http(why) => write!(f, "no HTTP client: {why}"),
        }
    }
}

impl std::error::Error for SetupError {}

/// The connections for calls to AWS. Make one per process. It is never used for a customer's
/// endpoint.
pub fn connections() -> Result<reqwest::Client, SetupError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| SetupError::Http(chain(&error)))
}

/// These connections as the SDK's clients want them.
pub fn http_client(connections: reqwest::Client) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(OneReqwest(connections));
    http_client_fn(move |_, _| connector.clone())
}

/// A DynamoDB client. Repeating a conditional write is safe only for callers that remember
/// that the first try may have won; the table adapter does.
pub fn dynamodb_client(
    environment: &AwsEnvironment,
    http: SharedHttpClient,
    caller: Caller,
) -> aws_sdk_dynamodb::Client {
    let (retries, timeouts) = match caller {
        Caller::Waits => (usual_retries(), timeouts(Duration::ZERO)),
        Caller::MayAskAgain => (brief_retries(), brief_timeouts()),
    };
    let mut config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(aws_sdk_dynamodb::config::Region::new(environment.region.clone()))
        .credentials_provider(environment.credentials.clone())
        .http_client(http)
        .retry_config(retries)
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    config.set_endpoint_url(environment.endpoint_url.clone());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

fn usual_retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(INITIAL_BACKOFF)
}

/// Who waits for the answers of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody else would do the work: a call is repeated for as long as is sensible.
    Waits,
    /// A publisher, who can be told to ask again. A call that is throttled is repeated for at most
    /// 300 ms, so that one hot key does not hold instances of the function that others need.
    MayAskAgain,
}

/// Three pauses, each random and at most so long.
fn brief_retries() -> RetryConfig {
    const PAUSE: Duration = Duration::from_millis(100);
    RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(PAUSE)
        .with_max_backoff(PAUSE)
}

/// An SQS client. Calls are repeated as usual; the queue adapter turns that off for sends.
pub fn sqs_client(environment: &AwsEnvironment, http: SharedHttpClient) -> aws_sdk_sqs::Client {
    let mut config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(aws_sdk_sqs::config::Region::new(environment.region.clone()))
        .credentials_provider(environment.credentials.clone())
        .http_client(http)
        .retry_config(usual_retries())
        .timeout_config(timeouts(Duration::ZERO))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    config.set_endpoint_url(environment.endpoint_url.clone());
    aws_sdk_sqs::Client::from_conf(config.build())
}

/// The SDK's HTTP port, over one `reqwest::Client`.
///
/// It ignores the SDK's connector timeouts: the client has its own connect timeout, and the
/// SDK drops a call whose time is up.
#[derive(Debug)]
struct OneReqwest(reqwest::Client);

impl HttpConnector for OneReqwest {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move { exchange(&client, request).await })
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let body = body.bytes().map(Bytes::copy_from_slice);
    let body = body.ok_or_else(|| ConnectorError::user("a streamed request body".into()))?;
    let request = http::Request::from_parts(parts, body);
    let request = reqwest::Request::try_from(request).map_err(connector_error)?;

    let mut response = client.execute(request).await.map_err(connector_error)?;
    let body = read_bounded(&mut response).await?;
    let mut answer = http::Response::new(SdkBody::from(body));
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
}

async fn read_bounded(response: &mut reqwest::Response) -> Result<Bytes, ConnectorError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(connector_error)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ConnectorError::other("the answer is too large".into(), None));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn connector_error(error: reqwest::Error) -> ConnectorError {
    let (is_timeout, is_connect) = (error.is_timeout(), error.is_connect());
    let mapped = if is_timeout {
        ConnectorError::timeout(error.into())
    } else if error.is_builder() {
        ConnectorError::user(error.into())
    } else {
        ConnectorError::io(error.into())
    };
    if is_connect { mapped.never_connected() } else { mapped }
}
