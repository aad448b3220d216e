//! What a body has to look like, and how what is wrong with it is named.

use super::*;

#[tokio::test]
async fn every_wrong_field_is_named() {
    let (world, app) = world().await;
    let long = |n: usize| "x".repeat(n);
    let cases = [
        ("eventType", json!("")),
        ("eventType", json!("a b")),
        ("eventType", json!("é")),
        ("eventType", json!(long(257))),
        ("eventId", json!("")),
        ("eventId", json!("a/b")),
        ("eventId", json!("msg_1")),
        ("eventId", json!(long(257))),
        ("channels", json!([])),
        ("channels", json!(["a", "b", "c", "d", "e", "f"])),
        ("channels", json!(["a", "a"])),
        ("payloadRetentionPeriod", json!(4)),
        ("payloadRetentionPeriod", json!(91)),
        ("payloadRetentionPeriod", json!(0)),
        ("payload", json!([])),
        ("payload", json!("text")),
        ("payload", json!(1)),
        ("payload", json!(null)),
    ];
    for (field, value) in cases {
        let mut body = event();
        body[field] = value.clone();
        let reply = publish(&world, &app, &[], &body).await;
        assert_eq!(places(&reply), [format!("body/{field}")], "{value}");
        assert_eq!(reply.body["detail"][0]["type"], "value_error");
    }
    let mut body = event();
    body["channels"] = json!(["good", "", long(129)]);
    let reply = publish(&world, &app, &[], &body).await;
    assert_eq!(places(&reply), ["body/channels/1", "body/channels/2"]);
    assert_eq!(delivered(&world).await, 0);
}

