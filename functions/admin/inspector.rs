//! Inspectors: a ready endpoint to send to, and a look at what arrived there.
//!
//! Sending needs no token, since an endpoint has none; looking does. An inspector answers 200,
//! or what `?status=` in its URL says, so that failures can be looked at as well.
//!
//! Not guaranteed: that all of a body is kept (see [`KEPT_BYTES`]), or more than 1,000 requests.

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::Moment;
use http::uri::Authority;
use http::{Request, StatusCode, header};
use serde::Serialize;
use shared::api::error::{self, ApiError, Violation};
use shared::api::request;
use shared::domain::headers::single;
use shared::domain::inspector::{Inspected, Inspector, KEPT_BYTES};
use shared::domain::right::Right;

use crate::sensitive::is_sensitive;
use crate::{Admin, Answer, Call, page};

/// What stands for the value of a header that its reader may not see.
const HIDDEN: &str = "(hidden)";
/// Most requests that are shown.
const MAX_SHOWN: usize = 100;

/// What a caller gets of an inspector.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InspectorOut {
    token: String,
    /// Where to send; absolute if the request said by which name it came.
    url: String,
    #[schemars(with = "Moment")]
    created_at: String,
    #[schemars(with = "Moment")]
    expires_at: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct InspectedList {
    data: Vec<InspectedOut>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct InspectedOut {
    #[schemars(with = "Moment")]
    timestamp: String,
    method: String,
    #[schemars(with = "Vec<[String; 2]>")]
    headers: Vec<(String, String)>,
    body: String,
    body_bytes: usize,
    answered: u16,
}

impl Admin {
    /// What was sent to an inspector, answered as an endpoint would.
    pub(crate) async fn inspect(&self, token: &str, sent: &Request<Bytes>) -> Answer {
        let now = self.ambient.now();
        let found = self.inspectors.find(token, now).await?;
        found.ok_or_else(ApiError::not_found)?;
        let answered = status(sent)?;
        let body = sent.body();
        let kept = &body[..body.len().min(KEPT_BYTES)];
        let inspected = Inspected {
            at: now,
            method: sent.method().to_string(),
            headers: sent
                .headers()
                .iter()
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect(),
            body: String::from_utf8_lossy(kept).into_owned(),
            bytes: body.len(),
            answered: answered.as_u16(),
        };
        self.inspectors.keep(token, &inspected, &self.ambient).await?;
        Ok(error::json(answered, &serde_json::Map::new()))
    }
}

impl Call<'_> {
    pub(crate) async fn create_inspector(&self) -> Answer {
        let inspector = Inspector::new(self.access.organisation(), &self.admin.ambient);
        self.admin.inspectors.create(&inspector).await?;
        let out = InspectorOut {
            url: format!("{}/inspect/{}", origin(self.request), inspector.token),
            token: inspector.token,
            created_at: inspector.created_at.to_rfc3339(),
            expires_at: inspector.expires_at.to_rfc3339(),
        };
        Ok(error::json(StatusCode::CREATED, &out))
    }

    pub(crate) async fn list_inspected(&self, token: &str) -> Answer {
        let found = self.admin.inspectors.find(token, self.admin.ambient.now()).await?;
        let inspector = found
            .filter(|inspector| inspector.org == self.access.organisation())
            .ok_or_else(ApiError::not_found)?;
        let inspected = self.admin.inspectors.inspected(&inspector, MAX_SHOWN).await?;
        // What an endpoint is sent may have its secrets in it.
        let is_shown = self.require(Right::Manage).is_ok();
        let shown = |(name, value): (String, String)| match is_shown || !is_sensitive(&name) {
            true => (name, value),
            false => (name, HIDDEN.to_owned()),
        };
        let data = inspected.into_iter().map(|one| InspectedOut {
            timestamp: one.at.to_rfc3339(),
            method: one.method,
            headers: one.headers.into_iter().map(shown).collect(),
            body: one.body,
            body_bytes: one.bytes,
            answered: one.answered,
        });
        Ok(error::json(StatusCode::OK, &InspectedList { data: page::fitting(data) }))
    }
}

/// The status that the sender wants to see.
fn status(sent: &Request<Bytes>) -> Result<StatusCode, ApiError> {
    let Some(text) = request::query_value(sent, "status") else { return Ok(StatusCode::OK) };
    text.parse::<u16>()
        .ok()
        .filter(|status| (200..600).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| Violation::query("status", "must be an HTTP status, 200 to 599").into())
}

/// Scheme and host by which the caller reached us. API Gateway and proxies tell the scheme;
/// without them it is plain HTTP on one machine. Nothing but a host makes a link, and no scheme but
/// HTTP's; without either, links are relative.
pub(crate) fn origin(request: &Request<Bytes>) -> String {
    let host = single(request.headers(), header::HOST.as_str());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let Some(host) = host.filter(|host| !host.as_str().contains('@')) else {
        return String::new();
    };
    let told = single(request.headers(), "x-forwarded-proto");
    let is_safe = told.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    format!("{}://{host}", if is_safe { "https" } else { "http" })
}
