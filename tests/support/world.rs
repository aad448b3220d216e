//! The whole platform in a test: every handler on the embedded adapters, a clock that moves
//! only when told to, a network that the test scripts. Verbs, no sleeps.

use std::sync::Arc;

use crate::counting::{CountingIntake, CountingQueue, CountingTable, Meter};
use admin::Admin;
use bytes::Bytes;
use dispatch::{Dispatcher, Parts, Settings};
use http::{Method, Request, StatusCode};
use receive::Receiver;
use retry::{Report, Sweeper};
use serde_json::{Value, json};
use shared::domain::clock::{Ambient, Clock, Timestamp};
use shared::domain::endpoint::NARROW;
use shared::domain::id::OrganisationId;
use shared::domain::message::DEFAULT_RETENTION_DAYS;
use shared::domain::metrics::Collector;
use shared::domain::secret::RootSecret;
use shared::domain::token::{APPLICATION_TOKEN_S, Access, ORGANISATION_TOKEN_S, Tokens, VISIT_S};
use shared::embedded::Engine;
use shared::host::assembly::{Base, Tenancy};
use shared::host::config::DEFAULT_ORGANISATION;
use shared::queue::embedded::{EmbeddedQueue, EmbeddedQueues, QueueSettings};
use shared::queue::{Consumer, DeadLetters, MAX_BATCH, Producer, Queues};
use shared::sender::Sender;
use shared::sender::target::TargetPolicy;
use shared::store::embedded::EmbeddedTable;
use shared::store::table::Table;
use shared::store::{Profiles, StoreSettings};
use shared::work::InFlight;
use shared::work::intake::embedded::EmbeddedIntake;

use super::audit::{Audit, Audited};
use super::awake::awake;
use super::directory;
use super::faults::{Faulty, Plan};
use super::gauge::Gauge;
use super::hold::hold;
use super::keys;
use super::kinds::{Stored, Watched};
use super::network::Network;
use super::still::{self, StillClock};

/// The root secret of every test.
pub(crate) const ROOT_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// How to build a world.
pub(crate) struct Builder {
    pub(crate) settings: Settings,
    pub(crate) plan: Arc<Plan>,
    pub(crate) policy: TargetPolicy,
    /// What sends instead of the scripted network.
    pub(crate) sender: Option<Arc<dyn Sender>>,
    /// The profiles that come with the process.
    pub(crate) profiles: Profiles,
    /// Whether background tasks are worked on in the process that dispatches, as on one machine,
    /// and not elsewhere, as on Lambda.
    pub(crate) one_process: bool,
    /// Applications of more endpoints are wide.
    pub(crate) narrow: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            plan: Plan::new(Vec::new()),
            policy: TargetPolicy::local(),
            sender: None,
            profiles: Profiles::built_in(),
            one_process: true,
            narrow: NARROW,
        }
    }
}

/// The platform.
pub(crate) struct World {
    /// What each function asked of AWS.
    pub(crate) audit: Audit,
    pub(crate) clock: Arc<StillClock>,
    pub(crate) ambient: Ambient,
    pub(crate) network: Arc<Network>,
    pub(crate) queues: EmbeddedQueues,
    pub(crate) table: Arc<dyn Table>,
    pub(crate) meter: Meter,
    /// How much is done side by side.
    pub(crate) gauge: Gauge,
    /// Everything that was stored, in its last form.
    pub(crate) stored: Stored,
    pub(crate) plan: Arc<Plan>,
    /// What all functions told.
    pub(crate) metrics: Arc<Collector>,
    pub(crate) receiver: Receiver,
    pub(crate) dispatcher: Dispatcher,
    /// What the dispatcher is made of, for a test that makes another one.
    pub(crate) parts: Parts,
    pub(crate) sweeper: Sweeper,
    pub(crate) admin: Admin,
    pub(crate) tokens: Tokens,
    pub(crate) engine: Engine,
    _directory: directory::Directory,
}

/// The adapters, as faults strike them and the audit sees them.
struct Ports {
    table: Arc<dyn Table>,
    queues: EmbeddedQueues,
    meter: Meter,
    gauge: Gauge,
    plan: Arc<Plan>,
    audit: Audit,
}

impl Ports {
    fn table(&self, function: &'static str) -> Arc<dyn Table> {
        Audited::new(&self.table, function, "Table", &self.audit)
    }

