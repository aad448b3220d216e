//! Headers that a customer adds to an endpoint, and contents that are taken away.

use serde_json::{Value, json};

use crate::support::network::{answer, header};
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

async fn stage() -> (World, String, String, String) {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/headers");
    (world, app, ep, path)
}

#[tokio::test]
async fn added_headers_go_out_beside_our_own() {
    let (world, app, _, path) = stage().await;
    let said =
        json!({"headers": {"X-Team": "payments", "Authorization": "Bearer of-the-customer"}});
    assert_eq!(world.call("PUT", &path, said).await.status, 204);
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let sent = &world.network.sent_to(URL)[0];
    let value = |name: &str| {
        sent.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(value("X-Team"), Some("payments"));
    assert_eq!(value("Authorization"), Some("Bearer of-the-customer"));
    assert!(value("webhook-signature").is_some() && value("svix-signature").is_some());
}

#[tokio::test]
async fn credentials_come_back_by_name_only_and_rest_sealed() {
    let (world, _, _, path) = stage().await;
    let said = json!({"headers": {"X-Api-Key": "very-secret-key", "X-Team": "sealed-as-well"}});
    world.call("PUT", &path, said).await;
    let read = world.call("GET", &path, Value::Null).await;
    let expected = json!({"headers": {"X-Team": "sealed-as-well"}, "sensitive": ["X-Api-Key"]});
    assert_eq!(read.body, expected);
    assert!(world.on_disk("X-Api-Key"), "the header is there");
    assert!(!world.on_disk("very-secret-key") && !world.on_disk("sealed-as-well"));
}

#[tokio::test]
async fn a_patch_changes_what_it_names_whatever_the_case() {
    let (world, _, _, path) = stage().await;
    world.call("PUT", &path, json!({"headers": {"X-A": "1", "X-B": "2", "X-C": "3"}})).await;
    let patch = json!({"headers": {"x-a": "4", "X-B": null}, "deleteHeaders": ["x-c"]});
    assert_eq!(world.call("PATCH", &path, patch).await.status, 204);
    let read = world.call("GET", &path, Value::Null).await;
    assert_eq!(read.body["headers"], json!({"x-a": "4"}));
    assert_eq!(world.call("PUT", &path, json!({"headers": {}})).await.status, 204);
    let read = world.call("GET", &path, Value::Null).await;
    assert_eq!(read.body["headers"], json!({}));
}

#[tokio::test]
async fn a_name_that_is_said_twice_is_refused_and_so_is_a_value_that_is_not_ascii() {
    let (world, app, _, path) = stage().await;
    let twice = json!({"X-Foo": "a", "x-foo": "b"});
    let list = format!("/api/v1/app/{app}/endpoint");
    for (method, path, body, field) in [
        ("PUT", &path, json!({"headers": twice}), "x-foo"),
        ("PATCH", &path, json!({"headers": twice}), "x-foo"),
        ("POST", &list, json!({"url": URL, "headers": twice}), "x-foo"),
        ("PUT", &path, json!({"headers": {"X-Foo": "é"}}), "X-Foo"),
        ("PUT", &path, json!({"headers": {"x.foo.bar": "é"}}), "x.foo.bar"),
    ] {
        let reply = world.call(method, path, body).await;
        assert_eq!(reply.status, 422, "{method} {path}: {reply:?}");
        assert_eq!(reply.body["detail"][0]["loc"], json!(["body", "headers", field]));
    }
    assert_eq!(world.call("GET", &path, Value::Null).await.body["headers"], json!({}));
}

#[tokio::test]
async fn headers_of_an_endpoint_that_is_not_there_are_not_there_whatever_they_are_to_be() {
    let (world, app, _, _) = stage().await;
    for ep in ["none", "ep_2aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/headers");
        for method in ["PUT", "PATCH"] {
            for body in [json!({}), json!({"headers": 1}), json!({"headers": {"host": "a"}})] {
                let reply = world.call(method, &path, body.clone()).await;
                assert_eq!(reply.status, 404, "{method} {ep} {body}");
            }
        }
    }
}

#[tokio::test]
async fn names_that_are_not_the_customers_are_refused() {
    let (world, _, _, path) = stage().await;
    for name in [
        "Content-Type",
        "content-length",
        "Host",
        "User-Agent",
        "Transfer-Encoding",
        "Connection",
        "webhook-id",
        "svix-id",
        "X-Svix-A",
        "x-amz-date",
        "X-Google-A",
        "no spaces",
        "",
        "a\r\nb",
    ] {
        let refused = world.call("PUT", &path, json!({"headers": {name: "v"}})).await;
        assert_eq!(refused.status, 422, "{name}");
    }
    for value in ["a\r\nX-Other: b".to_owned(), "v".repeat(4097), "\u{0}".to_owned()] {
        let refused = world.call("PUT", &path, json!({"headers": {"X-A": value}})).await;
        assert_eq!(refused.status, 422, "{value}");
        assert!(!refused.body.to_string().contains(&value), "values are not repeated");
    }
    let many: serde_json::Map<String, Value> =
        (0..33).map(|n| (format!("X-{n}"), json!("v"))).collect();
    assert_eq!(world.call("PUT", &path, json!({"headers": many})).await.status, 422);
    assert_eq!(world.call("GET", &path, Value::Null).await.body["headers"], json!({}));
}

