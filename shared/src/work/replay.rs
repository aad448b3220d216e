//! Steps that make an endpoint get what it did not get, or once more what it got.

use futures_util::stream::{self, StreamExt};
use sha2::{Digest, Sha256};

#[cfg(doc)]
use super::InFlight;
use super::{Step, StepError, Worker, turn_page};
use crate::domain::attempt::Trigger;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::machine::Event;
use crate::domain::delivery::scheduled::ScheduleState;
use crate::domain::delivery::{Delivery, LEASE_MS, State};
use crate::domain::id::{ApplicationId, AttemptId, EndpointId, Ksuid, MessageId, RANDOM_BYTES};
use crate::domain::message::Message;
use crate::domain::spread::Spread;
use crate::domain::task::{Selection, Span, Task};
use crate::queue::record::{Record, delay_until};
use crate::queue::{Outgoing, send_all};
use crate::store::{Advanced, Listed, Need, Trace, Walk};

/// Messages or attempts that a step looks at, and about as many more as their filter drops.
const PAGE: usize = 100;
/// Calls to the store at the same time.
const PARALLEL: usize = 16;
/// What a task counts under (Svix).
const SENT: &str = "messagesSent";

impl Worker {
    /// Makes every delivery that was given up pending again. Each begins once on the endpoint's
    /// trail, with its first attempt or without one.
    pub(super) async fn recover(
        &self,
        task: &mut Task,
        place: (ApplicationId, EndpointId),
        span: Span,
    ) -> Result<Step, StepError> {
        let ep = place.1;
        let keep = |trace: &Trace| !trace.is_success() && begins_in(trace, span);
        let mut listed = self.beginnings(task, place, span, keep).await?;
        let recovered = side_by_side(&mut listed, |trace| self.recover_one(trace.msg(), ep)).await;
        self.send_opened(task, recovered).await?;
        Ok(turn_page(task, listed))
    }

    /// Opens a delivery of every message that the endpoint wants and was never sent.
    pub(super) async fn replay_missing(
        &self,
        task: &mut Task,
        app: ApplicationId,
        ep: EndpointId,
        span: Span,
    ) -> Result<Step, StepError> {
        let tenant = self.directory.tenant(&app, Need::EndpointById(ep)).await?;
        let endpoint = tenant.as_ref().and_then(|tenant| tenant.endpoint_by_id(&ep));
        let Some(endpoint) = endpoint else { return Ok(Step::Last) };
        let walk = walk(task, span.since, Some(span.until));
        let keep = |message: &Message| endpoint.misses(message);
        let now = self.ambient.now();
        let spread = tenant.as_ref().map_or(Spread::MOST, |tenant| tenant.application.spread);
        let mut listed = self.history.messages(&app, spread, &walk, now, keep).await?;
        let opened = side_by_side(&mut listed, |message| self.open(message, ep)).await;
        self.send_opened(task, opened).await?;
        Ok(turn_page(task, listed))
    }

    /// Sends again what was sent before, or was given up without having been sent, beside the
    /// schedule.
    pub(super) async fn bulk_replay(
        &self,
        task: &mut Task,
        place: (ApplicationId, EndpointId),
        span: Span,
        selection: &Selection,
        delay_s: u32,
    ) -> Result<Step, StepError> {
        let ep = place.1;
        let keep = |trace: &Trace| begins_in(trace, span) && selection.may_keep(trace);
        let mut listed = self.beginnings(task, place, span, keep).await?;
        let chosen = side_by_side(&mut listed, |trace| self.choose(trace, selection)).await;
        let chosen = chosen.into_iter().collect::<Result<Vec<_>, _>>()?;
        let records: Vec<_> = chosen
            .into_iter()
            .flatten()
            .map(|(app, msg)| resend(task, app, msg, ep, delay_s))
            .collect();
        let sent = records.len() as u64;
        for result in send_all(&*self.queues.retries, records).await {
            result?;
        }
        task.count(SENT, sent);
        Ok(turn_page(task, listed))
    }

