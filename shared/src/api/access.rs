//! What a token reaches: the one application that some are confined to.

use std::sync::Arc;

use crate::api::error::ApiError;
use crate::domain::application::Application;
use crate::domain::clock::Timestamp;
use crate::domain::token::{Access, Bearer};
use crate::store::{Directory, Need, Tenant};

/// The application that this token is confined to; `None` if it is confined to none.
///
/// # Errors
/// 403 when the application is gone, 401 when its tokens were taken back, and when the store
/// fails.
pub async fn confined(
    directory: &Directory,
    bearer: &Bearer,
    now: Timestamp,
) -> Result<Option<Arc<Tenant>>, ApiError> {
    let Access::Application(org, app) = bearer.access else { return Ok(None) };
    let tenant = directory.application(&org, &app.to_string(), Need::Application).await?;
    let tenant = tenant.ok_or_else(ApiError::forbidden)?;
    match tenant.application.takes_token(bearer.issued_at, now) {
        true => Ok(Some(tenant)),
        false => Err(ApiError::invalid_token()),
    }
}

/// Whether a path means this application by this name: its id or its uid.
pub fn is_named(application: &Application, reference: &str) -> bool {
    let is_uid = application.uid.as_ref().is_some_and(|uid| uid.as_str() == reference);
    is_uid || application.id.to_string() == reference
}
