//! Everything that a person or an SDK asks for that is not publishing: applications, endpoints,
//! their secrets, messages, attempts, resending, and what an operator needs.
//!
//! The cast: [`Admin`] routes a request to a handler in the module of its noun. Each handler
//! takes a [`Call`], which has already established who asks. Paths, shapes, statuses and error
//! bodies are those of Svix's open-source server, so its SDKs work; operations whose id begins with
//! `posthorn.`, and `/inspect`, are Posthorn's own.
//!
//! Not guaranteed: that a list shows what was written an instant ago (DynamoDB's indexes lag).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
#[cfg(feature = "description")]
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use shared::api::access::{confined, is_named};
use shared::api::cors;
use shared::api::error::{self, ApiError};
use shared::api::request;
use shared::domain::clock::Ambient;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::OrganisationId;
use shared::domain::metrics::Metrics;
use shared::domain::right::{Grant, Right};
use shared::domain::secret::Sealer;
use shared::domain::token::{Access, Bearer, Tokens};
use shared::host::assembly::{Base, Tenancy};
use shared::queue::Queues;
use shared::sender::Sender;
use shared::sender::target::TargetPolicy;
use shared::store::{
    Answers, Catalogue, Codes, Deliveries, Directory, DirectoryEditor, Eraser, EventTypeSettings,
    History, Inbox, Inspectors, KeySets, Need, Notices, Parking, Portals, ProfileStore, Profiles,
    Revocations, SourceLog, Sources, Tenant,
};
use shared::work::Worker;
#[cfg(not(feature = "description"))]
use undescribed::JsonSchema;

mod api_token;
mod application;
mod attempt;
mod attempted;
mod auth;
mod broadcast;
mod cancel;
mod check;
mod counts;
mod delivery;
mod delivery_settings;
mod docs;
mod endpoint;
mod environment;
mod event_type;
mod example;
mod explain;
mod expunge;
mod failing;
mod failure;
mod headers;
mod health;
mod idempotency;
mod import;
mod inspector;
mod integration;
mod json;
mod jwt_key;
mod limits;
mod message;
mod meta_schema;
mod missing;
mod one_time;
#[cfg(feature = "description")]
pub mod openapi;
mod operational;
mod operator;
mod overview;
mod page;
mod portal;
mod portal_settings;
mod profile;
mod reseal;
mod retry_schedule;
mod routes;
mod schemas;
mod search;
mod secret;
mod sensitive;
mod sent;
mod source;
mod source_change;
mod source_endpoint;
mod source_log;
mod source_state;
mod standing;
mod stats;
mod tally;
mod task;
mod webhooks;
mod yaml;

pub use check::LONGEST_CHECK_MS;
pub use idempotency::PATIENCE;
pub use jwt_key::{RsaMaker, generate_rsa};
pub use profile::check_events;
pub use routes::{OPERATIONS, Operation};

/// The admin function.
#[derive(Clone)]
pub struct Admin {
    /// Reads messages and attempts.
    pub history: History,
    /// Changes applications and endpoints.
    pub editor: DirectoryEditor,
    /// Keeps answers to requests that may be repeated.
    pub answers: Answers,
    /// How long a repeated request waits for the first one: [`PATIENCE`].
    pub patience: Duration,
    /// Keys that sign security event tokens.
    pub key_sets: KeySets,
    /// Makes RSA keys.
    pub rsa: RsaMaker,
    /// Seals and opens secrets.
    pub sealer: Sealer,
    /// Does background tasks, as far as that goes at once.
    pub worker: Worker,
    /// How it behaves.
    pub settings: Settings,
    directory: Directory,
    /// Stores messages that are made to try an endpoint out.
    inbox: Inbox,
    /// Cancels pending deliveries.
    pub pending: Deliveries,
    /// For records that an operator sends back, and for resends.
    queues: Queues,
    parking: Parking,
    catalogue: Catalogue,
    codes: Codes,
    /// Reads how event types are delivered.
    event_type_settings: EventTypeSettings,
    portals: Portals,
    inspectors: Inspectors,
    eraser: Eraser,
    revocations: Revocations,
    profiles: Profiles,
    /// Stores more of them.
    profile_store: ProfileStore,
    /// Reads and changes sources.
    pub sources: Sources,
    source_log: SourceLog,
    tokens: Tokens,
    /// The way out, for checks of endpoints.
    sender: Arc<dyn Sender>,
    notices: Notices,
    metrics: Arc<dyn Metrics>,
    ambient: Ambient,
}

/// How the admin function behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose token opens what belongs to nobody in particular.
    pub operator: OrganisationId,
    /// Where receive is reached, if not where this function is.
    pub publish_url: Option<String>,
    /// Whose pages may show the portal in a frame, as `frame-ancestors` of CSP has it.
    pub portal_frames: String,
    /// How long a link to the portal opens if whoever asks for it does not say, in seconds.
    pub portal_link_s: u64,
    /// How many endpoints an application may have.
    pub max_endpoints: usize,
    /// For how many days a broadcast's messages are kept that does not say it.
    pub retention_days: u64,
    /// Which endpoint URLs may be registered.
    pub policy: TargetPolicy,
}

/// A request whose sender is known.
struct Call<'a> {
    admin: &'a Admin,
    request: &'a Request<Bytes>,
    access: Access,
    bearer: Bearer,
    /// The only application that this caller may know of, if there is only one.
    own: Option<Arc<Tenant>>,
}

type Answer = Result<Response<Bytes>, ApiError>;

