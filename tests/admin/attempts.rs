//! Attempts: list, read, and resend.

use super::*;

async fn world() -> (World, String, String) {
    World::with_endpoint(URL).await
}

/// Publishes and dispatches an event to which the endpoint answers with this status.
async fn attempted(world: &World, app: &str, body: Value, status: u16) -> String {
    world.network.next(URL, answer(status));
    let reply = post(world, &format!("/api/v1/app/{app}/msg"), body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    world.dispatch_all().await;
    world.clock.advance_ms(4);
    text(&reply.body["id"])
}

fn event() -> Value {
    json!({"eventType": "a", "payload": {}})
}

#[tokio::test]
async fn an_attempt_is_shown_field_by_field() {
    let (world, app, ep) = world().await;
    let msg = attempted(&world, &app, event(), 503).await;
    let attempts = world.attempts(&app, &msg).await;
    let id = text(&attempts[0]["id"]);
    let shown = json!({
        "id": id, "msgId": msg, "endpointId": ep, "url": URL, "response": "ok",
        "responseStatusCode": 503, "responseDurationMs": 7, "status": 2,
        "statusText": "fail", "triggerType": 0, "timestamp": "2027-01-15T08:00:00Z",
        "responseHeaders":
            [["content-type", "text/plain; charset=utf-8"], ["server", "nginx/1.29.4"]],
    });
    assert_eq!(attempts, std::slice::from_ref(&shown));
    let one = get(&world, &format!("/api/v1/app/{app}/msg/{msg}/attempt/{id}")).await;
    assert_eq!((one.status.as_u16(), &one.body), (200, &shown));
    let by_endpoint = get(&world, &format!("/api/v1/app/{app}/attempt/endpoint/{ep}")).await;
    assert_eq!(by_endpoint.body["data"], json!([shown]));
    for path in [
        format!("/api/v1/app/{app}/attempt/endpoint/{ep}?with_content=false"),
        format!("/api/v1/app/{app}/attempt/msg/{msg}?with_content=false"),
    ] {
        assert_eq!(get(&world, &path).await.body["data"][0]["response"], "");
    }
}

#[tokio::test]
async fn a_successful_attempt_is_a_success() {
    let (world, app, _) = world().await;
    let msg = attempted(&world, &app, event(), 204).await;
    let attempts = world.attempts(&app, &msg).await;
    assert_eq!(
        (&attempts[0]["status"], &attempts[0]["statusText"]),
        (&json!(0), &json!("success"))
    );
    assert_eq!(attempts[0]["responseStatusCode"], 204);
}

#[tokio::test]
async fn an_attempt_is_found_at_its_own_message_only() {
    let (world, app, _) = world().await;
    let first = attempted(&world, &app, event(), 200).await;
    let second = attempted(&world, &app, event(), 200).await;
    let id = text(&world.attempts(&app, &first).await[0]["id"]);
    for (msg, attempt) in
        [(&second, id.as_str()), (&first, UNKNOWN_ATTEMPT), (&first, "atmpt_"), (&first, "x")]
    {
        let path = format!("/api/v1/app/{app}/msg/{msg}/attempt/{attempt}");
        assert_error(&get(&world, &path).await, 404, "not_found");
    }
}

/// Position by position: what each of the 120 events was answered with.
fn status_of(position: usize) -> u16 {
    match position {
        5 => 302,
        _ => [200, 500, 404][position % 3],
    }
}

#[tokio::test]
async fn the_attempts_at_an_endpoint_are_listed_filtered_and_paged() {
    let (world, app, ep) = world().await;
    let other = world.endpoint(&app, "http://127.0.0.1:9/other").await;
    let mut messages = Vec::new();
    for position in 0..120 {
        let channels = if position < 10 { json!(["early"]) } else { Value::Null };
        let event_type = if position % 2 == 0 { "even" } else { "odd" };
        let body = json!({"eventType": event_type, "channels": channels, "payload": {}});
        messages.push(attempted(&world, &app, body, status_of(position)).await);
    }
    let path = format!("/api/v1/app/{app}/attempt/endpoint/{ep}?order=ascending");
    let all = walk(&world, &path, 50).await;
    assert_eq!(all.len(), 120);
    assert_eq!(all, sorted(all.clone()));
    let unique: BTreeSet<&String> = all.iter().collect();
    assert_eq!(unique.len(), 120);
    for (position, id) in all.iter().enumerate() {
        let one = format!("/api/v1/app/{app}/msg/{}/attempt/{id}", messages[position]);
        let attempt = get(&world, &one).await;
        assert_eq!(attempt.body["responseStatusCode"], status_of(position), "{position}");
        assert_eq!(attempt.body["endpointId"], json!(ep));
    }

    let having = |wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..120).filter(|n| wanted(*n)).map(|n| all[n].clone()).collect()
    };
    let cases: [(&str, Vec<String>); 14] = [
        ("status=0", having(&|n| status_of(n) == 200)),
        ("status=2", having(&|n| status_of(n) != 200)),
        ("status=1", Vec::new()),
        ("status=3", Vec::new()),
        ("status_code_class=200", having(&|n| status_of(n) == 200)),
        ("status_code_class=300", vec![all[5].clone()]),
        ("status_code_class=400", having(&|n| status_of(n) == 404)),
        ("status_code_class=500", having(&|n| status_of(n) == 500)),
        ("status_code_class=100", Vec::new()),
        ("status=0&status_code_class=500", Vec::new()),
        ("event_types=even", having(&|n| n % 2 == 0)),
        ("event_types=even&status=2", having(&|n| n % 2 == 0 && status_of(n) != 200)),
        ("channel=early", having(&|n| n < 10)),
        ("channel=early&status=0", having(&|n| n < 10 && status_of(n) == 200)),
    ];
    for (query, expected) in cases {
        let rare = expected.len() < 2;
        for limit in if rare { [1, 2] } else { [7, 250] } {
            let path = format!("/api/v1/app/{app}/attempt/endpoint/{ep}?{query}");
            let found = walk(&world, &path, limit).await;
            assert_eq!(found, reversed(expected.clone()), "{query} {limit}");
            let found = walk(&world, &with(&path, "order=ascending"), limit).await;
            assert_eq!(found, expected, "{query} {limit} ascending");
        }
    }

    // A window of time: an event every 4 ms.
    let at = |n: u64| START.plus_ms(n * 4).to_rfc3339();
    let window = format!("{path}&after={}&before={}", at(30), at(60));
    assert_eq!(walk(&world, &window, 7).await, all[30..60]);

    let of_other = walk(&world, &format!("/api/v1/app/{app}/attempt/endpoint/{other}"), 50).await;
    assert_eq!(of_other.len(), 120);
    assert!(of_other.iter().all(|id| !all.contains(id)));
}

