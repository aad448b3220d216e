//! What stands between the HTTP server and the functions: what API Gateway is on AWS.

use std::sync::Arc;

use admin::Admin;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use receive::Receiver;
use shared::api::error::{self, ApiError};
use shared::api::request;
use shared::domain::id::SourceId;
use shared::domain::right::Right;
use shared::domain::source::TOKEN_MARK;
use tokio::sync::Semaphore;

use crate::http_server::Hearing;
use crate::lane;
use crate::machine::Machine;

/// What stands behind the HTTP server.
pub(crate) struct Front {
    pub(crate) machine: Machine,
    pub(crate) receiver: Receiver,
    pub(crate) admin: Admin,
    /// Places for those whose long bodies are read before it is known who they are.
    pub(crate) long: Arc<Semaphore>,
}

/// How many of them there are: 64 MB of bodies at the most.
pub(crate) const LONG_AT_ONCE: usize = 16;

impl Front {
    /// Answers a request. What is no publishing goes on though the caller has hung up, as it does on
    /// AWS: once a change is written, what this process remembers is to follow it.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let is_short = Self::is_short(&head);
        let request = Request::from_parts(head, body);
        match is_short {
            true => self.route(request).await,
            false => lane::to_its_end(async move { self.route(request).await }).await,
        }
    }

    /// Routes as API Gateway does: publishing to receive, everything else to admin.
    async fn route(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request::plain(request);
        let segments = request::segments(request.uri().path());
        match (request.method(), segments.as_slice()) {
            (
                &Method::POST,
                ["api", "v1", "app", _, "msg"] | ["api", "v1", "app", _, "msg", "batch"],
            ) => self.receiver.handle(request).await,
            (_, ["in", _]) => self.receiver.handle(request).await,
            (&Method::GET | &Method::HEAD, ["local", "status"]) => {
                self.status(&request).await.unwrap_or_else(ApiError::into_response)
            }
            _ => self.admin.handle(request).await,
        }
    }

    /// Whether a request takes little to compute, if its body is not long: an event is published.
    pub(crate) fn is_short(head: &Parts) -> bool {
        let segments = request::segments(head.uri.path());
        head.method == Method::POST
            && matches!(segments.as_slice(), ["api", "v1", "app", _, "msg"] | ["in", _])
    }

    /// How much is read of whoever sends this head: all of who has a token, and of who proves the
    /// whole request by what is in it as much as that operation takes. What waits for no answer from
    /// the store is asked here.
    pub(crate) fn knows(&self, head: &Parts) -> Hearing {
        let Machine { base, tenancy, .. } = &self.machine;
        if request::opened(&head.headers, &tenancy.tokens, base.ambient.now()).is_ok() {
            return Hearing::WHOLE;
        }
        let segments = request::segments(head.uri.path());
        let usual = Hearing { most: request::MAX_BODY_BYTES, _place: None };
        match segments.as_slice() {
            ["in", source] => {
                let id = source.split(TOKEN_MARK).next().unwrap_or_default();
                if id.parse::<SourceId>().is_ok() { usual } else { Hearing::default() }
            }
            ["inspect", _] => usual,
            ["api", "v1", "app", _, "msg"] | ["api", "v1", "app", _, "msg", "batch"] => {
                let has = |name: &str| head.headers.contains_key(name);
                match ["webhook-signature", "svix-signature"].into_iter().any(has) {
                    true if !has(AUTHORIZATION.as_str()) => self.signed(usual),
                    _ => Hearing::default(),
                }
            }
            _ => Hearing::default(),
        }
    }

    /// An event that its profile cuts may be long, and who signs it is known only at its end: few at
    /// once may say that they do.
    fn signed(&self, usual: Hearing) -> Hearing {
        let place = self.long.clone().try_acquire_owned().ok();
        place.map_or(usual, |place| Hearing { _place: Some(place), ..Hearing::WHOLE })
    }

    /// For the operator alone: it tells what all customers do together.
    async fn status(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, ApiError> {
        let Machine { base, tenancy, .. } = &self.machine;
        let bearer = request::opened(request.headers(), &tenancy.tokens, base.ambient.now())?;
        if base.stores.revocations.is_revoked(&bearer).await? {
            return Err(ApiError::invalid_token());
        }
        if !bearer.may(Right::Read) {
            return Err(ApiError::forbidden());
        }
        let status = self.machine.status();
        Ok(error::json(StatusCode::OK, &status))
    }
}
