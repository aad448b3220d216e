//! When retries come, what the sweep does with what is due, and what becomes of dead records.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use dispatch::{Dispatcher, Settings};
use futures_util::future::join_all;
use retry::{Concurrency, Part, Report, Sweeper};
use serde_json::{Value, json};
use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::machine::{Event, Outcome};
use shared::domain::delivery::{Delivery, Pending, QUEUE_GRACE_MS, SWEEP_AHEAD_MS};
use shared::domain::id::{ApplicationId, AttemptId, EndpointId, MessageId, MessageKey};
use shared::domain::message::{Message, NewMessage};
use shared::domain::schedule::{DEFAULT_DELAYS_S, JITTER_PERCENT, Schedule};
use shared::domain::spread::Spread;
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::{
    Consumer, MAX_BATCH, MAX_RECEIVES, Outgoing, Producer, QueueError, VISIBILITY_S,
};
use shared::store::keys::{DUE_SHARDS, due_shard_of};
use shared::store::table::{Index, Item, Key, Page, Query, Table, Transacted, Write, Written};
use shared::store::{Deliveries, Directory, Inbox, Parking, StoreError};
use tokio::sync::Semaphore;

use crate::support::faults::{Fault, Faulty, Plan};
use crate::support::network::answer;
use crate::support::still::{START, StillClock};
use crate::support::world::{Builder, Shared, World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const MINUTE_S: u64 = 60;

// When retries come.

#[tokio::test]
async fn eight_attempts_come_at_their_planned_second_and_never_early() {
    const MESSAGES: usize = 5;
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.always(URL, answer(500));
    let mut messages = Vec::new();
    for n in 0..MESSAGES {
        messages.push(world.publish(&app, json!({"n": n})).await);
    }
    // Of each message: when each attempt was made, and when the next was planned.
    let mut made: HashMap<&str, Vec<(Timestamp, Timestamp)>> = HashMap::new();
    for second in 0..40 * 3600 {
        if second % MINUTE_S == 0 {
            world.sweep().await;
        }
        while world.dispatch().await > 0 {
            for msg in &messages {
                let delivery = delivery(&world, msg, &ep).await;
                let made = made.entry(msg).or_default();
                if made.len() < delivery.attempts as usize {
                    made.push((world.ambient.now(), delivery.next_at().unwrap_or_default()));
                }
            }
        }
        world.advance_s(1);
    }
    for msg in &messages {
        let made = &made[msg.as_str()];
        assert_eq!(made.len(), 8);
        for (n, delay_s) in DEFAULT_DELAYS_S.into_iter().enumerate() {
            let ((at, planned), (next, _)) = (made[n], made[n + 1]);
            let (delay_ms, spread_ms) = (delay_s * 1000, delay_s * 10 * JITTER_PERCENT);
            let waited = planned.since(at);
            assert!(waited.abs_diff(delay_ms) <= spread_ms, "{waited} ms before {}", n + 2);
            assert!(next >= planned, "attempt {} came at {next:?}, before {planned:?}", n + 2);
            let late = next.since(planned);
            assert!(late < 1_000, "attempt {} came {late} ms late", n + 2);
        }
        assert!(delivery(&world, msg, &ep).await.is_failed());
    }
    assert_eq!(world.network.sent().len(), 8 * MESSAGES);
}

#[tokio::test]
async fn jitter_spreads_retries_over_its_whole_range() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.always(URL, answer(500));
    let mut waits = Vec::new();
    for n in 0..100 {
        let msg = world.publish(&app, json!({"n": n})).await;
        world.dispatch_all().await;
        waits.push(to_come(&world, &msg, &ep).await.next.at().since(START));
    }
    waits.sort_unstable();
    assert!(waits[0] >= 4_000 && waits[99] <= 6_000, "{waits:?}");
    assert!(waits[10] < 4_500 && waits[89] > 5_500, "{waits:?}");
}

#[tokio::test]
async fn a_long_wait_is_spent_in_the_store_and_a_short_one_in_the_queue() {
    for (delay_s, in_queue) in [(5, 1), (700, 1), (2_000, 0)] {
        let (world, ep, msgs) = waiting(1, delay_s).await;
        assert_eq!(world.queues.retries.len(), in_queue, "{delay_s} s");
        let to_come = to_come(&world, &msgs[0], &ep).await;
        let expected = match in_queue {
            1 => to_come.next.at().plus_ms(QUEUE_GRACE_MS),
            _ => to_come.next.at().minus_ms(SWEEP_AHEAD_MS),
        };
        assert_eq!(to_come.due_at, expected, "{delay_s} s");
    }
}

