//! Payloads that are taken away: of some messages, and of all.

use serde_json::{Value, json};

use crate::support::answers::places;
use crate::support::faults::Fault;
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn each_message_that_is_named_is_taken_away_or_said_to_be_unknown() {
    let (world, app) = ready().await;
    let body = json!({"eventType": "a.b", "eventId": "mine", "payload": {"n": 1}});
    let named = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    let (first, kept) =
        (world.publish(&app, json!({})).await, world.publish(&app, json!({})).await);
    let foreign = world.application().await;
    let foreign = world.publish(&foreign, json!({"n": 2})).await;
    let path = format!("/api/v1/app/{app}/msg/bulk-expunge");
    let ids = json!({"ids": ["mine", first, foreign, "nobody"]});
    let reply = world.call("POST", &path, ids).await;
    let expected = json!({
        "mine": "expunged", &first: "expunged", &foreign: "not-found", "nobody": "not-found",
    });
    assert_eq!((reply.status.as_u16(), &reply.body["results"]), (200, &expected));
    for (id, gone) in [(text(&named.body["id"]), true), (first, true), (kept, false)] {
        let shown = world.call("GET", &format!("/api/v1/app/{app}/msg/{id}"), Value::Null).await;
        assert_eq!(shown.body["payload"] == json!({"expired": true}), gone, "{id}");
    }
    for none_or_too_many in [
        json!({"ids": vec!["x"; 101]}),
        json!({"ids": []}),
        json!({}),
        // As it is said where messages are canceled.
        json!({"msgIds": ["mine"]}),
    ] {
        assert_eq!(places(&world.call("POST", &path, none_or_too_many).await), ["body/ids"]);
    }
    let token = world.app_token(&app);
    assert_eq!(world.call_as(&token, "POST", &path, json!({"ids": []})).await.status, 403);
}

#[tokio::test]
async fn all_payloads_of_an_application_are_taken_away_and_no_others() {
    let (world, app) = ready().await;
    let other = world.application().await;
    let others = world.publish(&other, json!({"n": 1})).await;
    let mut ids = Vec::new();
    // More than the request itself does.
    for n in 0..1_050 {
        ids.push(world.publish(&app, json!({"n": n})).await);
    }
    let path = format!("/api/v1/app/{app}/msg/expunge-all-contents");
    let begun = world.call("POST", &path, Value::Null).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    assert_eq!(begun.body["task"], "application.purge_content");
    world.advance_s(1);
    let later = world.publish(&app, json!({"n": "later"})).await;
    world.sweep().await;
    let task = format!("/api/v1/background-task/{}", text(&begun.body["id"]));
    let task = world.call("GET", &task, Value::Null).await.body;
    assert_eq!(
        (&task["status"], &task["data"]),
        (&json!("finished"), &json!({"messagesPurged": 1_050}))
    );
    let payload = async |app: &str, id: &str| {
        let path = format!("/api/v1/app/{app}/msg/{id}");
        world.call("GET", &path, Value::Null).await.body["payload"].clone()
    };
    for id in [&ids[0], &ids[500], &ids[1_049]] {
        assert_eq!(payload(&app, id).await, json!({"expired": true}));
    }
    assert_eq!(payload(&app, &later).await, json!({"n": "later"}));
    assert_eq!(payload(&other, &others).await, json!({"n": 1}));
}

#[tokio::test]
async fn taking_all_away_goes_on_where_it_broke_off() {
    for call in 8..40 {
        let (world, app) = ready().await;
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(world.publish(&app, json!({"n": n})).await);
        }
        world.plan.fail_after(call, Fault::Before);
        let path = format!("/api/v1/app/{app}/msg/expunge-all-contents");
        let begun = world.call("POST", &path, Value::Null).await;
        assert_eq!((begun.status.as_u16(), world.plan.fired()), (202, 1), "call {call}");
        world.advance_s(180);
        world.sweep().await;
        for id in &ids {
            let path = format!("/api/v1/app/{app}/msg/{id}");
            let shown = world.call("GET", &path, Value::Null).await.body;
            assert_eq!(shown["payload"], json!({"expired": true}), "call {call}");
        }
    }
}

#[tokio::test]
async fn a_path_of_its_own_is_not_that_of_a_message() {
    let (world, app) = ready().await;
    let allowed = async |last: &str| {
        let request = http::Request::put(format!("/api/v1/app/{app}/msg/{last}"))
            .header("authorization", format!("Bearer {}", world.token()))
            .body(bytes::Bytes::new())
            .unwrap();
        let response = world.admin.handle(request).await;
        assert_eq!(response.status(), 405);
        response.headers()["allow"].to_str().unwrap().to_owned()
    };
    assert_eq!(allowed("bulk-expunge").await, "POST");
    assert_eq!(allowed("some-message").await, "GET, HEAD");
}

async fn ready() -> (World, String) {
    let (world, app, _) = World::with_endpoint(URL).await;
    (world, app)
}
