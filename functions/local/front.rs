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

use crate::hearing::{Hearing, Room};
use crate::http_server::{MAX_BODY_BYTES, WHOLE};
use crate::machine::Machine;

/// What stands behind the HTTP server.
pub(crate) struct Front {
    pub(crate) machine: Machine,
    pub(crate) receiver: Receiver,
    pub(crate) admin: Admin,
    /// Room for long bodies that are read before it is known whose they are.
    pub(crate) strangers: Room,
    /// Room for those of whoever has a token and does not publish.
    pub(crate) callers: Room,
}

impl Front {
    /// Answers a request. What is no publishing goes on though the caller has hung up, as it does on
    /// AWS: once a change is written, what this process remembers is to follow it.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let is_short = Self::is_short(&head);
        let request = Request::from_parts(head, body);
        match is_short {
            true => self.route(request).await,
            false => to_its_end(async move { self.route(request).await }).await,
        }
    }

    /// Routes as API Gateway does: publishing to receive, everything else to admin.
    async fn route(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request::plain(request);
        let segments = request::segments(request.uri().path());
        match (request.method(), segments.as_slice()) {
            (&Method::POST, path) if publishes(path) => self.receiver.handle(request).await,
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

    /// How much is read of whoever sends this head: as much as the operation takes, while there is
    /// room, of who has a token or will prove the whole request by what is in it. What waits for no
    /// answer from the store is asked here.
    pub(crate) fn knows(&self, head: &Parts) -> Hearing {
        let Machine { base, tenancy, .. } = &self.machine;
        let segments = request::segments(head.uri.path());
        let publishes = publishes(&segments);
        if let Ok(bearer) = request::opened(&head.headers, &tenancy.tokens, base.ambient.now()) {
            return match publishes && bearer.may(Right::Publish) {
                true => WHOLE,
                false => self.callers.hear(head, request::MAX_BODY_BYTES),
            };
        }
        let has = |name: &str| head.headers.contains_key(name);
        let is_signed = || ["webhook-signature", "svix-signature"].into_iter().any(has);
        match segments.as_slice() {
            ["in", source] => {
                let id = source.split(TOKEN_MARK).next().unwrap_or_default();
                match id.parse::<SourceId>() {
                    Ok(_) => self.strangers.hear(head, request::MAX_BODY_BYTES),
                    Err(_) => Hearing::Stranger,
                }
            }
            ["inspect", _] => self.strangers.hear(head, request::MAX_BODY_BYTES),
            // An event that its profile cuts may be long, and who signs it is known only at its end.
            _ if publishes && is_signed() && !has(AUTHORIZATION.as_str()) => {
                self.strangers.hear(head, MAX_BODY_BYTES)
            }
            _ => Hearing::Stranger,
        }
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

/// Whether the path is one that events are published at with a token.
fn publishes(path: &[&str]) -> bool {
    matches!(path, ["api", "v1", "app", _, "msg"] | ["api", "v1", "app", _, "msg", "batch"])
}

/// Runs this to its end in the lane where it is called, though nobody waits for it any more.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The lane is closed, and with it whoever waits.
        Err(_) => std::future::pending().await,
    }
}
