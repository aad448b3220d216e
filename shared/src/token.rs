//! Bearer tokens: JWTs signed with HS256, as Svix's SDKs carry them.
//!
//! A token with `sub` = an organisation opens everything of that organisation. One with `sub` =
//! an application and `org` = its organisation is confined to that application.
//!
//! Not guaranteed: that a token can be taken back before it expires.

use std::sync::Once;

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::id::{ApplicationId, OrganisationId};

/// How long an organisation token lives, in seconds: ten years (Svix).
pub const ORGANISATION_TOKEN_S: u64 = 10 * 365 * 86_400;
/// How long an application token lives, in seconds: 28 days (Svix).
pub const APPLICATION_TOKEN_S: u64 = 28 * 86_400;
/// How far clocks may be apart, in seconds.
const LEEWAY_S: u64 = 60;

/// What a valid token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything of an organisation.
    Organisation(OrganisationId),
    /// One application.
    Application(OrganisationId, ApplicationId),
}

impl Access {
    /// The organisation that the token belongs to.
    pub fn organisation(&self) -> OrganisationId {
        match self {
            Self::Organisation(org) | Self::Application(org, _) => *org,
        }
    }
}

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl Tokens {
    /// Tokens under this key.
    pub fn new(key: &[u8]) -> Self {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            // Fails only when something else in the process installed one first.
            let _ = HS256_ONLY.install_default();
        });
        let mut validation = Validation::new(Algorithm::HS256);
        // Checked here against our own clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
        }
    }

    /// A token that opens `access` for `lifetime_s` seconds.
    pub fn issue(&self, access: Access, now: Timestamp, lifetime_s: u64) -> String {
        let iat = now.as_secs();
        let (sub, org) = match access {
            Access::Organisation(org) => (org.to_string(), None),
            Access::Application(org, app) => (app.to_string(), Some(org.to_string())),
        };
        let claims = Claims {
            iss: Some("posthorn".to_owned()),
            sub,
            org,
            iat: Some(iat),
            nbf: Some(iat),
            exp: iat + lifetime_s,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("claims of strings and numbers can be encoded")
    }

    /// What this token opens at this moment; `None` when it is forged, expired, not yet valid
    /// or not one of ours.
    pub fn open(&self, token: &str, now: Timestamp) -> Option<Access> {
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        let now_s = now.as_secs();
        let begun = [claims.nbf, claims.iat].into_iter().flatten().all(|at| at <= now_s + LEEWAY_S);
        if claims.exp <= now_s || !begun {
            return None;
        }
        match claims.org {
            Some(org) => Some(Access::Application(org.parse().ok()?, claims.sub.parse().ok()?)),
            None => Some(Access::Organisation(claims.sub.parse().ok()?)),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    exp: u64,
}

/// The library brings a choice of whole cryptography stacks; HS256 on the HMAC that signs
/// everything else keeps a second one out of the binaries.
static HS256_ONLY: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| {
        Ok(Box::new(Hs256::new(*algorithm, key.try_get_as_bytes()?)?))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, Error> {
        if algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Hmac::new_from_slice(key).map(Self).map_err(|_| ErrorKind::InvalidKeyFormat.into())
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        self.0
            .clone()
            .chain_update(message)
            .verify_slice(signature)
            .map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
