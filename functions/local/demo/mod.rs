//! `posthorn demo`: the platform behaves like four systems, one after the other and side by side.
//!
//! A platform and a receiver of its own, on free ports and a temporary directory, if none is named.
//! Each system is an application that follows the system's profile; its events go the whole trip,
//! and then what the system promises its integrators is shown. At the end one publish call goes out
//! in four forms.

use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use shared::domain::clock::Ambient;
use shared::store::Profiles;
use tokio::time::Instant;

use crate::client::Client;
use crate::nouns::Of;
use crate::output::line;
use crate::platform::Platform;
use crate::reach::{Api, Reach, string};
use crate::{cli, console, data, hint, portal, signals};
use receiver::Inbox;

mod promises;
mod receiver;
mod table;

/// Longest the whole may take: a retry comes after 4 to 6 seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// The systems, by the names of their profiles.
const SYSTEMS: [&str; 4] = ["dots", "dotpe", "dashx", "moneyhub"];

/// What the demonstration works with.
struct Demo {
    client: Client,
    inbox: Arc<Inbox>,
    /// URL of the receiver, and of the platform.
    receiver: String,
    url: String,
    _platform: Platform,
    deadline: Instant,
    is_silent: bool,
    /// How many were published.
    events: u64,
}

/// An application of the demonstration with one endpoint.
struct Customer {
    app: String,
    ep: String,
    /// Its path at the receiver.
    path: String,
}

/// Runs the demonstration. Afterwards it goes on, if it is to be kept, until it is ended.
pub(crate) async fn run(reach: &Reach, options: &cli::Demo) -> Result<(), String> {
    reach.only_here("demo")?;
    let mut ended = std::pin::pin!(signals::ended()?);
    let place = Place::of(reach);
    let here = reach.on(place.directory());
    let mut demo = Demo::start(&here).await?;
    tokio::select! {
        shown = demo.show(&here, options) => shown?,
        () = &mut ended => return Err("ended before all of it was shown".to_owned()),
    }
    match (options.keep, &place) {
        (true, _) => ended.await,
        (false, Place::Named(_)) => {
            demo.say(format_args!("\nIt is kept, and shown again by `{}`", hint::command("up")));
        }
        (false, Place::Temporary(_)) => {}
    }
    Ok(())
}

/// The applications of the demonstration.
fn customers() -> impl Iterator<Item = &'static str> {
    SYSTEMS.into_iter().chain([table::CLIENT])
}

impl Demo {
    /// Starts what it works with, on this directory.
    async fn start(here: &Reach) -> Result<Self, String> {
        let (anywhere, profiles) = (([127, 0, 0, 1], 0).into(), Profiles::built_in());
        let platform = Platform::start(here.directory(), anywhere, profiles, None).await?;
        data::write_address(here.directory(), platform.addr)?;
        let inbox = Arc::new(Inbox::default());
        Ok(Self {
            client: Client::new(platform.addr, &platform.token),
            receiver: receiver::start(&inbox).await?,
            inbox,
            url: format!("http://{}", platform.addr),
            _platform: platform,
            deadline: Instant::now() + PATIENCE,
            is_silent: here.json,
            events: 0,
        })
    }

    /// Shows everything.
    async fn show(&mut self, here: &Reach, options: &cli::Demo) -> Result<(), String> {
        self.refuse_a_second(here.directory()).await?;
        self.say(format_args!("A platform at {}, a receiver at {}", self.url, self.receiver));
        for system in SYSTEMS {
            self.show_system(&Profiles::built_in(), system).await?;
        }
        self.show_side_by_side().await?;
        self.say(format_args!(
            "\nEvery event arrived, every signature was verified. What failed was made to fail."
        ));
        let links = if options.keep { Some(Links::to(here).await?) } else { None };
        if self.is_silent {
            let told = json!({"events": self.events, "verified": true, "url": self.url,
                "data": here.directory(), "console": links.as_ref().map(|links| &links.console),
                "portals": links.as_ref().map(Links::portals)});
            line(&told.to_string());
        }
        if let Some(links) = links {
            let directory = here.directory().display();
            self.say(format_args!("\n{links}\nOther commands reach it with --data {directory}"));
        }
        Ok(())
    }

    /// Tells people; programs hear of it at the end.
    fn say(&self, text: std::fmt::Arguments<'_>) {
        if !self.is_silent {
            line(&text.to_string());
        }
    }

    /// Its customers can be made once in a directory.
    async fn refuse_a_second(&mut self, directory: &Path) -> Result<(), String> {
        for customer in customers() {
            let path = format!("/api/v1/app/{customer}");
            if self.client.status("GET", &path, Bytes::new()).await? == StatusCode::OK {
                return Err(format!(
                    "{} has the customer {customer} already: `{}` shows what is there; a \
                     demonstration needs another directory",
                    directory.display(),
                    hint::command("up"),
                ));
            }
        }
        Ok(())
    }

