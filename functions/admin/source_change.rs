//! Changes of a source beside those of the whole of it: some of its fields, and its address.

use crate::JsonSchema;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::error::{self, ApiError};
use shared::api::patch::{Field, inner_not_null, not_null};
use shared::api::request;
use shared::domain::application::Metadata;
use shared::domain::source::{Kind, MAX_EARLIER, Rule, Scheme, Source};

use crate::source::{Config, IngestSourceIn};
use crate::{Answer, Call};

/// Random bytes of an address: nobody guesses them.
const TOKEN_BYTES: usize = 18;

/// What changes.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngestSourcePatch {
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "description::Name")]
    name: Option<String>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "Metadata")]
    metadata: Option<Metadata>,
    #[serde(deserialize_with = "request::inner")]
    config: Config,
    #[serde(rename = "type", deserialize_with = "not_null")]
    #[schemars(with = "Kind")]
    kind: Option<Kind>,
    #[serde(deserialize_with = "not_null")]
    #[schemars(with = "String")]
    app: Option<String>,
    #[serde(deserialize_with = "inner_not_null")]
    #[schemars(with = "Scheme")]
    verification: Option<Scheme>,
    event_type: Field<Rule>,
    event_id: Field<Rule>,
}

/// Where the other system sends its webhooks from now on.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotateTokenOut {
    ingest_url: String,
}

impl IngestSourcePatch {
    /// All that is said of a source that was like this.
    fn on(&self, old: &Source) -> IngestSourceIn {
        let kind = self.kind.unwrap_or(old.kind);
        let is_free = kind.scheme().is_none() && old.kind.scheme().is_none();
        let (mut event_type, mut event_id) = (old.event_type.clone(), old.event_id.clone());
        self.event_type.apply(&mut event_type);
        self.event_id.apply(&mut event_id);
        IngestSourceIn {
            name: self.name.clone().unwrap_or_else(|| old.name.clone()),
            uid: None,
            metadata: Some(self.metadata.clone().unwrap_or_else(|| old.metadata.clone())),
            kind,
            config: self.config.clone(),
            // Its own note in the metadata would say it again.
            app: Some(self.app.clone().unwrap_or_else(|| old.app.to_string())),
            verification: self.verification.clone().or_else(|| is_free.then(|| old.scheme.clone())),
            event_type,
            event_id,
        }
    }
}

impl Call<'_> {
    pub(crate) async fn patch_source(&self, source: &str) -> Answer {
        let patch: IngestSourcePatch = request::body(self.request)?;
        let changed = self.change_source(source, &|old| patch.on(old)).await?;
        changed.ok_or_else(ApiError::not_found)
    }

    /// Gives a source another address. The one before holds for two days.
    pub(crate) async fn rotate_source_token(&self, source: &str) -> Answer {
        let found = self.source_named(source).await?.ok_or_else(ApiError::not_found)?;
        let ambient = &self.admin.ambient;
        let (now, owner) = (ambient.now(), found.id.to_string());
        let random: [u8; TOKEN_BYTES] = ambient.random();
        let token = hex::encode(random);
        let sealed = self.admin.sealer.seal_bytes(token.as_bytes(), &owner, ambient);
        let edited =
            self.admin.sources.edit(&found.id, |source| source.replace_token(sealed.clone(), now));
        let (edited, is_replaced) = edited.await?.ok_or_else(ApiError::not_found)?;
        if !is_replaced {
            return Err(ApiError::bad_request(
                "limit_reached",
                format!("{MAX_EARLIER} earlier addresses of this source still hold: wait."),
            ));
        }
        let ingest_url = self.ingest_url(&edited)?;
        Ok(error::json(StatusCode::OK, &RotateTokenOut { ingest_url }))
    }
}
