//! The platform that is measured: one that runs already, or a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Plan;
use super::receiver::{HANG_PATH, Receiver};
use crate::client::Client;
use crate::demo::Temporary;
use crate::machine::Status;
use crate::reach::Reach;
use crate::{cli, data, reach};

/// Longest wait for a platform to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A platform and a way to reach it.
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) description: String,
    own: Option<Own>,
}

/// A platform that was started for this run.
struct Own {
    child: Child,
    addr: SocketAddr,
    directory: Temporary,
}

/// The applications of a run.
#[derive(Clone)]
pub(crate) struct Apps {
    pub(crate) healthy: String,
    pub(crate) hanging: Option<String>,
}

impl Target {
    /// The running platform, or a new one where none runs or one of its own is wanted.
    pub(crate) async fn find(reach: &Reach, options: &cli::Bench) -> Result<Self, String> {
        reach.only_here("bench")?;
        let wants_own = options.own || options.kill || options.stop;
        if !wants_own && let Ok(client) = Client::of(reach.directory()).await {
            let description = format!("the one that runs on {}", reach.directory().display());
            return Ok(Self { client, description, own: None });
        }
        let directory = Temporary::new();
        let child = spawn(&directory.0, "127.0.0.1:0")?;
        // From here on dropping `own` ends the child, whatever fails.
        let mut own = Own { child, addr: ([127, 0, 0, 1], 0).into(), directory };
        let client = own.wait().await?;
        own.addr =
            data::read_address(&own.directory.0)?.ok_or("it did not say where it listens")?;
        let description = "one of its own, in a temporary directory".to_owned();
        Ok(Self { client, description, own: Some(own) })
    }

    /// Makes the applications and endpoints of a run.
    pub(crate) async fn prepare(
        &mut self,
        plan: &Plan,
        receiver: &Receiver,
    ) -> Result<Apps, String> {
        let healthy = self.new_application("bench").await?;
        for endpoint in 0..plan.endpoints {
            let url = format!("http://{}/{endpoint}", receiver.addr);
            self.client.endpoint(&healthy, json!({"url": url})).await?;
        }
        let mut hanging = None;
        if plan.hang {
            let app = self.new_application("bench, hanging").await?;
            let url = format!("http://{}{HANG_PATH}", receiver.addr);
            self.client.endpoint(&app, json!({"url": url})).await?;
            hanging = Some(app);
        }
        Ok(Apps { healthy, hanging })
    }

    /// What the platform has used so far.
    pub(crate) async fn status(&mut self) -> Result<Status, String> {
        let status = self.client.call("GET", "/local/status", Value::Null).await?;
        serde_json::from_value(status).map_err(|error| format!("/local/status: {error}"))
    }

    /// Kills the platform as a crash would.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        let own = self.own.as_mut().ok_or("--kill needs a platform of its own")?;
        own.child.kill().map_err(|error| format!("cannot kill the platform: {error}"))?;
        own.child.wait().map_err(|error| format!("cannot wait for the platform: {error}"))?;
        Ok(())
    }

    /// Asks the platform to end, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        let own = self.own.as_mut().ok_or("--stop needs a platform of its own")?;
        ask_to_end(&own.child)?;
        loop {
            match own.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the platform ended badly: {status}")),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Starts it again where it was.
    pub(crate) async fn restart(&mut self) -> Result<(), String> {
        let own = self.own.as_mut().ok_or("--kill needs a platform of its own")?;
        own.child = spawn(&own.directory.0, &own.addr.to_string())?;
        self.client = own.wait().await?;
        Ok(())
    }

    async fn new_application(&mut self, name: &str) -> Result<String, String> {
        let app = self.client.call("POST", "/api/v1/app", json!({"name": name})).await?;
        reach::string(&app, "id")
    }
}

impl Own {
    async fn wait(&mut self) -> Result<Client, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let failure = match Client::of(&self.directory.0).await {
                Ok(client) => return Ok(client),
                Err(failure) => failure,
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the platform ended at once: {status}"));
            }
            if Instant::now() > deadline {
                return Err(failure);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[cfg(unix)]
fn ask_to_end(child: &Child) -> Result<(), String> {
    let id = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM)
        .map_err(|error| format!("cannot stop the platform: {error}"))
}

#[cfg(not(unix))]
fn ask_to_end(_: &Child) -> Result<(), String> {
    Err("--stop needs a system with signals".to_owned())
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may have ended by itself, and there is nobody to tell if not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &Path, addr: &str) -> Result<Child, String> {
    let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    Command::new(program)
        .args(["up", "--quiet", "--addr", addr, "--data"])
        .arg(directory)
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start a platform: {error}"))
}
