//! What each phase of an attempt hands to the next.

use shared::domain::attempt::{Attempt, Turn};
use shared::domain::delivery::Delivery;
use shared::domain::id::AttemptId;
use shared::store::Versioned;
use shared::work::Sending;

/// "This address is gone for good": Standard Webhooks asks to stop calling it.
pub(crate) const GONE: u16 = 410;

/// An attempt that may be made.
pub(crate) struct Cleared {
    pub(crate) turn: Turn,
    /// The id that it will have.
    pub(crate) id: AttemptId,
    /// The delivery as it was leased, if it was.
    pub(crate) held: Option<Versioned<Delivery>>,
    /// Kept until the attempt is on record.
    pub(crate) _sending: Option<Sending>,
}

/// An attempt that was made, in the form in which it is recorded.
pub(crate) struct Sent {
    pub(crate) attempt: Attempt,
    pub(crate) verdict: Verdict,
}

/// What an answer comes to.
pub(crate) struct Verdict {
    pub(crate) ok: bool,
    pub(crate) gone: bool,
    pub(crate) retry_after: Option<String>,
    pub(crate) status: u16,
    pub(crate) response: String,
}

impl Verdict {
    /// What is known of an attempt that is on record.
    pub(crate) fn of(attempt: &Attempt) -> Self {
        Self {
            ok: attempt.ok,
            gone: attempt.status == GONE,
            retry_after: None,
            status: attempt.status,
            response: attempt.response.clone(),
        }
    }
}
