//! Bearer tokens: what opens, and everything that does not.

use proptest::prelude::*;
use rustls::crypto::ring::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384};
use rustls::crypto::tls13::OkmBlock;
use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::domain::id::{ApplicationId, OrganisationId};
use shared::domain::secret::RootSecret;
use shared::domain::token::{APPLICATION_TOKEN_S, Access, ORGANISATION_TOKEN_S, Tokens};

use crate::support::still::START;
use crate::support::world::{ROOT_SECRET, World, organisation, text};

const APP: &str = "app_0ujtsYcgvSTl8PAuAdqWYSMnLOv";

fn key() -> [u8; 32] {
    RootSecret::new(ROOT_SECRET).unwrap().token_key()
}

fn tokens() -> Tokens {
    Tokens::new(&key())
}

fn application() -> Access {
    Access::Application(organisation(), APP.parse().unwrap())
}

/// Base 64 as tokens have it: `-` and `_`, no padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let word = u32::from_be_bytes(word);
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(word >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// HMAC as the TLS library in the house computes it, so that it is not ours against ours.
fn hmac(algorithm: &str, key: &[u8], message: &str) -> Vec<u8> {
    let suite = match algorithm {
        "HS384" => TLS13_AES_256_GCM_SHA384,
        _ => TLS13_AES_128_GCM_SHA256,
    };
    let hkdf = suite.tls13().unwrap().hkdf_provider;
    hkdf.hmac_sign(&OkmBlock::new(key), message.as_bytes()).as_ref().to_vec()
}

/// A token with this header and these claims, signed with this key.
fn forge(header: &Value, claims: &Value, key: &[u8]) -> String {
    let signed = format!(
        "{}.{}",
        base64url(header.to_string().as_bytes()),
        base64url(claims.to_string().as_bytes())
    );
    let signature = hmac(header["alg"].as_str().unwrap_or_default(), key, &signed);
    format!("{signed}.{}", base64url(&signature))
}

/// Signed as ours are.
fn signed(claims: &Value) -> String {
    forge(&json!({"alg": "HS256", "typ": "JWT"}), claims, &key())
}

/// Claims of an organisation's token that is good at the beginning of every test.
fn claims() -> Value {
    let now = START.as_secs();
    json!({
        "iss": "someone", "sub": organisation().to_string(), "iat": now, "nbf": now, "exp": now + 60,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn open(token: &str) -> Option<Access> {
    tokens().open(token, START)
}

#[test]
fn base64_of_these_tests_is_that_of_the_standard() {
    let pairs = [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
    for (plain, encoded) in pairs {
        assert_eq!(base64url(plain.as_bytes()), encoded);
    }
    assert_eq!(base64url(&[0xFB, 0xEF, 0xFF]), "--__");
}

#[test]
fn an_organisation_token_opens_the_organisation() {
    let access = Access::Organisation(organisation());
    let token = tokens().issue(access, START, ORGANISATION_TOKEN_S);
    assert_eq!(open(&token), Some(access));
    assert_eq!(access.organisation(), organisation());
}

#[test]
fn an_application_token_opens_the_application_and_knows_its_organisation() {
    let token = tokens().issue(application(), START, APPLICATION_TOKEN_S);
    assert_eq!(open(&token), Some(application()));
    assert_eq!(application().organisation(), organisation());
}

#[test]
fn a_token_that_another_library_made_is_taken() {
    assert_eq!(open(&signed(&claims())), Some(Access::Organisation(organisation())));
    let confined = json!({
        "sub": APP, "org": organisation().to_string(), "exp": START.as_secs() + 1,
        "feature_flags": [], "aud": ["anybody"],
    });
    assert_eq!(open(&signed(&confined)), Some(application()));
}

#[tokio::test]
async fn a_token_in_force_that_is_of_nobody_is_bad_and_not_merely_invalid() {
    let world = World::new();
    let call = async |token: &str| {
        let reply = world.call_as(token, "GET", "/api/v1/app", Value::Null).await;
        (reply.status.as_u16(), text(&reply.body["code"]), text(&reply.body["detail"]))
    };
    for (claims, said) in [
        (without("sub"), "`sub` is missing"),
        (with("sub", json!("somebody")), "organisation"),
        (with("org", json!(organisation().to_string())), "application"),
        (json!({"sub": APP, "org": "x", "exp": START.as_secs() + 60}), "organisation"),
    ] {
        let (status, code, detail) = call(&signed(&claims)).await;
        assert_eq!((status, code.as_str()), (400, "bad_token"), "{claims}");
        assert!(detail.contains(said), "{detail}");
        // Whoever cannot sign learns nothing of that.
        let forged = forge(&json!({"alg": "HS256"}), &claims, &[7; 32]);
        assert_eq!(
            call(&forged).await,
            (401, "authentication_failed".into(), "Invalid token".into())
        );
    }
    let (status, code, detail) = call(ROOT_SECRET).await;
    assert_eq!((status, code.as_str()), (401, "authentication_failed"));
    assert!(detail.contains("secret") && !detail.contains(ROOT_SECRET), "{detail}");
}

#[test]
fn a_token_ends_at_its_second() {
    let token = tokens().issue(application(), START, 60);
    let at = |ms: u64| tokens().open(&token, START.plus_ms(ms));
    assert_eq!(at(59_999), Some(application()));
    assert_eq!(at(60_000), None);
    assert_eq!(at(u64::MAX), None);
}

#[test]
fn a_token_of_the_future_is_refused_but_for_a_minute_of_leeway() {
    let token = tokens().issue(application(), START, 3600);
    assert_eq!(tokens().open(&token, START.minus_ms(60_000)), Some(application()));
    assert_eq!(tokens().open(&token, START.minus_ms(61_000)), None);
    let now = START.as_secs();
    assert_eq!(open(&signed(&with("nbf", json!(now + 61)))), None);
    assert_eq!(open(&signed(&with("iat", json!(now + 61)))), None);
    assert!(open(&signed(&with("nbf", json!(now + 60)))).is_some());
}

#[test]
fn a_token_under_another_key_is_refused() {
    let other = Tokens::new(&[7; 32]).issue(application(), START, 60);
    assert_eq!(open(&other), None);
    // The root secret itself is not the key.
    let root = forge(&json!({"alg": "HS256"}), &claims(), ROOT_SECRET.as_bytes());
    assert_eq!(open(&root), None);
    assert_eq!(open(&forge(&json!({"alg": "HS256"}), &claims(), b"")), None);
}

#[test]
fn a_token_whose_text_was_changed_is_refused() {
    let token = tokens().issue(application(), START, 60);
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(open(&changed), None, "{changed}");
    }
    for at in 0..token.len() {
        assert_eq!(open(&token[..at]), None);
    }
}

#[test]
fn claims_cannot_be_exchanged_under_a_signature() {
    let own = tokens().issue(application(), START, 60);
    let [header, _, signature] = own.split('.').collect::<Vec<_>>()[..] else { panic!("{own}") };
    let mut wider = claims();
    wider["exp"] = json!(START.as_secs() + 60);
    let forged = format!("{header}.{}.{signature}", base64url(wider.to_string().as_bytes()));
    assert_eq!(open(&forged), None);
}

#[test]
fn an_unsigned_token_is_refused_however_it_spells_that() {
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = base64url(json!({"alg": alg, "typ": "JWT"}).to_string().as_bytes());
        let body = base64url(claims().to_string().as_bytes());
        let signature = base64url(&hmac("HS256", &key(), &format!("{header}.{body}")));
        for token in [
            format!("{header}.{body}."),
            format!("{header}.{body}"),
            format!("{header}.{body}.{signature}"),
        ] {
            assert_eq!(open(&token), None, "{alg}: {token}");
        }
    }
}

#[test]
fn any_algorithm_but_hs256_is_refused_even_with_the_right_key() {
    let others = [
        "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384", "PS512",
        "EdDSA", "hs256", "HS256 ", "SHA256",
    ];
    for alg in others {
        let token = forge(&json!({"alg": alg, "typ": "JWT"}), &claims(), &key());
        assert_eq!(open(&token), None, "{alg}");
    }
    for header in [json!({}), json!({"typ": "JWT"}), json!({"alg": 256}), json!({"alg": null})] {
        assert_eq!(open(&forge(&header, &claims(), &key())), None, "{header}");
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let header = json!({
        "alg": "HS256", "kid": "../../dev/null", "jku": "https://example.com/keys",
        "jwk": {"kty": "oct", "k": base64url(&[7; 32])},
    });
    assert_eq!(open(&forge(&header, &claims(), &[7; 32])), None);
    assert!(open(&forge(&header, &claims(), &key())).is_some());
}

#[test]
fn a_token_without_end_or_subject_is_refused() {
    assert_eq!(open(&signed(&without("exp"))), None);
    assert_eq!(open(&signed(&without("sub"))), None);
    for exp in [json!(null), json!("9999999999"), json!(-1), json!(1.5e300), json!([]), json!(0)] {
        assert_eq!(open(&signed(&with("exp", exp.clone()))), None, "{exp}");
    }
    for claim in ["iss", "iat", "nbf"] {
        assert!(open(&signed(&without(claim))).is_some(), "{claim}");
    }
}

#[test]
fn a_subject_of_the_wrong_kind_opens_nothing() {
    // An application without its organisation is not an organisation.
    assert_eq!(open(&signed(&with("sub", json!(APP)))), None);
    for sub in [json!(""), json!("org_"), json!(7), json!(null), json!("customer-1")] {
        assert_eq!(open(&signed(&with("sub", sub.clone()))), None, "{sub}");
    }
    // Nor is an organisation that names an organisation an application.
    assert_eq!(open(&signed(&with("org", json!(organisation().to_string())))), None);
    for org in ["", APP, "org_x"] {
        let mut confined = with("org", json!(org));
        confined["sub"] = json!(APP);
        assert_eq!(open(&signed(&confined)), None, "{org}");
    }
}

#[test]
fn garbage_is_refused() {
    let good = tokens().issue(application(), START, 60);
    let hidden = format!("{good}\0");
    let spaced = format!(" {good}");
    let padded = format!("{good}=");
    let longer = format!("{good}.AAAA");
    let huge = "A".repeat(1_000_000);
    for text in
        ["", ".", "..", "...", "a.b.c", "é.é.é", "null", &hidden, &spaced, &padded, &longer, &huge]
    {
        assert_eq!(open(text), None);
    }
    // The header and the claims are base 64, but not JSON.
    let body = format!("{}.{}", base64url(b"{"), base64url(b"\xFF"));
    assert_eq!(open(&format!("{body}.{}", base64url(&hmac("HS256", &key(), &body)))), None);
}

proptest! {
    #[test]
    fn no_text_opens_anything_or_panics(text in ".{0,80}", at: u64) {
        prop_assert_eq!(tokens().open(&text, Timestamp(at)), None);
    }

    #[test]
    fn no_header_and_claims_panic_even_when_they_are_signed(
        header in "[ -~]{0,40}",
        claims in "[ -~]{0,60}",
    ) {
        let body = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let signature = base64url(&hmac("HS256", &key(), &body));
        prop_assert_eq!(open(&format!("{body}.{signature}")), None);
    }

    #[test]
    fn no_numbers_in_the_claims_overflow(iat: u64, nbf: u64, exp: u64, now: u64) {
        let token = signed(&json!({
            "sub": organisation().to_string(), "iat": iat, "nbf": nbf, "exp": exp,
        }));
        let now_s = now / 1000;
        let good = exp > now_s && iat.max(nbf) <= now_s + 60;
        prop_assert_eq!(tokens().open(&token, Timestamp(now)).is_some(), good);
    }

    #[test]
    fn every_token_opens_exactly_what_it_was_made_for(org: [u8; 15], app: [u8; 15], confined: bool) {
        use shared::domain::id::Ksuid;
        let org = OrganisationId::from_ksuid(Ksuid::from_parts(START, org));
        let app = ApplicationId::from_ksuid(Ksuid::from_parts(START, app));
        let access =
            if confined { Access::Application(org, app) } else { Access::Organisation(org) };
        prop_assert_eq!(open(&tokens().issue(access, START, 1)), Some(access));
    }
}

#[tokio::test]
async fn a_token_that_has_published_expires_all_the_same() {
    let (world, app) = World::with_application().await;
    let token = world.tokens.issue(Access::Organisation(organisation()), world.ambient.now(), 30);
    let publish = async || {
        let body = json!({"eventType": "a.b", "payload": {}});
        world.call_as(&token, "POST", &format!("/api/v1/app/{app}/msg"), body).await.status
    };
    for (seconds, expected) in [(0, 202), (29, 202), (1, 401)] {
        world.advance_s(seconds);
        assert_eq!(publish().await, expected, "{seconds} s later");
    }
}
