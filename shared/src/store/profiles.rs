//! Profiles that an organisation stored through the API: one item each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::write_all;
use super::table::prefix_range;
use super::table::{Condition, Item, Table, Write};
use super::{StoreError, base_query, doc, keys, read_first};
use crate::domain::id::OrganisationId;
use crate::domain::profile::Profile;
use crate::domain::profile::catalogue::CatalogueEvent;

/// Reads and stores profiles.
#[derive(Clone)]
pub struct ProfileStore {
    table: Arc<dyn Table>,
}

#[derive(Deserialize)]
struct Rules {
    profile: Profile,
}

/// A profile with its events, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredProfile {
    /// Its rules.
    pub profile: Profile,
    /// Its events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<CatalogueEvent>,
}

impl ProfileStore {
    /// Profiles in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// The rules of a stored profile.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn profile(
        &self,
        org: &OrganisationId,
        name: &str,
    ) -> Result<Option<Profile>, StoreError> {
        let item = self.table.get(&keys::profile(org, name)).await?;
        item.map(|item| Ok(doc::decode::<Rules>(&item.doc)?.profile)).transpose()
    }

    /// A stored profile with its events.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn whole(
        &self,
        org: &OrganisationId,
        name: &str,
    ) -> Result<Option<StoredProfile>, StoreError> {
        let item = self.table.get(&keys::profile(org, name)).await?;
        item.map(|item| doc::decode(&item.doc)).transpose()
    }

    /// Up to `limit` stored profiles, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        org: &OrganisationId,
        limit: usize,
    ) -> Result<Vec<Profile>, StoreError> {
        let (from, to) = prefix_range(keys::PROFILE_PREFIX);
        let query = base_query(keys::organisation_pk(org), from, to, limit);
        let items = read_first(&*self.table, query, |_| true).await?;
        items.iter().map(|item| Ok(doc::decode::<Rules>(&item.doc)?.profile)).collect()
    }

    /// Stores a profile in place of one of the same name, and at once with it what there is to
    /// tell.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn put(
        &self,
        org: &OrganisationId,
        stored: &StoredProfile,
        outbox: &[Write],
    ) -> Result<(), StoreError> {
        let item = Item::new(keys::profile(org, &stored.profile.name), doc::encode(stored)?);
        let put = Write::Put(item, Condition::Always);
        let writes = std::iter::once(put).chain(outbox.iter().cloned()).collect();
        write_all(&*self.table, writes).await.map(drop)
    }
}
