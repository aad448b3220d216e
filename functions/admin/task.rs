//! Background tasks: begin them, list them, look at one. The work itself is
//! [`Worker`](shared::work::Worker)'s.

use std::collections::{BTreeMap, BTreeSet};

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::{JsonObject, Moment};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use shared::api::error::{self, ApiError, Violation};
use shared::api::request::{self, query_flag, query_value};
use shared::api::rules::Rules;
use shared::domain::clock::Timestamp;
use shared::domain::endpoint::{Endpoint, MAX_CHANNEL};
use shared::domain::id::{ApplicationId, EndpointId, Ksuid, TaskId, is_name, name_rule};
use shared::domain::message::{is_tag, tag_rule};
use shared::domain::task::{Selection, Span, Status, Task, Work};
use shared::store::Need;

use crate::import::check_answer;
use crate::{Answer, Call, page};

/// How far back messages are recovered or replayed, in milliseconds: 14 days (Svix).
const MAX_BACK_MS: u64 = 14 * 86_400_000;
/// Kinds of tasks (Svix), whether or not there are any here.
pub(crate) const KINDS: [&str; 8] = [
    "endpoint.replay",
    "endpoint.recover",
    "application.stats",
    "message.broadcast",
    "sdk.generate",
    "event-type.aggregate",
    "application.purge_content",
    "endpoint.bulk-replay",
];
/// Most tasks of a page that says what applications are called.
const MOST_NAMED: usize = 50;

/// What a caller gets who asks for a task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BegunOut {
    id: TaskId,
    status: Status,
    task: &'static str,
    #[schemars(with = "Moment")]
    updated_at: String,
}

impl From<&Task> for BegunOut {
    fn from(task: &Task) -> Self {
        Self {
            id: task.id,
            status: task.status,
            task: task.work.name(),
            updated_at: task.updated_at.to_rfc3339(),
        }
    }
}

/// What a caller gets who looks at a task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskOut {
    #[serde(flatten)]
    begun: BegunOut,
    #[serde(flatten)]
    about: About,
    #[schemars(with = "JsonObject")]
    data: Data,
}

/// Whose a task is; nothing of it where it is everybody's.
#[derive(Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BackgroundTaskAbout")]
struct About {
    /// The application that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<ApplicationId>,
    /// The endpoint that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_id: Option<EndpointId>,
    /// The application's name, `with_names` and if it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    /// The endpoint's description, or its URL if it has none, `with_names` and if it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
}

impl About {
    fn subject(&self) -> Option<(ApplicationId, Option<EndpointId>)> {
        Some((self.app_id?, self.endpoint_id))
    }
}

impl From<&Work> for About {
    fn from(work: &Work) -> Self {
        let (app_id, endpoint_id) = work.subject();
        Self { app_id, endpoint_id, ..Self::default() }
    }
}

/// What a task has to say for itself.
#[derive(Serialize)]
#[serde(untagged)]
enum Data {
    Kept(Map<String, Value>),
    Described(Box<RawValue>),
}

