//! Messages: list, read.

use std::collections::BTreeSet;

use crate::JsonSchema;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Violation};
use shared::api::message::{GONE, MessageOut};
use shared::api::request::{self, query_flag, query_list, query_value};
use shared::api::rules::Rules;
use shared::domain::attempt::Attempt;
use shared::domain::endpoint::{MAX_CHANNEL, MAX_EVENT_TYPE};
use shared::domain::id::{MessageId, is_name, name_rule};
use shared::domain::message::{MAX_MESSAGE_CHANNELS, MAX_SUBJECT_BYTES, MAX_TAG, Message};
use shared::store::{Listed, Tenant, Walk};

use crate::{Answer, Call, page};

/// Which messages or attempts a caller wants to see.
#[derive(Default)]
pub(crate) struct Filter {
    channel: Option<String>,
    tag: Option<String>,
    event_types: BTreeSet<String>,
    subject: Option<String>,
}

impl Filter {
    /// The filter of a request.
    ///
    /// # Errors
    /// 422 for what no message can have: nothing would be found, after all of them were read.
    pub(crate) fn of(request: &Request<Bytes>) -> Result<Self, ApiError> {
        let filter = Self {
            channel: query_value(request, "channel"),
            event_types: query_list(request, "event_types").into_iter().collect(),
            subject: query_value(request, "subject"),
            tag: query_value(request, "tag"),
        };
        let check = |field, fits: bool, rule: String| match fits {
            true => Ok(()),
            false => Err(Violation::query(field, rule)),
        };
        let named = filter.channel.as_ref().is_none_or(|channel| is_name(channel, MAX_CHANNEL));
        check("channel", named, name_rule(MAX_CHANNEL))?;
        let mut types = filter.event_types.iter();
        let named = types.all(|name| is_name(name, MAX_EVENT_TYPE));
        check("event_types", named, format!("each {}", name_rule(MAX_EVENT_TYPE)))?;
        for (field, value, max) in
            [("tag", &filter.tag, MAX_TAG), ("subject", &filter.subject, MAX_SUBJECT_BYTES)]
        {
            let short = value.as_ref().is_none_or(|text| text.chars().nth(max).is_none());
            check(field, short, format!("must be at most {max} characters long"))?;
        }
        let said = filter.subject.as_ref().is_none_or(|subject| !subject.is_empty());
        check("subject", said, "must not be empty".to_owned())?;
        Ok(filter)
    }

    /// Whether attempts at such a message are wanted.
    pub(crate) fn keeps_attempt(&self, made: &Attempt) -> bool {
        self.keeps(&made.event_type, &made.channels, &made.tags, made.subject.as_deref())
    }

    /// Whether such a message is wanted.
    pub(crate) fn keeps_message(&self, message: &Message) -> bool {
        let subject = message.subject.as_deref();
        self.keeps(&message.event_type, &message.channels, &message.tags, subject)
    }

    fn keeps(
        &self,
        event_type: &str,
        channels: &[String],
        tags: &[String],
        subject: Option<&str>,
    ) -> bool {
        let subject_fits = self.subject.is_none() || self.subject.as_deref() == subject;
        let type_fits = self.event_types.is_empty() || self.event_types.contains(event_type);
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
    #[schemars(with = "description::EventType")]
    event_type: String,
    #[schemars(with = "Option<description::MessageChannels>")]
    channels: Option<Vec<String>>,
}

/// Whether it would go anywhere.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PrecheckOut {
    active: bool,
}

/// A payload as it goes out.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageRawPayloadOut")]
pub(crate) struct RawPayloadOut {
    /// The exact text that was published.
    payload: String,
}

impl Call<'_> {
    /// Whether any endpoint wants a message of this type on these channels.
    pub(crate) async fn precheck(&self, app: &str) -> Answer {
        let tenant = self.whole_tenant(app).await?;
        let input: PrecheckIn = request::body(self.request)?;
        let mut rules = Rules::default();
        if !is_name(&input.event_type, MAX_EVENT_TYPE) {
            rules.broken("eventType", name_rule(MAX_EVENT_TYPE));
        }
        rules.names("channels", input.channels.as_deref(), MAX_CHANNEL, MAX_MESSAGE_CHANNELS);
        rules.check()?;
        let channels = input.channels.unwrap_or_default();
        let mut endpoints = tenant.endpoints.iter();
        let active = endpoints.any(|endpoint| endpoint.wants(&input.event_type, &channels));
        Ok(error::json(StatusCode::OK, &PrecheckOut { active }))
    }

    pub(crate) async fn list_messages(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let (app, spread) = (&tenant.application.id, tenant.application.spread);
        let walk = page::walk::<MessageId>(self.request, true)?;
        let filter = Filter::of(self.request)?;
        let now = self.admin.ambient.now();
        let keep = |message: &Message| filter.keeps_message(message);
        let listed = self.admin.history.messages(app, spread, &walk, now, keep).await?;
        self.show_messages(&tenant, &walk, listed).await
    }

    /// A page of messages, with their payloads if the caller asks for them: each is read then.
    pub(crate) async fn show_messages(
        &self,
        tenant: &Tenant,
        walk: &Walk,
        listed: Listed<Message>,
    ) -> Answer {
        let (app, now) = (&tenant.application.id, self.admin.ambient.now());
        let with_content = self.wants_content()?;
        let mut filling = page::Filling::new(walk, listed);
        let name = |message: &Message| message.id.to_string();
        let look = |mut message: Message| async move {
            let is_read = !with_content || !message.payload.is_empty();
            let id = name(&message);
            if !is_read && let Some(whole) = self.admin.history.message(app, &id, now).await? {
                message.payload = whole.payload;
            }
            Ok(Some(MessageOut::of(message, with_content)))
        };
        filling.fill(name, look).await?;
        Ok(filling.finish())
    }

    pub(crate) async fn get_message(&self, app: &str, msg: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        Ok(error::json(StatusCode::OK, &MessageOut::of(message, self.wants_content()?)))
    }

    /// The payload to the letter: members in their order, numbers with every digit.
    pub(crate) async fn raw_payload(&self, app: &str, msg: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        let bytes = if message.expunged { GONE } else { &message.payload };
        let payload = String::from_utf8_lossy(bytes).into_owned();
        Ok(error::json(StatusCode::OK, &RawPayloadOut { payload }))
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
