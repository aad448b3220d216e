//! Every knob of the functions, in one table. `template.yaml` sets them and a test holds the
//! two together.
//!
//! | variable | read by | meaning |
//! |---|---|---|
//! | `POSTHORN_TABLE` | all | name of the DynamoDB table |
//! | `POSTHORN_DELIVERIES_QUEUE_URL` | receive, retry, admin | where accepted messages go |
//! | `POSTHORN_RETRIES_QUEUE_URL` | dispatch, retry, admin | where retries and resends go |
//! | `POSTHORN_DELIVERIES_DLQ_URL` | retry | what could not be processed of the one |
//! | `POSTHORN_RETRIES_DLQ_URL` | retry | what could not be processed of the other |
//! | `POSTHORN_ROOT_SECRET_ID` | receive, dispatch, admin | name or ARN of the root secret in Secrets Manager: tokens and sealing derive from it |
//! | `POSTHORN_ROOT_SECRET` | receive, dispatch, admin | the root secret itself, where it is not in Secrets Manager; for development |
//! | `POSTHORN_ORGANISATION` | receive, admin | whose applications a signed request may call by uid, and whose token is the operator's |
//! | `POSTHORN_PROFILE` | receive, dispatch, admin | the profile of applications that name none; default: `svix` |
//! | `POSTHORN_PAYLOAD_RETENTION_DAYS` | receive, admin | how long messages are kept whose publishers do not say it; 5 to 90, default: 30 |
//! | `POSTHORN_FAIR_QUEUES` | receive, dispatch, retry, admin | `false`: records name no group, which is $0.10 a million cheaper, and one customer's burst makes the others wait |
//! | `POSTHORN_PUBLISH_URL` | admin | where sources are taken, if not where admin is asked |
//! | `POSTHORN_PORTAL_FRAMES` | admin | whose pages may show the portal in a frame, origins with spaces between them; default: nobody's but our own |
//! | `POSTHORN_PORTAL_LINK_DAYS` | admin | how long a link to the portal opens if whoever asks for it does not say; 1 to 7, default: 7 |
//! | `POSTHORN_MAX_ENDPOINTS` | admin | how many endpoints an application may have; 1 to 10,000, default: 200. Of a message that more than 200 want, each 200 are a record of their own |
//! | `POSTHORN_STAGE` | all | the dimension of the metrics; without it none are written |
//! | `POSTHORN_FIRST_LEASE` | dispatch | `always`: a lease before every first attempt (six write units more); default, `when-repeated`: only where a record may be a repetition |
//! | `POSTHORN_AUTO_DISABLE` | dispatch | `never`: an endpoint that only fails stays enabled; default, `after-five-days`: it is disabled after five days |
//! | `POSTHORN_TAKEN_ANSWER_BYTES` | dispatch | how much is kept of the answer of an endpoint that took the message, up to 1,024 bytes; default: 64 |
//! | `POSTHORN_ALLOW_HTTP` | dispatch, admin | `true`: endpoints may be called without TLS |
//! | `POSTHORN_REFUSED_TARGETS` | dispatch, admin | networks (`203.0.113.0/24`) and hosts (`.corp.example` for all below) that no endpoint may be in, beside all that is not public; with spaces between them |
//! | `POSTHORN_ALLOW_LOOPBACK` | dispatch, admin | `true`: endpoints may be on the machine itself; for development only, never on Lambda |

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::domain::attempt::{EXCERPT_BYTES, TAKEN_EXCERPT_BYTES};
use crate::domain::endpoint::{MAX_ENDPOINTS, NARROW};
use crate::domain::id::OrganisationId;
use crate::domain::message::{DEFAULT_RETENTION_DAYS, RETENTION_DAYS};
use crate::domain::secret::RootSecret;
use crate::domain::token::VISIT_S;
use crate::sender::target::TargetPolicy;

