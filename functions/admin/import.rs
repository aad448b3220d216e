//! Event types from an OpenAPI description, and back.
//!
//! A description names them under `webhooks` (OpenAPI 3.1) or `x-webhooks`; each has the body of
//! its request as its schema. Schemas that it refers to come along, under `$defs`.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared::api::error::{self, ApiError, Violation};
use shared::api::openapi::JsonObject;
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::endpoint::MAX_EVENT_TYPE;
use shared::domain::event_type::{EventType, MAX_BYTES, Schemas};
use shared::domain::id::is_name;

use crate::event_type::or_same;
use crate::page::{MAX_QUOTED_BYTES, quoted_len};
use crate::{Answer, Call};

/// Most event types of one description.
const MAX_IMPORTED: usize = 500;
/// Where descriptions keep their schemas.
const COMPONENTS: &str = "#/components/schemas/";
/// Levels of nesting that are followed.
const MAX_DEPTH: usize = 64;

#[derive(Deserialize, JsonSchema, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ImportIn {
    /// Only tell what would be done.
    dry_run: bool,
    /// Archive every event type that the description does not have.
    replace_all: bool,
    /// The description.
    #[schemars(with = "Option<JsonObject>")]
    spec: Option<Map<String, Value>>,
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

impl Call<'_> {
    /// Creates and changes event types by a description.
    pub(crate) async fn import_event_types(&self) -> Answer {
        self.require_organisation()?;
        let input: ImportIn = request::body(self.request)?;
        let found = read(&description(&input)?)?;
        let org = self.access.organisation();
        let known = self.admin.catalogue.all(&org).await?;
        let named: BTreeSet<&str> = found.iter().map(|one| one.name.as_str()).collect();
        let gone = known
            .iter()
            .filter(|old| input.replace_all && !old.archived && !named.contains(&*old.name));
        let gone: Vec<String> = gone.map(|old| old.name.clone()).collect();
        if input.dry_run {
            let data = Imported { modified: Vec::new(), to_modify: Some(found) };
            return Ok(error::json(StatusCode::OK, &ImportOut { data }));
        }
        let now = self.admin.ambient.now();
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
            self.admin.catalogue.edit(&org, &one.name, now, change).await??;
        }
        for name in &gone {
            let archive = |old: Option<EventType>| -> Result<_, ApiError> {
                let archived = |old| EventType { archived: true, updated_at: now, ..old };
                Ok(or_same(old.clone().map(archived), old))
            };
            self.admin.catalogue.edit(&org, name, now, archive).await??;
        }
        let modified = found.into_iter().map(|one| one.name).chain(gone).collect();
        let data = Imported { modified, to_modify: None };
        Ok(error::json(StatusCode::OK, &ImportOut { data }))
    }

    /// All event types that are not archived, as an OpenAPI description.
    pub(crate) async fn export_event_types(&self) -> Answer {
        self.require_organisation()?;
        let known = self.admin.catalogue.all(&self.access.organisation()).await?;
        let webhooks: BTreeMap<&str, Value> = known
            .iter()
            .filter(|event_type| !event_type.archived)
            .map(|event_type| (event_type.name.as_str(), webhook(event_type)))
            .collect();
        let document = json!({
            "openapi": "3.1.0",
            "info": {"title": "Event types", "version": "1"},
            "webhooks": webhooks,
        });
        let answer = error::json(StatusCode::OK, &document);
        let text = std::str::from_utf8(answer.body()).unwrap_or_default();
        if quoted_len(text) > MAX_QUOTED_BYTES {
            return Err(ApiError::too_large(
                "The event types and their schemas are too large for one answer: read them page \
                 by page from /api/v1/event-type?with_content=true.",
            ));
        }
        Ok(answer)
    }
}

fn webhook(event_type: &EventType) -> Value {
    let mut operation = json!({
        "operationId": event_type.name,
        "description": event_type.description,
        "deprecated": event_type.deprecated,
        "responses": {"2XX": {"description": "It was taken"}},
    });
    if let Some(schema) = event_type.latest_schema() {
        let content = json!({"application/json": {"schema": schema}});
        operation["requestBody"] = json!({"content": content});
    }
    json!({"post": operation})
}

fn description(input: &ImportIn) -> Result<Value, ApiError> {
    match (&input.spec, &input.spec_raw) {
        (Some(spec), None) => Ok(Value::Object(spec.clone())),
        (None, Some(text)) => {
            let unreadable = || Violation::body("specRaw", "must be YAML or JSON");
            let read = Yaml::load_from_str(text).map_err(|_| unreadable())?;
            let read = read.first().and_then(|yaml| to_json(yaml, 0));
            Ok(read.filter(Value::is_object).ok_or_else(unreadable)?)
        }
        _ => Err(Violation::body("spec", "must be there, or `specRaw`, and not both").into()),
    }
}

