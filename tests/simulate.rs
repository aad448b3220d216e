//! `posthorn simulate`: the real handlers under load on a simulated account, each scenario in a
//! form that takes seconds. `.ci/run` plays the long ones.

use std::process::Command;

use serde_json::Value;

/// What the command prints with these arguments and `--json`.
fn simulate(arguments: &str) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
        .args(["simulate", "--json"])
        .args(arguments.split(' '))
        .output()
        .expect("the command");
    String::from_utf8(ran.stdout).expect("text")
}

fn outcome(printed: &str) -> Value {
    serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// The last run of what was played.
fn last(outcome: &Value) -> &Value {
    outcome["runs"].as_array().and_then(|runs| runs.last()).expect("a run")
}

/// Plays a scenario, all of whose claims have to hold.
fn play(arguments: &str) -> Value {
    let outcome = outcome(&simulate(&format!("--scenario {arguments}")));
    for claim in outcome["claims"].as_array().expect("claims") {
        assert_eq!(claim["holds"], true, "{claim:#} {:#}", last(&outcome));
    }
    outcome
}

/// What a test is about has to be among what the scenario claims.
fn assert_must_hold(outcome: &Value, claim: &str) {
    let claims = outcome["claims"].as_array().expect("claims");
    let of = |it: &&Value| it["claim"].as_str().is_some_and(|text| text.starts_with(claim));
    let found = claims.iter().find(of).unwrap_or_else(|| panic!("no claim {claim:?}"));
    assert_eq!(found["holds"], true, "{found:#}");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    // Hanging endpoints, retries, throttling: all that is random is at work.
    let arguments = |seed| format!("--scenario hot --scale 2% --minutes 0.2 --seed {seed}");
    let first = simulate(&arguments(1));
    assert_eq!(first, simulate(&arguments(1)));
    assert_ne!(outcome(&first)["runs"], outcome(&simulate(&arguments(2)))["runs"]);
}

#[test]
fn what_does_not_hold_is_named_and_is_an_error() {
    let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
        .args(["simulate", "--scenario", "rate", "--minutes", "0.3", "--without", "rates"])
        .output()
        .expect("the command");
    let said = String::from_utf8(ran.stdout).expect("text");
    let fails = |line: &str| line.starts_with("FAILS") && line.contains("requests a second");
    assert!(said.lines().any(fails), "{said}");
    assert!(!ran.status.success());
    let complaint = String::from_utf8(ran.stderr).expect("text");
    assert!(complaint.contains("does not hold: rate"), "{complaint}");
}

#[test]
fn a_steady_load_arrives_whole() {
    let outcome = play("steady --scale 5% --minutes 0.5");
    let run = last(&outcome);
    let delivered = run["delivered"].as_u64().unwrap();
    assert_eq!(run["deliveries"], delivered, "{run:#}");
    assert!(delivered > 1_000, "{run:#}");
    assert!(run["attempts"].as_u64().unwrap() > delivered, "some fail once: {run:#}");
}

#[test]
fn endpoints_that_hang_cost_nobody_else_anything() {
    let outcome = play("hang --scale 10% --minutes 0.25");
    assert_must_hold(&outcome, "the others' first attempt, p99");
    assert_must_hold(&outcome, "invocations at once");
}

#[test]
fn after_an_outage_everything_arrives_and_nothing_twice() {
    play("outage --scale 5% --minutes 0.5");
}

#[test]
fn a_neighbour_that_hangs_leaves_the_others_alone() {
    let outcome = play("neighbours --scale 10% --minutes 0.5");
    assert_must_hold(&outcome, "the others' first attempt, p99");
}

#[test]
fn a_hot_application_loses_nothing_that_was_accepted() {
    let outcome = play("hot --scale 5% --minutes 0.3");
    let throttled = &last(&outcome)["throttled"];
    assert!(throttled["index"].as_u64() > Some(0), "it is hot: {throttled:#}");
}

#[test]
fn a_table_that_is_unwell_makes_nothing_go_out_twice() {
    play("brown-out --scale 10% --minutes 0.6");
}

#[test]
fn messages_scheduled_for_one_second_all_go_out() {
    play("morning --scale 5%");
}

#[test]
fn very_many_retries_due_at_once_lose_nothing() {
    // So small an account has two invocations at once, and four runs of the sweep want them: how
    // late things are says nothing.
    let outcome = outcome(&simulate("--scenario million --scale 0.2%"));
    for claim in ["lost deliveries", "parked records", "attempts sent twice", "deliveries not"] {
        assert_must_hold(&outcome, claim);
    }
}

#[test]
fn a_message_goes_to_all_endpoints_soon() {
    let outcome = play("fan-out --scale 5%");
    let count = |name: &str| last(&outcome)[name].as_u64();
    assert_eq!((count("accepted"), count("deliveries")), (Some(1), Some(500)), "{outcome:#}");
}

#[test]
fn an_account_that_is_busy_elsewhere_turns_no_publisher_away_and_buries_nothing() {
    let outcome = play("account --scale 10% --minutes 0.5");
    assert_must_hold(&outcome, "publishers answered with 5xx");
    let [without, with] = outcome["runs"].as_array().expect("runs").as_slice() else {
        panic!("one without anything kept for receive, and one with it")
    };
    let unserved = |run: &Value| run["published"]["unserved"].as_u64();
    assert!(unserved(without) > Some(0), "others do take it: {without:#}");
    assert_eq!(unserved(with), Some(0), "{with:#}");
}

#[test]
fn an_endpoint_with_a_rate_gets_it_evenly_whoever_asks() {
    let outcome = play("rate --minutes 0.3");
    assert_must_hold(&outcome, "45 to 55 requests a second");
    let run = last(&outcome);
    let count = |name: &str| run[name].as_u64().unwrap();
    // First attempts, some of which failed, and a hundred by hand.
    assert!(count("posts") > count("deliveries") + 100, "{run:#}");
}

#[test]
fn each_part_is_there_for_something() {
    for (part, scenario, claim) in [
        ("patience", "hot --scale 5% --minutes 0.3", "attempts sent twice"),
        ("sweep", "million --scale 0.5%", "the last retry"),
        ("slots", "neighbours --minutes 0.25", "the others' first attempt"),
        ("rates", "rate --minutes 0.3", "45 to 55 requests a second"),
        ("pace", "account --scale 5% --minutes 5", "events that publishers give up"),
    ] {
        let outcome = outcome(&simulate(&format!("--scenario {scenario} --without {part}")));
        let claims = outcome["claims"].as_array().expect("claims");
        let of = |it: &&Value| it["claim"].as_str().is_some_and(|text| text.starts_with(claim));
        let found = claims.iter().find(of).unwrap_or_else(|| panic!("no claim {claim:?}"));
        assert_eq!(found["holds"], false, "without {part}: {found:#}");
    }
}

#[test]
fn an_update_under_load_is_played_with_both_versions() {
    let outcome = play("update --scale 20% --minutes 0.5");
    assert!(last(&outcome)["delivered"].as_u64() > Some(500), "{outcome:#}");
}

#[test]
fn a_delivery_takes_as_much_at_any_rate() {
    play("growth --scale 2% --minutes 0.5");
}
