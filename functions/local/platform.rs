//! The platform on one machine: the four functions, and what calls each of them.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admin::{Admin, check_events};
use bytes::Bytes;
use dispatch::{DISABLE_AFTER_MS, Dispatcher, Observer, Parts};
use http::Request;
use http::header::AUTHORIZATION;
use receive::Receiver;
use retry::Sweeper;
use serde_json::{Value, json};
use shared::domain::profile::file::{ProfileFile, read_directory};
use shared::embedded::Engine;
use shared::host::config::{self, Environment};
use shared::sender::{HttpSender, Sender, SenderSettings};
use shared::store::Profiles;
use tokio::task::JoinSet;

use crate::connection::Second;
use crate::crowd::Crowds;
use crate::front::Front;
use crate::hearing::Room;
use crate::lane::{self, Lane};
use crate::machine::Machine;
use crate::narrator::Narrator;
use crate::output::{complain, go_on_unread, line};
use crate::reach::Reach;
use crate::stop::{Stopper, stop};
use crate::{chores, cli, data, hint, http_server, poller, signals, variables};

/// Most records under way at once from each queue: enough for dozens of endpoints that hang.
const IN_FLIGHT: usize = 8192;
/// Retries of one application in a second beyond which the next ones go to the second lane. First
/// attempts stay in the first, however many there are.
const CROWD: u32 = 10;
/// Longest that a stop waits: for an endpoint that may take 25 s, and for what comes after.
const LONGEST_STOP: Duration = Duration::from_secs(30);
/// Descriptors for as many connections as the server takes, and as many to endpoints.
const ENOUGH_DESCRIPTORS: usize = 16_384;
/// Descriptors below which it does not start: those of the database, and a few dozen connections.
const LEAST_DESCRIPTORS: usize = 128;

/// A platform that runs until it is dropped.
pub(crate) struct Platform {
    /// Where its API listens.
    pub(crate) addr: SocketAddr,
    /// A token that opens everything.
    pub(crate) token: String,
    tasks: JoinSet<()>,
    /// Those that end when it stops and nothing is under way any more.
    doors: JoinSet<()>,
    stopper: Stopper,
    dispatcher: Dispatcher,
    /// Where what takes long is computed.
    _lane: Lane,
}

/// The functions, on one machine.
struct Functions {
    receiver: Receiver,
    admin: Admin,
    dispatcher: Dispatcher,
    sweeper: Sweeper,
}

/// `posthorn up`.
pub(crate) async fn up(reach: &Reach, options: &cli::Up) -> Result<(), String> {
    reach.only_here("up")?;
    let ended = signals::ended()?;
    variables::unheard(config::names_of_process()).iter().for_each(|told| complain(told));
    let as_json = reach.json || !std::io::stdout().is_terminal();
    let observer =
        (!options.quiet).then(|| Arc::new(Narrator::start(as_json)) as Arc<dyn Observer>);
    let profiles = read_profiles(options)?;
    let mut platform = Platform::start(reach.directory(), options.addr, profiles, observer).await?;
    data::write_address(reach.directory(), platform.addr)?;
    go_on_unread();
    welcome(reach.directory(), platform.addr, as_json);
    let stopped = || Err("a part of the platform stopped".to_owned());
    tokio::select! {
        () = ended => {}
        _ = platform.tasks.join_next() => return stopped(),
        _ = platform.doors.join_next() => return stopped(),
    }
    let again = signals::ended()?;
    complain("Stopping when what is under way is over; Ctrl-C stops at once.");
    tokio::select! {
        () = platform.stop() => {}
        () = again => {}
    }
    Ok(())
}

/// Says where it runs, and what to do next. No token: whoever can read this directory makes one.
fn welcome(directory: &Path, addr: SocketAddr, as_json: bool) {
    let url = format!("http://{addr}");
    let warning = few_descriptors();
    if as_json {
        let told = json!({"event": "started", "url": url, "data": directory, "warning": warning});
        return line(&told.to_string());
    }
    line(&format!(
        "Posthorn is running at {url}, everything is kept in {}/\n",
        directory.display()
    ));
    for (what, command) in [
        ("receive in your app", "listen --forward-to http://localhost:3000/hook"),
        ("publish", "send"),
        ("look at it", "portal --open"),
        ("as the operator", "console --open"),
        ("a token for the API", "token --expires 12h"),
    ] {
        line(&format!("  {what:<20}{}", hint::command(command)));
    }
    line(&format!("  {:<20}{}", "see it all work", hint::of_its_own("demo")));
    line(&format!("  {:<20}{url}/docs\n", "what there is"));
    if let Some(warning) = warning {
        line(&format!("{warning}\n"));
    }
}

