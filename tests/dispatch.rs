//! What dispatch does with records, endpoints and time.

use std::sync::Arc;

use async_trait::async_trait;
use dispatch::{Dispatcher, Parts, Settings};
use serde_json::{Value, json};
use shared::domain::attempt::EXCERPT_BYTES;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::{Delivery, Reason, State};
use shared::domain::id::MessageId;
use shared::domain::schedule::Schedule;
use shared::domain::secret::{RootSecret, SigningSecret};
use shared::domain::signature;
use shared::queue::embedded::EmbeddedQueue;
use shared::queue::record::{Record, redriven};
use shared::queue::{Consumer, MAX_BATCH, Outgoing, Producer, Received, VISIBILITY_S};
use shared::sender::{Ending, Outbound, Outcome, Sender};
use shared::store::keys::{DUE_SHARDS, message_pk};
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};
use shared::store::{Deliveries, StoreError};
use tokio::sync::Semaphore;

use crate::support::faults::{Fault, Faulty, Plan};
use crate::support::network::{Network, answer, header};
use crate::support::still::{START, StillClock};
use crate::support::world::{Builder, World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const OTHER: &str = "http://127.0.0.1:9/other";

#[tokio::test]
async fn an_accepted_event_arrives_with_the_bytes_that_were_published() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    let body = r#"{"eventType":"a.b","payload":{"b": 1,  "a":"\u00e9é","n":1.0}}"#;
    let request = http::Request::post(format!("/api/v1/app/{app}/msg"))
        .header("authorization", format!("Bearer {}", world.token()))
        .body(body.into())
        .unwrap();
    assert_eq!(world.send(request).await.status, 202);
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 1);
    assert_eq!(&sent[0].body[..], r#"{"b": 1,  "a":"\u00e9é","n":1.0}"#.as_bytes());
    assert_eq!(header(&sent[0], "webhook-id"), header(&sent[0], "svix-id"));
}

#[tokio::test]
async fn a_failed_delivery_is_tried_eight_times_over_a_day_and_then_marked_failed() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.network.always(URL, answer(500));
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.live_s(40 * 3600).await;
    let attempts = world.attempts(&app, &msg).await;
    assert_eq!(attempts.len(), 8);
    assert_eq!(world.network.sent_to(URL).len(), 8);
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
    let destinations = world.call("GET", &path, json!(null)).await;
    assert_eq!(destinations.body["data"][0]["statusText"], "fail");
}

#[tokio::test]
async fn an_endpoint_that_recovers_gets_the_event_and_no_more_attempts() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    world.network.next(URL, Ending::TimedOut);
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.live_s(3600).await;
    let attempts = world.attempts(&app, &msg).await;
    let codes: Vec<_> = attempts.iter().map(|attempt| &attempt["responseStatusCode"]).collect();
    assert_eq!(codes, [500, 0, 200]);
}

// Who gets what.

#[tokio::test]
async fn an_event_goes_to_endpoints_that_chose_its_type_or_none() {
    let world = World::new();
    let app = world.application().await;
    for (name, types) in [
        ("all", json!(null)),
        ("this", json!(["a.b"])),
        ("both", json!(["c.d", "a.b"])),
        ("another", json!(["c.d"])),
        ("prefix", json!(["a"])),
    ] {
        world.endpoint_with(&app, json!({"url": url(name), "eventTypes": types})).await;
    }
    publish(&world, &app, json!({"eventType": "a.b", "payload": {}})).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["all", "both", "this"]);
}

#[tokio::test]
async fn an_event_goes_to_endpoints_that_share_a_channel_or_chose_none() {
    let world = World::new();
    let app = world.application().await;
    for (name, channels) in [
        ("all", json!(null)),
        ("red", json!(["red"])),
        ("two", json!(["green", "blue"])),
        ("green", json!(["green"])),
    ] {
        world.endpoint_with(&app, json!({"url": url(name), "channels": channels})).await;
    }
    let event = json!({"eventType": "a.b", "payload": {}, "channels": ["red", "blue"]});
    publish(&world, &app, event).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["all", "red", "two"]);
}

#[tokio::test]
async fn an_event_without_channels_does_not_reach_endpoints_that_chose_some() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint_with(&app, json!({"url": url("red"), "channels": ["red"]})).await;
    world.endpoint(&app, &url("all")).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["all"]);
}

#[tokio::test]
async fn type_and_channel_must_both_fit() {
    let world = World::new();
    let app = world.application().await;
    for (name, event_type, channel) in
        [("both", "a.b", "red"), ("type", "a.b", "blue"), ("channel", "c.d", "red")]
    {
        let url = url(name);
        let endpoint = json!({"url": url, "eventTypes": [event_type], "channels": [channel]});
        world.endpoint_with(&app, endpoint).await;
    }
    let event = json!({"eventType": "a.b", "payload": {}, "channels": ["red"]});
    publish(&world, &app, event).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["both"]);
}

#[tokio::test]
async fn a_disabled_endpoint_gets_nothing_until_it_is_enabled() {
    let world = World::new();
    let app = world.application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "disabled": true})).await;
    let missed = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent(), []);
    change_endpoint(&world, &app, &ep, json!({"disabled": false})).await;
    let sent = world.publish(&app, json!({"n": 2})).await;
    world.live_s(60).await;
    let ids: Vec<_> =
        world.network.sent().iter().map(|sent| header(sent, "webhook-id").to_owned()).collect();
    assert_eq!(ids, [sent], "and not {missed}");
}

