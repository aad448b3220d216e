//! Whatever breaks, and wherever: nothing that was accepted is lost, and no attempt is sent
//! twice, unless the break fell between the request and its record.
//!
//! Each case publishes a few messages to a few endpoints, some of which fail at first, while
//! faults strike at random calls of the ports: errors before and after the effect, records
//! that are delivered twice, and the death of the process. Then the faults end and time passes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch::{Dispatcher, Parts, Settings};
use http::Request;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use receive::{Receiver, Recent};
use retry::{Redrive, Sweeper};
use serde_json::json;
use shared::domain::message::DEFAULT_RETENTION_DAYS;
use shared::domain::metrics::Metric;
use shared::domain::schedule::Schedule;
use shared::domain::secret::RootSecret;
use shared::domain::token::Tokens;
use shared::queue::{Consumer, MAX_BATCH, Producer, Received};
use shared::sender::{Outbound, Outcome, Sender};
use shared::store::Profiles;
use shared::store::table::Table;
use shared::store::{
    Deliveries, Directory, DirectoryEditor, EVENT_TYPE_SETTINGS_TTL_MS, EventTypeSettings, Inbox,
    KeySets, LISTENERS_TTL_MS, Notices, Parking, Revocations, Sources,
};
use shared::work::{InFlight, Worker};

use crate::support::faults::{Fault, Faulty, Plan};
use crate::support::network::{Network, answer, header};
use crate::support::world::{ROOT_SECRET, World, organisation, text};

/// Cases of each of the two tests.
const CASES: u32 = 1_200;
/// Rounds of a minute after which everything must have arrived: hours of schedule, and every
/// fault's detour through visibility time-outs and dead-letter queues.
const MAX_ROUNDS: usize = 400;

/// One case.
#[derive(Clone, Debug)]
struct Case {
    messages: usize,
    /// For each endpoint, how often it fails before it takes anything.
    failures: Vec<usize>,
    faults: Vec<(usize, Fault)>,
    /// Which batches come twice.
    doubled: Vec<bool>,
}

fn cases() -> impl Strategy<Value = Case> {
    let fault = prop_oneof![
        Just(Fault::Before),
        Just(Fault::After),
        Just(Fault::DieBefore),
        Just(Fault::DieAfter)
    ];
    let faults = vec((0usize..90, fault), 0..6);
    (1usize..4, vec(0usize..3, 1..4), faults, vec(any::<bool>(), 12)).prop_map(
        |(messages, failures, faults, doubled)| Case { messages, failures, faults, doubled },
    )
}

#[test]
fn nothing_accepted_is_lost_and_no_attempt_is_sent_twice_whatever_breaks() {
    run_all(false);
}

#[test]
fn with_a_lease_before_every_attempt_even_simultaneous_copies_are_sent_once() {
    run_all(true);
}

fn run_all(always_lease: bool) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut faults_fired = 0;
    let mut posts = 0;
    let total = std::cell::RefCell::new((&mut faults_fired, &mut posts));
    let result = TestRunner::new(config).run(&cases(), |case| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (fired, sent) =
            runtime.block_on(Trial::start(case, always_lease)).map_err(TestCaseError::fail)?;
        let mut total = total.borrow_mut();
        *total.0 += fired;
        *total.1 += sent;
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    // The test is worth nothing if the faults do not strike.
    assert!(faults_fired > CASES as usize, "only {faults_fired} faults in {CASES} cases");
    assert!(posts > CASES as usize, "only {posts} requests in {CASES} cases");
}

/// One process: the handlers, on ports that die with it.
struct Process {
    receiver: Receiver,
    dispatcher: Dispatcher,
    sweeper: Sweeper,
}

