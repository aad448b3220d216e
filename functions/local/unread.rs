//! A limit for those who do not read what they are sent: a connection whose answer nobody takes
//! would be held for ever, and others would find none free.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer as _};

use crate::stop::Stop;
use crate::timer::Timer;

/// How much longer an answer is waited for that nobody reads once the platform is to stop.
const AT_THE_STOP: Duration = Duration::from_secs(2);

/// How long answers may take to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Longest wait, beyond what it may take at the least rate.
    pub(crate) longest: Duration,
    /// Bytes that must be read in a second.
    pub(crate) least_rate: u32,
}

/// The time that so many bytes may take at the least rate.
pub(crate) fn time_for(bytes: usize, least_rate: u32) -> Duration {
    Duration::from_secs(1).mul_f64(bytes as f64 / f64::from(least_rate))
}

/// Waits for whoever reads one connection.
pub(crate) struct Reader {
    patience: Patience,
    timer: Timer,
    stop: Stop,
    /// When what is to be sent must be read, if something is.
    until: Option<(Instant, Pin<Box<dyn Sleep>>)>,
}

impl Reader {
    /// One whose time is measured by this timer, and who is waited for less once it is to stop.
    pub(crate) fn new(patience: Patience, timer: Timer, stop: Stop) -> Self {
        Self { patience, timer, stop, until: None }
    }

    /// What a write came to, or an error when it has been waited for long enough.
    pub(crate) fn judge(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending if self.is_over(context) => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Ready(Ok(bytes)) => self.has_taken(bytes),
            _ => {}
        }
        written
    }

    /// What is read buys the time that it may take.
    fn has_taken(&mut self, bytes: usize) {
        if let Some((until, sleep)) = &mut self.until {
            *until += time_for(bytes, self.patience.least_rate);
            self.timer.reset(sleep, *until);
        }
    }

    /// All that was to be sent has been.
    pub(crate) fn has_read(&mut self) {
        self.until = None;
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let Self { patience, timer, stop, until } = self;
        let (until, sleep) = until.get_or_insert_with(|| {
            let until = Instant::now() + patience.longest;
            (until, timer.sleep_until(until))
        });
        if stop.is_asked() {
            let soon = Instant::now() + AT_THE_STOP;
            if *until > soon {
                *until = soon;
                timer.reset(sleep, soon);
            }
        }
        sleep.as_mut().poll(context).is_ready()
    }
}
