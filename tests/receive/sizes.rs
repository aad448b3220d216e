//! How large a payload and a body may be.

use super::*;

/// A payload of exactly this many bytes that does not compress well.
fn payload_of(bytes: usize) -> String {
    let mut state = 1u32;
    let filler: String = (0..bytes - r#"{"a":""}"#.len())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'0' + (state >> 24) as u8 % 75)
        })
        .map(|c| if c == '\\' { '/' } else { c })
        .collect();
    format!(r#"{{"a":"{filler}"}}"#)
}

#[tokio::test]
async fn the_largest_payload_is_accepted_and_delivered_byte_for_byte() {
    let (world, app) = world().await;
    let payload = payload_of(MAX_PAYLOAD_BYTES);
    assert_eq!(payload.len(), 350 * 1024);
    let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
    let reply = publish_bytes(&world, &app, body).await;
    assert_eq!(reply.status, 202);
    assert_eq!(delivered(&world).await, 1);
    assert_eq!(world.network.sent_to(URL)[0].body, payload);
}

#[tokio::test]
async fn the_largest_payload_survives_a_retry_too() {
    let (world, app) = world().await;
    let payload = payload_of(MAX_PAYLOAD_BYTES);
    world.network.next(URL, answer(500));
    let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
    assert_eq!(publish_bytes(&world, &app, body).await.status, 202);
    world.live_s(60).await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].body, payload);
}

#[tokio::test]
async fn a_payload_of_one_byte_more_is_too_large() {
    let (world, app) = world().await;
    let payload = payload_of(MAX_PAYLOAD_BYTES + 1);
    let body = format!(r#"{{"eventType":"a","payload":{payload}}}"#);
    assert_error(&publish_bytes(&world, &app, body).await, 413, "payload_too_large");
    assert_eq!(delivered(&world).await, 0);
}

#[tokio::test]
async fn a_body_may_be_larger_than_the_payload_but_not_without_end() {
    let (world, app) = world().await;
    let body = event().to_string();
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    assert_eq!(publish_bytes(&world, &app, padded(MAX_BODY_BYTES)).await.status, 202);
    let reply = publish_bytes(&world, &app, padded(MAX_BODY_BYTES + 1)).await;
    assert_error(&reply, 413, "payload_too_large");
    // White space around the payload does not count.
    assert_eq!(delivered(&world).await, 1);
    assert_eq!(&world.network.sent_to(URL)[0].body[..], br#"{"n":1}"#);
}
