//! One event for every application of the organisation, in the background.

use shared::api::error::Violation;
use shared::api::message;
use shared::domain::task::Work;

use crate::{Answer, Call};

impl Call<'_> {
    pub(crate) async fn broadcast(&self) -> Answer {
        let event = message::publish(self.request.body(), false, self.admin.ambient.now())?;
        if event.deliver_at.is_some() {
            let rule = "must be left out: a broadcast goes out at once";
            return Err(Violation::body("deliverAt", rule).into());
        }
        message::check_payload(event.payload.len())?;
        let payload = event.payload.clone();
        self.begin_with(Work::Broadcast { event }, payload).await
    }
}