#[tokio::test]
async fn the_longest_names_and_the_most_channels_are_taken() {
    let (world, app) = world().await;
    let channels = ["a", "b", "c", "d", "e"].map(|name| name.repeat(128));
    let body = json!({
        "eventType": "x".repeat(256),
        "eventId": "y".repeat(256),
        "channels": channels,
        "payloadRetentionPeriod": 90,
        "payload": {},
    });
    let reply = publish(&world, &app, &[], &body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

#[tokio::test]
async fn several_wrong_fields_are_named_at_once() {
    let (world, app) = world().await;
    let body = json!({
        "eventType": "a b", "eventId": "", "channels": [], "payloadRetentionPeriod": 1,
        "payload": 7,
    });
    let mut found = places(&publish(&world, &app, &[], &body).await);
    found.sort();
    let fields = ["channels", "eventId", "eventType", "payload", "payloadRetentionPeriod"];
    assert_eq!(found, fields.map(|field| format!("body/{field}")));
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named() {
    let (world, app) = world().await;
    let cases = [
        ("eventType", json!(7), "body/eventType"),
        ("eventType", json!(null), "body/eventType"),
        ("eventId", json!(7), "body/eventId"),
        ("eventId", json!({}), "body/eventId"),
        ("channels", json!("a"), "body/channels"),
        ("channels", json!(["a", 7]), "body/channels/1"),
        ("payloadRetentionPeriod", json!("30"), "body/payloadRetentionPeriod"),
        ("payloadRetentionPeriod", json!(-1), "body/payloadRetentionPeriod"),
        ("payloadRetentionPeriod", json!(30.5), "body/payloadRetentionPeriod"),
    ];
    for (field, value, place) in cases {
        let mut body = event();
        body[field] = value.clone();
        let reply = publish(&world, &app, &[], &body).await;
        assert_eq!(places(&reply), [place], "{value}");
        assert_eq!(reply.body["detail"][0]["type"], "value_error");
    }
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let (world, app) = world().await;
    for field in ["eventType", "payload"] {
        let mut body = event();
        body.as_object_mut().unwrap().remove(field);
        let reply = publish(&world, &app, &[], &body).await;
        assert_eq!(places(&reply), [format!("body/{field}")]);
    }
    let reply = publish(&world, &app, &[], &json!({})).await;
    assert_eq!(places(&reply), ["body/eventType"]);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_as_such() {
    let (world, app) = world().await;
    let bodies: [&[u8]; 11] = [
        b"",
        b" ",
        b"{",
        b"{\"eventType\":\"a\",\"payload\":{}",
        b"{\"eventType\":\"a\",\"payload\":{}}}",
        b"{\"eventType\":\"a\",\"payload\":{}} x",
        b"{'eventType':'a','payload':{}}",
        b"{\"eventType\":\"a\",\"payload\":{\"a\":}}",
        b"{\"eventType\":\"a\",\"payload\":{\"a\":\"\x01\"}}",
        b"{\"eventType\":\"a\",\"payload\":{\"a\":\"\xFF\"}}",
        b"eventType=a&payload=b",
    ];
    for body in bodies {
        let reply = publish_bytes(&world, &app, body).await;
        let shown = String::from_utf8_lossy(body);
        assert_eq!(places(&reply), ["body"], "{shown}");
        assert_eq!(reply.body["detail"][0]["type"], "value_error.jsondecode", "{shown}");
    }
    assert_eq!(delivered(&world).await, 0);
}

#[tokio::test]
async fn a_body_that_is_json_but_no_object_is_refused_even_when_its_items_would_fit() {
    let (world, app) = world().await;
    for body in ["[]", "null", "7", "\"text\"", r#"["a",{"n":1},null,null,null]"#] {
        let reply = publish_bytes(&world, &app, body).await;
        assert_eq!(places(&reply), ["body"], "{body}");
        assert_eq!(reply.body["detail"][0]["msg"], "must be a JSON object", "{body}");
    }
    assert_eq!(delivered(&world).await, 0);
}

#[tokio::test]
async fn a_field_that_comes_twice_is_refused() {
    let (world, app) = world().await;
    let body = r#"{"eventType":"a","eventType":"b","payload":{}}"#;
    assert_eq!(publish_bytes(&world, &app, body).await.status, 422);
}

#[tokio::test]
async fn the_rules_do_not_talk_about_our_own_code() {
    let (world, app) = world().await;
    for body in ["[]", "{}", "7", r#"{"eventType":7}"#, r#"{"eventType":"a","payload":[]}"#] {
        let reply = publish_bytes(&world, &app, body).await;
        let answer = reply.body.to_string();
        for word in ["struct", "Shape", "MessageIn", " at line "] {
            assert!(!answer.contains(word), "{body}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_payload_of_sixty_four_levels_is_delivered_and_a_deeper_one_refused() {
    let (world, app) = world().await;
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    // Brackets in a text are no levels, and what is closed is none any more.
    let wide = format!(r#"{{"a":"\"{}","b":[{}]}}"#, "[{".repeat(99), ["[[]]"; 99].join(","));
    for (payload, is_deep) in [
        (objects(64), false),
        (format!(r#"{{"a":{}}}"#, arrays(63)), false),
        (wide, false),
        (objects(65), true),
        (format!(r#"{{"a":{}}}"#, arrays(64)), true),
        (objects(20_000), true),
    ] {
        let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
        let reply = publish_bytes(&world, &app, body).await;
        match is_deep {
            true => assert_eq!(places(&reply), ["body/payload"]),
            false => {
                assert_eq!(reply.status, 202, "{reply:?}");
                world.dispatch_all().await;
                assert_eq!(world.network.sent_to(URL).pop().unwrap().body, payload);
            }
        }
    }
    let deep = arrays(65);
    let raw = format!(
        r#"{{"eventType":"a","payload":{{}},"transformationsParams":{{"rawPayload":"{deep}"}}}}"#
    );
    assert_eq!(publish_bytes(&world, &app, raw).await.status, 202, "a raw one is no JSON");
}

#[tokio::test]
async fn what_is_beyond_a_limit_is_not_looked_at_and_twenty_rules_are_told() {
    let (world, app) = world().await;
    let mut body = event();
    body["channels"] = json!(vec!["not a name"; 30_000]);
    body["tags"] = json!(vec!["not a tag"; 5_000]);
    let reply = publish(&world, &app, &[], &body).await;
    assert_eq!(places(&reply), ["body/channels", "body/tags"]);
    let path = format!("/api/v1/app/{app}/endpoint");
    let types = |count: usize, name: &dyn Fn(usize) -> String| {
        let names: Vec<String> = (0..count).map(name).collect();
        json!({"url": URL, "eventTypes": names})
    };
    let many = world.call("POST", &path, types(40_000, &|n| n.to_string())).await;
    assert_eq!(places(&many), ["body/eventTypes"]);
    let wrong = world.call("POST", &path, types(1_000, &|n| format!("no name {n}"))).await;
    assert_eq!(places(&wrong).len(), 20);
    let headers: serde_json::Map<String, Value> =
        (0..20_000).map(|n| (format!("x-{n}"), json!("1"))).collect();
    let many = json!({"url": URL, "headers": headers});
    assert_eq!(places(&world.call("POST", &path, many).await), ["body/headers"]);
}

#[tokio::test]
async fn a_name_has_an_end() {
    let (world, app) = world().await;
    let path = format!("/api/v1/app/{app}");
    for (name, status) in [("ä".repeat(256), 200), ("ä".repeat(257), 422)] {
        let changed = world.call("PATCH", &path, json!({"name": name})).await;
        assert_eq!(changed.status, status);
        if status == 422 {
            assert_eq!(places(&changed), ["body/name"]);
        }
    }
}

#[tokio::test]
async fn characters_that_the_queue_refuses_arrive_all_the_same() {
    let (world, app) = world().await;
    let payload = "{\"a\":\"\u{FFFE}\u{FFFF}\u{7F}\\u0000\"}";
    let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
    assert_eq!(publish_bytes(&world, &app, body).await.status, 202);
    assert_eq!(delivered(&world).await, 1);
    assert_eq!(world.network.sent_to(URL)[0].body, payload);
}
