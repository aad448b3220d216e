//! An event that its profile cuts into several.
//!
//! The parent takes the place that the event's name or key gives it, without being sent; what is
//! stored of it tells its parts. Each part has a place that follows from the parent's. So a
//! publisher that asks again, after a crash half way say, gets the same parts: those that are
//! missing are stored and sent, the others are left alone.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use shared::api::error::ApiError;
use shared::domain::message::{Manifest, Message};
use shared::domain::metrics::Metric;
use shared::domain::signature::sha256_hex;
use shared::store::Accepted;

use crate::Receiver;
use crate::take::{Offered, Unsent, is_repeated, taken, to_send};

/// Parts that are stored at the same time.
const PARALLEL: usize = 8;

impl Receiver {
    /// Stores an event in parts.
    pub(crate) async fn offer_parts(
        &self,
        whole: Message,
        parts: Vec<Bytes>,
    ) -> Result<Offered, ApiError> {
        let sha256 = sha256_hex(&whole.payload);
        let parent = parent(&whole, parts.len(), &sha256);
        let (first, is_ours) = match self.accept(&parent).await? {
            Accepted::New => (parent, true),
            Accepted::Existing(first) => {
                let manifest = Manifest::of(&first);
                if first.parts == 0 || manifest.is_none_or(|manifest| manifest.sha256 != sha256) {
                    return self.repeat(*first, &parent).await;
                }
                let is_repeated = is_repeated(&first, &whole);
                (*first, is_repeated)
            }
        };
        let offers = (1..).zip(parts).map(|(number, payload)| {
            let part = part(&first, number, payload);
            async move { self.offer_part(part).await }
        });
        let offers: Vec<Vec<Unsent>> =
            stream::iter(offers).buffered(PARALLEL).try_collect().await?;
        // The publisher sees its own payload, whatever is kept of it.
        let shown = Message { payload: whole.payload, ..first };
        let answer = if is_ours { Ok(shown) } else { Err(taken()) };
        Ok(Offered { unsent: offers.into_iter().flatten().collect(), answer })
    }

    async fn offer_part(&self, part: Message) -> Result<Vec<Unsent>, ApiError> {
        match self.accept(&part).await? {
            Accepted::New => {
                self.metrics.count(Metric::Accepted);
                Ok(to_send(part, false))
            }
            Accepted::Existing(stored) => self.unfinished(*stored).await,
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
