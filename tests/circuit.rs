//! Endpoints that do not answer are left alone: no attempt is spent on them, one probe at a time
//! finds out when they are back, and nothing is lost meanwhile.

use std::collections::BTreeSet;

use dispatch::Settings;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::domain::circuit::{
    Circuit, FIRST_PROBE_MS, FORGOTTEN_AFTER_MS, LONGEST_WAIT_MS, OPENS_AFTER, PATIENCE_MS,
    Passage, instead_of_probe, passage, probing, silent,
};
use shared::domain::clock::Timestamp;
use shared::domain::schedule::Schedule;
use shared::sender::Ending;

use crate::support::faults::Fault;
use crate::support::network::{answer, header};
use crate::support::still::START;
use crate::support::world::{Builder, World};

const URL: &str = "http://127.0.0.1:9/hook";

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_left_alone_and_gets_everything_when_it_is_back() {
    let (world, app, ep) = silent_endpoint(Settings::default()).await;
    let before = world.network.sent().len();
    let mut waiting = BTreeSet::new();
    for _ in 0..20 {
        waiting.insert(world.publish(&app, json!({})).await);
        world.live_s(60).await;
    }
    // Twenty minutes: the probes, and no others.
    let probes = world.network.sent().len() - before;
    assert!((4..=8).contains(&probes), "{probes}");
    let shown = world.call("GET", &format!("/api/v1/app/{app}/endpoint/{ep}"), Value::Null).await;
    assert!(shown.body["unansweredSince"].is_string(), "{shown:?}");
    let attempts = attempts(&world, &app, &waiting).await;
    assert!(attempts <= probes, "{attempts} attempts spent, {probes} of them probes");

    world.network.always(URL, answer(200));
    world.live_s(3_600).await;
    let sent = world.network.sent();
    let arrived: BTreeSet<String> =
        sent[before + probes..].iter().map(|sent| header(sent, "webhook-id").to_owned()).collect();
    assert!(waiting.is_subset(&arrived), "{:?}", waiting.difference(&arrived));
    let shown = world.call("GET", &format!("/api/v1/app/{app}/endpoint/{ep}"), Value::Null).await;
    assert_eq!(shown.body["unansweredSince"], Value::Null);
}

#[tokio::test]
async fn an_endpoint_that_is_left_alone_is_on_the_operators_list_since_it_was_silent() {
    // So late that each probe is the first attempt of another message.
    let settings = Settings { schedule: Schedule::new(vec![86_400]), ..Settings::default() };
    let (world, app, ep) = silent_endpoint(settings).await;
    let began = world.ambient.now().to_rfc3339();
    let mut last = String::new();
    for _ in 0..20 {
        last = world.publish(&app, json!({})).await;
        world.live_s(60).await;
    }
    let path = format!("/api/v1/app/{app}/msg/{last}/explain");
    let explained = world.call("GET", &path, Value::Null).await.body;
    let told = explained["endpoints"][0]["says"].as_str().expect("a sentence");
    assert!(told.starts_with("It waits until the endpoint answers again"), "{explained}");
    let failing = world.call("GET", "/api/v1/operator/failing", Value::Null).await.body;
    let listed = failing["data"].as_array().expect("a list");
    assert_eq!(listed.len(), 1, "{failing}");
    assert_eq!((&listed[0]["endpointId"], &listed[0]["failingSince"]), (&ep.into(), &began.into()));
}

#[tokio::test]
async fn without_circuits_every_delivery_waits_for_the_endpoint() {
    let mut settings = Settings::default();
    settings.without.circuits = true;
    let (world, app, _) = silent_endpoint(settings).await;
    let before = world.network.sent().len();
    for _ in 0..20 {
        world.publish(&app, json!({})).await;
    }
    world.live_s(60).await;
    assert!(world.network.sent().len() - before >= 20);
}

#[tokio::test]
async fn an_endpoint_that_answers_whatever_it_says_is_called() {
    let world = World::new();
    let app = world.application().await;
    world.endpoint(&app, URL).await;
    for status in [500, 503, 404, 429] {
        world.network.always(URL, answer(status));
        let before = world.network.sent().len();
        for _ in 0..10 {
            world.publish(&app, json!({})).await;
        }
        world.dispatch_all().await;
        assert_eq!(world.network.sent().len() - before, 10, "{status}");
    }
    // Nor does one answer among silences count for nothing.
    for _ in 0..10 {
        for ending in [Ending::TimedOut, Ending::TimedOut, Ending::TimedOut, answer(500)] {
            world.network.next(URL, ending);
            world.publish(&app, json!({})).await;
            let before = world.network.sent().len();
            world.dispatch_all().await;
            assert_eq!(world.network.sent().len(), before + 1);
        }
    }
}

#[tokio::test]
async fn another_endpoint_does_not_notice() {
    let (world, app, _) = silent_endpoint(Settings::default()).await;
    let other = format!("{URL}/other");
    world.network.always(&other, answer(200));
    world.endpoint(&app, &other).await;
    for _ in 0..10 {
        world.publish(&app, json!({})).await;
    }
    world.dispatch_all().await;
    assert_eq!(world.network.sent_to(&other).len(), 10);
}

