//! Endpoints as callers send and get them.

use std::collections::BTreeMap;

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::{Channels, Delays, EventTypes, Moment, TimeoutSeconds};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use shared::api::patch::{Field, not_null};
use shared::domain::application::Metadata;
use shared::domain::clock::Timestamp;
use shared::domain::delivery_settings::{DeliverySettings, Format};
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{EndpointId, Uid};
use shared::domain::keyset::Algorithm;
use shared::domain::secret::SignatureScheme;

use crate::delivery_settings::{DeliverySettingsIn, apply_delivery_settings};

/// What a caller sends. `filterTypes` and `rateLimit` are the names of older SDKs.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointIn {
    #[schemars(with = "description::TargetUrl")]
    pub(super) url: String,
    /// A number that the caller gives it; Svix has it, and does nothing with it either.
    #[schemars(range(min = 1))]
    pub(super) version: Option<u16>,
    #[schemars(with = "Option<Uid>")]
    pub(super) uid: Option<String>,
    #[serde(default)]
    #[schemars(with = "description::Words")]
    pub(super) description: String,
    #[serde(default)]
    pub(super) disabled: bool,
    #[schemars(with = "Option<EventTypes>")]
    pub(super) event_types: Option<Vec<String>>,
    #[schemars(with = "Option<EventTypes>")]
    pub(super) filter_types: Option<Vec<String>>,
    #[schemars(with = "Option<Channels>")]
    pub(super) channels: Option<Vec<String>>,
    #[schemars(range(min = 1))]
    pub(super) throttle_rate: Option<u16>,
    #[schemars(range(min = 1))]
    pub(super) rate_limit: Option<u16>,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[schemars(with = "Option<description::SecretText>")]
    pub(super) secret: Option<String>,
    /// Headers of the endpoint's requests. Those of an endpoint that is there stay unless this says
    /// others.
    #[serde(default)]
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// How a secret signs that is made here: `v1` (HMAC) unless this says `v1a` (ed25519).
    pub(super) signature_scheme: Option<SignatureScheme>,
    #[serde(default)]
    pub(super) profile: Field<String>,
    #[serde(default)]
    pub(super) api_version: Field<String>,
    #[serde(default)]
    pub(super) format: Field<Format>,
    #[serde(default)]
    pub(super) jwt_algorithm: Field<Algorithm>,
    /// Delays before the retries, in seconds. None at all means a single attempt.
    #[serde(default)]
    #[schemars(with = "Option<Delays>")]
    pub(super) retry_schedule: Field<Vec<u64>>,
    /// Longest exchange, in seconds.
    #[serde(default)]
    #[schemars(with = "Option<TimeoutSeconds>")]
    pub(super) timeout_seconds: Field<u64>,
}

impl EndpointIn {
    pub(super) fn types(&self) -> Option<&Vec<String>> {
        self.event_types.as_ref().or(self.filter_types.as_ref())
    }

    /// The name under which they were said.
    pub(super) fn types_field(&self) -> &'static str {
        if self.event_types.is_some() { "eventTypes" } else { "filterTypes" }
    }

    pub(super) fn rate(&self) -> Option<u16> {
        self.throttle_rate.or(self.rate_limit)
    }

    pub(super) fn extensions(&self) -> Extensions<'_> {
        Extensions {
            profile: &self.profile,
            api_version: &self.api_version,
            format: &self.format,
            algorithm: &self.jwt_algorithm,
            settings: (&self.retry_schedule, &self.timeout_seconds),
        }
    }
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EndpointPatch {
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "description::TargetUrl")]
    pub(super) url: Option<String>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "u16", range(min = 1))]
    pub(super) version: Option<u16>,
    #[schemars(with = "Option<Uid>")]
    pub(super) uid: Field<String>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "description::Words")]
    pub(super) description: Option<String>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "bool")]
    pub(super) disabled: Option<bool>,
    #[schemars(with = "Option<EventTypes>")]
    pub(super) event_types: Field<Vec<String>>,
    #[schemars(with = "Option<EventTypes>")]
    pub(super) filter_types: Field<Vec<String>>,
    #[schemars(with = "Option<Channels>")]
    pub(super) channels: Field<Vec<String>>,
    #[schemars(range(min = 1))]
    pub(super) throttle_rate: Field<u16>,
    #[schemars(range(min = 1))]
    pub(super) rate_limit: Field<u16>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "Metadata")]
    pub(super) metadata: Option<Metadata>,
    pub(super) profile: Field<String>,
    pub(super) api_version: Field<String>,
    pub(super) format: Field<Format>,
    pub(super) jwt_algorithm: Field<Algorithm>,
    #[schemars(with = "Option<Delays>")]
    pub(super) retry_schedule: Field<Vec<u64>>,
    #[schemars(with = "Option<TimeoutSeconds>")]
    pub(super) timeout_seconds: Field<u64>,
    /// Not to be changed here; earlier libraries have it.
    #[schemars(skip)]
    pub(super) secret: Option<IgnoredAny>,
}

