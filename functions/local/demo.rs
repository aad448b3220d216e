//! `posthorn demo`: one event of each kind of four systems goes the whole trip.
//!
//! A platform and a receiver of its own, on free ports and a temporary directory. For each
//! system an application with one endpoint that takes what comes; beside them one whose endpoint
//! fails the first time, so that a retry can be watched.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::Ambient;
use shared::profile::Profiles;
use shared::secret::SigningSecret;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::client::{Client, string};
use crate::platform::Platform;
use crate::{http_server, webhook};

/// One event of each kind, by system.
const CATALOGUE: &str = include_str!("../../events/catalogue.json");
/// Longest the whole may take: the retry comes after 4 to 6 seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Answers 500 this often before it takes a delivery.
const FAILURES: usize = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    system: String,
    event_type: String,
    payload: Value,
}

/// Something that arrived at the receiver.
struct Arrival {
    endpoint: String,
    id: String,
    verified: bool,
    body: Bytes,
    answered: StatusCode,
}

/// The receiver: secrets by endpoint, and what has arrived.
#[derive(Default)]
struct Inbox {
    secrets: Mutex<BTreeMap<String, SigningSecret>>,
    arrivals: Mutex<Vec<Arrival>>,
    arrived: Notify,
}

/// Runs the demonstration.
pub(crate) async fn run() -> Result<(), String> {
    let events: Vec<Event> = serde_json::from_str(CATALOGUE)
        .map_err(|error| format!("events/catalogue.json: {error}"))?;
    let directory = Temporary::new();
    let platform =
        Platform::start(&directory.0, ([127, 0, 0, 1], 0).into(), Profiles::built_in()).await?;
    let inbox = Arc::new(Inbox::default());
    let receiver = start_receiver(&inbox).await?;
    println!("A platform at http://{}, a receiver at {receiver}", platform.addr);
    let mut client = Client::new(platform.addr, &platform.token);

    let mut systems: Vec<&str> = Vec::new();
    for event in &events {
        if !systems.contains(&event.system.as_str()) {
            systems.push(&event.system);
        }
    }
    let deadline = Instant::now() + PATIENCE;
    for system in systems {
        let of_system: Vec<&Event> = events.iter().filter(|event| event.system == system).collect();
        show_system(&mut client, &inbox, &receiver, system, &of_system, deadline).await?;
    }
    show_retry(&mut client, &inbox, &receiver, deadline).await?;
    println!("\nEvery event arrived, every signature was verified.");
    Ok(())
}

/// Publishes a system's events and shows how each arrived.
async fn show_system(
    client: &mut Client,
    inbox: &Inbox,
    receiver: &str,
    system: &str,
    events: &[&Event],
    deadline: Instant,
) -> Result<(), String> {
    println!("\n{system}");
    let app = client.application(&system.to_lowercase()).await?;
    let endpoint = new_endpoint(client, inbox, &app, receiver, system).await?;
    for event in events {
        let body = json!({"eventType": event.event_type, "payload": event.payload});
        let published = client.call("POST", &format!("/api/v1/app/{app}/msg"), body).await?;
        let id = string(&published, "id")?;
        let (verified, same) = inbox
            .wait_for(deadline, |arrivals| {
                let mut of_event = arrivals
                    .iter()
                    .filter(|arrival| arrival.id == id && arrival.endpoint == endpoint);
                of_event.next().map(|arrival| {
                    let received = serde_json::from_slice::<Value>(&arrival.body).ok();
                    (arrival.verified, received.as_ref() == Some(&event.payload))
                })
            })
            .await
            .ok_or_else(|| format!("{} did not arrive", event.event_type))?;
        if !verified || !same {
            return Err(format!("{} arrived, but not as it was published", event.event_type));
        }
        println!("  {:<34} {id}  delivered, signature verified", event.event_type);
    }
    Ok(())
}

