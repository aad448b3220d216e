//! Event types from an OpenAPI description, and back.
//!
//! A description names them under `webhooks` (OpenAPI 3.1) or `x-webhooks`; each has the body of
//! its request as its schema. What is in the way of understanding all of it is refused.

use std::collections::BTreeMap;

use crate::JsonSchema;
use bytes::Bytes;
#[cfg(feature = "description")]
use description::JsonObject;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use shared::api::error::{self, ApiError, Violation};
use shared::api::request;
use shared::domain::event_type::{EventType, Schemas};
use shared::domain::json::Verbatim;
use shared::domain::task::Work;

use crate::event_type::or_same;
use crate::json::Json;
use crate::page::{MAX_QUOTED_BYTES, quoted_len};
use crate::webhooks::{Found, Webhook, read};
use crate::yaml::{self, MAX_DEPTH};
use crate::{Answer, Call};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ImportIn {
    /// Only tell what would be done.
    dry_run: bool,
    /// Archive every event type that the description does not have.
    replace_all: bool,
    /// The description.
    #[schemars(with = "Option<JsonObject>")]
    spec: Option<Box<RawValue>>,
    /// The description as text, YAML or JSON.
    spec_raw: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ImportOut {
    data: Imported,
}

#[derive(Serialize, JsonSchema)]
struct Imported {
    /// What was created, changed or archived.
    modified: Vec<String>,
    /// What would be, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_modify: Option<Vec<FromOpenApi>>,
    /// Event types that would be archived, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_archive: Option<Vec<String>>,
}

/// An event type as the description has it.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FromOpenApi {
    name: String,
    description: String,
    #[schemars(with = "Option<JsonObject>")]
    schemas: Option<Schemas>,
    deprecated: bool,
}

impl From<Webhook> for FromOpenApi {
    fn from(one: Webhook) -> Self {
        let Webhook { name, description, schemas, deprecated } = one;
        Self { name, description, schemas, deprecated }
    }
}

impl Call<'_> {
    /// Creates and changes event types by a description.
    pub(crate) async fn import_event_types(&self) -> Answer {
        let input: ImportIn = request::body(self.request)?;
        let text = description(&input)?;
        let (tree, repeated) = Json::parse_and_compare(&text, MAX_DEPTH);
        let tree = tree.filter(|tree| tree.fields().is_some());
        let field = if input.spec.is_some() { "spec" } else { "specRaw" };
        if let Some(name) = repeated {
            // Of two the first would be dropped, and what it describes be archived.
            let rule = format!("must not have the name \"{name}\" twice in one place");
            return Err(Violation::body(field, rule).into());
        }
        let rule = format!("must be an object of at most {MAX_DEPTH} levels");
        let tree = tree.ok_or_else(|| Violation::body(field, rule))?;
        let Found { event_types: found, named } = read(&tree, field)?;
        let org = self.access.organisation();
        let known = self.admin.catalogue.all(&org).await?;
        let gone = known
            .iter()
            .filter(|old| input.replace_all && !old.archived && !named.contains(&old.name));
        let gone: Vec<String> = gone.map(|old| old.name.clone()).collect();
        if input.dry_run {
            let to_modify = found.into_iter().map(FromOpenApi::from).collect();
            let (modified, to_archive) = (Vec::new(), Some(gone));
            let data = Imported { modified, to_modify: Some(to_modify), to_archive };
            return Ok(error::json(StatusCode::OK, &ImportOut { data }));
        }
        let now = self.admin.ambient.now();
        // As by hand: whoever wants to know that a type is deprecated is told.
        let listeners = self.listeners_if(found.iter().any(|one| one.deprecated)).await?;
        for one in &found {
            let change = |old: Option<EventType>| -> Result<_, ApiError> {
                let mut new = self.event_type(&one.name, old.as_ref());
                if let Some(old) = &old {
                    new.feature_flags.clone_from(&old.feature_flags);
                    new.group_name.clone_from(&old.group_name);
                }
                new.description.clone_from(&one.description);
                new.deprecated = one.deprecated;
                new.schemas.clone_from(&one.schemas);
                Ok(or_same(Some(new), old))
            };
            self.admin.catalogue.edit(&org, &one.name, now, &listeners, change).await??;
        }
        for name in &gone {
            let archive = |old: Option<EventType>| -> Result<_, ApiError> {
                let archived = |old| EventType { archived: true, updated_at: now, ..old };
                Ok(or_same(old.clone().map(archived), old))
            };
            self.admin.catalogue.edit(&org, name, now, &listeners, archive).await??;
        }
        let modified = found.into_iter().map(|one| one.name).chain(gone).collect();
        let data = Imported { modified, to_modify: None, to_archive: None };
        Ok(error::json(StatusCode::OK, &ImportOut { data }))
    }

    /// All event types that are not archived, as an OpenAPI description.
    pub(crate) async fn export_event_types(&self) -> Answer {
        check_answer(error::json(StatusCode::OK, &self.described().await?))
    }

    /// The same as a task, whose data it is.
    pub(crate) async fn begin_export(&self) -> Answer {
        self.begin(Work::Describe {}).await
    }

    /// The text of that description: schemas keep every digit.
    pub(crate) async fn described(&self) -> Result<Box<RawValue>, ApiError> {
        let known = self.admin.catalogue.all(&self.access.organisation()).await?;
        let webhooks: BTreeMap<&str, Exported<'_>> = known
            .iter()
            .filter(|event_type| !event_type.archived)
            .map(|event_type| (event_type.name.as_str(), Exported::of(event_type)))
            .collect();
        let info = Info { title: "Event types", version: "1" };
        let document = Document { openapi: "3.1.0", info, webhooks };
        to_raw_value(&document).map_err(|error| ApiError::Internal(error.to_string()))
    }
}

