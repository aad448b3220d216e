//! What an answer means.

use http::HeaderMap;

use super::*;

#[tokio::test]
async fn only_2xx_is_a_success() {
    for status in [200, 201, 202, 204, 299] {
        let (world, app, msg) = answered(answer(status)).await;
        let attempt = &world.attempts(&app, &msg).await[0];
        assert_eq!((&attempt["status"], pending(&world).await), (&json!(0), 0), "{status}");
    }
    for status in [100, 199, 300, 301, 302, 304, 307, 308, 400, 401, 404, 409, 429, 500, 503] {
        let (world, app, msg) = answered(answer(status)).await;
        let attempt = &world.attempts(&app, &msg).await[0];
        assert_eq!((&attempt["status"], pending(&world).await), (&json!(2), 1), "{status}");
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_that_is_tried_again_at_the_same_address() {
    let (world, app, msg) = answered(answer(302)).await;
    world.live_s(10).await;
    assert_eq!(world.network.sent().len(), 2);
    assert_eq!(world.network.sent_to(URL).len(), 2);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [302, 200]);
}

#[tokio::test]
async fn gone_disables_the_endpoint_and_gives_the_delivery_up() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    world.endpoint(&app, OTHER).await;
    world.network.next(URL, answer(410));
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    assert!(is_disabled(&world, &app, &ep).await);
    let delivery = delivery(&world, &msg, &ep).await;
    assert!(delivery.is_failed());
    assert_eq!(delivery.attempts, 1);
    world.publish(&app, json!({"n": 2})).await;
    world.live_s(3600).await;
    assert_eq!(world.network.sent_to(URL).len(), 1);
    assert_eq!(world.network.sent_to(OTHER).len(), 2);
}

#[tokio::test]
async fn gone_in_answer_to_a_retry_disables_the_endpoint_too() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.network.next(URL, answer(410));
    world.live_s(3600).await;
    assert!(is_disabled(&world, &app, &ep).await);
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 410]);
    assert!(delivery(&world, &msg, &ep).await.is_failed());
}

#[tokio::test]
async fn gone_in_answer_to_a_resend_disables_the_endpoint_too() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.network.next(URL, answer(410));
    resend(&world, &app, &msg, &ep).await;
    world.dispatch_all().await;
    assert!(is_disabled(&world, &app, &ep).await);
}

#[tokio::test]
async fn retry_after_slows_down_and_neither_hurries_nor_stalls() {
    // The first delay is 5 s, with jitter at most 6; Retry-After counts from 5 s to 10 s.
    for (value, expected) in [
        ("7", 7_000..=7_000),
        (" 10 ", 10_000..=10_000),
        ("3600", 10_000..=10_000),
        ("99999999999999999999", 4_000..=6_000),
        ("0", 5_000..=6_000),
        ("-1", 4_000..=6_000),
        ("soon", 4_000..=6_000),
        ("Fri, 15 Jan 2027 08:00:08 GMT", 8_000..=8_000),
        ("Fri, 15 Jan 2027 09:00:00 GMT", 10_000..=10_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 5_000..=6_000),
    ] {
        let ending = Ending::Answered {
            status: 503,
            excerpt: Vec::new(),
            retry_after: Some(value.to_owned()),
            headers: HeaderMap::new(),
        };
        let (world, _, msg) = answered(ending).await;
        let next = the_pending(&world, &msg).await.next_at().unwrap().since(START);
        assert!(expected.contains(&next), "{value}: {next} ms");
    }
}

