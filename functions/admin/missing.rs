//! How many messages an endpoint was never sent, before they are replayed. Counted of what is on
//! record, in a bounded number of reads: a task that replays looks at each message.

use std::collections::HashSet;

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::MessageId;
use shared::domain::message::Message;
use shared::store::{Trace, Walk};

use crate::{Answer, Call, page};

/// Most messages that count: the latest of those that the endpoint wants.
const MOST: usize = 500;
/// Most first attempts that are looked at. Whatever is older than those does not count: it may
/// have been sent.
const ATTEMPTS: usize = 2 * MOST;
/// How far back messages count if the caller does not say it, in milliseconds: 14 days, as far as
/// they can be replayed.
const BACK_MS: u64 = 14 * 86_400_000;
/// How long a message may be on its way to its first attempt, in milliseconds. One that is
/// younger looks like one that is missing.
const UNDER_WAY_MS: u64 = 60_000;

/// How many messages an endpoint was never sent.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MissingOut {
    /// How many there are among those that were looked at.
    missing: usize,
    /// How many messages that the endpoint wants were looked at: the latest.
    looked_at: usize,
    /// Whether these are all of that time. If not, there may be more.
    complete: bool,
    /// From when on they were published.
    #[schemars(with = "Moment")]
    since: String,
}

/// What an endpoint was sent, or is about to be sent.
struct Sent {
    messages: HashSet<MessageId>,
    /// All that was published from this moment on is among them.
    since: Timestamp,
}

impl Call<'_> {
    /// How many messages an endpoint wants and was never sent.
    pub(crate) async fn missing(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let now = self.admin.ambient.now();
        let earliest = now.minus_ms(BACK_MS);
        let since = page::moment(self.request, "after")?.unwrap_or(earliest).max(earliest);
        let walk = Walk { descending: true, after: Some(since), ..Walk::onward(MOST, None) };
        let wanted = |message: &Message| endpoint.misses(message);
        let spread = tenant.application.spread;
        let listed = self.admin.history.messages(&endpoint.app, spread, &walk, now, wanted).await?;
        let sent = self.sent_lately(&endpoint, since).await?;
        let counts = |message: &&Message| {
            let released = message.released_at();
            released.plus_ms(UNDER_WAY_MS) <= now && released >= sent.since
        };
        let messages: Vec<&Message> = listed.items.iter().filter(counts).collect();
        let mut missing = 0;
        for message in messages.iter().filter(|one| !sent.messages.contains(&one.id)) {
            missing += usize::from(!self.is_canceled(message).await?);
        }
        let out = MissingOut {
            missing,
            looked_at: messages.len(),
            complete: listed.done && sent.since <= since,
            since: since.to_rfc3339(),
        };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// What an endpoint was sent from this moment on, or from as far back as is looked.
    async fn sent_lately(&self, endpoint: &Endpoint, since: Timestamp) -> Result<Sent, ApiError> {
        let walk = Walk { descending: true, after: Some(since), ..Walk::onward(ATTEMPTS, None) };
        let keep = |trace: &Trace| match trace {
            Trace::Attempt(_) => trace.begins(),
            Trace::Unattempted(delivery) => delivery.is_pending(),
        };
        let (ep, spread, now) = (&endpoint.id, endpoint.spread, self.admin.ambient.now());
        let listed = self.admin.history.trail_of_endpoint(ep, spread, &walk, now, keep).await?;
        let messages = listed.items.iter().map(Trace::msg).collect();
        let since = match (listed.done, listed.items.last()) {
            (true, _) => since,
            // More of the same moment may not have been looked at.
            (false, Some(Trace::Attempt(oldest))) => oldest.at.plus_ms(1),
            (false, Some(Trace::Unattempted(oldest))) => oldest.msg.ksuid().timestamp().plus_ms(1),
            (false, None) => now,
        };
        Ok(Sent { messages, since })
    }
}
