//! Background tasks: what recover, replay and cancel do, that they go on where they were
//! interrupted, and that nothing is sent twice when they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::domain::id::TaskId;
use shared::domain::task::{Span, Status, Task, Work};
use shared::queue::Queues;
use shared::store::{StoreSettings, Stores};
use shared::work::{Carried, Turns, Worker};

use crate::support::faults::{Fault, Faulty, Plan};
use crate::support::network::{answer, header};
use crate::support::world::{World, organisation, text};

const URL: &str = "http://127.0.0.1:9/hook";
/// Longer than the whole default schedule, in seconds.
const SCHEDULE_S: u64 = 40 * 3_600;

#[tokio::test]
async fn recover_sends_what_failed_and_nothing_that_succeeded() {
    let (world, app, ep) = stage().await;
    let good = world.publish(&app, json!({"n": 0})).await;
    world.dispatch_all().await;
    let since = now(&world);
    let failed = fail_for_good(&world, &app, 3).await;
    let sent = world.network.sent().len();
    let task = begin(&world, &app, &ep, "recover", json!({"since": since})).await;
    assert_eq!(task["task"], "endpoint.recover");
    assert_eq!(task["status"], "finished");
    assert_eq!(read(&world, &task).await["data"], json!({"messagesSent": 3}));
    world.dispatch_all().await;
    let again: Vec<String> = ids(&world)[sent..].to_vec();
    assert_eq!(sorted(again.clone()), sorted(failed.clone()));
    assert!(!again.contains(&good));
    for msg in &failed {
        assert_eq!(standing(&world, &app, msg).await, (0, "success".to_owned()));
    }
    // Nothing is left to recover.
    let task = begin(&world, &app, &ep, "recover", json!({"since": since})).await;
    world.dispatch_all().await;
    assert_eq!(read(&world, &task).await["data"], json!({"messagesSent": 0}));
    assert_eq!(ids(&world).len(), sent + 3);
}

#[tokio::test]
async fn recover_looks_at_when_a_message_was_published() {
    let (world, app, ep) = stage().await;
    let began = now(&world);
    let before = fail_for_good(&world, &app, 1).await;
    let since = now(&world);
    let failed = fail_for_good(&world, &app, 1).await;
    let sent = world.network.sent().len();
    begin(&world, &app, &ep, "recover", json!({"since": since})).await;
    world.dispatch_all().await;
    assert_eq!(ids(&world)[sent..], failed);
    let first = json!({"since": began, "until": since});
    begin(&world, &app, &ep, "recover", first).await;
    world.dispatch_all().await;
    assert_eq!(ids(&world)[sent + 1..], before);
}

#[tokio::test]
async fn a_recovered_delivery_that_fails_again_has_failed() {
    let (world, app, ep) = stage().await;
    let since = now(&world);
    let failed = fail_for_good(&world, &app, 1).await;
    let attempts = world.attempts(&app, &failed[0]).await.len();
    world.network.next(URL, answer(500));
    begin(&world, &app, &ep, "recover", json!({"since": since})).await;
    assert_eq!(standing(&world, &app, &failed[0]).await.0, 3);
    world.dispatch_all().await;
    assert_eq!(world.attempts(&app, &failed[0]).await.len(), attempts + 1);
    assert_eq!(standing(&world, &app, &failed[0]).await, (2, "fail".to_owned()));
}

#[tokio::test]
async fn replay_missing_sends_what_an_endpoint_was_never_sent_and_retries_it() {
    let (world, app) = World::with_application().await;
    let since = now(&world);
    let missed = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    let ep = world.endpoint(&app, URL).await;
    let got = world.publish(&app, json!({"n": 2})).await;
    world.dispatch_all().await;
    assert_eq!(ids(&world), [got]);
    world.network.next(URL, answer(500));
    let task = begin(&world, &app, &ep, "replay-missing", json!({"since": since})).await;
    assert_eq!(task["task"], "endpoint.replay");
    assert_eq!(read(&world, &task).await["data"], json!({"messagesSent": 1}));
    world.live_s(10).await;
    let sent: Vec<String> = ids(&world)[1..].to_vec();
    assert_eq!(sent, [missed.clone(), missed.clone()]);
    assert_eq!(standing(&world, &app, &missed).await.0, 0);
    // A second time there is nothing to replay.
    begin(&world, &app, &ep, "replay-missing", json!({"since": since})).await;
    world.dispatch_all().await;
    assert_eq!(ids(&world).len(), 3);
}

