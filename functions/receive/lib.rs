//! First stage of the trip: an event comes in, is checked, stored and enqueued.
//!
//! The cast: [`Receiver`] answers `POST /api/v1/app/{app_id}/msg`, and `.../msg/batch` for many
//! messages at once. It knows who asks by a bearer token or by a Standard Webhooks signature made
//! with the application's integration key, reads the application (kept for a while), puts the
//! message in the [`Inbox`] and sends it to the deliveries queue.
//!
//! 202 is given only when the store and the queue have both acknowledged. If the process dies
//! between the two, no 202 was given; the publisher asks again, the message is found in its
//! place, and since no attempt is on record it is sent again. On one machine store and queue take a
//! message that comes alone in one step.
//!
//! One name is published under once at a time: whoever else asks in this process waits. What
//! another process may be about to send comes a second time only when that is over.
//!
//! What the store or the queue does not do in time, or not at the moment, is answered with 429 or
//! 503 and `retry-after`. What the queue alone does not acknowledge is sent once more before that. While
//! they are away few requests wait for them, and the others are answered at once.
//!
//! Not guaranteed: that a message which was sent to the queue twice, since its publisher asked
//! twice, is attempted once, if the queue is so far behind that both copies are received
//! together. `POSTHORN_FIRST_LEASE=always` guarantees that too, for more write units. Nor that
//! a publisher who names neither event nor request, and repeats a request whose answer was lost,
//! publishes once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
#[cfg(feature = "description")]
use schemars::JsonSchema;
use shared::api::cors;
use shared::api::error::{ApiError, Later};
use shared::api::message;
use shared::api::request;
use shared::domain::application::Application;
use shared::domain::clock::{Ambient, Timestamp};
use shared::domain::id::{MessageKey, OrganisationId};
use shared::domain::message::{HOURS_A_DAY, Message, NewMessage};
use shared::domain::metrics::Metrics;
use shared::domain::profile::Profile;
use shared::domain::secret::Sealer;
use shared::domain::token::{Bearer, Tokens};
use shared::host::assembly::{Base, Tenancy};
use shared::queue::Producer;
use shared::store::cache::Cache;
use shared::store::{Directory, DirectoryEditor, Inbox, Profiles, Revocations, SourceLog, Sources};
use shared::work::Intake;
use tracing::field::Empty;
use tracing::instrument;
#[cfg(not(feature = "description"))]
use undescribed::JsonSchema;

mod batch;
mod caller;
mod create_on_publish;
#[cfg(feature = "description")]
pub mod openapi;
mod recent;
mod respite;
mod source;
mod split;
mod take;
mod unverified;

use caller::{Caller, Options};
use recent::Recent;
use respite::{Admitted, Respite};
use unverified::Unverified;

pub use batch::{MAX_BATCH_BODY_BYTES, MAX_MESSAGES};

/// Largest body of an event that its profile may cut into several, in bytes: well below the
/// 6 MB that Lambda takes.
pub const MAX_SPLIT_BYTES: usize = 4 * 1024 * 1024;
/// How long it is remembered what a bearer token opens, in milliseconds. Whether it has expired or
/// was taken back is asked each time.
const BEARER_TTL_MS: u64 = 60_000;
/// Most bearer tokens that are remembered.
const MAX_BEARERS: usize = 256;
/// How long a request may take. A publisher that hears nothing waits as long as the function may
/// run, and Lambda runs another one for each request meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// How many characters of its hash tell one idempotency key from another.
const REQUEST_HASH_CHARS: usize = 16;

/// The receive function.
#[derive(Clone)]
pub struct Receiver {
    /// Reads applications.
    pub directory: Directory,
    /// The deliveries queue.
    pub deliveries: Arc<dyn Producer>,
    /// Where store and queue take a message in one step, if they can.
    pub intake: Option<Arc<dyn Intake>>,
    /// How it behaves.
    pub settings: Settings,
    /// Creates applications that come with their first message, and spreads lists wider.
    editor: DirectoryEditor,
    inbox: Inbox,
    revocations: Revocations,
    sources: Sources,
    source_log: SourceLog,
    /// Checks bearer tokens.
    tokens: Tokens,
    /// What those opened that came lately, by their text.
    bearers: Cache<String, Arc<Bearer>>,
    /// Opens integration keys.
    sealer: Sealer,
    profiles: Profiles,
    /// What this process has put in the queue lately.
    recent: Recent,
    /// Whether store and queue are away.
    respite: Respite,
    /// What was said of webhooks that were refused.
    unverified: Unverified,
    metrics: Arc<dyn Metrics>,
    ambient: Ambient,
}

/// How the receive function behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose applications a signed request may call by uid.
    pub organisation: OrganisationId,
    /// For how many days messages are kept whose publishers do not say it.
    pub retention_days: u64,
    /// Since when this process is the only one, if that is known. What it finds of an earlier
    /// one is in nobody's hands.
    pub alone_since: Option<Timestamp>,
}