#[tokio::test]
async fn an_event_reaches_no_endpoint_of_another_application() {
    let world = World::new();
    let (app, another) = (world.application().await, world.application().await);
    world.endpoint(&app, &url("own")).await;
    world.endpoint(&another, &url("foreign")).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["own"]);
}

#[tokio::test]
async fn an_event_that_nobody_wants_is_done() {
    let world = World::new();
    let app = world.application().await;
    world.publish(&app, json!({})).await;
    let batch = receive(&world.queues.deliveries).await;
    assert_eq!(batch.len(), 1);
    assert_eq!(world.dispatcher.handle(batch, None).await, NONE);
}

#[tokio::test]
async fn an_event_of_a_deleted_application_is_done_and_goes_nowhere() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.publish(&app, json!({})).await;
    delete(&world, &format!("/api/v1/app/{app}")).await;
    assert_eq!(world.dispatch().await, 1);
    assert_eq!(world.network.sent(), []);
}

#[tokio::test]
async fn a_hundred_endpoints_each_get_the_event_once_signed_with_their_own_secret() {
    let world = World::new();
    let app = world.application().await;
    let mut endpoints = Vec::new();
    for n in 0..100 {
        let url = url(&format!("{n:03}"));
        let ep = world.endpoint(&app, &url).await;
        endpoints.push((url, secret(&world, &app, &ep).await));
    }
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 100);
    for (n, (url, key)) in endpoints.iter().enumerate() {
        let sent = world.network.sent_to(url);
        assert_eq!(sent.len(), 1, "{url}");
        assert_eq!(header(&sent[0], "webhook-id"), msg);
        assert!(is_signed(&sent[0], key, &world), "{url}");
        let (_, neighbour) = &endpoints[(n + 1) % 100];
        assert!(!is_signed(&sent[0], neighbour, &world), "{url}: any secret fits");
    }
}

// The request.

#[tokio::test]
async fn a_request_carries_exactly_the_standard_headers_in_both_families() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    let sent = &world.network.sent()[0];
    let names: Vec<_> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "content-type",
            "user-agent",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "svix-id",
            "svix-timestamp",
            "svix-signature",
        ]
    );
    assert_eq!(header(sent, "content-type"), "application/json");
    assert_eq!(header(sent, "user-agent"), format!("Posthorn/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(header(sent, "webhook-id"), msg);
    assert_eq!(header(sent, "webhook-timestamp"), START.as_secs().to_string());
    for name in ["id", "timestamp", "signature"] {
        let values = ["webhook-", "svix-"].map(|family| header(sent, &format!("{family}{name}")));
        assert_eq!(values[0], values[1], "{name}");
    }
}

#[tokio::test]
async fn a_retry_has_the_same_id_and_bytes_but_its_own_timestamp_and_signature() {
    let Waiting { world, app, ep, .. } = waiting().await;
    let key = secret(&world, &app, &ep).await;
    world.advance_s(7);
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].body, sent[1].body);
    assert_eq!(header(&sent[0], "webhook-id"), header(&sent[1], "webhook-id"));
    let second = (START.as_secs() + 7).to_string();
    assert_eq!(header(&sent[0], "webhook-timestamp"), START.as_secs().to_string());
    assert_eq!(header(&sent[1], "webhook-timestamp"), second);
    assert_ne!(header(&sent[0], "webhook-signature"), header(&sent[1], "webhook-signature"));
    assert!(is_signed(&sent[1], &key, &world));
}

#[tokio::test]
async fn every_live_secret_signs_while_a_secret_is_being_rotated() {
    let world = World::new();
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let old = secret(&world, &app, &ep).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret/rotate");
    let rotated = world.call("POST", &path, json!({"gracePeriodSeconds": 3600})).await;
    assert!(rotated.status.is_success(), "{rotated:?}");
    let new = secret(&world, &app, &ep).await;

    world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(header(&sent[0], "webhook-signature").split(' ').count(), 2);
    assert!(is_signed(&sent[0], &old, &world) && is_signed(&sent[0], &new, &world));

    world.advance_s(3600);
    world.publish(&app, json!({"n": 2})).await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(header(&sent[1], "webhook-signature").split(' ').count(), 1);
    assert!(is_signed(&sent[1], &new, &world) && !is_signed(&sent[1], &old, &world));
}

#[tokio::test]
async fn an_endpoint_that_moved_is_called_at_its_new_address() {
    let Waiting { world, app, ep, msg } = waiting().await;
    change_endpoint(&world, &app, &ep, json!({"url": OTHER})).await;
    world.live_s(10).await;
    assert_eq!(world.network.sent_to(OTHER).len(), 1);
    let attempts = world.attempts(&app, &msg).await;
    let urls: Vec<_> = attempts.iter().map(|attempt| text(&attempt["url"])).collect();
    assert_eq!(urls, [URL, OTHER]);
}

// One record among others.

#[tokio::test]
async fn a_record_that_cannot_be_read_is_parked_and_the_rest_of_its_batch_delivered() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
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
    let world = World::new();
    let app = world.application().await;
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

