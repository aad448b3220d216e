//! Sources: read by receive, changed by admin.
//!
//! A source is stored twice: under its id, where receive finds it in one read, and with its
//! organisation, where all of them are listed in one range.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::table::{Condition, Item, Table, Transacted, Write, prefix_range};
use super::{StoreError, doc, keys};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::id::{OrganisationId, SourceId};
use crate::domain::source::Source;

/// How long receive keeps a source that it read, in milliseconds.
pub const SOURCE_TTL_MS: u64 = 30_000;
/// Most sources that a reader keeps.
const MAX_KEPT: usize = 10_000;
/// How often a change starts over when somebody else changed the same source meanwhile.
const MAX_TRIES: u32 = 8;

type Kept = HashMap<SourceId, (Timestamp, Arc<Source>)>;

/// Reads and changes sources.
#[derive(Clone)]
pub struct Sources {
    table: Arc<dyn Table>,
    clock: Arc<dyn Clock>,
    ttl_ms: u64,
    kept: Arc<Mutex<Kept>>,
}

impl Sources {
    /// Sources in this table; what [`find`](Self::find) read is kept for `ttl_ms` milliseconds.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>, ttl_ms: u64) -> Self {
        Self { table, clock, ttl_ms, kept: Arc::default() }
    }

    /// The source with this id, as it was up to `ttl_ms` ago.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, id: &SourceId) -> Result<Option<Arc<Source>>, StoreError> {
        let now = self.clock.now();
        let known = self.lock().get(id).cloned();
        if let Some((at, source)) = known
            && now.since(at) < self.ttl_ms
        {
            return Ok(Some(source));
        }
        let Some(item) = self.table.get(&keys::source(id)).await? else { return Ok(None) };
        let source: Arc<Source> = Arc::new(doc::decode(&item.doc)?);
        if self.ttl_ms > 0 {
            let mut kept = self.lock();
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert(*id, (now, source.clone()));
        }
        Ok(Some(source))
    }

    /// All sources of an organisation, oldest first: at most
    /// [`MAX_SOURCES`](crate::domain::source::MAX_SOURCES), or a few more after a race.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, org: &OrganisationId) -> Result<Vec<Source>, StoreError> {
        let (from, to) = prefix_range(keys::SOURCE_PREFIX);
        let items = super::read_range(&*self.table, keys::organisation_pk(org), from, to).await?;
        items.iter().map(|item| doc::decode(&item.doc)).collect()
    }

    /// Stores a new source; `false` if its uid is taken.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn create(&self, source: &Source) -> Result<bool, StoreError> {
        let absent = Condition::AbsentAt(source.created_at);
        let mut writes = puts(source, 1, absent)?;
        if let Some(uid) = &source.uid {
            let alias = doc::encode(&Alias { id: source.id })?;
            let key = keys::source_uid(&source.org, uid.as_str());
            writes.push(Write::Put(Item::new(key, alias), absent));
        }
        Ok(self.table.transact(writes).await? == Transacted::Done)
    }

    /// Changes a source; `None` if there is none. `change` may run more than once.
    ///
    /// # Errors
    /// When the store fails; the change may or may not be stored then.
    pub async fn edit(
        &self,
        id: &SourceId,
        change: impl Fn(&mut Source),
    ) -> Result<Option<Source>, StoreError> {
        for _ in 0..MAX_TRIES {
            let Some(found) = self.table.get(&keys::source(id)).await? else { return Ok(None) };
            let mut source: Source = doc::decode(&found.doc)?;
            change(&mut source);
            let writes = puts(&source, found.rev + 1, Condition::Revision(found.rev))?;
            if self.table.transact(writes).await? == Transacted::Done {
                self.lock().remove(id);
                return Ok(Some(source));
            }
        }
        Err(StoreError::Unavailable(format!("changed by others {MAX_TRIES} times in a row")))
    }

    /// Removes a source. The address that it had is nobody's from then on, up to `ttl_ms` later.
    ///
    /// # Errors
    /// When the store fails; it may or may not be gone then.
    pub async fn delete(&self, source: &Source) -> Result<(), StoreError> {
        let mut gone = vec![keys::source(&source.id), keys::source_of(&source.org, &source.id)];
        gone.extend(source.uid.as_ref().map(|uid| keys::source_uid(&source.org, uid.as_str())));
        let writes = gone.into_iter().map(|key| Write::Delete(key, Condition::Always)).collect();
        self.table.transact(writes).await?;
        self.lock().remove(&source.id);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // The memory is whole after every statement, whatever panicked in between.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Serialize)]
struct Alias {
    id: SourceId,
}

fn puts(source: &Source, rev: u64, condition: Condition) -> Result<Vec<Write>, StoreError> {
    let doc = doc::encode(source)?;
    let keys = [keys::source(&source.id), keys::source_of(&source.org, &source.id)];
    Ok(keys.map(|key| Write::Put(Item::new(key, doc.clone()).revision(rev), condition)).into())
}
