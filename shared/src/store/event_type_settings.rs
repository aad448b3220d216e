//! The delivery settings of an organisation's event types, beside the event types themselves.
//!
//! An event type may be large, with all its schemas, and most have no settings of their own. So
//! what is different for one has an item of its own, written at once with the event type, and
//! one range of small items brings all of an organisation.
//!
//! Dispatch reads an application with every batch, so the application says whether there is
//! anything to look for: organisations that treat all event types alike pay nothing. The first
//! settings mark the organisation's applications, and what is created later is born marked.
//!
//! Not guaranteed: that a reader sees a change before its memory of the organisation is over;
//! that an application is marked which was created in the second before its organisation's first
//! settings were. Setting them once more marks what was missed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::table::{Condition, Index, Item, Table, Write, prefix_range};
use super::{DirectoryEditor, StoreError, base_query, doc, keys};
use crate::domain::application::Application;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::delivery_settings::DeliverySettings;
use crate::domain::event_type::EventType;
use crate::domain::id::{ApplicationId, OrganisationId};

/// How long dispatch remembers the settings of an organisation's event types, in milliseconds.
pub const EVENT_TYPE_SETTINGS_TTL_MS: u64 = 30_000;
/// Most organisations that a reader remembers.
const MAX_KEPT: usize = 10_000;
/// Applications that are read together to be marked.
const MARKED_AT_ONCE: usize = 250;
/// Applications that are marked at the same time: some thousands a second.
const WRITES_AT_ONCE: usize = 32;

/// The settings by the name of the event type.
type ByName = Arc<BTreeMap<String, DeliverySettings>>;

/// Reads the delivery settings of event types. Clones share their memory.
#[derive(Clone)]
pub struct EventTypeSettings {
    table: Arc<dyn Table>,
    recent: Cache<OrganisationId, ByName>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    settings: DeliverySettings,
}

impl EventTypeSettings {
    /// Those in this table, remembered for `ttl_ms` milliseconds.
    pub fn new(table: Arc<dyn Table>, clock: Arc<dyn Clock>, ttl_ms: u64) -> Self {
        Self { table, recent: Cache::new(clock, ttl_ms, MAX_KEPT) }
    }

    /// What is different for this event type in this application.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(
        &self,
        application: &Application,
        event_type: &str,
    ) -> Result<DeliverySettings, StoreError> {
        if !application.has_event_type_settings {
            return Ok(DeliverySettings::default());
        }
        let all = self.all(&application.org).await?;
        Ok(all.get(event_type).cloned().unwrap_or_default())
    }

    /// Forgets what it knows of this organisation.
    pub(super) fn forget(&self, org: &OrganisationId) {
        self.recent.forget(org);
    }

    async fn all(&self, org: &OrganisationId) -> Result<ByName, StoreError> {
        self.recent.get_or_read(*org, self.read(org)).await
    }

    async fn read(&self, org: &OrganisationId) -> Result<ByName, StoreError> {
        let (from, to) = prefix_range(keys::TREATMENT_PREFIX);
        let items = super::read_range(&*self.table, keys::organisation_pk(org), from, to).await?;
        let mut read = BTreeMap::new();
        for item in items {
            let stored: Stored = doc::decode(&item.doc)?;
            read.insert(stored.name, stored.settings);
        }
        Ok(Arc::new(read))
    }
}

impl DirectoryEditor {
    /// Notes in all applications of an organisation that it treats event types in ways of their
    /// own. One read for every 250 applications, and a write for each that did not know; what
    /// fails half way can be asked for again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mark_applications(
        &self,
        org: &OrganisationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (from, to) = prefix_range(ApplicationId::PREFIX);
        let mut query = base_query(keys::applications_by_time(org), from, to, MARKED_AT_ONCE);
        query.index = Index::ByTime;
        loop {
            let page = self.table.query(&query).await?;
            let mut unmarked = Vec::new();
            for item in &page.items {
                let application: Application = doc::decode(&item.doc)?;
                if !application.has_event_type_settings {
                    unmarked.push(application.id);
                }
            }
            stream::iter(unmarked)
                .map(|app| {
                    let editor = self.clone();
                    async move { editor.edit_application(&app, now, mark).await }
                })
                .buffer_unordered(WRITES_AT_ONCE)
                // One that was deleted meanwhile needs none.
                .try_for_each(|_| async { Ok(()) })
                .await?;
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

fn mark(application: &mut Application) {
    application.has_event_type_settings = true;
}

/// Whether any event type of this organisation has settings of its own.
pub(super) async fn any(table: &dyn Table, org: &OrganisationId) -> Result<bool, StoreError> {
    let (from, to) = prefix_range(keys::TREATMENT_PREFIX);
    let query = base_query(keys::organisation_pk(org), from, to, 1);
    Ok(!table.query(&query).await?.items.is_empty())
}

/// What has to be written with a change of an event type, so that readers find its settings.
pub(super) fn writes_with(
    org: &OrganisationId,
    name: &str,
    old: Option<&EventType>,
    new: Option<&EventType>,
) -> Result<Option<Write>, StoreError> {
    let settings = |known: Option<&EventType>| {
        known.map(|event_type| event_type.settings.clone()).unwrap_or_default()
    };
    let (old, new) = (settings(old), settings(new));
    if old == new {
        return Ok(None);
    }
    let key = keys::settings(org, name);
    if new.is_silent() {
        return Ok(Some(Write::Delete(key, Condition::Always)));
    }
    let item = Item::new(key, doc::encode(&Stored { name: name.to_owned(), settings: new })?);
    Ok(Some(Write::Put(item, Condition::Always)))
}
