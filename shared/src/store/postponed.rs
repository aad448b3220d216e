//! Messages that wait for their time.
//!
//! A message whose publisher named a time is stored together with a [`Postponed`] item, in one
//! transaction. The item stands in the `due` index until the sweep has put the message in the
//! queue, so neither can be without the other. It lies among the message's deliveries, where
//! dispatch finds out that a message was called off while it was in the queue.

use serde::{Deserialize, Serialize};

use super::table::{Condition, Item, Write, Written};
use super::{Deliveries, StoreError, doc, keys};
use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, MessageId};
use crate::domain::message::Message;

use super::deliveries::{QUEUE_GRACE_MS, SWEEP_AHEAD_MS};

/// How far a message is that waits for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Waiting {
    /// Its time has not come.
    Yes,
    /// It is in the queue.
    Over,
    /// It was called off.
    Canceled,
}

/// What keeps a message back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Postponed {
    /// The message.
    pub msg: MessageId,
    /// Its application.
    pub app: ApplicationId,
    /// When it is to be delivered.
    pub at: Timestamp,
    /// How far it is.
    pub waiting: Waiting,
    /// When the sweep looks at it, while it waits.
    pub due_at: Timestamp,
    /// When the message may be forgotten, and this with it.
    pub expires_at: Timestamp,
}

/// The same as it was read, with what proves it unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// What was read.
    pub postponed: Postponed,
    rev: u64,
}

impl Deliveries {
    /// What keeps this message back, or did.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn postponed(&self, msg: &MessageId) -> Result<Option<HeldBack>, StoreError> {
        let item = self.table.get(&keys::postponed(&msg.key())).await?;
        let held = item.as_ref().map(read_postponed).transpose()?;
        Ok(held.filter(|held| held.postponed.msg == *msg))
    }

    /// Moves a message that is due forward in time, so that nobody else sends it meanwhile.
    /// `None` when somebody else has changed it.
    ///
    /// # Errors
    /// When the store fails; the claim may or may not be made then.
    pub async fn claim_postponed(
        &self,
        seen: &HeldBack,
        now: Timestamp,
    ) -> Result<Option<HeldBack>, StoreError> {
        let due_at = seen.postponed.at.max(now).plus_ms(QUEUE_GRACE_MS);
        self.put_postponed(seen, |postponed| postponed.due_at = due_at).await
    }

    /// Ends the waiting: the message is in the queue, or was called off. `None` when somebody
    /// else has changed it.
    ///
    /// # Errors
    /// When the store fails; it may or may not be over then.
    pub async fn end_waiting(
        &self,
        seen: &HeldBack,
        waiting: Waiting,
    ) -> Result<Option<HeldBack>, StoreError> {
        self.put_postponed(seen, |postponed| postponed.waiting = waiting).await
    }

    async fn put_postponed(
        &self,
        seen: &HeldBack,
        change: impl FnOnce(&mut Postponed),
    ) -> Result<Option<HeldBack>, StoreError> {
        let mut held = HeldBack { rev: seen.rev + 1, ..seen.clone() };
        change(&mut held.postponed);
        let item = postponed_item(&held.postponed, held.rev)?;
        Ok(match self.table.write(Write::Put(item, Condition::Revision(seen.rev))).await? {
            Written::Done => Some(held),
            Written::Lost(_) => None,
        })
    }
}

/// What keeps this message back until `at`.
pub(super) fn holding_back(message: &Message, at: Timestamp) -> Result<Item, StoreError> {
    let postponed = Postponed {
        msg: message.id,
        app: message.app,
        at,
        waiting: Waiting::Yes,
        due_at: at.minus_ms(SWEEP_AHEAD_MS),
        expires_at: message.expires_at,
    };
    postponed_item(&postponed, 1)
}

pub(super) fn read_postponed(item: &Item) -> Result<HeldBack, StoreError> {
    Ok(HeldBack { postponed: doc::decode(&item.doc)?, rev: item.rev })
}

fn postponed_item(postponed: &Postponed, rev: u64) -> Result<Item, StoreError> {
    let waits = postponed.waiting == Waiting::Yes;
    Ok(Item {
        key: keys::postponed(&postponed.msg.key()),
        by_time: None,
        due: waits.then(|| keys::postponed_due(&postponed.msg, postponed.due_at)),
        // Never forget what is still to be sent.
        expires_at: (!waits).then_some(postponed.expires_at),
        rev,
        doc: doc::encode(postponed)?,
        body: None,
    })
}
