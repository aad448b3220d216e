//! Whether a request is from whom it says, in constant time.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Encoding, Scheme};
use crate::domain::clock::Timestamp;
use crate::domain::headers::{authorization, bearer, single};
use crate::domain::schema::JsonSchema;
use crate::domain::secret::{PUBLIC_PREFIX, PublicKey, SigningSecret};
use crate::domain::signature::{self, TOLERANCE_S};

/// Digits of the seconds since 1970, from 2001 to 2286.
const DIGITS_OF_SECONDS: usize = 10;

/// Why a request is not believed: for the log, without anything of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "IngestRefusal")]
pub enum Refusal {
    /// A header that proves it is missing, there twice, or reads as nothing.
    Headers,
    /// Its time is too far from now.
    Tolerance,
    /// The proof does not fit.
    Signature,
    /// The source's own secret is missing or of no use.
    Secret,
    /// It is proved, and its body is no JSON object.
    Body,
}

/// Checks a request and answers with its event's bytes: the body as it came, or a token's
/// claims.
///
/// # Errors
/// The first thing that does not fit.
pub fn verify(
    scheme: &Scheme,
    secret: Option<&[u8]>,
    headers: &HeaderMap,
    body: &Bytes,
    now: Timestamp,
) -> Result<Bytes, Refusal> {
    if *scheme == Scheme::None {
        return Ok(body.clone());
    }
    let secret = secret.ok_or(Refusal::Secret)?;
    let fits = match scheme {
        Scheme::StandardWebhooks => standard(secret, headers, body, now)?,
        Scheme::Stripe => stripe(secret, headers, body, now)?,
        Scheme::Hmac(hmac) => keyed(hmac, secret, headers, body, now)?,
        Scheme::Jwt { issuer, audience } => {
            let expected = (issuer.as_deref(), audience.as_deref());
            return token(secret, expected, body, now);
        }
        Scheme::Basic => {
            let sent = authorization(headers, "basic").ok_or(Refusal::Headers)?;
            same(STANDARD.encode(secret).as_bytes(), sent.as_bytes())
        }
        Scheme::Bearer => same(secret, bearer(headers).ok_or(Refusal::Headers)?.as_bytes()),
        Scheme::None => true,
    };
    if fits { Ok(body.clone()) } else { Err(Refusal::Signature) }
}

/// The HMAC-SHA256 of some bytes as text.
pub fn hmac_text(encoding: Encoding, secret: &[u8], content: &[u8]) -> String {
    encode(encoding, &mac(secret, &[content]))
}

/// Whether two texts are the same, in a time that depends on their lengths alone.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Id, timestamp and signatures of the family of headers that has all three. What the other family
/// has of them is signed by nobody.
pub fn signed(headers: &HeaderMap) -> Option<[&str; 3]> {
    ["webhook-", "svix-"].into_iter().find_map(|family| {
        let [id, timestamp, signatures] =
            signature::HEADERS.map(|name| single(headers, &format!("{family}{name}")));
        Some([id?, timestamp?, signatures?])
    })
}

