//! Key sets of organisations: read by dispatch, changed by admin.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::table::{Condition, Item, Table, Write, Written};
use super::{StoreError, doc, keys};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::id::OrganisationId;
use crate::domain::keyset::KeySet;

/// How long a reader keeps a key set, in milliseconds. Less than the lead of a new key, so that
/// every reader knows it when its turn begins.
pub const KEYSET_TTL_MS: u64 = 60_000;
/// Most key sets that a reader keeps.
const MAX_KEPT: usize = 1000;
/// How often a change starts over when somebody else changed the set meanwhile.
const MAX_TRIES: u32 = 8;

/// Reads and changes key sets.
#[derive(Clone)]
pub struct KeySets {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<Kept>>,
}

type Kept = HashMap<OrganisationId, (Timestamp, Arc<KeySet>)>;

impl KeySets {
    /// Key sets in this table.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>) -> Self {
        Self { table, clock, kept: Arc::default() }
    }

    /// An organisation's key set, as it was at most [`KEYSET_TTL_MS`] ago. Empty if it has none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recent(&self, org: &OrganisationId) -> Result<Arc<KeySet>, StoreError> {
        let now = self.clock.now();
        if let Some((at, set)) = self.lock().get(org)
            && now.since(*at) < KEYSET_TTL_MS
        {
            return Ok(set.clone());
        }
        let set = Arc::new(self.read(org).await?.0);
        let mut kept = self.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(*org, (now, set.clone()));
        Ok(set)
    }

    /// An organisation's key set, as it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn current(&self, org: &OrganisationId) -> Result<KeySet, StoreError> {
        Ok(self.read(org).await?.0)
    }

    /// Changes a key set; `change` may be called again if somebody else was faster. Nothing is
    /// stored if it fails.
    ///
    /// # Errors
    /// When the store fails; the change may or may not be stored then.
    pub async fn edit<T, E>(
        &self,
        org: &OrganisationId,
        change: impl Fn(&mut KeySet) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        for _ in 0..MAX_TRIES {
            let (mut set, rev) = self.read(org).await?;
            let value = match change(&mut set) {
                Ok(value) => value,
                Err(error) => return Ok(Err(error)),
            };
            let item = Item::new(keys::key_set(org), doc::encode(&set)?).revision(rev + 1);
            let condition = match rev {
                0 => Condition::AbsentAt(self.clock.now()),
                rev => Condition::Revision(rev),
            };
            if self.table.write(Write::Put(item, condition)).await? == Written::Done {
                self.lock().remove(org);
                return Ok(Ok(value));
            }
        }
        Err(StoreError::Unavailable("the key set changes all the time".into()))
    }

    async fn read(&self, org: &OrganisationId) -> Result<(KeySet, u64), StoreError> {
        match self.table.get(&keys::key_set(org)).await? {
            Some(item) => Ok((doc::decode(&item.doc)?, item.rev)),
            None => Ok((KeySet::default(), 0)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // The map is whole after every statement, whatever panicked in between.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
