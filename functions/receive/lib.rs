//! First stage of the trip: an event comes in, is checked, stored and enqueued.
//!
//! The cast: [`Receiver`] answers `POST /api/v1/app/{app_id}/msg`. It knows who asks by a
//! bearer token or by a Standard Webhooks signature made with the application's integration
//! key, reads the application (kept for a while), puts the message in the [`Inbox`] and sends
//! it to the deliveries queue.
//!
//! 202 is given only when the store and the queue have both acknowledged. If the process dies
//! between the two, no 202 was given; the publisher asks again, the message is found in its
//! place, and since no attempt is on record it is sent again.
//!
//! One name is published under once at a time: whoever else asks in this process waits. What
//! another process may be about to send comes a second time only when that is over.
//!
//! Not guaranteed: that a message which was sent to the queue twice, since its publisher asked
//! twice, is attempted once, if the queue is so far behind that both copies are received
//! together. `POSTHORN_FIRST_LEASE=always` guarantees that too, for more write units. Nor that
//! a publisher who names neither event nor request, and repeats a request whose answer was lost,
//! publishes once.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use shared::api::cors;
use shared::api::error::{self, ApiError};
use shared::api::message::{self, MessageOut};
use shared::api::request;
use shared::domain::clock::{Ambient, Timestamp};
use shared::domain::delivery::SECOND_COPY_DELAY_S;
use shared::domain::id::{ApplicationId, MessageKey, OrganisationId};
use shared::domain::message::{HOURS_A_DAY, Message, NewMessage};
use shared::domain::metrics::{Metric, Metrics};
use shared::domain::profile::Profile;
use shared::domain::profile::split::{MAX_PARTS, MAX_PARTS_BYTES, TooMuch};
use shared::domain::secret::Sealer;
use shared::domain::token::Tokens;
use shared::host::assembly::{Base, Tenancy};
use shared::queue::{Producer, record::Record, send_one};
use shared::store::Profiles;
use shared::store::{Accepted, Directory, DirectoryEditor, Inbox, Revocations, Sources};
use tracing::field::{Empty, display};
use tracing::{Span, debug, instrument};

mod caller;
mod create_on_publish;
#[cfg(feature = "description")]
pub mod openapi;
mod recent;
mod source;
mod split;

use caller::Caller;
use recent::Recent;

/// How long the receive function on Lambda keeps an application that it read, in milliseconds.
pub const APPLICATION_TTL_MS: u64 = 30_000;
/// Largest body of an event that its profile may cut into several, in bytes: well below the
/// 6 MB that Lambda takes.
pub const MAX_SPLIT_BYTES: usize = 4 * 1024 * 1024;
/// How many characters of its hash tell one idempotency key from another.
const REQUEST_HASH_CHARS: usize = 16;

