//! `posthorn tail`: an application's deliveries as they happen.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli;
use crate::output::{Paint, complain, field, line};
use crate::reach::{Api, segment};
use crate::terminal::{shown, shown_json};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Endpoints that are looked at, and attempts of each at a time.
const ENDPOINTS: usize = 100;
const ATTEMPTS: usize = 250;

/// Prints a line for each attempt, until interrupted or as many as were asked for. While Posthorn does
/// not answer it waits. What an endpoint is sent beyond [`ATTEMPTS`] between two looks is not told.
pub(crate) async fn run(api: &Api, options: &cli::Tail, as_json: bool) -> Result<(), String> {
    let app = api.application(&options.of.app).await?;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    if !options.from_start {
        seen.extend(attempts(api, &app).await?.iter().map(id));
    }
    let (mut told, mut is_away, paint) = (0, false, Paint::of_stdout());
    loop {
        match look(api, &app, &mut seen).await {
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

/// The attempts that have come since the last look, with their event types.
async fn look(
    api: &Api,
    app: &str,
    seen: &mut BTreeSet<String>,
) -> Result<Vec<(Value, String)>, String> {
    let latest = attempts(api, app).await?;
    let now = latest.iter().map(id).collect();
    let mut news = Vec::new();
    for attempt in latest.into_iter().filter(|attempt| !seen.contains(&id(attempt))) {
        let message = segment(&field(&attempt, "msgId"));
        let path = format!("/app/{app}/msg/{message}?with_content=false");
        let message = api.find(&path).await?.unwrap_or_default();
        news.push((attempt, field(&message, "eventType")));
    }
    *seen = now;
    Ok(news)
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
