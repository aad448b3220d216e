//! What a run came to, in a table.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Plan;
use super::publish::Published;
use super::receiver::Receiver;
use crate::machine::Status;
use crate::output::tell;
use crate::process::Used;

/// Everything that was measured.
pub(crate) struct Report<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) receiver: &'a Receiver,
    pub(crate) published: &'a Published,
    pub(crate) elapsed: Duration,
    pub(crate) killed: Option<Duration>,
    /// End to end without the one who does harm.
    pub(crate) alone: Option<Histogram<u64>>,
    /// What that one did.
    pub(crate) harm: Option<String>,
    pub(crate) platform_before: Status,
    pub(crate) platform_after: Status,
    pub(crate) own_before: Used,
    pub(crate) own_after: Used,
}

impl Report<'_> {
    /// Deliveries that never arrived.
    pub(crate) fn lost(&self) -> u64 {
        (self.plan.messages * self.plan.endpoints as u64).saturating_sub(self.receiver.distinct())
    }

    /// It all, for programs: times in milliseconds, memory in bytes.
    pub(crate) fn json(&self) -> Value {
        let deliveries = self.receiver.distinct();
        let per_s = |count: u64, time: Duration| count as f64 / time.as_secs_f64().max(1e-9);
        let thousands = deliveries.max(1) as f64 / 1000.0;
        let cpu_s = self.platform_after.used.cpu_s - self.platform_before.used.cpu_s;
        json!({
            "messages": self.plan.messages, "endpoints": self.plan.endpoints,
            "payloadBytes": self.plan.payload, "deliveries": deliveries, "lost": self.lost(),
            "deliveredTwice": self.receiver.repeated(),
            "publishedPerSecond": per_s(self.plan.messages, self.published.elapsed),
            "deliveredPerSecond": per_s(deliveries, self.receiver.span()),
            "publishLatency": latencies(&self.published.latencies),
            "endToEnd": latencies(&self.receiver.latencies()),
            "endToEndAlone": self.alone.as_ref().map(latencies), "beside": self.harm,
            "seconds": self.elapsed.as_secs_f64(),
            "awaySeconds": self.killed.map(|away| away.as_secs_f64()),
            "platformPeakBytes": self.platform_after.used.peak_bytes,
            // The counters of a process that was killed died with it.
            "platformCpuSecondsPerThousand":
                self.killed.is_none().then_some(cpu_s / thousands),
        })
    }

    /// Prints it all.
    pub(crate) fn print(&self) {
        let plan = self.plan;
        let deliveries = self.receiver.distinct();
        line(
            "work",
            format!(
                "{} messages of {} B to {} endpoint(s), {} publishers{}",
                plan.messages,
                plan.payload,
                plan.endpoints,
                plan.concurrency,
                if plan.rate > 0 { format!(", {}/s", plan.rate) } else { String::new() }
            ),
        );
        let per_s = |count: u64, time: Duration| count as f64 / time.as_secs_f64().max(1e-9);
        let publish_rate = per_s(plan.messages, self.published.elapsed);
        line("published", format!("{publish_rate:.0} messages/s"));
        line("delivered", format!("{:.0} deliveries/s", per_s(deliveries, self.receiver.span())));
        line("publish latency", quantiles(&self.published.latencies));
        line("end to end", quantiles(&self.receiver.latencies()));
        line("lost", self.lost().to_string());
        line("delivered twice", self.receiver.repeated().to_string());
        if let (Some(alone), Some(harm)) = (&self.alone, &self.harm) {
            let p99 = |latencies: &Histogram<u64>| latencies.value_at_quantile(0.99).max(1) as f64;
            let times = p99(&self.receiver.latencies()) / p99(alone);
            line("beside", harm);
            line("alone", quantiles(alone));
            line("p99", format!("{times:.2} times that of the run alone"));
        }
        if plan.hang {
            line("hanging endpoint", format!("{} requests", self.receiver.hung()));
        }
        if let Some(away) = self.killed {
            line("killed", format!("delivering again after {:.2} s", away.as_secs_f64()));
        }
        line("took", format!("{:.2} s", self.elapsed.as_secs_f64()));
        self.print_cost(deliveries);
    }

    fn print_cost(&self, deliveries: u64) {
        let memory = self.platform_after.used.peak_bytes as f64 / (1024.0 * 1024.0);
        line("platform memory", format!("{memory:.0} MiB at its peak"));
        if self.killed.is_some() {
            // The counters of the process that was killed died with it.
            return;
        }
        let thousands = deliveries.max(1) as f64 / 1000.0;
        let platform = self.platform_after.used.cpu_s - self.platform_before.used.cpu_s;
        let own = self.own_after.cpu_s - self.own_before.cpu_s;
        line(
            "CPU s per 1,000",
            format!(
                "{:.3}: platform {:.3}, publishers and receiver {:.3}",
                (platform + own) / thousands,
                platform / thousands,
                own / thousands
            ),
        );
        let (before, after) = (self.platform_before.usage, self.platform_after.usage);
        let each = deliveries.max(1) as f64;
        line(
            "on AWS, each",
            format!(
                "{:.2} SQS requests, {:.2} write units, {:.3} read units (payload not deflated)",
                (after.sqs_requests - before.sqs_requests) as f64 / each,
                (after.write_units - before.write_units) as f64 / each,
                (after.read_units - before.read_units) / each,
            ),
        );
    }
}

fn line(name: &str, value: impl std::fmt::Display) {
    tell!("{name:<18} {value}");
}

fn latencies(latencies: &Histogram<u64>) -> Value {
    let ms = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    json!({"p50": ms(0.5), "p95": ms(0.95), "p99": ms(0.99), "max": latencies.max() as f64 / 1000.0})
}

fn quantiles(latencies: &Histogram<u64>) -> String {
    let ms = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    format!(
        "p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        ms(0.5),
        ms(0.95),
        ms(0.99),
        latencies.max() as f64 / 1000.0
    )
}