impl Process {
    fn start(world: &World, plan: &Arc<Plan>, always_lease: bool) -> Self {
        let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), plan));
        let secret = RootSecret::new(ROOT_SECRET).unwrap();
        let deliveries: Arc<dyn Producer> =
            Arc::new(Faulty::new(world.queues.deliveries.clone(), plan));
        let retries: Arc<dyn Producer> = Arc::new(Faulty::new(world.queues.retries.clone(), plan));
        let dead = |queue: &shared::queue::embedded::EmbeddedQueue| -> Arc<dyn Consumer> {
            Arc::new(Faulty::new(queue.clone(), plan))
        };
        let settings = Settings {
            // Through the queue, through the sweep, through the queue, and so on.
            schedule: Schedule::new(vec![5, 1200, 300, 1200, 300, 1200, 300, 1200]),
            always_lease,
            ..Settings::default()
        };
        Self {
            receiver: Receiver {
                directory: Directory::new(table.clone()),
                editor: DirectoryEditor::new(table.clone(), None),
                inbox: Inbox::new(table.clone()),
                deliveries: deliveries.clone(),
                revocations: Revocations::new(table.clone(), world.ambient.clock.clone()),
                tokens: Tokens::new(&secret.token_key()),
                sealer: secret.sealer(),
                default_org: organisation(),
                profiles: Profiles::built_in(),
                sources: Sources::new(table.clone(), world.ambient.clock.clone(), 0),
                recent: Recent::default(),
                alone_since: None,
                retention_days: DEFAULT_RETENTION_DAYS,
                metrics: world.metrics.clone(),
                ambient: world.ambient.clone(),
            },
            dispatcher: Dispatcher::new(Parts {
                directory: Directory::new(table.clone()),
                editor: DirectoryEditor::new(table.clone(), None),
                deliveries: Deliveries::new(table.clone()),
                retries: retries.clone(),
                parking: Parking::new(table.clone()),
                sender: Arc::new(Faulty::new(Slow(world.network.clone()), plan)),
                sealer: secret.sealer(),
                ambient: world.ambient.clone(),
                key_sets: KeySets::new(table.clone(), world.ambient.clock.clone()),
                notices: Notices::new(table.clone(), world.ambient.clone(), LISTENERS_TTL_MS),
                event_type_settings: EventTypeSettings::new(
                    table.clone(),
                    world.ambient.clock.clone(),
                    EVENT_TYPE_SETTINGS_TTL_MS,
                ),
                profiles: Profiles::built_in(),
                in_flight: InFlight::default(),
                metrics: world.metrics.clone(),
                settings,
            }),
            sweeper: Sweeper {
                deliveries: Deliveries::new(table.clone()),
                accepted: deliveries.clone(),
                retries: retries.clone(),
                redrives: vec![
                    Redrive {
                        name: "deliveries",
                        dead_letters: dead(&world.queues.deliveries_dlq),
                        queue: deliveries.clone(),
                    },
                    Redrive {
                        name: "retries",
                        dead_letters: dead(&world.queues.retries_dlq),
                        queue: retries.clone(),
                    },
                ],
                parking: Parking::new(table.clone()),
                worker: Worker::new(table, deliveries, retries, world.ambient.clone()),
                metrics: world.metrics.clone(),
                ambient: world.ambient.clone(),
            },
        }
    }
}

/// A network that takes its time, so that whatever else wants to happen meanwhile does.
struct Slow(Arc<Network>);

#[async_trait]
impl Sender for Slow {
    async fn send(&self, request: Outbound) -> Outcome {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.0.send(request).await
    }
}

/// A case under way.
struct Trial {
    world: World,
    plan: Arc<Plan>,
    process: Process,
    always_lease: bool,
    doubled: std::vec::IntoIter<bool>,
}

impl Trial {
    /// Runs a case; how many faults struck and how many requests were sent.
    async fn start(case: Case, always_lease: bool) -> Result<(usize, usize), String> {
        let world = World::new();
        let plan = Plan::new(case.faults);
        let app = world.application().await;
        let mut urls = Vec::new();
        for (number, failures) in case.failures.iter().enumerate() {
            let url = format!("http://127.0.0.1:9/{number}");
            let ep = world.endpoint(&app, &url).await;
            plan.endpoint(&ep, &url);
            for _ in 0..*failures {
                world.network.next(&url, answer(503));
            }
            urls.push(url);
        }
        let process = Process::start(&world, &plan, always_lease);
        let doubled = case.doubled.into_iter();
        let mut trial = Self { world, plan, process, always_lease, doubled };
        let mut messages = Vec::new();
        for number in 0..case.messages {
            messages.push(trial.publish(&app, number).await?);
            trial.dispatch().await;
        }
        for _ in 0..8 {
            trial.minute().await;
        }
        trial.plan.end();
        for _ in 0..MAX_ROUNDS {
            if trial.is_quiet() && trial.all_delivered(&app, &messages, &urls).await {
                break;
            }
            trial.minute().await;
        }
        trial.judge(&app, &messages, &urls).await?;
        Ok((trial.plan.fired(), trial.world.network.sent().len()))
    }

    /// Publishes as an SDK does: the same request again until it is answered well.
    async fn publish(&mut self, app: &str, number: usize) -> Result<String, String> {
        for _ in 0..20 {
            let body = json!({"eventType": "a.b", "payload": {"number": number}});
            let request = Request::post(format!("/api/v1/app/{app}/msg"))
                .header("authorization", format!("Bearer {}", self.world.token()))
                .header("idempotency-key", format!("key-{number}"))
                .body(body.to_string().into())
                .unwrap();
            let response = tokio::select! {
                biased;
                () = self.plan.death() => None,
                response = self.process.receiver.handle(request) => Some(response),
            };
            match response {
                None => self.restart(),
                Some(response) if response.status() == 202 => {
                    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
                    return Ok(text(&body["id"]));
                }
                Some(response) if response.status() == 500 => {}
                Some(response) => return Err(format!("publishing was answered {response:?}")),
            }
        }
        Err("publishing never succeeded".to_owned())
    }

    /// A minute goes by: a sweep, and dispatch all the while.
    async fn minute(&mut self) {
        let swept = tokio::select! {
            biased;
            () = self.plan.death() => false,
            _ = self.process.sweeper.run(None) => true,
        };
        if !swept {
            self.restart();
        }
        for _ in 0..4 {
            self.dispatch().await;
            self.world.advance_s(15);
        }
    }

