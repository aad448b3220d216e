//! Events that are too big for one: cut into several at publish, each delivered for itself, once,
//! whatever happens on the way.

use serde_json::{Value, json};
use shared::domain::profile::split::{Split, TooMuch};

use crate::profiles::application;
use crate::support::faults::Fault;
use crate::support::network::header;
use crate::support::world::{Reply, World, text};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn thirteen_thousand_transactions_become_three_events() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let published = publish(&world, &app, &token(&world), "k", &[13_000]).await;
    assert_eq!(published.status, 202, "{published:?}");
    assert_eq!(published.body["parts"], 3);
    assert_eq!(sizes(&published.body["payload"]), [13_000]);
    world.dispatch_all().await;
    let sent: Vec<Value> = bodies(&world);
    let counts: Vec<usize> = sent.iter().flat_map(|body| sizes(&body["payload"])).collect();
    assert_eq!(sorted(counts), [1_000, 6_000, 6_000]);
    let mut ids: Vec<&str> = sent
        .iter()
        .flat_map(|body| body["payload"]["accounts"].as_array().unwrap())
        .flat_map(|account| account["transactions"].as_array().unwrap())
        .map(|id| id.as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 13_000);
}

#[tokio::test]
async fn each_part_has_an_id_of_its_own_and_leads_to_its_parent() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let published = publish(&world, &app, &token(&world), "k", &[13_000]).await;
    world.dispatch_all().await;
    let parent = text(&published.body["id"]);
    let log = world.call("GET", &format!("/api/v1/app/{app}/msg?limit=50"), Value::Null).await;
    let messages = log.body["data"].as_array().unwrap();
    assert_eq!(messages.len(), 4);
    let whole = messages.iter().find(|message| message["id"] == *parent).unwrap();
    assert_eq!(whole["parts"], 3);
    let mut parts: Vec<String> = messages
        .iter()
        .filter(|message| message["parent"] == *parent)
        .map(|message| text(&message["id"]))
        .collect();
    let mut listed: Vec<String> =
        whole["payload"]["parts"].as_array().unwrap().iter().map(text).collect();
    let sent = world.network.sent();
    let mut delivered: Vec<String> =
        sent.iter().map(|sent| header(sent, "webhook-id").to_owned()).collect();
    for list in [&mut parts, &mut listed, &mut delivered] {
        list.sort();
    }
    assert_eq!(parts, listed);
    assert_eq!(parts, delivered);
    assert!(!parts.contains(&parent));
}

#[tokio::test]
async fn every_account_gets_events_of_its_own() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    publish(&world, &app, &token(&world), "k", &[2, 6_001, 0]).await;
    world.dispatch_all().await;
    let counts = bodies(&world).iter().flat_map(|body| sizes(&body["payload"])).collect();
    assert_eq!(sorted(counts), [0, 1, 2, 6_000]);
}

#[tokio::test]
async fn an_event_that_fits_goes_out_with_the_bytes_that_were_published() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let published = publish(&world, &app, &token(&world), "k", &[6_000]).await;
    assert_eq!(published.body["parts"], Value::Null);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 1);
    let shown = published.bytes;
    let payload = serde_json::to_string(&payload(&[6_000])).unwrap();
    assert!(std::str::from_utf8(&shown).unwrap().contains(&payload));
    let body = world.network.sent()[0].body.clone();
    assert!(std::str::from_utf8(&body).unwrap().contains(&payload));
}

#[tokio::test]
async fn asking_again_gets_the_same_answer_and_sends_nothing_twice() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let first = publish(&world, &app, &token(&world), "k", &[13_000]).await;
    world.dispatch_all().await;
    let again = publish(&world, &app, &token(&world), "k", &[13_000]).await;
    world.live_s(60).await;
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(world.network.sent().len(), 3);
}

