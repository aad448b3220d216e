//! Delivery settings: what one layer of configuration says about deliveries. Dispatch resolves
//! the layers into its policy.
//!
//! The layers, each before the one that follows it: the endpoint itself, the event type, the
//! application's profile, the deployment's defaults. A layer that is silent on something leaves
//! it to the next. Dispatch resolves them for each delivery, at the moment of sending, so a
//! change counts from the next attempt on.

use std::fmt;

use crate::domain::schema::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::keyset::Algorithm;

/// Shortest and longest exchange with an endpoint that may be asked for, in milliseconds. The
/// longest leaves a dispatcher on Lambda, which runs for 30 s, the time to record it.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1_000..=25_000;
/// Most retries that may be asked for.
pub const MAX_RETRIES: usize = 20;
/// Longest delay before a retry that may be asked for, in seconds: one week.
pub const MAX_DELAY_S: u64 = 604_800;

/// Delivery settings: what is left out is as the layer below has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliverySettings {
    /// Delays before the retries, in seconds. None at all means a single attempt.
    #[serde(default, alias = "schedule_s", skip_serializing_if = "Option::is_none")]
    pub schedule_s: Option<Vec<u64>>,
    /// Longest exchange, in milliseconds.
    #[serde(default, alias = "timeout_ms", skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Which answers count as success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Statuses>,
    /// Which failures are tried again.
    #[serde(default, alias = "retry_on", skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Statuses>,
    /// What the body looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What a token is signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
}

impl DeliverySettings {
    /// Whether it says nothing.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// This layer before `next`.
    #[must_use]
    pub fn before(&self, next: &Self) -> Self {
        Self {
            schedule_s: self.schedule_s.as_ref().or(next.schedule_s.as_ref()).cloned(),
            timeout_ms: self.timeout_ms.or(next.timeout_ms),
            success: self.success.as_ref().or(next.success.as_ref()).cloned(),
            retry_on: self.retry_on.as_ref().or(next.retry_on.as_ref()).cloned(),
            format: self.format.or(next.format),
            algorithm: self.algorithm.or(next.algorithm),
        }
    }

    /// The rules that it breaks: the field and a sentence.
    pub fn broken_rules(&self) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        if self.timeout_ms.is_some_and(|ms| !TIMEOUT_MS.contains(&ms)) {
            let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
            broken.push(("timeoutMs", format!("must be {least} to {most} milliseconds")));
        }
        if let Some(delays) = &self.schedule_s {
            if delays.len() > MAX_RETRIES {
                broken.push(("scheduleS", format!("must have at most {MAX_RETRIES} delays")));
            }
            if delays.iter().any(|delay| !(1..=MAX_DELAY_S).contains(delay)) {
                broken.push(("scheduleS", format!("each must be 1 to {MAX_DELAY_S} seconds")));
            }
        }
        if self.success.as_ref().is_some_and(|set| !set.is_proper_success()) {
            broken.push(("success", "must name answers of the class 2xx only".to_owned()));
        }
        broken
    }
}

/// What the body of a delivery looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "BodyFormat")]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The published JSON, in the profile's envelope if it has one.
    #[default]
    Json,
    /// A security event token (RFC 8417), `application/jwt`.
    Jwt,
}

/// A set of outcomes by HTTP status, written as a list of `2xx`, `429` or `no-answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "Vec<String>")]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Statuses(Vec<Pattern>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// Nothing that is HTTP came back.
    NoAnswer,
    /// A hundred statuses, by their first digit.
    Class(u16),
    /// One.
    Exactly(u16),
}

impl Statuses {
    /// 2xx (Standard Webhooks).
    pub fn successful() -> Self {
        Self(vec![Pattern::Class(2)])
    }

    /// Everything.
    pub fn any() -> Self {
        Self((1..=9).map(Pattern::Class).chain([Pattern::NoAnswer]).collect())
    }

    /// Whether this status is in it; 0 stands for no answer.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::NoAnswer => status == 0,
            Pattern::Class(class) => status / 100 == *class && status != 0,
            Pattern::Exactly(exactly) => status == *exactly,
        })
    }

    /// Success is an answer of the class 2xx: a redirect that is not followed or "gone" cannot
    /// be one.
    fn is_proper_success(&self) -> bool {
        !self.0.is_empty()
            && self.0.iter().all(|pattern| match pattern {
                Pattern::Class(class) => *class == 2,
                Pattern::Exactly(status) => status / 100 == 2,
                Pattern::NoAnswer => false,
            })
    }
}

impl TryFrom<Vec<String>> for Statuses {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        texts.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Statuses> for Vec<String> {
    fn from(statuses: Statuses) -> Self {
        statuses.0.iter().map(Pattern::to_string).collect()
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a status: write `2xx`, `200` or `no-answer`");
        if text == "no-answer" {
            return Ok(Self::NoAnswer);
        }
        // A number may begin with a plus, a status not.
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(wrong());
        }
        match text.strip_suffix("xx") {
            Some(class) => match class.parse() {
                Ok(class @ 1..=9) => Ok(Self::Class(class)),
                _ => Err(wrong()),
            },
            None => match text.parse() {
                Ok(status @ 100..=999) => Ok(Self::Exactly(status)),
                _ => Err(wrong()),
            },
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("no-answer"),
            Self::Class(class) => write!(f, "{class}xx"),
            Self::Exactly(status) => write!(f, "{status}"),
        }
    }
}
