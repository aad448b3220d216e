//! What Posthorn remembers, cut by capability so that a function's type says what its IAM
//! policy has to grant.
//!
//! | type | who holds it | what it can do |
//! |---|---|---|
//! | [`Directory`] | all | read applications and endpoints |
//! | [`DirectoryEditor`] | admin, receive, dispatch | create, change and delete them |
//! | [`Answers`] | admin | keep answers to requests that may be repeated |
//! | [`Codes`] | admin | one-time tokens |
//! | [`Catalogue`] | admin | read and change event types |
//! | [`Inbox`] | receive, worker | accept a message |
//! | [`Deliveries`] | dispatch, retry, admin, worker | lease, record, schedule, cancel |
//! | [`History`] | admin, worker | list and read messages and attempts |
//! | [`Eraser`] | admin, worker | expunge contents, purge what was deleted |
//! | [`Rates`] | dispatch | give out what endpoints and applications take a second |
//! | [`Notices`] | dispatch, admin, worker | tell an organisation what happened |
//! | [`Revocations`] | receive, admin | tokens that were revoked |
//! | [`ApiTokens`] | receive, admin | API tokens that are on record |
//! | [`Integrations`] | receive, admin | integrations, whose keys are tokens too |
//! | [`KeySets`] | dispatch, admin | keys that sign security event tokens |
//! | [`EventTypeSettings`] | dispatch, admin | delivery settings of event types |
//! | [`Tasks`] | worker | background tasks |
//! | [`Inspectors`] | admin | keep what is sent to inspectors |
//! | [`ProfileStore`] | all but retry | read profiles; admin stores them |
//! | [`Portals`] | admin | how organisations' portals look |
//! | [`Sources`] | receive, admin | sources of other systems' webhooks |
//! | [`SourceLog`] | receive, admin | what came in at sources |
//! | [`Parking`] | dispatch, retry, admin | keep records that nobody can process |
//!
//! The worker is that of [`work`](crate::work), which retry and admin run. `tests/iam.rs` holds what
//! each function does against what its policy grants.
//!
//! All of them speak to one [`Table`](table::Table), and [`Stores`] makes them all at once.
//! `keys.rs` is the only file that spells a key. Everything stored carries a format version.

use std::fmt;

use serde::de::DeserializeOwned;

mod answers;
mod api_tokens;
mod attempts;
mod backpressure;
mod book;
pub mod cache;
mod catalogue;
pub mod change;
mod codes;
mod deliveries;
mod directory;
mod directory_editor;
mod doc;
mod due;
#[cfg(feature = "aws")]
pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
mod eraser;
mod event_type_settings;
mod history;
mod inbox;
mod inspectors;
mod integrations;
pub mod keys;
mod keysets;
mod notices;
mod pages;
mod parking;
mod portals;
mod profiles;
mod rates;
mod revocations;
mod scheduled;
mod seen;
mod source_log;
mod sources;
mod stores;
pub mod table;
mod tasks;
mod unattempted;

pub use answers::{ANSWER_TTL_MS, Answers, Kept, PLACE_TTL_MS, Place};
pub use api_tokens::ApiTokens;
pub use backpressure::{Backpressure, Tries};
pub use book::{DEFAULT_PROFILE, PROFILE_TTL_MS, Profiles};
pub use catalogue::Catalogue;
pub use codes::Codes;
pub use deliveries::{Advanced, Deliveries, Recorded, Snapshot};
pub use directory::{APPLICATION_TTL_MS, Cached, Directory, NAME_REST_MS, Need, Tenant};
pub use directory_editor::{DirectoryEditor, Edited};
pub use due::Due;
pub use eraser::{EXPUNGED, Eraser};
pub use event_type_settings::{EVENT_TYPE_SETTINGS_TTL_MS, EventTypeSettings};
pub use history::{History, Trace};
pub use inbox::{Accepted, Inbox};
pub use inspectors::Inspectors;
pub use integrations::Integrations;
pub use keysets::{KEYSET_TTL_MS, KeySets};
pub use notices::{LISTENERS_TTL_MS, Listeners, Notices};
pub use pages::{Listed, Walk};
pub use parking::{HeldRecord, PARKED_DAYS, Parked, Parking};
pub use portals::{PORTAL_TTL_MS, Portals};
pub use profiles::{ProfileStore, StoredProfile};
pub use rates::Rates;
pub use revocations::{REVOCATION_TTL_MS, Revocations};
pub use source_log::{Logged, SourceLog};
pub use sources::{SOURCE_TTL_MS, Sources};
pub use stores::{StoreSettings, Stores};
pub use tasks::Tasks;
pub use unattempted::Look;

