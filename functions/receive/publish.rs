//! What a publisher sends and gets back: Svix's `MessageIn` and `MessageOut`.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::endpoint::{MAX_CHANNEL, MAX_EVENT_TYPE};
use shared::error::{ApiError, Violation};
use shared::id::{MessageId, Uid, is_name};
use shared::message::{
    DEFAULT_RETENTION_DAYS, MAX_MESSAGE_CHANNELS, MAX_PAYLOAD_BYTES, MAX_SUBJECT_BYTES, Message,
    RETENTION_DAYS,
};
use shared::openapi::{EventType, JsonObject, MessageChannels, Moment};
use shared::request;

/// A checked request to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) event_type: String,
    pub(crate) event_id: Option<Uid>,
    pub(crate) channels: Vec<String>,
    pub(crate) subject: Option<String>,
    pub(crate) retention_days: u64,
    /// The exact bytes between the quotes and commas of the request.
    pub(crate) payload: Bytes,
}

impl Published {
    /// Reads and checks a request's body. The payload is an object, or `null` where that means
    /// something: in an envelope.
    pub(crate) fn parse(body: &Bytes, takes_null: bool) -> Result<Self, ApiError> {
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
        let retention_days = read.payload_retention_period.unwrap_or(DEFAULT_RETENTION_DAYS);
        if !RETENTION_DAYS.contains(&retention_days) {
            violations.push(Violation::body(
                "payloadRetentionPeriod",
                format!("must be {} to {} days", RETENTION_DAYS.start(), RETENTION_DAYS.end()),
            ));
        }
        let payload = read.payload.get();
        let taken = payload.starts_with('{') || (takes_null && payload == "null");
        if !taken {
            violations.push(Violation::body("payload", "must be a JSON object"));
        }
        if !violations.is_empty() {
            return Err(ApiError::Invalid(violations));
        }
        Ok(Self {
            event_id,
            subject: read.subject,
            channels: read.channels.unwrap_or_default(),
            retention_days,
            payload: body.slice_ref(payload.as_bytes()),
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
            .and_then(|payload| serde_json::from_slice(payload).ok())
            .unwrap_or_else(empty_object);
        Self {
            channels: &message.channels,
            event_id: message.event_id.as_ref().map(Uid::as_str),
            event_type: &message.event_type,
            id: message.id,
            payload,
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
    payload_retention_period: Option<u64>,
    /// Whom it is about: Posthorn's own.
    subject: Option<String>,
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
    subject: Option<String>,
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

fn name_rule(max: usize) -> String {
    format!("must be 1 to {max} of the characters a-z, A-Z, 0-9, `-`, `_` and `.`")
}

/// `{}`.
fn empty_object<'a>() -> &'a RawValue {
    serde_json::from_str("{}").expect("an empty object is JSON")
}
