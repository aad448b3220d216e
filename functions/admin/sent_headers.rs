//! The headers of an attempt, worked out anew: what every attempt carries follows from what is on
//! record, and the endpoint's own are those that it has today. Nothing of them is stored with
//! attempts.

use std::collections::BTreeMap;

use crate::JsonSchema;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::attempt::Attempt;
use shared::domain::delivery_settings::Format;
use shared::domain::message::{HOPS_HEADER, Message};
use shared::sender::USER_AGENT;
use shared::store::Tenant;

use crate::{Answer, Call};

/// What stands for the signature, which is not shown: whoever had it could send the message again.
const NOT_SHOWN: &str = "";

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageAttemptHeadersOut")]
pub(crate) struct SentHeadersOut {
    /// Names of those whose values are not shown.
    sensitive: Vec<String>,
    sent_headers: BTreeMap<String, String>,
    /// Always null: what endpoints answer with is not kept.
    response_headers: Option<Vec<(String, String)>>,
}

impl Call<'_> {
    pub(crate) async fn sent_headers(&self, app: &str, msg: &str, attempt: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        let attempt = self.attempt(&message, attempt).await?;
        let out = self.headers_at(&tenant, &message, &attempt).await?;
        Ok(error::json(StatusCode::OK, &out))
    }

    async fn headers_at(
        &self,
        tenant: &Tenant,
        message: &Message,
        attempt: &Attempt,
    ) -> Result<SentHeadersOut, ApiError> {
        let profiles = &self.admin.profiles;
        let endpoint = tenant.endpoint_by_id(&attempt.ep);
        let (profile, own) = match endpoint {
            Some(endpoint) => {
                let profile = profiles.of_endpoint(&tenant.application, endpoint).await?;
                (profile, Some(self.headers_of(endpoint)?))
            }
            // Deleted since.
            None => (profiles.of(&tenant.application).await?, None),
        };
        let said = endpoint.and_then(|endpoint| endpoint.settings.format);
        let is_token = said.or(profile.delivery.format) == Some(Format::Jwt);
        let content_type = match &message.content_type {
            _ if is_token => "application/jwt",
            Some(content_type) => content_type,
            None => "application/json",
        };
        let mut sent_headers = BTreeMap::from([
            ("content-type".to_owned(), content_type.to_owned()),
            ("user-agent".to_owned(), USER_AGENT.to_owned()),
        ]);
        if message.hops > 0 {
            sent_headers.insert(HOPS_HEADER.to_owned(), message.hops.to_string());
        }
        let mut sensitive = Vec::new();
        if let Some(own) = own {
            sent_headers.extend(own.headers);
            sensitive = own.sensitive;
        }
        let (id, at) = (message.id.to_string(), attempt.at.as_secs().to_string());
        for (name, value) in profile.signed_headers(&id, &at, NOT_SHOWN) {
            match value.as_str() {
                NOT_SHOWN => sensitive.push(name),
                _ => drop(sent_headers.insert(name, value)),
            }
        }
        Ok(SentHeadersOut { sensitive, sent_headers, response_headers: None })
    }
}
