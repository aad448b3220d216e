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
//! Not guaranteed: that a message which was sent to the queue twice, since its publisher asked
//! twice, is attempted once, if the queue is so far behind that both copies are received
//! together. `POSTHORN_FIRST_LEASE=always` guarantees that too, for more write units. Nor that a publisher who names neither event nor request, and repeats a request
//! whose answer was lost, publishes once.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
#[cfg(feature = "description")]
use schemars::JsonSchema;
use shared::api::cors;
use shared::api::error::{self, ApiError};
use shared::api::request;
use shared::domain::attempt::LEASE_MS;
use shared::domain::clock::Ambient;
use shared::domain::headers::single;
use shared::domain::id::{ApplicationId, MessageId, MessageKey, OrganisationId};
use shared::domain::message::{Message, expiry_in_hours};
use shared::domain::metrics::{Metric, Metrics};
use shared::domain::profile::Profile;
use shared::domain::secret::Sealer;
use shared::domain::signature;
use shared::domain::token::{Access, Tokens};
use shared::queue::{Producer, record::Record, send_one};
use shared::store::Profiles;
use shared::store::{Accepted, Directory, DirectoryEditor, Inbox, Revocations, Sources, Tenant};
use tracing::field::{Empty, display};
use tracing::{Span, debug, instrument};
#[cfg(not(feature = "description"))]
use undescribed::JsonSchema;

mod newcomer;
#[cfg(feature = "description")]
pub mod openapi;
mod publish;
mod recent;
mod source;
mod split;

use publish::{MessageOut, Published};
pub use recent::Recent;

/// How long the receive function on Lambda keeps an application that it read, in milliseconds.
pub const APPLICATION_TTL_MS: u64 = 30_000;
/// Largest body of an event that its profile may cut into several, in bytes: well below the
/// 6 MB that Lambda takes.
pub const MAX_SPLIT_BYTES: usize = 4 * 1024 * 1024;
/// Seconds before a second copy of a message can be received: as long as a dispatcher may be
/// busy with the first.
pub const SECOND_COPY_DELAY_S: u32 = (LEASE_MS / 1000) as u32;
/// How many characters of its hash tell one idempotency key from another.
const REQUEST_HASH_CHARS: usize = 16;
/// How the names of the headers of a signed request start.
const FAMILIES: [&str; 2] = ["webhook-", "svix-"];

/// The receive function.
#[derive(Clone)]
pub struct Receiver {
    /// Reads applications.
    pub directory: Directory,
    /// Creates applications that come with their first message.
    pub editor: DirectoryEditor,
    /// Stores messages.
    pub inbox: Inbox,
    /// The deliveries queue.
    pub deliveries: Arc<dyn Producer>,
    /// The systems' ways.
    pub profiles: Profiles,
    /// Knows which tokens were taken back.
    pub revocations: Revocations,
    /// Reads sources.
    pub sources: Sources,
    /// Checks bearer tokens.
    pub tokens: Tokens,
    /// Opens integration keys.
    pub sealer: Sealer,
    /// Whose applications a signed request may call by uid.
    pub default_org: OrganisationId,
    /// What this process has put in the queue lately.
    pub recent: Recent,
    /// Seconds before a second copy of a message can be received: [`SECOND_COPY_DELAY_S`], or
    /// none where a record that another process sent is known to be a repetition anyway.
    pub second_copy_delay_s: u32,
    /// For how many days messages are kept whose publishers do not say it.
    pub retention_days: u64,
    /// Hears what happened.
    pub metrics: Arc<dyn Metrics>,
    /// Time and randomness.
    pub ambient: Ambient,
}

