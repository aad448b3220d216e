//! The operator's view across applications: endpoints that fail, and a message by its id.

use crate::JsonSchema;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, EndpointId, MessageId};
use shared::store::{Listed, Need};

use crate::health::EndpointHealth;
use crate::{Answer, Call, page};

/// Attempts of each endpoint that count.
const COUNTED: usize = 20;
/// Most endpoints of a page: each is two reads.
const MOST: usize = 50;

/// An endpoint that fails, and whose it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailingOut {
    /// Its application's name.
    application: String,
    url: String,
    description: String,
    #[serde(flatten)]
    health: EndpointHealth,
}

/// Where a message is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundOut {
    id: MessageId,
    app_id: ApplicationId,
    event_type: String,
}

impl Call<'_> {
    /// Failing endpoints of all applications: those of which it is on record.
    pub(crate) async fn list_failing(&self) -> Answer {
        let mut walk = page::walk::<EndpointId>(self.request, true)?;
        walk.limit = walk.limit.min(MOST);
        let org = self.access.organisation();
        let listed = self.admin.history.failing_endpoints(&org, &walk).await?;
        let Listed { items, iterator, prev, done } = listed;
        let shown = items.iter().map(|endpoint| self.failing(endpoint));
        let shown = page::side_by_side(page::FEW, shown).await?;
        let items: Vec<FailingOut> = shown.into_iter().flatten().collect();
        Ok(page::respond(Listed { items, iterator, prev, done }, |shown| shown))
    }

    async fn failing(&self, listed: &Endpoint) -> Result<Option<FailingOut>, ApiError> {
        let need = Need::EndpointById(listed.id);
        let Some(tenant) = self.admin.directory.tenant(&listed.app, need).await? else {
            return Ok(None);
        };
        // The index may lag.
        let Some(endpoint) = tenant.endpoint_by_id(&listed.id) else { return Ok(None) };
        if endpoint.disabled || endpoint.health.failing.is_none() {
            return Ok(None);
        }
        Ok(Some(FailingOut {
            application: tenant.application.name.clone(),
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
            health: self.health_of(&tenant, endpoint, COUNTED).await?,
        }))
    }

    /// The application of a message.
    pub(crate) async fn find_message(&self, msg: &str) -> Answer {
        let id: MessageId = msg.parse().map_err(|_| ApiError::not_found())?;
        let now = self.admin.ambient.now();
        let found = self.admin.history.message_anywhere(&id, now).await?;
        let message = found.ok_or_else(ApiError::not_found)?;
        let tenant = self.admin.directory.tenant(&message.app, Need::Application).await?;
        let org = self.access.organisation();
        tenant.filter(|tenant| tenant.application.org == org).ok_or_else(ApiError::not_found)?;
        let out = FoundOut { id, app_id: message.app, event_type: message.event_type };
        Ok(error::json(StatusCode::OK, &out))
    }
}
