//! The rates that endpoints and applications ask for: kept, and waiting is not an attempt.

use std::collections::BTreeSet;

use dispatch::{Dispatcher, Settings};
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::domain::schedule::Schedule;
use shared::queue::record::redriven;
use shared::queue::{Consumer, Producer};

use crate::support::faults::Fault;
use crate::support::network::{answer, header};
use crate::support::world::{Builder, World, text};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn a_second_gets_no_more_than_the_rate() {
    let (world, app) = World::with_application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 5})).await;
    publish(&world, &app, 13).await;
    let mut sent = Vec::new();
    for _ in 0..4 {
        world.dispatch_all().await;
        sent.push(world.network.sent().len());
        world.advance_s(1);
    }
    // Those that wait have moments of their own, and come in whole seconds here.
    assert_eq!(sent, [5, 6, 11, 13]);
}

/// An application and an endpoint of it, each with a rate if it has one, and what waits for them.
async fn rated(
    of_application: Value,
    of_endpoint: Value,
    waiting: usize,
) -> (World, String, String) {
    let world = World::new();
    let body = json!({"name": "Rated", "throttleRate": of_application});
    let app = text(&world.call("POST", "/api/v1/app", body).await.body["id"]);
    let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": of_endpoint})).await;
    publish(&world, &app, waiting).await;
    world.dispatch_all().await;
    (world, app, ep)
}

async fn raise(world: &World, path: String, rate: u16) {
    let raised = world.call("PATCH", &path, json!({"throttleRate": rate})).await;
    assert_eq!(raised.status, 200, "{raised:?}");
}

/// How much was sent to the endpoint after so many seconds.
async fn sent_after(world: &World, seconds: u64) -> usize {
    for second in 1..=seconds {
        world.advance_s(1);
        world.dispatch_all().await;
        if second % 60 == 0 {
            world.sweep().await;
        }
    }
    world.network.sent_to(URL).len()
}

#[tokio::test]
async fn an_applications_rate_that_is_raised_puts_nothing_off_that_waits_for_an_endpoints() {
    let (world, app, _) = rated(json!(5), json!(1), 40).await;
    raise(&world, format!("/api/v1/app/{app}"), 50).await;
    assert_eq!(sent_after(&world, 45).await, 40);
}

#[tokio::test]
async fn an_endpoints_rate_that_is_raised_does_not_put_it_behind_its_application() {
    let (world, app, ep) = rated(json!(2), json!(1), 20).await;
    let other = json!({"url": "http://127.0.0.1:9/other"});
    world.endpoint_with(&app, other).await;
    publish(&world, &app, 100).await;
    world.dispatch_all().await;
    raise(&world, format!("/api/v1/app/{app}/endpoint/{ep}"), 2).await;
    let sent = sent_after(&world, 60).await;
    assert!(sent >= 20, "{sent} in a minute");
}

#[tokio::test]
async fn an_endpoints_rate_that_is_raised_counts_at_once_where_its_application_has_plenty() {
    let (world, app, ep) = rated(json!(1_000), json!(1), 40).await;
    raise(&world, format!("/api/v1/app/{app}/endpoint/{ep}"), 20).await;
    assert_eq!(sent_after(&world, 10).await, 40);
}

#[tokio::test]
async fn waiting_is_not_an_attempt_and_costs_none() {
    let (world, app) = World::with_application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    let ids = publish(&world, &app, 2).await;
    world.dispatch_all().await;
    assert_eq!(world.attempts(&app, &ids[0]).await.len(), 1);
    assert_eq!(world.attempts(&app, &ids[1]).await.len(), 0);
    world.network.always(URL, answer(500));
    world.live_s(2 * 86_400).await;
    // All eight of the schedule.
    assert_eq!(world.attempts(&app, &ids[1]).await.len(), 8);
}

#[tokio::test]
async fn another_endpoint_does_not_wait() {
    let (world, app) = World::with_application().await;
    let slow = format!("{URL}/slow");
    world.endpoint_with(&app, json!({"url": slow, "throttleRate": 1})).await;
    world.endpoint(&app, URL).await;
    publish(&world, &app, 4).await;
    world.dispatch_all().await;
    let sent = |url: &str| world.network.sent_to(url).len();
    assert_eq!((sent(&slow), sent(URL)), (1, 4));
    world.live_s(10).await;
    assert_eq!((sent(&slow), sent(URL)), (4, 4));
}

