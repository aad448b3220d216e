//! Steps that make an endpoint get what it did not get, or once more what it got.

use futures_util::stream::{self, StreamExt};
use sha2::{Digest, Sha256};

use super::{Step, Trouble, Worker};
use crate::domain::attempt::{Attempt, Progress, Turn};
use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, AttemptId, EndpointId, Ksuid, MessageId, RANDOM_BYTES};
use crate::domain::message::Message;
use crate::domain::task::{Selection, Span, Task};
use crate::queue::record::Record;
use crate::queue::{Outgoing, send_all};
use crate::store::{Claimed, Listed, Walk};

/// Messages or attempts that a step looks at, and about as many more as their filter drops.
const PAGE: usize = 100;
/// Calls to the store at the same time.
const PARALLEL: usize = 16;
/// What a task counts under (Svix).
const SENT: &str = "messagesSent";

impl Worker {
    /// Every delivery that failed begins with a first attempt that failed, so the failed first
    /// attempts lead to all of them, once each.
    pub(super) async fn recover(
        &self,
        task: &mut Task,
        app: ApplicationId,
        ep: EndpointId,
        span: Span,
    ) -> Result<Step, Trouble> {
        let keep = |attempt: &Attempt| !attempt.ok && is_first(attempt, span);
        let mut listed = self.first_attempts(task, &ep, span, keep).await?;
        let reopened = side_by_side(&mut listed, |attempt| self.reopen(app, attempt)).await;
        self.send_opened(task, reopened).await?;
        Ok(turn_page(task, listed))
    }

    /// Opens a delivery of every message that the endpoint wants and was never sent.
    pub(super) async fn replay_missing(
        &self,
        task: &mut Task,
        app: ApplicationId,
        ep: EndpointId,
        span: Span,
    ) -> Result<Step, Trouble> {
        let tenant = self.directory.tenant(&app).await?;
        let endpoint = tenant.as_ref().and_then(|tenant| tenant.endpoint(&ep.to_string()));
        let Some(endpoint) = endpoint else { return Ok(Step::Last) };
        let now = self.ambient.now();
        let walk = walk(task, span.since, Some(span.until));
        let keep = |message: &Message| endpoint.wants(&message.event_type, &message.channels);
        let mut listed = self.history.messages(&app, &walk, now, keep).await?;
        let open = |message: Message| async move {
            let opened = self.deliveries.open(&message, &ep, now).await?;
            Ok(matches!(opened, Claimed::Mine(_)).then(|| retry(app, message.id, ep, 1)))
        };
        let opened = side_by_side(&mut listed, open).await;
        self.send_opened(task, opened).await?;
        Ok(turn_page(task, listed))
    }

    /// Sends again what was sent before, beside the schedule.
    pub(super) async fn bulk_replay(
        &self,
        task: &mut Task,
        ep: EndpointId,
        span: Span,
        selection: &Selection,
        delay_s: u32,
    ) -> Result<Step, Trouble> {
        let keep = |attempt: &Attempt| is_first(attempt, span) && selection.keeps(attempt);
        let mut listed = self.first_attempts(task, &ep, span, keep).await?;
        let chosen = side_by_side(&mut listed, |attempt| self.choose(attempt, selection)).await;
        let chosen = chosen.into_iter().collect::<Result<Vec<_>, _>>()?;
        let records: Vec<_> =
            chosen.iter().flatten().map(|attempt| resend(task, attempt, delay_s)).collect();
        let sent = records.len() as u64;
        for result in send_all(&*self.retries, records).await {
            result?;
        }
        task.count(SENT, sent);
        Ok(turn_page(task, listed))
    }

    async fn first_attempts(
        &self,
        task: &Task,
        ep: &EndpointId,
        span: Span,
        keep: impl Fn(&Attempt) -> bool,
    ) -> Result<Listed<Attempt>, Trouble> {
        // A message may be attempted long after it was published.
        let walk = walk(task, span.since, None);
        Ok(self.history.attempts_of_endpoint(ep, &walk, self.ambient.now(), keep).await?)
    }

