//! How an application's endpoints are doing: read, not counted. What changes seldom is on record
//! with the endpoint; the rest is made of its latest attempts, a bounded number of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Delivery;
use shared::domain::delivery_settings::DeliverySettings;
use shared::domain::endpoint::Endpoint;
use shared::domain::health::DISABLE_AFTER_MS;
use shared::domain::id::{ApplicationId, EndpointId, MessageId};
use shared::store::{Listed, Tenant, Trace, Walk};

use crate::explain::attempts_of;
use crate::failure::{self, Failure};
use crate::{Answer, Call, page};

/// Most attempts of one endpoint that count. Those that failed have headers of their answers: with
/// more of them a page of an endpoint that fails would cost over 21 read units.
const MOST_OF_ONE: usize = 60;
/// Most attempts that one request looks at, over all its endpoints.
const MOST_OF_ALL: usize = 1_000;
/// Attempts of each endpoint that count, however many endpoints there are.
const LEAST_OF_ONE: usize = 20;
/// How often the list of one endpoint is looked into for its [`RECENT`] attempts, each time for as
/// much as counts. More than once only where deliveries that were not attempted stand before them.
const LOOKS: usize = 4;
/// Traces that are kept for whoever shows the beginning of the list beside; and one more, which
/// tells that there are.
pub(crate) const BEGINNING: usize = 8;
/// Most deliveries that are looked up for what the attempts do not tell.
const MOST_LOOKED_UP: usize = 8;
/// Messages of which the next try is looked up because they were tried first.
const SOONEST: usize = 3;
/// How far back a picture reaches, in milliseconds.
const SPAN_MS: u64 = 86_400_000;
/// Bars of a picture.
const BARS: u64 = 48;
/// How far back pictures reach that are not complete: the shortest of these that has all that was
/// read, in milliseconds.
const SPANS_MS: [u64; 5] = [60_000, 600_000, 3_600_000, 6 * 3_600_000, SPAN_MS];
/// Latest attempts that say how an endpoint is: with these all failed it is failing.
const FAILING: usize = 3;
/// Latest attempts of which a tenth must not have failed in a healthy endpoint.
const RECENT: usize = 20;

/// How an endpoint is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointHealth {
    endpoint_id: EndpointId,
    app_id: ApplicationId,
    state: State,
    /// Since when every attempt has failed, if that is so.
    #[schemars(with = "Option<Moment>")]
    failing_since: Option<String>,
    /// When it is disabled if it goes on like this; only known once a delivery was given up.
    #[schemars(with = "Option<Moment>")]
    disables_at: Option<String>,
    /// When it was disabled, if it is.
    #[schemars(with = "Option<Moment>")]
    disabled_at: Option<String>,
    /// By whom: `customer` or `operator`, who asked for it, `request` where it was not kept who
    /// did; `gone` or `failing` where it was us, for its answers.
    disabled_by: Option<&'static str>,
    #[schemars(with = "Option<Moment>")]
    last_success: Option<String>,
    last_error: Option<ErrorOut>,
    /// Attempts that count.
    attempts: usize,
    /// How many of them failed.
    failed: usize,
    /// In 95 of 100 of them the answer took at most so long, in milliseconds.
    p95_ms: Option<u64>,
    /// Messages that wait: for another try, as far as the attempts that count tell (of those that
    /// were canceled they do not), or for their first.
    waiting: usize,
    /// How many of these were not tried yet. They are sent by themselves, once the endpoint answers
    /// again or its rate allows it.
    untried: usize,
    /// The next of these tries, as far as it was looked up.
    #[schemars(with = "Option<Moment>")]
    next_attempt: Option<String>,
    /// Whether the attempts that count are all of the last 24 hours.
    complete: bool,
    picture: Picture,
}

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EndpointState")]
pub(crate) enum State {
    /// It takes what it is sent.
    Healthy,
    /// A tenth or more of the latest attempts failed.
    Unsteady,
    /// The latest attempts all failed.
    Failing,
    /// It gets nothing.
    Disabled,
    /// It was sent nothing yet.
    Idle,
}

/// The last failed attempt.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointError")]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorOut {
    #[schemars(with = "Moment")]
    at: String,
    /// HTTP status; 0 without an answer.
    status: u16,
    /// Why there was no answer; empty with one.
    reason: String,
    #[serde(flatten)]
    failure: Failure,
}