    async fn beginnings(
        &self,
        task: &Task,
        (app, ep): (ApplicationId, EndpointId),
        span: Span,
        keep: impl Fn(&Trace) -> bool,
    ) -> Result<Listed<Trace>, StepError> {
        let tenant = self.directory.tenant(&app, Need::EndpointById(ep)).await?;
        let endpoint = tenant.as_ref().and_then(|tenant| tenant.endpoint_by_id(&ep));
        let spread = endpoint.map_or(Spread::MOST, |endpoint| endpoint.spread);
        // A message may be attempted long after it was published, but what is begun after the task
        // was asked for, by the task itself as well, is not what it was asked for.
        let walk = walk(task, span.since, Some(task.created_at.plus_ms(ID_STEP_MS)));
        Ok(self.history.trail_of_endpoint(&ep, spread, &walk, self.ambient.now(), keep).await?)
    }

    async fn recover_one(
        &self,
        msg: MessageId,
        ep: EndpointId,
    ) -> Result<Option<Outgoing>, StepError> {
        let Some(found) = self.deliveries.delivery(&msg, &ep).await? else { return Ok(None) };
        let now = self.ambient.now();
        let advanced = self.deliveries.advance(&found, Event::Recovered, now).await?;
        Ok(matches!(advanced, Advanced::Done { .. }).then(|| retry(&found.value, now, now)))
    }

    /// Opens the delivery of a message that has none, or that was given up before its first
    /// attempt. A message that has not been dispatched yet looks like one that is missing: see
    /// [`InFlight`].
    async fn open(&self, message: Message, ep: EndpointId) -> Result<Option<Outgoing>, StepError> {
        let deliveries = &self.deliveries;
        let trigger = Trigger::Scheduled(1);
        if let Some(found) = deliveries.delivery(&message.id, &ep).await? {
            return match found.value.attempts {
                0 => self.recover_one(message.id, ep).await,
                _ => Ok(None),
            };
        }
        if deliveries.attempt(&message.id, &ep, trigger).await?.is_some() {
            return Ok(None);
        }
        let state = deliveries.schedule_state(&message).await?;
        if state.is_some_and(|state| state != ScheduleState::Released) {
            return Ok(None);
        }
        let now = self.ambient.now();
        let released_at = message.released_at();
        let at = match &self.in_flight {
            Some(in_flight) if in_flight.open(message.id, ep, released_at, now) => now,
            // It is being sent at this moment.
            Some(_) => return Ok(None),
            // An attempt without a lease may be under way wherever its record is fresh, or was
            // looked up a moment ago. It is over, and on record, when this one comes.
            None => released_at.plus_ms(2 * LEASE_MS).max(now.plus_ms(LEASE_MS)),
        };
        let first = Delivery { by_hand: true, ..Delivery::first(&message, ep, at, now) };
        let opened = deliveries.open(first.clone(), now).await?;
        Ok(matches!(opened, Advanced::Done { .. }).then(|| retry(&first, at, now)))
    }

    /// Sends deliveries that are open on their way. One that does not get into the queue is
    /// found by the sweep, as any pending delivery is.
    async fn send_opened(
        &self,
        task: &mut Task,
        opened: Vec<Result<Option<Outgoing>, StepError>>,
    ) -> Result<(), StepError> {
        let mut records = Vec::new();
        let mut trouble = None;
        for result in opened {
            match result {
                Ok(record) => records.extend(record),
                Err(error) => trouble = Some(error),
            }
        }
        task.count(SENT, records.len() as u64);
        send_all(&*self.queues.retries, records).await;
        trouble.map_or(Ok(()), Err)
    }

