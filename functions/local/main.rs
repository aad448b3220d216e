//! `cargo run`: the whole platform in one process, and the commands around it.
//!
//! The same four handlers that Lambda runs, on the embedded store and queue: an HTTP server in
//! front of receive and admin, a poller in front of dispatch, a timer in front of retry. One
//! file holds everything; a process that is killed picks up where it was.

use std::process::ExitCode;

use clap::Parser;

mod bench;
mod chores;
mod cli;
mod client;
mod cost;
mod counting;
mod data;
mod demo;
mod doctor;
mod front;
mod http_server;
mod listen;
mod machine;
mod platform;
mod poller;
mod portal;
mod process;
mod remote;
mod send;
mod simulate;
mod stack;
mod terminal;
mod token;
mod webhook;

use cli::{Cli, Command};

/// Every delivery allocates small things on one thread and frees them on another, which glibc's
/// allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    shared::host::telemetry::to_terminal(
        shared::host::config::from_process("POSTHORN_LOG").as_deref(),
    );
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let result = runtime.block_on(async {
        match cli.command.unwrap_or(Command::Up(cli.up)) {
            Command::Up(options) => platform::up(&options).await,
            Command::Demo => demo::run().await,
            Command::Token(options) => token::print(&options),
            Command::Portal(options) => portal::run(&options).await,
            Command::Send(options) => send::run(&options).await,
            Command::Listen(options) => listen::run(&options).await,
            Command::Bench(options) => bench::run(&options).await,
            Command::Cost(options) => cost::run(&options),
            Command::Simulate(options) => simulate::run(&options),
            Command::Doctor(options) => doctor::run(&options).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&reason),
    }
}

fn fail(reason: &str) -> ExitCode {
    eprintln!("posthorn: {reason}");
    ExitCode::FAILURE
}