#[tokio::test]
async fn a_crash_half_way_and_a_second_try_lose_nothing_and_double_nothing() {
    /// Reading the application, storing the parent, storing three parts and sending them at once.
    const CALLS: usize = 6;
    for call in 0..CALLS {
        for fault in [Fault::Before, Fault::After] {
            let world = World::new();
            let (app, _) = customer(&world).await;
            let token = token(&world);
            world.plan.fail_after(call, fault);
            if call == CALLS - 1 {
                // The queue is asked twice.
                world.plan.fail_after(call + 1, fault);
            }
            let first = publish(&world, &app, &token, "k", &[13_000]).await;
            assert_eq!(first.status.as_u16(), 503, "{call} {fault:?}");
            let again = publish(&world, &app, &token, "k", &[13_000]).await;
            assert_eq!(again.status, 202, "call {call}, {fault:?}: {again:?}");
            world.live_s(120).await;
            let mut ids: Vec<String> = world
                .network
                .sent()
                .iter()
                .map(|sent| header(sent, "webhook-id").to_owned())
                .collect();
            ids.sort();
            let sent = ids.len();
            ids.dedup();
            assert_eq!((sent, ids.len()), (3, 3), "call {call}, {fault:?}");
        }
    }
}

#[tokio::test]
async fn what_is_expunged_of_an_event_is_expunged_of_its_parts() {
    for way in ["content", "bulk-expunge", "expunge-all-contents"] {
        let world = World::new();
        let (app, _) = customer(&world).await;
        let published = publish(&world, &app, &token(&world), "k", &[13_000]).await;
        let kept = publish(&world, &app, &token(&world), "other", &[10]).await;
        world.advance_s(1);
        let parent = text(&published.body["id"]);
        let at = |rest: &str| format!("/api/v1/app/{app}/msg{rest}");
        let reply = match way {
            "content" => {
                world.call("DELETE", &at(&format!("/{parent}/content")), Value::Null).await
            }
            _ => world.call("POST", &at(&format!("/{way}")), json!({"ids": [parent]})).await,
        };
        assert!(reply.status.is_success(), "{reply:?}");
        let log = world.call("GET", &at("?limit=50"), Value::Null).await;
        let messages = log.body["data"].as_array().unwrap();
        assert_eq!(messages.len(), 5);
        for message in messages {
            let gone = message["payload"] == json!({"expired": true});
            let is_other = message["id"] == kept.body["id"];
            assert_eq!(gone, !is_other || way == "expunge-all-contents", "{way}: {message}");
        }
    }
}

#[tokio::test]
async fn what_is_canceled_of_an_event_is_canceled_of_its_parts() {
    for by_endpoint in [false, true] {
        let world = World::new();
        let (app, ep) = customer(&world).await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        world.call("PATCH", &path, json!({"retrySchedule": [600, 600]})).await;
        for _ in 0..2 {
            world.network.next(URL, crate::support::network::answer(500));
        }
        let published = publish(&world, &app, &token(&world), "k", &[1, 1]).await;
        world.dispatch_all().await;
        assert_eq!(world.network.sent().len(), 2);
        let parent = text(&published.body["id"]);
        let canceled = match by_endpoint {
            false => {
                world
                    .call("POST", &format!("/api/v1/app/{app}/msg/{parent}/cancel"), Value::Null)
                    .await
            }
            true => {
                world
                    .call("POST", &format!("{path}/cancel-msgs"), json!({"msgIds": [parent]}))
                    .await
            }
        };
        assert_eq!((canceled.status.as_u16(), &canceled.body["canceled"]), (200, &json!(2)));
        world.live_s(3_600).await;
        assert_eq!(world.network.sent().len(), 2);
    }
}

