//! An account with the platform in it: the real handlers, each process of them on ports of its
//! own, and everything that AWS puts between them.

use std::sync::Arc;

use admin::Admin;
use bytes::Bytes;
use dispatch::{Dispatcher, Parts};
use http::Request;
use receive::Receiver;
use retry::Sweeper;
use serde_json::{Value, json};
use shared::domain::clock::{Ambient, Clock};
use shared::domain::id::OrganisationId;
use shared::domain::message::DEFAULT_RETENTION_DAYS;
use shared::domain::metrics::Totals;
use shared::domain::secret::RootSecret;
use shared::domain::token::{Access, ORGANISATION_TOKEN_S, Tokens};
use shared::host::assembly::{Base, Tenancy};
use shared::host::config::DEFAULT_ORGANISATION;
use shared::queue::{DeadLetters, Producer, Queues};
use shared::sender::Sender;
use shared::sender::target::TargetPolicy;
use shared::store::{
    APPLICATION_TTL_MS, Backpressure, Profiles, Rates, SOURCE_TTL_MS, StoreSettings, Stores,
};

use super::aws::dice::Dice;
use super::aws::queue::SimulatedQueue;
use super::aws::table::SimulatedTable;
use super::aws::virtual_clock::VirtualClock;
use super::aws::weather::Weather;
use super::endpoints::Endpoints;
use super::lambda::{Concurrency, Function};
use super::ledger::Ledger;
use super::life::{Life, Mortal};
use super::plan::{Part, Plan};
use crate::counting::{CountingQueue, CountingTable, Meter};
use crate::deployed::{DISPATCH, RECEIVE, RETRY};

/// The root secret of every simulation. Nothing that it seals leaves the process.
const ROOT_SECRET: &str = "a simulation has no secrets at all";

/// The queues of a stack.
#[derive(Clone)]
pub(crate) struct Pipes {
    pub(crate) deliveries: SimulatedQueue,
    pub(crate) retries: SimulatedQueue,
    pub(crate) deliveries_dlq: SimulatedQueue,
    pub(crate) retries_dlq: SimulatedQueue,
}

/// A stack in an account.
pub(crate) struct Account {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ports: Ports,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) concurrency: Arc<Concurrency>,
    pub(crate) receive: Arc<Function<Receiver>>,
    pub(crate) dispatch: Arc<Function<Dispatcher>>,
    pub(crate) retry: Arc<Function<Sweeper>>,
    pub(crate) token: String,
    admin: Admin,
}

/// An application and its endpoints, by their ids.
pub(crate) struct Customer {
    pub(crate) app: String,
    pub(crate) endpoints: Vec<String>,
}

/// What every process is put together from.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) table: SimulatedTable,
    pub(crate) pipes: Pipes,
    pub(crate) meter: Meter,
    pub(crate) metrics: Arc<Totals>,
    pub(crate) ambient: Ambient,
    sender: Arc<dyn Sender>,
    profiles: Profiles,
    secret: RootSecret,
    without: Option<Part>,
}

impl Ports {
    /// The stores of a process.
    pub(crate) fn stores(&self, life: &Life) -> Stores {
        self.base(life, StoreSettings::default()).stores
    }

    fn base(&self, life: &Life, settings: StoreSettings) -> Base {
        self.base_on(self.table.clone(), life, settings)
    }

    fn base_on(&self, table: SimulatedTable, life: &Life, settings: StoreSettings) -> Base {
        let backpressure = Backpressure::default();
        let table = table.telling(backpressure.clone());
        let table = Mortal::new(CountingTable::new(table, self.meter.clone()), life);
        let base = Base::new(table, settings, self.metrics.clone(), self.ambient.clone());
        Base { backpressure, ..base }
    }

    fn tenancy(&self, base: &Base) -> Tenancy {
        Tenancy::new(base, &self.secret, self.profiles.clone())
    }

    /// A queue that is counted.
    pub(crate) fn counted(&self, queue: &SimulatedQueue) -> CountingQueue<SimulatedQueue> {
        CountingQueue::new(queue.clone(), self.meter.clone())
    }