/// Refuses to answer with more than Lambda passes on.
pub(crate) fn check_answer(answer: Response<Bytes>) -> Answer {
    let text = std::str::from_utf8(answer.body()).unwrap_or_default();
    if quoted_len(text) > MAX_QUOTED_BYTES {
        return Err(ApiError::too_large(
            "The event types and their schemas are too large for one answer: read them page by \
             page from /api/v1/event-type?with_content=true.",
        ));
    }
    Ok(answer)
}

/// A description of event types.
#[derive(Serialize)]
struct Document<'a> {
    openapi: &'static str,
    info: Info,
    webhooks: BTreeMap<&'a str, Exported<'a>>,
}

#[derive(Serialize)]
struct Info {
    title: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Exported<'a> {
    post: Operation<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation<'a> {
    operation_id: &'a str,
    description: &'a str,
    deprecated: bool,
    responses: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<Body<'a>>,
}

#[derive(Serialize)]
struct Body<'a> {
    content: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(rename = "application/json")]
    json: Media<'a>,
}

#[derive(Serialize)]
struct Media<'a> {
    schema: &'a Verbatim,
}

impl<'a> Exported<'a> {
    fn of(event_type: &'a EventType) -> Self {
        let body = |schema| Body { content: Content { json: Media { schema } } };
        let post = Operation {
            operation_id: &event_type.name,
            description: &event_type.description,
            deprecated: event_type.deprecated,
            responses: json!({"2XX": {"description": "It was taken"}}),
            request_body: event_type.latest_schema().map(body),
        };
        Self { post }
    }
}

/// The description as JSON.
fn description(input: &ImportIn) -> Result<String, ApiError> {
    match (&input.spec, &input.spec_raw) {
        (Some(spec), None) => Ok(spec.get().to_owned()),
        (None, Some(text)) => match serde_json::from_str::<&RawValue>(text) {
            Ok(json) => Ok(json.get().to_owned()),
            Err(_) => yaml::to_json(text).map_err(|rule| Violation::body("specRaw", rule).into()),
        },
        _ => Err(Violation::body("spec", "must be there, or `specRaw`, and not both").into()),
    }
}
