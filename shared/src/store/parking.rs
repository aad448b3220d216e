//! Parked records, the archive of dead letters: what could not be processed, even after a redrive,
//! kept with its reason until an operator decides, or for [`PARKED_DAYS`].
//!
//! A record is parked under what it is about: a message, a share of its endpoints, a delivery of it
//! or an attempt that is still to be written. So what keeps failing is parked once, with its latest
//! reason, and takes the place of nothing else. What does not read is parked under the queue's
//! id of the record.
//!
//! Earlier records are stored under the time when they were parked. They are still listed, found
//! and removed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::{Change, change};
use super::pages::Walk;
use super::table::{Condition, Index, Item, Key, Query, Table, Write, Written, prefix_range};
use super::{StoreError, base_query, doc, find_first, inbox, keys, read_first};
use crate::domain::clock::Timestamp;
use crate::domain::endpoint::Stretch;
use crate::domain::id::{AttemptId, EndpointId, MessageId};

/// A record that was taken out of a queue for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// The queue's id of the record.
    pub id: String,
    /// The queue it came from.
    pub queue: String,
    /// Why it was parked.
    pub reason: String,
    /// When it was parked.
    pub at: Timestamp,
    /// Its text. Not part of any list: it may hold a payload.
    #[serde(skip)]
    pub body: String,
}

/// A parked record as it was found, with what proves it unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRecord {
    /// What the operator calls it by.
    pub id: String,
    /// Where it stands among all of them: what a list of them is walked by.
    pub position: String,
    /// The record.
    pub parked: Parked,
    key: Key,
    rev: u64,
}

/// How long a parked record is kept, in days.
pub const PARKED_DAYS: u64 = 90;
const PARKED_MS: u64 = PARKED_DAYS * 86_400_000;

/// Keeps parked records.
#[derive(Clone)]
pub struct Parking {
    table: Arc<dyn Table>,
}

/// Largest stored body, in bytes: what fits an item of 400 KB beside the rest. Every record that
/// Posthorn writes fits deflated, the largest payload in base64 included.
const MAX_STORED: usize = 390 * 1024;
/// Largest record (SQS limit).
const MAX_RECORD: usize = crate::domain::limits::MAX_BATCH_BYTES;

impl Parking {
    /// Parked records in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Keeps a record, in place of an earlier one about the same.
    ///
    /// # Errors
    /// When the store fails; it may or may not be kept then.
    pub async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        let text = parked.body.as_bytes();
        let mut body = inbox::pack(text, true);
        if body.len() > MAX_STORED {
            // A stranger's record: its beginning tells enough.
            body = inbox::pack(&text[..text.len().min(MAX_STORED - 1)], false);
        }
        let id = identity(parked);
        let key = keys::parked(&id);
        let new = Item::new(key.clone(), doc::encode(parked)?)
            .listed(keys::parked_by_time(parked.at, &id))
            .until(parked.at.plus_ms(PARKED_MS))
            .body(body);
        let changed = change(&*self.table, &key, |found| {
            let condition = Condition::unchanged(found.map(|item| item.rev), parked.at);
            let put = new.clone().revision(condition.next_revision());
            Ok(Change::Write(vec![Write::Put(put, condition)], ()))
        });
        changed.await.map(|_| ())
    }

    /// Parked records in the order of the walk, without their text: at least as many as it asks
    /// for and one more, if there are so many beyond its iterator.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, walk: &Walk, now: Timestamp) -> Result<Vec<HeldRecord>, StoreError> {
        let mut found = self.listed(Index::ByTime, walk, now).await?;
        found.extend(self.listed(Index::Base, walk, now).await?);
        Ok(found)
    }

    async fn listed(
        &self,
        index: Index,
        walk: &Walk,
        now: Timestamp,
    ) -> Result<Vec<HeldRecord>, StoreError> {
        let live = |item: &Item| !item.is_expired(now);
        let items = read_first(&*self.table, window(index, walk), live).await?;
        items.into_iter().map(|item| read(&Item { body: None, ..item })).collect()
    }

    /// The parked record with this id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, id: &str, now: Timestamp) -> Result<Option<HeldRecord>, StoreError> {
        let item = self.table.get(&keys::parked(id)).await?;
        match item.filter(|item| !item.is_expired(now)) {
            Some(item) => read(&item).map(Some),
            None => self.find_earlier(id).await,
        }
    }

    /// Earlier records can only be looked for.
    async fn find_earlier(&self, id: &str) -> Result<Option<HeldRecord>, StoreError> {
        let (from, to) = prefix_range("");
        let query = base_query(keys::PARKED_PK.to_owned(), from, to, usize::from(u8::MAX));
        find_first(&*self.table, query, |item| {
            let is_it = item.key.sk.split_once('#').is_some_and(|(_, name)| name == id);
            is_it.then(|| read(item)).transpose()
        })
        .await
    }

    /// Takes a record out of the parking, unless it was parked again since it was found. `false`
    /// when it was, or is not there any more.
    ///
    /// # Errors
    /// When the store fails; it may or may not be gone then.
    pub async fn remove(&self, held: &HeldRecord) -> Result<bool, StoreError> {
        let write = Write::Delete(held.key.clone(), Condition::Revision(held.rev));
        Ok(self.table.write(write).await? == Written::Done)
    }
}

