//! How one endpoint is treated for one message: every layer of configuration, resolved.
//!
//! The layers are read with the application, or kept in memory, so resolving them costs no call
//! for an application whose profile came with the binary. How event types are treated is looked
//! for only where the application says that there is something to find.

use std::sync::Arc;

use shared::domain::application::Application;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::EndpointId;
use shared::domain::message::Message;
use shared::domain::profile::Profile;
use shared::domain::schedule::Schedule;
use shared::domain::treatment::{Format, Statuses, Treatment};
use shared::store::{StoreError, Tenant};

use crate::throttle::{Owner, Rate};
use crate::token::TokenParts;
use crate::{Dispatcher, Settings};

/// What holds for one delivery at the moment of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// When to try again.
    pub(crate) schedule: Schedule,
    /// Longest exchange, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// How fast deliveries may go.
    pub(crate) rates: Vec<Rate>,
    /// The endpoint that it is about.
    pub(crate) endpoint: EndpointId,
    /// Set when the body is a security event token.
    pub(crate) token: Option<TokenParts>,
    /// The system whose way it is.
    pub(crate) profile: Arc<Profile>,
    tenant: Arc<Tenant>,
    success: Statuses,
    retry_on: Statuses,
}

impl Dispatcher {
    /// What holds for deliveries of this type to this endpoint now.
    ///
    /// # Errors
    /// When the profile or the treatment has to be read and cannot be.
    pub(crate) async fn policy(
        &self,
        tenant: &Arc<Tenant>,
        endpoint: &Endpoint,
        event_type: &str,
    ) -> Result<Policy, StoreError> {
        let application = &tenant.application;
        let profile = self.parts.profiles.of_endpoint(application, endpoint).await?;
        let event_type = match application.treated {
            true => self.parts.treatments.of(&application.org, event_type).await?,
            false => Treatment::default(),
        };
        Ok(Policy::resolve(&self.parts.settings, profile, &event_type, tenant, endpoint))
    }
}

impl Policy {
    /// Resolves what the endpoint, the event type and the profile say, in this order, before
    /// the settings.
    pub(crate) fn resolve(
        settings: &Settings,
        profile: Arc<Profile>,
        event_type: &Treatment,
        tenant: &Arc<Tenant>,
        endpoint: &Endpoint,
    ) -> Self {
        let application = &tenant.application;
        let said = endpoint.treatment.before(event_type).before(&profile.delivery);
        Self {
            schedule: said.schedule_s.map_or_else(|| settings.schedule.clone(), Schedule::new),
            timeout_ms: said.timeout_ms.unwrap_or(settings.timeout_ms),
            rates: [
                (Owner::Application(application.id), application.throttle_rate),
                (Owner::Endpoint(endpoint.id), endpoint.throttle_rate),
            ]
            .into_iter()
            .filter_map(|(owner, rate)| Some((owner, rate?)))
            .collect(),
            endpoint: endpoint.id,
            token: (said.format == Some(Format::Jwt)).then(|| TokenParts {
                org: application.org,
                audience: application
                    .uid
                    .as_ref()
                    .map_or_else(|| application.id.to_string(), |uid| uid.as_str().to_owned()),
                algorithm: said.algorithm.unwrap_or_default(),
            }),
            profile,
            tenant: tenant.clone(),
            success: said.success.unwrap_or_else(Statuses::successful),
            retry_on: said.retry_on.unwrap_or_else(Statuses::any),
        }
    }

    /// Why the profile keeps this message from this endpoint, if it does.
    pub(crate) fn barred(&self, endpoint: &Endpoint, message: &Message) -> Option<&'static str> {
        self.profile.barred(self.application(), endpoint, message)
    }

    /// Whose delivery it is, as it was when its batch was begun.
    pub(crate) fn application(&self) -> &Application {
        &self.tenant.application
    }

    /// Whether an answer of this status is success; 0 stands for no answer.
    pub(crate) fn is_success(&self, status: u16) -> bool {
        self.success.contains(status)
    }

    /// Whether a failure of this status is tried again; 0 stands for no answer.
    pub(crate) fn is_retried(&self, status: u16) -> bool {
        self.retry_on.contains(status)
    }
}
