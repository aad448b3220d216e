//! The queue port: SQS in domain words, with two adapters held to one conformance suite.
//!
//! A record that was received stays in the queue, invisible, until it is deleted or its
//! visibility timeout passes; then it comes again with a higher receive count. After
//! [`MAX_RECEIVES`] receives it moves to the queue's dead-letter queue.
//!
//! Not guaranteed: order, nor that a record comes only once.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};

use crate::domain::clock::Timestamp;
use crate::domain::limits::{MAX_BATCH_BYTES, MAX_QUEUE_DELAY_S};

#[cfg(feature = "embedded")]
pub mod embedded;
pub mod record;
#[cfg(feature = "aws")]
pub mod sqs;

/// Most records in one batch call (SQS limit).
pub const MAX_BATCH: usize = 10;
/// Receives after which a record moves to the dead-letter queue (`maxReceiveCount`): what is
/// given back each time it fails comes up to 30 s later, so a store may be away for a quarter of
/// an hour.
pub const MAX_RECEIVES: u32 = 50;
/// Calls that [`send_all`] makes at the same time: a hundred records.
const PARALLEL_SENDS: usize = 10;
/// How long a received record stays invisible that nobody gives back, in seconds: six times the
/// dispatch function's timeout, as Lambda advises for event source mappings.
pub const VISIBILITY_S: u32 = 180;

/// A record on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its text. Only characters that XML 1.0 allows (SQS limit).
    pub body: String,
    /// Fair-queue group (SQS `MessageGroupId` on a standard queue): the application's id.
    pub group: String,
    /// Seconds before it can be received, at most [`MAX_QUEUE_DELAY_S`].
    pub delay_s: u32,
}

/// A record that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The queue's id of the record; the same at every receive.
    pub id: String,
    /// What deletes this receive; another at every receive.
    pub receipt: String,
    /// Its text.
    pub body: String,
    /// Its fair-queue group.
    pub group: Option<String>,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// When it was received for the first time.
    pub first_received_at: Timestamp,
}

/// Why a queue call failed. An error leaves open whether the call had its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// The call cannot succeed as it is: too large, too many, a delay beyond the limit.
    Invalid(String),
    /// The service did not answer or answered with an error of its own.
    Unavailable(String),
}

impl std::fmt::Display for QueueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "queue call refused: {why}"),
            Self::Unavailable(why) => write!(f, "queue unavailable: {why}"),
        }
    }
}

impl std::error::Error for QueueError {}

/// The sending end of a queue (`sqs:SendMessage`).
#[async_trait]
pub trait Producer: Send + Sync {
    /// Sends a batch: at most [`MAX_BATCH`] records and [`MAX_BATCH_BYTES`] bytes. The answer
    /// says for each record, in order, whether it is in the queue.
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError>;
}

/// The receiving end of a queue (`sqs:ReceiveMessage`, `DeleteMessage`,
/// `ChangeMessageVisibility`).
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Receives up to `max` records (at most [`MAX_BATCH`]), waiting up to `wait_s` seconds
    /// (at most 20) for the first.
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError>;

    /// Deletes received records, at most [`MAX_BATCH`] of them, by their receipts.
    /// A receipt that has gone stale is ignored.
    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError>;

    /// Makes a received record visible again in `after_s` seconds.
    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError>;
}

/// The two queues of a platform, as who sends to both sees them.
#[derive(Clone)]
pub struct Queues {
    /// Where accepted messages go.
    pub deliveries: Arc<dyn Producer>,
    /// Where retries and resends go.
    pub retries: Arc<dyn Producer>,
}

/// What could not be processed of each.
#[derive(Clone)]
pub struct DeadLetters {
    /// Of accepted messages.
    pub deliveries: Arc<dyn Consumer>,
    /// Of retries and resends.
    pub retries: Arc<dyn Consumer>,
}

/// Sends one record.
pub async fn send_one(queue: &dyn Producer, record: Outgoing) -> Result<(), QueueError> {
    let mut results = queue.send(vec![record]).await?;
    results.pop().unwrap_or_else(|| Err(QueueError::Unavailable("the answer was empty".into())))
}

/// Sends any number of records in as few calls as the limits allow, some of them at the same time.
/// The answer says for each record, in order, whether it is in the queue.
pub async fn send_all(queue: &dyn Producer, records: Vec<Outgoing>) -> Vec<Result<(), QueueError>> {
    let sends = into_batches(records).into_iter().map(|batch| send_batch(queue, batch));
    stream::iter(sends).buffered(PARALLEL_SENDS).collect::<Vec<_>>().await.concat()
}

async fn send_batch(queue: &dyn Producer, batch: Vec<Outgoing>) -> Vec<Result<(), QueueError>> {
    let count = batch.len();
    match queue.send(batch).await {
        Ok(mut results) => {
            let missing = || Err(QueueError::Unavailable("no answer for this record".into()));
            results.resize_with(count, missing);
            results
        }
        Err(error) => vec![Err(error); count],
    }
}

fn into_batches(records: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut batches: Vec<Vec<Outgoing>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        let fits = batches.last().is_some_and(|batch| {
            batch.len() < MAX_BATCH && bytes + record.body.len() <= MAX_BATCH_BYTES
        });
        if !fits {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes += record.body.len();
        if let Some(batch) = batches.last_mut() {
            batch.push(record);
        }
    }
    batches
}

/// Checks what SQS would refuse, so that both adapters refuse the same.
///
/// # Errors
/// The first thing that is wrong with the batch.
pub fn validate(batch: &[Outgoing]) -> Result<(), QueueError> {
    let invalid = |why: String| Err(QueueError::Invalid(why));
    if batch.is_empty() || batch.len() > MAX_BATCH {
        return invalid(format!("a batch has 1 to {MAX_BATCH} records, not {}", batch.len()));
    }
    let bytes: usize = batch.iter().map(|record| record.body.len()).sum();
    if bytes > MAX_BATCH_BYTES {
        return invalid(format!("a batch has at most {MAX_BATCH_BYTES} bytes, not {bytes}"));
    }
    for record in batch {
        if record.body.is_empty() {
            return invalid("a record needs a body".into());
        }
        if record.delay_s > MAX_QUEUE_DELAY_S {
            return invalid(format!(
                "a delay is at most {MAX_QUEUE_DELAY_S} s, not {}",
                record.delay_s
            ));
        }
        if let Some(bad) = first_forbidden(&record.body) {
            return invalid(format!("a body may not contain U+{:04X}", u32::from(bad)));
        }
    }
    Ok(())
}

/// The first character of a text that SQS does not take in a body.
pub fn first_forbidden(text: &str) -> Option<char> {
    // What almost every text is made of is seen byte by byte.
    let is_plain = |byte: u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=0x7F);
    if text.bytes().all(is_plain) {
        return None;
    }
    text.chars().find(|&c| !is_allowed(c))
}

/// Whether SQS takes this character in a body: those of XML 1.0.
pub fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}