#[tokio::test]
async fn what_is_canceled_of_an_event_before_its_time_is_canceled_of_its_parts() {
    // Before and after the sweep has put them in the queue.
    for waited_s in [0, 560] {
        let world = World::new();
        let (app, _) = customer(&world).await;
        let body = json!({
            "eventType": "newTransactions", "subject": "user-1", "payload": payload(&[1, 1]),
            "deliverAt": world.ambient.now().plus_ms(600_000).to_rfc3339(),
        });
        let published = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
        assert_eq!(published.body["parts"], 2, "{published:?}");
        world.advance_s(waited_s);
        world.sweep().await;
        let path = format!("/api/v1/app/{app}/msg/{}/cancel", text(&published.body["id"]));
        let canceled = world.call("POST", &path, Value::Null).await;
        assert_eq!((canceled.status.as_u16(), &canceled.body["canceled"]), (200, &json!(2)));
        world.live_s(1_200).await;
        assert_eq!(world.network.sent().len(), 0, "after {waited_s} s");
    }
}

#[tokio::test]
async fn another_event_of_the_same_name_is_refused() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let path = format!("/api/v1/app/{app}/msg");
    for (accounts, status) in [(&[13_000][..], 202), (&[7_000][..], 409), (&[1][..], 409)] {
        let body = json!({
            "eventType": "newTransactions", "eventId": "event-1", "payload": payload(accounts),
        });
        assert_eq!(world.call("POST", &path, body).await.status, status, "{accounts:?}");
    }
    world.live_s(60).await;
    assert_eq!(world.network.sent().len(), 3);
}

#[tokio::test]
async fn the_same_event_published_again_is_refused_unless_it_is_the_same_request() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let path = format!("/api/v1/app/{app}/msg");
    let body = json!({
        "eventType": "newTransactions", "eventId": "event-1", "payload": payload(&[13_000]),
    });
    assert_eq!(world.call("POST", &path, body.clone()).await.status, 202);
    assert_eq!(world.call("POST", &path, body.clone()).await.status, 409, "in the same second");
    world.advance_s(60);
    assert_eq!(world.call("POST", &path, body).await.status, 409);
    world.live_s(60).await;
    assert_eq!(world.network.sent().len(), 3);
}

#[tokio::test]
async fn a_part_that_was_expunged_before_it_was_sent_is_not_sent_by_a_second_try() {
    /// Reading the application, storing the parent, storing three parts.
    const BEFORE_QUEUE: usize = 5;
    let world = World::new();
    let (app, _) = customer(&world).await;
    let token = token(&world);
    world.plan.fail_after(BEFORE_QUEUE, Fault::Before);
    world.plan.fail_after(BEFORE_QUEUE + 1, Fault::Before);
    assert_eq!(publish(&world, &app, &token, "k", &[13_000]).await.status, 503);
    let log = world.call("GET", &format!("/api/v1/app/{app}/msg"), Value::Null).await;
    let messages = log.body["data"].as_array().unwrap();
    let part = messages.iter().find(|message| message["parent"].is_string()).unwrap();
    let content = format!("/api/v1/app/{app}/msg/{}/content", text(&part["id"]));
    assert_eq!(world.call("DELETE", &content, Value::Null).await.status, 204);
    assert_eq!(publish(&world, &app, &token, "k", &[13_000]).await.status, 202);
    world.live_s(120).await;
    assert_eq!(world.network.sent().len(), 2);
}

#[tokio::test]
async fn an_event_of_which_lambda_could_not_answer_with_so_much_is_taken_and_not_shown() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let published = publish(&world, &app, &token(&world), "k", &[60_000]).await;
    assert_eq!((published.status.as_u16(), &published.body["parts"]), (202, &json!(10)));
    assert!(published.bytes.len() < 1_000, "{} bytes", published.bytes.len());
    assert_eq!(published.body["payload"], json!({}));
    world.dispatch_all().await;
    let counts = bodies(&world).iter().flat_map(|body| sizes(&body["payload"])).sum::<usize>();
    assert_eq!(counts, 60_000);
}