#[tokio::test]
async fn nothing_is_swept_before_it_is_due() {
    let (world, ep, msgs) = waiting(1, 3_600).await;
    let due = to_come(&world, &msgs[0], &ep).await.due_at;
    world.clock.advance_ms(due.since(START) - 1);
    assert_eq!(world.sweep().await, Report::default());
    world.clock.advance_ms(1);
    assert_eq!(world.sweep().await, Report { enqueued: 1, ..Report::default() });
    assert_eq!(world.sweep().await, Report::default());
}

#[tokio::test]
async fn retries_that_are_overdue_after_an_outage_of_the_sweep_come_at_once() {
    let (world, _, _) = waiting(3, 3_600).await;
    world.advance_s(24 * 3_600);
    assert_eq!(world.sweep().await, Report { enqueued: 3, ..Report::default() });
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 6);
}

#[tokio::test]
async fn what_is_over_is_not_swept() {
    let (world, _, _) = waiting(2, 3_600).await;
    world.network.next(URL, answer(500));
    world.live_s(2 * 3_600).await;
    // One arrived, and the other has had its two attempts.
    assert_eq!(world.network.sent().len(), 4);
    world.advance_s(30 * 24 * 3_600);
    assert_eq!(world.sweep().await, Report::default());
}

// Claims.

#[tokio::test]
async fn sweeps_that_overlap_send_each_retry_once() {
    let (world, _, _) = waiting(40, 3_600).await;
    world.advance_s(2 * 3_600);
    let reports = tokio::join!(world.sweep(), world.sweep(), world.sweep());
    let sent = reports.0.enqueued + reports.1.enqueued + reports.2.enqueued;
    let failed = reports.0.failed + reports.1.failed + reports.2.failed;
    assert_eq!((sent, failed), (40, 0), "{reports:?}");
    assert_eq!(world.queues.retries.len(), 40);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 80);
}

#[tokio::test]
async fn a_claim_that_another_sweep_was_faster_with_is_lost() {
    let world = World::new();
    due_in(&world, 0, 3).await;
    let table = Arc::new(Held::new(&world));
    let slow = Sweeper { deliveries: Deliveries::new(table.clone()), ..world.sweeper.clone() };
    let slow = tokio::spawn(async move { slow.run(None).await });
    table.read.acquire().await.unwrap().forget();
    assert_eq!(world.sweep().await, Report { enqueued: 3, ..Report::default() });
    table.go_on.add_permits(1000);
    assert_eq!(slow.await.unwrap(), Report { lost: 3, ..Report::default() });
    world.advance_s(MINUTE_S);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 3);
}

#[tokio::test]
async fn a_sweep_that_dies_between_claim_and_send_is_repaired_when_its_claim_runs_out() {
    let (world, ep, msgs) = waiting(1, 3_600).await;
    let next_at = to_come(&world, &msgs[0], &ep).await.next.at();
    world.clock.advance_ms(next_at.since(START) - 30_000);
    let plan = Plan::new(vec![(0, Fault::DieBefore)]);
    let mortal = sweeper_with_retries(&world, Faulty::new(world.queues.retries.clone(), &plan));
    tokio::select! {
        () = plan.death() => {}
        report = mortal.run(None) => panic!("survived: {report:?}"),
    }
    assert_eq!(to_come(&world, &msgs[0], &ep).await.due_at, next_at.plus_ms(QUEUE_GRACE_MS));
    // 30 seconds to the retry, and the 15 minutes of the claim.
    world.clock.advance_ms(30_000 + QUEUE_GRACE_MS - 1);
    assert_eq!(world.sweep().await, Report::default());
    world.clock.advance_ms(1);
    assert_eq!(world.sweep().await, Report { enqueued: 1, ..Report::default() });
    world.dispatch_all().await;
    assert_eq!(codes(&world, &msgs[0]).await, [500, 200]);
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_repaired_when_it_runs_out() {
    let world = World::new();
    due_in(&world, 0, 1).await;
    // The first call reads the shard, the second claims.
    let plan = Plan::new(vec![(1, Fault::After)]);
    let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &plan));
    let unlucky = Sweeper { deliveries: Deliveries::new(table), ..world.sweeper.clone() };
    assert_eq!(unlucky.run(None).await, Report { failed: 1, ..Report::default() });
    assert_eq!(world.sweep().await, Report::default());
    world.clock.advance_ms(MINUTE_S * 1000 + QUEUE_GRACE_MS);
    assert_eq!(world.sweep().await, Report { enqueued: 1, ..Report::default() });
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn a_retry_that_could_not_be_sent_is_due_again_at_once() {
    let world = World::new();
    due_in(&world, 0, 3).await;
    let plan = Plan::new(vec![(0, Fault::Before)]);
    let unlucky = sweeper_with_retries(&world, Faulty::new(world.queues.retries.clone(), &plan));
    assert_eq!(unlucky.run(None).await, Report { failed: 3, ..Report::default() });
    assert_eq!(world.sweep().await, Report { enqueued: 3, ..Report::default() });
    world.advance_s(MINUTE_S);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 3);
}

