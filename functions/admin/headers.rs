//! Headers that a customer adds to the requests to an endpoint.
//!
//! All values rest sealed: they are often credentials. Those of names that always are come back
//! by name only. Names leave in the letter case in which they were given.

use std::collections::{BTreeMap, BTreeSet};

use crate::JsonSchema;
use http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Violation};
use shared::api::patch::not_null;
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::credentials;
use shared::domain::endpoint::{CustomHeader, Endpoint, MAX_HEADER_BYTES, MAX_HEADERS};
use shared::domain::headers;

use crate::sensitive::is_sensitive;
use crate::{Answer, Call};

/// Names that are ours, beside those of the connection.
const RESERVED: [&str; 2] = ["date", "user-agent"];
/// How reserved names start (Svix, and the family of Standard Webhooks).
const RESERVED_PREFIXES: [&str; 7] =
    ["content-", "posthorn-", "svix-", "webhook-", "x-amz-", "x-google-", "x-svix-"];

/// All headers of an endpoint.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "EndpointHeadersIn")]
pub(crate) struct HeadersIn {
    headers: BTreeMap<String, String>,
}

/// Some of them; `null` removes one.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "EndpointHeadersPatchIn")]
pub(crate) struct HeadersPatch {
    headers: BTreeMap<String, Option<String>>,
    /// Names to remove, as the line 2.x of the SDKs says it.
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "Vec<String>")]
    delete_headers: Option<Vec<String>>,
}

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointHeadersOut")]
pub(crate) struct HeadersOut {
    pub(crate) headers: BTreeMap<String, String>,
    /// Names of those whose values are not shown.
    pub(crate) sensitive: Vec<String>,
}

impl Call<'_> {
    pub(crate) async fn get_headers(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        Ok(error::json(StatusCode::OK, &self.headers_of(&endpoint)?))
    }

    /// The headers that an endpoint's requests carry, those of sensitive names without values.
    pub(crate) fn headers_of(&self, endpoint: &Endpoint) -> Result<HeadersOut, ApiError> {
        let owner = endpoint.id.to_string();
        let mut out = HeadersOut { headers: BTreeMap::new(), sensitive: Vec::new() };
        for header in &endpoint.headers {
            match header.open(&owner, &self.admin.sealer) {
                _ if is_sensitive(&header.name) => out.sensitive.push(header.name.clone()),
                Some(value) => drop(out.headers.insert(header.name.clone(), value)),
                None => {
                    let reason = format!("a header of {owner} does not open");
                    return Err(ApiError::Internal(reason));
                }
            }
        }
        Ok(out)
    }

    /// Replaces all headers.
    pub(crate) async fn set_headers(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        let input: HeadersIn = request::body(self.request)?;
        let changes = input.headers.into_iter().map(|(name, value)| (name, Some(value)));
        self.change_headers(&endpoint, true, changes.collect()).await
    }

    /// Adds, replaces and removes some of the headers.
    pub(crate) async fn patch_headers(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        let input: HeadersPatch = request::body(self.request)?;
        let mut changes = input.headers;
        for name in input.delete_headers.unwrap_or_default() {
            changes.entry(name).or_insert(None);
        }
        self.change_headers(&endpoint, false, changes).await
    }

    /// The headers of an endpoint that is made with them.
    pub(crate) fn first_headers(
        &self,
        headers: Option<&BTreeMap<String, String>>,
        owner: &str,
    ) -> Result<Vec<CustomHeader>, ApiError> {
        let Some(headers) = headers else { return Ok(Vec::new()) };
        check_headers(headers)?;
        let mut made = Vec::new();
        for (name, value) in headers {
            self.put_header(&mut made, owner, name, Some(value));
        }
        Ok(made)
    }

    /// Gives an endpoint that is moved next these headers and no others but that of its URL, if that
    /// says credentials as well. What it has already stays as it is sealed.
    pub(crate) fn replace_headers(
        &self,
        endpoint: &mut Endpoint,
        headers: &BTreeMap<String, String>,
        url_says: bool,
    ) {
        let owner = endpoint.id.to_string();
        let is_said = |header: &CustomHeader| headers.contains_key(&header.name);
        endpoint.headers.retain(|header| is_said(header) || url_says && header.of_url);
        for (name, value) in headers {
            self.put_header(&mut endpoint.headers, &owner, name, Some(value));
        }
        for header in endpoint.headers.iter_mut().filter(|header| is_said(header)) {
            header.of_url = false;
        }
    }

    /// Puts a header in the place of what has its name, unless that is the same, or takes it away.
    fn put_header(
        &self,
        headers: &mut Vec<CustomHeader>,
        owner: &str,
        name: &str,
        value: Option<&str>,
    ) {
        let (sealer, ambient) = (&self.admin.sealer, &self.admin.ambient);
        let is_same = |known: &CustomHeader| {
            known.name == name && value.is_some() && known.open(owner, sealer).as_deref() == value
        };
        if headers.iter().any(is_same) {
            return;
        }
        headers.retain(|known| !known.name.eq_ignore_ascii_case(name));
        if let Some(value) = value {
            headers.push(CustomHeader::new(name, value, owner, sealer, ambient));
        }
    }

    /// Moves an endpoint to this URL, which said these credentials if any. Those of the URL before
    /// do not go to another place.
    pub(crate) fn move_endpoint(&self, endpoint: &mut Endpoint, url: &str, said: Option<&str>) {
        if endpoint.url != url {
            endpoint.headers.retain(|header| !header.of_url);
        }
        if said.is_some() {
            let owner = endpoint.id.to_string();
            self.put_header(&mut endpoint.headers, &owner, credentials::HEADER, said);
            endpoint.headers.iter_mut().for_each(|header| {
                header.of_url |= header.name == credentials::HEADER;
            });
        }
        endpoint.move_to(url);
    }

    async fn change_headers(
        &self,
        endpoint: &Endpoint,
        anew: bool,
        changes: BTreeMap<String, Option<String>>,
    ) -> Answer {
        // All that there may be can be replaced by as many others.
        check_count(changes.len(), 2 * MAX_HEADERS)?;
        let mut rules = Rules::default();
        for (name, value) in &changes {
            check_header(&mut rules, name, value.as_deref());
        }
        check_once(&mut rules, changes.keys());
        rules.check()?;
        let now = self.admin.ambient.now();
        let owner = endpoint.id.to_string();
        let change = |endpoint: &mut Endpoint| {
            let mut headers = match anew {
                true => Vec::new(),
                false => endpoint.headers.clone(),
            };
            for (name, value) in &changes {
                self.put_header(&mut headers, &owner, name, value.as_deref());
            }
            let count = headers.len();
            if count <= MAX_HEADERS {
                (endpoint.headers, endpoint.updated_at) = (headers, now);
            }
            count
        };
        let edited = self.admin.editor.edit_endpoint(&endpoint.app, &endpoint.id, now, change);
        let (_, count) = edited.await?.done().ok_or_else(ApiError::not_found)?;
        check_count(count, MAX_HEADERS)?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }
}

