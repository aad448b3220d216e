//! What the account lets the stack have: the concurrency that all functions share, and the quotas
//! that a load meets. None of it is broken, so none of it is more than a note.

use serde_json::Value;

use super::Report;
use crate::stack::Stack;

/// Concurrency that an account keeps for functions without a reservation, and as much as is left
/// here for receive, the sweep and admin (Lambda).
const BESIDES: f64 = 100.0;
/// Functions that one provisioned poller may have at work (Lambda).
const OF_A_POLLER: f64 = 10.0;

/// A quota that a load meets, and the parameter of the stack that it limits.
struct Quota {
    service: &'static str,
    /// As Service Quotas calls it.
    name: &'static str,
    parameter: &'static str,
}

const QUOTAS: [Quota; 4] = [
    Quota { service: "apigateway", name: "Throttle rate", parameter: "RequestsPerSecond" },
    Quota { service: "apigateway", name: "Throttle burst rate", parameter: "RequestBurst" },
    Quota {
        service: "dynamodb",
        name: "Table-level write throughput limit",
        parameter: "WarmWriteUnits",
    },
    Quota {
        service: "dynamodb",
        name: "Table-level read throughput limit",
        parameter: "WarmReadUnits",
    },
];

/// Looks at what the account allows.
pub(super) fn examine(stack: &Stack, report: &mut Report) {
    concurrency(stack, report);
    reserve(stack, report);
    for quota in &QUOTAS {
        let Some(wanted) = stack.parameter(quota.parameter).and_then(|text| text.parse().ok())
        else {
            continue;
        };
        let what = format!("quota {} of {}", quota.name, quota.service);
        match look_up(stack, quota) {
            Err(why) => report.note(&what, &format!("cannot be read: {why}")),
            Ok(value) if value < wanted => report.note(
                &what,
                &format!(
                    "{value}, less than {} ({wanted}): ask for more with `aws service-quotas \
                     request-service-quota-increase`",
                    quota.parameter
                ),
            ),
            Ok(value) => report.well(&what, &format!("{value}")),
        }
    }
}

fn concurrency(stack: &Stack, report: &mut Report) {
    let what = "concurrency of the account";
    let found = match stack.cli.ask(&["lambda", "get-account-settings"]) {
        Ok(found) => found,
        Err(why) => return report.note(what, &format!("cannot be read: {why}")),
    };
    let limits = &found["AccountLimit"];
    let free = limits["UnreservedConcurrentExecutions"].as_f64().unwrap_or(0.0);
    let set = |name| stack.parameter(name).and_then(|value| value.parse().ok()).unwrap_or(0.0);
    let (for_first, first) = match set("ProvisionedPollers") > 0.0 {
        true => ("MostProvisionedPollers", set("MostProvisionedPollers") * OF_A_POLLER),
        false => ("DeliveriesConcurrency", set("DeliveriesConcurrency")),
    };
    let asked = first + set("RetriesConcurrency");
    let all = &limits["ConcurrentExecutions"];
    if free < asked + BESIDES {
        report.note(
            what,
            &format!(
                "{free} of {all} are not reserved; dispatch may take {asked} and the other \
                 functions need some: lower {for_first} and RetriesConcurrency, or ask for more with `aws service-quotas request-service-quota-increase --service-code \
                 lambda --quota-code L-B99A9384 --desired-value N`"
            ),
        );
    } else {
        report.well(what, &format!("{free} of {all} are not reserved, dispatch may take {asked}"));
    }
}

/// Whether anything is kept for receive.
fn reserve(stack: &Stack, report: &mut Report) {
    let what = "concurrency of receive";
    match stack.parameter("ReceiveReservedConcurrency") {
        Some("0") | None => report.note(
            what,
            "none is kept for it: publishers are turned away when dispatch or others in the \
             account use all there is. Deploy with ReceiveReservedConcurrency=100 where the \
             account has more than 200",
        ),
        Some(kept) => report.well(what, &format!("{kept} are kept for it")),
    }
}

fn look_up(stack: &Stack, quota: &Quota) -> Result<f64, String> {
    let command = ["service-quotas", "list-service-quotas", "--service-code", quota.service];
    let found = stack.cli.ask(&command)?;
    let mut quotas = found["Quotas"].as_array().into_iter().flatten();
    let named =
        |one: &&Value| one["QuotaName"].as_str().is_some_and(|name| name.starts_with(quota.name));
    quotas
        .find(named)
        .and_then(|one| one["Value"].as_f64())
        .ok_or_else(|| format!("there is no {:?}", quota.name))
}
