//! In front of dispatch: what Lambda's event source mapping does on AWS. Records with long bodies
//! are worked on in the [second lane](crate::lane), and so are crowds of retries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dispatch::Dispatcher;
use shared::queue::{Consumer, MAX_BATCH, Received};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::crowd::Crowds;
use crate::lane;
use crate::stop::Stop;

/// Seconds that one receive waits (SQS limit).
const WAIT_S: u32 = 20;

/// Feeds dispatch from a queue until that is to stop, and ends when what was received is done. At
/// most `in_flight` records are worked on at once. Crowds of one application go to the second lane,
/// if they are counted.
pub(crate) async fn poll(
    queue: Arc<dyn Consumer>,
    dispatcher: Dispatcher,
    in_flight: usize,
    mut crowds: Option<Crowds>,
    second: Handle,
    stop: Stop,
) {
    let slots = Arc::new(Semaphore::new(in_flight));
    loop {
        let receive = async {
            let slot = slots.clone().acquire_many_owned(MAX_BATCH as u32).await.ok()?;
            Some((slot, queue.receive(MAX_BATCH, WAIT_S).await))
        };
        // What is received at this very moment is as good as not: the next process begins with it.
        let received = tokio::select! {
            () = stop.asked() => break,
            received = receive => received,
        };
        let Some((mut slot, received)) = received else { return };
        let batch = match received {
            Ok(batch) if batch.is_empty() => continue,
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "cannot receive");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        // What this batch does not need goes back.
        drop(slot.split(MAX_BATCH - batch.len()));
        let now = Instant::now();
        // A batch is done when the slowest of it is: nobody waits for another application's.
        let mut batches: BTreeMap<(bool, Option<String>), Vec<Received>> = BTreeMap::new();
        for record in batch {
            let is_in_crowd = match (&mut crowds, &record.group) {
                (Some(crowds), Some(app)) => crowds.is_in_one(app, now),
                _ => false,
            };
            let is_patient = is_in_crowd || record.body.len() > lane::LONG;
            batches.entry((is_patient, record.group.clone())).or_default().push(record);
        }
        for ((is_patient, _), batch) in batches {
            let lane = if is_patient { &second } else { &Handle::current() };
            let (queue, dispatcher) = (queue.clone(), dispatcher.clone());
            let slot = slot.split(batch.len());
            lane.spawn(async move {
                work(&*queue, &dispatcher, batch).await;
                drop(slot);
            });
        }
    }
    let _ = slots.acquire_many(in_flight as u32).await;
}

async fn work(queue: &dyn Consumer, dispatcher: &Dispatcher, batch: Vec<Received>) {
    let held: Vec<(String, String)> =
        batch.iter().map(|record| (record.id.clone(), record.receipt.clone())).collect();
    let failed = dispatcher.serve(queue, batch, None).await;
    let done = held.into_iter().filter(|(id, _)| !failed.contains(id));
    let receipts: Vec<String> = done.map(|(_, receipt)| receipt).collect();
    if !receipts.is_empty()
        && let Err(error) = queue.delete(&receipts).await
    {
        tracing::warn!(%error, "cannot delete: these records come again");
    }
}
