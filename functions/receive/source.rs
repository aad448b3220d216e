//! Webhooks of other systems: `POST /in/{source_id}` proves them and publishes them; a `GET` or
//! a first `POST` may be a handshake that asks whether this is really the right address.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::value::RawValue;
use shared::api::error::{self, ApiError, Violation};
use shared::api::request;
use shared::domain::id::{MessageId, MessageKey, SourceId, Uid};
use shared::domain::json;
use shared::domain::message::{Message, NewMessage};
use shared::domain::metrics::Metric;
use shared::domain::secret::Sealed;
use shared::domain::source::{
    Encoding, Kind, Refusal, Refused, Scheme, Source, TOKEN_MARK, hmac_text, same, verify,
};
use shared::store::Need;

use crate::{Receiver, caller};

/// Longest `crc_token`, in characters.
const MAX_CRC_TOKEN: usize = 256;

impl Receiver {
    pub(crate) async fn source(
        &self,
        request: &Request<Bytes>,
        id: &str,
    ) -> Result<Response<Bytes>, ApiError> {
        request::check_size(request.body().len())?;
        let (id, token) = match id.split_once(TOKEN_MARK) {
            Some((id, token)) => (id, Some(token)),
            None => (id, None),
        };
        let id: SourceId = id.parse().map_err(|_| ApiError::not_found())?;
        let source = self.sources.find(&id).await?.ok_or_else(ApiError::not_found)?;
        let owner = id.to_string();
        let open = |sealed: &Sealed| self.sealer.open_bytes(sealed, &owner);
        if !source.is_at(token, self.ambient.now(), open) {
            return Err(ApiError::not_found());
        }
        match *request.method() {
            // The server leaves the body out for `HEAD`.
            Method::GET | Method::HEAD => self.handshake(request, &source).await,
            Method::POST => self.incoming(request, &source).await,
            _ => Err(ApiError::wrong_method()),
        }
    }

    async fn incoming(
        &self,
        request: &Request<Bytes>,
        source: &Source,
    ) -> Result<Response<Bytes>, ApiError> {
        let secret = self.secret_of(source, source.secret.as_ref())?;
        let headers = request.headers();
        let now = self.ambient.now();
        let proved = verify(&source.scheme, secret.as_deref(), headers, request.body(), now);
        let payload = match proved {
            Ok(payload) => payload,
            Err(refusal) => return Err(self.refuse(source, refusal).await),
        };
        let Some(body) = read(&payload) else {
            self.note(source, Refusal::Body).await;
            let rule = "must be a JSON object: choose JSON where the other system is set up";
            return Err(Violation::body_at([], rule).into());
        };
        if source.kind == Kind::Slack {
            let text = |pointer| json::at(body, pointer).and_then(json::name_of);
            if text("/type").as_deref() == Some("url_verification") {
                return Ok(plain(&text("/challenge").unwrap_or_default()));
            }
        }
        let Some(tenant) = self.directory.tenant(&source.app, Need::Application).await? else {
            return Err(ApiError::not_found());
        };
        let found = source.event(headers, body);
        // What is asked for under this name is the same request, however often it comes: the
        // system gets the same answer, and gives up repeating it.
        let name = found.event_id.as_deref().map(request_name);
        let event_id = found.event_id.as_deref().map(|id| Uid::parse(id, MessageId::PREFIX));
        let event_id = event_id.transpose().map_err(|error| ApiError::Internal(error.0))?;
        let payload = payload.slice_ref(body.as_bytes());
        let new = NewMessage { event_id, ..NewMessage::of(found.event_type, payload) };
        let profile = self.profiles.of(&tenant.application).await?;
        let hops = caller::hops(headers)?;
        let message = self.message(new, &tenant.application, name.as_deref());
        let message = Message { hops, source: Some(source.id), ..message };
        self.take(message, &profile, false).await
    }

    /// Meta's `hub.challenge` and the `crc_token` of others.
    async fn handshake(
        &self,
        request: &Request<Bytes>,
        source: &Source,
    ) -> Result<Response<Bytes>, ApiError> {
        if let Some(challenge) = request::query_value(request, "hub.challenge") {
            let expected = self.secret_of(source, source.verify_token.as_ref())?;
            let sent = request::query_value(request, "hub.verify_token").unwrap_or_default();
            let fits = expected.is_some_and(|expected| same(&expected, sent.as_bytes()));
            return match fits {
                true => Ok(plain(&challenge)),
                false => Err(self.refuse(source, Refusal::Signature).await),
            };
        }
        // Whoever asks gets an HMAC with the secret that proves events. So it is made of nothing
        // that could be one: an event is a JSON object, and has a brace.
        if let Some(token) = request::query_value(request, "crc_token")
            && source.kind == Kind::GenericWebhook
            && is_crc_token(&token)
            && matches!(source.scheme, Scheme::Hmac(_))
            && let Some(secret) = self.secret_of(source, source.secret.as_ref())?
        {
            let response =
                format!("sha256={}", hmac_text(Encoding::Base64, &secret, token.as_bytes()));
            let answer = serde_json::json!({ "response_token": response });
            return Ok(error::json(StatusCode::OK, &answer));
        }
        Err(ApiError::not_found())
    }

    fn secret_of(
        &self,
        source: &Source,
        sealed: Option<&Sealed>,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let owner = source.id.to_string();
        let open = |sealed| {
            self.sealer
                .open_bytes(sealed, &owner)
                .ok_or_else(|| ApiError::Internal(format!("the secret of {owner} does not open")))
        };
        sealed.map(open).transpose()
    }

    /// A line in this process's log and one in the source's, once in a while. Whether the store
    /// takes it makes no difference to the answer.
    async fn note(&self, source: &Source, reason: Refusal) {
        let at = self.ambient.now();
        let Some(count) = self.unverified.count(source.id, at) else { return };
        let scheme = source.scheme.name();
        tracing::warn!(source.id = %source.id, scheme, ?reason, count, "unverified webhook");
        let id = MessageId::from_key(at, MessageKey::new(&self.ambient));
        let refused = Refused { id, at, reason, count };
        if let Err(error) = self.source_log.note(&source.id, &refused).await {
            tracing::warn!(source.id = %source.id, %error, "no note of an unverified webhook");
        }
    }

    /// 401 and a count; a line in the logs once in a while.
    async fn refuse(&self, source: &Source, refusal: Refusal) -> ApiError {
        self.metrics.count(Metric::Unverified);
        self.note(source, refusal).await;
        ApiError::unauthenticated(
            "This request is not proved to come from the system that this source is for: check \
             the secret on both sides, and the clock.",
        )
    }
}

/// A body that is a JSON object, without the white space around it. It is passed on as it is, so
/// no more of it is read than what is asked for.
fn read(body: &[u8]) -> Option<&str> {
    let body: &RawValue = serde_json::from_slice(body).ok()?;
    Some(body.get()).filter(|body| body.starts_with('{'))
}

/// As long as an idempotency key may be.
fn request_name(event_id: &str) -> String {
    shared::domain::signature::sha256_hex(event_id.as_bytes())
}

/// Whether this is a token as X makes them: base64, either alphabet.
fn is_crc_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    (1..=MAX_CRC_TOKEN).contains(&text.len()) && text.bytes().all(allowed)
}

fn plain(text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(text.as_bytes()));
    let value = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    // What is echoed must never be taken for a page.
    let sniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}
