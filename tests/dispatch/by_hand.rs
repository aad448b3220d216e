//! Resent by hand.

use shared::domain::delivery::LEASE_MS;

use super::*;

#[tokio::test]
async fn a_resend_that_succeeds_ends_a_pending_delivery() {
    let Waiting { world, app, ep, msg } = waiting().await;
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert_eq!(
        (standing(&world, &app, &msg).await.as_str(), pending(&world).await),
        ("success", 0)
    );
    world.live_s(3600).await;
    assert_eq!(world.network.sent_to(URL).len(), 2);
    let attempts = world.attempts(&app, &msg).await;
    let triggers: Vec<_> = attempts.iter().map(|attempt| &attempt["triggerType"]).collect();
    assert_eq!(triggers, [0, 1]);
    assert_eq!(codes(&attempts), [500, 200]);
}

#[tokio::test]
async fn a_resend_that_fails_leaves_the_schedule_alone() {
    let Waiting { world, app, ep, msg } = waiting().await;
    let before = delivery(&world, &msg, &ep).await;
    world.network.next(URL, answer(503));
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert_eq!(delivery(&world, &msg, &ep).await, before);
    world.live_s(3600).await;
    let attempts = world.attempts(&app, &msg).await;
    let triggers: Vec<_> = attempts.iter().map(|attempt| &attempt["triggerType"]).collect();
    assert_eq!(triggers, [0, 1, 0]);
    assert_eq!(codes(&attempts), [500, 503, 200]);
}

#[tokio::test]
async fn a_resend_that_fails_does_not_undo_a_delivery() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.network.next(URL, answer(500));
    resend(&world, &app, &msg, &ep).await;
    world.live_s(3600).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200, 500]);
    assert_eq!(standing(&world, &app, &msg).await, "success");
}

#[tokio::test]
async fn copies_of_a_resend_that_wait_for_a_rate_come_a_lease_apart() {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    for n in 0..60 {
        world.publish(&app, json!({"n": n})).await;
    }
    world.dispatch_all().await;
    resend(&world, &app, &msg, &ep).await;
    let record = resends(&world).await.remove(0);
    // The queue takes the copy and does not say so.
    let plan = Plan::new(vec![(0, Fault::After)]);
    let unsure = dispatcher(&world, |parts| {
        parts.retries = Arc::new(Faulty::new(world.queues.retries.clone(), &plan));
    });
    let undone = unsure.handle(vec![copy(&record, 1)], None).await;
    assert_eq!(undone, [record.id.as_str()]);
    world.advance_s(40);
    assert_eq!(world.dispatcher.handle(vec![copy(&record, 2)], None).await, NONE);
    world.advance_s(200);
    let moments =
        resends(&world).await.into_iter().filter_map(|record| match Record::parse(&record.body) {
            Ok(Record::Resend { not_before, .. }) => not_before,
            _ => None,
        });
    let moments: Vec<Timestamp> = moments.collect();
    assert_eq!(moments.len(), 2, "{moments:?}");
    let (first, last) = (moments.iter().min().unwrap(), moments.iter().max().unwrap());
    assert!(last.since(*first) >= LEASE_MS, "{moments:?}");
}

/// What asks for attempts by hand, of all that may be received.
async fn resends(world: &World) -> Vec<Received> {
    let mut found = Vec::new();
    loop {
        let batch = receive(&world.queues.retries).await;
        if batch.is_empty() {
            return found;
        }
        let is_by_hand =
            |record: &Received| matches!(Record::parse(&record.body), Ok(Record::Resend { .. }));
        found.extend(batch.into_iter().filter(is_by_hand));
    }
}

#[tokio::test]
async fn a_resend_while_a_retry_is_under_way_decides_the_delivery() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.advance_s(7);
    let record = receive(&world.queues.retries).await.remove(0);
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    world.network.next(URL, answer(500));
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    // The retry's failure is on record, and without a consequence.
    assert_eq!(world.attempts(&app, &msg).await.len(), 3);
    assert_eq!(
        (standing(&world, &app, &msg).await.as_str(), pending(&world).await),
        ("success", 0)
    );
    world.live_s(3600).await;
    assert_eq!(world.network.sent_to(URL).len(), 3);
}

#[tokio::test]
async fn a_resend_that_comes_again_is_sent_once() {
    let Waiting { world, app, ep, msg } = waiting().await;
    resend(&world, &app, &msg, &ep).await;
    let record = receive(&world.queues.retries).await.remove(0);
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    let again = copy(&record, 2);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, [record.id.as_str()]);
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    world.advance_s(VISIBILITY_S.into());
    let again = copy(&record, 2);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    assert_eq!(world.network.sent_to(URL).len(), 2);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
}

#[tokio::test]
async fn a_resend_whose_dispatcher_died_before_the_request_is_sent_when_it_comes_again() {
    let Waiting { world, app, ep, msg } = waiting().await;
    resend(&world, &app, &msg, &ep).await;
    let record = receive(&world.queues.retries).await.remove(0);
    let (_gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    // What it had begun ends with it, in its turn.
    tokio::task::yield_now().await;
    world.advance_s(VISIBILITY_S.into());
    let again = copy(&record, 2);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
    assert_eq!(standing(&world, &app, &msg).await, "success");
}

#[tokio::test]
async fn a_resend_goes_out_whatever_the_endpoint_chose_but_not_to_a_disabled_one() {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "eventTypes": ["another.type"]})).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent(), []);
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    resend(&world, &app, &msg, &ep).await;
    change_endpoint(&world, &app, &ep, json!({"disabled": true})).await;
    world.dispatch_all().await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert!(world.queues.retries.is_empty());
}