impl Platform {
    /// Starts a platform on this directory.
    pub(crate) async fn start(
        directory: &Path,
        addr: SocketAddr,
        profiles: Profiles,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, String> {
        // The system may refuse; then it is told, unless there are too few to begin at all.
        let _ = rlimit::increase_nofile_limit(ENOUGH_DESCRIPTORS as u64);
        check_descriptors()?;
        let machine = Machine::open(directory, profiles).await?;
        check_default(&machine.tenancy.profiles).await?;
        let Functions { receiver, admin, dispatcher, sweeper } = Functions::on(&machine, observer)?;
        let ambient = machine.base.ambient.clone();
        let freed = chores::free_leases(&machine.base.stores.deliveries, &ambient).await;
        freed.map_err(|error| format!("{}: {error}", directory.display()))?;
        let listener = http_server::listen(addr)
            .map_err(|error| format!("cannot listen on {addr}: {error} (try --addr)"))?;
        let addr = listener.local_addr().map_err(|error| error.to_string())?;
        let token = data::organisation_token(&machine.secret, &ambient);
        let lane = Lane::start(lane::BEHIND)?;
        let (stopper, stop) = stop();
        let (mut tasks, mut doors) = (JoinSet::new(), JoinSet::new());
        let [deliveries, retries] = machine.outlets();
        let crowds = Crowds::above(CROWD, Instant::now());
        for (queue, crowds) in [(deliveries, None), (retries, Some(crowds))] {
            let (second, stop) = (lane.handle().clone(), stop.clone());
            doors.spawn(poller::poll(queue, dispatcher.clone(), IN_FLIGHT, crowds, second, stop));
        }
        tasks.spawn_on(chores::sweep(sweeper), lane.handle());
        tasks.spawn(chores::clean(machine.table.clone(), ambient));
        // Without its writer the platform would answer with errors for ever.
        let engine = machine.engine.clone();
        tasks.spawn(async move { engine.stopped().await });
        let front = Arc::new(Front {
            machine,
            receiver,
            admin,
            strangers: Room::new(),
            callers: Room::new(),
        });
        let known = front.clone();
        let second = Second { lane: lane.handle().clone(), is_short: Front::is_short };
        let door = http_server::Door {
            limits: http_server::Limits::of_this_process(),
            knows: Arc::new(move |head| known.knows(head)),
            second: Some(second),
        };
        doors.spawn(http_server::serve_within(door, listener, stop, move |request| {
            front.clone().answer(request)
        }));
        Ok(Self { addr, token, tasks, doors, stopper, dispatcher, _lane: lane })
    }

    /// Answers what was asked, and lets the attempts under way come to their end. What waits is
    /// left to the next process.
    async fn stop(&mut self) {
        self.stopper.stop();
        self.dispatcher.stop();
        let over = async { while self.doors.join_next().await.is_some() {} };
        if tokio::time::timeout(LONGEST_STOP, over).await.is_err() {
            tracing::warn!("what is still under way will be repeated by the next process");
        }
    }
}

/// The operations of a platform that does not run: what is asked of them is done, and nothing is
/// delivered.
pub(crate) struct Offline {
    pub(crate) engine: Engine,
    admin: Admin,
    token: String,
}

impl Offline {
    /// Those of the platform in this directory, which cannot start meanwhile.
    pub(crate) async fn open(directory: &Path) -> Result<Self, String> {
        let machine = Machine::open(directory, Profiles::built_in()).await?;
        let token = data::organisation_token(&machine.secret, &machine.base.ambient);
        let Functions { admin, .. } = Functions::on(&machine, None)?;
        Ok(Self { engine: machine.engine, admin, token })
    }

