//! Whatever breaks, and wherever: nothing that was accepted is lost, and no attempt is sent
//! twice, unless the break fell between the request and its record.
//!
//! Each case publishes a few messages to a few endpoints, some of which fail at first, while
//! faults strike at random calls of the ports: errors before and after the effect, a store that
//! throttles for a while, records that are delivered twice or come late, and the death of the
//! process. Some applications are wide, so that their messages are cut into shares. Meanwhile
//! somebody replays, recovers, cancels and sends by hand, and disables endpoints for a while. Then
//! the faults end and time passes.
//!
//! In the end each message was taken by each endpoint, or its delivery ended with a reason that
//! the API shows and that the case gave. What ended because its endpoint was disabled can be
//! brought back, all of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch::{Dispatcher, Parts, Settings};
use http::Request;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use receive::Receiver;
use retry::Sweeper;
use serde_json::json;
use shared::domain::delivery::scheduled::ScheduleState;
use shared::domain::endpoint::NARROW;
use shared::domain::message::DEFAULT_RETENTION_DAYS;
use shared::domain::metrics::Metric;
use shared::domain::schedule::Schedule;
use shared::domain::secret::RootSecret;
use shared::host::assembly::{Base, Tenancy};
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::record::Record;
use shared::queue::{Consumer, DeadLetters, MAX_BATCH, Producer, Queues, Received};
use shared::sender::{Outbound, Outcome, Sender};
use shared::store::table::Table;
use shared::store::{Limit, Profiles, StoreSettings};
use shared::work::{InFlight, Intake};

use crate::profiles::application;
use crate::support::awake::{Awake, awake};
use crate::support::faults::{Fault, Faulty, Plan};
use crate::support::network::{Network, answer, header};
use crate::support::world::{Builder, ROOT_SECRET, Reply, World, organisation, text};

/// Cases of each of the two tests.
const CASES: u32 = 800;
/// Rounds of a minute after which everything must have arrived: hours of schedule, and every
/// fault's detour through visibility time-outs and dead-letter queues.
const MAX_ROUNDS: usize = 400;

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// To be delivered in some minutes.
    Scheduled,
    /// To be cut into two.
    Split,
}

/// What somebody does by hand.
#[derive(Clone, Copy, Debug)]
enum Act {
    ReplayMissing,
    BulkReplay,
    Recover,
    Cancel,
    CancelSince,
    Resend,
    /// The endpoint is disabled, until the minute is over.
    Disable,
}

/// Through the queue, through the sweep, through the queue, and so on.
const SCHEDULE: [u64; 8] = [5, 1200, 300, 1200, 300, 1200, 300, 1200];
/// How often a publisher tries: more often than a store throttles in one case.
const PUBLISH_TRIES: usize = 300;
/// An attempt by hand (`triggerType`).
const MANUAL: u64 = 1;
/// How late a batch may come, in seconds: its visibility is nearly over.
const LATE_S: u64 = 170;

/// One case.
#[derive(Clone, Debug)]
struct Case {
    messages: Vec<Kind>,
    /// For each endpoint, how often it fails before it takes anything.
    failures: Vec<usize>,
    /// Which endpoints take one attempt a second.
    slow: Vec<bool>,
    /// Applications of more endpoints are wide, and each share of theirs is for as many.
    narrow: usize,
    /// Whether store and queue take a message in one step, as on one machine.
    intake: bool,
    faults: Vec<(usize, Fault)>,
    /// Which batches come twice.
    doubled: Vec<bool>,
    /// Which batches are held back, until others are about to get them.
    late: Vec<bool>,
    /// What is done while which batch is worked on, and to which message and endpoint.
    acts: Vec<(usize, Act, usize)>,
}

