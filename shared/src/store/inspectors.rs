//! Inspectors and what they were sent. Everything goes with the inspector's time.

use std::sync::Arc;
use std::time::Duration;

use super::table::{Condition, Index, Item, Query, Table, Transacted, Write, prefix_range};
use super::{StoreError, doc, keys};
use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::inspector::{Inspected, Inspector, MAX_KEPT};

/// How often a request is counted anew that came together with others.
const MAX_TRIES: u64 = 8;

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
        let item = Item {
            key: keys::inspector(&inspector.token),
            by_time: None,
            due: None,
            expires_at: Some(inspector.expires_at),
            rev: 1,
            doc: doc::encode(inspector)?,
            body: None,
        };
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
        for turn in 0..MAX_TRIES {
            let Some(held) = self.table.get(&keys::inspector(token)).await? else {
                return Ok(false);
            };
            let mut inspector: Inspector = doc::decode(&held.doc)?;
            if inspector.kept >= MAX_KEPT {
                return Ok(false);
            }
            inspector.kept += 1;
            let count = Item { rev: held.rev + 1, doc: doc::encode(&inspector)?, ..held.clone() };
            let item = Item {
                key: keys::inspected(token, inspected.at, ambient.random()),
                by_time: None,
                due: None,
                expires_at: Some(inspector.expires_at),
                rev: 1,
                doc: doc::encode(inspected)?,
                body: None,
            };
            let writes = vec![
                Write::Put(count, Condition::Revision(held.rev)),
                Write::Put(item, Condition::Always),
            ];
            if self.table.transact(writes).await? == Transacted::Done {
                return Ok(true);
            }
            // Not all at once again.
            let [random] = ambient.random::<1>();
            tokio::time::sleep(Duration::from_millis(u64::from(random) * turn / 8)).await;
        }
        Ok(false)
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
        let page = self.table.query(&query).await?;
        page.items.iter().map(|item| doc::decode(&item.doc)).collect()
    }
}
