//! What the command line understands.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use shared::domain::endpoint::MAX_ENDPOINTS;
use shared::domain::message::MAX_PAYLOAD_BYTES;
use shared::domain::right::Scope;

use crate::cost::Cost;
use crate::listen::Listen;
use crate::nouns::Of;
use crate::nouns::app::App;
use crate::nouns::attempt::Attempt;
use crate::nouns::endpoint::Endpoint;
use crate::nouns::event_type::EventType;
use crate::nouns::message::Message;
use crate::reach::Reach;
use crate::simulate::Simulate;
use crate::span;

/// Webhooks on one machine: accepted, signed, delivered, retried, recorded.
#[derive(Parser)]
#[command(name = "posthorn", version, max_term_width = 100, after_help = FIRST_STEPS)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) up: Up,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

const FIRST_STEPS: &str = "Examples:
  posthorn                                                  run the platform
  posthorn listen --forward-to http://localhost:3000/hook   receive in your own application
  posthorn send --type order.paid '{\"order\":\"1001\"}'        publish an event
  posthorn app list --stack NAME                            look into a deployed stack";

/// What there is to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the platform (what happens without a command).
    #[command(
        after_help = "Examples:\n  posthorn up\n  posthorn up --addr 127.0.0.1:9000 --data elsewhere"
    )]
    Up(Up),
    /// Register an endpoint; show, verify and pass on what arrives at it.
    #[command(
        after_help = "Examples:\n  posthorn listen --forward-to http://localhost:3000/hook\n  \
                      posthorn listen --types order.paid,order.sent --print body --status 500,200\n  \
                      posthorn listen --stack NAME --forward-to http://localhost:3000/hook"
    )]
    Listen(Listen),
    /// Publish an event, and say for whom it is.
    #[command(
        after_help = "Examples:\n  posthorn send --type order.paid '{\"order\":\"1001\"}'\n  \
                      posthorn send --app acme --type order.paid @order.json\n  \
                      echo '{}' | posthorn send @-"
    )]
    Send(Send),
    /// Publish an event type's example.
    #[command(after_help = "Example:\n  posthorn trigger order.paid --app acme")]
    Trigger(Trigger),
    /// Say where a message went and where not, and why.
    #[command(after_help = "Example:\n  posthorn inspect msg_...")]
    Inspect(OneMessage),
    /// Send a message again, to one endpoint or to all that it was for.
    #[command(after_help = "Example:\n  posthorn resend msg_... --endpoint ep_...")]
    Resend(Resend),
    /// Follow an application's deliveries as they happen.
    #[command(after_help = "Example:\n  posthorn tail --app acme")]
    Tail(Tail),
    /// Say how the platform is: what waits, what was delivered, what fails.
    #[command(after_help = "Example:\n  posthorn status --watch")]
    Status(Status),
    /// Applications: one for each of your customers.
    #[command(subcommand, after_help = "Example:\n  posthorn app list")]
    App(App),
    /// Endpoints: the URLs that an application's events go to.
    #[command(subcommand, after_help = "Example:\n  posthorn endpoint list --app acme")]
    Endpoint(Endpoint),
    /// Messages: the events that were published.
    #[command(subcommand, after_help = "Example:\n  posthorn message list --app acme")]
    Message(Message),
    /// Attempts: what was sent to an endpoint, and what it answered.
    #[command(subcommand, after_help = "Example:\n  posthorn attempt list --message msg_...")]
    Attempt(Attempt),
    /// Event types: the kinds of events that customers choose from.
    #[command(subcommand, after_help = "Example:\n  posthorn event-type list")]
    EventType(EventType),
    /// Call an operation of the API by method and path.
    #[command(after_help = "Examples:\n  posthorn api GET /app\n  \
                      posthorn api POST /app '{\"name\":\"Acme\"}'")]
    Api(Operation),
    /// Print a link to an application's portal, for its customer.
    #[command(after_help = "Example:\n  posthorn portal --app acme --open")]
    Portal(Portal),
    /// Print a link to the operator's console; it opens everything for twelve hours.
    #[command(after_help = "Example:\n  posthorn console --open")]
    Console(Console),
    /// Print a token for the API.
    #[command(after_help = "Examples:\n  posthorn token --expires 1h\n  \
                      posthorn token --app app_... --scope publish --expires 90d")]
    Token(Token),
    /// Change the root secret, of this platform or of a deployed stack.
    #[command(after_help = "Examples:\n  posthorn root-secret show\n  \
                      posthorn root-secret rotate --stack NAME")]
    RootSecret(RootSecret),
    /// Show a delivery of every kind of event of four systems, retries included.
    #[command(after_help = "Examples:\n  posthorn demo\n  posthorn demo --keep\n  \
                      posthorn demo --keep --data shown")]
    Demo(Demo),
    /// Measure the running platform, or one started for it.
    #[command(after_help = "Example:\n  posthorn bench --messages 10000 --endpoints 3")]
    Bench(Bench),
    /// Print what a month on AWS would cost.
    #[command(after_help = "Example:\n  posthorn cost --messages 5e6 --failures 2%")]
    Cost(Cost),
    /// Simulate a load on AWS, in virtual time, and say what would happen.
    #[command(after_help = "Examples:\n  posthorn simulate --list\n  \
                      posthorn simulate --scenario all --json")]
    Simulate(Simulate),
    /// Examine a deployed stack, send an event through it, and say what is wrong.
    #[command(after_help = "Example:\n  posthorn doctor --stack NAME")]
    Doctor(Doctor),
    /// Print what a shell needs to complete commands.
    #[command(
        after_help = "Example:\n  posthorn completions bash > ~/.local/share/bash-completion/completions/posthorn"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// How the platform runs.