#[tokio::test]
async fn the_attempts_of_a_message_are_listed_filtered_and_paged() {
    let (world, app, ep) = world().await;
    let quiet = world.endpoint(&app, "http://127.0.0.1:9/quiet").await;
    let body = json!({"eventType": "a", "channels": ["x"], "payload": {}});
    let msg = attempted(&world, &app, body, status_of(0)).await;
    let resend = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    for position in 1..120 {
        world.network.next(URL, answer(status_of(position)));
        assert_eq!(post(&world, &resend, Value::Null).await.status, 202);
        world.dispatch_all().await;
        world.clock.advance_ms(4);
    }
    let path = format!("/api/v1/app/{app}/attempt/msg/{msg}");
    assert_eq!(walk(&world, &path, 50).await.len(), 121);
    let own = format!("{path}?order=ascending&endpoint_id={ep}");
    let all = walk(&world, &own, 50).await;
    assert_eq!(all.len(), 120);
    assert_eq!(all, sorted(all.clone()));
    assert_eq!(walk(&world, &format!("{path}?endpoint_id={quiet}"), 50).await.len(), 1);
    let unknown = get(&world, &format!("{path}?endpoint_id={UNKNOWN_EP}")).await;
    assert_error(&unknown, 404, "not_found");

    let having = |status: u16| -> Vec<String> {
        (0..120).filter(|n| status_of(*n) == status).map(|n| all[n].clone()).collect()
    };
    for (query, expected) in [
        ("status=0", having(200)),
        ("status_code_class=300", vec![all[5].clone()]),
        ("status_code_class=400", having(404)),
        ("status_code_class=500&status=2", having(500)),
        ("status=1", Vec::new()),
        ("status_code_class=0", Vec::new()),
        ("event_types=a", all.clone()),
        ("event_types=b", Vec::new()),
        ("channel=x", all.clone()),
        ("channel=y", Vec::new()),
    ] {
        let rare = expected.len() < 2;
        for limit in if rare { [1, 2] } else { [7, 250] } {
            let found = walk(&world, &with(&own, query), limit).await;
            assert_eq!(found, expected, "{query} {limit}");
        }
    }
    let at = |n: u64| START.plus_ms(n * 4).to_rfc3339();
    let window = with(&own, &format!("after={}&before={}", at(30), at(60)));
    assert_eq!(walk(&world, &window, 7).await, all[30..60]);
}