/// Shows an endpoint that fails and is tried again.
async fn show_retry(
    client: &mut Client,
    inbox: &Inbox,
    receiver: &str,
    deadline: Instant,
) -> Result<(), String> {
    println!("\nAn endpoint that answers 500 the first time");
    let app = client.application("unreliable").await?;
    let endpoint = new_endpoint(client, inbox, &app, receiver, "failing").await?;
    let body = json!({"eventType": "order.paid", "payload": {"order": "1001"}});
    let published = client.call("POST", &format!("/api/v1/app/{app}/msg"), body).await?;
    let id = string(&published, "id")?;
    let of_message = |arrivals: &[Arrival]| {
        arrivals.iter().filter(|arrival| arrival.id == id && arrival.endpoint == endpoint).count()
    };
    for attempt in 1..=FAILURES + 1 {
        inbox
            .wait_for(deadline, |arrivals| (of_message(arrivals) >= attempt).then_some(()))
            .await
            .ok_or_else(|| format!("attempt {attempt} did not come"))?;
        let answered = inbox.with(|arrivals| {
            let mut of_message = arrivals.iter().filter(|arrival| arrival.id == id);
            of_message.nth(attempt - 1).map(|arrival| (arrival.answered, arrival.verified))
        });
        let (status, verified) = answered.ok_or("an arrival vanished")?;
        if !verified {
            return Err(format!("attempt {attempt} was not signed well"));
        }
        println!("  attempt {attempt}: signature verified, answered {}", status.as_u16());
        if attempt <= FAILURES {
            println!("  waiting for the retry, which comes after 5 seconds more or less ...");
        }
    }
    show_record(client, &app, &id, deadline).await
}

/// Shows what the platform has on record; the last attempt may take a moment to get there.
async fn show_record(
    client: &mut Client,
    app: &str,
    id: &str,
    deadline: Instant,
) -> Result<(), String> {
    let path = format!("/api/v1/app/{app}/attempt/msg/{id}");
    loop {
        let record = client.call("GET", &path, Value::Null).await?;
        let attempts = record["data"].as_array().cloned().unwrap_or_default();
        if attempts.len() > FAILURES {
            println!("  on record, newest first:");
            for attempt in attempts {
                println!(
                    "    {}  {}  {}  {} ms",
                    attempt["id"].as_str().unwrap_or_default(),
                    attempt["timestamp"].as_str().unwrap_or_default(),
                    attempt["responseStatusCode"],
                    attempt["responseDurationMs"],
                );
            }
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err("the attempts are not on record".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Registers an endpoint at the receiver, whose path tells it from the others.
async fn new_endpoint(
    client: &mut Client,
    inbox: &Inbox,
    app: &str,
    receiver: &str,
    name: &str,
) -> Result<String, String> {
    let path = format!("/{}", name.to_lowercase());
    let body = json!({"url": format!("{receiver}{path}"), "description": name});
    let (_, secret) = client.endpoint(app, body).await?;
    let secret = SigningSecret::parse(&secret)?;
    inbox.secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), secret);
    Ok(path)
}

async fn start_receiver(inbox: &Arc<Inbox>) -> Result<String, String> {
    let listener =
        TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("no port: {error}"))?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    let inbox = inbox.clone();
    tokio::spawn(http_server::serve(listener, move |request| {
        let inbox = inbox.clone();
        async move { inbox.take(&request) }
    }));
    Ok(format!("http://{addr}"))
}

impl Inbox {
    /// What the receiver does with a request: check, remember, answer.
    fn take(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let endpoint = request.uri().path().to_owned();
        let secret =
            self.secrets.lock().unwrap_or_else(PoisonError::into_inner).get(&endpoint).cloned();
        let Some(secret) = secret else { return shared::error::empty(StatusCode::NOT_FOUND) };
        let webhook = webhook::check(request, &secret, Ambient::system().now());
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = arrivals.iter().filter(|arrival| arrival.id == webhook.id).count();
        let fails = endpoint == "/failing" && earlier < FAILURES;
        let answered = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        arrivals.push(Arrival {
            endpoint,
            id: webhook.id,
            verified: webhook.verified.is_ok(),
            body: request.body().clone(),
            answered,
        });
        drop(arrivals);
        self.arrived.notify_waiters();
        shared::error::empty(answered)
    }

    fn with<T>(&self, look: impl FnOnce(&[Arrival]) -> T) -> T {
        look(&self.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn wait_for<T>(
        &self,
        deadline: Instant,
        look: impl Fn(&[Arrival]) -> Option<T>,
    ) -> Option<T> {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Registered before looking, so that nothing arrives unnoticed in between.
            arrived.as_mut().enable();
            if let Some(found) = self.with(&look) {
                return Some(found);
            }
            timeout_at(deadline, arrived).await.ok()?;
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
