//! One event for every application of the organisation, in the background.

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::{EventType, JsonObject, MessageChannels, Tags};
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::api::error::ApiError;
use shared::api::request;
use shared::domain::endpoint::{MAX_CHANNEL, MAX_EVENT_TYPE};
use shared::domain::id::{MessageId, Uid, is_name, name_rule};
use shared::domain::message::{
    DEFAULT_RETENTION_DAYS, MAX_MESSAGE_CHANNELS, MAX_PAYLOAD_BYTES, MAX_TAGS, RETENTION_DAYS,
    is_tag,
};
use shared::domain::task::{Event, Work};

use crate::{Answer, Call};
use shared::api::rules::Rules;

/// What a caller sends (Svix).
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageBroadcastIn {
    #[schemars(with = "EventType")]
    event_type: String,
    #[schemars(with = "JsonObject")]
    payload: Box<RawValue>,
    /// In every application: where there is an event of this name already, it is left out.
    #[schemars(with = "Option<Uid>")]
    event_id: Option<String>,
    #[schemars(with = "Option<MessageChannels>")]
    channels: Option<Vec<String>>,
    #[schemars(with = "Option<Tags>")]
    tags: Option<Vec<String>>,
    #[schemars(range(min = *RETENTION_DAYS.start(), max = *RETENTION_DAYS.end()))]
    payload_retention_period: Option<u64>,
}

impl Call<'_> {
    pub(crate) async fn broadcast(&self) -> Answer {
        self.require_organisation()?;
        let input: MessageBroadcastIn = request::body(self.request)?;
        let mut rules = Rules::default();
        if !is_name(&input.event_type, MAX_EVENT_TYPE) {
            rules.broken("eventType", name_rule(MAX_EVENT_TYPE));
        }
        if !input.payload.get().starts_with('{') {
            rules.broken("payload", "must be a JSON object");
        }
        let event_id = match input.event_id.as_deref().map(|id| Uid::parse(id, MessageId::PREFIX)) {
            Some(Err(error)) => {
                rules.broken("eventId", error.0);
                None
            }
            checked => checked.and_then(Result::ok),
        };
        let none = input.channels.as_ref().is_some_and(Vec::is_empty);
        let channels = input.channels.unwrap_or_default();
        let good = channels.iter().enumerate().all(|(position, channel)| {
            is_name(channel, MAX_CHANNEL) && !channels[..position].contains(channel)
        });
        if none || channels.len() > MAX_MESSAGE_CHANNELS || !good {
            let rule = format!("must be 1 to {MAX_MESSAGE_CHANNELS} different names, or left out");
            rules.broken("channels", rule);
        }
        let tags = input.tags.unwrap_or_default();
        if tags.len() > MAX_TAGS || !tags.iter().all(|tag| is_tag(tag)) {
            rules.broken("tags", format!("must be at most {MAX_TAGS} tags"));
        }
        let days = input.payload_retention_period.unwrap_or(DEFAULT_RETENTION_DAYS);
        if !RETENTION_DAYS.contains(&days) {
            let (least, most) = (RETENTION_DAYS.start(), RETENTION_DAYS.end());
            rules.broken("payloadRetentionPeriod", format!("must be {least} to {most} days"));
        }
        rules.check()?;
        let payload = Bytes::copy_from_slice(input.payload.get().as_bytes());
        if payload.len() > MAX_PAYLOAD_BYTES {
            let found = payload.len();
            return Err(ApiError::too_large(format!(
                "The payload has {found} bytes; the limit is {MAX_PAYLOAD_BYTES}."
            )));
        }
        let event = Event {
            event_type: input.event_type,
            event_id,
            channels,
            tags,
            retention_hours: days * 24,
        };
        self.begin_with(Work::Broadcast { event }, payload).await
    }
}
