//! What is known of how an endpoint takes what it is sent: written when it changes, never
//! counted per delivery. A delivery that succeeds at a healthy endpoint writes nothing here.

use serde::{Deserialize, Serialize};

use crate::domain::attempt::Attempt;
use crate::domain::clock::Timestamp;
use crate::domain::id::OrganisationId;

/// How long an endpoint that has recovered counts as healthy whatever comes, in milliseconds: so
/// long one that flaps is left alone, so that it costs at most two changes in that time.
pub const QUIET_MS: u64 = 60_000;
/// How long an endpoint may only fail before it is disabled, in milliseconds: five days (Svix).
pub const DISABLE_AFTER_MS: u64 = 5 * 86_400_000;
/// Characters of an answer that are kept with an error.
const LONGEST_REASON: usize = 200;

/// The state of an endpoint's deliveries as it last changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Since when it only fails, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// The failure that the latest change began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// The success that the latest change ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    /// When it was disabled last, and by whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
}

/// A time of nothing but failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// When it began.
    pub since: Timestamp,
    /// Whose endpoint it is: failing ones are listed by organisation.
    pub org: OrganisationId,
}

/// A failed attempt, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// HTTP status; 0 without an answer.
    pub status: u16,
    /// The beginning of the answer, or why there was none.
    pub reason: String,
}

/// Who disabled an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisabledBy {
    /// It answered that it is gone.
    Gone,
    /// It only failed for too long.
    Failing,
    /// Somebody asked for it.
    Request,
}

/// Who asked for something: on which side of the link to the portal they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// Whoever holds a token of the application.
    Customer,
    /// Whoever holds a token of the organisation.
    Operator,
}

/// When an endpoint was disabled, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disabled {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: DisabledBy,
    /// Who asked for it, if somebody did. Beside `by`, whose values releases before this one know.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub requested_by: Option<Party>,
}

impl Disabled {
    /// At somebody's request.
    pub fn on_request(by: Party, at: Timestamp) -> Self {
        Self { at, by: DisabledBy::Request, requested_by: Some(by) }
    }

    /// By whom, in a word of the API. Of what was asked for before it was kept who asks, only that.
    pub fn by(&self) -> &'static str {
        match (self.by, self.requested_by) {
            (DisabledBy::Gone, _) => "gone",
            (DisabledBy::Failing, _) => "failing",
            (DisabledBy::Request, Some(Party::Customer)) => "customer",
            (DisabledBy::Request, Some(Party::Operator)) => "operator",
            (DisabledBy::Request, None) => "request",
        }
    }
}

impl Health {
    /// Whether nothing is known.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a failure at this moment begins a time of failures.
    pub fn would_fail(&self, at: Timestamp) -> bool {
        let lately = self.last_success.is_some_and(|success| at.since(success) < QUIET_MS);
        self.failing.is_none() && !lately
    }

    /// Notes a failure, if it begins a time of them. `since`: when the message could be sent.
    pub fn fail(&mut self, attempt: &Attempt, since: Timestamp, org: OrganisationId) {
        if !self.would_fail(attempt.at) {
            return;
        }
        self.failing = Some(Failing { since: since.min(attempt.at), org });
        self.last_error = Some(LastError {
            at: attempt.at,
            status: attempt.status,
            reason: attempt.response.chars().take(LONGEST_REASON).collect(),
        });
    }

    /// Notes a success, if it ends a time of failures.
    pub fn recover(&mut self, at: Timestamp) {
        if self.failing.take().is_some() {
            self.last_success = Some(at);
        }
    }
}