#[tokio::test]
async fn a_store_that_fails_for_one_record_fails_that_record_only() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    let mut messages = Vec::new();
    for n in 0..10 {
        messages.push(world.publish(&app, json!({"n": n})).await);
    }
    let unlucky = &messages[6];
    let batch = receive(&world.queues.deliveries).await;
    let record = batch.iter().find(|record| record.body.contains(unlucky)).unwrap().id.clone();
    let broken = dispatcher(&world, |parts| {
        let pk = message_pk(&unlucky.parse::<MessageId>().unwrap().key());
        let table = Broken { inner: world.table.clone(), pk };
        parts.deliveries = Deliveries::new(Arc::new(table));
    });
    assert_eq!(broken.handle(batch, None).await, [record]);
    for msg in &messages {
        let recorded = world.attempts(&app, msg).await.len();
        assert_eq!(recorded, usize::from(msg != unlucky), "{msg}");
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_an_outcome_and_not_a_failed_record() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    for ending in [answer(500), Ending::TimedOut, Ending::Refused("no".into())] {
        world.network.next(URL, ending);
        world.publish(&app, json!({})).await;
    }
    let batch = receive(&world.queues.deliveries).await;
    assert_eq!(batch.len(), 3);
    assert_eq!(world.dispatcher.handle(batch, None).await, NONE);
}

// Time runs out.

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

// What an answer means.

#[tokio::test]
async fn only_2xx_is_a_success() {
    for status in [200, 201, 202, 204, 299] {
        let (world, app, msg) = answered(answer(status)).await;
        let attempt = &world.attempts(&app, &msg).await[0];
        assert_eq!((&attempt["status"], pending(&world).await), (&json!(0), 0), "{status}");
    }
    for status in [100, 199, 300, 301, 302, 304, 307, 308, 400, 401, 404, 409, 429, 500, 503] {
        let (world, app, msg) = answered(answer(status)).await;
        let attempt = &world.attempts(&app, &msg).await[0];
        assert_eq!((&attempt["status"], pending(&world).await), (&json!(2), 1), "{status}");
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_that_is_tried_again_at_the_same_address() {
    let (world, app, msg) = answered(answer(302)).await;
    world.live_s(10).await;
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(world.network.sent_to(URL).len(), 2);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [302, 200]);
}

#[tokio::test]
async fn gone_disables_the_endpoint_and_gives_the_delivery_up() {
    let world = World::new();
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.endpoint(&app, OTHER).await;
    world.network.next(URL, answer(410));
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    assert!(is_disabled(&world, &app, &ep).await);
    let delivery = delivery(&world, &msg, &ep).await;
    assert!(delivery.is_failed());
    assert_eq!(delivery.attempts, 1);
    world.publish(&app, json!({"n": 2})).await;
    world.live_s(3600).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    assert_eq!(world.network.sent_to(OTHER).len(), 2);
}

#[tokio::test]
async fn gone_in_answer_to_a_retry_disables_the_endpoint_too() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.network.next(URL, answer(410));
    world.live_s(3600).await;
    assert!(is_disabled(&world, &app, &ep).await);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 410]);
    assert!(delivery(&world, &msg, &ep).await.is_failed());
}

#[tokio::test]
async fn gone_in_answer_to_a_resend_disables_the_endpoint_too() {
    let world = World::new();
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.network.next(URL, answer(410));
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert!(is_disabled(&world, &app, &ep).await);
}

#[tokio::test]
async fn retry_after_slows_down_and_neither_hurries_nor_stalls() {
    // The first delay is 5 s, with jitter at most 6; Retry-After counts from 5 s to 10 s.
    for (value, expected) in [
        ("7", 7_000..=7_000),
        (" 10 ", 10_000..=10_000),
        ("3600", 10_000..=10_000),
        ("99999999999999999999", 4_000..=6_000),
        ("0", 5_000..=6_000),
        ("-1", 4_000..=6_000),
        ("soon", 4_000..=6_000),
        ("Fri, 15 Jan 2027 08:00:08 GMT", 8_000..=8_000),
        ("Fri, 15 Jan 2027 09:00:00 GMT", 10_000..=10_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 5_000..=6_000),
    ] {
        let ending = Ending::Answered {
            status: 503,
            excerpt: Vec::new(),
            retry_after: Some(value.to_owned()),
        };
        let (world, _, msg) = answered(ending).await;
        let next = the_pending(&world, &msg).await.next_at().unwrap().since(START);
        assert!(expected.contains(&next), "{value}: {next} ms");
    }
}

