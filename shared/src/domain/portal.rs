//! How an organisation's portal looks, and whose pages may show it in a frame.

use serde::{Deserialize, Serialize};

use crate::domain::schema::JsonSchema;

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PortalTheme")]
pub enum Theme {
    /// As the visitor's system has it.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// What an organisation says about its portal; what it does not say is as Posthorn has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortalSettings {
    /// Light, dark, or as the visitor's system has it.
    pub theme: Theme,
    /// The colour of what matters, as `#2450c0`; it has to be readable under white text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accent: Option<String>,
    /// Names of fonts that visitors have, with commas between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
    /// A picture as a `data:` URL of at most 32 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    /// Where visitors find help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub support_url: Option<String>,
    /// Where visitors come from: shown when their link has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_url: Option<String>,
    /// Origins whose pages may show the portal in a frame, as `https://app.example.com`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frame_ancestors: Vec<String>,
}

/// How much two colours differ, by WCAG 2: 1 (not at all) to 21. `None` where one is no `#rrggbb`.
pub fn contrast(one: &str, other: &str) -> Option<f64> {
    let (one, other) = (luminance(one)?, luminance(other)?);
    Some((one.max(other) + 0.05) / (one.min(other) + 0.05))
}

fn luminance(colour: &str) -> Option<f64> {
    let digits = colour.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).ok()?) / 255.0;
        Some(if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) })
    };
    Some(0.2126 * part(0)? + 0.7152 * part(2)? + 0.0722 * part(4)?)
}
