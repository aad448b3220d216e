//! Second stage of the trip: a message goes out to every endpoint that wants it.
//!
//! The cast: [`Dispatcher`] takes a batch of records from the deliveries or the retries queue.
//! Each (message, endpoint) gets a task of its own, so that neither a hanging endpoint nor a
//! panic touches the others. An attempt is signed, sent, judged and recorded; what an endpoint
//! answers is never an error of ours, only what we cannot record is.
//!
//! The lifecycle of an attempt:
//!
//! 1. *Clearance.* A first attempt of a record that comes for the first time goes ahead. One
//!    that may be a repetition first looks what is on record and takes a lease; so does every
//!    retry. The first receive of a record is itself a lease, which SQS writes down for free.
//! 2. *Request.* Signed with all live secrets, with the bytes that were published.
//! 3. *Record.* The attempt under its number (the fence), with its consequence.
//! 4. *Follow-up.* A retry that comes within 15 minutes is sent to the retries queue with a
//!    delay; a later one waits for the sweep.
//!
//! Only when all of that is done for every endpoint is the record done. Everything else comes
//! back: [`Dispatcher::handle`] starts from "nothing is done" and takes off what is proven.
//!
//! Not guaranteed: that a crash between request and record does not repeat that attempt; order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use health::DISABLE_AFTER_MS;
pub use shared::domain::attempt::LEASE_MS;
use shared::domain::clock::{Ambient, Timestamp};
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, EndpointId, MessageId};
use shared::domain::message::Message;
use shared::domain::metrics::Metrics;
use shared::domain::schedule::Schedule;
use shared::domain::secret::Sealer;
use shared::queue::record::Record;
use shared::queue::{Producer, Received};
use shared::sender::Sender;
use shared::store::Profiles;
use shared::store::{
    Deliveries, Directory, DirectoryEditor, KeySets, Notices, Parked, Parking, Snapshot,
    StoreError, Tenant, Treatments,
};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinError;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, error, info_span, instrument, warn};

mod attempt;
mod clearance;
mod health;
#[cfg(feature = "lambda")]
pub mod lambda;
mod measure;
mod policy;
mod request;
mod retry;
mod throttle;
mod token;

use policy::Policy;
use throttle::Throttle;

// A panic that aborted would take the whole batch with it.
const _: () = assert!(cfg!(panic = "unwind"), "dispatch must be built with panic = \"unwind\"");

/// Longest exchange with an endpoint, in milliseconds (Svix Cloud and Dots: 15 s).
pub const REQUEST_TIMEOUT_MS: u64 = 15_000;
/// Time that is kept for recording, in milliseconds: no attempt starts with less left.
const WRAP_UP_MS: u64 = 3_000;

/// How dispatch behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When to try again.
    pub schedule: Schedule,
    /// Longest exchange with an endpoint, in milliseconds.
    pub timeout_ms: u64,
    /// How long an attempt is leased, in milliseconds.
    pub lease_ms: u64,
    /// Lease every first attempt, not only those of records that may be repetitions.
    pub always_lease: bool,
    /// How long an endpoint may only fail before it is disabled, in milliseconds; never if not
    /// said.
    pub disable_after_ms: Option<u64>,
    /// Most attempts under way at once.
    pub parallel: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            timeout_ms: REQUEST_TIMEOUT_MS,
            lease_ms: LEASE_MS,
            always_lease: false,
            disable_after_ms: Some(DISABLE_AFTER_MS),
            parallel: 64,
        }
    }
}

/// What the dispatch function is made of.
#[derive(Clone)]
pub struct Parts {
    /// Reads applications and endpoints.
    pub directory: Directory,
    /// Disables endpoints that are gone.
    pub editor: DirectoryEditor,
    /// Leases and records attempts.
    pub deliveries: Deliveries,
    /// The retries queue.
    pub retries: Arc<dyn Producer>,
    /// Keeps records that nobody can read.
    pub parking: Parking,
    /// The way out.
    pub sender: Arc<dyn Sender>,
    /// Opens endpoint secrets.
    pub sealer: Sealer,
    /// Time and randomness.
    pub ambient: Ambient,
    /// Keys that sign security event tokens.
    pub key_sets: KeySets,
    /// Tells organisations what they want to know.
    pub notices: Notices,
    /// How event types are treated.
    pub treatments: Treatments,
    /// The systems' ways.
    pub profiles: Profiles,
    /// Hears what happened.
    pub metrics: Arc<dyn Metrics>,
    /// How it behaves.
    pub settings: Settings,
}

