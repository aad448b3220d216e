//! All stores on one table, made at once: a function takes those that it needs.

use std::sync::Arc;

use super::table::Table;
use super::{
    Answers, Cached, Catalogue, Codes, Deliveries, Directory, DirectoryEditor,
    EVENT_TYPE_SETTINGS_TTL_MS, Eraser, EventTypeSettings, History, Inbox, Inspectors, KeySets,
    Notices, Parking, Portals, ProfileStore, Rates, Revocations, SourceLog, Sources, Tasks,
};
use crate::domain::clock::Ambient;
use crate::domain::endpoint::NARROW;

/// How the stores of a process behave.
#[derive(Clone, Copy, Debug)]
pub struct StoreSettings {
    /// How long applications and endpoints are kept in memory, in milliseconds.
    pub directory_ttl_ms: u64,
    /// How long sources are kept in memory, in milliseconds.
    pub sources_ttl_ms: u64,
    /// How long nobody may take a name that an application gave up, in milliseconds: as long as
    /// others keep what they read.
    pub name_rest_ms: u64,
    /// Whether payloads are compressed.
    pub compress: bool,
    /// Applications of more endpoints are wide: [`NARROW`], but where a test wants it otherwise.
    pub narrow: usize,
}

impl Default for StoreSettings {
    /// Nothing is kept that another process may change, and bytes cost money.
    fn default() -> Self {
        Self {
            directory_ttl_ms: 0,
            sources_ttl_ms: 0,
            name_rest_ms: 0,
            compress: true,
            narrow: NARROW,
        }
    }
}

/// The stores. Clones share what was read, and what one of them changes the others forget.
#[derive(Clone)]
pub struct Stores {
    /// Keeps answers to requests that may be repeated.
    pub answers: Answers,
    /// Reads and changes event types, and tells `event_type_settings`.
    pub catalogue: Catalogue,
    /// Leases, records and schedules attempts.
    pub deliveries: Deliveries,
    /// Codes that are exchanged for tokens.
    pub codes: Codes,
    /// Reads applications and endpoints.
    pub directory: Directory,
    /// Changes them.
    pub editor: DirectoryEditor,
    /// Takes contents away.
    pub eraser: Eraser,
    /// Reads messages and attempts.
    pub history: History,
    /// Takes messages.
    pub inbox: Inbox,
    /// Inspectors and what they were sent.
    pub inspectors: Inspectors,
    /// Keys that sign security event tokens.
    pub key_sets: KeySets,
    /// Records that nobody could process.
    pub parking: Parking,
    /// How organisations' portals look.
    pub portals: Portals,
    /// Profiles that organisations stored.
    pub profiles: ProfileStore,
    /// Gives out the rates of endpoints and applications.
    pub rates: Rates,
    /// Which tokens were taken back.
    pub revocations: Revocations,
    /// Reads and changes sources.
    pub sources: Sources,
    /// What came in at sources.
    pub source_log: SourceLog,
    /// Background tasks.
    pub tasks: Tasks,
    /// The delivery settings of event types.
    pub event_type_settings: EventTypeSettings,
    table: Arc<dyn Table>,
    ambient: Ambient,
}

impl Stores {
    /// All stores on this table. It reads nothing yet.
    pub fn new(table: Arc<dyn Table>, ambient: &Ambient, settings: StoreSettings) -> Self {
        let (table, clock) = (|| table.clone(), || ambient.clock.clone());
        let StoreSettings { directory_ttl_ms, sources_ttl_ms, name_rest_ms, compress, narrow } =
            settings;
        let kept = (directory_ttl_ms > 0).then(|| Cached::new(clock(), directory_ttl_ms));
        let event_type_settings =
            EventTypeSettings::new(table(), clock(), EVENT_TYPE_SETTINGS_TTL_MS);
        Self {
            answers: Answers::new(table()),
            catalogue: Catalogue::new(table()).telling(event_type_settings.clone()),
            codes: Codes::new(table()),
            deliveries: Deliveries::new(table()),
            directory: match kept.clone() {
                Some(kept) => Directory::cached(table(), kept),
                None => Directory::new(table()),
            }
            .narrow(narrow),
            editor: DirectoryEditor::new(table(), kept).resting(name_rest_ms),
            eraser: Eraser::new(table()),
            history: History::new(table()),
            inbox: if compress { Inbox::new(table()) } else { Inbox::uncompressed(table()) },
            inspectors: Inspectors::new(table()),
            key_sets: KeySets::new(table(), clock()),
            parking: Parking::new(table()),
            portals: Portals::new(table(), clock()),
            profiles: ProfileStore::new(table()),
            rates: Rates::new(table()),
            revocations: Revocations::new(table(), clock()),
            sources: Sources::new(table(), clock(), sources_ttl_ms),
            source_log: SourceLog::new(table()),
            tasks: Tasks::new(table()),
            event_type_settings,
            table: table(),
            ambient: ambient.clone(),
        }
    }

    /// What tells organisations what they want to know, and keeps for `ttl_ms` who that is.
    pub fn notices(&self, ttl_ms: u64) -> Notices {
        Notices::new(self.table.clone(), self.ambient.clone(), ttl_ms)
    }
}
