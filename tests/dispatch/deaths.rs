//! Somebody dies half way.

use super::*;

#[tokio::test]
async fn a_death_between_record_and_retry_is_repaired_when_the_first_record_comes_again() {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    dies_before_sending_the_retry(&world, &world.queues.deliveries).await;
    assert!(world.queues.retries.is_empty());
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    // No sweep was needed, which would have come 15 minutes later.
    let attempts = world.attempts(&app, &msg).await;
    assert_eq!(codes(&attempts), [500, 200]);
    assert_eq!(time_of(&attempts[1]).since(START), u64::from(VISIBILITY_S) * 1000);
}

#[tokio::test]
async fn a_death_between_record_and_next_retry_is_repaired_when_the_retry_comes_again() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.network.next(URL, answer(500));
    world.advance_s(7);
    dies_before_sending_the_retry(&world, &world.queues.retries).await;
    assert_eq!(delivery(&world, &msg, &ep).await.attempts, 2);
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    assert_eq!(world.queues.retries.len(), 1);
    let planned = delivery(&world, &msg, &ep).await.next_at().unwrap();
    while world.attempts(&app, &msg).await.len() < 3 {
        assert!(world.ambient.now().since(planned) < 2_000, "the third attempt is late");
        world.advance_s(1);
        world.dispatch_all().await;
    }
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 500, 200]);
    assert!(world.ambient.now() >= planned, "the third attempt is early");
}

#[tokio::test]
async fn an_attempt_by_hand_whose_records_are_received_together_is_made_once() {
    let Waiting { world, app, ep, msg } = waiting().await;
    let before = world.network.sent().len();
    resend(&world, &app, &msg, &ep).await;
    // It was put off, and whoever had its records died before they were deleted.
    let record = receive(&world.queues.retries).await.remove(0);
    world.advance_s(VISIBILITY_S.into());
    let record = copy(&record, 2);
    let other = Received { id: "other".to_owned(), ..record.clone() };
    let (gate, work) = under_way(&world, record, |_| {}).await;
    assert_eq!(world.dispatcher.handle(vec![other.clone()], None).await, ["other"]);
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!(world.dispatcher.handle(vec![copy(&other, 3)], None).await, NONE);
    assert_eq!(world.network.sent().len(), before + 1);
}

#[tokio::test]
async fn a_retry_that_was_sent_although_its_answer_was_lost_is_made_once() {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    let plan = Plan::new(vec![(0, Fault::After)]);
    let unlucky = dispatcher(&world, |parts| {
        parts.retries = Arc::new(Faulty::new(world.queues.retries.clone(), &plan));
    });
    assert_eq!(poll(&world.queues.deliveries, &unlucky).await, Polled { done: 0, undone: 1 });
    world.advance_s(VISIBILITY_S.into());
    // The record that was sent after all, and the one that its repetition sends.
    world.live_s(3600).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
    assert_eq!(world.network.sent().len(), 2);
}

#[tokio::test]
async fn an_attempt_that_was_recorded_although_the_answer_was_lost_is_not_made_again() {
    for ending in [answer(200), answer(500)] {
        let (world, app, msg, record) = accepted().await;
        world.network.next(URL, ending.clone());
        let plan = Plan::new(vec![(0, Fault::After)]);
        let unlucky = dispatcher(&world, |parts| {
            let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &plan));
            parts.deliveries = Deliveries::new(table);
        });
        // The store is asked again, and finds what it has.
        assert_eq!(unlucky.handle(vec![record.clone()], None).await, NONE);
        assert_eq!((plan.fired(), world.attempts(&app, &msg).await.len()), (1, 1));
        world.advance_s(VISIBILITY_S.into());
        world.dispatch_all().await;
        assert_eq!(
            world.attempts(&app, &msg).await.len(),
            if ending == answer(200) { 1 } else { 2 }
        );
        world.live_s(60).await;
        assert_eq!(standing(&world, &app, &msg).await, "success");
    }
}

#[tokio::test]
async fn a_death_between_request_and_record_repeats_that_attempt_and_no_other() {
    let (world, app, msg, record) = accepted().await;
    let plan = Plan::new(vec![(0, Fault::DieAfter)]);
    let mortal = dispatcher(&world, |parts| {
        parts.sender = Arc::new(Faulty::new(Shared(world.network.clone()), &plan));
    });
    tokio::select! {
        () = plan.death() => {}
        undone = mortal.handle(vec![record], None) => panic!("survived: {undone:?}"),
    }
    assert_eq!(world.network.sent().len(), 1);
    world.advance_s(VISIBILITY_S.into());
    world.live_s(3600).await;
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
}
