//! The queue port on SQS.
//!
//! The limits are checked before anything is sent, so that a refusal does not depend on how
//! the service words it. Sends are never repeated: after a send without an answer the records
//! may be in the queue, and sending them again would double a first delivery. All other calls
//! are repeated by the SDK.
//!
//! How long a received record stays invisible, and where it goes after too many receives, are
//! properties of the queue.
//!
//! Not guaranteed: that a receive without waiting finds a record (SQS then asks only some of
//! its servers), nor that a stale receipt leaves a record alone: a receipt is no fence.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName,
    SendMessageBatchRequestEntry,
};
use aws_smithy_types::retry::RetryConfig;

use super::{Consumer, MAX_BATCH, Outgoing, Producer, QueueError, Received, validate};
use crate::aws::{describe, timeouts};
use crate::domain::clock::Timestamp;

/// Longest that a receive may wait, in seconds (SQS limit).
const MAX_WAIT_S: u32 = 20;
/// Longest that a record may be kept invisible, in seconds (SQS limit: 12 hours).
const MAX_RELEASE_S: u32 = 12 * 60 * 60;

/// Both ends of a standard SQS queue.
pub struct SqsQueue {
    client: Client,
    url: String,
    fair: bool,
}

impl SqsQueue {
    /// The queue with this URL, which has to exist.
    pub fn new(client: Client, queue_url: impl Into<String>) -> Self {
        Self { client, url: queue_url.into(), fair: true }
    }

    /// The queue of this name in the same account and region.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        let url = match self.url.rsplit_once('/') {
            Some((account, _)) => format!("{account}/{name}"),
            None => self.url.clone(),
        };
        Self { client: self.client.clone(), url, fair: self.fair }
    }

    /// Whether its records name their group, as they do unless this says otherwise. SQS then
    /// serves the groups in turn, for $0.10 a million requests (November 2026).
    #[must_use]
    pub fn fair(self, fair: bool) -> Self {
        Self { fair, ..self }
    }
}

#[async_trait]
impl Producer for SqsQueue {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        validate(&batch)?;
        // Until SQS says otherwise. Silence about a record is not success.
        let silence = Err(QueueError::Unavailable("no answer for this record".into()));
        let mut results = vec![silence; batch.len()];
        let entries = batch.into_iter().enumerate().map(|(position, record)| {
            SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .message_body(record.body)
                .set_message_group_id(self.fair.then_some(record.group))
                .delay_seconds(to_i32(record.delay_s))
                .build()
        });
        let entries = entries.collect::<Result<_, _>>().map_err(incomplete)?;
        let once = aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled());
        let request = self.client.send_message_batch().queue_url(&self.url);
        let request = request.set_entries(Some(entries)).customize().config_override(once);
        let answer = request.send().await.map_err(|error| failed("SendMessageBatch", &error))?;

        let sent = answer.successful.into_iter().map(|entry| (entry.id, Ok(())));
        let unsent = answer.failed.into_iter();
        let unsent = unsent.map(|entry| (entry.id.clone(), Err(entry_error(&entry))));
        for (id, result) in sent.chain(unsent) {
            let position = id.parse::<usize>().ok();
            if let Some(slot) = position.and_then(|position| results.get_mut(position)) {
                *slot = result;
            }
        }
        Ok(results)
    }
}