#[tokio::test]
async fn an_attempt_without_an_answer_has_the_status_code_class_0() {
    let (world, app, ep) = world().await;
    world.network.next(URL, shared::sender::Ending::TimedOut);
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    for path in [format!("attempt/msg/{msg}"), format!("attempt/endpoint/{ep}")] {
        let path = format!("/api/v1/app/{app}/{path}?status_code_class=0");
        let found = get(&world, &path).await;
        assert_eq!(ids(&found).len(), 1);
        assert_eq!(found.body["data"][0]["responseStatusCode"], 0);
    }
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_is_named() {
    let (world, app, ep) = world().await;
    let msg = world.publish(&app, json!({})).await;
    for path in [format!("attempt/msg/{msg}"), format!("attempt/endpoint/{ep}")] {
        for (query, name) in [
            ("status=4", "status"),
            ("status=success", "status"),
            ("status=", "status"),
            ("status_code_class=201", "status_code_class"),
            ("status_code_class=2xx", "status_code_class"),
        ] {
            let reply = get(&world, &format!("/api/v1/app/{app}/{path}?{query}")).await;
            assert_error(&reply, 400, "generic_error");
            assert!(text(&reply.body["detail"]).contains(&format!("`{name}`")), "{query}");
        }
        for (query, name) in
            [("limit=0", "limit"), ("iterator=msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv", "iterator")]
        {
            let reply = get(&world, &format!("/api/v1/app/{app}/{path}?{query}")).await;
            assert_eq!(places(&reply), [format!("query/{name}")], "{query}");
        }
    }
}

#[tokio::test]
async fn names_of_the_callers_own_are_as_good_as_ids() {
    let world = World::new();
    let body = json!({"name": "x", "uid": "customer-1"});
    assert_eq!(post(&world, "/api/v1/app", body).await.status, 201);
    world.endpoint_with("customer-1", json!({"url": URL, "uid": "main"})).await;
    let body = json!({"eventType": "a", "eventId": "order-1", "payload": {}});
    let msg = attempted(&world, "customer-1", body, 500).await;
    let base = "/api/v1/app/customer-1";
    for path in [
        format!("{base}/attempt/msg/order-1"),
        format!("{base}/attempt/msg/order-1?endpoint_id=main"),
        format!("{base}/attempt/endpoint/main"),
    ] {
        let found = get(&world, &path).await;
        assert_eq!(found.body["data"][0]["msgId"], json!(msg), "{path}");
    }
    let attempt = get(&world, &format!("{base}/attempt/endpoint/main")).await;
    let attempt = text(&attempt.body["data"][0]["id"]);
    let one = get(&world, &format!("{base}/msg/order-1/attempt/{attempt}")).await;
    assert_eq!(one.status, 200);
    let destinations = get(&world, &format!("{base}/msg/order-1/endpoint")).await;
    assert_eq!(destinations.body["data"][0]["uid"], "main");
    let resend = format!("{base}/msg/order-1/endpoint/main/resend");
    assert_eq!(post(&world, &resend, Value::Null).await.status, 202);
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 2);
    for path in ["endpoint/main/secret", "endpoint/main", "integration-key"] {
        assert_eq!(get(&world, &format!("{base}/{path}")).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn destinations_tell_how_far_a_message_is_with_each_endpoint() {
    let (world, app, ok) = world().await;
    let failing = world.endpoint(&app, "http://127.0.0.1:9/failing").await;
    let body = json!({"url": "http://127.0.0.1:9/never", "eventTypes": ["other"]});
    world.endpoint_with(&app, body).await;
    world.network.always("http://127.0.0.1:9/failing", answer(500));
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
    let destination = async |ep: &str| {
        let page = get(&world, &path).await;
        assert_eq!(ids(&page).len(), 2, "{page:?}");
        let data = page.body["data"].as_array().unwrap().clone();
        data.into_iter().find(|item| item["id"] == json!(ep)).unwrap()
    };
    let shown = destination(&ok).await;
    assert_eq!((&shown["status"], &shown["statusText"]), (&json!(0), &json!("success")));
    assert_eq!((&shown["nextAttempt"], &shown["url"]), (&Value::Null, &json!(URL)));
    let shown = destination(&failing).await;
    assert_eq!((&shown["status"], &shown["statusText"]), (&json!(3), &json!("sending")));
    let next =
        shared::domain::clock::Timestamp::parse_rfc3339(&text(&shown["nextAttempt"])).unwrap();
    assert!((4000..=6000).contains(&next.since(START)), "{next:?}");
    world.live_s(40 * 3600).await;
    let shown = destination(&failing).await;
    assert_eq!((&shown["status"], &shown["statusText"]), (&json!(2), &json!("fail")));
    assert_eq!(shown["nextAttempt"], Value::Null);
    assert_eq!(walk(&world, &path, 1).await.len(), 2);
}

#[tokio::test]
async fn a_resend_goes_out_as_a_manual_attempt_with_the_same_bytes_and_id() {
    let (world, app, ep) = world().await;
    let msg = attempted(&world, &app, json!({"eventType": "a", "payload": {"n": 1}}), 200).await;
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    world.advance_s(60);
    let reply = post(&world, &path, Value::Null).await;
    assert_eq!((reply.status.as_u16(), &reply.bytes[..]), (202, &b"{}"[..]));
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].body, sent[1].body);
    assert_eq!(header(&sent[0], "webhook-id"), header(&sent[1], "webhook-id"));
    let attempts = world.attempts(&app, &msg).await;
    let triggers: Vec<&Value> = attempts.iter().map(|a| &a["triggerType"]).collect();
    assert_eq!(triggers, [0, 1]);
}

#[tokio::test]
async fn a_resend_ignores_filters() {
    let (world, app, _) = world().await;
    let msg = attempted(&world, &app, event(), 200).await;
    let picky = world
        .endpoint_with(&app, json!({"url": "http://127.0.0.1:9/picky", "eventTypes": ["z"]}))
        .await;
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{picky}/resend");
    assert_eq!(post(&world, &path, Value::Null).await.status, 202);
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to("http://127.0.0.1:9/picky").len(), 1);
}

