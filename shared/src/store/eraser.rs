//! Takes contents away before their time: a message's payload, an attempt's answer.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::change::{Change, change};
use super::table::{Condition, Item, Key, Table, Write};
use super::{StoreError, doc, inbox, keys};
use crate::domain::attempt::Attempt;
use crate::domain::id::MessageId;
use crate::domain::message::Message;

/// What stands in the place of an answer that was expunged (Svix).
pub const EXPUNGED: &str = "EXPUNGED";
/// Parts that are taken away at the same time.
const PARALLEL: usize = 16;

/// Expunges contents.
#[derive(Clone)]
pub struct Eraser {
    table: Arc<dyn Table>,
}

impl Eraser {
    /// An eraser of this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Takes a message's payload away, and those of the parts that it was cut into. It is not
    /// sent any more; a copy that is in a queue is still sent once.
    ///
    /// # Errors
    /// When the store fails; the payload may or may not be gone then.
    pub async fn message(&self, message: &Message) -> Result<(), StoreError> {
        stream::iter(message.part_ids())
            .map(|part| self.payload(part))
            .buffer_unordered(PARALLEL)
            .try_for_each(|()| async { Ok(()) })
            .await?;
        self.payload(message.id).await
    }

    async fn payload(&self, id: MessageId) -> Result<(), StoreError> {
        let key = keys::message(&id.key());
        self.rewrite(&key, |item| {
            let mut found = inbox::read_message(item)?;
            if found.id != id || found.expunged {
                return Ok(None);
            }
            found.expunged = true;
            Ok(Some(Item { doc: doc::encode(&found)?, body: None, ..item.clone() }))
        })
        .await
    }

    /// Takes away what an endpoint answered to an attempt.
    ///
    /// # Errors
    /// When the store fails; the answer may or may not be gone then.
    pub async fn attempt(&self, attempt: &Attempt) -> Result<(), StoreError> {
        let key = keys::attempt(&attempt.msg.key(), &attempt.ep, attempt.trigger);
        self.rewrite(&key, |item| {
            let mut found: Attempt = doc::decode(&item.doc)?;
            if found.id != attempt.id {
                return Ok(None);
            }
            EXPUNGED.clone_into(&mut found.response);
            found.headers.clear();
            Ok(Some(Item { doc: doc::encode(&found)?, ..item.clone() }))
        })
        .await
    }

    async fn rewrite(
        &self,
        key: &Key,
        erase: impl Fn(&Item) -> Result<Option<Item>, StoreError>,
    ) -> Result<(), StoreError> {
        let changed = change(&*self.table, key, |found| {
            let Some(item) = found else { return Ok(Change::None(())) };
            let new = erase(&item)?.filter(|new| *new != item);
            let put = new
                .map(|new| Write::Put(new.revision(item.rev + 1), Condition::Revision(item.rev)));
            Ok(put.map_or(Change::None(()), |put| Change::Write(vec![put], ())))
        });
        changed.await.map(|_| ())
    }
}
