//! What surrounds the work of an invocation on Lambda: when it is done, what it told is written
//! down, because the process may be frozen after its answer and never wake up.

use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;

use crate::lambda::emf::Emf;
use crate::lambda::telemetry::Telemetry;

/// Ends invocations in order.
pub struct Invocation {
    emf: Emf,
    telemetry: Telemetry,
}

impl Invocation {
    /// Invocations whose metrics and traces go there.
    pub fn new(emf: Emf, telemetry: Telemetry) -> Self {
        Self { emf, telemetry }
    }

    /// Does the work of an invocation, writes down its metrics and sends its traces.
    ///
    /// A panic goes on without what it said, which may quote anything and which Lambda's runtime
    /// would log.
    pub async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        if let Err(error) = self.emf.write(&mut io::stdout().lock()) {
            tracing::warn!(%error, "cannot write metrics");
        }
        self.telemetry.flush().await;
        done.unwrap_or_else(|_| {
            resume_unwind(Box::new("the handler panicked: the log has the place"))
        })
    }
}
