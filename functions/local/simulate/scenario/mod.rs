//! The scenarios: what each of them lets happen, and what must hold in it.

use super::figures::Figures;
use super::plan::Plan;

pub(crate) mod claim;
mod crowds;
pub(crate) mod size;
mod traffic;
mod trouble;

use claim::Claim;
use size::Size;

/// A situation, and what is claimed about it.
pub(crate) struct Scenario {
    /// What it is called.
    pub(crate) name: &'static str,
    /// What happens in it.
    pub(crate) about: &'static str,
    /// How large it is unless it is said: messages a second, minutes, and how much smaller than
    /// that it is played.
    pub(crate) usual: (f64, f64, f64),
    /// What is played, one after the other: often first the same without the trouble.
    pub(crate) plans: fn(&Size) -> Vec<Plan>,
    /// What must hold beside what must hold everywhere.
    pub(crate) claims: fn(&[Figures]) -> Vec<Claim>,
}

/// All of them.
pub(crate) const SCENARIOS: [Scenario; 13] = [
    Scenario {
        name: "steady",
        about: "300 applications with one endpoint each, which takes 150 ms and fails 2 % once",
        usual: (1_000.0, 10.0, 1.0),
        plans: traffic::steady,
        claims: traffic::steady_holds,
    },
    Scenario {
        name: "hang",
        about: "the same, and 1 % of the endpoints hang",
        usual: (1_000.0, 10.0, 1.0),
        plans: trouble::hang,
        claims: trouble::hang_holds,
    },
    Scenario {
        name: "outage",
        about: "one customer with a tenth of the traffic is down for half of the time",
        usual: (1_000.0, 60.0, 0.1),
        plans: trouble::outage,
        claims: trouble::outage_holds,
    },
    Scenario {
        name: "neighbours",
        about: "100 applications, one of which has 200 endpoints that hang and come back",
        usual: (100.0, 5.0, 1.0),
        plans: trouble::neighbours,
        claims: trouble::neighbours_holds,
    },
    Scenario {
        name: "hot",
        about: "one application with one endpoint has all of the traffic",
        usual: (3_000.0, 3.0, 1.0),
        plans: traffic::hot,
        claims: traffic::hot_holds,
    },
    Scenario {
        name: "brown-out",
        about: "writes take 5 s or fail, for half of the time",
        usual: (1_000.0, 10.0, 0.5),
        plans: trouble::brown_out,
        claims: trouble::brown_out_holds,
    },
    Scenario {
        name: "rate",
        about: "an endpoint that takes 50 a second gets twice as many, and fails a tenth of them once",
        usual: (100.0, 1.0, 1.0),
        plans: traffic::rate,
        claims: traffic::rate_holds,
    },
    Scenario {
        name: "morning",
        about: "20,000 messages are scheduled for one second",
        usual: (1_000.0, 3.0, 1.0),
        plans: crowds::morning,
        claims: crowds::morning_holds,
    },
    Scenario {
        name: "million",
        about: "1,000,000 retries are due at once, while other things are due too",
        usual: (1_000.0, 5.0, 1.0),
        plans: crowds::million,
        claims: crowds::million_holds,
    },
    Scenario {
        name: "fan-out",
        about: "one message goes to 10,000 endpoints, of which 1 % hang",
        usual: (1.0, 1.0 / 60.0, 1.0),
        plans: crowds::fan_out,
        claims: crowds::fan_out_holds,
    },
    Scenario {
        name: "account",
        about: "others take all but 50 of the account's concurrency for half of the time, and not receive's",
        usual: (1_000.0, 20.0, 0.5),
        plans: trouble::account,
        claims: trouble::account_holds,
    },
    Scenario {
        name: "update",
        about: "half of the dispatchers are of the version before, half of the records are newer",
        usual: (200.0, 3.0, 1.0),
        plans: trouble::update,
        claims: trouble::update_holds,
    },
    Scenario {
        name: "growth",
        about: "a tenth, all and ten times the rate",
        usual: (1_000.0, 4.0, 1.0),
        plans: traffic::growth,
        claims: traffic::growth_holds,
    },
];
