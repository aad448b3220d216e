//! What sources refused last, for the operator: the latest note in the log of each.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::id::SourceId;
use shared::domain::source::{Refusal, Refused, Source};

use crate::{Answer, Call};

/// Sources whose logs are read at the same time.
const AT_ONCE: usize = 16;

/// What was refused lately.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SourceRefusals {
    /// One for each source that refused something in the last seven days.
    data: Vec<SourceRefusalOut>,
}

/// The latest that a source refused.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SourceRefusalOut {
    source_id: SourceId,
    /// When it came; what comes within a minute of it is noted with the next.
    #[schemars(with = "Moment")]
    timestamp: String,
    reason: Refusal,
    /// The reason in a sentence, and what to do about it.
    says: &'static str,
    /// How many there were since it was noted before.
    count: u64,
}

/// Why a request was refused, and what to do about it.
pub(crate) fn sentence(reason: Refusal) -> &'static str {
    match reason {
        Refusal::Headers => {
            "A header that proves the request is missing. Choose the kind of source that the \
             sender is."
        }
        Refusal::Tolerance => {
            "The request was signed too long ago, or in the future. Check the sender's clock."
        }
        Refusal::Signature => "The proof does not fit. Compare the secret on both sides.",
        Refusal::Secret => "The source has no secret that can be used. Store the sender's secret.",
        Refusal::Body => "The body is no JSON object. Choose JSON where the sender is set up.",
    }
}

impl Call<'_> {
    /// The latest refusal of each source.
    pub(crate) async fn list_source_refusals(&self) -> Answer {
        let sources = self.admin.sources.list(&self.access.organisation()).await?;
        let read: Vec<_> = sources.iter().map(|source| self.last_refusal(source)).collect();
        let found: Vec<Option<SourceRefusalOut>> =
            stream::iter(read).buffered(AT_ONCE).try_collect().await?;
        let data = found.into_iter().flatten().collect();
        Ok(error::json(StatusCode::OK, &SourceRefusals { data }))
    }

    async fn last_refusal(&self, source: &Source) -> Result<Option<SourceRefusalOut>, ApiError> {
        let now = self.admin.ambient.now();
        let refused = self.admin.source_log.last_refused(&source.id, now).await?;
        Ok(refused.map(|Refused { at, reason, count, .. }| SourceRefusalOut {
            source_id: source.id,
            timestamp: at.to_rfc3339(),
            reason,
            says: sentence(reason),
            count,
        }))
    }
}
