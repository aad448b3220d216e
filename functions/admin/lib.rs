//! Everything that a person or an SDK asks for that is not publishing: applications, endpoints,
//! their secrets, messages, attempts, resending, and what an operator needs.
//!
//! The cast: [`Admin`] routes a request to a handler in the module of its noun. Each handler
//! takes a [`Call`], which has already established who asks. Paths, shapes, statuses and error
//! bodies are those of Svix's open-source server, so its SDKs work; `/api/v1/operator` and
//! `integration-key` are Posthorn's own.
//!
//! Not guaranteed: that a list shows what was written an instant ago (DynamoDB's indexes lag).

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use shared::clock::Ambient;
use shared::error::{self, ApiError};
use shared::id::OrganisationId;
use shared::queue::Producer;
use shared::request;
use shared::secret::Sealer;
use shared::sender::target::TargetPolicy;
use shared::store::{Directory, DirectoryEditor, History, Parking, Tenant};
use shared::token::{Access, Tokens};

mod application;
mod attempt;
mod endpoint;
mod message;
mod operator;
mod page;
mod patch;
mod rules;
mod secret;

/// The admin function.
#[derive(Clone)]
pub struct Admin {
    /// Reads applications and endpoints.
    pub directory: Directory,
    /// Changes them.
    pub editor: DirectoryEditor,
    /// Reads messages and attempts.
    pub history: History,
    /// The deliveries queue, for records that an operator sends back.
    pub deliveries: Arc<dyn Producer>,
    /// The retries queue, for resends.
    pub retries: Arc<dyn Producer>,
    /// Records that nobody could process.
    pub parking: Parking,
    /// Checks bearer tokens and makes them.
    pub tokens: Tokens,
    /// Seals and opens secrets.
    pub sealer: Sealer,
    /// Whose token opens what belongs to nobody in particular.
    pub operator: OrganisationId,
    /// Which endpoint URLs may be registered.
    pub policy: TargetPolicy,
    /// Time and randomness.
    pub ambient: Ambient,
}

/// A request whose sender is known.
struct Call<'a> {
    admin: &'a Admin,
    request: &'a Request<Bytes>,
    access: Access,
}

type Answer = Result<Response<Bytes>, ApiError>;

impl Admin {
    /// Answers one request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.answer(&request).await.unwrap_or_else(ApiError::into_response)
    }

    async fn answer(&self, request: &Request<Bytes>) -> Answer {
        let segments = request::segments(request.uri().path());
        let Some(path) = segments.strip_prefix(&["api", "v1"]) else {
            return Err(ApiError::not_found());
        };
        if path == ["health"] || path == ["health", "ping"] {
            return Ok(error::empty(StatusCode::NO_CONTENT));
        }
        request::check_size(request.body().len())?;
        let access = request::access(request.headers(), &self.tokens, self.ambient.now())?;
        Call { admin: self, request, access }.route(path).await
    }
}

impl Call<'_> {
    async fn route(&self, path: &[&str]) -> Answer {
        use Method as M;
        match (self.request.method(), path) {
            (&M::GET, ["app"]) => self.list_applications().await,
            (&M::POST, ["app"]) => self.create_application().await,
            (&M::GET, ["app", app]) => self.get_application(app).await,
            (&M::PUT, ["app", app]) => self.update_application(app).await,
            (&M::PATCH, ["app", app]) => self.patch_application(app).await,
            (&M::DELETE, ["app", app]) => self.delete_application(app).await,
            (&M::GET, ["app", app, "integration-key"]) => self.integration_key(app).await,
            (&M::POST, ["app", app, "integration-key", "rotate"]) => {
                self.rotate_integration_key(app).await
            }

            (&M::GET, ["app", app, "endpoint"]) => self.list_endpoints(app).await,
            (&M::POST, ["app", app, "endpoint"]) => self.create_endpoint(app).await,
            (&M::GET, ["app", app, "endpoint", ep]) => self.get_endpoint(app, ep).await,
            (&M::PUT, ["app", app, "endpoint", ep]) => self.update_endpoint(app, ep).await,
            (&M::PATCH, ["app", app, "endpoint", ep]) => self.patch_endpoint(app, ep).await,
            (&M::DELETE, ["app", app, "endpoint", ep]) => self.delete_endpoint(app, ep).await,
            (&M::GET, ["app", app, "endpoint", ep, "secret"]) => self.get_secret(app, ep).await,
            (&M::POST, ["app", app, "endpoint", ep, "secret", "rotate"]) => {
                self.rotate_secret(app, ep).await
            }

            (&M::GET, ["app", app, "msg"]) => self.list_messages(app).await,
            (&M::GET, ["app", app, "msg", msg]) => self.get_message(app, msg).await,

            (&M::GET, ["app", app, "attempt", "msg", msg]) => {
                self.attempts_of_message(app, msg).await
            }
            (&M::GET, ["app", app, "attempt", "endpoint", ep]) => {
                self.attempts_of_endpoint(app, ep).await
            }
            (&M::GET, ["app", app, "msg", msg, "attempt", attempt]) => {
                self.get_attempt(app, msg, attempt).await
            }
            (&M::GET, ["app", app, "msg", msg, "endpoint"]) => self.destinations(app, msg).await,
            (&M::POST, ["app", app, "msg", msg, "endpoint", ep, "resend"]) => {
                self.resend(app, msg, ep).await
            }

            (&M::GET, ["operator", "parked"]) => self.list_parked().await,
            (&M::POST, ["operator", "parked", id, "redrive"]) => self.redrive_parked(id).await,
            _ => Err(ApiError::not_found()),
        }
    }

    /// The application that the path names, if this caller may know of it.
    async fn tenant(&self, reference: &str) -> Result<Arc<Tenant>, ApiError> {
        let org = self.access.organisation();
        let tenant = self.admin.directory.application(&org, reference).await?;
        match self.access {
            Access::Organisation(_) => tenant.ok_or_else(ApiError::not_found),
            Access::Application(_, own) => {
                tenant.filter(|tenant| tenant.application.id == own).ok_or_else(ApiError::forbidden)
            }
        }
    }

    /// Refuses an application's token.
    fn require_organisation(&self) -> Result<(), ApiError> {
        match self.access {
            Access::Organisation(_) => Ok(()),
            Access::Application(..) => Err(ApiError::forbidden()),
        }
    }
}
