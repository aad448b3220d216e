//! Steps that publish one event to every application of an organisation.
//!
//! A message's id follows from the task and the application, so a step that is done twice
//! stores nothing twice; what a dead worker stored and did not send is sent by its successor. Its
//! key follows from the name of the request, if that has one: two tasks that a repeated request
//! began publish once between them.
//!
//! Not guaranteed: that an application which is made while the task runs gets the event; that a
//! profile which cuts events that are too big cuts this one.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Step, StepError, Worker, turn_page};
use crate::domain::delivery::SECOND_COPY_DELAY_S;
use crate::domain::id::{ApplicationId, MessageKey};
use crate::domain::message::{DEFAULT_RETENTION_DAYS, HOURS_A_DAY, Message, NewMessage};
use crate::domain::metrics::Metric;
use crate::domain::task::Task;
use crate::queue::record::Record;
use crate::queue::{Outgoing, send_all};
use crate::store::{Accepted, Walk};

/// Applications that a step publishes to.
const PAGE: usize = 50;
/// Calls to the store at the same time.
const PARALLEL: usize = 16;
/// What a task counts under.
const SENT: &str = "messagesSent";
/// Applications that had an event of this name already.
const SKIPPED: &str = "messagesSkipped";

impl Worker {
    /// Publishes to a page of applications.
    pub(super) async fn broadcast(
        &self,
        task: &mut Task,
        event: &NewMessage,
        name: Option<&str>,
    ) -> Result<Step, StepError> {
        let walk = Walk::onward(PAGE, task.cursor.clone());
        let listed = self.history.applications(&task.org, &walk).await?;
        let apps = listed.items.iter().map(|application| application.id);
        let messages: Vec<Message> = apps.map(|app| message(task, event, name, app)).collect();
        let accepted: Vec<Option<Outgoing>> = stream::iter(messages)
            .map(|message| self.accept(message))
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let skipped = accepted.iter().filter(|record| record.is_none()).count();
        let records: Vec<Outgoing> = accepted.into_iter().flatten().collect();
        let sent = records.len();
        for result in send_all(&*self.queues.deliveries, records).await {
            result?;
        }
        task.count(SENT, sent as u64);
        task.count(SKIPPED, skipped as u64);
        Ok(turn_page(task, listed))
    }

    /// Stores a message; what is to be put in the queue, unless another event has its name.
    async fn accept(&self, message: Message) -> Result<Option<Outgoing>, StepError> {
        let (message, again) = match self.inbox.accept(&message).await? {
            Accepted::New => {
                self.metrics.count(Metric::Accepted);
                (message, false)
            }
            // An earlier try of this step, which may have died before it sent.
            // What was expunged meanwhile is not sent any more.
            Accepted::Existing(first) if first.id == message.id && !first.expunged => {
                (message, true)
            }
            Accepted::Existing(_) => return Ok(None),
        };
        if again && self.inbox.has_outcome(&message).await? {
            return Ok(None);
        }
        let delay_s = if again { SECOND_COPY_DELAY_S } else { 0 };
        let record = Record::Accepted { message: Box::new(message), again };
        Ok(Some(record.outgoing(delay_s)))
    }
}

fn message(task: &Task, event: &NewMessage, name: Option<&str>, app: ApplicationId) -> Message {
    let key = match (&event.event_id, name) {
        (Some(event), _) => MessageKey::of_event(&app, event.as_str()),
        (None, Some(name)) => MessageKey::of_idempotency_key(&app, name),
        (None, None) => MessageKey::of_idempotency_key(&app, &task.id.to_string()),
    };
    let new = NewMessage { payload: task.payload.clone(), ..event.clone() };
    Message::new(new, app, key, task.created_at, DEFAULT_RETENTION_DAYS * HOURS_A_DAY)
}
