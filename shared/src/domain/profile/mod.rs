//! Profiles: a system's way with webhooks, as data.
//!
//! A [`Profile`] says how deliveries look and which settings they follow, what endpoints may be, and
//! which kinds of events there are. The ones in `shared/profiles/*.toml` are part of every
//! binary: a build script turns them into JSON, the rules apart from the catalogue of events,
//! so that receive and dispatch carry neither a TOML reader nor schemas. More of them come from
//! files that `cargo run` is pointed at, or through the API ([`file`](mod@file) reads both).
//! `store::Profiles` finds the one that an application or an endpoint names.
//!
//! What a profile does not say is the platform's default.
//!
//! Not guaranteed: that a stored profile that was just replaced is followed at once; a process
//! keeps what it has read for a minute.

use std::collections::BTreeMap;

use crate::domain::schema::JsonSchema;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::application::Application;
use crate::domain::delivery_settings::DeliverySettings;
use crate::domain::endpoint::Endpoint;
use crate::domain::message::Message;
use crate::domain::signature;

pub mod catalogue;
pub mod envelope;
#[cfg(feature = "profile-files")]
pub mod file;
#[cfg(feature = "profile-files")]
mod nesting;
pub mod split;

use envelope::Envelope;
use split::Split;

/// Longest name of a profile, in characters.
pub const MAX_NAME: usize = 64;

/// A system's way with webhooks, without its catalogue of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// What applications call it.
    pub name: String,
    /// For people.
    pub title: String,
    /// What one has to know before relying on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Fields of this profile that its system does not document: names like `delivery.success`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inferred: Vec<String>,
    /// The settings that deliveries follow.
    #[serde(default, skip_serializing_if = "DeliverySettings::is_silent")]
    pub delivery: DeliverySettings,
    /// What goes around the published payload; none sends the exact published bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Envelope>,
    /// How the names of the signature headers start; none means `webhook-` and `svix-`.
    #[serde(default, alias = "signature_headers", skip_serializing_if = "Option::is_none")]
    pub signature_headers: Option<Vec<HeaderFamily>>,
    /// The version that `{{api_version}}` in the envelope stands for, where an endpoint is not
    /// pinned to another.
    #[serde(default, alias = "api_version", skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// What endpoints may be.
    #[serde(default)]
    pub endpoints: EndpointRules,
    /// Which messages are too big for one event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// How security event tokens look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<TokenRules>,
    /// Event types that an application gets only after it was granted them.
    #[serde(default, alias = "opt_in", skip_serializing_if = "Vec::is_empty")]
    pub opt_in: Vec<String>,
    /// Set when its format is on the way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
}

impl Profile {
    /// What an endpoint is sent as JSON: the exact bytes that were published, in the envelope if
    /// there is one and the payload is not raw.
    pub fn body(&self, message: &Message, endpoint: &Endpoint) -> Bytes {
        let api_version = endpoint.api_version.as_ref().or(self.api_version.as_ref());
        match self.envelope.as_ref().filter(|_| message.content_type.is_none()) {
            Some(envelope) => envelope.wrap(message, api_version.map(String::as_str)),
            None => message.payload.clone(),
        }
    }

    /// Why this message must not go to this endpoint, if so: it is an event on request that was
    /// not granted, or a real one and the endpoint has yet to take a test event.
    pub fn barred(
        &self,
        application: &Application,
        endpoint: &Endpoint,
        message: &Message,
    ) -> Option<&'static str> {
        let name = &message.event_type;
        if message.test {
            return None;
        }
        if self.opt_in.contains(name) && !application.granted.contains(name) {
            return Some("the application was not granted this event type");
        }
        let must_verify = self.endpoints.verified_first && !application.sandbox;
        (must_verify && endpoint.verified_at.is_none())
            .then_some("the endpoint has yet to take a test event")
    }

    /// The headers of a signed request, in each family the same: id, timestamp in seconds,
    /// signatures.
    pub fn signed_headers<'a>(
        &'a self,
        id: &'a str,
        timestamp: &'a str,
        signatures: &'a str,
    ) -> impl Iterator<Item = (String, String)> + 'a {
        let families = self.signature_headers.as_deref().unwrap_or(&HeaderFamily::BOTH);
        families.iter().flat_map(move |family| {
            let values = signature::HEADERS.iter().zip([id, timestamp, signatures]);
            values.map(|(name, value)| (format!("{}{name}", family.prefix()), value.to_owned()))
        })
    }
}

/// A family of signature headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HeaderFamily {
    /// Standard Webhooks.
    #[serde(rename = "webhook-")]
    Webhook,
    /// Svix.
    #[serde(rename = "svix-")]
    Svix,
}

impl HeaderFamily {
    /// Both: receivers of either kind verify.
    pub const BOTH: [Self; 2] = [Self::Webhook, Self::Svix];

    /// How its header names start.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Webhook => "webhook-",
            Self::Svix => "svix-",
        }
    }
}

/// What endpoints of a profile may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointRules {
    /// Most endpoints of an application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<usize>,
    /// Whether the signing secret is in the answer that creates or rotates it and nowhere else.
    #[serde(alias = "secret_shown_once")]
    pub secret_shown_once: bool,
    /// Whether an endpoint must be `https://` even where the deployment allows less. Addresses
    /// of the machine itself are for development and exempt.
    #[serde(alias = "https_only")]
    pub https_only: bool,
    /// Whether an endpoint has to take a test event before it gets others. Not in a sandbox
    /// application.
    #[serde(alias = "verified_first")]
    pub verified_first: bool,
}

/// How security event tokens (RFC 8417) look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenRules {
    /// `iss`.
    pub issuer: String,
    /// `typ` of the header; RFC 8417 recommends `secevent+jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    /// Event type to the key in `events`, as the system documents it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub urns: BTreeMap<String, String>,
    /// The same, where the system does not document it.
    #[serde(default, alias = "inferred_urns", skip_serializing_if = "BTreeMap::is_empty")]
    pub inferred_urns: BTreeMap<String, String>,
}

impl TokenRules {
    /// The event types that it has a key for.
    pub fn event_types(&self) -> impl Iterator<Item = &str> {
        self.urns.keys().chain(self.inferred_urns.keys()).map(String::as_str)
    }

    /// The key in `events` for an event type that may not be in the table.
    pub fn urn(&self, event_type: &str) -> String {
        let listed = self.urns.get(event_type).or_else(|| self.inferred_urns.get(event_type));
        listed.cloned().unwrap_or_else(|| format!("urn:posthorn:events:{event_type}"))
    }
}

/// A format that is on the way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deprecation {
    /// What tenants read.
    pub notice: String,
    /// When it ends, if that is known: a date like `2027-01-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
}
