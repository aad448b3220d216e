//! Why a message went to each endpoint of its application or did not, rule by rule; what it waits
//! for, and why it failed. Reads only.

use std::sync::Arc;

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::delivery_settings::DeliverySettings;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{AttemptId, EndpointId, MessageId};
use shared::domain::message::Message;
use shared::domain::profile::Profile;
use shared::domain::schedule::Schedule;
use shared::store::Tenant;

use crate::failure::{self, Failure};
use crate::standing::{OnRecord, Stand, Tried, is_in_queue};
use crate::{Answer, Call, page};

/// A message, and what became of it at each endpoint.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplainOut {
    id: MessageId,
    event_type: String,
    #[schemars(with = "Moment")]
    timestamp: String,
    /// When it is to be sent, if it is to wait.
    #[schemars(with = "Option<Moment>")]
    deliver_at: Option<String>,
    /// How many parts it was cut into; those are sent instead of it.
    parts: u32,
    /// Whether its payload was taken away, so that it is sent no more.
    expunged: bool,
    /// As many of the application's endpoints, in order of creation, as an answer has room for:
    /// some thousands.
    endpoints: Vec<EndpointExplanation>,
    /// How many endpoints of the application are not among them, for want of room.
    left_out: usize,
}

/// What became of a message at an endpoint, and why.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointExplanation {
    endpoint_id: EndpointId,
    url: String,
    description: String,
    verdict: Verdict,
    /// The verdict in a sentence.
    says: String,
    /// The rules as they are now, in the order in which they are asked. Those that were so when
    /// the message was sent count for it.
    rules: Vec<Rule>,
    /// Attempts on record.
    attempts: usize,
    /// Attempts by schedule so far, and how many there are at the most.
    scheduled: u32,
    schedule: u32,
    #[schemars(with = "Option<Moment>")]
    next_attempt: Option<String>,
    last_attempt: Option<LastAttempt>,
}

/// What became of a message at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The endpoint took it.
    Delivered,
    /// It is being sent at this moment.
    Sending,
    /// Its first attempt is to come.
    Waiting,
    /// It failed, and is tried again.
    Retrying,
    /// It was given up.
    Failed,
    /// It was canceled.
    Canceled,
    /// It was not to be sent.
    Skipped,
    /// It was not sent, although it would be now.
    Missed,
}

/// A rule that decides whether a message goes to an endpoint.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Rule {
    /// A word for programs.
    rule: &'static str,
    /// Whether it lets the message through.
    holds: bool,
    /// The rule in a sentence.
    says: String,
}

/// The latest attempt.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastAttempt {
    id: AttemptId,
    #[schemars(with = "Moment")]
    at: String,
    ok: bool,
    /// HTTP status; 0 without an answer.
    status: u16,
    duration_ms: u64,
    /// Why it failed, if it did.
    failure: Option<Failure>,
}

