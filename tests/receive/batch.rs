//! Many messages in one call: each is answered for itself, and a call that is repeated publishes
//! each of them once.

use super::*;

fn batch_path(app: &str) -> String {
    format!("{}/batch", path(app))
}

fn numbered(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({"eventType": "order.paid", "payload": {"n": n}})).collect()
}

async fn publish_batch(
    world: &World,
    app: &str,
    headers: &[(&str, &str)],
    messages: &[Value],
) -> Reply {
    publish_batch_as(world, &world.token(), app, headers, messages).await
}

async fn publish_batch_as(
    world: &World,
    token: &str,
    app: &str,
    headers: &[(&str, &str)],
    messages: &[Value],
) -> Reply {
    post_as(world, token, &batch_path(app), headers, &json!({"messages": messages})).await
}

fn statuses(reply: &Reply) -> Vec<u64> {
    let results = reply.body["results"].as_array().expect("results");
    results.iter().map(|result| result["status"].as_u64().expect("a status")).collect()
}

/// How often each message arrived, by its number.
fn arrivals(world: &World, count: usize) -> Vec<usize> {
    let sent = world.network.sent_to(URL);
    let number = |n: usize| json!({"n": n}).to_string();
    (0..count).map(|n| sent.iter().filter(|sent| sent.body == number(n)).count()).collect()
}

#[tokio::test]
async fn each_message_is_answered_in_order_with_what_a_call_of_its_own_would_be() {
    let messages = [
        json!({"eventType": "order.paid", "payload": {"n": 1}}),
        json!({"eventType": "no spaces", "payload": [], "tags": ["no spaces"]}),
        json!({"eventType": "order.paid", "payload": {"n": 2}, "eventId": "order-2", "tags": ["a"]}),
        json!({"payload": {}}),
        json!(7),
        json!(["order.paid", {}]),
        json!({"eventType": "order.paid", "payload": {}, "eventId": "taken"}),
        json!({"eventType": "a", "payload": {}, "transformationsParams": {"rawPayload": "raw"}}),
        json!({"eventType": "a", "payload": {"big": "x".repeat(MAX_PAYLOAD_BYTES)}}),
        json!({"eventType": "a", "payload": {}, "deliverAt": "2020-01-01T00:00:00Z"}),
    ];
    let (world, app) = world().await;
    let (alone, alone_app) = super::world().await;
    let taken = json!({"eventType": "order.paid", "payload": {}, "eventId": "taken"});
    publish(&world, &app, &[], &taken).await;
    publish(&alone, &alone_app, &[], &taken).await;
    let reply = publish_batch(&world, &app, &[], &messages).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let results = reply.body["results"].as_array().unwrap();
    assert_eq!(results.len(), messages.len());
    for (message, result) in messages.iter().zip(results) {
        let own = publish(&alone, &alone_app, &[], message).await;
        assert_eq!(result["status"], own.status.as_u16(), "{message}");
        let mut body = own.body;
        if own.status == 202 {
            // Whichever id it got.
            body["id"] = result["message"]["id"].clone();
            assert_eq!(result["message"], body, "{message}");
            assert_eq!(result.as_object().unwrap().len(), 2, "{result}");
        } else {
            assert_eq!(result["error"], body, "{message}");
            assert_eq!(result.as_object().unwrap().len(), 2, "{result}");
        }
    }
    assert_eq!(statuses(&reply), [202, 422, 202, 422, 422, 422, 409, 202, 413, 422]);
    assert_eq!(reply.body["failed"], 7);
    assert_eq!(delivered(&world).await, 4, "the three and the one before");
    for result in results.iter().filter(|result| result["status"] == 202) {
        let id = text(&result["message"]["id"]);
        assert_eq!(world.attempts(&app, &id).await.len(), 1);
    }
}

