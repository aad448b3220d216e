//! Background tasks. A running one stands in the `due` index, always: whoever works on it
//! moves its due time forward, so what a dead worker left is found out.

use std::sync::Arc;

use super::change::write_all;
use super::table::{Condition, Item, Key, Table, Write};
use super::{StoreError, Versioned, doc, inbox, keys};
use crate::domain::clock::Timestamp;
use crate::domain::id::{OrganisationId, TaskId};
use crate::domain::task::{Status, Task};

/// Keeps background tasks.
#[derive(Clone)]
pub struct Tasks {
    table: Arc<dyn Table>,
}

impl Tasks {
    /// Tasks in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// Stores a new task.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn create(&self, task: Task) -> Result<Versioned<Task>, StoreError> {
        let item = task_item(&task, 1)?;
        self.table.write(Write::Put(item, Condition::AbsentAt(task.created_at))).await?;
        Ok(Versioned { value: task, rev: 1 })
    }

    /// The organisation's task with this id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(
        &self,
        org: &OrganisationId,
        id: &TaskId,
        now: Timestamp,
    ) -> Result<Option<Task>, StoreError> {
        let held = self.read(id).await?.map(|held| held.value);
        Ok(held.filter(|task| task.org == *org && task.expires_at() > now))
    }

    /// Takes a running task that is due, until `until`. `None` when somebody else has it or it
    /// is over. It counts as a failure until something is stored: whoever takes it may die.
    ///
    /// # Errors
    /// When the store fails; it may or may not be taken then.
    pub async fn claim(
        &self,
        id: &TaskId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Versioned<Task>>, StoreError> {
        let Some(mut held) = self.read(id).await? else { return Ok(None) };
        if held.value.status != Status::Running || held.value.due_at > now {
            return Ok(None);
        }
        held.value.due_at = until;
        held.value.failures += 1;
        self.save(held, Vec::new()).await
    }

    /// Stores how far a task has come, with `outbox` in the same transaction. `None` when somebody else
    /// has taken it meanwhile.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn save(
        &self,
        held: Versioned<Task>,
        outbox: Vec<Write>,
    ) -> Result<Option<Versioned<Task>>, StoreError> {
        let rev = held.rev + 1;
        let item = task_item(&held.value, rev)?;
        let put = Write::Put(item, Condition::Revision(held.rev));
        let writes = std::iter::once(put).chain(outbox).collect();
        let lost = write_all(&*self.table, writes).await?;
        Ok(lost.is_empty().then_some(Versioned { rev, ..held }))
    }

    async fn read(&self, id: &TaskId) -> Result<Option<Versioned<Task>>, StoreError> {
        let Some(item) = self.table.get(&keys::task(id)).await? else { return Ok(None) };
        let mut task: Task = doc::decode(&item.doc)?;
        if let Some(body) = &item.body {
            task.payload = inbox::unpack(body, crate::domain::message::MAX_PAYLOAD_BYTES)?;
        }
        Ok(Some(Versioned { value: task, rev: item.rev }))
    }
}

fn task_item(task: &Task, rev: u64) -> Result<Item, StoreError> {
    let running = task.status == Status::Running;
    Ok(Item::new(keys::task(&task.id), doc::encode(task)?)
        .revision(rev)
        .listed(Key { pk: keys::tasks_by_time(&task.org), sk: task.id.to_string() })
        .due(running.then(|| keys::task_due(&task.id, task.due_at)))
        // Never forget what is still to be done.
        .until((!running).then(|| task.expires_at()))
        .body((!task.payload.is_empty()).then(|| inbox::pack(&task.payload, true))))
}
