//! The form in which a delivery rests in the store. Its fields are those of the first format;
//! what was added since is optional.

use serde::{Deserialize, Serialize};

use super::{Delivery, Pending, Plan, Reason, State};
use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, EndpointId, MessageId};

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    msg: MessageId,
    app: ApplicationId,
    ep: EndpointId,
    progress: Progress,
    attempts: u32,
    /// Tells nothing once it is no longer pending, and is there all the same: the first
    /// format's readers need it.
    next_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<Way>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    counted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unwritten: bool,
    due_at: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_hand: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    told_exhausted: bool,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Progress {
    Pending,
    Delivered,
    Failed,
    Canceled,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Queue,
    Sweep,
}

impl From<Stored> for Delivery {
    fn from(stored: Stored) -> Self {
        let state = match stored.progress {
            Progress::Pending => State::Pending(Pending {
                next: stored.next(),
                counted: stored.counted,
                lease_until: stored.lease_until,
                unwritten: stored.unwritten,
                due_at: stored.due_at,
            }),
            Progress::Delivered => State::Delivered,
            Progress::Failed => State::Failed { reason: reason(stored.reason) },
            Progress::Canceled => State::Canceled,
        };
        let Stored { msg, app, ep, attempts, by_hand, told_exhausted, expires_at, .. } = stored;
        Self { msg, app, ep, attempts, state, by_hand, told_exhausted, expires_at }
    }
}

impl Stored {
    fn next(&self) -> Plan {
        let at = self.next_at;
        match self.plan {
            Some(Way::Queue) => Plan::Queue { at },
            Some(Way::Sweep) => Plan::Sweep { at },
            // The first format did not say it: what the sweep sends is due before its time.
            None if self.due_at < at => Plan::Sweep { at },
            None => Plan::Queue { at },
        }
    }
}

impl From<Delivery> for Stored {
    fn from(delivery: Delivery) -> Self {
        let (progress, pending, reason) = match delivery.state {
            State::Pending(pending) => (Progress::Pending, Some(pending), None),
            State::Delivered => (Progress::Delivered, None, None),
            State::Failed { reason } => (Progress::Failed, None, Some(reason)),
            State::Canceled => (Progress::Canceled, None, None),
        };
        let Delivery { msg, app, ep, attempts, by_hand, told_exhausted, expires_at, .. } = delivery;
        Self {
            msg,
            app,
            ep,
            progress,
            attempts,
            next_at: pending.map_or(Timestamp(0), |pending| pending.next.at()),
            plan: pending.map(|pending| match pending.next {
                Plan::Queue { .. } => Way::Queue,
                Plan::Sweep { .. } => Way::Sweep,
            }),
            counted: pending.is_some_and(|pending| pending.counted),
            lease_until: pending.and_then(|pending| pending.lease_until),
            unwritten: pending.is_some_and(|pending| pending.unwritten),
            due_at: pending.map_or(Timestamp(0), |pending| pending.due_at),
            by_hand,
            told_exhausted,
            expires_at,
            reason: reason.map(|reason| reason.as_str().to_owned()),
        }
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.as_str().to_owned()
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        reason(Some(text))
    }
}

/// The first format gave no reason where the last attempt's answer was one, and said the others
/// in sentences.
fn reason(text: Option<String>) -> Reason {
    let Some(text) = text else { return Reason::Exhausted };
    match text.as_str() {
        "exhausted" => Reason::Exhausted,
        "not retried" => Reason::NotRetried,
        "gone" => Reason::Gone,
        "endpoint disabled" | "the endpoint is disabled" => Reason::EndpointDisabled,
        "endpoint deleted" | "the endpoint was deleted" => Reason::EndpointDeleted,
        "expired" | "the message is past its retention" => Reason::Expired,
        _ => Reason::NotAdmitted(text),
    }
}
