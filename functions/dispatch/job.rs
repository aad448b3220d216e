//! A record under way: what the queue says about it, what it is worked on with, and why it may
//! have to come back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::domain::clock::Timestamp;
use shared::domain::delivery::clearance::Arrival;
use shared::domain::id::{ApplicationId, AttemptId, EndpointId, MessageId};
use shared::domain::message::Message;
use shared::domain::metrics::Metric;
use shared::domain::sync::hold;
use shared::queue::{Outgoing, QueueError, Received, VISIBILITY_S, send_all};
use shared::store::{Need, StoreError, Tenant};
use tokio::sync::OnceCell;
use tokio::task::{JoinError, JoinHandle};
use tracing::{error, warn};

use crate::Context;
use crate::pace::Pause;

/// Why a record has to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// Whoever received it before may still be busy with it.
    Busy {
        /// Until then at the most.
        until: Timestamp,
    },
    /// Something of ours failed.
    Failed(String),
    /// A newer version has written it, and will read it.
    Unknown(String),
}

impl NotDone {
    /// A task that panicked. What it said may quote anything, so it is left out; the log of
    /// panics has the place.
    fn ended_early(error: &JoinError) -> Self {
        let how = if error.is_panic() { "it panicked" } else { "it was cancelled" };
        Self::Failed(format!("the task ended early: {how}"))
    }

    /// What it counts as.
    pub(crate) fn cause(&self) -> Metric {
        match self {
            Self::Busy { .. } => Metric::UndoneBusy,
            Self::Failed(_) => Metric::UndoneFailed,
            Self::Unknown(_) => Metric::UndoneUnknown,
        }
    }
}

/// Some work of its own, so that a panic in it touches nothing else. It ends when this is dropped.
pub(crate) struct Task(JoinHandle<Result<(), NotDone>>);

