//! A database that ends every page early.

use std::sync::Arc;

use async_trait::async_trait;
use shared::store::StoreError;
use shared::store::table::{
    Index, Item, Key, Page, Position, Query, Table, Transacted, Write, Written,
};

/// A table that answers a query with one item at a time, as DynamoDB may: it ends a page after
/// 1 MiB.
pub(crate) struct Stingy(pub(crate) Arc<dyn Table>);

#[async_trait]
impl Table for Stingy {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.0.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let mut page = self.0.query(query).await?;
        if page.items.len() > 1 {
            page.items.truncate(1);
            page.next = page.items.first().map(|item| {
                let index_key = match query.index {
                    Index::Base => Some(item.key.clone()),
                    Index::ByTime => item.by_time.clone(),
                    Index::Due => item.due.clone(),
                };
                Position { key: item.key.clone(), index_key: index_key.expect("an index key") }
            });
        }
        Ok(page)
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.0.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.0.transact(writes).await
    }
}
