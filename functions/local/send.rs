//! `posthorn send`: publish an event.

use bytes::Bytes;
use serde_json::{Value, json, value::RawValue};

use crate::cli;
use crate::client::{Client, string};

/// Publishes one event and tells where it went.
pub(crate) async fn run(options: &cli::Send) -> Result<(), String> {
    let payload = match options.payload.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?,
        None => options.payload.clone(),
    };
    // Checked here for a good message, and passed on untouched.
    let payload: Box<RawValue> =
        serde_json::from_str(&payload).map_err(|error| format!("the payload: {error}"))?;
    let mut client = Client::of(&options.data.directory).await?;
    let app = client.application(&options.app).await?;
    let event_type = json!(options.event_type);
    let body = format!(r#"{{"eventType":{event_type},"payload":{}}}"#, payload.get());
    let path = format!("/api/v1/app/{app}/msg");
    let answer = client.call_bytes("POST", &path, Bytes::from(body)).await?;
    let endpoints = client.call("GET", &format!("/api/v1/app/{app}/endpoint"), Value::Null).await?;
    let count = endpoints["data"].as_array().map_or(0, Vec::len);
    println!("accepted {} for {count} endpoint(s) of {app}", string(&answer, "id")?);
    if count == 0 {
        println!("nobody listens yet: `cargo run -- listen` registers an endpoint");
    }
    Ok(())
}
