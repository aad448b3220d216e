//! Four real systems, each as its profile makes Posthorn behave: the scenarios that their
//! documentation promises to integrators.

use serde_json::{Value, json};
use shared::domain::profile::catalogue::CatalogueEvent;
use shared::domain::secret::SigningSecret;
use shared::domain::signature;
use shared::sender::target::TargetPolicy;
use shared::sender::{Ending, Outbound};
use shared::store::Profiles;

use crate::profiles::application;
use crate::support::network::{answer, header};
use crate::support::world::{Builder, Reply, World, text};

const URL: &str = "http://127.0.0.1:9/hook";

// Dots.

#[tokio::test]
async fn dots_sends_all_thirteen_types_to_who_chose_none_and_every_signature_verifies() {
    let world = World::new();
    let app = application(&world, "dots").await;
    let ep = world.endpoint_with(&app, json!({"url": URL, "throttleRate": 5})).await;
    let events = Profiles::built_in().events("dots");
    assert_eq!(events.len(), 13);
    for event in &events {
        assert_eq!(publish_example(&world, &app, event).await.status, 202);
    }
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 5);
    world.live_s(5).await;
    let secret = secret_of(&world, &app, &ep).await;
    let sent = world.network.sent();
    let mut arrived: Vec<Value> = Vec::new();
    for outbound in &sent {
        assert_signed(&world, &secret, "svix-", outbound);
        assert!(!outbound.headers.iter().any(|(name, _)| name.starts_with("webhook-")));
        arrived.push(serde_json::from_slice(&outbound.body).unwrap());
    }
    for event in events {
        let payload: Value = serde_json::from_str(event.example.as_str()).unwrap();
        let at = arrived.iter().position(|body| *body == payload);
        arrived.remove(at.unwrap_or_else(|| panic!("{} did not arrive", event.event_type)));
    }
    assert_eq!(arrived, [] as [Value; 0]);
}

// DotPe.

#[tokio::test]
async fn dotpe_takes_exactly_200_for_success_and_retries_the_rest_of_the_class() {
    let (world, app) = verified("dotpe").await;
    world.network.next(URL, answer(201));
    world.network.next(URL, answer(200));
    let msg = publish(&world, &app, "payin.succeeded", json!({})).await;
    world.live_s(120).await;
    assert_eq!(tries(&world, &app, &msg).await, [(201, 2), (200, 0)]);
    world.live_s(86_400).await;
    assert_eq!(tries(&world, &app, &msg).await.len(), 2);
}

#[tokio::test]
async fn dotpe_retries_time_outs_and_server_errors_and_nothing_else() {
    for (ending, retried) in [
        (Ending::TimedOut, true),
        (answer(500), true),
        (answer(503), true),
        (answer(302), false),
        (answer(400), false),
        (answer(404), false),
    ] {
        let (world, app) = verified("dotpe").await;
        world.network.next(URL, ending.clone());
        let msg = publish(&world, &app, "payin.failed", json!({})).await;
        world.live_s(120).await;
        let expected = if retried { 2 } else { 1 };
        assert_eq!(tries(&world, &app, &msg).await.len(), expected, "{ending:?}");
    }
}

#[tokio::test]
async fn dotpe_sends_balance_warnings_only_to_who_asked_for_them() {
    let (world, app) = verified("dotpe").await;
    publish(&world, &app, "balance.threshold", json!({"balance": "1.00"})).await;
    world.live_s(60).await;
    assert_eq!(world.network.sent().len(), 0);

    let path = format!("/api/v1/app/{app}/event-type-grant");
    let body = json!({"eventTypes": ["balance.threshold"]});
    let own = world.call_as(&world.app_token(&app), "PUT", &path, body.clone()).await;
    assert_eq!(own.status, 403);
    assert_eq!(world.call("PUT", &path, body).await.status, 200);
    publish(&world, &app, "balance.threshold", json!({"balance": "0.50"})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 1);

    assert_eq!(world.call("PUT", &path, json!({"eventTypes": []})).await.status, 200);
    publish(&world, &app, "balance.threshold", json!({"balance": "0.25"})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 1);
}

