//! Listening to a platform that cannot reach this machine: an inspector there takes what is sent,
//! and what it took is fetched and passed on from here.
//!
//! Not guaranteed: that the platform hears what the application answers (it got the inspector's
//! answer already), more than 64 KiB of a body, or more than 1,000 deliveries.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use serde_json::{Value, json};

use super::{Listen, Session, Source};
use crate::output::field;
use crate::reach::{Api, string};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An inspector, and what was seen there.
pub(super) struct Inspector {
    api: Api,
    token: String,
}

/// A new inspector, with the URL to send to.
pub(super) async fn source(api: &Api, options: &Listen) -> Result<(String, Source), String> {
    let query = match options.status.as_slice() {
        [] => String::new(),
        [status] => format!("?status={}", status.as_u16()),
        _ => {
            let why = "over an inspector every delivery gets the same answer: give one --status";
            return Err(why.to_owned());
        }
    };
    let made = api.call(Method::POST, "/operator/inspector", json!({})).await?;
    let token = string(&made, "token")?;
    // Where we reach it ourselves, which is not always what the platform calls itself.
    let url = api.url(&format!("/inspect/{token}{query}"));
    Ok((url, Source::Inspector(Inspector { api: api.clone(), token })))
}

impl Inspector {
    /// Takes what arrives there, oldest first, until the inspector cannot be read.
    pub(super) async fn watch(self, session: &Session) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        loop {
            let path = format!("/operator/inspector/{}", self.token);
            let shown = self.api.get(&path).await?;
            let shown = shown["data"].as_array().cloned().unwrap_or_default();
            let known = std::mem::replace(&mut seen, shown.iter().map(name).collect());
            for one in shown.iter().rev().filter(|one| !known.contains(&name(one))) {
                session.take(request(one)).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What tells two deliveries apart: their moments and their signatures.
fn name(one: &Value) -> String {
    format!("{} {}", field(one, "timestamp"), one["headers"])
}

/// A delivery as it came to the inspector.
fn request(one: &Value) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(field(one, "body")));
    *request.method_mut() = field(one, "method").parse().unwrap_or(Method::POST);
    for header in one["headers"].as_array().into_iter().flatten() {
        let name = header[0].as_str().and_then(|name| name.parse::<HeaderName>().ok());
        let value = header[1].as_str().and_then(|value| value.parse::<HeaderValue>().ok());
        if let (Some(name), Some(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    request
}
