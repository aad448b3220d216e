//! What an endpoint was sent: message by message, and in numbers.
//!
//! Both walk the endpoint's attempts. A message counts once, at the first attempt to send it
//! there: the first by schedule, or the earliest by hand where there was none by schedule.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError, Violation};
use shared::api::request::query_value;
use shared::domain::attempt::{Attempt, Delivery, Turn};
use shared::domain::id::AttemptId;
use shared::store::{Listed, Tenant, Walk};

use crate::attempt::{CANCELED, FAIL, PENDING, SENDING, SUCCESS};
use crate::endpoint::endpoint_of;
use crate::message::{Filter, MessageOut};
use crate::{Answer, Call, page};

/// Longest time that statistics can be asked about, in milliseconds: 28 days (Svix).
const MAX_SPAN_MS: u64 = 28 * 86_400_000;
/// Attempts that statistics read at a time, and how often they do at the most.
const STATS_PAGE: usize = 1000;
pub(crate) const STATS_PAGES: usize = 40;
/// Failed first attempts whose fate is looked up for statistics, at the most.
const STATS_LOOKUPS: usize = 500;
/// How far apart moments are that ids tell apart, in milliseconds.
pub(crate) const MOMENT_MS: u64 = 4;
/// A delivery whose first attempt is older than this has been decided, in milliseconds: longer
/// than the default schedule takes with the most jitter.
const DECIDED_MS: u64 = 36 * 3_600_000;

/// A message, and how far it is with the endpoint.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointMessageOut")]
pub(crate) struct AttemptedOut {
    #[serde(flatten)]
    message: MessageOut,
    status: u8,
    status_text: &'static str,
    #[schemars(with = "Option<Moment>")]
    next_attempt: Option<String>,
}

/// How many messages are how far with the endpoint.
#[derive(Serialize, JsonSchema, Default)]
pub(crate) struct EndpointStats {
    success: u64,
    pending: u64,
    sending: u64,
    fail: u64,
    canceled: u64,
}