#[tokio::test]
async fn a_retry_that_is_in_the_queue_twice_is_made_once() {
    let world = World::new();
    let msgs = due_in(&world, 0, 2).await;
    let plan = Plan::new(vec![(0, Fault::After)]);
    let unlucky = sweeper_with_retries(&world, Faulty::new(world.queues.retries.clone(), &plan));
    // They were sent, but the sweep does not know it and gives its claims back.
    assert_eq!(unlucky.run(None).await, Report { failed: 2, ..Report::default() });
    assert_eq!(world.sweep().await, Report { enqueued: 2, ..Report::default() });
    assert_eq!(world.queues.retries.len(), 4);
    world.live_s(3_600).await;
    assert_eq!(world.network.sent().len(), 2);
    for msg in &msgs {
        assert_eq!(codes(&world, msg).await, [500, 200]);
    }
}

#[tokio::test]
async fn a_retry_that_never_reached_the_queue_is_found_by_the_sweep() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    let unlucky = dispatcher_with_retries(&world, Down::default());
    let batch = world.queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    assert_eq!(unlucky.handle(batch.clone(), None).await, [batch[0].id.clone()]);
    // And the record, which would have repaired it, is gone as well.
    world.queues.deliveries.delete(&[batch[0].receipt.clone()]).await.unwrap();
    let next_at = to_come(&world, &msg, &ep).await.next.at();
    world.clock.advance_ms(next_at.since(START) + QUEUE_GRACE_MS - 1);
    assert_eq!(world.sweep().await, Report::default());
    world.clock.advance_ms(1);
    assert_eq!(world.sweep().await, Report { enqueued: 1, ..Report::default() });
    world.dispatch_all().await;
    assert_eq!(codes(&world, &msg).await, [500, 200]);
}

#[tokio::test]
async fn a_retry_that_never_reached_the_queue_is_sent_when_the_first_record_comes_again() {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    let unlucky = dispatcher_with_retries(&world, Down::default());
    let batch = world.queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    assert_eq!(unlucky.handle(batch, None).await.len(), 1);
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    assert_eq!(codes(&world, &msg).await, [500, 200]);
}

#[tokio::test]
async fn a_first_attempt_that_was_leased_and_never_made_is_found_by_the_sweep() {
    let world = World::build(Builder {
        settings: Settings { always_lease: true, ..Settings::default() },
        ..Builder::default()
    });
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({})).await;
    let plan = Plan::new(vec![(0, Fault::DieBefore)]);
    let mut parts = world.parts.clone();
    parts.sender = Arc::new(Faulty::new(Shared(world.network.clone()), &plan));
    let mortal = Dispatcher::new(parts);
    let batch = world.queues.deliveries.receive(MAX_BATCH, 0).await.unwrap();
    let receipt = batch[0].receipt.clone();
    tokio::select! {
        () = plan.death() => {}
        undone = mortal.handle(batch, None) => panic!("survived: {undone:?}"),
    }
    // The record is lost, too.
    world.queues.deliveries.delete(&[receipt]).await.unwrap();
    world.clock.advance_ms(QUEUE_GRACE_MS);
    assert_eq!(world.sweep().await, Report { enqueued: 1, ..Report::default() });
    world.dispatch_all().await;
    assert_eq!(codes(&world, &msg).await, [200]);
}

// Many, and little time.

#[tokio::test]
async fn one_run_sends_everything_that_is_due_in_a_shard() {
    let world = World::new();
    due_in(&world, 7, 230).await;
    assert_eq!(world.sweep().await, Report { enqueued: 230, ..Report::default() });
    world.advance_s(MINUTE_S);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 230);
}

