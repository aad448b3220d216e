//! Tokens for visitors of an application, and taking tokens back.

use bytes::Bytes;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::application::{Application, ApplicationIn, BROUGHT, Expired};
use shared::error::{self, ApiError, Violation};
use shared::event_type::MAX_NAME;
use shared::id::{ApplicationId, OrganisationId, is_name};
use shared::openapi;
use shared::request;
use shared::rules::Rules;
use shared::store::{Edited, Tenant};
use shared::token::{APPLICATION_TOKEN_S, Access};
use std::sync::Arc;

use crate::inspector::origin;
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

/// When an application's tokens are taken back.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ExpireIn {
    /// Seconds until then; at once if it is not said.
    #[schemars(range(max = 604_800))]
    expiry: Option<u64>,
    /// Tokens here have no sessions.
    session_ids: Option<Vec<String>>,
}

/// Whose token it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhoOut {
    org_id: OrganisationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<ApplicationId>,
    feature_flags: Vec<String>,
    #[schemars(with = "openapi::Moment")]
    expires_at: String,
}

impl Call<'_> {
    /// What the token opens.
    pub(crate) async fn whoami(&self) -> Answer {
        let app_id = match self.access {
            Access::Organisation(_) => None,
            // One that was taken back is told so.
            Access::Application(_, app) => {
                Some(self.tenant(&app.to_string()).await?.application.id)
            }
        };
        let out = WhoOut {
            org_id: self.access.organisation(),
            app_id,
            feature_flags: self.bearer.flags.clone(),
            expires_at: self.bearer.expires_at.to_rfc3339(),
        };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Takes back every token of an application that there is by now.
    pub(crate) async fn expire_all(&self, app: &str) -> Answer {
        self.require_organisation()?;
        let tenant = self.tenant(app).await?;
        let input: ExpireIn = match self.request.body().is_empty() {
            true => ExpireIn::default(),
            false => request::body(self.request)?,
        };
        if input.session_ids.is_some_and(|ids| !ids.is_empty()) {
            return Err(ApiError::bad_request(
                "no_sessions",
                "Tokens have no sessions here: leave `sessionIds` out to expire all of them.",
            ));
        }
        let seconds = input.expiry.unwrap_or(0);
        if seconds > *EXPIRY_S.end() {
            let rule = format!("must be at most {} seconds", EXPIRY_S.end());
            return Err(Violation::body("expiry", rule).into());
        }
        let now = self.admin.ambient.now();
        let expired = Expired { before: now, from: now.plus_ms(seconds * 1_000) };
        let id = &tenant.application.id;
        let change = |application: &mut Application| application.expired = Some(expired);
        match self.admin.editor.edit_application(id, now, change).await? {
            Edited::Done(_) => Ok(error::empty(StatusCode::NO_CONTENT)),
            Edited::Gone | Edited::UidTaken => Err(ApiError::not_found()),
        }
    }

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
        if let Some(application) = &input.application {
            application.check(Rules::within(BROUGHT))?;
        }
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
        let after = application.expired.map(|expired| expired.before);
        let ids = [application.org.to_string(), application.id.to_string()];
        let token =
            self.admin.tokens.issue_visit(ids, flags, lifetime_s, after, &self.admin.ambient);
        // In the fragment, which browsers keep to themselves.
        let url = format!("{}/docs#key={token}", origin(self.request));
        error::json(StatusCode::OK, &AppPortalAccessOut { url, token })
    }
}