#[tokio::test]
async fn an_applications_rate_is_for_all_its_endpoints_together() {
    let world = World::new();
    let body = json!({"name": "C", "throttleRate": 3});
    let app = text(&world.call("POST", "/api/v1/app", body).await.body["id"]);
    for n in 0..2 {
        world.endpoint(&app, &format!("{URL}/{n}")).await;
    }
    publish(&world, &app, 3).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 3);
    world.advance_s(1);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 4);
    world.advance_s(1);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 6);
}

#[tokio::test]
async fn what_waits_longer_than_the_queue_can_hold_comes_with_the_sweep() {
    let (world, app) = World::with_application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    publish(&world, &app, 1_000).await;
    world.dispatch_all().await;
    world.live_s(500).await;
    let sent = world.network.sent().len();
    assert!((450..=501).contains(&sent), "{sent}");
    world.live_s(700).await;
    let mut ids: Vec<String> =
        world.network.sent().iter().map(|sent| header(sent, "webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((world.network.sent().len(), ids.len()), (1_000, 1_000));
}

#[tokio::test]
async fn what_waits_for_a_rate_goes_out_when_it_is_lifted() {
    for of_application in [false, true] {
        let (world, app, ep) = World::with_endpoint(URL).await;
        let other = format!("{URL}/other");
        world.endpoint(&app, &other).await;
        let path = match of_application {
            true => format!("/api/v1/app/{app}"),
            false => format!("/api/v1/app/{app}/endpoint/{ep}"),
        };
        see_to(&world, &path, json!({"throttleRate": 1})).await;
        publish(&world, &app, 300).await;
        world.dispatch_all().await;
        world.live_s(10).await;
        assert!(world.network.sent_to(URL).len() < 20);
        see_to(&world, &path, json!({"throttleRate": null})).await;
        // What comes later does not wait behind those that did.
        publish(&world, &app, 1).await;
        world.live_s(15).await;
        assert_eq!(each_once(&world, URL), 301, "of the application: {of_application}");
        assert_eq!(each_once(&world, &other), 301, "of the application: {of_application}");
    }
}

#[tokio::test]
async fn what_waits_for_a_rate_goes_out_at_the_new_one_when_it_is_raised() {
    let (world, app, ep) = stage().await;
    publish(&world, &app, 200).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    see_to(&world, &path, json!({"throttleRate": 20})).await;
    let sent = one_a_second(&world, 20).await;
    // And those whose moments of before have come.
    assert!(sent.windows(2).all(|sent| sent[1] - sent[0] <= 21), "{sent:?}");
    assert_eq!((sent[4] < 10, each_once(&world, URL)), (true, 200), "{sent:?}");
}

#[tokio::test]
async fn what_waits_for_a_rate_goes_out_once_though_a_call_fails_when_it_is_lifted() {
    let faults =
        (0..24).map(|call| (call, if call % 4 == 3 { Fault::After } else { Fault::Before }));
    for (call, fault) in faults {
        let (world, app, ep) = stage().await;
        publish(&world, &app, 100).await;
        world.dispatch_all().await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        see_to(&world, &path, json!({"throttleRate": null})).await;
        for _ in 0..4 {
            world.advance_s(1);
            world.dispatch_all().await;
        }
        world.advance_s(2);
        world.plan.fail_after(call, fault);
        world.dispatch().await;
        world.live_s(60).await;
        let sent = world.network.sent();
        let ids: BTreeSet<&str> = sent.iter().map(|sent| header(sent, "webhook-id")).collect();
        // But for an attempt that was not recorded.
        assert!(ids.len() == 100 && sent.len() <= 101, "{fault:?} in call {call}: {}", sent.len());
    }
}

#[tokio::test]
async fn a_rate_that_is_lowered_or_leaves_nobody_waiting_releases_nothing() {
    for (before, after) in [(2, 1), (50, 100)] {
        let (world, app) = World::with_application().await;
        let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": before})).await;
        publish(&world, &app, 10).await;
        world.dispatch_all().await;
        let queued = world.queues.retries.len();
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        see_to(&world, &path, json!({"throttleRate": after})).await;
        let sent = usize::from(after > before);
        assert_eq!(world.queues.retries.len(), queued + sent);
        world.live_s(30).await;
        assert_eq!(each_once(&world, URL), 10);
    }
}

#[tokio::test]
async fn a_record_that_comes_again_does_not_bring_what_waits_forward() {
    let (world, app) = World::with_application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    publish(&world, &app, 1).await;
    world.dispatch_all().await;
    // The second is put off, and sending it on its way fails.
    publish(&world, &app, 1).await;
    world.plan.fail_after(2, Fault::Before);
    world.dispatch_all().await;
    assert_eq!((world.plan.fired(), world.network.sent().len()), (1, 1));
    world.live_s(600).await;
    assert_eq!(world.network.sent().len(), 2);
}

#[tokio::test]
async fn retries_count_against_the_rate() {
    let (world, app) = World::with_application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    world.network.next(URL, answer(500));
    publish(&world, &app, 1).await;
    world.dispatch_all().await;
    world.advance_s(7);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 2);
    publish(&world, &app, 1).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 2);
    world.advance_s(1);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 3);
}

