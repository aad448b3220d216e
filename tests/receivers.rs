//! What receivers verify with (`tests/receivers`): the vectors are what is sent, and the verifier
//! in Rust takes the good ones and no other. Those in Python, JavaScript and Go are held to the
//! same vectors by `.ci/receivers`, which also starts whole receivers.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use shared::domain::secret::SigningSecret;
use shared::domain::signature::sign;
use shared::sender::Outbound;

use crate::support::golden;
use crate::support::network::header;
use crate::support::world::{World, text};

#[expect(unreachable_pub, reason = "a file to be copied into somebody's crate")]
mod webhooks;

use webhooks::{Tokens, Webhook, WebhookError};

const FILE: &str = "tests/receivers/vectors.json";
const URL: &str = "http://127.0.0.1:9/hook";
/// The example of Standard Webhooks' reference libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const NOW_S: u64 = 1_614_265_330;
const BODY: &str = r#"{"test": 2432232314}"#;
/// The key pair of Svix's own tests.
const PRIVATE: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const ISSUER: &str = "https://identity.moneyhub.co.uk";
const CLIENT: &str = "client-of-the-aggregator";

#[tokio::test]
async fn the_vectors_are_what_is_sent() {
    let webhooks = webhook_vectors();
    let good = webhooks.iter().filter(|vector| vector["good"] == true).count();
    assert!(good >= 6 && webhooks.len() - good >= 10, "{good} of {}", webhooks.len());
    // Tokens come out differently each time, so theirs are made anew on order only.
    let tokens = match golden::is_updated() {
        true => token_vectors().await,
        false => committed()["tokens"].clone(),
    };
    let vectors = json!({"now": NOW_S, "webhooks": webhooks, "tokens": tokens});
    golden::check(FILE, &vectors, "not what is sent");
}

#[test]
fn the_verifier_takes_the_good_webhooks_and_no_other() {
    for vector in committed()["webhooks"].as_array().unwrap() {
        let headers = vector["headers"].as_object().unwrap();
        let find = |name: &str| {
            headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1.as_str()
        };
        let hook = Webhook::new(vector["key"].as_str().unwrap()).unwrap();
        let result = hook.verify(find, vector["body"].as_str().unwrap().as_bytes(), NOW_S);
        assert_eq!(result.is_ok(), vector["good"] == true, "{}: {result:?}", vector["claim"]);
    }
    assert_eq!(Webhook::new("whpk_?").err(), Some(WebhookError::Key));
}

#[test]
fn the_verifier_takes_the_good_tokens_and_no_other() {
    let tokens = &committed()["tokens"];
    let verifier = Tokens { key_set: tokens["keySet"].clone(), issuer: ISSUER, audience: CLIENT };
    let cases = tokens["cases"].as_array().unwrap();
    let good = cases.iter().filter(|case| case["good"] == true).count();
    assert!(good == 3 && cases.len() >= 12, "{good} of {}", cases.len());
    for case in cases {
        let result = verifier.verify(case["token"].as_str().unwrap().as_bytes());
        assert_eq!(result.is_ok(), case["good"] == true, "{}: {result:?}", case["claim"]);
    }
}

#[tokio::test]
async fn the_verifier_takes_deliveries_in_each_form() {
    let world = World::new();
    for scheme in ["v1", "v1a"] {
        let app = world.application().await;
        let url = format!("{URL}/{scheme}");
        let ep = world.endpoint_with(&app, json!({"url": url, "signatureScheme": scheme})).await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
        let key = text(&world.call("GET", &path, Value::Null).await.body["key"]);
        let id = world.publish(&app, json!({"amount": "1 €"})).await;
        world.dispatch_all().await;
        let sent = &world.network.sent_to(&url)[0];
        let find = |name: &str| Some(header(sent, name));
        let now_s = world.ambient.now().as_secs();
        assert_eq!(Webhook::new(&key).unwrap().verify(find, &sent.body, now_s), Ok(id.as_str()));
    }
    let (set, sent) = tokens_sent(&world).await;
    let verifier = Tokens { key_set: set, issuer: ISSUER, audience: CLIENT };
    for sent in sent {
        assert!(verifier.verify(&sent.body).unwrap()["events"].is_object());
    }
}

