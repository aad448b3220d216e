//! How organisations' portals look: one item each.

use std::sync::Arc;

use super::cache::Cache;
use super::table::{Condition, Item, Table, Write};
use super::{StoreError, doc, keys};
use crate::domain::clock::Clock;
use crate::domain::id::OrganisationId;
use crate::domain::portal::PortalSettings;

/// How long a process remembers them, in milliseconds.
pub const PORTAL_TTL_MS: u64 = 30_000;
/// Most organisations that a process remembers.
const MAX_KEPT: usize = 1_000;

/// Reads and stores the settings of portals. Clones share what they remember.
#[derive(Clone)]
pub struct Portals {
    table: Arc<dyn Table>,
    recent: Cache<OrganisationId, Arc<PortalSettings>>,
}

impl Portals {
    /// Settings in this table.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>) -> Self {
        Self { table, recent: Cache::new(clock, PORTAL_TTL_MS, MAX_KEPT) }
    }

    /// An organisation's settings, which may be [`PORTAL_TTL_MS`] old.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(&self, org: &OrganisationId) -> Result<Arc<PortalSettings>, StoreError> {
        self.recent.get_or_read(*org, self.read(org)).await
    }

    /// Stores them in place of earlier ones.
    ///
    /// # Errors
    /// When the store fails; they may or may not be stored then.
    pub async fn put(
        &self,
        org: &OrganisationId,
        settings: &PortalSettings,
    ) -> Result<(), StoreError> {
        let item = Item::new(keys::portal(org), doc::encode(settings)?);
        let written = self.table.write(Write::Put(item, Condition::Always)).await;
        self.recent.forget(org);
        written.map(|_| ())
    }

    async fn read(&self, org: &OrganisationId) -> Result<Arc<PortalSettings>, StoreError> {
        let item = self.table.get(&keys::portal(org)).await?;
        let settings = item.map(|item| doc::decode(&item.doc)).transpose()?;
        Ok(Arc::new(settings.unwrap_or_default()))
    }
}