/// The dispatch function. Clones share their limits.
#[derive(Clone)]
pub struct Dispatcher {
    parts: Arc<Parts>,
    slots: Arc<Semaphore>,
    throttle: Arc<Throttle>,
}

/// Why a record has to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Undone {
    /// Somebody else may be busy with it.
    Busy,
    /// No time left to start another attempt.
    OutOfTime,
    /// Something of ours failed.
    Failed(String),
}

impl Undone {
    /// A task that panicked. What it said may quote anything, so it is left out; the log of
    /// panics has the place.
    fn ended_early(error: &JoinError) -> Self {
        let how = if error.is_panic() { "it panicked" } else { "it was cancelled" };
        Self::Failed(format!("the task ended early: {how}"))
    }
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a record is worked on with.
struct Job {
    /// The queue record, without its body.
    received: Receipt,
    /// When this invocation has to be over.
    deadline: Option<Timestamp>,
    tenants: Tenants,
}

/// What the queue says about a record.
#[derive(Clone, Debug)]
struct Receipt {
    id: String,
    receive_count: u32,
    first_received_at: Timestamp,
}

/// Applications of one batch, each read once.
type Tenants = Arc<Mutex<HashMap<ApplicationId, Arc<OnceCell<Option<Arc<Tenant>>>>>>>;

impl Dispatcher {
    /// Puts the function together.
    pub fn new(parts: Parts) -> Self {
        let slots = Arc::new(Semaphore::new(parts.settings.parallel));
        Self { parts: Arc::new(parts), slots, throttle: Arc::default() }
    }

    /// Works on a batch and answers with the ids of the records that are not done and have to
    /// come again. `deadline` is when the invocation will be cut off.
    #[instrument(name = "dispatch", skip_all, fields(records = batch.len()))]
    pub async fn handle(&self, batch: Vec<Received>, deadline: Option<Timestamp>) -> Vec<String> {
        let tenants = Tenants::default();
        let mut tasks = Vec::with_capacity(batch.len());
        for received in batch {
            let receipt = Receipt {
                id: received.id,
                receive_count: received.receive_count,
                first_received_at: received.first_received_at,
            };
            let job = Job { received: receipt.clone(), deadline, tenants: tenants.clone() };
            let dispatcher = self.clone();
            let body = received.body;
            // Inside the invocation's span, which has its id.
            let span = info_span!(
                "record",
                record.id = receipt.id,
                message.id = Empty,
                endpoint.id = Empty
            );
            let work = async move { dispatcher.process(job, body).await };
            let task = tokio::spawn(work.instrument(span.clone()));
            tasks.push((receipt, span, task));
        }
        let mut undone = Vec::new();
        for (receipt, span, task) in tasks {
            let why = match task.await {
                Ok(Ok(())) => continue,
                Ok(Err(why)) => why,
                Err(error) => Undone::ended_early(&error),
            };
            span.in_scope(|| report(&receipt, &why));
            undone.push(receipt.id);
        }
        undone
    }

    async fn process(&self, job: Job, body: String) -> Result<(), Undone> {
        match Record::parse(&body) {
            Ok(Record::Accepted { message, again }) => {
                name(message.id, None);
                drop(body);
                self.fan_out(job, *message, again).await
            }
            Ok(Record::Retry { app, msg, ep, attempt }) => {
                name(msg, Some(ep));
                self.retry(&job, app, msg, ep, attempt).await
            }
            Ok(Record::Resend { app, msg, ep, attempt, again }) => {
                name(msg, Some(ep));
                self.resend(&job, app, msg, ep, attempt, again).await
            }
            // It will not read better the next time.
            Err(reason) => self.park(&job, body, reason).await,
        }
    }