#[derive(Args, Clone)]
pub(crate) struct Up {
    /// Where the API listens.
    #[arg(long, default_value = "127.0.0.1:8071")]
    pub(crate) addr: SocketAddr,
    /// A directory of more profiles (`*.toml`).
    #[arg(long)]
    pub(crate) profiles: Option<PathBuf>,
    /// Do not tell of each delivery.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What a token is for.
#[derive(Args, Clone)]
pub(crate) struct Token {
    /// Confine it to this application (an id or uid). Without --scope it is a customer's then: it looks
    /// after the application's endpoints, sees what they were sent, and publishes nothing.
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// What a backend's token is for: read, publish (and create nothing), manage (neither publish nor
    /// hand out API tokens) or all.
    #[arg(long, value_parser = scope)]
    pub(crate) scope: Option<Scope>,
    /// How long it lives: 3600s, 90m, 12h or 30d. Without it ten years, or 28 days with --app; with
    /// --url a year, or seven days for a customer's token, which is the most there.
    #[arg(long, value_name = "TIME", value_parser = span::seconds)]
    pub(crate) expires: Option<u64>,
}

/// What a payload of `bench` has around its filler, and a little more.
const FRAME_BYTES: usize = 64;

/// A number in a range.
fn number(least: usize, most: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least as u64..=most as u64)
}

/// A scope by its name.
fn scope(text: &str) -> Result<Scope, String> {
    let unknown = |_| "must be read, publish, manage or all".to_owned();
    serde_json::from_value(text.into()).map_err(unknown)
}

/// Whose portal.
#[derive(Args)]
pub(crate) struct Portal {
    #[command(flatten)]
    pub(crate) of: Of,
    /// Open it in the browser.
    #[arg(long)]
    pub(crate) open: bool,
}

/// How the console is opened.
#[derive(Args)]
pub(crate) struct Console {
    /// Open it in the browser.
    #[arg(long)]
    pub(crate) open: bool,
}