#[tokio::test]
async fn retries_beyond_the_rate_wait() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    for _ in 0..5 {
        world.network.next(URL, answer(500));
    }
    let ids = publish(&world, &app, 5).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &path, json!({"throttleRate": 1})).await;
    world.advance_s(7);
    assert_eq!(one_a_second(&world, 5).await, [6, 7, 8, 9, 10]);
    for id in ids {
        assert_eq!(world.attempts(&app, &id).await.len(), 2);
    }
}

#[tokio::test]
async fn messages_whose_time_has_come_wait_for_the_rate() {
    let (world, app, _) = stage().await;
    let at = world.ambient.now().plus_ms(600_000).to_rfc3339();
    for n in 0..5 {
        let body = json!({"eventType": "a.b", "payload": {"n": n}, "deliverAt": at});
        world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    }
    world.advance_s(590);
    world.sweep().await;
    world.advance_s(10);
    assert_eq!(one_a_second(&world, 5).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn replayed_messages_wait_for_the_rate() {
    for one_process in [true, false] {
        let world = World::build(Builder { one_process, ..Builder::default() });
        let app = world.application().await;
        let since = world.ambient.now().to_rfc3339();
        publish(&world, &app, 5).await;
        world.dispatch_all().await;
        let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/replay-missing");
        world.call("POST", &path, json!({"since": since})).await;
        // Elsewhere than in the dispatchers' process, a replay waits for theirs to be over.
        world.advance_s(if one_process { 0 } else { 80 });
        assert_eq!(one_a_second(&world, 5).await, [1, 2, 3, 4, 5], "{one_process}");
    }
}

#[tokio::test]
async fn recovered_messages_wait_for_the_rate() {
    let schedule = Schedule::new(vec![5]);
    let settings = Settings { schedule, ..Settings::default() };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    let since = world.ambient.now().to_rfc3339();
    for _ in 0..10 {
        world.network.next(URL, answer(500));
    }
    publish(&world, &app, 5).await;
    world.live_s(120).await;
    let before = world.network.sent().len();
    assert_eq!(before, 10);
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/recover");
    world.call("POST", &path, json!({"since": since})).await;
    assert_eq!(one_a_second(&world, 5).await, [11, 12, 13, 14, 15]);
}

#[tokio::test]
async fn redriven_messages_wait_for_the_rate() {
    let (world, app, _) = stage().await;
    publish(&world, &app, 5).await;
    let batch = world.queues.deliveries.receive(10, 0).await.unwrap();
    assert_eq!(batch.len(), 5);
    let records = batch.iter().map(|record| redriven(&record.body, 0).unwrap().0);
    world.queues.deliveries.send(records.collect()).await.unwrap();
    assert_eq!(one_a_second(&world, 5).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn messages_that_are_sent_by_hand_wait_for_the_rate() {
    let (world, app, ep) = stage().await;
    let ids = publish(&world, &app, 5).await;
    world.live_s(30).await;
    for msg in &ids {
        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
        assert_eq!(world.call("POST", &path, Value::Null).await.status, 202);
    }
    assert_eq!(one_a_second(&world, 5).await, [6, 7, 8, 9, 10]);
    for msg in &ids {
        assert_eq!(world.attempts(&app, msg).await.len(), 2);
    }
}

#[tokio::test]
async fn an_attempt_by_hand_that_waited_and_failed_leaves_the_delivery_as_it_was() {
    let (world, app, ep) = stage().await;
    let first = publish(&world, &app, 1).await;
    world.dispatch_all().await;
    world.advance_s(10);
    // One that fails and waits for its retry takes this second.
    world.network.next(URL, answer(500));
    let msg = publish(&world, &app, 1).await.remove(0);
    world.dispatch_all().await;
    let (id, to) = (msg.parse().unwrap(), ep.parse().unwrap());
    let before = world.parts.deliveries.delivery(&id, &to).await.unwrap().unwrap();
    for msg in [&msg, &first[0]] {
        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
        world.network.next(URL, answer(503));
        assert_eq!(world.call("POST", &path, Value::Null).await.status, 202);
    }
    assert_eq!(one_a_second(&world, 3).await, [2, 3, 4]);
    let after = world.parts.deliveries.delivery(&id, &to).await.unwrap().unwrap();
    assert_eq!(after, before);
    let path = format!("/api/v1/app/{app}/msg/{}/endpoint", first[0]);
    let standing = world.call("GET", &path, Value::Null).await.body["data"][0].clone();
    assert_eq!(standing["statusText"], "success");
}

#[tokio::test]
async fn four_processes_together_keep_a_rate() {
    const RATE: usize = 50;
    /// How often it is looked in a second.
    const LOOKS: usize = 10;
    let world = World::build(Builder { one_process: false, ..Builder::default() });
    let app = world.application().await;
    world.endpoint_with(&app, json!({"url": URL, "throttleRate": RATE})).await;
    publish(&world, &app, 200).await;
    let processes = [(); 4].map(|()| Dispatcher::new(world.parts.clone()));
    let mut sent = vec![0];
    for _ in 0..6 * LOOKS {
        while join_all(processes.iter().map(|one| world.dispatch_by(one))).await != [0; 4] {}
        sent.push(world.network.sent().len());
        world.clock.advance_ms(1_000 / LOOKS as u64);
    }
    assert_eq!(sent.last(), Some(&200));
    // What waits comes in whole seconds here, as nothing waits for its moment in hand.
    for second in 0..5 {
        assert!(sent[second * LOOKS + 1] <= RATE * (second + 1), "{sent:?}");
    }
}

#[tokio::test]
async fn a_rate_that_the_store_does_not_give_out_is_asked_for_again() {
    let (world, app, _) = stage().await;
    publish(&world, &app, 1).await;
    // The application is read first.
    world.plan.fail_after(1, Fault::Before);
    world.dispatch_all().await;
    assert_eq!((world.plan.fired(), world.network.sent().len()), (1, 0));
    // Whoever had it first may be busy with it, as far as the next one knows.
    world.live_s(90).await;
    assert_eq!(world.network.sent().len(), 1);
}

/// How many requests there are, from now on each second.
async fn one_a_second(world: &World, seconds: usize) -> Vec<usize> {
    let mut sent = Vec::new();
    for _ in 0..seconds {
        world.dispatch_all().await;
        sent.push(world.network.sent().len());
        world.advance_s(1);
    }
    sent
}

/// An application whose endpoint takes one event a second.
async fn stage() -> (World, String, String) {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": 1})).await;
    (world, app, ep)
}

/// Changes an endpoint or an application.
async fn see_to(world: &World, path: &str, patch: Value) {
    assert_eq!(world.call("PATCH", path, patch).await.status, 200);
}

/// How many messages were sent there, each of them once.
fn each_once(world: &World, url: &str) -> usize {
    let sent = world.network.sent_to(url);
    let ids: BTreeSet<&str> = sent.iter().map(|sent| header(sent, "webhook-id")).collect();
    assert_eq!(ids.len(), sent.len());
    sent.len()
}

async fn publish(world: &World, app: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(world.publish(app, Value::from_iter([("n".to_owned(), json!(n))])).await);
    }
    ids
}