#[tokio::test]
async fn a_hundred_arrive_with_ten_sends_and_are_stored_side_by_side() {
    let (world, app) = world().await;
    world.gauge.switch_on();
    let before = world.meter.usage();
    let reply = publish_batch(&world, &app, &[], &numbered(100)).await;
    assert_eq!((reply.status.as_u16(), &reply.body["failed"]), (202, &json!(0)), "{reply:?}");
    let after = world.meter.usage();
    assert_eq!(after.write_units - before.write_units, 200);
    assert_eq!(after.sqs_requests - before.sqs_requests, 10);
    assert_eq!(world.gauge.queue().most(), 10);
    assert_eq!((world.gauge.store().calls(), world.gauge.store().most()), (101, 25));
    world.dispatch_all().await;
    assert_eq!(arrivals(&world, 100), [1; 100]);
}

#[tokio::test]
async fn the_content_is_left_out_where_it_is_not_asked_for() {
    let (world, app) = world().await;
    let body = json!({"messages": numbered(2)});
    let path = format!("{}?with_content=false", batch_path(&app));
    let reply = world.call("POST", &path, body).await;
    assert_eq!(reply.body["results"][1]["message"]["payload"], json!({}), "{reply:?}");
}

#[tokio::test]
async fn what_is_no_batch_or_too_large_a_one_is_refused_as_a_whole() {
    let (world, app) = world().await;
    let path = batch_path(&app);
    for (body, loc) in [
        (json!({"messages": []}), json!(["body", "messages"])),
        (json!({"messages": numbered(101)}), json!(["body", "messages"])),
        (json!({"messages": vec![0; 100_000]}), json!(["body", "messages"])),
        (json!({"messages": {}}), json!(["body", "messages"])),
        (json!({"messages": null}), json!(["body", "messages"])),
        (json!({}), json!(["body", "messages"])),
        (json!([]), json!(["body"])),
        (event(), json!(["body", "messages"])),
    ] {
        let reply = world.call("POST", &path, body.clone()).await;
        assert_eq!(reply.status, 422, "{loc}: {reply:?}");
        assert_eq!(reply.body["detail"][0]["loc"], loc, "{reply:?}");
    }
    let largest = receive::MAX_BATCH_BODY_BYTES;
    let body = |size: usize| {
        let body = json!({"messages": numbered(1)}).to_string();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    let bearer = format!("Bearer {}", world.token());
    let header = [("authorization", bearer.as_str())];
    let reply = post(&world, &path, &header, body(largest + 1)).await;
    assert_error(&reply, 413, "payload_too_large");
    assert_eq!(post(&world, &path, &header, body(largest)).await.status, 202);
    assert_eq!(delivered(&world).await, 1);
}

#[tokio::test]
async fn repeated_with_its_key_it_brings_the_same_answer_and_one_delivery_each() {
    let (world, app) = world().await;
    let mut messages = numbered(12);
    messages[3]["eventId"] = json!("order-3");
    let (key, token) = ([("idempotency-key", "k-1")], world.token());
    let first = publish_batch_as(&world, &token, &app, &key, &messages).await;
    world.dispatch_all().await;
    world.advance_s(60);
    let again = publish_batch_as(&world, &token, &app, &key, &messages).await;
    assert_eq!((first.status.as_u16(), &first.body["failed"]), (202, &json!(0)));
    assert_eq!(again.bytes, first.bytes, "timestamps and all");
    // Neither another key nor a call of its own means the same.
    let other = publish_batch(&world, &app, &[("idempotency-key", "k-2")], &messages[..4]).await;
    assert_eq!(statuses(&other), [202, 202, 202, 409]);
    assert_eq!(publish(&world, &app, &key, &event()).await.status, 202);
    assert_eq!(delivered_later(&world).await, 12 + 3 + 1);
}

#[tokio::test]
async fn a_call_that_breaks_anywhere_and_is_repeated_publishes_each_message_once() {
    const MESSAGES: usize = 12;
    /// Reading the application, storing each message, two sends.
    const CALLS: usize = 1 + MESSAGES + 2;
    for call in 0..CALLS {
        for fault in [Fault::Before, Fault::After] {
            let (world, app) = world().await;
            let mut messages = numbered(MESSAGES);
            messages[5]["eventId"] = json!("order-5");
            let key = [("idempotency-key", "k-1")];
            world.plan.fail_after(call, fault);
            publish_batch(&world, &app, &key, &messages).await;
            assert_eq!(world.plan.fired(), 1, "call {call}");
            world.dispatch_all().await;
            let again = publish_batch(&world, &app, &key, &messages).await;
            assert_eq!(statuses(&again), [202; MESSAGES], "call {call}, {fault:?}");
            world.live_s(3_600).await;
            assert_eq!(arrivals(&world, MESSAGES), [1; MESSAGES], "call {call}, {fault:?}");
        }
    }
}

#[tokio::test]
async fn what_could_not_be_stored_is_said_of_that_message_and_keeps_none_of_the_others() {
    let (world, app) = world().await;
    world.plan.fail_after(1 + 4, Fault::Before);
    let reply = publish_batch(&world, &app, &[], &numbered(12)).await;
    assert_eq!(reply.status, 202);
    let failed: Vec<usize> =
        (0..12).filter(|n| reply.body["results"][n]["status"] != 202).collect();
    assert_eq!((failed, &reply.body["failed"]), (vec![4], &json!(1)));
    assert_eq!(delivered(&world).await, 11);
}

#[tokio::test]
async fn an_event_id_that_a_batch_has_twice_is_published_once() {
    let (world, app) = world().await;
    let mut messages = numbered(4);
    messages[1]["eventId"] = json!("same");
    messages[3]["eventId"] = json!("same");
    let reply = publish_batch(&world, &app, &[("idempotency-key", "k")], &messages).await;
    assert_eq!(statuses(&reply), [202, 202, 202, 409]);
    assert_eq!(reply.body["results"][3]["error"]["code"], "conflict");
    assert_eq!(delivered_later(&world).await, 3);
}

#[tokio::test]
async fn batches_with_the_same_names_in_another_order_do_not_wait_for_each_other_for_ever() {
    let (world, app) = world().await;
    let mut forth = numbered(20);
    for (n, message) in forth.iter_mut().enumerate() {
        message["eventId"] = json!(format!("order-{n}"));
    }
    let back: Vec<Value> = forth.iter().rev().cloned().collect();
    let replies = join_all([
        publish_batch(&world, &app, &[], &forth),
        publish_batch(&world, &app, &[], &back),
        publish_batch(&world, &app, &[], &forth),
    ])
    .await;
    let all: Vec<u64> = replies.iter().flat_map(statuses).collect();
    let count = |status| all.iter().filter(|one| **one == status).count();
    assert_eq!((count(202), count(409)), (20, 40));
    assert_eq!(delivered_later(&world).await, 20);
}

#[tokio::test]
async fn it_may_be_signed_and_bring_its_application() {
    let (world, app) = world().await;
    let key = world.call("GET", &format!("/api/v1/app/{app}/integration-key"), Value::Null).await;
    let key = SigningSecret::parse(&text(&key.body["key"])).unwrap();
    let body = json!({"messages": numbered(2)}).to_string();
    let at = world.ambient.now().as_secs();
    let signature = sign(&[key], "req-1", at, body.as_bytes());
    let at = at.to_string();
    let headers =
        [("webhook-id", "req-1"), ("webhook-timestamp", &at), ("webhook-signature", &signature)];
    let first = post(&world, &batch_path(&app), &headers, body.clone()).await;
    let again = post(&world, &batch_path(&app), &headers, body).await;
    assert_eq!((first.status.as_u16(), &first.bytes), (202, &again.bytes), "{first:?}");
    assert_eq!(delivered_later(&world).await, 2);

    let brings = json!({"messages": numbered(2), "application": {"name": "New", "uid": "new"}});
    let reply = world.call("POST", &batch_path("new"), brings).await;
    assert_eq!(statuses(&reply), [202, 202]);
    let listed = world.call("GET", &path("new"), Value::Null).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
}
