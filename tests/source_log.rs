//! What came in at a source: what became a message, and what was refused.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::faults::{Fault, Plan};
use crate::support::world::{Builder, Reply, World, text};

const SOURCES: &str = "/ingest/api/v1/source";

async fn source(world: &World, app: &str) -> String {
    let body = json!({"name": "s", "type": "generic-webhook", "app": app,
        "config": {"secret": "token"}, "verification": {"scheme": "bearer"},
        "eventId": {"pointer": "/id"}});
    let made = world.call("POST", SOURCES, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    text(&made.body["id"])
}

async fn post(world: &World, source: &str, token: &str, body: &'static str) -> u16 {
    let request = Request::post(format!("/in/{source}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::from_static(body.as_bytes()));
    world.send(request.unwrap()).await.status.as_u16()
}

async fn log(world: &World, source: &str, query: &str) -> Reply {
    let reply = world.call("GET", &format!("{SOURCES}/{source}/log{query}"), Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

/// Status, event type, reason and count of each line.
fn lines(reply: &Reply) -> Vec<Value> {
    let data = reply.body["data"].as_array().unwrap();
    let line = |one: &Value| {
        assert!(text(&one["id"]).starts_with("msg_"), "{one}");
        json!([one["status"], one["eventType"], one["reason"], one["count"]])
    };
    data.iter().map(line).collect()
}

#[tokio::test]
async fn what_was_taken_and_what_was_refused_is_listed_newest_first() {
    let (world, app) = World::with_application().await;
    let (own, other) = (source(&world, &app).await, source(&world, &app).await);
    assert_eq!(post(&world, &own, "token", r#"{"type":"a.made","id":"1"}"#).await, 202);
    world.advance_s(1);
    world.publish(&app, json!({"not": "of a source"})).await;
    assert_eq!(post(&world, &other, "token", r#"{"type":"b.made"}"#).await, 202);
    assert_eq!(post(&world, &own, "wrong", "{}").await, 401);
    world.advance_s(61);
    assert_eq!(post(&world, &own, "token", "a=form").await, 422);
    world.advance_s(1);
    assert_eq!(post(&world, &own, "token", r#"{"type":"c.made"}"#).await, 202);
    let reply = log(&world, &own, "").await;
    let expected = [
        json!(["taken", "c.made", null, 1]),
        json!(["refused", null, "body", 1]),
        json!(["refused", null, "signature", 1]),
        json!(["taken", "a.made", null, 1]),
    ];
    assert_eq!(lines(&reply), expected);
    let says = &reply.body["data"][2]["says"];
    assert_eq!(says, "The proof does not fit. Compare the secret on both sides.");
    assert_eq!(reply.body["data"][3]["says"], Value::Null);
    assert_eq!(reply.body["done"], true);
    assert_eq!(reply.body["data"][3]["eventId"], format!("{own}.1"));
    assert_eq!(lines(&log(&world, &other, "").await), [json!(["taken", "b.made", null, 1])]);
    // The id leads to the message.
    let msg = text(&reply.body["data"][0]["id"]);
    let read = world.call("GET", &format!("/api/v1/app/{app}/msg/{msg}"), Value::Null).await;
    assert_eq!(read.body["eventType"], "c.made");
}

#[tokio::test]
async fn however_many_are_refused_there_is_a_line_a_minute_that_counts_them() {
    let (world, app) = World::with_application().await;
    let source = source(&world, &app).await;
    for _ in 0..40 {
        assert_eq!(post(&world, &source, "wrong", "{}").await, 401);
    }
    assert_eq!(lines(&log(&world, &source, "").await), [json!(["refused", null, "signature", 1])]);
    world.advance_s(61);
    assert_eq!(post(&world, &source, "wrong", "{}").await, 401);
    let expected =
        [json!(["refused", null, "signature", 40]), json!(["refused", null, "signature", 1])];
    assert_eq!(lines(&log(&world, &source, "").await), expected);
    world.advance_s(8 * 86_400);
    assert!(lines(&log(&world, &source, "").await).is_empty(), "nobody needs them after a week");
}

#[tokio::test]
async fn the_log_is_walked_page_by_page_to_its_end_and_back() {
    let (world, app) = World::with_application().await;
    let source = source(&world, &app).await;
    for n in 0..3 {
        world.advance_s(61);
        let token = ["token", "wrong"][n % 2];
        post(&world, &source, token, r#"{"type":"a"}"#).await;
    }
    let whole = log(&world, &source, "").await.body["data"].clone();
    assert_eq!(whole.as_array().unwrap().len(), 3);
    let mut query = "?limit=1".to_owned();
    for at in 0..3 {
        let page = log(&world, &source, &query).await.body;
        assert_eq!(page["data"], json!([whole[at]]), "{query}");
        assert_eq!(page["done"], at == 2);
        query = format!("?limit=1&iterator={}", text(&page["iterator"]));
    }
    let last = log(&world, &source, "?limit=1&order=ascending").await.body;
    assert_eq!(last["data"], json!([whole[2]]));
    let back = format!("?limit=2&iterator=-{}", text(&whole[2]["id"]));
    assert_eq!(log(&world, &source, &back).await.body["data"], json!([whole[0], whole[1]]));
}

#[tokio::test]
async fn a_webhook_is_refused_in_the_same_way_when_no_note_of_it_can_be_kept() {
    let plan = Plan::new(Vec::new());
    let world = World::build(Builder { plan: plan.clone(), ..Builder::default() });
    let app = world.application().await;
    let source = source(&world, &app).await;
    // The source is read, and then the note is refused.
    plan.fail_after(1, Fault::Before);
    assert_eq!(post(&world, &source, "wrong", "{}").await, 401);
    assert!(lines(&log(&world, &source, "").await).is_empty());
}
