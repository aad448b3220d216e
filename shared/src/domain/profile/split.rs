//! Events that are too big for one: cut into several along an array of the payload.
//!
//! What is cut keeps its bytes: fields keep their order, values their spelling. Only the array
//! differs from part to part.

use std::fmt;

use crate::domain::schema::JsonSchema;
use bytes::Bytes;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Which events are cut, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Split {
    /// `items` for an array of the payload, or `groups[].items` for an array in each element of
    /// another one; each element then gets events of its own.
    pub path: SplitPath,
    /// Most items in one event.
    pub most: std::num::NonZeroUsize,
    /// The event types that are cut.
    pub types: Vec<String>,
}

/// The path of the array that is split, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct SplitPath {
    groups: Option<String>,
    items: String,
}

/// Most events that one may become.
pub const MAX_PARTS: usize = 1_000;
/// Most bytes of them together: each has everything but the other parts' items.
pub const MAX_PARTS_BYTES: usize = 16 * 1024 * 1024;

/// An event would become more than [`MAX_PARTS`], or more than [`MAX_PARTS_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

impl Split {
    /// The payloads that this one becomes; `None` when it is one event as it is, or when the
    /// array is not where the path says.
    ///
    /// # Errors
    /// When there would be too many. No more than that is made.
    pub fn parts(&self, event_type: &str, payload: &[u8]) -> Result<Option<Vec<Bytes>>, TooMuch> {
        if !self.types.iter().any(|name| name == event_type) {
            return Ok(None);
        }
        let parts = match self.groups(payload)? {
            Some(groups) => self.cut(&groups)?,
            None => return Ok(None),
        };
        Ok(Some(parts).filter(|parts| parts.len() > 1))
    }

    /// What has an array that may be cut. Among others that have one, a group without goes out as
    /// it is.
    fn groups<'a>(&self, payload: &'a [u8]) -> Result<Option<Groups<'a>>, TooMuch> {
        let Ok(whole) = serde_json::from_slice::<Fields<'a>>(payload) else { return Ok(None) };
        let Some(name) = &self.path.groups else {
            let items = self.items(&whole);
            return Ok(items.map(|items| Groups { whole: None, parts: vec![(whole, items)] }));
        };
        let groups = whole.get(name).and_then(|groups| serde_json::from_str(groups.get()).ok());
        let groups: Vec<&RawValue> = groups.unwrap_or_default();
        let (mut parts, mut any) = (Vec::new(), false);
        for group in &groups {
            let Ok(fields) = serde_json::from_str(group.get()) else { return Ok(None) };
            let items = self.items(&fields);
            any |= items.is_some();
            // There may be very many, and nothing to cut: no more are kept than may become events.
            if parts.len() < MAX_PARTS {
                parts.push((fields, items.unwrap_or_default()));
            }
        }
        match any {
            true if groups.len() > MAX_PARTS => Err(TooMuch),
            any => Ok(any.then_some(Groups { parts, whole: Some(whole) })),
        }
    }

    fn items<'a>(&self, fields: &Fields<'a>) -> Option<Vec<&'a RawValue>> {
        serde_json::from_str(fields.get(&self.path.items)?.get()).ok()
    }

    fn cut(&self, groups: &Groups<'_>) -> Result<Vec<Bytes>, TooMuch> {
        let (mut made, mut bytes) = (Vec::new(), 0);
        for (group, items) in &groups.parts {
            // One without items is an event, too.
            let chunks = items.chunks(self.most.get());
            let none = items.is_empty().then_some(items.as_slice());
            for chunk in chunks.chain(none) {
                let is_whole = chunk.len() == items.len();
                let part = self.part(groups.whole.as_ref(), group, (!is_whole).then_some(chunk));
                bytes += part.len();
                if made.len() == MAX_PARTS || bytes > MAX_PARTS_BYTES {
                    return Err(TooMuch);
                }
                made.push(Bytes::from(part));
            }
        }
        Ok(made)
    }

    /// The payload with one group, and with these of its items; with all if none are said.
    fn part(
        &self,
        whole: Option<&Fields<'_>>,
        group: &Fields<'_>,
        items: Option<&[&RawValue]>,
    ) -> String {
        let group = match items {
            None => group.with(None),
            Some(items) => {
                let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
                group.with(Some((&self.path.items, &format!("[{}]", items.join(",")))))
            }
        };
        match (whole, &self.path.groups) {
            (Some(whole), Some(name)) => whole.with(Some((name, &format!("[{group}]")))),
            _ => group,
        }
    }
}

/// The objects whose array is cut, each with the items of it, in what they are in.
struct Groups<'a> {
    whole: Option<Fields<'a>>,
    parts: Vec<(Fields<'a>, Vec<&'a RawValue>)>,
}

impl TryFrom<String> for SplitPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        let (groups, items) = match path.split_once("[].") {
            Some((groups, items)) => (Some(groups.to_owned()), items.to_owned()),
            None => (None, path.clone()),
        };
        let is_name = |name: &str| !name.is_empty() && !name.contains(['[', ']', '.']);
        if is_name(&items) && groups.as_deref().is_none_or(is_name) {
            return Ok(Self { groups, items });
        }
        Err(format!("`{path}` is not a path: write `items` or `groups[].items`"))
    }
}

impl From<SplitPath> for String {
    fn from(path: SplitPath) -> Self {
        match path.groups {
            Some(groups) => format!("{groups}[].{}", path.items),
            None => path.items,
        }
    }
}

/// An object's fields as they stand there.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// The object, with another value for a field.
    fn with(&self, other: Option<(&String, &str)>) -> String {
        let mut text = String::from("{");
        for (field, old) in &self.0 {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&serde_json::Value::from(field.as_str()).to_string());
            text.push(':');
            text.push_str(match other {
                Some((name, value)) if name == field => value,
                _ => old.get(),
            });
        }
        text.push('}');
        text
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Self::Value = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                match names.windows(2).any(|pair| pair[0] == pair[1]) {
                    true => Err(de::Error::custom("a field is there twice")),
                    false => Ok(fields),
                }
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}
