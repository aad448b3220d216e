//! `posthorn tail`: an application's deliveries as they happen.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::clock::Timestamp;

use crate::cli;
use crate::output::{Paint, complain, field, line};
use crate::reach::{Api, segment};
use crate::terminal::{shown_in_line, shown_json};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Endpoints that are looked at, and attempts of each at a time.
const ENDPOINTS: usize = 1_000;
const ATTEMPTS: usize = 2_500;
/// How long after its beginning an attempt may be on record, in milliseconds: endpoints have 25 s at the
/// most.
const LATE_MS: u64 = 60_000;

/// Prints a line for each attempt, until interrupted or as many as were asked for. While Posthorn does
/// not answer it waits. What it cannot tell of it says.
pub(crate) async fn run(api: &Api, options: &cli::Tail, as_json: bool) -> Result<(), String> {
    let app = api.application(&options.of.app).await?;
    let mut seen = Seen::default();
    if !options.from_start {
        look(api, &app, &mut seen).await?;
    }
    let (mut told, mut is_away, paint) = (0, false, Paint::of_stdout());
    loop {
        match news(api, &app, &mut seen).await {
            Ok(news) => {
                is_away = false;
                for (attempt, kind) in news {
                    line(&match as_json {
                        true => shown_json(&json!({"eventType": kind, "attempt": attempt})),
                        false => shown_line(&attempt, &kind, paint),
                    });
                    told += 1;
                    if options.limit.is_some_and(|limit| told >= limit) {
                        return Ok(());
                    }
                }
            }
            Err(why) if api.is_away().await => {
                if !std::mem::replace(&mut is_away, true) {
                    complain(&format!("{why}; waiting until it is back"));
                }
            }
            Err(why) => return Err(why),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What has been looked at.
#[derive(Default)]
struct Seen {
    /// The attempts of the last look.
    ids: BTreeSet<String>,
    /// From when on the next one may find others.
    since: Option<Timestamp>,
    /// Whether it was said that there are too many endpoints.
    is_said: bool,
}

/// The attempts that have come since the last look, with their event types.
async fn news(api: &Api, app: &str, seen: &mut Seen) -> Result<Vec<(Value, String)>, String> {
    let mut news = Vec::new();
    for attempt in look(api, app, seen).await? {
        let message = segment(&field(&attempt, "msgId"));
        let path = format!("/app/{app}/msg/{message}?with_content=false");
        let message = api.find(&path).await?.unwrap_or_default();
        news.push((attempt, field(&message, "eventType")));
    }
    Ok(news)
}

/// The attempts that have come since the last look, oldest first.
async fn look(api: &Api, app: &str, seen: &mut Seen) -> Result<Vec<Value>, String> {
    let endpoints = api.list(&format!("/app/{app}/endpoint"), ENDPOINTS).await?;
    if endpoints.len() == ENDPOINTS && !std::mem::replace(&mut seen.is_said, true) {
        complain(&format!("not told: what endpoints beyond the first {ENDPOINTS} are sent"));
    }
    let since = seen.since.map(|at| format!("?after={}", segment(&at.to_rfc3339())));
    let since = since.unwrap_or_default();
    let mut all = Vec::new();
    for endpoint in endpoints {
        let ep = segment(&field(&endpoint, "id"));
        let path = format!("/app/{app}/attempt/endpoint/{ep}{since}");
        let found = api.list(&path, ATTEMPTS).await?;
        if found.len() == ATTEMPTS && seen.since.is_some() {
            complain(&format!("not told: what {ep} was sent beyond the latest {ATTEMPTS}"));
        }
        all.extend(found);
    }
    all.sort_by_key(|attempt| field(attempt, "timestamp"));
    let latest = all.last().and_then(|last| Timestamp::parse_rfc3339(&field(last, "timestamp")));
    if let Some(latest) = latest {
        seen.since = Some(latest.minus_ms(LATE_MS)).max(seen.since);
    }
    let ids = all.iter().map(id).collect();
    let before = std::mem::replace(&mut seen.ids, ids);
    all.retain(|attempt| !before.contains(&id(attempt)));
    Ok(all)
}

fn id(attempt: &Value) -> String {
    field(attempt, "id")
}

fn shown_line(attempt: &Value, kind: &str, paint: Paint) -> String {
    let time = field(attempt, "timestamp");
    let status = match attempt["responseStatusCode"].as_u64() {
        None | Some(0) => "no answer".to_owned(),
        Some(status) => status.to_string(),
    };
    let status = match attempt["status"] == 0 {
        true => paint.good(&status),
        false => paint.bad(&status),
    };
    format!(
        "{}  {}  -> {}  {status}  {} ms  {}",
        paint.faint(time.get(11..19).unwrap_or_default()),
        shown_in_line(kind),
        shown_in_line(&field(attempt, "url")),
        field(attempt, "responseDurationMs"),
        paint.faint(&field(attempt, "msgId")),
    )
}
