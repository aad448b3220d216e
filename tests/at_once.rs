//! One event that several publish at the same time, on several threads, is delivered once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use shared::lambda::telemetry::lambda_filter;
use shared::queue::{Outgoing, Producer, QueueError};
use tokio::sync::Semaphore;
use tracing::instrument::WithSubscriber;

use crate::support::captured::Captured;
use crate::support::faults::Fault;
use crate::support::world::World;

const URL: &str = "http://127.0.0.1:9/hook";
/// Longer than a second copy waits.
const LATER_S: u64 = 120;
/// Enough for any request to get as far as it can.
const TURNS: usize = 2_000;

/// A queue that takes nothing until its gate is open.
struct Gate {
    inner: Arc<dyn Producer>,
    open: Semaphore,
    arrived: AtomicUsize,
}

#[async_trait]
impl Producer for Gate {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let _passed = self.open.acquire().await.unwrap();
        self.inner.send(batch).await
    }
}

async fn stage() -> (World, String) {
    let (world, app, _) = World::with_endpoint(URL).await;
    (world, app)
}

/// A world whose queue is behind a gate.
async fn gated() -> (World, String, Arc<Gate>) {
    let (mut world, app) = stage().await;
    let inner = world.receiver.deliveries.clone();
    let gate = Arc::new(Gate { inner, open: Semaphore::new(0), arrived: AtomicUsize::new(0) });
    world.receiver.deliveries = gate.clone();
    (world, app, gate)
}

fn request(world: &World, app: &str, key: Option<&str>, body: &Value) -> Request<Bytes> {
    let mut request = Request::post(format!("/api/v1/app/{app}/msg"))
        .header("authorization", format!("Bearer {}", world.token()));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(body.to_string().into()).unwrap()
}

fn named(name: &str) -> Value {
    json!({"eventType": "a", "eventId": name, "payload": {}})
}

async fn publish(world: &World, app: &str, name: &str) -> StatusCode {
    world.receiver.handle(request(world, app, None, &named(name))).await.status()
}

async fn give_way() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_asks_while_the_first_is_between_store_and_queue_waits_for_it() {
    let (world, app, gate) = gated().await;
    let first = publish(&world, &app, "order-1");
    let second = async {
        while gate.arrived.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        publish(&world, &app, "order-1").await
    };
    let open = async {
        while gate.arrived.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        give_way().await;
        gate.open.add_permits(10);
    };
    let (first, second, ()) = futures_util::join!(first, second, open);
    assert_eq!((first.as_u16(), second.as_u16()), (202, 409));
    assert_eq!(gate.arrived.load(Ordering::SeqCst), 1);
    world.live_s(LATER_S).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
}

#[tokio::test]
async fn who_gives_up_between_store_and_queue_keeps_nobody_waiting() {
    let (world, app, gate) = gated().await;
    {
        let first = std::pin::pin!(publish(&world, &app, "order-1"));
        let gone = async {
            while gate.arrived.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        futures_util::future::select(first, std::pin::pin!(gone)).await;
    }
    gate.open.add_permits(10);
    assert_eq!(publish(&world, &app, "order-1").await.as_u16(), 409);
    world.live_s(LATER_S).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
}

#[tokio::test]
async fn two_names_do_not_wait_for_each_other() {
    let (world, app, gate) = gated().await;
    let open = async {
        while gate.arrived.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        gate.open.add_permits(10);
    };
    let (one, two) = (publish(&world, &app, "order-1"), publish(&world, &app, "order-2"));
    let (one, two, ()) = futures_util::join!(one, two, open);
    assert_eq!((one.as_u16(), two.as_u16()), (202, 202));
}

#[tokio::test]
async fn only_what_an_earlier_process_left_is_sent_again_without_delay() {
    /// Port calls before the one that sends to the queue.
    const BEFORE_QUEUE: usize = 2;
    for restarted in [false, true] {
        let (mut world, app) = stage().await;
        world.receiver.settings.alone_since = Some(world.ambient.now());
        world.plan.fail_after(BEFORE_QUEUE, Fault::Before);
        world.plan.fail_after(BEFORE_QUEUE + 1, Fault::Before);
        assert_eq!(publish(&world, &app, "order-1").await.as_u16(), 503);
        world.advance_s(1);
        if restarted {
            world.receiver.settings.alone_since = Some(world.ambient.now());
        }
        assert_eq!(publish(&world, &app, "order-1").await.as_u16(), 409);
        world.dispatch_all().await;
        assert_eq!(world.network.sent_to(URL).len(), usize::from(restarted));
        world.live_s(LATER_S).await;
        assert_eq!(world.network.sent_to(URL).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn six_publishers_at_once_deliver_each_of_sixty_events_once() {
    const PUBLISHERS: usize = 6;
    const ROUNDS: usize = 60;
    let (log, _guard) = Captured::with(lambda_filter(None));
    let (world, app) = stage().await;
    for round in 0..ROUNDS {
        // By the name of the event and by the name of the request, in turns.
        let name = format!("order-{round}");
        let (key, body) = match round % 2 {
            0 => (None, named(&name)),
            _ => (Some(name.as_str()), json!({"eventType": "a", "payload": {}})),
        };
        let publishers = (0..PUBLISHERS).map(|_| {
            let (receiver, request) = (world.receiver.clone(), request(&world, &app, key, &body));
            let publishing = async move { receiver.handle(request).await };
            tokio::spawn(publishing.with_current_subscriber())
        });
        let dispatching = async {
            for _ in 0..TURNS / 100 {
                world.dispatch_all().await;
            }
        };
        let (answers, ()) = futures_util::join!(join_all(publishers), dispatching);
        let statuses: Vec<u16> =
            answers.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
        let accepted = statuses.iter().filter(|status| **status == 202).count();
        assert!(statuses.iter().all(|status| [202, 409].contains(status)), "{statuses:?}");
        assert_eq!(accepted, if key.is_none() { 1 } else { PUBLISHERS });
    }
    world.live_s(LATER_S).await;
    assert_eq!(world.network.sent_to(URL).len(), ROUNDS);
    let parked = world.call("GET", "/api/v1/operator/parked", Value::Null).await;
    assert_eq!(parked.body["data"], json!([]));
    let errors: Vec<String> =
        log.lines().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors, Vec::<String>::new());
}
