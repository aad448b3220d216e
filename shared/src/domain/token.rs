//! Bearer tokens: JWTs signed with HS256, as Svix's SDKs carry them.
//!
//! A token with `sub` = an organisation opens everything of that organisation. One with `sub` =
//! an application and `org` = its organisation is confined to that application.
//!
//! A token can be taken back before it expires (see [`Revocations`](crate::store::Revocations)).
//!
//! Not guaranteed: that it stops opening at once; a process may remember for half a minute that
//! it was good.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::id::{ApplicationId, OrganisationId};
use crate::domain::jose;

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

/// A token that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// What it opens.
    pub access: Access,
    /// What its holder may know of beside what is for everybody; an organisation knows all.
    pub flags: Vec<String>,
    /// The visitor's session that it was made for, if it was for one.
    pub session: Option<String>,
    /// A hash of it, by which it can be taken back.
    pub fingerprint: String,
    /// When it was made, in whole seconds, if it says so.
    pub issued_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is forged, expired, not yet valid or not one of ours.
    Invalid,
    /// It is no token at all: perhaps the secret that tokens are made with.
    NoToken,
    /// It is ours and in force, and says of nobody that it opens anything: a sentence.
    Claims(&'static str),
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
        validation.set_required_spec_claims(&["exp"]);
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
            sub: Some(sub),
            org,
            iat: Some(iat),
            nbf: Some(iat),
            exp: iat + lifetime_s,
            jti: None,
            feature_flags: Vec::new(),
            session_id: None,
        };
        self.encode(&claims)
    }

    /// A token for one visitor of an application: no other call makes the same one, so it can
    /// be taken back alone. `after` is when all before it were taken back, if they were.
    pub fn issue_visit(
        &self,
        [org, app]: [String; 2],
        (feature_flags, session_id): (Vec<String>, Option<String>),
        lifetime_s: u64,
        after: Option<Timestamp>,
        ambient: &Ambient,
    ) -> String {
        // Tokens tell seconds: one that is made in the second in which all before it were taken
        // back must not look like one of them.
        let iat = ambient.now().as_secs().max(after.map_or(0, |at| at.as_secs() + 1));
        let jti: [u8; 12] = ambient.random();
        self.encode(&Claims {
            iss: Some("posthorn".to_owned()),
            sub: Some(app),
            org: Some(org),
            iat: Some(iat),
            nbf: Some(iat),
            exp: iat + lifetime_s,
            jti: Some(jti.iter().map(|byte| format!("{byte:02x}")).collect()),
            feature_flags,
            session_id,
        })
    }

    /// What this token opens at this moment; `None` when it is forged, expired, not yet valid
    /// or not one of ours.
    pub fn open(&self, token: &str, now: Timestamp) -> Option<Access> {
        self.open_bearer(token, now).ok().map(|bearer| bearer.access)
    }

    /// The same with everything else that it says.
    ///
    /// # Errors
    /// Why it opens nothing.
    pub fn open_bearer(&self, token: &str, now: Timestamp) -> Result<Bearer, Refused> {
        if token.split('.').count() != 3 {
            return Err(Refused::NoToken);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = decoded.map_err(|_| Refused::Invalid)?.claims;
        let now_s = now.as_secs();
        let begun = [claims.nbf, claims.iat].into_iter().flatten().all(|at| at <= now_s + LEEWAY_S);
        if claims.exp <= now_s || !begun {
            return Err(Refused::Invalid);
        }
        Ok(Bearer {
            access: claims.access()?,
            flags: claims.feature_flags,
            session: claims.session_id,
            fingerprint: fingerprint(token),
            issued_at: claims.iat.map(|iat| Timestamp(iat.saturating_mul(1000))),
            expires_at: Timestamp(claims.exp.saturating_mul(1000)),
        })
    }

    fn encode(&self, claims: &Claims) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .expect("claims of strings and numbers can be encoded")
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    feature_flags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
}

impl Claims {
    fn access(&self) -> Result<Access, Refused> {
        let organisation = |text: &str| {
            let rule =
                "the claim with the organisation (`org`, or `sub` without it) is not an id of one";
            text.parse().map_err(|_| Refused::Claims(rule))
        };
        let Some(sub) = &self.sub else { return Err(Refused::Claims("`sub` is missing")) };
        match &self.org {
            None => organisation(sub).map(Access::Organisation),
            Some(org) => {
                let rule = "`sub` is not an application's id, as it has to be beside `org`";
                let app = sub.parse().map_err(|_| Refused::Claims(rule))?;
                Ok(Access::Application(organisation(org)?, app))
            }
        }
    }
}

/// 128 bits of its hash: enough that nobody finds a second token with them.
pub(crate) fn fingerprint(token: &str) -> String {
    Sha256::digest(token)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
