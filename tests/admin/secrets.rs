//! Secrets of endpoints, and integration keys.

use super::*;

/// Which of the secrets verify the last delivery.
fn signers(world: &World, secrets: &[&SigningSecret]) -> Vec<bool> {
    let sent = world.network.sent();
    let last = sent.last().unwrap();
    let (id, at) = (header(last, "webhook-id"), header(last, "webhook-timestamp"));
    let signatures = header(last, "webhook-signature");
    assert_eq!(header(last, "svix-signature"), signatures);
    let now = world.ambient.now();
    let count = signatures.split(' ').count();
    let verified: Vec<bool> = secrets
        .iter()
        .map(|secret| {
            let secret = std::slice::from_ref(*secret);
            verify(secret, id, at, signatures, &last.body, now).is_ok()
        })
        .collect();
    assert_eq!(verified.iter().filter(|ok| **ok).count(), count, "no other signature");
    verified
}

async fn secret_of(world: &World, path: &str) -> SigningSecret {
    let reply = get(world, path).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body.as_object().unwrap().len(), 1);
    SigningSecret::parse(&text(&reply.body["key"])).unwrap()
}

async fn deliver(world: &World, app: &str) {
    world.publish(app, json!({"n": 1})).await;
    world.dispatch_all().await;
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign_for_24_hours_and_then_the_new_one_alone() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    let old = secret_of(&world, &path).await;
    deliver(&world, &app).await;
    assert_eq!(signers(&world, &[&old]), [true]);

    let rotated = post(&world, &format!("{path}/rotate"), Value::Null).await;
    assert_eq!(rotated.status, 200);
    let new = secret_of(&world, &path).await;
    assert_eq!(rotated.body, json!({"key": new.reveal()}), "newer SDKs read it from here");
    assert_ne!(old.reveal(), new.reveal());
    deliver(&world, &app).await;
    assert_eq!(signers(&world, &[&old, &new]), [true, true]);
    world.advance_s(86_399);
    deliver(&world, &app).await;
    assert_eq!(signers(&world, &[&old, &new]), [true, true]);
    world.advance_s(1);
    deliver(&world, &app).await;
    assert_eq!(signers(&world, &[&old, &new]), [false, true]);
}

#[tokio::test]
async fn a_rotation_takes_a_secret_and_a_grace_period_of_the_callers_choice() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    let old = secret_of(&world, &path).await;
    let body = json!({"key": SECRET, "gracePeriodSeconds": 0});
    assert_eq!(post(&world, &format!("{path}/rotate"), body).await.status, 200);
    let new = secret_of(&world, &path).await;
    assert_eq!(new.reveal(), SECRET);
    deliver(&world, &app).await;
    assert_eq!(signers(&world, &[&old, &new]), [false, true]);
    let body = json!({"key": null, "gracePeriodSeconds": MAX_GRACE_S});
    assert_eq!(post(&world, &format!("{path}/rotate"), body).await.status, 200);
    world.advance_s(MAX_GRACE_S - 1);
    let newest = secret_of(&world, &path).await;
    deliver(&world, &app).await;
    assert_eq!(signers(&world, &[&new, &newest]), [true, true]);
}

#[tokio::test]
async fn a_retry_is_signed_with_the_secrets_of_its_own_time() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    let old = secret_of(&world, &path).await;
    world.network.next(URL, answer(500));
    deliver(&world, &app).await;
    let body = json!({"gracePeriodSeconds": 0});
    assert_eq!(post(&world, &format!("{path}/rotate"), body).await.status, 200);
    let new = secret_of(&world, &path).await;
    world.live_s(10).await;
    assert_eq!(world.network.sent_to(URL).len(), 2);
    assert_eq!(signers(&world, &[&old, &new]), [false, true]);
}