#[tokio::test]
async fn only_what_is_sent_on_request_can_be_granted() {
    let world = World::new();
    let app = application(&world, "dotpe").await;
    let path = format!("/api/v1/app/{app}/event-type-grant");
    let refused = world.call("PUT", &path, json!({"eventTypes": ["payin.failed"]})).await;
    assert_eq!(refused.status, 422);
    let message = text(&refused.body["detail"][0]["msg"]);
    assert!(message.contains("only [balance.threshold] do"), "{message}");
}

#[tokio::test]
async fn dotpe_sends_nothing_to_an_endpoint_that_is_not_verified_but_in_the_sandbox() {
    for (sandbox, sent) in [(false, 0), (true, 1)] {
        let world = World::new();
        let body = json!({"name": "C", "profile": "dotpe", "sandbox": sandbox});
        let app = text(&world.call("POST", "/api/v1/app", body).await.body["id"]);
        world.endpoint(&app, URL).await;
        publish(&world, &app, "payin.failed", json!({})).await;
        world.live_s(60).await;
        assert_eq!(world.network.sent().len(), sent, "{sandbox}");
    }
}

#[tokio::test]
async fn nobody_gets_by_a_resend_or_a_replay_what_was_kept_from_them() {
    for (event_type, is_verified, why) in [
        ("balance.threshold", true, "the application was not granted this event type"),
        ("payin.failed", false, "the endpoint has yet to take a test event"),
    ] {
        let world = World::new();
        let app = application(&world, "dotpe").await;
        let ep = world.endpoint(&app, URL).await;
        if is_verified {
            verify(&world, &app, &ep).await;
        }
        let since = world.ambient.now().to_rfc3339();
        let msg = publish(&world, &app, event_type, json!({})).await;
        world.dispatch_all().await;
        let own = world.app_token(&app);

        let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend");
        let refused = world.call_as(&own, "POST", &path, Value::Null).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert_eq!(refused.body["detail"], format!("Not sent: {why}."));

        let path = format!("/api/v1/app/{app}/endpoint/{ep}/replay-missing");
        let replayed = world.call_as(&own, "POST", &path, json!({"since": since})).await;
        assert_eq!(replayed.status, 202, "{replayed:?}");
        world.live_s(120).await;
        assert_eq!(world.network.sent().len(), 0, "{event_type}");
    }
}

