//! What is not done goes back into its queue, and comes again soon: a record that waited for its
//! visibility to end would be in flight for minutes, and a queue holds only so many of those.

use futures_util::future::join_all;
use shared::domain::clock::Timestamp;
use shared::queue::{Consumer, VISIBILITY_S};
use tracing::warn;

use crate::job::{NotDone, Receipt};

/// Shortest pause before a record comes again, in seconds, for each time it was received.
const STEP_S: u32 = 5;
/// Longest, in seconds.
const LONGEST_S: u32 = 30;

/// A record that has to come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    pub(crate) id: String,
    receipt: String,
    pause_s: u32,
}

impl Undone {
    /// This record, for this reason.
    pub(crate) fn new(receipt: Receipt, why: &NotDone, now: Timestamp, random: u64) -> Self {
        let pause_s = pause_s(receipt.receive_count, why, now, random);
        Self { id: receipt.id, receipt: receipt.receipt, pause_s }
    }
}

/// How long a record stays away. Failures: 5 to 10 s the first time, 10 to 20 s the second, then
/// 15 to 30 s, so that those who failed together do not come back together.
fn pause_s(receive_count: u32, why: &NotDone, now: Timestamp, random: u64) -> u32 {
    let jitter = |upto_s: u32| u32::try_from(random % u64::from(upto_s + 1)).unwrap_or(0);
    match why {
        // Half of the dispatchers may be of the newer version already.
        NotDone::Failed(_) | NotDone::Unknown(_) => {
            let least_s = (STEP_S.saturating_mul(receive_count.max(1))).min(LONGEST_S / 2);
            least_s + jitter(least_s)
        }
        NotDone::Busy { until } => {
            let wait_s = until.since(now).div_ceil(1000);
            u32::try_from(wait_s).unwrap_or(VISIBILITY_S).min(VISIBILITY_S) + jitter(STEP_S)
        }
    }
}

/// Tells the queue when these come again. Where that fails they come when their visibility ends.
pub(crate) async fn give_back(queue: &dyn Consumer, undone: &[Undone]) {
    let releases = undone.iter().map(|undone| queue.release(&undone.receipt, undone.pause_s));
    for error in join_all(releases).await.into_iter().filter_map(Result::err) {
        warn!(%error, "cannot release: the record comes after its visibility");
    }
}