    /// Publishes a system's events and shows how each arrived, then keeps its promises.
    async fn show_system(&mut self, profiles: &Profiles, system: &str) -> Result<(), String> {
        let profile = profiles.known().find(|known| known.name == system);
        self.say(format_args!("\n{}", profile.map_or(system, |profile| profile.title.as_str())));
        let customer = self.customer(system).await?;
        let loaded = format!("/api/v1/profile/{system}/load");
        self.client.call("POST", &loaded, Value::Null).await?;
        self.promises_before(system, &customer).await?;
        for event in profiles.events(system) {
            let payload: Value = serde_json::from_str(event.example.as_str())
                .map_err(|error| format!("{}: {error}", event.event_type))?;
            let id = self.publish(&customer.app, &event.event_type, &payload).await?;
            let arrival = self.inbox.arrival(self.deadline, &customer.path, &id, 1).await;
            let arrival = arrival.ok_or_else(|| format!("{} did not arrive", event.event_type))?;
            if !arrival.verified || !holds(&arrival.body, &payload) {
                return Err(format!("{} arrived, but not as it should", event.event_type));
            }
            self.say(format_args!(
                "  {:<34} {id}  delivered, signature verified",
                event.event_type
            ));
        }
        self.promises_after(system, &customer).await
    }

    /// A new application that follows a profile, with an endpoint at the receiver.
    async fn customer(&mut self, profile: &str) -> Result<Customer, String> {
        let body = json!({"name": profile, "uid": profile, "profile": profile});
        let app = string(&self.client.call("POST", "/api/v1/app", body).await?, "id")?;
        let path = format!("/{profile}");
        let ep = self.endpoint(&app, &path, json!({})).await?;
        Ok(Customer { app, ep, path })
    }

    /// A new endpoint at this path of the receiver, which learns its secret.
    async fn endpoint(&mut self, app: &str, path: &str, mut body: Value) -> Result<String, String> {
        body["url"] = json!(format!("{}{path}", self.receiver));
        let (ep, secret) = self.client.endpoint(app, body).await?;
        self.inbox.trust(path, &secret)?;
        Ok(ep)
    }

    /// Publishes an event about a user; the message's id.
    async fn publish(
        &mut self,
        app: &str,
        event_type: &str,
        payload: &Value,
    ) -> Result<String, String> {
        let body = json!({"eventType": event_type, "payload": payload, "subject": "user-1"});
        let path = format!("/api/v1/app/{app}/msg");
        self.events += 1;
        string(&self.client.call("POST", &path, body).await?, "id")
    }

    /// The attempts on record, oldest first, once there are this many of them.
    async fn record(&mut self, app: &str, id: &str, count: usize) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/app/{app}/attempt/msg/{id}");
        loop {
            let record = self.client.call("GET", &path, Value::Null).await?;
            let mut attempts = record["data"].as_array().cloned().unwrap_or_default();
            if attempts.len() >= count {
                attempts.reverse();
                return Ok(attempts);
            }
            if Instant::now() >= self.deadline {
                return Err("the attempts are not on record".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Whether a body is this payload, or has it as a member.
fn holds(body: &[u8], payload: &Value) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let inside = ["data", "payload"].iter().any(|name| body.get(name) == Some(payload));
    body == *payload || inside
}

/// Links to what a demonstration leaves.
struct Links {
    /// Of the operator.
    console: String,
    /// Of each customer, by its name.
    portals: Vec<(&'static str, String)>,
}

impl Links {
    /// The same links as other commands print.
    async fn to(reach: &Reach) -> Result<Self, String> {
        let console = console::run(reach, &cli::Console { open: false }).await?;
        let api = Api::open(reach).await?;
        let mut portals = Vec::new();
        for customer in customers() {
            let of = Of { app: customer.to_owned() };
            let portal = portal::run(&api, &cli::Portal { of, open: false }).await?;
            portals.push((customer, portal.text));
        }
        Ok(Self { console: console.text, portals })
    }

    /// For programs.
    fn portals(&self) -> Value {
        self.portals.iter().map(|(customer, url)| json!({"app": customer, "url": url})).collect()
    }
}

impl Display for Links {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "It stays up until Ctrl-C. As the operator:\n  {}", self.console)?;
        writeln!(f, "As one of its customers:")?;
        self.portals.iter().try_for_each(|(name, url)| writeln!(f, "  {name:<14}  {url}"))
    }
}

/// Where a demonstration keeps everything.
enum Place {
    /// Where it was told to.
    Named(PathBuf),
    /// Where nobody else looks.
    Temporary(Temporary),
}

impl Place {
    fn of(reach: &Reach) -> Self {
        match reach.named_directory() {
            Some(directory) => Self::Named(directory.to_owned()),
            None => Self::Temporary(Temporary::new()),
        }
    }

    fn directory(&self) -> &Path {
        match self {
            Self::Named(directory) | Self::Temporary(Temporary(directory)) => directory,
        }
    }
}

/// A directory that vanishes with the demonstration.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Temporary {
    pub(crate) fn new() -> Self {
        let name = format!("posthorn-{}-{}", std::process::id(), Ambient::system().now().as_ms());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed is in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
