//! A deployed stack, looked at with the AWS CLI.
//!
//! The CLI brings whatever credentials its user has, single sign-on included, and keeps the AWS
//! SDK out of a program that otherwise runs on one machine.
//!
//! Not guaranteed: anything about what is not in CloudFormation's account of the stack.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use shared::domain::clock::Ambient;
use shared::domain::id::OrganisationId;
use shared::domain::secret::RootSecret;
use shared::domain::token::{Access, Tokens};
use shared::host::config::{self, DEFAULT_ORGANISATION};

/// Lifetime of a token that one command works with, in seconds: an hour, for those that watch.
pub(crate) const SHORT_TOKEN_S: u64 = 3_600;

/// The AWS CLI, as its user has set it up.
#[derive(Clone)]
pub(crate) struct Cli {
    options: Vec<String>,
}

impl Cli {
    /// The CLI; `region` if its own setting is not meant.
    pub(crate) fn new(region: Option<&str>) -> Self {
        let mut options = vec!["--output".to_owned(), "json".to_owned()];
        if let Some(region) = region {
            options.extend(["--region".to_owned(), region.to_owned()]);
        }
        // Not every version reads the variable.
        if let Some(url) = config::from_process("AWS_ENDPOINT_URL").filter(|url| !url.is_empty()) {
            options.extend(["--endpoint-url".to_owned(), url]);
        }
        Self { options }
    }

    /// What the CLI answers to this command.
    ///
    /// # Errors
    /// What it complained of, in one line.
    pub(crate) fn ask(&self, command: &[&str]) -> Result<Value, String> {
        self.ask_with(command, "")
    }

    /// The same; the command reads `input`, which no list of processes shows.
    ///
    /// # Errors
    /// What it complained of, in one line.
    pub(crate) fn ask_with(&self, command: &[&str], input: &str) -> Result<Value, String> {
        let failed =
            |error| format!("cannot run the AWS CLI (`aws`): {error}. Install it and log in");
        let mut running = Command::new("aws")
            .args(command)
            .args(&self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = running.stdin.take() {
            // One that ends without reading says why itself.
            let _ = stdin.write_all(input.as_bytes());
        }
        let ran = running.wait_with_output().map_err(failed)?;
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr);
            return Err(said.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        serde_json::from_slice(&ran.stdout)
            .map_err(|_| format!("`aws {}` gave no JSON", command[0]))
    }
}

/// What CloudFormation knows of a stack.
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) cli: Cli,
    description: Value,
}

impl Stack {
    /// Looks the stack up.
    ///
    /// # Errors
    /// Why it cannot be found.
    pub(crate) fn find(name: &str, region: Option<&str>) -> Result<Self, String> {
        let (name, cli) = (name.to_owned(), Cli::new(region));
        let found = cli.ask(&["cloudformation", "describe-stacks", "--stack-name", &name]);
        let mut found = found.map_err(|why| format!("the stack {name}: {why}"))?;
        let description = found["Stacks"][0].take();
        Ok(Self { name, cli, description })
    }

    /// As `UPDATE_COMPLETE`.
    pub(crate) fn status(&self) -> &str {
        self.description["StackStatus"].as_str().unwrap_or("unknown")
    }

    /// An output of the template.
    ///
    /// # Errors
    /// That there is none of this name.
    pub(crate) fn output(&self, key: &str) -> Result<&str, String> {
        self.named("Outputs", "OutputKey", key, "OutputValue").ok_or_else(|| {
            format!(
                "the stack {} has no output {key}: is it a Posthorn of this version?",
                self.name
            )
        })
    }

    /// The stack's resources: what the template calls them, and what AWS does.
    ///
    /// # Errors
    /// Why they cannot be listed.
    pub(crate) fn parts(&self) -> Result<BTreeMap<String, String>, String> {
        let command = ["cloudformation", "describe-stack-resources", "--stack-name", &self.name];
        let found = self.cli.ask(&command)?;
        let list = found["StackResources"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(list
            .iter()
            .filter_map(|one| {
                Some((text(&one["LogicalResourceId"])?, text(&one["PhysicalResourceId"])?))
            })
            .collect())
    }

    /// The root secret.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn root_secret(&self) -> Result<RootSecret, String> {
        self.root_secret_of("AWSCURRENT")
    }

    /// The root secret as it was before it was last changed.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn previous_root_secret(&self) -> Result<RootSecret, String> {
        self.root_secret_of("AWSPREVIOUS")
    }

    fn root_secret_of(&self, version: &str) -> Result<RootSecret, String> {
        let id = self.output("RootSecretArn")?;
        let command = ["secretsmanager", "get-secret-value", "--secret-id", id];
        let found = self.cli.ask(&[&command[..], &["--version-stage", version]].concat())?;
        let text = found["SecretString"].as_str().ok_or("the root secret is no text")?;
        RootSecret::new(text).map_err(|why| format!("the root secret: {why}"))
    }

    /// Keeps another root secret. Processes that run know the one that they started with.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub(crate) fn put_root_secret(&self, secret: &RootSecret) -> Result<(), String> {
        let id = self.output("RootSecretArn")?;
        let command = ["secretsmanager", "put-secret-value", "--secret-id", id];
        let text = ["--secret-string", "file:///dev/stdin"];
        self.cli.ask_with(&[&command[..], &text[..]].concat(), &secret.to_text()).map(|_| ())
    }

    /// Whose token operates the stack.
    ///
    /// # Errors
    /// When the parameter is no id.
    pub(crate) fn organisation(&self) -> Result<OrganisationId, String> {
        let text = self
            .parameter("Organisation")
            .filter(|text| !text.is_empty())
            .unwrap_or(DEFAULT_ORGANISATION);
        text.parse().map_err(|error| format!("the parameter Organisation: {error}"))
    }

    /// A token of the stack's organisation that lives so many seconds.
    ///
    /// # Errors
    /// When the secret cannot be read.
    pub(crate) fn token(&self, ambient: &Ambient, lifetime_s: u64) -> Result<String, String> {
        let tokens = Tokens::of(&self.root_secret()?);
        let access = Access::Organisation(self.organisation()?);
        Ok(tokens.issue(access, ambient.now(), lifetime_s))
    }

    /// What a parameter of the template was set to.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.named("Parameters", "ParameterKey", name, "ParameterValue")
    }

    fn named(&self, list: &str, key: &str, name: &str, value: &str) -> Option<&str> {
        let list = self.description[list].as_array()?;
        list.iter().find(|one| one[key] == name)?[value].as_str()
    }
}
