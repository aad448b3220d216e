//! API tokens: tokens of backends that are on record, so that each can be taken back by its id.

use serde::{Deserialize, Serialize};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::id::{ApiTokenId, ApplicationId, OrganisationId};
use crate::domain::right::Scope;
use crate::domain::token::Access;

/// Most API tokens that an organisation may have.
pub const MAX_API_TOKENS: usize = 1_000;
/// How long one lives of which nothing else is said, in seconds: a year.
pub const API_TOKEN_S: u64 = 365 * 86_400;
/// How exactly it is known when one was last used, in milliseconds.
pub const USED_WITHIN_MS: u64 = 3_600_000;

/// What is on record of an API token: everything but the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// Whose it is.
    pub org: OrganisationId,
    /// For people.
    pub name: String,
    /// What it is for.
    pub scope: Scope,
    /// The application that it is confined to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<ApplicationId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When it was last used, to [`USED_WITHIN_MS`], as far as that could be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

impl ApiToken {
    /// A new one that lives for `lifetime_s` seconds.
    pub fn new(
        org: OrganisationId,
        (name, scope, app): (String, Scope, Option<ApplicationId>),
        lifetime_s: u64,
        ambient: &Ambient,
    ) -> Self {
        let now = ambient.now();
        Self {
            id: ApiTokenId::new(ambient),
            org,
            name,
            scope,
            app,
            created_at: now,
            expires_at: now.plus_ms(lifetime_s * 1_000),
            used_at: None,
        }
    }

    /// What it opens.
    pub fn access(&self) -> Access {
        match self.app {
            Some(app) => Access::Application(self.org, app),
            None => Access::Organisation(self.org),
        }
    }

    /// Whether it is worth a write that it is used `now`.
    pub fn is_use_news(&self, now: Timestamp) -> bool {
        self.used_at.is_none_or(|at| at.plus_ms(USED_WITHIN_MS) <= now)
    }
}