impl From<Task> for TaskOut {
    fn from(task: Task) -> Self {
        let about = About::from(&task.work);
        Self { begun: BegunOut::from(&task), about, data: Data::Kept(task.data) }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpanIn {
    #[schemars(with = "Moment")]
    pub(crate) since: String,
    #[schemars(with = "Option<Moment>")]
    pub(crate) until: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BulkReplayIn {
    #[schemars(with = "Moment")]
    since: String,
    #[schemars(with = "Option<Moment>")]
    until: Option<String>,
    #[schemars(with = "Option<BTreeSet<description::EventType>>")]
    event_types: Option<Vec<String>>,
    #[schemars(length(max = MAX_CHANNEL))]
    channel: Option<String>,
    #[schemars(length(max = shared::domain::message::MAX_TAG))]
    tag: Option<String>,
    #[schemars(range(max = 4))]
    status: Option<u8>,
    #[schemars(extend("enum" = [0, 100, 200, 300, 400, 500, null]))]
    status_code_class: Option<u16>,
}

impl Call<'_> {
    pub(crate) async fn list_tasks(&self) -> Answer {
        let mut walk = page::walk::<TaskId>(self.request, true)?;
        let with_names = query_flag(self.request, "with_names", false)?;
        if with_names {
            walk.limit = walk.limit.min(MOST_NAMED);
        }
        let status = match query_value(self.request, "status") {
            None => None,
            Some(text) => Some(serde_json::from_value::<Status>(text.into()).map_err(|_| {
                ApiError::bad_query("status", "must be `running`, `finished` or `failed`")
            })?),
        };
        let kind = query_value(self.request, "task");
        if kind.as_deref().is_some_and(|kind| !KINDS.contains(&kind)) {
            let rule = format!("must be one of {}", KINDS.join(", "));
            return Err(ApiError::bad_query("task", rule));
        }
        let keep = |task: &Task| {
            status.is_none_or(|status| task.status == status)
                && kind.as_ref().is_none_or(|kind| task.work.name() == *kind)
        };
        let (org, now) = (self.access.organisation(), self.admin.ambient.now());
        let listed = self.admin.history.tasks(&org, &walk, now, keep).await?;
        let mut listed = listed.map(|task| vec![TaskOut::from(task)]);
        if with_names {
            self.name_subjects(&mut listed.items).await?;
        }
        page::respond_within(&walk, listed, |shown| shown.begun.id.to_string(), |shown| shown)
    }

    /// Says what the applications and endpoints are called that tasks are about.
    async fn name_subjects(&self, tasks: &mut [TaskOut]) -> Result<(), ApiError> {
        let subjects: BTreeSet<_> = tasks.iter().filter_map(|task| task.about.subject()).collect();
        let reads = subjects.iter().map(|(app, ep)| self.named(app, *ep));
        let named = page::side_by_side(page::AT_ONCE, reads).await?;
        let named: BTreeMap<_, _> = subjects.into_iter().zip(named).collect();
        for task in tasks {
            if let Some(about) = task.about.subject().and_then(|subject| named.get(&subject)) {
                task.about = about.clone();
            }
        }
        Ok(())
    }

    async fn named(&self, app: &ApplicationId, ep: Option<EndpointId>) -> Result<About, ApiError> {
        let need = ep.map_or(Need::Application, Need::EndpointById);
        let tenant = self.admin.directory.tenant(app, need).await?;
        let endpoint = ep.and_then(|ep| tenant.as_ref()?.endpoint_by_id(&ep));
        let called = |endpoint: &Endpoint| match endpoint.description.as_str() {
            "" => endpoint.url.clone(),
            description => description.to_owned(),
        };
        Ok(About {
            app_id: Some(*app),
            endpoint_id: ep,
            application: tenant.as_ref().map(|tenant| tenant.application.name.clone()),
            endpoint: endpoint.map(called),
        })
    }

    pub(crate) async fn get_task(&self, task: &str) -> Answer {
        let task = self.task_named(task).await?.ok_or_else(ApiError::not_found)?;
        let describes = task.work == Work::Describe {};
        let mut shown = TaskOut::from(task);
        if describes {
            shown.data = Data::Described(self.described().await?);
        }
        check_answer(error::json(StatusCode::OK, &shown))
    }

    async fn task_named(&self, id: &str) -> Result<Option<Task>, ApiError> {
        let id: TaskId = id.parse().map_err(|_| ApiError::not_found())?;
        let (org, now) = (self.access.organisation(), self.admin.ambient.now());
        Ok(self.admin.worker.tasks().find(&org, &id, now).await?)
    }

    /// A task that was begun for an application.
    pub(crate) async fn get_task_of(&self, app: &str, task: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let task = self.task_named(task).await?;
        let is_of_it = |task: &Task| task.work.application() == Some(&tenant.application.id);
        let task = task.filter(is_of_it).ok_or_else(ApiError::not_found)?;
        Ok(error::json(StatusCode::OK, &TaskOut::from(task)))
    }

    /// Tries once more what an endpoint never took.
    pub(crate) async fn recover(&self, app: &str, ep: &str) -> Answer {
        let endpoint = self.enabled_endpoint(app, ep).await?;
        let span = self.span(&request::body(self.request)?)?;
        self.begin(Work::Recover { app: endpoint.app, ep: endpoint.id, span }).await
    }

    /// Delivers what an endpoint was never sent although it wants it.
    pub(crate) async fn replay_missing(&self, app: &str, ep: &str) -> Answer {
        let endpoint = self.enabled_endpoint(app, ep).await?;
        let span = self.span(&request::body(self.request)?)?;
        self.begin(Work::ReplayMissing { app: endpoint.app, ep: endpoint.id, span }).await
    }

    /// Sends again what an endpoint was sent before.
    pub(crate) async fn bulk_replay(&self, app: &str, ep: &str) -> Answer {
        let endpoint = self.enabled_endpoint(app, ep).await?;
        let input: BulkReplayIn = request::body(self.request)?;
        let span = self.span(&SpanIn { since: input.since, until: input.until })?;
        let mut rules = Rules::default();
        rules.event_types(
            "eventTypes",
            input.event_types.as_deref().filter(|types| !types.is_empty()),
        );
        if input.channel.as_ref().is_some_and(|channel| !is_name(channel, MAX_CHANNEL)) {
            rules.broken("channel", name_rule(MAX_CHANNEL));
        }
        if input.tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
            rules.broken("tag", tag_rule());
        }
        rules.check()?;
        if input.status.is_some_and(|status| status > 4) {
            return Err(Violation::body("status", "must be 0 to 4").into());
        }
        if input.status_code_class.is_some_and(|class| class > 500 || class % 100 != 0) {
            let rule = "must be 0, 100, 200, 300, 400 or 500";
            return Err(Violation::body("statusCodeClass", rule).into());
        }
        let selection = Selection {
            event_types: input.event_types.unwrap_or_default(),
            channel: input.channel,
            tag: input.tag,
            // What is being sent is pending until it is on record.
            status: input.status.map(|status| if status == 3 { 1 } else { status }),
            status_code_class: input.status_code_class,
        };
        self.begin(Work::BulkReplay { app: endpoint.app, ep: endpoint.id, span, selection }).await
    }

    /// Begins a task and tells the caller what to look it up by.
    pub(crate) async fn begin(&self, work: Work) -> Answer {
        self.begin_with(work, Bytes::new()).await
    }

    /// The same with what the task publishes.
    pub(crate) async fn begin_with(&self, work: Work, payload: Bytes) -> Answer {
        let task = self.admin.worker.begin(self.access.organisation(), work, payload).await?;
        Ok(error::json(StatusCode::ACCEPTED, &BegunOut::from(&task)))
    }

    async fn enabled_endpoint(&self, app: &str, ep: &str) -> Result<Endpoint, ApiError> {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        match endpoint.disabled {
            false => Ok(endpoint),
            true => Err(ApiError::bad_request(
                "endpoint_disabled",
                "The endpoint is disabled: enable it, then ask again.",
            )),
        }
    }

    /// A checked span of time.
    pub(crate) fn span(&self, input: &SpanIn) -> Result<Span, ApiError> {
        let now = self.admin.ambient.now();
        let moment = |field, text: &str| {
            Timestamp::parse_rfc3339(text).ok_or_else(|| {
                Violation::body(field, "must be a date such as 2026-01-31T12:00:00Z")
            })
        };
        let since = moment("since", &input.since)?;
        let until = input.until.as_deref().map(|text| moment("until", text)).transpose()?;
        // What was published at this very moment counts as well.
        let until = until.unwrap_or(now.plus_ms(1_000));
        if now.since(since) > MAX_BACK_MS {
            return Err(Violation::body("since", "must be at most 14 days ago").into());
        }
        if until < since {
            return Err(match input.until {
                Some(_) => Violation::body("until", "must not be before `since`").into(),
                None => Violation::body("since", "must not be in the future").into(),
            });
        }
        // The times of messages are those of their ids, which are rounded down.
        let round = |at: Timestamp| Ksuid::first_at(at).timestamp();
        Ok(Span { since: round(since), until: round(until) })
    }
}
