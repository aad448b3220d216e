//! An application: one customer of the organisation, the owner of endpoints and messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::id::{ApplicationId, OrganisationId, Uid};
use crate::domain::keyring::Keyring;
use crate::domain::secret::{Sealer, SigningSecret};
use crate::domain::spread::Spread;

/// Free-form notes on an application or endpoint, kept for the caller.
pub type Metadata = BTreeMap<String, String>;

/// Most bytes of metadata, as JSON (Svix).
pub const MAX_METADATA_BYTES: usize = 4096;

/// Where an application that cannot use the field `profile` names its profile.
pub const PROFILE_KEY: &str = "posthorn.profile";

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// Whose customer.
    pub org: OrganisationId,
    /// The caller's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// For people.
    pub name: String,
    /// Deliveries per second to all its endpoints together, kept by all dispatching processes
    /// together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_rate: Option<u16>,
    /// The caller's notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
    /// The profile that its webhooks follow; the deployment's default if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whether it is for trying things out: its endpoints need not be verified first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sandbox: bool,
    /// The opt-in event types of its profile that it was granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<String>,
    /// Which of its tokens are taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<Expired>,
    /// Whether it is the one that notices are published to. No list shows it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operational: bool,
    /// Whether its organisation treats event types in ways of their own, so that it is worth a
    /// read to look.
    #[serde(rename = "treated", default, skip_serializing_if = "std::ops::Not::not")]
    pub has_event_type_settings: bool,
    /// Over how many places of the index its messages are spread.
    #[serde(default, skip_serializing_if = "Spread::is_one")]
    pub spread: Spread,
    /// Verifies signed publish requests of this application.
    pub integration_key: Keyring,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Tokens that are taken back all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Those that were made up to this moment.
    pub before: Timestamp,
    /// From this moment on.
    pub from: Timestamp,
    /// Those that were made up to this moment have been taken back before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Timestamp>,
}

/// How far ahead of now tokens may be taken back, in milliseconds, where that is asked many times in
/// a second: the next tokens say a time after it, which nobody takes for one that is to come.
const MOST_AHEAD_MS: u64 = 30_000;

impl Expired {
    /// All tokens that there are `now` are taken back after `delay_ms` milliseconds, beside those
    /// that were or will be anyway. A later request never gives a token more time than an
    /// earlier one left it.
    pub fn all(earlier: Option<Self>, now: Timestamp, delay_ms: u64) -> Self {
        let from = now.plus_ms(delay_ms);
        let Some(earlier) = earlier else { return Self { before: now, from, gone: None } };
        // What was made since then, in the same second, says the next one.
        let before = now.max(earlier.first_good()).min(now.plus_ms(MOST_AHEAD_MS));
        match earlier.from <= now {
            true => Self { before, from, gone: Some(earlier.before) },
            false => Self { before, from: from.min(earlier.from), gone: earlier.gone },
        }
    }

    /// What a token says at the earliest that is not taken back: tokens tell seconds.
    pub fn first_good(&self) -> Timestamp {
        Timestamp((self.before.as_secs() + 1) * 1_000)
    }

    /// Whether a token of this age is taken back by now; one that does not say when it was made
    /// counts as old.
    pub fn covers(&self, issued_at: Option<Timestamp>, now: Timestamp) -> bool {
        let made_by = |until: Timestamp| issued_at.is_none_or(|at| at <= until);
        self.gone.is_some_and(made_by) || (now >= self.from && made_by(self.before))
    }
}

impl Application {
    /// A new one, with an integration key of its own.
    pub fn new(
        org: OrganisationId,
        name: String,
        uid: Option<Uid>,
        sealer: &Sealer,
        ambient: &Ambient,
    ) -> Self {
        let id = ApplicationId::new(ambient);
        let secret = SigningSecret::generate(ambient);
        let now = ambient.now();
        Self {
            id,
            org,
            uid,
            name,
            throttle_rate: None,
            metadata: Metadata::new(),
            profile: None,
            sandbox: false,
            granted: Vec::new(),
            expired: None,
            operational: false,
            has_event_type_settings: false,
            spread: Spread::default(),
            integration_key: Keyring::new(&secret, &id.to_string(), sealer, ambient),
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether it still takes its own tokens of this age.
    pub fn takes_token(&self, issued_at: Option<Timestamp>, now: Timestamp) -> bool {
        !self.expired.is_some_and(|expired| expired.covers(issued_at, now))
    }

    /// The profile that it names: in the field for it, or in its metadata where a library does
    /// not know the field.
    pub fn profile_name(&self) -> Option<&str> {
        let noted = || self.metadata.get(PROFILE_KEY);
        self.profile.as_ref().or_else(noted).map(String::as_str)
    }
}