    /// Asks for an operation without a body, by its path after `/api/v1`.
    pub(crate) async fn post(&self, path: &str) -> Result<Value, String> {
        let request = Request::post(format!("/api/v1{path}"))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let (head, body) = self.admin.handle(request).await.into_parts();
        match head.status.is_success() {
            true => serde_json::from_slice(&body).map_err(|error| error.to_string()),
            false => Err(format!("{path}: {} {}", head.status, String::from_utf8_lossy(&body))),
        }
    }
}

impl Functions {
    fn on(machine: &Machine, observer: Option<Arc<dyn Observer>>) -> Result<Self, String> {
        let (base, tenancy) = (|| machine.base.clone(), || machine.tenancy.clone());
        let environment = Environment::new(&config::from_process);
        let (queues, policy) = (machine.queues(), environment.local_target_policy()?);
        // Half of the descriptors are for callers; attempts wait for each other rather than for
        // descriptors, and what is kept of connections takes a part of theirs.
        let descriptors = http_server::half_of_descriptors();
        let most_idle = descriptors / 4;
        let parallel = (2 * IN_FLIGHT).min(descriptors - most_idle);
        let sending =
            SenderSettings { policy: policy.clone(), most_idle, ..SenderSettings::default() };
        let sender: Arc<dyn Sender> = Arc::new(HttpSender::new(sending)?);
        let receive = receive::Settings {
            organisation: data::organisation(),
            retention_days: environment.retention_days()?,
            // What an earlier process left counts as a repetition, and is leased.
            alone_since: Some(machine.base.ambient.now()),
        };
        let admin = admin::Settings {
            operator: data::organisation(),
            publish_url: environment.publish_url()?,
            portal_frames: environment.portal_frames()?,
            portal_link_s: environment.portal_link_s()?,
            max_endpoints: environment.max_endpoints()?,
            retention_days: environment.retention_days()?,
            policy,
        };
        let dispatch = dispatch::Settings {
            parallel,
            parallel_per_application: parallel / 4,
            disable_after_ms: environment.auto_disable()?.then_some(DISABLE_AFTER_MS),
            taken_excerpt_bytes: environment.taken_answer_bytes()?,
            ..dispatch::Settings::default()
        };
        let retries = queues.retries.clone();
        let parts = Parts::new(base(), tenancy(), retries, sender.clone(), dispatch);
        let parts = Parts { observer, ..parts };
        Ok(Self {
            receiver: Receiver::new(base(), tenancy(), queues.deliveries.clone(), receive),
            admin: Admin::new(base(), tenancy(), queues.clone(), sender, admin),
            dispatcher: Dispatcher::new(parts),
            sweeper: Sweeper::new(base(), queues, machine.dead_letters()),
        })
    }
}

/// Refuses a profile for all applications that is not there.
async fn check_default(profiles: &Profiles) -> Result<(), String> {
    let default = profiles.default_name();
    let found = profiles.named(&data::organisation(), default).await;
    match found.map_err(|error| error.to_string())? {
        Some(_) => Ok(()),
        None => Err(format!("POSTHORN_PROFILE: there is no profile `{default}`")),
    }
}

/// With fewer nobody would be served, and nothing said so.
fn check_descriptors() -> Result<(), String> {
    match http_server::descriptors() {
        Some((now, _)) if now < LEAST_DESCRIPTORS => Err(format!(
            "at most {now} files and connections may be open, and {LEAST_DESCRIPTORS} are the \
             least: start it after `ulimit -n {ENOUGH_DESCRIPTORS}`"
        )),
        _ => Ok(()),
    }
}

/// Every connection takes one. What a process may have beyond what it was given it has to be
/// given from outside.
fn few_descriptors() -> Option<String> {
    let (now, most) = http_server::descriptors()?;
    let better = ENOUGH_DESCRIPTORS.min(most);
    (now < better).then(|| {
        format!(
            "At most {now} files and connections may be open; `ulimit -n {better}` allows more."
        )
    })
}

/// The profiles that come with Posthorn, and those of the directory that the caller names.
fn read_profiles(options: &cli::Up) -> Result<Profiles, String> {
    let mut profiles = Profiles::built_in();
    if let Some(directory) = &options.profiles {
        let files = read_directory(directory)?;
        for ProfileFile { profile, events } in &files {
            let wrong = |why| format!("{}/{}.toml: {why}", directory.display(), profile.name);
            check_events(events).map_err(wrong)?;
            if profiles.is_known(&profile.name) {
                let why = format!("`{}` comes with Posthorn: choose another name", profile.name);
                return Err(wrong(why));
            }
        }
        profiles = profiles.with(files.into_iter().map(|file| (file.profile, file.events)));
    }
    Ok(profiles.by_default(Environment::new(&config::from_process).profile()))
}
