//! Payloads that are sent as they are, whatever they are: `messageInRaw` of Svix's libraries.

use serde_json::{Value, json};
use shared::sender::Outbound;

use crate::support::network::{answer, header};
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

fn raw(payload: &str, content_type: Value) -> Value {
    let mut params = json!({"rawPayload": payload});
    if !content_type.is_null() {
        params["headers"] = json!({"content-type": content_type});
    }
    json!({"eventType": "a", "payload": {}, "transformationsParams": params})
}

/// What arrives of an event that is published so.
async fn arrives(world: &World, app: &str, event: Value) -> (String, Outbound) {
    let path = format!("/api/v1/app/{app}/msg");
    let published = world.call("POST", &path, event).await;
    assert_eq!(published.status, 202, "{published:?}");
    world.dispatch_all().await;
    (text(&published.body["id"]), world.network.sent_to(URL).pop().expect("a delivery"))
}

#[tokio::test]
async fn a_raw_payload_arrives_byte_for_byte_as_what_it_is() {
    let (world, app, _) = World::with_endpoint(URL).await;
    for (payload, content_type) in [
        ("not, JSON", "text/plain"),
        ("<a b=\"ä\"/>\n", "application/xml; charset=utf-8"),
        (" { \"b\" : 1.0 }\r\n", "application/json"),
        ("null", "application/json"),
        ("\u{0}\u{1f}", "application/octet-stream"),
        ("", "text/plain"),
    ] {
        let (_, sent) = arrives(&world, &app, raw(payload, json!(content_type))).await;
        assert_eq!(sent.body, payload.as_bytes(), "{payload:?}");
        assert_eq!(header(&sent, "content-type"), content_type);
    }
    let (_, sent) = arrives(&world, &app, raw("[1, 2]", Value::Null)).await;
    assert_eq!(
        (&sent.body[..], header(&sent, "content-type")),
        (&b"[1, 2]"[..], "application/json")
    );
}

#[tokio::test]
async fn no_envelope_is_put_around_it_and_nothing_is_cut() {
    let world = World::new();
    let app = json!({"name": "Client", "profile": "moneyhub"});
    let app = text(&world.call("POST", "/api/v1/app", app).await.body["id"]);
    world.endpoint(&app, URL).await;
    let (_, sent) = arrives(&world, &app, raw("as it is", json!("text/plain"))).await;
    assert_eq!(sent.body, "as it is");
}

#[tokio::test]
async fn a_retry_and_a_resend_send_the_same_bytes() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    let (id, _) = arrives(&world, &app, raw("one, two", json!("text/csv"))).await;
    world.live_s(60).await;
    let resend = format!("/api/v1/app/{app}/msg/{id}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &resend, json!({})).await.status, 202);
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 3);
    for sent in sent {
        assert_eq!((&sent.body[..], header(&sent, "content-type")), (&b"one, two"[..], "text/csv"));
    }
}

#[tokio::test]
async fn the_log_shows_it_until_it_is_expunged() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let (id, _) = arrives(&world, &app, raw("one, two", json!("text/csv"))).await;
    let path = format!("/api/v1/app/{app}/msg/{id}");
    let shown = world.call("GET", &path, Value::Null).await.body;
    assert_eq!((&shown["payload"], &shown["rawPayload"]), (&json!({}), &json!("one, two")));
    assert_eq!(shown["contentType"], "text/csv");
    let without = world.call("GET", &format!("{path}?with_content=false"), Value::Null).await.body;
    assert_eq!(
        (&without["rawPayload"], &without["contentType"]),
        (&Value::Null, &json!("text/csv"))
    );
    world.call("DELETE", &format!("{path}/content"), Value::Null).await;
    let gone = world.call("GET", &path, Value::Null).await.body;
    assert_eq!((&gone["payload"], &gone["rawPayload"]), (&json!({"expired": true}), &Value::Null));
    let (id, _) = arrives(&world, &app, raw("{\"a\": 1}", Value::Null)).await;
    let path = format!("/api/v1/app/{app}/msg/{id}");
    let shown = world.call("GET", &path, Value::Null).await.body;
    assert_eq!((&shown["payload"], &shown["rawPayload"]), (&json!({"a": 1}), &json!("{\"a\": 1}")));
}

#[tokio::test]
async fn the_content_type_is_found_in_whatever_letter_case_it_is_said_once() {
    let (world, app, _) = World::with_endpoint(URL).await;
    for name in ["content-type", "Content-Type", "Content-type", "CONTENT-TYPE"] {
        let mut event = raw("<a/>", Value::Null);
        event["transformationsParams"]["headers"] = json!({"x-a": 1, name: "text/xml"});
        let (_, sent) = arrives(&world, &app, event).await;
        assert_eq!(header(&sent, "content-type"), "text/xml", "{name}");
    }
    let path = format!("/api/v1/app/{app}/msg");
    for headers in [json!({"content-type": "a/b", "Content-Type": "a/b"}), json!("text/xml")] {
        let mut event = raw("<a/>", Value::Null);
        event["transformationsParams"]["headers"] = headers;
        assert_eq!(world.call("POST", &path, event).await.status, 422);
    }
}

#[tokio::test]
async fn a_content_type_that_is_none_is_refused_and_other_parameters_do_not_matter() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let path = format!("/api/v1/app/{app}/msg");
    for wrong in ["", "text/plain\r\nx-evil: 1", " text", "ä", &"x".repeat(129)] {
        let refused = world.call("POST", &path, raw("x", json!(wrong))).await;
        assert_eq!(refused.status, 422, "{wrong:?}");
        let place = json!(["body", "transformationsParams", "headers", "content-type"]);
        assert_eq!(refused.body["detail"][0]["loc"], place, "{wrong:?}");
    }
    let other = json!({"eventType": "a", "payload": {"a": 1},
        "transformationsParams": {"mine": [1], "headers": {"x-b": "1"}}});
    let (_, sent) = arrives(&world, &app, other).await;
    assert_eq!(sent.body, "{\"a\":1}");
}