#[tokio::test]
async fn how_much_is_missing_is_what_a_replay_would_send_and_takes_two_reads() {
    let (world, app) = World::with_application().await;
    let missing = async |ep: &str, query: &str| {
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/missing{query}");
        let answer = world.call("GET", &path, Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    };
    for n in 0..3 {
        world.publish(&app, json!({"n": n})).await;
    }
    world.dispatch_all().await;
    world.advance_s(100);
    let ep = world.endpoint(&app, URL).await;
    let other = world.endpoint_with(&app, json!({"url": URL, "eventTypes": ["other"]})).await;
    let since = now(&world);
    world.network.next(URL, answer(500));
    world.publish(&app, json!({"n": 3})).await;
    world.dispatch_all().await;
    // Not dispatched yet: it is under way.
    world.publish(&app, json!({"n": 4})).await;
    let before = world.meter.usage();
    let seen = missing(&ep, "").await;
    assert_eq!(seen["missing"], 3, "{seen}");
    assert_eq!(seen["complete"], true, "{seen}");
    let used = world.meter.usage();
    assert_eq!(used.write_units, before.write_units);
    assert!(used.read_units - before.read_units < 4.0, "{used:?}");
    world.advance_s(60);
    assert_eq!(missing(&ep, "").await["missing"], 4);
    world.dispatch_all().await;
    assert_eq!(missing(&ep, "").await["missing"], 3);
    let seen = missing(&ep, &format!("?after={since}")).await;
    assert_eq!((&seen["missing"], &seen["lookedAt"]), (&json!(0), &json!(2)));
    assert_eq!(missing(&other, "").await["lookedAt"], 0);
    let task =
        begin(&world, &app, &ep, "replay-missing", json!({"since": text(&seen["since"])})).await;
    assert_eq!(read(&world, &task).await["data"], json!({"messagesSent": 0}));
    let whole = text(&missing(&ep, "").await["since"]);
    let task = begin(&world, &app, &ep, "replay-missing", json!({"since": whole})).await;
    assert_eq!(read(&world, &task).await["data"], json!({"messagesSent": 3}));
    assert_eq!(missing(&ep, "").await["missing"], 0, "they are about to be sent");
    let unreadable = format!("/api/v1/app/{app}/endpoint/{ep}/missing?after=x");
    assert_eq!(world.call("GET", &unreadable, Value::Null).await.status, 400);
}

#[tokio::test]
async fn what_an_endpoint_was_sent_beyond_what_is_looked_at_does_not_count_as_missing() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    for many in [600, 450] {
        for n in 0..many {
            world.publish(&app, json!({"n": n})).await;
        }
        world.dispatch_all().await;
        world.advance_s(61);
    }
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/missing");
    let seen = world.call("GET", &path, Value::Null).await.body;
    assert_eq!((&seen["missing"], &seen["lookedAt"]), (&json!(0), &json!(450)), "{seen}");
    assert_eq!(seen["complete"], false);
}

#[tokio::test]
async fn replay_missing_leaves_out_what_the_endpoint_does_not_want() {
    let (world, app) = World::with_application().await;
    let since = now(&world);
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "eventTypes": ["other"]})).await;
    begin(&world, &app, &ep, "replay-missing", json!({"since": since})).await;
    world.dispatch_all().await;
    assert_eq!(ids(&world), Vec::<String>::new());
}

#[tokio::test]
async fn an_example_is_missing_at_no_other_endpoint() {
    const OTHER: &str = "http://127.0.0.1:9/other";
    let (world, app, ep) = stage().await;
    let other = world.endpoint(&app, OTHER).await;
    let since = now(&world);
    let kind = json!({"name": "test.event", "description": "",
        "schemas": {"1": {"type": "object", "examples": [{"n": 1}]}}});
    assert_eq!(world.call("POST", "/api/v1/event-type", kind).await.status, 201);
    // One that is taken, and one that is not.
    for status in [200, 500] {
        world.network.next(URL, answer(status));
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/send-example");
        let sent = world.call("POST", &path, json!({"eventType": "test.event"})).await;
        assert!(sent.status.is_success(), "{sent:?}");
        world.dispatch_all().await;
    }
    world.advance_s(100);
    let missing = format!("/api/v1/app/{app}/endpoint/{other}/missing");
    assert_eq!(world.call("GET", &missing, Value::Null).await.body["missing"], 0);
    let task = begin(&world, &app, &other, "replay-missing", json!({"since": since})).await;
    world.dispatch_all().await;
    assert_eq!(read(&world, &task).await["data"], json!({"messagesSent": 0}));
    assert_eq!(world.network.sent_to(OTHER).len(), 0);
}

