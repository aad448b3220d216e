//! Operational webhooks: the endpoints that an organisation has for notices, and the notices
//! that this function has to give.
//!
//! The endpoints are those of an application that no list shows, so they are handled as any
//! others. It comes into being with the first of them.

use http::StatusCode;
use shared::api::error::{self, ApiError};
use shared::domain::application::{Application, Metadata};
use shared::domain::endpoint::Endpoint;
use shared::domain::id::EndpointId;
use shared::domain::keyring::Keyring;
use shared::domain::notice::{Notice, application_id};
use shared::domain::secret::SigningSecret;
use shared::domain::spread::Spread;
use shared::store::table::Write;
use shared::store::{Listed, Listeners, Need, Tenant};

use crate::endpoint::EndpointOut;
use crate::{Answer, Call, page};

/// The profile of notices: as Svix sends them, whatever the deployment's own is.
const PROFILE: &str = "svix";

impl Call<'_> {
    pub(crate) async fn list_operational(&self) -> Answer {
        let app = self.operational();
        if self
            .admin
            .directory
            .application(&self.access.organisation(), &app, Need::Application)
            .await?
            .is_some()
        {
            return self.list_endpoints(&app).await;
        }
        page::walk::<EndpointId>(self.request, true)?;
        let none = Listed { items: Vec::new(), iterator: None, prev: None, done: true };
        Ok(page::respond(none, |endpoint: Endpoint| EndpointOut::from(endpoint)))
    }

    pub(crate) async fn create_operational(&self) -> Answer {
        let app = self.operational();
        self.ensure_operational().await?;
        self.create_endpoint(&app).await
    }

    pub(crate) async fn get_operational(&self, ep: &str) -> Answer {
        self.get_endpoint(&self.operational(), ep).await
    }

    pub(crate) async fn update_operational(&self, ep: &str) -> Answer {
        let app = self.operational();
        self.ensure_operational().await?;
        self.update_endpoint(&app, ep).await
    }

    pub(crate) async fn delete_operational(&self, ep: &str) -> Answer {
        self.delete_endpoint(&self.operational(), ep).await
    }

    pub(crate) async fn get_operational_secret(&self, ep: &str) -> Answer {
        self.get_secret(&self.operational(), ep).await
    }

    /// Svix answers without a body here.
    pub(crate) async fn rotate_operational_secret(&self, ep: &str) -> Answer {
        self.rotate_secret(&self.operational(), ep).await?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    pub(crate) async fn get_operational_headers(&self, ep: &str) -> Answer {
        self.get_headers(&self.operational(), ep).await
    }

    pub(crate) async fn set_operational_headers(&self, ep: &str) -> Answer {
        self.set_headers(&self.operational(), ep).await
    }

    /// The application whose endpoints get notices.
    fn operational(&self) -> String {
        application_id(&self.access.organisation()).to_string()
    }

    async fn ensure_operational(&self) -> Result<(), ApiError> {
        let org = self.access.organisation();
        let id = application_id(&org);
        if self.admin.directory.tenant(&id, Need::Application).await?.is_some() {
            return Ok(());
        }
        let ambient = &self.admin.ambient;
        let now = ambient.now();
        let secret = SigningSecret::generate(ambient);
        let application = Application {
            id,
            org,
            uid: None,
            name: "Operational webhooks".to_owned(),
            throttle_rate: None,
            metadata: Metadata::new(),
            profile: Some(PROFILE.to_owned()),
            sandbox: false,
            granted: Vec::new(),
            expired: None,
            operational: true,
            // Notices are of no type that an organisation describes.
            has_event_type_settings: false,
            spread: Spread::default(),
            integration_key: Keyring::new(&secret, &id.to_string(), &self.admin.sealer, ambient),
            created_at: now,
            updated_at: now,
        };
        // Lost to another one that does the same: then it is there.
        self.admin.editor.create_application(&application).await?;
        Ok(())
    }

    /// What has to be written with this change of an endpoint.
    pub(crate) async fn outbox_of(
        &self,
        tenant: &Tenant,
        kind: &'static str,
        endpoint: &Endpoint,
    ) -> Result<Vec<Write>, ApiError> {
        let notice = Notice::endpoint(kind, &tenant.application, endpoint);
        Ok(self.admin.notices.about(&tenant.application, notice).await?)
    }

    /// Who hears of a change of the organisation, if there is to be something to hear.
    pub(crate) async fn listeners_if(&self, told: bool) -> Result<Listeners, ApiError> {
        match told {
            true => Ok(self.admin.notices.listeners(&self.access.organisation()).await?),
            false => Ok(self.admin.notices.nobody()),
        }
    }
}
