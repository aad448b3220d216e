//! `cargo run -- cost`: what a month on AWS would cost, from counted operations and list prices.
//!
//! The operations of DynamoDB and SQS are counted with the real handlers ([`operations`]);
//! what cannot be counted here (milliseconds, bytes of logs and headers) is assumed, can be
//! set, and is printed. Between the sizes and numbers of endpoints that were counted, and
//! above, the counts run straight.
//!
//! Not included: free tiers, cold starts, metrics and alarms, the time that a hanging endpoint holds a
//! batch (set `--latency` for that).

use clap::Args;
use serde_json::{Value, json};
use shared::domain::metrics::Metric;

mod operations;
mod prices;

use operations::{Counts, ENDPOINTS, FAN_OUT, LINE_BYTES, MEASURED, MESSAGES, Measured};
use prices::MILLION;

/// A month's traffic, and what is assumed about it.
#[derive(Args)]
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
    /// Messages that dispatch takes at once: 10 under load, 1 when they come one by one. Full
    /// batches are assumed for SQS.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10))]
    batch: u32,
    /// Milliseconds that endpoints take to answer.
    #[arg(long, default_value_t = 150)]
    latency: u32,
    /// Milliseconds that receive takes for a message.
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
    #[arg(long, default_value_t = 90)]
    stored_days: u32,
    /// A function URL instead of API Gateway.
    #[arg(long)]
    function_url: bool,
}

/// GB of memory of each function (`template.yaml`).
const MEMORY_GB: f64 = 0.25;
/// Bytes that a request to an endpoint takes beside its payload: headers and a TLS handshake.
const OVERHEAD_BYTES: usize = 2048;
/// Runs of the retry function in a month of 730 hours, each over one of four parts, and what one
/// takes.
const SWEEPS: f64 = 730.0 * 60.0 * 4.0;
const SWEEP_READ_UNITS: f64 = 8.0;
const SWEEP_S: f64 = 0.05;
/// Memory of the retry function, in GB.
const SWEEP_MEMORY_GB: f64 = 0.5;
/// Bytes of the lines about a failed attempt and about a sweep, as the functions wrote them under
/// `.ci/invoke.py`, with the 26 that CloudWatch adds to each.
const FAILURE_BYTES: u32 = 760;
const SWEEP_BYTES: u32 = 400;
/// Receives of 20 s in a month by five idle pollers at each of two queues (Lambda).
const EMPTY_RECEIVES: f64 = 730.0 * 3_600.0 / 20.0 * 5.0 * 2.0;
/// Attempts of a delivery that fails for good.
const ATTEMPTS: f64 = 8.0;

/// Alarms of the stack (`template.yaml`).
const ALARMS: f64 = 10.0;

/// One line of the bill.
struct Line {
    name: &'static str,
    quantity: f64,
    unit: &'static str,
    dollars: f64,
}

