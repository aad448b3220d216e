//! Codes that are exchanged once for a token. What is stored names a code by its hash, and has the
//! token sealed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::table::{Condition, Item, Table, Write, Written};
use super::{StoreError, doc, keys};
use crate::domain::clock::Timestamp;
use crate::domain::secret::Sealed;
use crate::domain::token::fingerprint;

/// Keeps codes until they are exchanged or too old.
#[derive(Clone)]
pub struct Codes {
    table: Arc<dyn Table>,
}

#[derive(Serialize, Deserialize)]
struct Doc {
    token: Sealed,
}

impl Codes {
    /// Codes in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Keeps what a code stands for until this moment.
    ///
    /// # Errors
    /// When the store fails; it may or may not be there then.
    pub async fn keep(
        &self,
        code: &str,
        token: Sealed,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let item = Item::new(keys::code(&fingerprint(code)), doc::encode(&Doc { token })?);
        let item = item.revision(1).until(until);
        self.table.write(Write::Put(item, Condition::Always)).await.map(|_| ())
    }

    /// Takes what a code stands for: whoever asks first gets it, and nobody after.
    ///
    /// # Errors
    /// When the store fails; the code may be used up then.
    pub async fn take(&self, code: &str, now: Timestamp) -> Result<Option<Sealed>, StoreError> {
        let key = keys::code(&fingerprint(code));
        let found = self.table.get(&key).await?.filter(|item| !item.is_expired(now));
        let Some(found) = found else { return Ok(None) };
        let Doc { token } = doc::decode(&found.doc)?;
        let taken = self.table.write(Write::Delete(key, Condition::Revision(found.rev))).await?;
        Ok((taken == Written::Done).then_some(token))
    }
}
