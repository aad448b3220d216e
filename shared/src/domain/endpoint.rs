//! An endpoint: a URL of an application, and what it wants to hear.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::application::Metadata;
use crate::domain::circuit::Circuit;
use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::delivery_settings::DeliverySettings;
use crate::domain::health::{Disabled, DisabledBy, Health, Party};
use crate::domain::id::{ApplicationId, EndpointId, Uid};
use crate::domain::keyring::Keyring;
use crate::domain::message::Message;
use crate::domain::secret::{Resealed, Sealed, Sealer};
use crate::domain::spread::Spread;

/// Longest event type name, in characters (Svix).
pub const MAX_EVENT_TYPE: usize = 256;
/// Longest channel name, in characters (Svix).
pub const MAX_CHANNEL: usize = 128;
/// Most channels of an endpoint (Svix).
pub const MAX_ENDPOINT_CHANNELS: usize = 10;
/// Most event types that an endpoint may name: with the longest names they fit an item.
pub const MAX_ENDPOINT_EVENT_TYPES: usize = 1_000;

/// Most endpoints that an application has unless the deployment says otherwise (Outpost and Svix
/// allow 20 to 50), and most of those that want a message that one record is for. An application
/// of more is wide.
pub const NARROW: usize = 200;
/// Most endpoints of an application that a deployment may allow.
pub const MAX_ENDPOINTS: usize = 10_000;

/// Some of an application's endpoints: those that follow each other in order of creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The endpoint before the first one; without it, it begins with the application's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EndpointId>,
    /// The last one; without it, it goes on for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<EndpointId>,
}

/// One URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Its application.
    pub app: ApplicationId,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// Where deliveries go.
    pub url: String,
    /// The caller's own number for it, from 1: nothing depends on it (Svix).
    #[serde(default = "first_version", skip_serializing_if = "is_first_version")]
    pub version: u16,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// A disabled endpoint gets nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// The event types it wants; none chosen means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
    /// The channels it listens to; none chosen means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// Deliveries per second, kept by all dispatching processes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_rate: Option<u16>,
    /// The caller's notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
    /// The profile that its deliveries follow instead of its application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The API version that its envelopes name instead of the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// When it first took a test event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// What is different for it from what its profile and the defaults say.
    #[serde(rename = "treatment", default, skip_serializing_if = "DeliverySettings::is_silent")]
    pub settings: DeliverySettings,
    /// Since when it only fails, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// What is remembered of it while it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
    /// How its deliveries went when that last changed.
    #[serde(default, skip_serializing_if = "Health::is_silent")]
    pub health: Health,
    /// What its requests carry beside our own headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<CustomHeader>,
    /// Over how many places of the index its attempts are spread.
    #[serde(default, skip_serializing_if = "Spread::is_one")]
    pub spread: Spread,
    /// Signs its deliveries.
    pub keyring: Keyring,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The version of an endpoint whose caller does not say any.
pub const FIRST_VERSION: u16 = 1;

fn first_version() -> u16 {
    FIRST_VERSION
}

fn is_first_version(version: &u16) -> bool {
    *version == FIRST_VERSION
}

/// A time without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// When a message was first given up.
    pub since: Timestamp,
    /// The last warning, in percent of the time after which it is disabled.
    #[serde(default)]
    pub warned: u8,
}

/// Most headers that a customer may add to an endpoint.
pub const MAX_HEADERS: usize = 32;
/// Longest value of one, in bytes (Svix).
pub const MAX_HEADER_BYTES: usize = 4096;

/// A header that a customer added. Its value rests sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomHeader {
    /// Its name, as it was written.
    pub name: String,
    value: Sealed,
    /// Whether it was said in the endpoint's URL, and so goes when the URL changes.
    #[serde(rename = "url", default, skip_serializing_if = "std::ops::Not::not")]
    pub of_url: bool,
}

