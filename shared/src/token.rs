//! Bearer tokens: JWTs signed with HS256, as Svix's SDKs carry them.
//!
//! A token with `sub` = an organisation opens everything of that organisation. One with `sub` =
//! an application and `org` = its organisation is confined to that application.
//!
//! Not guaranteed: that a token can be taken back before it expires.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ApplicationId, OrganisationId};
use crate::jose;

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
        jose::install();
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