#[tokio::test]
async fn what_an_endpoints_own_profile_sends_on_request_can_be_granted() {
    let (world, app) = World::with_application().await;
    let path = format!("/api/v1/app/{app}/event-type-grant");
    let wanted = json!({"eventTypes": ["balance.threshold"]});
    assert_eq!(world.call("PUT", &path, wanted.clone()).await.status, 422);
    let body = json!({"url": "http://127.0.0.1:9/hook", "profile": "dotpe"});
    let made = world.call("POST", &format!("/api/v1/app/{app}/endpoint"), body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(world.call("PUT", &path, wanted).await.status, 200);
    let other = json!({"eventTypes": ["payin.failed"]});
    let refused = world.call("PUT", &path, other).await;
    let rule = refused.body["detail"][0]["msg"].to_string();
    assert!(rule.contains("only [balance.threshold"), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_longer_granted_is_not_tried_again() {
    let (world, app) = verified("dotpe").await;
    let since = world.ambient.now().to_rfc3339();
    let path = format!("/api/v1/app/{app}/event-type-grant");
    let grant = async |types: Value| {
        assert_eq!(world.call("PUT", &path, json!({"eventTypes": types})).await.status, 200);
    };
    grant(json!(["balance.threshold"])).await;
    world.network.next(URL, answer(500));
    publish(&world, &app, "balance.threshold", json!({})).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 1);
    grant(json!([])).await;
    world.live_s(24 * 3_600).await;
    assert_eq!(world.network.sent().len(), 1);

    // Beside the schedule neither.
    let listed = world.call("GET", &format!("/api/v1/app/{app}/endpoint"), Value::Null).await;
    let ep = text(&listed.body["data"][0]["id"]);
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/bulk-replay");
    let replayed = world.call("POST", &path, json!({"since": since})).await;
    assert_eq!(replayed.status, 202, "{replayed:?}");
    world.live_s(60).await;
    assert_eq!(world.network.sent().len(), 1);
}

// DashX.

#[tokio::test]
async fn dashx_refuses_the_sixth_endpoint_with_what_to_do() {
    let world = World::new();
    let app = application(&world, "dashx").await;
    for n in 1..=5 {
        world.endpoint(&app, &format!("{URL}/{n}")).await;
    }
    let path = format!("/api/v1/app/{app}/endpoint");
    let refused = world.call("POST", &path, json!({"url": format!("{URL}/6")})).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.body["code"], "limit_reached");
    let detail = text(&refused.body["detail"]);
    assert!(detail.contains("at most 5 endpoints: delete one first"), "{detail}");
    // A PUT to a new uid creates as well.
    let path = format!("{path}/sixth");
    assert_eq!(world.call("PUT", &path, json!({"url": URL})).await.status, 400);
}

#[tokio::test]
async fn dashx_null_data_survives_to_the_byte() {
    let world = World::new();
    let app = application(&world, "dashx").await;
    world.endpoint(&app, URL).await;
    publish(&world, &app, "checkout_session.expired", Value::Null).await;
    world.dispatch_all().await;
    let sent = &world.network.sent()[0];
    let body = std::str::from_utf8(&sent.body).unwrap();
    let id = text(&serde_json::from_str::<Value>(body).unwrap()["id"]);
    let created = world.ambient.now().as_ms();
    assert_eq!(
        body,
        format!(
            r#"{{"id":"{id}","apiVersion":"2023-01-11","created":{created},"object":"checkoutSession","type":"checkout_session.expired","data":null}}"#
        )
    );
    assert_eq!((id.len(), &id[14..15]), (36, "8"));
}

#[tokio::test]
async fn dashx_shows_a_secret_once() {
    let world = World::new();
    let app = application(&world, "dashx").await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let created = world.call("POST", &path, json!({"url": URL})).await;
    let secret = SigningSecret::parse(&text(&created.body["secret"])).unwrap();
    let path = format!("{path}/{}", text(&created.body["id"]));
    let shown = world.call("GET", &path, Value::Null).await;
    assert_eq!(shown.body.get("secret"), None);
    let refused = world.call("GET", &format!("{path}/secret"), Value::Null).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.body["code"]),
        (400, &json!("secret_shown_once"))
    );
    publish(&world, &app, "checkout_session.canceled", Value::Null).await;
    world.dispatch_all().await;
    assert_signed(&world, &secret, "webhook-", &world.network.sent()[0]);
}

#[tokio::test]
async fn dashx_names_the_version_that_an_endpoint_is_pinned_to() {
    let world = World::new();
    let app = application(&world, "dashx").await;
    world.endpoint_with(&app, json!({"url": URL, "apiVersion": "2022-06-01"})).await;
    publish(&world, &app, "checkout_session.expired", Value::Null).await;
    world.dispatch_all().await;
    let body: Value = serde_json::from_slice(&world.network.sent()[0].body).unwrap();
    assert_eq!(body["apiVersion"], "2022-06-01");
}

// Moneyhub.