#[tokio::test]
async fn a_rotation_that_breaks_a_rule_is_refused() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let keys = [
        format!("/api/v1/app/{app}/endpoint/{ep}/secret"),
        format!("/api/v1/app/{app}/integration-key"),
    ];
    for path in keys {
        let before = secret_of(&world, &path).await;
        for (body, place) in [
            (json!({"gracePeriodSeconds": MAX_GRACE_S + 1}), "body/gracePeriodSeconds"),
            (json!({"gracePeriodSeconds": u64::MAX}), "body/gracePeriodSeconds"),
            (json!({"gracePeriodSeconds": -1}), "body/gracePeriodSeconds"),
            (json!({"key": "short"}), "body/key"),
            (json!({"key": 7}), "body/key"),
            (json!([]), "body"),
        ] {
            let reply = post(&world, &format!("{path}/rotate"), body).await;
            assert_eq!(places(&reply), [place]);
        }
        assert_eq!(secret_of(&world, &path).await, before);
    }
}

#[tokio::test]
async fn the_eleventh_rotation_within_the_grace_period_is_refused_and_changes_nothing() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let things = [
        (format!("/api/v1/app/{app}/endpoint/{ep}"), "secret"),
        (format!("/api/v1/app/{app}"), "integration-key"),
    ];
    for (thing, name) in things {
        let path = format!("{thing}/{name}");
        for _ in 0..MAX_OLD {
            let rotated = post(&world, &format!("{path}/rotate"), Value::Null).await;
            assert!(rotated.status.is_success(), "{rotated:?}");
        }
        let (secret, shown) = (secret_of(&world, &path).await, get(&world, &thing).await);
        world.advance_s(60);
        let refused = post(&world, &format!("{path}/rotate"), Value::Null).await;
        assert_error(&refused, 400, "limit_reached");
        assert_eq!(secret_of(&world, &path).await, secret);
        assert_eq!(get(&world, &thing).await.body, shown.body, "not even its date");
        let body = json!({"gracePeriodSeconds": 0});
        let at_once = post(&world, &format!("{path}/rotate"), body).await;
        assert!(at_once.status.is_success(), "{at_once:?}");
        assert_ne!(secret_of(&world, &path).await, secret);
        world.advance_s(86_400);
        let rotated = post(&world, &format!("{path}/rotate"), Value::Null).await;
        assert!(rotated.status.is_success(), "{rotated:?}");
    }
}

#[tokio::test]
async fn the_integration_key_is_rotated_and_is_not_an_endpoints_secret() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let path = format!("/api/v1/app/{app}/integration-key");
    let first = secret_of(&world, &path).await;
    let endpoint = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    assert_ne!(first, secret_of(&world, &endpoint).await);
    assert_eq!(post(&world, &format!("{path}/rotate"), Value::Null).await.status, 204);
    assert_ne!(secret_of(&world, &path).await, first);
    let body = json!({"key": SECRET});
    assert_eq!(post(&world, &format!("{path}/rotate"), body).await.status, 204);
    assert_eq!(secret_of(&world, &path).await.reveal(), SECRET);
}

#[tokio::test]
async fn the_integration_key_is_for_the_organisation_alone() {
    let (world, app) = World::with_application().await;
    let token = world.app_token(&app);
    let path = format!("/api/v1/app/{app}/integration-key");
    let read = world.call_as(&token, "GET", &path, Value::Null).await;
    assert_error(&read, 403, "insufficient access");
    let rotate = world.call_as(&token, "POST", &format!("{path}/rotate"), Value::Null).await;
    assert_error(&rotate, 403, "insufficient access");
}

#[tokio::test]
async fn a_secret_is_in_no_other_answer() {
    let (world, app) = World::with_application().await;
    let body = json!({"url": URL, "secret": SECRET, "uid": "main"});
    world.endpoint_with(&app, body).await;
    let key = get(&world, &format!("/api/v1/app/{app}/integration-key")).await;
    let key = text(&key.body["key"]);
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    for path in [
        "/api/v1/app".to_owned(),
        format!("/api/v1/app/{app}"),
        format!("/api/v1/app/{app}/endpoint"),
        format!("/api/v1/app/{app}/endpoint/main"),
        format!("/api/v1/app/{app}/msg/{msg}/endpoint"),
        format!("/api/v1/app/{app}/attempt/msg/{msg}"),
    ] {
        let reply = get(&world, &path).await;
        assert_eq!(reply.status, 200);
        let answer = String::from_utf8_lossy(&reply.bytes).into_owned();
        assert!(!answer.contains(&SECRET[6..]) && !answer.contains(&key[6..]), "{answer}");
        assert!(!answer.contains("keyring") && !answer.contains("sealed"), "{answer}");
    }
}
