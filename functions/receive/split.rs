//! An event that its profile cuts into several.
//!
//! The parent takes the place that the event's name or key gives it, without being sent; what is
//! stored of it tells its parts. Each part has a place that follows from the parent's. So a
//! publisher that asks again, after a crash half way say, gets the same parts: those that are
//! missing are stored and sent, the others are left alone.

use bytes::Bytes;
use http::Response;
use shared::api::error::ApiError;
use shared::domain::message::{Manifest, Message};
use shared::domain::metrics::Metric;
use shared::domain::signature::sha256_hex;
use shared::store::Accepted;

use crate::{Receiver, is_repeated, show, taken};

/// Largest payload that is shown to its publisher, in bytes: Lambda answers with 6,291,556 bytes at
/// the most, in which every quotation mark of the answer counts twice.
const MAX_SHOWN_BYTES: usize = 2 * 1024 * 1024;

impl Receiver {
    /// Stores and sends an event in parts.
    pub(crate) async fn publish_parts(
        &self,
        whole: Message,
        parts: Vec<Bytes>,
        with_content: bool,
    ) -> Result<Response<Bytes>, ApiError> {
        let sha256 = sha256_hex(&whole.payload);
        let parent = parent(&whole, parts.len(), &sha256);
        let (first, is_ours) = match self.inbox.accept(&parent).await? {
            Accepted::New => (parent, true),
            Accepted::Existing(first) => {
                let manifest = Manifest::of(&first);
                if first.parts == 0 || manifest.is_none_or(|manifest| manifest.sha256 != sha256) {
                    return self.repeat(*first, &parent, with_content).await;
                }
                let is_repeated = is_repeated(&first, &whole);
                (*first, is_repeated)
            }
        };
        for (number, payload) in (1..).zip(parts) {
            self.publish_part(part(&first, number, payload)).await?;
        }
        if !is_ours {
            return Err(taken());
        }
        // The publisher sees its own payload, whatever is kept of it, unless Lambda could not
        // answer with so much.
        let with_content = with_content && whole.payload.len() <= MAX_SHOWN_BYTES;
        let shown = Message { payload: whole.payload, ..first };
        Ok(show(&shown, with_content))
    }

    async fn publish_part(&self, part: Message) -> Result<(), ApiError> {
        match self.inbox.accept(&part).await? {
            Accepted::New => {
                self.metrics.count(Metric::Accepted);
                self.enqueue(part, false).await
            }
            Accepted::Existing(stored) => self.finish(*stored).await.map(drop),
        }
    }
}

fn parent(whole: &Message, parts: usize, sha256: &str) -> Message {
    let count = u32::try_from(parts).unwrap_or(u32::MAX);
    let parts = (1..=count).map(|number| whole.part_id(number)).collect();
    let manifest = Manifest { parts, sha256: sha256.to_owned() };
    let payload = serde_json::to_vec(&manifest).expect("ids and a hash can be written");
    Message { parts: count, payload: payload.into(), ..whole.clone() }
}

fn part(parent: &Message, number: u32, payload: Bytes) -> Message {
    Message {
        id: parent.part_id(number),
        parent: Some(parent.id),
        parts: 0,
        event_id: None,
        request: None,
        payload,
        ..parent.clone()
    }
}
