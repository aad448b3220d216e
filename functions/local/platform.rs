//! The platform on one machine: the four handlers on the embedded adapters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::counting::{CountingQueue, CountingTable, Meter, Usage};
use admin::Admin;
use bytes::Bytes;
use dispatch::{Dispatcher, Parts, Settings};
use http::{Method, Request, Response, StatusCode};
use receive::{Receiver, Recent};
use retry::{Redrive, Sweeper};
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError};
use shared::api::request;
use shared::domain::clock::Ambient;
use shared::domain::delivery::machine::Event;
use shared::domain::metrics::{Total, Totals};
use shared::domain::profile;
use shared::domain::token::{Access, Tokens};
use shared::embedded::Engine;
use shared::host::config::{self, Environment};
use shared::queue::embedded::{EmbeddedQueue, EmbeddedQueues, QueueSettings};
use shared::queue::{Consumer, Producer};
use shared::sender::target::TargetPolicy;
use shared::sender::{HttpSender, Sender, SenderSettings};
use shared::store::Profiles;
use shared::store::embedded::EmbeddedTable;
use shared::store::keys::DUE_SHARDS;
use shared::store::table::Table;
use shared::store::{
    Answers, Cached, Catalogue, Deliveries, Directory, DirectoryEditor, EVENT_TYPE_SETTINGS_TTL_MS,
    Eraser, EventTypeSettings, History, Inbox, Inspectors, KeySets, LISTENERS_TTL_MS, Notices,
    Parking, ProfileStore, Revocations, Sources,
};
use shared::work::{InFlight, Worker};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::process::Used;
use crate::{cli, data, http_server, poller, process};

/// How long applications and endpoints are kept in memory, in milliseconds. This process is the
/// only one that changes them, and it forgets what it changes.
const DIRECTORY_TTL_MS: u64 = 3_600_000;
/// Most records under way at once from each queue: enough for dozens of endpoints that hang.
const IN_FLIGHT: usize = 8192;
/// How often due retries and dead letters are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How often expired items are removed.
const CLEAN_EVERY: Duration = Duration::from_secs(1);

/// Descriptors for as many connections as the server takes, and as many to endpoints.
const ENOUGH_DESCRIPTORS: usize = 16_384;

/// A platform that runs until it is dropped.
pub(crate) struct Platform {
    /// Where its API listens.
    pub(crate) addr: SocketAddr,
    /// A token that opens everything.
    pub(crate) token: String,
    tasks: JoinSet<()>,
}

/// What the platform has used and what waits in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// What the work so far would be billed as on AWS.
    pub(crate) usage: Usage,
    /// CPU and memory.
    pub(crate) used: Used,
    /// Records in the queues.
    pub(crate) queued: usize,
    /// What was counted and measured since the process started.
    pub(crate) metrics: BTreeMap<String, Total>,
}

/// `posthorn up`.
pub(crate) async fn up(options: &cli::Up) -> Result<(), String> {
    let mut platform =
        Platform::start(&options.data, options.addr, read_profiles(options)?).await?;
    data::write_address(&options.data, platform.addr)?;
    println!("Posthorn is running at http://{}", platform.addr);
    println!("Everything is kept in {}/", options.data.display());
    println!();
    println!("  see it work     cargo run -- demo");
    println!("  receive         cargo run -- listen");
    println!("  publish         cargo run -- send");
    println!("  look at it      cargo run -- portal");
    println!("  any Svix SDK    server URL http://{} and this token:", platform.addr);
    println!();
    println!("{}", platform.token);
    warn_of_few_descriptors();
    if let Some(warning) = data::warning(&options.data) {
        println!();
        println!("{warning}");
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = platform.tasks.join_next() => Err("a part of the platform stopped".to_owned()),
    }
}

