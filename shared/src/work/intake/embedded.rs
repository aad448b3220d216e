//! The intake of one machine: a table and a queue in one SQLite file.

use async_trait::async_trait;
use rusqlite::Connection;

use super::Intake;
use crate::embedded::{Engine, EngineError};
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
        let work = move |connection: &Connection| {
            let written = embedded::make(connection, &write)?;
            if written == Written::Done {
                rows.insert(connection)?;
            }
            Ok(written)
        };
        let then = move |committed: &Result<Written, EngineError>| {
            if *committed == Ok(Written::Done) {
                incoming.arrive();
            }
        };
        Ok(self.engine.write_then(bytes, work, then).await?)
    }
}