#[tokio::test]
async fn a_backlog_is_claimed_side_by_side_and_sent_in_tens() {
    let world = World::new();
    for shard in 0..4 {
        due_in(&world, shard, 150).await;
    }
    world.gauge.switch_on();
    assert_eq!(world.sweep().await, Report { enqueued: 600, ..Report::default() });
    let (store, queue) = (world.gauge.store(), world.gauge.queue());
    // A page of each shard, a second one of these four, and a claim each.
    assert_eq!(store.calls(), DUE_SHARDS as usize + 4 + 600);
    let Concurrency { reads, calls } = Concurrency::default();
    assert!((calls..=calls + reads).contains(&store.most()), "{}", store.most());
    assert_eq!(queue.calls(), 60);
    assert!(queue.most() >= 10, "{}", queue.most());
}

#[tokio::test]
async fn a_run_with_nothing_to_do_asks_for_few_shards_at_once() {
    let world = World::new();
    world.gauge.switch_on();
    assert_eq!(world.sweep().await, Report::default());
    let store = world.gauge.store();
    assert_eq!((store.calls(), store.most()), (DUE_SHARDS as usize, Concurrency::default().reads));
}

#[tokio::test]
async fn no_more_is_done_at_once_than_is_allowed() {
    let world = World::new();
    due_in(&world, 3, 30).await;
    world.gauge.switch_on();
    let concurrency = Concurrency { reads: 1, calls: 2 };
    let slow = Sweeper { concurrency, ..world.sweeper.clone() };
    assert_eq!(slow.run(None).await.enqueued, 30);
    assert_eq!(world.gauge.store().most(), 3);
}

#[tokio::test]
async fn the_parts_of_a_run_do_different_things_and_together_all_of_them() {
    let world = World::new();
    for shard in [0, 1, 6, 11] {
        due_in(&world, shard, 2).await;
    }
    put(&world.queues.deliveries_dlq, "nonsense").await;
    let mut shards = Vec::new();
    for number in 0..4 {
        let part = Part::of(&json!({"part": number, "parts": 4}));
        assert_eq!(part.number(), number);
        shards.extend(part.shards());
        let parked = usize::from(number == 0);
        let expected = Report { enqueued: 2, parked, ..Report::default() };
        assert_eq!(world.sweeper.run_part(part, None).await, expected, "part {number}");
    }
    shards.sort_unstable();
    assert_eq!(shards, (0..DUE_SHARDS).collect::<Vec<_>>());
    assert_eq!(world.sweep().await, Report::default());
}

#[test]
fn an_event_that_names_no_part_asks_for_everything() {
    for event in [
        json!({}),
        json!(null),
        json!({"detail-type": "Scheduled Event", "source": "aws.scheduler"}),
        json!({"part": 4, "parts": 4}),
        json!({"part": 0, "parts": 0}),
        json!({"part": -1, "parts": 4}),
        json!({"part": "0", "parts": "4"}),
    ] {
        assert_eq!(Part::of(&event), Part::WHOLE, "{event}");
    }
}

#[tokio::test]
async fn a_run_ends_although_the_queue_is_down() {
    let world = World::new();
    due_in(&world, 7, 120).await;
    let unlucky = sweeper_with_retries(&world, Down::for_calls(50));
    assert_eq!(unlucky.run(None).await, Report { failed: 100, ..Report::default() });
    assert_eq!(world.sweep().await, Report { enqueued: 120, ..Report::default() });
}

#[tokio::test]
async fn a_shard_that_cannot_be_read_does_not_stop_the_others() {
    let world = World::new();
    due_in(&world, 0, 2).await;
    due_in(&world, 9, 3).await;
    let plan = Plan::new(vec![(0, Fault::Before)]);
    let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &plan));
    let unlucky = Sweeper { deliveries: Deliveries::new(table), ..world.sweeper.clone() };
    assert_eq!(unlucky.run(None).await, Report { enqueued: 3, failed: 1, ..Report::default() });
    assert_eq!(world.sweep().await, Report { enqueued: 2, ..Report::default() });
}

#[tokio::test]
async fn a_run_without_time_touches_nothing() {
    let world = World::new();
    due_in(&world, 0, 2).await;
    put(&world.queues.deliveries_dlq, "nonsense").await;
    let late = START.plus_ms(4_999);
    assert_eq!(world.sweeper.run(Some(late)).await, Report::default());
    let in_time = START.plus_ms(5_000);
    let expected = Report { enqueued: 2, parked: 1, ..Report::default() };
    assert_eq!(world.sweeper.run(Some(in_time)).await, expected);
}

