//! Very much at once: `morning`, `million` and `fan-out`.

use super::claim::Claim;
use super::size::Size;
use crate::simulate::figures::Figures;
use crate::simulate::plan::{Behaviour, Plan, Tenant, Waiting};

/// Nobody publishes while it happens.
fn quiet(size: &Size) -> Plan {
    Plan { rate: 0.0, warm_up_s: 0.0, ..size.steady() }
}

/// 20,000 messages are scheduled for one second.
pub(crate) fn morning(size: &Size) -> Vec<Plan> {
    const MESSAGES: u64 = 20_000;
    /// Ahead of the load: at least as long as a message has to be scheduled ahead.
    const AT_S: f64 = 180.0;
    let waiting = Waiting { scheduled: (MESSAGES, AT_S), ..Waiting::default() };
    vec![Plan { waiting, load_s: AT_S, rest_s: 1_800.0, ..quiet(size) }]
}

pub(crate) fn morning_holds(runs: &[Figures]) -> Vec<Claim> {
    let [run] = runs else { return Vec::new() };
    vec![
        Claim::within_ms("the last first attempt", run.last_first_ms, 30_000),
        Claim::at_most("messages not taken at the end", run.deliveries - run.fates.delivered, 0),
    ]
}

/// A million retries are due at once. Some messages are scheduled meanwhile, and some records are
/// dead letters.
pub(crate) fn million(size: &Size) -> Vec<Plan> {
    const RETRIES: u64 = 1_000_000;
    const OTHERS: u64 = 1_000;
    /// Write units of the table itself for a message whose first attempt fails: one, and a
    /// transaction of two items.
    const UNITS: f64 = 5.0;
    let waiting = Waiting { scheduled: (OTHERS, 300.0), retries: RETRIES, dead: OTHERS };
    // The table has taken these messages before, at the rate of the size, and takes twice of what
    // it had to take (docs: on-demand capacity mode, "previous peak").
    let warm_writes = 2.0 * UNITS * size.rate;
    let mut plan = Plan { waiting, warm_writes, load_s: 300.0, rest_s: 3_600.0, ..quiet(size) };
    // Retries are of deliveries that fail no more.
    plan.tenants.iter_mut().for_each(|tenant| tenant.endpoints = vec![Behaviour::healthy(0.0)]);
    vec![plan]
}

pub(crate) fn million_holds(runs: &[Figures]) -> Vec<Claim> {
    let [run] = runs else { return Vec::new() };
    vec![
        Claim::within_ms("the last retry", run.late.all.longest_ms, 900_000),
        Claim::within_ms("the last scheduled message", run.last_first_ms, 90_000),
        Claim::within_ms("the last dead letter brought back", run.dead_gone_ms, 180_000),
        Claim::all_taken(run),
    ]
}

/// Endpoints of the application that is fanned out to.
const FAN_OUT: usize = 10_000;

/// One message, or as many as were asked for, go to 10,000 endpoints, of which 1 % hang.
pub(crate) fn fan_out(size: &Size) -> Vec<Plan> {
    let most = Some((size.rate * size.load_s).max(1.0) as u64);
    // Time enough for all of them, however the dice fall.
    let load_s = 2.0 * size.load_s + 10.0 / (size.rate * size.scale);
    let endpoints = (FAN_OUT as f64 * size.scale) as usize;
    let of = |nth| if nth % 100 == 99 { Behaviour::hanging() } else { Behaviour::healthy(0.0) };
    let tenant =
        Tenant { weight: 1.0, endpoints: (0..endpoints).map(of).collect(), troubled: false };
    let plan = Plan { tenants: vec![tenant], most, load_s, rest_s: 600.0, ..size.steady() };
    vec![Plan { warm_up_s: 0.0, ..plan }]
}

pub(crate) fn fan_out_holds(runs: &[Figures]) -> Vec<Claim> {
    let [run] = runs else { return Vec::new() };
    vec![
        Claim::new(
            format!("an application of {} endpoints", run.planned_endpoints),
            run.endpoints == run.planned_endpoints,
            run.endpoints,
        ),
        Claim::at_most("endpoints without an attempt", run.fates.unattempted, 0),
        Claim::within_ms("the last first attempt", run.last_first_ms, 120_000),
    ]
}
