//! YAML that strangers wrote, as JSON.
//!
//! The parser's events are taken one by one and written down at once, so nesting, nodes and bytes
//! are bounded while the text is read, and nothing here calls itself. What JSON cannot say is
//! refused rather than guessed at: names that are not scalars, aliases, merge keys, tags of the
//! author's own, infinity. Numbers keep every digit.

use std::borrow::Cow;
use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use shared::api::request::MAX_BODY_BYTES;

/// Most levels of nesting.
pub(crate) const MAX_DEPTH: usize = 64;
/// Most scalars, sequences and mappings.
const MAX_NODES: usize = 100_000;
/// Most bytes of JSON: room for what takes more of them there.
const MAX_BYTES: usize = 2 * MAX_BODY_BYTES;
/// Characters of a name that are said again.
const MAX_SHOWN: usize = 100;
const NO_JSON: &str = "must be YAML or JSON";

/// The only document of this text as JSON.
///
/// # Errors
/// A rule that the text breaks.
pub(crate) fn to_json(text: &str) -> Result<String, String> {
    let mut parser = Parser::new_from_str(text);
    let mut writer = Writer::default();
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, _) = event.map_err(|_| NO_JSON)?;
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                return Err("must be one document".to_owned());
            }
        }
        writer.take(event)?;
    }
    Ok(writer.json)
}

/// What is being written, with what is still open.
#[derive(Default)]
struct Writer {
    json: String,
    open: Vec<Next>,
    /// The names in each of the mappings that are open.
    names: Vec<HashSet<String>>,
    nodes: usize,
}

/// What comes next where something is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Item,
    Name,
    Value,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                let json = scalar(&text, style, tag.as_deref())?;
                self.scalar(json, text == "<<" && style == ScalarStyle::Plain)
            }
            Event::SequenceStart(_, tag) => self.open('[', Next::Item, tag.as_deref()),
            Event::MappingStart(_, tag) => self.open('{', Next::Name, tag.as_deref()),
            Event::SequenceEnd => self.close(']'),
            Event::MappingEnd => self.close('}'),
            Event::Alias(_) => Err("must not have aliases: write out what they stand for".into()),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, json: Cow<'_, str>, is_merge: bool) -> Result<(), String> {
        let is_name = self.open.last() == Some(&Next::Name);
        if is_name && is_merge {
            return Err("must not merge (`<<`): write out what is to be there".to_owned());
        }
        self.separate(json.len())?;
        // The last one would be taken in JSON, and the others lost.
        if is_name && !self.names.last_mut().is_none_or(|names| names.insert(json.to_string())) {
            let shown: String = json.chars().take(MAX_SHOWN).collect();
            return Err(format!("must not have the name {shown} twice in one place"));
        }
        // Every name is a text in JSON.
        match is_name && !json.starts_with('"') {
            true => self.json.extend(["\"", &json, "\""]),
            false => self.json.push_str(&json),
        }
        self.done();
        Ok(())
    }

    fn open(&mut self, bracket: char, next: Next, tag: Option<&Tag>) -> Result<(), String> {
        if self.open.last() == Some(&Next::Name) {
            return Err("must have names that are plain text".to_owned());
        }
        if self.open.len() == MAX_DEPTH {
            return Err(format!("must have at most {MAX_DEPTH} levels"));
        }
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            return Err(foreign_tag());
        }
        self.separate(1)?;
        self.json.push(bracket);
        self.open.push(next);
        if next == Next::Name {
            self.names.push(HashSet::new());
        }
        Ok(())
    }

    fn close(&mut self, bracket: char) -> Result<(), String> {
        self.open.pop();
        if bracket == '}' {
            self.names.pop();
        }
        self.json.push(bracket);
        self.done();
        Ok(())
    }

    /// Writes what stands between the node before and the next one, of so many bytes.
    fn separate(&mut self, bytes: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || self.json.len() + bytes > MAX_BYTES {
            return Err(format!(
                "must be at most {MAX_NODES} values and {MAX_BYTES} bytes of JSON"
            ));
        }
        match self.open.last() {
            Some(Next::Value) => self.json.push(':'),
            Some(_) if !self.json.ends_with(['[', '{']) => self.json.push(','),
            _ => {}
        }
        Ok(())
    }

    /// After a node: where a name was comes its value, and the other way about.
    fn done(&mut self) {
        if let Some(next) = self.open.last_mut() {
            *next = match next {
                Next::Item => Next::Item,
                Next::Name => Next::Value,
                Next::Value => Next::Name,
            };
        }
    }
}

fn foreign_tag() -> String {
    "must not have tags but those of YAML's core schema".to_owned()
}

/// A scalar as JSON, by the core schema.
fn scalar<'a>(
    text: &'a str,
    style: ScalarStyle,
    tag: Option<&Tag>,
) -> Result<Cow<'a, str>, String> {
    if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
        return Err(foreign_tag());
    }
    let string = || Cow::Owned(serde_json::Value::from(text).to_string());
    if style != ScalarStyle::Plain {
        return Ok(string());
    }
    let plain = plain(text)?;
    let is = |kinds: &[char]| plain.as_ref().is_some_and(|json| json.starts_with(kinds));
    let digits = ['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
    match tag.map(|tag| tag.suffix.as_str()) {
        None => Ok(plain.unwrap_or_else(string)),
        Some("str") => Ok(string()),
        Some("null") if is(&['n']) => Ok(Cow::Borrowed("null")),
        Some("bool") if is(&['t', 'f']) => Ok(plain.unwrap_or_else(string)),
        Some("int" | "float") if is(&digits) => Ok(plain.unwrap_or_else(string)),
        Some(kind) => Err(format!("must not have a `!!{kind}` whose value is not one")),
    }
}

/// What a plain scalar is beside text; `None` if it is text.
fn plain(text: &str) -> Result<Option<Cow<'_, str>>, String> {
    Ok(Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => "null".into(),
        "true" | "True" | "TRUE" => "true".into(),
        "false" | "False" | "FALSE" => "false".into(),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => return Err("must not have infinite numbers".to_owned()),
        _ => return Ok(number(text).map(Cow::Owned)),
    }))
}

/// A number in JSON's spelling, digit for digit.
fn number(text: &str) -> Option<String> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix).filter(|digits| !digits.starts_with('+')) {
            return u128::from_str_radix(digits, radix).ok().map(|number| number.to_string());
        }
    }
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !is_digits(whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let mut json = format!("{sign}{}", if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        json.extend([".", fraction]);
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if digits.is_empty() || !is_digits(digits) {
            return None;
        }
        json.extend(["e", exponent]);
    }
    Some(json)
}