    fn queues(&self, function: &'static str) -> Queues {
        let queue = |queue: &EmbeddedQueue, resource| -> Arc<dyn Producer> {
            let counted = CountingQueue::new(queue.clone(), self.meter.clone());
            let counted = self.gauge.of(counted);
            let faulty: Arc<dyn Producer> = Arc::new(Faulty::new(counted, &self.plan));
            Audited::new(&faulty, function, resource, &self.audit)
        };
        Queues {
            deliveries: queue(&self.queues.deliveries, "DeliveriesQueue"),
            retries: queue(&self.queues.retries, "RetriesQueue"),
        }
    }

    fn dead_letters(&self) -> DeadLetters {
        let queue = |queue: &EmbeddedQueue, resource| -> Arc<dyn Consumer> {
            let faulty: Arc<dyn Consumer> = Arc::new(Faulty::new(queue.clone(), &self.plan));
            Audited::new(&faulty, "retry", resource, &self.audit)
        };
        DeadLetters {
            deliveries: queue(&self.queues.deliveries_dlq, "DeliveriesDlq"),
            retries: queue(&self.queues.retries_dlq, "RetriesDlq"),
        }
    }
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) bytes: Bytes,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::build(Builder::default())
    }

    /// A world with an application; its id.
    pub(crate) async fn with_application() -> (Self, String) {
        let world = Self::new();
        let app = world.application().await;
        (world, app)
    }

    /// A world with an application that has an endpoint; their ids.
    pub(crate) async fn with_endpoint(url: &str) -> (Self, String, String) {
        let (world, app) = Self::with_application().await;
        let ep = world.endpoint(&app, url).await;
        (world, app, ep)
    }

    pub(crate) fn build(builder: Builder) -> Self {
        let Builder { settings, plan, policy, sender, profiles, one_process, narrow } = builder;
        // Its clock stands still while anybody waits.
        let settings = Settings { share: settings.share.min(narrow), early_ms: 0, ..settings };
        let directory = directory::Directory::new();
        let clock = StillClock::new();
        let ambient = still::ambient(&clock);
        let engine = Engine::open(directory.path()).expect("a database");
        let dyn_clock: Arc<dyn Clock> = clock.clone();
        let queues = EmbeddedQueues::open(&engine, &dyn_clock, QueueSettings::default())
            .expect("the queues");
        let meter = Meter::default();
        let metrics = Arc::<Collector>::default();
        let stored = Stored::default();
        let counting = CountingTable::new(EmbeddedTable::new(engine.clone()), meter.clone());
        let gauge = Gauge::default();
        let watched = Watched { inner: counting, stored: stored.clone() };
        let bare: Arc<dyn Table> = Arc::new(gauge.of(watched));
        let table: Arc<dyn Table> = Arc::new(Faulty::new(bare.clone(), &plan));
        let network = Network::new();
        let secret = RootSecret::new(ROOT_SECRET).expect("a root secret");
        let tokens = Tokens::new(&secret.token_key());
        let sender = sender.unwrap_or_else(|| network.clone());
        let sender: Arc<dyn Sender> = Arc::new(Faulty::new(Shared(sender), &plan));
        let ports = Ports {
            table,
            queues: queues.clone(),
            meter: meter.clone(),
            gauge: gauge.clone(),
            plan: plan.clone(),
            audit: Audit::default(),
        };
        let own = |function| {
            let (table, metrics) = (ports.table(function), metrics.clone());
            let stores = StoreSettings { narrow, ..StoreSettings::default() };
            Base::new(table, stores, metrics, ambient.clone())
        };
        // As on one machine, the functions know of each other what is being sent and which tokens
        // were taken back, and share the profiles that they have read.
        let first = own("admin");
        let tenancy = Tenancy::new(&first, &secret, profiles);
        let in_flight = one_process.then(InFlight::default);
        let base = |function| {
            let mut base = Base { in_flight: in_flight.clone(), ..own(function) };
            base.stores.revocations = first.stores.revocations.clone();
            base
        };
        let taking = receive::Settings {
            organisation: organisation(),
            retention_days: DEFAULT_RETENTION_DAYS,
            alone_since: None,
        };
        let to_dispatch = ports.queues("receive").deliveries;
        let receiver = Receiver::new(base("receive"), tenancy.clone(), to_dispatch, taking);
        let again = ports.queues("dispatch").retries;
        let parts = Parts::new(base("dispatch"), tenancy.clone(), again, sender.clone(), settings);
        let sweeper = Sweeper::new(base("retry"), ports.queues("retry"), ports.dead_letters());
        let answering = admin::Settings {
            operator: organisation(),
            publish_url: None,
            portal_frames: "'self'".to_owned(),
            portal_link_s: VISIT_S,
            retention_days: DEFAULT_RETENTION_DAYS,
            max_endpoints: NARROW,
            policy,
        };
        let mut admin =
            Admin::new(base("admin"), tenancy, ports.queues("admin"), sender, answering);
        admin.patience = std::time::Duration::ZERO;
        admin.rsa = keys::rsa_maker();
        Self {
            audit: ports.audit.clone(),
            clock,
            ambient,
            network,
            queues,
            table: bare,
            meter,
            gauge,
            stored,
            plan,
            metrics,
            receiver,
            dispatcher: Dispatcher::new(parts.clone()),
            parts,
            sweeper,
            admin,
            tokens,
            engine,
            _directory: directory,
        }
    }

    // Time.

    /// Lets time pass.
    pub(crate) fn advance_s(&self, seconds: u64) {
        self.clock.advance_ms(seconds * 1000);
    }

    /// Whether this text is anywhere in the files of the store.
    pub(crate) fn on_disk(&self, text: &str) -> bool {
        std::fs::read_dir(self._directory.path()).expect("the directory").any(|entry| {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    /// What takes a message in store and queue in one step.
    pub(crate) fn intake(&self) -> CountingIntake<EmbeddedIntake> {
        let intake = EmbeddedIntake::new(self.engine.clone(), self.queues.deliveries.clone());
        CountingIntake::new(intake, self.meter.clone())
    }

    /// Holds the writer until it is dropped.
    pub(crate) fn hold_writes(&self) -> std::sync::mpsc::Sender<()> {
        hold(&self.engine)
    }

    // The API.

    /// A token of the default organisation.
    pub(crate) fn token(&self) -> String {
        self.token_of(organisation())
    }

    /// A token of some organisation.
    pub(crate) fn token_of(&self, org: OrganisationId) -> String {
        self.tokens.issue(Access::Organisation(org), self.ambient.now(), ORGANISATION_TOKEN_S)
    }

    /// A token that is confined to an application of the default organisation.
    pub(crate) fn app_token(&self, app: &str) -> String {
        let access = Access::Application(organisation(), app.parse().expect("an application id"));
        self.tokens.issue(access, self.ambient.now(), APPLICATION_TOKEN_S)
    }

    /// A request, answered by whichever function API Gateway would route it to.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Reply {
        let path = request.uri().path().trim_end_matches('/');
        let publishes = path.starts_with("/in/")
            || request.method() == Method::POST
                && (path.ends_with("/msg") || path.ends_with("/msg/batch"));
        let response = match publishes {
            true => self.receiver.handle(request).await,
            false => self.admin.handle(request).await,
        };
        let bytes = response.body().clone();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: response.status(), body, bytes }
    }

    /// A request with the organisation's token.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        self.call_as(&self.token(), method, path, body).await
    }

    /// A request with this token. A `null` body is no body.
    pub(crate) async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Reply {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(body)
            .expect("a request");
        self.send(request).await
    }

    /// A new application; its id.
    pub(crate) async fn application(&self) -> String {
        let reply = self.call("POST", "/api/v1/app", json!({"name": "Test"})).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        text(&reply.body["id"])
    }

    /// A new endpoint that wants everything; its id.
    pub(crate) async fn endpoint(&self, app: &str, url: &str) -> String {
        self.endpoint_with(app, json!({"url": url})).await
    }

    /// A new endpoint; its id.
    pub(crate) async fn endpoint_with(&self, app: &str, body: Value) -> String {
        for types in ["eventTypes", "filterTypes"] {
            for name in body[types].as_array().into_iter().flatten() {
                self.describe(&text(name)).await;
            }
        }
        let path = format!("/api/v1/app/{app}/endpoint");
        let reply = self.call("POST", &path, body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        text(&reply.body["id"])
    }

    /// Makes an event type, unless it is there.
    pub(crate) async fn describe(&self, name: &str) {
        let reply =
            self.call("POST", "/api/v1/event-type", json!({"name": name, "description": ""}));
        let status = reply.await.status;
        assert!(status == 201 || status == 409, "{name}: {status}");
    }

    /// Publishes an event of the type `test.event`; the message's id.
    pub(crate) async fn publish(&self, app: &str, payload: Value) -> String {
        let body = json!({"eventType": "test.event", "payload": payload});
        let reply = awake(self.call("POST", &format!("/api/v1/app/{app}/msg"), body)).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        text(&reply.body["id"])
    }

    /// The attempts on record for a message, oldest first.
    pub(crate) async fn attempts(&self, app: &str, msg: &str) -> Vec<Value> {
        let path = format!("/api/v1/app/{app}/attempt/msg/{msg}?limit=250");
        let reply = self.call("GET", &path, Value::Null).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let mut attempts = reply.body["data"].as_array().expect("a list").clone();
        attempts.reverse();
        attempts
    }

    // The work.

    /// Dispatches what can be received now, once, as Lambda's event source does: what was done
    /// is deleted, the rest is given back. How many records were done.
    pub(crate) async fn dispatch(&self) -> usize {
        self.dispatch_by(&self.dispatcher).await
    }

    /// The same by another process.
    pub(crate) async fn dispatch_by(&self, dispatcher: &Dispatcher) -> usize {
        let mut done = 0;
        for (queue, resource) in self.outlets() {
            let batch = queue.receive(MAX_BATCH, 0).await.expect("a batch");
            if batch.is_empty() {
                continue;
            }
            let records: Vec<(String, String)> =
                batch.iter().map(|record| (record.id.clone(), record.receipt.clone())).collect();
            let inner: Arc<dyn Consumer> = Arc::new(queue.clone());
            let given_back = Audited::new(&inner, "dispatch", resource, &self.audit);
            let failed = dispatcher.serve(&*given_back, batch, None).await;
            let receipts: Vec<String> = records
                .into_iter()
                .filter(|(id, _)| !failed.contains(id))
                .map(|(_, receipt)| receipt)
                .collect();
            done += receipts.len();
            queue.delete(&receipts).await.expect("a deletion");
        }
        done
    }

    /// The queues that dispatch is fed from, with their names in the template.
    fn outlets(&self) -> [(&EmbeddedQueue, &'static str); 2] {
        [(&self.queues.deliveries, "DeliveriesQueue"), (&self.queues.retries, "RetriesQueue")]
    }

    /// Dispatches until nothing can be received now.
    pub(crate) async fn dispatch_all(&self) {
        while self.dispatch().await > 0 {}
    }

    /// One run of the retry function.
    pub(crate) async fn sweep(&self) -> Report {
        self.sweeper.run(None).await
    }

    /// Lets time pass as on AWS: a sweep every minute, dispatching all the while. Time in which
    /// nothing is queued and nothing comes due passes in one step.
    pub(crate) async fn live_s(&self, seconds: u64) {
        /// Fine enough for the first retry, which comes after 5 seconds.
        const STEP_S: u64 = 5;
        const SWEEP_EVERY_S: u64 = 60;
        self.dispatch_all().await;
        let seconds = seconds.next_multiple_of(STEP_S);
        let (mut lived, mut next_sweep) = (0, STEP_S);
        while lived < seconds {
            let mut step = STEP_S;
            if self.is_idle() {
                let idle_s = self
                    .first_due()
                    .map_or(u64::MAX, |due| due.since(self.ambient.now()).div_ceil(1000));
                while next_sweep < seconds && next_sweep - lived < idle_s {
                    next_sweep += SWEEP_EVERY_S;
                }
                step = (next_sweep - lived).min(seconds - lived);
            }
            self.advance_s(step);
            lived += step;
            if lived == next_sweep {
                self.sweep().await;
                next_sweep += SWEEP_EVERY_S;
            }
            self.dispatch_all().await;
        }
    }

    /// Whether nothing is in any queue, now or later.
    pub(crate) fn is_idle(&self) -> bool {
        let EmbeddedQueues { deliveries, deliveries_dlq, retries, retries_dlq } = &self.queues;
        [deliveries, deliveries_dlq, retries, retries_dlq].iter().all(|queue| queue.is_empty())
    }

    /// When a sweep first has something to do.
    fn first_due(&self) -> Option<Timestamp> {
        const FIRST: &str = "SELECT min(dsk) FROM items WHERE dpk IS NOT NULL";
        let first = self.engine.read(|connection| {
            connection.query_row(FIRST, [], |row| row.get::<_, Option<String>>(0))
        });
        let first = first.expect("a file that can be read");
        first.map(|sk| Timestamp(sk[..13].parse().expect("a moment in milliseconds")))
    }
}

/// The organisation of the tests.
pub(crate) fn organisation() -> OrganisationId {
    DEFAULT_ORGANISATION.parse().expect("an organisation id")
}

/// A JSON string.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

/// A network that several own.
pub(crate) struct Shared(pub(crate) Arc<dyn Sender>);

#[async_trait::async_trait]
impl Sender for Shared {
    async fn send(&self, request: shared::sender::Outbound) -> shared::sender::Outcome {
        self.0.send(request).await
    }
}