    /// Sends a message to every endpoint that wants it, each in its own task.
    async fn fan_out(&self, job: Job, message: Message, again: bool) -> Result<(), Undone> {
        let repeated = again || job.received.receive_count > 1;
        self.check_first_receive(&job.received)?;
        if message.parts > 0 {
            // Its parts are what is sent.
            return Ok(());
        }
        let Some(tenant) = self.tenant(&job, message.app).await? else {
            // The application was deleted, and its endpoints with it.
            return Ok(());
        };
        let wanting = self.wanting(&tenant, &message).await?;
        if wanting.is_empty() {
            return Ok(());
        }
        let snapshot = match repeated {
            true => Some(self.parts.deliveries.snapshot(&message.id).await?),
            false => None,
        };
        if snapshot.as_ref().is_some_and(Snapshot::is_canceled) {
            return Ok(());
        }
        if let [(only, policy)] = wanting.as_slice() {
            name(message.id, Some(only.id));
            return self.first(&job, &message, only, policy, snapshot.as_ref()).await;
        }
        let endpoints: Vec<(Endpoint, Policy)> =
            wanting.into_iter().map(|(endpoint, policy)| (endpoint.clone(), policy)).collect();
        let shared = Arc::new((job, message, snapshot));
        let tasks: Vec<_> = endpoints
            .into_iter()
            .map(|(endpoint, policy)| {
                let dispatcher = self.clone();
                let shared = shared.clone();
                let ep = endpoint.id;
                let work = async move {
                    let (job, message, snapshot) = &*shared;
                    dispatcher.first(job, message, &endpoint, &policy, snapshot.as_ref()).await
                };
                (ep, tokio::spawn(work.in_current_span()))
            })
            .collect();
        let mut result = Ok(());
        for (ep, task) in tasks {
            let why = match task.await {
                Ok(Ok(())) => continue,
                Ok(Err(why)) => why,
                Err(error) => Undone::ended_early(&error),
            };
            if let Undone::Failed(reason) = &why {
                // The record's own line has only one of them.
                error!(endpoint.id = %ep, reason, "delivery failed");
            }
            result = Err(why);
        }
        result
    }

    /// The endpoints that a message goes to, and how each is treated.
    async fn wanting<'a>(
        &self,
        tenant: &'a Arc<Tenant>,
        message: &Message,
    ) -> Result<Vec<(&'a Endpoint, Policy)>, StoreError> {
        let mut wanting = Vec::new();
        for endpoint in &tenant.endpoints {
            if endpoint.wants(&message.event_type, &message.channels) {
                let policy = self.policy(tenant, endpoint, &message.event_type).await?;
                if policy.barred(endpoint, message).is_none() {
                    wanting.push((endpoint, policy));
                }
            }
        }
        Ok(wanting)
    }

    /// The application and its endpoints, read once for the whole batch.
    async fn tenant(
        &self,
        job: &Job,
        app: ApplicationId,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let cell = {
            let mut tenants = job.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            tenants.entry(app).or_default().clone()
        };
        cell.get_or_try_init(|| self.parts.directory.tenant(&app)).await.cloned()
    }

    async fn park(&self, job: &Job, body: String, reason: String) -> Result<(), Undone> {
        error!(record.id = job.received.id, reason, "parked a record that cannot be read");
        let parked = Parked {
            id: job.received.id.clone(),
            queue: "dispatch".to_owned(),
            reason,
            at: self.parts.ambient.now(),
            body,
        };
        Ok(self.parts.parking.park(&parked).await?)
    }
}

/// Says in the record's span what the record is about.
fn name(msg: MessageId, ep: Option<EndpointId>) {
    let span = Span::current();
    span.record("message.id", display(msg));
    ep.map(|ep| span.record("endpoint.id", display(ep)));
}

fn report(receipt: &Receipt, why: &Undone) {
    let count = receipt.receive_count;
    match why {
        Undone::Busy => warn!(record.id = receipt.id, count, "left to whoever is busy with it"),
        Undone::OutOfTime => warn!(record.id = receipt.id, count, "left for want of time"),
        Undone::Failed(reason) => error!(record.id = receipt.id, count, reason, "record failed"),
    }
}

/// What is on record for a message whose record came again; `None` when it came for the first
/// time.
type OnRecord<'a> = Option<&'a Snapshot>;
