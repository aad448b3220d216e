//! API tokens that are on record.

use std::sync::Arc;
use std::time::Duration;

use super::change::{Change, change_within};
use super::table::{Condition, Item, Table, Write, prefix_range};
use super::{StoreError, doc, keys};
use crate::domain::api_token::ApiToken;
use crate::domain::clock::Timestamp;
use crate::domain::id::{ApiTokenId, OrganisationId};

/// Keeps the record of API tokens. One that is not on record opens nothing.
#[derive(Clone)]
pub struct ApiTokens {
    table: Arc<dyn Table>,
}

impl ApiTokens {
    /// API tokens in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Puts a new one on record.
    ///
    /// # Errors
    /// When the store fails; it may or may not be there then.
    pub async fn create(&self, token: &ApiToken) -> Result<(), StoreError> {
        self.table.write(Write::Put(item(token, 1)?, Condition::Always)).await.map(|_| ())
    }

    /// All of an organisation that have not expired, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        org: &OrganisationId,
        now: Timestamp,
    ) -> Result<Vec<ApiToken>, StoreError> {
        let (from, to) = prefix_range(keys::API_TOKEN_PREFIX);
        let items = super::read_range(&*self.table, keys::organisation_pk(org), from, to).await?;
        let living = items.iter().filter(|item| !item.is_expired(now));
        living.map(|item| doc::decode(&item.doc)).collect()
    }

    /// Takes one off the record; `false` if it is not there.
    ///
    /// # Errors
    /// When the store fails; it may or may not be gone then.
    pub async fn delete(&self, org: &OrganisationId, id: &ApiTokenId) -> Result<bool, StoreError> {
        let key = keys::api_token(org, id);
        let was_there = self.table.get(&key).await?.is_some();
        self.table.write(Write::Delete(key, Condition::Always)).await?;
        Ok(was_there)
    }

    /// Whether it is on record. That it was used is written down, at most once an hour and if it
    /// can be: nobody waits for others who write the same.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub async fn is_known(
        &self,
        org: &OrganisationId,
        id: &ApiTokenId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = keys::api_token(org, id);
        let Some(found) = self.table.get(&key).await? else { return Ok(false) };
        let token: ApiToken = doc::decode(&found.doc)?;
        if token.is_use_news(now) {
            let noted = change_within(Duration::ZERO, &*self.table, &key, |found| {
                let Some(found) = found else { return Ok(Change::None(())) };
                let token = ApiToken { used_at: Some(now), ..doc::decode(&found.doc)? };
                let item = item(&token, found.rev + 1)?;
                Ok(Change::Write(vec![Write::Put(item, Condition::Revision(found.rev))], ()))
            });
            if let Err(error) = noted.await {
                tracing::debug!(%error, "cannot note that an API token is used");
            }
        }
        Ok(true)
    }
}

fn item(token: &ApiToken, rev: u64) -> Result<Item, StoreError> {
    let key = keys::api_token(&token.org, &token.id);
    Ok(Item::new(key, doc::encode(token)?).revision(rev).until(token.expires_at))
}
