//! An event as publishers send it and as callers get it: Svix's `MessageIn` and `MessageOut`.
//!
//! All that publishes on somebody's request reads it with [`publish`], so that the rules are
//! the same wherever an event comes in.

use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::application::ApplicationIn;
use crate::api::error::ApiError;
use crate::api::request;
use crate::api::rules::Rules;
#[cfg(feature = "description")]
use crate::api::schema::{ContentType, EventType, JsonObject, MessageChannels, Moment, Tags};
use crate::domain::clock::Timestamp;
use crate::domain::endpoint::{MAX_CHANNEL, MAX_EVENT_TYPE};
use crate::domain::id::{MessageId, Uid, is_name, name_rule};
use crate::domain::json::is_deeper_than;
use crate::domain::message::{
    HOURS_A_DAY, MAX_CONTENT_TYPE, MAX_MESSAGE_CHANNELS, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_DEPTH,
    MAX_SUBJECT_BYTES, MAX_TAGS, Message, NewMessage, RAW_CONTENT_TYPE, RETENTION_DAYS,
    RETENTION_HOURS, SCHEDULE_AHEAD_MS, is_content_type, is_tag, tag_rule,
};
use crate::domain::schema::JsonSchema;

/// Whether this JSON can be a payload: an object, or `null` where that means something, and nested no
/// deeper than readers take, if it `is_sent`.
///
/// # Errors
/// The rule that it breaks.
pub fn payload_holds(payload: &str, takes_null: bool, is_sent: bool) -> Result<(), String> {
    let is_one = payload.starts_with('{') || takes_null && payload == "null";
    if !is_one {
        return Err("must be a JSON object".to_owned());
    }
    if is_sent && is_deeper_than(payload, MAX_PAYLOAD_DEPTH) {
        return Err(format!("must be nested at most {MAX_PAYLOAD_DEPTH} levels deep"));
    }
    Ok(())
}

/// Reads and checks a request to publish. The payload is an object, or `null` where that means
/// something: in an envelope. How large it may be is asked by [`check_payload`], since one that
/// is cut may be larger.
///
/// # Errors
/// 422 with everything that is wrong.
pub fn publish(body: &Bytes, takes_null: bool, now: Timestamp) -> Result<NewMessage, ApiError> {
    let explain = || request::explain::<MessageShape>(body);
    if !request::is_object(body) {
        return Err(explain());
    }
    let read: MessageIn<'_> = serde_json::from_slice(body).map_err(|_| explain())?;
    let mut rules = Rules::default();
    rules.event_type(&read.event_type);
    let event_id = rules.named("eventId", read.event_id.as_deref(), MessageId::PREFIX);
    rules.names("channels", read.channels.as_deref(), MAX_CHANNEL, MAX_MESSAGE_CHANNELS);
    rules.subject(read.subject.as_deref());
    rules.tags(read.tags.as_deref().unwrap_or_default());
    let deliver_at = rules.deliver_at(read.deliver_at.as_deref(), now);
    let retention_hours =
        rules.retention(read.payload_retention_period, read.payload_retention_hours);
    let payload = read.payload.get();
    let raw = read.transformations_params.unwrap_or_default();
    // Beside what is sent instead it may be as deep as it likes: nobody reads it.
    let is_sent = raw.raw_payload.is_none();
    if let Err(rule) = payload_holds(payload, takes_null, is_sent) {
        rules.broken("payload", rule);
    }
    let named = raw.headers.unwrap_or_default().content_type;
    if named.as_deref().is_some_and(|named| !is_content_type(named)) {
        let rule = format!("must be 1 to {MAX_CONTENT_TYPE} visible characters, as `text/plain`");
        rules.broken("transformationsParams.headers.content-type", rule);
    }
    rules.check()?;
    let usual = || RAW_CONTENT_TYPE.to_owned();
    Ok(NewMessage {
        event_type: read.event_type,
        event_id,
        channels: read.channels.unwrap_or_default(),
        tags: read.tags.unwrap_or_default(),
        subject: read.subject,
        deliver_at,
        retention_hours,
        content_type: raw.raw_payload.is_some().then(|| named.unwrap_or_else(usual)),
        payload: match raw.raw_payload {
            Some(raw) => raw.into(),
            None => body.slice_ref(payload.as_bytes()),
        },
    })
}

