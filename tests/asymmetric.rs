//! Endpoints whose deliveries are signed with ed25519 (`v1a`): receivers hold a public key only.

use serde_json::{Value, json};
use shared::domain::secret::{PublicKey, SigningSecret};
use shared::domain::signature::{verify, verify_public};
use shared::sender::Outbound;

use crate::support::network::header;
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const SEED: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";

#[tokio::test]
async fn an_endpoint_that_asks_for_ed25519_shows_a_public_key_that_verifies_its_deliveries() {
    let (world, app) = World::with_application().await;
    let made = json!({"url": URL, "signatureScheme": "v1a"});
    let ep = world.endpoint_with(&app, made).await;
    let public = shown(&world, &app, &ep).await;
    assert!(public.starts_with("whpk_"), "{public}");
    let sent = deliver(&world, &app).await;
    let signatures = header(&sent, "webhook-signature");
    assert!(signatures.starts_with("v1a,") && !signatures.contains(' '), "{signatures}");
    assert_eq!(header(&sent, "svix-signature"), signatures);
    assert!(is_of(&PublicKey::parse(&public).unwrap(), &sent));
    let other = world.endpoint_with(&app, json!({"url": URL, "signatureScheme": "v1a"})).await;
    let other = PublicKey::parse(&shown(&world, &app, &other).await).unwrap();
    assert!(!is_of(&other, &sent), "every endpoint has a key of its own");
}

#[tokio::test]
async fn a_private_key_that_is_brought_along_signs_and_is_never_shown() {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "secret": SEED})).await;
    let own = SigningSecret::parse(SEED).unwrap();
    assert_eq!(shown(&world, &app, &ep).await, own.reveal());
    let sent = deliver(&world, &app).await;
    assert!(is_of(&PublicKey::parse(&own.reveal()).unwrap(), &sent));
    assert!(!world.on_disk(&SEED["whsk_".len()..][..40]));
}

#[tokio::test]
async fn a_rotation_keeps_the_scheme_and_signs_with_both_keys_for_a_day() {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "signatureScheme": "v1a"})).await;
    let old = PublicKey::parse(&shown(&world, &app, &ep).await).unwrap();
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret/rotate");
    let rotated = world.call("POST", &path, json!({})).await;
    let new = PublicKey::parse(&text(&rotated.body["key"])).unwrap();
    assert_ne!(old, new);
    let sent = deliver(&world, &app).await;
    assert!(is_of(&old, &sent) && is_of(&new, &sent));
    world.advance_s(86_401);
    let sent = deliver(&world, &app).await;
    assert!(!is_of(&old, &sent) && is_of(&new, &sent));
}

#[tokio::test]
async fn a_receiver_can_change_from_one_scheme_to_the_other_without_a_gap() {
    let (world, app, ep) = World::with_endpoint(URL).await;
    let old = SigningSecret::parse(&shown(&world, &app, &ep).await).unwrap();
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret/rotate");
    let rotated = world.call("POST", &path, json!({"signatureScheme": "v1a"})).await;
    let new = PublicKey::parse(&text(&rotated.body["key"])).unwrap();
    let sent = deliver(&world, &app).await;
    assert!(is_of(&new, &sent));
    let [id, timestamp, signatures] = parts(&sent);
    let now = world.ambient.now();
    assert_eq!(verify(&[old], id, timestamp, signatures, &sent.body, now), Ok(()));
}

#[tokio::test]
async fn schemes_and_keys_that_do_not_fit_are_refused_by_name() {
    let (world, app) = World::with_application().await;
    let endpoints = format!("/api/v1/app/{app}/endpoint");
    let key = format!("/api/v1/app/{app}/integration-key/rotate");
    let symmetric = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (path, body, field) in [
        (
            &endpoints,
            json!({"url": URL, "secret": SEED, "signatureScheme": "v1"}),
            "signatureScheme",
        ),
        (
            &endpoints,
            json!({"url": URL, "secret": symmetric, "signatureScheme": "v1a"}),
            "signatureScheme",
        ),
        (&endpoints, json!({"url": URL, "secret": "whsk_AAAA"}), "secret"),
        (&endpoints, json!({"url": URL, "signatureScheme": "v2"}), "signatureScheme"),
        (&key, json!({"key": SEED}), "key"),
    ] {
        let refused = world.call("POST", path, body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", field]), "{body}");
    }
}

async fn shown(world: &World, app: &str, ep: &str) -> String {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    text(&world.call("GET", &path, Value::Null).await.body["key"])
}

/// The first delivery of a new message.
async fn deliver(world: &World, app: &str) -> Outbound {
    let id = world.publish(app, json!({"amount": 1})).await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    sent.into_iter().rev().find(|sent| header(sent, "webhook-id") == id).expect("a delivery")
}

fn is_of(key: &PublicKey, sent: &Outbound) -> bool {
    let [id, timestamp, signatures] = parts(sent);
    verify_public(key, id, timestamp, signatures, &sent.body)
}

fn parts(sent: &Outbound) -> [&str; 3] {
    ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| header(sent, name))
}
