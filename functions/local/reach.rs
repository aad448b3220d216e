//! Which Posthorn a command talks to: the one on this machine, one at a URL, or a deployed stack.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use http::{Method, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::domain::clock::Ambient;
use shared::domain::secret::RootSecret;
use shared::host::config;

use crate::remote::{self, Answer, Remote};
use crate::stack::{self, Stack};
use crate::{data, hint, matching};

/// The application that commands mean unless another is named. It is made where it is missing.
pub(crate) const LOCAL: &str = "local";
/// The directory that is meant unless another is named.
const USUAL_DIRECTORY: &str = ".posthorn";
/// Applications that are looked through for one whose name is close.
const NEIGHBOURS: usize = 250;

/// What every command understands. Its names inside are its own: a command may have a `url` too.
#[derive(Args, Clone)]
#[command(next_help_heading = "Which Posthorn, and how to answer")]
pub(crate) struct Reach {
    /// Where the platform on this machine keeps everything, if not in .posthorn.
    #[arg(id = "reach-data", long = "data", global = true, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// A Posthorn at this URL instead (or POSTHORN_URL). With --stack: where its API is, if not
    /// where the stack says.
    #[arg(id = "reach-url", long = "url", global = true, value_name = "URL", alias = "api-url")]
    pub(crate) url: Option<String>,
    /// The token for --url (better: POSTHORN_TOKEN, which other users of the machine do not see).
    #[arg(id = "reach-token", long = "token", global = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// A deployed stack instead (with the AWS CLI).
    #[arg(id = "reach-stack", long = "stack", global = true, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    /// The stack's region, if not the AWS CLI's.
    #[arg(id = "reach-region", long = "region", global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Answer in JSON: one document, or one a line where there is no end.
    #[arg(id = "reach-json", long = "json", global = true)]
    pub(crate) json: bool,
}

impl Reach {
    /// Where the platform on this machine keeps everything.
    pub(crate) fn directory(&self) -> &Path {
        self.named_directory().unwrap_or(Path::new(USUAL_DIRECTORY))
    }

    /// The same, if it was named.
    pub(crate) fn named_directory(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// The same, about the platform on this directory.
    pub(crate) fn on(&self, directory: &Path) -> Self {
        Self { data: Some(directory.to_owned()), ..self.clone() }
    }

    /// The options that were given to say which Posthorn is meant, with their values. The token is
    /// not told: it opens something.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, String)> {
        let directory = self.named_directory().map(|named| named.display().to_string());
        let options = [
            ("--data", directory),
            ("--url", self.url.clone()),
            ("--stack", self.stack.clone()),
            ("--region", self.region.clone()),
        ];
        options.into_iter().filter_map(|(option, value)| Some((option, value?)))
    }

    /// The root secret of the platform on this machine. None is made where there is no platform: a
    /// directory may be misspelt.
    ///
    /// # Errors
    /// Why there is none, or why it cannot be read.
    pub(crate) fn root_secret(&self, ambient: &Ambient) -> Result<RootSecret, String> {
        let directory = self.directory();
        if !data::is_begun(directory)? {
            return Err(format!(
                "there is no Posthorn in {}: begin one with `{}`, or name another with --data",
                directory.display(),
                hint::command("up"),
            ));
        }
        data::root_secret(directory, ambient)
    }

    /// The stack, if one was named.
    ///
    /// # Errors
    /// Why it cannot be found.
    pub(crate) fn find_stack(&self) -> Result<Option<Stack>, String> {
        if self.region.is_some() && self.stack.is_none() {
            return Err("--region is a stack's: name it with --stack".to_owned());
        }
        let find = |name: &String| Stack::find(name, self.region.as_deref());
        self.stack.as_ref().map(find).transpose()
    }

    /// The URL that was named, by option or environment; of a stack's API, if a stack was named.
    /// What the environment says gives way to what was typed.
    pub(crate) fn url(&self) -> Option<String> {
        let is_typed = self.stack.is_some() || self.data.is_some();
        let told = || config::from_process("POSTHORN_URL").filter(|_| !is_typed);
        self.url.clone().or_else(told).filter(|url| !url.is_empty())
    }

    /// Whether the platform on this machine is meant.
    pub(crate) fn is_here(&self) -> bool {
        self.stack.is_none() && self.url().is_none()
    }

    /// Refuses what a command that works on this machine alone cannot use.
    ///
    /// # Errors
    /// A sentence with the command's name.
    pub(crate) fn only_here(&self, command: &str) -> Result<(), String> {
        match self.url.is_none() && self.stack.is_none() && self.token.is_none() {
            true => Ok(()),
            false => Err(format!(
                "`{command}` works on this machine alone: --url, --token and --stack mean nothing \
                 to it"
            )),
        }
    }
}

