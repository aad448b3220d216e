//! `posthorn api`: any operation, by method and path.

use bytes::Bytes;
use http::Method;
use serde_json::value::RawValue;

use crate::cli;
use crate::json::pretty;
use crate::output::Output;
use crate::reach::Api;
use crate::send::read;

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
    match serde_json::from_str::<&RawValue>(&text) {
        Ok(answer) => Ok(Output::new(answer, pretty(answer.get()))),
        Err(_) if text.is_empty() => Ok(Output::new((), text)),
        // A page, say.
        Err(_) => Ok(Output::new(&text, &text)),
    }
}
