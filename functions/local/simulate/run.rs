//! One run of a plan, from the first request to the last settled delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use shared::domain::clock::Timestamp;
use shared::store::change;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::subscriber::NoSubscriber;

use super::account::{Account, Customer, Pipes};
use super::aws::capacity::Throttled;
use super::aws::dice::Dice;
use super::aws::queue::SimulatedQueue;
use super::aws::weather::{BrownOut, Weather};
use super::figures::Figures;
use super::front::Front;
use super::lambda::{Failure, Function};
use super::mapping::{Backlog, Mapping, Open, Setup};
use super::plan::{Part, Plan, Span};
use super::publishers::Publishers;
use super::waiting;
use crate::deployed::{SWEEP_EVENT_AGE_S, SWEEP_EVERY_S, SWEEP_PARTS};

/// The share of its rate that a load begins with. It grows evenly during the warm-up.
const LEAST_RAMP: f64 = 0.05;
/// A time that is never reached, in milliseconds.
const LONGEST_MS: u64 = u64::MAX;
/// How long it is waited for invocations at the end, in seconds: longer than any may take.
const LAST_S: u64 = 60;

/// Hears how far a run is: seconds of its time that have passed, and all of them.
pub(crate) type Progress<'a> = &'a (dyn Fn(f64, f64) + Sync);

/// Runs a plan, in a thread of its own: everything in it happens in the order of its virtual time.
pub(crate) fn run(plan: &Plan, seed: u64, progress: Progress<'_>) -> Result<Figures, String> {
    let result =
        std::thread::scope(|scope| scope.spawn(|| in_virtual_time(plan, seed, progress)).join());
    result.unwrap_or_else(|_| Err("the simulation panicked".to_owned()))
}

fn in_virtual_time(plan: &Plan, seed: u64, progress: Progress<'_>) -> Result<Figures, String> {
    // The handlers warn of everything that a simulation is made to let happen.
    let _silence = tracing::subscriber::set_default(NoSubscriber::new());
    change::repeat_pauses(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(play(plan, seed, progress))
}

async fn play(plan: &Plan, seed: u64, progress: Progress<'_>) -> Result<Figures, String> {
    let account = Account::new(plan, seed)?;
    let customers = account.furnish(plan).await?;
    waiting::prepare(&account, plan, &customers).await?;
    let publishers = Publishers::new(
        Front::new(account.receive.clone(), account.clock.clone(), plan.requests_per_s),
        account.clock.clone(),
        Arc::new(Dice::new(seed, 10)),
        account.ledger.clone(),
        account.token.clone(),
        plan.payload,
    );
    let began = Instant::now();
    let from = account.clock.now();
    let before = account.ports.meter.usage();
    begin(&account, plan, from);
    let warm = warm_up(&account, plan);
    let dead_gone = dead_gone(&account);
    let warm_from = from.plus_ms((plan.warm_up_s * 1000.0) as u64);
    account.ledger.warm_from(warm_from);
    publishers.warm_from(warm_from);
    let open: Open = Arc::new(AtomicBool::new(true));
    map(&account, plan, &open);
    sweep(&account, &open);
    let dice = Dice::new(seed, 11);
    let seconds = plan.load_s + plan.rest_s;
    let progress_s = |s| progress(s, seconds);
    let by_hand = by_hand(&account, plan, &customers, &publishers);
    let ((), resent) =
        tokio::join!(load(plan, &customers, &publishers, &dice, &progress_s), by_hand);
    resent?;
    let is_settled = || {
        let under_way = publishers.answers().under_way;
        under_way == 0 && account.ledger.lock().open <= 0
    };
    let rest = Instant::now() + Duration::from_secs_f64(plan.rest_s);
    while Instant::now() < rest && !is_settled() {
        progress(began.elapsed().as_secs_f64(), seconds);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let took_s = began.elapsed().as_secs_f64();
    end(&account, &open).await;
    let cold = warm.await.unwrap_or_default();
    dead_gone.abort();
    let dead_gone_ms = dead_gone.await.map_or(LONGEST_MS, |ms| ms);
    let figures = Figures::of(&account, &publishers, (&before, cold), (took_s, plan.payload));
    let endpoints: usize = plan.tenants.iter().map(|tenant| tenant.endpoints.len()).sum();
    let dead_letters = figures.dead_letters - plan.waiting.dead;
    let planned_endpoints = endpoints as u64;
    let planned_rate = plan.rate;
    Ok(Figures { dead_gone_ms, dead_letters, planned_endpoints, planned_rate, ..figures })
}

/// How long it takes until there is no dead letter, in milliseconds.
fn dead_gone(account: &Account) -> JoinHandle<u64> {
    let began = Instant::now();
    let Pipes { deliveries_dlq, retries_dlq, .. } = account.ports.pipes.clone();
    tokio::spawn(async move {
        while !(deliveries_dlq.is_empty() && retries_dlq.is_empty()) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        u64::try_from(began.elapsed().as_millis()).unwrap_or(LONGEST_MS)
    })
}

/// What was throttled until the account had followed.
fn warm_up(account: &Account, plan: &Plan) -> JoinHandle<Throttled> {
    let (table, after) = (account.ports.table.clone(), Duration::from_secs_f64(plan.warm_up_s));
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        table.throttled()
    })
}

