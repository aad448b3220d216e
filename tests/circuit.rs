//! Endpoints that do not answer are left alone: no attempt is spent on them, one probe at a time
//! finds out when they are back, and nothing is lost meanwhile.

use std::collections::BTreeSet;

use dispatch::Settings;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::domain::circuit::{
    Circuit, FIRST_PROBE_MS, FORGOTTEN_AFTER_MS, LONGEST_FIRST_WAIT_MS, LONGEST_PROBE_MS,
    LONGEST_WAIT_MS, OPENS_AFTER, PATIENCE_MS, Passage, Progress, instead_of_probe, passage,
    probing, silent,
};
use shared::domain::clock::Timestamp;
use shared::domain::schedule::Schedule;
use shared::queue::Producer;
use shared::queue::record::Record;
use shared::sender::Ending;

use crate::support::faults::Fault;
use crate::support::network::{answer, header};
use crate::support::still::START;
use crate::support::world::{Builder, World, text};

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
async fn a_probe_waits_for_no_rate_that_others_use_up() {
    let (world, app, ep) = silent_endpoint(Settings::default()).await;
    let other = "http://127.0.0.1:9/other";
    world.describe("test.event").await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    see_to(&world, &path, &[json!({"eventTypes": ["test.event"]})]).await;
    world.endpoint_with(&app, json!({"url": other, "eventTypes": ["busy"]})).await;
    let path = format!("/api/v1/app/{app}");
    world.call("PATCH", &path, json!({"throttleRate": 1})).await;
    world.network.always(URL, answer(200));
    let before = world.network.sent_to(URL).len();
    for n in 0..600 {
        let busy = json!({"eventType": "busy", "payload": {"n": n}});
        world.call("POST", &format!("{path}/msg"), busy).await;
    }
    world.publish(&app, json!({})).await;
    world.live_s(200).await;
    assert!(world.network.sent_to(other).len() > 150, "the rate is used up");
    assert!(world.network.sent_to(URL).len() > before, "no probe in 200 s");
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
    let (world, app, _) = World::with_endpoint(URL).await;
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
async fn what_waits_for_hours_costs_little_and_goes_out_with_the_next_probe_that_is_answered() {
    const MESSAGES: usize = 300;
    // So late that nothing which had an attempt makes a probe.
    let settings = Settings { schedule: Schedule::new(vec![86_400]), ..Settings::default() };
    let (world, app, _) = silent_endpoint(settings).await;
    let mut waiting = BTreeSet::new();
    for _ in 0..MESSAGES {
        waiting.insert(world.publish(&app, json!({})).await);
    }
    world.dispatch_all().await;
    let (before, usage) = (world.network.sent().len(), world.meter.usage());
    world.live_s(4 * 3_600).await;
    // Nothing new is published, and the endpoint is asked all the same: every five minutes, and
    // half a minute later at the most.
    let probes = world.network.sent().len() - before;
    assert!((40..=60).contains(&probes), "{probes}");
    let used = world.meter.usage();
    let each = |now: f64, before: f64| (now - before) / MESSAGES as f64;
    let writes = each(used.write_units as f64, usage.write_units as f64);
    let reads = each(used.read_units, usage.read_units);
    let requests = each(used.sqs_requests as f64, usage.sqs_requests as f64);
    assert!(
        writes < 60.0 && reads < 60.0 && requests < 10.0,
        "for each that waits {writes} write units, {reads} read units, {requests} requests of SQS"
    );

    world.network.always(URL, answer(200));
    let before = world.network.sent().len();
    world.live_s(LONGEST_PROBE_MS / 1000 + 60).await;
    assert_all_arrived(&world, before, &waiting);
}

#[tokio::test]
async fn what_waits_goes_out_at_once_when_somebody_sees_to_the_endpoint() {
    let repairs = [
        "moves",
        "is enabled anew",
        "moves while disabled",
        "moves and is disabled",
        "takes one by hand",
    ];
    for repair in repairs {
        let (world, app, ep) = silent_endpoint(Settings::default()).await;
        let mut waiting = BTreeSet::new();
        for _ in 0..40 {
            waiting.insert(world.publish(&app, json!({})).await);
        }
        world.live_s(3_600).await;
        let moved = format!("{URL}/new");
        world.network.always(URL, answer(200));
        world.network.always(&moved, answer(200));
        let before = world.network.sent().len();
        let (path, id) = (format!("/api/v1/app/{app}/endpoint/{ep}"), ep.parse().unwrap());
        let [off, on] = [json!({"disabled": true}), json!({"disabled": false})];
        let to = json!({"url": moved});
        match repair {
            "moves" => see_to(&world, &path, &[to]).await,
            "is enabled anew" => see_to(&world, &path, &[off, on]).await,
            "moves while disabled" => see_to(&world, &path, &[off, to, on]).await,
            "moves and is disabled" => {
                let both = json!({"url": moved, "disabled": true});
                see_to(&world, &path, &[both, on]).await;
            }
            _ => {
                let first = waiting.pop_first().unwrap();
                let path = format!("/api/v1/app/{app}/msg/{first}/endpoint/{ep}/resend");
                assert_eq!(world.call("POST", &path, json!({})).await.status, 202);
            }
        }
        world.live_s(10).await;
        let sent = arrived(&world, before);
        for msg in waiting.difference(&sent) {
            // Unless it was a probe before, and waits for its second attempt; or came due when the
            // endpoint was disabled, and is over.
            let found = world.parts.deliveries.delivery(&msg.parse().unwrap(), &id).await.unwrap();
            let waits =
                found.is_some_and(|it| it.value.attempts == 0 && it.value.pending().is_some());
            assert!(!waits, "{repair}: {msg} still waits");
        }
        assert!(!sent.is_empty(), "{repair}");
    }
}

#[tokio::test]
async fn a_release_brings_nothing_to_an_endpoint_that_is_silent_again_or_disabled() {
    for disabled in [false, true] {
        let (world, app, ep) = silent_endpoint(Settings::default()).await;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(world.publish(&app, json!({})).await);
        }
        world.dispatch_all().await;
        if disabled {
            let path = format!("/api/v1/app/{app}/endpoint/{ep}");
            // At another place it has been silent to nobody.
            for patch in [json!({"url": format!("{URL}/new")}), json!({"disabled": true})] {
                assert_eq!(world.call("PATCH", &path, patch).await.status, 200);
            }
        }
        let queued = world.queues.retries.len();
        let (app, ep) = (app.parse().unwrap(), ep.parse().unwrap());
        let until = START.plus_ms(3_600_000);
        let release =
            Record::Release { app, ep: Some(ep), raised: false, since: START, until, from: None };
        world.queues.retries.send(vec![release.outgoing(0)]).await.unwrap();
        world.dispatch_all().await;
        assert_eq!(world.queues.retries.len(), queued);
        for msg in waiting {
            let found = world.parts.deliveries.delivery(&msg.parse().unwrap(), &ep).await.unwrap();
            assert!(found.unwrap().value.pending().is_some(), "disabled: {disabled}");
        }
    }
}

