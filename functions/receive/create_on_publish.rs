//! An application that comes with its first message: created on the way, if the path names none.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use shared::api::application::ApplicationIn;
use shared::api::error::ApiError;
use shared::api::request;
use shared::domain::id::OrganisationId;
use shared::store::{Edited, Need, Tenant};

use crate::Receiver;

/// All that matters of a body when there is no application yet.
#[derive(Deserialize)]
struct Body {
    application: Option<ApplicationIn>,
}

impl Receiver {
    /// The application that this body brings along, under the name in the path.
    pub(crate) async fn create_on_publish(
        &self,
        org: &OrganisationId,
        named: &str,
        body: &Bytes,
    ) -> Result<Arc<Tenant>, ApiError> {
        // Whatever else is wrong with the body is said when there is an application.
        let brought = match serde_json::from_slice::<Body>(body) {
            Ok(read) => read.application,
            Err(error) if error.is_data() && request::is_object(body) => {
                return Err(request::explain::<Body>(body));
            }
            Err(_) => None,
        };
        let Some(brought) = brought else { return Err(ApiError::not_found()) };
        let uid = brought.check_brought(org, named, &self.profiles).await?;
        let application = brought.create(*org, Some(uid), &self.sealer, &self.ambient);
        match self.editor.create_application(&application).await? {
            // Somebody else was faster, or not: it is there now.
            Edited::Done(()) | Edited::UidTaken => {}
            Edited::Gone => return Err(ApiError::not_found()),
        }
        let found = self.directory.application(org, named, Need::Application).await?;
        found.ok_or_else(ApiError::not_found)
    }
}