/// What a record is about, by its text.
#[derive(Deserialize)]
struct About {
    message: Option<Named>,
    delivery: Option<Pair>,
    resend: Option<AttemptId>,
    stretch: Option<Stretch>,
    made: Option<Made>,
}

#[derive(Deserialize)]
struct Made {
    id: AttemptId,
}

#[derive(Deserialize)]
struct Named {
    id: MessageId,
}

#[derive(Deserialize)]
struct Pair {
    msg: MessageId,
    ep: EndpointId,
}

/// What a record is parked under. A resend is one of its own: nothing else brings it again.
fn identity(parked: &Parked) -> String {
    let Ok(about) = serde_json::from_str::<About>(&parked.body) else { return parked.id.clone() };
    match (about.message, about.delivery, about.resend) {
        (Some(Named { id }), None, None) => match (about.stretch, about.made) {
            (Some(Stretch { until: Some(end), .. }), _) => format!("{id}.share.{end}"),
            // The last share has no end.
            (Some(_), _) => format!("{id}.share"),
            (None, Some(made)) => format!("{id}.made.{}", made.id),
            (None, None) => id.to_string(),
        },
        (None, Some(Pair { msg, ep }), None) => format!("{msg}.{ep}"),
        (None, Some(Pair { msg, ep }), Some(attempt)) => format!("{msg}.{ep}.{attempt}"),
        _ => parked.id.clone(),
    }
}

/// The part of the list that the walk asks for.
fn window(index: Index, walk: &Walk) -> Query {
    let (mut from, mut to) = prefix_range("");
    let descending = walk.goes_down();
    if let Some(iterator) = &walk.iterator {
        let end = if descending { &mut to } else { &mut from };
        *end = iterator.replacen('.', "#", 1);
    }
    let (pk, limit) = (keys::PARKED_PK.to_owned(), walk.read_limit());
    Query { index, pk, from, to, descending, after: None, limit }
}

fn read(item: &Item) -> Result<HeldRecord, StoreError> {
    let mut parked: Parked = doc::decode(&item.doc)?;
    if let Some(body) = &item.body {
        let text = inbox::unpack(body, MAX_RECORD)?;
        parked.body = String::from_utf8_lossy(&text).into_owned();
    }
    let place = item.by_time.as_ref().unwrap_or(&item.key);
    let id = place.sk.split_once('#').map_or(place.sk.as_str(), |(_, id)| id).to_owned();
    // A position may stand in a URL.
    let position = place.sk.replacen('#', ".", 1);
    Ok(HeldRecord { id, position, parked, key: item.key.clone(), rev: item.rev })
}
