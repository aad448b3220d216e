//! Storing and sending in one step, where store and queue are in one file: what is accepted is on
//! its way with the same transaction. Elsewhere they are two services, and two steps.

use async_trait::async_trait;

use crate::queue::Outgoing;
use crate::store::StoreError;
use crate::store::table::{Write, Written};

#[cfg(feature = "embedded")]
pub mod embedded;

/// A store and a queue that share their transactions.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Makes this change and sends this record: both, or neither when the condition does not hold.
    /// An error leaves open whether both happened.
    async fn write_and_send(&self, write: Write, record: Outgoing) -> Result<Written, StoreError>;
}