#[tokio::test]
async fn every_outcome_is_recorded_with_status_duration_and_text() {
    let answered_with = |status, text| answer_with(status, text, &[]);
    for (ending, status, code, response) in [
        (answered_with(200, "thanks"), 0, 200, "thanks"),
        (answered_with(204, ""), 0, 204, ""),
        (answered_with(404, "<h1>Not found</h1>"), 2, 404, "<h1>Not found</h1>"),
        (Ending::TimedOut, 2, 0, "no answer within 7 ms"),
        (Ending::Refused("10.0.0.1 is private".into()), 2, 0, "not called: 10.0.0.1 is private"),
        (Ending::Failed("connection reset".into()), 2, 0, "connection reset"),
    ] {
        let (world, app, msg) = answered(ending).await;
        let attempts = world.attempts(&app, &msg).await;
        assert_eq!(attempts.len(), 1);
        let attempt = &attempts[0];
        assert_eq!(attempt["status"], status, "{response}");
        assert_eq!(attempt["responseStatusCode"], code, "{response}");
        assert_eq!(attempt["responseDurationMs"], 7, "{response}");
        assert_eq!(attempt["response"], response);
        assert_eq!(attempt["url"], URL);
        assert_eq!(attempt["msgId"], msg);
        assert_eq!(attempt["triggerType"], 0);
        assert_eq!(attempt["timestamp"], START.to_rfc3339());
    }
}

#[tokio::test]
async fn headers_of_an_answer_are_on_record_where_the_attempt_failed_and_of_no_success() {
    let headers = [("content-type", "text/html"), ("x-odd", "<b>\u{fffd}</b>")];
    for (ending, kept) in [
        (answer_with(500, "no", &headers), true),
        (answer_with(301, "", &headers), true),
        (answer_with(200, "yes", &headers), false),
        (answer_with(500, "no", &[]), false),
        (Ending::TimedOut, false),
    ] {
        let (world, app, msg) = answered(ending.clone()).await;
        let attempt = &world.attempts(&app, &msg).await[0];
        let expected = if kept { json!(headers) } else { Value::Null };
        assert_eq!(attempt["responseHeaders"], expected, "{ending:?}");
    }
}

#[tokio::test]
async fn an_excerpt_has_at_most_a_kibibyte_whatever_its_bytes() {
    for (excerpt, begin) in [
        (vec![b'x'; 5_000], "xxxx"),
        (vec![0xff; 5_000], "\u{fffd}\u{fffd}"),
        ("\u{20ac}".repeat(2_000).into_bytes(), "\u{20ac}\u{20ac}"),
        (b"\x00\x1b[31m\xc3".repeat(500), "\0\u{1b}[31m\u{fffd}"),
    ] {
        // Of a success less is kept: nobody looks for what went wrong.
        for (status, most) in [(500, EXCERPT_BYTES), (200, 64)] {
            let excerpt = excerpt.clone();
            let headers = HeaderMap::new();
            let ending = Ending::Answered { status, excerpt, retry_after: None, headers };
            let (world, app, msg) = answered(ending).await;
            let response = text(&world.attempts(&app, &msg).await[0]["response"]);
            let length = response.len();
            assert!((most - 3..=most).contains(&length), "{status}, {begin}: {length} bytes");
            assert!(response.starts_with(begin), "{response:?}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_does_not_open_is_no_attempt_and_the_record_comes_back() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({})).await;
    let stranger = dispatcher(&world, another_root_secret);
    assert_eq!(poll(&world.queues.deliveries, &stranger).await, Polled { done: 0, undone: 1 });
    assert_eq!(world.network.sent(), []);
    assert_eq!(world.attempts(&app, &msg).await, NO_VALUES);
    // The right root secret is back.
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 1);
    assert!(is_signed(&sent[0], &secret(&world, &app, &ep).await, &world));
}

#[tokio::test]
async fn a_secret_that_does_not_open_costs_a_retry_nothing_but_time() {
    let Waiting { world, app, ep, msg } = waiting().await;
    world.advance_s(7);
    let stranger = dispatcher(&world, another_root_secret);
    assert_eq!(poll(&world.queues.retries, &stranger).await, Polled { done: 0, undone: 1 });
    assert_eq!(delivery(&world, &msg, &ep).await.attempts, 1);
    world.advance_s(VISIBILITY_S.into());
    world.dispatch_all().await;
    assert_eq!(codes(&world.attempts(&app, &msg).await), [500, 200]);
}
