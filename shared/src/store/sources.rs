//! Sources: read by receive, changed by admin.
//!
//! A source is stored twice: under its id, where receive finds it in one read, and with its
//! organisation, where all of them are listed in one range.

use std::sync::Arc;

use serde::Serialize;

use super::cache::Cache;
use super::change::{Change, change};
use super::table::{Condition, Item, Table, Transacted, Write, prefix_range};
use super::{StoreError, doc, keys};
use crate::domain::clock::Clock;
use crate::domain::id::{OrganisationId, SourceId};
use crate::domain::source::Source;

/// How long receive keeps a source that it read, in milliseconds.
pub const SOURCE_TTL_MS: u64 = 30_000;
/// Most sources that a reader keeps.
const MAX_KEPT: usize = 10_000;

/// Reads and changes sources.
#[derive(Clone)]
pub struct Sources {
    table: Arc<dyn Table>,
    recent: Cache<SourceId, Arc<Source>>,
}

impl Sources {
    /// Sources in this table; what [`find`](Self::find) read is kept for `ttl_ms` milliseconds.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>, ttl_ms: u64) -> Self {
        Self { table, recent: Cache::new(clock, ttl_ms, MAX_KEPT) }
    }

    /// The source with this id, as it was up to `ttl_ms` ago.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, id: &SourceId) -> Result<Option<Arc<Source>>, StoreError> {
        let find = async {
            let item = self.table.get(&keys::source(id)).await?;
            item.map(|item| doc::decode(&item.doc).map(Arc::new)).transpose()
        };
        self.recent.get_or_find(*id, find).await
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
        let mut writes = puts(source, 1, absent)?.to_vec();
        if let Some(uid) = &source.uid {
            let alias = doc::encode(&Alias { id: source.id })?;
            let key = keys::source_uid(&source.org, uid.as_str());
            writes.push(Write::Put(Item::new(key, alias), absent));
        }
        Ok(self.table.transact(writes).await? == Transacted::Done)
    }

    /// Changes a source; `None` if there is none. `edit` may run more than once; what it answers
    /// last is returned.
    ///
    /// # Errors
    /// When the store fails; the change may or may not be stored then.
    pub async fn edit<A>(
        &self,
        id: &SourceId,
        edit: impl Fn(&mut Source) -> A,
    ) -> Result<Option<(Source, A)>, StoreError> {
        self.change(id, |found, source| {
            let mut new = source.clone();
            let answer = edit(&mut new);
            if new == source {
                return Ok(Change::None(Some((new, answer))));
            }
            let writes = puts(&new, found.rev + 1, Condition::Revision(found.rev))?;
            Ok(Change::Write(writes.into(), Some((new, answer))))
        })
        .await
    }

    /// Removes a source. The address that it had is nobody's from then on, up to `ttl_ms` later.
    ///
    /// # Errors
    /// When the store fails; it may or may not be gone then.
    pub async fn delete(&self, id: &SourceId) -> Result<(), StoreError> {
        self.change(id, |found, source| {
            let listed = keys::source_of(&source.org, &source.id);
            let uid = source.uid.as_ref().map(|uid| keys::source_uid(&source.org, uid.as_str()));
            let beside = std::iter::once(listed).chain(uid);
            let first = Write::Delete(found.key.clone(), Condition::Revision(found.rev));
            let beside = beside.map(|key| Write::Delete(key, Condition::Always));
            Ok(Change::Write(std::iter::once(first).chain(beside).collect(), None::<()>))
        })
        .await
        .map(|_| ())
    }

    async fn change<T>(
        &self,
        id: &SourceId,
        decide: impl Fn(&Item, Source) -> Result<Change<Option<T>>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let key = keys::source(id);
        let changed = change(&*self.table, &key, |found| match found {
            Some(item) => decide(&item, doc::decode(&item.doc)?),
            None => Ok(Change::None(None)),
        });
        let changed = changed.await;
        self.recent.forget(id);
        changed?.done()
    }
}

#[derive(Serialize)]
struct Alias {
    id: SourceId,
}

/// Both places of a source; the condition is that of the first.
fn puts(source: &Source, rev: u64, condition: Condition) -> Result<[Write; 2], StoreError> {
    let doc = doc::encode(source)?;
    let item = |key| Item::new(key, doc.clone()).revision(rev);
    Ok([
        Write::Put(item(keys::source(&source.id)), condition),
        Write::Put(item(keys::source_of(&source.org, &source.id)), Condition::Always),
    ])
}
