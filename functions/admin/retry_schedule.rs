//! The retry schedule of an event type, under the path and in the shape that Svix has for it.
//!
//! The same schedule is the field `retrySchedule` of the event type itself, in whole seconds.

use crate::JsonSchema;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError};
use shared::api::patch::Field;
use shared::api::request;
use shared::api::rules::Rules;
#[cfg(feature = "description")]
use shared::domain::delivery_settings::{MAX_DELAY_S, MAX_RETRIES};

use crate::delivery_settings::{apply_delivery_settings, check_delivery_settings};
use crate::{Answer, Call};

/// What a caller sends: seconds, or durations as older SDKs write them. Without any, or with
/// `null`, the event type has none of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetryScheduleIn {
    #[schemars(length(max = MAX_RETRIES))]
    retry_schedule: Option<Vec<Time>>,
}

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetryScheduleOut {
    retry_schedule: Option<Vec<DurationOut>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "must be whole seconds, or a duration such as {\"secs\": 60}")]
enum Time {
    Seconds(#[schemars(range(min = 1, max = MAX_DELAY_S))] u64),
    Duration(DurationIn),
}

/// A time of whole seconds.
#[derive(Deserialize, JsonSchema)]
struct DurationIn {
    #[schemars(range(min = 1, max = MAX_DELAY_S))]
    secs: u64,
    #[serde(default)]
    #[schemars(range(max = 0))]
    nanos: u32,
}

/// A time of whole seconds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Duration")]
struct DurationOut {
    secs: u64,
    nanos: u32,
}

impl Call<'_> {
    pub(crate) async fn get_retry_schedule(&self, name: &str) -> Answer {
        let found = self.admin.catalogue.find(&self.access.organisation(), name).await?;
        let found = found.ok_or_else(ApiError::not_found)?;
        Ok(show(found.settings.schedule_s.as_deref()))
    }

    pub(crate) async fn set_retry_schedule(&self, name: &str) -> Answer {
        let input: RetryScheduleIn = request::body(self.request)?;
        let mut rules = Rules::default();
        let times = input.retry_schedule.map(|times| {
            let seconds = times.iter().enumerate().map(|(position, time)| match time {
                Time::Seconds(seconds) => *seconds,
                Time::Duration(time) => {
                    if time.nanos != 0 {
                        let field = format!("retrySchedule.{position}.nanos");
                        rules.broken(&field, "must be 0: delays are whole seconds");
                    }
                    time.secs
                }
            });
            seconds.collect::<Vec<u64>>()
        });
        let schedule = times.map_or(Field::Null, Field::Value);
        let settings = (&schedule, &Field::Absent);
        check_delivery_settings(&mut rules, settings);
        rules.check()?;
        let nobody = self.admin.notices.nobody();
        self.change_event_type(name, StatusCode::NO_CONTENT, &nobody, |old| {
            let mut new = old.ok_or_else(ApiError::not_found)?;
            apply_delivery_settings(&mut new.settings, settings);
            new.updated_at = self.admin.ambient.now();
            Ok(Some(new))
        })
        .await?;
        self.announce(settings).await?;
        Ok(show(schedule.value().map(Vec::as_slice)))
    }
}

fn show(seconds: Option<&[u64]>) -> http::Response<bytes::Bytes> {
    let duration = |secs: &u64| DurationOut { secs: *secs, nanos: 0 };
    let retry_schedule = seconds.map(|seconds| seconds.iter().map(duration).collect());
    error::json(StatusCode::OK, &RetryScheduleOut { retry_schedule })
}
