//! Time runs out.

use super::*;

#[tokio::test]
async fn an_attempt_starts_only_if_it_can_end_before_the_deadline() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.publish(&app, json!({})).await;
    let batch = receive(&world.queues.deliveries).await;
    // A request may take 15 s, and recording 3 s. What cannot start is put off: its record is
    // done, and spends none of its receives.
    let late = Some(START.plus_ms(17_999));
    assert_eq!(world.dispatcher.handle(batch, late).await, NONE);
    assert_eq!((world.network.sent().len(), pending(&world).await), (0, 1));
    let put_off = receive(&world.queues.retries).await;
    let in_time = Some(START.plus_ms(18_000));
    assert_eq!(world.dispatcher.handle(put_off, in_time).await, NONE);
    assert_eq!((world.network.sent().len(), pending(&world).await), (1, 0));
}

#[tokio::test]
async fn what_cannot_be_started_in_time_is_put_off_and_delivered_later() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    for n in 0..5 {
        world.publish(&app, json!({"n": n})).await;
    }
    let slow = slow_dispatcher(&world);
    let deadline = Some(START.plus_ms(40_000));
    let batch = receive(&world.queues.deliveries).await;
    let receipts: Vec<_> = batch.iter().map(|record| record.receipt.clone()).collect();
    assert_eq!(slow.handle(batch, deadline).await, NONE);
    // Begun with 40, 30 and 20 s left, but not with 10.
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
    let world = World::new();
    let app = world.application().await;
    for name in ["a", "b", "c", "d"] {
        world.endpoint(&app, &url(name)).await;
    }
    world.publish(&app, json!({})).await;
    let slow = slow_dispatcher(&world);
    let batch = receive(&world.queues.deliveries).await;
    let receipt = batch[0].receipt.clone();
    assert_eq!(slow.handle(batch, Some(START.plus_ms(30_000))).await, NONE);
    assert_eq!(receivers(&world).len(), 2);
    world.queues.deliveries.delete(&[receipt]).await.unwrap();
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn no_more_attempts_are_under_way_than_set() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    for n in 0..4 {
        world.publish(&app, json!({"n": n})).await;
    }
    let gate = Gate::new(&world);
    let narrow = dispatcher(&world, |parts| {
        parts.sender = gate.clone();
        parts.settings.parallel = 3;
    });
    let batch = receive(&world.queues.deliveries).await;
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
