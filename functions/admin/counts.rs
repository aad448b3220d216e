//! Attempts to reach an endpoint in numbers: over a while, and against the rate that it asked for.
//!
//! Both count what is on record, in a bounded number of reads. What dispatchers share their rates
//! by is not read: it says when the next attempt may be made, not how many there were.

use crate::JsonSchema;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::attempt::Attempt;
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::Endpoint;
use shared::store::Walk;

use crate::attempted::{MOMENT_MS, STATS_PAGES};
use crate::{Answer, Call};

const HOUR_MS: u64 = 3_600_000;
/// How far back the status of a rate looks, in milliseconds.
const MINUTE_MS: u64 = 60_000;
/// Most attempts that count for it, about what its reads can bring.
const MAX_COUNTED: usize = 10_000;
/// The latest part of that time, in milliseconds, in which an endpoint is found to be at its
/// rate or not.
const LATELY_MS: u64 = 10_000;

/// How many attempts ended how.
#[derive(Serialize, JsonSchema, Default)]
#[schemars(rename = "EndpointAttemptStats")]
pub(crate) struct AttemptStats {
    success: u64,
    fail: u64,
    /// Always 0: what is canceled is not attempted.
    canceled: u64,
}

/// An endpoint's rate, and how near it is to it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RateStatus {
    /// Deliveries per second that the endpoint asked for.
    throttle_rate: Option<u16>,
    /// Deliveries per second to all of its application's endpoints together.
    application_throttle_rate: Option<u16>,
    /// Attempts in the last minute.
    attempts_last_minute: usize,
    /// Whether it was sent as much as it asked for in the last ten seconds, so that more would
    /// wait.
    at_limit: bool,
}

impl Call<'_> {
    /// Whole hours of the last 28 days, or of less; the latest 40,000 attempts count.
    pub(crate) async fn attempt_stats(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        let mut walk = self.counted_span()?;
        walk.after = walk.after.map(|at| Timestamp(at.as_ms() / HOUR_MS * HOUR_MS));
        walk.before = walk.before.map(|at| {
            let until = at.minus_ms(MOMENT_MS);
            Timestamp(until.as_ms().div_ceil(HOUR_MS) * HOUR_MS)
        });
        let (mut stats, mut budget) = (AttemptStats::default(), STATS_PAGES);
        let count = |attempt: &Attempt| {
            *if attempt.ok { &mut stats.success } else { &mut stats.fail } += 1;
        };
        self.each_attempt(&endpoint, walk, &mut budget, count).await?;
        Ok(error::json(StatusCode::OK, &stats))
    }

    pub(crate) async fn rate_status(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let attempts = self.last_minute(&endpoint).await?;
        let since = self.admin.ambient.now().minus_ms(LATELY_MS);
        let lately = attempts.iter().filter(|attempt| attempt.at > since).count();
        let at_rate = |rate: u16| lately as u64 * 1000 >= u64::from(rate) * LATELY_MS;
        let out = RateStatus {
            throttle_rate: endpoint.throttle_rate,
            application_throttle_rate: tenant.application.throttle_rate,
            attempts_last_minute: attempts.len(),
            at_limit: endpoint.throttle_rate.is_some_and(at_rate),
        };
        Ok(error::json(StatusCode::OK, &out))
    }

    async fn last_minute(&self, endpoint: &Endpoint) -> Result<Vec<Attempt>, ApiError> {
        let now = self.admin.ambient.now();
        let walk = Walk {
            descending: true,
            after: Some(now.minus_ms(MINUTE_MS)),
            ..Walk::onward(MAX_COUNTED, None)
        };
        let Endpoint { id, spread, .. } = endpoint;
        let listed = self.admin.history.attempts_of_endpoint(id, *spread, &walk, now, |_| true);
        Ok(listed.await?.items)
    }
}
