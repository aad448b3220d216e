//! What came in at a source, for whoever sets it up: what became a message, and what was refused.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use serde::Serialize;
use shared::api::error::ApiError;
use shared::domain::id::{MessageId, Uid};
use shared::domain::source::Refusal;
use shared::store::{Logged, Need};

use crate::source_state::sentence;
use crate::{Answer, Call, page};

/// A webhook that was taken, or some that were not.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "IngestLogOut")]
pub(crate) struct LoggedOut {
    /// That of the message; of what was refused, the one that it would have got.
    id: MessageId,
    #[schemars(with = "Moment")]
    timestamp: String,
    status: Status,
    event_type: Option<String>,
    /// The message's event id.
    event_id: Option<Uid>,
    /// Why it was refused.
    reason: Option<Refusal>,
    /// The reason in a sentence, and what to do about it.
    says: Option<&'static str>,
    /// Webhooks that this line stands for: more than one only of what was refused.
    count: u64,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "IngestLogStatus")]
enum Status {
    Taken,
    Refused,
}

impl From<Logged> for LoggedOut {
    fn from(logged: Logged) -> Self {
        let id = logged.id();
        match logged {
            Logged::Taken(message) => Self {
                id,
                timestamp: message.at.to_rfc3339(),
                status: Status::Taken,
                event_type: Some(message.event_type),
                event_id: message.event_id,
                reason: None,
                says: None,
                count: 1,
            },
            Logged::Refused(refused) => Self {
                id,
                timestamp: refused.at.to_rfc3339(),
                status: Status::Refused,
                event_type: None,
                event_id: None,
                reason: Some(refused.reason),
                says: Some(sentence(refused.reason)),
                count: refused.count,
            },
        }
    }
}

impl Call<'_> {
    pub(crate) async fn source_log(&self, source: &str) -> Answer {
        let source = self.source_named(source).await?.ok_or_else(ApiError::not_found)?;
        let walk = page::walk::<MessageId>(self.request, true)?;
        let tenant = self.admin.directory.tenant(&source.app, Need::Application).await?;
        let spread = tenant.map(|tenant| tenant.application.spread).unwrap_or_default();
        let now = self.admin.ambient.now();
        let place = (&source.app, spread);
        let listed = self.admin.source_log.page(&source.id, place, &walk, now).await?;
        Ok(page::respond(listed, LoggedOut::from))
    }
}
