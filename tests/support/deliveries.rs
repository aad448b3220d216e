//! Deliveries for tests of the pure machine.

use shared::domain::clock::Timestamp;
use shared::domain::delivery::{Delivery, Pending, Plan, QUEUE_GRACE_MS, State};
use shared::domain::id::{ApplicationId, EndpointId, Ksuid, MessageId, RANDOM_BYTES};

/// When its message was accepted.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);

/// A delivery that nothing has happened to.
pub(crate) fn first() -> Delivery {
    let ksuid = |byte| Ksuid::from_parts(START, [byte; RANDOM_BYTES]);
    Delivery {
        msg: MessageId::from_ksuid(ksuid(1)),
        app: ApplicationId::from_ksuid(ksuid(2)),
        ep: EndpointId::from_ksuid(ksuid(3)),
        attempts: 0,
        state: State::Pending(Pending {
            next: Plan::Queue { at: START },
            counted: false,
            lease_until: None,
            unwritten: false,
            due_at: START.plus_ms(QUEUE_GRACE_MS),
        }),
        by_hand: false,
        told_exhausted: false,
        expires_at: START.plus_ms(90 * 86_400_000),
    }
}
