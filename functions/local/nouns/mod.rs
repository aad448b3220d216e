//! `posthorn app`, `endpoint`, `message`, `attempt`, `event-type`: the API's nouns, as commands.

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::hint;
use crate::output::Output;
use crate::reach::{Api, LOCAL, segment, string};

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
    /// The option that names the application, after a space, as a shell reads it; nothing for the
    /// one that is meant anyway.
    pub(crate) fn typed(&self) -> String {
        match self.app == LOCAL {
            true => String::new(),
            false => format!(" --app {}", hint::quoted(&self.app)),
        }
    }

    /// The path of the application.
    async fn path(&self, api: &Api) -> Result<String, String> {
        Ok(format!("/app/{}", api.existing(&self.app).await?))
    }

    /// The path of the application that has this message: of the one that was named, or else of the
    /// message's own, whichever that is.
    ///
    /// # Errors
    /// That there is no such message.
    pub(crate) async fn path_with(&self, api: &Api, message: &str) -> Result<String, String> {
        if self.app == LOCAL && message.starts_with("msg_") {
            let found = api.find(&below("/operator/msg", message)).await?;
            let lacks = || format!("there is no message {message}, in any application");
            return Ok(format!("/app/{}", string(&found.ok_or_else(lacks)?, "appId")?));
        }
        let path = self.path(api).await?;
        self.thing(
            api,
            &(below(&format!("{path}/msg"), message) + "?with_content=false"),
            "message",
            message,
        )
        .await?;
        Ok(path)
    }

    /// What is at this path of the application, if it is there.
    ///
    /// # Errors
    /// That the application has none of this name.
    async fn thing(&self, api: &Api, path: &str, noun: &str, name: &str) -> Result<Value, String> {
        api.find(path).await?.ok_or_else(|| self.lacks(noun, name))
    }

    /// That the application has none of this name.
    fn lacks(&self, noun: &str, name: &str) -> String {
        format!(
            "the application {} has no {noun} `{name}`; name another application with --app",
            self.app
        )
    }
}

/// How much of a list is wanted.
#[derive(Args, Clone)]
pub(crate) struct Page {
    /// Most items to show.
    #[arg(long, short = 'n', default_value_t = 50, value_parser = at_least_one)]
    limit: usize,
}

/// A number of items that makes a list.
fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "must be a number, 1 or more".to_owned())
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
