//! Who publishes, and what they call their request.
//!
//! A request is known by its bearer token or, without one, by its signature. What it is called
//! comes from where it is proved: a signed request by its signed id, any other by its
//! `idempotency-key`. Headers of a signature beside a token were verified by nobody, and mean
//! nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use shared::api::access::{confined, is_named};
use shared::api::error::ApiError;
use shared::api::request;
use shared::domain::headers::{bearer, single};
use shared::domain::id::ApplicationId;
use shared::domain::message::{HOPS_HEADER, MAX_HOPS};
use shared::domain::right::Right;
use shared::domain::signature::{self, Rejection};
use shared::domain::source;
use shared::domain::token::Bearer;
use shared::sender::USER_AGENT;
use shared::store::{Need, Tenant};

use crate::{BEARER_TTL_MS, Receiver};

/// How the names of the headers of a signed request start.
const FAMILIES: [&str; 2] = ["webhook-", "svix-"];

/// A publisher that is known.
pub(crate) struct Caller {
    /// What it publishes to.
    pub(crate) tenant: Arc<Tenant>,
    /// What this request is called, and keeps being when it is repeated. A key is its caller's own:
    /// two who count from 1 publish two events.
    pub(crate) request: Option<String>,
}

/// What a request says beside its body.
pub(crate) struct Options {
    /// Whether the answer is to have the payload.
    pub(crate) with_content: bool,
    /// How often we have sent ourselves what this comes of.
    pub(crate) hops: u8,
}

impl Options {
    /// # Errors
    /// 400 when it says what it cannot, or came by us too often.
    pub(crate) fn by(request: &Request<Bytes>) -> Result<Self, ApiError> {
        request::check_query(request.uri())?;
        let with_content = request::query_flag(request, "with_content", true)?;
        Ok(Self { with_content, hops: hops(request.headers())? })
    }
}

impl Receiver {
    /// Who asks, and for which application.
    pub(crate) async fn authorise(
        &self,
        request: &Request<Bytes>,
        reference: &str,
    ) -> Result<Caller, ApiError> {
        let headers = request.headers();
        if !headers.contains_key(header::AUTHORIZATION) && is_signed(headers) {
            return self.authorise_signed(request, reference).await;
        }
        let bearer = self.opened(headers)?;
        if self.revocations.is_revoked(&bearer).await? {
            return Err(ApiError::invalid_token());
        }
        // A visitor may not: a customer could take the names of events to come.
        if !bearer.may(Right::Publish) {
            return Err(ApiError::forbidden());
        }
        let name = request::idempotency_key(headers)?;
        let tenant = self.tenant_of(&bearer, reference, request).await?;
        let request = name.map(|name| format!("{}\n{name}", bearer.fingerprint));
        Ok(Caller { tenant, request })
    }

    /// The request's bearer token, opened. What it opens is remembered for a while: the same one
    /// comes with every event.
    fn opened(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, ApiError> {
        let token = bearer(headers).unwrap_or_default();
        if let Some(bearer) = self.bearers.get(token) {
            return Ok(bearer);
        }
        let now = self.ambient.now();
        let bearer = Arc::new(request::opened(headers, &self.tokens, now)?);
        let until = bearer.expires_at.min(now.plus_ms(BEARER_TTL_MS));
        self.bearers.set(token.to_owned(), bearer.clone(), until);
        Ok(bearer)
    }

    /// The application that the path names, if this token reaches it. One that is confined to an
    /// application creates no other.
    async fn tenant_of(
        &self,
        bearer: &Bearer,
        reference: &str,
        request: &Request<Bytes>,
    ) -> Result<Arc<Tenant>, ApiError> {
        if let Some(own) = confined(&self.directory, bearer, self.ambient.now()).await? {
            return match is_named(&own.application, reference) {
                true => Ok(own),
                false => Err(ApiError::not_found()),
            };
        }
        let org = bearer.access.organisation();
        match self.directory.application(&org, reference, Need::Application).await? {
            Some(tenant) => Ok(tenant),
            None => self.create_on_publish(bearer, reference, request).await,
        }
    }

    async fn authorise_signed(
        &self,
        request: &Request<Bytes>,
        reference: &str,
    ) -> Result<Caller, ApiError> {
        let headers = request.headers();
        let reject = |rejection: Rejection| ApiError::unauthenticated(rejection.detail());
        let [id, timestamp, signatures] =
            source::signed(headers).ok_or_else(|| reject(Rejection::Headers))?;
        let tenant = match reference.parse::<ApplicationId>() {
            Ok(id) => self.directory.tenant(&id, Need::Application).await?,
            Err(_) => {
                let org = &self.settings.organisation;
                self.directory.application(org, reference, Need::Application).await?
            }
        };
        // A stranger is not told whether the application exists.
        let tenant = tenant.ok_or_else(|| reject(Rejection::Signature))?;
        let now = self.ambient.now();
        let owner = tenant.application.id.to_string();
        let keys = tenant.application.integration_key.live(&owner, &self.sealer, now);
        signature::verify(&keys, id, timestamp, signatures, request.body(), now).map_err(reject)?;
        Ok(Caller { tenant, request: Some(signed_name(headers, id)?.to_owned()) })
    }
}

/// What a signed request is called. Nobody signed the `idempotency-key`: were it heard, whoever
/// caught the request could publish it once more under another one.
fn signed_name<'a>(headers: &'a HeaderMap, id: &'a str) -> Result<&'a str, ApiError> {
    match request::idempotency_key(headers)? {
        Some(named) if named != id => Err(ApiError::bad_request(
            "invalid_idempotency_key",
            "A signed request is known by its webhook-id: leave idempotency-key out.",
        )),
        _ => request::check_idempotency_key(id),
    }
}

/// How many deliveries of ours led to this request, this one included.
///
/// # Errors
/// 400 when they are too many: somebody's endpoint leads back to us.
pub(crate) fn hops(headers: &HeaderMap) -> Result<u8, ApiError> {
    let name = USER_AGENT.split_inclusive('/').next().unwrap_or(USER_AGENT);
    let agent = single(headers, header::USER_AGENT.as_str());
    if !agent.is_some_and(|agent| agent.starts_with(name)) {
        return Ok(0);
    }
    let before = single(headers, HOPS_HEADER).and_then(|hops| hops.parse().ok()).unwrap_or(0_u8);
    match before.saturating_add(1) {
        hops if hops <= MAX_HOPS => Ok(hops),
        _ => Err(ApiError::bad_request(
            "too_many_hops",
            format!("This event has come back to where it is published {MAX_HOPS} times."),
        )),
    }
}

/// Whether the request claims to be signed, however badly.
fn is_signed(headers: &HeaderMap) -> bool {
    FAMILIES.iter().any(|family| {
        signature::HEADERS.iter().any(|name| headers.contains_key(format!("{family}{name}")))
    })
}