/// Refuses what cannot be the headers of an endpoint.
pub(crate) fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), ApiError> {
    check_count(headers.len(), MAX_HEADERS)?;
    let mut rules = Rules::default();
    headers.iter().for_each(|(name, value)| check_header(&mut rules, name, Some(value)));
    check_once(&mut rules, headers.keys());
    rules.check()
}

fn check_count(count: usize, max: usize) -> Result<(), ApiError> {
    let rule = format!("must be at most {MAX_HEADERS} altogether");
    if count > max { Err(Violation::body("headers", rule).into()) } else { Ok(()) }
}

fn check_header(rules: &mut Rules, name: &str, value: Option<&str>) {
    if let Some(rule) = broken_rule(name, value) {
        rules.broken_at(&["headers", name], rule);
    }
}

/// HTTP does not tell names apart by the size of their letters: one of two would be lost.
fn check_once<'a>(rules: &mut Rules, names: impl Iterator<Item = &'a String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.to_ascii_lowercase()) {
            rules.broken_at(&["headers", name], "is there twice: capitals are no difference");
        }
    }
}

/// What is wrong with a header, without its value.
fn broken_rule(name: &str, value: Option<&str>) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Some("must be named as HTTP allows: letters, digits and `-`".to_owned());
    }
    let reserved = headers::OF_CONNECTIONS.contains(&lower.as_str())
        || RESERVED.contains(&lower.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    if reserved {
        return Some("is set by the sender, by the connection or by clouds: choose another".into());
    }
    let value = value?;
    if value.len() > MAX_HEADER_BYTES {
        return Some(format!("must be at most {MAX_HEADER_BYTES} bytes long"));
    }
    // What HTTP allows beyond that is read in as many ways as there are readers.
    let is_visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    (!is_visible).then(|| "must be visible ASCII".to_owned())
}