impl Task {
    /// Begins.
    pub(crate) fn spawn(work: impl Future<Output = Result<(), NotDone>> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// What came of it.
    pub(crate) async fn done(mut self) -> Result<(), NotDone> {
        match (&mut self.0).await {
            Ok(done) => done,
            Err(error) => Err(NotDone::ended_early(&error)),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl From<QueueError> for NotDone {
    fn from(error: QueueError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<StoreError> for NotDone {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A resend that somebody asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByHand {
    pub(crate) app: ApplicationId,
    pub(crate) msg: MessageId,
    pub(crate) ep: EndpointId,
    /// The id that the attempt will have.
    pub(crate) id: AttemptId,
    /// The record may be there a second time.
    pub(crate) again: bool,
    /// The moment that the rate has kept for it.
    pub(crate) not_before: Option<Timestamp>,
}

/// A record under way, and what it is worked on with.
pub(crate) struct Job {
    pub(crate) context: Arc<Context>,
    /// The queue record, without its body.
    pub(crate) receipt: Receipt,
    /// When this invocation has to be over.
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) tenants: Tenants,
    /// How long its batch waits.
    pub(crate) pause: Pause,
}

/// What the queue says about a record.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    /// What gives it back.
    pub(crate) receipt: String,
    pub(crate) receive_count: u32,
    pub(crate) first_received_at: Timestamp,
}

impl Receipt {
    pub(crate) fn of(received: &Received) -> Self {
        Self {
            id: received.id.clone(),
            receipt: received.receipt.clone(),
            receive_count: received.receive_count,
            first_received_at: received.first_received_at,
        }
    }

    /// How the record came, as far as a message that could be sent from `released_at` on.
    pub(crate) fn arrival(&self, again: bool, released_at: Timestamp) -> Arrival {
        Arrival {
            receive_count: self.receive_count,
            first_received_at: self.first_received_at,
            visibility_ms: u64::from(VISIBILITY_S) * 1000,
            again,
            released_at,
            cut_since: None,
        }
    }
}

/// How old what was read may be when an attempt begins, in milliseconds. On one machine whoever waits
/// for a slot may wait for minutes.
pub(crate) const STALE_MS: u64 = 1_000;

/// Applications of one batch, each read once while it is not too old, and since when it is; wide ones
/// once more for all of their endpoints.
pub(crate) type Tenants = Arc<Mutex<HashMap<(ApplicationId, Part), (Timestamp, Arc<Read>)>>>;
type Read = OnceCell<Option<Arc<Tenant>>>;

/// How much of an application was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// Itself, without endpoints.
    Head,
    /// Its endpoints too, unless it is wide.
    Narrow,
    /// All of it.
    Whole,
}

impl Job {
    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.context.parts.ambient.now()
    }

    /// Whether a message is kept no longer. Who had it nobody knows any more, and what would be put
    /// on record may be in the place of a newer one of its name.
    pub(crate) fn is_expired(&self, message: &Message) -> bool {
        let is_expired = message.expires_at <= self.now();
        if is_expired {
            warn!(message.id = %message.id, "a record came after its message's retention");
        }
        is_expired
    }

    /// Puts records in the retries queue.
    ///
    /// # Errors
    /// When not all of them are in it.
    pub(crate) async fn send_to_retries(&self, records: Vec<Outgoing>) -> Result<(), NotDone> {
        for sent in send_all(&*self.context.parts.retries, records).await {
            sent?;
        }
        Ok(())
    }

    /// Waits for a moment that has been kept for what this is about; no longer than it may come
    /// early.
    pub(crate) async fn wait_until(&self, moment: Timestamp) {
        let early_ms = moment.since(self.now()).min(self.context.parts.settings.early_ms);
        if early_ms > 0 {
            tokio::time::sleep(Duration::from_millis(early_ms)).await;
        }
    }

    /// Waits as long as the table asks for by what it refuses, and as there is time.
    pub(crate) async fn keep_pace(&self, is_fresh: bool) {
        let pause = if is_fresh { self.pause.fresh } else { self.pause.others };
        let pause = self.budget().waiting(self.now()).map_or(pause, |left| left.min(pause));
        if !pause.is_zero() {
            warn!(pause_ms = pause.as_millis(), "the table throttles: the record waits");
            tokio::time::sleep(pause).await;
        }
    }

    /// The application, and its endpoints unless it is wide: read once for what a batch does at about
    /// the same time.
    pub(crate) async fn tenant(
        &self,
        app: ApplicationId,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let directory = &self.context.parts.directory;
        let cell = self.cell(app, Part::Narrow);
        let read = cell.get_or_try_init(|| directory.tenant(&app, Need::Application));
        read.await.cloned()
    }

    /// The application with this endpoint, if there is such a one.
    pub(crate) async fn tenant_with(
        &self,
        app: ApplicationId,
        ep: EndpointId,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let directory = &self.context.parts.directory;
        let is_read = self.cell(app, Part::Narrow).initialized();
        let tenant = match directory.is_large(&app) && !is_read {
            true => {
                let read = async || directory.head(&app).await.map(|head| head.map(Arc::new));
                self.cell(app, Part::Head).get_or_try_init(read).await?.clone()
            }
            false => self.tenant(app).await?,
        };
        let Some(tenant) = tenant else { return Ok(None) };
        directory.complete(tenant, Need::EndpointById(ep)).await
    }

    /// The application with all of its endpoints, read as often.
    pub(crate) async fn whole_tenant(
        &self,
        app: ApplicationId,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let Some(tenant) = self.tenant(app).await? else { return Ok(None) };
        let cell = self.cell(app, Part::Whole);
        let directory = &self.context.parts.directory;
        cell.get_or_try_init(|| directory.complete(tenant, Need::All)).await.cloned()
    }

    fn cell(&self, app: ApplicationId, part: Part) -> Arc<Read> {
        let now = self.now();
        let mut tenants = hold(&self.tenants);
        let (since, read) = tenants.entry((app, part)).or_insert_with(|| (now, Arc::default()));
        if now.since(*since) >= STALE_MS {
            (*since, *read) = (now, Arc::default());
        }
        read.clone()
    }

    /// Refuses a record that somebody else may still be working on without a lease: whoever
    /// received it first has as long as a lease lasts, and the queue remembers when that was.
    pub(crate) fn check_first_receive(&self, arrival: &Arrival) -> Result<(), NotDone> {
        let lease_ms = self.context.parts.settings.lease_ms;
        match arrival.may_be_in_other_hands(self.now(), lease_ms) {
            true => Err(NotDone::Busy { until: self.receipt.first_received_at.plus_ms(lease_ms) }),
            false => Ok(()),
        }
    }
}

/// Says in the log why a record comes back.
pub(crate) fn report(receipt: &Receipt, why: &NotDone) {
    let count = receipt.receive_count;
    match why {
        NotDone::Busy { .. } => {
            warn!(record.id = receipt.id, count, "left to whoever is busy with it");
        }
        NotDone::Unknown(reason) => {
            warn!(record.id = receipt.id, count, reason, "left to a newer version");
        }
        NotDone::Failed(reason) => error!(record.id = receipt.id, count, reason, "record failed"),
    }
}
