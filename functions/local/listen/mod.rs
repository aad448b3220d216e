//! `posthorn listen`: an endpoint on this machine that shows and verifies what arrives, and passes
//! it on to an application that is being written.
//!
//! The platform on this machine sends to it directly. One that is elsewhere cannot: there an
//! inspector of the platform's own takes what is sent, and is looked at ([`relay`]).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use shared::domain::clock::Ambient;
use shared::domain::secret::SigningSecret;
use shared::domain::sync::hold;
use tokio::net::{TcpListener, TcpStream};

use crate::nouns::Of;
use crate::nouns::endpoint::with_a_way_on;
use crate::output::{field, line};
use crate::reach::{Api, Reach, string};
use crate::{data, http_server, signals, webhook};

mod answer;
mod relay;
mod told;

use answer::Answerer;
use told::Teller;

/// What our endpoints are called, so that one that was left behind is known again.
const DESCRIPTION: &str = "posthorn listen";
/// Longest wait for somebody at the address of an endpoint that may have been left behind.
const KNOCK: Duration = Duration::from_millis(300);
/// Messages whose attempts are counted.
const REMEMBERED: usize = 10_000;

/// What is listened to, and what is done with it.
#[derive(Args)]
pub(crate) struct Listen {
    #[command(flatten)]
    pub(crate) of: Of,
    /// Pass everything on to this URL, and answer what it answers.
    #[arg(long, value_name = "URL")]
    pub(crate) forward_to: Option<String>,
    /// Only these event types, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub(crate) types: Vec<String>,
    /// Show the body of what arrives, or its headers as well.
    #[arg(long, value_enum)]
    pub(crate) print: Option<Print>,
    /// What to answer, one after another; the last one goes for the rest. With --forward-to: what
    /// to answer first, instead of passing it on.
    #[arg(long, value_delimiter = ',', value_parser = status)]
    pub(crate) status: Vec<StatusCode>,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Have an inspector take it, as if the platform could not reach this machine.
    #[arg(long)]
    pub(crate) relay: bool,
}

/// What is shown of a delivery beside its line.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Print {
    /// The body.
    Body,
    /// The headers, then the body.
    Headers,
}

/// An HTTP status that an endpoint may answer with.
fn status(text: &str) -> Result<StatusCode, String> {
    let status = text.parse::<u16>().ok().filter(|status| (200..600).contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    status.ok_or_else(|| "must be HTTP statuses, 200 to 599, separated by commas".to_owned())
}

/// Listens until interrupted, then takes the endpoint away again.
pub(crate) async fn run(reach: &Reach, options: &Listen) -> Result<(), String> {
    let ended = signals::ended()?;
    // Before anything is made: what it refuses leaves nothing behind.
    let answerer = Answerer::new(options)?;
    let api = Api::open(reach).await?;
    let secret = data::listen_secret(reach.directory(), &Ambient::system())?;
    let signing = SigningSecret::parse(&secret)?;
    let app = api.application(&options.of.app).await?;
    take_away_left(&api, &app).await?;
    let relayed = options.relay || !api.is_near();
    let (url, source) = match relayed {
        true => relay::source(&api, options).await?,
        false => own_port(options.port).await?,
    };
    let body = json!({
        "url": url, "description": DESCRIPTION, "secret": secret,
        "filterTypes": (!options.types.is_empty()).then_some(&options.types),
    });
    let path = format!("/app/{app}/endpoint");
    let made = api.call(Method::POST, &path, body).await;
    let made = made.map_err(|why| with_a_way_on(why, &options.types))?;
    let endpoint = string(&made, "id")?;
    let session = Arc::new(Session {
        answerer,
        teller: Teller::new(api.clone(), app.clone(), options.print, reach.json),
        secret: signing,
        counts: Mutex::default(),
    });
    session.teller.begin(&json!({
        "event": "listening", "url": url, "endpoint": endpoint, "app": app, "secret": secret,
        "forwardTo": options.forward_to, "relayed": relayed,
    }));
    let result = tokio::select! {
        result = source.run(session) => result,
        () = ended => Ok(()),
    };
    api.call(Method::DELETE, &format!("{path}/{endpoint}"), Value::Null).await?;
    result
}

/// Where deliveries come from.
enum Source {
    /// Straight from the platform.
    Port(TcpListener),
    /// From an inspector of the platform's.
    Inspector(relay::Inspector),
}

async fn own_port(port: u16) -> Result<(String, Source), String> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("cannot listen on port {port}: {error}"))?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    Ok((format!("http://{addr}/"), Source::Port(listener)))
}

impl Source {
    async fn run(self, session: Arc<Session>) -> Result<(), String> {
        match self {
            Self::Inspector(inspector) => inspector.watch(&session).await,
            Self::Port(listener) => {
                http_server::serve(listener, move |request| {
                    let session = session.clone();
                    async move { session.take(request).await }
                })
                .await;
                Ok(())
            }
        }
    }
}

/// What is done with each delivery.
struct Session {
    answerer: Answerer,
    teller: Teller,
    secret: SigningSecret,
    counts: Mutex<Counts>,
}

impl Session {
    /// Answers a delivery and tells of it.
    async fn take(&self, request: Request<Bytes>) -> Response<Bytes> {
        let now = Ambient::system().now();
        let webhook = webhook::check(&request, &self.secret, now);
        let attempt = hold(&self.counts).one(&webhook.id);
        let answered = self.answerer.answer(&request).await;
        let response = answered.response();
        self.teller.tell(now, &request, &webhook, attempt, &answered);
        response
    }
}

/// How often each message has come.
#[derive(Default)]
struct Counts {
    by_id: HashMap<String, u32>,
    oldest: VecDeque<String>,
}

impl Counts {
    /// Counts an arrival: 1 for the first.
    fn one(&mut self, id: &str) -> u32 {
        if let Some(count) = self.by_id.get_mut(id) {
            *count += 1;
            return *count;
        }
        if self.oldest.len() >= REMEMBERED
            && let Some(forgotten) = self.oldest.pop_front()
        {
            self.by_id.remove(&forgotten);
        }
        self.oldest.push_back(id.to_owned());
        self.by_id.insert(id.to_owned(), 1);
        1
    }
}

/// Deletes endpoints of listeners that were killed: ours by their description, on this machine,
/// with nobody at the address any more.
async fn take_away_left(api: &Api, app: &str) -> Result<(), String> {
    let path = format!("/app/{app}/endpoint");
    for endpoint in api.list(&path, 250).await? {
        let url = field(&endpoint, "url");
        let addr = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let Some(addr) = addr.filter(|addr| addr.starts_with("127.0.0.1:")) else { continue };
        if field(&endpoint, "description") != DESCRIPTION {
            continue;
        }
        let knocked = tokio::time::timeout(KNOCK, TcpStream::connect(addr)).await;
        if matches!(knocked, Ok(Err(_))) {
            let id = field(&endpoint, "id");
            api.call(Method::DELETE, &format!("{path}/{id}"), Value::Null).await?;
        }
    }
    Ok(())
}
