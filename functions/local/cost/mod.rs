//! `cargo run -- cost`: what a month on AWS would cost, from counted operations and list prices.
//!
//! The operations of DynamoDB and SQS and the bytes that are kept are counted with the real
//! handlers ([`operations`]); what cannot be counted here (milliseconds, bytes of logs and headers)
//! is assumed, can be set, and is printed. Between the sizes and numbers of endpoints that were
//! counted, and above, the counts run straight. What is paid for whether or not anything happens
//! stands apart from what follows the traffic.
//!
//! Not included: free tiers, cold starts, metrics and alarms.

use clap::Args;
use serde_json::{Value, json};
use shared::domain::attempt::{EXCERPT_BYTES, TAKEN_EXCERPT_BYTES};
use shared::domain::message::DEFAULT_RETENTION_DAYS;
use shared::domain::metrics::Metric;

mod bill;
mod operations;
mod prices;

use bill::{Bill, Line};
pub(crate) use bill::{Ran, bill_of};
use operations::{ALARM_METRICS, LINE_BYTES, URL_ALARM_METRICS};
use prices::MILLION;

use crate::output::tell;

/// A month's traffic, and what is assumed about it.
#[derive(Args, Clone)]
pub(crate) struct Cost {
    /// Messages a month, as 1e6.
    #[arg(long, default_value = "1e6", value_parser = count)]
    messages: f64,
    /// Bytes of each payload, as 800, 1k or 64k.
    #[arg(long, default_value = "1k", value_parser = bytes)]
    payload: usize,
    /// Endpoints that each message goes to.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    endpoints: u32,
    /// Deliveries that fail once and succeed at the second attempt, as 2%.
    #[arg(long, default_value = "0%", value_parser = share)]
    failures: f64,
    /// Deliveries that fail at all eight attempts.
    #[arg(long, default_value = "0%", value_parser = share)]
    exhausted: f64,
    /// Deliveries whose endpoint hangs at all eight attempts, so that the batch waits for it.
    #[arg(long, default_value = "0%", value_parser = share)]
    hang: f64,
    /// Bytes of an endpoint's answer.
    #[arg(long, default_value = "200", value_parser = bytes)]
    answer: usize,
    /// Bytes that are kept of it if the endpoint took the message (`TakenAnswerBytes`).
    #[arg(long, default_value_t = TAKEN_EXCERPT_BYTES as u32, value_parser = clap::value_parser!(u32).range(..=EXCERPT_BYTES as i64))]
    taken_answer: u32,
    /// Messages that are published with one call (`.../msg/batch` takes up to 100).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    published_at_once: u32,
    /// Messages that dispatch takes at once, 1 to 10, if not as many as arrive within 0.2 s.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10))]
    batch: Option<u32>,
    /// Milliseconds that endpoints take to answer.
    #[arg(long, default_value_t = 150)]
    latency: u32,
    /// Milliseconds that receive takes for a message, or for up to ten in one call.
    #[arg(long, default_value_t = 10)]
    receive_ms: u32,
    /// Milliseconds of dispatch for an attempt, the endpoint's own aside: 0.2 on a whole core,
    /// of which 256 MB have a seventh.
    #[arg(long, default_value_t = 2)]
    attempt_ms: u32,
    /// Bytes of log for an invocation, beside what failed attempts and sweeps add.
    #[arg(long, default_value_t = LINE_BYTES)]
    log_bytes: u32,
    /// Days for which messages are kept.
    #[arg(long, default_value_t = DEFAULT_RETENTION_DAYS as u32)]
    stored_days: u32,
    /// A function URL instead of API Gateway.
    #[arg(long)]
    function_url: bool,
    /// Records without groups, so that one customer's burst makes the others wait (`FairQueues`).
    #[arg(long)]
    no_fair_queues: bool,
}

/// Prints the month.
pub(crate) fn run(cost: &Cost, as_json: bool) -> Result<(), String> {
    if cost.failures + cost.exhausted + cost.hang > 1.0 {
        return Err("--failures, --exhausted and --hang come to more than all deliveries".into());
    }
    match as_json {
        true => crate::output::line(&month(cost).to_string()),
        false => print(cost),
    }
    Ok(())
}

/// The month for programs.
fn month(cost: &Cost) -> Value {
    let deliveries = cost.messages * f64::from(cost.endpoints);
    let bill = Bill::of(cost);
    let sum = bill.sum();
    let line = |line: &Line| json!({"name": line.name, "quantity": line.quantity, "unit": line.unit, "usd": line.dollars});
    let other = |other: &prices::Other| {
        let usd = (other.month)(cost.messages, cost.payload, deliveries);
        json!({"name": other.name, "asOf": other.as_of, "without": other.lacks, "usd": usd})
    };
    json!({
        "messages": cost.messages, "deliveries": deliveries, "usd": sum,
        "usdPerMillionDeliveries": sum / deliveries * MILLION,
        "usdOneByOne": Bill::one_by_one(cost).sum(), "asOf": prices::AS_OF,
        "lines": bill.traffic.iter().map(line).collect::<Vec<_>>(),
        "fixed": bill.fixed.iter().map(line).collect::<Vec<_>>(),
        "elsewhere": prices::OTHERS.iter().map(other).collect::<Vec<_>>(),
    })
}

