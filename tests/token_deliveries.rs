//! Deliveries as security event tokens: what a receiver gets, and that it can check it with
//! nothing but the published key set.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use shared::domain::profile::envelope::uuid_of;
use shared::sender::Outbound;

use crate::support::network::answer;
use crate::support::world::{World, organisation, text};

const URL: &str = "http://127.0.0.1:9/hook";
const ISSUER: &str = "https://identity.moneyhub.co.uk";
const CLIENT: &str = "client-of-the-aggregator";
const USER: &str = "5c82b2c3e4b0a1f2d3c4b5a6";

/// An application of the profile `moneyhub` with one endpoint; their ids.
async fn moneyhub(world: &World, endpoint: Value) -> (String, String) {
    let said = json!({"name": "Client", "uid": CLIENT, "profile": "moneyhub"});
    let app = text(&world.call("POST", "/api/v1/app", said).await.body["id"]);
    let mut said = json!({"url": URL});
    said.as_object_mut().unwrap().extend(endpoint.as_object().unwrap().clone());
    let ep = world.endpoint_with(&app, said).await;
    (app, ep)
}

async fn publish(world: &World, app: &str) -> String {
    let body = json!({
        "eventType": "paymentCompleted", "subject": USER,
        "payload": {"paymentId": "p", "status": "completed"},
    });
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    text(&reply.body["id"])
}

async fn jwks(world: &World) -> JwkSet {
    let reply = world.call_as("no token", "GET", "/.well-known/jwks.json", Value::Null).await;
    serde_json::from_slice(&reply.bytes).unwrap()
}

fn header<'a>(sent: &'a Outbound, name: &str) -> &'a str {
    &sent.headers.iter().find(|(known, _)| known == name).expect("the header").1
}

/// The claims, if the token is good for this audience.
fn verify(sent: &Outbound, set: &JwkSet, audience: &str) -> Result<Value, String> {
    let token = std::str::from_utf8(&sent.body).unwrap();
    let header = decode_header(token).map_err(|error| error.to_string())?;
    let jwk = set.find(header.kid.as_deref().unwrap()).ok_or("no such kid")?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "aud"]);
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(jwk).unwrap();
    decode::<Value>(token, &key, &validation)
        .map(|data| data.claims)
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_token_has_the_claims_of_the_system() {
    let world = World::new();
    let (app, _) = moneyhub(&world, json!({"format": "jwt"})).await;
    let msg = publish(&world, &app).await;
    world.dispatch_all().await;
    let sent = &world.network.sent_to(URL)[0];
    assert_eq!(header(sent, "content-type"), "application/jwt");
    let claims = verify(sent, &jwks(&world).await, CLIENT).unwrap();
    let uuid = uuid_of(&msg.parse().unwrap());
    assert_eq!(
        claims,
        json!({
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": USER,
            "jti": uuid,
            "iat": world.ambient.now().as_secs(),
            "events": {
                "urn:com:moneyhub:events:payment-completed":
                    {"paymentId": "p", "status": "completed"},
            },
        })
    );
    let header = decode_header(&sent.body[..]).unwrap();
    assert_eq!((header.alg, header.typ), (Algorithm::RS256, None));
}

#[tokio::test]
async fn a_token_for_another_client_or_with_a_changed_byte_does_not_verify() {
    let world = World::new();
    let (app, _) = moneyhub(&world, json!({"format": "jwt"})).await;
    publish(&world, &app).await;
    world.dispatch_all().await;
    let mut sent = world.network.sent_to(URL)[0].clone();
    let set = jwks(&world).await;
    assert!(verify(&sent, &set, "somebody else").is_err());
    let mut body = sent.body.to_vec();
    let middle = body.len() / 2;
    body[middle] = if body[middle] == b'A' { b'B' } else { b'A' };
    sent.body = body.into();
    assert!(verify(&sent, &set, CLIENT).is_err());
}

