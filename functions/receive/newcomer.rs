//! An application that comes with its first message: created on the way, if the path names none.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use shared::application::{Application, MAX_METADATA_BYTES, Metadata};
use shared::error::{ApiError, Violation};
use shared::id::{ApplicationId, OrganisationId, Uid};
use shared::store::{Edited, Tenant};

use crate::Receiver;

/// The application that a message brings along (Svix).
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageApplicationIn")]
pub(crate) struct Newcomer {
    #[schemars(length(min = 1))]
    name: String,
    #[schemars(with = "Option<Uid>")]
    uid: Option<String>,
    #[schemars(range(min = 1))]
    throttle_rate: Option<u16>,
    #[schemars(range(min = 1))]
    rate_limit: Option<u16>,
    #[serde(default)]
    metadata: Metadata,
}

/// All that matters of a body when there is no application yet.
#[derive(Deserialize)]
struct Body {
    application: Option<Newcomer>,
}

impl Receiver {
    /// The application that this body brings along, under the name in the path.
    pub(crate) async fn welcome(
        &self,
        org: &OrganisationId,
        named: &str,
        body: &Bytes,
    ) -> Result<Arc<Tenant>, ApiError> {
        // Whatever else is wrong with the body is said when there is an application.
        let newcomer = serde_json::from_slice::<Body>(body).ok().and_then(|body| body.application);
        let Some(newcomer) = newcomer else { return Err(ApiError::not_found()) };
        let uid = Uid::parse(named, ApplicationId::PREFIX).map_err(|_| ApiError::not_found())?;
        newcomer.check(&uid)?;
        let mut application =
            Application::new(*org, newcomer.name, Some(uid), &self.sealer, &self.ambient);
        application.throttle_rate = newcomer.throttle_rate.or(newcomer.rate_limit);
        application.metadata = newcomer.metadata;
        match self.editor.create_application(&application).await? {
            // Somebody else was faster, or not: it is there now.
            Edited::Done(()) | Edited::UidTaken => {}
            Edited::Gone => return Err(ApiError::not_found()),
        }
        let found = self.directory.application(org, named).await?;
        found.ok_or_else(ApiError::not_found)
    }
}

impl Newcomer {
    fn check(&self, uid: &Uid) -> Result<(), ApiError> {
        let mut violations = Vec::new();
        if self.name.is_empty() {
            violations.push(Violation::body("application.name", "must not be empty"));
        }
        if self.uid.as_deref().is_some_and(|own| own != uid.as_str()) {
            let rule = "must be the name in the path, or be left out";
            violations.push(Violation::body("application.uid", rule));
        }
        if [self.throttle_rate, self.rate_limit].contains(&Some(0)) {
            let rule = "must be at least 1 a second, or be left out";
            violations.push(Violation::body("application.throttleRate", rule));
        }
        let bytes = serde_json::to_string(&self.metadata).map_or(0, |json| json.len());
        if bytes > MAX_METADATA_BYTES {
            let rule = format!("must be at most {MAX_METADATA_BYTES} bytes of JSON");
            violations.push(Violation::body("application.metadata", rule));
        }
        if violations.is_empty() { Ok(()) } else { Err(ApiError::Invalid(violations)) }
    }
}
