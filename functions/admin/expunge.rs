//! Payloads that are taken away: of one message, of some, or of all that an application has.

use std::collections::BTreeMap;

use crate::JsonSchema;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, Violation};
use shared::api::request;
use shared::domain::task::Work;

use crate::{Answer, Call};

/// Most messages that one request may name.
const MAX_NAMED: usize = 100;

/// Which messages, by id or event id.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct BulkExpungeContentsIn {
    #[schemars(length(min = 1, max = MAX_NAMED))]
    ids: Vec<String>,
}

/// What became of each, by the name that it was called by.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BulkExpungeContentsOut {
    results: BTreeMap<String, BulkExpungeStatus>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum BulkExpungeStatus {
    Expunged,
    NotFound,
}

impl Call<'_> {
    pub(crate) async fn expunge_message(&self, app: &str, msg: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let message = self.message(&tenant, msg).await?;
        self.admin.eraser.message(&message).await?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn expunge_messages(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let input: BulkExpungeContentsIn = request::body(self.request)?;
        if input.ids.is_empty() || input.ids.len() > MAX_NAMED {
            let rule = format!("must name 1 to {MAX_NAMED} messages");
            return Err(Violation::body("ids", rule).into());
        }
        let (app, now) = (tenant.application.id, self.admin.ambient.now());
        let mut results = BTreeMap::new();
        for id in input.ids {
            let status = match self.admin.history.message(&app, &id, now).await? {
                Some(message) => {
                    self.admin.eraser.message(&message).await?;
                    BulkExpungeStatus::Expunged
                }
                None => BulkExpungeStatus::NotFound,
            };
            results.insert(id, status);
        }
        Ok(error::json(StatusCode::OK, &BulkExpungeContentsOut { results }))
    }

    /// In the background.
    pub(crate) async fn expunge_all(&self, app: &str) -> Answer {
        let app = self.tenant(app).await?.application.id;
        self.begin(Work::Purge { app }).await
    }
}
