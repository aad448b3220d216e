//! How messages travel, and to whom.

use super::*;

#[tokio::test]
async fn an_accepted_event_arrives_with_the_bytes_that_were_published() {
    let (world, app, _) = World::with_endpoint(URL).await;
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
    let (world, app, _) = World::with_endpoint(URL).await;
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
    let (world, app, _) = World::with_endpoint(URL).await;
    world.network.next(URL, answer(500));
    world.network.next(URL, Ending::TimedOut);
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.live_s(3600).await;
    let attempts = world.attempts(&app, &msg).await;
    let codes: Vec<_> = attempts.iter().map(|attempt| &attempt["responseStatusCode"]).collect();
    assert_eq!(codes, [500, 0, 200]);
}

#[tokio::test]
async fn an_event_goes_to_endpoints_that_chose_its_type_or_none() {
    let (world, app) = World::with_application().await;
    for (name, types) in [
        ("all", json!(null)),
        ("this", json!(["a.b"])),
        ("both", json!(["c.d", "a.b"])),
        ("another", json!(["c.d"])),
        ("prefix", json!(["a"])),
    ] {
        world.endpoint_with(&app, json!({"url": url(name), "eventTypes": types})).await;
    }
    publish(&world, &app, json!({"eventType": "a.b", "payload": {}})).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["all", "both", "this"]);
}

#[tokio::test]
async fn an_event_goes_to_endpoints_that_share_a_channel_or_chose_none() {
    let (world, app) = World::with_application().await;
    for (name, channels) in [
        ("all", json!(null)),
        ("red", json!(["red"])),
        ("two", json!(["green", "blue"])),
        ("green", json!(["green"])),
    ] {
        world.endpoint_with(&app, json!({"url": url(name), "channels": channels})).await;
    }
    let event = json!({"eventType": "a.b", "payload": {}, "channels": ["red", "blue"]});
    publish(&world, &app, event).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["all", "red", "two"]);
}

#[tokio::test]
async fn an_event_without_channels_does_not_reach_endpoints_that_chose_some() {
    let (world, app) = World::with_application().await;
    world.endpoint_with(&app, json!({"url": url("red"), "channels": ["red"]})).await;
    world.endpoint(&app, &url("all")).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["all"]);
}

#[tokio::test]
async fn type_and_channel_must_both_fit() {
    let (world, app) = World::with_application().await;
    for (name, event_type, channel) in
        [("both", "a.b", "red"), ("type", "a.b", "blue"), ("channel", "c.d", "red")]
    {
        let url = url(name);
        let endpoint = json!({"url": url, "eventTypes": [event_type], "channels": [channel]});
        world.endpoint_with(&app, endpoint).await;
    }
    let event = json!({"eventType": "a.b", "payload": {}, "channels": ["red"]});
    publish(&world, &app, event).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["both"]);
}

#[tokio::test]
async fn a_disabled_endpoint_gets_nothing_until_it_is_enabled() {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "disabled": true})).await;
    let missed = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent(), []);
    change_endpoint(&world, &app, &ep, json!({"disabled": false})).await;
    let sent = world.publish(&app, json!({"n": 2})).await;
    world.live_s(60).await;
    let ids: Vec<_> =
        world.network.sent().iter().map(|sent| header(sent, "webhook-id").to_owned()).collect();
    assert_eq!(ids, [sent], "and not {missed}");
}

#[tokio::test]
async fn an_event_reaches_no_endpoint_of_another_application() {
    let world = World::new();
    let (app, another) = (world.application().await, world.application().await);
    world.endpoint(&app, &url("own")).await;
    world.endpoint(&another, &url("foreign")).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    assert_eq!(receivers(&world), ["own"]);
}

#[tokio::test]
async fn an_event_that_nobody_wants_is_done() {
    let (world, app) = World::with_application().await;
    world.publish(&app, json!({})).await;
    let batch = receive(&world.queues.deliveries).await;
    assert_eq!(batch.len(), 1);
    assert_eq!(world.dispatcher.handle(batch, None).await, NONE);
}

#[tokio::test]
async fn an_event_of_a_deleted_application_is_done_and_goes_nowhere() {
    let (world, app, _) = World::with_endpoint(URL).await;
    world.publish(&app, json!({})).await;
    delete(&world, &format!("/api/v1/app/{app}")).await;
    assert_eq!(world.dispatch().await, 1);
    assert_eq!(world.network.sent(), []);
}

#[tokio::test]
async fn a_hundred_endpoints_each_get_the_event_once_signed_with_their_own_secret() {
    let (world, app) = World::with_application().await;
    let mut endpoints = Vec::new();
    for n in 0..100 {
        let url = url(&format!("{n:03}"));
        let ep = world.endpoint(&app, &url).await;
        endpoints.push((url, secret(&world, &app, &ep).await));
    }
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 100);
    for (n, (url, key)) in endpoints.iter().enumerate() {
        let sent = world.network.sent_to(url);
        assert_eq!(sent.len(), 1, "{url}");
        assert_eq!(header(&sent[0], "webhook-id"), msg);
        assert!(is_signed(&sent[0], key, &world), "{url}");
        let (_, neighbour) = &endpoints[(n + 1) % 100];
        assert!(!is_signed(&sent[0], neighbour, &world), "{url}: any secret fits");
    }
}
