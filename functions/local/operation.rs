//! `posthorn api`: any operation, by method and path.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::output::Output;
use crate::reach::Api;
use crate::send::read;
use crate::{cli, remote};

/// Calls it and shows what it answers.
pub(crate) async fn run(api: &Api, options: &cli::Operation) -> Result<Output, String> {
    let method: Method = options
        .method
        .to_uppercase()
        .parse()
        .map_err(|_| format!("{}: not an HTTP method", options.method))?;
    let whole = ["/api/", "/local/", "/ingest/", "/.well-known/"];
    let slash = if options.path.starts_with('/') { "" } else { "/" };
    let path = format!("{slash}{}", options.path);
    let path = match whole.iter().any(|start| path.starts_with(start)) {
        true => path,
        false => format!("/api/v1{path}"),
    };
    let body = options.body.as_deref().map(read).transpose()?.unwrap_or_default();
    let text = api.raw(method, &path, Bytes::from(body)).await?.text()?;
    // What no value can hold is shown as it came.
    let Ok(answer) = remote::read(&text, &path) else { return Ok(Output::new(json!(text), text)) };
    let text = match answer.is_null() {
        true => String::new(),
        false => serde_json::to_string_pretty(&answer).unwrap_or_default(),
    };
    Ok(Output::new(answer, text))
}
