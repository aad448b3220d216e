//! An application that comes with its first message.

use serde_json::{Value, json};

use crate::support::world::World;

const PATH: &str = "/api/v1/app/new-one/msg";

fn message(mut application: Value) -> Value {
    if application["uid"].is_null() {
        application["uid"] = json!("new-one");
    }
    json!({"eventType": "a", "payload": {"n": 1}, "application": application})
}

#[tokio::test]
async fn it_is_created_under_the_name_in_the_path_and_kept_from_then_on() {
    let world = World::new();
    let first = message(json!({"name": "First", "metadata": {"k": "v"}}));
    assert_eq!(world.call("POST", PATH, first).await.status, 202);
    assert_eq!(world.call("POST", PATH, message(json!({"name": "Second"}))).await.status, 202);
    let app = world.call("GET", "/api/v1/app/new-one", Value::Null).await;
    assert_eq!((&app.body["name"], &app.body["metadata"]["k"]), (&json!("First"), &json!("v")));
    let listed = world.call("GET", PATH, Value::Null).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn it_follows_the_profile_that_it_comes_with() {
    let world = World::new();
    let bringing = message(json!({"name": "A", "profile": "dots", "sandbox": true}));
    assert_eq!(world.call("POST", PATH, bringing).await.status, 202);
    let app = world.call("GET", "/api/v1/app/new-one", Value::Null).await;
    assert_eq!((&app.body["profile"], &app.body["sandbox"]), (&json!("dots"), &json!(true)));
}

#[tokio::test]
async fn what_it_breaks_is_named_and_nothing_is_created() {
    let world = World::new();
    for (application, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "A", "uid": "another"}), "uid"),
        (json!({"name": "A", "throttleRate": 0}), "throttleRate"),
        (json!({"name": "A", "profile": "nobodys"}), "profile"),
        (json!({"name": "A", "metadata": {"posthorn.profile": "nobodys"}}), "metadata"),
    ] {
        let refused = world.call("POST", PATH, message(application)).await;
        assert_eq!(refused.status, 422);
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "application", field]));
    }
    assert_eq!(world.call("GET", "/api/v1/app/new-one", Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_is_no_application_is_refused_whether_there_is_one_or_not() {
    let world = World::new();
    let refused = async || {
        for (brought, field) in [(json!("a"), None), (json!({"name": 7}), Some("name"))] {
            let body = json!({"eventType": "a", "payload": {}, "application": brought});
            let refused = world.call("POST", PATH, body).await;
            assert_eq!(refused.status, 422, "{refused:?}");
            let place: Vec<_> = ["body", "application"].into_iter().chain(field).collect();
            assert_eq!(refused.body["detail"][0]["loc"], json!(place));
        }
    };
    refused().await;
    assert_eq!(world.call("POST", PATH, message(json!({"name": "A"}))).await.status, 202);
    refused().await;
}

#[tokio::test]
async fn nobody_comes_along_without_being_brought_or_by_an_applications_token() {
    let world = World::new();
    let plain = json!({"eventType": "a", "payload": {}});
    assert_eq!(world.call("POST", PATH, plain).await.status, 404);
    let own = world.application().await;
    let bringing = message(json!({"name": "A"}));
    let token = world.app_token(&own);
    assert_eq!(world.call_as(&token, "POST", PATH, bringing.clone()).await.status, 403);
    let by_id =
        format!("/api/v1/app/{}/msg", shared::domain::id::ApplicationId::new(&world.ambient));
    assert_eq!(world.call("POST", &by_id, bringing).await.status, 404);
}

#[tokio::test]
async fn a_request_that_is_refused_for_whatever_reason_creates_nothing() {
    let world = World::new();
    let brought = json!({"name": "A", "uid": "new-one"});
    let event = |field: &str, value: Value| {
        let mut event = message(json!({"name": "A"}));
        event[field] = value;
        event
    };
    let long = json!({"a": "x".repeat(400 * 1024)});
    let batch = format!("{PATH}/batch");
    let asked = format!("{PATH}?with_content=x");
    for (path, body) in [
        (PATH, event("eventType", json!("a b"))),
        (PATH, event("eventType", Value::Null)),
        (PATH, event("payload", json!([]))),
        (PATH, event("payload", long)),
        (PATH, event("eventId", json!("a b"))),
        (PATH, event("channels", json!([""]))),
        (PATH, event("tags", json!("t"))),
        (PATH, event("deliverAt", json!("soon"))),
        (PATH, event("payloadRetentionPeriod", json!(0))),
        (PATH, event("transformationsParams", json!({"rawPayload": 1}))),
        (&asked, event("payload", json!({}))),
        (&batch, json!({"application": brought, "messages": []})),
        (&batch, json!({"application": brought, "messages": {}})),
    ] {
        let refused = world.call("POST", path, body.clone()).await;
        assert!(refused.status.is_client_error() && refused.status != 404, "{body}: {refused:?}");
        let there = world.call("GET", "/api/v1/app/new-one", Value::Null).await;
        assert_eq!(there.status, 404, "{body} created it");
    }
    let one = json!({"eventType": "a", "payload": {}});
    let taken =
        world.call("POST", &batch, json!({"application": brought, "messages": [one]})).await;
    assert_eq!(taken.status, 202, "{taken:?}");
}

#[tokio::test]
async fn a_token_that_may_only_publish_creates_nothing() {
    let world = World::new();
    let token = async |scope: &str| {
        let asked = json!({"name": scope, "scope": scope});
        let made = world.call("POST", "/api/v1/operator/api-token", asked).await;
        made.body["token"].as_str().unwrap().to_owned()
    };
    let publishing = token("publish").await;
    let bringing = message(json!({"name": "A"}));
    assert_eq!(world.call_as(&publishing, "POST", PATH, bringing.clone()).await.status, 403);
    assert_eq!(world.call("GET", "/api/v1/app/new-one", Value::Null).await.status, 404);
    let all = token("all").await;
    assert_eq!(world.call_as(&all, "POST", PATH, bringing.clone()).await.status, 202);
    // Once it is there, nothing is created.
    assert_eq!(world.call_as(&publishing, "POST", PATH, bringing).await.status, 202);
}