/// The receive function.
#[derive(Clone)]
pub struct Receiver {
    /// Reads applications.
    pub directory: Directory,
    /// The deliveries queue.
    pub deliveries: Arc<dyn Producer>,
    /// How it behaves.
    pub settings: Settings,
    /// Creates applications that come with their first message.
    editor: DirectoryEditor,
    inbox: Inbox,
    revocations: Revocations,
    sources: Sources,
    /// Checks bearer tokens.
    tokens: Tokens,
    /// Opens integration keys.
    sealer: Sealer,
    profiles: Profiles,
    /// What this process has put in the queue lately.
    recent: Recent,
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
            settings,
            editor: stores.editor,
            inbox: stores.inbox,
            revocations: stores.revocations,
            sources: stores.sources,
            tokens,
            sealer,
            profiles,
            recent: Recent::default(),
            metrics: base.metrics,
            ambient: base.ambient,
        }
    }

    /// Answers one request.
    #[instrument(name = "receive", skip_all, fields(message.id = Empty))]
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request::plain(request);
        let mut answer = self.answer(&request).await.unwrap_or_else(ApiError::into_response);
        cors::allow(&request, &mut answer);
        answer
    }

    async fn answer(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, ApiError> {
        let segments = request::segments(request.uri().path());
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
            (_, ["in", source]) => self.source(request, source).await,
            _ => Err(ApiError::not_found()),
        }
    }

    async fn publish(
        &self,
        request: &Request<Bytes>,
        caller: &Caller<'_>,
    ) -> Result<Response<Bytes>, ApiError> {
        let application = &caller.tenant.application;
        let profile = self.profiles.of(application).await?;
        if profile.split.is_none() {
            request::check_size(request.body().len())?;
        }
        let now = self.ambient.now();
        let new = message::publish(request.body(), profile.envelope.is_some(), now)?;
        let with_content = request::query_flag(request, "with_content", true)?;
        let hops = caller::hops(request.headers())?;
        let message = Message { hops, ..self.message(new, application.id, caller.request) };
        self.take(message, &profile, with_content).await
    }

    /// Takes a message, once those of the same name before it are through.
    async fn take(
        &self,
        message: Message,
        profile: &Profile,
        with_content: bool,
    ) -> Result<Response<Bytes>, ApiError> {
        if message.event_id.is_none() && message.request.is_none() {
            return self.take_now(message, profile, with_content).await;
        }
        let busy = "Another request publishes under this name at the moment: ask again.";
        let turn = self.recent.turn(message.id.key()).await;
        let _turn = turn.ok_or_else(|| ApiError::conflict(busy))?;
        self.take_now(message, profile, with_content).await
    }

    /// Stores a message, or its parts, and sends it on its way.
    async fn take_now(
        &self,
        message: Message,
        profile: &Profile,
        with_content: bool,
    ) -> Result<Response<Bytes>, ApiError> {
        let split = profile.split.as_ref().filter(|_| message.content_type.is_none());
        let parts = split.map(|split| split.parts(&message.event_type, &message.payload));
        if let Some(parts) = parts.transpose().map_err(too_much)?.flatten() {
            for part in &parts {
                message::check_payload(part.len())?;
            }
            return self.publish_parts(message, parts, with_content).await;
        }
        message::check_payload(message.payload.len())?;
        match self.inbox.accept(&message).await? {
            Accepted::New => {
                self.metrics.count(Metric::Accepted);
                let out = show(&message, with_content);
                self.enqueue(message, false).await?;
                Ok(out)
            }
            Accepted::Existing(first) => self.repeat(*first, &message, with_content).await,
        }
    }

    /// The place of the message is taken: by an earlier try of the same request, or by another
    /// event of the same name.
    async fn repeat(
        &self,
        first: Message,
        message: &Message,
        with_content: bool,
    ) -> Result<Response<Bytes>, ApiError> {
        let same_request = is_repeated(&first, message);
        let out = show(&first, with_content);
        if !self.finish(first).await? {
            self.metrics.count(Metric::Duplicates);
        }
        match same_request {
            true => Ok(out),
            false => Err(taken()),
        }
    }

    /// Sends what an earlier try stored, as it may have died before it did so itself; whether
    /// there was need of it. What was cut is not sent itself, what waits for its time not from
    /// here, and of what was expunged there is nothing to send.
    async fn finish(&self, stored: Message) -> Result<bool, ApiError> {
        let is_never_sent = stored.parts > 0 || stored.deliver_at.is_some() || stored.expunged;
        if is_never_sent
            || self.recent.contains(&stored.id)
            || self.inbox.has_outcome(&stored).await?
        {
            return Ok(false);
        }
        self.enqueue(stored, true).await.map(|()| true)
    }

    async fn enqueue(&self, message: Message, again: bool) -> Result<(), ApiError> {
        if message.deliver_at.is_some() {
            // The sweep puts it in the queue when its time has come.
            return Ok(());
        }
        let id = message.id;
        // A second copy waits until whoever has the first one is done with it: a first attempt
        // takes no lease, so while it is under way there is nothing to see of it.
        // Whoever has one of an earlier process's is dead.
        let is_left_over = self.settings.alone_since.is_some_and(|since| message.at < since);
        let delay_s = if again && !is_left_over { SECOND_COPY_DELAY_S } else { 0 };
        let record = Record::Accepted { message: Box::new(message), again };
        send_one(&*self.deliveries, record.outgoing(delay_s)).await?;
        self.recent.remember(id);
        Span::current().record("message.id", display(id));
        debug!(message.id = %id, again, "accepted");
        Ok(())
    }

    fn message(&self, new: NewMessage, app: ApplicationId, request: Option<&str>) -> Message {
        let key = match (&new.event_id, request) {
            (Some(event_id), _) => MessageKey::of_event(&app, event_id.as_str()),
            (None, Some(request)) => MessageKey::of_idempotency_key(&app, request),
            (None, None) => MessageKey::random(&self.ambient),
        };
        let usual_hours = self.settings.retention_days * HOURS_A_DAY;
        let hash = |request| MessageKey::of_idempotency_key(&app, request).to_string();
        Message {
            request: request.map(|request| hash(request)[..REQUEST_HASH_CHARS].to_owned()),
            ..Message::new(new, app, key, self.ambient.now(), usual_hours)
        }
    }
}

/// Whether a message comes of the request that the first one in its place came of.
fn is_repeated(first: &Message, message: &Message) -> bool {
    message.request.is_some() && first.request == message.request
}

/// The answer to another event of the same name.
fn taken() -> ApiError {
    ApiError::conflict(
        "A message with this eventId exists in this application. It was accepted before and is \
         not sent a second time.",
    )
}

/// The answer to an event that would become too many.
fn too_much(_: TooMuch) -> ApiError {
    ApiError::too_large(format!(
        "The event would be delivered in more than {MAX_PARTS} parts, or in parts of more than \
         {MAX_PARTS_BYTES} bytes together: publish several."
    ))
}

/// The answer to a message that was taken. Without its content the payload is `{}`.
pub(crate) fn show(message: &Message, with_content: bool) -> Response<Bytes> {
    error::json(StatusCode::ACCEPTED, &MessageOut::of(message.clone(), with_content))
}