#[tokio::test]
async fn a_parent_cannot_be_resent_and_its_parts_can() {
    let world = World::new();
    let (app, ep) = customer(&world).await;
    let published = publish(&world, &app, &token(&world), "k", &[13_000]).await;
    world.dispatch_all().await;
    let parent = text(&published.body["id"]);
    let path = format!("/api/v1/app/{app}/msg/{parent}");
    let refused = world.call("POST", &format!("{path}/endpoint/{ep}/resend"), Value::Null).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!("split")));
    let shown = world.call("GET", &path, Value::Null).await;
    let part = text(&shown.body["payload"]["parts"][1]);
    let path = format!("/api/v1/app/{app}/msg/{part}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &path, Value::Null).await.status, 202);
    world.dispatch_all().await;
    assert_eq!(header(&world.network.sent()[3], "webhook-id"), part);
}

#[tokio::test]
async fn only_an_application_whose_profile_cuts_events_may_publish_so_much() {
    let (world, app) = World::with_application().await;
    let refused = publish(&world, &app, &token(&world), "k", &[14_000]).await;
    assert_eq!(refused.status, 413);
}

#[tokio::test]
async fn an_event_of_too_many_parts_is_refused_and_nothing_of_it_is_sent() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let refused = publish(&world, &app, &token(&world), "k", &[0; 1_001]).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["code"]),
        (413, &json!("payload_too_large"))
    );
    world.live_s(60).await;
    assert_eq!(world.network.sent().len(), 0);
}

#[test]
fn what_is_cut_keeps_its_order_and_its_spelling() {
    let split = split("groups[].items", 2);
    let payload = r#"{"z":1.0, "groups":[{"b":"\u00e9","items":[1,2.50,3],"a":null}],"y":[ ]}"#;
    let parts = split.parts("a.b", payload.as_bytes()).unwrap().unwrap();
    assert_eq!(
        parts,
        [
            r#"{"z":1.0,"groups":[{"b":"\u00e9","items":[1,2.50],"a":null}],"y":[ ]}"#,
            r#"{"z":1.0,"groups":[{"b":"\u00e9","items":[3],"a":null}],"y":[ ]}"#,
        ]
    );
}

#[test]
fn a_group_without_an_array_keeps_no_other_from_being_cut() {
    let split = split("groups[].items", 2);
    let payload = br#"{"groups":[{"a":1},{"items":null},{"items":[1,2,3]}]}"#;
    let parts = split.parts("a.b", payload).unwrap().unwrap();
    assert_eq!(
        parts,
        [
            r#"{"groups":[{"a":1}]}"#,
            r#"{"groups":[{"items":null}]}"#,
            r#"{"groups":[{"items":[1,2]}]}"#,
            r#"{"groups":[{"items":[3]}]}"#,
        ]
    );
}

