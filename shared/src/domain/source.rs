//! A source: another system whose webhooks come in at `POST /in/{source_id}` and go on as
//! events of one application.
//!
//! [`Source`] says which system it is and how its requests are proved ([`verify`]); its secret
//! rests sealed. What is signed is always checked over the exact bytes of the body.
//!
//! Not guaranteed: that a replayed request is found out where the system signs no time (GitHub,
//! Shopify, Meta): there only its id tells a repetition, and the id is not signed.

use serde::{Deserialize, Serialize};

use crate::domain::application::Metadata;
use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::id::{ApplicationId, OrganisationId, SourceId, Uid};
use crate::domain::schema::JsonSchema;
use crate::domain::secret::{Resealed, Sealed, Sealer};

mod event;
mod refused;
mod verify;

pub use event::{Found, Rule};
pub use refused::{REFUSED_DAYS, Refused};
pub use verify::{Refusal, hmac_text, is_key_set, same, signed, verify};

/// Most sources of an organisation: a list of all is a few reads.
pub const MAX_SOURCES: usize = 100;

/// Another system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Its id; the last part of the address that the system calls.
    pub id: SourceId,
    /// Whose source.
    pub org: OrganisationId,
    /// The application that its events are published to.
    pub app: ApplicationId,
    /// The caller's own name for it, never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// For people.
    pub name: String,
    /// The caller's notes.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub metadata: Metadata,
    /// Which system it is.
    pub kind: Kind,
    /// How requests are proved.
    pub scheme: Scheme,
    /// What they are proved with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Sealed>,
    /// What Meta's handshake must say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_token: Option<Sealed>,
    /// What its address ends with since that was replaced; before, its id is the whole of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Sealed>,
    /// Addresses before this one that hold a while longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<EarlierAddress>,
    /// Where the event's type is, if not where this kind of system has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Rule>,
    /// Where the event's id is, if not where this kind of system has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Rule>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An address that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierAddress {
    /// What it ended with, if with anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Sealed>,
    /// When it stops leading here.
    pub until: Timestamp,
}

/// How long an address holds after it was replaced, in milliseconds: two days (Svix).
pub const ADDRESS_GRACE_MS: u64 = 2 * 86_400_000;
/// How often an address may be replaced within that time (Svix).
pub const MAX_EARLIER: usize = 3;
/// What stands between a source's id and its token in its address.
pub const TOKEN_MARK: char = '.';

impl Source {
    /// Whether this is what its address ends with now, or did a while ago. `open` unseals what
    /// is on record.
    pub fn is_at(
        &self,
        token: Option<&str>,
        now: Timestamp,
        open: impl Fn(&Sealed) -> Option<Vec<u8>>,
    ) -> bool {
        let fits = |sealed: Option<&Sealed>| match (sealed, token) {
            (None, None) => true,
            (Some(sealed), Some(token)) => {
                open(sealed).is_some_and(|known| same(&known, token.as_bytes()))
            }
            _ => false,
        };
        let mut before = self.before.iter().filter(|before| now < before.until);
        fits(self.token.as_ref()) || before.any(|before| fits(before.token.as_ref()))
    }

    /// Puts another address in the place of this one, which holds for [`ADDRESS_GRACE_MS`];
    /// `false`, and nothing is changed, if [`MAX_EARLIER`] others still do.
    pub fn replace_token(&mut self, token: Sealed, now: Timestamp) -> bool {
        let living = self.before.iter().filter(|before| now < before.until).count();
        if living >= MAX_EARLIER {
            return false;
        }
        self.before.retain(|before| now < before.until);
        let token = self.token.replace(token);
        self.before.push(EarlierAddress { token, until: now.plus_ms(ADDRESS_GRACE_MS) });
        self.updated_at = now;
        true
    }

    /// Seals anew what was not sealed with the root secret's key in use.
    pub fn reseal(&mut self, sealer: &Sealer, ambient: &Ambient) -> Resealed {
        let owner = self.id.to_string();
        let mut resealed = Resealed::default();
        let now = [&mut self.secret, &mut self.verify_token, &mut self.token].into_iter().flatten();
        for sealed in now.chain(self.before.iter_mut().filter_map(|before| before.token.as_mut())) {
            resealed += sealer.reseal(sealed, &owner, ambient);
        }
        resealed
    }
}

