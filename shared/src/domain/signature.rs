//! Standard Webhooks signatures: made for deliveries, checked on signed requests.
//!
//! What is signed is `id.timestamp.body`, with the exact bytes of the body. `v1` is HMAC-SHA256
//! in base64, `v1a` is ed25519. A header may carry several signatures, separated by spaces: one
//! per live secret while a secret is being rotated, of either kind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::domain::clock::Timestamp;
use crate::domain::secret::{PublicKey, SignatureScheme, SigningSecret};

/// How far the time of a signed request may be from ours, either way, in seconds
/// (Standard Webhooks' reference libraries: 5 minutes).
pub const TOLERANCE_S: u64 = 300;

/// Most signatures of one request that are looked at: one for each key of a sender, which here are
/// eleven at most. A header has room for thousands, and the body is hashed for some of them.
pub const MAX_SIGNATURES: usize = 16;

/// The three headers of a Standard Webhooks request, without `webhook-` or `svix-`.
pub const HEADERS: [&str; 3] = ["id", "timestamp", "signature"];

/// The value of the signature header: one `v1` or `v1a` per secret.
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp_s: u64, body: &[u8]) -> String {
    let timestamp_s = timestamp_s.to_string();
    let mut header = String::new();
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str(prefix(secret.scheme()));
        let signature = secret.sign(&content(id, &timestamp_s, body));
        STANDARD.encode_string(signature, &mut header);
    }
    header
}

/// Why a signed request was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// One of the three headers is missing, or there twice.
    Headers,
    /// The timestamp is not a number.
    Timestamp,
    /// The timestamp is more than [`TOLERANCE_S`] away from now.
    Tolerance,
    /// No signature fits.
    Signature,
}

impl Rejection {
    /// A sentence for the caller.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Headers => {
                "A signed request needs the headers webhook-id, webhook-timestamp and \
                 webhook-signature, each once."
            }
            Self::Timestamp => "webhook-timestamp must be whole seconds since 1970.",
            Self::Tolerance => {
                "webhook-timestamp is more than 5 minutes away from now: sign the request again, \
                 and check the clock."
            }
            Self::Signature => {
                "No signature fits: sign `{webhook-id}.{webhook-timestamp}.{body}` with the \
                 application's integration key, over the exact bytes of the body."
            }
        }
    }
}

/// Checks a signed request in constant time.
///
/// # Errors
/// The first thing that does not fit.
pub fn verify(
    secrets: &[SigningSecret],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Rejection> {
    let timestamp_s: u64 = timestamp.parse().map_err(|_| Rejection::Timestamp)?;
    if now.as_secs().abs_diff(timestamp_s) > TOLERANCE_S {
        return Err(Rejection::Tolerance);
    }
    let timestamp_s = timestamp_s.to_string();
    let content = content(id, &timestamp_s, body);
    let fits =
        secrets.iter().any(|secret| secret.verifies(&content, given(signatures, secret.scheme())));
    if fits { Ok(()) } else { Err(Rejection::Signature) }
}

/// Whether one of the signatures is this key's. Says nothing about the time.
pub fn verify_public(
    key: &PublicKey,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
) -> bool {
    let content = content(id, timestamp, body);
    key.verifies(&content, given(signatures, SignatureScheme::V1a))
}

/// SHA-256 of some bytes, in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What is signed.
fn content<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

/// How a signature of this scheme starts.
fn prefix(scheme: SignatureScheme) -> &'static str {
    match scheme {
        SignatureScheme::V1 => "v1,",
        SignatureScheme::V1a => "v1a,",
    }
}

/// The signatures of one scheme among the first [`MAX_SIGNATURES`] of a header.
fn given(signatures: &str, scheme: SignatureScheme) -> impl Iterator<Item = Vec<u8>> {
    let prefix = prefix(scheme);
    let first = signatures.split(' ').take(MAX_SIGNATURES);
    let ours = first.filter_map(move |signature| signature.strip_prefix(prefix));
    ours.filter_map(|encoded| STANDARD.decode(encoded).ok())
}