/// The organisation of a deployment that names no other (Svix's server has the same one).
pub const DEFAULT_ORGANISATION: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMu";

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// Names of the variables.
pub mod variable {
    /// Name of the DynamoDB table.
    pub const TABLE: &str = "POSTHORN_TABLE";
    /// URL of the queue of accepted messages.
    pub const DELIVERIES_QUEUE: &str = "POSTHORN_DELIVERIES_QUEUE_URL";
    /// URL of the queue of retries.
    pub const RETRIES_QUEUE: &str = "POSTHORN_RETRIES_QUEUE_URL";
    /// URL of the dead-letter queue of accepted messages.
    pub const DELIVERIES_DLQ: &str = "POSTHORN_DELIVERIES_DLQ_URL";
    /// URL of the dead-letter queue of retries.
    pub const RETRIES_DLQ: &str = "POSTHORN_RETRIES_DLQ_URL";
    /// Where the root secret is.
    pub const ROOT_SECRET_ID: &str = "POSTHORN_ROOT_SECRET_ID";
    /// The root secret itself.
    pub const ROOT_SECRET: &str = "POSTHORN_ROOT_SECRET";
    /// The deployment's own organisation.
    pub const ORGANISATION: &str = "POSTHORN_ORGANISATION";
    /// The profile of applications that name none.
    pub const PROFILE: &str = "POSTHORN_PROFILE";
    /// How long messages are kept.
    pub const RETENTION_DAYS: &str = "POSTHORN_PAYLOAD_RETENTION_DAYS";
    /// Whether records name their group.
    pub const FAIR_QUEUES: &str = "POSTHORN_FAIR_QUEUES";
    /// Where receive is reached.
    pub const PUBLISH_URL: &str = "POSTHORN_PUBLISH_URL";
    /// Whose pages may frame the portal.
    pub const PORTAL_FRAMES: &str = "POSTHORN_PORTAL_FRAMES";
    /// How long links to the portal open.
    pub const PORTAL_LINK_DAYS: &str = "POSTHORN_PORTAL_LINK_DAYS";
    /// How many endpoints an application may have.
    pub const MAX_ENDPOINTS: &str = "POSTHORN_MAX_ENDPOINTS";
    /// The stage.
    pub const STAGE: &str = "POSTHORN_STAGE";
    /// When first attempts take a lease.
    pub const FIRST_LEASE: &str = "POSTHORN_FIRST_LEASE";
    /// Whether endpoints that only fail are disabled.
    pub const AUTO_DISABLE: &str = "POSTHORN_AUTO_DISABLE";
    /// How much of a success's answer is kept.
    pub const TAKEN_ANSWER_BYTES: &str = "POSTHORN_TAKEN_ANSWER_BYTES";
    /// Whether endpoints may be called without TLS.
    pub const ALLOW_HTTP: &str = "POSTHORN_ALLOW_HTTP";
    /// Where endpoints may not be, beside what is not public.
    pub const REFUSED_TARGETS: &str = "POSTHORN_REFUSED_TARGETS";
    /// Whether endpoints may be on the machine itself.
    pub const ALLOW_LOOPBACK: &str = "POSTHORN_ALLOW_LOOPBACK";

    /// How all of them begin.
    pub const PREFIX: &str = "POSTHORN_";
    /// All that a function or the local platform reads.
    pub const ALL: [&str; 22] = [
        TABLE,
        DELIVERIES_QUEUE,
        RETRIES_QUEUE,
        DELIVERIES_DLQ,
        RETRIES_DLQ,
        ROOT_SECRET_ID,
        ROOT_SECRET,
        ORGANISATION,
        PROFILE,
        RETENTION_DAYS,
        FAIR_QUEUES,
        PUBLISH_URL,
        PORTAL_FRAMES,
        PORTAL_LINK_DAYS,
        MAX_ENDPOINTS,
        STAGE,
        FIRST_LEASE,
        AUTO_DISABLE,
        TAKEN_ANSWER_BYTES,
        ALLOW_HTTP,
        REFUSED_TARGETS,
        ALLOW_LOOPBACK,
    ];
}