#[tokio::test]
async fn moneyhub_tries_once_and_a_resend_by_hand_works() {
    let world = World::new();
    let app = application(&world, "moneyhub").await;
    let ep = world.endpoint(&app, URL).await;
    world.network.next(URL, answer(500));
    let msg = publish(&world, &app, "paymentCompleted", json!({"paymentId": "1"})).await;
    world.live_s(86_400).await;
    assert_eq!(tries(&world, &app, &msg).await, [(500, 2)]);
    assert_eq!(world.network.sent()[0].timeout_ms, 5_000);
    let path = format!("/api/v1/app/{app}/msg/{msg}/endpoint");
    let standing = world.call("GET", &path, Value::Null).await;
    assert_eq!(standing.body["data"][0]["status"], 2);
    let resent = world.call("POST", &format!("{path}/{ep}/resend"), Value::Null).await;
    assert_eq!(resent.status, 202);
    world.dispatch_all().await;
    assert_eq!(tries(&world, &app, &msg).await, [(500, 2), (200, 0)]);
}

#[tokio::test]
async fn moneyhub_names_the_user_and_the_log_can_be_read_by_user() {
    let world = World::new();
    let app = application(&world, "moneyhub").await;
    let ep = world.endpoint(&app, URL).await;
    let mut ids = Vec::new();
    for subject in ["5c79210bbac25ecb5e71ac40", "64ae17c09b3fd2e85a10c7d2"] {
        let body = json!({
            "eventType": "deletedAccount", "subject": subject, "payload": {"accountId": "1"},
        });
        let path = format!("/api/v1/app/{app}/msg");
        ids.push(text(&world.call("POST", &path, body).await.body["id"]));
    }
    world.dispatch_all().await;
    let body: Value = serde_json::from_slice(&world.network.sent()[0].body).unwrap();
    assert_eq!(
        (&body["eventType"], &body["userId"], &body["payload"]),
        (&json!("deletedAccount"), &json!("5c79210bbac25ecb5e71ac40"), &json!({"accountId": "1"}))
    );
    let query = "?subject=64ae17c09b3fd2e85a10c7d2";
    for (path, name) in [
        (format!("/api/v1/app/{app}/msg{query}"), "id"),
        (format!("/api/v1/app/{app}/attempt/endpoint/{ep}{query}"), "msgId"),
    ] {
        let listed = world.call("GET", &path, Value::Null).await;
        let found: Vec<String> =
            listed.body["data"].as_array().unwrap().iter().map(|one| text(&one[name])).collect();
        assert_eq!(found, [ids[1].clone()], "{path}");
    }
}

// All of them.

#[tokio::test]
async fn one_publish_call_goes_out_in_four_forms() {
    let world = World::new();
    let app = application(&world, "svix").await;
    for profile in ["dots", "dotpe", "dashx", "moneyhub"] {
        let url = format!("{URL}/{profile}");
        let ep = world.endpoint_with(&app, json!({"url": url, "profile": profile})).await;
        verify(&world, &app, &ep).await;
    }
    let payload = json!({"transaction_id": "1"});
    let body = json!({"eventType": "payout.updated", "subject": "user-1", "payload": payload});
    let published = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    world.dispatch_all().await;
    assert_eq!(world.network.sent().len(), 4);
    let sent = |profile: &str| world.network.sent_to(&format!("{URL}/{profile}")).remove(0);
    let body = |profile: &str| serde_json::from_slice::<Value>(&sent(profile).body).unwrap();
    assert_eq!((body("dots"), body("dotpe")), (payload.clone(), payload.clone()));
    assert_eq!(body("dashx")["data"], payload);
    assert_eq!(body("dashx")["object"], "checkoutSession");
    assert_eq!(body("moneyhub")["payload"], payload);
    assert_eq!(body("moneyhub")["userId"], "user-1");
    assert_eq!(body("dashx")["id"], body("moneyhub")["id"]);
    let forms: Vec<(bool, u64)> = ["dots", "dotpe", "dashx", "moneyhub"]
        .map(sent)
        .iter()
        .map(|sent| {
            let standard = sent.headers.iter().any(|(name, _)| name == "webhook-id");
            (standard, sent.timeout_ms)
        })
        .collect();
    assert_eq!(forms, [(false, 15_000), (true, 10_000), (true, 15_000), (true, 5_000)]);
    for profile in ["dots", "dotpe", "dashx", "moneyhub"] {
        assert_eq!(header(&sent(profile), "svix-id"), text(&published.body["id"]));
    }
}