#[tokio::test]
async fn a_resend_that_succeeds_ends_a_failing_delivery() {
    let (world, app, ep) = world().await;
    let msg = attempted(&world, &app, event(), 500).await;
    let base = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
    assert_eq!(get(&world, &base).await.body["data"][0]["statusText"], "sending");
    post(&world, &format!("{base}/{ep}/resend"), Value::Null).await;
    world.dispatch_all().await;
    assert_eq!(get(&world, &base).await.body["data"][0]["statusText"], "success");
    world.live_s(3600).await;
    assert_eq!(world.network.sent_to(URL).len(), 2);
}

#[tokio::test]
async fn a_resend_to_a_disabled_endpoint_is_refused() {
    let (world, app, ep) = world().await;
    let msg = attempted(&world, &app, event(), 200).await;
    let endpoint = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.call("PATCH", &endpoint, json!({"disabled": true})).await;
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    assert_error(&post(&world, &path, Value::Null).await, 400, "endpoint_disabled");
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    world.call("PATCH", &endpoint, json!({"disabled": false})).await;
    assert_eq!(post(&world, &path, Value::Null).await.status, 202);
}

#[tokio::test]
async fn a_resend_of_nothing_or_to_nobody_is_not_found() {
    let (world, app, ep) = world().await;
    let msg = attempted(&world, &app, event(), 200).await;
    for (msg, ep) in [(msg.as_str(), UNKNOWN_EP), (UNKNOWN_MSG, ep.as_str()), ("x", "y")] {
        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
        assert_error(&post(&world, &path, Value::Null).await, 404, "not_found");
    }
}