/// A Posthorn that can be asked.
#[derive(Clone)]
pub(crate) struct Api {
    api: Remote,
    publish: Remote,
    /// Where it keeps everything, if it runs on this machine.
    pub(crate) directory: Option<PathBuf>,
}

impl Api {
    /// The Posthorn that is meant.
    ///
    /// # Errors
    /// A sentence about what is missing: the platform, a token, the stack.
    pub(crate) async fn open(reach: &Reach) -> Result<Self, String> {
        if let Some(stack) = reach.find_stack()? {
            return Self::of_stack(&stack, reach);
        }
        match reach.url() {
            Some(url) => Self::at(&url, reach),
            None => Self::here(reach.directory()).await,
        }
    }

    /// Where a path of it is.
    pub(crate) fn url(&self, path: &str) -> String {
        self.api.url(path)
    }

    /// Whether endpoints on this machine can be reached from it.
    pub(crate) fn is_near(&self) -> bool {
        let host = self.api.url("/").parse::<http::Uri>().ok();
        let host = host.as_ref().and_then(http::Uri::host).unwrap_or_default();
        host == "localhost" || host.starts_with("127.") || host == "[::1]"
    }

    /// Whether it does not answer now, or answers that it cannot.
    pub(crate) async fn is_away(&self) -> bool {
        let answer = self.api.send(Method::GET, &under("/health"), Bytes::new()).await;
        answer.map_or(true, |answer| answer.status.is_server_error())
    }

