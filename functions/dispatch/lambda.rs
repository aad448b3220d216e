//! Between Lambda's SQS events and the dispatcher.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Error, LambdaEvent};
use shared::domain::clock::{self, Timestamp};
use shared::queue::Received;

use crate::Dispatcher;

/// Works on one SQS event and reports the records that have to come again.
///
/// # Errors
/// When a record has no id: it could not be reported alone, so the whole batch comes again.
pub async fn handle(
    dispatcher: &Dispatcher,
    event: LambdaEvent<SqsEvent>,
) -> Result<SqsBatchResponse, Error> {
    let deadline = clock::deadline(event.context.deadline);
    let batch = event
        .payload
        .records
        .into_iter()
        .map(received)
        .collect::<Option<Vec<Received>>>()
        .ok_or("a record without an id")?;
    let mut response = SqsBatchResponse::default();
    for id in dispatcher.handle(batch, deadline).await {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}

fn received(message: SqsMessage) -> Option<Received> {
    let number = |name: &str| message.attributes.get(name).and_then(|value| value.parse().ok());
    Some(Received {
        receive_count: number("ApproximateReceiveCount")
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
        first_received_at: Timestamp(number("ApproximateFirstReceiveTimestamp").unwrap_or(0)),
        group: message.attributes.get("MessageGroupId").cloned(),
        id: message.message_id.filter(|id| !id.is_empty())?,
        receipt: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
    })
}