#[tokio::test]
async fn what_was_expunged_is_missing_nowhere() {
    let (world, app) = World::with_application().await;
    let since = now(&world);
    let gone = world.publish(&app, json!({})).await;
    let kept = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/msg/{gone}/content");
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
    let ep = world.endpoint(&app, URL).await;
    let of_it = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.advance_s(100);
    let missing = world.call("GET", &format!("{of_it}/missing"), Value::Null).await;
    assert_eq!(missing.body["missing"], 1, "{missing:?}");
    let task = begin(&world, &app, &ep, "replay-missing", json!({"since": since})).await;
    world.dispatch_all().await;
    assert_eq!(read(&world, &task).await["data"], json!({"messagesSent": 1}));
    assert_eq!(ids(&world), [kept]);
    let stats = world.call("GET", &format!("{of_it}/stats"), Value::Null).await;
    assert_eq!((&stats.body["success"], &stats.body["fail"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn bulk_replay_sends_what_was_sent_and_fits_the_selection() {
    let (world, app, ep) = stage().await;
    let since = now(&world);
    let good = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    let failed = fail_for_good(&world, &app, 1).await;
    for (selection, chosen) in [
        (json!({"statusCodeClass": 500}), vec![failed[0].clone()]),
        (json!({}), vec![good.clone(), failed[0].clone()]),
        (json!({"status": 2}), vec![failed[0].clone()]),
        (json!({"status": 0, "eventTypes": ["test.event"]}), vec![good.clone()]),
        (json!({"eventTypes": ["other"]}), vec![]),
        (json!({"channel": "none"}), vec![]),
        (json!({"tag": "none"}), vec![]),
    ] {
        let mut body = selection.clone();
        body["since"] = since.clone().into();
        let before = ids(&world).len();
        // Resends that fail leave everything as it was.
        for _ in &chosen {
            world.network.next(URL, answer(503));
        }
        let task = begin(&world, &app, &ep, "bulk-replay", body).await;
        assert_eq!(task["task"], "endpoint.bulk-replay");
        world.dispatch_all().await;
        let sent = ids(&world)[before..].to_vec();
        assert_eq!(sorted(sent), sorted(chosen), "{selection}");
    }
}

#[tokio::test]
async fn what_is_left_of_a_task_is_done_by_the_sweep() {
    let (world, app, ep) = stage().await;
    let since = now(&world);
    let failed = fail_for_good(&world, &app, 5).await;
    let sent = world.network.sent().len();
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/recover");
    // The application is read and the task is stored; the first step fails.
    world.plan.fail_after(2, Fault::Before);
    let reply = world.call("POST", &path, json!({"since": since})).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.body["status"], "running");
    let report = world.sweep().await;
    assert_eq!(report.tasks, 1);
    let task = read(&world, &reply.body).await;
    assert_eq!(task["status"], "finished");
    assert_eq!(task["data"], json!({"messagesSent": 5}));
    world.dispatch_all().await;
    assert_eq!(sorted(ids(&world)[sent..].to_vec()), sorted(failed));
    assert_eq!(world.sweep().await.tasks, 0);
}

/// Wherever the worker dies, the next one ends the task, and every message is sent exactly once
/// more, unless the death fell between a request and its record.
#[tokio::test]
async fn a_task_whose_worker_dies_anywhere_sends_everything_once() {
    for kind in ["recover", "bulk-replay"] {
        let mut struck = 0;
        for call in 0..60 {
            let before = struck;
            for fault in [Fault::DieBefore, Fault::DieAfter, Fault::Before, Fault::After] {
                struck += usize::from(survives(kind, call, fault).await);
            }
            if struck == before {
                // There are no more calls.
                break;
            }
        }
        assert!(struck > 12, "{kind}: only {struck} faults struck");
    }
}

/// One case; whether the fault struck.
async fn survives(kind: &str, call: usize, fault: Fault) -> bool {
    let (world, app, ep) = stage().await;
    let since = now(&world);
    let failed = fail_for_good(&world, &app, 3).await;
    let sent = world.network.sent().len();
    let plan = Plan::new(vec![(call, fault)]);
    let table = Arc::new(Faulty::new(world.table.clone(), &plan));
    let stores = Stores::new(table, &world.ambient, StoreSettings::default());
    let queues = Queues {
        deliveries: Arc::new(Faulty::new(world.queues.deliveries.clone(), &plan)),
        retries: Arc::new(Faulty::new(world.queues.retries.clone(), &plan)),
    };
    let mut admin = world.admin.clone();
    admin.worker = Worker::new(&stores, queues, None, world.metrics.clone(), world.ambient.clone());
    let request = http::Request::post(format!("/api/v1/app/{app}/endpoint/{ep}/{kind}"))
        .header("authorization", format!("Bearer {}", world.token()))
        .body(json!({"since": since}).to_string().into())
        .unwrap();
    let answered = tokio::select! {
        biased;
        () = plan.death() => None,
        response = admin.handle(request) => Some(response.status().as_u16()),
    };
    plan.restart();
    plan.end();
    world.live_s(1_200).await;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for msg in &ids(&world)[sent..] {
        *counts.entry(msg.clone()).or_default() += 1;
    }
    let tasks = world.call("GET", "/api/v1/background-task", Value::Null).await;
    let tasks = tasks.body["data"].as_array().unwrap().clone();
    let context = format!("{kind}, {fault:?} at call {call}: {answered:?}, {tasks:?}");
    match tasks.as_slice() {
        // It was never stored, and whoever asked was not told that it was.
        [] => assert!(counts.is_empty() && answered != Some(202), "{context}"),
        [task] => {
            assert_eq!(task["status"], "finished", "{context}");
            assert_eq!(counts.len(), failed.len(), "{context}");
            assert!(counts.values().all(|count| *count == 1), "{context}: {counts:?}");
        }
        _ => panic!("{context}"),
    }
    plan.fired() > 0
}

#[tokio::test]
async fn a_canceled_delivery_is_not_attempted_again_and_says_so() {
    let (world, app, ep) = stage().await;
    let since = now(&world);
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/cancel-msgs");
    let reply = world.call("POST", &path, json!({"since": since})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body["canceled"], 1);
    assert_eq!(reply.body["done"], true);
    world.live_s(SCHEDULE_S.min(600)).await;
    assert_eq!(world.network.sent().len(), 1);
    assert_eq!(standing(&world, &app, &msg).await, (4, "canceled".to_owned()));
    let reply = world.call("POST", &path, json!({"msgIds": [msg]})).await;
    assert_eq!(reply.body["canceled"], 0);
}

#[tokio::test]
async fn deliveries_are_canceled_by_the_names_of_their_messages() {
    let (world, app, ep) = stage().await;
    let mut messages = Vec::new();
    for n in 0..2 {
        world.network.next(URL, answer(500));
        messages.push(world.publish(&app, json!({"n": n})).await);
        world.dispatch_all().await;
    }
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/cancel-msgs");
    let reply = world.call("POST", &path, json!({"msgIds": [messages[0]]})).await;
    assert_eq!(reply.body["canceled"], 1);
    world.live_s(30).await;
    assert_eq!(ids(&world), [messages[0].clone(), messages[1].clone(), messages[1].clone()]);
    let stranger = json!({"msgIds": ["msg_000000000000000000000000000"]});
    assert_eq!(world.call("POST", &path, stranger).await.status, 404);
}

#[tokio::test]
async fn tasks_are_listed_and_filtered_and_seen_by_their_organisation_alone() {
    let (world, app, ep) = stage().await;
    let since = now(&world);
    let recover = begin(&world, &app, &ep, "recover", json!({"since": since})).await;
    world.advance_s(1);
    let replay = begin(&world, &app, &ep, "replay-missing", json!({"since": since})).await;
    let list = async |query: &str| {
        let path = format!("/api/v1/background-task{query}");
        let reply = world.call("GET", &path, Value::Null).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let data = reply.body["data"].as_array().unwrap().clone();
        data.iter().map(|task| text(&task["id"])).collect::<Vec<_>>()
    };
    let (recover, replay) = (text(&recover["id"]), text(&replay["id"]));
    assert!(recover.starts_with("qtask_"));
    assert_eq!(list("").await, [replay.clone(), recover.clone()]);
    assert_eq!(list("?order=ascending").await, [recover.clone(), replay.clone()]);
    assert_eq!(list("?task=endpoint.recover").await, std::slice::from_ref(&recover));
    assert_eq!(list("?status=running").await, Vec::<String>::new());
    let path = format!("/api/v1/background-task/{recover}");
    let stranger = world.token_of("org_000000000000000000000000000".parse().unwrap());
    assert_eq!(world.call_as(&stranger, "GET", &path, Value::Null).await.status, 404);
    let confined = world.app_token(&app);
    assert_eq!(world.call_as(&confined, "GET", &path, Value::Null).await.status, 403);
    for query in ["?status=done", "?task=other"] {
        let path = format!("/api/v1/background-task{query}");
        assert_eq!(world.call("GET", &path, Value::Null).await.status, 400);
    }
}

#[tokio::test]
async fn a_task_says_whose_it_is_and_by_name_where_that_is_asked_for() {
    let (world, app, ep) = stage().await;
    let since = now(&world);
    begin(&world, &app, &ep, "recover", json!({"since": since})).await;
    world.advance_s(1);
    begin(&world, &app, &ep, "replay-missing", json!({"since": since})).await;
    world.advance_s(1);
    let purge = format!("/api/v1/app/{app}/msg/expunge-all-contents");
    assert_eq!(world.call("POST", &purge, Value::Null).await.status, 202);
    world.advance_s(1);
    let everybody = json!({"eventType": "a.b", "payload": {}});
    assert_eq!(world.call("POST", "/api/v1/msg/broadcast", everybody).await.status, 202);
    let told = async |query: &str| -> (Vec<Value>, f64) {
        let before = world.meter.usage();
        let path = format!("/api/v1/background-task{query}");
        let data = world.call("GET", &path, Value::Null).await.body["data"].clone();
        let about = |one: &Value| {
            json!([one["appId"], one["endpointId"], one["application"], one["endpoint"]])
        };
        let units = world.meter.usage().since(&before).read_units;
        (data.as_array().unwrap().iter().map(about).collect(), units)
    };
    let nobody = json!([null, null, null, null]);
    let ids = |ep: Value| json!([app, ep, null, null]);
    let (plain, cost) = told("").await;
    assert_eq!(plain, [nobody.clone(), ids(Value::Null), ids(json!(ep)), ids(json!(ep))]);
    let name =
        text(&world.call("GET", &format!("/api/v1/app/{app}"), Value::Null).await.body["name"]);
    let named = |ep: Value, called: Value| json!([app, ep, name, called]);
    let of_endpoint = named(json!(ep), json!(URL));
    let (seen, with_names) = told("?with_names=true").await;
    let expected = [nobody, named(Value::Null, Value::Null), of_endpoint.clone(), of_endpoint];
    assert_eq!(seen, expected);
    assert_eq!(with_names, cost + 2.0, "the application once for each thing that it is about");
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let described = json!({"description": "Books"});
    assert_eq!(world.call("PATCH", &path, described).await.status, 200);
    assert_eq!(told("?with_names=true").await.0[2][3], "Books");
    assert_eq!(world.call("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(told("?with_names=true").await.0[2], named(json!(ep), Value::Null));
    assert_eq!(world.call("DELETE", &format!("/api/v1/app/{app}"), Value::Null).await.status, 204);
    assert_eq!(told("?with_names=true").await.0[2], ids(json!(ep)), "it is gone");
}

#[tokio::test]
async fn a_span_must_be_a_span_of_the_last_fortnight() {
    let (world, app, ep) = stage().await;
    let at =
        |days_ago: u64| Timestamp(world.ambient.now().as_ms() - days_ago * 86_400_000).to_rfc3339();
    for (body, field) in [
        (json!({"since": at(15)}), "since"),
        (json!({"since": "yesterday"}), "since"),
        (json!({}), "since"),
        (json!({"since": at(1), "until": at(2)}), "until"),
    ] {
        for kind in ["recover", "replay-missing", "bulk-replay"] {
            let path = format!("/api/v1/app/{app}/endpoint/{ep}/{kind}");
            let reply = world.call("POST", &path, body.clone()).await;
            assert_eq!(reply.status, 422, "{kind} {body}: {reply:?}");
            assert_eq!(reply.body["detail"][0]["loc"], json!(["body", field]));
        }
    }
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &path, json!({"disabled": true})).await;
    let reply = world.call("POST", &format!("{path}/recover"), json!({"since": at(1)})).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!("endpoint_disabled")));
}

#[tokio::test]
async fn what_a_bulk_replay_selects_has_limits() {
    let (world, app, ep) = stage().await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/bulk-replay");
    let long = "x".repeat(129);
    for (field, value) in
        [("eventTypes", json!(vec!["a"; 1_001])), ("channel", json!(long)), ("tag", json!(long))]
    {
        let mut body = json!({"since": now(&world)});
        body[field] = value;
        let refused = world.call("POST", &path, body).await;
        assert_eq!(refused.status, 422, "{field}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", field]));
    }
    let all = json!({"since": now(&world), "eventTypes": []});
    assert_eq!(world.call("POST", &path, all).await.status, 202);
}

