//! Statistics over an organisation, counted by background tasks.

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError, Violation};
use shared::api::request;
use shared::domain::clock::Timestamp;
use shared::domain::id::ApplicationId;
use shared::domain::task::{Span, Work};
use shared::store::Need;

use crate::task::BegunOut;
use crate::{Answer, Call, page};

/// Most applications that may be named.
const MAX_NAMED: usize = 2_500;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppUsageStatsIn {
    #[schemars(with = "Moment")]
    since: String,
    #[schemars(with = "Moment")]
    until: String,
    /// Only these, by id or uid; all if it is not said.
    #[schemars(length(max = 2_500))]
    app_ids: Option<Vec<String>>,
}

/// The task, and what it will not tell of.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppUsageStatsOut {
    #[serde(flatten)]
    begun: BegunOut,
    unresolved_app_ids: Vec<String>,
}

impl Call<'_> {
    /// Counts what each application's endpoints were sent.
    pub(crate) async fn app_usage(&self) -> Answer {
        let input: AppUsageStatsIn = request::body(self.request)?;
        let moment = |field, text: &str| {
            let rule = "must be a date such as 2026-01-31T12:00:00Z";
            Timestamp::parse_rfc3339(text).ok_or_else(|| Violation::body(field, rule))
        };
        let (since, until) = (moment("since", &input.since)?, moment("until", &input.until)?);
        if until < since {
            return Err(Violation::body("until", "must not be before `since`").into());
        }
        let named = input.app_ids.unwrap_or_default();
        if named.len() > MAX_NAMED {
            let rule = format!("must name at most {MAX_NAMED} applications");
            return Err(Violation::body("appIds", rule).into());
        }
        let org = self.access.organisation();
        let mut apps: Vec<ApplicationId> = Vec::new();
        let mut unresolved = Vec::new();
        let looked_up = named.into_iter().map(async |reference| {
            let directory = &self.admin.directory;
            let found = directory.application(&org, &reference, Need::Application).await?;
            Ok::<_, ApiError>((reference, found))
        });
        for (reference, found) in page::side_by_side(page::AT_ONCE, looked_up).await? {
            match found {
                Some(tenant) => apps.push(tenant.application.id),
                None => unresolved.push(reference),
            }
        }
        apps.sort();
        apps.dedup();
        if apps.is_empty() && !unresolved.is_empty() {
            let rule = "must name an application that is there";
            return Err(Violation::body("appIds", rule).into());
        }
        let work = Work::AppStats { span: Span { since, until }, apps };
        let task = self.admin.worker.begin(org, work, Bytes::new()).await?;
        let out = AppUsageStatsOut { begun: BegunOut::from(&task), unresolved_app_ids: unresolved };
        Ok(error::json(StatusCode::ACCEPTED, &out))
    }

    /// Collects which event types each application's endpoints chose.
    pub(crate) async fn event_type_usage(&self) -> Answer {
        self.begin(Work::EventTypes {}).await
    }
}
