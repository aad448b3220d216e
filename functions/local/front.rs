//! What stands between the HTTP server and the functions: what API Gateway is on AWS.

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

use crate::machine::Machine;

/// What stands behind the HTTP server.
pub(crate) struct Front {
    pub(crate) machine: Machine,
    pub(crate) receiver: Receiver,
    pub(crate) admin: Admin,
}

impl Front {
    /// Routes as API Gateway does: publishing to receive, everything else to admin.
    pub(crate) async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
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

    /// Whether a request's head is of somebody to be heard out: who has a token, or proves the
    /// whole request by what is in it. What waits for no answer from the store is asked here.
    pub(crate) fn knows(&self, head: &Parts) -> bool {
        let Machine { base, tenancy, .. } = &self.machine;
        let segments = request::segments(head.uri.path());
        let is_proved_within = match segments.as_slice() {
            ["in", source] => source.parse::<SourceId>().is_ok(),
            ["inspect", _] => true,
            ["api", "v1", "app", _, "msg"] | ["api", "v1", "app", _, "msg", "batch"] => {
                let has = |name: &str| head.headers.contains_key(name);
                !has(AUTHORIZATION.as_str())
                    && ["webhook-signature", "svix-signature"].into_iter().any(has)
            }
            _ => false,
        };
        is_proved_within
            || request::opened(&head.headers, &tenancy.tokens, base.ambient.now()).is_ok()
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