impl Call<'_> {
    pub(crate) async fn explain(&self, app: &str, msg: &str) -> Answer {
        let tenant = self.whole_tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        let (attempts, deliveries) = self.admin.history.outcome_of_message(&message.id).await?;
        let settings = &self.admin.event_type_settings;
        let of_type = settings.of(&tenant.application, &message.event_type).await?;
        let now = self.admin.ambient.now();
        let on_record = OnRecord::of(&attempts, &deliveries);
        let canceled = self.is_canceled(&message).await?;
        let mut endpoints = Vec::with_capacity(tenant.endpoints.len());
        for endpoint in &tenant.endpoints {
            let profile = self.admin.profiles.of_endpoint(&tenant.application, endpoint).await?;
            let (delivery, made) = on_record.at(&endpoint.id);
            let seen = Seen {
                tenant: &tenant,
                message: &message,
                endpoint,
                delivery,
                attempts: made.to_vec(),
                schedule: attempts_of(endpoint, &of_type, &profile),
                profile,
                canceled,
                now,
            };
            endpoints.push(seen.explain());
        }
        // Thousands may be more than Lambda can answer with.
        let all = endpoints.len();
        let endpoints = page::fitting(endpoints.into_iter());
        let out = ExplainOut {
            id: message.id,
            event_type: message.event_type.clone(),
            timestamp: message.at.to_rfc3339(),
            deliver_at: message.deliver_at.map(Timestamp::to_rfc3339),
            parts: message.parts,
            expunged: message.expunged,
            left_out: all - endpoints.len(),
            endpoints,
        };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Whether a message of which nothing is on record is to be sent to some endpoint.
    pub(crate) async fn is_on_its_way(
        &self,
        tenant: &Tenant,
        message: &Message,
    ) -> Result<bool, ApiError> {
        let now = self.admin.ambient.now();
        if !is_in_queue(message, now) {
            return Ok(false);
        }
        for endpoint in &tenant.endpoints {
            let profile = self.admin.profiles.of_endpoint(&tenant.application, endpoint).await?;
            let seen = Seen {
                tenant,
                message,
                endpoint,
                delivery: None,
                attempts: Vec::new(),
                schedule: 0,
                profile,
                canceled: false,
                now,
            };
            if seen.unsent(&seen.rules()).0 == Verdict::Waiting {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Attempts that a delivery to this endpoint gets, as dispatch resolves it.
pub(crate) fn attempts_of(
    endpoint: &Endpoint,
    of_type: &DeliverySettings,
    profile: &Profile,
) -> u32 {
    let said = endpoint.settings.before(of_type).before(&profile.delivery);
    said.schedule_s.map_or_else(Schedule::default, Schedule::new).attempts()
}

/// A message and an endpoint, with all that is known of both.
struct Seen<'a> {
    tenant: &'a Tenant,
    message: &'a Message,
    endpoint: &'a Endpoint,
    delivery: Option<&'a Delivery>,
    /// Newest first.
    attempts: Vec<&'a Attempt>,
    /// Attempts at the most.
    schedule: u32,
    profile: Arc<Profile>,
    /// Before its time came.
    canceled: bool,
    now: Timestamp,
}

impl Seen<'_> {
    fn explain(self) -> EndpointExplanation {
        let rules = self.rules();
        let (verdict, says) = self.verdict(&rules);
        let made = self.attempts.iter().filter_map(|attempt| match attempt.trigger {
            Trigger::Scheduled(number) => Some(number),
            Trigger::Manual(_) => None,
        });
        let scheduled = made.max().unwrap_or(0).max(self.delivery.map_or(0, |one| one.attempts));
        EndpointExplanation {
            endpoint_id: self.endpoint.id,
            url: self.endpoint.url.clone(),
            description: self.endpoint.description.clone(),
            verdict,
            says,
            rules,
            attempts: self.attempts.len(),
            scheduled,
            schedule: self.schedule,
            next_attempt: self.delivery.and_then(Delivery::next_at).map(Timestamp::to_rfc3339),
            last_attempt: self.attempts.first().map(|attempt| LastAttempt {
                id: attempt.id,
                at: attempt.at.to_rfc3339(),
                ok: attempt.ok,
                status: attempt.status,
                duration_ms: attempt.ms,
                failure: (!attempt.ok).then(|| failure::explain(attempt.status, &attempt.response)),
            }),
        }
    }

    /// The rules that dispatch asks before it sends, in its order.
    fn rules(&self) -> Vec<Rule> {
        let (message, endpoint) = (self.message, self.endpoint);
        let enabled = match endpoint.disabled {
            true => "The endpoint is disabled.",
            false => "The endpoint is enabled.",
        };
        let barred = self.profile.barred(&self.tenant.application, endpoint, message);
        let admitted = match barred {
            Some(why) => format!("The rules of the application keep it back: {why}."),
            None => "The rules of the application let it through.".to_owned(),
        };
        let mut rules = vec![
            rule("enabled", !endpoint.disabled, enabled),
            self.type_rule(),
            self.channel_rule(),
            rule("admitted", barred.is_none(), admitted),
        ];
        if message.parts > 0 {
            rules.push(rule("whole", false, "It was cut into parts, which are sent instead."));
        }
        if message.expunged {
            rules.push(rule("payload", false, "Its payload was expunged."));
        }
        let released = message.released_at();
        if endpoint.created_at > released {
            rules.push(rule("existed", false, "The endpoint was created after the message."));
        }
        rules
    }

    fn type_rule(&self) -> Rule {
        let name = &self.message.event_type;
        let (holds, says) = match &self.endpoint.event_types {
            None => (true, "The endpoint takes all event types.".to_owned()),
            Some(types) if types.contains(name) => {
                (true, format!("The endpoint takes the event type {name}."))
            }
            Some(_) => (false, format!("The endpoint does not take the event type {name}.")),
        };
        rule("event_type", holds, says)
    }

    fn channel_rule(&self) -> Rule {
        let on = &self.message.channels;
        let (holds, says) = match &self.endpoint.channels {
            None => (true, "The endpoint listens to all channels.".to_owned()),
            Some(wanted) => match wanted.iter().find(|channel| on.contains(channel)) {
                Some(channel) => (true, format!("The endpoint listens to the channel {channel}.")),
                None if on.is_empty() => {
                    (false, "The endpoint chose channels, and the message is on none.".to_owned())
                }
                None => (false, "The message is on none of the endpoint's channels.".to_owned()),
            },
        };
        rule("channel", holds, says)
    }

    /// What became of it: what is on record counts, and the rules where there is nothing.
    fn verdict(&self, rules: &[Rule]) -> (Verdict, String) {
        let said = |verdict, text: &str| (verdict, text.to_owned());
        let tried = Tried::of(self.attempts.iter().copied());
        let Some(stand) = Stand::of(self.delivery, tried, self.now) else {
            return self.unsent(rules);
        };
        let is_left_alone = self.endpoint.unanswered_since().is_some();
        const SILENT: &str =
            "It waits until the endpoint answers again: one request at a time finds out.";
        match stand {
            Stand::Waiting if is_left_alone => said(Verdict::Waiting, SILENT),
            Stand::Retrying if is_left_alone => said(Verdict::Retrying, SILENT),
            Stand::Delivered => said(Verdict::Delivered, "The endpoint took it."),
            Stand::Canceled => said(Verdict::Canceled, "It was canceled."),
            Stand::First | Stand::Again => {
                said(Verdict::Sending, "It is being sent at this moment.")
            }
            Stand::Waiting => said(Verdict::Waiting, "Its first attempt is planned."),
            Stand::Retrying => said(Verdict::Retrying, "It failed, and is tried again."),
            Stand::Failed => match self.delivery.and_then(Delivery::reason) {
                Some(reason) => (Verdict::Failed, format!("It was given up: {}.", reason.as_str())),
                None => said(Verdict::Failed, "It failed, and is not tried again."),
            },
        }
    }

    /// What keeps a message that nothing is on record of.
    fn unsent(&self, rules: &[Rule]) -> (Verdict, String) {
        if let Some(against) = rules.iter().find(|rule| !rule.holds) {
            return (Verdict::Skipped, against.says.clone());
        }
        if self.canceled {
            return (Verdict::Canceled, "It was canceled before its time.".to_owned());
        }
        if self.message.released_at() > self.now {
            return (Verdict::Waiting, "It waits for its time.".to_owned());
        }
        if is_in_queue(self.message, self.now) {
            return (Verdict::Waiting, "It is in the queue.".to_owned());
        }
        let missed = "It was not sent when it was published. It fits now: replay what is missing.";
        (Verdict::Missed, missed.to_owned())
    }
}

fn rule(rule: &'static str, holds: bool, says: impl Into<String>) -> Rule {
    Rule { rule, holds, says: says.into() }
}
