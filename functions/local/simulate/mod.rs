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

use figures::Figures;
use plan::Plan;
use scenario::{Claim, SCENARIOS, Scenario, Size};

/// What is to be simulated.
#[derive(Args)]
pub(crate) struct Simulate {
    /// A scenario, or `all`.
    #[arg(long, default_value = "steady")]
    scenario: String,
    /// Messages a second.
    #[arg(long, default_value_t = 1000.0, value_parser = positive)]
    rate: f64,
    /// How long they are published, in minutes.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    minutes: f64,
    /// Endpoints that hang, as 1%.
    #[arg(long, default_value = "0%", value_parser = share)]
    hang: f64,
    /// Whatever is random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the names of the scenarios.
    #[arg(long)]
    list: bool,
}

/// One scenario that was run.
#[derive(Serialize)]
struct Outcome {
    scenario: &'static str,
    seed: u64,
    holds: bool,
    claims: Vec<Claim>,
    figures: Figures,
}

/// Simulates and prints.
pub(crate) fn run(options: &Simulate) -> Result<(), String> {
    if options.list {
        for scenario in &SCENARIOS {
            println!("{:<14} {}", scenario.name, scenario.about);
        }
        return Ok(());
    }
    let chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|it| options.scenario == "all" || options.scenario == it.name)
        .collect();
    if chosen.is_empty() {
        return Err(format!("no scenario `{}`: --list names them", options.scenario));
    }
    let size = Size { rate: options.rate, load_s: options.minutes * 60.0, hang: options.hang };
    let mut failed = Vec::new();
    for scenario in chosen {
        let outcome = play(scenario, &size, options)?;
        if !outcome.holds {
            failed.push(scenario.name);
        }
        if options.json {
            let json = serde_json::to_string(&outcome).map_err(|error| error.to_string())?;
            println!("{json}");
        } else {
            report::print(&outcome.figures);
            report::print_claims(&outcome.claims);
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => Err(format!("does not hold: {}", names.join(", "))),
    }
}

fn play(scenario: &Scenario, size: &Size, options: &Simulate) -> Result<Outcome, String> {
    if !options.json {
        println!("{}: {}", scenario.name, scenario.about);
    }
    let play = |plan: Plan, what: &str| with_bar(&plan, what, options.seed);
    let baseline = match scenario.baseline {
        Some(baseline) => play(baseline(size), "without the trouble")?,
        None => Figures::default(),
    };
    let figures = play((scenario.plan)(size), scenario.name)?;
    let mut claims = scenario::everywhere(&figures);
    claims.extend((scenario.claims)(&figures, &baseline));
    let holds = claims.iter().all(|claim| claim.holds);
    Ok(Outcome { scenario: scenario.name, seed: options.seed, holds, claims, figures })
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