/// Prints the month.
pub(crate) fn run(cost: &Cost, as_json: bool) -> Result<(), String> {
    if cost.failures + cost.exhausted > 1.0 {
        return Err("--failures and --exhausted come to more than all deliveries".into());
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
    let lines = bill(cost);
    let sum: f64 = lines.iter().map(|line| line.dollars).sum();
    let line = |line: &Line| json!({"name": line.name, "quantity": line.quantity, "unit": line.unit, "usd": line.dollars});
    let other = |other: &prices::Other| {
        let usd = (other.month)(cost.messages, cost.payload, deliveries);
        json!({"name": other.name, "asOf": other.as_of, "without": other.lacks, "usd": usd})
    };
    json!({
        "messages": cost.messages, "deliveries": deliveries, "usd": sum,
        "usdPerMillionDeliveries": sum / deliveries * MILLION, "asOf": prices::AS_OF,
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
        "elsewhere": prices::OTHERS.iter().map(other).collect::<Vec<_>>(),
    })
}

/// The month for people.
fn print(cost: &Cost) {
    let deliveries = cost.messages * f64::from(cost.endpoints);
    let size = cost.payload as f64 / 1024.0;
    println!(
        "{} messages of {size} KiB a month to {} endpoint(s) each: {} deliveries,",
        whole(cost.messages),
        cost.endpoints,
        whole(deliveries)
    );
    println!(
        "{}% delivered at the second attempt, {}% never",
        round(100.0 * cost.failures),
        round(100.0 * cost.exhausted)
    );
    println!();
    println!("{:<32}{:>14} {:<12}{:>10}{:>14}", "AWS", "a month", "", "USD", "per million");
    let lines = bill(cost);
    for line in &lines {
        print_line(line.name, &whole(line.quantity), line.unit, line.dollars, deliveries);
    }
    let sum = lines.iter().map(|line| line.dollars).sum();
    print_line("all", "", "", sum, deliveries);
    println!();
    println!("{:<58}{:>10}{:>14}", "elsewhere, at list prices", "USD", "per million");
    for other in prices::OTHERS {
        let month = (other.month)(cost.messages, cost.payload, deliveries);
        print_line(&format!("{} ({})", other.name, other.as_of), "", "", month, deliveries);
        println!("  without {}", other.lacks);
    }
    println!();
    println!("AWS prices: us-east-1, {}, no free tier. Counted: DynamoDB and SQS", prices::AS_OF);
    println!("operations, in full batches. Assumed: receive {} ms a message,", cost.receive_ms);
    println!(
        "dispatch {} ms an attempt and {} ms a batch of {} (the endpoints' latency),",
        cost.attempt_ms, cost.latency, cost.batch
    );
    println!(
        "{OVERHEAD_BYTES} B of headers and TLS an attempt; {} B of log an invocation, {FAILURE_BYTES} more a",
        cost.log_bytes
    );
    println!(
        "failure; kept {} days, at most 1 KB for each write unit, with point-in-time recovery.",
        cost.stored_days
    );
    let metrics = Metric::ALL.len() as f64;
    let watching = metrics * prices::METRIC + ALARMS * prices::ALARM + prices::DASHBOARD;
    println!(
        "Left out: CloudWatch's {metrics} metrics, {ALARMS} alarms and dashboard. Up to ten metrics, ten"
    );
    println!(
        "alarms and three dashboards of an account are free; otherwise {watching:.2} a month."
    );
}

/// What was used of AWS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Requests to the API, in pieces of 512 KB.
    pub(crate) api: f64,
    /// Invocations of all functions.
    pub(crate) invocations: f64,
    /// Time of functions, by their memory.
    pub(crate) gb_s: f64,
    /// SQS requests that brought something.
    pub(crate) sqs_requests: f64,
    /// SQS requests that brought nothing.
    pub(crate) empty_receives: f64,
    /// DynamoDB write units.
    pub(crate) write_units: f64,
    /// DynamoDB read units.
    pub(crate) read_units: f64,
    /// GB that are kept for a month.
    pub(crate) stored_gb: f64,
    /// Bytes of logs.
    pub(crate) log_bytes: f64,
    /// Bytes to the internet.
    pub(crate) egress_bytes: f64,
    /// Secrets for a month.
    pub(crate) secrets: f64,
}

/// What a run was seen to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    /// Requests of publishers.
    pub(crate) requests: u64,
    /// Bytes of each payload.
    pub(crate) payload: usize,
    /// Invocations of all functions.
    pub(crate) invocations: u64,
    /// Time of functions, by their memory.
    pub(crate) gb_s: f64,
    /// Attempts, and those of them that failed.
    pub(crate) attempts: u64,
    pub(crate) failures: u64,
    /// Days for which messages are kept.
    pub(crate) stored_days: u64,
}

/// Dollars for what a run did, which was metered by the `usage` of its ports; line by line. What
/// is paid by the month, whatever happens in it, is left out.
pub(crate) fn bill_of(ran: &Ran, usage: &crate::counting::Usage) -> Vec<(&'static str, f64)> {
    let months = ran.stored_days as f64 / 30.0;
    let write_units = usage.write_units as f64;
    let api = ran.requests as f64 * prices::chunks(ran.payload, prices::API_REQUEST_BYTES);
    let used = Used {
        api,
        invocations: ran.invocations as f64,
        gb_s: ran.gb_s,
        sqs_requests: usage.sqs_requests as f64,
        empty_receives: 0.0,
        write_units,
        read_units: usage.read_units,
        stored_gb: write_units * 1024.0 * months / prices::GB,
        log_bytes: ran.invocations as f64 * f64::from(LINE_BYTES)
            + ran.failures as f64 * f64::from(FAILURE_BYTES),
        egress_bytes: ran.attempts as f64 * (ran.payload + OVERHEAD_BYTES) as f64,
        secrets: 0.0,
    };
    let paid = lines(&used).into_iter().filter(|line| line.dollars > 0.0);
    paid.map(|line| (line.name, line.dollars)).collect()
}

fn bill(cost: &Cost) -> Vec<Line> {
    let messages = cost.messages;
    let deliveries = messages * f64::from(cost.endpoints);
    let (failed, exhausted) = (deliveries * cost.failures, deliveries * cost.exhausted);
    let attempts = deliveries + failed + (ATTEMPTS - 1.0) * exhausted;
    let counts = counted(cost);

    let per_batch = f64::from(cost.batch);
    let retries = (failed + (ATTEMPTS - 1.0) * exhausted) / per_batch;
    let dispatches = messages / per_batch + retries;
    let dispatch_s =
        (f64::from(cost.latency) * dispatches + f64::from(cost.attempt_ms) * attempts) / 1000.0;
    let seconds = f64::from(cost.receive_ms) / 1000.0 * messages + dispatch_s;
    let invocations = messages + dispatches + SWEEPS;
    let gb_s = seconds * MEMORY_GB + SWEEP_S * SWEEPS * SWEEP_MEMORY_GB;

    let api = if cost.function_url { 0.0 } else { messages };
    let api = api * prices::chunks(cost.payload, prices::API_REQUEST_BYTES);
    let months = f64::from(cost.stored_days) / 30.0;
    let stored = counts.write_units * 1024.0 * months / prices::GB;
    let failures = failed + ATTEMPTS * exhausted;
    let log_bytes = invocations * f64::from(cost.log_bytes)
        + failures * f64::from(FAILURE_BYTES)
        + SWEEPS * f64::from(SWEEP_BYTES);
    lines(&Used {
        api,
        invocations,
        gb_s,
        sqs_requests: counts.sqs_requests,
        empty_receives: EMPTY_RECEIVES,
        write_units: counts.write_units,
        read_units: counts.read_units + SWEEPS * SWEEP_READ_UNITS,
        stored_gb: stored,
        log_bytes,
        egress_bytes: attempts * (cost.payload + OVERHEAD_BYTES) as f64,
        secrets: 1.0,
    })
}

