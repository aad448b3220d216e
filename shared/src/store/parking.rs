//! Parked records: what nobody can process, kept with its reason until an operator decides.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::table::{Condition, Index, Item, Query, Table, Write, Written, prefix_range};
use super::{StoreError, doc, inbox, keys};
use crate::domain::clock::Timestamp;

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

    /// Keeps a record. Parking the same one twice is harmless.
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
        let key = keys::parked(parked.at, &parked.id);
        let item = Item::new(key, doc::encode(parked)?).body(body);
        self.table.write(Write::Put(item, Condition::Always)).await.map(|_| ())
    }

    /// Parked records, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let (from, to) = prefix_range("");
        let query = Query {
            index: Index::Base,
            pk: keys::PARKED_PK.to_owned(),
            from,
            to,
            descending: true,
            after: None,
            limit,
        };
        self.table.query(&query).await?.items.iter().map(read).collect()
    }

    /// The parked record with this id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, id: &str) -> Result<Option<Parked>, StoreError> {
        let (from, to) = prefix_range("");
        let pk = keys::PARKED_PK.to_owned();
        for item in super::read_range(&*self.table, pk, from, to).await? {
            let parked = read(&item)?;
            if parked.id == id {
                return Ok(Some(parked));
            }
        }
        Ok(None)
    }

    /// Takes a record out of the parking. `false` when it was not there (any more).
    ///
    /// # Errors
    /// When the store fails; it may or may not be gone then.
    pub async fn remove(&self, parked: &Parked) -> Result<bool, StoreError> {
        let key = keys::parked(parked.at, &parked.id);
        let write = Write::Delete(key, Condition::Revision(1));
        Ok(self.table.write(write).await? == Written::Done)
    }
}

fn read(item: &Item) -> Result<Parked, StoreError> {
    let mut parked: Parked = doc::decode(&item.doc)?;
    if let Some(body) = &item.body {
        let text = inbox::unpack(body, MAX_RECORD)?;
        parked.body = String::from_utf8_lossy(&text).into_owned();
    }
    Ok(parked)
}
