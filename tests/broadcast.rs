//! One event for all applications of an organisation.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use shared::store::{ANSWER_TTL_MS, PLACE_TTL_MS};

use crate::support::faults::Fault;
use crate::support::network::header;
use crate::support::world::{World, text};

const PATH: &str = "/api/v1/msg/broadcast";

/// A world with so many applications, each with an endpoint.
async fn world_of(applications: usize) -> (World, Vec<String>) {
    let world = World::new();
    let mut apps = vec![];
    for number in 0..applications {
        let app = world.application().await;
        world.endpoint(&app, &format!("http://127.0.0.1:9/{number}")).await;
        apps.push(app);
    }
    (world, apps)
}

fn event() -> Value {
    json!({"eventType": "news", "payload": {"b": 1, "a": "ä"}, "tags": ["all"]})
}

#[tokio::test]
async fn every_application_gets_the_event_once_and_under_an_id_of_its_own() {
    let (world, apps) = world_of(120).await;
    let begun = world.call("POST", PATH, event()).await;
    assert_eq!(begun.status, 202);
    assert_eq!(begun.body["task"], "message.broadcast");
    world.live_s(120).await;
    let task = format!("/api/v1/background-task/{}", text(&begun.body["id"]));
    let task = world.call("GET", &task, Value::Null).await.body;
    assert_eq!((&task["status"], &task["data"]["messagesSent"]), (&json!("finished"), &json!(120)));
    let mut ids = std::collections::BTreeSet::new();
    for number in 0..apps.len() {
        let sent = world.network.sent_to(&format!("http://127.0.0.1:9/{number}"));
        assert_eq!(sent.len(), 1, "{number}");
        assert_eq!(sent[0].body, "{\"a\":\"ä\",\"b\":1}");
        ids.insert(header(&sent[0], "webhook-id").to_owned());
    }
    assert_eq!(ids.len(), apps.len());
    let path = format!("/api/v1/app/{}/msg?tag=all", apps[7]);
    let listed = world.call("GET", &path, Value::Null).await.body;
    assert_eq!(listed["data"][0]["eventType"], "news");
}

#[tokio::test]
async fn its_messages_are_kept_as_long_as_the_operator_says_unless_it_says_so_itself() {
    let (mut world, apps) = world_of(1).await;
    world.admin.settings.retention_days = 5;
    world.call("POST", PATH, event()).await;
    let mut longer = event();
    longer["payloadRetentionPeriod"] = json!(20);
    world.call("POST", PATH, longer).await;
    world.live_s(120).await;
    let kept = async |world: &World| {
        let path = format!("/api/v1/app/{}/msg", apps[0]);
        world.call("GET", &path, Value::Null).await.body["data"].as_array().unwrap().len()
    };
    assert_eq!(kept(&world).await, 2);
    world.advance_s(5 * 86_400);
    assert_eq!(kept(&world).await, 1);
    world.advance_s(15 * 86_400);
    assert_eq!(kept(&world).await, 0);
}

#[tokio::test]
async fn wherever_a_call_fails_everybody_still_gets_it_once() {
    for skip in 0..40 {
        let (world, apps) = world_of(3).await;
        world.plan.fail_after(skip, if skip % 2 == 0 { Fault::Before } else { Fault::After });
        let begun = world.call("POST", PATH, event()).await;
        world.plan.end();
        if begun.status != 202 {
            // The task may have been stored: then it is carried on with.
            continue;
        }
        world.live_s(600).await;
        for number in 0..apps.len() {
            let sent = world.network.sent_to(&format!("http://127.0.0.1:9/{number}"));
            assert_eq!(sent.len(), 1, "call {skip}, application {number}");
        }
    }
}

#[tokio::test]
async fn an_application_that_has_an_event_of_that_name_is_left_out() {
    let (world, apps) = world_of(2).await;
    let own = json!({"eventType": "a", "payload": {}, "eventId": "spring"});
    world.call("POST", &format!("/api/v1/app/{}/msg", apps[0]), own).await;
    let mut named = event();
    named["eventId"] = json!("spring");
    assert_eq!(world.call("POST", PATH, named).await.status, 202);
    world.live_s(60).await;
    for number in [0, 1] {
        let sent = world.network.sent_to(&format!("http://127.0.0.1:9/{number}"));
        assert_eq!(sent.len(), 1, "{number}");
    }
    assert_eq!(world.network.sent_to("http://127.0.0.1:9/0")[0].body, "{}");
}

#[tokio::test]
async fn it_is_the_organisations_to_ask_and_its_own_applications_that_get_it() {
    let (world, apps) = world_of(1).await;
    let refused = world.call_as(&world.app_token(&apps[0]), "POST", PATH, event()).await;
    assert_eq!(refused.status, 403);
    let other = world.token_of("org_2xmplWs9TdV6pMe1NuXf3JiAb5H".parse().unwrap());
    assert_eq!(world.call_as(&other, "POST", PATH, event()).await.status, 202);
    world.live_s(60).await;
    assert!(world.network.sent().is_empty());
    for (field, value) in [
        ("eventType", json!("no spaces")),
        ("payload", json!([1])),
        ("eventId", json!("")),
        ("channels", json!([])),
        ("channels", json!(["a", "b", "c", "d", "e", "f"])),
        ("channels", json!(["a", "a"])),
        ("tags", json!(["no spaces"])),
        ("payloadRetentionPeriod", json!(4)),
        ("deliverAt", json!("2027-01-16T00:00:00Z")),
    ] {
        let mut wrong = event();
        wrong[field] = value;
        let refused = world.call("POST", PATH, wrong).await;
        assert_eq!(refused.status, 422, "{field}");
        assert_eq!(refused.body["detail"][0]["loc"][1], field);
    }
}

#[tokio::test]
async fn wherever_a_request_with_a_name_dies_its_repetition_publishes_nothing_twice() {
    // A name is that of whoever holds this very token.
    let named = async |world: &World, token: &str| {
        let request = Request::post(PATH)
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", "spring")
            .body(Bytes::from(event().to_string()))
            .unwrap();
        world.send(request).await.status
    };
    let counts = |world: &World| {
        let of = |number: usize| world.network.sent_to(&format!("http://127.0.0.1:9/{number}"));
        [0, 1, 2].map(|number| of(number).len())
    };
    let mut begun = 0;
    for skip in 0..40 {
        let (world, _) = world_of(3).await;
        let token = world.token();
        world.plan.fail_after(skip, if skip % 2 == 0 { Fault::Before } else { Fault::After });
        named(&world, &token).await;
        world.plan.end();
        // Whoever took its place is dead by now; what it began may go on.
        world.advance_s(PLACE_TTL_MS / 1000);
        assert_eq!(named(&world, &token).await, 202, "call {skip}");
        world.live_s(600).await;
        assert_eq!(counts(&world), [1; 3], "call {skip}");
        let tasks = world.call("GET", "/api/v1/background-task", Value::Null).await;
        begun += usize::from(tasks.body["data"].as_array().unwrap().len() > 1);
        // When its answer is kept no more the name is another request's.
        world.advance_s(ANSWER_TTL_MS / 1000);
        assert_eq!(named(&world, &token).await, 202, "call {skip}");
        world.live_s(600).await;
        assert_eq!(counts(&world), [2; 3], "call {skip}");
    }
    assert!(begun > 0, "in no case were there two tasks");
}
