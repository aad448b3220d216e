//! How large a scenario is played.

use serde::Serialize;

use crate::simulate::plan::Plan;

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Size {
    /// Messages a second in an account of full size.
    pub(crate) rate: f64,
    /// How long the load lasts, in seconds.
    pub(crate) load_s: f64,
    /// The share of endpoints that hang, where the scenario leaves it open.
    pub(crate) hang: f64,
    /// How much smaller everything is: the load, and the limits that it meets.
    pub(crate) scale: f64,
}

/// Applications of a load that is spread out.
const APPLICATIONS: f64 = 300.0;
/// Deliveries that fail once and are taken the second time.
const FAIL_ONCE: f64 = 0.02;

impl Size {
    /// The same load on so many applications that no one of them is much of it.
    pub(crate) fn steady(&self) -> Plan {
        let applications = (APPLICATIONS * self.scale.sqrt()).ceil() as usize;
        Plan::steady(self.rate, self.load_s, applications, FAIL_ONCE)
    }
}