#[tokio::test]
async fn no_header_can_be_chosen_that_is_never_sent() {
    let (world, _, _, path) = stage().await;
    for name in shared::domain::headers::OF_CONNECTIONS {
        let refused = world.call("PUT", &path, json!({"headers": {name: "1"}})).await;
        assert_eq!(refused.status, 422, "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn an_expunged_message_shows_no_payload_and_is_not_sent_again() {
    let (world, app, ep, _) = stage().await;
    world.network.next(URL, answer(500));
    let msg = world.publish(&app, json!({"card": "payload-of-the-customer"})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/msg/{msg}");
    assert_eq!(world.call("DELETE", &format!("{path}/content"), Value::Null).await.status, 204);
    let read = world.call("GET", &path, Value::Null).await;
    assert_eq!(read.body["payload"], json!({"expired": true}));
    let listed = world.call("GET", &format!("/api/v1/app/{app}/msg"), Value::Null).await;
    assert_eq!(listed.body["data"][0]["payload"], json!({"expired": true}));
    let resend = format!("{path}/endpoint/{ep}/resend");
    let refused = world.call("POST", &resend, Value::Null).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!("missing_payload")));
    world.live_s(600).await;
    assert_eq!(world.network.sent_to(URL).len(), 1, "its retry is given up");
    let standing = world.call("GET", &format!("{path}/endpoint"), Value::Null).await;
    assert_eq!(standing.body["data"][0]["statusText"], "fail");
}

#[tokio::test]
async fn an_expunged_answer_is_gone_and_the_rest_of_its_attempt_stays() {
    let (world, app, ep, _) = stage().await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let before = world.attempts(&app, &msg).await[0].clone();
    let id = text(&before["id"]);
    let path = format!("/api/v1/app/{app}/msg/{msg}/attempt/{id}");
    assert_eq!(world.call("DELETE", &format!("{path}/content"), Value::Null).await.status, 204);
    let mut expected = before;
    expected["response"] = json!("EXPUNGED");
    assert_eq!(world.call("GET", &path, Value::Null).await.body, expected);
    let list = format!("/api/v1/app/{app}/attempt/endpoint/{ep}");
    let listed = world.call("GET", &list, Value::Null).await;
    assert_eq!(listed.body["data"][0]["response"], "EXPUNGED");
    let unknown = format!("/api/v1/app/{app}/msg/{msg}/attempt/atmpt_x/content");
    assert_eq!(world.call("DELETE", &unknown, Value::Null).await.status, 404);
}

#[tokio::test]
async fn an_endpoint_may_be_made_with_its_headers() {
    let (world, app, _, _) = stage().await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let url = "http://127.0.0.1:9/with-headers";
    let made = json!({"url": url, "headers": {"X-Team": "payments", "X-Api-Key": "very-secret"}});
    let made = world.call("POST", &path, made).await;
    assert_eq!(made.status, 201, "{made:?}");
    let headers = format!("{path}/{}/headers", text(&made.body["id"]));
    let read = world.call("GET", &headers, Value::Null).await.body;
    let expected = json!({"headers": {"X-Team": "payments"}, "sensitive": ["X-Api-Key"]});
    assert_eq!(read, expected);
    assert!(!world.on_disk("very-secret"));
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(url).remove(0);
    let pair = ("X-Api-Key".to_owned(), "very-secret".to_owned());
    assert!(sent.headers.contains(&pair), "{:?}", sent.headers);
    for wrong in [json!({"Host": "a"}), json!({"a b": "c"}), json!({"X-A": "line\nbreak"})] {
        let refused = world.call("POST", &path, json!({"url": url, "headers": wrong})).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"][1], "headers", "{refused:?}");
    }
}

#[tokio::test]
async fn a_change_of_a_whole_endpoint_replaces_the_headers_that_it_says() {
    let world = World::new();
    let app = world.application().await;
    let path = format!("/api/v1/app/{app}/endpoint/mine");
    let url = "http://127.0.0.1:9/with-headers";
    let with = |key: &str| json!({"url": url, "headers": {"Authorization": key, "X-Team": key}});
    assert_eq!(world.call("PUT", &path, with("old")).await.status, 201);
    assert_eq!(world.call("PUT", &path, with("new")).await.status, 200);
    // Who says none leaves them.
    assert_eq!(world.call("PUT", &path, json!({"url": url})).await.status, 200);
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(url).remove(0);
    assert_eq!((header(&sent, "Authorization"), header(&sent, "X-Team")), ("new", "new"));
    let wrong = json!({"url": url, "headers": {"Host": "elsewhere"}});
    assert_eq!(world.call("PUT", &path, wrong).await.status, 422);
    // What is said again changes nothing.
    let before = world.call("GET", &path, Value::Null).await.body;
    world.advance_s(60);
    assert_eq!(world.call("PUT", &path, with("new")).await.body, before);
    // Credentials in the URL go beside them, as in one that is new.
    let url = "http://me:secret@127.0.0.1:9/with-headers";
    let said = json!({"url": url, "headers": {"X-Team": "b"}});
    let moved = world.call("PUT", &path, said.clone()).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    world.advance_s(60);
    assert_eq!(world.call("PUT", &path, said).await.body, moved.body);
    let read = world.call("GET", &format!("{path}/headers"), Value::Null).await.body;
    assert_eq!(read, json!({"headers": {"X-Team": "b"}, "sensitive": ["Authorization"]}));
    let none = json!({"url": "http://127.0.0.1:9/with-headers", "headers": {}});
    assert_eq!(world.call("PUT", &path, none).await.status, 200);
    let read = world.call("GET", &format!("{path}/headers"), Value::Null).await.body;
    assert_eq!(read, json!({"headers": {}, "sensitive": []}));
}

#[tokio::test]
async fn a_cookie_is_a_credential() {
    let (world, _, _, path) = stage().await;
    let said = json!({"headers": {"Cookie": "session=very-secret", "X-Team": "a"}});
    assert_eq!(world.call("PUT", &path, said).await.status, 204);
    let read = world.call("GET", &path, Value::Null).await.body;
    assert_eq!(read, json!({"headers": {"X-Team": "a"}, "sensitive": ["Cookie"]}));
}