    /// Dispatches what can be received, some of it twice at the same time.
    async fn dispatch(&mut self) {
        for queue in [self.world.queues.deliveries.clone(), self.world.queues.retries.clone()] {
            let batch = queue.receive(MAX_BATCH, 0).await.unwrap();
            if batch.is_empty() {
                continue;
            }
            let copy: Vec<Received> =
                if self.doubled.next().unwrap_or(false) { self.copy(&batch) } else { Vec::new() };
            let held: Vec<(String, String)> =
                batch.iter().map(|record| (record.id.clone(), record.receipt.clone())).collect();
            let work = async {
                let doubled = !copy.is_empty();
                let (first, second) = tokio::join!(
                    self.process.dispatcher.handle(batch, None),
                    self.process.dispatcher.handle(copy, None),
                );
                // A record is deleted by whichever of its receivers was done with it.
                held.into_iter()
                    .filter(|(id, _)| !first.contains(id) || (doubled && !second.contains(id)))
                    .map(|(_, receipt)| receipt)
                    .collect::<Vec<String>>()
            };
            let done = tokio::select! {
                biased;
                () = self.plan.death() => None,
                done = work => Some(done),
            };
            match done {
                Some(done) => queue.delete(&done).await.unwrap(),
                // What the dead process held becomes visible again with time.
                None => self.restart(),
            }
        }
    }

    /// The same records as another receiver gets them. SQS counts that receive; where every
    /// attempt is leased, dispatch does not depend on the count.
    fn copy(&self, batch: &[Received]) -> Vec<Received> {
        let counted = u32::from(!self.always_lease);
        batch
            .iter()
            .map(|record| Received {
                receive_count: record.receive_count + counted,
                ..record.clone()
            })
            .collect()
    }

    fn restart(&mut self) {
        self.plan.restart();
        self.process = Process::start(&self.world, &self.plan, self.always_lease);
    }

    fn is_quiet(&self) -> bool {
        let queues = &self.world.queues;
        [&queues.deliveries, &queues.deliveries_dlq, &queues.retries, &queues.retries_dlq]
            .iter()
            .all(|queue| queue.is_empty())
    }

    async fn all_delivered(&self, app: &str, messages: &[String], urls: &[String]) -> bool {
        for msg in messages {
            let attempts = self.world.attempts(app, msg).await;
            let delivered = |url: &String| {
                attempts.iter().any(|attempt| attempt["url"] == **url && attempt["status"] == 0)
            };
            if !urls.iter().all(delivered) {
                return false;
            }
        }
        true
    }

    /// Nothing is counted twice; and nothing is missing where nothing broke.
    async fn judge_metrics(&self, app: &str, messages: &[String]) -> Result<(), String> {
        let told = self.world.metrics.take();
        let sum = |metric| told.get(&metric).map_or(0, |values| values.iter().sum::<u64>());
        let mut recorded = (0, 0, 0);
        for msg in messages {
            for attempt in self.world.attempts(app, msg).await {
                let ok = attempt["status"] == 0;
                recorded.0 += u64::from(ok);
                recorded.1 += u64::from(!ok);
            }
        }
        recorded.2 = messages.len() as u64;
        let counted = (sum(Metric::Delivered), sum(Metric::Failed), sum(Metric::Accepted));
        let at_most = counted.0 <= recorded.0 && counted.1 <= recorded.1 && counted.2 <= recorded.2;
        let exactly = self.plan.fired() > 0 || counted == recorded;
        match at_most && exactly {
            true => Ok(()),
            false => Err(format!("counted {counted:?}, on record {recorded:?}")),
        }
    }

    async fn judge(&self, app: &str, messages: &[String], urls: &[String]) -> Result<(), String> {
        let sent = self.world.network.sent();
        for (number, msg) in messages.iter().enumerate() {
            let attempts = self.world.attempts(app, msg).await;
            for url in urls {
                let requests: Vec<_> = sent
                    .iter()
                    .filter(|sent| sent.url == *url && header(sent, "webhook-id") == msg)
                    .collect();
                let recorded: Vec<_> =
                    attempts.iter().filter(|attempt| attempt["url"] == **url).collect();
                if !recorded.iter().any(|attempt| attempt["status"] == 0) {
                    return Err(format!("message {number} never reached {url}: {recorded:?}"));
                }
                let payload = format!(r#"{{"number":{number}}}"#);
                if requests.iter().any(|request| request.body != payload) {
                    return Err(format!("message {number} changed on its way to {url}"));
                }
                // A fault before the request leaves an attempt on record that nobody saw.
                let unrecorded = requests.len().saturating_sub(recorded.len());
                let excused = self.plan.excused(msg, url);
                if unrecorded > excused {
                    return Err(format!(
                        "message {number} to {url}: {} requests, {} on record, {excused} excused",
                        requests.len(),
                        recorded.len(),
                    ));
                }
            }
        }
        self.judge_metrics(app, messages).await?;
        let parked = self.world.call("GET", "/api/v1/operator/parked", json!(null)).await;
        match parked.body["data"].as_array().map(Vec::len) {
            Some(0) => Ok(()),
            _ => Err(format!("parked: {}", parked.body)),
        }
    }
}