impl CustomHeader {
    /// Seals a value for the endpoint with the id `owner`.
    pub fn new(name: &str, value: &str, owner: &str, sealer: &Sealer, ambient: &Ambient) -> Self {
        let value = sealer.seal_bytes(value.as_bytes(), &place(owner, name), ambient);
        Self { name: name.to_owned(), value, of_url: false }
    }

    /// The value; `None` when it does not open.
    pub fn open(&self, owner: &str, sealer: &Sealer) -> Option<String> {
        let bytes = sealer.open_bytes(&self.value, &place(owner, &self.name))?;
        String::from_utf8(bytes).ok()
    }
}

/// What a value is sealed for: moved to another endpoint or name it does not open.
fn place(owner: &str, name: &str) -> String {
    format!("{owner}/{name}")
}

impl Endpoint {
    /// The headers that its customer added, opened; `None` when one does not open.
    pub fn open_headers(&self, sealer: &Sealer) -> Option<Vec<(String, String)>> {
        let owner = self.id.to_string();
        let open =
            |header: &CustomHeader| Some((header.name.clone(), header.open(&owner, sealer)?));
        self.headers.iter().map(open).collect()
    }

    /// Seals anew what was not sealed with the root secret's key in use.
    pub fn reseal(&mut self, sealer: &Sealer, ambient: &Ambient) -> Resealed {
        let owner = self.id.to_string();
        let mut resealed = self.keyring.reseal(&owner, sealer, ambient);
        for header in &mut self.headers {
            let place = place(&owner, &header.name);
            resealed += sealer.reseal(&mut header.value, &place, ambient);
        }
        resealed
    }

    /// Since when it is left alone because it does not answer, if it is.
    pub fn unanswered_since(&self) -> Option<Timestamp> {
        self.circuit.and_then(|circuit| circuit.open).map(|open| open.since)
    }

    /// Changes where it is. Nobody has seen an answer from there yet.
    pub fn move_to(&mut self, url: &str) {
        if self.url != url {
            url.clone_into(&mut self.url);
            self.verified_at = None;
            // Of a disabled one it is remembered until it is enabled that deliveries wait for it.
            if !self.disabled {
                self.circuit = None;
            }
            self.fail_no_more();
        }
    }

    /// Disables or enables it at somebody's request. One that is enabled has a new chance.
    pub fn set_disabled(&mut self, disabled: bool, by: Party, now: Timestamp) {
        match (self.disabled, disabled) {
            (true, false) => {
                self.disabled = false;
                self.circuit = None;
                self.fail_no_more();
            }
            (false, true) => self.take_out(Disabled::on_request(by, now)),
            _ => {}
        }
    }

    /// Disables it for its answers.
    pub fn disable(&mut self, by: DisabledBy, now: Timestamp) {
        self.take_out(Disabled { at: now, by, requested_by: None });
    }

    /// A disabled one fails no more.
    fn take_out(&mut self, disabled: Disabled) {
        self.disabled = true;
        self.health.disabled = Some(disabled);
        self.fail_no_more();
    }

    /// Forgets since when it fails, on both records: of the deliveries that were given up, and of
    /// the attempts.
    fn fail_no_more(&mut self) {
        self.failing = None;
        self.health.failing = None;
    }

    /// Whether an event of this type on these channels goes here. A message without channels
    /// does not match an endpoint that chose some (Svix).
    pub fn wants(&self, event_type: &str, channels: &[String]) -> bool {
        let type_fits =
            self.event_types.as_ref().is_none_or(|types| types.iter().any(|t| t == event_type));
        let channel_fits = self
            .channels
            .as_ref()
            .is_none_or(|wanted| wanted.iter().any(|channel| channels.contains(channel)));
        !self.disabled && type_fits && channel_fits
    }

    /// Whether a message that never went here is missing here: it is wanted, and was not cut into
    /// parts, which are messages of their own, nor was it an example for another endpoint, and there
    /// is still something to send.
    pub fn misses(&self, message: &Message) -> bool {
        let can_be_sent = message.parts == 0 && !message.test && !message.expunged;
        can_be_sent && self.wants(&message.event_type, &message.channels)
    }
}