impl Admin {
    /// Puts the function together.
    pub fn new(
        base: Base,
        tenancy: Tenancy,
        queues: Queues,
        sender: Arc<dyn Sender>,
        settings: Settings,
    ) -> Self {
        let Base { stores, in_flight, metrics, ambient, .. } = base;
        Self {
            worker: Worker::new(
                &stores,
                queues.clone(),
                in_flight,
                metrics.clone(),
                ambient.clone(),
            ),
            notices: stores.notices(0),
            history: stores.history,
            editor: stores.editor,
            answers: stores.answers,
            patience: PATIENCE,
            key_sets: stores.key_sets,
            rsa: Arc::new(generate_rsa),
            sealer: tenancy.sealer,
            settings,
            directory: stores.directory,
            inbox: stores.inbox,
            pending: stores.deliveries,
            queues,
            parking: stores.parking,
            catalogue: stores.catalogue,
            codes: stores.codes,
            event_type_settings: stores.event_type_settings,
            portals: stores.portals,
            inspectors: stores.inspectors,
            eraser: stores.eraser,
            revocations: stores.revocations,
            profiles: tenancy.profiles,
            profile_store: stores.profiles,
            sources: stores.sources,
            source_log: stores.source_log,
            tokens: tenancy.tokens,
            sender,
            metrics,
            ambient,
        }
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        if let Some(answer) = cors::preflight(&request) {
            return answer;
        }
        let request = request::plain(request);
        let mut answer = self.answer(&request).await.unwrap_or_else(ApiError::into_response);
        cors::allow(&request, &mut answer);
        answer
    }

    async fn answer(&self, request: &Request<Bytes>) -> Answer {
        let segments = request::segments(request.uri().path());
        if let ["inspect", token] = segments.as_slice() {
            return self.inspect(token, request).await;
        }
        if let Some(moved) = routes::moved(request) {
            return Ok(moved);
        }
        if let Some(wrong) = routes::refuse_open(request.method(), request.uri().path()) {
            return wrong;
        }
        if let Some(page) = docs::serve(request, &segments) {
            return Ok(page);
        }
        if let Some(page) = self.portal(request, &segments).await {
            return Ok(page);
        }
        match segments.as_slice() {
            [".well-known", "jwks.json"] => return self.jwks(&self.settings.operator).await,
            [".well-known", org, "jwks.json"] => {
                let org = org.parse().map_err(|_| ApiError::not_found())?;
                return self.jwks(&org).await;
            }
            _ => {}
        }
        let Some(path) = routes::below(&segments) else {
            return Err(ApiError::not_found());
        };
        if path == ["health"] || path == ["health", "ping"] {
            return Ok(error::empty(StatusCode::NO_CONTENT));
        }
        if path == ["auth", "one-time-token"] {
            return self.exchange(request).await;
        }
        request::check_size(request.body().len())?;
        request::check_encoding(request.headers())?;
        request::check_query(request.uri())?;
        request::idempotency_key(request.headers())?;
        let bearer = request::opened(request.headers(), &self.tokens, self.ambient.now())?;
        if self.revocations.is_revoked(&bearer).await? {
            return Err(ApiError::invalid_token());
        }
        let own = confined(&self.directory, &bearer, self.ambient.now()).await?;
        let access = bearer.access;
        Call { admin: self, request, access, bearer, own }.route_once(&path).await
    }
}

impl Call<'_> {
    /// The application that the path names, if this caller may know of it.
    async fn tenant(&self, reference: &str) -> Result<Arc<Tenant>, ApiError> {
        self.read(reference, Need::Application).await
    }

    /// The same with the endpoint that the caller calls `ep`, if there is such a one.
    async fn tenant_with(&self, reference: &str, ep: &str) -> Result<Arc<Tenant>, ApiError> {
        self.read(reference, Need::Endpoint(ep)).await
    }

    /// The same with all of its endpoints.
    async fn whole_tenant(&self, reference: &str) -> Result<Arc<Tenant>, ApiError> {
        self.read(reference, Need::All).await
    }

    /// The endpoint that the path names, and its application with it.
    async fn endpoint(&self, app: &str, ep: &str) -> Result<(Arc<Tenant>, Endpoint), ApiError> {
        let tenant = self.tenant_with(app, ep).await?;
        let endpoint = endpoint::endpoint_of(&tenant, ep)?.clone();
        Ok((tenant, endpoint))
    }

    async fn read(&self, reference: &str, need: Need<'_>) -> Result<Arc<Tenant>, ApiError> {
        let directory = &self.admin.directory;
        let tenant = match &self.own {
            // Not a word of whether there is such a one.
            Some(own) if !is_named(&own.application, reference) => None,
            Some(own) => directory.complete(own.clone(), need).await?,
            None => directory.application(&self.access.organisation(), reference, need).await?,
        };
        tenant.ok_or_else(ApiError::not_found)
    }

    /// What the body says; without a body, what one says that names nothing.
    fn optional_body<T: Default + DeserializeOwned>(&self) -> Result<T, ApiError> {
        match self.request.body().is_empty() {
            true => Ok(T::default()),
            false => request::body(self.request),
        }
    }

    /// Refuses a token whose holder does not have this right.
    fn require(&self, right: Right) -> Result<(), ApiError> {
        match self.bearer.may(right) {
            true => Ok(()),
            false => Err(ApiError::forbidden()),
        }
    }

    /// Refuses a token that is confined to an application.
    fn require_organisation(&self) -> Result<(), ApiError> {
        match self.access {
            Access::Organisation(_) => Ok(()),
            Access::Application(..) => Err(ApiError::forbidden()),
        }
    }

    /// The feature flags that limit what this caller may know of; none for a backend.
    fn flags(&self) -> Option<&[String]> {
        match self.bearer.grant {
            Grant::Backend(_) => None,
            Grant::Visitor(_) => Some(&self.bearer.flags),
        }
    }
}
