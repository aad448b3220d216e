//! Repeated requests: a POST with the same `idempotency-key` gets the first one's answer.
//!
//! Around every operation alike. Only success is kept, for 12 hours; after anything else the
//! request can be repeated. Costs two writes, and nothing for a request without the header.
//! Publishing does without: there the message's own key is the duplicate check.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use shared::api::error::{self, ApiError};
use shared::api::request;
use shared::store::{Kept, Place};

use crate::{Admin, Answer, Call};

/// How long a repetition waits for the first one (Svix).
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits between two looks (Svix).
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// Largest answer that is kept, in bytes.
const MAX_KEPT_BYTES: usize = 256 * 1024;

impl Call<'_> {
    /// Works on the request unless it was worked on before.
    pub(crate) async fn route_once(&self, path: &[&str]) -> Answer {
        let Some(place) = self.place()? else { return self.route(path).await };
        let mut waited = Duration::ZERO;
        loop {
            let now = self.admin.ambient.now();
            match self.admin.answers.take(&place, now).await? {
                Place::Mine => break,
                Place::Answered(kept) => return self.admin.reopen(&place, &kept),
                Place::Taken if waited >= self.admin.patience => {
                    return Err(ApiError::conflict(
                        "A request with this idempotency-key is under way: ask again later.",
                    ));
                }
                Place::Taken => tokio::time::sleep(BETWEEN_LOOKS).await,
            }
            waited += BETWEEN_LOOKS;
        }
        let answer = self.route(path).await;
        self.admin.leave(&place, &answer).await;
        answer
    }

    /// The place of the request, if the caller named it.
    ///
    /// # Errors
    /// When its name is none.
    pub(crate) fn place(&self) -> Result<Option<String>, ApiError> {
        if self.request.method() != Method::POST {
            return Ok(None);
        }
        let key = request::idempotency_key(self.request.headers())?;
        Ok(key.map(|key| place_of(self.request, &self.bearer.fingerprint, key)))
    }
}

impl Admin {
    /// Keeps a success, and gives the place up after anything else. If that fails there is
    /// nothing to tell the caller: its request was worked on all the same.
    async fn leave(&self, place: &str, answer: &Answer) {
        let kept = match answer {
            Ok(answer) if answer.status().is_success() && answer.body().len() <= MAX_KEPT_BYTES => {
                let body = self.sealer.seal_bytes(answer.body(), place, &self.ambient);
                let kept = Kept { status: answer.status().as_u16(), body };
                self.answers.keep(place, kept, self.ambient.now()).await
            }
            _ => self.answers.release(place).await,
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "cannot keep the answer of a request");
        }
    }

    fn reopen(&self, place: &str, kept: &Kept) -> Answer {
        let broken = || ApiError::Internal("a kept answer does not open".to_owned());
        let body = self.sealer.open_bytes(&kept.body, place).ok_or_else(broken)?;
        let status = StatusCode::from_u16(kept.status).map_err(|_| broken())?;
        let mut answer: Response<Bytes> = error::empty(status);
        if !body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        *answer.body_mut() = body.into();
        Ok(answer)
    }
}

/// The same for the same caller, key, path and query, and for nothing else.
fn place_of(request: &Request<Bytes>, fingerprint: &str, key: &str) -> String {
    let mut uri = format!("/{}", request::segments(request.uri().path()).join("/"));
    if let Some(query) = request.uri().query().filter(|query| !query.is_empty()) {
        uri.extend(["?", query]);
    }
    let mut hash = Sha256::new();
    for part in [fingerprint, key, &uri] {
        // Lengths keep two parts from passing for one.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..20])
}
