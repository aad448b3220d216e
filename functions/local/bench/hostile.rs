//! A customer who does as much harm as the platform lets it: endpoints that hang, names that are
//! looked up one by one, the largest payloads, the longest lists, bodies that are refused late.
//! Both ends of it, publishers and endpoints, stand for other machines: on this one they get a
//! processor only when nobody who is measured wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;

use super::receiver::hang;
use super::target::Target;
use crate::client::Client;
use crate::http_server;
use crate::lane::{self, Lane};
use crate::reach::string;

/// Endpoints by address, which hang, and by names, each another one.
const ENDPOINTS: usize = 100;
/// Bytes of each payload: close to the most that is taken.
const PAYLOAD: usize = 250_000;
/// Bytes of each body that is refused.
const REFUSED: usize = 500_000;
/// How far it stands back (`nice`): it has what nobody else wants.
const LAST: i32 = 19;
/// Connections for each kind of harm.
const CONNECTIONS: usize = 4;

/// The customer at work, until it is finished.
pub(crate) struct Hostile {
    tasks: JoinSet<()>,
    counts: Arc<Counts>,
    /// Where both ends of it are.
    _lane: Lane,
}

#[derive(Default)]
struct Counts {
    published: AtomicU64,
    listed: AtomicU64,
    refused: AtomicU64,
}

impl Hostile {
    /// Makes its application and begins.
    pub(crate) async fn start(target: &mut Target) -> Result<Self, String> {
        let lane = Lane::start(LAST)?;
        let port = lane::run(lane.handle(), listen()).await.ok_or("the lane is closed")??;
        let app = target.client.call("POST", "/api/v1/app", json!({"name": "hostile"})).await?;
        let app = string(&app, "id")?;
        for number in 0..ENDPOINTS {
            for host in ["127.0.0.1".to_owned(), format!("n{number}.hostile-{number}.localhost")] {
                let url = format!("http://{host}:{port}/");
                let path = format!("/api/v1/app/{app}/endpoint");
                target.client.call("POST", &path, json!({"url": url})).await?;
            }
        }
        let counts = Arc::<Counts>::default();
        let mut tasks = JoinSet::new();
        let payload = json!({"eventType": "hostile", "payload": {"x": "x".repeat(PAYLOAD)}});
        let refused = format!("{{\"metadata\":{{\"{}\":\"x\"}}}}", "x.".repeat(REFUSED / 2));
        let (msg, own) = (format!("/api/v1/app/{app}/msg"), format!("/api/v1/app/{app}"));
        let list = format!("{msg}?limit=250");
        for _ in 0..CONNECTIONS {
            for (method, path, body) in [
                ("POST", msg.clone(), Bytes::from(payload.to_string())),
                ("GET", list.clone(), Bytes::new()),
                ("PATCH", own.clone(), Bytes::from(refused.clone())),
            ] {
                let (client, counts) = (target.client.again(), counts.clone());
                let work = again_and_again(client, counts, method, path, body);
                tasks.spawn_on(work, lane.handle());
            }
        }
        Ok(Self { tasks, counts, _lane: lane })
    }

    /// Ends it; what it did, in words.
    pub(crate) fn finish(mut self) -> String {
        self.tasks.abort_all();
        let Counts { published, listed, refused } = &*self.counts;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} events of {PAYLOAD} B to {} endpoints, {} lists, {} bodies that were refused",
            count(published),
            2 * ENDPOINTS,
            count(listed),
            count(refused)
        )
    }
}

/// Starts the endpoints where it is called; their port.
async fn listen() -> Result<u16, String> {
    let (listener, addr) = http_server::listen_anywhere()?;
    tokio::spawn(http_server::serve(listener, |_| hang()));
    Ok(addr.port())
}

async fn again_and_again(
    mut client: Client,
    counts: Arc<Counts>,
    method: &'static str,
    path: String,
    body: Bytes,
) {
    loop {
        let counter = match client.status(method, &path, body.clone()).await {
            Ok(status) if status.is_success() && method == "POST" => &counts.published,
            Ok(status) if status.is_success() => &counts.listed,
            Ok(_) => &counts.refused,
            Err(_) => {
                tokio::task::yield_now().await;
                continue;
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
