//! What goes around a payload: a JSON text with placeholders.
//!
//! A placeholder is a JSON value in itself, so strings bring their own quotes:
//! `{"id":{{uuid}},"type":{{type}},"data":{{payload}}}`. The payload goes in with the exact
//! bytes that were published, and everything else depends on the message alone, so every attempt
//! sends the same body.

use crate::domain::schema::JsonSchema;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::id::MessageId;
use crate::domain::message::Message;

/// The template around the payload, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct Envelope {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(Slot),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    ApiVersion,
    CreatedMs,
    Id,
    Payload,
    Subject,
    Timestamp,
    Type,
    Uuid,
}

/// Every placeholder by name, with what it stands for.
const SLOTS: [(&str, Slot); 8] = [
    ("api_version", Slot::ApiVersion),
    ("created_ms", Slot::CreatedMs),
    ("id", Slot::Id),
    ("payload", Slot::Payload),
    ("subject", Slot::Subject),
    ("timestamp", Slot::Timestamp),
    ("type", Slot::Type),
    ("uuid", Slot::Uuid),
];

impl Envelope {
    /// The body for this message; `api_version` is a string or absent.
    pub fn wrap(&self, message: &Message, api_version: Option<&str>) -> Bytes {
        let mut body = Vec::with_capacity(message.payload.len() + 256);
        for part in &self.parts {
            match part {
                Part::Text(text) => body.extend_from_slice(text.as_bytes()),
                Part::Slot(Slot::Payload) => body.extend_from_slice(&message.payload),
                Part::Slot(slot) => {
                    body.extend_from_slice(slot.value(message, api_version).to_string().as_bytes());
                }
            }
        }
        body.into()
    }

    fn render(&self, value: impl Fn(Slot) -> String) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Slot(slot) => value(*slot),
        };
        self.parts.iter().map(text).collect()
    }
}

impl Slot {
    fn value(self, message: &Message, api_version: Option<&str>) -> Value {
        match self {
            Self::ApiVersion => api_version.into(),
            Self::CreatedMs => message.at.as_ms().into(),
            Self::Id => message.id.to_string().into(),
            Self::Subject => message.subject.as_deref().into(),
            Self::Timestamp => message.at.to_rfc3339().into(),
            Self::Type => message.event_type.as_str().into(),
            Self::Uuid => uuid_of(&message.id).into(),
            // It is not made a value of: its bytes go out as they came.
            Self::Payload => Value::Null,
        }
    }
}

/// The message's id in the form of a UUID (version 8, RFC 9562), for systems whose ids are
/// UUIDs: the 15 bytes after its time. The six bits that a UUID wants for itself
/// move into its last byte, so nothing is lost.
pub fn uuid_of(id: &MessageId) -> String {
    let mut bytes = [0; 16];
    bytes[..15].copy_from_slice(&id.ksuid().random_part());
    bytes[15] = (bytes[6] & 0xF0) | (bytes[8] >> 6);
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    let mut text = hex::encode(bytes);
    // From the end, so that each comes where it belongs.
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    text
}

impl TryFrom<String> for Envelope {
    type Error = String;

    fn try_from(template: String) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = template.trim();
        while let Some((text, after)) = rest.split_once("{{") {
            let (name, after) =
                after.split_once("}}").ok_or("a placeholder that begins with `{{` needs `}}`")?;
            let known = SLOTS.iter().find(|(known, _)| *known == name.trim());
            let (_, slot) = known.ok_or_else(|| {
                let names: Vec<&str> = SLOTS.iter().map(|(name, _)| *name).collect();
                format!("`{{{{{name}}}}}` is not a placeholder: use one of {}", names.join(", "))
            })?;
            parts.push(Part::Text(text.to_owned()));
            parts.push(Part::Slot(*slot));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let envelope = Self { parts };
        // A text, so that one in quotes of the template does not pass.
        let sample = envelope.render(|_| "\"\"".to_owned());
        serde_json::from_str::<serde_json::Map<String, Value>>(&sample).map_err(|error| {
            format!(
                "must be a JSON object when every placeholder is a JSON value (write {{{{id}}}} \
                 without quotes around it): {error}"
            )
        })?;
        Ok(envelope)
    }
}

impl From<Envelope> for String {
    fn from(envelope: Envelope) -> Self {
        envelope.render(|slot| {
            let name = SLOTS.iter().find(|(_, known)| *known == slot).map_or("", |(name, _)| name);
            format!("{{{{{name}}}}}")
        })
    }
}