/// The systems that are known by name (Svix's names of source types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "SourceType")]
pub enum Kind {
    /// Anything that `verification` describes.
    GenericWebhook,
    /// Standard Webhooks, Svix.
    Svix,
    /// Stripe.
    Stripe,
    /// GitHub.
    Github,
    /// Shopify.
    Shopify,
    /// Slack's Events API.
    Slack,
    /// Meta: WhatsApp, Instagram, Messenger.
    Meta,
}

/// How requests are proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "scheme", rename_all = "kebab-case")]
#[schemars(rename = "SourceVerification")]
pub enum Scheme {
    /// `webhook-*` or `svix-*` headers; the secret is `whsec_...` (v1) or `whpk_...` (v1a).
    StandardWebhooks,
    /// `stripe-signature: t=...,v1=...`.
    Stripe,
    /// HMAC-SHA256 in a header.
    Hmac(Hmac),
    /// The body is a signed token (`application/jwt`); the secret is a JSON Web Key Set. Its
    /// claims become the payload.
    Jwt {
        /// What `iss` must be, if anything.
        issuer: Option<String>,
        /// What `aud` must have, if anything.
        audience: Option<String>,
    },
    /// The secret is `name:password`.
    Basic,
    /// The secret is the token of `authorization: Bearer`.
    Bearer,
    /// Whoever knows the address is believed.
    None,
}

/// Where an HMAC-SHA256 is and what it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SourceHmac")]
pub struct Hmac {
    /// The header that has it.
    pub header: String,
    /// How it is written.
    pub encoding: Encoding,
    /// What comes before it in the header.
    #[serde(default)]
    pub prefix: String,
    /// What is signed: text with `{body}`, and `{timestamp}` where there is one.
    #[serde(default = "body_only")]
    pub content: String,
    /// The header with the time of the request, in seconds or milliseconds since 1970.
    #[serde(default)]
    pub timestamp_header: Option<String>,
    /// How far that may be from now, in seconds.
    #[serde(default = "default_tolerance")]
    pub tolerance_seconds: u64,
}

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "SourceEncoding")]
pub enum Encoding {
    /// In lower or upper case.
    Hex,
    /// With or without padding.
    Base64,
}

impl Kind {
    /// How this system proves its requests; `None` where the caller has to say.
    pub fn scheme(self) -> Option<Scheme> {
        let hmac = |header: &str, encoding, prefix: &str| Hmac {
            header: header.to_owned(),
            encoding,
            prefix: prefix.to_owned(),
            content: body_only(),
            timestamp_header: None,
            tolerance_seconds: default_tolerance(),
        };
        Some(match self {
            Self::GenericWebhook => return None,
            Self::Svix => Scheme::StandardWebhooks,
            Self::Stripe => Scheme::Stripe,
            Self::Github | Self::Meta => {
                Scheme::Hmac(hmac("x-hub-signature-256", Encoding::Hex, "sha256="))
            }
            Self::Shopify => Scheme::Hmac(hmac("x-shopify-hmac-sha256", Encoding::Base64, "")),
            Self::Slack => Scheme::Hmac(Hmac {
                content: "v0:{timestamp}:{body}".to_owned(),
                timestamp_header: Some("x-slack-request-timestamp".to_owned()),
                ..hmac("x-slack-signature", Encoding::Hex, "v0=")
            }),
        })
    }

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::GenericWebhook => "generic-webhook",
            Self::Svix => "svix",
            Self::Stripe => "stripe",
            Self::Github => "github",
            Self::Shopify => "shopify",
            Self::Slack => "slack",
            Self::Meta => "meta",
        }
    }
}

impl Scheme {
    /// Its name in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StandardWebhooks => "standard-webhooks",
            Self::Stripe => "stripe",
            Self::Hmac(_) => "hmac",
            Self::Jwt { .. } => "jwt",
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::None => "none",
        }
    }
}

fn body_only() -> String {
    "{body}".to_owned()
}

fn default_tolerance() -> u64 {
    crate::domain::signature::TOLERANCE_S
}
