//! Calling off: a message that waits for its time, and deliveries whose next attempt is to come.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Later, Violation};
use shared::api::request;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::delivery::machine::Event;
use shared::domain::delivery::scheduled::ScheduleState;
use shared::domain::id::{AttemptId, EndpointId, MessageId};
use shared::domain::message::Message;
use shared::store::{Advanced, Trace, Walk};

use crate::task::SpanIn;
use crate::{Answer, Call, page};

/// Deliveries that one call to cancel them looks at, and most messages that it may name.
const CANCEL_PAGE: usize = 250;
/// How often a delivery is tried that others change at the same time.
const CHANGES: usize = 8;

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
        let mut canceled = self.cancel_one(&message).await?;
        // What was cut is sent, and canceled, in its parts.
        let parts = self.admin.history.parts(&message, self.admin.ambient.now()).await?;
        let calls = parts.into_iter().map(async |part| self.cancel_one(&part).await);
        let of_parts = page::side_by_side(page::AT_ONCE, calls).await?;
        canceled += of_parts.iter().sum::<u64>();
        let out = CanceledOut { canceled, iterator: None, done: true };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Whether this was to wait for its time, and was canceled before.
    pub(crate) async fn is_canceled(&self, message: &Message) -> Result<bool, ApiError> {
        Ok(self.admin.pending.schedule_state(message).await? == Some(ScheduleState::Canceled))
    }

    async fn cancel_one(&self, message: &Message) -> Result<u64, ApiError> {
        let mut canceled = self.cancel_scheduled(message).await?;
        let mut deliveries = self.admin.history.deliveries_of_message(&message.id).await?;
        deliveries.retain(Delivery::is_pending);
        // There may be one of each of 10,000 endpoints, and an invocation has 15 seconds.
        let pairs = deliveries.iter().map(|delivery| (message.id, delivery.ep));
        canceled += self.cancel_each(pairs.collect()).await?;
        Ok(canceled)
    }

    /// Cancels a message that still waits for its time, or whose time has not come; how many that
    /// were.
    async fn cancel_scheduled(&self, message: &Message) -> Result<u64, ApiError> {
        let Some(at) = message.deliver_at else { return Ok(0) };
        let deliveries = &self.admin.pending;
        let Some(found) = deliveries.scheduled(&message.id).await? else { return Ok(0) };
        // A sweep may be late. What one has taken on may have been sent by now.
        let may_be_out = !found.value.is_waiting() || found.value.was_claimed();
        if may_be_out && at <= self.admin.ambient.now() {
            return Ok(0);
        }
        let Some(canceled) = found.value.canceled() else { return Ok(0) };
        if deliveries.save_scheduled(&found, canceled).await?.is_some() {
            // The parts of what was cut are what is sent.
            return Ok(u64::from(message.parts == 0));
        }
        // Somebody was faster by a moment: another caller, or the sweep.
        match self.is_canceled(message).await? {
            true => Ok(0),
            false => Err(ApiError::conflict("The message is being released: ask again.")),
        }
    }

    /// Cancels what is still to be delivered to an endpoint: of the messages that the caller
    /// names, or of those published in a span of time. What is being sent at this moment is
    /// left alone.
    pub(crate) async fn cancel_deliveries(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let input: CancelIn = request::body(self.request)?;
        let now = self.admin.ambient.now();
        let mut out = CanceledOut { done: true, ..CanceledOut::default() };
        if let Some(references) = &input.msg_ids {
            if references.len() > CANCEL_PAGE {
                let rule = format!("must name at most {CANCEL_PAGE} messages");
                return Err(Violation::body("msgIds", rule).into());
            }
            let mut messages = Vec::with_capacity(references.len());
            for reference in references {
                let message = self.message(&tenant, reference).await?;
                let state = self.admin.pending.schedule_state(&message).await?;
                if state == Some(ScheduleState::Waiting) {
                    let rule = format!(
                        "must not name `{reference}`: it waits for its time, and is canceled for \
                         all endpoints with POST /api/v1/app/{app}/msg/{reference}/cancel"
                    );
                    return Err(Violation::body("msgIds", rule).into());
                }
                messages.push(message);
            }
            let ids = messages.iter().flat_map(|it| std::iter::once(it.id).chain(it.part_ids()));
            out.canceled = self.cancel_each(ids.map(|id| (id, endpoint.id)).collect()).await?;
            return Ok(error::json(StatusCode::OK, &out));
        }
        let Some(since) = input.since else {
            let rule = "is missing: name messages in `msgIds`, or a time in `since`";
            return Err(Violation::body("since", rule).into());
        };
        if input.iterator.as_deref().is_some_and(|id| id.parse::<AttemptId>().is_err()) {
            return Err(Violation::body("iterator", "must be that of an answer").into());
        }
        let span = self.span(&SpanIn { since, until: input.until })?;
        let walk = Walk { after: Some(span.since), ..Walk::onward(CANCEL_PAGE, input.iterator) };
        let keep = |trace: &Trace| {
            let published: Timestamp = trace.msg().ksuid().timestamp();
            trace.begins() && !trace.is_success() && span.contains(published)
        };
        let history = &self.admin.history;
        let listed =
            history.trail_of_endpoint(&endpoint.id, endpoint.spread, &walk, now, keep).await?;
        let pairs = listed.items.iter().map(|trace| (trace.msg(), endpoint.id));
        out.canceled = self.cancel_each(pairs.collect()).await?;
        out.iterator = listed.iterator;
        out.done = listed.done;
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Cancels deliveries, some of them at once; how many that were.
    async fn cancel_each(&self, pairs: Vec<(MessageId, EndpointId)>) -> Result<u64, ApiError> {
        let calls = pairs.into_iter().map(async |(msg, ep)| self.cancel(&msg, &ep).await);
        Ok(page::side_by_side(page::AT_ONCE, calls).await?.iter().sum())
    }

    /// Cancels one delivery, unless an attempt may be under way; how many that were.
    async fn cancel(&self, msg: &MessageId, ep: &EndpointId) -> Result<u64, ApiError> {
        let deliveries = &self.admin.pending;
        for _ in 0..CHANGES {
            let Some(found) = deliveries.delivery(msg, ep).await? else { return Ok(0) };
            let now = self.admin.ambient.now();
            match deliveries.advance(&found, Event::Canceled, now).await? {
                Advanced::Done { .. } => return Ok(1),
                Advanced::Refused(_) => return Ok(0),
                // The sweep claimed it, or it was put off: it waits as before.
                Advanced::Lost => {}
            }
        }
        Err(ApiError::Later(Later::Contended))
    }
}
