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

/// A checked path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct SplitPath {
    groups: Option<String>,
    items: String,
}

impl Split {
    /// The payloads that this one becomes; `None` when it is one event as it is, or when the
    /// array is not where the path says.
    pub fn parts(&self, event_type: &str, payload: &[u8]) -> Option<Vec<Bytes>> {
        if !self.types.iter().any(|name| name == event_type) {
            return None;
        }
        let whole: Fields<'_> = serde_json::from_slice(payload).ok()?;
        let parts = match &self.path.groups {
            None => whole.cut(&self.path.items, self.most.get())?,
            Some(name) => {
                let groups: Vec<&RawValue> = serde_json::from_str(whole.get(name)?.get()).ok()?;
                let mut parts = Vec::new();
                for group in groups {
                    let group: Fields<'_> = serde_json::from_str(group.get()).ok()?;
                    for cut in group.cut(&self.path.items, self.most.get())? {
                        parts.push(whole.with(name, &format!("[{cut}]")));
                    }
                }
                parts
            }
        };
        (parts.len() > 1).then(|| parts.into_iter().map(Bytes::from).collect())
    }
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
        Err(format!("`{path}` is no path: write `items` or `groups[].items`"))
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

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// The object with another value for this field.
    fn with(&self, name: &str, value: &str) -> String {
        let mut text = String::from("{");
        for (field, old) in &self.0 {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&serde_json::Value::from(field.as_str()).to_string());
            text.push(':');
            text.push_str(if field == name { value } else { old.get() });
        }
        text.push('}');
        text
    }

    /// The object once for each `most` items of this array.
    fn cut(&self, name: &str, most: usize) -> Option<Vec<String>> {
        let items: Vec<&RawValue> = serde_json::from_str(self.get(name)?.get()).ok()?;
        if items.len() <= most {
            return Some(vec![self.with(name, self.get(name)?.get())]);
        }
        let chunk = |items: &[&RawValue]| {
            let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
            self.with(name, &format!("[{}]", items.join(",")))
        };
        Some(items.chunks(most).map(chunk).collect())
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
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if fields.iter().any(|(known, _)| *known == name) {
                        return Err(de::Error::custom("a field is there twice"));
                    }
                    fields.push((name, value));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}
