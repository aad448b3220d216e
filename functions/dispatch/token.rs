//! A delivery as a security event token (RFC 8417): the event in a JWT that the organisation's
//! key set signs.
//!
//! The claims: `jti` is the message's UUID, the same on every attempt; `sub` the user whom the
//! event is about; `aud` the application, by the name that its owner gave it; `iat` the moment
//! of the attempt; `events` has one member, whose name the profile knows and whose value is the
//! published payload, byte for byte.
//!
//! Not guaranteed: a token before there is a key. The attempt fails then and says so; admin
//! makes a key when an endpoint is switched to tokens.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::domain::clock::Timestamp;
use shared::domain::message::Message;
use shared::domain::profile::envelope::uuid_of;
use shared::store::StoreError;

use crate::Parts;
use crate::policy::{Policy, TokenClaims};
use crate::request::Body;

/// What a token is (RFC 7519, section 10.3.1).
const JWT: &str = "application/jwt";
/// `iss` of a profile that says nothing about tokens.
const ISSUER: &str = "posthorn";

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    jti: String,
    iat: u64,
    #[serde(serialize_with = "one_member")]
    events: (String, &'a RawValue),
}

/// The message as a token, or why there can be none.
///
/// # Errors
/// When the key set has to be read and cannot be.
pub(crate) async fn body(
    parts: &Parts,
    message: &Message,
    policy: &Policy,
    about: &TokenClaims,
    at: Timestamp,
) -> Result<Result<Body, String>, StoreError> {
    let mut set = parts.key_sets.recent(&about.org).await?;
    // The first key of an algorithm signs at once: it may be newer than what is kept.
    if set.signing(about.algorithm, at).is_none() {
        set = Arc::new(parts.key_sets.current(&about.org).await?);
    }
    let Some(key) = set.signing(about.algorithm, at) else {
        return Ok(Err(format!(
            "no {:?} key signs tokens: make one with POST /api/v1/operator/jwt-key/rotate",
            about.algorithm
        )));
    };
    let Ok(payload) = serde_json::from_slice(&message.payload) else {
        return Ok(Err("the payload is not JSON, so no token can carry it".to_owned()));
    };
    let rules = policy.profile.jwt.as_ref();
    let urn = rules.cloned().unwrap_or_default().urn(&message.event_type);
    let claims = Claims {
        iss: rules.map_or(ISSUER, |rules| rules.issuer.as_str()),
        aud: &about.audience,
        sub: message.subject.as_deref(),
        jti: uuid_of(&message.id),
        iat: at.as_secs(),
        events: (urn, payload),
    };
    let typ = rules.and_then(|rules| rules.typ.as_deref());
    Ok(match key.sign(&about.org, &parts.sealer, typ, &claims) {
        Some(token) => Ok(Body { content_type: JWT.into(), bytes: Bytes::from(token) }),
        None => Err(format!("the key {} does not open: has the root secret changed?", key.kid)),
    })
}

fn one_member<S: serde::Serializer>(
    (name, value): &(String, &RawValue),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map([(name, value)])
}
