//! An application as callers send it: to create or change one, or along with a request that
//! needs one.

use crate::domain::schema::JsonSchema;
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::patch::Field;
#[cfg(feature = "description")]
use crate::api::rules::MAX_NAME;
use crate::api::rules::Rules;
use crate::domain::application::{Application, Metadata, PROFILE_KEY};
use crate::domain::clock::Ambient;
use crate::domain::id::{ApplicationId, OrganisationId, Uid};
use crate::domain::secret::Sealer;
use crate::store::{Profiles, StoreError};

/// What a caller sends. `rateLimit` is the name of older SDKs; what we show has both, so what
/// comes back may have both.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationIn {
    /// For people.
    #[schemars(length(min = 1, max = MAX_NAME))]
    pub name: String,
    #[schemars(with = "Option<Uid>")]
    uid: Option<String>,
    #[schemars(range(min = 1))]
    throttle_rate: Option<u16>,
    #[schemars(range(min = 1))]
    rate_limit: Option<u16>,
    /// The caller's notes.
    #[serde(default)]
    pub metadata: Metadata,
    // What Svix's API does not have. Its SDKs never send these, so absent leaves them alone.
    /// The profile that its webhooks follow.
    #[serde(default)]
    pub profile: Field<String>,
    /// Whether it is for trying things out.
    pub sandbox: Option<bool>,
}

impl ApplicationIn {
    /// Deliveries per second, under whichever name it was said.
    pub fn rate(&self) -> Option<u16> {
        self.throttle_rate.or(self.rate_limit)
    }

    /// The uid that it asks for, if it keeps the rules that need no store.
    ///
    /// # Errors
    /// 422 with everything that it breaks.
    pub fn check(&self, mut rules: Rules) -> Result<Option<Uid>, ApiError> {
        rules.name(&self.name);
        let uid = rules.uid(self.uid.as_deref(), ApplicationId::PREFIX);
        rules.rate("throttleRate", self.throttle_rate);
        rules.rate("rateLimit", self.rate_limit);
        rules.metadata(&self.metadata);
        rules.check().map(|()| uid)
    }

    /// The uid of one that another request brings along, in its field `application`: it has to say
    /// it, and it is the name in the path of that request (Svix).
    ///
    /// # Errors
    /// 404 when the name in the path cannot be one, 422 with everything that it breaks.
    pub async fn check_brought(
        &self,
        org: &OrganisationId,
        named: &str,
        profiles: &Profiles,
    ) -> Result<Uid, ApiError> {
        let path = Uid::parse(named, ApplicationId::PREFIX).map_err(|_| ApiError::not_found())?;
        let own = self.check(Rules::within(BROUGHT))?;
        let mut rules = Rules::within(BROUGHT);
        if own.is_none_or(|own| own != path) {
            rules.broken("uid", "must be the name in the path");
        }
        check_profiles(profiles, org, &self.profile, Some(&self.metadata), &mut rules).await?;
        rules.check().map(|()| path)
    }

    /// The application that it asks for, with this uid.
    pub fn create(
        self,
        org: OrganisationId,
        uid: Option<Uid>,
        sealer: &Sealer,
        ambient: &Ambient,
    ) -> Application {
        Application {
            throttle_rate: self.rate(),
            metadata: self.metadata,
            profile: self.profile.value().cloned(),
            sandbox: self.sandbox.unwrap_or_default(),
            ..Application::new(org, self.name, uid, sealer, ambient)
        }
    }
}

/// The field in which a request brings one along.
pub const BROUGHT: &str = "application";

/// Whether somebody has the profiles that these name, in the field or in the metadata.
///
/// # Errors
/// When one has to be read and the store fails.
pub async fn check_profiles(
    profiles: &Profiles,
    org: &OrganisationId,
    field: &Field<String>,
    metadata: Option<&Metadata>,
    rules: &mut Rules,
) -> Result<(), StoreError> {
    let noted = metadata.and_then(|metadata| metadata.get(PROFILE_KEY));
    for (place, name) in [("profile", field.value()), ("metadata", noted)] {
        let Some(name) = name else { continue };
        if profiles.named(org, name).await?.is_none() {
            let rule = format!("there is no profile `{name}`: GET /api/v1/profile lists them");
            rules.broken(place, rule);
        }
    }
    Ok(())
}
