//! Webhooks of other systems: believed when they are proved, and published.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::domain::clock::Timestamp;
use shared::domain::keyset::{Algorithm, KeySet, PrivateKey};
use shared::domain::metrics::Metric;
use shared::domain::secret::{RootSecret, SigningSecret};
use shared::domain::signature;
use shared::domain::source::{Encoding, Kind, Refusal, Scheme, Source, hmac_text, verify};
use shared::sender::Outbound;
use shared::store::Sources;

use crate::support::captured::Captured;
use crate::support::interleaved::Interleaved;
use crate::support::still::{self, StillClock};
use crate::support::world::{ROOT_SECRET, Reply, World, organisation, text};

mod changes;

const URL: &str = "http://127.0.0.1:9/hook";
const SOURCES: &str = "/ingest/api/v1/source";

/// A signed request and what it is signed with.
#[derive(Clone, Debug)]
struct Vector {
    kind: Kind,
    secret: &'static str,
    at_s: u64,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
}

fn vectors() -> Vec<Vector> {
    vec![
        // docs.github.com, "Validating webhook deliveries", the test values.
        Vector {
            kind: Kind::Github,
            secret: "It's a Secret to Everybody",
            at_s: 0,
            headers: vec![(
                "x-hub-signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            )],
            body: "Hello, World!",
        },
        // docs.svix.com, "Verifying webhooks with the Svix libraries", the example request.
        Vector {
            kind: Kind::Svix,
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            at_s: 1_614_265_330,
            headers: vec![
                ("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("svix-timestamp", "1614265330"),
                ("svix-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ],
            body: r#"{"test": 2432232314}"#,
        },
        // The same under the names of Standard Webhooks, whose libraries have it in their tests.
        Vector {
            kind: Kind::Svix,
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            at_s: 1_614_265_330,
            headers: vec![
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ],
            body: r#"{"test": 2432232314}"#,
        },
        // Stripe documents none: made with its Python library 16.1.0, `WebhookSignature`.
        Vector {
            kind: Kind::Stripe,
            secret: "whsec_test_secret",
            at_s: 1_614_265_330,
            headers: vec![(
                "stripe-signature",
                "t=1614265330,\
                 v1=0ea930768d1c5c7a7bdcb2ef97873516bb4cb0eb6d61a5f5915f4d0af759680d",
            )],
            body: r#"{"id":"evt_1","object":"event","type":"charge.succeeded"}"#,
        },
        // Shopify documents none: base64 of HMAC-SHA256 over the body, as its documentation
        // tells to make it, with Python's `hmac`.
        Vector {
            kind: Kind::Shopify,
            secret: "hush",
            at_s: 0,
            headers: vec![(
                "x-shopify-hmac-sha256",
                "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I=",
            )],
            body: r#"{"id":820982911946154508}"#,
        },
        // docs.slack.dev, "Verifying requests from Slack", the worked example.
        Vector {
            kind: Kind::Slack,
            secret: "8f742231b10e8888abcd99yyyzzz85a5",
            at_s: 1_531_420_618,
            headers: vec![
                ("x-slack-request-timestamp", "1531420618"),
                (
                    "x-slack-signature",
                    "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
                ),
            ],
            body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&\
                channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&\
                command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com\
                %2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
                trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        },
    ]
}

impl Vector {
    fn check(&self) -> Result<Bytes, Refusal> {
        let pairs: Vec<(String, Vec<u8>)> = self
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        self.check_with(&pairs, self.body.as_bytes(), self.at_s)
    }

    fn check_with(
        &self,
        pairs: &[(String, Vec<u8>)],
        body: &[u8],
        at_s: u64,
    ) -> Result<Bytes, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert(name.parse::<HeaderName>().expect("a name"), value);
            }
        }
        let scheme = self.kind.scheme().expect("a known system");
        let body = Bytes::copy_from_slice(body);
        verify(&scheme, Some(self.secret.as_bytes()), &headers, &body, Timestamp(at_s * 1000))
    }
}

#[test]
fn what_the_systems_document_is_believed() {
    for vector in vectors() {
        assert_eq!(vector.check().as_deref(), Ok(vector.body.as_bytes()), "{vector:?}");
    }
}

#[test]
fn a_signed_request_of_another_time_is_refused() {
    for vector in vectors().into_iter().filter(|vector| vector.at_s > 0) {
        let pairs: Vec<_> = vector
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        for at_s in [vector.at_s - 301, vector.at_s + 301] {
            let checked = vector.check_with(&pairs, vector.body.as_bytes(), at_s);
            assert_eq!(checked, Err(Refusal::Tolerance), "{vector:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_request_with_one_byte_changed_is_refused(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        let vectors = vectors();
        let vector = &vectors[which.index(vectors.len())];
        let mut parts: Vec<Vec<u8>> =
            vector.headers.iter().map(|(_, value)| value.as_bytes().to_vec()).collect();
        parts.push(vector.body.as_bytes().to_vec());
        let mut at = place.index(parts.iter().map(Vec::len).sum());
        for part in &mut parts {
            if at < part.len() {
                // A digit of a signature in hexadecimal is the same as a capital.
                let is_hex = matches!(vector.kind, Kind::Github | Kind::Stripe | Kind::Slack);
                let is_digit = part[at].is_ascii_hexdigit() && part[at].is_ascii_alphabetic();
                prop_assume!(!(is_hex && is_digit && flip == 0x20));
                part[at] ^= flip;
                break;
            }
            at -= part.len();
        }
        let body = parts.pop().unwrap_or_default();
        let names = vector.headers.iter().map(|(name, _)| (*name).to_owned());
        let pairs: Vec<(String, Vec<u8>)> = names.zip(parts).collect();
        prop_assert!(vector.check_with(&pairs, &body, vector.at_s).is_err());
    }
}

#[tokio::test]
async fn a_proved_webhook_is_published_with_its_type_and_exact_bytes() {
    let (world, app, _) = World::with_endpoint("https://customer.example/hook").await;
    let source = source(&world, &app, "github", "It's a secret").await;
    let body = "{\"action\": \"opened\",  \"n\": 1}";
    let signature = hex_hmac("It's a secret", body);
    let headers = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-event", "pull_request"),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
    ];
    let taken = post(&world, &source, &headers, body).await;
    assert_eq!(taken.status, 202, "{taken:?}");
    assert_eq!(taken.body["eventType"], "pull_request");
    let again = post(&world, &source, &headers, body).await;
    assert_eq!((again.status, &again.body["id"]), (taken.status, &taken.body["id"]));
    world.dispatch_all().await;
    let attempts = world.attempts(&app, &text(&taken.body["id"])).await;
    assert_eq!(attempts.len(), 1);
    let sent = world.network.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].body, body);
}

#[tokio::test]
async fn what_is_not_proved_is_refused_and_never_enqueued() {
    let (world, app) = World::with_application().await;
    for (kind, header) in [
        ("github", "x-hub-signature-256"),
        ("shopify", "x-shopify-hmac-sha256"),
        ("stripe", "stripe-signature"),
        ("slack", "x-slack-signature"),
    ] {
        let source = source(&world, &app, kind, "right").await;
        for headers in [&[][..], &[(header, "wrong")][..]] {
            let refused = post(&world, &source, headers, "{}").await;
            assert_eq!(refused.status, 401, "{kind}: {refused:?}");
        }
    }
    assert_eq!(world.dispatch().await, 0);
    let listed = world.call("GET", &format!("/api/v1/app/{app}/msg"), Value::Null).await;
    assert_eq!(listed.body["data"], json!([]));
}

#[tokio::test]
async fn a_generic_source_takes_what_it_is_told_to() {
    let (world, app) = World::with_application().await;
    let verified = |scheme: Value, secret: &str| {
        json!({"name": "x", "type": "generic-webhook", "app": app, "verification": scheme,
            "config": {"secret": secret}, "eventType": {"pointer": "/kind"},
            "eventId": {"header": "x-id"}})
    };
    let cases = [
        (verified(json!({"scheme": "bearer"}), "t0ken"), "authorization", "Bearer t0ken"),
        (verified(json!({"scheme": "basic"}), "a:b"), "authorization", "Basic YTpi"),
    ];
    for (body, header, value) in cases {
        let made = world.call("POST", SOURCES, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let source = text(&made.body["id"]);
        let event = "{\"kind\":\"a/b\"}";
        assert_eq!(post(&world, &source, &[(header, "Bearer no")], event).await.status, 401);
        let taken = post(&world, &source, &[(header, value), ("x-id", "7")], event).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        assert_eq!(taken.body["eventType"], "a.b");
        assert_eq!(taken.body["eventId"], format!("{source}.7"));
        let array = post(&world, &source, &[(header, value)], "[]").await;
        assert_eq!(array.status, 422);
    }
}

#[tokio::test]
async fn a_type_without_a_letter_of_a_name_is_the_one_of_a_source_that_does_not_say() {
    let (world, app) = World::with_application().await;
    let source = open_source(&world, &app, json!({})).await;
    for (said, kept) in [("注文/7", "...7"), ("注文", ""), ("..", ""), (" , ", ""), ("", "")] {
        let event = json!({"type": said}).to_string();
        let taken = post(&world, &source, &[], &event).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        let kept = if kept.is_empty() { "generic-webhook.received" } else { kept };
        assert_eq!(taken.body["eventType"], kept, "{said:?}");
    }
}

#[tokio::test]
async fn a_signature_that_leaves_the_body_or_the_time_out_is_no_verification() {
    let (world, app) = World::with_application().await;
    let cases = [
        (json!("{timestamp}"), json!("x-time"), "content"),
        (json!("{timestamp}.{body}"), Value::Null, "timestampHeader"),
        (json!("{body}"), json!("x-time"), "timestampHeader"),
        (json!("{body}{body}"), Value::Null, "content"),
        (json!(format!("{{body}}{}", "x".repeat(251))), Value::Null, "content"),
        (json!("{timestamp}.{body}"), json!("x time"), "timestampHeader"),
    ];
    for (content, header, field) in cases {
        let hmac = json!({"scheme": "hmac", "header": "x-sign", "encoding": "hex",
            "content": content, "timestampHeader": header});
        let body = json!({"name": "x", "type": "generic-webhook", "app": app,
            "verification": hmac, "config": {"secret": "s"}});
        let refused = world.call("POST", SOURCES, body).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "verification", field]));
    }
}

