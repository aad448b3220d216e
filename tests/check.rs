//! The conformance check: what it sends, and what it says about receivers of several kinds.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::domain::endpoint::Endpoint;
use shared::domain::secret::SigningSecret;
use shared::domain::signature;
use shared::sender::{Ending, Outbound, Outcome, Sender};

use crate::profiles::application;
use crate::support::network::{answer, header};
use crate::support::still::START;
use crate::support::world::{Builder, Reply, World, text};

const URL: &str = "http://127.0.0.1:9/hook";
const STEPS: [&str; 4] = ["valid", "duplicate", "bad-signature", "old-timestamp"];

#[tokio::test]
async fn a_good_receiver_passes_and_is_verified() {
    let stage = Stage::new("dotpe", Kind::Good).await;
    let checked = stage.check(Value::Null).await;
    assert_eq!(checked.status, 200, "{checked:?}");
    assert_eq!((&checked.body["ok"], &checked.body["verified"]), (&json!(true), &json!(true)));
    assert_eq!(names(&checked), STEPS);
    assert_eq!(statuses(&checked), [200, 200, 401, 401]);
    let endpoint = stage.world.call("GET", &stage.path(""), Value::Null).await;
    assert!(endpoint.body["verifiedAt"].is_string(), "{endpoint:?}");
}

#[tokio::test]
async fn the_event_comes_twice_under_one_id_and_the_old_one_is_an_hour_old() {
    let stage = Stage::new("svix", Kind::Good).await;
    stage.check(Value::Null).await;
    let seen = stage.receiver.seen.lock().unwrap();
    let of = |n: usize, name: &str| header(&seen[n], name).to_owned();
    assert_eq!(of(0, "webhook-id"), of(1, "webhook-id"));
    assert_eq!((&seen[0].body, &seen[0].headers), (&seen[1].body, &seen[1].headers));
    let at = |n: usize| of(n, "webhook-timestamp").parse::<u64>().unwrap();
    assert_eq!(at(0) - at(3), 3_600);
    assert_ne!(of(0, "webhook-signature"), of(2, "webhook-signature"));
}

#[tokio::test]
async fn a_check_carries_what_every_delivery_carries() {
    let stage = Stage::new("svix", Kind::Good).await;
    let own = json!({"headers": {"x-api-key": "open sesame"}});
    stage.world.call("PUT", &stage.path("/headers"), own).await;
    stage.check(Value::Null).await;
    let seen = stage.receiver.seen.lock().unwrap();
    assert_eq!(seen.len(), STEPS.len());
    for request in seen.iter() {
        assert_eq!(header(request, "x-api-key"), "open sesame");
        assert!(header(request, "user-agent").starts_with("Posthorn/"));
    }
}

