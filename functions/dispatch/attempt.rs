//! One attempt: sent, judged, recorded, followed up.

use shared::domain::attempt::{Attempt, Delivery, EXCERPT_BYTES, Progress, Turn};
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::AttemptId;
use shared::domain::limits::MAX_QUEUE_DELAY_S;
use shared::domain::message::Message;
use shared::domain::notice::Trigger;
use shared::queue::record::{Record, delay_until};
use shared::queue::send_one;
use shared::sender::{Ending, Outcome};
use shared::store::{Consequence, Leased, QUEUE_GRACE_MS, Recorded, SWEEP_AHEAD_MS};
use tokio::sync::SemaphorePermit;
use tracing::field::Empty;
use tracing::{Span, instrument};

use crate::policy::Policy;
use crate::request::{self, Body};
use crate::{Dispatcher, Job, Undone, WRAP_UP_MS};

/// "This address is gone for good": Standard Webhooks asks to stop calling it.
const GONE: u16 = 410;

/// What an outcome comes to.
pub(crate) struct Verdict {
    pub(crate) ok: bool,
    pub(crate) gone: bool,
    retry_after: Option<String>,
    status: u16,
    response: String,
}

impl Dispatcher {
    /// Waits for a free slot.
    pub(crate) async fn slot(&self) -> Result<SemaphorePermit<'_>, Undone> {
        self.slots.acquire().await.map_err(|_| Undone::OutOfTime)
    }

    /// Refuses to start what may not be over and recorded before the deadline.
    pub(crate) fn check_time(&self, job: &Job, policy: &Policy) -> Result<(), Undone> {
        let needed_ms = policy.timeout_ms + WRAP_UP_MS;
        match job.deadline {
            Some(deadline) if deadline.since(self.parts.ambient.now()) < needed_ms => {
                Err(Undone::OutOfTime)
            }
            _ => Ok(()),
        }
    }

    /// Makes the scheduled attempt of this number.
    pub(crate) async fn attempt(
        &self,
        message: &Message,
        endpoint: &Endpoint,
        policy: &Policy,
        number: u32,
        held: Option<&Leased>,
    ) -> Result<(), Undone> {
        let id = AttemptId::new(&self.parts.ambient);
        let turn = Turn::Scheduled(number);
        let (attempt, verdict) = self.send(message, endpoint, policy, id, turn).await?;
        let consequence = self.consequence(policy, &verdict, number);
        let tidings =
            self.tidings(message, policy.application(), &attempt, number, &consequence).await;
        let deliveries = &self.parts.deliveries;
        let recorded = match tidings.is_empty() {
            true => deliveries.record(&attempt, message, held, &consequence).await?,
            false => deliveries.with(tidings).record(&attempt, message, held, &consequence).await?,
        };
        self.tell(&attempt, message, &recorded, Some(&consequence));
        if recorded != Recorded::Done {
            // Whoever was faster has done the rest.
            return Ok(());
        }
        if verdict.ok && message.test {
            self.verify(endpoint).await?;
        }
        match consequence {
            Consequence::Retry { at, .. } => {
                self.send_retry(message, endpoint, number + 1, at).await
            }
            Consequence::Failed if verdict.gone => {
                self.disable(endpoint, policy.application(), Trigger::Automatic(attempt.at)).await
            }
            Consequence::Failed => self.note_given_up(endpoint, policy.application()).await,
            Consequence::Delivered => self.note_success(endpoint).await,
        }
    }

    /// Sends the request and puts what came of it in a form for the record.
    #[instrument(
        name = "attempt",
        skip_all,
        fields(
            message.id = %message.id, endpoint.id = %endpoint.id, attempt.id = %id,
            attempt.turn = ?turn, status = Empty, delivered = Empty,
        )
    )]
    pub(crate) async fn send(
        &self,
        message: &Message,
        endpoint: &Endpoint,
        policy: &Policy,
        id: AttemptId,
        turn: Turn,
    ) -> Result<(Attempt, Verdict), Undone> {
        let at = self.parts.ambient.now();
        let owner = endpoint.id.to_string();
        let secrets = endpoint.keyring.live(&owner, &self.parts.sealer, at);
        if secrets.is_empty() {
            return Err(Undone::Failed(format!(
                "the secret of {owner} does not open: has the root secret changed?"
            )));
        }
        let custom = endpoint.open_headers(&self.parts.sealer).ok_or_else(|| {
            Undone::Failed(format!(
                "a header of {owner} does not open: has the root secret changed?"
            ))
        })?;
        let body = match &policy.token {
            None => Ok(Body::json(message, endpoint, &policy.profile)),
            Some(parts) => self.token(message, policy, parts, at).await?,
        };
        let outcome = match body {
            Ok(body) => {
                let outbound =
                    request::signed(message, endpoint, body, &secrets, (policy, custom), at);
                self.parts.sender.send(outbound).await
            }
            Err(reason) => Outcome { ending: Ending::Refused(reason), duration_ms: 0 },
        };
        if let Ending::Unsent(reason) = outcome.ending {
            return Err(Undone::Failed(reason));
        }
        let duration_ms = outcome.duration_ms;
        let verdict = judge(outcome, policy);
        Span::current().record("status", verdict.status).record("delivered", verdict.ok);
        let attempt = Attempt {
            id,
            msg: message.id,
            app: message.app,
            ep: endpoint.id,
            turn,
            at,
            url: endpoint.url.clone(),
            ok: verdict.ok,
            status: verdict.status,
            ms: duration_ms,
            response: verdict.response.clone(),
            event_type: message.event_type.clone(),
            channels: message.channels.clone(),
            tags: message.tags.clone(),
            subject: message.subject.clone(),
        };
        Ok((attempt, verdict))
    }

    /// What an attempt means for its delivery.
    pub(crate) fn consequence(
        &self,
        policy: &Policy,
        verdict: &Verdict,
        number: u32,
    ) -> Consequence {
        if verdict.ok {
            return Consequence::Delivered;
        }
        if verdict.gone || !policy.is_retried(verdict.status) {
            return Consequence::Failed;
        }
        let now = self.parts.ambient.now();
        let random = u64::from_be_bytes(self.parts.ambient.random());
        match policy.schedule.next(number, now, verdict.retry_after.as_deref(), random) {
            None => Consequence::Failed,
            Some(at) => {
                let through_queue = at.since(now) <= u64::from(MAX_QUEUE_DELAY_S) * 1000;
                let due = if through_queue {
                    at.plus_ms(QUEUE_GRACE_MS)
                } else {
                    at.minus_ms(SWEEP_AHEAD_MS)
                };
                Consequence::Retry { at, due }
            }
        }
    }

    /// Makes sure that a pending delivery's next attempt is on its way. Sending it once too
    /// often is harmless: an attempt is leased, and made once.
    pub(crate) async fn follow_up(&self, delivery: &Delivery) -> Result<(), Undone> {
        let now = self.parts.ambient.now();
        let waits_for_sweep = delivery.due_at < delivery.next_at;
        if delivery.progress != Progress::Pending || waits_for_sweep || delivery.is_leased(now) {
            return Ok(());
        }
        let record = Record::Retry {
            app: delivery.app,
            msg: delivery.msg,
            ep: delivery.ep,
            attempt: delivery.attempts + 1,
        };
        self.enqueue(&record, delivery.next_at).await
    }

    async fn send_retry(
        &self,
        message: &Message,
        endpoint: &Endpoint,
        attempt: u32,
        at: Timestamp,
    ) -> Result<(), Undone> {
        if at.since(self.parts.ambient.now()) > u64::from(MAX_QUEUE_DELAY_S) * 1000 {
            return Ok(());
        }
        let (app, msg, ep) = (message.app, message.id, endpoint.id);
        self.enqueue(&Record::Retry { app, msg, ep, attempt }, at).await
    }

    async fn enqueue(&self, record: &Record, at: Timestamp) -> Result<(), Undone> {
        let delay_s = delay_until(at, self.parts.ambient.now());
        send_one(&*self.parts.retries, record.outgoing(delay_s))
            .await
            .map_err(|error| Undone::Failed(error.to_string()))
    }

    /// Notes that the endpoint took a test event, the first time that it does.
    pub(crate) async fn verify(&self, endpoint: &Endpoint) -> Result<(), Undone> {
        if endpoint.verified_at.is_none() {
            let now = self.parts.ambient.now();
            let change = |endpoint: &mut Endpoint| {
                endpoint.verified_at = endpoint.verified_at.or(Some(now));
            };
            self.parts.editor.edit_endpoint(&endpoint.app, &endpoint.id, now, change).await?;
        }
        Ok(())
    }
}

