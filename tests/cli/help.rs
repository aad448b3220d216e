//! What commands there are, and what they say of themselves.

use std::process::Command;

/// Every command that does something, as words: those with commands of their own are walked into.
pub(super) fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![Vec::new()];
    while let Some(command) = waiting.pop() {
        let help = help(&command);
        let inner: Vec<&str> = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .collect();
        match inner.is_empty() {
            true => found.push(command),
            false => waiting
                .extend(inner.iter().map(|name| [&command[..], &[name.to_string()]].concat())),
        }
    }
    found.sort();
    found
}

fn help(command: &[String]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_posthorn")).args(command).arg("--help").output();
    String::from_utf8(ran.unwrap().stdout).unwrap()
}

#[test]
fn the_help_of_every_command_has_an_example_of_it() {
    let commands = commands();
    assert!(commands.len() > 30, "{commands:?}");
    for command in commands {
        let help = help(&command);
        let example = format!("posthorn {}", command.join(" "));
        let (_, examples) =
            help.split_once("\nExample").unwrap_or_else(|| panic!("{example}: {help}"));
        assert!(examples.contains(&example), "no example of `{example}`: {help}");
    }
}

#[test]
fn every_command_says_how_another_posthorn_is_reached_and_how_it_answers_programs() {
    for command in commands() {
        let help = help(&command);
        for option in ["--url", "--token", "--stack", "--data", "--json"] {
            assert!(help.contains(option), "{command:?} does not say {option}");
        }
    }
}

#[test]
fn a_mistyped_command_is_answered_with_the_one_that_was_meant() {
    let complaint = |arguments: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_posthorn")).args(arguments).output().unwrap();
        assert!(!ran.status.success());
        String::from_utf8(ran.stderr).unwrap()
    };
    assert!(complaint(&["sned"]).contains("a similar subcommand exists: 'send'"));
    assert!(complaint(&["endpoint", "lits"]).contains("'list'"));
    assert!(complaint(&["send", "--tpye", "x"]).contains("'--type'"));
    // What belongs to `up` is not lost on another command.
    assert!(complaint(&["--addr", "127.0.0.1:1", "send"]).contains("--addr belongs to `up`"));
}

#[test]
fn what_to_type_next_is_for_the_directory_that_was_named() {
    for (given, told) in [
        (&["--data", "/none/here"] as &[&str], "up --data /none/here`"),
        (&["--data=/none/or here"], "up --data '/none/or here'`"),
        (&["--data", "/none/it's"], r"up --data '/none/it'\''s'`"),
    ] {
        let ran = Command::new(env!("CARGO_BIN_EXE_posthorn")).arg("status").args(given).output();
        let complaint = String::from_utf8(ran.unwrap().stderr).unwrap();
        assert!(complaint.contains(told), "{given:?}: {complaint}");
    }
}

#[test]
fn what_only_looks_like_a_directory_is_not_told_as_one() {
    let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .args(["app", "get", "--", "--data=/none/there"])
        .output();
    let complaint = String::from_utf8(ran.unwrap().stderr).unwrap();
    assert!(complaint.contains(" up`"), "{complaint}");
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran =
            Command::new(env!("CARGO_BIN_EXE_posthorn")).args(["completions", shell]).output();
        let script = String::from_utf8(ran.unwrap().stdout).unwrap();
        for command in commands() {
            let name = command.last().unwrap();
            assert!(script.contains(name.as_str()), "{shell} does not complete {name}");
        }
    }
}

/// What is said of arguments that are not understood.
fn refusal(arguments: &[&str]) -> String {
    let refused = Command::new(env!("CARGO_BIN_EXE_posthorn")).args(arguments).output().unwrap();
    let complaint = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{complaint}");
    complaint
}

#[test]
fn a_simulation_of_nothing_is_refused() {
    for option in ["--scale", "--rate", "--minutes"] {
        let complaint = refusal(&["simulate", option, "0"]);
        assert!(complaint.contains("more than 0"), "{complaint}");
    }
}

#[test]
fn a_simulation_in_which_nothing_is_accepted_holds_nothing() {
    let mut simulate = Command::new(env!("CARGO_BIN_EXE_posthorn"));
    let idle = ["simulate", "--rate", "0.0001", "--minutes", "0.1", "--json"];
    let told = simulate.args(idle).output().unwrap();
    assert!(!told.status.success());
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((&told["runs"][0]["accepted"], &told["holds"]), (&0.into(), &false.into()));
}

#[test]
fn what_nobody_takes_is_reckoned_by_what_was_to_be_delivered() {
    let mut simulate = Command::new(env!("CARGO_BIN_EXE_posthorn"));
    let hanging = ["simulate", "--rate", "10", "--minutes", "0.2", "--hang", "100%", "--json"];
    let told = simulate.args(hanging).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let run = &told["runs"][0];
    assert_eq!(run["delivered"], 0);
    assert!(run["writeUnitsEach"].as_f64().unwrap() < 100.0, "{run}");
}

#[test]
fn a_bench_that_cannot_be_is_refused_with_what_may_be_said() {
    for (option, value, said) in [
        ("-n", "0", "0 is not in 1.."),
        ("-c", "0", "0 is not in 1..=10000"),
        ("-e", "10001", "10001 is not in 1..=10000"),
        ("-p", "5000000", "5000000 is not in 0..=358336"),
    ] {
        let complaint = refusal(&["bench", "--own", option, value]);
        assert!(complaint.contains(said), "{complaint}");
    }
}
