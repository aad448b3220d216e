//! Profiles that an organisation stored through the API: one item each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::{Change, change};
use super::table::prefix_range;
use super::table::{Condition, Item, Table, Write};
use super::{Listeners, StoreError, base_query, doc, keys, read_first};
use crate::domain::clock::Timestamp;
use crate::domain::id::OrganisationId;
use crate::domain::notice::Notice;
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

    /// Stores a profile in place of one of the same name. The listeners are told at once with that if
    /// it deprecates the format, or says something else of its end.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn put(
        &self,
        org: &OrganisationId,
        stored: &StoredProfile,
        now: Timestamp,
        listeners: &Listeners,
    ) -> Result<(), StoreError> {
        let StoredProfile { profile, .. } = stored;
        let key = keys::profile(org, &profile.name);
        let put = change(&*self.table, &key, |found| {
            let condition = Condition::unchanged(found.as_ref().map(|item| item.rev), now);
            let old = found.map(|item| doc::decode::<Rules>(&item.doc)).transpose()?;
            let was = old.and_then(|old| old.profile.deprecated);
            let is = profile.deprecated.as_ref().filter(|is| was.as_ref() != Some(is));
            let told = listeners.hear(is.map(|is| Notice::profile_deprecated(profile, is)))?;
            let item = Item::new(key.clone(), doc::encode(stored)?);
            let put = Write::Put(item.revision(condition.next_revision()), condition);
            Ok(Change::Write(std::iter::once(put).chain(told).collect(), ()))
        });
        put.await?.done()
    }
}
