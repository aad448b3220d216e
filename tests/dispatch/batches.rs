//! One record among others: what fails, fails alone.

use super::*;

#[tokio::test]
async fn a_record_that_cannot_be_read_is_parked_and_the_rest_of_its_batch_delivered() {
    let (world, app, _) = World::with_endpoint(URL).await;
    for n in 0..9 {
        if n == 4 {
            put(&world.queues.deliveries, "{\"v\":1,").await;
        }
        world.publish(&app, json!({"n": n})).await;
    }
    let batch = receive(&world.queues.deliveries).await;
    assert_eq!(batch.len(), 10);
    assert_eq!(world.dispatcher.handle(batch, None).await, NONE);
    assert_eq!(world.network.sent_to(URL).len(), 9);
    let parked = world.call("GET", "/api/v1/operator/parked", json!(null)).await.body;
    assert_eq!(parked["data"].as_array().map(Vec::len), Some(1), "{parked}");
    let reason = text(&parked["data"][0]["reason"]);
    assert!(reason.starts_with("not a record: "), "{reason}");
}

#[tokio::test]
async fn a_record_that_cannot_be_parked_comes_back() {
    let world = World::new();
    put(&world.queues.deliveries, "nonsense").await;
    let broken = dispatcher(&world, |parts| {
        let plan = Plan::new(vec![(0, Fault::Before)]);
        let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &plan));
        parts.parking = shared::store::Parking::new(table);
    });
    assert_eq!(poll(&world.queues.deliveries, &broken).await, Polled { done: 0, undone: 1 });
    world.advance_s(VISIBILITY_S.into());
    assert_eq!(world.dispatch().await, 1);
    let parked = world.call("GET", "/api/v1/operator/parked", json!(null)).await.body;
    assert_eq!(parked["data"].as_array().map(Vec::len), Some(1), "{parked}");
}

#[tokio::test]
async fn a_panic_in_one_delivery_fails_its_record_only() {
    let world = World::new();
    let (app, unlucky) = (world.application().await, world.application().await);
    world.endpoint(&app, URL).await;
    world.endpoint(&unlucky, OTHER).await;
    for n in 0..4 {
        world.publish(&app, json!({"n": n})).await;
    }
    world.publish(&unlucky, json!({})).await;
    let panicking = dispatcher(&world, |parts| parts.sender = Panicking::at(OTHER, &world));
    assert_eq!(poll(&world.queues.deliveries, &panicking).await, Polled { done: 4, undone: 1 });
    assert_eq!(world.network.sent_to(URL).len(), 4);
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 4);
    assert_eq!(world.network.sent_to(OTHER).len(), 1);
}

#[tokio::test]
async fn a_panic_at_one_endpoint_does_not_keep_the_event_from_the_others() {
    let (world, app) = World::with_application().await;
    for url in [URL, OTHER, "http://127.0.0.1:9/third"] {
        world.endpoint(&app, url).await;
    }
    world.publish(&app, json!({})).await;
    let panicking = dispatcher(&world, |parts| parts.sender = Panicking::at(OTHER, &world));
    assert_eq!(poll(&world.queues.deliveries, &panicking).await, Polled { done: 0, undone: 1 });
    assert_eq!(receivers(&world), ["hook", "third"]);
    // It comes again, and only what is missing is sent.
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["hook", "other", "third"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_one_record_takes_the_others_and_that_one_later() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let mut messages = Vec::new();
    for n in 0..10 {
        messages.push(world.publish(&app, json!({"n": n})).await);
    }
    let unlucky = &messages[6];
    let batch = receive(&world.queues.deliveries).await;
    let broken = dispatcher(&world, |parts| {
        let pk = message_pk(&unlucky.parse::<MessageId>().unwrap().key());
        let table = Broken { inner: world.table.clone(), pk };
        parts.deliveries = Deliveries::new(Arc::new(table));
    });
    let receipts: Vec<String> = batch.iter().map(|record| record.receipt.clone()).collect();
    assert_eq!(broken.handle(batch, None).await, NONE);
    for msg in &messages {
        let recorded = world.attempts(&app, msg).await.len();
        assert_eq!(recorded, usize::from(msg != unlucky), "{msg}");
    }
    world.queues.deliveries.delete(&receipts).await.unwrap();
    world.live_s(60).await;
    assert_eq!(world.attempts(&app, unlucky).await.len(), 1);
    assert_eq!(world.network.sent().len(), 10);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_an_outcome_and_not_a_failed_record() {
    let (world, app, _) = World::with_endpoint(URL).await;
    for ending in [answer(500), Ending::TimedOut, Ending::Refused("no".into())] {
        world.network.next(URL, ending);
        world.publish(&app, json!({})).await;
    }
    let batch = receive(&world.queues.deliveries).await;
    assert_eq!(batch.len(), 3);
    assert_eq!(world.dispatcher.handle(batch, None).await, NONE);
}
