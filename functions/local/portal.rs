//! `posthorn portal`: a link to an application's portal.

use std::process::{Command, Stdio};

use http::Method;
use serde_json::json;

use crate::cli;
use crate::output::Output;
use crate::reach::{Api, string};

/// A link that lets whoever has it into the portal of one application.
pub(crate) async fn run(api: &Api, options: &cli::Portal) -> Result<Output, String> {
    let app = api.application(&options.of.app).await?;
    let path = format!("/auth/app-portal-access/{app}");
    let answer = api.call(Method::POST, &path, json!({})).await?;
    let url = string(&answer, "url")?;
    if options.open {
        open(&url)?;
    }
    Ok(Output::new(answer, url))
}

/// Shows a page in the user's browser.
pub(crate) fn open(url: &str) -> Result<(), String> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.map(|_| ()).map_err(|error| format!("--open: `{program}` does not start: {error}"))
}
