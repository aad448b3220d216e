//! What an attempt says about its endpoint: of the URL that was called, on the endpoint as it is
//! by then, and never at the expense of the delivery.

use http::Request;
use shared::store::DirectoryEditor;

use super::*;
use crate::support::interleaved::Interleaved;

/// How long an endpoint may only fail here, in seconds.
const LIMIT_S: u64 = 3_600;

#[tokio::test]
async fn gone_does_not_disable_an_endpoint_that_has_moved() {
    let (world, app, _, record) = accepted().await;
    let ep = only_endpoint(&world, &app).await;
    world.network.next(URL, answer(410));
    let (gate, work) = under_way(&world, record, |_| {}).await;
    change_endpoint(&world, &app, &ep, json!({"url": OTHER})).await;
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert!(!is_disabled(&world, &app, &ep).await);
}

#[tokio::test]
async fn gone_leaves_an_endpoint_alone_that_was_disabled_by_then() {
    let (world, app, _, record) = accepted().await;
    let ep = only_endpoint(&world, &app).await;
    world.network.next(URL, answer(410));
    let (gate, work) = under_way(&world, record, |_| {}).await;
    change_endpoint(&world, &app, &ep, json!({"disabled": true})).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let before = world.call("GET", &path, Value::Null).await.body;
    world.advance_s(1);
    gate.open();
    assert_eq!(work.await.unwrap(), NONE);
    assert_eq!(world.call("GET", &path, Value::Null).await.body, before);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_when_the_record_comes_again_if_that_failed() {
    for turn in ["first", "retry", "by hand"] {
        let (world, app, ep, record) = match turn {
            "first" => {
                let (world, app, _, record) = accepted().await;
                let ep = only_endpoint(&world, &app).await;
                (world, app, ep, record)
            }
            _ => {
                let Waiting { world, app, ep, msg } = waiting().await;
                match turn {
                    "retry" => world.advance_s(7),
                    _ => resend(&world, &app, &msg, &ep).await,
                }
                let record = receive(&world.queues.retries).await.remove(0);
                (world, app, ep, record)
            }
        };
        let before = world.network.sent().len();
        world.network.next(URL, answer(410));
        let failing = dispatcher(&world, |parts| parts.editor = broken_editor(&world));
        assert_eq!(failing.handle(vec![copy(&record, 1)], None).await, [record.id.as_str()]);
        assert!(!is_disabled(&world, &app, &ep).await, "{turn}");
        world.advance_s(VISIBILITY_S.into());
        assert_eq!(world.dispatcher.handle(vec![copy(&record, 2)], None).await, NONE, "{turn}");
        assert!(is_disabled(&world, &app, &ep).await, "{turn}");
        assert_eq!(world.network.sent().len(), before + 1, "{turn}");
    }
}

#[tokio::test]
async fn an_endpoint_is_not_disabled_for_failing_if_something_happened_meanwhile() {
    for meanwhile in ["nothing", "it moved", "it was enabled again", "it took something"] {
        let (world, app, ep) = failing_for_long().await;
        // To be taken by another dispatcher, in the middle of the other's change.
        world.publish(&app, json!({"taken": true})).await;
        let taken = receive(&world.queues.deliveries).await;
        world.publish(&app, json!({"taken": false})).await;
        let given_up = receive(&world.queues.deliveries).await;
        world.network.next(URL, answer(500));
        let table = Interleaved::new(&world.table);
        let editor: Arc<dyn Table> = table.clone();
        let behind = dispatcher(&world, |parts| parts.editor = DirectoryEditor::new(editor, None));
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        let patches = match meanwhile {
            "it moved" => vec![json!({"url": OTHER})],
            "it was enabled again" => vec![json!({"disabled": true}), json!({"disabled": false})],
            _ => Vec::new(),
        };
        let requests: Vec<_> = patches
            .iter()
            .map(|patch| {
                Request::patch(&path)
                    .header("authorization", format!("Bearer {}", world.token()))
                    .body(patch.to_string().into())
                    .unwrap()
            })
            .collect();
        let (admin, other) = (world.admin.clone(), world.dispatcher.clone());
        let takes = meanwhile == "it took something";
        table.after_next_read(async move {
            for request in requests {
                assert_eq!(admin.handle(request).await.status(), 200);
            }
            if takes {
                assert_eq!(other.handle(taken, None).await, NONE);
            }
        });
        assert_eq!(behind.handle(given_up, None).await, NONE);
        let disabled = is_disabled(&world, &app, &ep).await;
        assert_eq!(disabled, meanwhile == "nothing", "{meanwhile}");
    }
}

#[tokio::test]
async fn only_the_url_that_took_the_test_event_is_verified() {
    for moves in [false, true] {
        let (world, app, ep) = World::with_endpoint(URL).await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        let event_type = json!({
            "name": "test.event", "description": "", "schemas": {"1": {"examples": [{"n": 1}]}},
        });
        assert_eq!(world.call("POST", "/api/v1/event-type", event_type).await.status, 201);
        let sent = world
            .call("POST", &format!("{path}/send-example"), json!({"eventType": "test.event"}))
            .await;
        assert_eq!(sent.status, 200, "{sent:?}");
        let record = receive(&world.queues.retries).await.remove(0);
        let (gate, work) = under_way(&world, record, |_| {}).await;
        if moves {
            change_endpoint(&world, &app, &ep, json!({"url": OTHER})).await;
        }
        gate.open();
        assert_eq!(work.await.unwrap(), NONE);
        let shown = world.call("GET", &path, Value::Null).await.body;
        assert_eq!(shown["verifiedAt"].is_null(), moves, "{shown}");
    }
}

#[tokio::test]
async fn what_cannot_be_noted_of_an_endpoint_does_not_bring_the_record_back() {
    for status in [200, 500] {
        let (world, app, _) = failing_for_long().await;
        world.network.next(URL, answer(status));
        let msg = world.publish(&app, json!({})).await;
        let failing = dispatcher(&world, |parts| parts.editor = broken_editor(&world));
        assert_eq!(
            poll(&world.queues.deliveries, &failing).await,
            Polled { done: 1, undone: 0 },
            "{status}"
        );
        assert_eq!(codes(&world.attempts(&app, &msg).await), [u64::from(status)]);
    }
}

#[tokio::test]
async fn what_only_failed_by_hand_is_shown_as_failed() {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "eventTypes": ["another.type"]})).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.network.next(URL, answer(500));
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert_eq!(standing(&world, &app, &msg).await, "fail");
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert_eq!(standing(&world, &app, &msg).await, "success");
}

/// A world whose endpoint has only failed for as long as it may.
async fn failing_for_long() -> (World, String, String) {
    let settings = Settings {
        schedule: Schedule::new(Vec::new()),
        disable_after_ms: Some(LIMIT_S * 1_000),
        ..Settings::default()
    };
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.advance_s(LIMIT_S + 1);
    (world, app, ep)
}

/// Changes nothing, ever.
fn broken_editor(world: &World) -> DirectoryEditor {
    let faults = (0..100).map(|call| (call, Fault::Before)).collect();
    let table: Arc<dyn Table> = Arc::new(Faulty::new(world.table.clone(), &Plan::new(faults)));
    DirectoryEditor::new(table, None)
}

async fn only_endpoint(world: &World, app: &str) -> String {
    let path = format!("/api/v1/app/{app}/endpoint");
    text(&world.call("GET", &path, Value::Null).await.body["data"][0]["id"])
}