#[tokio::test]
async fn a_run_stops_when_its_time_is_over_and_the_next_one_does_the_rest() {
    let world = World::new();
    due_in(&world, 0, 2).await;
    due_in(&world, DUE_SHARDS - 1, 3).await;
    put(&world.queues.deliveries_dlq, "nonsense").await;
    // Every page takes a second; of ten, five are kept for ending in order, and one for tasks.
    let table = Arc::new(Tired { inner: world.table.clone(), clock: world.clock.clone() });
    let tired = Sweeper { deliveries: Deliveries::new(table), ..world.sweeper.clone() };
    let deadline = world.ambient.now().plus_ms(10_000);
    let expected = Report { enqueued: 2, ..Report::default() };
    assert_eq!(tired.run(Some(deadline)).await, expected);
    assert!(world.ambient.now() < deadline.minus_ms(3_000), "it went on");
    let rest = Report { enqueued: 3, parked: 1, ..Report::default() };
    assert_eq!(world.sweep().await, rest);
}

#[tokio::test]
async fn a_run_stops_between_two_pages_of_a_shard_when_its_time_is_over() {
    let world = World::new();
    due_in(&world, 4, 230).await;
    let table = Arc::new(Tired { inner: world.table.clone(), clock: world.clock.clone() });
    let tired = Sweeper { deliveries: Deliveries::new(table), ..world.sweeper.clone() };
    // The first pages of all 64 shards and one more; then the sweep's share is used up:
    // three quarters of what is left without the five seconds for ending in order.
    let deadline = world.ambient.now().plus_ms(91_000);
    let expected = Report { enqueued: 200, ..Report::default() };
    assert_eq!(tired.run(Some(deadline)).await, expected);
    assert_eq!(world.sweep().await, Report { enqueued: 30, ..Report::default() });
}

// Dead records.

#[tokio::test]
async fn a_record_that_keeps_failing_is_redriven_once_then_parked_and_delivered_by_the_operator() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({"secret": "payload"})).await;
    let broken = broken_dispatcher(&world);
    let (queue, dead) = (&world.queues.deliveries, &world.queues.deliveries_dlq);

    die(&world, &broken, queue).await;
    assert_eq!((queue.len(), dead.len()), (0, 1));
    assert_eq!(world.sweep().await, Report { redriven: 1, ..Report::default() });
    assert_eq!((queue.len(), dead.len()), (1, 0));

    die(&world, &broken, queue).await;
    assert_eq!((queue.len(), dead.len()), (0, 1));
    assert_eq!(parked(&world).await, NO_VALUES);
    assert_eq!(world.sweep().await, Report { parked: 1, ..Report::default() });
    assert_eq!((queue.len(), dead.len()), (0, 0));

    let shown = parked(&world).await;
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0]["queue"], "deliveries");
    assert_eq!(shown[0]["timestamp"], world.ambient.now().to_rfc3339());
    let reason = text(&shown[0]["reason"]);
    assert!(reason.contains("even after one redrive"), "{reason}");
    assert!(!shown[0].to_string().contains("payload"), "{shown:?}");
    assert_eq!(world.network.sent(), []);

    redrive(&world, &shown[0]).await;
    assert_eq!(parked(&world).await, NO_VALUES);
    world.dispatch_all().await;
    assert_eq!(codes(&world, &msg).await, [200]);
    assert_eq!(&world.network.sent()[0].body[..], br#"{"secret":"payload"}"#);
}

#[tokio::test]
async fn a_record_that_dies_again_after_the_operator_sent_it_back_is_parked_again() {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.publish(&app, json!({})).await;
    let broken = broken_dispatcher(&world);
    for _ in 0..2 {
        die(&world, &broken, &world.queues.deliveries).await;
        world.sweep().await;
    }
    redrive(&world, &parked(&world).await[0]).await;
    die(&world, &broken, &world.queues.deliveries).await;
    assert_eq!(world.sweep().await, Report { parked: 1, ..Report::default() });
    assert_eq!(parked(&world).await.len(), 1);
}

#[tokio::test]
async fn a_retry_that_died_goes_back_to_the_retries() {
    let (world, _, msgs) = waiting(1, 5).await;
    world.advance_s(7);
    die(&world, &broken_dispatcher(&world), &world.queues.retries).await;
    let dead = &world.queues.retries_dlq;
    assert_eq!((world.queues.retries.len(), dead.len()), (0, 1));
    let report = world.sweep().await;
    // The sweep has found the delivery as well by then, which is harmless.
    assert_eq!((report.redriven, report.parked, report.failed), (1, 0, 0), "{report:?}");
    assert!(world.queues.deliveries.is_empty() && dead.is_empty());
    world.dispatch_all().await;
    assert_eq!(codes(&world, &msgs[0]).await, [500, 200]);
    assert_eq!(world.network.sent().len(), 2);
}