/// YAML as JSON; `None` where it says what JSON cannot.
fn to_json(yaml: &Yaml<'_>, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match yaml {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => (*value).into(),
            Scalar::Integer(value) => (*value).into(),
            Scalar::FloatingPoint(value) => value.into_inner().into(),
            Scalar::String(text) => text.as_ref().into(),
        },
        Yaml::Sequence(items) => {
            items.iter().map(|item| to_json(item, depth + 1)).collect::<Option<Vec<_>>>()?.into()
        }
        Yaml::Mapping(fields) => {
            let field = |(name, value): (&Yaml<'_>, &Yaml<'_>)| {
                let name = match to_json(name, depth + 1)? {
                    Value::String(name) => name,
                    other => other.to_string(),
                };
                Some((name, to_json(value, depth + 1)?))
            };
            Value::Object(fields.iter().map(field).collect::<Option<Map<_, _>>>()?)
        }
        _ => return None,
    })
}

/// The event types of a description, by name.
fn read(spec: &Value) -> Result<Vec<FromOpenApi>, ApiError> {
    let mut rules = Rules::default();
    let mut found = BTreeMap::new();
    for section in ["webhooks", "x-webhooks"] {
        let Some(webhooks) = spec.get(section).and_then(Value::as_object) else { continue };
        for (name, item) in webhooks {
            if !is_name(name, MAX_EVENT_TYPE) {
                let rule = format!("`{name}` cannot be the name of an event type");
                rules.broken(&format!("spec.{section}"), rule);
                continue;
            }
            let Some(operation) = ["post", "put"].iter().find_map(|method| item.get(method)) else {
                continue;
            };
            let one = event_type(spec, name, operation);
            if one.schemas.as_ref().map_or(0, |all| Value::from(all.clone()).to_string().len())
                > MAX_BYTES
            {
                rules.broken(&format!("spec.{section}.{name}"), "has too large a schema");
            }
            found.insert(name.clone(), one);
        }
    }
    if found.len() > MAX_IMPORTED {
        rules.broken("spec", format!("must have at most {MAX_IMPORTED} webhooks"));
    }
    rules.check()?;
    Ok(found.into_values().collect())
}

fn event_type(spec: &Value, name: &str, operation: &Value) -> FromOpenApi {
    let text = |field: &str| operation.get(field).and_then(Value::as_str).map(str::to_owned);
    let schema = operation.pointer("/requestBody/content/application~1json/schema");
    FromOpenApi {
        name: name.to_owned(),
        description: text("description").or_else(|| text("summary")).unwrap_or_default(),
        schemas: schema
            .map(|schema| Map::from_iter([("1".to_owned(), with_definitions(spec, schema))])),
        deprecated: operation.get("deprecated").and_then(Value::as_bool).unwrap_or_default(),
    }
}

/// A schema with everything that it refers to in the description.
fn with_definitions(spec: &Value, schema: &Value) -> Value {
    let mut wanted = BTreeSet::new();
    let mut whole = schema.clone();
    relink(&mut whole, &mut wanted, 0);
    // A schema that is nothing but a reference is what it refers to.
    let only = whole.as_object().filter(|fields| fields.len() == 1);
    let target = only.and_then(|fields| fields.get("$ref")?.as_str()?.strip_prefix("#/$defs/"));
    if let Some(named) = target.and_then(|name| spec.pointer(&pointer(name))) {
        whole = named.clone();
        wanted.clear();
        relink(&mut whole, &mut wanted, 0);
    }
    let mut definitions = Map::new();
    while let Some(name) = wanted.pop_first() {
        let Some(mut definition) = spec.pointer(&pointer(&name)).cloned() else { continue };
        let mut more = BTreeSet::new();
        relink(&mut definition, &mut more, 0);
        definitions.insert(name, definition);
        wanted.extend(more.into_iter().filter(|name| !definitions.contains_key(name)));
    }
    if let (Some(fields), false) = (whole.as_object_mut(), definitions.is_empty()) {
        fields.insert("$defs".to_owned(), definitions.into());
    }
    whole
}

fn pointer(name: &str) -> String {
    format!("/components/schemas/{name}")
}

/// Turns references to the description's schemas into references to definitions, and notes
/// them.
fn relink(schema: &mut Value, wanted: &mut BTreeSet<String>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(link)) = fields.get_mut("$ref")
                && let Some(name) = link.strip_prefix(COMPONENTS).map(str::to_owned)
            {
                *link = format!("#/$defs/{name}");
                wanted.insert(name);
            }
            fields.values_mut().for_each(|value| relink(value, wanted, depth + 1));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|value| relink(value, wanted, depth + 1));
        }
        _ => {}
    }
}