#[tokio::test]
async fn what_waits_is_released_when_the_endpoint_falls_silent_in_between() {
    const MESSAGES: usize = 1_100;
    let (world, app, ep) = silent_endpoint(Settings::default()).await;
    let mut waiting = BTreeSet::new();
    for _ in 0..MESSAGES {
        waiting.insert(world.publish(&app, json!({})).await);
    }
    world.live_s(1_200).await;
    world.network.always(URL, answer(200));
    let before = world.network.sent().len();
    // A page of it arrives.
    while arrived(&world, before).len() < 100 {
        world.live_s(5).await;
        assert!(world.network.sent().len() - before < MESSAGES / 2 + 50);
    }
    world.network.always(URL, Ending::TimedOut);
    world.live_s(3_600).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let shown = world.call("GET", &path, Value::Null).await;
    assert!(shown.body["unansweredSince"].is_string(), "{shown:?}");
    assert!(arrived(&world, 0).len() < MESSAGES);
    world.network.always(URL, answer(200));
    world.live_s(LONGEST_PROBE_MS / 1000 + 60).await;
    assert_all_arrived(&world, before, &waiting);
}

#[tokio::test]
async fn what_is_released_comes_once_and_soon_though_a_call_fails_in_the_middle() {
    let faults = (0..8).flat_map(|call| [(call, Fault::Before), (call, Fault::After)]);
    for (call, fault) in faults {
        let (world, app, ep) = silent_endpoint(Settings::default()).await;
        let mut waiting = BTreeSet::new();
        // More than one batch of the queue.
        for _ in 0..25 {
            waiting.insert(world.publish(&app, json!({})).await);
        }
        world.live_s(1_200).await;
        let moved = format!("{URL}/new");
        world.network.always(&moved, answer(200));
        let path = format!("/api/v1/app/{app}/endpoint/{ep}");
        assert_eq!(world.call("PATCH", &path, json!({"url": moved})).await.status, 200);
        let probes = arrived(&world, 0);
        world.plan.fail_after(call, fault);
        world.advance_s(5);
        world.dispatch().await;
        world.live_s(120).await;
        let sent = world.network.sent_to(&moved);
        for msg in waiting.difference(&probes) {
            let times = sent.iter().filter(|sent| header(sent, "webhook-id") == msg).count();
            assert_eq!(times, 1, "{fault:?} in call {call}: {msg}");
        }
    }
}

