//! `posthorn bench`: publishers, a receiver and a stopwatch around the local platform.
//!
//! Everything goes over loopback HTTP, as a user's traffic would. What is printed is measured
//! in this run: times from before the publish request to the arrival at the receiver, CPU
//! seconds of the platform and of this process (generator and receiver), what AWS would bill
//! for the same calls.

use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::machine::Status;
use crate::output::tell;
use crate::reach::Reach;
use crate::{cli, process, signals};

mod hostile;
mod publish;
mod receiver;
mod report;
mod target;

use hostile::Hostile;
use publish::Publishers;
use receiver::Receiver;
use report::Report;
use target::Target;

/// How long nothing may arrive before the rest counts as lost. Longer than the first retry
/// takes, and than a lease that a killed platform left behind.
const PATIENCE: Duration = Duration::from_secs(45);
/// Messages of a run, unless the caller says otherwise.
const MESSAGES: u64 = 20_000;
/// Messages a second beside somebody who does harm, and how many they are, unless the caller says
/// otherwise: 40 s of them.
const RATE_BESIDE_OTHERS: u64 = 50;
const MESSAGES_BESIDE_OTHERS: u64 = 2_000;

/// What one run is asked to do.
#[derive(Clone)]
pub(crate) struct Plan {
    messages: u64,
    concurrency: usize,
    endpoints: usize,
    payload: usize,
    latency: Duration,
    rate: u64,
    hang: bool,
    hostile: bool,
    kill: bool,
    stop: bool,
}

/// Measures and prints. What was begun for it ends with it, whenever that is.
pub(crate) async fn run(reach: &Reach, options: &cli::Bench) -> Result<(), String> {
    let ended = signals::ended()?;
    tokio::select! {
        measured = measure(reach, options) => measured,
        () = ended => Err("ended before it was measured".to_owned()),
    }
}

async fn measure(reach: &Reach, options: &cli::Bench) -> Result<(), String> {
    let beside_others = options.hang || options.hostile;
    let messages = if beside_others { MESSAGES_BESIDE_OTHERS } else { MESSAGES };
    let plan = Plan {
        messages: options.messages.unwrap_or(messages),
        concurrency: options.concurrency,
        endpoints: options.endpoints,
        payload: options.payload,
        latency: Duration::from_millis(options.latency),
        rate: match options.rate {
            0 if beside_others => RATE_BESIDE_OTHERS,
            rate => rate,
        },
        hang: options.hang,
        hostile: options.hostile,
        kill: options.kill,
        stop: options.stop,
    };
    let mut target = Target::find(reach, options).await?;
    if !reach.json {
        tell!("platform: {}", target.description);
    }
    let alone = match plan.hostile {
        true => Some(alone(&plan, &mut target).await?),
        false => None,
    };
    let receiver = Arc::new(Receiver::start(&plan).await?);
    let apps = target.prepare(&plan, &receiver).await?;
    let hostile = match plan.hostile {
        true => Some(Hostile::start(&mut target).await?),
        false => None,
    };
    let before = (target.status().await?, process::used());
    let started = Instant::now();
    let publishers = Publishers::start(&plan, &target, apps, &receiver);
    let killed = watch(&plan, &mut target, &receiver).await?;
    let published = publishers.finish().await?;
    let elapsed = started.elapsed();
    let harm = hostile.map(Hostile::finish);
    let after: Status = target.status().await?;
    let report = Report {
        plan: &plan,
        receiver: &receiver,
        published: &published,
        elapsed,
        killed,
        alone,
        harm,
        platform_before: before.0,
        platform_after: after,
        own_before: before.1,
        own_after: process::used(),
    };
    match reach.json {
        true => crate::output::line(&report.json().to_string()),
        false => report.print(),
    }
    match (report.lost(), receiver.repeated()) {
        (0, twice) if twice > 0 && plan.stop => Err(format!("{twice} were delivered twice")),
        (0, _) => Ok(()),
        (lost, _) => Err(format!("{lost} deliveries were lost")),
    }
}

/// The same run without anybody beside it: what the customer is to be compared with.
async fn alone(plan: &Plan, target: &mut Target) -> Result<Histogram<u64>, String> {
    let receiver = Arc::new(Receiver::start(plan).await?);
    let apps = target.prepare(plan, &receiver).await?;
    let publishers = Publishers::start(plan, target, apps, &receiver);
    watch(plan, target, &receiver).await?;
    publishers.finish().await?;
    Ok(receiver.latencies())
}

/// Shows progress until everything has arrived, or nothing does any more. Kills and restarts
/// the platform half way, if asked to; then the answer is how long it was away.
async fn watch(
    plan: &Plan,
    target: &mut Target,
    receiver: &Receiver,
) -> Result<Option<Duration>, String> {
    let expected = plan.messages * plan.endpoints as u64;
    let bar = ProgressBar::new(expected);
    let style = "{bar:40} {pos}/{len} delivered, {per_sec}, {elapsed} ";
    bar.set_style(ProgressStyle::with_template(style).map_err(|error| error.to_string())?);
    let ends = plan.kill || plan.stop;
    let mut last = (0, Instant::now());
    let mut killed_at = None;
    let mut back_after = None;
    loop {
        let arrived = receiver.distinct();
        bar.set_position(arrived);
        if arrived > last.0 {
            last = (arrived, Instant::now());
        }
        if let (Some((at, count)), None) = (killed_at, back_after)
            && arrived > count
        {
            back_after = Some(Instant::now() - at);
        }
        if arrived >= expected || last.1.elapsed() > PATIENCE {
            bar.finish_and_clear();
            // Whatever is sent twice is sent soon.
            tokio::time::sleep(Duration::from_millis(200)).await;
            return Ok(back_after);
        }
        if ends && killed_at.is_none() && arrived >= expected / 2 {
            if plan.stop {
                target.stop().await?
            } else {
                target.kill()?
            }
            killed_at = Some((Instant::now(), receiver.distinct()));
            target.restart().await?;
        }
        tokio::time::sleep(Duration::from_millis(if ends { 2 } else { 20 })).await;
    }
}
