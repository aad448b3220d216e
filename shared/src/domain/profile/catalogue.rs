//! The kinds of events that a profile brings along.

use crate::domain::schema::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One kind of event.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CatalogueEvent {
    /// Its name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it is sent, for people.
    pub description: String,
    /// Whether its system documents a name or payload like this, or we inferred it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inferred: bool,
    /// JSON Schema of the payload.
    pub schema: JsonText,
    /// A payload that fits the schema.
    pub example: JsonText,
}

/// JSON in its own words, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct JsonText(String);

impl JsonText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as JSON.
    pub fn raw(&self) -> Box<RawValue> {
        RawValue::from_string(self.0.clone()).expect("checked when it was read")
    }
}

impl TryFrom<String> for JsonText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // A raw value keeps no white space around itself.
        let raw: Box<RawValue> =
            serde_json::from_str(&text).map_err(|error| format!("this is not JSON: {error}"))?;
        Ok(Self(raw.get().to_owned()))
    }
}

impl From<JsonText> for String {
    fn from(text: JsonText) -> Self {
        text.0
    }
}