#[tokio::test]
async fn every_outcome_is_recorded_with_status_duration_and_text() {
    let answered_with = |status, text: &str| Ending::Answered {
        status,
        excerpt: text.as_bytes().to_vec(),
        retry_after: None,
    };
    for (ending, status, code, response) in [
        (answered_with(200, "thanks"), 0, 200, "thanks"),
        (answered_with(204, ""), 0, 204, ""),
        (answered_with(404, "<h1>Not found</h1>"), 2, 404, "<h1>Not found</h1>"),
        (Ending::TimedOut, 2, 0, "no answer within 7 ms"),
        (Ending::Refused("10.0.0.1 is private".into()), 2, 0, "not called: 10.0.0.1 is private"),
        (Ending::Failed("connection reset".into()), 2, 0, "connection reset"),
    ] {
        let (world, app, msg) = answered(ending).await;
        let attempts = world.attempts(&app, &msg).await;
        assert_eq!(attempts.len(), 1);
        let attempt = &attempts[0];
        assert_eq!(attempt["status"], status, "{response}");
        assert_eq!(attempt["responseStatusCode"], code, "{response}");
        assert_eq!(attempt["responseDurationMs"], 7, "{response}");
        assert_eq!(attempt["response"], response);
        assert_eq!(attempt["url"], URL);
        assert_eq!(attempt["msgId"], msg);
        assert_eq!(attempt["triggerType"], 0);
        assert_eq!(attempt["timestamp"], START.to_rfc3339());
    }
}

#[tokio::test]
async fn an_excerpt_has_at_most_a_kibibyte_whatever_its_bytes() {
    for (excerpt, begin) in [
        (vec![b'x'; 5_000], "xxxx"),
        (vec![0xff; 5_000], "\u{fffd}\u{fffd}"),
        ("\u{20ac}".repeat(2_000).into_bytes(), "\u{20ac}\u{20ac}"),
        (b"\x00\x1b[31m\xc3".repeat(500), "\0\u{1b}[31m\u{fffd}"),
    ] {
        let ending = Ending::Answered { status: 200, excerpt, retry_after: None };
        let (world, app, msg) = answered(ending).await;
        let response = text(&world.attempts(&app, &msg).await[0]["response"]);
        let length = response.len();
        assert!((EXCERPT_BYTES - 3..=EXCERPT_BYTES).contains(&length), "{begin}: {length} bytes");
        assert!(response.starts_with(begin), "{response:?}");
    }
}

#[tokio::test]
async fn a_secret_that_does_not_open_is_no_attempt_and_the_record_comes_back() {
    let world = World::new();
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({})).await;
    let stranger = dispatcher(&world, another_root_secret);
    assert_eq!(poll(&world.queues.deliveries, &stranger).await, Polled { done: 0, undone: 1 });
    assert_eq!(world.network.sent(), []);
    assert_eq!(world.attempts(&app, &msg).await, NO_VALUES);
    // The right root secret is back.
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 1);
    assert!(is_signed(&sent[0], &secret(&world, &app, &ep).await, &world));
}

#[tokio::test]
async fn a_secret_that_does_not_open_costs_a_retry_nothing_but_time() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.advance_s(7);
    let stranger = dispatcher(&world, another_root_secret);
    assert_eq!(poll(&world.queues.retries, &stranger).await, Polled { done: 0, undone: 1 });
    assert_eq!(delivery(&world, &msg, &ep).await.attempts, 1);
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
}

// Things change while a retry is pending.

#[tokio::test]
async fn a_pending_delivery_is_given_up_when_its_endpoint_is_deleted() {
    let Waiting { world, app, ep, msg } = waiting().await;
    delete(&world, &format!("/api/v1/app/{app}/endpoint/{ep}")).await;
    assert_given_up(&world, &msg, &ep, "endpoint deleted").await;
}

#[tokio::test]
async fn a_pending_delivery_is_given_up_when_its_application_is_deleted() {
    let Waiting { world, app, ep, msg } = waiting().await;
    delete(&world, &format!("/api/v1/app/{app}")).await;
    assert_given_up(&world, &msg, &ep, "endpoint deleted").await;
}

#[tokio::test]
async fn a_pending_delivery_is_given_up_when_its_endpoint_is_disabled() {
    let Waiting { world, app, ep, msg } = waiting().await;
    change_endpoint(&world, &app, &ep, json!({"disabled": true})).await;
    assert_given_up(&world, &msg, &ep, "endpoint disabled").await;
    // Enabling it does not bring the delivery back; a resend does.
    change_endpoint(&world, &app, &ep, json!({"disabled": false})).await;
    world.live_s(3600).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert_eq!(delivery(&world, &msg, &ep).await.state, State::Delivered);
}

#[tokio::test]
async fn a_retry_goes_out_although_the_endpoint_no_longer_wants_that_type() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.describe("another.type").await;
    change_endpoint(&world, &app, &ep, json!({"eventTypes": ["another.type"]})).await;
    world.live_s(10).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
}

#[tokio::test]
async fn a_pending_delivery_is_given_up_when_its_message_is_past_retention() {
    const DAY_S: u64 = 86_400;
    let settings = Settings { schedule: Schedule::new(vec![7 * DAY_S]), ..Settings::default() };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    let event = json!({"eventType": "a.b", "payload": {}, "payloadRetentionPeriod": 5});
    let msg = publish(&world, &app, event).await;
    world.dispatch_all().await;
    // Past the retention, but the delivery itself is not forgotten before it is decided.
    world.advance_s(5 * DAY_S);
    assert!(delivery(&world, &msg, &ep).await.is_pending());
    world.advance_s(4 * DAY_S);
    world.sweep().await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    let delivery = delivery(&world, &msg, &ep).await;
    assert_eq!(delivery.reason(), Some(&Reason::Expired));
    assert_eq!(pending(&world).await, 0);
}

// The fence: whoever else has the same attempt.

