//! In front of receive: an HTTP API with its throttle and its limits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use receive::Receiver;
use serde_json::Value;
use shared::domain::clock::Clock;
use shared::domain::sync::hold;

use super::aws::bucket::Bucket;
use super::lambda::{Failure, Function};

/// Requests a second of an account's HTTP APIs, and their burst, as a share of a second's
/// (docs: API Gateway quotas: 10,000 and 5,000). The
/// stack's own `RequestsPerSecond` and `RequestBurst` are for each deployment to choose.
pub(crate) const REQUESTS_PER_S: f64 = 10_000.0;
const BURST_S: f64 = 0.5;
/// Longest wait for a function (docs: HTTP API quotas: 30 s; Lambda's answer has to be in by 29).
const TIMEOUT: Duration = Duration::from_secs(29);
/// Largest request that Lambda takes, in bytes (docs: Lambda quotas).
const MAX_BYTES: usize = 6_291_556;
/// Milliseconds of a process of 256 MB for a request, beside what it waits for (est.: 0.1 ms of a
/// whole core for the work, the rest for the runtime and TLS).
const RECEIVE_MS: u64 = 3;

/// The API.
pub(crate) struct Front {
    receive: Arc<Function<Receiver>>,
    clock: Arc<dyn Clock>,
    bucket: Mutex<Bucket>,
    per_s: f64,
}

/// What a publisher is answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// Seconds of `Retry-After`, if it says so.
    pub(crate) retry_after_s: Option<u64>,
    /// Whether the function answered, and not the API for want of it.
    pub(crate) served: bool,
    /// The message's id, if it was taken.
    pub(crate) message: Option<String>,
}

impl Reply {
    fn of(status: StatusCode) -> Self {
        Self { status, retry_after_s: None, served: false, message: None }
    }
}

impl Front {
    /// The API in front of this function, which lets so many requests in.
    pub(crate) fn new(receive: Arc<Function<Receiver>>, clock: Arc<dyn Clock>, per_s: f64) -> Self {
        let bucket = Mutex::new(Bucket::full(per_s * BURST_S, clock.now()));
        Self { receive, clock, bucket, per_s }
    }

    /// One request.
    pub(crate) async fn publish(&self, request: Request<Bytes>) -> Reply {
        if request.body().len() > MAX_BYTES {
            return Reply::of(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if !self.admits() {
            return Reply::of(StatusCode::TOO_MANY_REQUESTS);
        }
        let answer = self.receive.invoke(|receiver, _| async move {
            tokio::time::sleep(Duration::from_millis(RECEIVE_MS)).await;
            receiver.handle(request).await
        });
        match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(Ok(response)) => {
                let header = response.headers().get("retry-after");
                let retry_after_s = header.and_then(|value| value.to_str().ok()?.parse().ok());
                let taken = response.status() == StatusCode::ACCEPTED;
                let message = taken.then(|| message_id(response.body())).flatten();
                Reply { status: response.status(), retry_after_s, served: true, message }
            }
            // What an HTTP API answers when Lambda throttles is not documented (est.).
            Ok(Err(Failure::Throttled)) => Reply::of(StatusCode::SERVICE_UNAVAILABLE),
            Ok(Err(Failure::TimedOut)) => Reply::of(StatusCode::INTERNAL_SERVER_ERROR),
            Err(_) => Reply::of(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    fn admits(&self) -> bool {
        let mut bucket = hold(&self.bucket);
        let admits = bucket.has(self.per_s, self.per_s * BURST_S, self.clock.now());
        if admits {
            bucket.take(1.0);
        }
        admits
    }
}

fn message_id(body: &Bytes) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["id"].as_str().map(str::to_owned)
}