/// How the root secret is changed.
#[derive(Args)]
pub(crate) struct RootSecret {
    /// What to do.
    #[arg(value_enum)]
    pub(crate) step: RootSecretStep,
    /// Seconds to wait for a stack's running functions to finish.
    #[arg(long, default_value_t = 60)]
    pub(crate) wait: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RootSecretStep {
    /// Show the ids of its keys; the first one is in use.
    Show,
    /// Add a key, put it in use, and seal everything with it (on one machine: restart in between).
    Rotate,
    /// Add a key that only opens and verifies.
    Add,
    /// Put the last key in use: the one that was added, and when that is in use, the one before.
    Promote,
    /// Seal everything that is stored with the key in use.
    Reseal,
    /// Take all keys out but the one in use, which ends the tokens that they made.
    Retire,
    /// Bring the keys back that the version before had (of a stack).
    Restore,
    /// Have a stack's functions read it again.
    Restart,
}

/// How a stack is examined.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Do not send an event.
    #[arg(long)]
    pub(crate) no_trip: bool,
}

/// What is published.
#[derive(Args)]
pub(crate) struct Send {
    #[command(flatten)]
    pub(crate) of: Of,
    /// The event's type.
    #[arg(long = "type", default_value = "order.paid")]
    pub(crate) event_type: String,
    /// Your own name for the event: a second one of the same name is refused.
    #[arg(long)]
    pub(crate) event_id: Option<String>,
    /// Only to endpoints that listen to this channel, or to all.
    #[arg(long)]
    pub(crate) channel: Vec<String>,
    /// A word to find it by.
    #[arg(long)]
    pub(crate) tag: Vec<String>,
    /// The payload: JSON, @FILE, or @- for standard input.
    #[arg(default_value = r#"{"order":"1001","amount":4200,"currency":"EUR"}"#)]
    pub(crate) payload: String,
}

/// Whose example is published.
#[derive(Args)]
pub(crate) struct Trigger {
    /// The event type.
    pub(crate) event_type: String,
    #[command(flatten)]
    pub(crate) of: Of,
}

/// A message of an application.
#[derive(Args)]
pub(crate) struct OneMessage {
    /// Its id, or its event id.
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) of: Of,
}

/// What is sent again.
#[derive(Args)]
pub(crate) struct Resend {
    #[command(flatten)]
    pub(crate) one: OneMessage,
    /// Only to this endpoint.
    #[arg(long)]
    pub(crate) endpoint: Option<String>,
}

/// What is followed.
#[derive(Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    pub(crate) of: Of,
    /// End after so many deliveries.
    #[arg(long, short = 'n')]
    pub(crate) limit: Option<usize>,
    /// Begin with what was delivered already.
    #[arg(long)]
    pub(crate) from_start: bool,
}

/// How often it is said how the platform is.
#[derive(Args)]
pub(crate) struct Status {
    /// Say it again every two seconds.
    #[arg(long, short)]
    pub(crate) watch: bool,
}

/// What is called.
#[derive(Args)]
pub(crate) struct Operation {
    /// GET, POST, PUT, PATCH or DELETE.
    pub(crate) method: String,
    /// The path, with or without /api/v1.
    pub(crate) path: String,
    /// The body: JSON, @FILE, or @- for standard input.
    pub(crate) body: Option<String>,
}

/// How the demonstration ends.
#[derive(Args)]
pub(crate) struct Demo {
    /// Stay up afterwards, with links to a console and portals full of it.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What is measured.
#[derive(Args, Clone)]
pub(crate) struct Bench {
    /// Messages to publish: 20,000 unless said otherwise, beside others 2,000.
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: Option<u64>,
    /// Publishers at work at once.
    #[arg(long, short = 'c', default_value_t = 64, value_parser = number(1, 10_000))]
    pub(crate) concurrency: usize,
    /// Endpoints of the application: every message goes to each.
    #[arg(long, short = 'e', default_value_t = 1, value_parser = number(1, MAX_ENDPOINTS))]
    pub(crate) endpoints: usize,
    /// Bytes of each payload.
    #[arg(long, short = 'p', default_value_t = 1024, value_parser = number(0, MAX_PAYLOAD_BYTES - FRAME_BYTES))]
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
    /// Stop the platform in the middle with SIGTERM and start it again: nothing may be delivered
    /// twice.
    #[arg(long, conflicts_with = "kill")]
    pub(crate) stop: bool,
    /// Start a platform of its own even if one is running.
    #[arg(long)]
    pub(crate) own: bool,
}
