//! Much traffic, and nothing wrong: `steady`, `hot` and `growth`.

use super::claim::Claim;
use super::size::Size;
use crate::simulate::figures::Figures;
use crate::simulate::plan::{Behaviour, Plan, Tenant};

/// The load of the size, spread out, with the share of hanging endpoints that was asked for.
pub(crate) fn steady(size: &Size) -> Vec<Plan> {
    let mut plan = size.steady();
    // Whoever asks for a share gets one endpoint of it at the least.
    let hanging = (size.hang * plan.tenants.len() as f64 - 1e-9).ceil() as usize;
    for tenant in plan.tenants.iter_mut().take(hanging) {
        tenant.troubled = true;
        tenant.endpoints = vec![Behaviour::hanging()];
    }
    vec![plan]
}

pub(crate) fn steady_holds(runs: &[Figures]) -> Vec<Claim> {
    runs.iter()
        .flat_map(|run| {
            [
                Claim::within_ms("first attempt, p99", run.first.all.p99_ms, 2_000),
                Claim::at_most("throttled after the warm-up", run.throttled.when_warm(), 0),
            ]
        })
        .collect()
}

/// One application with one endpoint has all the traffic. The table is warm.
pub(crate) fn hot(size: &Size) -> Vec<Plan> {
    let mut plan = size.steady();
    let endpoints = vec![Behaviour::healthy(0.0)];
    plan.tenants = vec![Tenant { weight: 1.0, endpoints, troubled: false }];
    plan.warm_writes = 4.0 * size.rate;
    vec![plan]
}

pub(crate) fn hot_holds(runs: &[Figures]) -> Vec<Claim> {
    runs.iter()
        .flat_map(|run| {
            let share = run.published.warm_error_share;
            let refused = run.published.refused;
            [
                Claim::new(
                    "publishers answered with 5xx after the warm-up: less than 0.1 %",
                    share < 0.001,
                    format!("{:.2} %", 100.0 * share),
                ),
                Claim::at_most("events that publishers give up", refused, 0),
                Claim::all_taken(run),
            ]
        })
        .collect()
}

/// What the endpoint of `rate` takes a second.
const RATE: u16 = 50;

/// One endpoint with a rate gets more than that, and somebody sends a hundred messages again
/// meanwhile. At least five dispatching processes share it.
pub(crate) fn rate(size: &Size) -> Vec<Plan> {
    let mut plan = size.steady();
    let endpoints = vec![Behaviour { rate: Some(RATE), ..Behaviour::healthy(0.1) }];
    plan.tenants = vec![Tenant { weight: 1.0, endpoints, troubled: false }];
    plan.warm_up_s = 0.0;
    plan.rest_s = 1_800.0;
    plan.by_hand_s = Some(size.load_s / 2.0);
    vec![plan]
}

pub(crate) fn rate_holds(runs: &[Figures]) -> Vec<Claim> {
    let [run] = runs else { return Vec::new() };
    let (least, most) = run.in_two_seconds.unwrap_or_default();
    let fit = 2 * u64::from(RATE);
    // At a smaller scale there is less than the endpoint takes, and no backlog.
    let (claim, is_enough) = match run.planned_rate < 2.0 * f64::from(RATE) {
        true => ("at most 55 requests a second in any two seconds", true),
        false => {
            ("45 to 55 requests a second in any two seconds of the backlog", least * 10 >= fit * 9)
        }
    };
    vec![
        Claim::new(
            claim,
            is_enough && most * 10 <= fit * 11,
            format!("{} to {}", least as f64 / 2.0, most as f64 / 2.0),
        ),
        Claim::all_taken(run),
    ]
}

/// A tenth, all and ten times the rate of the size, on accounts that were made ready for it, as
/// `functions/runbook.md` says.
pub(crate) fn growth(size: &Size) -> Vec<Plan> {
    [0.1, 1.0, 10.0]
        .map(|times| {
            let rate = size.rate * times;
            let mut plan = Size { rate, ..*size }.steady();
            // A mapping becomes faster by 300 batches in a minute, whatever it needs.
            plan.warm_up_s = 120.0_f64.min(size.load_s / 2.0);
            plan.warm_writes = plan.warm_writes.max(4.0 * rate);
            plan.warm_reads = plan.warm_reads.max(2.0 * rate);
            plan.table_quota = plan.table_quota.max(8.0 * rate);
            plan.dispatch_concurrency = plan.dispatch_concurrency.max((rate / 10.0) as usize);
            plan.account_concurrency = plan.account_concurrency.max((rate / 2.0) as u64);
            plan.requests_per_s = 2.0 * rate.max(5_000.0);
            plan
        })
        .into()
}

pub(crate) fn growth_holds(runs: &[Figures]) -> Vec<Claim> {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Vec::new() };
    let concurrency = |run: &Figures| run.dispatch.gb_s / run.fates.delivered.max(1) as f64 * 1e6;
    let mut claims = steady_holds(runs);
    claims.extend([
        Claim::at_most_times(
            "write units each",
            last.write_units_each,
            1.1,
            first.write_units_each,
        ),
        Claim::at_most_times("read units each", last.read_units_each, 1.1, first.read_units_each),
        Claim::at_most_times(
            "SQS requests each",
            last.sqs_requests_each,
            1.1,
            first.sqs_requests_each,
        ),
        Claim::at_most_times(
            "GB-s of dispatch a million",
            concurrency(last),
            1.1,
            concurrency(first),
        ),
    ]);
    claims
}
