//! Something is wrong: endpoints that hang or are down, a table that is unwell, an account that is
//! busy elsewhere, an update under way. Each is measured against the same load without it.

use super::claim::Claim;
use super::size::Size;
use crate::simulate::figures::Figures;
use crate::simulate::plan::{Behaviour, Plan, Span, Tenant, Waiting};

/// When trouble begins, as a share of the load.
const BEGINS: f64 = 0.25;

fn span(size: &Size, share: f64) -> Span {
    Span { from_s: BEGINS * size.load_s, until_s: (BEGINS + share) * size.load_s }
}

/// Some endpoints hang: 1 % unless it is said.
pub(crate) fn hang(size: &Size) -> Vec<Plan> {
    let (healthy, mut plan) = (size.steady(), size.steady());
    let share = if size.hang > 0.0 { size.hang } else { 0.01 };
    let hanging = (share * plan.tenants.len() as f64).ceil() as usize;
    let weight = share * plan.tenants.len() as f64 / hanging as f64;
    for tenant in plan.tenants.iter_mut().take(hanging) {
        *tenant = Tenant { weight, endpoints: vec![Behaviour::hanging()], troubled: true };
    }
    vec![healthy, plan]
}

pub(crate) fn hang_holds(runs: &[Figures]) -> Vec<Claim> {
    let [without, with] = runs else { return Vec::new() };
    vec![
        Claim::spared("the others' first attempt", with.first.innocent, 2.0, without.first.all),
        Claim::at_most_times("invocations at once", with.at_once(), 1.5, without.at_once()),
    ]
}

/// One customer with a tenth of the traffic is down for half of the time.
pub(crate) fn outage(size: &Size) -> Vec<Plan> {
    let (healthy, mut plan) = (size.steady(), size.steady());
    let weight = plan.tenants.len() as f64 / 9.0;
    let down = Some(span(size, 0.5));
    let endpoints = vec![Behaviour { down, ..Behaviour::healthy(0.0) }];
    plan.tenants.push(Tenant { weight, endpoints, troubled: true });
    // As long as the schedule takes to come back after an outage of that length, and a day at
    // the most.
    plan.rest_s = (4.0 * size.load_s).clamp(3_600.0, 86_400.0);
    vec![healthy, plan]
}

pub(crate) fn outage_holds(runs: &[Figures]) -> Vec<Claim> {
    let [without, with] = runs else { return Vec::new() };
    vec![
        Claim::spared("the others' first attempt", with.first.innocent, 2.0, without.first.all),
        Claim::all_taken(with),
        Claim::at_most_times("requests", with.posts as f64, 1.05, with.attempts as f64),
    ]
}

/// A hundred applications, one of which has 200 endpoints that all hang as long as anything is
/// published. Then they answer.
pub(crate) fn neighbours(size: &Size) -> Vec<Plan> {
    const APPLICATIONS: usize = 100;
    /// As many as an application may have.
    const ENDPOINTS: f64 = 200.0;
    let endpoints = (ENDPOINTS * size.scale).ceil() as usize;
    let plan = || Plan::steady(size.rate, size.load_s, APPLICATIONS, 0.0);
    let (healthy, mut with) = (plan(), plan());
    with.tenants[0].troubled = true;
    with.tenants[0].endpoints = vec![Behaviour::hanging_until(size.load_s); endpoints];
    // The longest that a delivery waits for an endpoint that was silent so long, and the retries of
    // those that were sent to it.
    with.rest_s = 2.0 * 3_600.0;
    vec![healthy, with]
}

pub(crate) fn neighbours_holds(runs: &[Figures]) -> Vec<Claim> {
    let [without, with] = runs else { return Vec::new() };
    vec![
        Claim::spared("the others' first attempt", with.first.innocent, 2.0, without.first.all),
        Claim::all_taken(with),
    ]
}

/// Writes take five seconds or fail, for half of the time.
pub(crate) fn brown_out(size: &Size) -> Vec<Plan> {
    let mut plan = size.steady();
    plan.brown_out = Some((span(size, 0.5), 0.5, 5_000));
    plan.rest_s = 1_200.0;
    vec![plan]
}

pub(crate) fn brown_out_holds(runs: &[Figures]) -> Vec<Claim> {
    /// Until a process of receive knows: two calls to the table that nobody answered, of three
    /// seconds each (`Respite`). Until then each request holds a process of its own.
    const UNKNOWN_S: f64 = 6.0;
    let [run] = runs else { return Vec::new() };
    let published = &run.published;
    let own = published.asked.errors - published.asked.unserved;
    vec![
        Claim::new(
            "every 5xx of receive says when to ask again",
            own == published.asked.errors_with_advice && own > 0,
            format!("{} of {own}", published.asked.errors_with_advice),
        ),
        Claim::at_most(
            "requests that receive was not there for, against what comes in six seconds",
            published.asked.unserved,
            (UNKNOWN_S * run.planned_rate) as u64,
        ),
        Claim::all_taken(run),
    ]
}

/// Others take all but 50 of the account's concurrency, for half of the time. First nothing is
/// kept for receive, as in a stack whose parameters nobody looked at; then it has its own.
pub(crate) fn account(size: &Size) -> Vec<Plan> {
    /// What `ReceiveReservedConcurrency` is advised to be (`functions/README.md`).
    const RESERVED: u64 = 100;
    let plan = |reserved: u64| {
        let steady = size.steady();
        let others = steady.account_concurrency - reserved - 50;
        Plan {
            others: Some((span(size, 0.5), others)),
            receive_reserved: Some(reserved).filter(|own| *own > 0),
            rest_s: 1_200.0,
            ..steady
        }
    };
    vec![plan(0), plan(RESERVED)]
}

pub(crate) fn account_holds(runs: &[Figures]) -> Vec<Claim> {
    let [_, run] = runs else { return Vec::new() };
    let share = run.published.warm_error_share;
    vec![
        Claim::new(
            "publishers answered with 5xx, who can ask again: less than 1 %",
            share < 0.01,
            format!("{:.2} %", 100.0 * share),
        ),
        Claim::at_most("events that publishers give up", run.published.refused, 0),
        Claim::at_most("dead letters", run.dead_letters, 0),
        Claim::all_taken(run),
    ]
}

/// Half of the dispatchers are of the version before, and half of the records of a format that it
/// does not read.
pub(crate) fn update(size: &Size) -> Vec<Plan> {
    let mut plan = size.steady();
    plan.mixed_versions = true;
    plan.waiting = Waiting::default();
    plan.rest_s = 1_200.0;
    vec![plan]
}

pub(crate) fn update_holds(runs: &[Figures]) -> Vec<Claim> {
    let [run] = runs else { return Vec::new() };
    vec![Claim::all_taken(run)]
}
