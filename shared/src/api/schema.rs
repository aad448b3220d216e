//! Types that stand for the schema of a text that keeps a rule, for the API's description.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::api::rules::{MAX_DESCRIPTION, MAX_NAME};
use crate::domain::delivery_settings::{MAX_DELAY_S, MAX_RETRIES, TIMEOUT_MS};
use crate::domain::endpoint::{MAX_CHANNEL, MAX_ENDPOINT_CHANNELS, MAX_EVENT_TYPE};
use crate::domain::message::{MAX_CONTENT_TYPE, MAX_MESSAGE_CHANNELS, MAX_TAG, MAX_TAGS};
use crate::sender::target::MAX_URL_BYTES;

/// What a uid, an event type or a channel is made of.
const NAME_PATTERN: &str = r"^[a-zA-Z0-9\-_.]+$";

/// Visible characters, with single spaces between them.
const CONTENT_TYPE_PATTERN: &str = "^[!-~]+( [!-~]+)*$";

/// 24 to 75 bytes in base64, with or without a prefix.
const SYMMETRIC_PATTERN: &str = "^(whsec_)?([a-zA-Z0-9+/]{4}){8,24}([a-zA-Z0-9+/]{4}|\
    [a-zA-Z0-9+/][AQgw]==|[a-zA-Z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// The same, or the seed of an ed25519 key, 32 bytes.
const SECRET_PATTERN: &str = "^((whsec_)?([a-zA-Z0-9+/]{4}){8,24}([a-zA-Z0-9+/]{4}|\
    [a-zA-Z0-9+/][AQgw]==|[a-zA-Z0-9+/]{2}[AEIMQUYcgkosw048]=)?|\
    whsk_[a-zA-Z0-9+/]{42}[AEIMQUYcgkosw048]=)$";

/// Types that stand for a schema: `#[schemars(with = "EventType")]`.
macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident = $schema:tt;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schemas! {
    /// A moment of RFC 3339.
    Moment = {"type": "string", "format": "date-time"};
    /// An event type's name.
    EventType = {
        "type": "string", "minLength": 1, "maxLength": MAX_EVENT_TYPE, "pattern": NAME_PATTERN
    };
    /// The event types that an endpoint wants.
    EventTypes = {
        "type": "array", "minItems": 1, "uniqueItems": true, "items": named(MAX_EVENT_TYPE)
    };
    /// The channels that an endpoint listens to.
    Channels = {
        "type": "array", "minItems": 1, "maxItems": MAX_ENDPOINT_CHANNELS, "uniqueItems": true,
        "items": named(MAX_CHANNEL)
    };
    /// The channels that a message is published on.
    MessageChannels = {
        "type": "array", "minItems": 1, "maxItems": MAX_MESSAGE_CHANNELS, "uniqueItems": true,
        "items": named(MAX_CHANNEL)
    };
    /// Where webhooks were sent to.
    Url = {"type": "string", "format": "uri", "minLength": 1, "maxLength": 65_536};
    /// Where webhooks are to be sent to.
    TargetUrl = {"type": "string", "format": "uri", "minLength": 1, "maxLength": MAX_URL_BYTES};
    /// A name for people.
    Name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME};
    /// What something is for, in a caller's words.
    Words = {"type": "string", "maxLength": MAX_DESCRIPTION};
    /// A message's tags.
    Tags = {
        "type": "array", "maxItems": MAX_TAGS,
        "items": {
            "type": "string", "minLength": 1, "maxLength": MAX_TAG, "pattern": r"^[a-zA-Z0-9\-_./\\#]+$"
        }
    };
    /// Delays before retries, in seconds.
    Delays = {
        "type": "array", "maxItems": MAX_RETRIES,
        "items": {"type": "integer", "minimum": 1, "maximum": MAX_DELAY_S}
    };
    /// The longest exchange with an endpoint, in seconds.
    TimeoutSeconds = {
        "type": "integer", "minimum": TIMEOUT_MS.start() / 1000, "maximum": TIMEOUT_MS.end() / 1000
    };
    /// A content type.
    ContentType = {
        "type": "string", "pattern": CONTENT_TYPE_PATTERN, "maxLength": MAX_CONTENT_TYPE
    };
    /// A symmetric signing secret.
    SymmetricText = {
        "type": "string", "pattern": SYMMETRIC_PATTERN
    };
    /// A signing secret, symmetric or private.
    SecretText = {
        "type": "string", "pattern": SECRET_PATTERN
    };
    /// How an attempt is, as a number (Svix).
    AttemptStatus = {"type": "integer", "enum": [0, 1, 2, 3]};
    /// The same in a word.
    AttemptStatusText = {"type": "string", "enum": ["success", "pending", "fail", "sending"]};
    /// How a message is with an endpoint: as an attempt may be, or canceled.
    MessageStatus = {"type": "integer", "enum": [0, 1, 2, 3, 4]};
    /// The same in a word.
    MessageStatusText = {
        "type": "string", "enum": ["success", "pending", "fail", "sending", "canceled"]
    };
    /// Who asked for an attempt: the schedule or somebody.
    TriggerType = {"type": "integer", "enum": [0, 1]};
    /// Any JSON object.
    JsonObject = {"type": "object"};
    /// An object without anything in it.
    EmptyObject = {"type": "object", "additionalProperties": false};
}

/// A name of 1 to `max` characters.
pub fn named(max: usize) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": max, "pattern": NAME_PATTERN})
}
