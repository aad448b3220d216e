//! An attempt's request as it was sent: made anew of what is on record, since only answers are
//! kept. What is secret is left out: the signatures, and the values of headers that may be
//! credentials. Whoever asks for the request and whoever asks for its headers (Svix) is told the
//! same.

use std::collections::BTreeMap;

use crate::JsonSchema;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::attempt::Attempt;
use shared::domain::delivery_settings::Format;
use shared::domain::endpoint::Endpoint;
use shared::domain::message::{HOPS_HEADER, Message};
use shared::domain::profile::Profile;
use shared::sender::USER_AGENT;
use shared::store::{Need, Tenant};

use crate::sensitive::is_sensitive;
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
    /// Headers of the answer, of an attempt that failed; not all, and none that may be a secret.
    answer_headers: Vec<HeaderOut>,
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

impl From<(String, String)> for HeaderOut {
    fn from((name, value): (String, String)) -> Self {
        Self { name, value }
    }
}

/// The headers of an attempt, in Svix's shape.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageAttemptHeadersOut")]
pub(crate) struct SentHeadersOut {
    /// Names of those whose values are not shown.
    sensitive: Vec<String>,
    sent_headers: BTreeMap<String, String>,
    /// Names and values of headers of the answer, of an attempt that failed: as many as are kept,
    /// what tells most first, and none that may be a secret. Null where there are none.
    #[schemars(with = "Option<Vec<[String; 2]>>")]
    response_headers: Option<Vec<(String, String)>>,
}

/// A request made anew.
struct Made {
    /// In the order in which they were sent; a secret one has no value.
    headers: Vec<(String, Option<String>)>,
    body: Option<String>,
    notes: Vec<&'static str>,
}

impl Call<'_> {
    /// The request of an attempt, and what it was answered.
    pub(crate) async fn sent(&self, app: &str, msg: &str, attempt: &str) -> Answer {
        let (made, attempt) = self.made(app, msg, attempt).await?;
        let shown = |value: Option<String>| value.unwrap_or_else(|| HIDDEN.to_owned());
        let headers =
            made.headers.into_iter().map(|(name, value)| HeaderOut::from((name, shown(value))));
        let failure = || crate::failure::explain(attempt.status, &attempt.response);
        let out = SentOut {
            method: "POST",
            headers: headers.collect(),
            body: made.body,
            notes: made.notes,
            status: attempt.status,
            failure: (!attempt.ok).then(failure),
            url: attempt.url,
            answer: attempt.response,
            answer_headers: attempt.headers.into_iter().map(HeaderOut::from).collect(),
            duration_ms: attempt.ms,
        };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// The headers alone.
    pub(crate) async fn sent_headers(&self, app: &str, msg: &str, attempt: &str) -> Answer {
        let (made, attempt) = self.made(app, msg, attempt).await?;
        let (mut sent_headers, mut sensitive) = (BTreeMap::new(), Vec::new());
        for (name, value) in made.headers {
            match value {
                Some(value) => drop(sent_headers.insert(name, value)),
                None => sensitive.push(name),
            }
        }
        let response_headers = Some(attempt.headers).filter(|headers| !headers.is_empty());
        let out = SentHeadersOut { sensitive, sent_headers, response_headers };
        Ok(error::json(StatusCode::OK, &out))
    }

    async fn made(&self, app: &str, msg: &str, id: &str) -> Result<(Made, Attempt), ApiError> {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        let attempt = self.attempt(&message, id).await?;
        let need = Need::EndpointById(attempt.ep);
        let tenant = self.admin.directory.complete(tenant, need).await?;
        let tenant = tenant.ok_or_else(ApiError::not_found)?;
        let made = self.request_of(&tenant, &message, &attempt).await?;
        Ok((made, attempt))
    }

    async fn request_of(
        &self,
        tenant: &Tenant,
        message: &Message,
        attempt: &Attempt,
    ) -> Result<Made, ApiError> {
        let (profiles, application) = (&self.admin.profiles, &tenant.application);
        let endpoint = tenant.endpoint_by_id(&attempt.ep);
        let profile = match endpoint {
            Some(endpoint) => profiles.of_endpoint(application, endpoint).await?,
            None => profiles.of(application).await?,
        };
        let said = endpoint.and_then(|endpoint| endpoint.settings.format);
        let is_token = said.or(profile.delivery.format) == Some(Format::Jwt);
        let mut made = Made { headers: Vec::new(), body: None, notes: Vec::new() };
        // A token is one whatever its payload is.
        let content_type = match &message.content_type {
            _ if is_token => "application/jwt",
            Some(said) => said,
            None => "application/json",
        };
        made.add("content-type", Some(content_type));
        made.add("user-agent", Some(USER_AGENT));
        if message.hops > 0 {
            made.add(HOPS_HEADER, Some(&message.hops.to_string()));
        }
        for header in endpoint.into_iter().flat_map(|endpoint| &endpoint.headers) {
            let open = || header.open(&attempt.ep.to_string(), &self.admin.sealer);
            let shown = if is_sensitive(&header.name) { None } else { open() };
            made.add(&header.name, shown.as_deref());
        }
        let (id, at) = (message.id.to_string(), attempt.at.as_secs().to_string());
        for (name, value) in profile.signed_headers(&id, &at, HIDDEN) {
            made.add(&name, Some(value.as_str()).filter(|value| *value != HIDDEN));
        }
        made.show_body(message, endpoint, &profile, is_token);
        if endpoint.is_some_and(|endpoint| endpoint.updated_at > attempt.at) {
            made.notes.push("The endpoint was changed after this attempt.");
        }
        // With its profile the whole request would be another one.
        if application.updated_at > attempt.at {
            made.notes.push("The application was changed after this attempt.");
        }
        Ok(made)
    }
}

impl Made {
    fn add(&mut self, name: &str, value: Option<&str>) {
        self.headers.push((name.to_owned(), value.map(str::to_owned)));
    }

    fn show_body(
        &mut self,
        message: &Message,
        endpoint: Option<&Endpoint>,
        profile: &Profile,
        is_token: bool,
    ) {
        if message.expunged {
            self.notes.push("The payload was expunged.");
        }
        let Some(endpoint) = endpoint else {
            let gone = "The endpoint was deleted: its own headers, and in which form it had the \
                        body, are not known any more.";
            return self.notes.push(gone);
        };
        if is_token {
            self.notes.push("The body was a signed token, which is not kept.");
        } else if !message.expunged {
            self.body = String::from_utf8(profile.body(message, endpoint).to_vec()).ok();
            self.notes.extend(self.body.is_none().then_some("The body is not text."));
        }
    }
}
