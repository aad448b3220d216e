//! Paths that clients used before the lists of attempts had one of their own.

use bytes::Bytes;
use http::Request;
use http::header::LOCATION;
use serde_json::{Value, json};

use crate::support::world::{World, text};

#[tokio::test]
async fn attempts_are_listed_under_the_older_paths_too() {
    let (world, app, first) = World::with_endpoint("http://127.0.0.1:9/first").await;
    let second = world.endpoint(&app, "http://127.0.0.1:9/second").await;
    let msg = world.publish(&app, json!({"order": 1})).await;
    world.dispatch_all().await;
    let list = async |path: String| {
        let reply = world.call("GET", &format!("/api/v1/app/{app}{path}"), Value::Null).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.body
    };

    let all = list(format!("/attempt/msg/{msg}")).await;
    assert_eq!(all["data"].as_array().unwrap().len(), 2);
    assert_eq!(list(format!("/msg/{msg}/attempt")).await, all);
    assert_eq!(list(format!("/msg/{msg}/attempt/")).await, all);

    for ep in [first, second] {
        let own = list(format!("/attempt/msg/{msg}?endpoint_id={ep}")).await;
        assert_eq!(own["data"].as_array().unwrap().len(), 1);
        assert_eq!(text(&own["data"][0]["endpointId"]), ep);
        assert_eq!(list(format!("/msg/{msg}/attempt?endpoint_id={ep}")).await, own);
        assert_eq!(list(format!("/msg/{msg}/endpoint/{ep}/attempt")).await, own);
        assert_eq!(list(format!("/msg/{msg}/endpoint/{ep}/attempt/")).await, own);
        let failed = list(format!("/msg/{msg}/endpoint/{ep}/attempt?status=2")).await;
        assert_eq!(failed["data"], json!([]));
    }

    let nowhere = format!("/api/v1/app/{app}/msg/{msg}/endpoint/other/attempt");
    assert_eq!(world.call("GET", &nowhere, Value::Null).await.status, 404);
}

#[tokio::test]
async fn an_event_for_a_path_with_a_slash_at_its_end_is_sent_where_events_are_taken() {
    let world = World::new();
    // API Gateway brings it to admin, which takes no events.
    let answer = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).body(Bytes::new()).unwrap();
        let response = world.admin.handle(request).await;
        let location = response.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        (response.status().as_u16(), location)
    };
    let moved = |to: &str| (308, Some(to.to_owned()));
    assert_eq!(answer("POST", "/api/v1/app/mine/msg/").await, moved("/api/v1/app/mine/msg"));
    assert_eq!(
        answer("POST", "//api/v1/app/mine/msg//?with_content=false").await,
        moved("/api/v1/app/mine/msg?with_content=false")
    );
    let batch = answer("POST", "/api/v1/app/mine/msg/batch/").await;
    assert_eq!(batch, moved("/api/v1/app/mine/msg/batch"));
    assert_eq!(answer("POST", "/api/v1/app/mine/msg").await, (401, None));
    assert_eq!(answer("GET", "/api/v1/app/mine/msg/").await, (401, None));
}
