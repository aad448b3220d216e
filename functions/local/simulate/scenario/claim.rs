//! What must hold in a run, and whether it does.

use std::fmt::Display;

use serde::Serialize;

use crate::simulate::figures::{Figures, Quantiles};

/// Something that must hold, and whether it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claim {
    /// What.
    pub(crate) claim: String,
    /// Whether.
    pub(crate) holds: bool,
    /// What was found.
    pub(crate) found: String,
}

impl Claim {
    /// Something that holds or not.
    pub(crate) fn new(claim: impl Display, holds: bool, found: impl Display) -> Self {
        Self { claim: claim.to_string(), holds, found: found.to_string() }
    }

    /// A count that may not be larger.
    pub(crate) fn at_most(what: &str, found: u64, most: u64) -> Self {
        Self::new(format!("{what}: at most {most}"), found <= most, found)
    }

    /// Every delivery was taken at the end.
    pub(crate) fn all_taken(run: &Figures) -> Self {
        Self::at_most("deliveries not taken at the end", run.deliveries - run.fates.delivered, 0)
    }

    /// A time, in milliseconds, that may not be longer.
    pub(crate) fn within_ms(what: &str, found: u64, most: u64) -> Self {
        let claim = format!("{what}: within {}", seconds(most));
        Self::new(claim, found <= most, seconds(found))
    }

    /// A figure that may not be more than `times` another.
    pub(crate) fn at_most_times(what: &str, found: f64, times: f64, of: f64) -> Self {
        let claim = format!("{what}: at most {times} x {of:.1}");
        Self::new(claim, found <= times * of, format!("{found:.1}"))
    }

    /// A time of those who are in no trouble, against the same without the trouble.
    pub(crate) fn spared(what: &str, found: Quantiles, times: f64, of: Quantiles) -> Self {
        let claim = format!("{what}, p99: at most {times} x {}", seconds(of.p99_ms));
        let holds = found.p99_ms as f64 <= times * of.p99_ms as f64;
        Self::new(claim, holds, seconds(found.p99_ms))
    }
}

/// What must hold in every run.
pub(crate) fn everywhere(run: &Figures) -> Vec<Claim> {
    vec![
        // Of nothing, everything is true.
        Claim::new("at least one message accepted", run.accepted > 0, run.accepted),
        Claim::at_most("lost deliveries", run.fates.lost, 0),
        Claim::at_most("parked records", run.parked, 0),
        Claim::at_most(
            "attempts sent twice, beyond those of dead processes",
            run.sent_twice,
            run.died,
        ),
        Claim::at_most("invocations of dispatch that were cut off", run.dispatch.timed_out, 0),
    ]
}

fn seconds(ms: u64) -> String {
    format!("{:.3} s", ms as f64 / 1000.0)
}
