//! Key sets: what is published, what signs, and when a key comes and goes.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::domain::id::OrganisationId;
use shared::domain::keyset::{
    Algorithm, CACHE_S, DEFAULT_LEAD_S, DEFAULT_OVERLAP_S, MAX_KEYS, PrivateKey,
};

use crate::support::keys::rsa_pem;
use crate::support::world::{Reply, World, organisation, text};

const KEYS: &str = "/api/v1/operator/jwt-key";
const ROTATE: &str = "/api/v1/operator/jwt-key/rotate";
const JWKS: &str = "/.well-known/jwks.json";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Claims {
    jti: String,
}

async fn rotate(world: &World, body: Value) -> Reply {
    let reply = world.call("POST", ROTATE, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply
}

async fn published(world: &World) -> JwkSet {
    // As long as a process may keep a key set.
    world.advance_s(61);
    let reply = world.call_as("no token", "GET", JWKS, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.bytes).unwrap()
}

async fn sign(world: &World, algorithm: Algorithm, jti: &str) -> String {
    let set = world.admin.key_sets.current(&organisation()).await.unwrap();
    let key = set.signing(algorithm, world.ambient.now()).expect("a key");
    let claims = Claims { jti: jti.to_owned() };
    key.sign(&organisation(), &world.admin.sealer, Some("secevent+jwt"), &claims).expect("a token")
}

/// Verifies as a receiver does: by the key set alone.
fn verify(token: &str, set: &JwkSet) -> Option<Claims> {
    let header = decode_header(token).unwrap();
    let jwk = set.find(header.kid.as_deref().unwrap())?;
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    decode::<Claims>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation)
        .ok()
        .map(|data| data.claims)
}

#[tokio::test]
async fn a_token_of_each_algorithm_verifies_by_the_published_set_alone() {
    let world = World::new();
    for algorithm in Algorithm::ALL {
        rotate(&world, json!({"algorithm": algorithm})).await;
        let token = sign(&world, algorithm, "one").await;
        let set = published(&world).await;
        assert_eq!(verify(&token, &set), Some(Claims { jti: "one".into() }), "{algorithm:?}");
        assert_eq!(decode_header(&token).unwrap().typ.as_deref(), Some("secevent+jwt"));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = sign(&world, algorithm, "two").await;
        let forged = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
        assert_ne!(signed, forged.rsplit_once('.').unwrap().0);
        assert_eq!(verify(&forged, &set), None, "{algorithm:?}");
    }
}

#[tokio::test]
async fn the_first_key_signs_at_once_and_its_successor_after_the_lead() {
    let world = World::new();
    let first = text(&rotate(&world, json!({})).await.body["kid"]);
    let second = rotate(&world, json!({})).await;
    assert_eq!(second.body["status"], "next");
    let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
    assert_eq!(kid(&sign(&world, Algorithm::RS256, "a").await), first);
    assert_eq!(published(&world).await.keys.len(), 2, "receivers know it before it signs");
    world.advance_s(DEFAULT_LEAD_S - 62);
    assert_eq!(kid(&sign(&world, Algorithm::RS256, "a").await), first);
    world.advance_s(1);
    assert_eq!(kid(&sign(&world, Algorithm::RS256, "a").await), text(&second.body["kid"]));
}

#[tokio::test]
async fn a_receiver_that_keeps_the_set_as_long_as_it_may_knows_a_key_before_it_signs() {
    let world = World::new();
    rotate(&world, json!({})).await;
    // Another process has read the set just before the next key is added.
    let mut other = world.admin.clone();
    other.key_sets = world.parts.key_sets.clone();
    let jwks = async || {
        let request = http::Request::get(JWKS).body(bytes::Bytes::new()).unwrap();
        other.handle(request).await.into_body()
    };
    jwks().await;
    rotate(&world, json!({})).await;
    world.advance_s(59);
    let kept: JwkSet = serde_json::from_slice(&jwks().await).unwrap();
    assert_eq!(kept.keys.len(), 1, "not known yet");
    world.advance_s(CACHE_S);
    let token = sign(&world, Algorithm::RS256, "a").await;
    assert!(verify(&token, &kept).is_some());
}

#[tokio::test]
async fn a_key_that_was_overtaken_never_signs() {
    let world = World::new();
    let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
    rotate(&world, json!({})).await;
    let older = text(&rotate(&world, json!({"leadSeconds": 3_600})).await.body["kid"]);
    let newer = text(&rotate(&world, json!({"leadSeconds": 400})).await.body["kid"]);
    let listed = world.call("GET", KEYS, Value::Null).await.body;
    let status = |kid: &str| {
        let keys = listed["data"].as_array().unwrap();
        text(&keys.iter().find(|key| key["kid"] == kid).unwrap()["status"])
    };
    assert_eq!((status(&older).as_str(), status(&newer).as_str()), ("retired", "next"));
    for seconds in [400, 3_200, 86_400, 86_400] {
        world.advance_s(seconds);
        assert_eq!(kid(&sign(&world, Algorithm::RS256, "a").await), newer);
    }
}