/// Attempts by time.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Picture {
    /// When the first bar begins.
    #[schemars(with = "Moment")]
    since: String,
    /// How long each bar is, in milliseconds.
    step_ms: u64,
    /// Attempts that succeeded, bar by bar.
    success: Vec<u32>,
    /// Attempts that failed, bar by bar.
    fail: Vec<u32>,
}

/// An endpoint's latest attempts.
#[derive(Default)]
pub(crate) struct Latest {
    /// Newest first.
    pub(crate) attempts: Vec<Attempt>,
    /// Attempts that a delivery gets, as far as its event type has no schedule of its own.
    scheduled: u32,
    /// What its trail began with, attempts or not.
    pub(crate) beginning: Vec<Trace>,
    /// Messages that were not attempted yet.
    unattempted: usize,
    /// Messages that wait for another try though only tries by hand were seen of them.
    by_hand: usize,
    /// The earliest of the next tries that were looked up.
    next_at: Option<Timestamp>,
    complete: bool,
}

impl Call<'_> {
    /// The endpoints of an application, page by page.
    pub(crate) async fn application_health(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let mut walk = page::walk::<EndpointId>(self.request, true)?;
        walk.limit = walk.limit.min(MOST_OF_ALL / LEAST_OF_ONE);
        let listed = self.endpoints_of(&tenant, &walk).await?;
        let Listed { items, iterator, prev, done } = listed;
        let each = (MOST_OF_ALL / items.len().max(1)).clamp(LEAST_OF_ONE, MOST_OF_ONE);
        let shown = items.iter().map(|endpoint| self.health_of(&tenant, endpoint, each));
        let items = page::side_by_side(page::FEW, shown).await?;
        Ok(page::respond(Listed { items, iterator, prev, done }, |shown| shown))
    }

    /// One endpoint, with its next try.
    pub(crate) async fn endpoint_health(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let latest = self.latest_of_one(&tenant, &endpoint).await?;
        Ok(error::json(StatusCode::OK, &self.health_and_next_try(&endpoint, &latest).await?))
    }

    /// As many of an endpoint's latest attempts as count.
    pub(crate) async fn latest_of_one(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
    ) -> Result<Latest, ApiError> {
        self.latest(tenant, endpoint, MOST_OF_ONE).await
    }

    /// How the endpoint of these attempts is doing.
    pub(crate) async fn health_and_next_try(
        &self,
        endpoint: &Endpoint,
        latest: &Latest,
    ) -> Result<EndpointHealth, ApiError> {
        let found = self.glances(endpoint, &latest.soonest()).await?;
        let next = found.iter().filter_map(Delivery::next_at).chain(latest.next_at).min();
        let mut out = EndpointHealth::of(endpoint, latest, self.admin.ambient.now());
        out.next_attempt = next.map(Timestamp::to_rfc3339);
        Ok(out)
    }

    /// The deliveries of these messages, as they were a moment ago.
    async fn glances(
        &self,
        endpoint: &Endpoint,
        messages: &[MessageId],
    ) -> Result<Vec<Delivery>, ApiError> {
        let look = messages
            .iter()
            .map(async |msg| Ok(self.admin.pending.glance(msg, &endpoint.id).await?));
        Ok(page::side_by_side(page::FEW, look).await?.into_iter().flatten().collect())
    }

    pub(crate) async fn health_of(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        most: usize,
    ) -> Result<EndpointHealth, ApiError> {
        let latest = self.latest(tenant, endpoint, most).await?;
        Ok(EndpointHealth::of(endpoint, &latest, self.admin.ambient.now()))
    }

    /// Deliveries that were not attempted stand among the attempts. They take no attempt's place,
    /// as far as it takes [`LOOKS`] to find enough.
    async fn latest(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        most: usize,
    ) -> Result<Latest, ApiError> {
        let profile = self.admin.profiles.of_endpoint(&tenant.application, endpoint).await?;
        let scheduled = attempts_of(endpoint, &DeliverySettings::default(), &profile);
        let now = self.admin.ambient.now();
        let after = Some(now.minus_ms(SPAN_MS));
        let mut walk = Walk { descending: true, after, ..Walk::onward(most, None) };
        let (ep, spread) = (&endpoint.id, endpoint.spread);
        let mut latest = Latest { scheduled, ..Latest::default() };
        for _ in 0..LOOKS {
            let history = &self.admin.history;
            let listed = history.trail_of_endpoint(ep, spread, &walk, now, |_| true).await?;
            latest.add(listed.items);
            latest.complete = listed.done;
            if listed.done || latest.attempts.len() >= RECENT.min(most) {
                break;
            }
            walk.iterator = listed.iterator;
        }
        latest.complete &= latest.attempts.len() <= most;
        latest.attempts.truncate(most);
        let unknown = latest.only_by_hand();
        let looked_up = &unknown[..unknown.len().min(MOST_LOOKED_UP)];
        let found = self.glances(endpoint, looked_up).await?;
        let next = found.iter().filter_map(Delivery::next_at);
        (latest.by_hand, latest.next_at) = (next.clone().count(), next.min());
        latest.complete &= looked_up.len() == unknown.len();
        Ok(latest)
    }
}

