//! Retry schedules and timeouts, as callers send them about endpoints and event types.

use shared::api::error::ApiError;
use shared::api::patch::Field;
use shared::api::rules::Rules;
use shared::domain::delivery_settings::{DeliverySettings, MAX_DELAY_S, MAX_RETRIES, TIMEOUT_MS};

use crate::Call;

/// What a caller says: a schedule of delays and a timeout, both in seconds.
pub(crate) type DeliverySettingsIn<'a> = (&'a Field<Vec<u64>>, &'a Field<u64>);

impl Call<'_> {
    /// Sees to it that what was said about an event type is found by deliveries: its
    /// organisation's applications say whether there is anything to look for.
    pub(crate) async fn announce(
        &self,
        (schedule, timeout): DeliverySettingsIn<'_>,
    ) -> Result<(), ApiError> {
        if schedule.value().is_some() || timeout.value().is_some() {
            let org = self.access.organisation();
            self.admin.editor.mark_applications(&org, self.admin.ambient.now()).await?;
        }
        Ok(())
    }
}

/// Refuses what cannot be done.
pub(crate) fn check_delivery_settings(
    rules: &mut Rules,
    (schedule, timeout): DeliverySettingsIn<'_>,
) {
    let delays = schedule.value().map(Vec::as_slice).unwrap_or_default();
    if delays.len() > MAX_RETRIES {
        let rule = format!("must have at most {MAX_RETRIES} delays: leave the last ones out");
        rules.broken("retrySchedule", rule);
    }
    for (position, delay) in delays.iter().enumerate() {
        if !(1..=MAX_DELAY_S).contains(delay) {
            let rule = format!("must be 1 to {MAX_DELAY_S} seconds");
            rules.broken(&format!("retrySchedule.{position}"), rule);
        }
    }
    let (least, most) = (TIMEOUT_MS.start() / 1000, TIMEOUT_MS.end() / 1000);
    if timeout.value().is_some_and(|seconds| !(least..=most).contains(seconds)) {
        rules.broken("timeoutSeconds", format!("must be {least} to {most} seconds"));
    }
}

/// Changes delivery settings as the caller says.
pub(crate) fn apply_delivery_settings(
    settings: &mut DeliverySettings,
    (schedule, timeout): DeliverySettingsIn<'_>,
) {
    schedule.apply(&mut settings.schedule_s);
    match timeout {
        Field::Absent => {}
        Field::Null => settings.timeout_ms = None,
        Field::Value(seconds) => settings.timeout_ms = Some(seconds.saturating_mul(1000)),
    }
}