fn lines(used: &Used) -> Vec<Line> {
    let (logs, egress) = (used.log_bytes / prices::GB, used.egress_bytes / prices::GB);
    let million = |name, quantity: f64, unit, price: f64| Line {
        name,
        quantity,
        unit,
        dollars: quantity / MILLION * price,
    };
    let each = |name, quantity: f64, unit, price: f64| Line {
        name,
        quantity,
        unit,
        dollars: quantity * price,
    };
    vec![
        million("API Gateway", used.api, "requests", prices::API_REQUESTS),
        million("Lambda, invocations", used.invocations, "requests", prices::LAMBDA_REQUESTS),
        each("Lambda, time", used.gb_s, "GB-s", prices::LAMBDA_GB_S),
        million("SQS", used.sqs_requests, "requests", prices::SQS_REQUESTS),
        million("SQS, idle pollers", used.empty_receives, "requests", prices::SQS_EMPTY_RECEIVES),
        million("DynamoDB, writes", used.write_units, "units", prices::WRITE_UNITS),
        million("DynamoDB, reads", used.read_units, "units", prices::READ_UNITS),
        each("DynamoDB, storage", used.stored_gb, "GB", prices::STORED_GB + prices::RECOVERY_GB),
        each("CloudWatch, logs", logs, "GB", prices::LOGS_GB),
        each("Internet, out", egress, "GB", prices::EGRESS_GB),
        each("Secrets Manager", used.secrets, "secret", prices::SECRET),
    ]
}

/// What the month takes of DynamoDB and SQS.
fn counted(cost: &Cost) -> Counts {
    let sizes = MEASURED.map(|row| row.payload as f64);
    let size = cost.payload as f64;
    let of = |figure: &dyn Fn(&Measured) -> Counts| {
        let rows = MEASURED.each_ref().map(figure);
        between(sizes, rows, size)
    };
    let endpoints = f64::from(cost.endpoints);
    let fan_out = between(ENDPOINTS.map(|n| n as f64), FAN_OUT, endpoints);
    // What is received does not depend on where it goes, nor what is recorded on its size.
    let delivered = Counts { sqs_requests: of(&|row| row.delivered).sqs_requests, ..fan_out };
    let batches = cost.messages / MESSAGES as f64;
    let single = batches * endpoints;
    let parts = [
        (of(&|row| row.accepted), batches),
        (delivered, batches * (1.0 - cost.failures - cost.exhausted)),
        (of(&|row| row.second_attempt), single * cost.failures),
        (of(&|row| row.exhausted), cost.messages * endpoints * cost.exhausted),
    ];
    let sum = |part: fn(&Counts) -> f64| {
        parts.iter().map(|(counts, times)| part(counts) * times).sum::<f64>()
    };
    Counts {
        write_units: sum(|counts| counts.write_units),
        read_units: sum(|counts| counts.read_units),
        sqs_requests: sum(|counts| counts.sqs_requests),
    }
}

/// The figures at `x`, on the straight lines through those at `xs`; below the first, the first.
fn between(xs: [f64; 3], rows: [Counts; 3], x: f64) -> Counts {
    let from = usize::from(x > xs[1]);
    let share = ((x - xs[from]) / (xs[from + 1] - xs[from])).max(0.0);
    let (a, b) = (rows[from], rows[from + 1]);
    let mix = |a: f64, b: f64| a + (b - a) * share;
    Counts {
        write_units: mix(a.write_units, b.write_units),
        read_units: mix(a.read_units, b.read_units),
        sqs_requests: mix(a.sqs_requests, b.sqs_requests),
    }
}

fn print_line(name: &str, quantity: &str, unit: &str, dollars: f64, deliveries: f64) {
    let per_million = dollars / deliveries * MILLION;
    if quantity.is_empty() {
        println!("{name:<58}{dollars:>10.2}{per_million:>14.2}");
    } else {
        println!("{name:<32}{quantity:>14} {unit:<12}{dollars:>9.2}{per_million:>14.2}");
    }
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