/// Something as it was read, with what proves it unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What was read.
    pub value: T,
    rev: u64,
}

impl<T: DeserializeOwned> Versioned<T> {
    /// What is stored as this item.
    fn read(item: &table::Item) -> Result<Self, StoreError> {
        Ok(Self { value: doc::decode(&item.doc)?, rev: item.rev })
    }
}

/// Why a store call failed. An error leaves open whether the call had its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The call cannot succeed as it is.
    Invalid(String),
    /// An item is larger than [`table::MAX_ITEM_BYTES`]: so many bytes.
    TooLarge(usize),
    /// The service did not answer or answered with an error of its own.
    Unavailable(String),
    /// The service takes no more at the moment. Nothing was changed by the last try.
    Throttled {
        /// What is asked for too often.
        limit: Limit,
        /// In the service's words.
        why: String,
    },
    /// A stored item cannot be read.
    Corrupt(String),
    /// Something names this profile, and there is none of that name: its file or row is gone.
    NoProfile(String),
    /// Others changed the same item without pause. Nothing was changed.
    Contended,
}

impl StoreError {
    /// Whether the same call may succeed in a moment.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Throttled { .. })
    }
}

/// What has a limit of its own to how often it may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// All of the store.
    Store,
    /// One partition of the table.
    Partition,
    /// One place in the lists by time.
    List,
    /// One place among what is due.
    Due,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "store call refused: {why}"),
            Self::TooLarge(bytes) => write!(f, "an item of {bytes} bytes is too large"),
            Self::Unavailable(why) => write!(f, "store unavailable: {why}"),
            Self::Throttled { why, .. } => write!(f, "store throttled: {why}"),
            Self::Corrupt(why) => write!(f, "stored item unreadable: {why}"),
            Self::NoProfile(name) => write!(f, "there is no profile `{name}`"),
            Self::Contended => f.write_str("changed by others all the time"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The first `limit` items of a range of the table itself, in ascending order.
fn base_query(pk: String, from: String, to: String, limit: usize) -> table::Query {
    table::Query { index: table::Index::Base, pk, from, to, descending: false, after: None, limit }
}

/// The first items that `query` finds and `keep` keeps, as many as its limit says, however many
/// calls that takes: DynamoDB answers with at most 1 MiB at a time.
async fn read_first(
    table: &dyn table::Table,
    mut query: table::Query,
    keep: impl Fn(&table::Item) -> bool,
) -> Result<Vec<table::Item>, StoreError> {
    let mut items = Vec::new();
    loop {
        let page = table.query(&query).await?;
        items.extend(page.items.into_iter().filter(|item| keep(item)));
        match page.next {
            Some(next) if items.len() < query.limit => query.after = Some(next),
            _ => break,
        }
    }
    items.truncate(query.limit);
    Ok(items)
}

/// All items of a range of the table itself, however many calls that takes.
async fn read_range(
    table: &dyn table::Table,
    pk: String,
    from: String,
    to: String,
) -> Result<Vec<table::Item>, StoreError> {
    Ok(read_range_within(table, pk, from, to, usize::MAX).await?.0)
}

/// The items of a range of the table itself that so many calls find, in ascending order; and whether
/// those are all.
async fn read_range_within(
    table: &dyn table::Table,
    pk: String,
    from: String,
    to: String,
    calls: usize,
) -> Result<(Vec<table::Item>, bool), StoreError> {
    let mut query = base_query(pk, from, to, PAGE);
    let mut items = Vec::new();
    for _ in 0..calls {
        let mut page = table.query(&query).await?;
        items.append(&mut page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok((items, true)),
        }
    }
    Ok((items, false))
}

/// The first thing that `find` makes of what `query` finds, however many calls that takes.
async fn find_first<T>(
    table: &dyn table::Table,
    mut query: table::Query,
    find: impl Fn(&table::Item) -> Result<Option<T>, StoreError>,
) -> Result<Option<T>, StoreError> {
    loop {
        let page = table.query(&query).await?;
        for item in &page.items {
            if let Some(found) = find(item)? {
                return Ok(Some(found));
            }
        }
        match page.next {
            // What is not at the beginning may be far behind it.
            Some(next) => query = table::Query { after: Some(next), limit: PAGE, ..query },
            None => return Ok(None),
        }
    }
}

/// Most items of a call that reads all of a range. DynamoDB answers with at most 1 MiB at a time
/// whatever the limit says.
const PAGE: usize = 1000;