#[test]
fn an_array_of_the_payload_itself_can_be_cut() {
    let parts = split("items", 1).parts("a.b", br#"{"items":["x","y"]}"#).unwrap().unwrap();
    assert_eq!(parts, [r#"{"items":["x"]}"#, r#"{"items":["y"]}"#]);
}

#[test]
fn what_does_not_fit_the_path_is_one_event() {
    let split = split("groups[].items", 1);
    for payload in [
        "{}",
        r#"{"groups":{}}"#,
        r#"{"groups":[{"items":3},{"items":null},{}]}"#,
        r#"{"groups":[7,{"items":[1,2]}]}"#,
        r#"{"groups":[{"items":[1]}]}"#,
        r#"{"groups":[{"items":[1,2],"items":[3]}]}"#,
    ] {
        assert_eq!(split.parts("a.b", payload.as_bytes()), Ok(None), "{payload}");
    }
    let two = br#"{"groups":[{"items":[1,2]}]}"#;
    assert_eq!(split.parts("other", two), Ok(None));
    assert_eq!(split.parts("a.b", two).unwrap().unwrap().len(), 2);
}

#[test]
fn an_event_that_would_become_too_many_or_too_much_is_not_cut_at_all() {
    let items = |count: usize| vec!["1"; count].join(",");
    let split_one = split("items", 1);
    let many = |count: usize| format!(r#"{{"items":[{}]}}"#, items(count));
    assert_eq!(split_one.parts("a.b", many(1_001).as_bytes()), Err(TooMuch));
    assert_eq!(split_one.parts("a.b", many(1_000).as_bytes()).unwrap().unwrap().len(), 1_000);
    // Each part would have the padding.
    let padding = "x".repeat(300_000);
    let large = format!(r#"{{"padding":"{padding}","items":[{}]}}"#, items(100));
    assert_eq!(split_one.parts("a.b", large.as_bytes()), Err(TooMuch));
}

#[test]
fn a_quarter_of_a_million_fields_are_looked_through_once() {
    let fields: Vec<String> = (0..250_000).map(|n| format!(r#""{n}":0"#)).collect();
    let payload = format!(r#"{{{},"items":[1,2]}}"#, fields.join(","));
    let parts = split("items", 1).parts("a.b", payload.as_bytes()).unwrap().unwrap();
    assert_eq!(parts.len(), 2);
}

fn split(path: &str, most: usize) -> Split {
    serde_json::from_value(json!({"path": path, "most": most, "types": ["a.b"]})).unwrap()
}

#[tokio::test]
async fn the_events_of_a_batch_may_become_as_many_parts_together_as_one_event() {
    let world = World::new();
    let (app, _) = customer(&world).await;
    let event = |accounts: usize| {
        json!({"eventType": "newTransactions", "subject": "user-1",
            "payload": payload(&vec![0; accounts])})
    };
    let other = json!({"eventType": "other", "subject": "user-1", "payload": {}});
    let messages = [event(600), event(600), event(2), other];
    let path = format!("/api/v1/app/{app}/msg/batch");
    let reply = world.call("POST", &path, json!({"messages": messages})).await;
    let statuses: Vec<&Value> =
        reply.body["results"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, [202, 413, 413, 202], "{reply:?}");
    assert_eq!(reply.body["results"][0]["message"]["parts"], 600);
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 601);
    assert_eq!(publish(&world, &app, &token(&world), "k", &vec![0; 600]).await.status, 202);
}

async fn customer(world: &World) -> (String, String) {
    let app = application(world, "moneyhub").await;
    let ep = world.endpoint(&app, URL).await;
    (app, ep)
}

fn token(world: &World) -> String {
    world.token()
}

/// Publishes so many transactions of each account under an idempotency key.
async fn publish(world: &World, app: &str, token: &str, key: &str, accounts: &[usize]) -> Reply {
    let body = json!({
        "eventType": "newTransactions", "subject": "user-1", "payload": payload(accounts),
    });
    let request = http::Request::post(format!("/api/v1/app/{app}/msg"))
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", key)
        .body(body.to_string().into())
        .unwrap();
    world.send(request).await
}

fn payload(accounts: &[usize]) -> Value {
    let transactions = |account: usize, count: usize| -> Vec<String> {
        (0..count).map(|n| format!("{account:08x}-0000-4000-8000-{n:012x}")).collect()
    };
    let accounts: Vec<Value> = accounts
        .iter()
        .enumerate()
        .map(|(n, count)| json!({"id": n.to_string(), "transactions": transactions(n, *count)}))
        .collect();
    json!({"accounts": accounts})
}

fn bodies(world: &World) -> Vec<Value> {
    world.network.sent().iter().map(|sent| serde_json::from_slice(&sent.body).unwrap()).collect()
}

/// How many transactions each account has.
fn sizes(payload: &Value) -> Vec<usize> {
    let accounts = payload["accounts"].as_array().unwrap();
    accounts.iter().map(|account| account["transactions"].as_array().unwrap().len()).collect()
}

fn sorted(mut counts: Vec<usize>) -> Vec<usize> {
    counts.sort_unstable();
    counts
}
