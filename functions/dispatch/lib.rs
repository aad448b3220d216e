//! Second stage of the trip: a message goes out to every endpoint that wants it.
//!
//! The cast: [`Dispatcher`] takes a batch of records from the deliveries or the retries queue.
//! Each (message, endpoint) gets a task of its own, so that neither a hanging endpoint nor a
//! panic touches the others. An attempt is signed, sent, judged and recorded; what an endpoint
//! answers is never an error of ours, only what we cannot record is.
//!
//! The phases of an attempt, a file each:
//!
//! 1. `received`: the record is read, and becomes a [target](target::Target) for each endpoint.
//!    Where these are too many for one record, it is cut into `shares`, which come for themselves.
//! 2. `cleared`: a first attempt of a record that comes for the first time goes ahead. One that
//!    may be a repetition first looks at what is on record and takes a lease; so does every
//!    retry. What has to wait, for a rate or for want of time, is put off.
//! 3. `sent`: signed with all live secrets, with the bytes that were published; judged.
//! 4. `recorded`: the attempt under its number (the fence), with what it means for its delivery.
//! 5. `followed_up`: a retry that comes within 15 minutes is sent to the retries queue with a
//!    delay, a later one waits for the sweep; the endpoint's health is noted. What waited for an
//!    endpoint that had not answered is released once it does ([`released`]).
//!
//! What an event makes of a delivery is decided by
//! [`machine`](shared::domain::delivery::machine), whether a record may be a repetition by
//! [`clearance`](shared::domain::delivery::clearance). Only when all is done for every endpoint
//! is the record done. Everything else comes back: [`Dispatcher::serve`] awaits the task of every
//! record, and returns those that did not end well: failed, panicked or out of time.
//!
//! Not guaranteed: that a crash between request and record does not repeat that attempt; order.

use std::sync::Arc;

use shared::domain::attempt::TAKEN_EXCERPT_BYTES;
use shared::domain::clock::{Ambient, Timestamp};
pub use shared::domain::delivery::LEASE_MS;
use shared::domain::endpoint::NARROW;
use shared::domain::metrics::Metrics;
use shared::domain::schedule::Schedule;
use shared::domain::secret::Sealer;
use shared::host::assembly::{Base, Tenancy};
use shared::queue::{Consumer, Producer, Received};
use shared::sender::Sender;
use shared::store::{
    Backpressure, Deliveries, Directory, DirectoryEditor, EventTypeSettings, KeySets,
    LISTENERS_TTL_MS, Notices, Parking, Profiles, Rates,
};
use shared::work::InFlight;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span, instrument, warn};

mod attempt;
mod awaited;
mod budget;
mod circuit;
mod cleared;
mod followed_up;
mod given_back;
mod health;
mod job;
#[cfg(feature = "lambda")]
pub mod lambda;
mod measure;
mod pace;
mod phases;
mod policy;
mod received;
mod recorded;
mod released;
mod request;
mod sent;
mod shares;
mod slots;
mod target;
mod throttle;
mod token;
mod unwritten;

use budget::{Budget, within};
use given_back::Undone;
use health::Notes;
use job::{Job, NotDone, Receipt, Task, Tenants};
pub use measure::{Next, Observer};
use pace::{Pace, Pause};
pub use shared::domain::health::DISABLE_AFTER_MS;
use slots::Slots;
use throttle::Throttle;
use unwritten::Unwritten;

// A panic that aborted would take the whole batch with it.
const _: () = assert!(cfg!(panic = "unwind"), "dispatch must be built with panic = \"unwind\"");

/// Longest exchange with an endpoint, in milliseconds (Svix Cloud and Dots: 15 s).
pub const REQUEST_TIMEOUT_MS: u64 = 15_000;

/// How early what a rate has kept a moment for comes, in milliseconds.
const EARLY_MS: u64 = 1_000;

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
    /// Most bytes of the answer of an endpoint that took the message, to be kept.
    pub taken_excerpt_bytes: usize,
    /// Most attempts under way at once. Lambda has file descriptors for twice as many.
    pub parallel: usize,
    /// Most of them for one application, so that its hanging endpoints hold up nobody else's.
    pub parallel_per_application: usize,
    /// How much earlier than its moment something comes that a rate has kept one for, in
    /// milliseconds: it waits for it in hand. Queues count in whole seconds, so what does not come
    /// early comes up to one late, and a second's worth then in any part of the next.
    pub early_ms: u64,
    /// Most endpoints that want a message that one record is for, in a wide application.
    pub share: usize,
    /// What a simulation takes out of dispatch, to show what it is there for.
    pub without: Without,
}

/// Parts of dispatch that can be taken out. Nothing but code can: there is no setting for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// A store that would not take an attempt is not asked again, and the attempt made again.
    pub patience: bool,
    /// Endpoints that do not answer are called all the same.
    pub circuits: bool,
    /// Records are worked on at once however much the table throttles.
    pub pace: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            timeout_ms: REQUEST_TIMEOUT_MS,
            lease_ms: LEASE_MS,
            always_lease: false,
            disable_after_ms: Some(DISABLE_AFTER_MS),
            taken_excerpt_bytes: TAKEN_EXCERPT_BYTES,
            parallel: 512,
            parallel_per_application: 64,
            early_ms: EARLY_MS,
            share: NARROW,
            without: Without::default(),
        }
    }
}

