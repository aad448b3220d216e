//! A client of a Posthorn that is reached by a URL, over TLS as a rule.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use shared::sender::tls;

/// Longest wait for an answer: API Gateway's own limit.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A Posthorn and a token for it.
pub(crate) struct Remote {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Remote {
    /// A client of the Posthorn at `base`.
    ///
    /// # Errors
    /// When there is no HTTP client to be had.
    pub(crate) fn new(base: &str, token: &str) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { client, base, token: token.to_owned() })
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
    /// The status and what came with it, or why nothing came.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, String> {
        let what = format!("{method} {path}");
        let mut request = self.client.request(method, self.url(path)).bearer_auth(&self.token);
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| format!("{what}: {}", chain(&error)))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| format!("{what}: {error}"))?;
        if !status.is_success() {
            return Err(format!("{what}: {status} {}", String::from_utf8_lossy(&bytes)));
        }
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
