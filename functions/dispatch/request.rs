//! The request itself: Standard Webhooks over a body in the profile's form.

use std::borrow::Cow;

use bytes::Bytes;
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::Endpoint;
use shared::domain::message::{HOPS_HEADER, Message};
use shared::domain::profile::Profile;
use shared::domain::secret::SigningSecret;
use shared::domain::signature;
use shared::sender::{Outbound, USER_AGENT};

use crate::policy::Policy;

/// What a JSON body is.
const JSON: &str = "application/json";

/// What is sent, and what it is called.
pub(crate) struct Body {
    pub(crate) content_type: Cow<'static, str>,
    pub(crate) bytes: Bytes,
}

impl Body {
    /// The exact bytes that were published, in the profile's envelope if it has one; a raw payload
    /// as what its publisher says it is.
    pub(crate) fn json(message: &Message, endpoint: &Endpoint, profile: &Profile) -> Self {
        let content_type = message.content_type.clone().map_or(Cow::Borrowed(JSON), Cow::Owned);
        Self { content_type, bytes: profile.body(message, endpoint) }
    }
}

/// A signed request: what is signed is what is sent. Id and signature are the same in each
/// family of headers, `webhook-*` (Standard Webhooks) and `svix-*`, so receivers of either kind
/// verify it. The timestamp is that of the attempt.
pub(crate) fn signed(
    message: &Message,
    endpoint: &Endpoint,
    body: Body,
    secrets: &[SigningSecret],
    (policy, custom): (&Policy, Vec<(String, String)>),
    at: Timestamp,
) -> Outbound {
    let id = message.id.to_string();
    let timestamp = at.as_secs();
    let signatures = signature::sign(secrets, &id, timestamp, &body.bytes);
    let timestamp = timestamp.to_string();
    let mut headers = Vec::with_capacity(8);
    headers.push(("content-type".to_owned(), body.content_type.into_owned()));
    headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
    if message.hops > 0 {
        headers.push((HOPS_HEADER.to_owned(), message.hops.to_string()));
    }
    headers.extend(custom);
    headers.extend(policy.profile.signed_headers(&id, &timestamp, &signatures));
    Outbound {
        url: endpoint.url.clone(),
        headers,
        body: body.bytes,
        timeout_ms: policy.timeout_ms,
        owner: Some(endpoint.app),
    }
}
