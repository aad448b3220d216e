//! What Posthorn itself has to tell an organisation: operational webhooks.
//!
//! A notice is an event like any other. It is published to an application of its own, which the
//! organisation has from its first operational endpoint on and which no list shows. So notices
//! are signed, retried and recorded as everything else. There are none about the endpoints of
//! that application itself.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::application::Application;
use crate::domain::attempt::Attempt;
use crate::domain::clock::Timestamp;
use crate::domain::endpoint::Endpoint;
use crate::domain::event_type::EventType;
use crate::domain::id::{ApplicationId, Ksuid, OrganisationId, RANDOM_BYTES};
use crate::domain::message::Message;
use crate::domain::profile::{Deprecation, Profile};
use crate::domain::task::Task;

/// Every kind of notice. All but `endpoint.failing` and the deprecations are Svix's.
pub const TYPES: [&str; 12] = [
    "endpoint.created",
    "endpoint.updated",
    "endpoint.deleted",
    "endpoint.disabled",
    "endpoint.enabled",
    "endpoint.failing",
    "message.attempt.failing",
    "message.attempt.exhausted",
    "message.attempt.recovered",
    "background_task.finished",
    "event_type.deprecated",
    "profile.deprecated",
];

/// Failed attempts of a message after which there is a notice of it (Svix).
pub const FAILING_AFTER: u32 = 4;

/// One notice.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// One of [`TYPES`].
    pub kind: &'static str,
    /// What about.
    pub data: Value,
}

/// Who disabled an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Somebody, by a call.
    Manual,
    /// Posthorn, after failures since that moment.
    Automatic(Timestamp),
}

impl Notice {
    /// Something happened to an endpoint: the last word of a kind, `created` say.
    pub fn endpoint(kind: &'static str, application: &Application, endpoint: &Endpoint) -> Self {
        let data = json!({
            "appId": application.id,
            "appUid": application.uid,
            "endpointId": endpoint.id,
            "endpointUid": endpoint.uid,
        });
        Self { kind, data }
    }

    /// An endpoint was disabled.
    pub fn disabled(application: &Application, endpoint: &Endpoint, trigger: Trigger) -> Self {
        let mut notice = Self::endpoint("endpoint.disabled", application, endpoint);
        let (name, since) = match trigger {
            Trigger::Manual => ("manual", None),
            Trigger::Automatic(since) => ("automatic", Some(since.to_rfc3339())),
        };
        notice.data["trigger"] = name.into();
        notice.data["failSince"] = since.into();
        notice
    }

    /// What there is to tell of an endpoint that somebody changed, and perhaps enabled or disabled with
    /// that.
    pub fn of_update(
        application: &Application,
        old: &Endpoint,
        new: &Endpoint,
    ) -> impl Iterator<Item = Self> + use<> {
        let turned = match (old.disabled, new.disabled) {
            (true, false) => Some(Self::endpoint("endpoint.enabled", application, new)),
            (false, true) => Some(Self::disabled(application, new, Trigger::Manual)),
            _ => None,
        };
        std::iter::once(Self::endpoint("endpoint.updated", application, new)).chain(turned)
    }

    /// An endpoint only fails, and will be disabled if that goes on.
    pub fn failing(
        application: &Application,
        endpoint: &Endpoint,
        since: Timestamp,
        disabled_at: Timestamp,
    ) -> Self {
        let mut notice = Self::endpoint("endpoint.failing", application, endpoint);
        notice.data["failSince"] = since.to_rfc3339().into();
        notice.data["disabledAt"] = disabled_at.to_rfc3339().into();
        notice
    }

    /// Something is the matter with a message, as its last attempt shows.
    pub fn attempt(
        kind: &'static str,
        application: &Application,
        message: &Message,
        last: &Attempt,
    ) -> Self {
        let data = json!({
            "appId": application.id,
            "appUid": application.uid,
            "endpointId": last.ep,
            "msgId": message.id,
            "msgEventId": message.event_id,
            "lastAttempt": {
                "id": last.id,
                "responseStatusCode": last.status,
                "timestamp": last.at.to_rfc3339(),
            },
        });
        Self { kind, data }
    }

    /// A background task is over.
    pub fn task(task: &Task) -> Self {
        let data = json!({
            "id": task.id,
            "status": task.status,
            "task": task.work.name(),
            "data": task.data,
            "updatedAt": task.updated_at.to_rfc3339(),
        });
        Self { kind: "background_task.finished", data }
    }

    /// The format of an event type is on its way out.
    pub fn event_type_deprecated(event_type: &EventType) -> Self {
        let data = json!({"name": event_type.name, "description": event_type.description});
        Self { kind: "event_type.deprecated", data }
    }

    /// The format of a profile is on its way out.
    pub fn profile_deprecated(profile: &Profile, deprecation: &Deprecation) -> Self {
        let data = json!({
            "profile": profile.name,
            "notice": deprecation.notice,
            "ends": deprecation.ends,
        });
        Self { kind: "profile.deprecated", data }
    }

    /// The payload that it is published with.
    pub fn payload(&self) -> Value {
        json!({"type": self.kind, "data": self.data})
    }
}

/// The application that an organisation's notices are published to. It follows from the
/// organisation, so nobody has to look it up.
pub fn application_id(org: &OrganisationId) -> ApplicationId {
    let digest = Sha256::digest(format!("operational{org}"));
    let mut random = [0; RANDOM_BYTES];
    random.copy_from_slice(&digest[..RANDOM_BYTES]);
    ApplicationId::from_ksuid(Ksuid::from_parts(Timestamp(0), random))
}
