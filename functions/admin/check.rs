//! The conformance check: four requests that tell whether an endpoint is a good receiver. An
//! integrator starts it; the report says what the endpoint did and what it should do.
//!
//! 1. a well-made test event, which it has to take;
//! 2. the same event again, as after a lost answer, which it has to take as well;
//! 3. one whose signature does not fit, which it has to refuse;
//! 4. one that was signed an hour ago, which it has to refuse.
//!
//! All of it goes the ordinary way out, past the same address checks as deliveries. An endpoint
//! that takes the first is verified. Nothing is retried and nothing gets into the message log.
//!
//! Not guaranteed: that an endpoint which takes the repetition also ignores it; nobody can see
//! that from outside.

use crate::JsonSchema;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Violation};
use shared::api::message::payload_holds;
use shared::api::rules::Rules;
use shared::domain::clock::Timestamp;
use shared::domain::delivery_settings::{Format, Statuses};
use shared::domain::endpoint::{Endpoint, MAX_EVENT_TYPE};
use shared::domain::event_type::EventType;
use shared::domain::id::is_name;
use shared::domain::message::{MAX_PAYLOAD_DEPTH, Message, NewMessage};
use shared::domain::profile::Profile;
use shared::domain::secret::SigningSecret;
use shared::domain::signature::{self, TOLERANCE_S};
use shared::sender::{Ending, Outbound, USER_AGENT};
use shared::store::Tenant;

use crate::{Answer, Call};

/// Longest of the four exchanges, in milliseconds.
const TIMEOUT_MS: u64 = 5_000;
/// Longest that all four take, in milliseconds: first the good one, then the others side by side.
/// Ends well before the function's time does.
pub const LONGEST_CHECK_MS: u64 = 2 * TIMEOUT_MS;
/// An answer that takes longer is slow, in milliseconds: half of the shortest time-out among the
/// profiles that come with Posthorn.
const SLOW_MS: u64 = 2_500;
/// How old the old request is, in seconds: far beyond what any receiver tolerates.
const OLD_S: u64 = 12 * TOLERANCE_S;
/// The event that is sent if the caller names none.
const TEST_EVENT: &str = "posthorn.test";
/// An event type that there is for everybody, and its example (Svix).
const PING: &str = "svix.ping";
const PING_PAYLOAD: &str = r#"{"success":true}"#;

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "EndpointCheckIn")]
pub(crate) struct CheckIn {
    /// The event type whose example is sent.
    #[schemars(with = "Option<description::EventType>")]
    event_type: Option<String>,
}

/// What the endpoint did.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointCheckOut")]
pub(crate) struct CheckOut {
    /// Whether all went as it should.
    ok: bool,
    /// Whether it took the test event, now or earlier.
    verified: bool,
    steps: Vec<Step>,
}

/// One request.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointCheckStep")]
pub(crate) struct Step {
    /// `valid`, `duplicate`, `bad-signature` or `old-timestamp`.
    name: &'static str,
    ok: bool,
    /// HTTP status; 0 when there was no answer.
    status: u16,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// What to do about it, where something is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// A request to be made.
struct Trial<'a> {
    name: &'static str,
    /// Whether the endpoint should take it.
    good: bool,
    secrets: &'a [SigningSecret],
    signed_at: Timestamp,
    /// The customer's own headers.
    custom: &'a [(String, String)],
}