impl EndpointPatch {
    pub(super) fn extensions(&self) -> Extensions<'_> {
        Extensions {
            profile: &self.profile,
            api_version: &self.api_version,
            format: &self.format,
            algorithm: &self.jwt_algorithm,
            settings: (&self.retry_schedule, &self.timeout_seconds),
        }
    }
}

/// What Svix's API does not have, as a body says it. Its SDKs never send these, so what is absent
/// stays.
#[derive(Clone, Copy)]
pub(super) struct Extensions<'a> {
    pub(super) profile: &'a Field<String>,
    pub(super) api_version: &'a Field<String>,
    pub(super) format: &'a Field<Format>,
    pub(super) algorithm: &'a Field<Algorithm>,
    pub(super) settings: DeliverySettingsIn<'a>,
}

impl Extensions<'_> {
    /// Changes an endpoint's delivery settings as the caller says.
    pub(super) fn treat(&self, settings: &mut DeliverySettings) {
        self.format.apply(&mut settings.format);
        self.algorithm.apply(&mut settings.algorithm);
        apply_delivery_settings(settings, self.settings);
    }

    /// Does to an endpoint what was said.
    pub(super) fn apply(&self, endpoint: &mut Endpoint) {
        self.profile.apply(&mut endpoint.profile);
        self.api_version.apply(&mut endpoint.api_version);
        self.treat(&mut endpoint.settings);
    }
}

/// What a caller gets. The secret is in it only when it is shown once, at creation.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointOut {
    uid: Option<Uid>,
    #[schemars(with = "description::Url")]
    url: String,
    version: u16,
    description: String,
    #[schemars(with = "Option<EventTypes>")]
    event_types: Option<Vec<String>>,
    #[schemars(with = "Option<EventTypes>")]
    filter_types: Option<Vec<String>>,
    #[schemars(with = "Option<Channels>")]
    channels: Option<Vec<String>>,
    throttle_rate: Option<u16>,
    rate_limit: Option<u16>,
    disabled: bool,
    id: EndpointId,
    #[schemars(with = "Moment")]
    created_at: String,
    #[schemars(with = "Moment")]
    updated_at: String,
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt_algorithm: Option<Algorithm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_schedule: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_at: Option<String>,
    /// Since when it does not answer, and deliveries wait for it without spending attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    unanswered_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

impl From<Endpoint> for EndpointOut {
    fn from(endpoint: Endpoint) -> Self {
        let unanswered_since = endpoint.unanswered_since().map(Timestamp::to_rfc3339);
        Self {
            uid: endpoint.uid,
            url: endpoint.url,
            version: endpoint.version,
            description: endpoint.description,
            event_types: endpoint.event_types.clone(),
            filter_types: endpoint.event_types,
            channels: endpoint.channels,
            throttle_rate: endpoint.throttle_rate,
            rate_limit: endpoint.throttle_rate,
            disabled: endpoint.disabled,
            id: endpoint.id,
            created_at: endpoint.created_at.to_rfc3339(),
            updated_at: endpoint.updated_at.to_rfc3339(),
            metadata: endpoint.metadata,
            profile: endpoint.profile,
            api_version: endpoint.api_version,
            format: endpoint.settings.format,
            jwt_algorithm: endpoint.settings.algorithm,
            retry_schedule: endpoint.settings.schedule_s,
            timeout_seconds: endpoint.settings.timeout_ms.map(|ms| ms / 1000),
            verified_at: endpoint.verified_at.map(Timestamp::to_rfc3339),
            unanswered_since,
            secret: None,
        }
    }
}