/// The environment, read once at start.
pub struct Environment<'a> {
    look_up: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Environment<'a> {
    /// An environment that looks variables up with `look_up`.
    pub fn new(look_up: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { look_up }
    }

    /// A variable that must be there.
    ///
    /// # Errors
    /// A sentence with its name.
    pub fn required(&self, name: &str) -> Result<String, String> {
        self.said(name).ok_or_else(|| format!("the environment variable {name} is missing"))
    }

    /// What a variable says, if it says anything.
    fn said(&self, name: &str) -> Option<String> {
        (self.look_up)(name).filter(|value| !value.is_empty())
    }

    /// Whether a variable says the second of these words; without it, the first is meant.
    fn chooses(&self, name: &str, [default, other]: [&str; 2]) -> Result<bool, String> {
        match self.said(name) {
            Some(word) if word == other => Ok(true),
            Some(word) if word != default => {
                Err(format!("{name}: must be `{default}` or `{other}`, not {word}"))
            }
            _ => Ok(false),
        }
    }

    /// The number that a variable says, which must be one of `range`; without it, `usual` is meant.
    fn number<N: Display + FromStr + PartialOrd>(
        &self,
        name: &str,
        range: RangeInclusive<N>,
        usual: N,
    ) -> Result<N, String> {
        let Some(text) = self.said(name) else { return Ok(usual) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            format!("{name}: must be {} to {}, not {text}", range.start(), range.end())
        })
    }

    /// The deployment's own organisation: [`DEFAULT_ORGANISATION`] unless set.
    ///
    /// # Errors
    /// A sentence that says what an id looks like.
    pub fn organisation(&self) -> Result<OrganisationId, String> {
        let text = self.said(variable::ORGANISATION);
        text.as_deref()
            .unwrap_or(DEFAULT_ORGANISATION)
            .parse()
            .map_err(|error| format!("{}: {error}", variable::ORGANISATION))
    }

    /// The profile of applications that name none.
    pub fn profile(&self) -> Option<String> {
        self.said(variable::PROFILE)
    }

    /// For how many days messages are kept whose publishers do not say it.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn retention_days(&self) -> Result<u64, String> {
        self.number(variable::RETENTION_DAYS, RETENTION_DAYS, DEFAULT_RETENTION_DAYS)
    }

    /// Whether records say to whom they belong, so that nobody's burst makes others wait.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn fair_queues(&self) -> Result<bool, String> {
        Ok(!self.chooses(variable::FAIR_QUEUES, ["true", "false"])?)
    }

    /// Where receive is reached, if not where admin is; without a slash at its end.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn publish_url(&self) -> Result<Option<String>, String> {
        let Some(url) = self.said(variable::PUBLISH_URL) else { return Ok(None) };
        match url.starts_with("https://") || url.starts_with("http://") {
            true => Ok(Some(url.trim_end_matches('/').to_owned())),
            false => Err(format!("{}: must begin with https://, not {url}", variable::PUBLISH_URL)),
        }
    }

    /// Whose pages may show the portal in a frame, beside our own.
    ///
    /// # Errors
    /// A sentence about what would end the list in the policy that it goes into.
    pub fn portal_frames(&self) -> Result<String, String> {
        let name = variable::PORTAL_FRAMES;
        match self.said(name) {
            Some(origins) if origins.contains([';', ',']) => {
                Err(format!("{name}: must be origins with spaces between them, not {origins}"))
            }
            Some(origins) => Ok(format!("'self' {origins}")),
            None => Ok("'self'".to_owned()),
        }
    }

    /// For how many seconds a link to the portal opens if whoever asks for it does not say.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn portal_link_s(&self) -> Result<u64, String> {
        let most = VISIT_S / DAY_S;
        Ok(self.number(variable::PORTAL_LINK_DAYS, 1..=most, most)? * DAY_S)
    }

    /// How many endpoints an application may have.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn max_endpoints(&self) -> Result<usize, String> {
        self.number(variable::MAX_ENDPOINTS, 1..=MAX_ENDPOINTS, NARROW)
    }

    /// What metrics are told apart by.
    pub fn stage(&self) -> Option<String> {
        self.said(variable::STAGE)
    }

    /// Whether every first attempt takes a lease.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn always_lease(&self) -> Result<bool, String> {
        self.chooses(variable::FIRST_LEASE, ["when-repeated", "always"])
    }

    /// Whether an endpoint that only fails is disabled at last.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn auto_disable(&self) -> Result<bool, String> {
        Ok(!self.chooses(variable::AUTO_DISABLE, ["after-five-days", "never"])?)
    }

    /// How many bytes are kept of the answer of an endpoint that took the message.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn taken_answer_bytes(&self) -> Result<usize, String> {
        self.number(variable::TAKEN_ANSWER_BYTES, 0..=EXCERPT_BYTES, TAKEN_EXCERPT_BYTES)
    }

    /// Which addresses may be called.
    ///
    /// # Errors
    /// A sentence that says what is wrong with a variable.
    pub fn target_policy(&self) -> Result<TargetPolicy, String> {
        let https_only = !self.chooses(variable::ALLOW_HTTP, ["false", "true"])?;
        if self.chooses(variable::ALLOW_LOOPBACK, ["false", "true"])? {
            return self.refusing(TargetPolicy::local());
        }
        self.refusing(TargetPolicy { https_only, ..TargetPolicy::default() })
    }

    /// The same, on a developer's machine.
    ///
    /// # Errors
    /// A sentence that says what is wrong with those that are refused.
    pub fn local_target_policy(&self) -> Result<TargetPolicy, String> {
        self.refusing(TargetPolicy::local())
    }

    fn refusing(&self, policy: TargetPolicy) -> Result<TargetPolicy, String> {
        let targets = self.said(variable::REFUSED_TARGETS).unwrap_or_default();
        let policy = policy.refusing(&targets);
        policy.map_err(|wrong| format!("{}: {wrong}", variable::REFUSED_TARGETS))
    }

    /// The root secret, if it is in the environment itself.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, without it.
    pub fn root_secret(&self) -> Result<Option<RootSecret>, String> {
        let text = self.said(variable::ROOT_SECRET);
        text.map(|text| RootSecret::new(&text)).transpose()
    }
}

/// The process's own environment.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
pub fn from_process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The names of the process's own environment.
pub fn names_of_process() -> impl Iterator<Item = String> {
    std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned())
}