#[tokio::test]
async fn what_was_published_long_before_and_came_due_in_the_silence_comes_by_itself() {
    let (world, app, _) = silent_endpoint(Settings::default()).await;
    world.network.always(URL, answer(200));
    world.live_s(600).await;
    let at = world.ambient.now().plus_ms(3_600_000).to_rfc3339();
    let event = json!({"eventType": "test.event", "payload": {}, "deliverAt": at});
    let path = format!("/api/v1/app/{app}/msg");
    let mut planned = BTreeSet::new();
    for _ in 0..8 {
        planned.insert(text(&world.call("POST", &path, event.clone()).await.body["id"]));
    }
    world.live_s(3_000).await;
    world.network.always(URL, Ending::TimedOut);
    for _ in 0..OPENS_AFTER {
        world.publish(&app, json!({})).await;
    }
    world.live_s(1_200).await;
    assert_comes_by_itself(&world, &planned).await;
}

#[tokio::test]
async fn one_that_is_released_to_an_endpoint_in_vain_makes_the_next_probe() {
    // So late that nothing which had an attempt makes one.
    let settings = Settings { schedule: Schedule::new(vec![86_400]), ..Settings::default() };
    let (world, app, ep) = silent_endpoint(settings).await;
    let mut waiting = BTreeSet::new();
    for _ in 0..40 {
        waiting.insert(world.publish(&app, json!({})).await);
    }
    world.live_s(1_200).await;
    let before = world.network.sent().len();
    world.network.always(URL, answer(200));
    while world.network.sent().len() == before {
        world.live_s(1).await;
    }
    world.network.always(URL, Ending::TimedOut);
    // Its circuit closes, all comes back, and opens it again.
    world.live_s(20).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    let shown = world.call("GET", &path, Value::Null).await;
    assert!(shown.body["unansweredSince"].is_string(), "{shown:?}");
    world.network.always(URL, answer(200));
    world.live_s(FIRST_PROBE_MS / 1000 + 30).await;
    assert_all_arrived(&world, before, &waiting);
}

#[tokio::test]
async fn what_was_replayed_in_the_silence_comes_by_itself() {
    let (world, app, ep) = silent_endpoint(Settings::default()).await;
    let path = format!("/api/v1/app/{app}/endpoint/{ep}");
    world.describe("of.others").await;
    see_to(&world, &path, &[json!({"filterTypes": ["of.others"]})]).await;
    let since = world.ambient.now().to_rfc3339();
    let mut replayed = BTreeSet::new();
    for _ in 0..8 {
        replayed.insert(world.publish(&app, json!({})).await);
    }
    world.dispatch_all().await;
    see_to(&world, &path, &[json!({"filterTypes": null})]).await;
    let replay = format!("{path}/replay-missing");
    assert_eq!(world.call("POST", &replay, json!({"since": since})).await.status, 202);
    world.live_s(1_200).await;
    assert_comes_by_itself(&world, &replayed).await;
}

#[tokio::test]
async fn all_that_waits_is_released_however_much_it_is() {
    // More than two pages of the endpoint's list.
    const MESSAGES: usize = 1_100;
    let (world, app, _) = silent_endpoint(Settings::default()).await;
    let mut waiting = BTreeSet::new();
    for _ in 0..MESSAGES {
        waiting.insert(world.publish(&app, json!({})).await);
    }
    world.live_s(1_200).await;
    world.network.always(URL, answer(200));
    let before = world.network.sent().len();
    world.live_s(LONGEST_PROBE_MS / 1000 + 60).await;
    assert_all_arrived(&world, before, &waiting);
}