impl Latest {
    /// Takes what comes next in the endpoint's list.
    fn add(&mut self, traces: Vec<Trace>) {
        for trace in traces {
            if self.beginning.len() <= BEGINNING {
                self.beginning.push(trace.clone());
            }
            match trace {
                Trace::Attempt(attempt) => self.attempts.push(attempt),
                Trace::Unattempted(delivery) if delivery.is_pending() => self.unattempted += 1,
                Trace::Unattempted(_) => {}
            }
        }
    }

    /// Messages that one of these attempts brought.
    fn arrived(&self) -> HashSet<MessageId> {
        self.attempts.iter().filter(|attempt| attempt.ok).map(|attempt| attempt.msg).collect()
    }

    /// Messages that did not arrive and of which only attempts by hand are among these: whether
    /// another one comes by schedule is on record elsewhere.
    fn only_by_hand(&self) -> Vec<MessageId> {
        let is_scheduled = |attempt: &&Attempt| matches!(attempt.trigger, Trigger::Scheduled(_));
        let scheduled = self.attempts.iter().filter(is_scheduled).map(|attempt| attempt.msg);
        let mut known: HashSet<_> = scheduled.chain(self.arrived()).collect();
        let messages = self.attempts.iter().map(|attempt| attempt.msg);
        messages.filter(|msg| known.insert(*msg)).collect()
    }

    /// Of the messages that wait for another try those whose next ones are likely to come first:
    /// those that were tried first, of as many as were tried as often and of all. Jitter may still
    /// put another one before them.
    fn soonest(&self) -> Vec<MessageId> {
        let waiting = self.waiting();
        let by_number: BTreeMap<u32, MessageId> =
            waiting.iter().map(|(msg, number)| (*number, *msg)).collect();
        let oldest = waiting.iter().rev().map(|(msg, _)| *msg).take(SOONEST);
        let all: BTreeSet<_> = by_number.into_values().chain(oldest).collect();
        all.into_iter().collect()
    }

    /// Messages whose latest attempt by schedule failed and was not the last, newest first, with
    /// its number. One that arrived waits for nothing, whatever was tried by hand. Whether a
    /// delivery was canceled, or barred, is on record elsewhere.
    fn waiting(&self) -> Vec<(MessageId, u32)> {
        let arrived = self.arrived();
        let mut seen = HashSet::new();
        let numbered = self.attempts.iter().filter_map(|attempt| match attempt.trigger {
            Trigger::Scheduled(number) => Some((attempt.msg, number)),
            Trigger::Manual(_) => None,
        });
        let newest = numbered.filter(|(msg, _)| seen.insert(*msg));
        let waiting =
            newest.filter(|(msg, number)| *number < self.scheduled && !arrived.contains(msg));
        waiting.collect()
    }

    fn failed_of(&self, most: usize) -> usize {
        self.attempts.iter().take(most).filter(|attempt| !attempt.ok).count()
    }

