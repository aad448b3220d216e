//! Applications: create, read, change, delete.

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::Moment;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use shared::api::application::ApplicationIn;
use shared::api::error::{self, ApiError};
use shared::api::patch::{Field, not_null};
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::application::{Application, Metadata};
use shared::domain::id::{ApplicationId, Uid};
use shared::domain::profile::Deprecation;
use shared::domain::rate::is_raised;
use shared::store::{Edited, Need};

use crate::{Answer, Call, page};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ApplicationPatch {
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "description::Name")]
    name: Option<String>,
    #[schemars(with = "Option<Uid>")]
    uid: Field<String>,
    #[schemars(range(min = 1))]
    throttle_rate: Field<u16>,
    #[schemars(range(min = 1))]
    rate_limit: Field<u16>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "Metadata")]
    metadata: Option<Metadata>,
    profile: Field<String>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "bool")]
    sandbox: Option<bool>,
}

/// What a caller gets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationOut {
    uid: Option<Uid>,
    name: String,
    rate_limit: Option<u16>,
    throttle_rate: Option<u16>,
    id: ApplicationId,
    #[schemars(with = "Moment")]
    created_at: String,
    #[schemars(with = "Moment")]
    updated_at: String,
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sandbox: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    granted_event_types: Vec<String>,
    /// Set when the format of its profile is on the way out: to be shown to the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecation: Option<Deprecation>,
}

impl From<Application> for ApplicationOut {
    fn from(application: Application) -> Self {
        Self {
            uid: application.uid,
            name: application.name,
            rate_limit: application.throttle_rate,
            throttle_rate: application.throttle_rate,
            id: application.id,
            created_at: application.created_at.to_rfc3339(),
            updated_at: application.updated_at.to_rfc3339(),
            metadata: application.metadata,
            profile: application.profile,
            sandbox: application.sandbox,
            granted_event_types: application.granted,
            deprecation: None,
        }
    }
}

const UID_TAKEN: &str =
    "An application with this uid already exists, or had it until a moment ago.";
/// What Svix's hosted service leaves out of the list of applications on request. Every endpoint of
/// every application would have to be read for it.
const BY_ENDPOINTS: [&str; 3] = [
    "exclude_apps_with_disabled_endpoints",
    "exclude_apps_with_no_endpoints",
    "exclude_apps_with_svix_play_endpoints",
];

