//! The intake of one machine: a table and a queue in one SQLite file.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::Intake;
use crate::embedded::Engine;
use crate::queue::Outgoing;
use crate::queue::embedded::EmbeddedQueue;
use crate::store::StoreError;
use crate::store::embedded;
use crate::store::table::{Write, Written};

/// An [`Intake`] in a SQLite file.
pub struct EmbeddedIntake {
    engine: Engine,
    queue: EmbeddedQueue,
}

impl EmbeddedIntake {
    /// The intake of this file's table and of this queue, which is in it.
    pub fn new(engine: Engine, queue: EmbeddedQueue) -> Self {
        Self { engine, queue }
    }
}

#[async_trait]
impl Intake for EmbeddedIntake {
    async fn write_and_send(&self, write: Write, record: Outgoing) -> Result<Written, StoreError> {
        write.check_size()?;
        let incoming = self.queue.incoming(vec![record]);
        let incoming = incoming.map_err(|error| StoreError::Invalid(error.to_string()))?;
        // Both have the payload, which makes neither of them a large one.
        let bytes = write.size().max(incoming.bytes());
        let rows = incoming.clone();
        let (done, answer) = oneshot::channel();
        self.engine.submit(
            bytes,
            move |connection| {
                let written = embedded::make(connection, &write)?;
                if written == Written::Done {
                    rows.insert(connection)?;
                }
                Ok(written)
            },
            move |committed| {
                // On disk, so it must be delivered, whether or not the caller still waits.
                if committed == Ok(Written::Done) {
                    incoming.arrive();
                }
                let _ = done.send(committed);
            },
        )?;
        let stopped = || StoreError::Unavailable("the store's writer has stopped".into());
        Ok(answer.await.map_err(|_| stopped())??)
    }
}
