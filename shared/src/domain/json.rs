//! JSON that is kept as it was written, and JSON that does not read.

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

    /// How deep its objects and arrays are nested.
    pub fn levels(&self) -> usize {
        let (mut open, mut most) = (0_usize, 0);
        for (byte, is_text) in bytes(self.as_str()) {
            match byte {
                b'{' | b'[' if !is_text => open += 1,
                b'}' | b']' if !is_text => open = open.saturating_sub(1),
                _ => {}
            }
            most = most.max(open);
        }
        most
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

/// What is wrong with some JSON and where, without quoting it as the error itself may do.
pub fn place_in_json(error: &serde_json::Error) -> String {
    use serde_json::error::Category;

    let what = match error.classify() {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is no JSON",
        Category::Data => "a value is missing or of a wrong type",
        Category::Eof => "it ends early",
    };
    // What was read from a value has no place.
    match error.line() {
        0 => what.to_owned(),
        line => format!("{what} (line {line}, column {})", error.column()),
    }
}
