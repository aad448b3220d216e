//! Standard Webhooks signatures: made for deliveries, checked on signed requests.
//!
//! What is signed is `id.timestamp.body`, with the exact bytes of the body. `v1` is
//! HMAC-SHA256 in base64. A header may carry several signatures, separated by spaces: one per
//! live secret while a secret is being rotated.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::secret::SigningSecret;

/// How far the time of a signed request may be from ours, either way, in seconds
/// (Standard Webhooks' reference libraries: 5 minutes).
pub const TOLERANCE_S: u64 = 300;

/// The three headers of a Standard Webhooks request, without `webhook-` or `svix-`.
pub const HEADERS: [&str; 3] = ["id", "timestamp", "signature"];

/// The value of the signature header: one `v1` per secret.
pub fn sign(secrets: &[SigningSecret], id: &str, timestamp_s: u64, body: &[u8]) -> String {
    let mut header = String::new();
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        let signature = mac(secret, id, timestamp_s, body).finalize().into_bytes();
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
    let fits = signatures
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .filter_map(|encoded| STANDARD.decode(encoded).ok())
        .any(|signature| {
            secrets
                .iter()
                .any(|secret| mac(secret, id, timestamp_s, body).verify_slice(&signature).is_ok())
        });
    if fits { Ok(()) } else { Err(Rejection::Signature) }
}

/// SHA-256 of some bytes, in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(secret: &SigningSecret, id: &str, timestamp_s: u64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes any key length");
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(timestamp_s.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}
