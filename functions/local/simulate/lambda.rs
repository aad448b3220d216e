//! Functions: processes that are started when needed, hold one invocation at a time, and are
//! killed when their time is up; and the concurrency that an account shares out among them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::domain::clock::{Clock, Timestamp};
use shared::domain::sync::hold;

use super::aws::dice::{Dice, Latency};
use super::life::Life;

/// How long a function takes to start: runtime, the SDK's clients, the root secret (est.; a Rust
/// function alone takes 14 ms on arm64, maxday/lambda-perf 2026-08-22).
const COLD_START: Latency = Latency { p50_ms: 80.0, p99_ms: 200.0 };
/// How long a process is kept that has nothing to do, in milliseconds (est.: AWS does not say).
const IDLE_MS: u64 = 7 * 60_000;
/// Concurrency of an account that nobody has asked to raise (docs: Lambda quotas).
pub(crate) const ACCOUNT_CONCURRENCY: u64 = 1_000;

/// What an account shares out: so many invocations at once.
pub(crate) struct Concurrency {
    clock: Arc<dyn Clock>,
    limit: u64,
    /// What others in the account use, and when.
    others: Mutex<Vec<(Timestamp, Timestamp, u64)>>,
    used: Mutex<Used>,
}

/// What is in use: of what all share, and in all.
#[derive(Default)]
struct Used {
    shared: u64,
    all: u64,
    peak: u64,
}

impl Concurrency {
    /// So much in all, beside what functions have reserved for themselves.
    pub(crate) fn new(clock: Arc<dyn Clock>, limit: u64) -> Arc<Self> {
        Arc::new(Self { clock, limit, others: Mutex::default(), used: Mutex::default() })
    }

    /// Others take so much of it between these moments.
    pub(crate) fn others_take(&self, from: Timestamp, until: Timestamp, much: u64) {
        hold(&self.others).push((from, until, much));
    }

    /// The most that was used at once.
    pub(crate) fn peak(&self) -> u64 {
        hold(&self.used).peak
    }

    /// One invocation of a function that has `own` of its own, which nobody else may use, and no
    /// more than that; or of one that has none.
    fn take(self: &Arc<Self>, own: Option<(u64, u64)>) -> Option<Held> {
        let now = self.clock.now();
        let is_now = |other: &&(Timestamp, Timestamp, u64)| other.0 <= now && now < other.1;
        let others = hold(&self.others).iter().filter(is_now).map(|other| other.2).sum::<u64>();
        let mut used = hold(&self.used);
        match own {
            Some((reserved, running)) if running >= reserved => return None,
            Some(_) => {}
            None if used.shared + others >= self.limit => return None,
            None => used.shared += 1,
        }
        used.all += 1;
        used.peak = used.peak.max(used.all);
        Some(Held { of: self.clone(), shared: own.is_none() })
    }
}

/// One of the invocations at once.
struct Held {
    of: Arc<Concurrency>,
    shared: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = hold(&self.of.used);
        used.all -= 1;
        used.shared -= u64::from(self.shared);
    }
}

/// Why an invocation brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The account has no concurrency left. Nothing has run.
    Throttled,
    /// Its time was up: the process was killed.
    TimedOut,
}

/// What a function did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Stats {
    /// Invocations that ran.
    pub(crate) invocations: u64,
    /// Invocations that were refused.
    pub(crate) throttled: u64,
    /// Invocations that were killed.
    pub(crate) timed_out: u64,
    /// Processes that were started.
    pub(crate) cold_starts: u64,
    /// Most invocations at once.
    pub(crate) peak: u64,
    /// Time that is billed, in milliseconds.
    pub(crate) billed_ms: u64,
    /// Requests of processes that were killed before they could record them.
    pub(crate) unrecorded: u64,
    /// Invocations that run.
    pub(crate) running: u64,
}

/// A function, and its processes.
pub(crate) struct Function<T> {
    timeout_ms: u64,
    clock: Arc<dyn Clock>,
    dice: Arc<Dice>,
    account: Arc<Concurrency>,
    /// Concurrency that is this function's alone.
    reserved: Option<u64>,
    make: Box<dyn Fn(&Life) -> T + Send + Sync>,
    idle: Mutex<Vec<Process<T>>>,
    stats: Mutex<Stats>,
}

struct Process<T> {
    function: T,
    life: Life,
    idle_since: Timestamp,
}

impl<T: Clone> Function<T> {
    /// A function whose processes `make` puts together.
    pub(crate) fn new(
        timeout_ms: u64,
        clock: Arc<dyn Clock>,
        dice: Arc<Dice>,
        (account, reserved): (Arc<Concurrency>, Option<u64>),
        make: impl Fn(&Life) -> T + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (idle, stats) = (Mutex::default(), Mutex::default());
        Arc::new(Self {
            timeout_ms,
            clock,
            dice,
            account,
            reserved,
            make: Box::new(make),
            idle,
            stats,
        })
    }

    /// What it did so far.
    pub(crate) fn stats(&self) -> Stats {
        *hold(&self.stats)
    }

    /// One invocation: `work` gets the function and the moment at which it will be killed.
    pub(crate) async fn invoke<W: Future>(
        &self,
        work: impl FnOnce(T, Timestamp) -> W,
    ) -> Result<W::Output, Failure> {
        let running = self.stats().running;
        let Some(_held) = self.account.take(self.reserved.map(|own| (own, running))) else {
            hold(&self.stats).throttled += 1;
            return Err(Failure::Throttled);
        };
        self.begin();
        let mut process = self.process().await;
        let began = self.clock.now();
        process.life.begin();
        let deadline = began.plus_ms(self.timeout_ms);
        let work = work(process.function.clone(), deadline);
        let answer = tokio::time::timeout(Duration::from_millis(self.timeout_ms), work).await;
        let now = self.clock.now();
        let mut stats = hold(&self.stats);
        stats.running -= 1;
        stats.billed_ms += now.since(began);
        match answer {
            Ok(answer) => {
                process.idle_since = now;
                hold(&self.idle).push(process);
                Ok(answer)
            }
            Err(_) => {
                stats.timed_out += 1;
                stats.unrecorded += process.life.end();
                Err(Failure::TimedOut)
            }
        }
    }

    fn begin(&self) {
        let mut stats = hold(&self.stats);
        stats.invocations += 1;
        stats.running += 1;
        stats.peak = stats.peak.max(stats.running);
    }

    /// The process that was used last, or a new one.
    async fn process(&self) -> Process<T> {
        let now = self.clock.now();
        let kept = {
            let mut idle = hold(&self.idle);
            idle.retain(|process| now.since(process.idle_since) < IDLE_MS);
            idle.pop()
        };
        if let Some(process) = kept {
            return process;
        }
        let life = Life::default();
        let function = (self.make)(&life);
        let takes = self.dice.latency(COLD_START);
        {
            let mut stats = hold(&self.stats);
            stats.cold_starts += 1;
            stats.billed_ms += u64::try_from(takes.as_millis()).unwrap_or(0);
        }
        tokio::time::sleep(takes).await;
        Process { function, life, idle_since: now }
    }
}
