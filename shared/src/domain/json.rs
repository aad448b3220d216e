//! JSON as text: kept as it was written, where it does not read, how deep it goes, and what is at
//! a place of it.
//!
//! Nothing here makes values of it: so numbers keep every digit, and what only some readers take
//! (lone surrogates, `1e400`, hundreds of levels) is no obstacle.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// JSON in its author's words, without the white space between them: no number loses a digit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Box<RawValue>")]
pub struct Verbatim(Box<RawValue>);

impl Verbatim {
    /// What this is as JSON.
    ///
    /// # Panics
    /// If it cannot be written as JSON, like a map whose keys are not text.
    pub fn of(value: &impl Serialize) -> Self {
        Self(to_raw_value(value).expect("a value that can be written"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }
}

impl PartialEq for Verbatim {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl From<Box<RawValue>> for Verbatim {
    fn from(raw: Box<RawValue>) -> Self {
        let is_kept = |(byte, is_text): &(u8, bool)| *is_text || !byte.is_ascii_whitespace();
        if bytes(raw.get()).all(|one| is_kept(&one)) {
            return Self(raw);
        }
        let kept = bytes(raw.get()).filter(is_kept).map(|(byte, _)| byte).collect();
        let kept = String::from_utf8(kept).ok().and_then(|text| RawValue::from_string(text).ok());
        Self(kept.unwrap_or(raw))
    }
}

/// What is wrong with some JSON and where, without quoting it as the error itself may do.
pub fn place_in_json(error: &serde_json::Error) -> String {
    use serde_json::error::Category;

    let what = match error.classify() {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is not JSON",
        Category::Data => "a value is missing or of a wrong type",
        Category::Eof => "it ends early",
    };
    // What was read from a value has no place.
    match error.line() {
        0 => what.to_owned(),
        line => format!("{what} (line {line}, column {})", error.column()),
    }
}

/// Whether arrays and objects are nested deeper than so many levels, in JSON that reads.
pub fn is_deeper_than(json: &str, levels: usize) -> bool {
    let mut depth = 0_usize;
    bytes(json).any(|(byte, is_text)| {
        match byte {
            b'{' | b'[' if !is_text => depth += 1,
            b'}' | b']' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > levels
    })
}

/// The bytes of some JSON, each with whether it is within a text.
fn bytes(json: &str) -> impl Iterator<Item = (u8, bool)> {
    let (mut is_text, mut is_escaped) = (false, false);
    json.bytes().map(move |byte| {
        let was_text = is_text;
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ => {}
        }
        (byte, was_text)
    })
}

/// What is at a pointer (RFC 6901) in some JSON, as it stands there. Of a field that is there
/// twice it is the last. Each byte is read once, however many steps there are.
pub fn at<'a>(json: &'a str, pointer: &str) -> Option<&'a str> {
    let Some(path) = pointer.strip_prefix('/') else {
        return pointer.is_empty().then_some(json);
    };
    let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
    let steps: Vec<String> = path.split('/').map(unescape).collect();
    let mut reader = serde_json::Deserializer::from_str(json);
    Steps(&steps).deserialize(&mut reader).ok().flatten().map(RawValue::get)
}

/// A text or a number as a name: a text without its escapes, a number digit by digit; a text
/// that no string can hold as it stands there.
pub fn name_of(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => Some(serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())),
        b'-' | b'0'..=b'9' => Some(json.to_owned()),
        _ => None,
    }
}

/// Looks for what is at the end of these steps.
struct Steps<'s>(&'s [String]);

impl<'de> DeserializeSeed<'de> for Steps<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => Deserialize::deserialize(deserializer).map(Some),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Steps<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Name(step))? {
            match is_it {
                true => found = map.next_value_seed(Steps(rest))?,
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Ok(None) };
        // As in RFC 6901: digits, without a zero before others.
        let index: Option<usize> =
            step.parse().ok().filter(|index: &usize| *step == index.to_string());
        let mut position = 0;
        let mut found = None;
        loop {
            if Some(position) == index {
                let Some(item) = items.next_element_seed(Steps(rest))? else { return Ok(found) };
                found = item;
            } else if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            position += 1;
        }
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a field is called so. The bytes of a name are compared, since not every name in JSON
/// is a string.
struct Name<'s>(&'s str);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<bool, E> {
        Ok(name == self.0.as_bytes())
    }
}

/// Whether a count is zero, and is left out where that is what its absence means.
pub(crate) fn is_zero<N: Default + PartialEq>(count: &N) -> bool {
    *count == N::default()
}