#[tokio::test]
async fn a_delivery_to_an_endpoint_that_never_comes_back_ends_with_its_schedule() {
    let (world, app, _) = silent_endpoint(Settings::default()).await;
    let mut msgs = BTreeSet::new();
    for _ in 0..24 {
        msgs.insert(world.publish(&app, json!({})).await);
        world.live_s(3_600).await;
    }
    world.live_s(3 * 86_400).await;
    assert_eq!(world.queues.retries.len(), 0);
    // Some were probes. Of the others nothing is wrong with where they lead.
    let mut kinds = BTreeSet::new();
    for msg in msgs {
        assert_eq!(world.attempts(&app, &msg).await.len(), 8);
        let path = format!("/api/v1/app/{app}/msg/{msg}/explain");
        let told = world.call("GET", &path, Value::Null).await.body;
        kinds.insert(text(&told["endpoints"][0]["lastAttempt"]["failure"]["kind"]));
    }
    assert_eq!(kinds, ["circuit_open", "timeout"].map(str::to_owned).into());
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

/// Makes these changes of an endpoint, one after the other.
async fn see_to(world: &World, path: &str, patches: &[Value]) {
    for patch in patches {
        assert_eq!(world.call("PATCH", path, patch.clone()).await.status, 200);
        world.live_s(10).await;
    }
}

/// The messages of which requests were sent from this one on.
fn arrived(world: &World, from: usize) -> BTreeSet<String> {
    world.network.sent()[from..].iter().map(|sent| header(sent, "webhook-id").to_owned()).collect()
}

/// That these come within what a delivery waits at the most once the endpoint answers, but for some
/// that were probes before.
async fn assert_comes_by_itself(world: &World, waiting: &BTreeSet<String>) {
    let late: BTreeSet<_> = waiting.difference(&arrived(world, 0)).cloned().collect();
    assert!(late.len() > 2, "{late:?}");
    world.network.always(URL, answer(200));
    let before = world.network.sent().len();
    world.live_s((LONGEST_PROBE_MS + LONGEST_WAIT_MS) / 1000).await;
    assert!(late.is_subset(&arrived(world, before)), "{late:?}");
}

/// That all these were sent, but for those that were a probe before.
fn assert_all_arrived(world: &World, from: usize, waiting: &BTreeSet<String>) {
    let probed = arrived(world, 0);
    let after = arrived(world, from);
    let missing: Vec<_> =
        waiting.iter().filter(|msg| !after.contains(*msg) && !probed.contains(*msg)).collect();
    assert!(missing.is_empty(), "{} of {} are missing", missing.len(), waiting.len());
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
    Ask(u8, Progress),
    /// A request was not answered.
    Silence,
    /// One was.
    Answer,
}

fn progress() -> impl Strategy<Value = Progress> {
    prop_oneof![Just(Progress::New), Just(Progress::Waiting), Just(Progress::Attempted)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..700_000_u64).prop_map(Step::Pass),
        (1..6_u8, progress()).prop_map(|(crowd, progress)| Step::Ask(crowd, progress)),
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
                Step::Ask(crowd, progress) => {
                    let longest_ms = match progress {
                        Progress::New => LONGEST_PROBE_MS + FIRST_PROBE_MS,
                        Progress::Waiting => LONGEST_FIRST_WAIT_MS,
                        Progress::Attempted => LONGEST_WAIT_MS,
                    };
                    let seen = circuit;
                    let mut gone = 0;
                    for _ in 0..crowd {
                        let went = match passage(seen.as_ref(), progress, now, random) {
                            Passage::Go => true,
                            Passage::Probe => match probing(circuit.as_ref(), now) {
                                Some(next) => {
                                    circuit = Some(next);
                                    true
                                }
                                None => match instead_of_probe(seen.as_ref(), progress, now, random) {
                                    Passage::Wait { until } => {
                                        prop_assert!(until > now);
                                        false
                                    }
                                    Passage::Shut { .. } => false,
                                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                                },
                            },
                            Passage::Wait { until } => {
                                prop_assert!(until > now && now.plus_ms(longest_ms) >= until);
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
