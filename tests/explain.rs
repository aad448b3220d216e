//! Why a message went where it went: for each endpoint the rules, the verdict, the next try and
//! the failure in words.

use std::collections::BTreeMap;

use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use serde_json::{Value, json};
use shared::sender::Ending;

use crate::support::keys::rsa_pem;
use crate::support::network::answer;
use crate::support::world::{World, text};

fn url(name: &str) -> String {
    format!("http://127.0.0.1:9/{name}")
}

#[tokio::test]
async fn each_endpoint_says_why_a_message_went_there_or_did_not() {
    let (world, app) = World::with_application().await;
    let mut names = Vec::new();
    for (name, more) in [
        ("takes", json!({})),
        ("other-type", json!({"eventTypes": ["other.type"]})),
        ("other-channel", json!({"channels": ["eu"]})),
        ("disabled", json!({"disabled": true})),
        ("fails", json!({})),
        ("gone", json!({})),
    ] {
        let mut body = json!({"url": url(name)});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        names.push((name, world.endpoint_with(&app, body).await));
    }
    world.network.always(&url("fails"), answer(302));
    world.network.always(&url("gone"), answer(410));
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    world.advance_s(1);
    let late = world.endpoint(&app, &url("late")).await;
    let before = world.stored.lock().unwrap().clone();
    let writes = world.meter.usage().write_units;
    let body = explain(&world, &app, &msg).await;
    assert!(*world.stored.lock().unwrap() == before, "reads only");
    assert_eq!(world.meter.usage().write_units, writes);
    let of = |ep: &str| {
        let all = body["endpoints"].as_array().unwrap();
        all.iter().find(|one| one["endpointId"] == ep).unwrap().clone()
    };
    let broken = |ep: &str| {
        let rules = of(ep)["rules"].as_array().unwrap().clone();
        let broken = rules.iter().filter(|rule| rule["holds"] == false);
        broken.map(|rule| text(&rule["rule"])).collect::<Vec<_>>()
    };
    for ((name, ep), (verdict, rules)) in names.iter().zip([
        ("delivered", vec![]),
        ("skipped", vec!["event_type"]),
        ("skipped", vec!["channel"]),
        ("skipped", vec!["enabled"]),
        ("retrying", vec![]),
        // It was disabled for it.
        ("failed", vec!["enabled"]),
    ]) {
        assert_eq!(of(ep)["verdict"], verdict, "{name}: {}", of(ep));
        assert_eq!(broken(ep), rules, "{name}");
    }
    let fails = of(&names[4].1);
    assert!(fails["nextAttempt"].is_string());
    assert_eq!((&fails["scheduled"], &fails["schedule"]), (&1.into(), &8.into()));
    assert_eq!(fails["lastAttempt"]["failure"]["kind"], "redirect");
    assert_eq!(
        (&of(&late)["verdict"], broken(&late)),
        (&"skipped".into(), vec!["existed".to_owned()])
    );
}

#[tokio::test]
async fn a_message_that_waits_says_what_for() {
    let (world, app, _) = World::with_endpoint(&url("takes")).await;
    let queued = world.publish(&app, json!({})).await;
    let body = explain(&world, &app, &queued).await;
    assert_eq!(body["endpoints"][0]["verdict"], "waiting");
    assert_eq!(body["endpoints"][0]["says"], "It is in the queue.");
    let later = world.ambient.now().plus_ms(3_600_000).to_rfc3339();
    let event = json!({"eventType": "test.event", "payload": {}, "deliverAt": later});
    let path = format!("/api/v1/app/{app}/msg");
    let planned = text(&world.call("POST", &path, event).await.body["id"]);
    let body = explain(&world, &app, &planned).await;
    assert_eq!(body["endpoints"][0]["says"], "It waits for its time.");
    assert_eq!(body["deliverAt"], later);
}

