//! Everything random in a simulation, from one seed.

use std::sync::Mutex;
use std::time::Duration;

use shared::domain::clock::Entropy;
use shared::domain::sync::hold;

/// How many standard deviations the 99th percentile of a normal distribution is from its middle.
const Z_99: f64 = 2.326_347_874;

/// A stream of random numbers (xorshift64*, seeded through splitmix64).
pub(crate) struct Dice(Mutex<u64>);

impl Dice {
    /// The stream of this seed. `stream` tells several streams of one seed apart.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mixed = split_mix(seed ^ split_mix(stream));
        Self(Mutex::new(mixed.max(1)))
    }

    /// The next 64 bits.
    pub(crate) fn next(&self) -> u64 {
        let mut state = hold(&self.0);
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number from 0 to 1, 1 excluded.
    pub(crate) fn share(&self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something happens that happens with this probability.
    pub(crate) fn hits(&self, probability: f64) -> bool {
        probability > 0.0 && self.share() < probability
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A time between two events that come `per_s` times a second on average, independently.
    pub(crate) fn gap(&self, per_s: f64) -> Duration {
        Duration::from_secs_f64(-(1.0 - self.share()).ln() / per_s)
    }

    /// A latency of a log-normal distribution.
    pub(crate) fn latency(&self, of: Latency) -> Duration {
        if of.p50_ms <= 0.0 {
            return Duration::ZERO;
        }
        let sigma = (of.p99_ms / of.p50_ms).ln().max(0.0) / Z_99;
        Duration::from_secs_f64(of.p50_ms / 1000.0 * (sigma * self.normal()).exp())
    }

    /// A number of the standard normal distribution (Box and Muller).
    fn normal(&self) -> f64 {
        let (a, b) = (1.0 - self.share(), self.share());
        (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }
}

impl Entropy for Dice {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
    }
}

fn split_mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A log-normal distribution of latencies, by two of its percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    /// Half of them are shorter.
    pub(crate) p50_ms: f64,
    /// One in a hundred is longer.
    pub(crate) p99_ms: f64,
}

impl Latency {
    /// No time at all.
    pub(crate) const NONE: Self = Self { p50_ms: 0.0, p99_ms: 0.0 };
}