    /// What is at this path after `/api/v1`.
    ///
    /// # Errors
    /// What the platform objected to, or why nothing came.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, String> {
        self.call(Method::GET, path, Value::Null).await
    }

    /// What is at this path after `/api/v1`, if there is anything.
    ///
    /// # Errors
    /// What the platform objected to, or why nothing came.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Value>, String> {
        let found = self.find_text(path).await?;
        found.map(|text| remote::read(&text, path)).transpose()
    }

    /// The same as it was written: a value keeps not every digit of a payload or a schema.
    ///
    /// # Errors
    /// What the platform objected to, or why nothing came.
    pub(crate) async fn find_written(&self, path: &str) -> Result<Option<Box<RawValue>>, String> {
        let found = self.find_text(path).await?;
        let read = |text| serde_json::from_str(text).map_err(|error| format!("{path}: {error}"));
        found.as_deref().map(read).transpose()
    }

    async fn find_text(&self, path: &str) -> Result<Option<String>, String> {
        check_names(path)?;
        let answer = self.api.send(Method::GET, &under(path), Bytes::new()).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => answer.text().map(Some),
        }
    }

    /// A request to this path after `/api/v1` with a JSON body (`null` for none).
    ///
    /// # Errors
    /// What the platform objected to, or why nothing came.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Value, String> {
        check_names(path)?;
        self.api.call(method, &under(path), body).await
    }

    /// A request with these bytes to a whole path; whatever was answered.
    ///
    /// # Errors
    /// Why nothing came.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, String> {
        self.api.send(method, path, body).await
    }

    /// Publishes a body, as it is, to an application; what was accepted, as it was written.
    ///
    /// # Errors
    /// What the platform objected to, or why nothing came.
    pub(crate) async fn publish(&self, app: &str, body: String) -> Result<Box<RawValue>, String> {
        let path = format!("/api/v1/app/{}/msg", segment(app));
        let text = self.publish.send(Method::POST, &path, body.into()).await?.text()?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }

    /// At most `limit` items of a list, from as many pages as that takes.
    ///
    /// # Errors
    /// What the platform objected to, or why nothing came.
    pub(crate) async fn list(&self, path: &str, limit: usize) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        let mut iterator: Option<String> = None;
        let joint = if path.contains('?') { '&' } else { '?' };
        while all.len() < limit {
            let size = (limit - all.len()).min(250);
            let from = iterator.map(|place| format!("&iterator={}", segment(&place)));
            let page = format!("{path}{joint}limit={size}{}", from.unwrap_or_default());
            let page = self.get(&page).await?;
            all.extend(page["data"].as_array().cloned().unwrap_or_default());
            iterator = page["iterator"].as_str().map(str::to_owned);
            // A page may be empty before the list is done.
            if page["done"] != false || iterator.is_none() {
                break;
            }
        }
        all.truncate(limit);
        Ok(all)
    }

    /// The id of the application with this id or uid. Only [`LOCAL`] is made where it is missing.
    ///
    /// # Errors
    /// That there is none, with the names of those that there are.
    pub(crate) async fn application(&self, reference: &str) -> Result<String, String> {
        if reference == LOCAL {
            let made = json!({"name": LOCAL, "uid": LOCAL});
            let made = self.call(Method::POST, "/app?get_if_exists=true", made).await?;
            return string(&made, "id");
        }
        self.existing(reference).await
    }

    /// The application to publish to: as [`Self::application`] finds it, or as it was named if all
    /// that the token opens is publishing.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn addressee(&self, reference: &str) -> Result<String, String> {
        let found = self.application(reference).await;
        if found.is_err() {
            let path = under(&format!("/app/{}", segment(reference)));
            let looked = self.api.send(Method::GET, &path, Bytes::new()).await;
            if looked.is_ok_and(|answer| answer.status == StatusCode::FORBIDDEN) {
                return Ok(segment(reference));
            }
        }
        found
    }

    /// The id of the application with this id or uid. None is made: whoever looks changes nothing.
    ///
    /// # Errors
    /// That there is none, with the names of those that there are.
    pub(crate) async fn existing(&self, reference: &str) -> Result<String, String> {
        if let Some(found) = self.find(&format!("/app/{}", segment(reference))).await? {
            return string(&found, "id");
        }
        if reference == LOCAL {
            return Err(format!(
                "there is no application `{LOCAL}` yet: `{}` makes it; name another with --app",
                hint::command("listen")
            ));
        }
        let there = self.list("/app", NEIGHBOURS).await?;
        let names = there.iter().map(|app| app["uid"].as_str().or(app["id"].as_str()));
        Err(matching::missing("application", reference, names.flatten()))
    }

    async fn here(directory: &Path) -> Result<Self, String> {
        let not_running = || {
            format!(
                "no Posthorn is running on {}: start one with `{}`, or name another with --data, \
                 --url or --stack",
                directory.display(),
                hint::command("up"),
            )
        };
        let addr = data::read_address(directory)?.ok_or_else(not_running)?;
        let ambient = Ambient::system();
        let token = data::organisation_token(&data::root_secret(directory, &ambient)?, &ambient);
        let api = Remote::new(&format!("http://{addr}"), &token)?;
        let tried = api.send(Method::GET, "/api/v1/app?limit=1", Bytes::new()).await;
        let status = tried.map_err(|_| not_running())?.status;
        if status != StatusCode::OK {
            return Err(data::another_platform(addr, status));
        }
        Ok(Self { publish: api.clone(), api, directory: Some(directory.to_owned()) })
    }

    fn at(url: &str, reach: &Reach) -> Result<Self, String> {
        let token = reach.token.clone().or_else(|| config::from_process("POSTHORN_TOKEN"));
        let token = token.filter(|token| !token.is_empty()).ok_or_else(|| {
            format!("{url} asks for a token: --token, or better POSTHORN_TOKEN in the environment")
        })?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!("--url {url}: must begin with https:// or http://"));
        }
        let api = Remote::new(url, &token)?;
        Ok(Self { publish: api.clone(), api, directory: None })
    }

    fn of_stack(stack: &Stack, reach: &Reach) -> Result<Self, String> {
        let named = reach.url();
        let place = |output| named.as_deref().map_or_else(|| stack.output(output), Ok);
        let token = match &reach.token {
            Some(token) => token.clone(),
            None => stack.token(&Ambient::system(), stack::SHORT_TOKEN_S)?,
        };
        let api = Remote::new(place("ApiUrl")?, &token)?;
        Ok(Self { publish: api.at(place("PublishUrl")?), api, directory: None })
    }
}

/// Refuses a path in which a caller's name was none: an empty one leads to another thing.
fn check_names(path: &str) -> Result<(), String> {
    let names = path.split('?').next().unwrap_or_default();
    match names.split('/').skip(1).any(|name| matches!(name, "" | "." | "..")) {
        true => Err("an id or a name is empty, or only dots: say which one is meant".to_owned()),
        false => Ok(()),
    }
}

fn under(path: &str) -> String {
    format!("/api/v1{path}")
}

/// A caller's text as one segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                safe.push(char::from(byte));
            }
            _ => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    safe
}

/// A field of an answer that must be a string.
///
/// # Errors
/// That it is not there.
pub(crate) fn string(answer: &Value, field: &str) -> Result<String, String> {
    answer[field].as_str().map(str::to_owned).ok_or_else(|| format!("an answer without `{field}`"))
}

/// The fields of an object that a value can hold: what is in a payload may be none.
pub(crate) fn readable(json: &RawValue) -> Value {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json.get()).unwrap_or_default();
    let readable = |(name, value): (String, &RawValue)| {
        serde_json::from_str::<Value>(value.get()).ok().map(|value| (name, value))
    };
    Value::Object(fields.into_iter().filter_map(readable).collect())
}
