//! Tokens for visitors of an application, and taking tokens back.

use crate::JsonSchema;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::application::{ApplicationIn, BROUGHT};
use shared::api::error::{self, ApiError, Violation};
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::application::{Application, Expired};
use shared::domain::event_type::MAX_NAME;
use shared::domain::id::{ApiTokenId, ApplicationId, OrganisationId, is_name};
use shared::domain::right::{Capability, Grant, Scope};
use shared::domain::token::Visitor;
use shared::store::Tenant;

use crate::inspector::origin;
use crate::{Answer, Call};

/// Shortest and longest life of a visitor's token that may be asked for, in seconds: an hour to
/// a week (Svix).
const EXPIRY_S: std::ops::RangeInclusive<u64> = 3600..=604_800;

/// Longest name of a session, in characters.
const MAX_SESSION: usize = 256;
/// Most feature flags of a visitor, and most bytes of them: what API Gateway takes of headers is 10
/// KiB in all.
const MAX_FLAGS: usize = 100;
const MAX_FLAG_BYTES: usize = 4096;
/// Most sessions that one request may name.
const MAX_SESSIONS: usize = 100;

/// Most capabilities that one request may name: each of them twice.
const MAX_CAPABILITIES: usize = 2 * Capability::ALL.len();

/// Whom the access is for.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AppPortalAccessIn {
    /// Shows the visitor event types behind these flags as well.
    #[schemars(with = "Option<Vec<description::EventType>>")]
    feature_flags: Option<Vec<String>>,
    /// Creates the application, if the path names none that is there.
    #[serde(deserialize_with = "request::inner_or_null")]
    application: Option<ApplicationIn>,
    /// Seconds until the token expires; 7 days if it is not said.
    #[schemars(range(min = 3600, max = 604_800))]
    expiry: Option<u64>,
    /// The visitor's session, by which its tokens can be taken back.
    #[schemars(length(min = 1, max = MAX_SESSION))]
    session_id: Option<String>,
    /// Lets the visitor look and nothing else, whatever `capabilities` say.
    read_only: Option<bool>,
    /// What the visitor may do; all of these if it is not said. `ViewBase` has to be among them.
    #[schemars(length(min = 1, max = MAX_CAPABILITIES))]
    capabilities: Option<Vec<Capability>>,
    /// Makes the link open once, within 15 minutes: it has a code, which the portal exchanges.
    one_time: Option<bool>,
}

impl AppPortalAccessIn {
    /// What the visitor may do; `None` is everything that a visitor may do.
    fn capabilities(&self) -> Option<Vec<Capability>> {
        match self.read_only {
            Some(true) => Some(vec![Capability::ViewBase]),
            _ => self.capabilities.clone(),
        }
    }
}

/// How a visitor gets in.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AppPortalAccessOut {
    #[schemars(with = "description::Url")]
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
    /// Only tokens that were made for these sessions; all if there is none.
    #[schemars(length(max = MAX_SESSIONS), inner(length(min = 1, max = MAX_SESSION)))]
    session_ids: Option<Vec<String>>,
}

/// When an organisation's tokens are taken back.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ExpireOrganisationIn {
    /// Seconds until then; at once if it is not said.
    #[schemars(range(max = 604_800))]
    expiry: Option<u64>,
}

/// Whose token it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhoOut {
    org_id: OrganisationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<ApplicationId>,
    feature_flags: Vec<String>,
    /// What a visitor may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<Vec<Capability>>,
    /// What a backend's token is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    /// What an API token is on record as.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<ApiTokenId>,
    #[schemars(with = "description::Moment")]
    expires_at: String,
}

