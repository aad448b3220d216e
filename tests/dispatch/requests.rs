//! What a request carries.

use super::*;

#[tokio::test]
async fn a_request_carries_exactly_the_standard_headers_in_both_families() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let msg = world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    let sent = &world.network.sent()[0];
    let names: Vec<_> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "content-type",
            "user-agent",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "svix-id",
            "svix-timestamp",
            "svix-signature",
        ]
    );
    assert_eq!(header(sent, "content-type"), "application/json");
    assert_eq!(header(sent, "user-agent"), format!("Posthorn/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(header(sent, "webhook-id"), msg);
    assert_eq!(header(sent, "webhook-timestamp"), START.as_secs().to_string());
    for name in ["id", "timestamp", "signature"] {
        let values = ["webhook-", "svix-"].map(|family| header(sent, &format!("{family}{name}")));
        assert_eq!(values[0], values[1], "{name}");
    }
}

#[tokio::test]
async fn a_retry_has_the_same_id_and_bytes_but_its_own_timestamp_and_signature() {
    let Waiting { world, app, ep, .. } = waiting().await;
    let key = secret(&world, &app, &ep).await;
    world.advance_s(7);
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].body, sent[1].body);
    assert_eq!(header(&sent[0], "webhook-id"), header(&sent[1], "webhook-id"));
    let second = (START.as_secs() + 7).to_string();
    assert_eq!(header(&sent[0], "webhook-timestamp"), START.as_secs().to_string());
    assert_eq!(header(&sent[1], "webhook-timestamp"), second);
    assert_ne!(header(&sent[0], "webhook-signature"), header(&sent[1], "webhook-signature"));
    assert!(is_signed(&sent[1], &key, &world));
}

#[tokio::test]
async fn every_live_secret_signs_while_a_secret_is_being_rotated() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let old = secret(&world, &app, &ep).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret/rotate");
    let rotated = world.call("POST", &path, json!({"gracePeriodSeconds": 3600})).await;
    assert!(rotated.status.is_success(), "{rotated:?}");
    let new = secret(&world, &app, &ep).await;

    world.publish(&app, json!({"n": 1})).await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(header(&sent[0], "webhook-signature").split(' ').count(), 2);
    assert!(is_signed(&sent[0], &old, &world) && is_signed(&sent[0], &new, &world));

    world.advance_s(3600);
    world.publish(&app, json!({"n": 2})).await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    assert_eq!(header(&sent[1], "webhook-signature").split(' ').count(), 1);
    assert!(is_signed(&sent[1], &new, &world) && !is_signed(&sent[1], &old, &world));
}

#[tokio::test]
async fn an_endpoint_that_moved_is_called_at_its_new_address() {
    let Waiting { world, app, ep, msg } = waiting().await;
    change_endpoint(&world, &app, &ep, json!({"url": OTHER})).await;
    world.live_s(10).await;
    assert_eq!(world.network.sent_to(OTHER).len(), 1);
    let attempts = world.attempts(&app, &msg).await;
    let urls: Vec<_> = attempts.iter().map(|attempt| text(&attempt["url"])).collect();
    assert_eq!(urls, [URL, OTHER]);
}