#[tokio::test]
async fn the_format_is_that_of_the_moment_of_sending() {
    let world = World::new();
    let (app, ep) = moneyhub(&world, json!({})).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let msg = publish(&world, &app).await;
    world.network.next(URL, answer(500));
    world.dispatch_all().await;
    assert_eq!(world.call("PATCH", &path, json!({"format": "jwt"})).await.status, 200);
    let resend = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
    assert_eq!(world.call("POST", &resend, json!({})).await.status, 202);
    world.dispatch_all().await;
    assert_eq!(world.call("PATCH", &path, json!({"format": "json"})).await.status, 200);
    world.call("POST", &resend, json!({})).await;
    world.dispatch_all().await;
    let sent = world.network.sent_to(URL);
    let types: Vec<&str> = sent.iter().map(|sent| header(sent, "content-type")).collect();
    assert_eq!(types, ["application/json", "application/jwt", "application/json"]);
    let claims = verify(&sent[1], &jwks(&world).await, CLIENT).unwrap();
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(claims["jti"], body["id"], "the same event in either format");
    assert_eq!(claims["sub"], body["userId"]);
    assert_eq!(claims["events"]["urn:com:moneyhub:events:payment-completed"], body["payload"]);
    assert_eq!(sent[0].body, sent[2].body);
}

#[tokio::test]
async fn deliveries_from_before_and_after_a_rotation_verify() {
    let world = World::new();
    let (app, _) = moneyhub(&world, json!({"format": "jwt"})).await;
    publish(&world, &app).await;
    world.dispatch_all().await;
    let rotate = json!({"leadSeconds": 120});
    let rotated = world.call("POST", "/api/v1/operator/jwt-key/rotate", rotate).await;
    assert_eq!(rotated.status, 201);
    world.advance_s(121);
    publish(&world, &app).await;
    world.dispatch_all().await;
    let (sent, set) = (world.network.sent_to(URL), jwks(&world).await);
    let kid = |sent: &Outbound| decode_header(&sent.body[..]).unwrap().kid.unwrap();
    assert_ne!(kid(&sent[0]), kid(&sent[1]));
    assert_eq!(kid(&sent[1]), text(&rotated.body["kid"]));
    for sent in &sent {
        assert!(verify(sent, &set, CLIENT).is_ok());
    }
}

/// Sends an event to a new endpoint that chose this algorithm; the URL.
async fn sent_by(world: &World, app: &str, algorithm: &str) -> String {
    let url = format!("{URL}/{algorithm}");
    let said = json!({
        "url": url, "profile": "moneyhub", "format": "jwt", "jwtAlgorithm": algorithm,
    });
    world.endpoint_with(app, said).await;
    publish(world, app).await;
    world.dispatch_all().await;
    url
}

#[tokio::test]
async fn an_endpoint_may_choose_another_algorithm() {
    let world = World::new();
    for (algorithm, expected) in [("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA)] {
        let app = world.application().await;
        let url = sent_by(&world, &app, algorithm).await;
        world.advance_s(61);
        let sent = &world.network.sent_to(&url)[0];
        assert_eq!(decode_header(&sent.body[..]).unwrap().alg, expected);
        assert!(verify(sent, &jwks(&world).await, &app).is_ok(), "{algorithm}");
    }
}

#[tokio::test]
async fn the_first_key_of_an_algorithm_is_there_at_once_for_sender_and_receiver() {
    let world = World::new();
    for algorithm in ["RS256", "ES256"] {
        // What both keep is older than the key.
        world.parts.key_sets.recent(&organisation()).await.unwrap();
        jwks(&world).await;
        let app = world.application().await;
        let url = sent_by(&world, &app, algorithm).await;
        let sent = &world.network.sent_to(&url)[0];
        if algorithm == "RS256" {
            assert!(verify(sent, &jwks(&world).await, &app).is_ok());
        }
    }
}

#[tokio::test]
async fn without_a_key_the_attempt_fails_and_says_what_to_do() {
    let world = World::new();
    let (app, _) = moneyhub(&world, json!({"format": "jwt"})).await;
    let set = shared::store::keys::key_set(&organisation());
    let gone = shared::store::table::Write::Delete(set, shared::store::table::Condition::Always);
    world.table.write(gone).await.unwrap();
    let msg = publish(&world, &app).await;
    world.dispatch_all().await;
    assert!(world.network.sent_to(URL).is_empty());
    let attempt = &world.attempts(&app, &msg).await[0];
    assert_eq!(attempt["responseStatusCode"], 0);
    assert!(text(&attempt["response"]).contains("/api/v1/operator/jwt-key/rotate"));
    let path = format!("/api/v1/app/{app}/msg/{msg}/explain");
    let told = world.call("GET", &path, Value::Null).await;
    assert_eq!(told.body["endpoints"][0]["lastAttempt"]["failure"]["kind"], "no_key");
}