#[tokio::test]
async fn a_dead_record_that_cannot_be_read_is_parked_at_once_with_its_reason() {
    let world = World::new();
    put(&world.queues.deliveries_dlq, "not JSON").await;
    put(&world.queues.retries_dlq, r#"{"v":1,"kind":"parcel"}"#).await;
    put(&world.queues.retries_dlq, r#"{"v":99,"kind":"retry"}"#).await;
    assert_eq!(world.sweep().await, Report { parked: 1, ..Report::default() });
    // The others may be a newer version's. They have a day to find it.
    world.advance_s(86_000);
    assert_eq!(world.sweep().await, Report::default());
    assert_eq!((world.queues.retries_dlq.len(), parked(&world).await.len()), (2, 1));
    world.advance_s(500);
    assert_eq!(world.sweep().await, Report { parked: 2, ..Report::default() });
    assert!(world.queues.deliveries_dlq.is_empty() && world.queues.retries_dlq.is_empty());
    let mut shown: Vec<(String, String)> = parked(&world)
        .await
        .iter()
        .map(|parked| (text(&parked["queue"]), text(&parked["reason"])))
        .collect();
    shown.sort();
    let [(deliveries, json), (retries, format), (_, kind)] = &shown[..] else {
        panic!("{shown:?}")
    };
    assert_eq!((deliveries.as_str(), retries.as_str()), ("deliveries", "retries"));
    assert!(json.starts_with("not a record: "), "{json}");
    // The reason is logged, so it quotes nothing.
    assert_eq!(kind, "its `kind` is not one that this Posthorn reads");
    assert_eq!(format, "format 99 is not one that this Posthorn reads");
    // Sending it back would not make it readable.
    let id = text(&parked(&world).await[0]["id"]);
    let path = format!("/api/v1/operator/parked/{id}/redrive");
    assert_eq!(world.call("POST", &path, Value::Null).await.status, 400);
    assert_eq!(parked(&world).await.len(), 3);
}

#[tokio::test]
async fn a_record_that_cannot_be_parked_stays_dead_until_it_can() {
    let world = World::new();
    put(&world.queues.deliveries_dlq, "nonsense").await;
    let plan = Plan::new(vec![(0, Fault::Before)]);
    let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &plan));
    let unlucky = Sweeper { parking: Parking::new(table), ..world.sweeper.clone() };
    assert_eq!(unlucky.run(None).await, Report { failed: 1, ..Report::default() });
    assert_eq!((world.queues.deliveries_dlq.len(), parked(&world).await.len()), (1, 0));
    world.advance_s(VISIBILITY_S.into());
    assert_eq!(world.sweep().await, Report { parked: 1, ..Report::default() });
    assert_eq!((world.queues.deliveries_dlq.len(), parked(&world).await.len()), (0, 1));
}

#[tokio::test]
async fn a_record_that_cannot_be_redriven_stays_dead_until_it_can() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({})).await;
    die(&world, &broken_dispatcher(&world), &world.queues.deliveries).await;
    let mut unlucky = world.sweeper.clone();
    unlucky.redrives[0].queue = Arc::new(Down::default());
    assert_eq!(unlucky.run(None).await, Report { failed: 1, ..Report::default() });
    assert_eq!((world.queues.deliveries.len(), world.queues.deliveries_dlq.len()), (0, 1));
    world.advance_s(VISIBILITY_S.into());
    assert_eq!(world.sweep().await, Report { redriven: 1, ..Report::default() });
    world.dispatch_all().await;
    assert_eq!(codes(&world, &msg).await, [200]);
}

#[tokio::test]
async fn a_record_that_was_redriven_but_not_deleted_is_delivered_once() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({})).await;
    die(&world, &broken_dispatcher(&world), &world.queues.deliveries).await;
    // The first call receives, the second deletes.
    let plan = Plan::new(vec![(1, Fault::Before)]);
    let mut unlucky = world.sweeper.clone();
    unlucky.redrives[0].dead_letters =
        Arc::new(Faulty::new(world.queues.deliveries_dlq.clone(), &plan));
    let expected = Report { redriven: 1, failed: 1, ..Report::default() };
    assert_eq!(unlucky.run(None).await, expected);
    world.advance_s(VISIBILITY_S.into());
    assert_eq!(world.sweep().await, Report { redriven: 1, ..Report::default() });
    assert_eq!(world.queues.deliveries.len(), 2);
    world.live_s(600).await;
    assert_eq!(codes(&world, &msg).await, [200]);
    assert_eq!((world.network.sent().len(), world.queues.deliveries.len()), (1, 0));
}

