//! The step that takes payloads away.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Step, StepError, Worker, turn_page};
use crate::domain::id::ApplicationId;
use crate::domain::message::Message;
use crate::domain::spread::Spread;
use crate::domain::task::Task;
use crate::store::{Need, Walk};

/// Messages that a step looks at.
const PAGE: usize = 100;
/// Calls to the store at the same time.
const PARALLEL: usize = 16;
/// What the task counts under (Svix).
const PURGED: &str = "messagesPurged";

impl Worker {
    /// Expunges every message that an application had when this was asked for.
    pub(super) async fn purge(
        &self,
        task: &mut Task,
        app: ApplicationId,
    ) -> Result<Step, StepError> {
        let walk = Walk {
            // What was published in this very moment is taken too: ids tell 4 ms apart.
            before: Some(task.created_at.plus_ms(4)),
            ..Walk::onward(PAGE, task.cursor.clone())
        };
        let now = self.ambient.now();
        let whole = |message: &Message| !message.expunged;
        let spread = match self.directory.tenant(&app, Need::Application).await? {
            Some(tenant) => tenant.application.spread,
            // It was deleted: nobody knows any more.
            None => Spread::MOST,
        };
        let mut listed = self.history.messages(&app, spread, &walk, now, whole).await?;
        let purged = listed.items.len() as u64;
        stream::iter(std::mem::take(&mut listed.items))
            .map(|message| {
                let eraser = self.eraser.clone();
                async move { eraser.message(&message).await }
            })
            .buffer_unordered(PARALLEL)
            .try_for_each(|()| async { Ok(()) })
            .await?;
        task.count(PURGED, purged);
        Ok(turn_page(task, listed))
    }
}
