//! The webhooks of an OpenAPI description, as event types.
//!
//! Any reference within the description is followed: of a webhook, of the body of its request,
//! of a schema, from one to the next. What a schema refers to comes along, under `$defs`. A
//! reference that leads nowhere, in a circle or out of the description is refused, so what is
//! imported is whole.
//!
//! Not guaranteed: that a reference is understood which means something else within a schema
//! with an `$id` of its own.

use std::collections::{BTreeMap, BTreeSet};

use shared::api::error::ApiError;
use shared::api::rules::Rules;
use shared::domain::endpoint::MAX_EVENT_TYPE;
use shared::domain::event_type::{MAX_BYTES, Schemas};
use shared::domain::id::is_name;
use shared::domain::json::Verbatim;

use crate::event_type::refusal;
use crate::json::{Json, Spec};
use crate::schemas::{Budget, whole};

/// Most event types of one description.
pub(crate) const MAX_IMPORTED: usize = 500;
/// Most bytes of all schemas of one import together, with what each of them brings along: what a
/// dry run can show in an answer.
const MAX_TOTAL: usize = 5 * 1024 * 1024;

/// Where a description has them.
const SECTIONS: [&str; 2] = ["webhooks", "x-webhooks"];
/// Wrong webhooks that are told of; after these, nothing more is looked at.
const MAX_WRONG: usize = 20;

/// What a description says.
pub(crate) struct Found {
    /// What it describes.
    pub(crate) event_types: Vec<Webhook>,
    /// Every name that it has, also of what is not sent as an event.
    pub(crate) named: BTreeSet<String>,
}

/// An event type as the description has it.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) schemas: Option<Schemas>,
    pub(crate) deprecated: bool,
}

/// Reads a description, which came in this field of the body.
///
/// # Errors
/// 422 for what is not understood.
pub(crate) fn read(root: &Json<'_>, field: &str) -> Result<Found, ApiError> {
    let mut rules = Rules::default();
    let mut found = BTreeMap::new();
    let mut named = BTreeSet::new();
    let mut budget = Budget::new(MAX_TOTAL, MAX_BYTES);
    let mut wrong = 0;
    if SECTIONS.iter().all(|section| root.get(section).is_none()) {
        rules.broken(field, "must be an OpenAPI description with `webhooks` or `x-webhooks`");
    }
    for section in SECTIONS {
        let Some(webhooks) = root.get(section) else { continue };
        let Some(webhooks) = webhooks.fields() else {
            rules.broken_at(&[field, section], "must be an object");
            continue;
        };
        named.extend(webhooks.keys().cloned());
        if named.len() > MAX_IMPORTED {
            rules.broken(field, format!("must have at most {MAX_IMPORTED} webhooks"));
            break;
        }
        for (name, item) in webhooks {
            if budget.is_spent || wrong == MAX_WRONG {
                break;
            }
            if !is_name(name, MAX_EVENT_TYPE) {
                let rule = format!("`{name}` cannot be the name of an event type");
                rules.broken_at(&[field, section], rule);
                wrong += 1;
                continue;
            }
            match webhook(Spec(root), name, item, &mut budget) {
                Ok(one) => found.extend(one.map(|one| (name.clone(), one))),
                Err(rule) => {
                    rules.broken_at(&[field, section, name], rule);
                    wrong += 1;
                }
            }
        }
    }
    rules.check()?;
    Ok(Found { event_types: found.into_values().collect(), named })
}

fn webhook(
    spec: Spec<'_, '_>,
    name: &str,
    item: &Json<'_>,
    budget: &mut Budget,
) -> Result<Option<Webhook>, String> {
    let target = spec.resolve(item)?;
    if target.fields().is_none() {
        return Err("must be an object".to_owned());
    }
    let places = [(item, "post"), (item, "put"), (target, "post"), (target, "put")];
    let Some(operation) = places.iter().find_map(|(item, method)| item.get(method)) else {
        return Ok(None);
    };
    is_object(operation, "its `post` or `put`")?;
    // What is written wrong is not taken for what is not there: that would clear what is stored.
    let text = |field: &str| match operation.get(field) {
        Some(text) => text.text().map(Some).ok_or_else(|| format!("must have a text as `{field}`")),
        None => Ok(None),
    };
    let (description, summary) = (text("description")?, text("summary")?);
    let description = description.or(summary).unwrap_or_default();
    let schemas = schemas(spec, operation, budget)?;
    if let Some(rule) = refusal(&description, schemas.as_ref()) {
        return Err(rule);
    }
    let deprecated = match operation.get("deprecated") {
        Some(said) => said.truth().ok_or("must have true or false as `deprecated`")?,
        None => false,
    };
    Ok(Some(Webhook { name: name.to_owned(), description, schemas, deprecated }))
}

/// The schema of the body, as the first version.
fn schemas(
    spec: Spec<'_, '_>,
    operation: &Json<'_>,
    budget: &mut Budget,
) -> Result<Option<Schemas>, String> {
    let Some(body) = operation.get("requestBody") else { return Ok(None) };
    let body = spec.resolve(body)?;
    is_object(body, "its `requestBody`")?;
    let Some(content) = body.get("content") else { return Ok(None) };
    let content = is_object(content, "its `requestBody.content`")?;
    let best = content.iter().filter_map(|(name, media)| Some((closeness(name)?, media)));
    let Some((_, media)) = best.min_by_key(|(closeness, _)| *closeness) else {
        if content.is_empty() {
            return Ok(None);
        }
        // Without it the schema that there is would go.
        return Err(
            "must have a body of `application/json` in its `requestBody.content`".to_owned()
        );
    };
    let media = spec.resolve(media)?;
    media.fields().ok_or("must have an object for each media type in `requestBody.content`")?;
    let Some(schema) = media.get("schema") else { return Ok(None) };
    let schema: Verbatim = whole(spec, schema, example(spec, media)?, budget)?;
    Ok(Some(Schemas::from([("1".to_owned(), schema)])))
}

/// The fields of what must have some.
fn is_object<'t, 'a>(
    json: &'t Json<'a>,
    what: &str,
) -> Result<&'t BTreeMap<String, Json<'a>>, String> {
    json.fields().ok_or_else(|| format!("must have an object as {what}"))
}

/// How well a media type or range says JSON, 0 best; none if it does not.
fn closeness(media: &str) -> Option<usize> {
    let essence = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Some(0),
        _ if essence.ends_with("+json") => Some(1),
        "text/json" => Some(2),
        "application/*" => Some(3),
        "*/*" => Some(4),
        _ => None,
    }
}

/// The example of a body, or the first by name of several.
fn example<'t, 'a>(
    spec: Spec<'t, 'a>,
    media: &'t Json<'a>,
) -> Result<Option<&'t Json<'a>>, String> {
    if let Some(example) = media.get("example") {
        return Ok(Some(example));
    }
    let first = media.get("examples").and_then(Json::fields).and_then(|all| all.values().next());
    Ok(first.map(|first| spec.resolve(first)).transpose()?.and_then(|first| first.get("value")))
}