type Standing = (u8, &'static str);

impl Call<'_> {
    /// The messages that were sent to an endpoint. A page may be short before the list is done.
    pub(crate) async fn attempted_messages(&self, app: &str, ep: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let endpoint = endpoint_of(&tenant, ep)?.id;
        let walk = page::walk::<AttemptId>(self.request, true)?;
        let filter = Filter::of(self.request);
        let status = self.wanted_status()?;
        let with_content = self.wants_content()?;
        let now = self.admin.ambient.now();
        let keep = |attempt: &Attempt| {
            let subject = attempt.subject.as_deref();
            may_be_first(attempt)
                // One that succeeded at once is looked up only for who wants to see it.
                && (!attempt.ok || status.is_none_or(|wanted| wanted == SUCCESS.0))
                && filter.keeps(&attempt.event_type, &attempt.channels, &attempt.tags, subject)
        };
        let listed = self.admin.history.attempts_of_endpoint(&endpoint, &walk, now, keep).await?;
        let mut items = Vec::with_capacity(listed.items.len());
        for attempt in &listed.items {
            let Some(shown) = self.attempted(&tenant, attempt, with_content).await? else {
                continue;
            };
            if status.is_none_or(|wanted| shown.status == wanted) {
                items.push(shown);
            }
        }
        let Listed { iterator, prev, done, .. } = listed;
        Ok(page::respond(&walk, Listed { items, iterator, prev, done }, |shown| shown))
    }

    /// Numbers of the last 28 days, or of less. Of an endpoint that was sent very much in that
    /// time, the latest 40,000 attempts count. What was only ever sent by hand does not.
    pub(crate) async fn endpoint_stats(&self, app: &str, ep: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let endpoint = endpoint_of(&tenant, ep)?.id;
        let mut walk = self.counted_span()?;
        let now = self.admin.ambient.now();
        let mut stats = EndpointStats::default();
        let mut lookups = 0;
        for _ in 0..STATS_PAGES {
            let history = &self.admin.history;
            let listed =
                history.attempts_of_endpoint(&endpoint, &walk, now, is_scheduled_first).await?;
            for attempt in &listed.items {
                let standing = match attempt.ok {
                    true => SUCCESS,
                    false if lookups < STATS_LOOKUPS => {
                        lookups += 1;
                        let delivery = self.admin.pending.delivery(&attempt.msg, &endpoint).await?;
                        self.stands(attempt, delivery.map(|found| found.delivery).as_ref()).0
                    }
                    false if now.since(attempt.at) > DECIDED_MS => FAIL,
                    false => PENDING,
                };
                stats.count(standing);
            }
            if listed.done {
                break;
            }
            walk.iterator = listed.iterator;
        }
        Ok(error::json(StatusCode::OK, &stats))
    }

    async fn attempted(
        &self,
        tenant: &Tenant,
        attempt: &Attempt,
        with_content: bool,
    ) -> Result<Option<AttemptedOut>, ApiError> {
        let history = &self.admin.history;
        if matches!(attempt.turn, Turn::Manual(_)) && !self.is_first(attempt).await? {
            return Ok(None);
        }
        let (app, now) = (&tenant.application.id, self.admin.ambient.now());
        let Some(mut message) = history.message(app, &attempt.msg.to_string(), now).await? else {
            return Ok(None);
        };
        if !with_content {
            message.payload.clear();
        }
        let delivery = match attempt.ok {
            true => None,
            false => self.admin.pending.delivery(&attempt.msg, &attempt.ep).await?,
        };
        let delivery = delivery.map(|found| found.delivery);
        let ((status, status_text), next_attempt) = self.stands(attempt, delivery.as_ref());
        let message = MessageOut::from(message);
        Ok(Some(AttemptedOut { message, status, status_text, next_attempt }))
    }

    async fn is_first(&self, attempt: &Attempt) -> Result<bool, ApiError> {
        let attempts = self.admin.history.attempts_of_message(&attempt.msg).await?;
        let to_it = || attempts.iter().filter(|other| other.ep == attempt.ep);
        let scheduled = to_it().any(|other| matches!(other.turn, Turn::Scheduled(_)));
        Ok(!scheduled && to_it().all(|other| other.id >= attempt.id))
    }

    /// How far a message is that was first sent by this attempt.
    fn stands(&self, first: &Attempt, delivery: Option<&Delivery>) -> (Standing, Option<String>) {
        match delivery {
            _ if first.ok => (SUCCESS, None),
            None => (FAIL, None),
            Some(_) => self.standing(delivery),
        }
    }

    fn wanted_status(&self) -> Result<Option<u8>, ApiError> {
        match query_value(self.request, "status").as_deref() {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(status @ 0..=4) => Ok(Some(status)),
                _ => Err(ApiError::bad_query("status", "must be 0, 1, 2, 3 or 4")),
            },
        }
    }

    /// The time that statistics are asked about, newest first.
    pub(crate) fn counted_span(&self) -> Result<Walk, ApiError> {
        let moment = |name| page::moment(self.request, name);
        let until = moment("until")?.unwrap_or_else(|| self.admin.ambient.now());
        let since = moment("since")?.unwrap_or_else(|| until.minus_ms(MAX_SPAN_MS));
        if since > until {
            return Err(Violation::query("until", "must not be before `since`").into());
        }
        if until.since(since) > MAX_SPAN_MS {
            return Err(Violation::query("since", "must be at most 28 days before `until`").into());
        }
        Ok(Walk {
            limit: STATS_PAGE,
            descending: true,
            iterator: None,
            backward: false,
            after: Some(since),
            // What was sent in this very moment counts.
            before: Some(until.plus_ms(MOMENT_MS)),
        })
    }
}

impl EndpointStats {
    fn count(&mut self, standing: Standing) {
        let counter = match standing {
            SUCCESS => &mut self.success,
            PENDING => &mut self.pending,
            SENDING => &mut self.sending,
            CANCELED => &mut self.canceled,
            _ => &mut self.fail,
        };
        *counter += 1;
    }
}

fn is_scheduled_first(attempt: &Attempt) -> bool {
    attempt.turn == Turn::Scheduled(1)
}

fn may_be_first(attempt: &Attempt) -> bool {
    matches!(attempt.turn, Turn::Scheduled(1) | Turn::Manual(_))
}
