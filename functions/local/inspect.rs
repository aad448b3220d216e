//! `posthorn inspect` and `posthorn resend`: what became of a message, and sending it again.

use http::Method;
use serde_json::{Value, json};

use crate::cli;
use crate::output::{Output, field, moment};
use crate::reach::{Api, segment};
use crate::terminal::shown_in_line;

/// Most endpoints and attempts of a message that are looked at.
const MOST: usize = 1_000;

/// Says where a message went and where not, and why.
pub(crate) async fn run(api: &Api, options: &cli::OneMessage) -> Result<Output, String> {
    let path = options.of.path_with(api, &options.message).await?;
    let name = segment(&options.message);
    let message = api.get(&format!("{path}/msg/{name}?with_content=false")).await?;
    let id = field(&message, "id");
    let attempts = api.list(&format!("{path}/attempt/msg/{id}"), MOST).await?;
    let kind = field(&message, "eventType");
    let mut text = format!("{id} ({kind}), published {}", moment(&message["timestamp"]));
    let json = match api.find(&format!("{path}/msg/{id}/explain")).await? {
        Some(explained) => {
            for endpoint in explained["endpoints"].as_array().into_iter().flatten() {
                text += &explanation(endpoint, &attempts);
            }
            if let Some(more) = explained["leftOut"].as_u64().filter(|more| *more > 0) {
                text += &format!("\n\n{more} more endpoints, which an answer has no room for");
            }
            json!({"message": message, "attempts": attempts, "explanation": explained})
        }
        None => {
            let destinations = api.list(&format!("{path}/msg/{id}/endpoint"), MOST).await?;
            let app = path.trim_start_matches("/app/");
            let told = crate::meant::of(api, app, &message).await?.json();
            text += &unexplained(&destinations, &attempts, &told);
            json!({"message": message, "attempts": attempts, "destinations": destinations,
                "endpoints": told})
        }
    };
    Ok(Output::new(json, text))
}

/// An endpoint as the platform explains it: the verdict, every rule, every attempt, what is next.
fn explanation(endpoint: &Value, attempts: &[Value]) -> String {
    let mut text = format!("\n\n{}", shown_in_line(&field(endpoint, "url")));
    text += &format!("\n  {}: {}", field(endpoint, "verdict"), field(endpoint, "says"));
    for rule in endpoint["rules"].as_array().into_iter().flatten() {
        let mark = if rule["holds"] == true { "yes" } else { "NO " };
        text += &format!("\n    {mark}  {}", field(rule, "says"));
    }
    text += &attempted(&endpoint["endpointId"], attempts);
    let failure = &endpoint["lastAttempt"]["failure"];
    for said in ["says", "advice"].map(|name| field(failure, name)) {
        if !said.is_empty() {
            text += &format!("\n  {said}");
        }
    }
    if endpoint["nextAttempt"].is_string() {
        text += &format!("\n  next try {}", moment(&endpoint["nextAttempt"]));
    }
    text
}

/// The attempts at an endpoint, oldest first.
fn attempted(endpoint: &Value, attempts: &[Value]) -> String {
    let to_it = attempts.iter().filter(|one| one["endpointId"] == *endpoint);
    let line = |attempt: &Value| {
        let answered = match attempt["responseStatusCode"].as_u64() {
            None | Some(0) => "no answer".to_owned(),
            Some(status) => status.to_string(),
        };
        let said = match shortened(&field(attempt, "response")) {
            said if said.is_empty() => said,
            said => format!(": {said}"),
        };
        let (at, ms) = (moment(&attempt["timestamp"]), field(attempt, "responseDurationMs"));
        format!("\n  {at}  {answered} in {ms} ms{said}") + &headers(attempt)
    };
    to_it.rev().map(line).collect()
}

/// What is kept of an answer's headers, a line each.
fn headers(attempt: &Value) -> String {
    let all = attempt["responseHeaders"].as_array().into_iter().flatten();
    let line = |header: &Value| {
        let [name, value] = [0, 1].map(|at| header[at].as_str().unwrap_or_default());
        format!("\n      {}", shortened(&format!("{name}: {value}")))
    };
    all.map(line).collect()
}

/// The same, from what a platform that explains nothing has on record.
fn unexplained(destinations: &[Value], attempts: &[Value], told: &Value) -> String {
    let mut text = String::new();
    for destination in destinations {
        text += &format!("\n\n{}", shown_in_line(&field(destination, "url")));
        text += &format!("\n  {}{}", field(destination, "statusText"), outlook(destination));
        text += &attempted(&destination["id"], attempts);
    }
    let known = |id: &Value| destinations.iter().any(|one| one["id"] == *id);
    for other in told.as_array().into_iter().flatten().filter(|one| !known(&one["id"])) {
        let why = other["why"].as_str().unwrap_or("it was not tried so far");
        text += &format!("\n\n{}\n  not sent: {why}", shown_in_line(&field(other, "url")));
    }
    text
}

/// What comes next at an endpoint, or why nothing does.
fn outlook(destination: &Value) -> String {
    match (&destination["nextAttempt"], destination["reason"].as_str()) {
        (Value::String(_), _) => format!(", next try {}", moment(&destination["nextAttempt"])),
        (_, Some(reason)) => format!(": {reason}"),
        _ => String::new(),
    }
}

/// The first line of an answer, as far as it fits a terminal.
fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(100).collect();
    if cut.len() < text.len() { cut + "..." } else { cut }
}

/// Sends a message again.
pub(crate) async fn resend(api: &Api, options: &cli::Resend) -> Result<Output, String> {
    let message = &options.one.message;
    let path = options.one.of.path_with(api, message).await?;
    let path = format!("{path}/msg/{}", segment(message));
    let endpoints = match &options.endpoint {
        Some(endpoint) => vec![endpoint.clone()],
        None => {
            let all = api.list(&format!("{path}/endpoint"), MOST).await?;
            all.iter().map(|one| field(one, "id")).collect()
        }
    };
    if endpoints.is_empty() {
        return Err(format!(
            "{} was for nobody: there is no endpoint to send it to again; \
            name one with --endpoint",
            options.one.message
        ));
    }
    for endpoint in &endpoints {
        let resend = format!("{path}/endpoint/{}/resend", segment(endpoint));
        api.call(Method::POST, &resend, json!({})).await?;
    }
    let text = format!("sent again to {}", endpoints.join(", "));
    Ok(Output::new(json!({"message": options.one.message, "endpoints": endpoints}), text))
}
