//! `posthorn tail`: an application's deliveries as they happen.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli;
use crate::output::{Paint, field, line};
use crate::reach::{Api, segment};
use crate::terminal::{shown, shown_json};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Endpoints that are looked at, and attempts of each at a time.
const ENDPOINTS: usize = 100;
const ATTEMPTS: usize = 250;

/// Prints a line for each attempt, until interrupted or as many as were asked for. What an endpoint
/// is sent beyond [`ATTEMPTS`] between two looks is not told.
pub(crate) async fn run(api: &Api, options: &cli::Tail, as_json: bool) -> Result<(), String> {
    let app = api.application(&options.of.app).await?;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    if !options.from_start {
        seen.extend(attempts(api, &app).await?.iter().map(id));
    }
    let (mut told, paint) = (0, Paint::of_stdout());
    loop {
        let latest = attempts(api, &app).await?;
        let known = std::mem::replace(&mut seen, latest.iter().map(id).collect());
        for attempt in latest.iter().filter(|attempt| !known.contains(&id(attempt))) {
            let message = segment(&field(attempt, "msgId"));
            let path = format!("/app/{app}/msg/{message}?with_content=false");
            let message = api.find(&path).await?.unwrap_or_default();
            let kind = field(&message, "eventType");
            line(&match as_json {
                true => shown_json(&json!({"eventType": kind, "attempt": attempt})),
                false => shown_line(attempt, &kind, paint),
            });
            told += 1;
            if options.limit.is_some_and(|limit| told >= limit) {
                return Ok(());
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn id(attempt: &Value) -> String {
    field(attempt, "id")
}

/// The latest attempts of all endpoints, oldest first.
async fn attempts(api: &Api, app: &str) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for endpoint in api.list(&format!("/app/{app}/endpoint"), ENDPOINTS).await? {
        let id = segment(&field(&endpoint, "id"));
        all.extend(api.list(&format!("/app/{app}/attempt/endpoint/{id}"), ATTEMPTS).await?);
    }
    all.sort_by_key(|attempt| field(attempt, "timestamp"));
    Ok(all)
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
        shown(kind),
        shown(&field(attempt, "url")),
        field(attempt, "responseDurationMs"),
        paint.faint(&field(attempt, "msgId")),
    )
}
