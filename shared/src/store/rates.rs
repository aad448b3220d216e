//! The rates of endpoints and applications, kept by all processes together: what was given out of
//! each lately is an item that whoever needs some of it changes. Those without a rate have none.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::change::{Change, change_within};
use super::table::{Condition, Item, Key, Table, Write};
use super::{StoreError, doc, keys};
use crate::domain::clock::Timestamp;
use crate::domain::rate::Given;

/// How long an item is kept after the last moment that was given out, in milliseconds: an hour, so
/// that a rate that is always in use is not forgotten and made again.
const KEPT_MS: u64 = 3_600_000;
/// How long it is tried to change an item that others change too.
const PATIENCE: Duration = Duration::from_secs(3);

/// Gives rates out.
#[derive(Clone)]
pub struct Rates {
    table: Arc<dyn Table>,
}

#[derive(Default, Serialize, Deserialize)]
struct Doc {
    given: Given,
}

impl Doc {
    /// As it is stored: for [`KEPT_MS`] from its last moment on.
    fn item(&self, key: &Key, rev: u64, now: Timestamp) -> Result<Item, StoreError> {
        let until = self.given.last().unwrap_or(now).max(now).plus_ms(KEPT_MS);
        Ok(Item::new(key.clone(), doc::encode(self)?).revision(rev).until(until))
    }
}

impl Rates {
    /// Rates in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// The next `count` moments from `now` on of `rate` a second, in order, for the application or
    /// endpoint with this id.
    ///
    /// # Errors
    /// When the store fails, or too many others ask at the same time; the moments may be given
    /// out for nothing then.
    pub async fn take(
        &self,
        owner: &str,
        rate: u16,
        count: usize,
        now: Timestamp,
    ) -> Result<Vec<Timestamp>, StoreError> {
        let key = keys::rate(owner);
        let decide = |found: Option<Item>| {
            let condition = Condition::unchanged(found.as_ref().map(|item| item.rev), now);
            let mut doc = match found {
                Some(item) if !item.is_expired(now) => doc::decode(&item.doc)?,
                _ => Doc::default(),
            };
            let moments: Vec<Timestamp> = (0..count).map(|_| doc.given.next(rate, now)).collect();
            let item = doc.item(&key, condition.next_revision(), now)?;
            Ok(Change::Write(vec![Write::Put(item, condition)], moments))
        };
        change_within(PATIENCE, &*self.table, &key, decide).await?.done()
    }

    /// Forgets the moments to come that were given out: the rate is another one, and who waits for
    /// them asks anew. Whether there were any.
    ///
    /// # Errors
    /// When the store fails, or too many others ask at the same time.
    pub async fn forget(&self, owner: &str, now: Timestamp) -> Result<bool, StoreError> {
        let key = keys::rate(owner);
        let decide = |found: Option<Item>| {
            let Some(item) = found.filter(|item| !item.is_expired(now)) else {
                return Ok(Change::None(false));
            };
            let mut doc: Doc = doc::decode(&item.doc)?;
            if !doc.given.forget_after(now) {
                return Ok(Change::None(false));
            }
            let put = Write::Put(doc.item(&key, item.rev + 1, now)?, Condition::Revision(item.rev));
            Ok(Change::Write(vec![put], true))
        };
        change_within(PATIENCE, &*self.table, &key, decide).await?.done()
    }
}
