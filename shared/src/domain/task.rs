//! A background task: work that outlives the request that asked for it.
//!
//! Whoever is asked stores the task and does the first part of it at once; the sweep of the
//! retry function carries on with what is left, a bounded part each minute. A task knows where
//! it is by its cursor, which moves on after each step, so a step that was cut short is done
//! again from its beginning. Everything that a step does is safe to do twice.

use crate::domain::schema::JsonSchema;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::clock::Timestamp;
use crate::domain::id::{ApplicationId, EndpointId, OrganisationId, TaskId};
use crate::domain::json::is_zero;
use crate::domain::message::NewMessage;

/// How long tasks are kept, in milliseconds: 90 days (Svix).
pub const RETENTION_MS: u64 = 90 * 86_400_000;

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BackgroundTaskStatus")]
pub enum Status {
    /// Some of it is left to do.
    Running,
    /// All of it is done.
    Finished,
    /// It was given up.
    Failed,
}

/// A part of an application's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Nothing from before this moment.
    pub since: Timestamp,
    /// Nothing from this moment on.
    pub until: Timestamp,
}

impl Span {
    /// Whether this moment lies in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }
}

/// Which of the messages that were sent to an endpoint are sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// Only of these types; all when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// Only on this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Only with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only those in this state, by Svix's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// Only those whose last attempt was answered with this class of status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code_class: Option<u16>,
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Work {
    /// Tries once more what an endpoint never took.
    Recover {
        /// The endpoint's application.
        app: ApplicationId,
        /// The endpoint.
        ep: EndpointId,
        /// When the messages were published.
        span: Span,
    },
    /// Delivers what an endpoint would have got, had it been there or enabled.
    ReplayMissing {
        /// The endpoint's application.
        app: ApplicationId,
        /// The endpoint.
        ep: EndpointId,
        /// When the messages were published.
        span: Span,
    },
    /// Sends again what was sent to an endpoint before, whatever came of it.
    BulkReplay {
        /// The endpoint's application.
        app: ApplicationId,
        /// The endpoint.
        ep: EndpointId,
        /// When the messages were published.
        span: Span,
        /// Which of them.
        selection: Selection,
    },
    /// Counts what applications were sent.
    AppStats {
        /// When.
        span: Span,
        /// Only these, in order; all if there are none.
        apps: Vec<ApplicationId>,
    },
    /// Collects which event types endpoints chose.
    EventTypes {},
    /// Describes the event types. Nothing is kept of it: whoever looks at the task is shown them
    /// as they are then.
    Describe {},
    /// Takes the payloads of an application's messages away.
    Purge {
        /// The application.
        app: ApplicationId,
    },
    /// Publishes an event, whose payload is the task's, to all applications.
    Broadcast {
        /// The event.
        event: NewMessage,
        /// What names its messages, if the request had a name: one that is repeated after a crash
        /// begins another task, and publishes nothing twice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
}

impl Work {
    /// The application whose endpoint it is about, if it is about one.
    pub fn application(&self) -> Option<&ApplicationId> {
        match self {
            Self::Recover { app, .. }
            | Self::ReplayMissing { app, .. }
            | Self::BulkReplay { app, .. } => Some(app),
            _ => None,
        }
    }

    /// The application that it is about, and the endpoint, as far as it is about one.
    pub fn subject(&self) -> (Option<ApplicationId>, Option<EndpointId>) {
        match self {
            Self::Recover { app, ep, .. }
            | Self::ReplayMissing { app, ep, .. }
            | Self::BulkReplay { app, ep, .. } => (Some(*app), Some(*ep)),
            Self::Purge { app } => (Some(*app), None),
            Self::AppStats { apps, .. } => match apps.as_slice() {
                [app] => (Some(*app), None),
                _ => (None, None),
            },
            Self::EventTypes {} | Self::Describe {} | Self::Broadcast { .. } => (None, None),
        }
    }

    /// What Svix calls this kind of task.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Recover { .. } => "endpoint.recover",
            Self::ReplayMissing { .. } => "endpoint.replay",
            Self::BulkReplay { .. } => "endpoint.bulk-replay",
            Self::AppStats { .. } => "application.stats",
            Self::EventTypes {} => "event-type.aggregate",
            Self::Describe {} => "sdk.generate",
            Self::Purge { .. } => "application.purge_content",
            Self::Broadcast { .. } => "message.broadcast",
        }
    }
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Who asked for it.
    pub org: OrganisationId,
    /// What it does.
    pub work: Work,
    /// How far it is.
    pub status: Status,
    /// Where the next step begins; none for the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What it has to say for itself, shown to whoever asks.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// Steps in a row that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last moved on.
    pub updated_at: Timestamp,
    /// When the sweep looks at it, while it is running.
    pub due_at: Timestamp,
    /// What it publishes, if it does. Not part of any list.
    #[serde(skip)]
    pub payload: Bytes,
}

impl Task {
    /// A task that was asked for at `now`, to be looked at by the sweep at `due_at`.
    pub fn new(id: TaskId, org: OrganisationId, work: Work, now: Timestamp) -> Self {
        Self {
            id,
            org,
            work,
            status: Status::Running,
            cursor: None,
            data: Map::new(),
            failures: 0,
            created_at: now,
            updated_at: now,
            due_at: now,
            payload: Bytes::new(),
        }
    }

    /// When it may be forgotten.
    pub fn expires_at(&self) -> Timestamp {
        self.created_at.plus_ms(RETENTION_MS)
    }

    /// Adds to one of its counters.
    pub fn count(&mut self, counter: &str, n: u64) {
        let before = self.data.get(counter).and_then(Value::as_u64).unwrap_or(0);
        self.data.insert(counter.to_owned(), (before + n).into());
    }
}
