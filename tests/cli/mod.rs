//! The command line: every command, as it is typed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

mod answers;
mod complaints;
mod help;
mod listening;
mod platform;
mod tables;
mod unread;

/// Longest wait for a line of a process: no test fails for being slow, only for hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// A platform in a directory of its own, and commands about it.
struct Place {
    directory: PathBuf,
    platform: Going,
    url: String,
}

impl Place {
    /// A platform that runs.
    fn new(name: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        let platform = Going::start(posthorn(&directory, &["up", "--addr", "127.0.0.1:0"]));
        let started: Value = serde_json::from_str(&platform.line()).unwrap();
        let url = started["url"].as_str().unwrap().to_owned();
        Self { directory, platform, url }
    }

    /// What a command comes to.
    fn run(&self, arguments: &[&str]) -> Output {
        posthorn(&self.directory, arguments).output().unwrap()
    }

    /// What a command says to people.
    fn says(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        let complaint = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// What a command answers to programs.
    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.says(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {said}"))
    }

    /// What a command that fails complains of.
    fn complains(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert!(!ran.status.success(), "{arguments:?} should fail");
        String::from_utf8(ran.stderr).unwrap()
    }

    /// A command that goes on.
    fn begin(&self, arguments: &[&str]) -> Going {
        Going::start(posthorn(&self.directory, arguments))
    }

    /// What a listener says in JSON when it is ready, and the listener.
    fn listen(&self, arguments: &[&str]) -> (Going, Value) {
        let listener = self.begin(&[&["listen", "--json"], arguments].concat());
        let ready = serde_json::from_str(&listener.line()).unwrap();
        (listener, ready)
    }

    /// Starts the platform again, where it was.
    fn start_again(&mut self) {
        let addr = self.url.strip_prefix("http://").unwrap();
        self.platform = Going::start(posthorn(&self.directory, &["up", "--addr", addr]));
        self.platform.line();
    }

    fn endpoints(&self) -> Vec<Value> {
        self.json(&["endpoint", "list"]).as_array().unwrap().clone()
    }
}

/// The program, as an installed one is started, on this directory.
fn posthorn(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthorn"));
    command.args(arguments).env("POSTHORN_LOG", "warn").current_dir(directory);
    for variable in ["CARGO", "POSTHORN_URL", "POSTHORN_TOKEN", "AWS_ENDPOINT_URL"] {
        command.env_remove(variable);
    }
    command
}

/// A process that goes on until the test has seen enough.
struct Going {
    child: Child,
    lines: Receiver<String>,
}

impl Going {
    fn start(mut command: Command) -> Self {
        let command = command.stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (told, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).all(|line| told.send(line).is_ok())
        });
        Self { child, lines }
    }

    /// Its next line.
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it says something")
    }

    /// Its next line, read as JSON.
    fn json(&self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why}: {line}"))
    }

    /// Sends it a signal, and waits for its end.
    fn end(&mut self, signal: &str) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