#[tokio::test]
async fn a_profile_asks_for_https_where_the_deployment_does_not() {
    let policy = TargetPolicy { https_only: false, ..TargetPolicy::default() };
    let world = World::build(Builder { policy, ..Builder::default() });
    let url = json!({"url": "http://customer.example/hook"});
    for (profile, status) in
        [("dots", 422), ("dotpe", 422), ("moneyhub", 422), ("dashx", 201), ("svix", 201)]
    {
        let app = application(&world, profile).await;
        let path = format!("/api/v1/app/{app}/endpoint");
        let reply = world.call("POST", &path, url.clone()).await;
        assert_eq!(reply.status, status, "{profile}: {reply:?}");
    }
    let app = application(&world, "svix").await;
    let ep = world.endpoint_with(&app, url).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let refused = world.call("PATCH", &path, json!({"profile": "moneyhub"})).await;
    assert_eq!(refused.status, 422);
    let message = text(&refused.body["detail"][0]["msg"]);
    assert!(message.contains("must be https:// in the profile `moneyhub`"), "{message}");
    // The application changes: its endpoint can still be disabled, and does not move to http.
    let application = format!("/api/v1/app/{app}");
    let changed = world.call("PATCH", &application, json!({"profile": "dots"})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    for (change, status) in [
        (json!({"disabled": true}), 200),
        (json!({"description": "old"}), 200),
        (json!({"url": "http://customer.example/other"}), 422),
        (json!({"profile": "dotpe"}), 422),
        (json!({"url": "https://customer.example/hook"}), 200),
    ] {
        let changed = world.call("PATCH", &path, change).await;
        assert_eq!(changed.status, status, "{changed:?}");
    }
}

#[tokio::test]
async fn a_test_is_the_example_of_the_applications_own_system() {
    let world = World::new();
    for profile in ["dots", "dotpe"] {
        let load = format!("/api/v1/profile/{profile}/load");
        assert_eq!(world.call("POST", &load, Value::Null).await.status, 200);
    }
    for profile in ["dots", "dotpe"] {
        let app = application(&world, profile).await;
        let ep = world.endpoint(&app, URL).await;
        let path = format!("/api/v1/app/{app}/endpoint/{ep}/send-example");
        let sent = world.call("POST", &path, json!({"eventType": "refund.updated"})).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        let own = world.call("GET", &format!("/api/v1/profile/{profile}"), Value::Null).await;
        let events = own.body["events"].as_array().unwrap();
        let event = events.iter().find(|event| event["type"] == "refund.updated").unwrap();
        let example: Value = serde_json::from_str(event["example"].as_str().unwrap()).unwrap();
        assert_eq!(sent.body["payload"], example, "{profile}");
    }
}

/// An application of this profile with an endpoint that has taken a test event.
async fn verified(profile: &str) -> (World, String) {
    let world = World::new();
    let app = application(&world, profile).await;
    let ep = world.endpoint(&app, URL).await;
    verify(&world, &app, &ep).await;
    (world, app)
}

async fn verify(world: &World, app: &str, ep: &str) {
    let now = world.ambient.now();
    let (app, ep) = (app.parse().unwrap(), ep.parse().unwrap());
    let editor = &world.parts.editor;
    editor
        .edit_endpoint(&app, &ep, now, |endpoint| endpoint.verified_at = Some(now))
        .await
        .unwrap();
}

async fn publish(world: &World, app: &str, event_type: &str, payload: Value) -> String {
    let body = json!({"eventType": event_type, "payload": payload});
    let reply = world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    text(&reply.body["id"])
}

async fn publish_example(world: &World, app: &str, event: &CatalogueEvent) -> Reply {
    let payload: Value = serde_json::from_str(event.example.as_str()).unwrap();
    let body = json!({"eventType": event.event_type, "payload": payload});
    world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await
}

async fn secret_of(world: &World, app: &str, ep: &str) -> SigningSecret {
    let path = format!("/api/v1/app/{app}/endpoint/{ep}/secret");
    let shown = world.call("GET", &path, Value::Null).await;
    SigningSecret::parse(&text(&shown.body["key"])).unwrap()
}

fn assert_signed(world: &World, secret: &SigningSecret, family: &str, sent: &Outbound) {
    let of = |name: &str| header(sent, &format!("{family}{name}"));
    let keys = std::slice::from_ref(secret);
    let (id, timestamp, signature) = (of("id"), of("timestamp"), of("signature"));
    let now = world.ambient.now();
    signature::verify(keys, id, timestamp, signature, &sent.body, now).unwrap();
}

/// Answers and states (Svix: 0 success, 2 fail) of the attempts on record, oldest first.
async fn tries(world: &World, app: &str, msg: &str) -> Vec<(u64, u64)> {
    let attempts = world.attempts(app, msg).await;
    let number = |value: &Value| value.as_u64().unwrap();
    attempts
        .iter()
        .map(|one| (number(&one["responseStatusCode"]), number(&one["status"])))
        .collect()
}

#[tokio::test]
async fn an_application_does_not_choose_itself_a_profile_with_laxer_rules() {
    let (world, app) = verified("dotpe").await;
    let token = world.app_token(&app);
    let path = format!("/api/v1/app/{app}/endpoint");
    let ep = text(&world.call("GET", &path, Value::Null).await.body["data"][0]["id"]);
    let one = format!("{path}/{ep}");
    let lax = json!({"url": URL, "profile": "svix"});
    for (method, path) in [("POST", &path), ("PUT", &one), ("PATCH", &one)] {
        assert_eq!(world.call_as(&token, method, path, lax.clone()).await.status, 403, "{method}");
    }
    let harmless = json!({"url": URL, "profile": null, "description": "mine"});
    for (method, status) in [("PUT", 200), ("PATCH", 200)] {
        let changed = world.call_as(&token, method, &one, harmless.clone()).await;
        assert_eq!(changed.status, status, "{method}: {changed:?}");
    }
    assert_eq!(world.call("PATCH", &one, json!({"profile": "svix"})).await.status, 200);
    // What its owner chose may be said again, and not be taken back.
    let said = json!({"url": URL, "profile": "svix"});
    assert_eq!(world.call_as(&token, "PUT", &one, said).await.status, 200);
    let back = json!({"profile": null});
    assert_eq!(world.call_as(&token, "PATCH", &one, back).await.status, 403);
}

#[tokio::test]
async fn an_endpoint_that_moves_has_to_be_verified_anew() {
    let (world, app) = verified("dotpe").await;
    let path = format!("/api/v1/app/{app}/endpoint");
    let ep = text(&world.call("GET", &path, Value::Null).await.body["data"][0]["id"]);
    let one = format!("{path}/{ep}");
    let shown = world.call("PATCH", &one, json!({"url": URL, "description": "same"})).await;
    assert!(shown.body["verifiedAt"].is_string(), "{shown:?}");
    let elsewhere = "http://127.0.0.1:9/elsewhere";
    for (method, url) in [("PATCH", elsewhere), ("PUT", "http://127.0.0.1:9/again")] {
        verify(&world, &app, &ep).await;
        let moved = world.call(method, &one, json!({"url": url})).await;
        assert_eq!((moved.status.as_u16(), moved.body.get("verifiedAt")), (200, None), "{method}");
        publish(&world, &app, "payin.failed", json!({})).await;
        world.live_s(60).await;
        assert!(world.network.sent_to(url).is_empty(), "{method}");
    }
}
