//! Answers that are kept for a while, so that a request which is repeated gets the first one.
//!
//! A request takes its place before it is worked on, and leaves its answer there. Whoever comes
//! second finds the place taken, by work under way or by the answer. A place that was left
//! without an answer (its process died) is free again when its time is over.
//!
//! Not guaranteed: that a request whose process died after its work and before its answer was
//! kept is not worked on again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::table::{Condition, Item, Table, Write, Written};
use super::{StoreError, doc, keys};
use crate::domain::clock::Timestamp;
use crate::domain::secret::Sealed;

/// How long an answer is kept, in milliseconds: 12 h (Svix).
pub const ANSWER_TTL_MS: u64 = 12 * 3_600_000;
/// How long a request may be under way, in milliseconds: as long as admin may run.
pub const PLACE_TTL_MS: u64 = 30_000;

/// Keeps answers.
#[derive(Clone)]
pub struct Answers {
    table: Arc<dyn Table>,
}

/// An answer at rest. It may hold a secret, so its body is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Sealed,
}

/// What became of a request that wanted its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is its own: go to work.
    Mine,
    /// Somebody is at work on the same request.
    Taken,
    /// It was answered.
    Answered(Kept),
}

#[derive(Serialize, Deserialize)]
struct Doc {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Kept>,
}

impl Answers {
    /// Answers in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Takes the place of a request.
    ///
    /// # Errors
    /// When the store fails; the place may or may not be taken then.
    pub async fn take(&self, request: &str, now: Timestamp) -> Result<Place, StoreError> {
        let item = item_of(request, None, now.plus_ms(PLACE_TTL_MS), 1)?;
        match self.table.write(Write::Put(item, Condition::AbsentAt(now))).await? {
            Written::Done => Ok(Place::Mine),
            Written::Lost(Some(item)) => {
                let found: Doc = doc::decode(&item.doc)?;
                Ok(found.answer.map_or(Place::Taken, Place::Answered))
            }
            Written::Lost(None) => Ok(Place::Taken),
        }
    }

    /// Leaves the answer in a place that was taken.
    ///
    /// # Errors
    /// When the store fails; it may or may not be kept then.
    pub async fn keep(
        &self,
        request: &str,
        answer: Kept,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let item = item_of(request, Some(answer), now.plus_ms(ANSWER_TTL_MS), 2)?;
        self.table.write(Write::Put(item, Condition::Always)).await.map(|_| ())
    }

    /// Gives a place up, so that the request can be repeated.
    ///
    /// # Errors
    /// When the store fails; the place is free again when its time is over.
    pub async fn release(&self, request: &str) -> Result<(), StoreError> {
        let write = Write::Delete(keys::answer(request), Condition::Revision(1));
        self.table.write(write).await.map(|_| ())
    }
}

fn item_of(
    request: &str,
    answer: Option<Kept>,
    expires_at: Timestamp,
    rev: u64,
) -> Result<Item, StoreError> {
    let item = Item::new(keys::answer(request), doc::encode(&Doc { answer })?);
    Ok(item.revision(rev).until(expires_at))
}
