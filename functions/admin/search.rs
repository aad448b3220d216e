//! Finding messages by what is in them: pages of the list of messages, each a bounded number of
//! reads, of which only what fits is shown.

use shared::api::error::{ApiError, Violation};
use shared::api::request::{query_flag, query_value};
use shared::domain::id::MessageId;
use shared::domain::message::Message;
use shared::store::{Listed, Tenant, Walk};

use crate::message::Filter;
use crate::{Answer, Call, page};

/// Longest text that is looked for, in characters.
pub(crate) const MAX_TEXT: usize = 256;
/// Most payloads that a page looks into: a read each, of up to 350 KiB.
const MAX_PAYLOADS: usize = 50;

/// What is looked for.
pub(crate) struct Wanted {
    /// As it was sent.
    text: String,
    /// In lower case, for names.
    lower: String,
    /// Whether payloads are looked into.
    in_payload: bool,
}

impl Wanted {
    /// Whether one of the message's names has the text in it, in whatever case.
    fn is_in_names(&self, message: &Message) -> bool {
        let event_id = message.event_id.as_ref().map(|id| id.as_str());
        let one = event_id.into_iter().chain(message.subject.as_deref());
        let many = message.tags.iter().chain(&message.channels).map(String::as_str);
        let mut names = one.chain(many).chain([message.event_type.as_str()]);
        names.any(|name| name.to_ascii_lowercase().contains(&self.lower))
    }

    /// Whether the payload, which has been read, has the text in it to the letter.
    fn is_in_payload(&self, message: &Message) -> bool {
        let text = std::str::from_utf8(&message.payload);
        self.in_payload && !message.expunged && text.is_ok_and(|text| text.contains(&self.text))
    }
}

impl Call<'_> {
    /// The application's messages that have some text in one of their names, or in the payload.
    pub(crate) async fn search_messages(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let wanted = self.wanted(query_value(self.request, "q").unwrap_or_default())?;
        let mut walk = page::walk::<MessageId>(self.request, true)?;
        let listed = self.searched(&tenant, &mut walk, &wanted).await?;
        self.show_messages(&tenant, &walk, listed).await
    }

    /// What is looked for with this text.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub(crate) fn wanted(&self, text: String) -> Result<Wanted, ApiError> {
        if text.is_empty() || text.chars().nth(MAX_TEXT).is_some() {
            let rule = format!("must be there, with 1 to {MAX_TEXT} characters");
            return Err(Violation::query("q", rule).into());
        }
        let in_payload = query_flag(self.request, "in_payload", false)?;
        Ok(Wanted { lower: text.to_ascii_lowercase(), text, in_payload })
    }

    /// A page of what is looked for; of payloads no more than it may look into.
    pub(crate) async fn searched(
        &self,
        tenant: &Tenant,
        walk: &mut Walk,
        wanted: &Wanted,
    ) -> Result<Listed<Message>, ApiError> {
        if wanted.in_payload {
            walk.limit = walk.limit.min(MAX_PAYLOADS);
        }
        match self.called(tenant, walk, &wanted.text).await? {
            Some(message) => Ok(alone(message)),
            None => self.found(tenant, walk, wanted).await,
        }
    }

    /// The message that has this id or event id: one read, and only where a list begins.
    async fn called(
        &self,
        tenant: &Tenant,
        walk: &Walk,
        name: &str,
    ) -> Result<Option<Message>, ApiError> {
        if walk.iterator.is_some() {
            return Ok(None);
        }
        let now = self.admin.ambient.now();
        let found = self.admin.history.message(&tenant.application.id, name, now).await?;
        let filter = Filter::of(self.request)?;
        Ok(found.filter(|message| filter.keeps_message(message)))
    }

    async fn found(
        &self,
        tenant: &Tenant,
        walk: &Walk,
        wanted: &Wanted,
    ) -> Result<Listed<Message>, ApiError> {
        let (app, spread) = (&tenant.application.id, tenant.application.spread);
        let (filter, now) = (Filter::of(self.request)?, self.admin.ambient.now());
        let keep = |message: &Message| {
            filter.keeps_message(message) && (wanted.in_payload || wanted.is_in_names(message))
        };
        let listed = self.admin.history.messages(app, spread, walk, now, keep).await?;
        if !wanted.in_payload {
            return Ok(listed);
        }
        let Listed { items, iterator, prev, done } = listed;
        let look = items.into_iter().map(|message| async move {
            if wanted.is_in_names(&message) {
                return Ok(Some(message));
            }
            let whole = self.admin.history.message(app, &message.id.to_string(), now).await?;
            Ok(whole.filter(|whole| wanted.is_in_payload(whole)))
        });
        let looked = page::side_by_side(page::AT_ONCE, look).await?;
        Ok(Listed { items: looked.into_iter().flatten().collect(), iterator, prev, done })
    }
}

/// A page of one message, and no other.
fn alone(message: Message) -> Listed<Message> {
    let id = message.id.to_string();
    Listed { iterator: Some(id.clone()), prev: Some(id), done: true, items: vec![message] }
}
