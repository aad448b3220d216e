//! A client of a Posthorn that is reached by a URL, over TLS as a rule.

use std::time::Duration;

use bytes::Bytes;
use http::header::ALLOW;
use http::{Method, StatusCode};
use serde_json::Value;
use shared::sender::tls;

/// Longest wait for an answer: API Gateway's own limit.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A Posthorn and a token for it.
#[derive(Clone)]
pub(crate) struct Remote {
    client: reqwest::Client,
    base: String,
    token: String,
}

/// What came back.
pub(crate) struct Answer {
    /// What was asked.
    asked: String,
    /// Its status.
    pub(crate) status: StatusCode,
    /// The methods that the path takes, where it does not take this one.
    allow: Option<String>,
    body: Bytes,
}

impl Remote {
    /// A client of the Posthorn at `base`.
    ///
    /// # Errors
    /// When there is no HTTP client to be had.
    pub(crate) fn new(base: &str, token: &str) -> Result<Self, String> {
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { client: client(TIMEOUT)?, base, token: token.to_owned() })
    }

    /// The same caller at another address.
    pub(crate) fn at(&self, base: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { client: self.client.clone(), base, token: self.token.clone() }
    }

    /// Where a path is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request with a JSON body (`null` for none); the answer, if its status is 2xx.
    ///
    /// # Errors
    /// What it objected to, or why nothing came.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, String> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.send(method, path, body).await?.json()
    }

    /// A request with these bytes of JSON, if there are any; whatever was answered.
    ///
    /// # Errors
    /// Why nothing came.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, String> {
        let asked = format!("{method} {path}");
        let mut request = self.client.request(method, self.url(path)).bearer_auth(&self.token);
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.map_err(|error| match error.is_connect() {
            true => format!("cannot reach {}: {}", self.base, cause(&error)),
            false => format!("{asked}: {}", chain(&error)),
        })?;
        let status = answer.status();
        let allow = answer.headers().get(ALLOW).and_then(|allow| allow.to_str().ok());
        let allow = allow.map(str::to_owned);
        let body = answer.bytes().await.map_err(|error| format!("{asked}: {error}"))?;
        Ok(Answer { asked, status, allow, body })
    }
}

impl Answer {
    /// The JSON that came, `null` where nothing did, if the status is 2xx.
    ///
    /// # Errors
    /// What was objected to.
    pub(crate) fn json(self) -> Result<Value, String> {
        let asked = self.asked.clone();
        let text = self.text()?;
        read(&text, &asked)
    }

    /// What came as it was written, if the status is 2xx.
    ///
    /// # Errors
    /// What was objected to.
    pub(crate) fn text(self) -> Result<String, String> {
        if self.status.is_success() {
            return Ok(String::from_utf8_lossy(&self.body).into_owned());
        }
        let why = match self.allow {
            Some(allow) => format!("this path takes {allow}"),
            None => objection(&self.body),
        };
        Err(format!("{why} ({}: {})", self.asked, self.status))
    }
}

/// An answer as a value; `null` where nothing came.
///
/// # Errors
/// That it has what JSON allows and a value cannot hold: half of a surrogate pair, a number beyond
/// all bounds, or very many levels.
pub(crate) fn read(text: &str, asked: &str) -> Result<Value, String> {
    match text.is_empty() {
        true => Ok(Value::Null),
        false => serde_json::from_str(text).map_err(|error| {
            format!("{asked}: the answer cannot be read here ({error}): `api` shows it as it came")
        }),
    }
}

/// An HTTP client that goes where it is told to, and nowhere else.
///
/// # Errors
/// When there is none to be had.
pub(crate) fn client(timeout: Duration) -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(timeout)
        .build()
        .map_err(|error| error.to_string())
}

/// What the API objects to, for people: field and rule instead of JSON.
fn objection(body: &[u8]) -> String {
    let whole = || match body {
        b"" | b"{}" => "no reason was given".to_owned(),
        body => String::from_utf8_lossy(body).into_owned(),
    };
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return whole() };
    match &answer["detail"] {
        Value::String(detail) => detail.clone(),
        Value::Array(rules) => rules.iter().map(rule).collect::<Vec<_>>().join("; "),
        _ => whole(),
    }
}

/// A rule that a request breaks: where, and what it is.
fn rule(rule: &Value) -> String {
    let place = rule["loc"].as_array().into_iter().flatten().skip(1);
    let place: Vec<String> =
        place.map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned)).collect();
    let said = rule["msg"].as_str().unwrap_or_default();
    match place.is_empty() {
        true => format!("the body: {said}"),
        false => format!("{}: {said}", place.join(".")),
    }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What an error comes down to.
fn cause(error: &dyn std::error::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn causes<'a>(
    error: &'a dyn std::error::Error,
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'a)> {
    std::iter::successors(Some(error), |error| error.source())
}
