//! Key sets of organisations: read by dispatch, changed by admin.

use std::sync::Arc;

use super::cache::Cache;
use super::change::{Change, change};
use super::table::{Condition, Item, Table, Write};
use super::{StoreError, doc, keys};
use crate::domain::clock::Clock;
use crate::domain::id::OrganisationId;
use crate::domain::keyset::{KEPT_S, KeySet};

/// How long a reader keeps a key set, in milliseconds. Less than the lead of a new key, so that
/// every reader knows it when its turn begins.
pub const KEYSET_TTL_MS: u64 = KEPT_S * 1000;
/// Most key sets that a reader keeps.
const MAX_KEPT: usize = 1000;

/// Reads and changes key sets.
#[derive(Clone)]
pub struct KeySets {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    recent: Cache<OrganisationId, Arc<KeySet>>,
}

impl KeySets {
    /// Key sets in this table.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>) -> Self {
        let recent = Cache::new(clock.clone(), KEYSET_TTL_MS, MAX_KEPT);
        Self { table, clock, recent }
    }

    /// An organisation's key set, as it was at most [`KEYSET_TTL_MS`] ago. Empty if it has none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recent(&self, org: &OrganisationId) -> Result<Arc<KeySet>, StoreError> {
        self.recent.get_or_read(*org, async { self.current(org).await.map(Arc::new) }).await
    }

    /// An organisation's key set, as it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn current(&self, org: &OrganisationId) -> Result<KeySet, StoreError> {
        read(self.table.get(&keys::key_set(org)).await?.as_ref())
    }

    /// Changes a key set; `edit` may be called again if somebody else was faster. Nothing is
    /// stored if it fails.
    ///
    /// # Errors
    /// When the store fails; the change may or may not be stored then.
    pub async fn edit<T, E>(
        &self,
        org: &OrganisationId,
        edit: impl Fn(&mut KeySet) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        let key = keys::key_set(org);
        let now = self.clock.now();
        let changed = change(&*self.table, &key, |found| {
            let old = read(found.as_ref())?;
            let mut new = old.clone();
            let edited = edit(&mut new);
            if edited.is_err() || new == old {
                return Ok(Change::None(edited));
            }
            let condition = Condition::unchanged(found.map(|item| item.rev), now);
            let item = Item::new(key.clone(), doc::encode(&new)?);
            let item = item.revision(condition.next_revision());
            Ok(Change::Write(vec![Write::Put(item, condition)], edited))
        });
        let changed = changed.await;
        self.recent.forget(org);
        changed?.done()
    }
}

fn read(found: Option<&Item>) -> Result<KeySet, StoreError> {
    found.map_or_else(|| Ok(KeySet::default()), |item| doc::decode(&item.doc))
}
