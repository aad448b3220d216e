//! How the time of an invocation is spent. From its end backwards: what is unfinished is given
//! back; before that what the store would not take goes to the queue; before that the store is
//! asked; before that requests are out. Where nothing ends the invocation nothing is cut short.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Either;
use shared::domain::clock::Timestamp;

use crate::job::Job;

/// What is unfinished is given back with so much time left, in milliseconds: Lambda would give
/// the whole batch back, the nine that are done with the one that is not.
const GIVE_BACK_MS: u64 = 1_000;
/// With so much time left, in milliseconds, the batch is answered for, whatever has been given back:
/// what has not comes when its visibility ends, and alone.
const ANSWER_MS: u64 = 300;
/// The store is asked as long as so much time is left, in milliseconds: then there is enough for
/// a call to the queue.
const STORE_MS: u64 = 2_500;
/// Time that is kept for what comes after a request, in milliseconds.
const WRAP_UP_MS: u64 = 4_000;
/// Time that a request is given at the least, in milliseconds, unless its endpoint is to get less
/// anyway: with less left none is made.
const LEAST_REQUEST_MS: u64 = 5_000;
/// Shortest time that a request is given, in milliseconds.
const SHORTEST_REQUEST_MS: u64 = 500;

/// The moments of one invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(Option<Timestamp>);

impl Budget {
    /// For an invocation that is cut off at `deadline`, if any.
    pub(crate) fn until(deadline: Option<Timestamp>) -> Self {
        Self(deadline)
    }

    /// Whether it is too late to begin a request that may take `wanted_ms`.
    pub(crate) fn is_late(self, wanted_ms: u64, now: Timestamp) -> bool {
        let left_ms = self.left_ms(WRAP_UP_MS, now);
        left_ms.is_some_and(|left_ms| left_ms < wanted_ms.min(LEAST_REQUEST_MS))
    }

    /// How long a request takes at the most that is begun now and may take `wanted_ms`.
    pub(crate) fn cut_ms(self, wanted_ms: u64, now: Timestamp) -> u64 {
        // What has taken a lease goes out, however long that took.
        let left_ms = self.left_ms(WRAP_UP_MS, now).map(|left_ms| left_ms.max(SHORTEST_REQUEST_MS));
        left_ms.map_or(wanted_ms, |left_ms| wanted_ms.min(left_ms))
    }

    /// How long a request may wait for its turn.
    pub(crate) fn waiting(self, now: Timestamp) -> Option<Duration> {
        // One more, so that it is late by then.
        self.left_ms(WRAP_UP_MS + LEAST_REQUEST_MS - 1, now).map(Duration::from_millis)
    }

    /// How long the store may be asked.
    pub(crate) fn store(self, now: Timestamp) -> Option<Duration> {
        self.left_ms(STORE_MS, now).map(Duration::from_millis)
    }

    /// How long anything may take.
    pub(crate) fn all(self, now: Timestamp) -> Option<Duration> {
        self.left_ms(GIVE_BACK_MS, now).map(Duration::from_millis)
    }

    /// How long giving back may take.
    pub(crate) fn giving_back(self, now: Timestamp) -> Option<Duration> {
        self.left_ms(ANSWER_MS, now).map(Duration::from_millis)
    }

    fn left_ms(self, kept_ms: u64, now: Timestamp) -> Option<u64> {
        self.0.map(|deadline| deadline.since(now.plus_ms(kept_ms)))
    }
}

impl Job {
    /// How this invocation's time is spent.
    pub(crate) fn budget(&self) -> Budget {
        Budget::until(self.deadline)
    }
}

/// The outcome of some work, unless it takes longer than it may. No `async fn`, which would keep
/// room for the work twice: before it is begun, and after.
pub(crate) fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    match limit {
        None => Either::Left(work.map(Some)),
        Some(limit) => Either::Right(tokio::time::timeout(limit, work).map(Result::ok)),
    }
}
