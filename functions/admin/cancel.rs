//! Calling off: a message that waits for its time, and deliveries whose next attempt is to come.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Violation};
use shared::api::request;
use shared::domain::attempt::{Attempt, Progress, Turn};
use shared::domain::id::{EndpointId, MessageId};
use shared::store::{Claimed, Waiting, Walk};

use crate::endpoint::endpoint_of;
use crate::task::SpanIn;
use crate::{Answer, Call};

/// Attempts that one call to cancel deliveries looks at, and most messages that it may name.
const CANCEL_PAGE: usize = 250;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancelIn {
    #[schemars(length(max = 250))]
    msg_ids: Option<Vec<String>>,
    #[schemars(with = "Option<Moment>")]
    since: Option<String>,
    #[schemars(with = "Option<Moment>")]
    until: Option<String>,
    iterator: Option<String>,
}

/// What became of a request to cancel.
#[derive(Default, Serialize, JsonSchema)]
pub(crate) struct CanceledOut {
    canceled: u64,
    iterator: Option<String>,
    done: bool,
}

impl Call<'_> {
    /// Calls a message off: it is not sent if it waits for its time, and to no endpoint again
    /// if it does not. What is being sent at this moment is left alone.
    pub(crate) async fn cancel_message(&self, app: &str, msg: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        let mut out = CanceledOut { done: true, ..CanceledOut::default() };
        if message.deliver_at.is_some_and(|at| at > self.admin.ambient.now())
            && let Some(held) = self.admin.pending.postponed(&message.id).await?
            && held.postponed.waiting != Waiting::Canceled
        {
            let ended = self.admin.pending.end_waiting(&held, Waiting::Canceled).await?;
            // The sweep was faster by a moment: then the caller asks again.
            ended.ok_or_else(|| ApiError::conflict("The message is on its way: ask again."))?;
            out.canceled += 1;
        }
        for delivery in self.admin.history.deliveries_of_message(&message.id).await? {
            out.canceled += self.cancel(&message.id, &delivery.ep).await?;
        }
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Calls off what is still to be delivered to an endpoint: of the messages that the caller
    /// names, or of those published in a span of time. What is being sent at this moment is
    /// left alone.
    pub(crate) async fn cancel_deliveries(&self, app: &str, ep: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let endpoint = endpoint_of(&tenant, ep)?;
        let input: CancelIn = request::body(self.request)?;
        let mut out = CanceledOut { done: true, ..CanceledOut::default() };
        if let Some(references) = &input.msg_ids {
            if references.len() > CANCEL_PAGE {
                let rule = format!("must name at most {CANCEL_PAGE} messages");
                return Err(Violation::body("msgIds", rule).into());
            }
            for reference in references {
                let message = self.message(&tenant, reference).await?;
                out.canceled += self.cancel(&message.id, &endpoint.id).await?;
            }
            return Ok(error::json(StatusCode::OK, &out));
        }
        let Some(since) = input.since else {
            let rule = "is missing: name messages in `msgIds`, or a time in `since`";
            return Err(Violation::body("since", rule).into());
        };
        let span = self.span(&SpanIn { since, until: input.until })?;
        let walk = Walk {
            limit: CANCEL_PAGE,
            descending: false,
            iterator: input.iterator,
            backward: false,
            after: Some(span.since),
            before: None,
        };
        let now = self.admin.ambient.now();
        let keep = |attempt: &Attempt| {
            !attempt.ok
                && attempt.turn == Turn::Scheduled(1)
                && span.contains(attempt.msg.ksuid().timestamp())
        };
        let listed =
            self.admin.history.attempts_of_endpoint(&endpoint.id, &walk, now, keep).await?;
        for attempt in &listed.items {
            out.canceled += self.cancel(&attempt.msg, &endpoint.id).await?;
        }
        out.iterator = listed.iterator;
        out.done = listed.done;
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Calls off one delivery; how many that were.
    async fn cancel(&self, msg: &MessageId, ep: &EndpointId) -> Result<u64, ApiError> {
        let deliveries = &self.admin.pending;
        let Some(found) = deliveries.delivery(msg, ep).await? else { return Ok(0) };
        let now = self.admin.ambient.now();
        if found.delivery.progress != Progress::Pending || found.delivery.is_leased(now) {
            return Ok(0);
        }
        let canceled = deliveries.cancel(&found).await?;
        Ok(u64::from(matches!(canceled, Claimed::Mine(_))))
    }
}