fn cases() -> impl Strategy<Value = Case> {
    let fault = prop_oneof![
        Just(Fault::Before),
        Just(Fault::After),
        Just(Fault::DieBefore),
        Just(Fault::DieAfter),
        (1u32..4).prop_map(Fault::Throttle),
        // Longer than anybody asks again: what was sent is left to be written later.
        (12u32..40).prop_map(Fault::Throttle),
        (12u32..40).prop_map(|writes| Fault::Full(Limit::Store, writes)),
    ];
    let kind =
        prop_oneof![6 => Just(Kind::Plain), 2 => Just(Kind::Scheduled), 1 => Just(Kind::Split)];
    let act = prop_oneof![
        Just(Act::ReplayMissing),
        Just(Act::BulkReplay),
        Just(Act::Recover),
        Just(Act::Cancel),
        Just(Act::CancelSince),
        Just(Act::Resend),
        Just(Act::Disable),
    ];
    (
        vec(kind, 1..4),
        vec(0usize..3, 1..4),
        vec(prop::bool::weighted(0.3), 4),
        (prop_oneof![1 => Just(1), 1 => Just(2), 2 => Just(NARROW)], any::<bool>()),
        vec((0usize..90, fault), 0..6),
        vec(any::<bool>(), 12),
        vec(prop::bool::weighted(0.2), 12),
        vec((0usize..10, act, 0usize..12), 0..4),
    )
        .prop_map(
            |(messages, failures, slow, (narrow, intake), faults, doubled, late, acts)| Case {
                messages,
                failures,
                slow,
                narrow,
                intake,
                faults,
                doubled,
                late,
                acts,
            },
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

#[test]
fn what_is_canceled_before_its_time_and_fails_by_hand_is_over() {
    let case = Case {
        messages: vec![Kind::Scheduled, Kind::Scheduled, Kind::Plain],
        failures: vec![2],
        slow: vec![false],
        narrow: 1,
        intake: false,
        faults: Vec::new(),
        doubled: Vec::new(),
        late: Vec::new(),
        acts: vec![(0, Act::Resend, 7), (0, Act::Cancel, 1)],
    };
    for always_lease in [false, true] {
        let (_, sent) = play(case.clone(), always_lease).unwrap();
        assert!(sent > 1, "{sent}");
    }
}

/// The store took neither an attempt nor, at call 67, the reading before the note that it was made.
#[test]
fn an_attempt_is_noted_as_made_although_the_store_fails_once_more() {
    let case = Case {
        messages: vec![Kind::Scheduled, Kind::Plain, Kind::Split],
        failures: vec![0],
        slow: vec![true, false, false, false],
        narrow: 2,
        intake: true,
        faults: vec![
            (10, Fault::DieAfter),
            (19, Fault::DieAfter),
            (14, Fault::Full(Limit::Store, 13)),
            (67, Fault::Before),
            (75, Fault::Full(Limit::Store, 34)),
        ],
        doubled: (0..12).map(|read| ![3, 9, 10].contains(&read)).collect(),
        late: vec![true, false, false, true, false],
        acts: Vec::new(),
    };
    play(case, true).unwrap();
}

/// Runs a case, in time that passes when nothing is left to do; how many faults struck and how many
/// requests were sent.
fn play(case: Case, always_lease: bool) -> Result<(usize, usize), String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(Trial::start(case, always_lease))
}

fn run_all(always_lease: bool) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut faults_fired = 0;
    let mut posts = 0;
    let total = std::cell::RefCell::new((&mut faults_fired, &mut posts));
    let result = TestRunner::new(config).run(&cases(), |case| {
        let (fired, sent) = play(case, always_lease).map_err(TestCaseError::fail)?;
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

/// How the handlers are set up.
#[derive(Clone, Copy)]
struct Way {
    always_lease: bool,
    /// As [`Case::narrow`].
    narrow: usize,
    /// As [`Case::intake`].
    intake: bool,
}

/// The handlers, on ports that die with them.
struct Process {
    receiver: Receiver,
    dispatcher: Dispatcher,
    /// Gets what comes twice. It knows nothing of what the first one has in memory.
    other: Dispatcher,
    sweeper: Sweeper,
}

impl Process {
    fn start(world: &World, plan: &Arc<Plan>, way: Way) -> Self {
        let Way { always_lease, narrow, intake } = way;
        let table: Arc<dyn Table> = Arc::new(Awake(world.table.clone()));
        let table: Arc<dyn Table> = Arc::new(Faulty::new(table, plan));
        let secret = RootSecret::new(ROOT_SECRET).unwrap();
        let embedded = &world.queues;
        let producer = |queue: &EmbeddedQueue| -> Arc<dyn Producer> {
            let queue: Arc<dyn Producer> = Arc::new(queue.clone());
            Arc::new(Faulty::new(Awake(queue), plan))
        };
        let queues = Queues {
            deliveries: producer(&embedded.deliveries),
            retries: producer(&embedded.retries),
        };
        let dead = DeadLetters {
            deliveries: Arc::new(Faulty::new(embedded.deliveries_dlq.clone(), plan)),
            retries: Arc::new(Faulty::new(embedded.retries_dlq.clone(), plan)),
        };
        let settings = Settings {
            schedule: Schedule::new(SCHEDULE.to_vec()),
            always_lease,
            share: narrow,
            ..Settings::default()
        };
        let (metrics, ambient) = (world.metrics.clone(), world.ambient.clone());
        let stores = StoreSettings { narrow, ..StoreSettings::default() };
        let intake = intake.then(|| -> Arc<dyn Intake> {
            let intake: Arc<dyn Intake> = Arc::new(world.intake());
            Arc::new(Faulty::new(Awake(intake), plan))
        });
        let base = Base { intake, ..Base::new(table, stores, metrics, ambient) };
        let tenancy = Tenancy::new(&base, &secret, Profiles::built_in());
        let receive = receive::Settings {
            organisation: organisation(),
            retention_days: DEFAULT_RETENTION_DAYS,
            alone_since: None,
        };
        let sender = Arc::new(Faulty::new(Slow(world.network.clone()), plan));
        let parts =
            Parts::new(base.clone(), tenancy.clone(), queues.retries.clone(), sender, settings);
        let to_dispatch = queues.deliveries.clone();
        Self {
            receiver: Receiver::new(base.clone(), tenancy, to_dispatch, receive),
            dispatcher: Dispatcher::new(parts.clone()),
            other: Dispatcher::new(Parts { in_flight: InFlight::default(), ..parts }),
            sweeper: Sweeper::new(base, queues, dead),
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
    way: Way,
    began: String,
    app: String,
    /// Whether its profile wraps payloads in an envelope.
    wrapped: bool,
    /// The endpoints, and the URL of each.
    endpoints: Vec<(String, String)>,
    published: Vec<Published>,
    doubled: std::vec::IntoIter<bool>,
    late: std::vec::IntoIter<bool>,
    acts: Vec<(usize, Act, usize)>,
    /// Batches so far.
    batches: usize,
    /// Outcomes that were to be written later and whose record came twice. Two writers of one
    /// attempt, one of whom is told of an error, cannot tell which of them wrote it: both count it.
    copied_outcomes: u64,
    /// Endpoints that are disabled, and all that ever were.
    disabled: BTreeSet<String>,
    ever_disabled: BTreeSet<String>,
    /// Messages that somebody wanted to call off.
    canceled: BTreeSet<String>,
    everything_canceled: bool,
}

/// An event that was accepted.
struct Published {
    id: String,
    /// Its messages: itself, or its parts.
    messages: Vec<String>,
    body: serde_json::Value,
}

/// How a message and an endpoint are with each other.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Taken,
    Canceled,
    Disabled(String),
    /// Something is still to come, or nothing will.
    Open(String),
}

impl Trial {
    /// Runs a case; how many faults struck and how many requests were sent.
    async fn start(case: Case, always_lease: bool) -> Result<(usize, usize), String> {
        let world =
            World::build(Builder { one_process: false, narrow: case.narrow, ..Builder::default() });
        let plan = Plan::new(case.faults);
        let cut = case.messages.contains(&Kind::Split);
        let app = match cut {
            true => awake(application(&world, "moneyhub")).await,
            false => awake(world.application()).await,
        };
        let mut endpoints = Vec::new();
        for (number, failures) in case.failures.iter().enumerate() {
            let url = format!("http://127.0.0.1:9/{number}");
            let mut body = json!({"url": url});
            if case.slow[number] {
                body["throttleRate"] = json!(1);
            }
            if cut {
                // The profile's own has no retries.
                body["retrySchedule"] = json!(SCHEDULE);
            }
            let ep = awake(world.endpoint_with(&app, body)).await;
            plan.endpoint(&ep, &url);
            for _ in 0..*failures {
                world.network.next(&url, answer(503));
            }
            endpoints.push((ep, url));
        }
        let way = Way { always_lease, narrow: case.narrow, intake: case.intake };
        let process = Process::start(&world, &plan, way);
        let mut trial = Self {
            began: world.ambient.now().to_rfc3339(),
            world,
            plan,
            process,
            way,
            app,
            wrapped: cut,
            endpoints,
            published: Vec::new(),
            doubled: case.doubled.into_iter(),
            late: case.late.into_iter(),
            acts: case.acts,
            batches: 0,
            copied_outcomes: 0,
            disabled: BTreeSet::new(),
            ever_disabled: BTreeSet::new(),
            canceled: BTreeSet::new(),
            everything_canceled: false,
        };
        for (number, kind) in case.messages.into_iter().enumerate() {
            let published = trial.publish(number, kind).await?;
            trial.published.push(published);
            trial.dispatch().await;
        }
        for _ in 0..8 {
            trial.minute().await;
        }
        trial.plan.end();
        trial.acts.clear();
        trial.settle(|end| !matches!(end, End::Open(_))).await?;
        if !trial.ever_disabled.is_empty() {
            trial.bring_back().await?;
        }
        trial.judge().await?;
        Ok((trial.plan.fired(), trial.world.network.sent().len()))
    }

    /// Publishes as an SDK does: the same request again until it is answered well.
    async fn publish(&mut self, number: usize, kind: Kind) -> Result<Published, String> {
        let mut body = json!({"eventType": "a.b", "subject": "u", "payload": {"number": number}});
        match kind {
            Kind::Plain => {}
            Kind::Scheduled => {
                let at = self.world.ambient.now().plus_ms(150_000).to_rfc3339();
                body["deliverAt"] = json!(at);
            }
            Kind::Split => {
                let id = |n: usize| format!("{number:08x}-0000-4000-8000-{n:012x}");
                let account = |n: usize| json!({"id": n.to_string(), "transactions": [id(n)]});
                body["eventType"] = json!("newTransactions");
                body["payload"] = json!({"accounts": [account(0), account(1)]});
            }
        }
        for _ in 0..PUBLISH_TRIES {
            let request = Request::post(format!("/api/v1/app/{}/msg", self.app))
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
                    let answered: serde_json::Value =
                        serde_json::from_slice(response.body()).unwrap();
                    let id = text(&answered["id"]);
                    let messages = self.messages(&id).await;
                    return Ok(Published { id, messages, body: body["payload"].take() });
                }
                Some(response) if response.status() == 503 => {}
                Some(response) => return Err(format!("publishing was answered {response:?}")),
            }
        }
        Err("publishing never succeeded".to_owned())
    }

    /// The messages that an event became.
    async fn messages(&self, id: &str) -> Vec<String> {
        let path = format!("/api/v1/app/{}/msg/{id}", self.app);
        let shown = self.call("GET", &path, json!(null)).await.body;
        match shown["parts"].as_u64() {
            None | Some(0) => vec![id.to_owned()],
            Some(_) => shown["payload"]["parts"].as_array().unwrap().iter().map(text).collect(),
        }
    }

    /// A minute goes by: a sweep, and dispatch all the while.
    async fn minute(&mut self) {
        for ep in std::mem::take(&mut self.disabled) {
            self.switch(&ep, false).await;
        }
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

    async fn switch(&self, ep: &str, disabled: bool) {
        let path = format!("/api/v1/app/{}/endpoint/{ep}", self.app);
        let changed = self.call("PATCH", &path, json!({"disabled": disabled})).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }

    /// Dispatches what can be received, some of it twice at the same time, some of it late.
    async fn dispatch(&mut self) {
        for queue in [self.world.queues.deliveries.clone(), self.world.queues.retries.clone()] {
            let batch = queue.receive(MAX_BATCH, 0).await.unwrap();
            if batch.is_empty() {
                continue;
            }
            if self.late.next().unwrap_or(false) {
                self.world.advance_s(LATE_S);
            }
            let copy: Vec<Received> =
                if self.doubled.next().unwrap_or(false) { self.copy(&batch) } else { Vec::new() };
            let held: Vec<(String, String)> =
                batch.iter().map(|record| (record.id.clone(), record.receipt.clone())).collect();
            let is_outcome = |record: &&Received| {
                matches!(Record::parse(&record.body), Ok(Record::Outcome { .. }))
            };
            self.copied_outcomes += copy.iter().filter(is_outcome).count() as u64;
            let acts = self.acts_now();
            let work = async {
                let doubled: BTreeSet<_> = copy.iter().map(|record| record.id.clone()).collect();
                let (first, second, ()) = tokio::join!(
                    self.process.dispatcher.handle(batch, None),
                    self.process.other.handle(copy, None),
                    self.act(acts),
                );
                // A record is deleted by whichever of its receivers was done with it.
                held.into_iter()
                    .filter(|(id, _)| {
                        !first.contains(id) || (doubled.contains(id) && !second.contains(id))
                    })
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

    /// What is to be done by hand at this batch, and to whom.
    fn acts_now(&mut self) -> Vec<(Act, String, String)> {
        let batch = self.batches;
        self.batches += 1;
        let mut now = Vec::new();
        for (_, act, whom) in self.acts.iter().filter(|(at, ..)| *at == batch) {
            let Some(published) = self.published.get(whom % self.published.len().max(1)) else {
                continue;
            };
            let (ep, _) = self.endpoints[whom % self.endpoints.len()].clone();
            let named = match act {
                Act::Resend => published.messages[0].clone(),
                _ => published.id.clone(),
            };
            match act {
                Act::Cancel => self.canceled.extend(published.messages.iter().cloned()),
                Act::CancelSince => self.everything_canceled = true,
                Act::Disable => {
                    self.disabled.insert(ep.clone());
                    self.ever_disabled.insert(ep.clone());
                }
                Act::ReplayMissing | Act::BulkReplay | Act::Recover | Act::Resend => {}
            }
            now.push((*act, named, ep));
        }
        now
    }

    async fn act(&self, acts: Vec<(Act, String, String)>) {
        let since = json!({"since": self.began});
        for (act, msg, ep) in acts {
            let app = format!("/api/v1/app/{}", self.app);
            let of_endpoint = |what: &str| format!("{app}/endpoint/{ep}/{what}");
            let (path, body) = match act {
                Act::ReplayMissing => (of_endpoint("replay-missing"), since.clone()),
                Act::BulkReplay => (of_endpoint("bulk-replay"), since.clone()),
                Act::Recover => (of_endpoint("recover"), since.clone()),
                Act::CancelSince => (of_endpoint("cancel-msgs"), since.clone()),
                Act::Cancel => (format!("{app}/msg/{msg}/cancel"), json!(null)),
                Act::Resend => (format!("{app}/msg/{msg}/endpoint/{ep}/resend"), json!(null)),
                Act::Disable => {
                    self.switch(&ep, true).await;
                    continue;
                }
            };
            let reply = self.call("POST", &path, body).await;
            // Not to a disabled endpoint; and not while a sweep has the message in its hands.
            assert!([200, 202, 400, 409].contains(&reply.status.as_u16()), "{path}: {reply:?}");
        }
    }

    /// The same records as another receiver gets them. SQS counts that receive; where every
    /// attempt is leased, dispatch does not depend on the count. An attempt by
    /// hand never is, and is not given to two.
    fn copy(&self, batch: &[Received]) -> Vec<Received> {
        let counted = u32::from(!self.way.always_lease);
        batch
            .iter()
            .filter(|record| !matches!(Record::parse(&record.body), Ok(Record::Resend { .. })))
            .map(|record| Received {
                receive_count: record.receive_count + counted,
                ..record.clone()
            })
            .collect()
    }

    fn restart(&mut self) {
        self.plan.restart();
        let (world, plan) = (&self.world, &self.plan);
        self.process = Process::start(world, plan, self.way);
    }

    /// Lets time pass until every message and endpoint are as they should be.
    async fn settle(&mut self, is_end: impl Fn(&End) -> bool) -> Result<(), String> {
        let mut open = String::new();
        for _ in 0..MAX_ROUNDS {
            open.clear();
            for msg in self.all_messages() {
                for (ep, url) in &self.endpoints {
                    let end = self.end_of(&msg, ep, url).await;
                    if !is_end(&end) {
                        open = format!("{msg} and {url}: {end:?}");
                    }
                }
            }
            if open.is_empty() && self.world.is_idle() {
                return Ok(());
            }
            self.minute().await;
        }
        Err(format!("never settled: {open}"))
    }

    /// Everything that ended because its endpoint was disabled, or was never begun.
    async fn bring_back(&mut self) -> Result<(), String> {
        let since = json!({"since": self.began});
        // Whoever died while disabling one may have done it all the same.
        for ep in &self.ever_disabled {
            self.switch(ep, false).await;
        }
        for (ep, _) in &self.endpoints {
            for task in ["recover", "replay-missing"] {
                let path = format!("/api/v1/app/{}/endpoint/{ep}/{task}", self.app);
                let reply = self.call("POST", &path, since.clone()).await;
                assert_eq!(reply.status, 202, "{reply:?}");
            }
        }
        self.settle(|end| matches!(end, End::Taken | End::Canceled)).await
    }

    /// A request to the API, by somebody else than the process.
    async fn call(&self, method: &str, path: &str, body: serde_json::Value) -> Reply {
        awake(self.world.call(method, path, body)).await
    }

    fn all_messages(&self) -> Vec<String> {
        self.published.iter().flat_map(|published| published.messages.clone()).collect()
    }

    async fn end_of(&self, msg: &str, ep: &str, url: &str) -> End {
        let attempts = awake(self.world.attempts(&self.app, msg)).await;
        if attempts.iter().any(|attempt| attempt["url"] == *url && attempt["status"] == 0) {
            return End::Taken;
        }
        let canceled = self.everything_canceled || self.canceled.contains(msg);
        let disabled = self.ever_disabled.contains(ep);
        let path = format!("/api/v1/app/{}/msg/{msg}/endpoint", self.app);
        let shown = self.call("GET", &path, json!(null)).await.body;
        let shown = shown["data"].as_array().unwrap().iter().find(|shown| shown["id"] == *ep);
        let before_its_time = canceled && self.was_canceled(msg).await;
        // It was not for an endpoint that was disabled at the time, or was canceled before its
        // time, and was only sent by hand.
        let by_hand = |attempt: &serde_json::Value| {
            attempt["url"] != *url || attempt["triggerType"] == MANUAL
        };
        let only_by_hand = attempts.iter().all(by_hand);
        match shown {
            Some(shown) if shown["status"] == 4 && canceled => End::Canceled,
            Some(shown) if shown["reason"] == "endpoint disabled" && disabled => {
                End::Disabled(shown.to_string())
            }
            Some(shown) if disabled && only_by_hand && shown["status"] == 2 => {
                End::Disabled(shown.to_string())
            }
            Some(shown) if before_its_time && only_by_hand && shown["status"] == 2 => End::Canceled,
            Some(shown) => End::Open(shown.to_string()),
            // It was canceled before its time.
            None if before_its_time => End::Canceled,
            // It was not for an endpoint that was disabled at the time.
            None if disabled => End::Disabled("nothing".to_owned()),
            None => End::Open("nothing".to_owned()),
        }
    }

    async fn was_canceled(&self, msg: &str) -> bool {
        let found = self.world.parts.deliveries.scheduled(&msg.parse().unwrap()).await.unwrap();
        found.is_some_and(|found| found.value.state == ScheduleState::Canceled)
    }

    /// Nothing is counted twice; and nothing is missing where nothing broke.
    async fn judge_metrics(&self) -> Result<(), String> {
        let told = self.world.metrics.take();
        let sum = |metric| told.get(&metric).map_or(0, |values| values.iter().sum::<u64>());
        let mut recorded = (0, 0, 0);
        for msg in self.all_messages() {
            for attempt in awake(self.world.attempts(&self.app, &msg)).await {
                let ok = attempt["status"] == 0;
                recorded.0 += u64::from(ok);
                recorded.1 += u64::from(!ok);
            }
        }
        recorded.2 = self.all_messages().len() as u64;
        let counted = (sum(Metric::Delivered), sum(Metric::Failed), sum(Metric::Accepted));
        let twice = self.copied_outcomes;
        let at_most = counted.0 + counted.1 <= recorded.0 + recorded.1 + twice
            && counted.0 <= recorded.0 + twice
            && counted.1 <= recorded.1 + twice
            && counted.2 <= recorded.2;
        let exactly = self.plan.fired() > 0 || counted == recorded;
        match at_most && exactly {
            true => Ok(()),
            false => Err(format!("counted {counted:?}, on record {recorded:?}")),
        }
    }

    async fn judge(&self) -> Result<(), String> {
        let sent = self.world.network.sent();
        for published in &self.published {
            let payload = published.body.to_string();
            for msg in &published.messages {
                let attempts = awake(self.world.attempts(&self.app, msg)).await;
                let whole = published.messages.len() == 1;
                for (_, url) in &self.endpoints {
                    let requests: Vec<_> = sent
                        .iter()
                        .filter(|sent| sent.url == *url && header(sent, "webhook-id") == msg)
                        .collect();
                    let recorded =
                        attempts.iter().filter(|attempt| attempt["url"] == **url).count();
                    let carries = |request: &&Outbound| match self.wrapped {
                        true => String::from_utf8_lossy(&request.body).contains(&payload),
                        false => request.body == payload,
                    };
                    if whole && !requests.iter().all(carries) {
                        return Err(format!("{msg} changed on its way to {url}"));
                    }
                    // A fault before the request leaves an attempt on record that nobody saw.
                    let unrecorded = requests.len().saturating_sub(recorded);
                    let excused = self.plan.excused(msg, url);
                    if unrecorded > excused {
                        return Err(format!(
                            "{msg} to {url}: {} requests, {recorded} on record, {excused} excused",
                            requests.len(),
                        ));
                    }
                }
            }
        }
        self.judge_metrics().await?;
        let parked = self.call("GET", "/api/v1/operator/parked", json!(null)).await;
        match parked.body["data"].as_array().map(Vec::len) {
            Some(0) => Ok(()),
            _ => Err(format!("parked: {}", parked.body)),
        }
    }
}
