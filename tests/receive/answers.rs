//! What a publisher gets back, and where events are taken.

use super::*;

#[tokio::test]
async fn what_was_published_comes_back_field_by_field() {
    let (world, app) = world().await;
    let body = json!({
        "eventType": "order.paid",
        "eventId": "order-1",
        "channels": ["b", "a"],
        "payload": {"z": [1, 2.5, null], "a": {"é": true}},
        "payloadRetentionPeriod": 5,
        "somethingNewer": "is ignored",
    });
    let reply = publish(&world, &app, &[], &body).await;
    assert_eq!(reply.status, 202);
    let id = text(&reply.body["id"]);
    assert_eq!(
        reply.body,
        json!({
            "id": id,
            "eventType": "order.paid",
            "eventId": "order-1",
            "channels": ["b", "a"],
            "payload": {"z": [1, 2.5, null], "a": {"é": true}},
            "timestamp": "2027-01-15T08:00:00Z",
        })
    );
    let id: MessageId = id.parse().unwrap();
    assert_eq!(id.ksuid().timestamp(), START);
}

#[tokio::test]
async fn what_svix_has_comes_back_as_null_where_it_was_left_out_or_null() {
    let (world, app) = world().await;
    let nulls = json!({
        "eventType": "a", "payload": {}, "eventId": null, "channels": null,
        "payloadRetentionPeriod": null,
    });
    for body in [json!({"eventType": "a", "payload": {}}), nulls] {
        let reply = publish(&world, &app, &[], &body).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        let mut fields: Vec<&String> = reply.body.as_object().unwrap().keys().collect();
        fields.sort();
        let expected = ["channels", "eventId", "eventType", "id", "payload", "timestamp"];
        assert_eq!(fields, expected);
        assert!(reply.body["channels"].is_null() && reply.body["eventId"].is_null());
    }
}

#[tokio::test]
async fn the_payload_comes_back_in_its_own_spelling() {
    let (world, app) = world().await;
    let payload = r#"{ "b":1.0,"a" : "\u00e9", "a":2 }"#;
    let body = format!(r#"{{"payload":{payload},"eventType":"a"}}"#);
    let reply = publish_bytes(&world, &app, body).await;
    assert_eq!(reply.status, 202);
    let answer = String::from_utf8(reply.bytes.to_vec()).unwrap();
    assert!(answer.contains(payload), "{answer}");
}

#[tokio::test]
async fn without_content_the_payload_comes_back_empty_and_is_delivered_whole() {
    let (world, app) = world().await;
    for (query, shown) in [
        ("?with_content=false", json!({})),
        ("?with_content=true", json!({"n": 1})),
        ("", json!({"n": 1})),
    ] {
        let path = format!("{}{query}", path(&app));
        let reply = world.call("POST", &path, event()).await;
        assert_eq!(reply.body["payload"], shown, "{query}");
    }
    assert_eq!(delivered(&world).await, 3);
    assert!(world.network.sent_to(URL).iter().all(|sent| &sent.body[..] == br#"{"n":1}"#));
}

#[tokio::test]
async fn a_trailing_slash_makes_no_difference() {
    let (world, app) = world().await;
    let reply = world.call("POST", &format!("{}/", path(&app)), event()).await;
    assert_eq!(reply.status, 202);
}

#[tokio::test]
async fn an_application_is_published_to_by_its_uid() {
    let (world, _) = world().await;
    let body = json!({"name": "Named", "uid": "customer-1"});
    let app = text(&world.call("POST", "/api/v1/app", body).await.body["id"]);
    world.endpoint("customer-1", "http://127.0.0.1:9/named").await;
    let by_uid = publish(&world, "customer-1", &[], &event()).await;
    let by_id = publish(&world, &app, &[], &event()).await;
    assert_eq!((by_uid.status.as_u16(), by_id.status.as_u16()), (202, 202));
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to("http://127.0.0.1:9/named").len(), 2);
}

#[tokio::test]
async fn another_path_or_method_is_not_found() {
    let (world, app) = world().await;
    let bearer = format!("Bearer {}", world.token());
    for (method, path) in [
        ("GET", path(&app)),
        ("PUT", path(&app)),
        ("POST", format!("/api/v1/app/{app}")),
        ("POST", format!("/api/v2/app/{app}/msg")),
        ("POST", format!("/api/v1/app/{app}/msg/msg")),
        ("POST", "/msg".to_owned()),
    ] {
        let request = Request::builder().method(method).uri(&path);
        let request = request.header("authorization", &bearer).body(Bytes::new()).unwrap();
        let response = world.receiver.handle(request).await;
        assert_eq!(response.status(), 404, "{method} {path}");
    }
}
