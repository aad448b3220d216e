//! Secrets: an endpoint's signing secret, and an application's integration key.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::{SecretText, SymmetricText};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError};
use shared::api::rules::Rules;
use shared::domain::keyring::{DEFAULT_GRACE_S, Keyring, MAX_GRACE_S, MAX_OLD, TooManyOld};
use shared::domain::secret::{SignatureScheme, SigningSecret};

use crate::{Answer, Call};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndpointSecretOut")]
pub(crate) struct SecretOut {
    key: String,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "EndpointSecretRotateIn")]
pub(crate) struct RotateIn {
    #[schemars(with = "Option<SecretText>")]
    key: Option<String>,
    #[schemars(range(max = MAX_GRACE_S))]
    grace_period_seconds: Option<u64>,
    /// How the new secret signs; as the one before it if neither this nor a key is given.
    signature_scheme: Option<SignatureScheme>,
}

/// Requests are signed with a key that both sides hold.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "IntegrationKeyRotateIn")]
pub(crate) struct KeyRotateIn {
    #[schemars(with = "Option<SymmetricText>")]
    key: Option<String>,
    #[schemars(range(max = MAX_GRACE_S))]
    grace_period_seconds: Option<u64>,
}

/// A checked rotation.
struct Rotation {
    secret: SigningSecret,
    grace_s: u64,
}

impl Call<'_> {
    pub(crate) async fn get_secret(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let own = endpoint.profile.as_ref();
        let profile = self.effective_profile(&tenant.application, own).await?;
        if profile.endpoints.secret_shown_once {
            return Err(ApiError::bad_request(
                "secret_shown_once",
                "The secret was shown when it was made, and is not shown again: rotate it for a \
                 new one.",
            ));
        }
        self.reveal(&endpoint.keyring, &endpoint.id.to_string())
    }

    pub(crate) async fn rotate_secret(&self, app: &str, ep: &str) -> Answer {
        let (_, endpoint) = self.endpoint(app, ep).await?;
        let owner = endpoint.id.to_string();
        let current = endpoint.keyring.current(&owner, &self.admin.sealer);
        let rotation = self.rotation(current.map(|secret| secret.scheme()))?;
        let now = self.admin.ambient.now();
        let edited = self
            .admin
            .editor
            .edit_endpoint(&endpoint.app, &endpoint.id, now, |endpoint| {
                self.rotate(&mut endpoint.keyring, &owner, &rotation)?;
                endpoint.updated_at = now;
                Ok(())
            })
            .await?;
        let (_, rotated) = edited.done().ok_or_else(ApiError::not_found)?;
        rotated.map_err(too_many_old)?;
        // Svix's open-source server answers 204 without a body; SDKs of the line 2.x read the new
        // secret from the answer, those before ignore it.
        let key = rotation.secret.reveal();
        Ok(error::json(StatusCode::OK, &SecretOut { key }))
    }

    pub(crate) async fn integration_key(&self, app: &str) -> Answer {
        let application = &self.tenant(app).await?.application;
        self.reveal(&application.integration_key, &application.id.to_string())
    }

    pub(crate) async fn rotate_integration_key(&self, app: &str) -> Answer {
        let application = &self.tenant(app).await?.application;
        let owner = application.id.to_string();
        let rotation = self.key_rotation()?;
        let now = self.admin.ambient.now();
        let edited = self
            .admin
            .editor
            .edit_application(&application.id, now, |application| {
                let rotated = self.rotate(&mut application.integration_key, &owner, &rotation);
                if rotated.is_ok() {
                    application.updated_at = now;
                }
                rotated
            })
            .await?;
        let (_, rotated) = edited.done().ok_or_else(ApiError::not_found)?;
        rotated.map_err(too_many_old)?;
        Ok(error::empty(StatusCode::NO_CONTENT))
    }

    fn reveal(&self, keyring: &Keyring, owner: &str) -> Answer {
        let secret = keyring.current(owner, &self.admin.sealer).ok_or_else(|| {
            ApiError::Internal(format!("the secret of {owner} does not open: other root secret?"))
        })?;
        Ok(error::json(StatusCode::OK, &SecretOut { key: secret.reveal() }))
    }

    /// What is asked for; a new secret signs as `usual` unless the request says otherwise.
    fn rotation(&self, usual: Option<SignatureScheme>) -> Result<Rotation, ApiError> {
        let input: RotateIn = self.optional_body()?;
        let mut rules = Rules::default();
        let secret = match input.key.as_deref().map(SigningSecret::parse) {
            None => {
                let scheme = input.signature_scheme.or(usual).unwrap_or_default();
                Ok(SigningSecret::generate_for(scheme, &self.admin.ambient))
            }
            Some(Ok(secret)) => {
                rules.scheme("signatureScheme", input.signature_scheme, &secret);
                Ok(secret)
            }
            Some(Err(rule)) => Err(rule),
        };
        checked_rotation(rules, secret, input.grace_period_seconds)
    }

    fn key_rotation(&self) -> Result<Rotation, ApiError> {
        let input: KeyRotateIn = self.optional_body()?;
        let secret = match input.key.as_deref() {
            None => Ok(SigningSecret::generate(&self.admin.ambient)),
            Some(key) => SigningSecret::parse_symmetric(key),
        };
        checked_rotation(Rules::default(), secret, input.grace_period_seconds)
    }

    fn rotate(
        &self,
        keyring: &mut Keyring,
        owner: &str,
        rotation: &Rotation,
    ) -> Result<(), TooManyOld> {
        let (sealer, ambient) = (&self.admin.sealer, &self.admin.ambient);
        keyring.rotate(&rotation.secret, owner, rotation.grace_s, sealer, ambient)
    }
}

fn checked_rotation(
    mut rules: Rules,
    secret: Result<SigningSecret, String>,
    grace_s: Option<u64>,
) -> Result<Rotation, ApiError> {
    let grace_s = grace_s.unwrap_or(DEFAULT_GRACE_S);
    if grace_s > MAX_GRACE_S {
        rules.broken("gracePeriodSeconds", format!("must be 0 to {MAX_GRACE_S}"));
    }
    match secret {
        Ok(secret) => rules.check().map(|()| Rotation { secret, grace_s }),
        Err(rule) => {
            rules.broken("key", rule);
            Err(rules.into_error())
        }
    }
}

fn too_many_old(_: TooManyOld) -> ApiError {
    ApiError::bad_request(
        "limit_reached",
        format!("{MAX_OLD} old secrets are still alive: wait until one of them has run out."),
    )
}
