//! `posthorn attempt`: what was sent, and what was answered.

use clap::Subcommand;
use serde_json::Value;

use super::{Of, Page, below, get};
use crate::output::{Output, field, moment};
use crate::reach::Api;
use crate::table::Column;

/// Attempts: what was sent to an endpoint, and what it answered.
#[derive(Subcommand)]
pub(crate) enum Attempt {
    /// List the attempts of a message, or of an endpoint, newest first.
    #[command(after_help = "Examples:\n  posthorn attempt list --message msg_...\n  \
                      posthorn attempt list --endpoint ep_... -n 10")]
    List {
        /// Of this message.
        #[arg(long, required_unless_present = "endpoint", conflicts_with = "endpoint")]
        message: Option<String>,
        /// Of this endpoint.
        #[arg(long)]
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
            let path = of.path(api).await?;
            let path = match (message, endpoint) {
                (Some(message), _) => below(&format!("{path}/attempt/msg"), message),
                (None, endpoint) => {
                    let endpoint = endpoint.as_deref().unwrap_or_default();
                    below(&format!("{path}/attempt/endpoint"), endpoint)
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
            let message = below(&format!("{}/msg", of.path(api).await?), message);
            get(api, below(&format!("{message}/attempt"), attempt)).await
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
