//! One machine as the functions see it: a store and queues in one file, the network, and a meter
//! that counts what they ask of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::domain::clock::Ambient;
use shared::domain::metrics::Total;
use shared::domain::secret::RootSecret;
use shared::embedded::Engine;
use shared::host::assembly::{Base, Tenancy};
use shared::queue::embedded::{EmbeddedQueue, EmbeddedQueues, QueueSettings};
use shared::queue::{DeadLetters, Queues};
use shared::store::embedded::EmbeddedTable;
use shared::store::{Profiles, StoreSettings};
use shared::work::InFlight;
use shared::work::intake::embedded::EmbeddedIntake;

use crate::counting::{CountingIntake, CountingQueue, CountingTable, Meter, Usage};
use crate::data;
use crate::minutes::{Hour, Minutes};
use crate::process::{self, Used};

/// How long applications, endpoints and sources are kept in memory, in milliseconds. This process
/// is the only one that changes them, and it forgets what it changes.
const KEEP_MS: u64 = 3_600_000;

/// How long a record is in the hands of who received it, in seconds: as long as it takes. What a
/// process that died held is free at once, and one that waits for its turn is given to nobody else.
const HELD_S: u32 = 12 * 3_600;

/// What the functions of the platform share. Clones are the same machine.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) base: Base,
    pub(crate) tenancy: Tenancy,
    pub(crate) secret: RootSecret,
    pub(crate) engine: Engine,
    pub(crate) table: EmbeddedTable,
    queues: EmbeddedQueues,
    meter: Meter,
    metrics: Arc<Minutes>,
}

/// What the platform has used and what waits in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// What the work so far would be billed as on AWS.
    pub(crate) usage: Usage,
    /// CPU and memory.
    pub(crate) used: Used,
    /// Records in the queues.
    pub(crate) queued: usize,
    /// For how long the oldest of those has waited that could be worked on, in milliseconds.
    #[serde(default)]
    pub(crate) oldest_ms: Option<u64>,
    /// What was counted and measured since the process started.
    pub(crate) metrics: BTreeMap<String, Total>,
    /// The last hour of it, minute by minute.
    #[serde(default)]
    pub(crate) hour: Hour,
}

impl Machine {
    /// Opens what is in this directory.
    pub(crate) async fn open(directory: &Path, profiles: Profiles) -> Result<Self, String> {
        let ambient = Ambient::system();
        let secret = data::root_secret(directory, &ambient)?;
        let engine = Engine::open(directory)?;
        data::check_secret(&engine, &secret).await?;
        let settings = QueueSettings { visibility_s: HELD_S, ..QueueSettings::default() };
        let queues = EmbeddedQueues::open(&engine, &ambient.clock, settings)
            .map_err(|error| error.to_string())?;
        let (meter, metrics) = (Meter::default(), Arc::new(Minutes::new(ambient.clock.clone())));
        let table = EmbeddedTable::new(engine.clone());
        let counting = Arc::new(CountingTable::new(table.clone(), meter.clone()));
        let stores = StoreSettings {
            directory_ttl_ms: KEEP_MS,
            sources_ttl_ms: KEEP_MS,
            // A byte on this disk costs less than the time to save it.
            compress: false,
            ..StoreSettings::default()
        };
        let intake = EmbeddedIntake::new(engine.clone(), queues.deliveries.clone());
        let base = Base {
            in_flight: Some(InFlight::default()),
            intake: Some(Arc::new(CountingIntake::new(intake, meter.clone()))),
            ..Base::new(counting, stores, metrics.clone(), ambient)
        };
        let tenancy = Tenancy::new(&base, &secret, profiles);
        Ok(Self { base, tenancy, secret, engine, table, queues, meter, metrics })
    }

    /// Where messages and retries go in.
    pub(crate) fn queues(&self) -> Queues {
        let EmbeddedQueues { deliveries, retries, .. } = &self.queues;
        Queues { deliveries: self.counted(deliveries), retries: self.counted(retries) }
    }

    /// Where they come out.
    pub(crate) fn outlets(&self) -> [Arc<CountingQueue<EmbeddedQueue>>; 2] {
        [&self.queues.deliveries, &self.queues.retries].map(|queue| self.counted(queue))
    }

    /// What could not be processed.
    pub(crate) fn dead_letters(&self) -> DeadLetters {
        let EmbeddedQueues { deliveries_dlq, retries_dlq, .. } = &self.queues;
        DeadLetters { deliveries: self.counted(deliveries_dlq), retries: self.counted(retries_dlq) }
    }

    /// What it has done so far.
    pub(crate) fn status(&self) -> Status {
        Status {
            usage: self.meter.usage(),
            used: process::used(),
            queued: self.queues.deliveries.len() + self.queues.retries.len(),
            oldest_ms: [&self.queues.deliveries, &self.queues.retries]
                .into_iter()
                .filter_map(|queue| queue.oldest_ms().ok().flatten())
                .max(),
            metrics: self.metrics.totals().by_name(),
            hour: self.metrics.hour(),
        }
    }

    fn counted(&self, queue: &EmbeddedQueue) -> Arc<CountingQueue<EmbeddedQueue>> {
        Arc::new(CountingQueue::new(queue.clone(), self.meter.clone()))
    }
}