#[tokio::test]
async fn attempts_come_with_their_messages_where_those_are_asked_for_and_never_with_payloads() {
    let (world, app, ep) = world().await;
    let event = json!({
        "eventType": "a", "eventId": "order-1", "channels": ["eu"], "payload": {"secret": "s3cret"},
    });
    let msg = attempted(&world, &app, event, 503).await;
    world.live_s(10).await;
    for list in [format!("endpoint/{ep}"), format!("msg/{msg}")] {
        let path = format!("/api/v1/app/{app}/attempt/{list}");
        let plain = get(&world, &path).await;
        assert!(plain.body["data"][0].get("msg").is_none());
        let before = world.meter.usage().read_units;
        let shown = get(&world, &format!("{path}?with_msg=true")).await;
        let read = world.meter.usage().read_units - before;
        let attempts = shown.body["data"].as_array().unwrap();
        assert_eq!(attempts.len(), 2);
        for attempt in attempts {
            let of = &attempt["msg"];
            assert_eq!((&of["id"], &of["eventId"]), (&json!(msg), &json!("order-1")));
            assert_eq!((&of["channels"], &of["payload"]), (&json!(["eu"]), &json!({})));
        }
        let before = world.meter.usage().read_units;
        get(&world, &path).await;
        let without = world.meter.usage().read_units - before;
        assert_eq!(read - without, 1.0, "a message is read once, however many attempts it has");
    }
    let wrong = get(&world, &format!("/api/v1/app/{app}/attempt/msg/{msg}?with_msg=maybe")).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_payload_can_be_had_to_the_letter() {
    let (world, app, _) = world().await;
    let event = r#"{"eventType":"a","payload":{"b":1.50e3,  "a":0.10, "id":12345678901234567890}}"#;
    let request = http::Request::post(format!("/api/v1/app/{app}/msg"))
        .header("authorization", format!("Bearer {}", world.token()))
        .body(bytes::Bytes::from(event))
        .unwrap();
    let published = world.send(request).await;
    assert_eq!(published.status, 202, "{published:?}");
    let msg = text(&published.body["id"]);
    let path = format!("/api/v1/app/{app}/msg/{msg}/raw");
    let raw = get(&world, &path).await.body;
    assert_eq!(raw, json!({"payload": r#"{"b":1.50e3,  "a":0.10, "id":12345678901234567890}"#}));
    world.call("DELETE", &format!("/api/v1/app/{app}/msg/{msg}/content"), Value::Null).await;
    assert_eq!(get(&world, &path).await.body, json!({"payload": r#"{"expired":true}"#}));
    assert_eq!(get(&world, &format!("/api/v1/app/{app}/msg/nobody/raw")).await.status, 404);
}

#[tokio::test]
async fn the_headers_of_an_attempt_are_what_was_sent_but_for_what_is_secret() {
    let (world, app, ep) = world().await;
    let own = json!({"headers": {"X-Team": "payments", "X-Api-Key": "s3cret"}});
    world.call("PUT", &format!("/api/v1/app/{app}/endpoint/{ep}/headers"), own).await;
    let msg = attempted(&world, &app, event(), 200).await;
    let attempt = text(&world.attempts(&app, &msg).await[0]["id"]);
    let path = format!("/api/v1/app/{app}/msg/{msg}/attempt/{attempt}/headers");
    let shown = get(&world, &path).await.body;
    let sent = world.network.sent().pop().unwrap();
    let sensitive: Vec<&str> =
        shown["sensitive"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(sensitive, ["X-Api-Key", "webhook-signature", "svix-signature"]);
    for (name, value) in &sent.headers {
        match sensitive.contains(&name.as_str()) {
            true => assert!(shown["sentHeaders"].get(name).is_none(), "{name}"),
            false => assert_eq!(shown["sentHeaders"][name], value.as_str(), "{name}"),
        }
    }
    assert_eq!(shown["sentHeaders"].as_object().unwrap().len() + 3, sent.headers.len());
    assert_eq!(shown["responseHeaders"], Value::Null, "of a success none are kept");
    // What is left of one whose endpoint is gone.
    world.call("DELETE", &format!("/api/v1/app/{app}/endpoint/{ep}"), Value::Null).await;
    let left = get(&world, &path).await.body;
    assert_eq!(left["sentHeaders"]["webhook-id"], msg);
    assert_eq!(left["sentHeaders"].get("X-Team"), None);
}

#[tokio::test]
async fn headers_of_an_answer_are_shown_with_an_attempt_that_failed_until_they_are_taken_away() {
    let (world, app, _) = world().await;
    let headers = [("content-type", "text/html"), ("x-error", "<script>alert(1)</script>")];
    world.network.next(URL, answer_with(500, "no", &headers));
    let msg = world.publish(&app, event()).await;
    world.dispatch_all().await;
    let attempt = text(&world.attempts(&app, &msg).await[0]["id"]);
    let path = format!("/api/v1/app/{app}/msg/{msg}/attempt/{attempt}");
    let shown = async || {
        let list = get(&world, &format!("/api/v1/app/{app}/attempt/msg/{msg}")).await.body;
        let one = get(&world, &path).await.body;
        let of_it = get(&world, &format!("{path}/headers")).await.body;
        let request = get(&world, &format!("{path}/request")).await.body;
        let pair = |header: &Value| json!([header["name"], header["value"]]);
        let named: Vec<Value> =
            request["answerHeaders"].as_array().unwrap().iter().map(pair).collect();
        [&list["data"][0]["responseHeaders"], &one["responseHeaders"], &of_it["responseHeaders"]]
            .map(Clone::clone)
            .into_iter()
            .chain([json!(named)])
            .collect::<Vec<_>>()
    };
    assert_eq!(shown().await, vec![json!(headers); 4]);
    let plain = format!("/api/v1/app/{app}/attempt/msg/{msg}?with_content=false");
    assert_eq!(get(&world, &plain).await.body["data"][0].get("responseHeaders"), None);
    let gone = world.call("DELETE", &format!("{path}/content"), Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(shown().await, [Value::Null, Value::Null, Value::Null, json!([])]);
}