/// Every kind of request that a verifier has to tell apart.
fn webhook_vectors() -> Vec<Value> {
    let hmac = SigningSecret::parse(SECRET).unwrap();
    let other = SigningSecret::parse(&format!("whsec_{}", STANDARD.encode([7; 24]))).unwrap();
    let pair = SigningSecret::parse(PRIVATE).unwrap();
    let (v1, v1a) = (hmac.reveal(), pair.reveal());
    let signed = |secrets: &[&SigningSecret], at_s: u64, body: &str| {
        let secrets: Vec<SigningSecret> = secrets.iter().map(|&secret| secret.clone()).collect();
        let signature = sign(&secrets, ID, at_s, body.as_bytes());
        json!({"webhook-id": ID, "webhook-timestamp": at_s.to_string(),
            "webhook-signature": signature})
    };
    let of = |secrets: &[&SigningSecret]| signed(secrets, NOW_S, BODY);
    let with = |mut headers: Value, name: &str, value: Value| {
        match value {
            Value::Null => headers.as_object_mut().unwrap().remove(name),
            value => headers.as_object_mut().unwrap().insert(name.to_owned(), value),
        };
        headers
    };
    let renamed = |headers: Value, prefix: &str| -> Value {
        let parts = headers.as_object().unwrap().iter();
        parts.map(|(name, value)| (name.replace("webhook-", prefix), value.clone())).collect()
    };
    let signature = |headers: &Value| text(&headers["webhook-signature"]);
    let euro = "{\"amount\":\"1 €\"}";
    let (unicode, empty) = (signed(&[&hmac], NOW_S, euro), signed(&[&hmac], NOW_S, ""));
    let (edge, late) = (signed(&[&hmac], NOW_S - 300, BODY), signed(&[&hmac], NOW_S - 301, BODY));
    let early = signed(&[&pair], NOW_S + 301, BODY);
    let other_body = BODY.replace("2432232314", "2432232315");
    let (own, asymmetric) = (signature(&of(&[&hmac])), signature(&of(&[&pair])));
    let name = "webhook-signature";
    let rows = [
        ("v1", &v1, of(&[&hmac]), BODY, true),
        ("v1a", &v1a, of(&[&pair]), BODY, true),
        ("v1 under the other family of names", &v1, renamed(of(&[&hmac]), "svix-"), BODY, true),
        ("v1 under names in capitals", &v1, renamed(of(&[&hmac]), "Webhook-"), BODY, true),
        ("v1 beside that of an older secret", &v1, of(&[&other, &hmac]), BODY, true),
        ("v1 beside v1a", &v1, of(&[&pair, &hmac]), BODY, true),
        ("v1a beside v1", &v1a, of(&[&hmac, &pair]), BODY, true),
        ("v1 of a body that is not ASCII", &v1, unicode, euro, true),
        ("v1 of an empty body", &v1, empty, "", true),
        ("v1 five minutes old", &v1, edge, BODY, true),
        ("v1 older than five minutes", &v1, late, BODY, false),
        ("v1a from the future", &v1a, early, BODY, false),
        ("v1 of another body", &v1, of(&[&hmac]), &other_body, false),
        ("v1a of another body", &v1a, of(&[&pair]), &other_body, false),
        (
            "v1 of another message",
            &v1,
            with(of(&[&hmac]), "webhook-id", json!("msg_2")),
            BODY,
            false,
        ),
        (
            "v1 of another time",
            &v1,
            with(of(&[&hmac]), "webhook-timestamp", json!((NOW_S + 1).to_string())),
            BODY,
            false,
        ),
        ("v1 of another secret", &v1, of(&[&other]), BODY, false),
        ("v1a where v1 is expected", &v1, of(&[&pair]), BODY, false),
        ("v1 where v1a is expected", &v1a, of(&[&hmac]), BODY, false),
        (
            "v1 that calls itself v1a",
            &v1a,
            with(of(&[&hmac]), name, json!(own.replace("v1,", "v1a,"))),
            BODY,
            false,
        ),
        (
            "v1 under the name of v1a",
            &v1,
            with(of(&[&hmac]), name, json!(own.replace("v1,", "v1a,"))),
            BODY,
            false,
        ),
        (
            "v1a under the name of v1",
            &v1a,
            with(of(&[&pair]), name, json!(asymmetric.replace("v1a,", "v1,"))),
            BODY,
            false,
        ),
        (
            "v1a that calls itself v1",
            &v1,
            with(of(&[&pair]), name, json!(asymmetric.replace("v1a,", "v1,"))),
            BODY,
            false,
        ),
        (
            "a signature cut short",
            &v1,
            with(of(&[&hmac]), name, json!(&own[..own.len() - 4])),
            BODY,
            false,
        ),
        (
            "a signature that is no base64",
            &v1,
            with(of(&[&hmac]), name, json!("v1,???")),
            BODY,
            false,
        ),
        ("a scheme alone", &v1, with(of(&[&hmac]), name, json!("v1,")), BODY, false),
        ("no signature", &v1, with(of(&[&hmac]), name, Value::Null), BODY, false),
        ("no timestamp", &v1, with(of(&[&hmac]), "webhook-timestamp", Value::Null), BODY, false),
        ("no id", &v1a, with(of(&[&pair]), "webhook-id", Value::Null), BODY, false),
        (
            "a timestamp that is none",
            &v1,
            with(of(&[&hmac]), "webhook-timestamp", json!("soon")),
            BODY,
            false,
        ),
    ];
    rows.into_iter()
        .map(|(claim, key, headers, body, good)| {
            json!({"claim": claim, "key": key, "headers": headers, "body": body, "good": good})
        })
        .collect()
}

