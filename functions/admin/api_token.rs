//! API tokens: made, listed and taken back by whoever holds all of the organisation.

use crate::JsonSchema;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Violation};
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::api_token::{API_TOKEN_S, ApiToken, MAX_API_TOKENS};
use shared::domain::id::{ApiTokenId, ApplicationId};
use shared::domain::right::Scope;
use shared::domain::token::ORGANISATION_TOKEN_S;
use shared::store::Need;

use crate::{Answer, Call, page};

/// Longest name, in characters.
const MAX_NAME: usize = 256;
/// Shortest and longest life that may be asked for, in seconds: a minute to ten years.
const EXPIRY_S: std::ops::RangeInclusive<u64> = 60..=ORGANISATION_TOKEN_S;

/// A token to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiTokenIn {
    /// For people.
    #[schemars(length(min = 1, max = MAX_NAME))]
    name: String,
    /// What it is for; everything if it is not said.
    #[serde(default)]
    scope: Scope,
    /// The application that it is confined to, by id or uid. Such a token does nothing that is
    /// about the organisation.
    app: Option<String>,
    /// Seconds until it expires; a year if it is not said.
    #[schemars(range(min = 60, max = ORGANISATION_TOKEN_S))]
    expiry: Option<u64>,
}

/// A token that is on record.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiTokenOut {
    id: ApiTokenId,
    name: String,
    scope: Scope,
    app_id: Option<ApplicationId>,
    #[schemars(with = "description::Moment")]
    created_at: String,
    #[schemars(with = "description::Moment")]
    expires_at: String,
    /// To an hour, and as far as it could be noted.
    #[schemars(with = "Option<description::Moment>")]
    last_used_at: Option<String>,
}

/// A token that was made. It is shown only now.
#[derive(Serialize, JsonSchema)]
pub(crate) struct NewApiTokenOut {
    #[serde(flatten)]
    known: ApiTokenOut,
    token: String,
}

impl From<ApiToken> for ApiTokenOut {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scope: token.scope,
            app_id: token.app,
            created_at: token.created_at.to_rfc3339(),
            expires_at: token.expires_at.to_rfc3339(),
            last_used_at: token.used_at.map(|at| at.to_rfc3339()),
        }
    }
}

impl Call<'_> {
    pub(crate) async fn create_api_token(&self) -> Answer {
        let input: ApiTokenIn = request::body(self.request)?;
        let mut rules = Rules::default();
        if !(1..=MAX_NAME).contains(&input.name.chars().count()) {
            rules.broken("name", format!("must be 1 to {MAX_NAME} characters"));
        }
        if input.expiry.is_some_and(|seconds| !EXPIRY_S.contains(&seconds)) {
            let (least, most) = (EXPIRY_S.start(), EXPIRY_S.end());
            rules.broken("expiry", format!("must be {least} to {most} seconds"));
        }
        rules.check()?;
        let app = match &input.app {
            Some(app) => Some(self.confining(app).await?),
            None => None,
        };
        let (org, now) = (self.access.organisation(), self.admin.ambient.now());
        let store = self.admin.revocations.api_tokens();
        if store.list(&org, now).await?.len() >= MAX_API_TOKENS {
            return Err(ApiError::bad_request(
                "limit_reached",
                format!("There are at most {MAX_API_TOKENS} API tokens: delete one first."),
            ));
        }
        let lifetime_s = input.expiry.unwrap_or(API_TOKEN_S);
        let about = (input.name, input.scope, app);
        let made = ApiToken::new(org, about, lifetime_s, &self.admin.ambient);
        store.create(&made).await?;
        let grant = (made.scope, Some(made.id));
        // Not among those that were taken back a moment ago.
        let from = self.admin.revocations.first_good(&org, now).await?;
        let token = self.admin.tokens.issue_api(made.access(), grant, from, lifetime_s);
        let out = NewApiTokenOut { known: made.into(), token };
        Ok(error::json(StatusCode::CREATED, &out))
    }

    pub(crate) async fn list_api_tokens(&self) -> Answer {
        let walk = page::walk::<ApiTokenId>(self.request, false)?;
        let (org, now) = (self.access.organisation(), self.admin.ambient.now());
        let all = self.admin.revocations.api_tokens().list(&org, now).await?;
        let listed = page::cut(&walk, all, |token: &ApiToken| token.id.to_string());
        Ok(page::respond(listed, ApiTokenOut::from))
    }

    pub(crate) async fn delete_api_token(&self, id: &str) -> Answer {
        let id: ApiTokenId = id.parse().map_err(|_| ApiError::not_found())?;
        match self.admin.revocations.revoke_key(&self.access.organisation(), &id).await? {
            true => Ok(error::empty(StatusCode::NO_CONTENT)),
            false => Err(ApiError::not_found()),
        }
    }

    /// The application that a token is to be confined to.
    async fn confining(&self, app: &str) -> Result<ApplicationId, ApiError> {
        let org = self.access.organisation();
        let found = self.admin.directory.application(&org, app, Need::Application).await?;
        let found = found
            .ok_or_else(|| Violation::body("app", "must be the id or uid of an application"))?;
        Ok(found.application.id)
    }
}