#[tokio::test]
async fn a_receiver_that_takes_everything_is_told_what_to_verify() {
    let stage = Stage::new("svix", Kind::Careless).await;
    let checked = stage.check(Value::Null).await;
    assert_eq!(checked.body["ok"], false);
    assert_eq!(failed(&checked), ["bad-signature", "old-timestamp"]);
    let advice = |n: usize| text(&checked.body["steps"][n]["advice"]);
    assert!(advice(2).contains("Verify the signature over the exact bytes"), "{}", advice(2));
    assert!(advice(3).contains("signed 60 minutes ago"), "{}", advice(3));
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_and_not_verified() {
    for (kind, advice) in [
        (Kind::Always(answer(500)), "It answered 500 to a well-made event"),
        (Kind::Always(answer(302)), "It answered 302 to a well-made event"),
        (Kind::Always(Ending::TimedOut), "no answer within 5000 ms"),
        (Kind::Always(Ending::Refused("a private address".into())), "a private address"),
    ] {
        let stage = Stage::new("svix", kind).await;
        let checked = stage.check(Value::Null).await;
        assert_eq!(
            (&checked.body["ok"], &checked.body["verified"]),
            (&json!(false), &json!(false))
        );
        let given = text(&checked.body["steps"][0]["advice"]);
        assert!(given.contains(advice), "{given}");
        let endpoint = stage.world.call("GET", &stage.path(""), Value::Null).await;
        assert_eq!(endpoint.body.get("verifiedAt"), None);
    }
}

#[tokio::test]
async fn success_is_what_the_profile_says() {
    let stage = Stage::new("dotpe", Kind::Always(answer(204))).await;
    let checked = stage.check(Value::Null).await;
    let given = text(&checked.body["steps"][0]["advice"]);
    assert!(given.contains("Answer 200 as soon as it is stored"), "{given}");
    assert_eq!(checked.body["verified"], false);
}

#[tokio::test]
async fn a_slow_receiver_is_told_to_answer_first() {
    let stage = Stage::new("svix", Kind::Slow).await;
    let checked = stage.check(Value::Null).await;
    assert_eq!(failed(&checked), STEPS);
    let given = text(&checked.body["steps"][0]["advice"]);
    assert!(given.contains("3000 ms"), "{given}");
}

#[tokio::test]
async fn a_check_sends_the_example_of_an_event_type_in_the_profiles_form() {
    let stage = Stage::new("moneyhub", Kind::Good).await;
    let loaded = stage.world.call("POST", "/api/v1/profile/moneyhub/load", Value::Null).await;
    assert_eq!(loaded.status, 200, "{loaded:?}");
    let checked = stage.check(json!({"eventType": "deletedAccount"})).await;
    assert_eq!(checked.body["ok"], true, "{checked:?}");
    let first = stage.receiver.seen.lock().unwrap()[0].clone();
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(body["eventType"], "deletedAccount");
    assert!(body["payload"]["accountId"].is_string());
    let unknown = stage.check(json!({"eventType": "never.heard"})).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn an_example_of_the_profiles_own_is_sent_without_loading_it() {
    for (profile, event_type) in [
        ("dots", "app.updated"),
        ("dotpe", "payin.failed"),
        ("moneyhub", "deletedAccount"),
        ("dashx", "checkout_session.completed"),
        // Their payload is `null`, in an envelope.
        ("dashx", "checkout_session.expired"),
        ("dashx", "checkout_session.canceled"),
    ] {
        let stage = Stage::new(profile, Kind::Good).await;
        let body = json!({"eventType": event_type});
        let sent = stage.world.call("POST", &stage.path("/send-example"), body).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        stage.world.dispatch_all().await;
        assert_eq!(stage.receiver.seen.lock().unwrap().len(), 1, "{profile}");
        let path = format!("/api/v1/profile/{profile}");
        let known = stage.world.call("GET", &path, Value::Null).await;
        let events = known.body["events"].as_array().unwrap();
        let event = events.iter().find(|event| event["type"] == event_type).unwrap();
        let example: Value = serde_json::from_str(event["example"].as_str().unwrap()).unwrap();
        assert_eq!(sent.body["payload"], example, "{profile}");
    }
}

#[tokio::test]
async fn null_is_sent_as_a_test_where_an_envelope_holds_it_and_nowhere_else() {
    for (profile, event_type, status) in
        [("dashx", "checkout_session.completed", 200), ("dots", "app.updated", 422)]
    {
        let stage = Stage::new(profile, Kind::Good).await;
        let body = json!({"eventType": event_type, "payload": null});
        let sent = stage.world.call("POST", &stage.path("/send-example"), body).await;
        assert_eq!(sent.status.as_u16(), status, "{sent:?}");
        if status == 200 {
            assert_eq!(sent.body["payload"], Value::Null);
        }
    }
}

#[tokio::test]
async fn a_visitor_is_sent_no_example_of_what_is_hidden_from_it() {
    let stage = Stage::new("svix", Kind::Good).await;
    let (world, app) = (&stage.world, &stage.app);
    let schema = json!({"1": {"examples": [{"secret": "plan"}]}});
    let hidden =
        json!({"name": "hidden", "description": "", "schemas": schema, "featureFlags": ["beta"]});
    assert_eq!(world.call("POST", "/api/v1/event-type", hidden).await.status, 201);
    let visit = format!("/api/v1/auth/app-portal-access/{app}");
    for (flags, status) in [(json!([]), 404), (json!(["beta"]), 200)] {
        let visitor = world.call("POST", &visit, json!({"featureFlags": flags})).await;
        let token = text(&visitor.body["token"]);
        for operation in ["/send-example", "/check"] {
            let body = json!({"eventType": "hidden"});
            let answer = world.call_as(&token, "POST", &stage.path(operation), body).await;
            assert_eq!(answer.status.as_u16(), status, "{flags} {operation}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_check_leaves_nothing_in_the_log_and_nothing_to_retry() {
    let stage = Stage::new("svix", Kind::Always(answer(500))).await;
    stage.check(Value::Null).await;
    stage.world.live_s(60).await;
    assert_eq!(stage.receiver.seen.lock().unwrap().len(), 4);
    let log = stage.world.call("GET", &format!("/api/v1/app/{}/msg", stage.app), Value::Null).await;
    assert_eq!(log.body["data"], json!([]));
}

#[tokio::test]
async fn an_endpoint_that_gets_tokens_is_not_checked() {
    let stage = Stage::new("svix", Kind::Good).await;
    stage.world.call("PATCH", &stage.path(""), json!({"format": "jwt"})).await;
    let refused = stage.check(Value::Null).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (400, &json!("wrong_format")));
}

#[tokio::test]
async fn an_example_that_is_delivered_verifies_an_endpoint_and_only_that_one() {
    let stage = Stage::new("dotpe", Kind::Good).await;
    let (world, app) = (&stage.world, &stage.app);
    let other = world.endpoint(app, URL).await;
    world.call("POST", "/api/v1/profile/dotpe/load", Value::Null).await;
    let body = json!({"eventType": "payin.failed"});
    let sent = world.call("POST", &stage.path("/send-example"), body).await;
    assert_eq!((sent.status.as_u16(), &sent.body["test"]), (200, &json!(true)), "{sent:?}");
    world.dispatch_all().await;
    assert_eq!(stage.receiver.seen.lock().unwrap().len(), 1);
    assert_eq!(world.attempts(app, &text(&sent.body["id"])).await.len(), 1);
    let shown = world.call("GET", &stage.path(""), Value::Null).await;
    assert!(shown.body["verifiedAt"].is_string());
    let path = format!("/api/v1/app/{app}/endpoint/{other}");
    let shown = world.call("GET", &path, Value::Null).await;
    assert_eq!(shown.body.get("verifiedAt"), None);
    // From now on it gets the real ones.
    let body = json!({"eventType": "payin.failed", "payload": {}});
    world.call("POST", &format!("/api/v1/app/{app}/msg"), body).await;
    world.dispatch_all().await;
    assert_eq!(stage.receiver.seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn loading_a_profile_brings_its_event_types_with_schema_and_example() {
    let world = World::new();
    for (profile, count) in [("dots", 13), ("dotpe", 6), ("dashx", 3), ("moneyhub", 18)] {
        let path = format!("/api/v1/profile/{profile}/load");
        for _ in 0..2 {
            let loaded = world.call("POST", &path, Value::Null).await;
            assert_eq!(loaded.body["eventTypes"].as_array().unwrap().len(), count);
        }
    }
    let path = "/api/v1/event-type?limit=250&with_content=true";
    let listed = world.call("GET", path, Value::Null).await;
    let types = listed.body["data"].as_array().unwrap();
    // `refund.updated` is a type of two systems.
    assert_eq!(types.len(), 39);
    for event_type in types {
        let examples = event_type["schemas"]["1"]["examples"].as_array().unwrap();
        assert_eq!(examples.len(), 1, "{event_type}");
    }
    let shown = world.call("GET", "/api/v1/event-type/balance.threshold", Value::Null).await;
    assert_eq!(shown.body["groupName"], "dotpe");
}

#[tokio::test]
async fn a_check_waits_no_longer_than_it_says_for_an_endpoint_that_hangs() {
    let stage = Stage::new("svix", Kind::Always(Ending::TimedOut)).await;
    let checked = stage.check(Value::Null).await;
    assert_eq!((checked.status.as_u16(), failed(&checked)), (200, STEPS.map(str::to_owned).into()));
    let seen = stage.receiver.seen.lock().unwrap();
    let longest_ms = seen.iter().map(|request| request.timeout_ms).max().unwrap();
    // Those that are under way together count once.
    let rounds = 1 + (seen.len() as u64 - 1).div_ceil(*stage.receiver.most.lock().unwrap());
    assert_eq!(rounds * longest_ms, admin::LONGEST_CHECK_MS);
}

#[tokio::test]
async fn a_check_verifies_only_the_url_that_it_called() {
    let stage = Stage::new("svix", Kind::Good).await;
    let (app, ep) = (stage.app.parse().unwrap(), stage.ep.parse().unwrap());
    let editor = stage.world.admin.editor.clone();
    // While the endpoint is called, it moves.
    *stage.receiver.meanwhile.lock().unwrap() = Some(Box::pin(async move {
        let elsewhere = |endpoint: &mut Endpoint| {
            endpoint.url = "http://127.0.0.1:9/stranger".to_owned();
        };
        editor.edit_endpoint(&app, &ep, START, elsewhere).await.unwrap();
    }));
    let checked = stage.check(Value::Null).await;
    assert_eq!((&checked.body["ok"], &checked.body["verified"]), (&json!(true), &json!(false)));
    let endpoint = stage.world.call("GET", &stage.path(""), Value::Null).await;
    assert_eq!(endpoint.body["url"], "http://127.0.0.1:9/stranger");
    assert_eq!(endpoint.body.get("verifiedAt"), None);
}

/// How a receiver behaves.
enum Kind {
    /// Verifies, and refuses what does not.
    Good,
    /// Takes everything.
    Careless,
    /// As the careless one, after three seconds.
    Slow,
    Always(Ending),
}

struct Receiver {
    kind: Kind,
    secret: Mutex<Option<SigningSecret>>,
    seen: Mutex<Vec<Outbound>>,
    /// Requests that are under way, and the most that ever were.
    now: Mutex<u64>,
    most: Mutex<u64>,
    /// What happens during the first request.
    meanwhile: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

#[async_trait]
impl Sender for Receiver {
    async fn send(&self, request: Outbound) -> Outcome {
        let (duration_ms, ending) = match &self.kind {
            Kind::Good => (7, answer(if self.verifies(&request) { 200 } else { 401 })),
            Kind::Careless => (7, answer(200)),
            Kind::Slow => (3_000, answer(if self.verifies(&request) { 200 } else { 401 })),
            Kind::Always(ending) => (7, ending.clone()),
        };
        self.seen.lock().unwrap().push(request);
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        *self.now.lock().unwrap() += 1;
        let now = *self.now.lock().unwrap();
        let most = now.max(*self.most.lock().unwrap());
        *self.most.lock().unwrap() = most;
        tokio::task::yield_now().await;
        *self.now.lock().unwrap() -= 1;
        Outcome { duration_ms, ending }
    }
}

impl Receiver {
    fn verifies(&self, request: &Outbound) -> bool {
        let secret = self.secret.lock().unwrap().clone().unwrap();
        let of = |name: &str| header(request, &format!("svix-{name}"));
        let (id, timestamp, signatures) = (of("id"), of("timestamp"), of("signature"));
        signature::verify(&[secret], id, timestamp, signatures, &request.body, START).is_ok()
    }
}

struct Stage {
    world: World,
    receiver: Arc<Receiver>,
    app: String,
    ep: String,
}

impl Stage {
    async fn new(profile: &str, kind: Kind) -> Self {
        let receiver = Arc::new(Receiver {
            kind,
            secret: Mutex::default(),
            seen: Mutex::default(),
            now: Mutex::default(),
            most: Mutex::default(),
            meanwhile: Mutex::default(),
        });
        let sender: Arc<dyn Sender> = receiver.clone();
        let world = World::build(Builder { sender: Some(sender), ..Builder::default() });
        let app = application(&world, profile).await;
        // Brought along: some profiles show it when it is made and never again.
        let secret = format!("whsec_{}", "c2Vj".repeat(8));
        let ep = world.endpoint_with(&app, json!({"url": URL, "secret": secret})).await;
        *receiver.secret.lock().unwrap() = Some(SigningSecret::parse(&secret).unwrap());
        Self { world, receiver, app, ep }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/app/{}/endpoint/{}{rest}", self.app, self.ep)
    }

    async fn check(&self, body: Value) -> Reply {
        let token = self.world.app_token(&self.app);
        match body.get("eventType") {
            // Event types are the organisation's.
            Some(_) => self.world.call("POST", &self.path("/check"), body).await,
            None => self.world.call_as(&token, "POST", &self.path("/check"), body).await,
        }
    }
}

fn names(checked: &Reply) -> Vec<String> {
    checked.body["steps"].as_array().unwrap().iter().map(|step| text(&step["name"])).collect()
}

fn statuses(checked: &Reply) -> Vec<u64> {
    let steps = checked.body["steps"].as_array().unwrap();
    steps.iter().map(|step| step["status"].as_u64().unwrap()).collect()
}

fn failed(checked: &Reply) -> Vec<String> {
    let steps = checked.body["steps"].as_array().unwrap();
    steps.iter().filter(|step| step["ok"] == false).map(|step| text(&step["name"])).collect()
}
