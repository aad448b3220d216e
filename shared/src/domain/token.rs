//! Bearer tokens: JWTs signed with HS256, as Svix's SDKs carry them.
//!
//! A token with `sub` = an organisation opens everything of that organisation. One with `sub` =
//! an application and `org` = its organisation is confined to that application.
//!
//! A token that is confined is a visitor's, who may do what its claim `capabilities` says
//! (everything that a visitor may do, if it says nothing), unless it has a claim `scope`: then it
//! is a backend's. `scope` says of any backend's token what it is for; without it, for everything.
//! `key` names an API token, which is on record and can be taken back by that name; beside
//! `integration` it names one of the keys of an integration.
//!
//! A token can be taken back before it expires (see [`Revocations`](crate::store::Revocations)).
//!
//! Not guaranteed: that it stops opening at once; a process may remember for half a minute that
//! it was good.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::health::Party;
use crate::domain::id::{ApiTokenId, ApplicationId, IntegrationId, OrganisationId};
use crate::domain::integration::Integration;
use crate::domain::jose;
use crate::domain::right::{Capability, Grant, Right, Scope};
use crate::domain::root_secret::RootSecret;

/// How long an organisation token lives, in seconds: ten years (Svix).
pub const ORGANISATION_TOKEN_S: u64 = 10 * 365 * 86_400;
/// How long an application token may live, in seconds: 28 days (Svix's open-source server).
pub const APPLICATION_TOKEN_S: u64 = 28 * 86_400;
/// How long a visitor's token lives of which nothing else is said, in seconds: a week (Svix).
pub const VISIT_S: u64 = 7 * 86_400;
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

    /// On which side of the link to the portal its holder is.
    pub fn party(&self) -> Party {
        match self {
            Self::Organisation(_) => Party::Operator,
            Self::Application(..) => Party::Customer,
        }
    }
}

/// A token that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// What it opens.
    pub access: Access,
    /// What its holder may do there.
    pub grant: Grant,
    /// The API token that it is, if it is on record as one.
    pub key: Option<ApiTokenId>,
    /// The integration whose key it is, if it is one's; `key` says which of its keys.
    pub integration: Option<IntegrationId>,
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

impl Bearer {
    /// Whether this token is enough for an operation that asks for this right.
    pub fn may(&self, right: Right) -> bool {
        self.grant.allows(right, matches!(self.access, Access::Application(..)))
    }
}

/// A visitor whom a token is made for.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// What it may know of beside what is for everybody.
    pub flags: Vec<String>,
    /// Its session, by which its tokens can be taken back.
    pub session: Option<String>,
    /// What it may do; `None` is everything that a visitor may do.
    pub capabilities: Option<Vec<Capability>>,
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
    /// The key that signs first.
    decoding: Vec<DecodingKey>,
    validation: Validation,
}

impl Tokens {
    /// Tokens under this key.
    pub fn new(key: &[u8]) -> Self {
        Self::signed_by(key, [key])
    }

    /// Tokens of a deployment: its root secret's key in use signs, and each of its keys verifies.
    pub fn of(secret: &RootSecret) -> Self {
        let keys = secret.token_keys();
        Self::signed_by(&secret.token_key(), keys.iter().map(<[u8; 32]>::as_slice))
    }

