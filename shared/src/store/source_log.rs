//! What came in at a source: the messages that it became, and notes of what was refused. Both are
//! listed by time, each in a list of its own, and read as one.
//!
//! Not guaranteed: that messages are listed which a source published to another application than
//! it does now.

use std::sync::Arc;

use super::history::{id_in_index, window};
use super::pages::{self, Bounds, Listed, Walk};
use super::table::{Condition, Item, Table, Write};
use super::{StoreError, doc, keys};
use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, MessageId, SourceId};
use crate::domain::message::Message;
use crate::domain::source::{REFUSED_DAYS, Refused};
use crate::domain::spread::Spread;

const DAY_MS: u64 = 86_400_000;

/// Keeps and reads what came in at sources.
#[derive(Clone)]
pub struct SourceLog {
    table: Arc<dyn Table>,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// A webhook that became a message, without its payload.
    Taken(Box<Message>),
    /// Webhooks that were refused.
    Refused(Refused),
}

impl Logged {
    /// Its id in the list.
    pub fn id(&self) -> MessageId {
        match self {
            Self::Taken(message) => message.id,
            Self::Refused(refused) => refused.id,
        }
    }
}

impl SourceLog {
    /// What came in, in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Keeps a note of webhooks that were refused, for [`REFUSED_DAYS`].
    ///
    /// # Errors
    /// When the store fails; it may or may not be kept then.
    pub async fn note(&self, source: &SourceId, refused: &Refused) -> Result<(), StoreError> {
        let until = refused.at.plus_ms(REFUSED_DAYS * DAY_MS);
        let item = Item::new(keys::refused(source, &refused.id), doc::encode(refused)?);
        let by_time = Some(keys::refused_time(source, &refused.id));
        let item = Item { by_time, ..item.until(until) };
        self.table.write(Write::Put(item, Condition::Always)).await.map(|_| ())
    }

    /// The latest notes of what a source refused, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn latest_refused(
        &self,
        source: &SourceId,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<Refused>, StoreError> {
        let walk = Walk { descending: true, ..Walk::onward(most, None) };
        let queries = vec![window(keys::refused_by_time(source), MessageId::PREFIX, &walk)];
        let bounds = Bounds { bytes: usize::MAX, hides: false };
        let listed = pages::fill(&*self.table, queries, &walk, &bounds, id_in_index, |item| {
            (!item.is_expired(now)).then(|| doc::decode(&item.doc)).transpose()
        });
        Ok(listed.await?.items)
    }

    /// What came in at a source that publishes to this application.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        source: &SourceId,
        (app, spread): (&ApplicationId, Spread),
        walk: &Walk,
        now: Timestamp,
    ) -> Result<Listed<Logged>, StoreError> {
        let places = keys::messages_by_time(app, spread).into_iter();
        let places = places.chain([keys::refused_by_time(source)]);
        let queries = places.map(|pk| window(pk, MessageId::PREFIX, walk)).collect();
        let bounds = Bounds { bytes: usize::MAX, hides: false };
        pages::fill(&*self.table, queries, walk, &bounds, id_in_index, |item| {
            if item.is_expired(now) {
                return Ok(None);
            }
            if item.key.sk.starts_with(keys::REFUSED_PREFIX) {
                return Ok(Some(Logged::Refused(doc::decode(&item.doc)?)));
            }
            let message: Message = doc::decode(&item.doc)?;
            let is_of_it = message.source == Some(*source);
            Ok(is_of_it.then(|| Logged::Taken(Box::new(message))))
        })
        .await
    }
}
