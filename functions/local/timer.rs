//! Time, for connections that change lanes.

use std::pin::Pin;
use std::time::{Duration, Instant};

use hyper::rt::Sleep;
use hyper_util::rt::TokioTimer;
use tokio::runtime::Handle;

/// Measures the time of a connection in one lane, wherever the connection is: what waits ends with
/// the lane that it was begun in, and a connection outlives the second.
#[derive(Clone)]
pub(crate) struct Timer {
    lane: Handle,
    timer: TokioTimer,
}

impl Timer {
    /// Of the lane where this is called.
    pub(crate) fn here() -> Self {
        Self { lane: Handle::current(), timer: TokioTimer::new() }
    }
}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let _inside = self.lane.enter();
        self.timer.sleep(duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let _inside = self.lane.enter();
        self.timer.sleep_until(deadline)
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, new_deadline: Instant) {
        self.timer.reset(sleep, new_deadline);
    }

    fn now(&self) -> Instant {
        self.timer.now()
    }
}