#[tokio::test]
async fn a_long_task_does_not_keep_short_ones_waiting() {
    let (world, app) = World::with_application().await;
    // Twenty-one pages: more than a turn.
    for n in 0..2_050 {
        world.publish(&app, json!({"n": n})).await;
    }
    let org = organisation();
    let now = world.ambient.now();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let app = world.application().await;
        let work = Work::Purge { app: app.parse().unwrap() };
        tasks.push(Task::new(TaskId::new(&world.ambient), org, work, now));
    }
    tasks.sort_by_key(|task| task.id);
    tasks[0].work = Work::Purge { app: app.parse().unwrap() };
    for task in &tasks {
        world.admin.worker.tasks().create(task.clone()).await.unwrap();
    }
    let worker = world.admin.worker;
    let until = now.plus_ms(60_000);
    // A turn of the long one is not all of it, and leaves it to be taken again at once.
    assert_eq!(worker.carry_on(&tasks[0].id, until).await.unwrap(), Carried::More);
    let status = async |n: usize| {
        let found = worker.tasks().find(&org, &tasks[n].id, now).await.unwrap().unwrap();
        found.status
    };
    assert_eq!(status(0).await, Status::Running);
    for short in [1, 2] {
        assert_eq!(worker.carry_on(&tasks[short].id, until).await.unwrap(), Carried::Enough);
        assert_eq!(status(short).await, Status::Finished);
        assert_eq!(worker.carry_on(&tasks[short].id, until).await.unwrap(), Carried::Nothing);
    }
    let turns = worker.take_turns(tasks.iter().map(|task| task.id), until).await;
    assert_eq!(turns, Turns { worked: 1, failed: 0 });
    assert_eq!(status(0).await, Status::Finished);
}

