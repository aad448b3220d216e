//! Between Lambda's SQS events and the dispatcher.

use std::sync::Arc;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Error, LambdaEvent};
use shared::domain::clock::{self, Timestamp};
use shared::queue::{Consumer, Received};

use crate::Dispatcher;

/// Works on one SQS event, gives back what is not done and reports it, so that Lambda does not
/// delete it. `queue` finds the queue of a name.
///
/// # Errors
/// When a record has no id: it could not be reported alone, so the whole batch comes again.
pub async fn handle(
    dispatcher: &Dispatcher,
    queue: &(dyn Fn(&str) -> Arc<dyn Consumer> + Sync),
    event: LambdaEvent<SqsEvent>,
) -> Result<SqsBatchResponse, Error> {
    let deadline = clock::deadline(event.context.deadline);
    // Lambda makes a batch of one queue's records.
    let arn = event.payload.records.first().and_then(|record| record.event_source_arn.clone());
    let queue = queue(arn.as_deref().and_then(queue_name).unwrap_or_default());
    let batch = event
        .payload
        .records
        .into_iter()
        .map(received)
        .collect::<Option<Vec<Received>>>()
        .ok_or("a record without an id")?;
    let mut response = SqsBatchResponse::default();
    for id in dispatcher.serve(&*queue, batch, deadline).await {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}

/// The last part of a queue's ARN.
fn queue_name(arn: &str) -> Option<&str> {
    arn.rsplit(':').next()
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
