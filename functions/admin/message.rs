//! Messages: list, read.

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::{JsonObject, Moment};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::api::error::{self, ApiError};
use shared::api::request::{self, query_flag, query_value, query_values};
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{MessageId, Uid};
use shared::domain::message::Message;
use shared::store::Tenant;

use crate::{Answer, Call, page};

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageOut {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<Uid>,
    event_type: String,
    id: MessageId,
    #[schemars(with = "JsonObject")]
    payload: Box<RawValue>,
    /// A payload that was published raw.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_payload: Option<String>,
    /// What a raw payload is.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    deliver_at: Option<String>,
    #[schemars(with = "Moment")]
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The event that was too big for one and that this is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<MessageId>,
    /// How many events it became, where it was cut; the payload tells which.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
}

/// What stands in the place of a payload that is no longer there (Svix).
const GONE: &[u8] = br#"{"expired":true}"#;

impl From<Message> for MessageOut {
    fn from(mut message: Message) -> Self {
        if message.expunged {
            message.payload = Bytes::from_static(GONE);
        }
        let is_raw = message.content_type.is_some();
        let text = std::str::from_utf8(&message.payload).ok();
        // None where the content was not asked for.
        let raw = text.filter(|text| is_raw && !message.expunged && !text.is_empty());
        let payload = text
            .and_then(|text| RawValue::from_string(text.to_owned()).ok())
            .filter(|payload| !is_raw || payload.get().starts_with('{'))
            .unwrap_or_else(|| RawValue::from_string("{}".to_owned()).expect("`{}` is JSON"));
        Self {
            channels: message.channels,
            event_id: message.event_id,
            event_type: message.event_type,
            id: message.id,
            payload,
            raw_payload: raw.map(str::to_owned),
            content_type: message.content_type,
            tags: message.tags,
            deliver_at: message.deliver_at.map(Timestamp::to_rfc3339),
            timestamp: message.at.to_rfc3339(),
            subject: message.subject,
            parent: message.parent,
            parts: Some(message.parts).filter(|parts| *parts > 0),
            test: message.test,
        }
    }
}

/// Which messages or attempts a caller wants to see.
pub(crate) struct Filter {
    channel: Option<String>,
    tag: Option<String>,
    event_types: Vec<String>,
    subject: Option<String>,
}

impl Filter {
    /// The filter of a request. Several event types come as repeated parameters or in one,
    /// separated by commas.
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        let event_types = query_values(request, "event_types")
            .iter()
            .flat_map(|value| value.split(','))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        Self {
            channel: query_value(request, "channel"),
            event_types,
            subject: query_value(request, "subject"),
            tag: query_value(request, "tag"),
        }
    }

    /// Whether something of this type on these channels, with these tags, about this subject is
    /// wanted.
    pub(crate) fn keeps(
        &self,
        event_type: &str,
        channels: &[String],
        tags: &[String],
        subject: Option<&str>,
    ) -> bool {
        let subject_fits = self.subject.is_none() || self.subject.as_deref() == subject;
        let type_fits =
            self.event_types.is_empty() || self.event_types.iter().any(|name| name == event_type);
        let tag_fits = self.tag.as_ref().is_none_or(|tag| tags.contains(tag));
        type_fits
            && tag_fits
            && subject_fits
            && self.channel.as_ref().is_none_or(|channel| channels.contains(channel))
    }
}

/// What would be published.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrecheckIn {
    event_type: String,
    channels: Option<Vec<String>>,
}

/// Whether it would go anywhere.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PrecheckOut {
    active: bool,
}

impl Call<'_> {
    /// Whether any endpoint wants a message of this type on these channels.
    pub(crate) async fn precheck(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let input: PrecheckIn = request::body(self.request)?;
        let channels = input.channels.unwrap_or_default();
        let wants = |endpoint: &Endpoint| endpoint.wants(&input.event_type, &channels);
        let active = tenant.endpoints.iter().any(wants);
        Ok(error::json(StatusCode::OK, &PrecheckOut { active }))
    }

    pub(crate) async fn list_messages(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let app = &tenant.application.id;
        let walk = page::walk::<MessageId>(self.request, true)?;
        let filter = Filter::of(self.request);
        let now = self.admin.ambient.now();
        let keep = |message: &Message| {
            let subject = message.subject.as_deref();
            filter.keeps(&message.event_type, &message.channels, &message.tags, subject)
        };
        let mut listed = self.admin.history.messages(app, &walk, now, keep).await?;
        if self.wants_content()? {
            for message in &mut listed.items {
                let id = message.id.to_string();
                if let Some(whole) = self.admin.history.message(app, &id, now).await? {
                    message.payload = whole.payload;
                }
            }
        }
        Ok(page::respond(&walk, listed, MessageOut::from))
    }

    pub(crate) async fn get_message(&self, app: &str, msg: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let mut message = self.message(&tenant, msg).await?;
        if !self.wants_content()? {
            message.payload = Bytes::new();
        }
        Ok(error::json(StatusCode::OK, &MessageOut::from(message)))
    }

    /// The message of this application with this id or event id.
    pub(crate) async fn message(&self, tenant: &Tenant, msg: &str) -> Result<Message, ApiError> {
        let now = self.admin.ambient.now();
        let found = self.admin.history.message(&tenant.application.id, msg, now).await?;
        found.ok_or_else(ApiError::not_found)
    }

    /// Payloads and answers are shown unless the caller does without.
    pub(crate) fn wants_content(&self) -> Result<bool, ApiError> {
        query_flag(self.request, "with_content", true)
    }
}