#[tokio::test]
async fn failures_without_an_answer_are_told_in_words() {
    for (reason, kind) in [
        ("connection refused", "refused"),
        ("dns: Name or service not known", "dns"),
        (
            "tls: invalid peer certificate: certificate expired: verification time 1",
            "certificate_expired",
        ),
        ("tls: invalid peer certificate: UnknownIssuer", "certificate_issuer"),
        ("tls: invalid peer certificate: UnsupportedCertVersion", "certificate"),
        ("tls: received fatal alert", "tls"),
        ("connection reset", "reset"),
        ("connection closed before message completed", "reset"),
        (
            "tls: invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
            "certificate_issuer",
        ),
        ("garbage", "no_answer"),
    ] {
        let (world, app, _) = World::with_endpoint(&url("fails")).await;
        world.network.always(&url("fails"), Ending::Failed(reason.to_owned()));
        let msg = world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        let body = explain(&world, &app, &msg).await;
        let failure = &body["endpoints"][0]["lastAttempt"]["failure"];
        assert_eq!(failure["kind"], kind, "{reason}");
        assert!(failure["advice"].as_str().unwrap().len() > 10);
    }
}

#[tokio::test]
async fn a_failure_says_how_long_was_waited_and_when_a_certificate_expired() {
    let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let expired =
        CertificateError::ExpiredContext { time: at(1_790_000_000), not_after: at(1_788_300_000) };
    let expired = rustls::Error::InvalidCertificate(expired).to_string();
    for (ending, says) in [
        (
            Ending::Failed("no answer within 15003 ms".to_owned()),
            "The endpoint did not answer within 15 s.",
        ),
        (Ending::TimedOut, "The endpoint did not answer in time."),
        (
            Ending::Failed(format!("tls: {expired}")),
            "The certificate of the host expired on 2026-09-01.",
        ),
    ] {
        let (world, app, _) = World::with_endpoint(&url("fails")).await;
        world.network.always(&url("fails"), ending);
        let msg = world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        let body = explain(&world, &app, &msg).await;
        assert_eq!(body["endpoints"][0]["lastAttempt"]["failure"]["says"], says);
    }
}

