//! Dead letters: back into their queue once, then parked with a reason.

use shared::domain::clock::Timestamp;
use shared::domain::metrics::Metric;
use shared::queue::record::{Unread, redriven};
use shared::queue::{MAX_BATCH, Outgoing, Received, send_all};
use shared::store::Parked;
use tracing::{error, warn};

use crate::{Part, Redrive, Report, Sweeper};

/// Records that one run takes from a dead-letter queue at the most.
const MAX_REDRIVEN: usize = 10_000;
/// How long a record that this version does not know waits for one that does, in milliseconds: a
/// day, in which an update or a rollback is over.
const UNKNOWN_MS: u64 = 86_400_000;
/// Times that a record is redriven before it is parked.
const MAX_REDRIVES: u32 = 1;

/// Empties the dead-letter queues, side by side, until `until`, if that is in this part.
pub(crate) async fn run(sweeper: &Sweeper, part: Part, until: Option<Timestamp>) -> Report {
    let emptied = sweeper
        .redrives
        .iter()
        .filter(|_| part.has_dead_letters())
        .map(|redrive| empty(sweeper, redrive, until));
    let mut all = Report::default();
    for report in futures_util::future::join_all(emptied).await {
        all.add(report);
    }
    all
}

async fn empty(sweeper: &Sweeper, redrive: &Redrive, until: Option<Timestamp>) -> Report {
    let mut report = Report::default();
    let mut taken = 0;
    while taken < MAX_REDRIVEN && !sweeper.is_late(until) {
        let dead = match redrive.dead_letters.receive(MAX_BATCH, 0).await {
            Ok(dead) if dead.is_empty() => break,
            Ok(dead) => dead,
            Err(error) => {
                error!(queue = redrive.name, %error, "cannot read the dead-letter queue");
                report.failed += 1;
                break;
            }
        };
        taken += dead.len();
        let failed = report.failed;
        let handled = revive(sweeper, redrive, dead, &mut report).await;
        if handled.is_empty() && report.failed > failed {
            break;
        }
        if handled.is_empty() {
            continue;
        }
        if let Err(error) = redrive.dead_letters.delete(&handled).await {
            // They come again, and dispatch finds what is on record.
            warn!(queue = redrive.name, %error, "cannot delete from the dead-letter queue");
            report.failed += 1;
            break;
        }
    }
    report
}

/// Sends dead records back or parks them; the receipts of those that may be deleted.
async fn revive(
    sweeper: &Sweeper,
    redrive: &Redrive,
    dead: Vec<Received>,
    report: &mut Report,
) -> Vec<String> {
    let mut handled = Vec::with_capacity(dead.len());
    let (mut back, mut outgoing) = (Vec::new(), Vec::<Outgoing>::new());
    for record in dead {
        match redriven(&record.body, 0) {
            Ok((again, redrives)) if redrives < MAX_REDRIVES => {
                back.push(record);
                outgoing.push(again);
            }
            Ok((_, redrives)) => {
                let redriven = match redrives {
                    1 => "one redrive".to_owned(),
                    more => format!("{more} redrives"),
                };
                let reason = format!(
                    "could not be processed, even after {redriven}: the log of the dispatch \
                     function says why"
                );
                handled.extend(park(sweeper, redrive, record, reason, report).await);
            }
            // A newer version may be on its way, and would bring it back.
            Err(Unread::Unknown(_)) if is_young(sweeper, &record) => {
                warn!(queue = redrive.name, record.id, "left to a newer version");
            }
            Err(why) => {
                let reason = why.reason().to_owned();
                handled.extend(park(sweeper, redrive, record, reason, report).await);
            }
        }
    }
    for (record, sent) in back.into_iter().zip(send_all(&*redrive.queue, outgoing).await) {
        match sent {
            Ok(()) => {
                report.redriven += 1;
                sweeper.metrics.count(Metric::Redriven);
                handled.push(record.receipt);
            }
            Err(error) => {
                warn!(queue = redrive.name, record.id, %error, "cannot redrive");
                report.failed += 1;
            }
        }
    }
    handled
}

/// Whether a record that this version does not know has not been dead for long.
fn is_young(sweeper: &Sweeper, record: &Received) -> bool {
    sweeper.ambient.now().since(record.first_received_at) < UNKNOWN_MS
}

/// Keeps a record for the operator; its receipt, if it may be deleted.
async fn park(
    sweeper: &Sweeper,
    redrive: &Redrive,
    record: Received,
    reason: String,
    report: &mut Report,
) -> Option<String> {
    error!(queue = redrive.name, record.id, reason, "parked a record");
    let parked = Parked {
        id: record.id,
        queue: redrive.name.to_owned(),
        reason,
        at: sweeper.ambient.now(),
        body: record.body,
    };
    match sweeper.parking.park(&parked).await {
        Ok(()) => {
            report.parked += 1;
            sweeper.metrics.count(Metric::Parked);
            Some(record.receipt)
        }
        Err(error) => {
            warn!(queue = redrive.name, record.id = parked.id, %error, "cannot park");
            report.failed += 1;
            None
        }
    }
}