/// Refuses a payload that one event cannot hold.
///
/// # Errors
/// 413.
pub fn check_payload(bytes: usize) -> Result<(), ApiError> {
    if bytes > MAX_PAYLOAD_BYTES {
        return Err(ApiError::too_large(format!(
            "The payload has {bytes} bytes; the limit is {MAX_PAYLOAD_BYTES}. Send a reference to \
             the data instead of the data."
        )));
    }
    Ok(())
}

/// The rules of an event; where it is published does not matter.
impl Rules {
    /// What happened.
    fn event_type(&mut self, name: &str) {
        if !is_name(name, MAX_EVENT_TYPE) {
            self.broken("eventType", name_rule(MAX_EVENT_TYPE));
        }
    }

    fn subject(&mut self, name: Option<&str>) {
        if name.is_some_and(|name| !(1..=MAX_SUBJECT_BYTES).contains(&name.len())) {
            let rule = format!("must be 1 to {MAX_SUBJECT_BYTES} bytes long, or be left out");
            self.broken("subject", rule);
        }
    }

    fn tags(&mut self, tags: &[String]) {
        if tags.len() > MAX_TAGS {
            return self.broken("tags", format!("must be at most {MAX_TAGS}"));
        }
        for (position, _) in tags.iter().enumerate().filter(|(_, tag)| !is_tag(tag)) {
            self.broken(&format!("tags.{position}"), tag_rule());
        }
    }

    fn deliver_at(&mut self, text: Option<&str>, now: Timestamp) -> Option<Timestamp> {
        let at = text.map(Timestamp::parse_rfc3339)?;
        if !at.is_some_and(|at| at > now && SCHEDULE_AHEAD_MS.contains(&at.since(now))) {
            let rule = "must be a date such as 2026-01-31T12:00:00Z, at least a minute and at \
                        most 30 days from now";
            self.broken("deliverAt", rule);
        }
        at
    }

    /// For how many hours the message is kept, if the publisher says it.
    fn retention(&mut self, days: Option<u64>, hours: Option<u64>) -> Option<u64> {
        if days.is_some() && hours.is_some() {
            let rule = "must not be there beside `payloadRetentionPeriod`: leave out one of the \
                        two";
            self.broken("payloadRetentionHours", rule);
        }
        for (field, unit, said, range) in [
            ("payloadRetentionPeriod", "days", days, RETENTION_DAYS),
            ("payloadRetentionHours", "hours", hours, RETENTION_HOURS),
        ] {
            if said.is_some_and(|said| !range.contains(&said)) {
                self.broken(field, format!("must be {} to {} {unit}", range.start(), range.end()));
            }
        }
        // An absurd one breaks a rule already.
        hours.or_else(|| days.map(|days| days.saturating_mul(HOURS_A_DAY)))
    }
}

/// What a caller gets.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageOut {
    #[schemars(with = "Option<MessageChannels>")]
    channels: Option<Vec<String>>,
    event_id: Option<Uid>,
    #[schemars(with = "EventType")]
    event_type: String,
    id: MessageId,
    #[schemars(with = "JsonObject")]
    payload: Box<RawValue>,
    /// A payload that was published raw.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_payload: Option<String>,
    /// What a raw payload is.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    deliver_at: Option<String>,
    #[schemars(with = "Moment")]
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The event that was too big for one and that this is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<MessageId>,
    /// How many events it became, where it was cut; the payload tells which.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
}

/// What stands in the place of a payload that is no longer there (Svix).
pub const GONE: &[u8] = br#"{"expired":true}"#;

impl MessageOut {
    /// A message, with its payload or `{}` in place of whatever that is or was.
    pub fn of(mut message: Message, with_content: bool) -> Self {
        if !with_content {
            message.payload = Bytes::new();
            message.expunged = false;
        }
        Self::from(message)
    }
}

