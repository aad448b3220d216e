//! An attempt's request as it was sent: made anew of what is on record, since only answers are
//! kept. What is secret is left out: the signatures, and the values of headers that may be
//! credentials.

use crate::JsonSchema;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::attempt::Attempt;
use shared::domain::delivery_settings::Format;
use shared::domain::message::{HOPS_HEADER, Message};
use shared::sender::USER_AGENT;
use shared::store::Tenant;

use crate::headers::is_sensitive;
use crate::{Answer, Call};

/// What stands for a secret.
const HIDDEN: &str = "(not shown)";

/// A request and what it was answered.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SentOut {
    method: &'static str,
    url: String,
    headers: Vec<HeaderOut>,
    /// The body; none where it is not kept or is no text.
    body: Option<String>,
    /// Why there is no body, or what may be different from what was sent.
    notes: Vec<&'static str>,
    /// HTTP status of the answer; 0 without one.
    status: u16,
    /// The beginning of the answer, or why there was none.
    answer: String,
    duration_ms: u64,
    /// Why it failed, if it did.
    failure: Option<crate::failure::Failure>,
}

/// A header.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HeaderOut {
    name: String,
    value: String,
}

impl Call<'_> {
    pub(crate) async fn sent(&self, app: &str, msg: &str, attempt: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        let made = self.attempt(&message, attempt).await?;
        Ok(error::json(StatusCode::OK, &self.request_of(&tenant, &message, &made).await?))
    }

    async fn request_of(
        &self,
        tenant: &Tenant,
        message: &Message,
        made: &Attempt,
    ) -> Result<SentOut, ApiError> {
        let mut notes = Vec::new();
        let mut headers = Vec::new();
        let mut add = |name: &str, value: &str| {
            headers.push(HeaderOut { name: name.to_owned(), value: value.to_owned() });
        };
        let mut body = None;
        if message.expunged {
            notes.push("The payload was taken away.");
        }
        match tenant.endpoint_by_id(&made.ep) {
            None => notes.push("The endpoint was deleted: its headers are not known any more."),
            Some(endpoint) => {
                let profile =
                    self.admin.profiles.of_endpoint(&tenant.application, endpoint).await?;
                let said = endpoint.settings.before(&profile.delivery);
                let is_token = said.format == Some(Format::Jwt);
                let usual = if is_token { "application/jwt" } else { "application/json" };
                add("content-type", message.content_type.as_deref().unwrap_or(usual));
                add("user-agent", USER_AGENT);
                if message.hops > 0 {
                    add(HOPS_HEADER, &message.hops.to_string());
                }
                let owner = endpoint.id.to_string();
                for header in &endpoint.headers {
                    let open = || header.open(&owner, &self.admin.sealer);
                    let shown = if is_sensitive(&header.name) { None } else { open() };
                    add(&header.name, shown.as_deref().unwrap_or(HIDDEN));
                }
                let (id, at) = (message.id.to_string(), made.at.as_secs().to_string());
                for (name, value) in profile.signed_headers(&id, &at, HIDDEN) {
                    add(&name, &value);
                }
                if is_token {
                    notes.push("The body was a signed token, which is not kept.");
                } else if !message.expunged {
                    body = String::from_utf8(profile.body(message, endpoint).to_vec()).ok();
                    notes.extend(body.is_none().then_some("The body is no text."));
                }
                if endpoint.updated_at > made.at {
                    notes.push("The endpoint was changed after this attempt.");
                }
            }
        }
        Ok(SentOut {
            method: "POST",
            url: made.url.clone(),
            headers,
            body,
            notes,
            status: made.status,
            answer: made.response.clone(),
            duration_ms: made.ms,
            failure: (!made.ok).then(|| crate::failure::explain(made.status, &made.response)),
        })
    }
}
