//! Time runs out.

use shared::domain::circuit::OPENS_AFTER;
use shared::store::keys::application_pk;
use shared::store::{Directory, DirectoryEditor};

use super::ports::{Hanging, Stuck};
use super::*;
use crate::support::awake::Awake;

#[tokio::test]
async fn an_attempt_starts_if_its_endpoint_gets_five_seconds_and_gets_no_more_than_there_are() {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.publish(&app, json!({})).await;
    let batch = receive(&world.queues.deliveries).await;
    // Recording takes 4 s. What cannot start is put off: its record is done, and spends none of
    // its receives.
    let late = Some(START.plus_ms(8_999));
    assert_eq!(world.dispatcher.handle(batch, late).await, NONE);
    assert_eq!((world.network.sent().len(), pending(&world).await), (0, 1));
    let put_off = receive(&world.queues.retries).await;
    let in_time = Some(START.plus_ms(9_000));
    assert_eq!(world.dispatcher.handle(put_off, in_time).await, NONE);
    assert_eq!((world.network.sent().len(), pending(&world).await), (1, 0));
    for (left_ms, timeout_ms) in [(12_000, 8_000), (19_000, 15_000), (30_000, 15_000)] {
        world.publish(&app, json!({})).await;
        let batch = receive(&world.queues.deliveries).await;
        world.dispatcher.handle(batch, Some(START.plus_ms(left_ms))).await;
        assert_eq!(world.network.sent().pop().unwrap().timeout_ms, timeout_ms);
    }
}

#[tokio::test]
async fn what_cannot_be_started_in_time_is_put_off_and_delivered_later() {
    let (world, app, _) = World::with_endpoint(URL).await;
    for n in 0..5 {
        world.publish(&app, json!({"n": n})).await;
    }
    let slow = slow_dispatcher(&world);
    let deadline = Some(START.plus_ms(38_000));
    let batch = receive(&world.queues.deliveries).await;
    let receipts: Vec<_> = batch.iter().map(|record| record.receipt.clone()).collect();
    assert_eq!(slow.handle(batch, deadline).await, NONE);
    // Begun with 38, 28 and 18 s left, but not with 8.
    assert_eq!((world.network.sent().len(), pending(&world).await), (3, 2));
    world.queues.deliveries.delete(&receipts).await.unwrap();
    world.dispatch_all().await;
    let mut bodies: Vec<_> = world.network.sent().into_iter().map(|sent| sent.body).collect();
    bodies.sort();
    let expected: Vec<_> = (0..5).map(|n| json!({"n": n}).to_string()).collect();
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn endpoints_that_were_reached_in_time_are_not_called_again_with_the_rest() {
    let (world, app) = World::with_application().await;
    for name in ["a", "b", "c", "d"] {
        world.endpoint(&app, &url(name)).await;
    }
    world.publish(&app, json!({})).await;
    let slow = slow_dispatcher(&world);
    let batch = receive(&world.queues.deliveries).await;
    let receipt = batch[0].receipt.clone();
    assert_eq!(slow.handle(batch, Some(START.plus_ms(28_000))).await, NONE);
    assert_eq!(receivers(&world).len(), 2);
    world.queues.deliveries.delete(&[receipt]).await.unwrap();
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["a", "b", "c", "d"]);
}

/// Four messages that were received, and a dispatcher that makes three attempts at once, none of which
/// goes out before the gate lets it.
async fn four_for_three_slots() -> (World, Arc<Gate>, Dispatcher, Vec<Received>) {
    let (world, app, _) = World::with_endpoint(URL).await;
    for n in 0..4 {
        world.publish(&app, json!({"n": n})).await;
    }
    let gate = Gate::new(&world);
    let narrow = dispatcher(&world, |parts| {
        parts.sender = gate.clone();
        parts.settings.parallel = 3;
    });
    let batch = receive(&world.queues.deliveries).await;
    (world, gate, narrow, batch)
}

#[tokio::test]
async fn no_more_attempts_are_under_way_than_set() {
    let (world, gate, narrow, batch) = four_for_three_slots().await;
    let work = tokio::spawn(async move { narrow.handle(batch, None).await });
    for _ in 0..3 {
        gate.entered().await;
    }
    assert_eq!(gate.entered.available_permits(), 0, "the fourth waits");
    gate.let_through(1);
    gate.entered().await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!(world.network.sent().len(), 4);
}

