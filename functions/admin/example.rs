//! Sending an example: a test message to one endpoint, through the ordinary trip.

use crate::JsonSchema;
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use shared::api::error::{self, ApiError, Violation};
use shared::api::message::{MessageOut, check_payload, payload_holds};
use shared::api::request;
use shared::domain::delivery::Delivery;
use shared::domain::metrics::Metric;
use shared::domain::right::Right;
use shared::queue::record::Record;
use shared::queue::send_one;
use shared::store::{Accepted, Advanced};

use crate::{Answer, Call};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventExampleIn")]
pub(crate) struct ExampleIn {
    /// The event type whose example is sent.
    #[schemars(with = "description::EventType")]
    event_type: String,
    /// Which of its examples: the first, at 0, unless said.
    #[serde(default)]
    example_index: usize,
    /// What is sent instead of it, by whoever may see the endpoint's secret: they could sign it
    /// themselves.
    #[serde(default, deserialize_with = "said")]
    #[schemars(with = "Option<description::JsonObject>")]
    payload: Option<Box<RawValue>>,
}

/// A payload that is there, `null` included.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

impl Call<'_> {
    /// Sends an event type's example, whatever the endpoint's filters say. One that takes it is
    /// verified.
    pub(crate) async fn send_example(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let input: ExampleIn = request::body(self.request)?;
        if endpoint.disabled {
            return Err(ApiError::bad_request(
                "endpoint_disabled",
                "The endpoint is disabled: enable it, then send again.",
            ));
        }
        let index = input.payload.is_none().then_some(input.example_index);
        let example = Some((input.event_type, index));
        let mut message = self.test_message(&tenant, &endpoint, example).await?;
        if let Some(payload) = input.payload {
            let takes_null = self.takes_null(&tenant, &endpoint).await?;
            message.payload = self.payload_of_its_own(&payload, takes_null)?;
        }
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

    /// The payload that a caller wants to send as a test.
    fn payload_of_its_own(&self, payload: &RawValue, takes_null: bool) -> Result<Bytes, ApiError> {
        self.require(Right::ViewEndpointSecret)?;
        let text = payload.get();
        check_payload(text.len())?;
        let held = payload_holds(text, takes_null, true);
        held.map_err(|rule| Violation::body("payload", rule))?;
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }
}
