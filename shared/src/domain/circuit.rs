//! A circuit breaker for each endpoint: one that does not answer is left alone, so that nobody
//! waits for it, and is asked now and then whether it is back.
//!
//! ```text
//!   closed ── silence, five times in a row ──▶ open ── probe: silence ──▶ open, for longer
//!      ▲                                         │
//!      └────────────── any answer ───────────────┘
//! ```
//!
//! Any answer closes it, a refusal as well: what an endpoint says about a delivery is dealt with
//! by the delivery's schedule. While it is open a delivery waits without spending an attempt. One of
//! those that ask when a probe is due makes its attempt; whoever moves the time of the probe on is
//! that one.
//!
//! A delivery of the time since then that had no attempt asks when the next probe is due, and from
//! then on waits for the endpoint: one of those that wait is told to ask at the next probe, and all
//! of them are released once it answers. Should nobody do so, they ask by themselves after
//! twice as long as the circuit has been open. What is older, had an attempt or was asked for by
//! hand is not looked for, and asks after half of that time.
//!
//! An endpoint that has been silent for a day is not waited for: attempts fail at once, without a
//! request, and deliveries end by their schedule as if it had been asked. Probes go on.
//!
//! The state rests with the endpoint and is written when it changes: never for an endpoint that
//! answers.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

/// Silences in a row that open a circuit.
pub const OPENS_AFTER: u32 = 5;
/// A silence that is older than this does not count with the next one, in milliseconds.
pub const FORGOTTEN_AFTER_MS: u64 = 10 * 60_000;
/// Time before the first probe, in milliseconds; before each later one it is twice as long.
pub const FIRST_PROBE_MS: u64 = 30_000;
/// Longest time between two probes, in milliseconds.
pub const LONGEST_PROBE_MS: u64 = 5 * 60_000;
/// Longest that a delivery which had an attempt waits before it asks again, in milliseconds: less
/// than a queue holds.
pub const LONGEST_WAIT_MS: u64 = 10 * 60_000;
/// Least that one waits which had none and has asked before, in milliseconds.
pub const LEAST_FIRST_WAIT_MS: u64 = 10 * 60_000;
/// Most that it waits: as late as it may come when it is not released.
pub const LONGEST_FIRST_WAIT_MS: u64 = 3_600_000;
/// What was published so long before a circuit opened is released as well, in milliseconds: it may
/// have waited for the attempts that found out.
pub const BEFORE_MS: u64 = 60_000;
/// How long deliveries wait for an endpoint without spending attempts, in milliseconds: a day.
pub const PATIENCE_MS: u64 = 86_400_000;

/// What is remembered of an endpoint that did not answer. Nothing is of one that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Circuit {
    /// Silences in a row, while it is closed.
    pub silences: u32,
    /// When the last of them was.
    pub last_at: Timestamp,
    /// Set while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
}

/// A circuit that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// Since when.
    pub since: Timestamp,
    /// Probes so far.
    pub probes: u32,
    /// When the next one may be made.
    pub probe_at: Timestamp,
    /// Since when deliveries wait that were not all released when it was closed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
}

impl Open {
    /// What was published from then on is released once the endpoint answers.
    pub fn releases_from(&self) -> Timestamp {
        self.waiting_since.map_or(self.since, |since| since.min(self.since)).minus_ms(BEFORE_MS)
    }
}

/// How far a delivery is that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It asks for the first time.
    New,
    /// It had to wait, and is released when the endpoint answers.
    Waiting,
    /// It comes only by itself.
    Attempted,
}

/// What an attempt may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Be made.
    Go,
    /// Be made as a probe, by whoever stores [`probing`] first. The others wait.
    Probe,
    /// Wait.
    Wait {
        /// Until then.
        until: Timestamp,
    },
    /// Fail without a request.
    Shut {
        /// How long the endpoint has been silent.
        since: Timestamp,
    },
}

/// What an attempt may do `now`. `random` keeps those who wait from coming back together.
pub fn passage(
    circuit: Option<&Circuit>,
    progress: Progress,
    now: Timestamp,
    random: u64,
) -> Passage {
    let Some(open) = circuit.and_then(|circuit| circuit.open.as_ref()) else { return Passage::Go };
    if open.probe_at <= now {
        return Passage::Probe;
    }
    wait(open, progress, now, random)
}

/// What an attempt may do that would have been a probe, had not another one been.
pub fn instead_of_probe(
    circuit: Option<&Circuit>,
    progress: Progress,
    now: Timestamp,
    random: u64,
) -> Passage {
    match circuit.and_then(|circuit| circuit.open.as_ref()) {
        Some(open) => wait(open, progress, now, random),
        None => Passage::Go,
    }
}

fn wait(open: &Open, progress: Progress, now: Timestamp, random: u64) -> Passage {
    let open_ms = now.since(open.since);
    if open_ms >= PATIENCE_MS {
        return Passage::Shut { since: open.since };
    }
    let whole_ms = match progress {
        // Once the next probe is due, and not all at that very moment.
        Progress::New => {
            let until = open.probe_at.max(now.plus_ms(FIRST_PROBE_MS / 2));
            return Passage::Wait { until: until.plus_ms(random % FIRST_PROBE_MS) };
        }
        Progress::Waiting => (2 * open_ms).clamp(LEAST_FIRST_WAIT_MS, LONGEST_FIRST_WAIT_MS),
        Progress::Attempted => (open_ms / 2).clamp(FIRST_PROBE_MS, LONGEST_WAIT_MS),
    };
    // Three quarters to all of it.
    Passage::Wait { until: now.plus_ms(whole_ms - random % (whole_ms / 4 + 1)) }
}

/// The circuit of an endpoint that did not answer.
pub fn silent(circuit: Option<&Circuit>, now: Timestamp) -> Circuit {
    let recent = circuit.filter(|circuit| {
        circuit.open.is_some() || now.since(circuit.last_at) < FORGOTTEN_AFTER_MS
    });
    let Some(circuit) = recent else { return Circuit { silences: 1, last_at: now, open: None } };
    if circuit.open.is_some() {
        // A probe, or a request from before. The time of the next probe stands already.
        return *circuit;
    }
    let silences = circuit.silences + 1;
    let probe_at = now.plus_ms(FIRST_PROBE_MS);
    let first = Open { since: now, probes: 0, probe_at, waiting_since: None };
    Circuit { silences, last_at: now, open: (silences >= OPENS_AFTER).then_some(first) }
}

/// The circuit once a probe is on its way; `None` when it is not due any more.
pub fn probing(circuit: Option<&Circuit>, now: Timestamp) -> Option<Circuit> {
    let circuit = circuit?;
    let open = circuit.open.filter(|open| open.probe_at <= now)?;
    let pause_ms = (FIRST_PROBE_MS << open.probes.min(8)).saturating_mul(2).min(LONGEST_PROBE_MS);
    let next = Open { probes: open.probes + 1, probe_at: now.plus_ms(pause_ms), ..open };
    Some(Circuit { open: Some(next), ..*circuit })
}