#[tokio::test]
async fn a_key_stays_published_for_the_overlap_and_then_goes() {
    let world = World::new();
    rotate(&world, json!({})).await;
    let old = sign(&world, Algorithm::RS256, "old").await;
    rotate(&world, json!({"leadSeconds": 0})).await;
    let new = sign(&world, Algorithm::RS256, "new").await;
    world.advance_s(DEFAULT_OVERLAP_S - 62);
    let set = published(&world).await;
    assert!(verify(&old, &set).is_some() && verify(&new, &set).is_some(), "both kids verify");
    let set = published(&world).await;
    assert!(verify(&old, &set).is_none(), "it is gone");
    assert!(verify(&new, &set).is_some());
}

#[tokio::test]
async fn a_key_of_the_operator_is_taken_once() {
    let world = World::new();
    let added = rotate(&world, json!({"key": rsa_pem()})).await;
    assert_eq!(added.body["public"]["kty"], "RSA");
    assert_eq!(added.body["public"]["kid"], added.body["kid"]);
    let again = world.call("POST", ROTATE, json!({"key": rsa_pem()})).await;
    assert_eq!(again.status, 409, "{again:?}");
}

#[tokio::test]
async fn what_is_no_such_key_is_refused_without_repeating_it() {
    let world = World::new();
    let secret = "c2VjcmV0IG1hdGVyaWFsIHRoYXQgaXMgbm8ga2V5";
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n");
    for body in [
        json!({"key": "nothing"}),
        json!({"key": pem}),
        json!({"key": pem.repeat(200)}),
        json!({"algorithm": "ES256", "key": rsa_pem()}),
        json!({"algorithm": "HS256"}),
        json!({"leadSeconds": 604_801}),
        json!({"overlapSeconds": -1}),
    ] {
        let reply = world.call("POST", ROTATE, body).await;
        assert_eq!(reply.status, 422, "{reply:?}");
        assert!(!reply.body.to_string().contains(secret));
    }
    assert!(published(&world).await.keys.is_empty());
}

#[tokio::test]
async fn at_most_ten_keys_of_an_algorithm_are_published() {
    let world = World::new();
    for _ in 0..MAX_KEYS {
        rotate(&world, json!({"algorithm": "EdDSA", "leadSeconds": 0})).await;
    }
    let reply = world.call("POST", ROTATE, json!({"algorithm": "EdDSA"})).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!("limit_reached")));
    rotate(&world, json!({"algorithm": "ES256"})).await;
}

#[tokio::test]
async fn private_keys_show_nowhere() {
    let world = World::new();
    rotate(&world, json!({"key": rsa_pem()})).await;
    // The private exponent and the primes come after the modulus: any stretch of the last half.
    let stretch = &rsa_pem()[1200..1240];
    let item = world.table.get(&shared::store::keys::key_set(&organisation())).await.unwrap();
    assert!(!item.unwrap().doc.contains(stretch));
    let listed = world.call("GET", KEYS, Value::Null).await;
    for private in ["\"d\"", "\"p\"", "\"q\"", "private"] {
        assert!(!listed.body.to_string().contains(private), "{private}");
    }
    let set = published(&world).await;
    assert!(!serde_json::to_string(&set).unwrap().contains("\"d\""));
}

#[tokio::test]
async fn a_private_key_does_not_open_for_another_organisation() {
    let world = World::new();
    rotate(&world, json!({})).await;
    let set = world.admin.key_sets.current(&organisation()).await.unwrap();
    let key = set.signing(Algorithm::RS256, world.ambient.now()).unwrap();
    let stranger = OrganisationId::new(&world.ambient);
    let claims = Claims { jti: "x".into() };
    assert!(key.sign(&stranger, &world.admin.sealer, None, &claims).is_none());
}

#[tokio::test]
async fn every_organisation_has_a_set_of_its_own() {
    let world = World::new();
    let other = OrganisationId::new(&world.ambient);
    let token = world.token_of(other);
    let body = json!({"algorithm": "EdDSA"});
    assert_eq!(world.call_as(&token, "POST", ROTATE, body).await.status, 201);
    assert!(published(&world).await.keys.is_empty());
    let path = format!("/.well-known/{other}/jwks.json");
    let reply = world.call("GET", &path, Value::Null).await;
    assert_eq!(reply.body["keys"].as_array().map(Vec::len), Some(1), "{reply:?}");
    assert_eq!(world.call("GET", "/.well-known/org_x/jwks.json", Value::Null).await.status, 404);
}

#[tokio::test]
async fn an_application_has_no_business_with_keys() {
    let (world, app) = World::with_application().await;
    let token = world.app_token(&app);
    assert_eq!(world.call_as(&token, "GET", KEYS, Value::Null).await.status, 403);
    assert_eq!(world.call_as(&token, "POST", ROTATE, json!({})).await.status, 403);
}

#[test]
fn a_generated_rsa_key_is_one() {
    let pkcs8 = admin::generate_rsa().unwrap();
    assert!(PrivateKey::from_pkcs8(Algorithm::RS256, &pkcs8).is_ok());
}
