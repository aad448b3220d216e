//! What an endpoint was sent: message by message, and in numbers.
//!
//! Both walk the endpoint's trail. A message is listed once, where its delivery begins: with the
//! first attempt by schedule, without one while it waits or where it ended before, or with the
//! earliest attempt by hand where there was nothing by schedule. The numbers count attempts.

use std::str::FromStr;

use crate::JsonSchema;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError, Violation};
use shared::api::message::MessageOut;
use shared::api::request::query_value;
use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::delivery::Delivery;
use shared::domain::id::{AttemptId, EndpointId, MessageId};
use shared::store::{Tenant, Trace, Walk};

use crate::message::Filter;
use crate::standing::{CANCELED, FAIL, PENDING, SENDING, SUCCESS, Standing, Tried};
use crate::{Answer, Call, page};

/// Longest time that statistics can be asked about, in milliseconds: 28 days (Svix).
pub(crate) const MAX_SPAN_MS: u64 = 28 * 86_400_000;
/// Attempts that statistics read at a time, and how often they do at the most.
pub(crate) const STATS_PAGE: usize = 1000;
pub(crate) const STATS_PAGES: usize = 40;
/// Pages of the index that are read, at the most, to find a message to list: each of their entries
/// is looked up.
const PAGES: usize = 4;
/// How far apart moments are that ids tell apart, in milliseconds.
pub(crate) const MOMENT_MS: u64 = 4;
/// A message, and how far it is with the endpoint.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointMessageOut")]
pub(crate) struct AttemptedOut {
    #[serde(flatten)]
    message: MessageOut,
    #[serde(flatten)]
    standing: Standing,
}

/// How many attempts ended how, and how many deliveries wait for their first.
#[derive(Serialize, JsonSchema, Default)]
pub(crate) struct EndpointStats {
    success: u64,
    pending: u64,
    sending: u64,
    fail: u64,
    canceled: u64,
}

/// A place in an endpoint's trail: an attempt's id, or the message's.
struct Place;

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_place = text.parse::<AttemptId>().is_ok() || text.parse::<MessageId>().is_ok();
        is_place.then_some(Self).ok_or(())
    }
}

