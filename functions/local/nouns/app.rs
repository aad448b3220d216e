//! `posthorn app`: applications, one for each customer.

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::{Page, below, delete};
use crate::output::{Output, field, moment};
use crate::reach::Api;
use crate::table::Column;

/// Applications: one for each of your customers.
#[derive(Subcommand)]
pub(crate) enum App {
    /// List applications, newest first.
    #[command(after_help = "Example:\n  posthorn app list -n 10")]
    List(Page),
    /// Show an application.
    #[command(after_help = "Example:\n  posthorn app get acme")]
    Get {
        /// Its id or uid.
        app: String,
    },
    /// Make an application.
    #[command(after_help = "Example:\n  posthorn app create 'Acme Inc.' --uid acme")]
    Create {
        /// Its name, for people.
        name: String,
        /// Your own id for it, such as the customer's number.
        #[arg(long)]
        uid: Option<String>,
        /// The profile that it follows.
        #[arg(long)]
        profile: Option<String>,
    },
    /// Delete an application with its endpoints.
    #[command(after_help = "Example:\n  posthorn app delete acme")]
    Delete {
        /// Its id or uid.
        app: String,
    },
}

/// Does it.
pub(crate) async fn run(api: &Api, app: &App) -> Result<Output, String> {
    match app {
        App::List(Page { limit }) => {
            let apps = api.list("/app?order=descending", *limit).await?;
            Ok(Output::table(
                apps,
                "there is no application yet",
                &[
                    Column::text("NAME", |app| field(app, "name")),
                    Column::whole("UID", |app| field(app, "uid")),
                    Column::whole("ID", |app| field(app, "id")),
                    Column::whole("CREATED", |app| moment(&app["createdAt"])),
                ],
            ))
        }
        App::Get { app } => {
            let path = below("/app", &api.existing(app).await?);
            Ok(Output::thing(api.get(&path).await?))
        }
        App::Create { name, uid, profile } => {
            let body = json!({"name": name, "uid": uid, "profile": profile});
            Ok(Output::thing(api.call(Method::POST, "/app", body).await?))
        }
        App::Delete { app } => delete(api, below("/app", &api.existing(app).await?), app).await,
    }
}
