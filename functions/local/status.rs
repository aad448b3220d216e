//! `posthorn status`: what waits, what was delivered, what fails.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use shared::domain::endpoint::MAX_ENDPOINTS;

use crate::cli;
use crate::output::{Output, field, line};
use crate::reach::{Api, segment};
use crate::terminal::shown_in_line;

/// Time between two looks with `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Applications that are looked through, parked records and failing endpoints that are counted.
const MOST: usize = 1_000;

/// Says how the platform is, once, or again and again.
pub(crate) async fn run(api: &Api, options: &cli::Status, as_json: bool) -> Result<(), String> {
    loop {
        look(api).await?.print(as_json);
        if !options.watch {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if !as_json {
            line("");
        }
    }
}

async fn look(api: &Api) -> Result<Output, String> {
    // Counted by the process itself, where there is one.
    let process = match api.directory {
        Some(_) => api.raw(Method::GET, "/local/status", Bytes::new()).await?.json()?,
        None => Value::Null,
    };
    let parked = api.list("/operator/parked", MOST).await?.len();
    let apps = api.list("/app", MOST).await?;
    let (mut endpoints, mut disabled) = (0, Vec::new());
    for app in &apps {
        let path = format!("/app/{}/endpoint", segment(&field(app, "id")));
        let all = api.list(&path, MAX_ENDPOINTS).await?;
        endpoints += all.len();
        let off = all.into_iter().filter(|one| one["disabled"] == true);
        disabled
            .extend(off.map(|one| json!({"app": app["id"], "id": one["id"], "url": one["url"]})));
    }
    let failing = api.list("/operator/failing", MOST).await?;
    let mut text = format!("{}\n", api.url(""));
    let count = |name: &str| process["metrics"][name]["sum"].as_f64().unwrap_or_default();
    if !process.is_null() {
        text += &format!("waiting in the queues  {}", process["queued"]);
        text += &match process["oldestMs"].as_u64() {
            Some(ms) => format!(", the oldest for {} s\n", ms / 1000),
            None => "\n".to_owned(),
        };
        for (title, metric) in [
            ("accepted", "Accepted"),
            ("delivered", "Delivered"),
            ("failed attempts", "Failed"),
            ("given up", "Exhausted"),
        ] {
            text += &format!("{title:<21}  {}, since it was started\n", count(metric));
        }
    }
    let or_more = |count: usize| match count < MOST {
        true => count.to_string(),
        false => format!("{MOST} or more"),
    };
    text += &format!("parked records         {}\n", or_more(parked));
    text += &format!("applications           {}", or_more(apps.len()));
    text += if apps.len() < MOST { "\n" } else { ", what follows is of the first of them\n" };
    text += &format!("endpoints              {endpoints}, {} of them disabled", disabled.len());
    for one in &disabled {
        text +=
            &format!("\n  disabled: {}  {}", shown_in_line(&field(one, "url")), field(one, "id"));
    }
    for one in &failing {
        let error = &one["lastError"];
        text += &format!(
            "\n  failing:  {}  {}",
            shown_in_line(&field(one, "url")),
            field(one, "endpointId")
        );
        text += &format!(" of {}, {}", field(one, "application"), field(error, "says"));
    }
    let is_whole = [parked, apps.len(), failing.len()].iter().all(|count| *count < MOST);
    let json = json!({"url": api.url(""), "failing": failing, "process": process, "parked": parked,
        "applications": apps.len(), "endpoints": endpoints, "disabled": disabled,
        "whole": is_whole});
    Ok(Output::new(json, text))
}