/// Tokens as they were sent, and what somebody could make of them.
async fn token_vectors() -> Value {
    let world = World::new();
    let (set, sent) = tokens_sent(&world).await;
    let good: Vec<String> =
        sent.iter().map(|sent| String::from_utf8(sent.body.to_vec()).unwrap()).collect();
    let parts: Vec<&str> = good[0].split('.').collect();
    let &[head, payload, signature] = parts.as_slice() else { panic!("{good:?}") };
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let write = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let changed = |part: &str, field: &str, value: Value| {
        let mut read = read(part);
        read[field] = value;
        write(&read)
    };
    // The classic: the public key as if it were a secret that both sides hold.
    let confused = {
        let claimed = changed(head, "alg", json!("HS256"));
        let content = format!("{claimed}.{payload}");
        let key = set["keys"].as_array().unwrap().iter().find(|key| key["alg"] == "RS256").unwrap();
        let key =
            SigningSecret::parse(&STANDARD.encode(&text(&key["n"]).as_bytes()[..64])).unwrap();
        format!("{content}.{}", URL_SAFE_NO_PAD.encode(key.sign(&[content.as_bytes()])))
    };
    let theirs = other_token(&world).await;
    let unsigned = changed(head, "alg", json!("none"));
    let mut cases = vec![];
    for (name, token) in ["RS256", "ES256", "EdDSA"].iter().zip(&good) {
        cases.push(json!({"claim": name, "token": token, "good": true}));
        let (head, rest) = token.split_once('.').unwrap();
        let (payload, signature) = rest.split_once('.').unwrap();
        let other = changed(payload, "sub", json!("somebody else"));
        let other = format!("{head}.{other}.{signature}");
        cases.push(
            json!({"claim": format!("{name} with another claim"), "token": other, "good": false}),
        );
    }
    for (claim, token) in [
        ("no algorithm", format!("{unsigned}.{payload}.")),
        ("no algorithm, with a signature", format!("{unsigned}.{payload}.{signature}")),
        ("a secret instead of a key pair", confused),
        ("an unknown key", format!("{}.{payload}.{signature}", changed(head, "kid", json!("x")))),
        (
            "the name of another key",
            format!("{}.{payload}.{signature}", changed(head, "kid", kid(&good[1]))),
        ),
        ("two parts", format!("{head}.{payload}")),
        ("no JSON", format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode("no"))),
        ("for and from somebody else", theirs),
        ("an empty signature", format!("{head}.{payload}.")),
    ] {
        cases.push(json!({"claim": claim, "token": token, "good": false}));
    }
    json!({"keySet": set, "issuer": ISSUER, "audience": CLIENT, "cases": cases})
}

fn kid(token: &str) -> Value {
    let head = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&head).unwrap()["kid"].clone()
}

/// One event as three tokens, by algorithm, and the key set.
async fn tokens_sent(world: &World) -> (Value, Vec<Outbound>) {
    let said = json!({"name": "Client", "uid": CLIENT, "profile": "moneyhub"});
    let app = text(&world.call("POST", "/api/v1/app", said).await.body["id"]);
    let mut sent = vec![];
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let url = format!("{URL}/{algorithm}");
        let said = json!({"url": url, "format": "jwt", "jwtAlgorithm": algorithm});
        world.endpoint_with(&app, said).await;
    }
    let event = json!({"eventType": "paymentCompleted", "subject": "user",
        "payload": {"paymentId": "p", "status": "completed"}});
    world.call("POST", &format!("/api/v1/app/{app}/msg"), event).await;
    world.dispatch_all().await;
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        sent.push(world.network.sent_to(&format!("{URL}/{algorithm}")).remove(0));
    }
    let set = world.call_as("no token", "GET", "/.well-known/jwks.json", Value::Null).await;
    (set.body, sent)
}

/// A good token of another issuer for another application, under a key of the same set.
async fn other_token(world: &World) -> String {
    let app = world.application().await;
    let url = format!("{URL}/other");
    world.endpoint_with(&app, json!({"url": url, "format": "jwt"})).await;
    world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    String::from_utf8(world.network.sent_to(&url)[0].body.to_vec()).unwrap()
}

fn committed() -> Value {
    serde_json::from_str(&golden::read(FILE)).unwrap()
}