impl Call<'_> {
    /// What the token opens.
    pub(crate) async fn whoami(&self) -> Answer {
        let app_id = self.own.as_ref().map(|own| own.application.id);
        let (capabilities, scope) = match &self.bearer.grant {
            Grant::Visitor(held) => (Some(held.clone()), None),
            Grant::Backend(scope) => (None, Some(*scope)),
        };
        let out = WhoOut {
            org_id: self.access.organisation(),
            app_id,
            feature_flags: self.bearer.flags.clone(),
            capabilities,
            scope,
            token_id: self.bearer.key,
            expires_at: self.bearer.expires_at.to_rfc3339(),
        };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Takes back every token of an application that there is by now.
    pub(crate) async fn expire_all(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let input: ExpireIn = self.optional_body()?;
        let sessions = input.session_ids.unwrap_or_default();
        let mut rules = Rules::default();
        if sessions.len() > MAX_SESSIONS {
            rules.broken("sessionIds", format!("must be at most {MAX_SESSIONS}"));
        }
        for (position, session) in sessions.iter().enumerate() {
            check_session(&mut rules, &format!("sessionIds.{position}"), Some(session));
        }
        rules.check()?;
        let delay_ms = delay_ms(input.expiry)?;
        let now = self.admin.ambient.now();
        let id = &tenant.application.id;
        for session in &sessions {
            self.admin.revocations.revoke_session(id, session, delay_ms).await?;
        }
        if !sessions.is_empty() {
            return Ok(error::empty(StatusCode::NO_CONTENT));
        }
        let change = |application: &mut Application| {
            application.expired = Some(Expired::all(application.expired, now, delay_ms));
        };
        let edited = self.admin.editor.edit_application(id, now, change).await?;
        edited.done().ok_or_else(ApiError::not_found)?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    /// Takes back every token of the organisation that there is by now, this one included.
    pub(crate) async fn expire_organisation(&self) -> Answer {
        let input: ExpireOrganisationIn = self.optional_body()?;
        let (org, delay_ms) = (self.access.organisation(), delay_ms(input.expiry)?);
        self.admin.revocations.revoke_organisation(&org, delay_ms).await?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    /// A token for a visitor of this application.
    pub(crate) async fn app_portal_access(&self, app: &str) -> Answer {
        let input: AppPortalAccessIn = self.optional_body()?;
        let capabilities = input.capabilities();
        let flags = input.feature_flags.unwrap_or_default();
        let mut rules = Rules::default();
        let bytes: usize = flags.iter().map(String::len).sum();
        if flags.len() > MAX_FLAGS || bytes > MAX_FLAG_BYTES {
            // They are in the token, which comes with every request.
            let rule =
                format!("must be at most {MAX_FLAGS} names, of {MAX_FLAG_BYTES} bytes together");
            rules.broken("featureFlags", rule);
        }
        for (position, flag) in flags.iter().enumerate() {
            if !is_name(flag, MAX_NAME) {
                rules.broken(&format!("featureFlags.{position}"), "must be a name without spaces");
            }
        }
        if input.expiry.is_some_and(|seconds| !EXPIRY_S.contains(&seconds)) {
            let (least, most) = (EXPIRY_S.start(), EXPIRY_S.end());
            rules.broken("expiry", format!("must be {least} to {most} seconds"));
        }
        check_session(&mut rules, "sessionId", input.session_id.as_ref());
        check_capabilities(&mut rules, input.capabilities.as_deref());
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
        let visitor = Visitor { flags, session: input.session_id, capabilities };
        let once = input.one_time.unwrap_or(false);
        let lifetime_s = input.expiry.unwrap_or(self.admin.settings.portal_link_s);
        self.visit(&tenant, visitor, lifetime_s, once).await
    }

    /// The same as it was before there were flags.
    pub(crate) async fn dashboard_access(&self, app: &str) -> Answer {
        let lifetime_s = self.admin.settings.portal_link_s;
        self.visit(&*self.tenant(app).await?, Visitor::default(), lifetime_s, false).await
    }

    /// Takes back the token that the request came with.
    pub(crate) async fn logout(&self) -> Answer {
        self.admin.revocations.revoke(&self.bearer).await?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    async fn visit(
        &self,
        tenant: &Tenant,
        visitor: Visitor,
        lifetime_s: u64,
        once: bool,
    ) -> Answer {
        let application = &tenant.application;
        let of_session = match &visitor.session {
            Some(session) => self.admin.revocations.session(&application.id, session).await?,
            None => None,
        };
        let of_all = self.admin.revocations.organisation(&application.org).await?;
        let expired = [application.expired, of_session, of_all].into_iter().flatten();
        let from = expired.map(|expired| expired.first_good()).max();
        let ids = (application.org, application.id);
        let token =
            self.admin.tokens.issue_visit(ids, visitor, lifetime_s, from, &self.admin.ambient);
        // In the fragment, which browsers keep to themselves.
        let entry = match once {
            true => format!("code={}", self.admin.code_for(&token).await?),
            false => format!("key={token}"),
        };
        let url = format!("{}/portal#{entry}", origin(self.request));
        Ok(error::json(StatusCode::OK, &AppPortalAccessOut { url, token }))
    }
}

/// How long tokens live on that are taken back, in milliseconds.
fn delay_ms(seconds: Option<u64>) -> Result<u64, ApiError> {
    let seconds = seconds.unwrap_or(0);
    if seconds > *EXPIRY_S.end() {
        let rule = format!("must be at most {} seconds", EXPIRY_S.end());
        return Err(Violation::body("expiry", rule).into());
    }
    Ok(seconds * 1_000)
}

fn check_capabilities(rules: &mut Rules, held: Option<&[Capability]>) {
    let Some(held) = held else { return };
    if held.len() > MAX_CAPABILITIES {
        rules.broken("capabilities", format!("must be at most {MAX_CAPABILITIES}"));
    } else if !held.contains(&Capability::ViewBase) {
        rules.broken("capabilities", "must have `ViewBase`: none of the others works without it");
    }
}

fn check_session(rules: &mut Rules, field: &str, session: Option<&String>) {
    let length = session.map_or(1, |session| session.chars().count());
    if !(1..=MAX_SESSION).contains(&length) {
        rules.broken(field, format!("must be 1 to {MAX_SESSION} characters"));
    }
}