    fn producer(&self, queue: &SimulatedQueue, life: &Life) -> Arc<dyn Producer> {
        Mortal::new(self.counted(queue), life)
    }

    fn queues(&self, life: &Life) -> Queues {
        let Pipes { deliveries, retries, .. } = &self.pipes;
        Queues {
            deliveries: self.producer(deliveries, life),
            retries: self.producer(retries, life),
        }
    }

    /// The receive function of a process.
    pub(crate) fn receiver(&self, life: &Life) -> Receiver {
        let settings = StoreSettings {
            directory_ttl_ms: APPLICATION_TTL_MS,
            sources_ttl_ms: SOURCE_TTL_MS,
            ..StoreSettings::default()
        };
        let base = self.base_on(self.table.clone().for_callers(), life, settings);
        let tenancy = self.tenancy(&base);
        let settings = receive::Settings {
            organisation: organisation(),
            retention_days: DEFAULT_RETENTION_DAYS,
            alone_since: None,
        };
        Receiver::new(base, tenancy, self.producer(&self.pipes.deliveries, life), settings)
    }

    fn dispatcher(&self, life: &Life) -> Dispatcher {
        let base = self.base(life, StoreSettings::default());
        let tenancy = self.tenancy(&base);
        let retries = self.producer(&self.pipes.retries, life);
        let sender = Mortal::new(self.sender.clone(), life);
        let mut parts = Parts::new(base, tenancy, retries, sender, self.dispatch_settings());
        if self.without == Some(Part::Rates) {
            parts.rates = Rates::new(Arc::new(self.table.apart()));
        }
        Dispatcher::new(parts)
    }

    fn dispatch_settings(&self) -> dispatch::Settings {
        let mut settings = dispatch::Settings::default();
        match self.without {
            Some(Part::Patience) => settings.without.patience = true,
            Some(Part::Circuits) => settings.without.circuits = true,
            Some(Part::Slots) => settings.parallel = settings.parallel_per_application,
            Some(Part::Pace) => settings.without.pace = true,
            Some(Part::Sweep | Part::Rates) | None => {}
        }
        settings
    }

    fn sweeper(&self, life: &Life) -> Sweeper {
        let Pipes { deliveries_dlq, retries_dlq, .. } = &self.pipes;
        let dead = DeadLetters {
            deliveries: Mortal::new(self.counted(deliveries_dlq), life),
            retries: Mortal::new(self.counted(retries_dlq), life),
        };
        let base = self.base(life, StoreSettings::default());
        let mut sweeper = Sweeper::new(base, self.queues(life), dead);
        if self.without == Some(Part::Sweep) {
            sweeper.concurrency = retry::Concurrency { reads: 1, calls: 1 };
        }
        sweeper
    }

    fn admin(&self, life: &Life) -> Admin {
        let base = self.base(life, StoreSettings::default());
        let tenancy = self.tenancy(&base);
        let settings = admin::Settings {
            operator: organisation(),
            publish_url: None,
            portal_frames: "'self'".to_owned(),
            portal_link_s: shared::domain::token::VISIT_S,
            retention_days: DEFAULT_RETENTION_DAYS,
            max_endpoints: shared::domain::endpoint::MAX_ENDPOINTS,
            policy: TargetPolicy::local(),
        };
        Admin::new(base, tenancy, self.queues(life), self.sender.clone(), settings)
    }
}

