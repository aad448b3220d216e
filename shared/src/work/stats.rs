//! Steps that count: what applications sent, and what their endpoints listen to.

use serde_json::{Value, json};

use super::{Step, StepError, Worker, turn_page};
use crate::domain::endpoint::Stretch;
use crate::domain::id::{ApplicationId, EndpointId};
use crate::domain::spread::Spread;
use crate::domain::task::{Span, Task};
use crate::store::{Need, Tenant, Trace, Walk};

/// Attempts that a step counts, about: it ends after the page that reaches this many.
const ATTEMPTS: usize = 1_000;
/// Applications that a step looks at, at the most. Each step stores all that was told so far.
const APPLICATIONS: usize = 50;
/// Applications, endpoints and pages of attempts that a step looks at, at the most.
const LOOKS: usize = 50;
/// Most applications that one task tells of: more would not fit what is stored of it.
const MAX_TOLD: usize = 2_500;

/// Where counting goes on: in an application, at one of its endpoints, after an attempt.
#[derive(Default)]
struct Place {
    app: Option<ApplicationId>,
    ep: Option<EndpointId>,
    attempt: Option<String>,
}

impl Place {
    fn read(cursor: Option<&str>) -> Self {
        let mut parts = cursor.unwrap_or_default().split('|');
        let app = parts.next().and_then(|text| text.parse().ok());
        let ep = parts.next().and_then(|text| text.parse().ok());
        Self { app, ep, attempt: parts.next().map(str::to_owned) }
    }

    fn write(&self) -> Option<String> {
        let app = self.app?;
        let Some(ep) = self.ep else { return Some(app.to_string()) };
        let attempt = self.attempt.as_deref().map(|id| format!("|{id}")).unwrap_or_default();
        Some(format!("{app}|{ep}{attempt}"))
    }
}

impl Worker {
    /// Counts the messages that each endpoint was sent.
    pub(super) async fn app_stats(
        &self,
        task: &mut Task,
        span: Span,
        apps: &[ApplicationId],
    ) -> Result<Step, StepError> {
        let mut counted = 0;
        for _ in 0..LOOKS {
            match self.count_on(task, span, apps).await? {
                Some(more) => counted += more,
                None => return Ok(Step::Last),
            }
            if counted >= ATTEMPTS {
                break;
            }
        }
        Ok(Step::More)
    }

    /// Counts the next page of one endpoint's attempts, as many as begin there, or goes on to the
    /// next endpoint or application; how many they were, or `None` when all is counted. What it
    /// tells and how far it came change together, after the last look that may fail.
    async fn count_on(
        &self,
        task: &mut Task,
        span: Span,
        apps: &[ApplicationId],
    ) -> Result<Option<usize>, StepError> {
        let place = Place::read(task.cursor.as_deref());
        // Between two endpoints, the application in the cursor is the one under way.
        let app = match (place.app, place.ep) {
            (Some(app), Some(_)) => Some(app),
            (after, _) => self.application_after(task, apps, after).await?,
        };
        let Some(app) = app else { return Ok(None) };
        let behind = Place { app: Some(app), ..Place::default() }.write();
        let Some(tenant) = self.directory.tenant(&app, Need::Application).await? else {
            task.cursor = behind;
            return Ok(Some(0));
        };
        let ep = match place.attempt {
            Some(_) => place.ep,
            None => self.endpoint_after(&tenant, place.ep).await?,
        };
        let uid = tenant.application.uid.clone();
        let line = json!({"appId": app, "appUid": uid, "messageDestinations": 0});
        let is_new = place.ep.is_none();
        let Some(ep) = ep else {
            if is_new {
                tell(task, "appStats", line)?;
            }
            task.cursor = behind;
            return Ok(Some(0));
        };
        let walk = Walk {
            after: Some(span.since),
            before: Some(span.until),
            ..Walk::onward(ATTEMPTS, place.attempt)
        };
        let now = self.ambient.now();
        let tenant = self.directory.complete(tenant, Need::EndpointById(ep)).await?;
        let endpoint = tenant.as_ref().and_then(|tenant| tenant.endpoint_by_id(&ep));
        let spread = endpoint.map_or(Spread::MOST, |endpoint| endpoint.spread);
        let history = &self.history;
        let listed = history.trail_of_endpoint(&ep, spread, &walk, now, Trace::begins).await?;
        let counted = listed.items.len();
        if is_new {
            tell(task, "appStats", line)?;
        }
        if let Some(last) =
            task.data.get_mut("appStats").and_then(|told| told.as_array_mut()?.last_mut())
        {
            let before = last["messageDestinations"].as_u64().unwrap_or(0);
            last["messageDestinations"] = (before + counted as u64).into();
        }
        let attempt = listed.iterator.filter(|_| !listed.done);
        task.cursor = Place { app: Some(app), ep: Some(ep), attempt }.write();
        Ok(Some(counted))
    }

