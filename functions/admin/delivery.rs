//! Messages and how far each is, line by line: what a list of deliveries shows.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use serde::Serialize;
use shared::api::error::ApiError;
use shared::api::request::{query_flag, query_value};
use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{AttemptId, EndpointId, MessageId};
use shared::domain::message::Message;
use shared::store::{Listed, Tenant, Trace, Walk};

use crate::explain::attempts_of;
use crate::message::Filter;
use crate::standing::{NOWHERE, OnRecord, STATES, Stand, Tried, WAITING};
use crate::{Answer, Call, page};

/// Deliveries that a page is made of, at the most, where its messages went to more than a few
/// endpoints: each is an item that is read.
const MOST_DELIVERIES: usize = 50_000;

/// A message, and how far it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryOut {
    id: MessageId,
    event_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
    /// When it was published; in an endpoint's list, when it was last tried, if it was.
    #[schemars(with = "Moment")]
    timestamp: String,
    /// `delivered` to all, `failing` at one at least and tried again, `failed` at one for good,
    /// `canceled` before that, `waiting` for its first attempt, or sent to `none`.
    state: &'static str,
    /// Endpoints that it was or is to be sent to, also those that were deleted since.
    endpoints: usize,
    /// How many of them took it.
    delivered: usize,
    /// Attempts by schedule of the delivery that is furthest from success.
    attempt: u32,
    /// Attempts that this delivery gets at the most.
    attempts: u32,
    #[schemars(with = "Option<Moment>")]
    next_attempt: Option<String>,
    /// HTTP status of the latest attempt; 0 without an answer, none without an attempt.
    status: Option<u16>,
    duration_ms: Option<u64>,
    #[schemars(with = "Option<Moment>")]
    attempted_at: Option<String>,
}