impl Receiver {
    /// Puts the function together.
    pub fn new(
        base: Base,
        tenancy: Tenancy,
        deliveries: Arc<dyn Producer>,
        settings: Settings,
    ) -> Self {
        let (stores, Tenancy { tokens, sealer, profiles }) = (base.stores, tenancy);
        Self {
            directory: stores.directory,
            deliveries,
            intake: base.intake,
            settings,
            editor: stores.editor,
            inbox: stores.inbox,
            revocations: stores.revocations,
            sources: stores.sources,
            source_log: stores.source_log,
            tokens,
            bearers: Cache::new(base.ambient.clock.clone(), BEARER_TTL_MS, MAX_BEARERS),
            sealer,
            profiles,
            recent: Recent::default(),
            respite: Respite::default(),
            unverified: Unverified::default(),
            metrics: base.metrics,
            ambient: base.ambient,
        }
    }

    /// Answers one request.
    #[instrument(name = "receive", skip_all, fields(message.id = Empty))]
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request::plain(request);
        let answer = self.answer_if_admitted(&request).await;
        let mut answer = answer.unwrap_or_else(ApiError::into_response);
        cors::allow(&request, &mut answer);
        answer
    }

    async fn answer_if_admitted(
        &self,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, ApiError> {
        let away = |why: &str| Err(ApiError::Later(Later::Unavailable(why.to_owned())));
        let began = self.ambient.now();
        let Some(admitted) = self.respite.admits(began) else {
            return away("store or queue did not answer a moment ago");
        };
        // Pinned where it is made: it is too large to be moved about for each request.
        let answer = pin!(self.answer(request));
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.unwrap_or_else(|_| away("no answer in time from store or queue"));
        match &answer {
            Ok(_) => self.respite.end(),
            Err(ApiError::Later(Later::Unavailable(_))) => {
                self.respite.note_in_vain(began, self.ambient.now());
            }
            Err(_) if admitted == Admitted::ToTry => self.respite.pass_on(self.ambient.now()),
            Err(_) => {}
        }
        answer
    }

    async fn answer(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, ApiError> {
        let segments = request::segments(request.uri().path());
        request::check_encoding(request.headers())?;
        match (request.method(), segments.as_slice()) {
            (&Method::POST, ["api", "v1", "app", app, "msg"]) => {
                let size = request.body().len();
                // Only a profile that cuts events takes more than one event can hold.
                if size > MAX_SPLIT_BYTES {
                    request::check_size(size)?;
                }
                let caller = self.authorise(request, app).await?;
                self.publish(request, &caller).await
            }
            (&Method::POST, ["api", "v1", "app", app, "msg", "batch"]) => {
                batch::check_size(request.body().len())?;
                let caller = self.authorise(request, app).await?;
                self.publish_batch(request, &caller).await
            }
            (_, ["in", source]) => Box::pin(self.source(request, source)).await,
            _ => Err(ApiError::not_found()),
        }
    }

    async fn publish(
        &self,
        request: &Request<Bytes>,
        caller: &Caller,
    ) -> Result<Response<Bytes>, ApiError> {
        let application = &caller.tenant.application;
        let profile = self.profiles.of(application).await?;
        let new = self.published(request, &profile)?;
        let Options { with_content, hops } = Options::by(request)?;
        let message = Message { hops, ..self.message(new, application, caller.request.as_deref()) };
        self.take(message, &profile, with_content).await
    }

    /// What is published by a request that is about one message.
    fn published(
        &self,
        request: &Request<Bytes>,
        profile: &Profile,
    ) -> Result<NewMessage, ApiError> {
        if profile.split.is_none() {
            request::check_size(request.body().len())?;
        }
        message::publish(request.body(), profile.envelope.is_some(), self.ambient.now())
    }

    /// Whether a request would be taken if there were this application; of a batch, whether it is
    /// one: its messages are judged each for itself.
    async fn check_request(
        &self,
        request: &Request<Bytes>,
        application: &Application,
    ) -> Result<(), ApiError> {
        Options::by(request)?;
        if request::segments(request.uri().path()).last() == Some(&"batch") {
            return batch::read(request.body()).map(drop);
        }
        let profile = self.profiles.of(application).await?;
        let new = self.published(request, &profile)?;
        take::prepare(self.message(new, application, None), &profile).map(drop)
    }

    fn message(&self, new: NewMessage, of: &Application, request: Option<&str>) -> Message {
        let app = of.id;
        let key = match (&new.event_id, request) {
            (Some(event_id), _) => MessageKey::of_event(&app, event_id.as_str()),
            (None, Some(request)) => MessageKey::of_idempotency_key(&app, request),
            (None, None) => MessageKey::new(&self.ambient),
        };
        let usual_hours = self.settings.retention_days * HOURS_A_DAY;
        let hash = |request| MessageKey::of_idempotency_key(&app, request).to_string();
        Message {
            spread: of.spread,
            request: request.map(|request| hash(request)[..REQUEST_HASH_CHARS].to_owned()),
            ..Message::new(new, app, key, self.ambient.now(), usual_hours)
        }
    }
}