    /// What the beginning of a delivery alone does not tell.
    async fn choose(
        &self,
        trace: Trace,
        selection: &Selection,
    ) -> Result<Option<(ApplicationId, MessageId)>, StepError> {
        let (app, msg, ep) = match &trace {
            Trace::Attempt(attempt) => (attempt.app, attempt.msg, attempt.ep),
            // What still waits for its first attempt is sent by itself.
            Trace::Unattempted(delivery) if delivery.is_pending() => return Ok(None),
            Trace::Unattempted(delivery) => (delivery.app, delivery.msg, delivery.ep),
        };
        if matches!(trace, Trace::Unattempted(_)) && selection.filters() {
            let now = self.ambient.now();
            let Some(message) = self.deliveries.message(&msg, now).await? else { return Ok(None) };
            if !selection.fits(&message.event_type, &message.channels, &message.tags) {
                return Ok(None);
            }
        }
        if let Some(status) = selection.status {
            let delivery = match trace.is_success() {
                true => None,
                false => self.deliveries.delivery(&msg, &ep).await?,
            };
            if delivery.map_or(0, |found| status_code(&found.value.state)) != status {
                return Ok(None);
            }
        }
        if let Some(class) = selection.status_code_class {
            let attempts = self.history.attempts_of_pair(&msg, &ep).await?;
            if attempts.first().is_none_or(|last| last.status / 100 * 100 != class) {
                return Ok(None);
            }
        }
        Ok(Some((app, msg)))
    }
}

/// A state as Svix's API counts it.
fn status_code(state: &State) -> u8 {
    match state {
        State::Delivered => 0,
        State::Pending(_) => 1,
        State::Failed { .. } => 2,
        State::Canceled => 4,
    }
}

impl Selection {
    /// As far as the beginning of a delivery tells.
    fn may_keep(&self, trace: &Trace) -> bool {
        match trace {
            Trace::Attempt(made) => self.fits(&made.event_type, &made.channels, &made.tags),
            Trace::Unattempted(_) => true,
        }
    }

    fn filters(&self) -> bool {
        !self.event_types.is_empty() || self.channel.is_some() || self.tag.is_some()
    }

    fn fits(&self, event_type: &str, channels: &[String], tags: &[String]) -> bool {
        let type_fits =
            self.event_types.is_empty() || self.event_types.iter().any(|it| it == event_type);
        let channel_fits = self.channel.as_ref().is_none_or(|channel| channels.contains(channel));
        type_fits && channel_fits && self.tag.as_ref().is_none_or(|tag| tags.contains(tag))
    }
}

fn begins_in(trace: &Trace, span: Span) -> bool {
    trace.begins() && span.contains(trace.msg().ksuid().timestamp())
}

/// How far apart moments are that ids tell apart, in milliseconds.
const ID_STEP_MS: u64 = 4;

fn walk(task: &Task, after: Timestamp, before: Option<Timestamp>) -> Walk {
    Walk { after: Some(after), before, ..Walk::onward(PAGE, task.cursor.clone()) }
}

/// Does something about everything on a page, some of it at the same time.
async fn side_by_side<T, F: Future>(
    listed: &mut Listed<T>,
    work: impl Fn(T) -> F,
) -> Vec<F::Output> {
    let items = std::mem::take(&mut listed.items);
    stream::iter(items).map(work).buffer_unordered(PARALLEL).collect().await
}

fn retry(delivery: &Delivery, at: Timestamp, now: Timestamp) -> Outgoing {
    let Delivery { app, msg, ep, attempts, .. } = *delivery;
    Record::Retry { app, msg, ep, attempt: attempts + 1 }.outgoing(delay_until(at, now))
}

/// A resend whose attempt has the same id whoever makes it for this task.
fn resend(
    task: &Task,
    app: ApplicationId,
    msg: MessageId,
    ep: EndpointId,
    delay_s: u32,
) -> Outgoing {
    let digest = Sha256::digest(format!("{}{msg}{ep}", task.id));
    let mut random = [0; RANDOM_BYTES];
    random.copy_from_slice(&digest[..RANDOM_BYTES]);
    let attempt = AttemptId::from_ksuid(Ksuid::from_parts(task.created_at, random));
    Record::Resend { app, msg, ep, attempt, again: true, not_before: None }.outgoing(delay_s)
}
