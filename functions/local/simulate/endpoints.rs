//! The network: endpoints that behave as the plan says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use shared::domain::clock::{Clock, Timestamp};
use shared::domain::sync::hold;
use shared::sender::{Ending, Outbound, Outcome, Sender};

use super::aws::bucket::Bucket;
use super::aws::dice::Dice;
use super::ledger::Ledger;
use super::plan::Behaviour;

/// Seconds that an endpoint asks for which is asked too often.
const RETRY_AFTER: &str = "10";

/// How often it is looked how many requests there were, in milliseconds.
const LOOK_MS: u64 = 100;
/// The share of its requests until which an endpoint with a rate has a backlog: the last ones are
/// retries, which come by their schedule.
const BACKLOG: f64 = 0.9;

/// All endpoints, by number.
pub(crate) struct Endpoints {
    clock: Arc<dyn Clock>,
    dice: Arc<Dice>,
    ledger: Arc<Ledger>,
    all: Mutex<Vec<Endpoint>>,
    began: Mutex<Timestamp>,
}

struct Endpoint {
    behaviour: Behaviour,
    bucket: Bucket,
    /// When requests came to one that has a rate.
    seen: Vec<Timestamp>,
}

impl Endpoints {
    /// None yet.
    pub(crate) fn new(clock: Arc<dyn Clock>, dice: Arc<Dice>, ledger: Arc<Ledger>) -> Arc<Self> {
        let began = Mutex::new(clock.now());
        Arc::new(Self { clock, dice, ledger, all: Mutex::default(), began })
    }

    /// The URL of the endpoint with this number.
    pub(crate) fn url(number: usize) -> String {
        format!("http://127.0.0.1:9/{number}")
    }

    /// One more.
    pub(crate) fn add(&self, behaviour: &Behaviour) {
        let bucket = Bucket::full(behaviour.most_per_s.unwrap_or_default(), self.clock.now());
        hold(&self.all).push(Endpoint { behaviour: behaviour.clone(), bucket, seen: Vec::new() });
    }

    /// The load begins: outages are counted from here.
    pub(crate) fn begin(&self, at: Timestamp) {
        *hold(&self.began) = at;
    }

    /// The fewest and the most requests that came to an endpoint with a rate in any of these
    /// stretches of time, while there was a backlog: from the second second on, since a second's
    /// worth goes out at once, until most of them were made.
    pub(crate) fn least_and_most(&self, stretch_ms: u64) -> Option<(u64, u64)> {
        let all = hold(&self.all);
        let seen = all.iter().map(|endpoint| &endpoint.seen).find(|seen| !seen.is_empty())?;
        let (first, busy_until) =
            (seen[0].plus_ms(1_000), seen[(seen.len() as f64 * BACKLOG) as usize]);
        let looks = busy_until.since(first).saturating_sub(stretch_ms) / LOOK_MS;
        let before = |at: Timestamp| seen.partition_point(|moment| *moment < at) as u64;
        let counts = (0..=looks).map(|look| {
            let from = first.plus_ms(look * LOOK_MS);
            before(from.plus_ms(stretch_ms)) - before(from)
        });
        Some((counts.clone().min()?, counts.max()?))
    }

    /// What an endpoint does about its request number `nth` of a delivery.
    fn answer(&self, number: usize, nth: u16) -> Option<(u16, Duration, Option<String>)> {
        let now = self.clock.now();
        let since_s = now.since(*hold(&self.began)) as f64 / 1000.0;
        let mut all = hold(&self.all);
        let Endpoint { behaviour, bucket, seen } = all.get_mut(number)?;
        if behaviour.rate.is_some() {
            seen.push(now);
        }
        let takes = self.dice.latency(behaviour.latency);
        let fails = nth == 1 && self.dice.hits(behaviour.fails_once);
        let is_down = behaviour.down.is_some_and(|it| it.has(since_s));
        if behaviour.hangs.is_some_and(|it| it.has(since_s)) {
            return None;
        }
        if behaviour.gone {
            return Some((410, takes, None));
        }
        if is_down {
            return Some((503, takes, None));
        }
        if let Some(most) = behaviour.most_per_s {
            if !bucket.has(most, most, now) {
                return Some((429, takes, Some(RETRY_AFTER.to_owned())));
            }
            bucket.take(1.0);
        }
        Some((if fails { 500 } else { 200 }, takes, None))
    }
}

#[async_trait]
impl Sender for Endpoints {
    async fn send(&self, request: Outbound) -> Outcome {
        let number = request.url.rsplit('/').next().and_then(|n| n.parse::<u32>().ok());
        let id = request.headers.iter().find(|(name, _)| name == "webhook-id");
        let (Some(number), Some((_, id))) = (number, id) else {
            return Outcome { duration_ms: 0, ending: Ending::Refused("no such endpoint".into()) };
        };
        let nth = self.ledger.posted(number, id);
        let timeout = Duration::from_millis(request.timeout_ms);
        let answer = self.answer(number as usize, nth).filter(|(_, takes, _)| *takes < timeout);
        let Some((status, takes, retry_after)) = answer else {
            tokio::time::sleep(timeout).await;
            return Outcome { duration_ms: request.timeout_ms, ending: Ending::TimedOut };
        };
        tokio::time::sleep(takes).await;
        if status < 300 {
            self.ledger.took(number, id);
        }
        let duration_ms = u64::try_from(takes.as_millis()).unwrap_or(u64::MAX);
        let (excerpt, headers) = (b"ok".to_vec(), HeaderMap::new());
        let ending = Ending::Answered { status, excerpt, retry_after, headers };
        Outcome { duration_ms, ending }
    }
}
