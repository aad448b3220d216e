//! What a publisher sends and gets back: Svix's `MessageIn` and `MessageOut`.

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::{ContentType, EventType, JsonObject, MessageChannels, Moment, Tags};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::api::application::ApplicationIn;
use shared::api::error::{ApiError, Violation};
use shared::api::request;
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::{MAX_CHANNEL, MAX_EVENT_TYPE};
use shared::domain::id::{MessageId, Uid, is_name, name_rule};
use shared::domain::message::{
    MAX_CONTENT_TYPE, MAX_MESSAGE_CHANNELS, MAX_PAYLOAD_BYTES, MAX_SUBJECT_BYTES, MAX_TAG,
    MAX_TAGS, Message, POSTPONE_MS, RAW_CONTENT_TYPE, RETENTION_DAYS, RETENTION_HOURS,
    is_content_type, is_tag,
};

/// A checked request to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) event_type: String,
    pub(crate) event_id: Option<Uid>,
    pub(crate) channels: Vec<String>,
    pub(crate) subject: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) deliver_at: Option<Timestamp>,
    pub(crate) retention_hours: Option<u64>,
    /// What the payload is, if it is raw.
    pub(crate) content_type: Option<String>,
    /// The exact bytes between the quotes and commas of the request, or of the raw payload.
    pub(crate) payload: Bytes,
}

impl Published {
    /// Reads and checks a request's body. The payload is an object, or `null` where that means
    /// something: in an envelope.
    pub(crate) fn parse(body: &Bytes, takes_null: bool, now: Timestamp) -> Result<Self, ApiError> {
        let explain = || request::explain::<MessageShape>(body);
        if !request::is_object(body) {
            return Err(explain());
        }
        let read: MessageIn<'_> = serde_json::from_slice(body).map_err(|_| explain())?;
        let mut violations = Vec::new();
        if !is_name(&read.event_type, MAX_EVENT_TYPE) {
            violations.push(Violation::body("eventType", name_rule(MAX_EVENT_TYPE)));
        }
        let event_id = match read.event_id.as_deref().map(|id| Uid::parse(id, MessageId::PREFIX)) {
            Some(Err(error)) => {
                violations.push(Violation::body("eventId", error.0));
                None
            }
            Some(Ok(id)) => Some(id),
            None => None,
        };
        check_channels(read.channels.as_deref(), &mut violations);
        if read.subject.as_ref().is_some_and(|name| !(1..=MAX_SUBJECT_BYTES).contains(&name.len()))
        {
            violations.push(Violation::body(
                "subject",
                format!("must be 1 to {MAX_SUBJECT_BYTES} bytes long, or be left out"),
            ));
        }
        check_tags(read.tags.as_deref(), &mut violations);
        let deliver_at = check_time(read.deliver_at.as_deref(), now, &mut violations);
        let retention_hours = check_retention(&read, &mut violations);
        let payload = read.payload.get();
        let taken = payload.starts_with('{') || (takes_null && payload == "null");
        if !taken {
            violations.push(Violation::body("payload", "must be a JSON object"));
        }
        let raw = read.transformations_params.unwrap_or_default();
        let named = raw.headers.unwrap_or_default().content_type;
        if named.as_deref().is_some_and(|named| !is_content_type(named)) {
            let rule =
                format!("must be 1 to {MAX_CONTENT_TYPE} visible characters, as `text/plain`");
            violations.push(Violation::body("transformationsParams.headers.content-type", rule));
        }
        if !violations.is_empty() {
            return Err(ApiError::Invalid(violations));
        }
        let content_type =
            raw.raw_payload.is_some().then(|| named.unwrap_or_else(|| RAW_CONTENT_TYPE.to_owned()));
        Ok(Self {
            content_type,
            event_id,
            subject: read.subject,
            channels: read.channels.unwrap_or_default(),
            tags: read.tags.unwrap_or_default(),
            deliver_at,
            retention_hours,
            payload: match raw.raw_payload {
                Some(raw) => raw.into(),
                None => body.slice_ref(payload.as_bytes()),
            },
            event_type: read.event_type,
        })
    }
}

/// What the publisher gets back.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageOut<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    channels: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    event_type: &'a str,
    id: MessageId,
    #[schemars(with = "JsonObject")]
    payload: &'a RawValue,
    /// A payload that was published raw.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_payload: Option<&'a str>,
    /// What a raw payload is.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    deliver_at: Option<String>,
    #[schemars(with = "Moment")]
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    /// How many events it became, where it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
}