#[tokio::test]
async fn a_dead_letter_queue_that_cannot_be_read_does_not_stop_the_others() {
    let world = World::new();
    due_in(&world, 3, 1).await;
    put(&world.queues.deliveries_dlq, "nonsense").await;
    put(&world.queues.retries_dlq, "nonsense").await;
    let plan = Plan::new(vec![(0, Fault::Before)]);
    let mut unlucky = world.sweeper.clone();
    unlucky.redrives[0].dead_letters =
        Arc::new(Faulty::new(world.queues.deliveries_dlq.clone(), &plan));
    let expected = Report { enqueued: 1, parked: 1, failed: 1, ..Report::default() };
    assert_eq!(unlucky.run(None).await, expected);
    assert_eq!((world.queues.deliveries_dlq.len(), world.queues.retries_dlq.len()), (1, 0));
}

#[tokio::test]
async fn more_dead_records_than_a_batch_are_handled_in_one_run() {
    let world = World::new();
    for _ in 0..25 {
        put(&world.queues.deliveries_dlq, "nonsense").await;
    }
    assert_eq!(world.sweep().await, Report { parked: 25, ..Report::default() });
    assert_eq!(parked(&world).await.len(), 25);
}

// Helpers.

const NO_VALUES: [Value; 0] = [];

/// Messages whose first attempt has failed, and which are tried again once after `delay_s`, with
/// jitter. They arrive then.
async fn waiting(messages: usize, delay_s: u64) -> (World, String, Vec<String>) {
    let settings = Settings { schedule: Schedule::new(vec![delay_s]), ..Settings::default() };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let mut msgs = Vec::new();
    for n in 0..messages {
        world.network.next(URL, answer(500));
        msgs.push(world.publish(&app, json!({"n": n})).await);
    }
    world.dispatch_all().await;
    (world, ep, msgs)
}

/// Deliveries of one shard of the index that are due now: their first attempt has failed, and
/// the next comes in a minute.
pub(crate) async fn due_in(world: &World, shard: u32, count: usize) -> Vec<String> {
    let (now, inbox) = (world.ambient.now(), Inbox::new(world.table.clone()));
    let new_id = || MessageId::from_key(now, MessageKey::new(&world.ambient));
    let (app, ep) = loop {
        let app = world.application().await;
        let ep: EndpointId = world.endpoint(&app, URL).await.parse().expect("an id");
        let app: ApplicationId = app.parse().expect("an id");
        // What is due of one application is in a few shards.
        if (0..100).any(|_| due_shard_of(&app, &new_id(), &ep) == shard) {
            break (app, ep);
        }
    };
    let ids: Vec<MessageId> = std::iter::repeat_with(new_id)
        .filter(|msg| due_shard_of(&app, msg, &ep) == shard)
        .take(count)
        .collect();
    join_all(ids.iter().map(|id| async {
        let new = NewMessage::of("test.event", "{}");
        let message = Message::new(new, app, id.key(), now, 24);
        inbox.accept(&message).await.expect("an answer");
        let attempt = failed(world, &message, ep);
        let retry = Outcome::Retry { at: now.plus_ms(MINUTE_S * 1000) };
        let deliveries = Deliveries::new(world.table.clone());
        deliveries.record(&attempt, &message, None, &retry, &[], now).await.expect("an answer");
        let found = deliveries.delivery(id, &ep).await.expect("an answer").expect("a delivery");
        // Due at once, as what a sweep could not send.
        deliveries.advance(&found, Event::Unclaimed, now).await.expect("an answer");
    }))
    .await;
    ids.iter().map(MessageId::to_string).collect()
}

/// A first attempt of a message that failed just now.
pub(crate) fn failed(world: &World, message: &Message, ep: EndpointId) -> Attempt {
    Attempt {
        id: AttemptId::new(&world.ambient),
        msg: message.id,
        app: message.app,
        ep,
        trigger: Trigger::Scheduled(1),
        by_hand: false,
        at: world.ambient.now(),
        url: URL.to_owned(),
        ok: false,
        status: 500,
        ms: 7,
        response: String::new(),
        headers: Vec::new(),
        event_type: message.event_type.clone(),
        channels: Vec::new(),
        tags: Vec::new(),
        subject: None,
        spread: Spread::default(),
    }
}

async fn delivery(world: &World, msg: &str, ep: &str) -> Delivery {
    let (msg, ep) = (msg.parse().expect("an id"), ep.parse().expect("an id"));
    let found = world.parts.deliveries.delivery(&msg, &ep).await.expect("an answer");
    found.expect("a delivery").value
}

