//! The request itself: Standard Webhooks, with both families of header names.

use shared::clock::Timestamp;
use shared::message::Message;
use shared::secret::SigningSecret;
use shared::sender::Outbound;
use shared::signature;

/// How Posthorn introduces itself.
pub(crate) const USER_AGENT: &str = concat!("Posthorn/", env!("CARGO_PKG_VERSION"));

/// A signed request that carries the message's exact bytes. Id and signature are the same in
/// the headers `webhook-*` (Standard Webhooks) and `svix-*`, so receivers of either kind
/// verify it. The timestamp is that of the attempt.
pub(crate) fn signed(
    message: &Message,
    url: &str,
    secrets: &[SigningSecret],
    at: Timestamp,
    timeout_ms: u64,
) -> Outbound {
    let id = message.id.to_string();
    let timestamp = at.as_secs();
    let signatures = signature::sign(secrets, &id, timestamp, &message.payload);
    let timestamp = timestamp.to_string();
    let mut headers = Vec::with_capacity(8);
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
    for family in ["webhook-", "svix-"] {
        for (name, value) in signature::HEADERS.iter().zip([&id, &timestamp, &signatures]) {
            headers.push((format!("{family}{name}"), value.clone()));
        }
    }
    Outbound { url: url.to_owned(), headers, body: message.payload.clone(), timeout_ms }
}