impl Platform {
    /// Starts a platform on this directory.
    pub(crate) async fn start(
        directory: &Path,
        addr: SocketAddr,
        profiles: Profiles,
    ) -> Result<Self, String> {
        let ambient = Ambient::system();
        let secret = data::root_secret(directory, &ambient)?;
        let engine = Engine::open(directory)?;
        data::check_secret(&engine, &secret).await?;
        let queues = EmbeddedQueues::open(&engine, &ambient.clock, QueueSettings::default())
            .map_err(|error| error.to_string())?;
        let meter = Meter::default();
        let metrics = Arc::<Totals>::default();
        let embedded = EmbeddedTable::new(engine.clone());
        let table: Arc<dyn Table> = Arc::new(CountingTable::new(embedded.clone(), meter.clone()));
        let kept = Cached::new(ambient.clock.clone(), DIRECTORY_TTL_MS);
        let directory = Directory::cached(table.clone(), kept.clone());
        let editor = DirectoryEditor::new(table.clone(), Some(kept));
        let profiles = profiles.stored_in(ProfileStore::new(table.clone()), ambient.clock.clone());
        let default = profiles.default_name();
        let found = profiles.named(&data::organisation(), default).await;
        if found.map_err(|error| error.to_string())?.is_none() {
            return Err(format!("POSTHORN_PROFILE: there is no profile `{default}`"));
        }
        let tokens = Tokens::new(&secret.token_key());
        let policy = TargetPolicy::local();
        let producer = |queue: &EmbeddedQueue| -> Arc<dyn Producer> {
            Arc::new(CountingQueue::new(queue.clone(), meter.clone()))
        };
        let consumer = |queue: &EmbeddedQueue| -> Arc<dyn Consumer> {
            Arc::new(CountingQueue::new(queue.clone(), meter.clone()))
        };
        let (deliveries, retries) = (producer(&queues.deliveries), producer(&queues.retries));
        let sources = Sources::new(table.clone(), ambient.clock.clone(), DIRECTORY_TTL_MS);
        let revocations = Revocations::new(table.clone(), ambient.clock.clone());
        let event_type_settings = EventTypeSettings::new(
            table.clone(),
            ambient.clock.clone(),
            EVENT_TYPE_SETTINGS_TTL_MS,
        );
        let parking = Parking::new(table.clone());
        let key_sets = KeySets::new(table.clone(), ambient.clock.clone());

        let receiver = Receiver {
            directory: directory.clone(),
            editor: editor.clone(),
            inbox: Inbox::uncompressed(table.clone()),
            sources: sources.clone(),
            deliveries: deliveries.clone(),
            revocations: revocations.clone(),
            tokens: tokens.clone(),
            sealer: secret.sealer(),
            default_org: data::organisation(),
            profiles: profiles.clone(),
            retention_days: Environment::new(&config::from_process).retention_days()?,
            recent: Recent::default(),
            // What an earlier process left counts as a repetition, and is leased.
            alone_since: Some(ambient.now()),
            metrics: metrics.clone(),
            ambient: ambient.clone(),
        };
        let in_flight = InFlight::default();
        let worker =
            Worker::new(table.clone(), deliveries.clone(), retries.clone(), ambient.clone())
                .beside(in_flight.clone());
        let settings = SenderSettings { policy: policy.clone(), ..SenderSettings::default() };
        let sender: Arc<dyn Sender> = Arc::new(HttpSender::new(settings)?);
        let admin = Admin {
            notices: Notices::new(table.clone(), ambient.clone(), 0),
            worker: worker.clone(),
            directory: directory.clone(),
            editor: editor.clone(),
            inbox: Inbox::uncompressed(table.clone()),
            history: History::new(table.clone()),
            pending: Deliveries::new(table.clone()),
            deliveries: deliveries.clone(),
            retries: retries.clone(),
            parking: parking.clone(),
            revocations: revocations.clone(),
            eraser: Eraser::new(table.clone()),
            answers: Answers::new(table.clone()),
            patience: admin::PATIENCE,
            catalogue: Catalogue::new(table.clone()).telling(event_type_settings.clone()),
            inspectors: Inspectors::new(table.clone()),
            key_sets: key_sets.clone(),
            rsa: Arc::new(admin::generate_rsa),
            profiles: profiles.clone(),
            profile_store: ProfileStore::new(table.clone()),
            sources,
            tokens: tokens.clone(),
            sealer: secret.sealer(),
            publish_url: None,
            portal_frames: Environment::new(&config::from_process).portal_frames(),
            operator: data::organisation(),
            sender: sender.clone(),
            policy,
            metrics: metrics.clone(),
            ambient: ambient.clone(),
        };
        let parallel = (2 * IN_FLIGHT).min(http_server::half_of_descriptors());
        let dispatcher = Dispatcher::new(Parts {
            directory,
            editor,
            deliveries: Deliveries::new(table.clone()),
            retries: retries.clone(),
            parking: parking.clone(),
            sender,
            sealer: secret.sealer(),
            ambient: ambient.clone(),
            key_sets,
            notices: Notices::new(table.clone(), ambient.clone(), LISTENERS_TTL_MS),
            event_type_settings,
            profiles,
            metrics: metrics.clone(),
            in_flight,
            settings: Settings {
                // Attempts wait for each other rather than for descriptors.
                parallel,
                parallel_per_application: parallel / 4,
                ..Settings::default()
            },
        });
        let redrive = |name, dead: &EmbeddedQueue, queue: &Arc<dyn Producer>| Redrive {
            name,
            dead_letters: consumer(dead),
            queue: queue.clone(),
        };
        let sweeper = Sweeper {
            deliveries: Deliveries::new(table),
            accepted: deliveries.clone(),
            retries: retries.clone(),
            worker: worker.clone(),
            redrives: vec![
                redrive("deliveries", &queues.deliveries_dlq, &deliveries),
                redrive("retries", &queues.retries_dlq, &retries),
            ],
            parking,
            metrics: metrics.clone(),
            ambient: ambient.clone(),
        };

        free_leases(&sweeper.deliveries, &ambient).await?;
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|error| format!("cannot listen on {addr}: {error} (try --addr)"))?;
        let addr = listener.local_addr().map_err(|error| error.to_string())?;
        let front = Front {
            receiver,
            admin,
            tokens,
            meter: meter.clone(),
            metrics,
            queues: queues.clone(),
            ambient,
        };
        let mut tasks = JoinSet::new();
        let answer = Arc::new(front);
        tasks.spawn(http_server::serve(listener, move |request| {
            let front = answer.clone();
            async move { front.answer(request).await }
        }));
        for queue in [&queues.deliveries, &queues.retries] {
            tasks.spawn(poller::poll(consumer(queue), dispatcher.clone(), IN_FLIGHT));
        }
        tasks.spawn(sweep(sweeper.clone()));
        tasks.spawn(clean(embedded, sweeper.ambient));
        // Without its writer the platform would answer with errors for ever.
        tasks.spawn(async move { engine.stopped().await });
        let token = data::organisation_token(&secret, &Ambient::system());
        Ok(Self { addr, token, tasks })
    }
}

