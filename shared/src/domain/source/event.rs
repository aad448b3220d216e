//! What a request says about its event: type and id.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::verify::signed;
use super::{Kind, Scheme, Source};
use crate::domain::endpoint::MAX_EVENT_TYPE;
use crate::domain::headers::single;
use crate::domain::id::{Uid, is_name};
use crate::domain::json;
use crate::domain::schema::JsonSchema;
use crate::domain::signature::sha256_hex;

/// Where something is in a request: in a header, or in the body at a JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "SourceRule")]
pub enum Rule {
    /// The name of a header.
    Header(String),
    /// A pointer such as `/data/id`.
    Pointer(String),
}

/// An event's type and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its type: `{kind}.received` if the request does not say, or nothing that a name can be made
    /// of.
    pub event_type: String,
    /// The system's own name for it, after the source's id, so that two sources of one
    /// application never mean the same.
    pub event_id: Option<String>,
}

impl Rule {
    fn find(&self, headers: &HeaderMap, body: &str) -> Option<String> {
        let found = match self {
            Self::Header(name) => single(headers, name)?.to_owned(),
            Self::Pointer(pointer) => json::name_of(json::at(body, pointer)?)?,
        };
        (!found.is_empty()).then_some(found)
    }
}

impl Source {
    /// Reads type and id of the event in a request whose body is JSON.
    pub fn event(&self, headers: &HeaderMap, body: &str) -> Found {
        let find = |own: &Option<Rule>, usual: &[Rule]| match own {
            Some(rule) => rule.find(headers, body),
            None => usual.iter().find_map(|rule| rule.find(headers, body)),
        };
        let event_type = find(&self.event_type, &self.kind.types()).and_then(|text| spell(&text));
        let event_id = match (&self.event_id, &self.scheme) {
            // The one that is signed, whatever else calls itself so.
            (None, Scheme::StandardWebhooks) => signed(headers).map(|[id, ..]| id.to_owned()),
            // Signed as well, and what the next one of the same event has too (RFC 7519).
            (None, Scheme::Jwt { .. }) => pointer("/jti").find(headers, body),
            (own, _) => find(own, &self.kind.ids()),
        };
        let event_id = event_id.filter(|id| !id.is_empty()).map(|id| {
            let name = format!("{}.{id}", self.id);
            match is_name(&name, Uid::MAX) {
                true => name,
                false => format!("{}.{}", self.id, sha256_hex(id.as_bytes())),
            }
        });
        let event_type = event_type.unwrap_or_else(|| format!("{}.received", self.kind.name()));
        Found { event_type, event_id }
    }
}

impl Kind {
    fn types(self) -> Vec<Rule> {
        match self {
            Self::Github => vec![header("x-github-event")],
            Self::Shopify => vec![header("x-shopify-topic")],
            Self::Slack => vec![pointer("/event/type"), pointer("/type")],
            Self::Meta => vec![pointer("/object")],
            Self::GenericWebhook | Self::Svix | Self::Stripe => vec![pointer("/type")],
        }
    }

    fn ids(self) -> Vec<Rule> {
        match self {
            Self::Github => vec![header("x-github-delivery")],
            Self::Shopify => vec![header("x-shopify-webhook-id")],
            Self::Slack => vec![pointer("/event_id")],
            Self::Stripe => vec![pointer("/id")],
            // Unless it is signed, whoever relays an event could give it any.
            Self::GenericWebhook | Self::Svix | Self::Meta => Vec::new(),
        }
    }
}

/// A type's name in the letters that such names have: `orders/create` is `orders.create`. A text that
/// leaves nothing but dots, as `注文` does, is no name.
fn spell(text: &str) -> Option<String> {
    let letter = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '.' };
    let name: String = text.chars().take(MAX_EVENT_TYPE).map(letter).collect();
    is_name(&name, MAX_EVENT_TYPE).then_some(name)
}

fn header(name: &str) -> Rule {
    Rule::Header(name.to_owned())
}

fn pointer(pointer: &str) -> Rule {
    Rule::Pointer(pointer.to_owned())
}
