//! What dispatch does with records, endpoints and time.

use serde_json::json;
use shared::sender::Ending;

use crate::support::network::{answer, header};
use crate::support::world::World;

const URL: &str = "http://127.0.0.1:9/hook";

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