fn standard(
    secret: &[u8],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<bool, Refusal> {
    let [id, timestamp, signatures] = signed(headers).ok_or(Refusal::Headers)?;
    check_time(timestamp, TOLERANCE_S, now)?;
    let secret = std::str::from_utf8(secret).map_err(|_| Refusal::Secret)?;
    if secret.starts_with(PUBLIC_PREFIX) {
        let key = PublicKey::parse(secret).ok_or(Refusal::Secret)?;
        return Ok(signature::verify_public(&key, id, timestamp, signatures, body));
    }
    let secret = SigningSecret::parse_symmetric(secret).map_err(|_| Refusal::Secret)?;
    Ok(signature::verify(&[secret], id, timestamp, signatures, body, now).is_ok())
}

fn stripe(
    secret: &[u8],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<bool, Refusal> {
    let header = single(headers, "stripe-signature").ok_or(Refusal::Headers)?;
    let part = |name: &'static str| {
        header.split(',').filter_map(move |part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let timestamp = part("t").next().ok_or(Refusal::Headers)?;
    check_time(timestamp, TOLERANCE_S, now)?;
    let expected = encode(Encoding::Hex, &mac(secret, &[timestamp.as_bytes(), b".", body]));
    Ok(part("v1").any(|sent| same(expected.as_bytes(), sent.as_bytes())))
}

fn keyed(
    hmac: &super::Hmac,
    secret: &[u8],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<bool, Refusal> {
    let sent = single(headers, &hmac.header).ok_or(Refusal::Headers)?;
    let timestamp = match &hmac.timestamp_header {
        None => "",
        Some(name) => {
            let timestamp = single(headers, name).ok_or(Refusal::Headers)?;
            let in_seconds = match timestamp.split_at_checked(DIGITS_OF_SECONDS) {
                Some((seconds, thousandths)) if thousandths.len() == 3 => seconds,
                _ => timestamp,
            };
            check_time(in_seconds, hmac.tolerance_seconds, now)?;
            timestamp
        }
    };
    let content = hmac.content.replace("{timestamp}", timestamp);
    let mut parts: Vec<&[u8]> = Vec::new();
    for (position, text) in content.split("{body}").enumerate() {
        if position > 0 {
            parts.push(body);
        }
        parts.push(text.as_bytes());
    }
    let sent = sent.strip_prefix(&hmac.prefix).and_then(|sent| decode(hmac.encoding, sent));
    Ok(sent.is_some_and(|sent| same(&mac(secret, &parts), &sent)))
}

/// Whether this is a JSON Web Key Set that tokens can be checked with.
pub fn is_key_set(text: &str) -> bool {
    serde_json::from_str::<JwkSet>(text).is_ok_and(|set| !set.keys.is_empty())
}

fn token(
    keys: &[u8],
    (issuer, audience): (Option<&str>, Option<&str>),
    body: &[u8],
    now: Timestamp,
) -> Result<Bytes, Refusal> {
    crate::domain::jose::install();
    let keys: JwkSet = serde_json::from_slice(keys).map_err(|_| Refusal::Secret)?;
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Headers)?.trim();
    let header = jsonwebtoken::decode_header(text).map_err(|_| Refusal::Headers)?;
    // Never what the token asks for: a key of the set is public, so HMAC with it proves nothing.
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
        return Err(Refusal::Signature);
    }
    // What it says that its reader must understand, we do not.
    if header.crit.is_some() {
        return Err(Refusal::Signature);
    }
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or(Refusal::Signature)?;
    let said = key.common.key_algorithm.map(|algorithm| algorithm.to_string());
    if said.is_some_and(|said| said != format!("{:?}", header.alg)) {
        return Err(Refusal::Signature);
    }
    let key = DecodingKey::from_jwk(key).map_err(|_| Refusal::Secret)?;
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = audience.is_some();
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    if let Some(issuer) = issuer {
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".to_owned());
    }
    let claims = jsonwebtoken::decode::<Times>(text, &key, &validation)
        .map_err(|_| Refusal::Signature)?
        .claims;
    #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
    let seconds = now.as_secs() as f64;
    if claims.exp.is_some_and(|at| at.0 <= seconds) || claims.nbf.is_some_and(|at| at.0 > seconds) {
        return Err(Refusal::Tolerance);
    }
    let payload = text.split('.').nth(1).ok_or(Refusal::Headers)?;
    URL_SAFE_NO_PAD.decode(payload).map(Bytes::from).map_err(|_| Refusal::Headers)
}

/// Since and until when a token holds. All else of it is passed on unread.
#[derive(Deserialize)]
struct Times {
    #[serde(default, deserialize_with = "seconds")]
    exp: Option<Seconds>,
    #[serde(default, deserialize_with = "seconds")]
    nbf: Option<Seconds>,
}

/// Seconds since 1970, perhaps with a fraction.
struct Seconds(f64);

/// A moment that is there has to be a number: otherwise the token would hold for ever.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Seconds>, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    let number = text.get().parse().map_err(|_| D::Error::custom("not a number"))?;
    Ok(Some(Seconds(number)))
}

fn check_time(text: &str, tolerance_s: u64, now: Timestamp) -> Result<(), Refusal> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let at: u64 = text.parse().ok().filter(|_| is_number).ok_or(Refusal::Headers)?;
    if now.as_secs().abs_diff(at) > tolerance_s {
        return Err(Refusal::Tolerance);
    }
    Ok(())
}

fn mac(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// The bytes that this text stands for, however it is spelled.
fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok(),
    }
}

fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
    }
}