/// What it begins itself is at the end of what it walks through.
#[tokio::test]
async fn recovering_sends_nothing_twice_that_fails_again_at_once() {
    const URL: &str = "http://127.0.0.1:9/hook";
    let (world, app) = World::with_application().await;
    let once = json!({"url": URL, "throttleRate": 1, "retrySchedule": []});
    let ep = world.endpoint_with(&app, once).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.network.always(URL, answer(500));
    for _ in 0..120 {
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    // All but the first few end without an attempt.
    assert_eq!(world.call("PATCH", &path, json!({"disabled": true})).await.status, 200);
    world.live_s(300).await;
    let before = world.network.sent_to(URL).len();
    let free = json!({"disabled": false, "throttleRate": null});
    assert_eq!(world.call("PATCH", &path, free).await.status, 200);
    let (now, worker) = (world.ambient.now(), &world.admin.worker);
    let span = Span { since: now.minus_ms(3_600_000), until: now };
    let work = Work::Recover { app: app.parse().unwrap(), ep: ep.parse().unwrap(), span };
    let task = Task::new(TaskId::new(&world.ambient), organisation(), work, now);
    worker.tasks().create(task.clone()).await.unwrap();
    // A step, and what it sent is taken and fails before the next one.
    while worker.carry_on(&task.id, world.ambient.now()).await.unwrap() != Carried::Nothing {
        world.advance_s(1);
        world.dispatch_all().await;
    }
    let sent = world.network.sent_to(URL).split_off(before);
    let mut ids: Vec<String> =
        sent.iter().map(|one| header(one, "webhook-id").to_owned()).collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), all), (120, 120), "each once");
}

