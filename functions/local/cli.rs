//! What the command line understands.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use shared::domain::right::Scope;
use shared::domain::token::ORGANISATION_TOKEN_S;

use crate::cost::Cost;
use crate::simulate::Simulate;

/// Webhooks on one machine: accepted, signed, delivered, retried, recorded.
#[derive(Parser)]
#[command(name = "posthorn", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) up: Up,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the platform (what happens without a command).
    Up(Up),
    /// Show a delivery of every kind of event of four systems, retries included, and exit.
    Demo,
    /// Print a token for the API.
    Token(Token),
    /// Print a link to an application's portal, for its customer.
    Portal(Portal),
    /// Publish an event to the running platform.
    Send(Send),
    /// Register an endpoint, print and verify what arrives at it.
    Listen(Listen),
    /// Measure the running platform, or one started for it.
    Bench(Bench),
    /// Print what a month on AWS would cost.
    Cost(Cost),
    /// Simulate a load on AWS, in virtual time, and say what would happen.
    Simulate(Simulate),
    /// Examine a deployed stack, send an event through it, and say what is wrong.
    Doctor(Doctor),
}

#[derive(Args, Clone)]
pub(crate) struct Up {
    /// Where the API listens.
    #[arg(long, default_value = "127.0.0.1:8071")]
    pub(crate) addr: SocketAddr,
    /// Where everything is kept.
    #[arg(long, default_value = ".posthorn")]
    pub(crate) data: PathBuf,
    /// A directory of more profiles (`*.toml`).
    #[arg(long)]
    pub(crate) profiles: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Token {
    /// Confine it to this application (an id). Without --scope it is a customer's then: it looks
    /// after the application's endpoints, sees what they were sent, and publishes nothing.
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// What a backend's token is for: read, publish, manage (neither publishes nor hands out
    /// tokens) or all.
    #[arg(long, value_parser = scope)]
    pub(crate) scope: Option<Scope>,
    /// How long it lives: 3600s, 90m, 12h or 30d. Ten years if it is not said, 28 days with --app.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) expires: Option<u64>,
    #[command(flatten)]
    pub(crate) of: OfStack,
    #[command(flatten)]
    pub(crate) data: Data,
}

/// A scope by its name.
fn scope(text: &str) -> Result<Scope, String> {
    let unknown = |_| "must be read, publish, manage or all".to_owned();
    serde_json::from_value(text.into()).map_err(unknown)
}

/// A span of time in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let rule = || "must be a number and one of s, m, h and d, as in 90m".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(rule)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(rule()),
    };
    let number: u64 = number.parse().map_err(|_| rule())?;
    let span = number.checked_mul(unit).filter(|span| (1..=ORGANISATION_TOKEN_S).contains(span));
    span.ok_or_else(|| "must be a second to ten years".to_owned())
}

#[derive(Args)]
pub(crate) struct Portal {
    /// The application, by id or uid; `local` is created if it is missing, but not in a stack.
    #[arg(long, default_value = "local")]
    pub(crate) app: String,
    #[command(flatten)]
    pub(crate) of: OfStack,
    /// Where the API is, if not where the stack says (an emulated account).
    #[arg(long, requires = "stack")]
    pub(crate) api_url: Option<String>,
    #[command(flatten)]
    pub(crate) data: Data,
}

#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) stack: Stack,
    /// Where the API is, if not where the stack says (an emulated account).
    #[arg(long)]
    pub(crate) api_url: Option<String>,
    /// Do not send an event.
    #[arg(long)]
    pub(crate) no_trip: bool,
}

/// A deployed stack.
#[derive(Args, Clone)]
pub(crate) struct Stack {
    /// The stack's name.
    #[arg(long)]
    pub(crate) stack: String,
    /// Its region, if not the AWS CLI's.
    #[arg(long)]
    pub(crate) region: Option<String>,
}

/// Not the platform on this machine.
#[derive(Args, Clone)]
pub(crate) struct OfStack {
    /// Of a deployed stack instead (with the AWS CLI).
    #[arg(long, conflicts_with = "directory")]
    stack: Option<String>,
    /// The stack's region, if not the AWS CLI's.
    #[arg(long, requires = "stack")]
    region: Option<String>,
}

impl OfStack {
    /// The stack, if one was named.
    pub(crate) fn stack(&self) -> Option<Stack> {
        let region = self.region.clone();
        self.stack.clone().map(|stack| Stack { stack, region })
    }
}

#[derive(Args)]
pub(crate) struct Send {
    /// The application, by id or uid; `local` is created if it is missing.
    #[arg(long, default_value = "local")]
    pub(crate) app: String,
    /// The event's type.
    #[arg(long = "type", default_value = "order.paid")]
    pub(crate) event_type: String,
    /// The payload: JSON, or @FILE.
    #[arg(default_value = r#"{"order":"1001","amount":4200,"currency":"EUR"}"#)]
    pub(crate) payload: String,
    #[command(flatten)]
    pub(crate) data: Data,
}

#[derive(Args)]
pub(crate) struct Listen {
    /// The application, by id or uid; `local` is created if it is missing.
    #[arg(long, default_value = "local")]
    pub(crate) app: String,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// What to answer.
    #[arg(long, default_value_t = 200)]
    pub(crate) status: u16,
    #[command(flatten)]
    pub(crate) data: Data,
}

#[derive(Args, Clone)]
pub(crate) struct Data {
    /// Where the platform keeps everything.
    #[arg(long = "data", default_value = ".posthorn")]
    pub(crate) directory: PathBuf,
}

#[derive(Args, Clone)]
pub(crate) struct Bench {
    /// Messages to publish.
    #[arg(long, short = 'n', default_value_t = 20_000)]
    pub(crate) messages: u64,
    /// Publishers at work at once.
    #[arg(long, short = 'c', default_value_t = 64)]
    pub(crate) concurrency: usize,
    /// Endpoints of the application: every message goes to each.
    #[arg(long, short = 'e', default_value_t = 1)]
    pub(crate) endpoints: usize,
    /// Bytes of each payload.
    #[arg(long, short = 'p', default_value_t = 1024)]
    pub(crate) payload: usize,
    /// Milliseconds that the receiver takes to answer.
    #[arg(long, default_value_t = 0)]
    pub(crate) latency: u64,
    /// Messages a second; 0 means as fast as it goes.
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u64,
    /// Beside it, publish as much to an application whose endpoint hangs for 25 s.
    #[arg(long)]
    pub(crate) hang: bool,
    /// Measure twice: alone, and beside a customer whose endpoints, names, bodies and lists are as
    /// many and as large as the platform takes.
    #[arg(long, conflicts_with_all = ["kill", "hang"])]
    pub(crate) hostile: bool,
    /// Kill the platform in the middle and start it again (only one that was started for this).
    #[arg(long)]
    pub(crate) kill: bool,
    /// Start a platform of its own even if one is running.
    #[arg(long)]
    pub(crate) own: bool,
    #[command(flatten)]
    pub(crate) data: Data,
}