#[tokio::test]
async fn a_probe_that_the_store_did_not_let_through_is_made_soon_after() {
    for call in 0..8 {
        let (world, app, _) = silent_endpoint(Settings::default()).await;
        world.network.always(URL, answer(200));
        world.advance_s(60);
        let msg = world.publish(&app, json!({})).await;
        world.plan.fail_after(call, Fault::Before);
        world.dispatch().await;
        world.live_s(600).await;
        let arrived = world.network.sent().iter().any(|sent| header(sent, "webhook-id") == msg);
        assert!(arrived, "without call {call}");
    }
}

#[tokio::test]
async fn an_endpoint_that_moves_or_is_enabled_anew_is_called_at_once() {
    for patch in [vec![json!({"url": format!("{URL}/new")})], {
        vec![json!({"disabled": true}), json!({"disabled": false})]
    }] {
        let (world, app, ep) = silent_endpoint(Settings::default()).await;
        for patch in patch {
            let path = format!("/api/v1/app/{app}/endpoint/{ep}");
            assert_eq!(world.call("PATCH", &path, patch).await.status, 200);
        }
        let before = world.network.sent().len();
        world.publish(&app, json!({})).await;
        world.dispatch_all().await;
        assert!(world.network.sent().len() > before);
    }
}

#[tokio::test]
async fn a_delivery_to_an_endpoint_that_never_comes_back_ends_with_its_schedule() {
    let (world, app, _) = silent_endpoint(Settings::default()).await;
    let msg = world.publish(&app, json!({})).await;
    world.live_s(3 * 86_400).await;
    let attempts = world.attempts(&app, &msg).await;
    assert_eq!(attempts.len(), 8);
    assert_eq!(world.queues.retries.len(), 0);
}

/// A world whose endpoint has just been found silent.
async fn silent_endpoint(settings: Settings) -> (World, String, String) {
    let world = World::build(Builder { settings, ..Builder::default() });
    let app = world.application().await;
    let ep = world.endpoint(&app, URL).await;
    world.network.always(URL, Ending::TimedOut);
    for _ in 0..OPENS_AFTER {
        world.publish(&app, json!({})).await;
        world.dispatch().await;
    }
    assert_eq!(world.network.sent().len(), OPENS_AFTER as usize);
    (world, app, ep)
}

async fn attempts(world: &World, app: &str, msgs: &BTreeSet<String>) -> usize {
    let mut all = 0;
    for msg in msgs {
        all += world.attempts(app, msg).await.len();
    }
    all
}

#[derive(Clone, Debug)]
enum Step {
    /// Time passes, in milliseconds.
    Pass(u64),
    /// A crowd of so many asks, each having seen the same state.
    Ask(u8),
    /// A request was not answered.
    Silence,
    /// One was.
    Answer,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..700_000_u64).prop_map(Step::Pass),
        (1..6_u8).prop_map(Step::Ask),
        Just(Step::Silence),
        Just(Step::Silence),
        Just(Step::Silence),
        Just(Step::Answer),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn a_circuit_opens_after_silences_in_a_row_lets_one_probe_through_and_closes_with_an_answer(
        steps in steps(),
        random: u64,
    ) {
        let (mut circuit, mut now): (Option<Circuit>, Timestamp) = (None, START);
        let (mut in_a_row, mut last_probe) = (0, None::<Timestamp>);
        for step in steps {
            match step {
                Step::Pass(ms) => now = now.plus_ms(ms),
                Step::Silence => {
                    let stale = circuit.is_some_and(|it| {
                        it.open.is_none() && now.since(it.last_at) >= FORGOTTEN_AFTER_MS
                    });
                    in_a_row = if stale { 1 } else { in_a_row + 1 };
                    circuit = Some(silent(circuit.as_ref(), now));
                }
                Step::Answer => (circuit, in_a_row, last_probe) = (None, 0, None),
                Step::Ask(crowd) => {
                    let seen = circuit;
                    let mut gone = 0;
                    for _ in 0..crowd {
                        let went = match passage(seen.as_ref(), now, random) {
                            Passage::Go => true,
                            Passage::Probe => match probing(circuit.as_ref(), now) {
                                Some(next) => {
                                    circuit = Some(next);
                                    true
                                }
                                None => match instead_of_probe(seen.as_ref(), now, random) {
                                    Passage::Wait { until } => {
                                        prop_assert!(until > now);
                                        false
                                    }
                                    Passage::Shut { .. } => false,
                                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                                },
                            },
                            Passage::Wait { until } => {
                                prop_assert!(until > now && now.plus_ms(LONGEST_WAIT_MS) >= until);
                                false
                            }
                            Passage::Shut { since } => {
                                prop_assert!(now.since(since) >= PATIENCE_MS);
                                false
                            }
                        };
                        gone += usize::from(went);
                    }
                    let open = seen.is_some_and(|it| it.open.is_some());
                    prop_assert_eq!(open, in_a_row >= OPENS_AFTER);
                    if open {
                        prop_assert!(gone <= 1, "{gone} probes at once");
                        if gone == 1 {
                            let early = last_probe.is_some_and(|at| now.since(at) < FIRST_PROBE_MS);
                            prop_assert!(!early);
                            last_probe = Some(now);
                        }
                    } else {
                        prop_assert_eq!(gone, usize::from(crowd));
                    }
                }
            }
        }
    }
}
