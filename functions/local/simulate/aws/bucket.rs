//! Rates: a token bucket, and a ceiling that grows with what is asked of it.

use shared::domain::clock::Timestamp;

/// What may be taken at a rate. It may be overdrawn by the last one who takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(burst: f64, now: Timestamp) -> Self {
        Self { left: burst, at: now }
    }

    /// Whether something may be taken now.
    pub(crate) fn has(&mut self, per_s: f64, burst: f64, now: Timestamp) -> bool {
        self.left = (self.left + per_s * now.since(self.at) as f64 / 1000.0).min(burst);
        self.at = now;
        self.left > 0.0
    }

    /// Takes it.
    pub(crate) fn take(&mut self, units: f64) {
        self.left -= units;
    }

    /// Whether it would be full by now, and so can be forgotten.
    pub(crate) fn is_full(&self, per_s: f64, burst: f64, now: Timestamp) -> bool {
        self.left + per_s * now.since(self.at) as f64 / 1000.0 >= burst
    }
}

/// What a whole table may take in a second. It begins low and follows the traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceiling {
    bucket: Bucket,
    per_s: f64,
    most: f64,
    taken: f64,
    second: u64,
}

impl Ceiling {
    /// So much at first, and never more than `most`.
    pub(crate) fn new(first: f64, most: f64, now: Timestamp) -> Self {
        let bucket = Bucket::full(first, now);
        Self { bucket, per_s: first, most, taken: 0.0, second: now.as_secs() }
    }

    /// Whether something may be taken now.
    pub(crate) fn has(&mut self, now: Timestamp) -> bool {
        self.follow(now);
        self.bucket.has(self.per_s, self.per_s, now)
    }

    /// Takes it.
    pub(crate) fn take(&mut self, units: f64) {
        self.bucket.take(units);
        self.taken += units;
    }

    /// The table keeps up with twice what it had to take lately, and gets there by doubling once
    /// in half an hour.
    fn follow(&mut self, now: Timestamp) {
        /// In which a table can double (docs: on-demand capacity mode, "previous peak").
        const DOUBLES_IN_S: f64 = 30.0 * 60.0;
        if now.as_secs() == self.second {
            return;
        }
        let seconds = (now.as_secs() - self.second) as f64;
        let wanted = (2.0 * self.taken).min(self.most);
        if wanted > self.per_s {
            self.per_s = (self.per_s * (seconds / DOUBLES_IN_S).exp2()).min(wanted);
        }
        (self.taken, self.second) = (0.0, now.as_secs());
    }
}