/// The month for people.
fn print(cost: &Cost) {
    let deliveries = cost.messages * f64::from(cost.endpoints);
    let bill = Bill::of(cost);
    let percent = |share: f64| round(100.0 * share);
    tell!(
        "{} messages of {} KiB a month ({} a second) to {} endpoint(s) each: {} deliveries,",
        whole(cost.messages),
        cost.payload as f64 / 1024.0,
        whole((bill.a_second * 10.0).round() / 10.0),
        cost.endpoints,
        whole(deliveries)
    );
    tell!(
        "{}% delivered at the second attempt, {}% never, and {}% to endpoints that hang",
        percent(cost.failures),
        percent(cost.exhausted),
        percent(cost.hang)
    );
    tell!();
    tell!("{:<32}{:>14} {:<12}{:>9}{:>12}", "AWS", "a month", "", "USD", "per million");
    print_lines(&bill.traffic, Some(deliveries));
    tell!();
    tell!("{:<58}{:>10}", "AWS, whether or not anything happens", "USD");
    print_lines(&bill.fixed, None);
    tell!();
    print_sum("all of it", bill.sum(), Some(deliveries));
    if bill.batch > 1.0 {
        // How many a batch has is assumed, and what is assumed most of all.
        let one_by_one = Bill::one_by_one(cost).sum();
        print_sum("  if messages are dispatched one by one", one_by_one, Some(deliveries));
    }
    tell!();
    tell!("{:<58}{:>10}{:>12}", "elsewhere, at list prices", "USD", "per million");
    for other in prices::OTHERS {
        let month = (other.month)(cost.messages, cost.payload, deliveries);
        print_sum(&format!("{} ({})", other.name, other.as_of), month, Some(deliveries));
        tell!("  without {}", other.lacks);
    }
    tell!();
    print_assumptions(cost, &bill);
}

fn print_assumptions(cost: &Cost, bill: &Bill) {
    tell!(
        "AWS prices: us-east-1, {}, no free tier. Counted: operations of DynamoDB",
        prices::AS_OF
    );
    tell!(
        "and SQS, and the bytes that are kept. Assumed: receive {} ms a call, dispatch",
        cost.receive_ms
    );
    tell!(
        "{} ms an attempt and {} ms a batch (the endpoints' latency), of {} messages and {}",
        cost.attempt_ms,
        cost.latency,
        whole((bill.batch * 10.0).round() / 10.0),
        whole((bill.retry_batch * 10.0).round() / 10.0)
    );
    tell!(
        "retries; {} B of headers and TLS an attempt; answers of {} B; {} B of log an",
        bill::OVERHEAD_BYTES,
        cost.answer,
        cost.log_bytes
    );
    tell!(
        "invocation, {} more a failure; kept {} days, the table with point-in-time recovery.",
        bill::FAILURE_BYTES,
        cost.stored_days
    );
    let metrics = Metric::ALL.len() as f64;
    let watched = ALARM_METRICS + if cost.function_url { URL_ALARM_METRICS } else { 0 };
    let watching =
        metrics * prices::METRIC + f64::from(watched) * prices::ALARM + prices::DASHBOARD;
    tell!(
        "Left out: CloudWatch's {metrics} metrics, alarms on {watched} metrics and dashboard. Ten metrics,"
    );
    tell!(
        "ten of alarms and three dashboards of an account are free; otherwise {watching:.2} a month."
    );
}

fn print_lines(lines: &[Line], deliveries: Option<f64>) {
    for line in lines {
        let usd = dollars(9, line.dollars, deliveries);
        tell!("{:<32}{:>14} {:<12}{usd}", line.name, whole(line.quantity), line.unit);
    }
    print_sum("together", lines.iter().map(|line| line.dollars).sum(), deliveries);
}

fn print_sum(name: &str, usd: f64, deliveries: Option<f64>) {
    tell!("{name:<58}{}", dollars(10, usd, deliveries));
}

/// Dollars, and for a million deliveries if there is a number of them.
fn dollars(width: usize, usd: f64, deliveries: Option<f64>) -> String {
    let each = deliveries.map(|deliveries| format!("{:>12.2}", usd / deliveries * MILLION));
    format!("{usd:>width$.2}{}", each.unwrap_or_default())
}

/// A number with its thousands apart; small ones with a decimal.
fn whole(number: f64) -> String {
    if number < 10.0 && number.fract() != 0.0 {
        return format!("{number:.2}");
    }
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn count(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "write a number, as 1e6".to_owned())?;
    if (1.0..=1e12).contains(&number) { Ok(number) } else { Err("1 to 1e12".into()) }
}

fn bytes(text: &str) -> Result<usize, String> {
    let (digits, times) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1024),
        None => (text, 1),
    };
    let number: usize = digits.parse().map_err(|_| "write bytes, as 800 or 64k".to_owned())?;
    let bytes = number.saturating_mul(times);
    let largest = shared::domain::message::MAX_PAYLOAD_BYTES;
    if (1..=largest).contains(&bytes) { Ok(bytes) } else { Err(format!("1 to {largest} bytes")) }
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    let number = number.map_err(|_| "write a percentage, as 2%".to_owned())?;
    if (0.0..=100.0).contains(&number) { Ok(number / 100.0) } else { Err("0% to 100%".into()) }
}
