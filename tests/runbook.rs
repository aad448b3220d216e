//! The runbook names commands that there are.

use std::process::Command;

use crate::template::{FUNCTIONS, of_type, properties, template, template_where};

const RUNBOOK: &str = include_str!("../functions/runbook.md");

/// The commands of the runbook that begin with `word`, each on a line of its own.
fn commands(word: &str) -> Vec<&'static str> {
    let lines = RUNBOOK.lines().filter(|line| line.starts_with("    ")).map(str::trim);
    lines.filter(|line| line.split(' ').next() == Some(word)).collect()
}

#[test]
fn every_command_of_posthorn_in_the_runbook_is_understood() {
    let commands = commands("posthorn");
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands {
        let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
            .args(command.split(' ').skip(1))
            // Ends once it has understood what stands before.
            .arg("--help")
            .output()
            .unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn a_command_that_there_is_not_would_be_noticed() {
    for wrong in ["root-secret turn", "doctor --stock NAME", "tokens"] {
        let ran = Command::new(env!("CARGO_BIN_EXE_posthorn"))
            .args(wrong.split(' '))
            .arg("--help")
            .output()
            .unwrap();
        assert!(!ran.status.success(), "{wrong}");
    }
}

#[test]
fn every_alarm_has_its_place_in_the_runbook() {
    let template = template_where(&["HasGateway", "HasUrls"]);
    let alarms: Vec<String> = of_type(&template, "AWS::CloudWatch::Alarm").collect();
    assert!(alarms.len() > 10, "{alarms:?}");
    for alarm in alarms {
        assert!(RUNBOOK.contains(&format!("`{alarm}`")), "{alarm}");
    }
}

/// What the runbook says under a heading.
fn section(heading: &str) -> &'static str {
    let mut sections = RUNBOOK.split("\n## ");
    sections.find(|section| section.starts_with(heading)).unwrap_or_else(|| panic!("{heading}"))
}

#[test]
fn what_was_stopped_for_a_restore_is_turned_on_again_before_it_is_examined() {
    let restore = section("Restore the table");
    let place = |text: &str| restore.find(text).unwrap_or_else(|| panic!("{text}"));
    let in_order = [
        place("Stop everything"),
        place("sam deploy --stack-name NAME"),
        place("\"And on again\""),
        place("posthorn doctor"),
    ];
    assert!(in_order.is_sorted(), "{in_order:?}");
    let stop = section("Stop everything");
    let (off, on) = stop.split_once("And on again:").unwrap();
    for function in ["posthorn-STAGE-retry", "posthorn-STAGE-receive"] {
        assert!(off.contains(function) && on.contains(function), "{function}");
    }
}

#[test]
fn functions_leave_the_subnets_while_they_may_still_take_their_interfaces_along() {
    let leave = section("Leave the subnets");
    let [leaves, gone, deployed] = ["--vpc-config", "describe-network-interfaces", "sam deploy"]
        .map(|text| leave.find(text).unwrap_or_else(|| panic!("{text}")));
    assert!(leaves < gone && gone < deployed, "{leave}");
    for (name, _) in FUNCTIONS {
        let function =
            properties(&template_where(&["HasGateway", "HasVpc"]), &format!("{name}Function"))
                .clone();
        let is_inside = !function["VpcConfig"].is_null();
        let said = leave.contains(&format!("posthorn-STAGE-{}", name.to_lowercase()));
        assert_eq!(said, is_inside, "{name}");
    }
}

#[test]
fn what_is_deployed_by_the_runbook_names_parameters_as_sam_reads_them() {
    let template = template();
    let mut seen = 0;
    for line in commands("sam") {
        let said = line.split("--parameter-overrides ").nth(1).unwrap_or_default();
        for parameter in said.split_whitespace() {
            let (name, value) = parameter.trim_matches('\'').split_once('=').unwrap();
            assert!(template["Parameters"][name].is_object(), "{line}");
            // SAM refuses a parameter without a value, and takes quotes with nothing in them.
            assert!(
                !value.is_empty() && parameter.starts_with('\'') == (value == "\"\""),
                "{line}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
}

#[test]
fn every_path_and_parameter_of_the_runbook_is_one() {
    let template = template();
    let parameters = template["Parameters"].as_object().unwrap();
    let quoted: Vec<&str> = RUNBOOK.split('`').skip(1).step_by(2).collect();
    let mut seen = 0;
    for name in quoted {
        let name = name.split(['=', ' ']).next().unwrap();
        let like = ["Concurrency", "PerSecond", "Units", "Pollers", "ExistingTable"];
        if like.iter().any(|end| name.ends_with(end)) && name.chars().all(char::is_alphanumeric) {
            assert!(parameters.contains_key(name), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
    for line in commands("curl") {
        let method = line.split("-X ").nth(1).map_or("GET", |rest| rest.split(' ').next().unwrap());
        let path = line.split("\"URL").nth(1).unwrap().trim_end_matches('"');
        let path = path.split('?').next().unwrap();
        let segments: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
        let found = admin::OPERATIONS.iter().any(|operation| {
            let alike = |(known, named): (&&str, &&str)| {
                let is_any = named.chars().all(|letter| letter.is_ascii_uppercase());
                known.trim_matches('"') == *named || !known.starts_with('"') && is_any
            };
            operation.method == method
                && operation.segments.len() == segments.len()
                && operation.segments.iter().zip(&segments).all(alike)
        });
        assert!(found, "{line}");
    }
}
