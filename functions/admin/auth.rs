//! Tokens for visitors of an application, and taking tokens back.

use bytes::Bytes;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::error::{self, ApiError};
use shared::event_type::MAX_NAME;
use shared::id::is_name;
use shared::openapi;
use shared::request;
use shared::store::Tenant;
use shared::token::APPLICATION_TOKEN_S;
use std::sync::Arc;

use crate::application::ApplicationIn;
use crate::inspector::origin;
use crate::rules::Rules;
use crate::{Answer, Call};

/// Shortest and longest life of a visitor's token that may be asked for, in seconds: an hour to
/// a week (Svix).
const EXPIRY_S: std::ops::RangeInclusive<u64> = 3600..=604_800;

/// Whom the access is for.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AppPortalAccessIn {
    /// Shows the visitor event types behind these flags as well.
    #[schemars(with = "Option<Vec<openapi::EventType>>")]
    feature_flags: Option<Vec<String>>,
    /// Creates the application, if the path names none that is there.
    application: Option<ApplicationIn>,
    /// Seconds until the token expires; 28 days if it is not said.
    #[schemars(range(min = 3600, max = 604_800))]
    expiry: Option<u64>,
}

/// How a visitor gets in.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AppPortalAccessOut {
    #[schemars(with = "openapi::Url")]
    url: String,
    token: String,
}

impl Call<'_> {
    /// A token for a visitor of this application.
    pub(crate) async fn app_portal_access(&self, app: &str) -> Answer {
        self.require_organisation()?;
        let input: AppPortalAccessIn = match self.request.body().is_empty() {
            true => AppPortalAccessIn::default(),
            false => request::body(self.request)?,
        };
        let flags = input.feature_flags.unwrap_or_default();
        let mut rules = Rules::default();
        for (position, flag) in flags.iter().enumerate() {
            if !is_name(flag, MAX_NAME) {
                rules.broken(&format!("featureFlags.{position}"), "must be a name without spaces");
            }
        }
        if input.expiry.is_some_and(|seconds| !EXPIRY_S.contains(&seconds)) {
            let (least, most) = (EXPIRY_S.start(), EXPIRY_S.end());
            rules.broken("expiry", format!("must be {least} to {most} seconds"));
        }
        rules.check()?;
        let tenant = match (self.tenant(app).await, input.application) {
            (Err(ApiError::Http { status: StatusCode::NOT_FOUND, .. }), Some(application)) => {
                self.create_named(application, app).await?;
                self.tenant(app).await?
            }
            (found, _) => found?,
        };
        Ok(self.visit(&tenant, flags, input.expiry.unwrap_or(APPLICATION_TOKEN_S)))
    }

    /// The same as it was before there were flags.
    pub(crate) async fn dashboard_access(&self, app: &str) -> Answer {
        self.require_organisation()?;
        Ok(self.visit(&self.tenant(app).await?, Vec::new(), APPLICATION_TOKEN_S))
    }

    /// Takes back the token that the request came with.
    pub(crate) async fn logout(&self) -> Answer {
        self.admin.revocations.revoke(&self.bearer).await?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    fn visit(&self, tenant: &Arc<Tenant>, flags: Vec<String>, lifetime_s: u64) -> Response<Bytes> {
        let application = &tenant.application;
        let ids = [application.org.to_string(), application.id.to_string()];
        let token = self.admin.tokens.issue_visit(ids, flags, lifetime_s, &self.admin.ambient);
        // In the fragment, which browsers keep to themselves.
        let url = format!("{}/docs#key={token}", origin(self.request));
        error::json(StatusCode::OK, &AppPortalAccessOut { url, token })
    }
}
