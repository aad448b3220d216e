//! `posthorn attempt`: what was sent, and what was answered.

use clap::{ArgGroup, Subcommand};
use serde_json::Value;

use super::{Of, Page, below};
use crate::output::{Output, field, moment};
use crate::reach::Api;
use crate::table::Column;

/// Attempts: what was sent to an endpoint, and what it answered.
#[derive(Subcommand)]
pub(crate) enum Attempt {
    /// List the attempts of a message, or of an endpoint, newest first.
    #[command(after_help = "Examples:\n  posthorn attempt list --message msg_...\n  \
                      posthorn attempt list --endpoint ep_... -n 10",
        group = ArgGroup::new("whose").required(true))]
    List {
        /// Of this message.
        #[arg(long, group = "whose")]
        message: Option<String>,
        /// Of this endpoint.
        #[arg(long, group = "whose")]
        endpoint: Option<String>,
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        page: Page,
    },
    /// Show an attempt.
    #[command(after_help = "Example:\n  posthorn attempt get msg_... atmpt_...")]
    Get {
        /// The message.
        message: String,
        /// The attempt's id.
        attempt: String,
        #[command(flatten)]
        of: Of,
    },
}

/// Does it.
pub(crate) async fn run(api: &Api, attempt: &Attempt) -> Result<Output, String> {
    match attempt {
        Attempt::List { message, endpoint, of, page } => {
            let path = match (message, endpoint) {
                (Some(message), _) => {
                    below(&format!("{}/attempt/msg", of.path_with(api, message).await?), message)
                }
                (None, endpoint) => {
                    let (app, name) =
                        (of.path(api).await?, endpoint.as_deref().unwrap_or_default());
                    of.thing(api, &below(&format!("{app}/endpoint"), name), "endpoint", name)
                        .await?;
                    below(&format!("{app}/attempt/endpoint"), name)
                }
            };
            let attempts = api.list(&path, page.limit).await?;
            Ok(Output::table(
                attempts,
                "there is no attempt yet",
                &[
                    Column::whole("TIME", |attempt| moment(&attempt["timestamp"])),
                    Column::whole("RESULT", |attempt| field(attempt, "statusText")),
                    Column::whole("ANSWER", answer),
                    Column::whole("MS", |attempt| field(attempt, "responseDurationMs")),
                    Column::text("URL", |attempt| field(attempt, "url")),
                    Column::whole("MESSAGE", |attempt| field(attempt, "msgId")),
                    Column::whole("ID", |attempt| field(attempt, "id")),
                ],
            ))
        }
        Attempt::Get { message, attempt, of } => {
            let path = below(&format!("{}/msg", of.path_with(api, message).await?), message);
            let found = api.find(&below(&format!("{path}/attempt"), attempt)).await?;
            let lacks = || format!("the message {message} has no attempt `{attempt}`");
            Ok(Output::thing(found.ok_or_else(lacks)?))
        }
    }
}

/// The status that came, or that none did.
fn answer(attempt: &Value) -> String {
    match attempt["responseStatusCode"].as_u64() {
        None | Some(0) => "none".to_owned(),
        Some(status) => status.to_string(),
    }
}