#[tokio::test]
async fn a_task_whose_workers_die_is_given_up_and_one_that_gets_on_meanwhile_is_not() {
    let world = World::new();
    let (org, worker) = (organisation(), world.admin.worker.clone());
    let app = world.application().await.parse().unwrap();
    for (deaths, ends) in [(9, Status::Finished), (10, Status::Failed)] {
        let now = world.ambient.now();
        let task = Task::new(TaskId::new(&world.ambient), org, Work::Purge { app }, now);
        worker.tasks().create(task.clone()).await.unwrap();
        for _ in 0..deaths {
            let now = world.ambient.now();
            let claimed = worker.tasks().claim(&task.id, now, now.plus_ms(120_000)).await;
            assert!(claimed.unwrap().is_some());
            world.clock.advance_ms(120_000);
        }
        let until = world.ambient.now().plus_ms(60_000);
        worker.take_turns([task.id], until).await;
        let found = worker.tasks().find(&org, &task.id, world.ambient.now()).await;
        let found = found.unwrap().unwrap();
        assert_eq!((found.status, found.data.contains_key("error")), (ends, deaths == 10));
    }
}

#[tokio::test]
async fn tasks_take_turns_until_the_time_is_up() {
    let world = World::new();
    let org = organisation();
    let now = world.ambient.now();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let app = world.application().await.parse().unwrap();
        let task = Task::new(TaskId::new(&world.ambient), org, Work::Purge { app }, now);
        ids.push(task.id);
        world.admin.worker.tasks().create(task).await.unwrap();
    }
    let none = world.admin.worker.take_turns(ids.clone(), now).await;
    assert_eq!(none, Turns::default());
    let all = world.admin.worker.take_turns(ids, now.plus_ms(1)).await;
    assert_eq!(all, Turns { worked: 2, failed: 0 });
}