#[tokio::test]
async fn once_it_is_stopped_attempts_under_way_end_and_what_waits_is_left_to_the_next_process() {
    let (world, gate, narrow, batch) = four_for_three_slots().await;
    let receipts: Vec<_> = batch.iter().map(|record| record.receipt.clone()).collect();
    let working = narrow.clone();
    let work = tokio::spawn(async move { working.handle(batch, None).await });
    for _ in 0..3 {
        gate.entered().await;
    }
    narrow.stop();
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!((world.network.sent().len(), pending(&world).await), (3, 1));
    world.queues.deliveries.delete(&receipts).await.unwrap();
    world.dispatch_all().await;
    assert_eq!((world.network.sent().len(), pending(&world).await), (4, 0));
    let mut bodies: Vec<_> = world.network.sent().into_iter().map(|sent| sent.body).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 4, "each once");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_until_the_end_is_put_off_and_spends_no_receive() {
    let (world, app, _) = World::with_endpoint(URL).await;
    for n in 0..3 {
        world.publish(&app, json!({"n": n})).await;
    }
    let hanging = Arc::new(Hanging { clock: world.clock.clone(), under_way: Semaphore::new(0) });
    let narrow = dispatcher(&world, |parts| {
        parts.sender = hanging.clone();
        parts.settings.parallel_per_application = 1;
        let table: Arc<dyn Table> = Arc::new(Awake(world.table.clone()));
        parts.deliveries = Deliveries::new(table.clone());
        parts.directory = Directory::new(table.clone());
        parts.editor = DirectoryEditor::new(table, None);
        parts.retries = Arc::new(Awake(parts.retries.clone()));
    });
    let batch = receive(&world.queues.deliveries).await;
    // The first holds the slot for 15 s; with less than 9 s left no other begins.
    let deadline = Some(world.ambient.now().plus_ms(23_500));
    assert_eq!(narrow.handle(batch, deadline).await, NONE);
    assert_eq!(hanging.under_way.available_permits(), 1);
    assert_eq!(pending(&world).await, 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_unfinished_a_second_before_the_end_is_given_back_alone() {
    let world = World::new();
    let (app, stuck) = (world.application().await, world.application().await);
    world.endpoint(&app, URL).await;
    world.endpoint(&stuck, OTHER).await;
    let msg = world.publish(&app, json!({})).await;
    world.publish(&stuck, json!({})).await;
    let batch = receive(&world.queues.deliveries).await;
    let expected = batch.iter().find(|record| !record.body.contains(&msg)).unwrap().id.clone();
    let behind = dispatcher(&world, |parts| {
        let table: Arc<dyn Table> = Arc::new(Awake(world.table.clone()));
        parts.deliveries = Deliveries::new(table.clone());
        // Its application is never read.
        let table = Stuck { inner: table, pk: application_pk(&stuck.parse().unwrap()) };
        parts.directory = Directory::new(Arc::new(table));
    });
    let begun = tokio::time::Instant::now();
    let deadline = Some(world.ambient.now().plus_ms(30_000));
    let undone = behind.serve(&world.queues.deliveries, batch, deadline).await;
    assert_eq!(undone, [expected]);
    assert_eq!(begun.elapsed().as_millis(), 29_000);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    // It comes soon, and not only when its visibility ends.
    world.advance_s(11);
    let again = receive(&world.queues.deliveries).await;
    assert!(again.iter().any(|record| undone.contains(&record.id)));
}

#[tokio::test]
async fn an_endpoint_is_not_silent_because_an_invocation_had_no_time_left() {
    for (left_ms, silent) in [(12_000, false), (30_000, true)] {
        let (world, app, ep) = World::with_endpoint(URL).await;
        world.network.always(URL, Ending::TimedOut);
        for _ in 0..OPENS_AFTER {
            world.publish(&app, json!({})).await;
            let batch = receive(&world.queues.deliveries).await;
            let deadline = Some(world.ambient.now().plus_ms(left_ms));
            assert_eq!(world.dispatcher.handle(batch, deadline).await, NONE);
        }
        assert_eq!(world.network.sent().len(), OPENS_AFTER as usize);
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        let shown = world.call("GET", &path, Value::Null).await;
        assert_eq!(shown.body["unansweredSince"].is_string(), silent, "{shown:?}");
    }
}

#[tokio::test]
async fn a_queue_that_takes_nothing_back_does_not_cost_the_answer_for_the_batch() {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.publish(&app, json!({})).await;
    let batch = receive(&world.queues.deliveries).await;
    tokio::time::pause();
    let never = dispatcher(&world, |parts| {
        let table = Stuck { inner: world.table.clone(), pk: application_pk(&app.parse().unwrap()) };
        parts.directory = Directory::new(Arc::new(table));
    });
    let begun = tokio::time::Instant::now();
    let deadline = Some(world.ambient.now().plus_ms(30_000));
    let undone = never.serve(&Deaf, batch, deadline).await;
    assert_eq!(undone.len(), 1);
    // The world's clock stands still, so both parts count from the beginning.
    let took_ms = begun.elapsed().as_millis();
    assert!((58_700..58_800).contains(&took_ms), "{took_ms}");
}

/// A queue that answers nothing.
struct Deaf;

#[async_trait]
impl Consumer for Deaf {
    async fn receive(&self, _max: usize, _wait_s: u32) -> Result<Vec<Received>, QueueError> {
        std::future::pending().await
    }

    async fn delete(&self, _receipts: &[String]) -> Result<(), QueueError> {
        std::future::pending().await
    }

    async fn release(&self, _receipt: &str, _after_s: u32) -> Result<(), QueueError> {
        std::future::pending().await
    }
}