/// Every connection takes one. What a process may have beyond what it was given it has to be
/// given from outside.
fn warn_of_few_descriptors() {
    if let Some((now, most)) = http_server::descriptors()
        && now < ENOUGH_DESCRIPTORS.min(most)
    {
        let better = ENOUGH_DESCRIPTORS.min(most);
        println!();
        println!(
            "At most {now} files and connections may be open; `ulimit -n {better}` allows more."
        );
    }
}

/// The profiles that come with Posthorn, and those of the directory that the caller names.
fn read_profiles(options: &cli::Up) -> Result<Profiles, String> {
    let mut profiles = Profiles::built_in();
    if let Some(directory) = &options.profiles {
        let files = profile::file::read_directory(directory)?;
        profiles = profiles.with(files.into_iter().map(|file| (file.profile, file.events)));
    }
    Ok(profiles.by_default(Environment::new(&config::from_process).profile()))
}

/// What stands behind the HTTP server.
struct Front {
    receiver: Receiver,
    admin: Admin,
    tokens: Tokens,
    meter: Meter,
    metrics: Arc<Totals>,
    queues: EmbeddedQueues,
    ambient: Ambient,
}

impl Front {
    /// Routes as API Gateway does: publishing to receive, everything else to admin.
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request::plain(request);
        let segments = request::segments(request.uri().path());
        match (request.method(), segments.as_slice()) {
            (&Method::POST, ["api", "v1", "app", _, "msg"]) => self.receiver.handle(request).await,
            (_, ["in", _]) => self.receiver.handle(request).await,
            (&Method::GET | &Method::HEAD, ["local", "status"]) => {
                self.status(&request).await.unwrap_or_else(ApiError::into_response)
            }
            _ => self.admin.handle(request).await,
        }
    }

    /// For the operator alone: it tells what all customers do together.
    async fn status(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, ApiError> {
        let bearer = request::opened(request.headers(), &self.tokens, self.ambient.now())?;
        if self.admin.revocations.is_revoked(&bearer).await? {
            return Err(ApiError::invalid_token());
        }
        let Access::Organisation(_) = bearer.access else { return Err(ApiError::forbidden()) };
        let queued = self.queues.deliveries.len() + self.queues.retries.len();
        let status = Status {
            usage: self.meter.usage(),
            used: process::used(),
            queued,
            metrics: self.metrics.by_name(),
        };
        Ok(error::json(StatusCode::OK, &status))
    }
}

/// Whoever held a lease when the last process ended is dead: what it was busy with is due now.
async fn free_leases(deliveries: &Deliveries, ambient: &Ambient) -> Result<(), String> {
    let now = ambient.now();
    for shard in 0..DUE_SHARDS {
        let pending = deliveries.pending(shard).await.map_err(|error| error.to_string())?;
        for held in pending.iter().filter(|held| held.value.is_leased(now)) {
            let freed = deliveries.advance(held, Event::HolderDied, now).await;
            freed.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

async fn sweep(sweeper: Sweeper) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        sweeper.run(None).await;
    }
}

/// What DynamoDB's time to live does by itself.
async fn clean(table: EmbeddedTable, ambient: Ambient) {
    let mut ticks = tokio::time::interval(CLEAN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = table.remove_all_expired(ambient.now()).await {
            tracing::warn!(%error, "cannot remove what has expired");
        }
    }
}
