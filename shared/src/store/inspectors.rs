//! Inspectors and what they were sent. Everything goes with the inspector's time.

use std::sync::Arc;

use super::change::{Change, Changed, change};
use super::table::{Condition, Index, Item, Query, Table, Write, prefix_range};
use super::{StoreError, doc, keys, read_first};
use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::inspector::{Inspected, Inspector, MAX_KEPT};

/// Keeps inspectors.
#[derive(Clone)]
pub struct Inspectors {
    table: Arc<dyn Table>,
}

impl Inspectors {
    /// Inspectors in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Keeps a new inspector.
    ///
    /// # Errors
    /// When the store fails; it may or may not be there then.
    pub async fn create(&self, inspector: &Inspector) -> Result<(), StoreError> {
        let item = Item::new(keys::inspector(&inspector.token), doc::encode(inspector)?)
            .until(inspector.expires_at);
        self.table.write(Write::Put(item, Condition::Always)).await.map(|_| ())
    }

    /// The inspector with this token, unless its time is over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, token: &str, now: Timestamp) -> Result<Option<Inspector>, StoreError> {
        let item = self.table.get(&keys::inspector(token)).await?;
        item.filter(|item| !item.is_expired(now)).map(|item| doc::decode(&item.doc)).transpose()
    }

    /// Keeps a request, if the inspector has room for one more and not too many come together.
    /// Whether it did.
    ///
    /// # Errors
    /// When the store fails; it may or may not be kept then.
    pub async fn keep(
        &self,
        token: &str,
        inspected: &Inspected,
        ambient: &Ambient,
    ) -> Result<bool, StoreError> {
        let key = keys::inspector(token);
        let changed = change(&*self.table, &key, |found| {
            let Some(held) = found else { return Ok(Change::None(false)) };
            let mut inspector: Inspector = doc::decode(&held.doc)?;
            if inspector.kept >= MAX_KEPT {
                return Ok(Change::None(false));
            }
            inspector.kept += 1;
            let count = Item { rev: held.rev + 1, doc: doc::encode(&inspector)?, ..held.clone() };
            let key = keys::inspected(token, inspected.at, ambient.random());
            let item = Item::new(key, doc::encode(inspected)?).until(inspector.expires_at);
            let writes = vec![
                Write::Put(count, Condition::Revision(held.rev)),
                Write::Put(item, Condition::Always),
            ];
            Ok(Change::Write(writes, true))
        })
        .await?;
        Ok(changed == Changed::Done(true))
    }

    /// What an inspector was sent, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn inspected(
        &self,
        inspector: &Inspector,
        limit: usize,
    ) -> Result<Vec<Inspected>, StoreError> {
        let (from, to) = prefix_range(keys::INSPECTED_PREFIX);
        let query = Query {
            index: Index::Base,
            pk: keys::inspector(&inspector.token).pk,
            from,
            to,
            descending: true,
            after: None,
            limit,
        };
        let items = read_first(&*self.table, query, |_| true).await?;
        items.iter().map(|item| doc::decode(&item.doc)).collect()
    }
}
