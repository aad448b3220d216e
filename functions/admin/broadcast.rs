//! One event for every application of the organisation, in the background.

use shared::api::error::{ApiError, Violation};
use shared::api::message;
use shared::domain::message::HOURS_A_DAY;
use shared::domain::task::Work;
use shared::store::ANSWER_TTL_MS;

use crate::{Answer, Call};

impl Call<'_> {
    pub(crate) async fn broadcast(&self) -> Answer {
        let mut event = message::publish(self.request.body(), false, self.admin.ambient.now())?;
        if event.deliver_at.is_some() {
            let rule = "must be left out: a broadcast goes out at once";
            return Err(Violation::body("deliverAt", rule).into());
        }
        message::check_payload(event.payload.len())?;
        let usual_hours = self.admin.settings.retention_days * HOURS_A_DAY;
        event.retention_hours.get_or_insert(usual_hours);
        let payload = event.payload.clone();
        let name = self.broadcast_name()?;
        self.begin_with(Work::Broadcast { event, name }, payload).await
    }

    /// The name of its messages, if the request has one. No header has a line break, so no request
    /// to publish has this name; nor has one with the same key once its answer is kept no more.
    fn broadcast_name(&self) -> Result<Option<String>, ApiError> {
        let period = self.admin.ambient.now().as_ms() / ANSWER_TTL_MS;
        Ok(self.place()?.map(|place| format!("broadcast\n{place}\n{period}")))
    }
}