#[async_trait]
impl Consumer for SqsQueue {
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError> {
        if max == 0 || max > MAX_BATCH {
            return Err(invalid(format!("{max} records in one receive")));
        }
        if wait_s > MAX_WAIT_S {
            return Err(invalid(format!("a wait of {wait_s} s")));
        }
        let held = timeouts(Duration::from_secs(u64::from(wait_s)));
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(to_i32(max))
            .wait_time_seconds(to_i32(wait_s))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(
                MessageSystemAttributeName::ApproximateFirstReceiveTimestamp,
            )
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .customize()
            .config_override(aws_sdk_sqs::Config::builder().timeout_config(held));
        let answer = request.send().await.map_err(|error| failed("ReceiveMessage", &error))?;
        answer.messages.unwrap_or_default().into_iter().map(received).collect()
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        if receipts.is_empty() {
            return Ok(());
        }
        if receipts.len() > MAX_BATCH {
            return Err(invalid(format!("{} receipts in one delete", receipts.len())));
        }
        let entries = receipts.iter().enumerate().map(|(position, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder();
            entry.id(position.to_string()).receipt_handle(receipt).build()
        });
        let entries = entries.collect::<Result<_, _>>().map_err(incomplete)?;
        let request = self.client.delete_message_batch().queue_url(&self.url);
        let answer = request.set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| failed("DeleteMessageBatch", &error))?;
        // What SQS blames on us is a receipt that has gone stale: nothing is left to delete.
        let failed = answer.failed.iter().find(|entry| !entry.sender_fault);
        failed.map_or(Ok(()), |entry| Err(entry_error(entry)))
    }

    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError> {
        if after_s > MAX_RELEASE_S {
            return Err(invalid(format!("invisible for {after_s} s")));
        }
        let request = self.client.change_message_visibility().queue_url(&self.url);
        let request = request.receipt_handle(receipt).visibility_timeout(to_i32(after_s));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_stale_receipt(error.code()) => Ok(()),
            Err(error) => Err(failed("ChangeMessageVisibility", &error)),
        }
    }
}

fn received(message: Message) -> Result<Received, QueueError> {
    let mut attributes = message.attributes.unwrap_or_default();
    let mut number = |name| attributes.remove(&name).and_then(|value| value.parse::<u64>().ok());
    let count = number(MessageSystemAttributeName::ApproximateReceiveCount);
    let first = number(MessageSystemAttributeName::ApproximateFirstReceiveTimestamp);
    Ok(Received {
        id: present(message.message_id, "id")?,
        receipt: present(message.receipt_handle, "receipt")?,
        body: present(message.body, "body")?,
        group: attributes.remove(&MessageSystemAttributeName::MessageGroupId),
        receive_count: u32::try_from(present(count, "receive count")?).unwrap_or(u32::MAX),
        first_received_at: Timestamp(present(first, "time of first receive")?),
    })
}

fn present<T>(value: Option<T>, name: &str) -> Result<T, QueueError> {
    value.ok_or_else(|| QueueError::Unavailable(format!("a record came without its {name}")))
}

fn failed<E, R>(operation: &str, error: &SdkError<E, R>) -> QueueError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let why = describe(operation, error);
    if is_our_fault(error.code()) { invalid(why) } else { QueueError::Unavailable(why) }
}

fn entry_error(entry: &BatchResultErrorEntry) -> QueueError {
    let why = format!("{}: {}", entry.code, entry.message().unwrap_or_default());
    if is_our_fault(Some(&entry.code)) { invalid(why) } else { QueueError::Unavailable(why) }
}

/// Codes that come from the query protocol carry a prefix that the JSON protocol has dropped.
fn plain(code: Option<&str>) -> &str {
    let code = code.unwrap_or_default();
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

fn is_our_fault(code: Option<&str>) -> bool {
    matches!(
        plain(code),
        "BatchRequestTooLong"
            | "InvalidMessageContents"
            | "InvalidParameterValue"
            | "MissingParameter"
            | "TooManyEntriesInBatchRequest"
            | "UnsupportedOperation"
    )
}

/// The record has been deleted, or somebody else has received it since. With the delay already
/// checked, an invalid parameter can only be the receipt.
fn is_stale_receipt(code: Option<&str>) -> bool {
    matches!(plain(code), "InvalidParameterValue" | "MessageNotInflight" | "ReceiptHandleIsInvalid")
}

fn incomplete(error: aws_sdk_sqs::error::BuildError) -> QueueError {
    invalid(error.to_string())
}

fn invalid(why: String) -> QueueError {
    QueueError::Invalid(why)
}

/// Only for numbers that have been checked against a limit.
fn to_i32(value: impl TryInto<i32>) -> i32 {
    value.try_into().unwrap_or(i32::MAX)
}
