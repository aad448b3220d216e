//! Integrations: all of an application's in one partition.

use std::sync::Arc;

use super::change::{Change, Changed, change};
use super::table::{Condition, Item, Table, Write, prefix_range};
use super::{StoreError, doc, keys};
use crate::domain::id::{ApiTokenId, ApplicationId, IntegrationId};
use crate::domain::integration::Integration;

/// Keeps integrations. The key of one that is not there opens nothing.
#[derive(Clone)]
pub struct Integrations {
    table: Arc<dyn Table>,
}

impl Integrations {
    /// Integrations in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Stores a new one.
    ///
    /// # Errors
    /// When the store fails; it may or may not be there then.
    pub async fn create(&self, integration: &Integration) -> Result<(), StoreError> {
        self.table.write(Write::Put(item(integration, 1)?, Condition::Always)).await.map(|_| ())
    }

    /// All of an application, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, app: &ApplicationId) -> Result<Vec<Integration>, StoreError> {
        let (from, to) = prefix_range(IntegrationId::PREFIX);
        let items = super::read_range(&*self.table, keys::integrations_pk(app), from, to).await?;
        items.iter().map(|item| doc::decode(&item.doc)).collect()
    }

    /// The one with this id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(
        &self,
        app: &ApplicationId,
        id: &IntegrationId,
    ) -> Result<Option<Integration>, StoreError> {
        let item = self.table.get(&keys::integration(app, id)).await?;
        item.map(|item| doc::decode(&item.doc)).transpose()
    }

    /// Whether this is its key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn holds(
        &self,
        app: &ApplicationId,
        id: &IntegrationId,
        key: &ApiTokenId,
    ) -> Result<bool, StoreError> {
        Ok(self.find(app, id).await?.is_some_and(|found| found.key == *key))
    }

    /// Changes one; `None` if there is none. `edit` may run more than once.
    ///
    /// # Errors
    /// When the store fails; the change may or may not be stored then.
    pub async fn edit(
        &self,
        app: &ApplicationId,
        id: &IntegrationId,
        edit: impl Fn(&mut Integration),
    ) -> Result<Option<Integration>, StoreError> {
        let key = keys::integration(app, id);
        let changed = change(&*self.table, &key, |found| {
            let Some(found) = found else { return Ok(Change::None(None)) };
            let mut integration: Integration = doc::decode(&found.doc)?;
            edit(&mut integration);
            let item = item(&integration, found.rev + 1)?;
            let write = Write::Put(item, Condition::Revision(found.rev));
            Ok(Change::Write(vec![write], Some(integration)))
        });
        match changed.await? {
            Changed::Done(integration) => Ok(integration),
            Changed::Refused => Ok(None),
        }
    }

    /// Removes all of an application.
    ///
    /// # Errors
    /// When the store fails; some may be gone then.
    pub async fn delete_all(&self, app: &ApplicationId) -> Result<(), StoreError> {
        for integration in self.list(app).await? {
            let key = keys::integration(app, &integration.id);
            self.table.write(Write::Delete(key, Condition::Always)).await?;
        }
        Ok(())
    }

    /// Removes one; `false` if it is not there.
    ///
    /// # Errors
    /// When the store fails; it may or may not be gone then.
    pub async fn delete(
        &self,
        app: &ApplicationId,
        id: &IntegrationId,
    ) -> Result<bool, StoreError> {
        let was_there = self.find(app, id).await?.is_some();
        self.table.write(Write::Delete(keys::integration(app, id), Condition::Always)).await?;
        Ok(was_there)
    }
}

fn item(integration: &Integration, rev: u64) -> Result<Item, StoreError> {
    let key = keys::integration(&integration.app, &integration.id);
    Ok(Item::new(key, doc::encode(integration)?).revision(rev))
}