impl From<Message> for MessageOut {
    fn from(mut message: Message) -> Self {
        if message.expunged {
            message.payload = Bytes::from_static(GONE);
        }
        let is_raw = message.content_type.is_some();
        let text = std::str::from_utf8(&message.payload).ok();
        // None where the content was not asked for.
        let raw = text.filter(|text| is_raw && !message.expunged && !text.is_empty());
        let payload = text
            .and_then(|text| RawValue::from_string(text.to_owned()).ok())
            .filter(|payload| !is_raw || payload.get().starts_with('{'))
            .unwrap_or_else(|| RawValue::from_string("{}".to_owned()).expect("`{}` is JSON"));
        Self {
            raw_payload: raw.map(str::to_owned),
            channels: Some(message.channels).filter(|channels| !channels.is_empty()),
            event_id: message.event_id,
            event_type: message.event_type,
            id: message.id,
            payload,
            content_type: message.content_type,
            tags: message.tags,
            deliver_at: message.deliver_at.map(Timestamp::to_rfc3339),
            timestamp: message.at.to_rfc3339(),
            subject: message.subject,
            parent: message.parent,
            parts: Some(message.parts).filter(|parts| *parts > 0),
            test: message.test,
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
    #[serde(default, deserialize_with = "request::inner_or_null")]
    transformations_params: Option<TransformationsParams>,
    /// Made already, if it was to be; it has to be one all the same.
    #[serde(rename = "application", default, deserialize_with = "request::inner_or_null")]
    _application: Option<ApplicationIn>,
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

#[derive(Default, JsonSchema)]
struct RawHeaders {
    /// What a raw payload is; `application/json` unless said. The name may be spelled in any
    /// letter case; other headers do not matter.
    #[schemars(rename = "content-type", with = "Option<ContentType>")]
    content_type: Option<String>,
}

impl<'de> Deserialize<'de> for RawHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Headers;
        impl<'de> Visitor<'de> for Headers {
            type Value = RawHeaders;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeaders, A::Error> {
                let mut headers = RawHeaders::default();
                let mut is_there = false;
                while let Some(name) = map.next_key::<String>()? {
                    if !name.eq_ignore_ascii_case("content-type") {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if std::mem::replace(&mut is_there, true) {
                        return Err(de::Error::duplicate_field("content-type"));
                    }
                    headers.content_type = map.next_value()?;
                }
                Ok(headers)
            }
        }
        deserializer.deserialize_map(Headers)
    }
}

/// An event to publish.
// Without borrowing: for the API's description, and for finding the field that is wrong.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessageIn")]
#[expect(dead_code, reason = "only its shape matters")]
pub struct MessageShape {
    #[schemars(with = "EventType")]
    event_type: String,
    payload: serde_json::Map<String, serde_json::Value>,
    #[schemars(with = "Option<Uid>")]
    event_id: Option<String>,
    #[schemars(with = "Option<MessageChannels>")]
    channels: Option<Vec<String>>,
    /// Days for which the message is kept, with all that is on record of it. After that its names
    /// are free for another, and what waits for a retry is given up.
    #[schemars(range(min = *RETENTION_DAYS.start(), max = *RETENTION_DAYS.end()))]
    payload_retention_period: Option<u64>,
    #[schemars(length(min = 1, max = MAX_SUBJECT_BYTES))]
    subject: Option<String>,
    /// The same in hours, instead. Retries end with it: choose more than their schedule takes.
    #[schemars(range(min = *RETENTION_HOURS.start(), max = *RETENTION_HOURS.end()))]
    payload_retention_hours: Option<u64>,
    #[schemars(with = "Option<Tags>")]
    tags: Option<Vec<String>>,
    #[schemars(with = "Option<Moment>")]
    deliver_at: Option<String>,
    #[serde(default, deserialize_with = "request::inner_or_null")]
    transformations_params: Option<TransformationsParams>,
    /// Created on the way, if the path names none.
    #[serde(default, deserialize_with = "request::inner_or_null")]
    application: Option<ApplicationIn>,
}
