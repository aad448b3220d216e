//! The settings that hold for one delivery: every layer of configuration, resolved.
//!
//! The layers are read with the application, or kept in memory, so resolving them costs no call
//! for an application whose profile came with the binary. The settings of event types are looked
//! for only where the application says that there is something to find.

use std::sync::Arc;

use shared::domain::delivery_settings::{DeliverySettings, Format, Statuses};
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, EndpointId, OrganisationId};
use shared::domain::keyset::Algorithm;
use shared::domain::profile::Profile;
use shared::domain::schedule::Schedule;
use shared::store::{StoreError, Tenant};

use crate::{Parts, Settings};

/// What holds for one delivery at the moment of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// When to try again.
    pub(crate) schedule: Schedule,
    /// Longest exchange, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// How fast deliveries may go.
    pub(crate) rates: Vec<Rate>,
    /// Set when the body is a security event token.
    pub(crate) token: Option<TokenClaims>,
    /// The system whose way it is.
    pub(crate) profile: Arc<Profile>,
    success: Statuses,
    retry_on: Statuses,
}

/// Whose rate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// All endpoints of an application together.
    Application(ApplicationId),
    /// One endpoint.
    Endpoint(EndpointId),
}

impl Owner {
    /// The id of the application or of the endpoint.
    pub(crate) fn id(self) -> String {
        match self {
            Self::Application(app) => app.to_string(),
            Self::Endpoint(ep) => ep.to_string(),
        }
    }
}

/// Deliveries per second.
pub(crate) type Rate = (Owner, u16);

/// What a token has to say about the application.
#[derive(Clone, Debug)]
pub(crate) struct TokenClaims {
    pub(crate) org: OrganisationId,
    pub(crate) audience: String,
    pub(crate) algorithm: Algorithm,
}

/// What holds for deliveries of this type to this endpoint now.
///
/// # Errors
/// When the profile or the event type's settings have to be read and cannot be.
pub(crate) async fn resolve(
    parts: &Parts,
    tenant: &Tenant,
    endpoint: &Endpoint,
    event_type: &str,
) -> Result<Policy, StoreError> {
    let application = &tenant.application;
    let profile = parts.profiles.of_endpoint(application, endpoint).await?;
    let event_type = parts.event_type_settings.of(application, event_type).await?;
    Ok(layered(&parts.settings, profile, &event_type, tenant, endpoint))
}

/// What the endpoint, the event type and the profile say, in this order, before the settings.
fn layered(
    settings: &Settings,
    profile: Arc<Profile>,
    event_type: &DeliverySettings,
    tenant: &Tenant,
    endpoint: &Endpoint,
) -> Policy {
    let application = &tenant.application;
    let said = endpoint.settings.before(event_type).before(&profile.delivery);
    Policy {
        schedule: said.schedule_s.map_or_else(|| settings.schedule.clone(), Schedule::new),
        timeout_ms: said.timeout_ms.unwrap_or(settings.timeout_ms),
        rates: [
            (Owner::Application(application.id), application.throttle_rate),
            (Owner::Endpoint(endpoint.id), endpoint.throttle_rate),
        ]
        .into_iter()
        .filter_map(|(owner, rate)| Some((owner, rate?)))
        .collect(),
        token: (said.format == Some(Format::Jwt)).then(|| TokenClaims {
            org: application.org,
            audience: application
                .uid
                .as_ref()
                .map_or_else(|| application.id.to_string(), |uid| uid.as_str().to_owned()),
            algorithm: said.algorithm.unwrap_or_default(),
        }),
        profile,
        success: said.success.unwrap_or_else(Statuses::successful),
        retry_on: said.retry_on.unwrap_or_else(Statuses::any),
    }
}

impl Policy {
    /// Whether an answer of this status is success; 0 stands for no answer.
    pub(crate) fn is_success(&self, status: u16) -> bool {
        self.success.contains(status)
    }

    /// Whether a failure of this status is tried again; 0 stands for no answer.
    pub(crate) fn is_retried(&self, status: u16) -> bool {
        self.retry_on.contains(status)
    }
}