#[tokio::test]
async fn an_attempts_request_is_shown_as_it_was_sent_without_its_secrets() {
    let (world, app) = World::with_application().await;
    let headers = json!({"authorization": "Bearer hidden-from-all", "x-team": "payments"});
    let body = json!({"url": url("takes"), "headers": headers});
    world.endpoint_with(&app, body).await;
    let msg = world.publish(&app, json!({"order": "1001"})).await;
    world.dispatch_all().await;
    let attempt = text(&world.attempts(&app, &msg).await[0]["id"]);
    let path = format!("/api/v1/app/{app}/msg/{msg}/attempt/{attempt}/request");
    let reply = world.call("GET", &path, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let shown = reply.body;
    let sent = &world.network.sent()[0];
    let sent_names: Vec<&str> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    let shown_names: Vec<&str> = shown["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(shown_names, sent_names);
    assert_eq!(shown["body"].as_str().unwrap().as_bytes(), &sent.body[..]);
    for (header, (name, value)) in shown["headers"].as_array().unwrap().iter().zip(&sent.headers) {
        let is_secret = name.ends_with("signature") || name == "authorization";
        assert_eq!(header["value"] == value.as_str(), !is_secret, "{name}");
    }
    assert!(!shown.to_string().contains("hidden-from-all"));
    assert_eq!((&shown["status"], &shown["answer"]), (&200.into(), &"ok".into()));
}

/// What both operations tell of an attempt's headers: those that are shown, and the names of the
/// others.
async fn told(world: &World, app: &str, msg: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let attempt = text(&world.attempts(app, msg).await[0]["id"]);
    let path = format!("/api/v1/app/{app}/msg/{msg}/attempt/{attempt}");
    let get = async |what: &str| {
        let reply = world.call("GET", &format!("{path}/{what}"), Value::Null).await;
        assert_eq!(reply.status, 200, "{what}: {reply:?}");
        reply.body
    };
    let (request, headers) = (get("request").await, get("headers").await);
    let (mut shown, mut hidden) = (BTreeMap::new(), Vec::new());
    for one in request["headers"].as_array().unwrap() {
        match one["value"].as_str().unwrap() {
            "(not shown)" => hidden.push(text(&one["name"])),
            value => drop(shown.insert(text(&one["name"]), value.to_owned())),
        }
    }
    assert_eq!(headers["sentHeaders"], json!(shown), "{request}");
    assert_eq!(headers["sensitive"], json!(hidden), "{request}");
    (shown, hidden)
}

#[tokio::test]
async fn both_operations_tell_the_same_of_an_attempts_headers_and_what_was_sent() {
    let world = World::new();
    world.call("POST", "/api/v1/operator/jwt-key/rotate", json!({"key": rsa_pem()})).await;
    let raw = json!({"eventType": "a", "payload": {}, "transformationsParams": {
        "rawPayload": "{}", "headers": {"content-type": "application/vnd.shop+json"}}});
    let plain = json!({"eventType": "a", "payload": {"n": 1}});
    for (format, event) in [("json", &plain), ("json", &raw), ("jwt", &plain), ("jwt", &raw)] {
        let app = world.application().await;
        let own = json!({"x-team": "payments", "x-api-key": "s3cret"});
        let ep =
            json!({"url": url("takes"), "format": format, "jwtAlgorithm": "RS256", "headers": own});
        let ep = world.endpoint_with(&app, ep).await;
        let published = world.call("POST", &format!("/api/v1/app/{app}/msg"), event.clone()).await;
        let msg = text(&published.body["id"]);
        world.dispatch_all().await;
        let sent = world.network.sent_to(&url("takes")).pop().unwrap();
        let (shown, hidden) = told(&world, &app, &msg).await;
        assert_eq!(hidden, ["x-api-key", "webhook-signature", "svix-signature"]);
        for (name, value) in &sent.headers {
            assert!(hidden.contains(name) || shown[name] == *value, "{format} {name}: {shown:?}");
        }
        assert_eq!(shown.len() + hidden.len(), sent.headers.len());
        // Of one whose endpoint is gone both tell what is left.
        world.call("DELETE", &format!("/api/v1/app/{app}/endpoint/{ep}"), Value::Null).await;
        let (left, hidden) = told(&world, &app, &msg).await;
        assert_eq!(left["webhook-id"], msg);
        assert_eq!((left.get("x-team"), hidden.len()), (None, 2));
    }
}

#[tokio::test]
async fn a_message_is_found_in_whichever_application_it_is() {
    let (world, app) = World::with_application().await;
    world.application().await;
    let msg = world.publish(&app, json!({})).await;
    let found = world.call("GET", &format!("/api/v1/operator/msg/{msg}"), Value::Null).await;
    assert_eq!(found.body["appId"], app.as_str());
    let nobody = shared::domain::id::MessageId::new(&world.ambient);
    let missing = world.call("GET", &format!("/api/v1/operator/msg/{nobody}"), Value::Null).await;
    assert_eq!(missing.status, 404);
    let stranger = world.token_of(shared::domain::id::OrganisationId::new(&world.ambient));
    let path = format!("/api/v1/operator/msg/{msg}");
    assert_eq!(world.call_as(&stranger, "GET", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn endpoints_that_an_answer_has_no_room_for_are_counted() {
    let mut world = World::new();
    world.admin.settings.max_endpoints = 1_000;
    let app = world.application().await;
    let msg = world.publish(&app, json!({})).await;
    // As long as JSON within JSON makes it.
    let description = "\"".repeat(4_096);
    let mut made = 0;
    let left_out = loop {
        let endpoint = json!({"url": url("hook"), "description": description, "disabled": true});
        world.endpoint_with(&app, endpoint).await;
        made += 1;
        if made % 100 > 0 {
            continue;
        }
        let body = explain(&world, &app, &msg).await;
        let shown = body["endpoints"].as_array().map(Vec::len).expect("endpoints");
        let left_out = body["leftOut"].as_u64().expect("a count");
        assert_eq!(shown as u64 + left_out, made, "{shown} shown");
        if left_out > 0 {
            break left_out;
        }
        assert!(made < 1_000, "there is room for all of them");
    };
    assert!(left_out < 100);
}

async fn explain(world: &World, app: &str, msg: &str) -> Value {
    let path = format!("/api/v1/app/{app}/msg/{msg}/explain");
    let reply = world.call("GET", &path, Value::Null).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body
}
