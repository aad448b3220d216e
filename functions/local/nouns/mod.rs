//! `posthorn app`, `endpoint`, `message`, `attempt`, `event-type`: the API's nouns, as commands.

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::output::Output;
use crate::reach::{Api, LOCAL, segment};

pub(crate) mod app;
pub(crate) mod attempt;
pub(crate) mod endpoint;
pub(crate) mod event_type;
pub(crate) mod message;

/// Whose things are meant.
#[derive(Args, Clone)]
pub(crate) struct Of {
    /// The application, by id or uid. `local` is made if it is missing; any other has to be there.
    #[arg(long, default_value = LOCAL)]
    pub(crate) app: String,
}

impl Of {
    /// The path of the application.
    async fn path(&self, api: &Api) -> Result<String, String> {
        Ok(format!("/app/{}", api.application(&self.app).await?))
    }
}

/// How much of a list is wanted.
#[derive(Args, Clone)]
pub(crate) struct Page {
    /// Most items to show.
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
}

/// A thing by its path.
async fn get(api: &Api, path: String) -> Result<Output, String> {
    Ok(Output::thing(api.get(&path).await?))
}

/// Takes a thing away.
async fn delete(api: &Api, path: String, what: &str) -> Result<Output, String> {
    api.call(Method::DELETE, &path, Value::Null).await?;
    Ok(Output::new(serde_json::json!({"deleted": what}), format!("deleted {what}")))
}

/// A path and what a caller named below it.
fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", segment(name))
}
