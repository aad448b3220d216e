//! `posthorn endpoint`: where an application's events go.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use shared::domain::clock::Ambient;

use super::{Of, Page, below, delete};
use crate::output::{Output, field};
use crate::reach::{Api, string};
use crate::table::Column;
use crate::{hint, span};

/// Longest wait for a task, in looks of [`LOOK_EVERY`].
const LOOKS: u32 = 300;
/// Time between two looks at a task.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Endpoints: the URLs that an application's events go to.
#[derive(Subcommand)]
pub(crate) enum Endpoint {
    /// List an application's endpoints.
    #[command(after_help = "Example:\n  posthorn endpoint list --app acme")]
    List {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        page: Page,
    },
    /// Show an endpoint.
    #[command(after_help = "Example:\n  posthorn endpoint get ep_... --app acme")]
    Get(One),
    /// Register an endpoint.
    #[command(
        after_help = "Example:\n  posthorn endpoint create https://acme.example/hook --types order.paid"
    )]
    Create {
        /// Where events go.
        url: String,
        /// Only these event types, separated by commas.
        #[arg(long, value_delimiter = ',')]
        types: Vec<String>,
        /// A name for people.
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        of: Of,
    },
    /// Delete an endpoint.
    #[command(after_help = "Example:\n  posthorn endpoint delete ep_...")]
    Delete(One),
    /// Enable an endpoint.
    #[command(after_help = "Example:\n  posthorn endpoint enable ep_...")]
    Enable(One),
    /// Disable an endpoint: nothing more is sent to it.
    #[command(after_help = "Example:\n  posthorn endpoint disable ep_...")]
    Disable(One),
    /// Show the secret that an endpoint verifies with.
    #[command(after_help = "Example:\n  posthorn endpoint secret ep_...")]
    Secret(One),
    /// Attempt again what was given up, and say how much that was.
    #[command(after_help = "Example:\n  posthorn endpoint recover ep_... --since 2h")]
    Recover {
        #[command(flatten)]
        one: One,
        /// How far back: 90m, 12h or 14d.
        #[arg(long, default_value = "1d", value_parser = span::seconds)]
        since: u64,
    },
}

/// An endpoint of an application.
#[derive(Args)]
pub(crate) struct One {
    /// Its id or uid.
    endpoint: String,
    #[command(flatten)]
    of: Of,
}

impl One {
    /// Its path, and the endpoint itself: it is there.
    async fn found(&self, api: &Api) -> Result<(String, Value), String> {
        let path = below(&format!("{}/endpoint", self.of.path(api).await?), &self.endpoint);
        let endpoint = self.of.thing(api, &path, "endpoint", &self.endpoint).await?;
        Ok((path, endpoint))
    }

    async fn path(&self, api: &Api) -> Result<String, String> {
        Ok(self.found(api).await?.0)
    }
}

/// Does it.
pub(crate) async fn run(api: &Api, endpoint: &Endpoint) -> Result<Output, String> {
    match endpoint {
        Endpoint::List { of, page } => list(api, of, page).await,
        Endpoint::Get(one) => Ok(Output::thing(one.found(api).await?.1)),
        Endpoint::Create { url, types, description, of } => {
            let types = (!types.is_empty()).then_some(types);
            let body = json!({"url": url, "filterTypes": types, "description": description});
            let path = format!("/app/{}/endpoint", api.application(&of.app).await?);
            let made = api.call(Method::POST, &path, body).await;
            let of_types = types.map_or(&[][..], Vec::as_slice);
            Ok(Output::thing(made.map_err(|why| with_a_way_on(why, of_types))?))
        }
        Endpoint::Delete(one) => delete(api, one.path(api).await?, &one.endpoint).await,
        Endpoint::Enable(one) => switch(api, one, false).await,
        Endpoint::Disable(one) => switch(api, one, true).await,
        Endpoint::Secret(one) => {
            let secret = api.get(&format!("{}/secret", one.path(api).await?)).await?;
            let key = string(&secret, "key")?;
            Ok(Output::new(secret, key))
        }
        Endpoint::Recover { one, since } => recover(api, one, *since).await,
    }
}

/// Why the platform would not have an endpoint, and what to type where it does not know an event
/// type yet.
pub(crate) fn with_a_way_on(why: String, types: &[String]) -> String {
    let unknown = types.iter().find(|name| why.contains(&format!("`{name}` is not one")));
    match unknown {
        Some(name) => {
            let describe = hint::command(&format!("event-type create {name}"));
            format!("the event type {name} is not described yet: `{describe}`, then again")
        }
        None => why,
    }
}

async fn list(api: &Api, of: &Of, page: &Page) -> Result<Output, String> {
    let path = format!("{}/endpoint", of.path(api).await?);
    let endpoints = api.list(&path, page.limit).await?;
    let types: fn(&Value) -> String = |endpoint| match &endpoint["filterTypes"] {
        Value::Null => "all".to_owned(),
        _ => field(endpoint, "filterTypes"),
    };
    Ok(Output::table(
        endpoints,
        "there is no endpoint yet",
        &[
            Column::text("URL", |endpoint| field(endpoint, "url")),
            Column::whole("STATE", |endpoint| state(endpoint).to_owned()),
            Column::text("TYPES", types),
            Column::text("DESCRIPTION", |endpoint| field(endpoint, "description")),
            Column::whole("ID", |endpoint| field(endpoint, "id")),
        ],
    ))
}

/// Whether anything is sent there.
fn state(endpoint: &Value) -> &'static str {
    match endpoint["disabled"] == true {
        true => "disabled",
        false => "enabled",
    }
}

async fn switch(api: &Api, one: &One, off: bool) -> Result<Output, String> {
    let path = one.path(api).await?;
    let changed = api.call(Method::PATCH, &path, json!({"disabled": off})).await?;
    let text = format!("{} is {}", one.endpoint, state(&changed));
    Ok(Output::new(changed, text))
}

/// Recovers, and waits for the task as long as one may wait at a terminal.
async fn recover(api: &Api, one: &One, since_s: u64) -> Result<Output, String> {
    let since = Ambient::system().now().minus_ms(since_s * 1000).to_rfc3339();
    let path = format!("{}/recover", one.path(api).await?);
    let begun = api.call(Method::POST, &path, json!({"since": since})).await?;
    let id = string(&begun, "id")?;
    let mut task = begun;
    for _ in 0..LOOKS {
        task = api.get(&below("/background-task", &id)).await?;
        if task["status"] != "running" {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let done = task["data"]["messagesSent"].as_u64().unwrap_or(0);
    let text = match (task["status"].as_str(), done) {
        (Some("running"), _) => format!("{id} goes on in the background"),
        (Some("finished"), 0) => {
            "nothing had been given up in that time: nothing is sent. What is still being retried \
             has a next attempt of its own"
                .to_owned()
        }
        (Some("finished"), 1) => "1 message is attempted again".to_owned(),
        (Some("finished"), count) => format!("{count} messages are attempted again"),
        (status, _) => format!("{id} is {}", status.unwrap_or("in no known state")),
    };
    Ok(Output::new(task, text))
}
