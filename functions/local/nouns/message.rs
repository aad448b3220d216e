//! `posthorn message`: what was published.

use clap::Subcommand;

use super::{Of, Page, below};
use crate::output::{Output, field, moment};
use crate::reach::{Api, segment};
use crate::table::Column;

/// Messages: the events that were published.
#[derive(Subcommand)]
pub(crate) enum Message {
    /// List an application's messages, newest first.
    #[command(after_help = "Example:\n  posthorn message list --app acme --type order.paid")]
    List {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        page: Page,
        /// Only this event type.
        #[arg(long = "type")]
        event_type: Option<String>,
    },
    /// Show a message with its payload.
    #[command(after_help = "Example:\n  posthorn message get msg_...")]
    Get {
        /// Its id, or its event id.
        message: String,
        #[command(flatten)]
        of: Of,
    },
}

/// Does it.
pub(crate) async fn run(api: &Api, message: &Message) -> Result<Output, String> {
    match message {
        Message::List { of, page, event_type } => {
            let path = format!("{}/msg?with_content=false", of.path(api).await?);
            let only = event_type.as_deref().map(|name| format!("&event_types={}", segment(name)));
            let messages = api.list(&(path + &only.unwrap_or_default()), page.limit).await?;
            Ok(Output::table(
                messages,
                "there is no message yet",
                &[
                    Column::whole("TIME", |message| moment(&message["timestamp"])),
                    Column::text("TYPE", |message| field(message, "eventType")),
                    Column::whole("EVENT ID", |message| field(message, "eventId")),
                    Column::whole("ID", |message| field(message, "id")),
                ],
            ))
        }
        Message::Get { message, of } => {
            let path = below(&format!("{}/msg", of.path_with(api, message).await?), message);
            let found = api.find_written(&path).await?;
            Ok(Output::thing(found.ok_or_else(|| of.lacks("message", message))?))
        }
    }
}
