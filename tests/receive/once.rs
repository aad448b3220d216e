//! An event or a request of one name is published once.

use super::*;

#[tokio::test]
async fn an_event_id_is_taken_once() {
    let (world, app) = world().await;
    let mut body = event();
    body["eventId"] = json!("order-1");
    assert_eq!(publish(&world, &app, &[], &body).await.status, 202);
    world.dispatch_all().await;
    body["payload"] = json!({"n": 2});
    assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
    world.advance_s(3600);
    assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
    assert_eq!(delivered(&world).await, 1);
    assert_eq!(&world.network.sent_to(URL)[0].body[..], br#"{"n":1}"#);
}

#[tokio::test]
async fn an_event_id_is_free_in_every_other_application() {
    let (world, app) = world().await;
    let other = world.application().await;
    let mut body = event();
    body["eventId"] = json!("order-1");
    let first = publish(&world, &app, &[], &body).await;
    let second = publish(&world, &other, &[], &body).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_ne!(first.body["id"], second.body["id"]);
}

#[tokio::test]
async fn an_event_id_is_free_again_when_its_message_was_forgotten() {
    let (world, app) = world().await;
    let mut body = event();
    body["eventId"] = json!("order-1");
    body["payloadRetentionPeriod"] = json!(5);
    let first = publish(&world, &app, &[], &body).await;
    world.dispatch_all().await;
    world.advance_s(5 * 86_400 - 1);
    assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
    world.advance_s(1);
    let second = publish(&world, &app, &[], &body).await;
    assert_eq!(second.status, 202);
    assert_ne!(first.body["id"], second.body["id"]);
    assert_eq!(delivered(&world).await, 2);
}

#[tokio::test]
async fn the_same_idempotency_key_brings_the_same_answer_and_one_delivery() {
    let (world, app) = world().await;
    let (key, token) = ([("idempotency-key", "k-1")], world.token());
    let first = publish_as(&world, &token, &app, &key, &event()).await;
    assert_eq!(first.status, 202);
    world.dispatch_all().await;
    world.advance_s(60);
    let second = publish_as(&world, &token, &app, &key, &event()).await;
    assert_eq!(second.status, 202);
    assert_eq!(second.bytes, first.bytes, "timestamp and all");
    let another = publish(&world, &app, &[("idempotency-key", "k-2")], &event()).await;
    assert_ne!(another.body["id"], first.body["id"]);
    assert_eq!(delivered(&world).await, 2);
}

#[tokio::test]
async fn an_idempotency_key_is_its_callers_own() {
    let (world, app) = world().await;
    let path = format!("/api/v1/app/{app}");
    let mut tokens = vec![world.token()];
    world.advance_s(1);
    tokens.push(world.token());
    for name in ["billing", "shop"] {
        let made = world.call("POST", &format!("{path}/integration"), json!({"name": name})).await;
        let key = format!("{path}/integration/{}/key", text(&made.body["id"]));
        tokens.push(text(&world.call("GET", &key, Value::Null).await.body["key"]));
    }
    let key = [("idempotency-key", "1")];
    for batch in [false, true] {
        let mut ids = Vec::new();
        for (n, token) in tokens.iter().enumerate() {
            let event = json!({"eventType": "a.b", "payload": {"of": n}});
            let (at, event) = match batch {
                true => (format!("{app}/msg/batch"), json!({"messages": [event]})),
                false => (format!("{app}/msg"), event),
            };
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str()), key[0]];
            let reply =
                post(&world, &format!("/api/v1/app/{at}"), &headers, event.to_string()).await;
            assert_eq!(reply.status, 202, "{n}: {reply:?}");
            let taken = if batch { &reply.body["results"][0]["message"] } else { &reply.body };
            assert_eq!(taken["payload"]["of"], n, "{reply:?}");
            ids.push(text(&taken["id"]));
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), tokens.len());
    }
    assert_eq!(delivered(&world).await, 2 * tokens.len());
}

#[tokio::test]
async fn repeats_that_come_before_the_first_delivery_make_no_second_one() {
    let (world, app) = world().await;
    let key = [("idempotency-key", "k-1")];
    let body = event();
    let replies = join_all((0..5).map(|_| publish(&world, &app, &key, &body))).await;
    for reply in &replies {
        assert_eq!(reply.status, 202);
        assert_eq!(reply.bytes, replies[0].bytes);
    }
    assert_eq!(delivered_later(&world).await, 1);
}

#[tokio::test]
async fn an_event_id_with_the_same_idempotency_key_is_the_same_request() {
    let (world, app) = world().await;
    let mut body = event();
    body["eventId"] = json!("order-1");
    let key = [("idempotency-key", "k-1")];
    let first = publish(&world, &app, &key, &body).await;
    world.dispatch_all().await;
    let again = publish(&world, &app, &key, &body).await;
    assert_eq!(again.status, 202);
    assert_eq!(again.bytes, first.bytes);
    let other = publish(&world, &app, &[("idempotency-key", "k-2")], &body).await;
    assert_error(&other, 409, "conflict");
    assert_error(&publish(&world, &app, &[], &body).await, 409, "conflict");
    assert_eq!(delivered(&world).await, 1);
}

#[tokio::test]
async fn an_idempotency_key_and_an_event_id_of_the_same_name_are_two_things() {
    let (world, app) = world().await;
    let by_key = publish(&world, &app, &[("idempotency-key", "name")], &event()).await;
    let mut body = event();
    body["eventId"] = json!("name");
    let by_id = publish(&world, &app, &[], &body).await;
    assert_eq!((by_key.status.as_u16(), by_id.status.as_u16()), (202, 202));
    assert_eq!(delivered(&world).await, 2);
}

#[tokio::test]
async fn events_without_any_name_are_all_published() {
    let (world, app) = world().await;
    for _ in 0..3 {
        assert_eq!(publish(&world, &app, &[], &event()).await.status, 202);
    }
    assert_eq!(delivered(&world).await, 3);
}

#[tokio::test]
async fn an_idempotency_key_that_we_cannot_keep_is_refused_instead_of_ignored() {
    let (world, app) = world().await;
    let too_long = "k".repeat(257);
    for key in ["", "ü", &too_long] {
        let reply = publish(&world, &app, &[("idempotency-key", key)], &event()).await;
        assert_error(&reply, 400, "invalid_idempotency_key");
    }
    let two = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let reply = publish(&world, &app, &two, &event()).await;
    assert_error(&reply, 400, "invalid_idempotency_key");
    let longest = "k".repeat(256);
    let reply = publish(&world, &app, &[("idempotency-key", &longest)], &event()).await;
    assert_eq!(reply.status, 202);
    assert_eq!(delivered(&world).await, 1);
}

#[tokio::test]
async fn of_many_requests_at_once_with_the_same_event_id_one_is_accepted() {
    let (world, app) = world().await;
    let mut body = event();
    body["eventId"] = json!("order-1");
    let replies = join_all((0..20).map(|_| publish(&world, &app, &[], &body))).await;
    let accepted = replies.iter().filter(|reply| reply.status == 202).count();
    let refused = replies.iter().filter(|reply| reply.status == 409).count();
    assert_eq!((accepted, refused), (1, 19));
    let list = world.call("GET", &path(&app), Value::Null).await;
    assert_eq!(list.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(delivered_later(&world).await, 1);
}
