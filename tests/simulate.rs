//! `posthorn simulate`: the real handlers under load on a simulated account.

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

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let arguments = |seed| format!("--rate 50 --minutes 0.1 --hang 2% --seed {seed}");
    let first = simulate(&arguments(1));
    assert_eq!(first, simulate(&arguments(1)));
    assert_ne!(outcome(&first)["figures"], outcome(&simulate(&arguments(2)))["figures"]);
}

#[test]
fn a_steady_load_arrives_whole() {
    let outcome = outcome(&simulate("--rate 50 --minutes 0.2"));
    assert_eq!(outcome["holds"], true, "{outcome:#}");
    let figures = &outcome["figures"];
    assert_eq!(figures["delivered"], figures["deliveries"], "{figures:#}");
    let delivered = figures["delivered"].as_u64().unwrap();
    assert!(delivered > 500, "{figures:#}");
    assert!(figures["attempts"].as_u64().unwrap() > delivered, "some fail once: {figures:#}");
}
