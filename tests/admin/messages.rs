//! Messages: list, read.

use super::*;

async fn world() -> (World, String, String) {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/msg");
    (world, app, path)
}

#[tokio::test]
async fn a_message_is_read_by_its_id_and_by_its_event_id() {
    let (world, _, path) = world().await;
    let body = json!({
        "eventType": "order.paid", "eventId": "order-1", "channels": ["a"],
        "payload": {"n": 1},
    });
    let published = post(&world, &path, body).await;
    let id = text(&published.body["id"]);
    for reference in [id.as_str(), "order-1"] {
        let read = get(&world, &format!("{path}/{reference}")).await;
        assert_eq!((read.status.as_u16(), &read.body), (200, &published.body));
        let bare = get(&world, &format!("{path}/{reference}?with_content=false")).await;
        let mut expected = published.body.clone();
        expected["payload"] = json!({});
        assert_eq!(bare.body, expected);
    }
}

#[tokio::test]
async fn the_payload_is_shown_in_its_own_spelling() {
    let (world, _, path) = world().await;
    let payload = r#"{ "b":1.0,"a" : "\u00e9", "a":2 }"#;
    let request = http::Request::post(&path)
        .header("authorization", format!("Bearer {}", world.token()))
        .body(format!(r#"{{"eventType":"a","payload":{payload}}}"#).into())
        .unwrap();
    let id = text(&world.send(request).await.body["id"]);
    for path in [path.clone(), format!("{path}/{id}")] {
        let shown = String::from_utf8(get(&world, &path).await.bytes.to_vec()).unwrap();
        assert!(shown.contains(payload), "{shown}");
    }
}

#[tokio::test]
async fn a_message_is_seen_in_its_own_application_only() {
    let (world, app, path) = world().await;
    let body = json!({"eventType": "a", "eventId": "order-1", "payload": {}});
    let id = text(&post(&world, &path, body).await.body["id"]);
    let other = world.application().await;
    for reference in [id.as_str(), "order-1", UNKNOWN_MSG, "nothing", "msg_"] {
        let elsewhere = get(&world, &format!("/api/v1/app/{other}/msg/{reference}")).await;
        assert_error(&elsewhere, 404, "not_found");
    }
    for path in [
        format!("/api/v1/app/{other}/attempt/msg/{id}"),
        format!("/api/v1/app/{other}/msg/{id}/endpoint"),
        format!("/api/v1/app/{app}/attempt/msg/{UNKNOWN_MSG}"),
        format!("/api/v1/app/{app}/msg/{UNKNOWN_MSG}/endpoint"),
    ] {
        assert_error(&get(&world, &path).await, 404, "not_found");
    }
}

#[tokio::test]
async fn an_id_with_the_place_of_a_message_and_another_time_is_not_that_message() {
    let (world, _, path) = world().await;
    let id = text(&post(&world, &path, json!({"eventType": "a", "payload": {}})).await.body["id"]);
    let id: shared::domain::id::MessageId = id.parse().unwrap();
    let other = shared::domain::id::MessageId::from_key(START.plus_ms(4), id.key());
    assert_error(&get(&world, &format!("{path}/{other}")).await, 404, "not_found");
}

#[tokio::test]
async fn messages_are_listed_newest_first_and_in_pages() {
    let (world, app, path) = world().await;
    let mut published = Vec::new();
    for n in 0..23 {
        published.push(world.publish(&app, json!({"n": n})).await);
        world.clock.advance_ms(4);
    }
    for limit in [1, 5, 22, 23, 24] {
        assert_eq!(walk(&world, &path, limit).await, reversed(published.clone()), "{limit}");
        let ascending = format!("{path}?order=ascending");
        assert_eq!(walk(&world, &ascending, limit).await, published, "{limit}");
    }
    let page = get(&world, &path).await;
    assert_eq!(page.body["data"][0]["payload"], json!({"n": 22}));
    let bare = get(&world, &format!("{path}?with_content=false")).await;
    assert_eq!(ids(&bare), ids(&page));
    assert_eq!(bare.body["data"][0]["payload"], json!({}));
}

#[tokio::test]
async fn before_and_after_cut_a_window_out_of_the_list() {
    let (world, app, path) = world().await;
    let mut published = Vec::new();
    for n in 0..6 {
        published.push(world.publish(&app, json!({"n": n})).await);
        world.advance_s(10);
    }
    let at = |n: u64| START.plus_ms(n * 10_000).to_rfc3339();
    let window = async |query: String| {
        let path = format!("{path}?order=ascending{query}");
        walk(&world, &path, 2).await
    };
    assert_eq!(window(format!("&before={}", at(2))).await, published[..2]);
    assert_eq!(window(format!("&after={}", at(4))).await, published[4..]);
    assert_eq!(window(format!("&after={}&before={}", at(1), at(5))).await, published[1..5]);
    assert!(window(format!("&after={}", at(6))).await.is_empty());
    assert!(window(format!("&before={}", at(0))).await.is_empty());
    assert!(window(format!("&after={}&before={}", at(4), at(2))).await.is_empty());
    let descending = walk(&world, &format!("{path}?before={}&after={}", at(5), at(1)), 3).await;
    assert_eq!(descending, reversed(published[1..5].to_vec()));
    // An offset is as good as Z.
    let offset = format!("{path}?order=ascending&after=2027-01-15T09:00:40%2B01:00");
    assert_eq!(ids(&get(&world, &offset).await), published[4..]);
}

#[tokio::test]
async fn messages_are_filtered_by_event_type_and_channel() {
    let (world, _, path) = world().await;
    let mut published = Vec::new();
    for (event_type, channels) in
        [("a", json!(["x"])), ("b", json!(["x", "y"])), ("c", json!(null)), ("a", json!(["y"]))]
    {
        let body = json!({"eventType": event_type, "channels": channels, "payload": {}});
        published.push(text(&post(&world, &path, body).await.body["id"]));
        world.clock.advance_ms(4);
    }
    let pick = |positions: &[usize]| -> Vec<String> {
        positions.iter().map(|n| published[*n].clone()).collect()
    };
    for (query, expected) in [
        ("event_types=a", pick(&[0, 3])),
        ("event_types=a,c", pick(&[0, 2, 3])),
        ("event_types=a&event_types=c", pick(&[0, 2, 3])),
        ("event_types=nothing", pick(&[])),
        ("event_types=", pick(&[0, 1, 2, 3])),
        ("channel=x", pick(&[0, 1])),
        ("channel=y&event_types=a", pick(&[3])),
        ("channel=nothing", pick(&[])),
    ] {
        let path = format!("{path}?order=ascending&{query}");
        assert_eq!(walk(&world, &path, 1).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_message_past_its_retention_is_forgotten_wherever_it_is_asked_for() {
    let (world, app, path) = world().await;
    world.endpoint(&app, URL).await;
    let body = json!({
        "eventType": "a", "eventId": "order-1", "payload": {}, "payloadRetentionPeriod": 5,
    });
    let id = text(&post(&world, &path, body).await.body["id"]);
    world.dispatch_all().await;
    world.advance_s(5 * 86_400);
    for reference in [id.as_str(), "order-1"] {
        assert_error(&get(&world, &format!("{path}/{reference}")).await, 404, "not_found");
    }
    assert!(ids(&get(&world, &path).await).is_empty());
}

#[tokio::test]
async fn a_new_message_of_a_forgotten_event_does_not_inherit_its_attempts() {
    let (world, app, path) = world().await;
    world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    let body = json!({
        "eventType": "a", "eventId": "order-1", "payload": {}, "payloadRetentionPeriod": 5,
    });
    let old = text(&post(&world, &path, body.clone()).await.body["id"]);
    world.live_s(60).await;
    assert_eq!(world.attempts(&app, &old).await.len(), 2);
    world.advance_s(5 * 86_400);
    let new = text(&post(&world, &path, body).await.body["id"]);
    world.dispatch_all().await;
    let attempts = world.attempts(&app, &new).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0]["msgId"], json!(new));
    assert_eq!(world.network.sent_to(URL).len(), 3);
}