#[tokio::test]
async fn a_signature_holds_in_either_case_with_or_without_padding_and_a_time_in_milliseconds() {
    let (world, app) = World::with_application().await;
    let (now, body) = (world.ambient.now(), r#"{"type":"t"}"#);
    let (seconds, millis) = (now.as_secs().to_string(), now.0.to_string());
    let made = async |encoding: &str| {
        let hmac = json!({"scheme": "hmac", "header": "x-sign", "encoding": encoding,
            "prefix": "v1=", "content": "{timestamp}.{body}", "timestampHeader": "x-time"});
        let body = json!({"name": "x", "type": "generic-webhook", "app": app,
            "verification": hmac, "config": {"secret": "s"}});
        text(&world.call("POST", SOURCES, body).await.body["id"])
    };
    let (hexadecimal, base64) = (made("hex").await, made("base64").await);
    for at in [&seconds, &millis] {
        let content = format!("{at}.{body}");
        let [hex, base] = [Encoding::Hex, Encoding::Base64]
            .map(|encoding| hmac_text(encoding, b"s", content.as_bytes()));
        let (upper, bare) = (hex.to_uppercase(), base.trim_end_matches('=').to_owned());
        let half = hex[..32].to_owned();
        let cases = [
            (&hexadecimal, &hex, 202),
            (&hexadecimal, &upper, 202),
            (&base64, &base, 202),
            (&base64, &bare, 202),
            (&hexadecimal, &half, 401),
            (&hexadecimal, &base, 401),
            (&base64, &hex, 401),
            (&base64, &base.to_uppercase(), 401),
            (&hexadecimal, &String::new(), 401),
        ];
        for (source, signature, status) in cases {
            let sent = async |signature: String| {
                let headers = [("x-sign", signature.as_str()), ("x-time", at)];
                post(&world, source, &headers, body).await.status
            };
            assert_eq!(sent(format!("v1={signature}")).await, status, "{signature} at {at}");
            assert_eq!(sent(format!("V1={signature}")).await, 401, "{signature} at {at}");
        }
    }
    // A time that is neither, or too long ago.
    let old = now.minus_ms(600_000).0.to_string();
    for at in [old, format!("{millis}0"), format!("{seconds}000x"), "\u{e9}".repeat(7)] {
        let signature =
            format!("v1={}", hmac_text(Encoding::Hex, b"s", format!("{at}.{body}").as_bytes()));
        let headers = [("x-sign", signature.as_str()), ("x-time", at.as_str())];
        assert_eq!(post(&world, &hexadecimal, &headers, body).await.status, 401, "{at}");
    }
}

#[tokio::test]
async fn handshakes_are_answered() {
    let (world, app) = World::with_application().await;
    let meta = json!({"name": "x", "type": "meta", "app": app,
        "config": {"secret": "s", "verifyToken": "v"}});
    let meta = text(&world.call("POST", SOURCES, meta).await.body["id"]);
    let empty = json!({"name": "x", "type": "meta", "app": app,
        "config": {"secret": "s", "verifyToken": ""}});
    assert_eq!(world.call("POST", SOURCES, empty).await.status, 422, "it would prove nothing");
    let path = format!("/in/{meta}?hub.mode=subscribe&hub.challenge=42&hub.verify_token=");
    let right = world.call("GET", &format!("{path}v"), Value::Null).await;
    assert_eq!((right.status.as_u16(), &right.bytes[..]), (200, &b"42"[..]));
    assert_eq!(world.call("GET", &format!("{path}w"), Value::Null).await.status, 401);
    let hmac = json!({"scheme": "hmac", "header": "x-twitter-webhooks-signature",
        "encoding": "base64", "prefix": "sha256="});
    let crc = json!({"name": "x", "type": "generic-webhook", "app": app, "verification": hmac,
        "config": {"secret": "s"}});
    let crc = text(&world.call("POST", SOURCES, crc).await.body["id"]);
    let ask = async |source: &str, token: &str| {
        world.call("GET", &format!("/in/{source}?crc_token={token}"), Value::Null).await
    };
    let expected = hmac_text(Encoding::Base64, b"s", b"abc");
    assert_eq!(ask(&crc, "abc").await.body["response_token"], format!("sha256={expected}"));
    // Nobody gets the signature of an event by asking for a handshake.
    assert_eq!(ask(&crc, "%7B%7D").await.status, 404);
    assert_eq!(ask(&crc, "").await.status, 404);
    assert_eq!(ask(&meta, "abc").await.status, 404);

    let slack = source(&world, &app, "slack", "s").await;
    let body = "{\"type\":\"url_verification\",\"challenge\":\"c\"}";
    let now = world.ambient.now().as_secs().to_string();
    let signature = hex_hmac("s", &format!("v0:{now}:{body}")).replace("sha256=", "v0=");
    let headers = [("x-slack-request-timestamp", now.as_str()), ("x-slack-signature", &signature)];
    let answered = post(&world, &slack, &headers, body).await;
    assert_eq!((answered.status.as_u16(), &answered.bytes[..]), (200, &b"c"[..]));
    assert_eq!(post(&world, &slack, &headers[..1], body).await.status, 401);
    assert_eq!(world.dispatch().await, 0);
}

#[tokio::test]
async fn a_source_is_made_found_changed_and_deleted() {
    let (world, app) = World::with_application().await;
    let body = |secret: Value| {
        json!({"name": "Hub", "uid": "hub", "type": "github",
            "metadata": {"posthorn.app": app}, "config": secret})
    };
    assert_eq!(world.call("POST", SOURCES, body(json!({}))).await.status, 422);
    let made = world.call("POST", SOURCES, body(json!({"secret": "one"}))).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(world.call("POST", SOURCES, body(json!({"secret": "x"}))).await.status, 409);
    let id = text(&made.body["id"]);
    let found = world.call("GET", &format!("{SOURCES}/hub"), Value::Null).await;
    assert_eq!((found.status.as_u16(), &found.body), (200, &made.body));
    assert!(!found.body.to_string().contains("one"), "a secret is not shown");
    let listed = world.call("GET", SOURCES, Value::Null).await;
    assert_eq!(listed.body["data"], json!([made.body]));

    let hub = format!("{SOURCES}/hub");
    let changed = world.call("PUT", &hub, body(json!({"secret": "two"}))).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let signed = |secret: &str| hex_hmac(secret, "{}");
    let old = post(&world, &id, &[("x-hub-signature-256", &signed("one"))], "{}").await;
    let new = post(&world, &id, &[("x-hub-signature-256", &signed("two"))], "{}").await;
    assert_eq!((old.status.as_u16(), new.status.as_u16()), (401, 202));

    let stranger = world.token_of(shared::domain::id::OrganisationId::new(&world.ambient));
    let hidden = world.call_as(&stranger, "GET", &format!("{SOURCES}/{id}"), Value::Null).await;
    assert_eq!(hidden.status, 404);
    let confined = world.call_as(&world.app_token(&app), "GET", SOURCES, Value::Null).await;
    assert_eq!(confined.status, 403);
    let gone = world.call("DELETE", &format!("{SOURCES}/hub"), Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(post(&world, &id, &[], "{}").await.status, 404);
    assert_eq!(world.call("GET", "/api/v1/ingest/source", Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_key_set_without_a_key_is_refused() {
    let (world, app) = World::with_application().await;
    for secret in ["not json \"keys\"", "{\"keys\": \"no\"}", "{\"keys\": []}", "{}"] {
        let body = json!({"name": "I", "type": "generic-webhook", "app": app,
            "verification": {"scheme": "jwt"}, "config": {"secret": secret}});
        let refused = world.call("POST", SOURCES, body).await;
        assert_eq!(refused.status, 422, "{secret}: {refused:?}");
        assert_eq!(refused.body["detail"][0]["loc"], json!(["body", "config", "secret"]));
    }
}

#[tokio::test]
async fn a_library_that_knows_no_verification_says_it_in_the_metadata() {
    let (world, app) = World::with_application().await;
    let body = |note: &str| {
        json!({"name": "Own", "uid": "own", "type": "generic-webhook", "config": {"secret": "s"},
            "metadata": {"posthorn.app": app, "posthorn.verification": note}})
    };
    for note in ["bearer", "{\"scheme\": \"nope\"}", "[]", ""] {
        let refused = world.call("POST", SOURCES, body(note)).await;
        assert_eq!(refused.status, 422, "{note}: {refused:?}");
        assert_eq!(
            refused.body["detail"][0]["loc"],
            json!(["body", "metadata", "posthorn.verification"])
        );
    }
    let made = world.call("POST", SOURCES, body("{\"scheme\": \"bearer\"}")).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["verification"], json!({"scheme": "bearer"}));
    let id = text(&made.body["id"]);
    let proved = [("authorization", "Bearer s")];
    assert_eq!(post(&world, &id, &proved, "{}").await.status, 202);
    assert_eq!(post(&world, &id, &[], "{}").await.status, 401);
    let own = format!("{SOURCES}/own");
    let changed = world.call("PUT", &own, body("{\"scheme\": \"none\"}")).await;
    assert_eq!(changed.body["verification"], json!({"scheme": "none"}), "{changed:?}");
    // What is said in the field goes before the note.
    let said = json!({"verification": {"scheme": "bearer"}, "config": {"secret": "s"}});
    let changed = world.call("PATCH", &own, said).await;
    assert_eq!(changed.body["verification"], json!({"scheme": "bearer"}), "{changed:?}");
}

#[test]
fn a_token_with_a_key_that_is_public_anyway_proves_nothing() {
    let scheme = Scheme::Jwt { issuer: None, audience: None };
    let keys = br#"{"keys":[{"kty":"oct","kid":"k","k":"c2VjcmV0"}]}"#;
    // {"alg":"HS256","kid":"k"} and {}, signed with HMAC; and {"alg":"none","kid":"k"}.
    for token in ["eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.e30.AAAA", "eyJhbGciOiJub25lIn0.e30."] {
        let body = Bytes::from_static(token.as_bytes());
        let checked = verify(&scheme, Some(keys), &HeaderMap::new(), &body, Timestamp(0));
        assert!(checked.is_err(), "{token}");
    }
}

async fn source(world: &World, app: &str, kind: &str, secret: &str) -> String {
    let body = json!({"name": kind, "type": kind, "app": app, "config": {"secret": secret}});
    let made = world.call("POST", SOURCES, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    text(&made.body["id"])
}

async fn post(world: &World, source: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut request = Request::builder().method("POST").uri(format!("/in/{source}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Bytes::copy_from_slice(body.as_bytes())).expect("a request")).await
}

fn hex_hmac(secret: &str, content: &str) -> String {
    format!("sha256={}", hmac_text(Encoding::Hex, secret.as_bytes(), content.as_bytes()))
}

/// Two Posthorns in one: what the first delivers comes in at a source of the second, which is
/// the only proof that both sides of a scheme agree.
async fn relay(world: &World, delivery: &Outbound, source: &str) -> Reply {
    let headers: Vec<(&str, &str)> =
        delivery.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    post(world, source, &headers, std::str::from_utf8(&delivery.body).expect("text")).await
}

#[tokio::test]
async fn what_an_ed25519_key_signs_is_believed_of_its_public_half() {
    let (world, app) = World::with_application().await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "signatureScheme": "v1a"})).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    let public = text(&world.call("GET", &path, Value::Null).await.body["key"]);
    assert!(public.starts_with("whpk_"), "{public}");
    let target = world.application().await;
    let source = source(&world, &target, "svix", &public).await;
    world.publish(&app, json!({"amount": 1})).await;
    world.dispatch_all().await;
    let mut delivery = world.network.sent_to(URL).remove(0);
    assert_eq!(relay(&world, &delivery, &source).await.status, 202);
    let listed = world.call("GET", &format!("/api/v1/app/{target}/msg"), Value::Null).await.body;
    assert_eq!(listed["data"][0]["payload"], json!({"amount": 1}));
    assert_eq!(relay(&world, &delivery, &source).await.status, 202, "a repetition is no error");
    let listed = world.call("GET", &format!("/api/v1/app/{target}/msg"), Value::Null).await.body;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "and nothing new");
    delivery.body = Bytes::from_static(b"{\"amount\": 2}");
    assert_eq!(relay(&world, &delivery, &source).await.status, 401);
}

#[tokio::test]
async fn only_the_signed_id_names_a_signed_webhook() {
    let (world, app) = World::with_application().await;
    let kind = "svix";
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let source = source(&world, &app, kind, secret).await;
    let body = r#"{"type":"a","test":1}"#;
    let secret = SigningSecret::parse(secret).unwrap();
    let at_s = world.ambient.now().as_secs();
    let signature = signature::sign(&[secret], "msg_1", at_s, body.as_bytes());
    let at = at_s.to_string();
    let mut ids = Vec::new();
    for more in ["", "x1", "x2"] {
        let signed =
            [("svix-id", "msg_1"), ("svix-timestamp", &at), ("svix-signature", &signature)];
        let mut headers = signed.to_vec();
        headers.extend((!more.is_empty()).then_some(("webhook-id", more)));
        let reply = post(&world, &source, &headers, body).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        ids.push(text(&reply.body["id"]));
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn an_id_that_nobody_signed_names_no_event_unless_the_source_says_so() {
    let (world, app) = World::with_application().await;
    for verification in [
        json!({"scheme": "none"}),
        json!({"scheme": "bearer"}),
        json!({"scheme": "hmac", "header": "x-sig", "encoding": "hex"}),
    ] {
        let published = async |rule: Value| {
            let said = json!({"verification": verification, "eventId": rule,
                "config": {"secret": "s3cret"}});
            let source = open_source(&world, &app, said).await;
            let mut ids = Vec::new();
            for n in 0..2 {
                let body = json!({"type": "t", "n": n}).to_string();
                let mac = hex_hmac("s3cret", &body).replace("sha256=", "");
                let headers = [
                    ("authorization", "Bearer s3cret"),
                    ("x-sig", mac.as_str()),
                    ("webhook-id", "same"),
                    ("svix-id", "same"),
                ];
                let reply = post(&world, &source, &headers, &body).await;
                assert_eq!(reply.status, 202, "{reply:?}");
                ids.push(text(&reply.body["id"]));
            }
            ids.dedup();
            ids.len()
        };
        assert_eq!(published(Value::Null).await, 2, "{verification}");
        assert_eq!(published(json!({"header": "webhook-id"})).await, 1, "{verification}");
    }
}

#[tokio::test]
async fn a_security_event_token_is_believed_by_its_key_set_and_published_as_its_claims() {
    let world = World::new();
    let app = json!({"name": "Client", "uid": "client", "profile": "moneyhub"});
    let app = text(&world.call("POST", "/api/v1/app", app).await.body["id"]);
    let target = world.application().await;
    for (number, algorithm) in ["RS256", "ES256", "EdDSA"].into_iter().enumerate() {
        let url = format!("{URL}/{algorithm}");
        let said = json!({"url": url, "format": "jwt", "jwtAlgorithm": algorithm});
        world.endpoint_with(&app, said).await;
        let keys = world.call_as("no token", "GET", "/.well-known/jwks.json", Value::Null).await;
        let made = json!({
            "name": algorithm, "type": "generic-webhook", "app": target,
            "config": {"secret": keys.body.to_string()},
            "verification": {"scheme": "jwt", "issuer": "https://identity.moneyhub.co.uk",
                "audience": "client"},
        });
        let made = world.call("POST", SOURCES, made).await;
        assert_eq!(made.status, 201, "{made:?}");
        let event = json!({"eventType": "paymentCompleted", "payload": {"paymentId": "p"}});
        world.call("POST", &format!("/api/v1/app/{app}/msg"), event).await;
        world.dispatch_all().await;
        let mut delivery = world.network.sent_to(&url).pop().unwrap();
        let source = text(&made.body["id"]);
        let taken = relay(&world, &delivery, &source).await;
        assert_eq!(taken.status, 202, "{algorithm}: {taken:?}");
        // Whoever says it again, with the same `jti`, means the same event.
        assert_eq!(relay(&world, &delivery, &source).await.body["id"], taken.body["id"]);
        let path = format!("/api/v1/app/{target}/msg");
        let listed = world.call("GET", &path, Value::Null).await.body;
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(number + 1), "{algorithm}");
        let claims = &listed["data"][0]["payload"];
        let events = json!({"urn:com:moneyhub:events:payment-completed": {"paymentId": "p"}});
        assert_eq!((&claims["aud"], &claims["events"]), (&json!("client"), &events));
        let mut body = delivery.body.to_vec();
        let middle = body.len() / 2;
        body[middle] = if body[middle] == b'A' { b'B' } else { b'A' };
        delivery.body = body.into();
        assert_eq!(relay(&world, &delivery, &source).await.status, 401, "{algorithm}");
        // A process remembers a key set for a while.
        world.advance_s(61);
    }
}

/// A source that believes everybody.
async fn open_source(world: &World, app: &str, rest: Value) -> String {
    let mut body = json!({"name": "x", "type": "generic-webhook", "app": app,
        "verification": {"scheme": "none"}});
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let made = world.call("POST", SOURCES, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    text(&made.body["id"])
}

/// Bodies that are JSON, and that many readers do not take.
fn odd_bodies() -> Vec<String> {
    vec![
        r#"{"type":"a.b","x":"cut \ud83d"}"#.to_owned(),
        r#"{"cut \ud83d":1,"type":"a.b"}"#.to_owned(),
        r#"{"type":"a.b","n":1e400}"#.to_owned(),
        format!(r#"{{"type":"a.b","x":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000)),
    ]
}

#[tokio::test]
async fn json_that_only_some_readers_take_goes_through_byte_for_byte() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let source = open_source(&world, &app, json!({})).await;
    for body in odd_bodies() {
        let taken = post(&world, &source, &[], &format!("\r\n {body} ")).await;
        assert_eq!((taken.status.as_u16(), &taken.body["eventType"]), (202, &json!("a.b")));
        world.dispatch_all().await;
        assert_eq!(world.network.sent_to(URL).pop().unwrap().body, body);
    }
    for no_object in ["", "[]", "{", "{} {}", r#"{"a":}"#, "\"{}\"", "null"] {
        let refused = post(&world, &source, &[], no_object).await;
        assert_eq!(refused.status, 422, "{no_object:?}");
    }
}

#[tokio::test]
async fn a_handshake_is_answered_whatever_else_is_in_it() {
    let (world, app) = World::with_application().await;
    let source = source(&world, &app, "slack", "s").await;
    let at = world.ambient.now().as_secs().to_string();
    let body = r#"{"type":"url_verification","challenge":"a\u0062c","x":[1e999,"\ud800"]}"#;
    let signed = hmac_text(Encoding::Hex, b"s", format!("v0:{at}:{body}").as_bytes());
    let headers =
        [("x-slack-signature", format!("v0={signed}")), ("x-slack-request-timestamp", at)];
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = post(&world, &source, &headers, body).await;
    assert_eq!((answer.status.as_u16(), &answer.bytes[..]), (200, &b"abc"[..]));
}

#[tokio::test]
async fn an_id_that_is_a_number_keeps_every_digit() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let source = open_source(&world, &app, json!({"eventId": {"pointer": "/data/1/id"}})).await;
    let ids = [
        "12345678901234567890123",
        "12345678901234567890124",
        "0.10000000000000000001",
        "0.10000000000000000002",
        "1e400",
        "1e401",
        "7",
    ];
    for id in ids {
        let body = format!(r#"{{"type":"t","data":[{{}},{{"id":0,"id":{id}}}]}}"#);
        for _ in 0..2 {
            assert_eq!(post(&world, &source, &[], &body).await.status, 202);
        }
    }
    world.live_s(120).await;
    assert_eq!(world.network.sent_to(URL).len(), ids.len());
    let named = post(&world, &source, &[], r#"{"data":[0,{"id":"7"}]}"#).await;
    assert_eq!(named.body["eventId"], format!("{source}.7"));
}

#[tokio::test]
async fn the_scheme_of_an_authorization_may_be_spelled_in_any_case() {
    let (world, app) = World::with_application().await;
    for (scheme, secret, sent) in
        [("basic", "name:password", "bmFtZTpwYXNzd29yZA=="), ("bearer", "t", "t")]
    {
        let verification = json!({"scheme": scheme});
        let rest = json!({"verification": verification, "config": {"secret": secret}});
        let source = open_source(&world, &app, rest).await;
        for spelled in [scheme.to_owned(), scheme.to_uppercase(), scheme.replace('b', "B")] {
            let value = format!("{spelled} {sent}");
            let taken = post(&world, &source, &[("authorization", &value)], "{}").await;
            assert_eq!(taken.status, 202, "{value}");
        }
        let wrong = format!("{scheme} {}", sent.to_lowercase() + "x");
        assert_eq!(post(&world, &source, &[("authorization", &wrong)], "{}").await.status, 401);
    }
}

/// A private key and the set with its public half.
fn token_key() -> (EncodingKey, Vec<u8>, String) {
    /// Everything of a private Ed25519 key in PKCS#8 but the 32 bytes (RFC 8410).
    const HEAD: &str = "302e020100300506032b657004220420";
    let head = (0..HEAD.len()).step_by(2).map(|at| u8::from_str_radix(&HEAD[at..at + 2], 16));
    let pkcs8: Vec<u8> = head.map(Result::unwrap).chain([7; 32]).collect();
    let key = PrivateKey::from_pkcs8(Algorithm::EdDSA, &pkcs8).unwrap();
    let (sealer, ambient) =
        (RootSecret::new(ROOT_SECRET).unwrap().sealer(), still::ambient(&StillClock::new()));
    let mut set = KeySet::default();
    let kid = set.add(&organisation(), &key, [0, 0], &sealer, &ambient).unwrap().kid.clone();
    let set = serde_json::to_vec(&set.jwks(ambient.now())).unwrap();
    (EncodingKey::from_ed_der(&pkcs8), set, kid)
}

#[test]
fn a_token_holds_only_as_long_as_a_number_says_and_asks_for_nothing_we_do_not_know() {
    let (key, set, kid) = token_key();
    let scheme = Scheme::Jwt { issuer: None, audience: None };
    let check = |claims: &str, crit: Option<Vec<String>>, set: &[u8]| {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.kid = Some(kid.clone());
        header.crit = crit;
        let claims = RawValue::from_string(claims.to_owned()).unwrap();
        let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        verify(&scheme, Some(set), &HeaderMap::new(), &token.into(), Timestamp(1_000_000))
    };
    // The library looks for claims by names, which must be strings then.
    for claims in odd_bodies().into_iter().filter(|body| !body.starts_with(r#"{"cut"#)) {
        assert_eq!(check(&claims, None, &set), Ok(claims.into()));
    }
    for good in ["{}", r#"{"exp":1000.5,"nbf":1000}"#, r#"{"exp":1e400}"#] {
        assert_eq!(check(good, None, &set), Ok(good.into()));
    }
    for late in [r#"{"exp":1000}"#, r#"{"exp":-1e400}"#, r#"{"nbf":1001}"#] {
        assert_eq!(check(late, None, &set), Err(Refusal::Tolerance), "{late}");
    }
    for wrong in [r#"{"exp":"2000"}"#, r#"{"exp":null}"#, r#"{"exp":[2000]}"#, r#"{"nbf":"0"}"#] {
        assert_eq!(check(wrong, None, &set), Err(Refusal::Signature), "{wrong}");
    }
    let crit = Some(vec!["exp".to_owned()]);
    assert_eq!(check("{}", crit, &set), Err(Refusal::Signature));
    // A key is for the algorithm that its set says.
    let other = String::from_utf8(set).unwrap().replace("\"EdDSA\"", "\"ES256\"");
    assert_eq!(check("{}", None, other.as_bytes()), Err(Refusal::Signature));
}

#[tokio::test]
async fn a_source_that_feeds_itself_comes_to_an_end() {
    let (world, app, _) = World::with_endpoint(URL).await;
    let source = open_source(&world, &app, json!({})).await;
    assert_eq!(post(&world, &source, &[], r#"{"type":"a"}"#).await.status, 202);
    let mut rounds = 0;
    loop {
        world.dispatch_all().await;
        let delivery = world.network.sent_to(URL).pop().unwrap();
        if relay(&world, &delivery, &source).await.status != 202 {
            break;
        }
        rounds += 1;
    }
    assert_eq!(rounds, 4);
}

#[tokio::test]
async fn what_is_not_proved_is_counted_in_one_line_a_source_and_minute() {
    let (log, _guard) = Captured::everything();
    let (world, app) = World::with_application().await;
    let one = source(&world, &app, "github", "s").await;
    let other = source(&world, &app, "shopify", "s").await;
    let refuse = async |source: &str, times: usize| {
        for _ in 0..times {
            assert_eq!(post(&world, source, &[], "{}").await.status, 401);
        }
    };
    let counts = || -> Vec<u64> {
        let lines = log.lines().into_iter().filter(|line| line.contains("unverified webhook"));
        let fields = |line: String| serde_json::from_str::<Value>(&line).unwrap();
        lines.map(|line| fields(line)["fields"]["count"].as_u64().unwrap()).collect()
    };
    refuse(&one, 100).await;
    refuse(&other, 3).await;
    assert_eq!(counts(), [1, 1]);
    world.advance_s(59);
    refuse(&one, 1).await;
    assert_eq!(counts(), [1, 1]);
    world.advance_s(1);
    refuse(&one, 2).await;
    assert_eq!(counts(), [1, 1, 101], "the hundred before, and this one");
    assert_eq!(world.metrics.take()[&Metric::Unverified].iter().sum::<u64>(), 106);
}
