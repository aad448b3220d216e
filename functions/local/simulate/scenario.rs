//! The scenarios: what each of them lets happen, and what must hold in it.

use serde::Serialize;

use super::figures::Figures;
use super::plan::{Behaviour, Plan};

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size {
    /// Messages a second.
    pub(crate) rate: f64,
    /// How long the load lasts, in seconds.
    pub(crate) load_s: f64,
    /// The share of endpoints that hang, if the scenario leaves it open.
    pub(crate) hang: f64,
}

/// A situation, and what is claimed about it.
pub(crate) struct Scenario {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What happens in it.
    pub(crate) about: &'static str,
    /// What is planned.
    pub(crate) plan: fn(&Size) -> Plan,
    /// What it is measured against, if that is another run: the same without the trouble.
    pub(crate) baseline: Option<fn(&Size) -> Plan>,
    /// What must hold.
    pub(crate) claims: fn(&Figures, &Figures) -> Vec<Claim>,
}

/// Something that must hold, and whether it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Claim {
    /// What.
    pub(crate) claim: String,
    /// Whether.
    pub(crate) holds: bool,
    /// What was found.
    pub(crate) found: String,
}

/// All of them.
pub(crate) const SCENARIOS: [Scenario; 1] = [Scenario {
    name: "steady",
    about: "300 applications with one endpoint each, which takes 150 ms and fails 2 % once",
    plan: steady,
    baseline: None,
    claims: |run, _| {
        vec![
            at_most("first attempt, p99", run.first.all.p99_ms, 2_000, "ms"),
            at_most("throttled calls after the warm-up", throttled(run), 0, ""),
        ]
    },
}];

/// What must hold in every scenario.
pub(crate) fn everywhere(run: &Figures) -> Vec<Claim> {
    vec![
        at_most("lost deliveries", run.lost, 0, ""),
        at_most("parked records", run.parked, 0, ""),
        at_most("sent twice, beyond what died in a process", run.sent_twice, run.died, ""),
    ]
}

fn steady(size: &Size) -> Plan {
    /// Of the applications, whose endpoints hang by turns.
    const APPLICATIONS: usize = 300;
    let mut plan = Plan::steady(size.rate, size.load_s, APPLICATIONS, 0.02);
    let hanging = (size.hang * APPLICATIONS as f64).round() as usize;
    for tenant in plan.tenants.iter_mut().take(hanging) {
        tenant.troubled = true;
        tenant.endpoints = vec![Behaviour::hanging()];
    }
    plan
}

fn throttled(run: &Figures) -> u64 {
    run.throttled.table + run.throttled.partition + run.throttled.index
}

fn at_most(what: &str, found: u64, most: u64, unit: &str) -> Claim {
    Claim {
        claim: format!("{what} at most {most} {unit}").trim_end().to_owned(),
        holds: found <= most,
        found: format!("{found} {unit}").trim_end().to_owned(),
    }
}