    async fn reopen(
        &self,
        app: ApplicationId,
        attempt: Attempt,
    ) -> Result<Option<Outgoing>, Trouble> {
        let (msg, ep) = (attempt.msg, attempt.ep);
        let found = self.deliveries.delivery(&msg, &ep).await?;
        let Some(failed) = found.filter(|found| found.delivery.progress == Progress::Failed) else {
            return Ok(None);
        };
        let reopened = self.deliveries.reopen(&failed, self.ambient.now()).await?;
        let number = failed.delivery.attempts + 1;
        Ok(matches!(reopened, Claimed::Mine(_)).then(|| retry(app, msg, ep, number)))
    }

    /// Sends deliveries that are open on their way. One that does not get into the queue is
    /// found by the sweep, as any pending delivery is.
    async fn send_opened(
        &self,
        task: &mut Task,
        opened: Vec<Result<Option<Outgoing>, Trouble>>,
    ) -> Result<(), Trouble> {
        let mut records = Vec::new();
        let mut trouble = None;
        for result in opened {
            match result {
                Ok(record) => records.extend(record),
                Err(error) => trouble = Some(error),
            }
        }
        task.count(SENT, records.len() as u64);
        send_all(&*self.retries, records).await;
        trouble.map_or(Ok(()), Err)
    }

    /// What the first attempt alone does not tell.
    async fn choose(
        &self,
        attempt: Attempt,
        selection: &Selection,
    ) -> Result<Option<Attempt>, Trouble> {
        if let Some(status) = selection.status {
            let delivery = match attempt.ok {
                true => None,
                false => self.deliveries.delivery(&attempt.msg, &attempt.ep).await?,
            };
            let progress = delivery.map_or(Progress::Delivered, |found| found.delivery.progress);
            let now = match progress {
                Progress::Delivered => 0,
                Progress::Pending => 1,
                Progress::Failed => 2,
                Progress::Canceled => 4,
            };
            if now != status {
                return Ok(None);
            }
        }
        if let Some(class) = selection.status_code_class {
            let attempts = self.history.attempts_of_message(&attempt.msg).await?;
            let last = attempts.iter().find(|made| made.ep == attempt.ep);
            if last.is_none_or(|last| last.status / 100 * 100 != class) {
                return Ok(None);
            }
        }
        Ok(Some(attempt))
    }
}

impl Selection {
    fn keeps(&self, attempt: &Attempt) -> bool {
        let type_fits =
            self.event_types.is_empty() || self.event_types.contains(&attempt.event_type);
        let channel_fits =
            self.channel.as_ref().is_none_or(|channel| attempt.channels.contains(channel));
        type_fits && channel_fits && self.tag.as_ref().is_none_or(|tag| attempt.tags.contains(tag))
    }
}

fn is_first(attempt: &Attempt, span: Span) -> bool {
    attempt.turn == Turn::Scheduled(1) && span.contains(attempt.msg.ksuid().timestamp())
}

fn walk(task: &Task, after: Timestamp, before: Option<Timestamp>) -> Walk {
    Walk {
        limit: PAGE,
        descending: false,
        iterator: task.cursor.clone(),
        backward: false,
        after: Some(after),
        before,
    }
}

/// Does something about everything on a page, some of it at the same time.
async fn side_by_side<T, F: Future>(
    listed: &mut Listed<T>,
    work: impl Fn(T) -> F,
) -> Vec<F::Output> {
    let items = std::mem::take(&mut listed.items);
    stream::iter(items).map(work).buffer_unordered(PARALLEL).collect().await
}

fn turn_page<T>(task: &mut Task, listed: Listed<T>) -> Step {
    task.cursor = listed.iterator;
    if listed.done { Step::Last } else { Step::More }
}

fn retry(app: ApplicationId, msg: MessageId, ep: EndpointId, attempt: u32) -> Outgoing {
    Record::Retry { app, msg, ep, attempt }.outgoing(0)
}

/// A resend whose attempt has the same id whoever makes it for this task.
fn resend(task: &Task, first: &Attempt, delay_s: u32) -> Outgoing {
    let digest = Sha256::digest(format!("{}{}{}", task.id, first.msg, first.ep));
    let mut random = [0; RANDOM_BYTES];
    random.copy_from_slice(&digest[..RANDOM_BYTES]);
    let attempt = AttemptId::from_ksuid(Ksuid::from_parts(task.created_at, random));
    let (app, msg, ep) = (first.app, first.msg, first.ep);
    Record::Resend { app, msg, ep, attempt, again: true }.outgoing(delay_s)
}