impl<'a> MessageOut<'a> {
    /// The message as the API shows it; without its content the payload is `{}`.
    pub(crate) fn of(message: &'a Message, with_content: bool) -> Self {
        let payload = Some(&message.payload)
            .filter(|_| with_content)
            .and_then(|payload| serde_json::from_slice::<&RawValue>(payload).ok())
            .filter(|payload| message.content_type.is_none() || payload.get().starts_with('{'))
            .unwrap_or_else(empty_object);
        let raw = message.content_type.as_ref().filter(|_| with_content);
        Self {
            channels: &message.channels,
            event_id: message.event_id.as_ref().map(Uid::as_str),
            event_type: &message.event_type,
            id: message.id,
            payload,
            raw_payload: raw.and_then(|_| std::str::from_utf8(&message.payload).ok()),
            content_type: message.content_type.as_deref(),
            tags: &message.tags,
            deliver_at: message.deliver_at.map(Timestamp::to_rfc3339),
            timestamp: message.at.to_rfc3339(),
            subject: message.subject.as_deref(),
            parts: Some(message.parts).filter(|parts| *parts > 0),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageIn<'a> {
    event_type: String,
    #[serde(borrow)]
    payload: &'a RawValue,
    event_id: Option<String>,
    channels: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    deliver_at: Option<String>,
    payload_retention_period: Option<u64>,
    /// Whom it is about: Posthorn's own.
    subject: Option<String>,
    payload_retention_hours: Option<u64>,
    transformations_params: Option<TransformationsParams>,
}

/// What Svix's libraries say with `messageInRaw`: there are no transformations, but this goes past
/// them in Svix, and out as it is.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct TransformationsParams {
    /// Sent byte for byte in place of the payload.
    raw_payload: Option<String>,
    headers: Option<RawHeaders>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct RawHeaders {
    /// What a raw payload is; `application/json` unless said.
    #[serde(rename = "content-type", alias = "Content-Type")]
    #[schemars(with = "Option<ContentType>")]
    content_type: Option<String>,
}

/// The same shape without borrowing, for finding the field that is wrong.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageIn")]
#[expect(dead_code, reason = "only its shape matters")]
pub(crate) struct MessageShape {
    #[schemars(with = "EventType")]
    event_type: String,
    payload: serde_json::Map<String, serde_json::Value>,
    #[schemars(with = "Option<Uid>")]
    event_id: Option<String>,
    #[schemars(with = "Option<MessageChannels>")]
    channels: Option<Vec<String>>,
    #[schemars(range(min = *RETENTION_DAYS.start(), max = *RETENTION_DAYS.end()))]
    payload_retention_period: Option<u64>,
    #[schemars(length(min = 1, max = MAX_SUBJECT_BYTES))]
    subject: Option<String>,
    #[schemars(range(min = *RETENTION_HOURS.start(), max = *RETENTION_HOURS.end()))]
    payload_retention_hours: Option<u64>,
    #[schemars(with = "Option<Tags>")]
    tags: Option<Vec<String>>,
    #[schemars(with = "Option<Moment>")]
    deliver_at: Option<String>,
    transformations_params: Option<TransformationsParams>,
    /// Created on the way, if the path names none.
    application: Option<ApplicationIn>,
}

/// Refuses a payload that one event cannot hold.
pub(crate) fn check_payload(bytes: usize) -> Result<(), ApiError> {
    if bytes > MAX_PAYLOAD_BYTES {
        return Err(ApiError::too_large(format!(
            "The payload has {bytes} bytes; the limit is {MAX_PAYLOAD_BYTES}. Send a reference to \
             the data instead of the data."
        )));
    }
    Ok(())
}

/// For how many hours the message is kept, if the publisher says it.
fn check_retention(read: &MessageIn<'_>, violations: &mut Vec<Violation>) -> Option<u64> {
    let (days, hours) = (read.payload_retention_period, read.payload_retention_hours);
    if days.is_some() && hours.is_some() {
        violations.push(Violation::body(
            "payloadRetentionHours",
            "must not be there beside `payloadRetentionPeriod`: leave out one of the two",
        ));
    }
    if days.is_some_and(|days| !RETENTION_DAYS.contains(&days)) {
        violations.push(Violation::body(
            "payloadRetentionPeriod",
            format!("must be {} to {} days", RETENTION_DAYS.start(), RETENTION_DAYS.end()),
        ));
    }
    if hours.is_some_and(|hours| !RETENTION_HOURS.contains(&hours)) {
        violations.push(Violation::body(
            "payloadRetentionHours",
            format!("must be {} to {} hours", RETENTION_HOURS.start(), RETENTION_HOURS.end()),
        ));
    }
    // An absurd one is in the list of violations already.
    hours.or_else(|| days.map(|days| days.saturating_mul(24)))
}

fn check_tags(tags: Option<&[String]>, violations: &mut Vec<Violation>) {
    let Some(tags) = tags else { return };
    if tags.len() > MAX_TAGS {
        violations.push(Violation::body("tags", format!("must be at most {MAX_TAGS}")));
    }
    for (position, tag) in tags.iter().enumerate() {
        if !is_tag(tag) {
            violations.push(Violation::body(
                &format!("tags.{position}"),
                format!("must be 1 to {MAX_TAG} letters, digits or one of - _ . / \\ #"),
            ));
        }
    }
}

fn check_time(
    text: Option<&str>,
    now: Timestamp,
    violations: &mut Vec<Violation>,
) -> Option<Timestamp> {
    let at = text.map(Timestamp::parse_rfc3339)?;
    if !at.is_some_and(|at| at > now && POSTPONE_MS.contains(&at.since(now))) {
        violations.push(Violation::body(
            "deliverAt",
            "must be a date such as 2026-01-31T12:00:00Z, at least a minute and at most 30 days \
             from now",
        ));
    }
    at
}

fn check_channels(channels: Option<&[String]>, violations: &mut Vec<Violation>) {
    let Some(channels) = channels else { return };
    if !(1..=MAX_MESSAGE_CHANNELS).contains(&channels.len()) {
        violations.push(Violation::body(
            "channels",
            format!("must name 1 to {MAX_MESSAGE_CHANNELS} channels, or be left out"),
        ));
    }
    for (position, channel) in channels.iter().enumerate() {
        if !is_name(channel, MAX_CHANNEL) {
            violations
                .push(Violation::body(&format!("channels.{position}"), name_rule(MAX_CHANNEL)));
        }
        if channels[..position].contains(channel) {
            violations.push(Violation::body("channels", "must not repeat a channel"));
        }
    }
}

/// `{}`.
fn empty_object<'a>() -> &'a RawValue {
    serde_json::from_str("{}").expect("an empty object is JSON")
}
