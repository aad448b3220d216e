//! Integrations of an application: other systems that publish to it, each with a key of its own.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError};
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::clock::Timestamp;
use shared::domain::event_type::MAX_NAME;
use shared::domain::id::{ApiTokenId, IntegrationId, is_name};
use shared::domain::integration::{Integration, MAX_INTEGRATIONS};
use shared::store::Tenant;

use crate::limits::MAX_FLAGS;
use crate::{Answer, Call, page};

/// What a caller sends.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntegrationIn {
    #[schemars(with = "description::Name")]
    name: String,
    /// A note of which feature flags it is for: what publishes sees no event types.
    #[schemars(with = "Option<Vec<description::EventType>>")]
    feature_flags: Option<Vec<String>>,
}

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IntegrationOut {
    id: IntegrationId,
    name: String,
    feature_flags: Vec<String>,
    #[schemars(with = "Moment")]
    created_at: String,
    #[schemars(with = "Moment")]
    updated_at: String,
}

/// The key: a bearer token that publishes to the application.
#[derive(Serialize, JsonSchema)]
pub(crate) struct IntegrationKeyOut {
    key: String,
}

impl From<Integration> for IntegrationOut {
    fn from(integration: Integration) -> Self {
        Self {
            id: integration.id,
            name: integration.name,
            feature_flags: integration.feature_flags,
            created_at: integration.created_at.to_rfc3339(),
            updated_at: integration.updated_at.to_rfc3339(),
        }
    }
}

impl IntegrationIn {
    fn check(&self) -> Result<(), ApiError> {
        let mut rules = Rules::default();
        rules.name(&self.name);
        let flags = self.feature_flags.as_deref().unwrap_or_default();
        if flags.len() > MAX_FLAGS {
            rules.broken("featureFlags", format!("must be at most {MAX_FLAGS}"));
        }
        for (position, flag) in flags.iter().enumerate().take(MAX_FLAGS) {
            if !is_name(flag, MAX_NAME) {
                rules.broken(&format!("featureFlags.{position}"), "must be a name without spaces");
            }
        }
        rules.check()
    }
}

impl Call<'_> {
    pub(crate) async fn list_integrations(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let walk = page::walk::<IntegrationId>(self.request, false)?;
        let all = self.admin.revocations.integrations().list(&tenant.application.id).await?;
        let listed = page::cut(&walk, all, |one: &Integration| one.id.to_string());
        Ok(page::respond(listed, IntegrationOut::from))
    }

    pub(crate) async fn create_integration(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let input: IntegrationIn = request::body(self.request)?;
        input.check()?;
        let (store, application) = (self.admin.revocations.integrations(), &tenant.application);
        if store.list(&application.id).await?.len() >= MAX_INTEGRATIONS {
            return Err(ApiError::bad_request(
                "limit_reached",
                format!(
                    "An application has at most {MAX_INTEGRATIONS} integrations: delete one first."
                ),
            ));
        }
        let from = self.first_good(&tenant).await?;
        let (of, about) = (
            (application.org, application.id),
            (input.name, input.feature_flags.unwrap_or_default()),
        );
        let integration = Integration::new(of, about, from, &self.admin.ambient);
        store.create(&integration).await?;
        if self.admin.directory.head(&application.id).await?.is_none() {
            // The application was deleted meanwhile, and nobody would find this any more.
            store.delete(&application.id, &integration.id).await?;
            return Err(ApiError::not_found());
        }
        Ok(error::json(StatusCode::CREATED, &IntegrationOut::from(integration)))
    }

    pub(crate) async fn get_integration(&self, app: &str, id: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let found = self.integration(&tenant, id).await?;
        Ok(error::json(StatusCode::OK, &IntegrationOut::from(found)))
    }

    pub(crate) async fn update_integration(&self, app: &str, id: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let input: IntegrationIn = request::body(self.request)?;
        input.check()?;
        let now = self.admin.ambient.now();
        let changed = self.edit_integration(&tenant, id, |integration| {
            integration.name.clone_from(&input.name);
            integration.feature_flags = input.feature_flags.clone().unwrap_or_default();
            integration.updated_at = now;
        });
        Ok(error::json(StatusCode::OK, &IntegrationOut::from(changed.await?)))
    }

    pub(crate) async fn delete_integration(&self, app: &str, id: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let id: IntegrationId = id.parse().map_err(|_| ApiError::not_found())?;
        match self.admin.revocations.revoke_integration(&tenant.application.id, &id).await? {
            true => Ok(error::empty(StatusCode::NO_CONTENT)),
            false => Err(ApiError::not_found()),
        }
    }

    pub(crate) async fn integration_s_key(&self, app: &str, id: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let found = self.integration(&tenant, id).await?;
        Ok(self.show_key(&found))
    }

    /// A new key in the place of the old one, which opens nothing from then on.
    pub(crate) async fn rotate_integration_s_key(&self, app: &str, id: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let from = self.first_good(&tenant).await?;
        let (key, now) = (ApiTokenId::new(&self.admin.ambient), self.admin.ambient.now());
        let changed = self.edit_integration(&tenant, id, |integration| {
            integration.key = key;
            integration.key_from = from;
            integration.updated_at = now;
        });
        let changed = changed.await?;
        self.admin.revocations.forget_good();
        Ok(self.show_key(&changed))
    }

    fn show_key(&self, integration: &Integration) -> http::Response<bytes::Bytes> {
        let key = self.admin.tokens.issue_integration(integration);
        error::json(StatusCode::OK, &IntegrationKeyOut { key })
    }

    async fn integration(&self, tenant: &Tenant, id: &str) -> Result<Integration, ApiError> {
        let id: IntegrationId = id.parse().map_err(|_| ApiError::not_found())?;
        let found = self.admin.revocations.integrations().find(&tenant.application.id, &id);
        found.await?.ok_or_else(ApiError::not_found)
    }

    async fn edit_integration(
        &self,
        tenant: &Tenant,
        id: &str,
        edit: impl Fn(&mut Integration),
    ) -> Result<Integration, ApiError> {
        let id: IntegrationId = id.parse().map_err(|_| ApiError::not_found())?;
        let store = self.admin.revocations.integrations();
        let edited = store.edit(&tenant.application.id, &id, edit).await?;
        edited.ok_or_else(ApiError::not_found)
    }

    /// The first moment at which a token of this application is not among those that were taken
    /// back all at once.
    async fn first_good(&self, tenant: &Tenant) -> Result<Timestamp, ApiError> {
        let application = &tenant.application;
        let now = self.admin.ambient.now();
        let from = self.admin.revocations.first_good(&application.org, now).await?;
        let after = application.expired.map(|expired| expired.first_good());
        Ok(after.map_or(from, |after| after.max(from)))
    }
}
