//! Sending an example: a test message to one endpoint, through the ordinary trip.

use crate::JsonSchema;
use http::StatusCode;
use serde::Deserialize;
use shared::api::error::{self, ApiError};
use shared::api::message::MessageOut;
use shared::api::request;
use shared::domain::delivery::Delivery;
use shared::domain::metrics::Metric;
use shared::queue::record::Record;
use shared::queue::send_one;
use shared::store::{Accepted, Advanced};

use crate::endpoint::endpoint_of;
use crate::{Answer, Call};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventExampleIn")]
pub(crate) struct ExampleIn {
    /// The event type whose example is sent.
    #[schemars(with = "description::EventType")]
    event_type: String,
}

impl Call<'_> {
    /// Sends an event type's example, whatever the endpoint's filters say. One that takes it is
    /// verified.
    pub(crate) async fn send_example(&self, app: &str, ep: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let endpoint = endpoint_of(&tenant, ep)?;
        let input: ExampleIn = request::body(self.request)?;
        if endpoint.disabled {
            return Err(ApiError::bad_request(
                "endpoint_disabled",
                "The endpoint is disabled: enable it, then send again.",
            ));
        }
        let message = self.test_message(&tenant, endpoint, Some(input.event_type)).await?;
        let unlikely = || ApiError::Internal("a new message's place is taken".into());
        let Accepted::New = self.admin.inbox.accept(&message).await? else {
            return Err(unlikely());
        };
        self.admin.metrics.count(Metric::Accepted);
        let first = Delivery::first(&message, endpoint.id, message.at, message.at);
        let opened = self.admin.pending.open(first, message.at).await?;
        let Advanced::Done { .. } = opened else { return Err(unlikely()) };
        let (app, msg, ep) = (message.app, message.id, endpoint.id);
        let record = Record::Retry { app, msg, ep, attempt: 1 };
        send_one(&*self.admin.queues.retries, record.outgoing(0)).await?;
        Ok(error::json(StatusCode::OK, &MessageOut::from(message)))
    }
}
