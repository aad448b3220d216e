//! An event type: a kind of event that an organisation has described, so that its customers can
//! choose it and know its payload.
//!
//! Publishing does not need one: an event of a kind that nobody described is delivered all the
//! same (Svix). Choosing does: an endpoint names only kinds that are described.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::clock::Timestamp;
use crate::domain::delivery_settings::DeliverySettings;
use crate::domain::id::OrganisationId;
use crate::domain::json::Verbatim;

/// Most bytes of an event type as it is stored: what fits an item of 400 KB.
pub const MAX_BYTES: usize = 390 * 1024;
/// Longest name of a group or a feature flag, in characters (Svix).
pub const MAX_NAME: usize = 256;

/// JSON Schemas by version (`1`, `2`).
pub type Schemas = BTreeMap<String, Verbatim>;

/// A described kind of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventType {
    /// Whose it is.
    pub org: OrganisationId,
    /// What messages and endpoints call it.
    pub name: String,
    /// For people.
    pub description: String,
    /// No longer chosen or shown; messages of this kind still go out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// On its way out, and still in use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// What its payload looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemas: Option<Schemas>,
    /// Only for tokens that carry one of these flags; for everybody if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feature_flags: Vec<String>,
    /// What it is shown with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// What its deliveries follow, before the profile.
    #[serde(rename = "treatment", default, skip_serializing_if = "DeliverySettings::is_silent")]
    pub settings: DeliverySettings,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl EventType {
    /// One that nothing is said about yet.
    pub fn new(org: OrganisationId, name: &str, now: Timestamp) -> Self {
        Self {
            org,
            name: name.to_owned(),
            description: String::new(),
            archived: false,
            deprecated: false,
            schemas: None,
            feature_flags: Vec::new(),
            group_name: None,
            settings: DeliverySettings::default(),
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether somebody with these feature flags may know of it; `None` may know of all.
    pub fn is_for(&self, flags: Option<&[String]>) -> bool {
        let Some(flags) = flags else { return true };
        self.feature_flags.is_empty() || self.feature_flags.iter().any(|flag| flags.contains(flag))
    }

    /// What its payload looks like now.
    pub fn latest_schema(&self) -> Option<&Verbatim> {
        let latest = |(version, _): &(&String, &Verbatim)| version.parse::<u64>().unwrap_or(0);
        self.schemas.as_ref()?.iter().max_by_key(latest).map(|(_, schema)| schema)
    }

    /// The examples of the latest version's schema, as JSON.
    pub fn examples(&self) -> Vec<&str> {
        #[derive(Deserialize)]
        struct Schema<'a> {
            #[serde(borrow)]
            examples: Vec<&'a RawValue>,
        }
        let Some(schema) = self.latest_schema() else { return Vec::new() };
        match serde_json::from_str::<Schema<'_>>(schema.as_str()) {
            Ok(schema) => schema.examples.into_iter().map(RawValue::get).collect(),
            Err(_) => Vec::new(),
        }
    }
}
