//! An integration: another system that publishes to one application, with a key of its own that
//! can be replaced or taken back without touching anybody else's.
//!
//! The key is a token ([`Tokens::issue_integration`](crate::domain::token::Tokens)) that follows
//! from what is on record here. So it can be shown again, and nothing secret is stored.

use serde::{Deserialize, Serialize};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::id::{ApiTokenId, ApplicationId, IntegrationId, OrganisationId};

/// Most integrations of an application: a list of all is one read.
pub const MAX_INTEGRATIONS: usize = 50;

/// What is on record of an integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integration {
    /// Its id.
    pub id: IntegrationId,
    /// Whose application it publishes to.
    pub org: OrganisationId,
    /// The application.
    pub app: ApplicationId,
    /// For people.
    pub name: String,
    /// The caller's note of which feature flags it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feature_flags: Vec<String>,
    /// Which of its keys is the one in force. An earlier one opens nothing.
    pub key: ApiTokenId,
    /// From when the key holds, in whole seconds.
    pub key_from: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Integration {
    /// A new one, whose key holds from this moment on.
    pub fn new(
        (org, app): (OrganisationId, ApplicationId),
        (name, feature_flags): (String, Vec<String>),
        key_from: Timestamp,
        ambient: &Ambient,
    ) -> Self {
        let (now, key) = (ambient.now(), ApiTokenId::new(ambient));
        let id = IntegrationId::new(ambient);
        let (created_at, updated_at) = (now, now);
        Self { id, org, app, name, feature_flags, key, key_from, created_at, updated_at }
    }
}
