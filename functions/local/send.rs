//! `posthorn send` and `posthorn trigger`: publish an event, and say for whom it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::nouns::Of;
use crate::output::{Output, field};
use crate::reach::{Api, readable, segment, string};
use crate::{cli, hint, meant};

/// Publishes an event.
pub(crate) async fn run(api: &Api, options: &cli::Send) -> Result<Output, String> {
    let payload = read(&options.payload)?;
    // Checked here for a good message, and passed on untouched.
    let payload: Box<RawValue> = serde_json::from_str(&payload).map_err(|error| {
        format!("the payload is not JSON ({error}): quote strings, or name a file as @FILE")
    })?;
    let app = api.addressee(&options.of.app).await?;
    let mut envelope = json!({"eventType": options.event_type});
    for (name, value) in [
        ("eventId", json!(options.event_id)),
        ("channels", json!(some(&options.channel))),
        ("tags", json!(some(&options.tag))),
    ] {
        if !value.is_null() {
            envelope[name] = value;
        }
    }
    publish(api, &app, &options.of, &envelope, payload.get()).await
}

/// Publishes an event type's example.
pub(crate) async fn trigger(api: &Api, options: &cli::Trigger) -> Result<Output, String> {
    let app = api.application(&options.of.app).await?;
    let name = &options.event_type;
    let example = example(api, &app, &options.of, name).await?;
    publish(api, &app, &options.of, &json!({"eventType": name}), &example).await
}

/// Publishes a payload, byte by byte as it is, and says for whom it is.
async fn publish(
    api: &Api,
    app: &str,
    of: &Of,
    envelope: &Value,
    payload: &str,
) -> Result<Output, String> {
    let envelope = envelope.to_string();
    let body = format!(r#"{},"payload":{payload}}}"#, envelope.trim_end_matches('}'));
    let written = api.publish(app, body).await?;
    let message = readable(&written);
    let id = string(&message, "id")?;
    let kind = field(&message, "eventType");
    let told = match meant::of(api, app, &message).await {
        Ok(told) => told,
        // It was accepted all the same.
        Err(why) => {
            let text = format!("accepted {id} ({kind}) of {app}; for whom is not known: {why}");
            return Ok(Output::new(Sent { message: &written, app, endpoints: None }, text));
        }
    };
    let mut text = format!("accepted {id} ({kind}) of {app}, meant for {}", told.summary());
    for line in told.lines() {
        text += &format!("\n  {line}");
    }
    if told.is_nobody_there() {
        let listen = hint::command(&format!("listen{}", of.typed()));
        text += &format!("\nnobody listens yet: `{listen}` registers an endpoint");
    }
    let endpoints = Some(told.json());
    Ok(Output::new(Sent { message: &written, app, endpoints }, text))
}

/// What was published, for programs.
#[derive(Serialize)]
struct Sent<'a> {
    message: &'a RawValue,
    app: &'a str,
    /// For whom it is, if that is known.
    endpoints: Option<Value>,
}

/// An event type, as far as its example needs it; with every digit of that.
#[derive(Deserialize)]
struct Described {
    schemas: Option<BTreeMap<String, Box<RawValue>>>,
}

impl Described {
    /// The first example of the latest version that has any.
    fn example(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Schema {
            examples: Vec<Box<RawValue>>,
        }
        let mut versions: Vec<_> = self.schemas.iter().flatten().collect();
        versions.sort_by_key(|(version, _)| version.parse::<u64>().unwrap_or_default());
        let examples = |schema: &RawValue| serde_json::from_str::<Schema>(schema.get()).ok();
        let mut found = versions.iter().rev().filter_map(|(_, schema)| examples(schema));
        found.find_map(|schema| schema.examples.first().map(|first| first.get().to_owned()))
    }
}

/// The example of an event type, as JSON: its own, or the one of the application's profile.
async fn example(api: &Api, app: &str, of: &Of, name: &str) -> Result<String, String> {
    let described = api.find_written(&format!("/event-type/{}", segment(name))).await?;
    let of_type = described.as_ref().and_then(|written| {
        let described: Described = serde_json::from_str(written.get()).ok()?;
        described.example()
    });
    if let Some(example) = of_type {
        return Ok(example);
    }
    let profile = api.get(&format!("/app/{app}/profile")).await?;
    let events = profile["events"].as_array().into_iter().flatten();
    let of_profile = events.clone().find(|event| event["type"] == name);
    // The profile has it as text.
    if let Some(example) = of_profile.and_then(|event| event["example"].as_str()) {
        return Ok(example.to_owned());
    }
    match described {
        Some(_) => Err(format!(
            "the event type {name} has no example: add one to its schema, or use `{}`",
            hint::command(&format!("send --type {name} PAYLOAD{}", of.typed()))
        )),
        None => {
            let known = api.list("/event-type", 250).await?;
            let known = known
                .iter()
                .chain(events)
                .filter_map(|one| one["name"].as_str().or_else(|| one["type"].as_str()));
            Err(crate::matching::missing("event type", name, known))
        }
    }
}

/// A caller's text: itself, or what is in the file or on the standard input that it names.
///
/// # Errors
/// When that cannot be read.
pub(crate) fn read(text: &str) -> Result<String, String> {
    match text.strip_prefix('@') {
        None => Ok(text.to_owned()),
        Some("-") => {
            std::io::read_to_string(std::io::stdin()).map_err(|error| format!("@-: {error}"))
        }
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}")),
    }
}

fn some(list: &[String]) -> Option<&[String]> {
    (!list.is_empty()).then_some(list)
}