    fn state(&self, endpoint: &Endpoint) -> State {
        let (made, failing) = (self.attempts.len(), endpoint.health.failing.is_some());
        match made {
            _ if endpoint.disabled => State::Disabled,
            0 if failing => State::Failing,
            0 => State::Idle,
            _ if self.failed_of(FAILING) == made.min(FAILING) => State::Failing,
            _ if self.failed_of(RECENT) * 10 >= made.min(RECENT) => State::Unsteady,
            _ => State::Healthy,
        }
    }

    /// Since when every attempt has failed, as far as these tell.
    fn failing_since(&self) -> Option<Timestamp> {
        self.attempts.iter().take_while(|attempt| !attempt.ok).last().map(|attempt| attempt.at)
    }

    fn p95_ms(&self) -> Option<u64> {
        let mut took: Vec<u64> = self.attempts.iter().map(|attempt| attempt.ms).collect();
        took.sort_unstable();
        took.get((took.len() * 95).div_ceil(100).saturating_sub(1)).copied()
    }
}

impl EndpointHealth {
    fn of(endpoint: &Endpoint, latest: &Latest, now: Timestamp) -> Self {
        let health = &endpoint.health;
        let state = latest.state(endpoint);
        let success = latest.attempts.iter().find(|attempt| attempt.ok).map(|attempt| attempt.at);
        let error = latest.attempts.iter().find(|attempt| !attempt.ok);
        let noted = health.last_error.as_ref();
        let last_error = match error {
            Some(attempt) => Some(ErrorOut::new(attempt.at, attempt.status, &attempt.response)),
            None => noted.map(|noted| ErrorOut::new(noted.at, noted.status, &noted.reason)),
        };
        let is_failing = state == State::Failing;
        let noted_since = health.failing.map(|failing| failing.since);
        let since = [noted_since, endpoint.unanswered_since(), latest.failing_since()];
        let since = since.into_iter().flatten().min();
        let disabled = health.disabled.filter(|_| endpoint.disabled);
        let disables = endpoint.failing.filter(|_| is_failing);
        Self {
            endpoint_id: endpoint.id,
            app_id: endpoint.app,
            state,
            failing_since: since.filter(|_| is_failing).map(Timestamp::to_rfc3339),
            disables_at: disables
                .map(|failing| failing.since.plus_ms(DISABLE_AFTER_MS).to_rfc3339()),
            disabled_at: disabled.map(|disabled| disabled.at.to_rfc3339()),
            disabled_by: disabled.map(|disabled| disabled.by()),
            last_success: success.or(health.last_success).map(Timestamp::to_rfc3339),
            last_error,
            attempts: latest.attempts.len(),
            failed: latest.failed_of(usize::MAX),
            p95_ms: latest.p95_ms(),
            waiting: latest.waiting().len() + latest.by_hand + latest.unattempted,
            untried: latest.unattempted,
            next_attempt: latest.next_at.map(Timestamp::to_rfc3339),
            complete: latest.complete,
            picture: Picture::of(latest, now),
        }
    }
}

impl ErrorOut {
    fn new(at: Timestamp, status: u16, response: &str) -> Self {
        // An answer may be anything; only why there was none is ours to say.
        let reason = if status == 0 { response.to_owned() } else { String::new() };
        let failure = failure::explain(status, response);
        Self { at: at.to_rfc3339(), status, reason, failure }
    }
}

impl Picture {
    fn of(latest: &Latest, now: Timestamp) -> Self {
        let oldest = latest.attempts.last().map_or(0, |attempt| now.since(attempt.at));
        let span_ms = match latest.complete {
            true => SPAN_MS,
            false => SPANS_MS.into_iter().find(|span| *span > oldest).unwrap_or(SPAN_MS),
        };
        let step_ms = span_ms / BARS;
        let since = Timestamp((now.as_ms() / step_ms + 1).saturating_sub(BARS) * step_ms);
        let mut picture = Self {
            since: since.to_rfc3339(),
            step_ms,
            success: vec![0; BARS as usize],
            fail: vec![0; BARS as usize],
        };
        for attempt in latest.attempts.iter().filter(|attempt| attempt.at >= since) {
            let bars = if attempt.ok { &mut picture.success } else { &mut picture.fail };
            let bar = usize::try_from(attempt.at.since(since) / step_ms).unwrap_or(usize::MAX);
            if let Some(bar) = bars.get_mut(bar) {
                *bar += 1;
            }
        }
        picture
    }
}
