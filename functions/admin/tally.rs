//! Attempts and messages in numbers, beside what an endpoint's own statistics say: one count, an
//! application's messages, and what happened bucket by bucket.
//!
//! All of them count what is on record, in a bounded number of reads: past
//! [`STATS_PAGES`] pages of an endpoint's or application's trail the oldest are left out, and the
//! answer says so where its shape has a place for that.

use std::sync::Arc;

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError, Violation};
use shared::domain::attempt::Attempt;
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, AttemptId, Uid};
use shared::store::{Trace, Walk};

use crate::attempt::AttemptFilter;
use crate::attempted::{MAX_SPAN_MS, STATS_PAGE, STATS_PAGES};
use crate::{Answer, Call, page};

/// The two lengths of a bucket, in milliseconds, and the longest span that is cut into the
/// shorter ones (Svix has these two).
const FIVE_MINUTES_MS: u64 = 300_000;
const DAY_MS: u64 = 86_400_000;

/// How many attempts there are of a kind.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CountOut {
    /// Whether there may be more: counting ends at 40,000.
    approximated: bool,
    count: u64,
}

/// How many endpoints there are.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EndpointCountOut {
    count: usize,
}

/// What an application was sent in a while.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationStats {
    app_id: ApplicationId,
    app_uid: Option<Uid>,
    /// Messages, each counted for every endpoint that it went to.
    message_destinations: u64,
}

/// Attempts bucket by bucket.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AttemptStatisticsResponse")]
pub(crate) struct SeriesOut {
    #[schemars(with = "Moment")]
    start_date: String,
    #[schemars(with = "Moment")]
    end_date: String,
    /// How long a bucket is.
    period: Period,
    data: Series,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "StatisticsPeriod")]
enum Period {
    FiveMinutes,
    OneDay,
}

/// A number for each bucket, the first of them first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AttemptStatisticsData")]
struct Series {
    success_count: Vec<u64>,
    failure_count: Vec<u64>,
}

/// The buckets of a span, and what fell into them.
struct Buckets {
    since: Timestamp,
    bucket_ms: u64,
    series: Series,
}

impl Buckets {
    fn over(since: Timestamp, until: Timestamp) -> (Self, Period) {
        let span_ms = until.since(since);
        let (bucket_ms, period) = match span_ms <= DAY_MS {
            true => (FIVE_MINUTES_MS, Period::FiveMinutes),
            false => (DAY_MS, Period::OneDay),
        };
        let buckets = usize::try_from(span_ms.div_ceil(bucket_ms)).unwrap_or(0);
        let series = Series { success_count: vec![0; buckets], failure_count: vec![0; buckets] };
        (Self { since, bucket_ms, series }, period)
    }

    fn count(&mut self, attempt: &Attempt) {
        let at =
            usize::try_from(attempt.at.since(self.since) / self.bucket_ms).unwrap_or(usize::MAX);
        let counts = match attempt.ok {
            true => &mut self.series.success_count,
            false => &mut self.series.failure_count,
        };
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
    }
}

impl Call<'_> {
    /// The list of attempts by endpoint as a number.
    pub(crate) async fn count_attempts(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        let asked = page::walk::<AttemptId>(self.request, true)?;
        let filter = AttemptFilter::of(self.request)?;
        let walk = Walk {
            descending: true,
            after: asked.after,
            before: asked.before,
            ..Walk::onward(STATS_PAGE, None)
        };
        let mut out = CountOut { approximated: false, count: 0 };
        let mut budget = STATS_PAGES;
        let counted = |attempt: &Attempt| out.count += u64::from(filter.keeps(attempt));
        out.approximated = !self.each_attempt(&endpoint, walk, &mut budget, counted).await?;
        Ok(error::json(StatusCode::OK, &out))
    }

    /// How many endpoints an application has, disabled ones included.
    pub(crate) async fn count_endpoints(&self, app: &str) -> Answer {
        let count = self.whole_tenant(app).await?.endpoints.len();
        Ok(error::json(StatusCode::OK, &EndpointCountOut { count }))
    }

    /// How many messages an application's endpoints were sent, each counted where its delivery
    /// begins. The endpoints share the reads of one.
    pub(crate) async fn application_stats(&self, app: &str) -> Answer {
        let tenant = self.whole_tenant(app).await?;
        let span = self.counted_span()?;
        let now = self.admin.ambient.now();
        let (mut budget, mut message_destinations) = (STATS_PAGES, 0);
        for endpoint in &tenant.endpoints {
            let mut walk = span.clone();
            while budget > 0 {
                budget -= 1;
                let history = &self.admin.history;
                let (ep, spread) = (&endpoint.id, endpoint.spread);
                let listed =
                    history.trail_of_endpoint(ep, spread, &walk, now, Trace::begins).await?;
                message_destinations += listed.items.len() as u64;
                if listed.done {
                    break;
                }
                walk.iterator = listed.iterator;
            }
        }
        let application = &tenant.application;
        let (app_id, app_uid) = (application.id, application.uid.clone());
        let out = ApplicationStats { app_id, app_uid, message_destinations };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// What an endpoint answered, bucket by bucket.
    pub(crate) async fn endpoint_series(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        self.series([&endpoint]).await
    }

    /// The same for all endpoints of an application together. They share the reads of one.
    pub(crate) async fn application_series(&self, app: &str) -> Answer {
        let tenant = self.whole_tenant(app).await?;
        self.series(tenant.endpoints.iter().map(Arc::as_ref)).await
    }

    async fn series(&self, endpoints: impl IntoIterator<Item = &Endpoint>) -> Answer {
        let now = self.admin.ambient.now();
        let until = page::moment(self.request, "endDate")?.unwrap_or(now);
        let since = page::moment(self.request, "startDate")?;
        let since = since.unwrap_or_else(|| until.minus_ms(DAY_MS));
        if since > until {
            return Err(Violation::query("endDate", "must not be before `startDate`").into());
        }
        if until.since(since) > MAX_SPAN_MS {
            let rule = "`startDate` must be at most 28 days before `endDate`.";
            return Err(ApiError::bad_request("invalid_range", rule));
        }
        let (mut buckets, period) = Buckets::over(since, until);
        let mut budget = STATS_PAGES;
        for endpoint in endpoints {
            let walk = Walk {
                descending: true,
                after: Some(since),
                before: Some(until),
                ..Walk::onward(STATS_PAGE, None)
            };
            let count = |attempt: &Attempt| buckets.count(attempt);
            self.each_attempt(endpoint, walk, &mut budget, count).await?;
        }
        let (start_date, end_date) = (since.to_rfc3339(), until.to_rfc3339());
        let out = SeriesOut { start_date, end_date, period, data: buckets.series };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Every attempt to reach an endpoint on this way, as far as the budget of pages goes; whether
    /// it went to the end.
    pub(crate) async fn each_attempt(
        &self,
        endpoint: &Endpoint,
        mut walk: Walk,
        budget: &mut usize,
        mut each: impl FnMut(&Attempt),
    ) -> Result<bool, ApiError> {
        let now = self.admin.ambient.now();
        while *budget > 0 {
            *budget -= 1;
            let history = &self.admin.history;
            let (ep, spread) = (&endpoint.id, endpoint.spread);
            let listed = history.attempts_of_endpoint(ep, spread, &walk, now, |_| true).await?;
            listed.items.iter().for_each(&mut each);
            if listed.done {
                return Ok(true);
            }
            walk.iterator = listed.iterator;
        }
        Ok(false)
    }
}