#[tokio::test]
async fn a_task_whose_result_outgrows_what_can_be_kept_fails_and_says_why() {
    let world = World::new();
    for _ in 0..9 {
        let app = world.application().await;
        let types: Vec<String> = (0..200).map(|n| format!("{n:0>200}")).collect();
        for name in &types {
            world.describe(name).await;
        }
        world.endpoint_with(&app, json!({"url": URL, "eventTypes": types})).await;
    }
    let begun = world.call("PUT", "/api/v1/stats/usage/event-types", Value::Null).await;
    world.sweep().await;
    let task = read(&world, &begun.body).await;
    assert_eq!(task["status"], "failed");
    assert_eq!(
        task["data"],
        json!({"error": "The result is larger than what can be kept: ask for less at once."})
    );
    // It is over: the next sweep has nothing to do.
    assert_eq!(world.sweep().await.tasks, 0);
}

async fn stage() -> (World, String, String) {
    World::with_endpoint(URL).await
}

/// Publishes messages that the endpoint refuses until they are given up.
async fn fail_for_good(world: &World, app: &str, messages: usize) -> Vec<String> {
    let mut failed = Vec::new();
    for n in 0..messages {
        failed.push(world.publish(app, json!({"fails": n})).await);
    }
    for _ in 0..messages * 8 {
        world.network.next(URL, answer(500));
    }
    world.dispatch_all().await;
    // As far apart as the schedule's longest delay with its jitter.
    for _ in 0..8 {
        world.advance_s(13 * 3_600);
        world.sweep().await;
        world.dispatch_all().await;
    }
    for msg in &failed {
        assert_eq!(standing(world, app, msg).await.0, 2);
    }
    failed
}

async fn begin(world: &World, app: &str, ep: &str, kind: &str, body: Value) -> Value {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/{kind}");
    let reply = world.call("POST", &path, body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.body
}

async fn read(world: &World, task: &Value) -> Value {
    let path = format!("/api/v1/background-task/{}", text(&task["id"]));
    let reply = world.call("GET", &path, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}

/// How far a message is with its only endpoint.
async fn standing(world: &World, app: &str, msg: &str) -> (u64, String) {
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
    let reply = world.call("GET", &path, Value::Null).await;
    let endpoint = &reply.body["data"][0];
    (endpoint["status"].as_u64().expect("a status"), text(&endpoint["statusText"]))
}

fn now(world: &World) -> String {
    world.ambient.now().to_rfc3339()
}

/// The messages of all requests so far.
fn ids(world: &World) -> Vec<String> {
    world.network.sent().iter().map(|sent| header(sent, "webhook-id").to_owned()).collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}