    fn signed_by<'a>(key: &[u8], all: impl IntoIterator<Item = &'a [u8]>) -> Self {
        jose::install();
        let mut validation = Validation::new(Algorithm::HS256);
        // Checked here against our own clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp"]);
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: all.into_iter().map(DecodingKey::from_secret).collect(),
            validation,
        }
    }

    /// A token that opens `access` for `lifetime_s` seconds: everything of an organisation, or
    /// what a visitor may do in an application.
    pub fn issue(&self, access: Access, now: Timestamp, lifetime_s: u64) -> String {
        self.encode(&Claims::new(access, now.as_secs(), lifetime_s))
    }

    /// A backend's token for what `scope` says, in the whole organisation or in one application
    /// of it. `key` is what it is on record as, if it is.
    pub fn issue_api(
        &self,
        access: Access,
        (scope, key): (Scope, Option<ApiTokenId>),
        now: Timestamp,
        lifetime_s: u64,
    ) -> String {
        self.encode(&Claims {
            scope: Some(scope),
            key,
            ..Claims::new(access, now.as_secs(), lifetime_s)
        })
    }

    /// The key of an integration: a token that publishes to its application. It follows from
    /// what is on record, so it is the same whenever it is shown.
    pub fn issue_integration(&self, integration: &Integration) -> String {
        let access = Access::Application(integration.org, integration.app);
        self.encode(&Claims {
            scope: Some(Scope::Publish),
            key: Some(integration.key),
            integration: Some(integration.id),
            ..Claims::new(access, integration.key_from.as_secs(), ORGANISATION_TOKEN_S)
        })
    }

    /// A token for one visitor of an application: no other call makes the same one, so it can
    /// be taken back alone. `from` is the least that it may say of when it was made, so that it does
    /// not look like one of those that were taken back.
    pub fn issue_visit(
        &self,
        (org, app): (OrganisationId, ApplicationId),
        visitor: Visitor,
        lifetime_s: u64,
        from: Option<Timestamp>,
        ambient: &Ambient,
    ) -> String {
        let iat = ambient.now().max(from.unwrap_or_default()).as_secs();
        let jti: [u8; 12] = ambient.random();
        let names = |held: Vec<Capability>| held.into_iter().map(Named::Known).collect();
        self.encode(&Claims {
            jti: Some(hex::encode(jti)),
            feature_flags: visitor.flags,
            session_id: visitor.session,
            capabilities: visitor.capabilities.map(names),
            ..Claims::new(Access::Application(org, app), iat, lifetime_s)
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
        let decode = |key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok();
        let claims = self.decoding.iter().find_map(decode).ok_or(Refused::Invalid)?.claims;
        let now_s = now.as_secs();
        let begun = [claims.nbf, claims.iat].into_iter().flatten().all(|at| at <= now_s + LEEWAY_S);
        if claims.exp <= now_s || !begun {
            return Err(Refused::Invalid);
        }
        Ok(Bearer {
            access: claims.access()?,
            grant: claims.grant(),
            key: claims.key,
            integration: claims.integration,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capabilities: Option<Vec<Named>>,
    /// One that is not known makes the token invalid: it would otherwise open everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<ApiTokenId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    integration: Option<IntegrationId>,
}

/// A capability. What a later version knows beside ours opens nothing here.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Named {
    Known(Capability),
    Unknown(String),
}

impl Claims {
    fn new(access: Access, iat: u64, lifetime_s: u64) -> Self {
        let (sub, org) = match access {
            Access::Organisation(org) => (org.to_string(), None),
            Access::Application(org, app) => (app.to_string(), Some(org.to_string())),
        };
        Self {
            iss: Some("posthorn".to_owned()),
            sub: Some(sub),
            org,
            iat: Some(iat),
            nbf: Some(iat),
            exp: iat + lifetime_s,
            jti: None,
            feature_flags: Vec::new(),
            session_id: None,
            capabilities: None,
            scope: None,
            key: None,
            integration: None,
        }
    }

    fn grant(&self) -> Grant {
        let known = |named: &Named| match named {
            Named::Known(capability) => Some(*capability),
            Named::Unknown(_) => None,
        };
        match (self.scope, &self.org, &self.capabilities) {
            (Some(scope), ..) => Grant::Backend(scope),
            (None, None, _) => Grant::Backend(Scope::All),
            (None, Some(_), None) => Grant::Visitor(Capability::ALL.to_vec()),
            (None, Some(_), Some(held)) => Grant::Visitor(held.iter().filter_map(known).collect()),
        }
    }

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
    hex::encode(&Sha256::digest(token)[..16])
}