impl Call<'_> {
    /// The messages that were sent to an endpoint. A page may be short, or even empty, before the
    /// list is done.
    pub(crate) async fn attempted_messages(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let (endpoint, spread) = (endpoint.id, endpoint.spread);
        let mut walk = page::walk::<Place>(self.request, true)?;
        if let Some(msg) = walk.iterator.as_ref().and_then(|place| place.parse().ok()) {
            walk.iterator = Some(self.admin.history.place_in_trail(&msg, &endpoint).await?);
        }
        let filter = Filter::of(self.request)?;
        let status = self.wanted_status()?;
        let with_content = self.wants_content()?;
        let now = self.admin.ambient.now();
        let keep = |trace: &Trace| match trace {
            Trace::Attempt(attempt) => {
                may_be_first(attempt)
                    // One that succeeded at once is looked up only for who wants to see it.
                    && (!attempt.ok || status.is_none_or(|wanted| wanted == SUCCESS.0))
                    && filter.keeps_attempt(attempt)
            }
            Trace::Unattempted(_) => status != Some(SUCCESS.0),
        };
        let mut pages = PAGES;
        loop {
            let history = &self.admin.history;
            let listed = history.trail_of_endpoint(&endpoint, spread, &walk, now, keep).await?;
            // Where the filter kept nothing of the index, that was read as far as a page may.
            let has_some = !listed.items.is_empty();
            let mut filling = page::Filling::new(&walk, listed);
            let (tenant, endpoint, filter) = (&tenant, &endpoint, &filter);
            let look = |trace: Trace| async move {
                let shown = self.attempted(tenant, endpoint, &trace, filter, with_content);
                let wanted = |shown: &AttemptedOut| {
                    status.is_none_or(|wanted| shown.standing.status == wanted)
                };
                Ok(shown.await?.filter(wanted))
            };
            filling.fill(Trace::id, look).await?;
            pages -= 1;
            let Some(further) = filling.further().filter(|_| has_some && pages > 0) else {
                return Ok(filling.finish());
            };
            walk.iterator = Some(further);
        }
    }

    /// Numbers of the last 28 days, or of less: the attempts by how they ended, and the deliveries
    /// that have none by how far they are. Of an endpoint that was sent very much in that time,
    /// the latest 40,000 count.
    pub(crate) async fn endpoint_stats(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        let (endpoint, spread) = (endpoint.id, endpoint.spread);
        let mut walk = self.counted_span()?;
        let now = self.admin.ambient.now();
        let mut stats = EndpointStats::default();
        for _ in 0..STATS_PAGES {
            let history = &self.admin.history;
            let listed = history.trail_of_endpoint(&endpoint, spread, &walk, now, |_| true).await?;
            for trace in &listed.items {
                stats.count(match trace {
                    Trace::Unattempted(delivery) => {
                        Standing::of(Some(delivery), Tried::default(), now).status
                    }
                    Trace::Attempt(attempt) if attempt.ok => SUCCESS.0,
                    Trace::Attempt(_) => FAIL.0,
                });
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
        ep: &EndpointId,
        trace: &Trace,
        filter: &Filter,
        with_content: bool,
    ) -> Result<Option<AttemptedOut>, ApiError> {
        let msg = trace.msg();
        // The index may lag, so what it says of a delivery is asked for anew.
        let delivery = match trace.is_success() {
            true => None,
            false => self.admin.pending.delivery(&msg, ep).await?.map(|found| found.value),
        };
        let unattempted = delivery.as_ref().is_some_and(Delivery::is_unattempted);
        match trace {
            Trace::Unattempted(_) if !unattempted => return Ok(None),
            Trace::Attempt(attempt) if matches!(attempt.trigger, Trigger::Manual(_)) => {
                if unattempted || !self.is_first(attempt).await? {
                    return Ok(None);
                }
            }
            Trace::Unattempted(_) | Trace::Attempt(_) => {}
        }
        let (app, now) = (&tenant.application.id, self.admin.ambient.now());
        let found = self.admin.history.message(app, &msg.to_string(), now).await?;
        let Some(message) = found.filter(|message| filter.keeps_message(message)) else {
            return Ok(None);
        };
        let tried = match trace {
            Trace::Attempt(attempt) => Tried::of([attempt]),
            Trace::Unattempted(_) => Tried::default(),
        };
        let standing = Standing::of(delivery.as_ref(), tried, now);
        Ok(Some(AttemptedOut { message: MessageOut::of(message, with_content), standing }))
    }

    async fn is_first(&self, attempt: &Attempt) -> Result<bool, ApiError> {
        let to_it = self.admin.history.attempts_of_pair(&attempt.msg, &attempt.ep).await?;
        let scheduled = to_it.iter().any(|other| matches!(other.trigger, Trigger::Scheduled(_)));
        Ok(!scheduled && to_it.iter().all(|other| other.id >= attempt.id))
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
        let said = moment("until")?;
        let until = said.unwrap_or_else(|| self.admin.ambient.now());
        let since = moment("since")?.unwrap_or_else(|| until.minus_ms(MAX_SPAN_MS));
        if since > until {
            return Err(match said {
                Some(_) => Violation::query("until", "must not be before `since`").into(),
                None => Violation::query("since", "must not be in the future").into(),
            });
        }
        if until.since(since) > MAX_SPAN_MS {
            let rule = "`since` must be at most 28 days before `until`.";
            return Err(ApiError::bad_request("invalid_range", rule));
        }
        Ok(Walk {
            descending: true,
            after: Some(since),
            // What was sent in this very moment counts.
            before: Some(until.plus_ms(MOMENT_MS)),
            ..Walk::onward(STATS_PAGE, None)
        })
    }
}

impl EndpointStats {
    fn count(&mut self, status: u8) {
        let counter = match status {
            status if status == SUCCESS.0 => &mut self.success,
            status if status == PENDING.0 => &mut self.pending,
            status if status == SENDING.0 => &mut self.sending,
            status if status == CANCELED.0 => &mut self.canceled,
            _ => &mut self.fail,
        };
        *counter += 1;
    }
}

fn may_be_first(attempt: &Attempt) -> bool {
    matches!(attempt.trigger, Trigger::Scheduled(1) | Trigger::Manual(_))
}
