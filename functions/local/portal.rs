//! `posthorn portal`: a link to an application's portal.

use http::Method;
use serde_json::{Value, json};
use shared::domain::clock::Ambient;

use crate::cli;
use crate::client::{Client, string};
use crate::remote::Remote;
use crate::stack::Stack;

/// Prints a link that lets whoever has it into the portal of one application.
pub(crate) async fn run(options: &cli::Portal) -> Result<(), String> {
    let answer = match options.of.stack() {
        Some(stack) => {
            let stack = Stack::find(&stack)?;
            let token = stack.token(&Ambient::system())?;
            let url = options.api_url.as_deref().map_or_else(|| stack.output("ApiUrl"), Ok)?;
            let remote = Remote::new(url, &token)?;
            remote.call(Method::POST, &path(&options.app), Value::Null).await?
        }
        None => {
            let mut client = Client::of(&options.data.directory).await?;
            let app = client.application(&options.app).await?;
            client.call("POST", &path(&app), json!({})).await?
        }
    };
    println!("{}", string(&answer, "url")?);
    Ok(())
}

fn path(app: &str) -> String {
    format!("/api/v1/auth/app-portal-access/{app}")
}
