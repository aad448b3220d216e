//! `cargo run`: the whole platform in one process, and the commands around it.
//!
//! The same four handlers that Lambda runs, on the embedded store and queue: an HTTP server in
//! front of receive and admin, a poller in front of dispatch, a timer in front of retry. One
//! file holds everything; a process that is killed picks up where it was.

// They panic where nobody reads: `output` has what prints.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};

mod bench;
mod chores;
mod cli;
mod client;
mod connection;
mod console;
mod cost;
mod counting;
mod crowd;
mod data;
mod demo;
mod deployed;
mod doctor;
mod front;
mod hearing;
mod hint;
mod http_server;
mod inspect;
mod json;
mod lane;
mod listen;
mod machine;
mod matching;
mod meant;
mod minutes;
mod narrator;
mod nouns;
mod operation;
mod output;
mod platform;
mod poller;
mod portal;
mod process;
mod reach;
mod remote;
mod root_secret;
mod send;
mod signals;
mod simulate;
mod span;
mod stack;
mod status;
mod stop;
mod table;
mod tail;
mod terminal;
mod timer;
mod token;
mod unread;
mod variables;
mod webhook;

use cli::{Cli, Command};
use output::Output;
use reach::{Api, Reach};

/// Every delivery allocates small things on one thread and frees them on another, which glibc's
/// allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = parse();
    shared::host::telemetry::to_terminal(
        shared::host::config::from_process("POSTHORN_LOG").as_deref(),
    );
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let Cli { command, up, reach } = cli;
    hint::tell_for(reach.named());
    match runtime.block_on(run(command.unwrap_or(Command::Up(up)), &reach)) {
        _ if output::is_unread() => ExitCode::from(output::unread_code()),
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&reason),
    }
}

/// What was asked for. Options of `up` stand before no other command.
fn parse() -> Cli {
    let matches = Cli::command().get_matches();
    let is_said = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if let (Some(command), Some(option)) =
        (matches.subcommand_name(), ["addr", "profiles", "quiet"].into_iter().find(is_said))
    {
        let why = format!(
            "--{option} belongs to `up`, not to `{command}`: write `posthorn up --{option} …`\n"
        );
        Cli::command().error(ErrorKind::ArgumentConflict, why).exit();
    }
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs what goes on until it is ended; prints what the others answer.
async fn run(command: Command, reach: &Reach) -> Result<(), String> {
    match command {
        Command::Up(options) => platform::up(reach, &options).await,
        Command::Demo(options) => demo::run(reach, &options).await,
        Command::Listen(options) => listen::run(reach, &options).await,
        Command::Bench(options) => bench::run(reach, &options).await,
        Command::Doctor(options) => doctor::run(reach, &options).await,
        Command::RootSecret(options) => root_secret::run(reach, &options).await,
        Command::Status(options) => {
            status::run(&Api::open(reach).await?, &options, reach.json).await
        }
        Command::Tail(options) => tail::run(&Api::open(reach).await?, &options, reach.json).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "posthorn", &mut script);
            output::line(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Command::Cost(options) => cost::run(&options, reach.json),
        Command::Simulate(options) => simulate::run(&options, reach.json),
        Command::Console(options) => {
            console::run(reach, &options).await?.print(reach.json);
            Ok(())
        }
        Command::Token(options) => {
            token::run(reach, &options).await?.print(reach.json);
            Ok(())
        }
        command => {
            ask(command, &Api::open(reach).await?).await?.print(reach.json);
            Ok(())
        }
    }
}

/// What one question to the API comes to.
async fn ask(command: Command, api: &Api) -> Result<Output, String> {
    match command {
        Command::App(noun) => nouns::app::run(api, &noun).await,
        Command::Endpoint(noun) => nouns::endpoint::run(api, &noun).await,
        Command::Message(noun) => nouns::message::run(api, &noun).await,
        Command::Attempt(noun) => nouns::attempt::run(api, &noun).await,
        Command::EventType(noun) => nouns::event_type::run(api, &noun).await,
        Command::Send(options) => send::run(api, &options).await,
        Command::Trigger(options) => send::trigger(api, &options).await,
        Command::Inspect(options) => inspect::run(api, &options).await,
        Command::Resend(options) => inspect::resend(api, &options).await,
        Command::Api(options) => operation::run(api, &options).await,
        Command::Portal(options) => portal::run(api, &options).await,
        _ => Err("this is no question to the API".to_owned()),
    }
}

fn fail(reason: &str) -> ExitCode {
    output::complain(&format!("posthorn: {reason}"));
    ExitCode::FAILURE
}