/// What is to come of a delivery.
async fn to_come(world: &World, msg: &str, ep: &str) -> Pending {
    *delivery(world, msg, ep).await.pending().expect("a pending delivery")
}

/// The status codes of a message's attempts, in order of their numbers.
async fn codes(world: &World, msg: &str) -> Vec<u16> {
    let mut attempts = world
        .admin
        .history
        .attempts_of_message(&msg.parse().expect("an id"))
        .await
        .expect("a list");
    attempts.sort_by_key(|attempt| match attempt.trigger {
        Trigger::Scheduled(number) => number,
        Trigger::Manual(_) => u32::MAX,
    });
    attempts.iter().map(|attempt| attempt.status).collect()
}

async fn parked(world: &World) -> Vec<Value> {
    let reply = world.call("GET", "/api/v1/operator/parked", Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("a list").clone()
}

async fn redrive(world: &World, parked: &Value) {
    let path = format!("/api/v1/operator/parked/{}/redrive", text(&parked["id"]));
    let reply = world.call("POST", &path, Value::Null).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

async fn put(queue: &EmbeddedQueue, body: &str) {
    let record = Outgoing { body: body.to_owned(), group: "test".to_owned(), delay_s: 0 };
    queue.send(vec![record]).await.expect("an answer").remove(0).expect("sent");
}

/// A dispatcher that cannot read any application.
fn broken_dispatcher(world: &World) -> Dispatcher {
    let plan = Plan::new((0..1000).map(|call| (call, Fault::Before)).collect());
    let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &plan));
    let mut parts = world.parts.clone();
    parts.directory = Directory::new(table);
    Dispatcher::new(parts)
}

/// Lets this dispatcher fail with the only record in the queue until that is dead.
async fn die(world: &World, dispatcher: &Dispatcher, queue: &EmbeddedQueue) {
    for receive in 1..=MAX_RECEIVES {
        let batch = queue.receive(MAX_BATCH, 0).await.expect("a batch");
        assert_eq!(batch.len(), 1, "receive {receive}");
        assert_eq!(batch[0].receive_count, receive);
        assert_eq!(dispatcher.handle(batch, None).await.len(), 1, "receive {receive}");
        world.advance_s(VISIBILITY_S.into());
    }
    assert_eq!(queue.receive(MAX_BATCH, 0).await.expect("a batch"), []);
    // The queue writes a dead record down in its own time; this waits until it has.
    put(queue, "marker").await;
    let marker = queue.receive(MAX_BATCH, 0).await.expect("a batch").remove(0);
    queue.delete(&[marker.receipt]).await.expect("a deletion");
}

fn sweeper_with_retries(world: &World, retries: impl Producer + 'static) -> Sweeper {
    Sweeper { retries: Arc::new(retries), ..world.sweeper.clone() }
}

fn dispatcher_with_retries(world: &World, retries: impl Producer + 'static) -> Dispatcher {
    let mut parts = world.parts.clone();
    parts.retries = Arc::new(retries);
    Dispatcher::new(parts)
}

/// A queue that takes nothing.
struct Down {
    calls: AtomicUsize,
    most: usize,
}

impl Default for Down {
    fn default() -> Self {
        Self::for_calls(1000)
    }
}

impl Down {
    /// Whoever asks more often than that does not know when to stop.
    fn for_calls(most: usize) -> Self {
        Self { calls: AtomicUsize::new(0), most }
    }
}

#[async_trait]
impl Producer for Down {
    async fn send(&self, _: Vec<Outgoing>) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let calls = self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(calls < self.most, "asked {calls} times");
        Err(QueueError::Unavailable("down".to_owned()))
    }
}

/// A table whose reader of due deliveries holds a page for a while before it looks at it.
struct Held {
    inner: Arc<dyn Table>,
    read: Semaphore,
    go_on: Semaphore,
}

impl Held {
    fn new(world: &World) -> Self {
        let inner = world.table.clone();
        Self { inner, read: Semaphore::new(0), go_on: Semaphore::new(0) }
    }
}

#[async_trait]
impl Table for Held {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let page = self.inner.query(query).await;
        if query.index == Index::Due {
            self.read.add_permits(1);
            self.go_on.acquire().await.expect("a permit").forget();
        }
        page
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.inner.transact(writes).await
    }
}

/// A table that takes a second for every page.
pub(crate) struct Tired {
    pub(crate) inner: Arc<dyn Table>,
    pub(crate) clock: Arc<StillClock>,
}

#[async_trait]
impl Table for Tired {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.clock.advance_ms(1_000);
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.inner.transact(writes).await
    }
}