    /// Collects which event types the endpoints of each application chose.
    pub(super) async fn event_types(&self, task: &mut Task) -> Result<Step, StepError> {
        let walk = Walk::onward(APPLICATIONS, task.cursor.clone());
        let listed = self.history.applications(&task.org, &walk).await?;
        let mut lines = Vec::new();
        for application in &listed.items {
            let Some(tenant) = self.directory.tenant(&application.id, Need::All).await? else {
                continue;
            };
            let chosen =
                tenant.endpoints.iter().filter_map(|endpoint| endpoint.event_types.as_ref());
            let mut chosen: Vec<&String> = chosen.flatten().collect();
            chosen.sort();
            chosen.dedup();
            let all = tenant.endpoints.iter().any(|endpoint| endpoint.event_types.is_none());
            lines.push(json!({
                "appId": application.id,
                "explicitlySubscribedEventTypes": chosen,
                "hasCatchAllEndpoint": all,
            }));
        }
        // Not before all are there: what was told of some would be told once more after a failure.
        for line in lines {
            tell(task, "event_types", line)?;
        }
        task.data.entry("event_types").or_insert_with(|| json!([]));
        Ok(turn_page(task, listed))
    }

    /// The application's endpoint that comes after this one.
    async fn endpoint_after(
        &self,
        tenant: &Tenant,
        after: Option<EndpointId>,
    ) -> Result<Option<EndpointId>, StepError> {
        if tenant.is_whole {
            let mut ids: Vec<_> = tenant.endpoints.iter().map(|endpoint| endpoint.id).collect();
            ids.sort();
            return Ok(ids.into_iter().find(|id| after.is_none_or(|after| *id > after)));
        }
        let (app, stretch) = (&tenant.application.id, Stretch { after, until: None });
        let next = self.directory.endpoints_at(app, stretch, false, 1).await?;
        Ok(next.first().map(|endpoint| endpoint.id))
    }

    /// The application that comes after this one: of those that were named, or of all.
    async fn application_after(
        &self,
        task: &mut Task,
        named: &[ApplicationId],
        after: Option<ApplicationId>,
    ) -> Result<Option<ApplicationId>, StepError> {
        task.data.entry("appStats").or_insert_with(|| json!([]));
        if !named.is_empty() {
            return Ok(named.iter().find(|app| after.is_none_or(|after| **app > after)).copied());
        }
        let walk = Walk::onward(1, after.map(|app| app.to_string()));
        let listed = self.history.applications(&task.org, &walk).await?;
        Ok(listed.items.first().map(|application| application.id))
    }
}

/// Adds to what the task has to say.
fn tell(task: &mut Task, list: &str, line: Value) -> Result<(), StepError> {
    let told = task.data.entry(list).or_insert_with(|| json!([]));
    let Some(told) = told.as_array_mut() else { return Err(StepError::Passing("no list".into())) };
    if told.len() >= MAX_TOLD {
        return Err(StepError::Lasting(format!(
            "There are more than {MAX_TOLD} applications: name those that are wanted."
        )));
    }
    told.push(line);
    Ok(())
}
