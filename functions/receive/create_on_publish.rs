//! An application that comes with its first message: created on the way, if the path names none.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use shared::api::application::ApplicationIn;
use shared::api::error::{ApiError, Later};
use shared::api::request;
use shared::domain::right::Right;
use shared::domain::token::Bearer;
use shared::store::{Need, Tenant};

use crate::Receiver;

/// All that matters of a body when there is no application yet.
#[derive(Deserialize)]
struct Body {
    #[serde(default, deserialize_with = "request::inner_or_null")]
    application: Option<ApplicationIn>,
}

impl Receiver {
    /// The application that a request brings along, under the name in the path. Nothing is created
    /// by a request that is refused.
    pub(crate) async fn create_on_publish(
        &self,
        bearer: &Bearer,
        named: &str,
        request: &Request<Bytes>,
    ) -> Result<Arc<Tenant>, ApiError> {
        let (org, body) = (&bearer.access.organisation(), request.body());
        // What is wrong with the rest is said once there may be an application.
        let brought = match serde_json::from_slice::<Body>(body) {
            Ok(read) => read.application,
            Err(error) if error.is_data() && request::is_object(body) => {
                return Err(request::explain::<Body>(body));
            }
            Err(_) => None,
        };
        let Some(brought) = brought else { return Err(ApiError::not_found()) };
        if !bearer.may(Right::Manage) {
            return Err(ApiError::forbidden());
        }
        let uid = brought.check_brought(org, named, &self.profiles).await?;
        let application = brought.create(*org, Some(uid), &self.sealer, &self.ambient);
        self.check_request(request, &application).await?;
        self.editor.create_application(&application).await?;
        // It is there now, or somebody else was faster; or its name has just been given up by another.
        let found = self.directory.application(org, named, Need::Application).await?;
        found.ok_or(ApiError::Later(Later::Contended))
    }
}
