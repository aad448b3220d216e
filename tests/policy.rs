//! Delivery settings: an endpoint's own count before the defaults.

use serde_json::json;
use shared::domain::delivery_settings::{DeliverySettings, Statuses};
use shared::domain::endpoint::Endpoint;

use crate::support::network::answer;
use crate::support::world::World;

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn an_endpoint_is_given_the_time_that_it_asked_for() {
    let trip =
        Trip::with(DeliverySettings { timeout_ms: Some(5_000), ..DeliverySettings::default() })
            .await;
    trip.deliver().await;
    assert_eq!(trip.world.network.sent()[0].timeout_ms, 5_000);
}

#[tokio::test]
async fn an_endpoint_without_retries_is_tried_once() {
    let trip = Trip::with(DeliverySettings {
        schedule_s: Some(Vec::new()),
        ..DeliverySettings::default()
    })
    .await;
    trip.world.network.always(URL, answer(500));
    trip.deliver().await;
    trip.world.live_s(86_400).await;
    assert_eq!(trip.world.network.sent().len(), 1);
}

#[tokio::test]
async fn an_endpoint_is_retried_by_its_own_schedule() {
    let trip =
        Trip::with(DeliverySettings { schedule_s: Some(vec![100]), ..DeliverySettings::default() })
            .await;
    trip.world.network.always(URL, answer(500));
    trip.deliver().await;
    trip.world.live_s(75).await;
    assert_eq!(trip.world.network.sent().len(), 1);
    trip.world.live_s(50).await;
    assert_eq!(trip.world.network.sent().len(), 2);
    trip.world.live_s(86_400).await;
    assert_eq!(trip.world.network.sent().len(), 2);
}

#[tokio::test]
async fn only_the_answers_that_an_endpoint_names_are_success() {
    let success = Some(statuses(&["200"]));
    let trip = Trip::with(DeliverySettings { success, ..DeliverySettings::default() }).await;
    trip.world.network.next(URL, answer(201));
    trip.deliver().await;
    trip.world.live_s(10).await;
    let ok: Vec<_> = trip.attempts().await;
    assert_eq!(ok, [(201, 2), (200, 0)]);
}

#[tokio::test]
async fn a_failure_that_is_not_to_be_retried_is_final() {
    for (status, attempts) in [(400, 1), (503, 2)] {
        let retry_on = Some(statuses(&["5xx", "no-answer"]));
        let trip = Trip::with(DeliverySettings { retry_on, ..DeliverySettings::default() }).await;
        trip.world.network.next(URL, answer(status));
        trip.deliver().await;
        trip.world.live_s(60).await;
        assert_eq!(trip.attempts().await.len(), attempts, "{status}");
    }
}

#[test]
fn a_status_is_in_a_set_that_names_it_or_its_class() {
    let set = statuses(&["2xx", "429", "no-answer"]);
    for (status, within) in
        [(200, true), (299, true), (429, true), (0, true), (300, false), (430, false)]
    {
        assert_eq!(set.contains(status), within, "{status}");
    }
    assert!(!statuses(&["5xx"]).contains(0));
    assert!(Statuses::any().contains(0) && Statuses::any().contains(404));
}

#[test]
fn what_is_not_a_status_is_refused_with_an_example() {
    for text in ["", "ok", "0xx", "2x", "99", "1000", "-200"] {
        let refused = Statuses::try_from(vec![text.to_owned()]).unwrap_err();
        assert!(refused.contains("`2xx`"), "{text}: {refused}");
    }
}

#[test]
fn a_layer_leaves_to_the_next_what_it_is_silent_on() {
    let first = DeliverySettings { timeout_ms: Some(1_000), ..DeliverySettings::default() };
    let second = DeliverySettings {
        timeout_ms: Some(2_000),
        schedule_s: Some(vec![1]),
        ..DeliverySettings::default()
    };
    let both = first.before(&second);
    assert_eq!((both.timeout_ms, both.schedule_s), (Some(1_000), Some(vec![1])));
}

#[test]
fn what_cannot_be_done_is_refused() {
    let wrong = DeliverySettings {
        timeout_ms: Some(26_000),
        schedule_s: Some(vec![0]),
        success: Some(statuses(&["3xx"])),
        ..DeliverySettings::default()
    };
    let fields: Vec<&str> = wrong.broken_rules().iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, ["timeoutMs", "scheduleS", "success"]);
    assert!(DeliverySettings::default().broken_rules().is_empty());
}

fn statuses(texts: &[&str]) -> Statuses {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    Statuses::try_from(texts).expect("statuses")
}

/// A message on its way to an endpoint with some settings.
struct Trip {
    world: World,
    app: String,
    msg: std::sync::Mutex<String>,
}

impl Trip {
    async fn with(settings: DeliverySettings) -> Self {
        let (world, app, ep) = World::with_endpoint(URL).await;
        let (app_id, ep_id) = (app.parse().unwrap(), ep.parse().unwrap());
        let change = |endpoint: &mut Endpoint| endpoint.settings = settings.clone();
        let editor = &world.parts.editor;
        editor.edit_endpoint(&app_id, &ep_id, world.ambient.now(), change).await.unwrap();
        Self { world, app, msg: std::sync::Mutex::default() }
    }

    async fn deliver(&self) {
        let msg = self.world.publish(&self.app, json!({"n": 1})).await;
        self.world.dispatch_all().await;
        *self.msg.lock().unwrap() = msg;
    }

    /// Answers and states (Svix: 0 success, 2 fail) of the attempts on record.
    async fn attempts(&self) -> Vec<(u64, u64)> {
        let msg = self.msg.lock().unwrap().clone();
        let attempts = self.world.attempts(&self.app, &msg).await;
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        attempts.iter().map(|a| (number(&a["responseStatusCode"]), number(&a["status"]))).collect()
    }
}
