//! What is told of attempts: to the metrics, and to the log those that an endpoint did not take.
//!
//! An attempt that was taken is on record, where it costs nothing more to look for it; at `INFO`
//! the log does not repeat it.

use shared::domain::attempt::{Attempt, Turn};
use shared::domain::clock::Timestamp;
use shared::domain::id::{EndpointId, MessageId};
use shared::domain::message::Message;
use shared::domain::metrics::Metric;
use shared::store::{Claimed, Consequence, Leased, Recorded};
use tracing::field::{self, DebugValue};
use tracing::{debug, info};

use crate::{Dispatcher, Undone};

impl Dispatcher {
    /// Tells of an attempt that was offered for the record. `consequence`: what it means for its
    /// delivery, unless it was asked for by hand.
    pub(crate) fn tell(
        &self,
        attempt: &Attempt,
        message: &Message,
        recorded: &Recorded,
        consequence: Option<&Consequence>,
    ) {
        if *recorded != Recorded::Already {
            self.measure(attempt, message);
        }
        if *recorded == Recorded::Done && consequence == Some(&Consequence::Failed) {
            self.parts.metrics.count(Metric::Exhausted);
        }
        log(attempt, recorded, consequence);
    }

    fn measure(&self, attempt: &Attempt, message: &Message) {
        let metrics = &self.parts.metrics;
        metrics.add(Metric::EndpointLatency, attempt.ms);
        metrics.count(if attempt.ok { Metric::Delivered } else { Metric::Failed });
        let Turn::Scheduled(number) = attempt.turn else { return };
        if number > 1 {
            metrics.count(Metric::Retried);
        }
        if attempt.ok {
            let asked_at = message.deliver_at.unwrap_or(message.at);
            let latency_ms = attempt.at.plus_ms(attempt.ms).since(asked_at);
            metrics.add(Metric::EndToEndLatency, latency_ms);
        }
    }

    /// What was asked for is on record already.
    pub(crate) fn found_done(&self) {
        self.parts.metrics.count(Metric::Duplicates);
    }

    /// A first attempt was put off until then.
    pub(crate) fn was_put_off(&self, message: &Message, ep: &EndpointId, at: Timestamp) {
        self.parts.metrics.count(Metric::Deferred);
        info!(message.id = %message.id, endpoint.id = %ep, next_at = ?at, "attempt deferred");
    }

    /// Gives a delivery up without an attempt.
    pub(crate) async fn give_up(&self, found: &Leased, reason: &str) -> Result<(), Undone> {
        // Lost to somebody else: then that one decides.
        if let Claimed::Mine(_) = self.parts.deliveries.give_up(found, reason).await? {
            self.was_given_up(&found.delivery.msg, &found.delivery.ep, reason);
        }
        Ok(())
    }

    /// A delivery was given up by other means than a record of its last attempt.
    pub(crate) fn was_given_up(&self, msg: &MessageId, ep: &EndpointId, reason: &str) {
        self.parts.metrics.count(Metric::Exhausted);
        info!(message.id = %msg, endpoint.id = %ep, reason, "delivery exhausted");
    }
}

fn log(attempt: &Attempt, recorded: &Recorded, consequence: Option<&Consequence>) {
    macro_rules! line {
        ($level:ident, $text:expr, $next_at:expr) => {
            $level!(
                message.id = %attempt.msg,
                endpoint.id = %attempt.ep,
                attempt.id = %attempt.id,
                attempt.turn = ?attempt.turn,
                status = attempt.status,
                duration_ms = attempt.ms,
                ?recorded,
                next_at = $next_at,
                $text
            )
        };
    }
    const NEVER: Option<DebugValue<Timestamp>> = None;
    match consequence {
        _ if attempt.ok => line!(debug, "attempt delivered", NEVER),
        Some(Consequence::Retry { at, .. }) => line!(info, "attempt failed", field::debug(at)),
        Some(Consequence::Failed) => line!(info, "attempt failed, delivery exhausted", NEVER),
        Some(Consequence::Delivered) | None => line!(info, "attempt failed", NEVER),
    }
}
