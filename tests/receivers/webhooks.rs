//! Verifies webhooks: Standard Webhooks v1 and v1a, and security event tokens (JWT).
//!
//! Copy this file into your receiver; it needs the crates `base64`, `ring` and `serde_json`. Give
//! it the raw body, never one that was parsed and written again.
//!
//! ```ignore
//! let id = Webhook::new("whsec_...")?.verify(|name| headers.get(name), &body, now_s)?;
//! let claims = Tokens { key_set, issuer: "...", audience: "..." }.verify(&body)?;
//! ```
//!
//! Answer 400 or 401 to an error. Deliveries are repeated when your answer is lost: remember the
//! message id (`jti` of a token), and do nothing the second time.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::Value;

/// How far a request's time may be from now, in seconds.
pub const TOLERANCE_S: u64 = 5 * 60;

/// The request is not from where it says, or not of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookError {
    /// Neither `whsec_...` nor `whpk_...`.
    Key,
    /// A header is missing.
    Header,
    /// The timestamp is not of now.
    Timestamp,
    /// No signature fits.
    Signature,
    /// Not a token.
    Token,
    /// The key set has no such key: fetch it anew.
    UnknownKey,
    /// From or for somebody else.
    Parties,
}

/// One endpoint's secret (`whsec_...`) or public key (`whpk_...`).
pub enum Webhook {
    /// For `v1`.
    Secret(Vec<u8>),
    /// For `v1a`.
    Public(Vec<u8>),
}

impl Webhook {
    /// Reads either.
    pub fn new(key: &str) -> Result<Self, WebhookError> {
        let decode = |encoded: &str| STANDARD.decode(encoded).map_err(|_| WebhookError::Key);
        match key.strip_prefix("whpk_") {
            Some(public) => decode(public).map(Self::Public),
            None => decode(key.strip_prefix("whsec_").unwrap_or(key)).map(Self::Secret),
        }
    }

    /// The message's id, if the request is good. `header` looks one up, whatever its case.
    pub fn verify<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now_s: u64,
    ) -> Result<&'a str, WebhookError> {
        let find = |name: &str| {
            let found =
                header(&format!("webhook-{name}")).or_else(|| header(&format!("svix-{name}")));
            found.ok_or(WebhookError::Header)
        };
        let (id, timestamp, signatures) = (find("id")?, find("timestamp")?, find("signature")?);
        let sent: u64 = timestamp.parse().map_err(|_| WebhookError::Timestamp)?;
        if now_s.abs_diff(sent) > TOLERANCE_S {
            return Err(WebhookError::Timestamp);
        }
        let content = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        let fits = signatures.split(' ').any(|signature| self.fits(signature, &content));
        if fits { Ok(id) } else { Err(WebhookError::Signature) }
    }

    fn fits(&self, signature: &str, content: &[u8]) -> bool {
        let Some((scheme, encoded)) = signature.split_once(',') else { return false };
        let Ok(signature) = STANDARD.decode(encoded) else { return false };
        match (self, scheme) {
            (Self::Secret(secret), "v1") => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
                ring::hmac::verify(&key, content, &signature).is_ok()
            }
            (Self::Public(key), "v1a") => {
                UnparsedPublicKey::new(&ED25519, key).verify(content, &signature).is_ok()
            }
            _ => false,
        }
    }
}

/// The sender's key set (the answer of /.well-known/jwks.json), and who sends to whom.
pub struct Tokens<'a> {
    /// The set, as it was fetched.
    pub key_set: Value,
    /// `iss` of good tokens.
    pub issuer: &'a str,
    /// `aud` of good tokens.
    pub audience: &'a str,
}

impl Tokens<'_> {
    /// The claims, if the token is good.
    pub fn verify(&self, token: &[u8]) -> Result<Value, WebhookError> {
        let token = std::str::from_utf8(token).map_err(|_| WebhookError::Token)?;
        let parts: Vec<&str> = token.split('.').collect();
        let &[head, payload, signature] = parts.as_slice() else { return Err(WebhookError::Token) };
        let (header, claims) = (json(head)?, json(payload)?);
        let signature = unbase64(signature)?;
        let keys = self.key_set["keys"].as_array().ok_or(WebhookError::UnknownKey)?;
        let key = keys.iter().find(|key| key["kid"].is_string() && key["kid"] == header["kid"]);
        let key = key.ok_or(WebhookError::UnknownKey)?;
        // The algorithm is the key's. What the token says may only agree.
        let content = &token.as_bytes()[..head.len() + 1 + payload.len()];
        if header["alg"] != key["alg"] || !signed(key, content, &signature) {
            return Err(WebhookError::Signature);
        }
        let audience = &claims["aud"];
        let ours = audience.as_array().map_or(*audience == self.audience, |several| {
            several.iter().any(|one| *one == self.audience)
        });
        if claims["iss"] != self.issuer || !ours {
            return Err(WebhookError::Parties);
        }
        Ok(claims)
    }
}

fn signed(key: &Value, content: &[u8], signature: &[u8]) -> bool {
    let part =
        |name: &str| key[name].as_str().and_then(|text| unbase64(text).ok()).unwrap_or_default();
    match key["alg"].as_str() {
        Some("RS256") => RsaPublicKeyComponents { n: part("n"), e: part("e") }
            .verify(&RSA_PKCS1_2048_8192_SHA256, content, signature)
            .is_ok(),
        Some("ES256") => {
            let point = [&[4], part("x").as_slice(), part("y").as_slice()].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(content, signature).is_ok()
        }
        Some("EdDSA") => {
            UnparsedPublicKey::new(&ED25519, part("x")).verify(content, signature).is_ok()
        }
        _ => false,
    }
}

fn json(part: &str) -> Result<Value, WebhookError> {
    serde_json::from_slice(&unbase64(part)?).map_err(|_| WebhookError::Token)
}

fn unbase64(text: &str) -> Result<Vec<u8>, WebhookError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| WebhookError::Token)
}
