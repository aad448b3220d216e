//! The one call to AWS Secrets Manager: reading a secret's text when a function starts.
//!
//! The root secret is not in the functions' environment, because whoever may look at a
//! function's configuration would see it there: every read-only role of an account may. It
//! costs one request for each new process, and the rights to it are granted to three functions.
//!
//! One operation does not pay for an SDK client, so the request is put together here and signed
//! by the library that the SDK's clients sign with.
//!
//! Not guaranteed: that a secret which was changed is noticed by processes that run.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningParams, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use http::{Request, header};
use serde::Deserialize;
use serde_json::json;

use crate::domain::clock::Timestamp;

/// Tries before a start fails. Lambda then starts the process again.
const TRIES: u32 = 3;
/// How long the second one waits; the third twice that.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for an answer. The three tries stay within the 10 s that a start may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The operation, as the service's JSON protocol names it.
const TARGET: &str = "secretsmanager.GetSecretValue";

/// Where the service is, and who asks.
pub struct SecretsManager<'a> {
    /// Makes the requests.
    pub client: &'a reqwest::Client,
    /// Signs them.
    pub credentials: &'a Credentials,
    /// As `us-east-1`.
    pub region: &'a str,
    /// An emulated account's address.
    pub endpoint_url: Option<&'a str>,
}

impl SecretsManager<'_> {
    /// The text of the secret with this name or ARN.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read; never a part of it.
    pub async fn text(&self, id: &str, now: Timestamp) -> Result<String, String> {
        let mut why = String::new();
        for turn in 0..TRIES {
            // The first one waits for nothing, not even a timer's next tick: it is part of a start.
            if turn > 0 {
                tokio::time::sleep(PAUSE * turn).await;
            }
            match self.ask(id, now).await {
                Ok(text) => return Ok(text),
                Err(Failure::Final(reason)) => return Err(format!("the secret {id}: {reason}")),
                Err(Failure::Passing(reason)) => why = reason,
            }
        }
        Err(format!("the secret {id}: {why}"))
    }

    async fn ask(&self, id: &str, now: Timestamp) -> Result<String, Failure> {
        let body = json!({"SecretId": id}).to_string();
        let request = self.signed(&body, now).map_err(Failure::Final)?;
        let request = reqwest::Request::try_from(request.map(|()| body));
        let mut request = request.map_err(|error| Failure::Final(error.to_string()))?;
        *request.timeout_mut() = Some(TIMEOUT);
        let passing = |error: reqwest::Error| Failure::Passing(error.without_url().to_string());
        let answer = self.client.execute(request).await.map_err(passing)?;
        let status = answer.status();
        let answer = answer.bytes().await.map_err(passing)?;
        if status.is_success() {
            // Without the parser's words, which may quote what it read.
            let read: Result<Found, _> = serde_json::from_slice(&answer);
            return match read {
                Ok(Found { secret_string: Some(text) }) => Ok(text),
                _ => Err(Failure::Final("it is no text".into())),
            };
        }
        let refusal: Refusal = serde_json::from_slice(&answer).unwrap_or_default();
        let reason = format!("{status} {} {}", refusal.kind, refusal.message);
        // What AWS's JSON protocol throttles it refuses with 400.
        let is_throttled = ["Throttling", "LimitExceeded", "TooManyRequests"]
            .iter()
            .any(|kind| refusal.kind.contains(kind));
        let is_passing = is_throttled
            || status.is_server_error()
            || status == http::StatusCode::TOO_MANY_REQUESTS;
        match is_passing {
            true => Err(Failure::Passing(reason)),
            false => Err(Failure::Final(reason)),
        }
    }

    fn signed(&self, body: &str, now: Timestamp) -> Result<Request<()>, String> {
        let url = match self.endpoint_url {
            Some(url) => url.to_owned(),
            None => format!("https://secretsmanager.{}.{}/", self.region, suffix(self.region)),
        };
        let mut request = Request::post(&url)
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", TARGET)
            .body(())
            .map_err(|error| error.to_string())?;
        let identity = self.credentials.clone().into();
        let params: SigningParams<'_> = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name("secretsmanager")
            .time(UNIX_EPOCH + Duration::from_millis(now.as_ms()))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable =
            SignableRequest::new("POST", url, headers, SignableBody::Bytes(body.as_bytes()))
                .map_err(|error| error.to_string())?;
        let (instructions, _) =
            sign(signable, &params).map_err(|error| error.to_string())?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// The domain of AWS in this region.
fn suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

enum Failure {
    /// The next try may succeed.
    Passing(String),
    /// None will.
    Final(String),
}

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "SecretString")]
    secret_string: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(rename = "message", alias = "Message")]
    message: String,
}