#[tokio::test]
async fn two_copies_of_a_retry_make_one_attempt() {
    let Waiting { world, app, msg, .. } = waiting().await;
    world.advance_s(7);
    let record = receive(&world.queues.retries).await.remove(0);
    one_sends(&world, [copy(&record, 1), copy(&record, 1)], |_| {}).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
    assert_eq!(world.network.sent_to(URL).len(), 2);
}

#[tokio::test]
async fn a_retry_that_comes_again_while_it_is_under_way_is_left_alone() {
    let Waiting { world, app, msg, .. } = waiting().await;
    world.advance_s(7);
    let record = receive(&world.queues.retries).await.remove(0);
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    world.advance_s(34);
    let again = copy(&record, 2);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    comes_back_after_the_lease(&world).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    // Once it is recorded there is nothing left to do.
    let again = copy(&record, 3);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
    assert_eq!(world.network.sent_to(URL).len(), 2);
}

#[tokio::test]
async fn a_first_record_that_comes_again_within_the_lease_is_left_alone() {
    let (world, app, msg, record) = accepted().await;
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    world.advance_s(34);
    let again = copy(&record, 2);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, [record.id.as_str()]);
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    world.advance_s(2);
    let again = copy(&record, 3);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn after_the_lease_one_of_those_who_get_a_first_record_again_sends_it() {
    let (world, app, msg, record) = accepted().await;
    // Whoever had it first died without a trace.
    world.advance_s(36);
    one_sends(&world, [copy(&record, 2), copy(&record, 3)], |_| {}).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn whoever_had_the_lease_and_died_is_succeeded_once() {
    let (world, app, msg, record) = accepted().await;
    world.advance_s(36);
    let (_gate, work) = under_way(&world, copy(&record, 2), |_| {}).await;
    work.abort();
    world.advance_s(36);
    one_sends(&world, [copy(&record, 3), copy(&record, 4)], |_| {}).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn an_attempt_whose_lease_ran_out_under_it_is_recorded_once_whoever_answers_first() {
    for first_wins in [true, false] {
        let (world, app, msg, record) = accepted().await;
        let (one, first) = under_way(&world, copy(&record, 1), |_| {}).await;
        world.advance_s(36);
        let (two, second) = under_way(&world, copy(&record, 2), |_| {}).await;
        world.network.next(URL, answer(500));
        let order =
            if first_wins { [(one, first), (two, second)] } else { [(two, second), (one, first)] };
        for (gate, work) in order {
            gate.open();
            assert_eq!(work.await.unwrap(), NONE);
        }
        // The fence keeps what was recorded first: the failure. It is tried again.
        assert_eq!(codes(&world.attempts(&app, &msg).await), [500]);
        assert_eq!(pending(&world).await, 1);
        world.live_s(60).await;
        assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
        assert_eq!(world.network.sent().len(), 3);
    }
}

#[tokio::test]
async fn two_copies_that_may_be_repetitions_make_one_attempt() {
    let (world, app, msg, record) = accepted().await;
    let again = Received { body: redriven(&record.body, 0).unwrap().0.body, ..record };
    one_sends(&world, [copy(&again, 1), copy(&again, 1)], |_| {}).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn a_copy_that_may_be_a_repetition_finds_what_is_on_record() {
    for ending in [answer(200), answer(500)] {
        let (world, app, msg, record) = accepted().await;
        world.network.next(URL, ending);
        assert_eq!(world.dispatcher.handle(vec![record.clone()], None).await, NONE);
        let again = Received { body: redriven(&record.body, 0).unwrap().0.body, ..record };
        assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
        assert_eq!(world.attempts(&app, &msg).await.len(), 1);
        assert_eq!(world.network.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_copy_cannot_see_an_unleased_first_attempt_but_it_is_recorded_once_and_settled() {
    // What leasing every first attempt would cost a write to prevent.
    let (world, app, msg, record) = accepted().await;
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    let again = Received { body: redriven(&record.body, 0).unwrap().0.body, ..record };
    let (other_gate, other_work) = under_way(&world, again, |_| {}).await;
    for (gate, work) in [(gate, work), (other_gate, other_work)] {
        gate.open();
        assert_eq!(work.await.unwrap(), NONE);
    }
    world.live_s(20 * 60).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!((world.network.sent().len(), pending(&world).await), (2, 0));
    assert_eq!(standing(&world, &app, &msg).await, "success");
}

#[tokio::test]
async fn with_a_lease_for_every_first_attempt_two_copies_make_one_attempt() {
    let (world, app, msg, record) = accepted().await;
    let always = |parts: &mut Parts| parts.settings.always_lease = true;
    one_sends(&world, [copy(&record, 1), copy(&record, 1)], always).await;
    // The copy that was left alone comes again and finds the attempt.
    world.advance_s(VISIBILITY_S.into());
    let left = copy(&record, 2);
    assert_eq!(dispatcher(&world, always).handle(vec![left], None).await, NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!((world.network.sent().len(), pending(&world).await), (1, 0));
}

#[tokio::test]
async fn with_a_lease_for_every_first_attempt_a_repetition_sees_one_under_way() {
    let (world, app, msg, record) = accepted().await;
    let always = |parts: &mut Parts| parts.settings.always_lease = true;
    let (gate, work) = under_way(&world, copy(&record, 1), always).await;
    let again = Received { body: redriven(&record.body, 0).unwrap().0.body, ..record };
    assert_eq!(dispatcher(&world, always).handle(vec![again], None).await, NONE);
    comes_back_after_the_lease(&world).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200]);
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn a_delivery_whose_attempt_is_under_way_is_not_given_up() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.advance_s(7);
    let record = receive(&world.queues.retries).await.remove(0);
    let (gate, work) = under_way(&world, copy(&record, 1), |_| {}).await;
    change_endpoint(&world, &app, &ep, json!({"disabled": true})).await;
    let other = copy(&record, 1);
    assert_eq!(world.dispatcher.handle(vec![other], None).await, NONE);
    comes_back_after_the_lease(&world).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!(delivery(&world, &msg, &ep).await.state, State::Delivered);
}

#[tokio::test]
async fn a_retry_that_is_not_the_next_one_is_dropped() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.network.next(URL, answer(500));
    world.live_s(10).await;
    assert_eq!(world.network.sent().len(), 2);
    for number in [1, 2, 4, 9] {
        let record = retry(&app, &msg, &ep, number);
        assert_eq!(world.dispatcher.handle(vec![record], None).await, NONE, "{number}");
    }
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(delivery(&world, &msg, &ep).await.attempts, 2);
}

#[tokio::test]
async fn a_retry_of_a_delivery_that_is_over_or_unknown_is_dropped() {
    let (world, app, msg, record) = accepted().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let ep = text(&world.call("GET", &path, json!(null)).await.body["data"][0]["id"]);
    // Neither before the first attempt nor after one that succeeded is there a delivery.
    for number in [1, 2] {
        let record = retry(&app, &msg, &ep, number);
        assert_eq!(world.dispatcher.handle(vec![record], None).await, NONE, "{number}");
    }
    assert_eq!(world.network.sent(), []);
    assert_eq!(world.dispatcher.handle(vec![record], None).await, NONE);
    let record = retry(&app, &msg, &ep, 2);
    assert_eq!(world.dispatcher.handle(vec![record], None).await, NONE);
    assert_eq!(world.network.sent().len(), 1);
}

// Somebody dies half way.

#[tokio::test]
async fn a_death_between_record_and_retry_is_repaired_when_the_first_record_comes_again() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
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
async fn a_retry_that_was_sent_although_its_answer_was_lost_is_made_once() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
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
        parts.sender = Arc::new(Faulty::new(Direct(world.network.clone()), &plan));
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

// Resent by hand.

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
    let world = World::new();
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.network.next(URL, answer(500));
    resend(&world, &app, &msg, &ep).await;
    world.live_s(3600).await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [200, 500]);
    assert_eq!(standing(&world, &app, &msg).await, "success");
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
    world.advance_s(VISIBILITY_S.into());
    let again = copy(&record, 2);
    assert_eq!(world.dispatcher.handle(vec![again], None).await, NONE);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
    assert_eq!(standing(&world, &app, &msg).await, "success");
}

#[tokio::test]
async fn a_resend_goes_out_whatever_the_endpoint_chose_but_not_to_a_disabled_one() {
    let world = World::new();
    let app = world.application().await;
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

// Helpers: the API.

/// No record.
const NONE: [&str; 0] = [];
const NO_VALUES: [Value; 0] = [];

fn url(name: &str) -> String {
    format!("http://127.0.0.1:9/{name}")
}

/// The last segments of the URLs that were called, sorted.
fn receivers(world: &World) -> Vec<String> {
    let name = |sent: Outbound| sent.url.rsplit('/').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = world.network.sent().into_iter().map(name).collect();
    names.sort();
    names
}

async fn publish(world: &World, app: &str, event: Value) -> String {
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), event).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    text(&reply.body["id"])
}

async fn change_endpoint(world: &World, app: &str, ep: &str, patch: Value) {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let reply = world.call("PATCH", &path, patch).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn delete(world: &World, path: &str) {
    let reply = world.call("DELETE", path, Value::Null).await;
    assert_eq!(reply.status, 204, "{reply:?}");
}

async fn is_disabled(world: &World, app: &str, ep: &str) -> bool {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("GET", &path, Value::Null).await.body["disabled"] == true
}

async fn secret(world: &World, app: &str, ep: &str) -> SigningSecret {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    let reply = world.call("GET", &path, Value::Null).await;
    SigningSecret::parse(&text(&reply.body["key"])).expect("a secret")
}

/// Asks for another attempt, a second later, so that attempts have an order.
async fn resend(world: &World, app: &str, msg: &str, ep: &str) {
    world.advance_s(1);
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    let reply = world.call("POST", &path, Value::Null).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

/// How far the message is with its only endpoint.
async fn standing(world: &World, app: &str, msg: &str) -> String {
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
    text(&world.call("GET", &path, Value::Null).await.body["data"][0]["statusText"])
}

fn is_signed(sent: &Outbound, key: &SigningSecret, world: &World) -> bool {
    let [id, timestamp, signatures] =
        ["id", "timestamp", "signature"].map(|name| header(sent, &format!("webhook-{name}")));
    let (keys, now) = ([key.clone()], world.ambient.now());
    signature::verify(&keys, id, timestamp, signatures, &sent.body, now).is_ok()
}

/// Status codes of attempts.
fn codes(attempts: &[Value]) -> Vec<u64> {
    attempts.iter().map(|attempt| attempt["responseStatusCode"].as_u64().unwrap_or(999)).collect()
}

fn time_of(attempt: &Value) -> Timestamp {
    Timestamp::parse_rfc3339(&text(&attempt["timestamp"])).expect("a date")
}

// Helpers: the store.

async fn delivery(world: &World, msg: &str, ep: &str) -> Delivery {
    let (msg, ep) = (msg.parse().expect("an id"), ep.parse().expect("an id"));
    let found = world.parts.deliveries.delivery(&msg, &ep).await.expect("an answer");
    found.expect("a delivery").value
}

/// Every pending delivery.
async fn all_pending(world: &World) -> Vec<Delivery> {
    let mut pending = Vec::new();
    for shard in 0..DUE_SHARDS {
        let found = world.parts.deliveries.pending(shard).await.expect("an answer");
        pending.extend(found.into_iter().map(|found| found.value));
    }
    pending
}

/// How many deliveries are pending.
async fn pending(world: &World) -> usize {
    all_pending(world).await.len()
}

/// The pending delivery of this message.
async fn the_pending(world: &World, msg: &str) -> Delivery {
    let of_message = |delivery: &Delivery| delivery.msg.to_string() == msg;
    all_pending(world).await.into_iter().find(of_message).expect("a pending delivery")
}

async fn assert_given_up(world: &World, msg: &str, ep: &str, reason: &str) {
    world.live_s(60).await;
    assert_eq!(world.network.sent().len(), 1);
    let delivery = delivery(world, msg, ep).await;
    assert_eq!(delivery.reason().map(Reason::as_str), Some(reason));
    assert_eq!((delivery.attempts, pending(world).await), (1, 0));
    assert!(world.queues.retries.is_empty());
}

// Helpers: dispatchers and records.

/// A delivery to [`URL`] that has failed once and waits for its retry.
struct Waiting {
    world: World,
    app: String,
    ep: String,
    msg: String,
}

async fn waiting() -> Waiting {
    let world = World::new();
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    Waiting { world, app, ep, msg }
}

/// A message to [`URL`] whose record was received and not yet worked on.
async fn accepted() -> (World, String, String, Received) {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    let msg = world.publish(&app, json!({"n": 1})).await;
    let record = receive(&world.queues.deliveries).await.remove(0);
    (world, app, msg, record)
}

/// A message to [`URL`] after a first attempt that ended like this.
async fn answered(ending: Ending) -> (World, String, String) {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    world.network.next(URL, ending);
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    (world, app, msg)
}

/// A dispatcher in another process, the same as the world's but for the change.
fn dispatcher(world: &World, change: impl FnOnce(&mut Parts)) -> Dispatcher {
    let mut parts = world.parts.clone();
    change(&mut parts);
    Dispatcher::new(parts)
}

/// One attempt at a time, each of which takes ten seconds.
fn slow_dispatcher(world: &World) -> Dispatcher {
    dispatcher(world, |parts| {
        parts.settings.parallel = 1;
        let (network, clock) = (world.network.clone(), world.clock.clone());
        parts.sender = Arc::new(Slow { network, clock });
    })
}

fn another_root_secret(parts: &mut Parts) {
    let secret = RootSecret::new("fedcba9876543210fedcba9876543210").expect("a root secret");
    parts.sealer = secret.sealer();
}

async fn receive(queue: &EmbeddedQueue) -> Vec<Received> {
    queue.receive(MAX_BATCH, 0).await.expect("a batch")
}

async fn put(queue: &EmbeddedQueue, body: &str) {
    let record = Outgoing { body: body.to_owned(), group: "test".to_owned(), delay_s: 0 };
    queue.send(vec![record]).await.expect("an answer").remove(0).expect("sent");
}

/// What came of a batch.
#[derive(Debug, PartialEq, Eq)]
struct Polled {
    done: usize,
    undone: usize,
}

/// One batch, worked on by this dispatcher: what was done is deleted.
async fn poll(queue: &EmbeddedQueue, dispatcher: &Dispatcher) -> Polled {
    let batch = receive(queue).await;
    let undone = dispatcher.handle(batch.clone(), None).await;
    let done = batch.into_iter().filter(|record| !undone.contains(&record.id));
    let receipts: Vec<String> = done.map(|record| record.receipt).collect();
    queue.delete(&receipts).await.expect("a deletion");
    Polled { done: receipts.len(), undone: undone.len() }
}

/// The same record, received for the n-th time.
fn copy(record: &Received, receive_count: u32) -> Received {
    Received { receive_count, ..record.clone() }
}

/// A record that asks for a retry.
fn retry(app: &str, msg: &str, ep: &str, attempt: u32) -> Received {
    let (app, msg, ep) = (app.parse(), msg.parse(), ep.parse());
    let record = Record::Retry {
        app: app.expect("an id"),
        msg: msg.expect("an id"),
        ep: ep.expect("an id"),
        attempt,
    };
    Received {
        id: "retry".to_owned(),
        receipt: String::new(),
        body: record.outgoing(0).body,
        group: None,
        receive_count: 1,
        first_received_at: START,
    }
}

/// A dispatcher that works on this record, up to the moment when its request is under way.
async fn under_way(
    world: &World,
    record: Received,
    change: impl FnOnce(&mut Parts),
) -> (Arc<Gate>, tokio::task::JoinHandle<Vec<String>>) {
    let gate = Gate::new(world);
    let behind = dispatcher(world, |parts| {
        change(parts);
        parts.sender = gate.clone();
    });
    let mut work = tokio::spawn(async move { behind.handle(vec![record], None).await });
    tokio::select! {
        () = gate.entered() => {}
        over = &mut work => panic!("no request: {over:?}"),
    }
    (gate, work)
}

/// What was left to somebody who is busy comes again when that one's lease is over, as a record
/// of its own: waiting spends no receive.
async fn comes_back_after_the_lease(world: &World) {
    let queue = &world.queues.retries;
    assert!(!queue.is_empty(), "nothing comes back");
    assert_eq!(queue.receive(10, 0).await.unwrap(), [], "it comes back too soon");
}

/// Gives two dispatchers a record each at the same moment: one sends its request, and while
/// that is under way the other leaves the attempt to it, and comes back after its lease.
async fn one_sends(world: &World, records: [Received; 2], change: impl Fn(&mut Parts)) {
    let gate = Gate::new(world);
    let [mut one, mut other] = records.map(|record| {
        let behind = dispatcher(world, |parts| {
            change(parts);
            parts.sender = gate.clone();
        });
        tokio::spawn(async move { behind.handle(vec![record], None).await })
    });
    let (left, sending) = tokio::select! {
        left = &mut one => (left, other),
        left = &mut other => (left, one),
        () = gate.entered_twice() => panic!("the same attempt is under way twice"),
    };
    assert_eq!(left.expect("no panic"), NONE);
    comes_back_after_the_lease(world).await;
    gate.open();
    assert_eq!(sending.await.expect("no panic"), NONE);
}

/// A dispatcher takes what is in this queue and dies just before it sends a retry.
async fn dies_before_sending_the_retry(world: &World, queue: &EmbeddedQueue) {
    let plan = Plan::new(vec![(0, Fault::DieBefore)]);
    let mortal = dispatcher(world, |parts| {
        parts.retries = Arc::new(Faulty::new(world.queues.retries.clone(), &plan));
    });
    let batch = receive(queue).await;
    assert_eq!(batch.len(), 1);
    tokio::select! {
        () = plan.death() => {}
        undone = mortal.handle(batch, None) => panic!("survived: {undone:?}"),
    }
}

// Helpers: ports.

/// The network, for a port that wants to own it.
struct Direct(Arc<Network>);

#[async_trait]
impl Sender for Direct {
    async fn send(&self, request: Outbound) -> Outcome {
        self.0.send(request).await
    }
}

/// A network where every request waits until it is let through.
struct Gate {
    network: Arc<Network>,
    entered: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn new(world: &World) -> Arc<Self> {
        let network = world.network.clone();
        Arc::new(Self { network, entered: Semaphore::new(0), open: Semaphore::new(0) })
    }

    /// Waits until one more request is under way.
    async fn entered(&self) {
        self.entered.acquire().await.expect("a gate").forget();
    }

    /// Waits until two more requests are under way.
    async fn entered_twice(&self) {
        self.entered.acquire_many(2).await.expect("a gate").forget();
    }

    fn let_through(&self, requests: usize) {
        self.open.add_permits(requests);
    }

    fn open(&self) {
        self.let_through(1000);
    }
}

#[async_trait]
impl Sender for Gate {
    async fn send(&self, request: Outbound) -> Outcome {
        self.entered.add_permits(1);
        self.open.acquire().await.expect("a gate").forget();
        self.network.send(request).await
    }
}

/// A sender with a bug that one URL brings out.
struct Panicking {
    network: Arc<Network>,
    url: &'static str,
}

impl Panicking {
    fn at(url: &'static str, world: &World) -> Arc<Self> {
        Arc::new(Self { network: world.network.clone(), url })
    }
}

#[async_trait]
impl Sender for Panicking {
    async fn send(&self, request: Outbound) -> Outcome {
        assert_ne!(request.url, self.url, "a bug, as the test wants it");
        self.network.send(request).await
    }
}

/// Takes ten seconds for everything.
struct Slow {
    network: Arc<Network>,
    clock: Arc<StillClock>,
}

#[async_trait]
impl Sender for Slow {
    async fn send(&self, request: Outbound) -> Outcome {
        self.clock.advance_ms(10_000);
        self.network.send(request).await
    }
}

/// A table that fails for one partition.
struct Broken {
    inner: Arc<dyn Table>,
    pk: String,
}

impl Broken {
    fn check<'a>(&self, mut keys: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
        match keys.any(|pk| pk == self.pk) {
            true => Err(StoreError::Unavailable("this partition is broken".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Table for Broken {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.check([key.pk.as_str()].into_iter())?;
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.check([query.pk.as_str()].into_iter())?;
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.check([write.key().pk.as_str()].into_iter())?;
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.check(writes.iter().map(|write| write.key().pk.as_str()))?;
        self.inner.transact(writes).await
    }
}
