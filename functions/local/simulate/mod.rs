//! `posthorn simulate`: what a load would do to the platform on AWS, before there is one.
//!
//! The real handlers run unchanged, on one thread, in virtual time, on an account in memory that
//! throttles, lags, kills and is busy elsewhere as the real one ([`aws`], [`lambda`],
//! [`mapping`], [`front`]). Everything random comes from a seed: the same seed, the same run, to
//! the last byte of `--json`. [`ledger`] keeps the books, [`scenario`] says what must hold.
//!
//! Not modelled: CPU beside fixed milliseconds for each request and record, memory, the network
//! inside a region, other partitions of the same storage node.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

mod account;
mod aws;
mod endpoints;
mod figures;
mod front;
mod lambda;
mod ledger;
mod life;
mod mapping;
mod plan;
mod publishers;
mod report;
mod run;
mod scenario;
mod waiting;

use figures::{Figures, round};
use plan::{Part, Plan};
use scenario::claim::{Claim, everywhere};
use scenario::size::Size;
use scenario::{SCENARIOS, Scenario};

use crate::output::tell;

/// What is to be simulated.
#[derive(Args)]
pub(crate) struct Simulate {
    /// A scenario, or `all`.
    #[arg(long, default_value = "steady")]
    scenario: String,
    /// Messages a second, where they are published evenly.
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// How long they are published, in minutes.
    #[arg(long, value_parser = positive)]
    minutes: Option<f64>,
    /// How much smaller everything is, as 10%: the load, and the account's limits.
    #[arg(long, value_parser = some_share)]
    scale: Option<f64>,
    /// Endpoints that hang, as 1%.
    #[arg(long, default_value = "0%", value_parser = share)]
    hang: f64,
    /// Whatever is random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take a part out of the platform, to see what it is there for.
    #[arg(long, value_enum)]
    without: Option<Part>,
    /// Print the names of the scenarios.
    #[arg(long)]
    list: bool,
}

/// One scenario that was played.
#[derive(Serialize)]
struct Outcome {
    scenario: &'static str,
    seed: u64,
    /// What was taken out.
    without: Option<Part>,
    size: Size,
    holds: bool,
    claims: Vec<Claim>,
    /// What was measured, in the order in which it was played.
    runs: Vec<Figures>,
}

/// Simulates and prints: text, or a line of JSON for each scenario.
pub(crate) fn run(options: &Simulate, as_json: bool) -> Result<(), String> {
    if options.list {
        list(as_json);
        return Ok(());
    }
    let is_chosen = |it: &&Scenario| options.scenario == "all" || options.scenario == it.name;
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        return Err(format!("no scenario `{}`: --list names them", options.scenario));
    }
    let mut failed = Vec::new();
    for scenario in chosen {
        let outcome = play(scenario, options)?;
        if !outcome.holds {
            failed.push(scenario.name);
        }
        if as_json {
            let json = serde_json::to_string(&outcome).map_err(|error| error.to_string())?;
            tell!("{json}");
        } else {
            show(scenario, &outcome);
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!("does not hold: {}", failed.join(", "))),
    }
}

fn list(as_json: bool) {
    let one = |it: &Scenario| serde_json::json!({"name": it.name, "about": it.about});
    if as_json {
        tell!("{}", SCENARIOS.iter().map(one).collect::<serde_json::Value>());
        return;
    }
    for scenario in &SCENARIOS {
        tell!("{:<12} {}", scenario.name, scenario.about);
    }
}

fn play(scenario: &Scenario, options: &Simulate) -> Result<Outcome, String> {
    let (rate, minutes, scale) = scenario.usual;
    let size = Size {
        rate: options.rate.unwrap_or(rate),
        load_s: options.minutes.unwrap_or(minutes) * 60.0,
        scale: options.scale.unwrap_or(scale),
        hang: options.hang,
    };
    let without = options.without;
    let plans = (scenario.plans)(&size).into_iter().map(|plan| plan.scaled(size.scale));
    // Only from the last one: the others are what it is compared with.
    let last = plans.len() - 1;
    let runs = plans
        .enumerate()
        .map(|(nth, plan)| Plan { without: without.filter(|_| nth == last), ..plan })
        .map(|plan| with_bar(&plan, scenario.name, options.seed))
        .collect::<Result<Vec<Figures>, String>>()?;
    let mut claims = runs.last().map(everywhere).unwrap_or_default();
    claims.extend((scenario.claims)(&runs));
    let holds = claims.iter().all(|claim| claim.holds);
    let seed = options.seed;
    Ok(Outcome { scenario: scenario.name, seed, without, size, holds, claims, runs })
}

fn show(scenario: &Scenario, outcome: &Outcome) {
    let size = outcome.size;
    tell!("{}: {}", scenario.name, scenario.about);
    let [minutes, percent, hang] =
        [size.load_s / 60.0, 100.0 * size.scale, 100.0 * size.hang].map(round);
    let hang = if hang > 0.0 { format!(", {hang} % hang") } else { String::new() };
    let without = outcome.without.map(|part| format!(", without {part:?}").to_lowercase());
    tell!(
        "{} messages/s, {minutes} min, at {percent} % of its size{hang}{}, seed {}",
        size.rate,
        without.unwrap_or_default(),
        outcome.seed
    );
    tell!();
    if let Some(last) = outcome.runs.last() {
        report::print(last);
    }
    if outcome.runs.len() > 1 {
        tell!();
        report::print_beside(&outcome.runs);
    }
    tell!();
    report::print_claims(&outcome.claims);
    tell!();
}

/// Runs a plan under a bar, which is drawn on a terminal only.
fn with_bar(plan: &Plan, what: &str, seed: u64) -> Result<Figures, String> {
    let bar = ProgressBar::new(1);
    let style = "{msg:20} {bar:40} {pos}/{len} s of its time, {elapsed} ";
    bar.set_style(ProgressStyle::with_template(style).map_err(|error| error.to_string())?);
    bar.set_message(what.to_owned());
    let figures = run::run(plan, seed, &|at_s, of_s| {
        bar.set_length(of_s as u64);
        bar.set_position(at_s as u64);
    });
    bar.finish_and_clear();
    figures
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "write a number, as 1000".to_owned())?;
    if number > 0.0 && number <= 1e6 { Ok(number) } else { Err("more than 0, up to 1e6".into()) }
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    let number = number.map_err(|_| "write a percentage, as 1%".to_owned())?;
    if (0.0..=100.0).contains(&number) { Ok(number / 100.0) } else { Err("0% to 100%".into()) }
}

fn some_share(text: &str) -> Result<f64, String> {
    share(text).and_then(|share| match share > 0.0 {
        true => Ok(share),
        false => Err("more than 0%, up to 100%".into()),
    })
}
