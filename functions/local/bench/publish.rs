//! The publishers: they behave as an SDK does, idempotency key and repeats included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Plan;
use super::receiver::{Receiver, histogram};
use super::target::{Apps, Target};
use crate::client::Client;

/// How long a publisher repeats a request that fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause before a repeat.
const PAUSE: Duration = Duration::from_millis(50);

/// Publishers at work.
pub(crate) struct Publishers {
    tasks: JoinSet<Result<Histogram<u64>, String>>,
    started: Instant,
}

/// What the publishers saw.
pub(crate) struct Published {
    /// Microseconds from request to 202.
    pub(crate) latencies: Histogram<u64>,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
}

impl Publishers {
    /// Starts them all.
    pub(crate) fn start(
        plan: &Plan,
        target: &Target,
        apps: Apps,
        receiver: &Arc<Receiver>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let started = Instant::now();
        let next = Arc::new(AtomicU64::new(0));
        let filler = Arc::new(filler(plan.payload));
        for _ in 0..plan.concurrency {
            let publisher = Publisher {
                plan: plan.clone(),
                client: target.client.again(),
                path: path(&apps.healthy),
                receiver: Some(receiver.clone()),
                next: next.clone(),
                filler: filler.clone(),
                started,
            };
            tasks.spawn(publisher.run());
        }
        if let Some(hanging) = &apps.hanging {
            let next = Arc::new(AtomicU64::new(0));
            for _ in 0..plan.concurrency {
                let publisher = Publisher {
                    plan: plan.clone(),
                    client: target.client.again(),
                    path: path(hanging),
                    receiver: None,
                    next: next.clone(),
                    filler: filler.clone(),
                    started,
                };
                tasks.spawn(publisher.run());
            }
        }
        Self { tasks, started }
    }

    /// Waits until every message is accepted.
    pub(crate) async fn finish(mut self) -> Result<Published, String> {
        let mut latencies = histogram();
        let mut last = self.started;
        while let Some(result) = self.tasks.join_next().await {
            let seen = result.map_err(|error| error.to_string())??;
            latencies.add(&seen).map_err(|error| error.to_string())?;
            last = Instant::now();
        }
        Ok(Published { latencies, elapsed: last - self.started })
    }
}

struct Publisher {
    plan: Plan,
    client: Client,
    path: String,
    /// Notes when each message is published; only for messages that are measured.
    receiver: Option<Arc<Receiver>>,
    next: Arc<AtomicU64>,
    filler: Arc<String>,
    started: Instant,
}

impl Publisher {
    async fn run(mut self) -> Result<Histogram<u64>, String> {
        let mut latencies = histogram();
        loop {
            let message = self.next.fetch_add(1, Ordering::Relaxed);
            if message >= self.plan.messages {
                return Ok(latencies);
            }
            if self.plan.rate > 0 {
                let at = Duration::from_secs_f64(message as f64 / self.plan.rate as f64);
                tokio::time::sleep_until(self.started + at).await;
            }
            if let Some(receiver) = &self.receiver {
                receiver.publishing(message);
            }
            let began = Instant::now();
            self.publish(message).await?;
            latencies.saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(0));
        }
    }

    /// Publishes one message, and repeats the request until it is accepted.
    async fn publish(&mut self, message: u64) -> Result<(), String> {
        let key = format!("bench-{message}");
        let filler = &self.filler;
        let body = format!(r#"{{"eventType":"bench","payload":{{"n":{message},"f":"{filler}"}}}}"#);
        let body = Bytes::from(body);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let failure = match self.client.publish(&self.path, &key, body.clone()).await {
                Ok(status) if status.is_success() => return Ok(()),
                Ok(status) => format!("publishing was answered {status}"),
                Err(failure) => failure,
            };
            if Instant::now() > deadline {
                return Err(failure);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn path(app: &str) -> String {
    format!("/api/v1/app/{app}/msg?with_content=false")
}

/// Text that fills a payload up to `bytes`: words of varying length, which deflate about as
/// well as real events do.
fn filler(bytes: usize) -> String {
    /// What `{"n":12345,"f":""}` takes.
    const FRAME: usize = 18;
    let mut text = String::new();
    let mut seed = 1u64;
    while text.len() < bytes.saturating_sub(FRAME) {
        // A linear congruential generator (Knuth's MMIX): the same text in every run.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let letter = b'a' + u8::try_from((seed >> 33) % 16).unwrap_or(0);
        text.push(char::from(letter));
        if (seed >> 40).is_multiple_of(7) {
            text.push(' ');
        }
    }
    text.truncate(bytes.saturating_sub(FRAME));
    text
}
