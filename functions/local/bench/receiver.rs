//! The endpoints: they count what arrives, and when.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, Response, StatusCode};
use shared::domain::sync::hold;
use tokio::time::Instant;

use super::Plan;
use crate::http_server;

/// How long the hanging endpoint keeps its callers waiting.
const HANG: Duration = Duration::from_secs(25);
/// Path of the hanging endpoint; the others are numbers.
pub(crate) const HANG_PATH: &str = "/hang";

/// Counts of one run.
pub(crate) struct Receiver {
    pub(crate) addr: SocketAddr,
    counts: Arc<Counts>,
}

struct Counts {
    origin: Instant,
    endpoints: usize,
    /// When each message was about to be published, in microseconds since `origin`.
    published: Vec<AtomicU64>,
    /// How often each message has arrived at each endpoint.
    arrivals: Vec<AtomicU8>,
    distinct: AtomicU64,
    repeated: AtomicU64,
    hung: AtomicU64,
    last: AtomicU64,
    latencies: Mutex<Histogram<u64>>,
}

impl Receiver {
    /// Listens on a free port.
    pub(crate) async fn start(plan: &Plan) -> Result<Self, String> {
        let (listener, addr) = http_server::listen_anywhere()?;
        let messages = usize::try_from(plan.messages).map_err(|_| "too many messages")?;
        let counts = Arc::new(Counts {
            origin: Instant::now(),
            endpoints: plan.endpoints,
            published: (0..messages).map(|_| AtomicU64::new(0)).collect(),
            arrivals: (0..messages * plan.endpoints).map(|_| AtomicU8::new(0)).collect(),
            distinct: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            hung: AtomicU64::new(0),
            last: AtomicU64::new(0),
            latencies: Mutex::new(histogram()),
        });
        let (shared, latency) = (counts.clone(), plan.latency);
        tokio::spawn(http_server::serve(listener, move |request| {
            let counts = shared.clone();
            async move { answer(&counts, &request, latency).await }
        }));
        Ok(Self { addr, counts })
    }

    /// Notes that a message is about to be published for the first time.
    pub(crate) fn publishing(&self, message: u64) {
        let now = self.counts.now_us();
        if let Some(slot) = self.counts.published.get(message as usize) {
            // A repeated request keeps the time of the first.
            let _ = slot.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Deliveries that have arrived, each counted once.
    pub(crate) fn distinct(&self) -> u64 {
        self.counts.distinct.load(Ordering::Relaxed)
    }

    /// Arrivals of deliveries that had arrived before.
    pub(crate) fn repeated(&self) -> u64 {
        self.counts.repeated.load(Ordering::Relaxed)
    }

    /// Requests that the hanging endpoint got.
    pub(crate) fn hung(&self) -> u64 {
        self.counts.hung.load(Ordering::Relaxed)
    }

    /// From the first publish request to the last arrival.
    pub(crate) fn span(&self) -> Duration {
        let published = self.counts.published.iter().map(|at| at.load(Ordering::Relaxed));
        let first = published.filter(|at| *at > 0).min().unwrap_or(0);
        Duration::from_micros(self.counts.last.load(Ordering::Relaxed).saturating_sub(first))
    }

    /// Microseconds from publish request to arrival.
    pub(crate) fn latencies(&self) -> Histogram<u64> {
        hold(&self.counts.latencies).clone()
    }
}

/// An empty histogram of microseconds, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    /// An hour: longer than any run waits.
    const MAX_US: u64 = 3_600_000_000;
    Histogram::new_with_bounds(1, MAX_US, 3).expect("bounds and digits that the library takes")
}

impl Counts {
    fn now_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    fn arrived(&self, endpoint: usize, message: usize) {
        let now = self.now_us();
        let position = message * self.endpoints + endpoint;
        let Some(count) = self.arrivals.get(position) else { return };
        if count.fetch_add(1, Ordering::Relaxed) > 0 {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let published = self.published[message].load(Ordering::Relaxed);
        let mut latencies = hold(&self.latencies);
        latencies.saturating_record(now.saturating_sub(published));
        drop(latencies);
        self.last.fetch_max(now, Ordering::Relaxed);
        self.distinct.fetch_add(1, Ordering::Relaxed);
    }
}

async fn answer(counts: &Counts, request: &Request<Bytes>, latency: Duration) -> Response<Bytes> {
    let path = request.uri().path();
    if path == HANG_PATH {
        counts.hung.fetch_add(1, Ordering::Relaxed);
        return hang().await;
    }
    let endpoint = path.trim_start_matches('/').parse();
    let (Ok(endpoint), Some(message)) = (endpoint, number(request.body())) else {
        return shared::api::error::empty(StatusCode::BAD_REQUEST);
    };
    counts.arrived(endpoint, message);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    shared::api::error::empty(StatusCode::NO_CONTENT)
}

/// What an endpoint that hangs answers in the end.
pub(crate) async fn hang() -> Response<Bytes> {
    tokio::time::sleep(HANG).await;
    shared::api::error::empty(StatusCode::OK)
}

/// The number of a payload that begins `{"n":123,`.
fn number(payload: &[u8]) -> Option<usize> {
    let digits = payload.strip_prefix(br#"{"n":"#)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