/// What the dispatch function is made of.
#[derive(Clone)]
pub struct Parts {
    /// Reads applications and endpoints.
    pub directory: Directory,
    /// Writes down what attempts say about endpoints.
    pub editor: DirectoryEditor,
    /// Leases and records attempts.
    pub deliveries: Deliveries,
    /// The retries queue.
    pub retries: Arc<dyn Producer>,
    /// Gives out what endpoints and applications take a second.
    pub rates: Rates,
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
    /// The delivery settings of event types.
    pub event_type_settings: EventTypeSettings,
    /// The systems' ways.
    pub profiles: Profiles,
    /// What this process is sending without a lease.
    pub in_flight: InFlight,
    /// What the table would not take.
    pub backpressure: Backpressure,
    /// Hears what happened.
    pub metrics: Arc<dyn Metrics>,
    /// Watches attempts; nobody on Lambda.
    pub observer: Option<Arc<dyn Observer>>,
    /// How it behaves.
    pub settings: Settings,
}

impl Parts {
    /// What the function needs of the base, and what it alone has.
    pub fn new(
        base: Base,
        tenancy: Tenancy,
        retries: Arc<dyn Producer>,
        sender: Arc<dyn Sender>,
        settings: Settings,
    ) -> Self {
        let notices = base.stores.notices(LISTENERS_TTL_MS);
        let stores = base.stores;
        Self {
            directory: stores.directory,
            editor: stores.editor,
            deliveries: stores.deliveries,
            retries,
            rates: stores.rates,
            parking: stores.parking,
            sender,
            sealer: tenancy.sealer,
            ambient: base.ambient,
            key_sets: stores.key_sets,
            notices,
            event_type_settings: stores.event_type_settings,
            profiles: tenancy.profiles,
            in_flight: base.in_flight.unwrap_or_default(),
            backpressure: base.backpressure,
            metrics: base.metrics,
            observer: None,
            settings,
        }
    }
}

/// The dispatch function. Clones share their limits.
#[derive(Clone)]
pub struct Dispatcher(Arc<Context>);

/// What all records are worked on with.
struct Context {
    parts: Parts,
    slots: Slots,
    throttle: Throttle,
    unwritten: Unwritten,
    notes: Notes,
    pace: Pace,
}

impl Dispatcher {
    /// Puts the function together.
    pub fn new(parts: Parts) -> Self {
        let Settings { parallel, parallel_per_application, .. } = parts.settings;
        let slots = Slots::new(parallel, parallel_per_application);
        let throttle = Throttle::new(parts.rates.clone());
        let unwritten = Unwritten::default();
        let pace = Pace::new(parts.backpressure.clone());
        let notes = Notes::default();
        Self(Arc::new(Context { parts, slots, throttle, unwritten, notes, pace }))
    }

    /// Begins no more attempts: what has not begun is put off at once. Those under way go on.
    pub fn stop(&self) {
        self.0.slots.close();
    }

    /// Works on a batch from this queue and answers with the ids of the records that are not done:
    /// they are given back, and come again soon. `deadline` is when the invocation will be cut
    /// off.
    pub async fn serve(
        &self,
        queue: &dyn Consumer,
        batch: Vec<Received>,
        deadline: Option<Timestamp>,
    ) -> Vec<String> {
        let undone = self.work(batch, deadline).await;
        let left = Budget::until(deadline).giving_back(self.0.parts.ambient.now());
        if within(left, given_back::give_back(queue, &undone)).await.is_none() {
            warn!("no time to give back: these records come after their visibility");
        }
        undone.into_iter().map(|undone| undone.id).collect()
    }

    /// The same, without giving anything back: what is not done comes when its visibility ends.
    pub async fn handle(&self, batch: Vec<Received>, deadline: Option<Timestamp>) -> Vec<String> {
        self.work(batch, deadline).await.into_iter().map(|undone| undone.id).collect()
    }

    #[instrument(name = "dispatch", skip_all, fields(records = batch.len()))]
    async fn work(&self, batch: Vec<Received>, deadline: Option<Timestamp>) -> Vec<Undone> {
        let ambient = &self.0.parts.ambient;
        let begun = Instant::now();
        let limit = Budget::until(deadline).all(ambient.now());
        let mut undone = Vec::new();
        for (receipt, span, task) in self.begin(batch, deadline) {
            let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
            let done = within(left, task.done()).await;
            let late = || Err(NotDone::Failed("it took too long".to_owned()));
            let done = done.unwrap_or_else(late);
            measure::settled(&self.0.parts.metrics, &done);
            let Err(why) = done else { continue };
            span.in_scope(|| job::report(&receipt, &why));
            let random = u64::from_be_bytes(ambient.random());
            undone.push(Undone::new(receipt, &why, ambient.now(), random));
        }
        undone
    }

    /// Each record of a batch in a task of its own.
    fn begin(
        &self,
        batch: Vec<Received>,
        deadline: Option<Timestamp>,
    ) -> Vec<(Receipt, Span, Task)> {
        let tenants = Tenants::default();
        let Parts { ambient, settings, .. } = &self.0.parts;
        let pause = match settings.without.pace {
            true => Pause::default(),
            false => self.0.pace.next(ambient.now(), || u64::from_be_bytes(ambient.random())),
        };
        let begin = |received: Received| {
            let receipt = Receipt::of(&received);
            let job = Job {
                context: self.0.clone(),
                receipt: receipt.clone(),
                deadline,
                tenants: tenants.clone(),
                pause,
            };
            // Inside the invocation's span, which has its id.
            let span = info_span!(
                "record",
                record.id = receipt.id,
                message.id = Empty,
                endpoint.id = Empty
            );
            let work = received::process(job, received.body);
            let task = Task::spawn(work.instrument(span.clone()));
            (receipt, span, task)
        };
        batch.into_iter().map(begin).collect()
    }
}
