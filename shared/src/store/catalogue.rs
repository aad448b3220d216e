//! Event types of organisations.

use std::sync::Arc;

use super::change::{Change, change};
use super::keys::EVENT_TYPE_PREFIX;
use super::pages::{self, Bounds, Listed, Walk};
use super::table::{Condition, Index, Item, Query, Table, Write, prefix_range};
use super::{EventTypeSettings, Listeners, StoreError, doc, event_type_settings, keys};
use crate::domain::clock::Timestamp;
use crate::domain::event_type::EventType;
use crate::domain::id::OrganisationId;
use crate::domain::notice::Notice;

/// A page with schemas ends when it has so many bytes: more than fits an answer of the API, and
/// little enough to be held in memory.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Reads and changes event types.
#[derive(Clone)]
pub struct Catalogue {
    table: Arc<dyn Table>,
    readers: Option<EventTypeSettings>,
}

impl Catalogue {
    /// Event types in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table, readers: None }
    }

    /// The same, which tells readers in the same process to forget what it changes.
    #[must_use]
    pub fn telling(self, readers: EventTypeSettings) -> Self {
        Self { readers: Some(readers), ..self }
    }

    /// The event type of this name, archived or not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(
        &self,
        org: &OrganisationId,
        name: &str,
    ) -> Result<Option<EventType>, StoreError> {
        let item = self.table.get(&keys::event_type(org, name)).await?;
        item.map(|item| doc::decode(&item.doc)).transpose()
    }

    /// A page of the event types that `keep` keeps, by name, with or without their schemas. What
    /// it does not keep may be hidden from the caller: iterators do not name it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        org: &OrganisationId,
        walk: &Walk,
        schemas: bool,
        keep: impl Fn(&EventType) -> bool,
    ) -> Result<Listed<EventType>, StoreError> {
        let bytes = if schemas { MAX_PAGE_BYTES } else { usize::MAX };
        let bounds = Bounds { bytes, hides: true };
        let name = |item: &Item| item.key.sk.strip_prefix(EVENT_TYPE_PREFIX).map(str::to_owned);
        pages::fill(&*self.table, vec![window(org, walk)], walk, &bounds, name, |item| {
            let mut event_type: EventType = doc::decode(&item.doc)?;
            event_type.schemas = event_type.schemas.filter(|_| schemas);
            Ok(Some(event_type).filter(&keep))
        })
        .await
    }

    /// All of an organisation's event types, however many reads that takes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn all(&self, org: &OrganisationId) -> Result<Vec<EventType>, StoreError> {
        let (from, to) = prefix_range(EVENT_TYPE_PREFIX);
        let items = super::read_range(&*self.table, keys::event_type(org, "").pk, from, to).await?;
        items.iter().map(|item| doc::decode(&item.doc)).collect()
    }

    /// Decides, from what is there, what shall be there: `None` removes it. `edit` may run
    /// more than once; nothing is stored if it fails. The listeners are told at once with the change
    /// if it deprecates the type.
    ///
    /// # Errors
    /// When the store fails; all of it or nothing may be stored then.
    pub async fn edit<E>(
        &self,
        org: &OrganisationId,
        name: &str,
        now: Timestamp,
        listeners: &Listeners,
        edit: impl Fn(Option<EventType>) -> Result<Option<EventType>, E>,
    ) -> Result<Result<Option<EventType>, E>, StoreError> {
        let key = keys::event_type(org, name);
        let changed = change(&*self.table, &key, |found| {
            let condition = Condition::unchanged(found.as_ref().map(|item| item.rev), now);
            let old = found.map(|item| doc::decode::<EventType>(&item.doc)).transpose()?;
            let new = match edit(old.clone()) {
                Ok(new) if new != old => new,
                same_or_error => return Ok(Change::None(same_or_error)),
            };
            let write = match &new {
                Some(event_type) => {
                    Write::Put(item_of(event_type, condition.next_revision())?, condition)
                }
                None => Write::Delete(key.clone(), condition),
            };
            let settings = event_type_settings::writes_with(org, name, old.as_ref(), new.as_ref())?;
            let told = listeners.hear(deprecation(old.as_ref(), new.as_ref()))?;
            let writes = std::iter::once(write).chain(told).chain(settings);
            Ok(Change::Write(writes.collect(), Ok(new)))
        });
        let changed = changed.await;
        if let Some(readers) = &self.readers {
            readers.forget(org);
        }
        changed?.done()
    }
}

/// What there is to tell of a change.
fn deprecation(old: Option<&EventType>, new: Option<&EventType>) -> Option<Notice> {
    let was = old.is_some_and(|old| old.deprecated);
    new.filter(|new| new.deprecated && !was).map(Notice::event_type_deprecated)
}

fn item_of(event_type: &EventType, rev: u64) -> Result<Item, StoreError> {
    let key = keys::event_type(&event_type.org, &event_type.name);
    Ok(Item::new(key, doc::encode(event_type)?).revision(rev))
}

/// The part of the list that the walk asks for.
fn window(org: &OrganisationId, walk: &Walk) -> Query {
    let (mut from, mut to) = prefix_range(EVENT_TYPE_PREFIX);
    let descending = walk.goes_down();
    if let Some(iterator) = &walk.iterator {
        let key = keys::event_type(org, iterator).sk;
        if descending { to = key } else { from = key }
    }
    let pk = keys::event_type(org, "").pk;
    let limit = walk.read_limit();
    Query { index: Index::Base, pk, from, to, descending, after: None, limit }
}
