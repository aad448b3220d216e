//! What the platform does by itself: what a schedule and time to live do on AWS.

use std::time::Duration;

use retry::Sweeper;
use shared::domain::clock::Ambient;
use shared::domain::delivery::machine::Event;
use shared::store::Deliveries;
use shared::store::embedded::EmbeddedTable;
use shared::store::keys::DUE_SHARDS;
use tokio::time::MissedTickBehavior;

/// How often due retries and dead letters are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How often expired items are removed.
const CLEAN_EVERY: Duration = Duration::from_secs(1);

/// Whoever held a lease when the last process ended is dead: what it was busy with is due now.
pub(crate) async fn free_leases(deliveries: &Deliveries, ambient: &Ambient) -> Result<(), String> {
    let now = ambient.now();
    for shard in 0..DUE_SHARDS {
        let pending = deliveries.pending(shard).await.map_err(|error| error.to_string())?;
        for held in pending.iter().filter(|held| held.value.is_leased(now)) {
            let freed = deliveries.advance(held, Event::HolderDied, now).await;
            freed.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Looks at what is due, for ever.
pub(crate) async fn sweep(sweeper: Sweeper) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        sweeper.run(None).await;
    }
}

/// What DynamoDB's time to live does by itself.
pub(crate) async fn clean(table: EmbeddedTable, ambient: Ambient) {
    let mut ticks = tokio::time::interval(CLEAN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = table.remove_all_expired(ambient.now()).await {
            tracing::warn!(%error, "cannot remove what has expired");
        }
    }
}
