//! What the bill and the simulation reckon with is what the template deploys.

use serde_json::Value;

use crate::local_deployed::{
    DISPATCH, DISPATCH_CONCURRENCY, RECEIVE, RETRY, SWEEP_EVENT_AGE_S, SWEEP_EVERY_S, SWEEP_PARTS,
};
use crate::template::{properties, template};

#[test]
fn every_function_has_the_memory_and_the_time_that_are_reckoned_with() {
    let template = template();
    let usual = &template["Globals"]["Function"]["MemorySize"];
    for function in [RECEIVE, DISPATCH, RETRY] {
        let deployed = properties(&template, &format!("{}Function", function.name));
        let memory = deployed.get("MemorySize").unwrap_or(usual);
        assert_eq!(*memory, function.memory_mb, "{}", function.name);
        assert_eq!(deployed["Timeout"], function.timeout_s, "{}", function.name);
    }
    // The bill has one figure for all that publishers and their endpoints wait for.
    assert_eq!(RECEIVE.memory_mb, DISPATCH.memory_mb);
}

#[test]
fn both_triggers_of_dispatch_have_the_concurrency_that_is_reckoned_with() {
    let template = template();
    for parameter in ["DeliveriesConcurrency", "RetriesConcurrency"] {
        let found = &template["Parameters"][parameter]["Default"];
        assert_eq!(*found, DISPATCH_CONCURRENCY, "{parameter}");
    }
    let reserved = &template["Parameters"]["ReceiveReservedConcurrency"]["Default"];
    assert_eq!(*reserved, 0, "a plan reserves none unless it says so");
}

#[test]
fn the_sweep_is_begun_as_often_and_in_as_many_parts_as_is_reckoned_with() {
    let template = template();
    let retry = properties(&template, "RetryFunction");
    assert_eq!(retry["EventInvokeConfig"]["MaximumEventAgeInSeconds"], SWEEP_EVENT_AGE_S);
    let events: Vec<&Value> = retry["Events"].as_object().expect("events").values().collect();
    let asked = events.iter().map(|event| {
        let input = event["Properties"]["Input"].as_str().expect("an input");
        let input: Value = serde_json::from_str(input).expect("JSON");
        assert_eq!(input["at"], "<aws.scheduler.scheduled-time>");
        retry::Part::of(&input)
    });
    assert_eq!(asked.collect::<Vec<_>>(), retry::Part::all(SWEEP_PARTS).collect::<Vec<_>>());
    for event in events {
        assert_eq!(event["Properties"]["ScheduleExpression"], "cron(* * * * ? *)");
    }
    assert_eq!(SWEEP_EVERY_S, 60);
}
