//! Messages that wait for their time, at rest.
//!
//! A [`ScheduledMessage`] is stored with its message, in one transaction, and lies among the
//! message's deliveries, where dispatch finds out that the message was canceled while it was
//! in the queue.

use super::table::{Condition, Item, Table, Write, Written};
use super::{StoreError, Versioned, doc, keys};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::scheduled::ScheduledMessage;
use crate::domain::id::MessageId;
use crate::domain::message::Message;

/// What makes this message wait, or did.
///
/// # Errors
/// When the store fails.
pub(super) async fn find(
    table: &dyn Table,
    msg: &MessageId,
) -> Result<Option<Versioned<ScheduledMessage>>, StoreError> {
    let item = table.get(&keys::scheduled(&msg.key())).await?;
    let found = item.as_ref().map(Versioned::<ScheduledMessage>::read).transpose()?;
    Ok(found.filter(|found| found.value.msg == *msg))
}

/// Stores what became of it. `None` when somebody else has changed it.
///
/// # Errors
/// When the store fails; it may or may not be stored then.
pub(super) async fn save(
    table: &dyn Table,
    seen: &Versioned<ScheduledMessage>,
    next: ScheduledMessage,
) -> Result<Option<Versioned<ScheduledMessage>>, StoreError> {
    let saved = Versioned { value: next, rev: seen.rev + 1 };
    let item = scheduled_item(&saved.value, saved.rev)?;
    Ok(match table.write(Write::Put(item, Condition::Revision(seen.rev))).await? {
        Written::Done => Some(saved),
        Written::Lost(_) => None,
    })
}

/// What makes this message wait until `at`.
pub(super) fn waiting_item(message: &Message, at: Timestamp) -> Result<Item, StoreError> {
    scheduled_item(&ScheduledMessage::new(message, at), 1)
}

fn scheduled_item(scheduled: &ScheduledMessage, rev: u64) -> Result<Item, StoreError> {
    let waits = scheduled.is_waiting();
    Ok(Item {
        key: keys::scheduled(&scheduled.msg.key()),
        by_time: None,
        due: waits.then(|| keys::scheduled_due(&scheduled.app, &scheduled.msg, scheduled.due_at)),
        // Never forget what is still to be sent.
        expires_at: (!waits).then_some(scheduled.expires_at),
        rev,
        doc: doc::encode(scheduled)?,
        body: None,
    })
}