impl Receiver {
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
                let tenant = self.authorise(request, app).await?;
                self.publish(request, &tenant).await
            }
            (_, ["in", source]) => self.source(request, source).await,
            _ => Err(ApiError::not_found()),
        }
    }

    /// Who asks, and for which application.
    async fn authorise(
        &self,
        request: &Request<Bytes>,
        reference: &str,
    ) -> Result<Arc<Tenant>, ApiError> {
        let headers = request.headers();
        if !headers.contains_key(http::header::AUTHORIZATION) && is_signed(headers) {
            return self.authorise_signed(request, reference).await;
        }
        let bearer = request::opened(headers, &self.tokens, self.ambient.now())?;
        if self.revocations.is_revoked(&bearer).await? {
            return Err(ApiError::invalid_token());
        }
        let access = bearer.access;
        let tenant = self.directory.application(&access.organisation(), reference).await?;
        match access {
            Access::Organisation(org) => match tenant {
                Some(tenant) => Ok(tenant),
                None => self.welcome(&org, reference, request.body()).await,
            },
            Access::Application(_, own) => {
                let own = tenant.filter(|tenant| tenant.application.id == own);
                let own = own.ok_or_else(ApiError::forbidden)?;
                match own.application.takes_token(bearer.issued_at, self.ambient.now()) {
                    true => Ok(own),
                    false => Err(ApiError::invalid_token()),
                }
            }
        }
    }

    async fn authorise_signed(
        &self,
        request: &Request<Bytes>,
        reference: &str,
    ) -> Result<Arc<Tenant>, ApiError> {
        let reject =
            |rejection: signature::Rejection| ApiError::unauthenticated(rejection.detail());
        let [id, timestamp, signatures] = signature_headers(request.headers())
            .ok_or_else(|| reject(signature::Rejection::Headers))?;
        let tenant = match reference.parse::<ApplicationId>() {
            Ok(id) => self.directory.tenant(&id).await?,
            Err(_) => self.directory.application(&self.default_org, reference).await?,
        };
        // A stranger is not told whether the application exists.
        let tenant = tenant.ok_or_else(|| reject(signature::Rejection::Signature))?;
        let now = self.ambient.now();
        let owner = tenant.application.id.to_string();
        let keys = tenant.application.integration_key.live(&owner, &self.sealer, now);
        signature::verify(&keys, id, timestamp, signatures, request.body(), now).map_err(reject)?;
        Ok(tenant)
    }

    async fn publish(
        &self,
        request: &Request<Bytes>,
        tenant: &Tenant,
    ) -> Result<Response<Bytes>, ApiError> {
        let profile = self.profiles.of(&tenant.application).await?;
        if profile.split.is_none() {
            request::check_size(request.body().len())?;
        }
        let now = self.ambient.now();
        let published = Published::parse(request.body(), profile.envelope.is_some(), now)?;
        let with_content = request::query_flag(request, "with_content", true)?;
        let message = self.message(published, tenant.application.id, request.headers())?;
        self.take(message, &profile, with_content).await
    }

    /// Stores a message, or its parts, and sends it on its way.
    async fn take(
        &self,
        message: Message,
        profile: &Profile,
        with_content: bool,
    ) -> Result<Response<Bytes>, ApiError> {
        let split = profile.split.as_ref().filter(|_| message.content_type.is_none());
        let parts = split.and_then(|split| split.parts(&message.event_type, &message.payload));
        if let Some(parts) = parts {
            for part in &parts {
                publish::check_payload(part.len())?;
            }
            return self.publish_parts(message, parts, with_content).await;
        }
        publish::check_payload(message.payload.len())?;
        match self.inbox.accept(&message).await? {
            Accepted::New => {
                self.metrics.count(Metric::Accepted);
                let out = MessageOut::of(&message, with_content).respond();
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
        let same_request = message.request.is_some() && first.request == message.request;
        let out = MessageOut::of(&first, with_content).respond();
        // The earlier try may have died between store and queue.
        // What was cut into parts is not sent itself, and what waits for its time not from here.
        if first.parts == 0
            && first.deliver_at.is_none()
            && !self.recent.contains(&first.id)
            && !self.inbox.has_outcome(&first).await?
        {
            self.enqueue(first, true).await?;
        } else {
            self.metrics.count(Metric::Duplicates);
        }
        if same_request {
            return Ok(out);
        }
        Err(taken())
    }

    async fn enqueue(&self, message: Message, again: bool) -> Result<(), ApiError> {
        if message.deliver_at.is_some() {
            // The sweep puts it in the queue when its time has come.
            return Ok(());
        }
        let id = message.id;
        let record = Record::Accepted { message: Box::new(message), again };
        // A second copy waits until whoever has the first one is done with it: a first attempt
        // takes no lease, so while it is under way there is nothing to see of it.
        let delay_s = if again { self.second_copy_delay_s } else { 0 };
        send_one(&*self.deliveries, record.outgoing(delay_s)).await?;
        self.recent.remember(id);
        Span::current().record("message.id", display(id));
        debug!(message.id = %id, again, "accepted");
        Ok(())
    }

    fn message(
        &self,
        published: Published,
        app: ApplicationId,
        headers: &HeaderMap,
    ) -> Result<Message, ApiError> {
        let now = self.ambient.now();
        let request = idempotency_key(headers)?;
        let key = match (&published.event_id, request) {
            (Some(event_id), _) => MessageKey::of_event(&app, event_id.as_str()),
            (None, Some(request)) => MessageKey::of_idempotency_key(&app, request),
            (None, None) => MessageKey::random(&self.ambient),
        };
        Ok(Message {
            id: MessageId::from_key(now, key),
            app,
            event_type: published.event_type,
            event_id: published.event_id,
            channels: published.channels,
            subject: published.subject,
            parent: None,
            parts: 0,
            test: false,
            expunged: false,
            content_type: published.content_type,
            tags: published.tags,
            deliver_at: published.deliver_at,
            at: now,
            // What waits for its time is kept as long after it as another one.
            expires_at: expiry_in_hours(
                published.deliver_at.unwrap_or(now),
                published.retention_hours.unwrap_or(self.retention_days * 24),
            ),
            request: request.map(|request| {
                let hash = MessageKey::of_idempotency_key(&app, request).to_string();
                hash[..REQUEST_HASH_CHARS].to_owned()
            }),
            payload: published.payload,
        })
    }
}

/// The answer to another event of the same name.
fn taken() -> ApiError {
    ApiError::conflict(
        "A message with this eventId exists in this application. It was accepted before and is \
         not sent a second time.",
    )
}

/// What the publisher calls this request: the `idempotency-key`, or the id of a signed request,
/// which a publisher that repeats it keeps.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    match (request::idempotency_key(headers)?, signature_headers(headers)) {
        (None, Some([id, _, _])) => request::check_idempotency_key(id).map(Some),
        (named, _) => Ok(named),
    }
}

/// Whether the request claims to be signed, however badly.
fn is_signed(headers: &HeaderMap) -> bool {
    FAMILIES.iter().any(|family| {
        signature::HEADERS.iter().any(|name| headers.contains_key(format!("{family}{name}")))
    })
}

/// Id, timestamp and signature of a signed request, in either family of header names.
fn signature_headers(headers: &HeaderMap) -> Option<[&str; 3]> {
    FAMILIES.iter().find_map(|family| {
        let [id, timestamp, signature] =
            signature::HEADERS.map(|name| single(headers, &format!("{family}{name}")));
        Some([id?, timestamp?, signature?])
    })
}

impl MessageOut<'_> {
    pub(crate) fn respond(&self) -> Response<Bytes> {
        error::json(StatusCode::ACCEPTED, self)
    }
}
