//! Records that come late, and the replays that meet them.

use std::sync::atomic::{AtomicBool, Ordering};

use shared::queue::QueueError;
use shared::store::Limit;

use super::*;

#[tokio::test]
async fn a_first_receive_whose_visibility_is_nearly_over_takes_a_lease() {
    let (world, _, msg, record) = accepted().await;
    let ep = only_endpoint(&world, &record).await;
    // The batch was held back before it got to a dispatcher.
    world.advance_s(170);
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    assert!(delivery(&world, &msg, &ep).await.is_leased(world.ambient.now()));
    // Meanwhile the record is visible again, and somebody else gets it.
    world.advance_s(11);
    assert_eq!(world.dispatcher.handle(vec![copy(&record, 2)], None).await, NONE);
    comes_back_after_the_lease(&world).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    world.queues.deliveries.delete(&[record.receipt]).await.unwrap();
    world.live_s(600).await;
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn a_first_receive_in_good_time_takes_none() {
    let (world, _, msg, record) = accepted().await;
    let ep = only_endpoint(&world, &record).await;
    world.advance_s(140);
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    let (msg, ep) = (msg.parse().unwrap(), ep.parse().unwrap());
    assert!(world.parts.deliveries.delivery(&msg, &ep).await.unwrap().is_none());
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
}

/// A queue that takes nothing the first time.
struct Unlucky(Arc<dyn Producer>, AtomicBool);

#[async_trait]
impl Producer for Unlucky {
    async fn send(&self, batch: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        match self.1.swap(false, Ordering::Relaxed) {
            true => Err(QueueError::Unavailable("not now".to_owned())),
            false => self.0.send(batch).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_out_in_time_though_its_attempt_was_written_late_and_the_queue_away_then() {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.network.always(URL, answer(500));
    world.publish(&app, json!({})).await;
    // The attempt is made, and cannot be put on record.
    world.plan.fail_after(0, Fault::Full(Limit::List, 1_000));
    world.dispatch().await;
    assert_eq!(world.network.sent().len(), 1);
    world.plan.end();
    let mut parts = world.parts.clone();
    parts.retries = Arc::new(Unlucky(parts.retries.clone(), AtomicBool::new(true)));
    world.advance_s(15);
    world.dispatch_by(&Dispatcher::new(parts)).await;
    for _ in 0..12 {
        world.advance_s(5);
        world.dispatch_all().await;
    }
    assert!(world.network.sent().len() >= 2);
}

#[tokio::test]
async fn a_late_attempt_by_hand_is_left_to_whoever_gets_its_record_next() {
    let Waiting { world, app, ep, msg } = waiting().await;
    resend(&world, &app, &msg, &ep).await;
    let record = receive(&world.queues.retries).await.remove(0);
    world.advance_s(170);
    let undone = world.dispatcher.handle(vec![copy(&record, 1)], None).await;
    assert_eq!(undone, [record.id.as_str()]);
    assert_eq!(world.network.sent().len(), 1);
    world.advance_s(11);
    assert_eq!(world.dispatcher.handle(vec![copy(&record, 2)], None).await, NONE);
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(standing(&world, &app, &msg).await, "success");
}

#[tokio::test]
async fn a_late_message_meets_a_replay_that_has_opened_it_and_is_sent_once() {
    for one_process in [true, false] {
        let (world, app, ep, since) = stage(one_process).await;
        let msg = world.publish(&app, json!({})).await;
        world.advance_s(60);
        replay_missing(&world, &app, &ep, &since).await;
        // Its own record first, then the replay's.
        let accepted = receive(&world.queues.deliveries).await;
        assert_eq!(world.dispatcher.handle(accepted, None).await, NONE);
        world.live_s(300).await;
        assert_eq!(world.network.sent().len(), 1, "in one process: {one_process}");
        assert_eq!(standing(&world, &app, &msg).await, "success");
        assert_eq!(pending(&world).await, 0);
    }
}

#[tokio::test]
async fn a_replay_while_the_first_attempt_is_under_way_does_not_send_it_again() {
    for one_process in [true, false] {
        for waited_s in [0, 60] {
            let (world, app, ep, since) = stage(one_process).await;
            let msg = world.publish(&app, json!({})).await;
            world.advance_s(waited_s);
            let record = receive(&world.queues.deliveries).await.remove(0);
            let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
            replay_missing(&world, &app, &ep, &since).await;
            world.dispatch_all().await;
            world.advance_s(14);
            world.dispatch_all().await;
            gate.open();
            assert_eq!(work.await.unwrap(), NONE);
            world.queues.deliveries.delete(&[record.receipt]).await.unwrap();
            world.live_s(300).await;
            let case = format!("in one process: {one_process}, after {waited_s} s");
            assert_eq!(world.network.sent().len(), 1, "{case}");
            assert_eq!(codes(&world.attempts(&app, &msg).await), [200], "{case}");
            assert_eq!(pending(&world).await, 0, "{case}");
        }
    }
}

#[tokio::test]
async fn a_thousand_messages_that_are_queued_when_they_are_replayed_arrive_once_each() {
    for one_process in [true, false] {
        let (world, app, ep, since) = stage(one_process).await;
        let mut published = Vec::new();
        for n in 0..1_000 {
            if n == 500 {
                world.advance_s(60);
            }
            published.push(world.publish(&app, json!({"n": n})).await);
        }
        // Some are dispatched before, some after.
        world.dispatch().await;
        replay_missing(&world, &app, &ep, &since).await;
        world.live_s(1_200).await;
        let sent = world.network.sent();
        let mut arrived: Vec<_> = sent.iter().map(|sent| header(sent, "webhook-id")).collect();
        arrived.sort_unstable();
        published.sort();
        assert_eq!(arrived.len(), 1_000, "in one process: {one_process}");
        assert_eq!(arrived, published, "in one process: {one_process}");
        assert_eq!(pending(&world).await, 0);
    }
}

/// An application with an endpoint, and the present. `one_process`: whether tasks are worked on
/// where dispatching is done, as on one machine, or elsewhere, as on Lambda.
async fn stage(one_process: bool) -> (World, String, String, String) {
    let world = World::build(Builder { one_process, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let since = world.ambient.now().to_rfc3339();
    (world, app, ep, since)
}

async fn replay_missing(world: &World, app: &str, ep: &str, since: &str) {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/replay-missing");
    let reply = world.call("POST", &path, json!({"since": since})).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

/// The only endpoint of the application that a record is about.
async fn only_endpoint(world: &World, record: &Received) -> String {
    let app = Record::parse(&record.body).expect("a record").app();
    let path = format!("/api/v1/app/{app}/endpoint");
    text(&world.call("GET", &path, Value::Null).await.body["data"][0]["id"])
}
