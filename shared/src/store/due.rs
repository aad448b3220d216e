//! What the sweep has to look at: the `due` index, shard by shard.

use std::ops::RangeInclusive;

use super::table::{Condition, Index, Item, Key, Position, Query, Write};
use super::{Deliveries, StoreError, Versioned, doc, keys};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::Delivery;
use crate::domain::delivery::scheduled::ScheduledMessage;
use crate::domain::id::TaskId;

/// How long the sweep leaves alone what it cannot read, in milliseconds: an hour, in which a
/// rollback is over or an operator has heard of it.
const UNREADABLE_MS: u64 = 3_600_000;

/// Something that the sweep has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// A delivery whose next attempt comes soon.
    Delivery(Box<Versioned<Delivery>>),
    /// A message whose time comes soon.
    Scheduled(Box<Versioned<ScheduledMessage>>),
    /// A background task that nobody works on.
    Task(TaskId),
    /// Something that this version cannot read.
    Unreadable(Key),
}

impl Deliveries {
    /// What the sweep should look at in one shard because it is due within `span`, oldest first,
    /// at most `limit`, and where the next page begins: the `after` of the next call. Something
    /// that has just changed may be missing or out of date, so a walk goes on from page to page,
    /// and what it has claimed does not come again however far the index lags.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn due(
        &self,
        shard: u32,
        span: RangeInclusive<Timestamp>,
        limit: usize,
        after: Option<Position>,
    ) -> Result<(Vec<Due>, Option<Position>), StoreError> {
        let query = Query { after, ..due_within(shard, span, limit) };
        let page = self.table.query(&query).await?;
        Ok((page.items.iter().map(read_due).collect(), page.next))
    }

    /// Moves something that cannot be read out of the way of what can, for an hour.
    ///
    /// # Errors
    /// When the store fails; it may or may not be moved then.
    pub async fn set_aside(&self, key: &Key, now: Timestamp) -> Result<(), StoreError> {
        let Some(mut item) = self.table.get(key).await? else { return Ok(()) };
        let Some(due) = &mut item.due else { return Ok(()) };
        due.sk = keys::due_sk(now.plus_ms(UNREADABLE_MS));
        let condition = Condition::Revision(item.rev);
        item.rev += 1;
        self.table.write(Write::Put(item, condition)).await?;
        Ok(())
    }

    /// Every pending delivery of one shard, whenever it is due.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pending(&self, shard: u32) -> Result<Vec<Versioned<Delivery>>, StoreError> {
        let ever = Timestamp(0)..=Timestamp(9_999_999_999_999);
        let mut query = due_within(shard, ever, 1000);
        let mut pending = Vec::new();
        loop {
            let page = self.table.query(&query).await?;
            pending.extend(page.items.iter().filter_map(|item| match read_due(item) {
                Due::Delivery(found) => Some(*found),
                Due::Scheduled(_) | Due::Task(_) | Due::Unreadable(_) => None,
            }));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(pending),
            }
        }
    }
}

fn due_within(shard: u32, span: RangeInclusive<Timestamp>, limit: usize) -> Query {
    Query {
        index: Index::Due,
        pk: keys::due_pk(shard),
        from: keys::due_sk(*span.start()),
        to: keys::due_sk(*span.end()),
        descending: false,
        after: None,
        limit,
    }
}

fn read_due(item: &Item) -> Due {
    #[derive(serde::Deserialize)]
    struct Named {
        id: TaskId,
    }
    let read = match item.key.sk.as_str() {
        keys::TASK_SK => doc::decode(&item.doc).map(|Named { id }| Due::Task(id)),
        keys::SCHEDULED_SK => Versioned::read(item).map(|found| Due::Scheduled(Box::new(found))),
        _ => Versioned::read(item).map(|found| Due::Delivery(Box::new(found))),
    };
    read.unwrap_or_else(|_| Due::Unreadable(item.key.clone()))
}
