//! Publishers: they ask at their rate whatever the answers, and again when they are refused.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use serde::Serialize;
use shared::domain::clock::{Clock, Timestamp};
use shared::domain::sync::hold;

use super::aws::dice::Dice;
use super::front::{Front, Reply};
use super::ledger::Ledger;

/// Tries of a publisher: the first and so many more (Svix libraries: 2 retries; ours to choose).
const TRIES: u32 = 5;
/// Pause before the second try, unless `Retry-After` says otherwise; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How many messages are kept in mind, to be sent again.
const KEPT: usize = 100;

/// Everybody who publishes.
pub(crate) struct Publishers {
    front: Front,
    clock: Arc<dyn Clock>,
    dice: Arc<Dice>,
    ledger: Arc<Ledger>,
    token: String,
    body: Bytes,
    answers: Mutex<Answers>,
}

/// Their requests and what was answered, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    /// Events that they had.
    pub(crate) events: u64,
    /// Requests that they made.
    pub(crate) requests: u64,
    /// Answers of 429.
    pub(crate) limited: u64,
    /// Answers of 5xx.
    pub(crate) errors: u64,
    /// Of these, those of the API itself, because receive was not there to answer.
    pub(crate) unserved: u64,
    /// Answers of 5xx with `Retry-After`.
    pub(crate) errors_with_advice: u64,
}

/// What they were answered.
pub(crate) struct Answers {
    pub(crate) asked: Asked,
    /// Requests after the warm-up.
    pub(crate) warm_requests: u64,
    /// Of these, answered with 5xx.
    pub(crate) warm_errors: u64,
    /// Events that were given up.
    pub(crate) refused: u64,
    /// Events that are being asked for.
    pub(crate) under_way: u64,
    /// The first messages that were taken.
    pub(crate) first: Vec<String>,
    /// How long an answer of 202 took, in milliseconds.
    pub(crate) took: Histogram<u64>,
    warm_from: Timestamp,
}

impl Answers {
    fn keep(&mut self, message: &str) {
        if self.first.len() < KEPT {
            self.first.push(message.to_owned());
        }
    }
}

impl Publishers {
    /// Publishers with this token, of events of so many bytes.
    pub(crate) fn new(
        front: Front,
        clock: Arc<dyn Clock>,
        dice: Arc<Dice>,
        ledger: Arc<Ledger>,
        token: String,
        payload: usize,
    ) -> Arc<Self> {
        let answers = Mutex::new(Answers {
            asked: Asked::default(),
            warm_requests: 0,
            warm_errors: 0,
            refused: 0,
            under_way: 0,
            first: Vec::new(),
            took: Histogram::new_with_bounds(1, 600_000, 3).expect("bounds that fit"),
            warm_from: clock.now(),
        });
        let body = event(payload, None);
        Arc::new(Self { front, clock, dice, ledger, token, body, answers })
    }

    /// What they were answered so far.
    pub(crate) fn answers(&self) -> MutexGuard<'_, Answers> {
        hold(&self.answers)
    }

    /// Errors count from this moment on.
    pub(crate) fn warm_from(&self, at: Timestamp) {
        self.answers().warm_from = at;
    }

    /// Publishes the next event of an application, in the background.
    pub(crate) fn publish(self: &Arc<Self>, app: &str) {
        let number = {
            let mut answers = self.answers();
            answers.asked.events += 1;
            answers.under_way += 1;
            answers.asked.events
        };
        let (publishers, path) = (self.clone(), format!("/api/v1/app/{app}/msg"));
        tokio::spawn(async move {
            let taken = publishers.insist(&path, number).await;
            let mut answers = publishers.answers();
            answers.under_way -= 1;
            answers.refused += u64::from(!taken);
        });
    }

    /// Asks until the event is taken or it is not worth asking any more; whether it was taken.
    async fn insist(&self, path: &str, number: u64) -> bool {
        let mut pause = FIRST_PAUSE;
        for _ in 0..TRIES {
            let asked = self.clock.now();
            let reply = self.front.publish(self.request(path, number)).await;
            self.note(&reply, asked);
            match reply.status {
                StatusCode::ACCEPTED => {
                    if let Some(id) = &reply.message {
                        self.ledger.accepted(id);
                        self.answers().keep(id);
                    }
                    return true;
                }
                status if status.is_server_error() || status == 429 || status == 409 => {}
                _ => return false,
            }
            let wait = reply.retry_after_s.map_or(pause, Duration::from_secs);
            tokio::time::sleep(wait.mul_f64(1.0 + 0.2 * self.dice.share())).await;
            pause *= 2;
        }
        false
    }

    fn request(&self, path: &str, number: u64) -> Request<Bytes> {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            // Svix's libraries give each request one.
            .header("idempotency-key", format!("sim-{number}"));
        request.body(self.body.clone()).expect("a request of known parts")
    }

    fn note(&self, reply: &Reply, asked: Timestamp) {
        let now = self.clock.now();
        let mut answers = self.answers();
        let warm = asked >= answers.warm_from;
        let error = u64::from(reply.status.is_server_error());
        answers.asked.requests += 1;
        answers.asked.errors += error;
        answers.asked.unserved += error * u64::from(!reply.served);
        answers.asked.errors_with_advice += error * u64::from(reply.retry_after_s.is_some());
        answers.asked.limited += u64::from(reply.status == StatusCode::TOO_MANY_REQUESTS);
        answers.warm_requests += u64::from(warm);
        answers.warm_errors += u64::from(warm) * error;
        if reply.status == StatusCode::ACCEPTED {
            answers.took.saturating_record(now.since(asked));
        }
    }
}

/// The body of a publish request with a payload of so many bytes.
pub(crate) fn event(payload: usize, deliver_at: Option<String>) -> Bytes {
    let filler: String = ORDER.chars().cycle().take(payload.saturating_sub(12)).collect();
    let deliver_at = deliver_at.map_or_else(String::new, |at| format!(r#","deliverAt":"{at}""#));
    let body =
        format!(r#"{{"eventType":"order.paid","payload":{{"order":"{filler}"}}{deliver_at}}}"#);
    body.into()
}

/// What fills a payload.
const ORDER: &str = "1001 4200 EUR paid by card, to be shipped to a customer in Pune on Friday. ";