impl Call<'_> {
    /// The application's messages, or those that one endpoint was last sent or is to be sent.
    pub(crate) async fn list_deliveries(&self, app: &str) -> Answer {
        let wanted = query_value(self.request, "state");
        if wanted.as_deref().is_some_and(|state| !STATES.contains(&state)) {
            let rule = format!("must be one of {}", STATES.join(", "));
            return Err(ApiError::bad_query("state", rule));
        }
        // Whoever writes it wrongly is told, whether or not it means anything here.
        query_flag(self.request, "in_payload", false)?;
        let keep = |shown: &DeliveryOut| wanted.as_deref().is_none_or(|state| state == shown.state);
        match query_value(self.request, "endpoint_id") {
            Some(_) if query_value(self.request, "q").is_some() => {
                Err(ApiError::bad_query("q", "cannot be given together with `endpoint_id`"))
            }
            Some(ep) => {
                let (tenant, endpoint) = self.endpoint(app, &ep).await?;
                self.deliveries_of_endpoint(&tenant, &endpoint, keep).await
            }
            None => {
                let tenant = self.whole_tenant(app).await?;
                self.deliveries_of_application(&tenant, keep).await
            }
        }
    }

    async fn deliveries_of_application(
        &self,
        tenant: &Tenant,
        keep: impl Fn(&DeliveryOut) -> bool,
    ) -> Answer {
        let mut walk = page::walk::<MessageId>(self.request, true)?;
        let fan_out = tenant.endpoints.len().max(1);
        walk.limit = walk.limit.min((MOST_DELIVERIES / fan_out).max(1));
        let listed = match query_value(self.request, "q") {
            Some(text) => self.searched(tenant, &mut walk, &self.wanted(text)?).await?,
            None => self.published(tenant, &walk).await?,
        };
        let Listed { items, iterator, prev, done } = listed;
        let shown = items.iter().map(|message| self.delivery_of(tenant, message));
        let shown = page::side_by_side(page::AT_ONCE, shown).await?;
        let items = shown.into_iter().filter(keep).collect();
        Ok(page::respond(Listed { items, iterator, prev, done }, |shown| shown))
    }

    async fn published(&self, tenant: &Tenant, walk: &Walk) -> Result<Listed<Message>, ApiError> {
        let (filter, now) = (Filter::of(self.request)?, self.admin.ambient.now());
        let (app, spread) = (&tenant.application.id, tenant.application.spread);
        let keeps = |message: &Message| filter.keeps_message(message);
        Ok(self.admin.history.messages(app, spread, walk, now, keeps).await?)
    }

    async fn delivery_of(
        &self,
        tenant: &Tenant,
        message: &Message,
    ) -> Result<DeliveryOut, ApiError> {
        let (attempts, deliveries) = self.admin.history.outcome_of_message(&message.id).await?;
        let now = self.admin.ambient.now();
        let on_record = OnRecord::of(&attempts, &deliveries);
        let mut parts: Vec<Part> = Vec::new();
        let mut deleted = on_record.endpoints();
        for endpoint in &tenant.endpoints {
            deleted.remove(&endpoint.id);
            parts.extend(Part::of(&on_record, endpoint.id, now));
        }
        for part in deleted.into_iter().filter_map(|ep| Part::of(&on_record, ep, now)) {
            parts.push(Part { stand: part.stand.of_the_deleted(), ..part });
        }
        let worst = parts.iter().max_by_key(|part| part.stand.badness());
        let state = match worst {
            Some(part) => part.stand.state(),
            None if self.is_canceled(message).await? => Stand::Canceled.state(),
            None if self.is_on_its_way(tenant, message).await? => WAITING,
            None => NOWHERE,
        };
        let most = match worst {
            Some(part) => self.attempts_to(tenant, &part.ep, &message.event_type).await?,
            None => 0,
        };
        let latest = worst.and_then(|part| part.latest).or(attempts.first());
        let open = parts.iter().filter(|part| part.stand != Stand::Failed);
        let next = open.filter_map(|part| part.delivery?.next_at()).min();
        Ok(DeliveryOut {
            id: message.id,
            event_type: message.event_type.clone(),
            event_id: message.event_id.as_ref().map(|id| id.as_str().to_owned()),
            tags: message.tags.clone(),
            channels: message.channels.clone(),
            timestamp: message.at.to_rfc3339(),
            state,
            endpoints: parts.len(),
            delivered: parts.iter().filter(|part| part.stand == Stand::Delivered).count(),
            attempt: worst.map_or(0, Part::scheduled),
            attempts: most,
            next_attempt: next.map(Timestamp::to_rfc3339),
            status: latest.map(|attempt| attempt.status),
            duration_ms: latest.map(|attempt| attempt.ms),
            attempted_at: latest.map(|attempt| attempt.at.to_rfc3339()),
        })
    }

    async fn deliveries_of_endpoint(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        keep: impl Fn(&DeliveryOut) -> bool,
    ) -> Answer {
        let walk = page::walk::<AttemptId>(self.request, true)?;
        let (filter, now) = (Filter::of(self.request)?, self.admin.ambient.now());
        let keeps = |trace: &Trace| match trace {
            Trace::Attempt(attempt) => filter.keeps_attempt(attempt),
            // Only its message says it.
            Trace::Unattempted(_) => true,
        };
        let (ep, spread) = (&endpoint.id, endpoint.spread);
        let listed = self.admin.history.trail_of_endpoint(ep, spread, &walk, now, keeps).await?;
        let Listed { items, iterator, prev, done } = listed;
        let shown = self.newest_of_each(tenant, &items, &filter).await?;
        let items = shown.into_iter().filter(keep).collect();
        Ok(page::respond(Listed { items, iterator, prev, done }, |shown| shown))
    }

    /// Messages by the first of their traces among these, which are of one endpoint.
    pub(crate) async fn newest_of_each(
        &self,
        tenant: &Tenant,
        traces: &[Trace],
        filter: &Filter,
    ) -> Result<Vec<DeliveryOut>, ApiError> {
        let mut seen = std::collections::HashSet::new();
        let newest = traces.iter().filter(|trace| seen.insert(trace.msg()));
        let shown = newest.map(|trace| self.delivery_by(tenant, trace, filter));
        Ok(page::side_by_side(page::AT_ONCE, shown).await?.into_iter().flatten().collect())
    }

    /// `None` for what the filter does not keep, or what is over meanwhile.
    async fn delivery_by(
        &self,
        tenant: &Tenant,
        trace: &Trace,
        filter: &Filter,
    ) -> Result<Option<DeliveryOut>, ApiError> {
        match trace {
            Trace::Attempt(attempt) => self.delivery_to(tenant, attempt).await.map(Some),
            Trace::Unattempted(delivery) => self.unattempted(tenant, delivery, filter).await,
        }
    }

    /// A message that the endpoint was not sent yet, or not before it was given up.
    async fn unattempted(
        &self,
        tenant: &Tenant,
        delivery: &Delivery,
        filter: &Filter,
    ) -> Result<Option<DeliveryOut>, ApiError> {
        let (now, msg) = (self.admin.ambient.now(), delivery.msg.to_string());
        let (history, app) = (&self.admin.history, &tenant.application.id);
        let found = history.message(app, &msg, now).await?;
        let Some(message) = found.filter(|message| filter.keeps_message(message)) else {
            return Ok(None);
        };
        let Some(stand) = Stand::of(Some(delivery), Tried::default(), now) else { return Ok(None) };
        Ok(Some(DeliveryOut {
            id: message.id,
            event_id: message.event_id.as_ref().map(|id| id.as_str().to_owned()),
            timestamp: message.at.to_rfc3339(),
            state: stand.state(),
            endpoints: 1,
            delivered: 0,
            attempt: 0,
            attempts: self.attempts_to(tenant, &delivery.ep, &message.event_type).await?,
            next_attempt: delivery.next_at().map(Timestamp::to_rfc3339),
            status: None,
            duration_ms: None,
            attempted_at: None,
            event_type: message.event_type,
            tags: message.tags,
            channels: message.channels,
        }))
    }

    /// The same for one endpoint. One that succeeded is not looked up.
    async fn delivery_to(
        &self,
        tenant: &Tenant,
        attempt: &Attempt,
    ) -> Result<DeliveryOut, ApiError> {
        let delivery = match attempt.ok {
            true => None,
            false => self.admin.pending.glance(&attempt.msg, &attempt.ep).await?,
        };
        let stand = Stand::of(delivery.as_ref(), Tried::of([attempt]), self.admin.ambient.now());
        let stand = stand.unwrap_or(Stand::Failed);
        let part =
            Part { ep: attempt.ep, delivery: delivery.as_ref(), latest: Some(attempt), stand };
        Ok(DeliveryOut {
            id: attempt.msg,
            event_type: attempt.event_type.clone(),
            event_id: None,
            tags: attempt.tags.clone(),
            channels: attempt.channels.clone(),
            timestamp: attempt.at.to_rfc3339(),
            state: stand.state(),
            endpoints: 1,
            delivered: usize::from(stand == Stand::Delivered),
            attempt: part.scheduled(),
            attempts: self.attempts_to(tenant, &attempt.ep, &attempt.event_type).await?,
            next_attempt: delivery.as_ref().and_then(Delivery::next_at).map(Timestamp::to_rfc3339),
            status: Some(attempt.status),
            duration_ms: Some(attempt.ms),
            attempted_at: Some(attempt.at.to_rfc3339()),
        })
    }

    async fn attempts_to(
        &self,
        tenant: &Tenant,
        ep: &EndpointId,
        event_type: &str,
    ) -> Result<u32, ApiError> {
        let Some(endpoint) = tenant.endpoint_by_id(ep) else { return Ok(0) };
        let settings = &self.admin.event_type_settings;
        let of_type = settings.of(&tenant.application, event_type).await?;
        let profile = self.admin.profiles.of_endpoint(&tenant.application, endpoint).await?;
        Ok(attempts_of(endpoint, &of_type, &profile))
    }
}

/// A message at one endpoint.
struct Part<'a> {
    ep: EndpointId,
    delivery: Option<&'a Delivery>,
    latest: Option<&'a Attempt>,
    stand: Stand,
}

impl<'a> Part<'a> {
    /// As it is on record, if it is.
    fn of(on_record: &OnRecord<'a>, ep: EndpointId, now: Timestamp) -> Option<Self> {
        let (delivery, made) = on_record.at(&ep);
        let stand = Stand::of(delivery, Tried::of(made.iter().copied()), now)?;
        Some(Self { ep, delivery, latest: made.first().copied(), stand })
    }

    fn scheduled(&self) -> u32 {
        let made = self.latest.map_or(0, |attempt| match attempt.trigger {
            Trigger::Scheduled(number) => number,
            Trigger::Manual(_) => 0,
        });
        made.max(self.delivery.map_or(0, |delivery| delivery.attempts))
    }
}