/// The account gets its limits, and everything that is planned its moment.
fn begin(account: &Account, plan: &Plan, from: Timestamp) {
    let moment = |s: f64| from.plus_ms((s * 1000.0) as u64);
    let brown_outs = plan.brown_out.map(|(Span { from_s, until_s }, failing, slow_ms)| BrownOut {
        from: moment(from_s),
        until: moment(until_s),
        failing,
        slow_ms,
    });
    account.set_weather(&Weather {
        warm_writes: plan.warm_writes,
        warm_reads: plan.warm_reads,
        table_quota: plan.table_quota,
        scale: plan.scale,
        brown_outs: brown_outs.into_iter().collect(),
        ..Weather::default()
    });
    account.endpoints.begin(from);
    if let Some((Span { from_s, until_s }, much)) = plan.others {
        account.concurrency.others_take(moment(from_s), moment(until_s), much);
    }
}

/// Both mappings.
fn map(account: &Account, plan: &Plan, open: &Open) {
    let Pipes { deliveries, retries, .. } = &account.ports.pipes;
    let setup = Setup {
        most: plan.dispatch_concurrency,
        mixed: plan.mixed_versions,
        knows_its_time: plan.without != Some(Part::Slots),
    };
    for queue in [deliveries, retries] {
        let of = queue.clone();
        let backlog: Backlog = Arc::new(move || of.backlog());
        let counted = account.ports.counted(queue);
        let dispatch = account.dispatch.clone();
        Mapping::start(counted, dispatch, setup, open, backlog);
    }
}

/// The schedule of retry.
fn sweep(account: &Account, open: &Open) {
    let (retry, open) = (account.retry.clone(), open.clone());
    tokio::spawn(async move {
        while open.load(Ordering::Relaxed) {
            for part in retry::Part::all(SWEEP_PARTS) {
                tokio::spawn(invoke(retry.clone(), part));
            }
            tokio::time::sleep(Duration::from_secs(SWEEP_EVERY_S)).await;
        }
    });
}

/// An asynchronous invocation: Lambda keeps its event while there is no concurrency for it, and
/// tries again after a second, two, four (docs: asynchronous invocation, "Error handling"), until
/// the event is too old. One that is killed is followed by that of the next minute.
async fn invoke(retry: Arc<Function<retry::Sweeper>>, part: retry::Part) {
    let began = Instant::now();
    let mut pause = Duration::from_secs(1);
    loop {
        let run = |sweeper: retry::Sweeper, deadline| async move {
            sweeper.run_scheduled(part, None, Some(deadline)).await
        };
        if retry.invoke(run).await != Err(Failure::Throttled) {
            return;
        }
        if began.elapsed() + pause > Duration::from_secs(SWEEP_EVENT_AGE_S) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Publishes at the plan's rate for as long as it says, and more slowly while it warms up.
async fn load(
    plan: &Plan,
    customers: &[Customer],
    publishers: &Arc<Publishers>,
    dice: &Dice,
    progress: &dyn Fn(f64),
) {
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(plan.load_s);
    let weights: f64 = plan.tenants.iter().map(|tenant| tenant.weight).sum();
    let (mut next, mut published) = (began, 0);
    while plan.rate > 0.0 && plan.most.is_none_or(|most| published < most) {
        let ramp = match plan.warm_up_s > 0.0 {
            true => (next - began).as_secs_f64() / plan.warm_up_s,
            false => 1.0,
        };
        next += dice.gap(plan.rate * ramp.clamp(LEAST_RAMP, 1.0));
        if next >= end {
            break;
        }
        tokio::time::sleep_until(next).await;
        let mut place = dice.share() * weights;
        let chosen = plan.tenants.iter().position(|tenant| {
            place -= tenant.weight;
            place < 0.0
        });
        publishers.publish(&customers[chosen.unwrap_or(0)].app);
        published += 1;
        if published % 64 == 0 {
            progress(began.elapsed().as_secs_f64());
        }
    }
    tokio::time::sleep_until(end).await;
}

/// How often somebody asks for the same before they give up.
const CLICKS: u32 = 10;

/// Sends messages again to the first endpoint, as somebody does who clicks.
async fn by_hand(
    account: &Account,
    plan: &Plan,
    customers: &[Customer],
    publishers: &Publishers,
) -> Result<(), String> {
    let Some(at_s) = plan.by_hand_s else { return Ok(()) };
    tokio::time::sleep(Duration::from_secs_f64(at_s)).await;
    let messages = publishers.answers().first.clone();
    let Customer { app, endpoints } = &customers[0];
    for message in messages {
        let path = format!("/api/v1/app/{app}/msg/{message}/endpoint/{}/resend", endpoints[0]);
        let mut tries = 1;
        // Whoever is told to come later does.
        while let Err(why) = account.ask(&path, json!({})).await {
            if tries == CLICKS {
                return Err(why);
            }
            tries += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    Ok(())
}

/// Nothing more begins; what has begun ends.
async fn end(account: &Account, open: &Open) {
    open.store(false, Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(LAST_S);
    while Instant::now() < until && account.dispatch.stats().running > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let Pipes { deliveries, retries, deliveries_dlq, retries_dlq } = &account.ports.pipes;
    for queue in [deliveries, retries, deliveries_dlq, retries_dlq] {
        account.ledger.queued(&SimulatedQueue::bodies(queue));
    }
}
