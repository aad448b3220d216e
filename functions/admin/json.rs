//! A JSON document as a tree whose scalars are kept as they were written, so that no number
//! loses a digit; and references within it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Most references one after the other.
const MAX_CHAIN: usize = 64;
/// Characters of a wrong reference that are said again.
const MAX_SHOWN: usize = 100;

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Json<'a> {
    /// A text, a number, a truth value or null.
    Scalar(Cow<'a, RawValue>),
    List(Vec<Json<'a>>),
    Object(BTreeMap<String, Json<'a>>),
}

impl<'a> Json<'a> {
    /// The tree of this text; `None` if that is not JSON of at most so many levels.
    pub(crate) fn parse_within(text: &'a str, levels: usize) -> Option<Self> {
        Self::parse_and_compare(text, levels).0
    }

    /// The same, and the first name that an object in it has twice: in the tree it has the last of the
    /// two.
    pub(crate) fn parse_and_compare(
        text: &'a str,
        levels: usize,
    ) -> (Option<Self>, Option<String>) {
        // Whatever is no JSON is found out here, so the reader need not look for it.
        let Ok(json) = serde_json::from_str::<&RawValue>(text) else { return (None, None) };
        let mut reader = Reader { rest: json.get(), repeated: None };
        let read = reader.value(levels);
        (read, reader.repeated)
    }

    /// A text.
    pub(crate) fn of_text(text: &str) -> Self {
        let json = serde_json::value::to_raw_value(text).expect("a text can be written");
        Self::Scalar(Cow::Owned(json))
    }

    /// The fields of an object.
    pub(crate) fn fields(&self) -> Option<&BTreeMap<String, Json<'a>>> {
        match self {
            Self::Object(fields) => Some(fields),
            Self::Scalar(_) | Self::List(_) => None,
        }
    }

    /// The field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.fields()?.get(name)
    }

    /// What is at this step of a JSON pointer.
    pub(crate) fn step(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(step),
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            Self::Scalar(_) => None,
        }
    }

    /// What a text says.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Scalar(raw) => serde_json::from_str(raw.get()).ok(),
            Self::List(_) | Self::Object(_) => None,
        }
    }

    /// A truth value.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self {
            Self::Scalar(raw) => raw.get().parse().ok(),
            Self::List(_) | Self::Object(_) => None,
        }
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(raw) => raw.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Object(fields) => fields.serialize(serializer),
        }
    }
}

/// Reads JSON that is known to be JSON, each byte once.
struct Reader<'a> {
    rest: &'a str,
    /// The first name that an object has twice.
    repeated: Option<String>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, levels: usize) -> Option<Json<'a>> {
        match self.peek()? {
            b'{' => self.object(levels.checked_sub(1)?),
            b'[' => self.list(levels.checked_sub(1)?),
            _ => self.scalar().map(|raw| Json::Scalar(Cow::Borrowed(raw))),
        }
    }

    fn object(&mut self, levels: usize) -> Option<Json<'a>> {
        let mut fields = BTreeMap::new();
        self.skip(1);
        while self.peek()? != b'}' {
            let name: String = serde_json::from_str(self.scalar()?.get()).ok()?;
            self.take(b':');
            if self.repeated.is_none() && fields.contains_key(&name) {
                self.repeated = Some(name.chars().take(MAX_SHOWN).collect());
            }
            fields.insert(name, self.value(levels)?);
            self.take(b',');
        }
        self.skip(1);
        Some(Json::Object(fields))
    }

    fn list(&mut self, levels: usize) -> Option<Json<'a>> {
        let mut items = Vec::new();
        self.skip(1);
        while self.peek()? != b']' {
            items.push(self.value(levels)?);
            self.take(b',');
        }
        self.skip(1);
        Some(Json::List(items))
    }

    /// A text, a number or a word.
    fn scalar(&mut self) -> Option<&'a RawValue> {
        let end = match self.peek()? {
            b'"' => text_end(self.rest.as_bytes())?,
            _ => {
                let is_end = |byte| b",]} \t\r\n".contains(&byte);
                self.rest.bytes().position(is_end).unwrap_or(self.rest.len())
            }
        };
        let (scalar, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        serde_json::from_str(scalar).ok()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.bytes().next()
    }

    fn take(&mut self, wanted: u8) {
        if self.peek() == Some(wanted) {
            self.skip(1);
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

/// Where a text ends, its quotation mark included.
fn text_end(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.iter().skip(1).position(|byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        b'\\' => {
            is_escaped = true;
            false
        }
        byte => *byte == b'"',
    });
    end.map(|at| at + 2)
}

/// A description in which references are followed.
#[derive(Clone, Copy)]
pub(crate) struct Spec<'t, 'a>(pub(crate) &'t Json<'a>);

impl<'t, 'a> Spec<'t, 'a> {
    /// What this is, or what it refers to.
    pub(crate) fn resolve(self, mut at: &'t Json<'a>) -> Result<&'t Json<'a>, String> {
        for _ in 0..MAX_CHAIN {
            let Some(link) = at.get("$ref").and_then(Json::text) else { return Ok(at) };
            at = self.target(&link)?;
        }
        Err("must not refer to itself".to_owned())
    }

    /// What a reference leads to.
    pub(crate) fn target(self, link: &str) -> Result<&'t Json<'a>, String> {
        let nowhere = || {
            let shown: String = link.chars().take(MAX_SHOWN).collect();
            format!("must refer to what is in the description: `{shown}` is not")
        };
        let steps = steps(link).ok_or_else(nowhere)?;
        steps.iter().try_fold(self.0, |at, step| at.step(step)).ok_or_else(nowhere)
    }
}

/// The steps of a reference within the document, as names; `None` if it is of another kind.
pub(crate) fn steps(link: &str) -> Option<Vec<String>> {
    link.strip_prefix("#/")?.split('/').map(unescape).collect()
}

fn unescape(step: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(step.len());
    let mut rest = step.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let code = (*first == b'%').then(|| more.get(..2)).flatten();
        let code = code.filter(|code| code.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    Some(String::from_utf8(bytes).ok()?.replace("~1", "/").replace("~0", "~"))
}
