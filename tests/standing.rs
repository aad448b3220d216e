//! How far a message is, in each of the places that say it: the list of deliveries, the endpoints
//! of a message, the messages of an endpoint, and the explanation.

use serde_json::{Value, json};

use crate::support::network::answer;
use crate::support::world::{World, text};

const URL: &str = "http://127.0.0.1:9/hook";

struct Told {
    world: World,
    app: String,
    ep: String,
}

/// What each place says: state in the list, status at the endpoint and in its list, verdict.
type Said = (String, Option<i64>, Option<i64>, String);

impl Told {
    async fn new(endpoint: Value) -> Self {
        let (world, app) = World::with_application().await;
        let mut said = json!({"url": URL});
        said.as_object_mut().unwrap().extend(endpoint.as_object().unwrap().clone());
        let ep = world.endpoint_with(&app, said).await;
        Self { world, app, ep }
    }

    async fn get(&self, path: &str) -> Value {
        let path = format!("/api/v1/app/{}{path}", self.app);
        let reply = self.world.call("GET", &path, Value::Null).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.body
    }

    async fn post(&self, path: &str, body: Value) {
        let path = format!("/api/v1/app/{}{path}", self.app);
        let reply = self.world.call("POST", &path, body).await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
    }

    async fn of(&self, msg: &str) -> Said {
        let list = self.get("/delivery").await;
        let row = list["data"].as_array().unwrap().iter().find(|row| row["id"] == msg).cloned();
        let at = self.get(&format!("/msg/{msg}/endpoint")).await["data"][0]["status"].as_i64();
        let own = self.get(&format!("/endpoint/{}/msg", self.ep)).await;
        let own = own["data"].as_array().unwrap().iter().find(|one| one["id"] == msg).cloned();
        let explained = self.get(&format!("/msg/{msg}/explain")).await;
        let verdict = text(&explained["endpoints"][0]["verdict"]);
        // A list that is confined to the state has the message, and another one has not.
        let state = text(&row.unwrap()["state"]);
        for wanted in ["delivered", "failing", "failed", "canceled", "waiting", "none"] {
            let list = self.get(&format!("/delivery?state={wanted}")).await;
            let listed = list["data"].as_array().unwrap().iter().any(|row| row["id"] == msg);
            assert_eq!(listed, state == wanted, "{state} among {wanted}");
        }
        (state, at, own.and_then(|one| one["status"].as_i64()), verdict)
    }
}

fn said(state: &str, status: Option<i64>, verdict: &str) -> Said {
    (state.to_owned(), status, status, verdict.to_owned())
}

#[tokio::test]
async fn every_place_agrees_from_the_queue_to_the_end() {
    let told = Told::new(json!({"retrySchedule": [60]})).await;
    told.world.network.always(URL, answer(500));
    let msg = told.world.publish(&told.app, json!({})).await;
    assert_eq!(told.of(&msg).await, said("waiting", None, "waiting"));
    told.world.advance_s(60);
    assert_eq!(told.of(&msg).await, said("waiting", None, "waiting"), "a queue may be long");
    told.world.dispatch_all().await;
    assert_eq!(told.of(&msg).await, said("failing", Some(3), "retrying"));
    told.world.advance_s(100);
    told.world.dispatch_all().await;
    assert_eq!(told.of(&msg).await, said("failed", Some(2), "failed"));
    told.world.network.always(URL, answer(200));
    told.post(&format!("/msg/{msg}/endpoint/{}/resend", told.ep), Value::Null).await;
    told.world.dispatch_all().await;
    assert_eq!(told.of(&msg).await, said("delivered", Some(0), "delivered"));
}

#[tokio::test]
async fn what_goes_nowhere_is_told_so_at_once_and_what_was_missed_a_quarter_of_an_hour_later() {
    let told = Told::new(json!({"filterTypes": ["other"]})).await;
    let msg = told.world.publish(&told.app, json!({})).await;
    assert_eq!(told.of(&msg).await, said("none", None, "skipped"));
    let told = Told::new(json!({})).await;
    let msg = told.world.publish(&told.app, json!({})).await;
    told.world.advance_s(14 * 60);
    assert_eq!(told.of(&msg).await, said("waiting", None, "waiting"));
    told.world.advance_s(2 * 60);
    assert_eq!(told.of(&msg).await, said("none", None, "missed"));
}

#[tokio::test]
async fn what_is_canceled_is_shown_so_everywhere() {
    let told = Told::new(json!({})).await;
    told.world.network.always(URL, answer(500));
    let msg = told.world.publish(&told.app, json!({})).await;
    told.world.dispatch_all().await;
    told.post(&format!("/msg/{msg}/cancel"), Value::Null).await;
    assert_eq!(told.of(&msg).await, said("canceled", Some(4), "canceled"));
}

#[tokio::test]
async fn what_waits_for_the_rate_waits_everywhere_and_fails_everywhere_once_it_was_tried_by_hand() {
    let told = Told::new(json!({"rateLimit": 1})).await;
    for _ in 0..4 {
        told.world.publish(&told.app, json!({})).await;
    }
    told.world.dispatch_all().await;
    let list = told.get("/delivery?state=waiting").await;
    let msg = text(&list["data"][0]["id"]);
    assert_eq!(told.of(&msg).await, said("waiting", Some(1), "waiting"));
    told.world.network.always(URL, answer(500));
    let path = format!("/api/v1/app/{}/endpoint/{}", told.app, told.ep);
    let free = told.world.call("PATCH", &path, json!({"rateLimit": null})).await;
    assert_eq!(free.status, 200, "{free:?}");
    told.post(&format!("/msg/{msg}/endpoint/{}/resend", told.ep), Value::Null).await;
    told.world.dispatch_all().await;
    let (state, at, _, verdict) = told.of(&msg).await;
    assert_eq!((state.as_str(), at, verdict.as_str()), ("failing", Some(3), "retrying"));
}

#[tokio::test]
async fn what_became_of_a_message_stays_known_when_its_endpoint_is_deleted() {
    let told = Told::new(json!({"retrySchedule": [60]})).await;
    let taken = told.world.publish(&told.app, json!({})).await;
    told.world.dispatch_all().await;
    told.world.network.always(URL, answer(500));
    let open = told.world.publish(&told.app, json!({})).await;
    told.world.dispatch_all().await;
    let path = format!("/api/v1/app/{}/endpoint/{}", told.app, told.ep);
    assert_eq!(told.world.call("DELETE", &path, Value::Null).await.status, 204);
    let of = async |msg: &str| {
        let list = told.get("/delivery").await;
        let row = list["data"].as_array().unwrap().iter().find(|row| row["id"] == msg).cloned();
        let row = row.unwrap();
        (text(&row["state"]), row["delivered"].as_u64(), row["nextAttempt"].clone())
    };
    // Nothing more is tried there, whatever is on record.
    let (arrived, given_up) = (("delivered".to_owned(), Some(1), Value::Null), "failed".to_owned());
    assert_eq!(of(&taken).await, arrived);
    assert_eq!(of(&open).await, (given_up.clone(), Some(0), Value::Null));
    told.world.live_s(100).await;
    assert_eq!(of(&open).await, (given_up, Some(0), Value::Null));
    assert_eq!(told.world.network.sent().len(), 2);
}
