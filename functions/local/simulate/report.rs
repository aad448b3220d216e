//! A run as a table for people.

use super::figures::{Figures, Quantiles, Work};
use super::scenario::claim::Claim;
use crate::output::tell;

/// Prints what a run came to.
pub(crate) fn print(run: &Figures) {
    line("took", format!("{:.0} s of its time", run.took_s));
    line("accepted", format!("{} messages, {} deliveries", run.accepted, run.deliveries));
    let rest = [
        ("given up", run.fates.ended),
        ("pending", run.fates.pending),
        ("in a queue", run.fates.queued),
    ];
    let rest = rest.iter().filter(|(_, count)| *count > 0);
    let rest: String = rest.map(|(what, count)| format!(", {count} {what}")).collect();
    line("delivered", format!("{}{rest}", run.fates.delivered));
    line("attempts", format!("{} on record, {} requests", run.attempts, run.posts));
    line("sent twice", format!("{}, of which {} in processes that died", run.sent_twice, run.died));
    line(
        "lost, parked",
        format!("{}, {}; {} dead letters", run.fates.lost, run.parked, run.dead_letters),
    );
    line("first attempt", quantiles(&run.first.all));
    line("  of the others", quantiles(&run.first.innocent));
    line("end to end", quantiles(&run.end_to_end.all));
    line("  of the others", quantiles(&run.end_to_end.innocent));
    line("retries, late by", quantiles(&run.late.all));
    if let Some((least, most)) = run.in_two_seconds {
        line("under its rate", format!("{least} to {most} requests in two seconds"));
    }
    let published = &run.published;
    line(
        "publishers",
        format!(
            "{} requests, {} x 429, {} x 5xx ({} for want of receive), {} events given up; 202 in {}",
            published.asked.requests,
            published.asked.limited,
            published.asked.errors,
            published.asked.unserved,
            published.refused,
            quantiles(&published.took)
        ),
    );
    for (name, of) in
        [("receive", &run.receive), ("dispatch", &run.dispatch), ("retry", &run.retry)]
    {
        line(name, work(of));
    }
    line("concurrency", format!("{} at the most", run.concurrency));
    let throttled = run.throttled;
    line(
        "throttled",
        format!(
            "{} in the warm-up; {} by the table, {} by a partition, {} by an index",
            throttled.warming_up, throttled.table, throttled.partition, throttled.index
        ),
    );
    line(
        "each delivery",
        format!(
            "{:.2} write units, {:.3} read units, {:.2} SQS requests",
            run.write_units_each, run.read_units_each, run.sqs_requests_each
        ),
    );
    let dollars: f64 = run.bill.iter().map(|(_, dollars)| dollars).sum();
    let parts = run.bill.iter().map(|(name, dollars)| format!("{name} {dollars:.2}"));
    let parts = parts.collect::<Vec<_>>().join("; ");
    line("a million", format!("{dollars:.2} USD: {parts}"));
}

/// Prints several runs, a line each.
pub(crate) fn print_beside(runs: &[Figures]) {
    tell!(
        "{:>9}{:>11}{:>10}{:>9}{:>6}{:>8}{:>8}{:>9}{:>10}",
        "accepted",
        "first p99",
        "e2e p50",
        "at once",
        "peak",
        "W each",
        "R each",
        "SQS each",
        "throttled"
    );
    for run in runs {
        tell!(
            "{:>9}{:>8} ms{:>7} ms{:>9.1}{:>6}{:>8.2}{:>8.3}{:>9.2}{:>10}",
            run.accepted,
            run.first.all.p99_ms,
            run.end_to_end.all.p50_ms,
            run.at_once(),
            run.concurrency,
            run.write_units_each,
            run.read_units_each,
            run.sqs_requests_each,
            run.throttled.warming_up + run.throttled.when_warm(),
        );
    }
}

/// Prints what was claimed of it.
pub(crate) fn print_claims(claims: &[Claim]) {
    for claim in claims {
        let mark = if claim.holds { "holds" } else { "FAILS" };
        tell!("{mark:<9}{}: {}", claim.claim, claim.found);
    }
}

fn work(of: &Work) -> String {
    let mut text = format!(
        "{} invocations, {:.1} at once, {} at the most, {} cold",
        of.invocations, of.mean, of.peak, of.cold_starts
    );
    for (what, count) in [("throttled", of.throttled), ("killed", of.timed_out)] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn line(name: &str, value: impl std::fmt::Display) {
    tell!("{name:<18} {value}");
}

fn quantiles(of: &Quantiles) -> String {
    let time = |ms: u64| {
        if ms < 10_000 { format!("{ms} ms") } else { format!("{:.0} s", ms as f64 / 1000.0) }
    };
    format!(
        "p50 {}, p95 {}, p99 {}, longest {}",
        time(of.p50_ms),
        time(of.p95_ms),
        time(of.p99_ms),
        time(of.longest_ms)
    )
}