impl Call<'_> {
    pub(crate) async fn list_applications(&self) -> Answer {
        for filter in BY_ENDPOINTS {
            if request::query_flag(self.request, filter, false)? {
                let rule = "cannot be asked for: ask for the endpoint-count of each application";
                return Err(ApiError::bad_query(filter, rule));
            }
        }
        let walk = page::walk::<ApplicationId>(self.request, false)?;
        let org = self.access.organisation();
        let listed = self.admin.history.applications(&org, &walk).await?;
        let id = |application: &Application| application.id.to_string();
        page::respond_within(&walk, listed, id, ApplicationOut::from)
    }

    pub(crate) async fn create_application(&self) -> Answer {
        let input: ApplicationIn = request::body(self.request)?;
        let uid = input.check(Rules::default())?;
        self.check_profile(&input.profile, Some(&input.metadata)).await?;
        let if_exists = request::query_flag(self.request, "get_if_exists", false)?;
        let Some(wanted) = uid.clone().filter(|_| if_exists) else {
            return self.create(input, uid).await;
        };
        if let Some(there) = self.existing(&wanted).await? {
            return Ok(there);
        }
        match self.create(input, uid).await {
            // Somebody else was faster.
            Err(taken @ ApiError::Http { status: StatusCode::CONFLICT, .. }) => {
                self.existing(&wanted).await?.ok_or(taken)
            }
            other => other,
        }
    }

    async fn existing(&self, uid: &Uid) -> Result<Option<Response<Bytes>>, ApiError> {
        let org = self.access.organisation();
        let tenant =
            self.admin.directory.application(&org, uid.as_str(), Need::Application).await?;
        Ok(tenant.map(|tenant| show(StatusCode::OK, tenant.application.clone())))
    }

    pub(crate) async fn get_application(&self, app: &str) -> Answer {
        let application = self.tenant(app).await?.application.clone();
        let deprecation = self.admin.profiles.of(&application).await?.deprecated.clone();
        let out = ApplicationOut { deprecation, ..ApplicationOut::from(application) };
        Ok(error::json(StatusCode::OK, &out))
    }

    /// Changes an application, or creates one whose uid is the name in the path. Not for an
    /// application's own token: with another's uid it would get what is published to that one.
    pub(crate) async fn update_application(&self, app: &str) -> Answer {
        create_or_change(|| self.put_application(app)).await
    }

    async fn put_application(&self, app: &str) -> Answer {
        let input: ApplicationIn = request::body(self.request)?;
        let uid = input.check(Rules::default())?;
        self.check_profile(&input.profile, Some(&input.metadata)).await?;
        let tenant = match self.tenant(app).await {
            Err(ApiError::Http { status: StatusCode::NOT_FOUND, .. }) => {
                let mut rules = Rules::default();
                let named = rules.uid(Some(app), ApplicationId::PREFIX);
                rules.check().map_err(|_| ApiError::not_found())?;
                return self.create(input, uid.or(named)).await;
            }
            other => other?,
        };
        let uid = uid_of_upsert(uid, tenant.application.uid.as_ref(), app);
        self.edit(&tenant.application.id, |application| {
            application.name.clone_from(&input.name);
            application.uid.clone_from(&uid);
            application.throttle_rate = input.rate();
            application.metadata.clone_from(&input.metadata);
            input.profile.apply(&mut application.profile);
            application.sandbox = input.sandbox.unwrap_or(application.sandbox);
        })
        .await
    }

    pub(crate) async fn patch_application(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let mut patch: ApplicationPatch = request::body(self.request)?;
        let mut rules = Rules::default();
        rules.rate("rateLimit", patch.rate_limit.value().copied());
        if patch.throttle_rate == Field::Absent {
            patch.throttle_rate = std::mem::take(&mut patch.rate_limit);
        } else {
            rules.rate("throttleRate", patch.throttle_rate.value().copied());
        }
        if let Some(name) = &patch.name {
            rules.name(name);
        }
        let uid = rules.uid(patch.uid.value().map(String::as_str), ApplicationId::PREFIX);
        patch.metadata.iter().for_each(|metadata| rules.metadata(metadata));
        rules.check()?;
        self.check_profile(&patch.profile, patch.metadata.as_ref()).await?;
        let uid = match patch.uid {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Value(_) => uid.map_or(Field::Absent, Field::Value),
        };
        self.edit(&tenant.application.id, |application| {
            if let Some(name) = &patch.name {
                application.name.clone_from(name);
            }
            uid.apply(&mut application.uid);
            patch.throttle_rate.apply(&mut application.throttle_rate);
            if let Some(metadata) = &patch.metadata {
                application.metadata.clone_from(metadata);
            }
            patch.profile.apply(&mut application.profile);
            application.sandbox = patch.sandbox.unwrap_or(application.sandbox);
        })
        .await
    }

    pub(crate) async fn delete_application(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        // First what nobody would find any more.
        self.admin.revocations.integrations().delete_all(&tenant.application.id).await?;
        let now = self.admin.ambient.now();
        let deleted = self.admin.editor.delete_application(&tenant.application.id, now).await?;
        // Those that were created meanwhile.
        self.admin.revocations.integrations().delete_all(&tenant.application.id).await?;
        match deleted {
            Edited::Gone => Err(ApiError::not_found()),
            Edited::Done(()) | Edited::UidTaken => Ok(error::empty(StatusCode::NO_CONTENT)),
        }
    }

    /// Creates an application that some other request brings along, under the name in its path.
    pub(crate) async fn create_named(
        &self,
        input: ApplicationIn,
        named: &str,
    ) -> Result<(), ApiError> {
        let org = self.access.organisation();
        let uid = input.check_brought(&org, named, &self.admin.profiles).await?;
        match self.create(input, Some(uid)).await {
            // Somebody else was faster, or has just given the name up.
            Err(taken @ ApiError::Http { status: StatusCode::CONFLICT, .. }) => {
                match self.tenant(named).await {
                    Err(ApiError::Http { status: StatusCode::NOT_FOUND, .. }) => Err(taken),
                    found => found.map(drop),
                }
            }
            created => created.map(drop),
        }
    }

    async fn create(&self, input: ApplicationIn, uid: Option<Uid>) -> Answer {
        let org = self.access.organisation();
        let application = input.create(org, uid, &self.admin.sealer, &self.admin.ambient);
        stored(self.admin.editor.create_application(&application).await?, UID_TAKEN)?;
        Ok(show(StatusCode::CREATED, application))
    }

    async fn edit(&self, app: &ApplicationId, change: impl Fn(&mut Application)) -> Answer {
        let now = self.admin.ambient.now();
        let edit = |application: &mut Application| {
            let before = application.clone();
            change(application);
            if *application != before {
                application.updated_at = now;
            }
            is_raised(before.throttle_rate, application.throttle_rate)
        };
        let edited = self.admin.editor.edit_application(app, now, edit).await?;
        let (application, raised) = stored(edited, UID_TAKEN)?;
        if raised {
            self.release_by_rate(application.id, None).await;
        }
        Ok(show(StatusCode::OK, application))
    }
}

/// Asks once more where somebody else created what was about to be created, or removed what was
/// about to be changed.
pub(crate) async fn create_or_change<F: Future<Output = Answer>>(put: impl Fn() -> F) -> Answer {
    match put().await {
        Err(ApiError::Http { status: StatusCode::CONFLICT | StatusCode::NOT_FOUND, .. }) => {
            put().await
        }
        other => other,
    }
}

/// The uid of what PUT changes: as the body says, or the one that the path has, by which it has to be
/// found again.
pub(crate) fn uid_of_upsert(said: Option<Uid>, there: Option<&Uid>, path: &str) -> Option<Uid> {
    said.or_else(|| there.filter(|there| there.as_str() == path).cloned())
}

fn show(status: StatusCode, application: Application) -> Response<Bytes> {
    error::json(status, &ApplicationOut::from(application))
}

/// What is stored now; `uid_taken` is said if the uid belongs to another.
///
/// # Errors
/// 409 then, and 404 if there was nothing to change.
pub(crate) fn stored<T>(edited: Edited<T>, uid_taken: &str) -> Result<T, ApiError> {
    match edited {
        Edited::Done(stored) => Ok(stored),
        Edited::UidTaken => Err(ApiError::conflict(uid_taken)),
        Edited::Gone => Err(ApiError::not_found()),
    }
}