impl Account {
    /// An empty stack in an account of this plan, in calm weather.
    pub(crate) fn new(plan: &Plan, seed: u64) -> Result<Self, String> {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start());
        let dice = |stream| Arc::new(Dice::new(seed, stream));
        let ambient = Ambient { clock: clock.clone(), entropy: dice(0) };
        let ledger = Ledger::new(clock.clone());
        let endpoints = Endpoints::new(clock.clone(), dice(1), ledger.clone());
        let calm = Weather::calm;
        let queue = |stream, dead| SimulatedQueue::new(clock.clone(), dice(stream), calm(), dead);
        let (deliveries_dlq, retries_dlq) = (queue(2, None), queue(3, None));
        let pipes = Pipes {
            deliveries: queue(4, Some(deliveries_dlq.clone())),
            retries: queue(5, Some(retries_dlq.clone())),
            deliveries_dlq,
            retries_dlq,
        };
        let ports = Ports {
            table: SimulatedTable::new(clock.clone(), dice(6), calm(), ledger.clone()),
            pipes,
            meter: Meter::default(),
            metrics: Arc::default(),
            ambient,
            sender: endpoints.clone(),
            profiles: Profiles::built_in(),
            secret: RootSecret::new(ROOT_SECRET)?,
            without: plan.without,
        };
        let reserved = plan.receive_reserved;
        let shared = plan.account_concurrency.saturating_sub(reserved.unwrap_or(0));
        let concurrency = Concurrency::new(clock.clone(), shared);
        let (time, all) = (|| clock.clone(), || concurrency.clone());
        let (on, on_dispatch, on_retry) = (ports.clone(), ports.clone(), ports.clone());
        let own = (all(), reserved);
        let receive = Function::new(RECEIVE.timeout_ms(), time(), dice(7), own, move |life| {
            on.receiver(life)
        });
        let dispatch =
            Function::new(DISPATCH.timeout_ms(), time(), dice(8), (all(), None), move |life| {
                on_dispatch.dispatcher(life)
            });
        let retry =
            Function::new(RETRY.timeout_ms(), time(), dice(9), (all(), None), move |life| {
                on_retry.sweeper(life)
            });
        let tokens = Tokens::new(&ports.secret.token_key());
        let access = Access::Organisation(organisation());
        let token = tokens.issue(access, clock.now(), ORGANISATION_TOKEN_S);
        let admin = ports.admin(&Life::default());
        Ok(Self {
            clock,
            ports,
            ledger,
            endpoints,
            concurrency,
            receive,
            dispatch,
            retry,
            token,
            admin,
        })
    }

    /// Creates what the plan has. Endpoints that an application may not have are left out.
    ///
    /// # Errors
    /// When an application cannot be created, or has no endpoint.
    pub(crate) async fn furnish(&self, plan: &Plan) -> Result<Vec<Customer>, String> {
        let mut customers = Vec::with_capacity(plan.tenants.len());
        let mut number = 0;
        for tenant in &plan.tenants {
            let app = self.create("/api/v1/app", json!({"name": "Customer"})).await?;
            let mut endpoints = Vec::with_capacity(tenant.endpoints.len());
            for behaviour in &tenant.endpoints {
                let body = json!({"url": Endpoints::url(number), "throttleRate": behaviour.rate});
                match self.create(&format!("/api/v1/app/{app}/endpoint"), body).await {
                    Ok(endpoint) => endpoints.push(endpoint),
                    Err(why) if endpoints.is_empty() => return Err(why),
                    Err(_) => break,
                }
                self.endpoints.add(behaviour);
                number += 1;
            }
            self.ledger.register(&app, &endpoints, !tenant.troubled);
            customers.push(Customer { app, endpoints });
        }
        Ok(customers)
    }

    async fn create(&self, path: &str, body: Value) -> Result<String, String> {
        let made = self.ask(path, body).await?;
        made["id"].as_str().map(str::to_owned).ok_or_else(|| format!("{path}: {made}"))
    }

    /// Asks the API for something; what it answers if it was done.
    pub(crate) async fn ask(&self, path: &str, body: Value) -> Result<Value, String> {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .body(Bytes::from(body.to_string()))
            .map_err(|error| error.to_string())?;
        let answer = self.admin.handle(request).await;
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        match answer.status() {
            status if status.is_success() => Ok(body),
            status => Err(format!("{path}: {status}: {body}")),
        }
    }

    /// From now on the account has its limits and latencies.
    pub(crate) fn set_weather(&self, weather: &Weather) {
        self.ports.table.set_weather(weather.clone());
        let Pipes { deliveries, retries, deliveries_dlq, retries_dlq } = &self.ports.pipes;
        for queue in [deliveries, retries, deliveries_dlq, retries_dlq] {
            queue.set_weather(weather.clone());
        }
    }
}

fn organisation() -> OrganisationId {
    DEFAULT_ORGANISATION.parse().expect("the id in the code is one")
}
