//! A source's endpoints, as Svix's ingest API has them: here they are the endpoints of the
//! application that the source publishes to. So they get what others publish to it as well.

use shared::api::error::ApiError;

use crate::{Answer, Call};

impl Call<'_> {
    pub(crate) async fn list_source_endpoints(&self, source: &str) -> Answer {
        self.list_endpoints(&self.app_of(source).await?).await
    }

    pub(crate) async fn create_source_endpoint(&self, source: &str) -> Answer {
        self.create_endpoint(&self.app_of(source).await?).await
    }

    pub(crate) async fn get_source_endpoint(&self, source: &str, ep: &str) -> Answer {
        self.get_endpoint(&self.app_of(source).await?, ep).await
    }

    pub(crate) async fn update_source_endpoint(&self, source: &str, ep: &str) -> Answer {
        self.update_endpoint(&self.app_of(source).await?, ep).await
    }

    pub(crate) async fn delete_source_endpoint(&self, source: &str, ep: &str) -> Answer {
        self.delete_endpoint(&self.app_of(source).await?, ep).await
    }

    pub(crate) async fn source_endpoint_secret(&self, source: &str, ep: &str) -> Answer {
        self.get_secret(&self.app_of(source).await?, ep).await
    }

    pub(crate) async fn rotate_source_endpoint_secret(&self, source: &str, ep: &str) -> Answer {
        self.rotate_secret(&self.app_of(source).await?, ep).await
    }

    pub(crate) async fn source_endpoint_headers(&self, source: &str, ep: &str) -> Answer {
        self.get_headers(&self.app_of(source).await?, ep).await
    }

    pub(crate) async fn set_source_endpoint_headers(&self, source: &str, ep: &str) -> Answer {
        self.set_headers(&self.app_of(source).await?, ep).await
    }

    /// A token for whoever looks after the source's endpoints: a visitor of that application.
    pub(crate) async fn source_portal_access(&self, source: &str) -> Answer {
        self.app_portal_access(&self.app_of(source).await?).await
    }

    /// The application that this source publishes to.
    async fn app_of(&self, source: &str) -> Result<String, ApiError> {
        let found = self.source_named(source).await?.ok_or_else(ApiError::not_found)?;
        Ok(found.app.to_string())
    }
}