impl Call<'_> {
    pub(crate) async fn check_endpoint(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let input: CheckIn = self.optional_body()?;
        let profile =
            self.effective_profile(&tenant.application, endpoint.profile.as_ref()).await?;
        let said = endpoint.settings.before(&profile.delivery);
        if said.format == Some(Format::Jwt) {
            return Err(ApiError::bad_request(
                "wrong_format",
                "The check is about signatures of JSON: switch the endpoint to `json` for it.",
            ));
        }
        let message = self
            .test_message(&tenant, &endpoint, input.event_type.map(|name| (name, Some(0))))
            .await?;
        let admin = self.admin;
        let now = admin.ambient.now();
        let right = endpoint.keyring.live(&endpoint.id.to_string(), &admin.sealer, now);
        let scheme = right.first().map(SigningSecret::scheme).unwrap_or_default();
        let wrong = [SigningSecret::generate_for(scheme, &admin.ambient)];
        let old = now.minus_ms(OLD_S * 1000);
        let custom = endpoint.open_headers(&admin.sealer).ok_or_else(|| {
            ApiError::Internal(format!("a header of {} does not open", endpoint.id))
        })?;
        let success = said.success.unwrap_or_else(Statuses::successful);
        let step = async |name, good, secrets, signed_at| {
            let trial = Trial { name, good, secrets, signed_at, custom: &custom };
            self.step(&trial, &message, &endpoint, &profile, &success).await
        };
        // The repetition comes after the first; what does not depend on it need not wait.
        let first = step("valid", true, right.as_slice(), now).await;
        let (again, forged, late) = tokio::join!(
            step("duplicate", true, right.as_slice(), now),
            step("bad-signature", false, wrong.as_slice(), now),
            step("old-timestamp", false, right.as_slice(), old),
        );
        let took_it = success.contains(first.status);
        let verified = endpoint.verified_at.is_some() || took_it && self.verify(&endpoint).await?;
        let steps = vec![first, again, forged, late];
        let out = CheckOut { ok: steps.iter().all(|step| step.ok), verified, steps };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Notes that an endpoint takes events, unless it has another URL by now: of that one nothing
    /// is known. Whether it is verified then.
    async fn verify(&self, called: &Endpoint) -> Result<bool, ApiError> {
        let now = self.admin.ambient.now();
        let change = |endpoint: &mut Endpoint| {
            if endpoint.url == called.url && endpoint.verified_at.is_none() {
                endpoint.verified_at = Some(now);
            }
        };
        let edited = self.admin.editor.edit_endpoint(&called.app, &called.id, now, change).await?;
        let (endpoint, ()) = edited.done().ok_or_else(ApiError::not_found)?;
        Ok(endpoint.verified_at.is_some())
    }

    async fn step(
        &self,
        trial: &Trial<'_>,
        message: &Message,
        endpoint: &Endpoint,
        profile: &Profile,
        success: &Statuses,
    ) -> Step {
        let outbound = outbound(trial, message, endpoint, profile);
        let outcome = self.admin.sender.send(outbound).await;
        let (status, failure) = match outcome.ending {
            Ending::Answered { status, .. } => (status, None),
            Ending::TimedOut => (0, Some(format!("no answer within {TIMEOUT_MS} ms"))),
            Ending::Refused(reason) | Ending::Failed(reason) => (0, Some(reason)),
            Ending::Unsent(reason) => {
                (0, Some(format!("not sent, for a reason of ours: {reason}")))
            }
        };
        let duration_ms = outcome.duration_ms;
        let advice = advice(trial, status, failure, duration_ms, success);
        Step { name: trial.name, ok: advice.is_none(), status, duration_ms, advice }
    }

    /// A message that is not stored: an event type's example, or a test event.
    pub(crate) async fn test_message(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        event_type: Option<(String, Option<usize>)>,
    ) -> Result<Message, ApiError> {
        let mut rules = Rules::default();
        let payload = match &event_type {
            None => Some(r#"{"test":true}"#.to_owned()),
            Some((name, _)) if !is_name(name, MAX_EVENT_TYPE) => {
                rules.broken("eventType", "is not the name of an event type");
                None
            }
            Some((name, Some(index))) => Some(self.example(tenant, endpoint, name, *index).await?),
            // It is not to have an example, but to be there.
            Some((name, None)) => self.examples(tenant, endpoint, name).await.map(|_| None)?,
        };
        rules.check()?;
        let event_type = event_type.as_ref().map_or(TEST_EVENT, |(name, _)| name);
        let new = NewMessage::of(event_type, payload.unwrap_or_default());
        Ok(Message::test(new, tenant.application.id, &self.admin.ambient))
    }

    /// What an event of this type looks like: the example at this place of those that it is
    /// described with, or else as the endpoint's profile has it.
    ///
    /// # Errors
    /// 404 for a type that the caller may not know of, 400 for one without an example that can be a
    /// payload, 422 for a place without one.
    async fn example(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        name: &str,
        index: usize,
    ) -> Result<String, ApiError> {
        let examples = self.examples(tenant, endpoint, name).await?;
        if examples.is_empty() {
            let why = format!("`{name}` has no example: give its JSON Schema `examples`.");
            return Err(ApiError::bad_request("invalid_scheme", why));
        }
        let example = examples.get(index).ok_or_else(|| {
            let rule = format!("must be less than {}, the number of its examples", examples.len());
            Violation::body("exampleIndex", rule)
        })?;
        let takes_null = self.takes_null(tenant, endpoint).await?;
        if payload_holds(example, takes_null, true).is_err() {
            let why = format!(
                "The example of `{name}` can be no payload: it must be a JSON object, nested at \
                 most {MAX_PAYLOAD_DEPTH} levels deep."
            );
            return Err(ApiError::bad_request("invalid_scheme", why));
        }
        Ok(example.clone())
    }

    /// Whether `null` is a payload of events to this endpoint: in an envelope it is.
    pub(crate) async fn takes_null(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
    ) -> Result<bool, ApiError> {
        let profile = self.effective_profile(&tenant.application, endpoint.profile.as_ref());
        Ok(profile.await?.envelope.is_some())
    }

    /// All of them.
    ///
    /// # Errors
    /// 404 for a type that the caller may not know of.
    async fn examples(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        name: &str,
    ) -> Result<Vec<String>, ApiError> {
        if name == PING {
            return Ok(vec![PING_PAYLOAD.to_owned()]);
        }
        let org = self.access.organisation();
        let described = self.admin.catalogue.find(&org, name).await?;
        if described.as_ref().is_some_and(|described| !described.is_for(self.flags())) {
            return Err(ApiError::not_found());
        }
        let examples = described.as_ref().map(EventType::examples).unwrap_or_default();
        let profile =
            self.effective_profile(&tenant.application, endpoint.profile.as_ref()).await?;
        let group = described.as_ref().and_then(|described| described.group_name.as_deref());
        // Where another profile has loaded an event of this name, it describes that one's.
        let of_another = match group {
            Some(group) if group != profile.name => {
                self.admin.profiles.named(&org, group).await?.is_some()
            }
            _ => false,
        };
        if !examples.is_empty() && !of_another {
            return Ok(examples.into_iter().map(str::to_owned).collect());
        }
        let (_, events) = self.profile_and_events(&profile.name).await?;
        let event = events.into_iter().find(|event| event.event_type == name);
        match event {
            Some(event) => Ok(vec![event.example.as_str().to_owned()]),
            None if described.is_some() => Ok(examples.into_iter().map(str::to_owned).collect()),
            None => Err(ApiError::not_found()),
        }
    }
}

fn outbound(
    trial: &Trial<'_>,
    message: &Message,
    endpoint: &Endpoint,
    profile: &Profile,
) -> Outbound {
    let id = message.id.to_string();
    let body = profile.body(message, endpoint);
    let timestamp = trial.signed_at.as_secs();
    let signatures = signature::sign(trial.secrets, &id, timestamp, &body);
    let timestamp = timestamp.to_string();
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("user-agent".to_owned(), USER_AGENT.to_owned()),
    ];
    headers.extend_from_slice(trial.custom);
    headers.extend(profile.signed_headers(&id, &timestamp, &signatures));
    Outbound {
        url: endpoint.url.clone(),
        headers,
        body,
        timeout_ms: TIMEOUT_MS,
        owner: Some(endpoint.app),
    }
}

/// What is not as it should be, and what to do about it.
fn advice(
    trial: &Trial<'_>,
    status: u16,
    failure: Option<String>,
    duration_ms: u64,
    success: &Statuses,
) -> Option<String> {
    if let Some(failure) = failure {
        return Some(format!("It did not answer: {failure}."));
    }
    match (trial.good, success.contains(status)) {
        (true, false) => Some(format!(
            "It answered {status} to a well-made event. Answer {} as soon as it is stored.",
            Vec::<String>::from(success.clone()).join(" or ")
        )),
        (false, true) => Some(match trial.name {
            "old-timestamp" => format!(
                "It took a request that was signed {} minutes ago. Refuse timestamps that are \
                 more than {} minutes off.",
                OLD_S / 60,
                TOLERANCE_S / 60
            ),
            _ => "It took a request whose signature does not fit. Verify the signature over the \
                  exact bytes of the body, and answer 401."
                .to_owned(),
        }),
        (false, false) if status >= 500 => Some(format!(
            "It answered {status}, as if it had failed. Answer 401 to what does not verify."
        )),
        _ if duration_ms > SLOW_MS => Some(format!(
            "It took {duration_ms} ms to answer. Store the event, answer, and work on it later."
        )),
        _ => None,
    }
}