/// Success is what the policy says, 2xx unless it says less. Everything else is a failure,
/// redirects included.
fn judge(outcome: Outcome, policy: &Policy) -> Verdict {
    let (status, response, retry_after) = match outcome.ending {
        Ending::Answered { status, excerpt, retry_after } => {
            (status, legible(&excerpt), retry_after)
        }
        Ending::TimedOut => (0, format!("no answer within {} ms", outcome.duration_ms), None),
        Ending::Refused(reason) => (0, format!("not called: {reason}"), None),
        Ending::Failed(reason) | Ending::Unsent(reason) => (0, reason, None),
    };
    Verdict { ok: policy.is_success(status), gone: status == GONE, retry_after, status, response }
}

impl Verdict {
    /// What is known of an attempt that is on record.
    pub(crate) fn of(attempt: Attempt) -> Self {
        Self {
            ok: attempt.ok,
            gone: attempt.status == GONE,
            retry_after: None,
            status: attempt.status,
            response: attempt.response,
        }
    }
}

/// The beginning of an answer as text of at most [`EXCERPT_BYTES`]. What is not UTF-8 becomes
/// U+FFFD, which is longer than what it stands for.
fn legible(excerpt: &[u8]) -> String {
    let excerpt = &excerpt[..excerpt.len().min(EXCERPT_BYTES)];
    let mut text = String::from_utf8_lossy(excerpt).into_owned();
    text.truncate(text.floor_char_boundary(EXCERPT_BYTES));
    text
}
