//! A first attempt that waits for a slot, while everything else goes on.

use super::*;

#[tokio::test]
async fn what_waited_for_a_slot_goes_where_its_endpoint_is_by_then() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let (gate, _, work) = three_in_line(&world, &app).await;
    world.advance_s(2);
    change_endpoint(&world, &app, &ep, json!({"url": OTHER})).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!((world.network.sent_to(URL).len(), world.network.sent_to(OTHER).len()), (2, 1));
}

#[tokio::test]
async fn what_waited_for_a_slot_does_not_go_to_an_endpoint_that_wants_it_no_more() {
    for patch in [json!({"disabled": true}), json!({"channels": ["another"]})] {
        let (world, app, ep) = World::with_endpoint(URL).await;
        let (gate, _, work) = three_in_line(&world, &app).await;
        world.advance_s(2);
        change_endpoint(&world, &app, &ep, patch.clone()).await;
        gate.open();
        assert_eq!(work.await.unwrap(), NONE);
        assert_eq!(world.network.sent().len(), 2, "{patch}");
        assert_eq!(pending(&world).await, 0, "{patch}");
    }
}

#[tokio::test]
async fn what_waits_for_a_slot_and_is_replayed_meanwhile_is_sent_once() {
    let world = World::build(Builder { one_process: true, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let since = world.ambient.now().to_rfc3339();
    let (gate, behind, work) = three_in_line(&world, &app).await;
    world.advance_s(40);
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/replay-missing");
    assert_eq!(world.call("POST", &path, json!({"since": since})).await.status, 202);
    world.sweep().await;
    // Its retry gets the next slot but one.
    let retries = receive(&world.queues.retries).await;
    assert_eq!(retries.len(), 1, "{retries:?}");
    let replayed = tokio::spawn(async move { behind.handle(retries, None).await });
    settle().await;
    gate.let_through(2);
    gate.entered().await;
    settle().await;
    gate.open();
    assert_eq!((work.await.unwrap(), replayed.await.unwrap()), (Vec::new(), Vec::new()));
    world.live_s(600).await;
    assert_eq!(world.network.sent().len(), 3);
    assert_eq!(pending(&world).await, 0);
}

/// Three messages, of which two are under way, and the last waits for one of their slots.
async fn three_in_line(
    world: &World,
    app: &str,
) -> (Arc<Gate>, Arc<Dispatcher>, tokio::task::JoinHandle<Vec<String>>) {
    for n in 0..3 {
        world.publish(app, json!({"n": n})).await;
    }
    let batch = receive(&world.queues.deliveries).await;
    let gate = Gate::new(world);
    let behind = Arc::new(dispatcher(world, |parts| {
        parts.settings.parallel_per_application = 2;
        parts.sender = gate.clone();
    }));
    let (worker, records) = (behind.clone(), batch.clone());
    let work = tokio::spawn(async move { worker.handle(records, None).await });
    gate.entered_twice().await;
    settle().await;
    let receipts: Vec<String> = batch.into_iter().map(|record| record.receipt).collect();
    world.queues.deliveries.delete(&receipts).await.expect("a deletion");
    (gate, behind, work)
}

/// Lets everybody go on until they wait for something.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}
