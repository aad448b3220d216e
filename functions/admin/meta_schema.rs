//! Whether something is a JSON Schema: each keyword has a value of its kind, at every level.
//!
//! The kinds are those of the drafts 7 and 2020-12 together, with what OpenAPI 3.0 has otherwise
//! (`exclusiveMinimum` may be a truth value). Keywords that neither has are left alone, as the
//! drafts say.
//!
//! Not guaranteed: that a `pattern` is a regular expression or a `$ref` leads anywhere.

use std::collections::BTreeSet;

use crate::json::Json;

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// What a keyword's value has to be.
#[derive(Clone, Copy)]
enum Kind {
    Schema,
    SchemaOrList,
    Schemas,
    Named,
    Dependencies,
    NamesByName,
    Names,
    Type,
    List,
    Text,
    Truth,
    Number,
    NumberOrTruth,
    Positive,
    Count,
}

/// Each keyword's kind; `None` for what is no keyword.
fn kind(keyword: &str) -> Option<Kind> {
    Some(match keyword {
        "additionalItems"
        | "additionalProperties"
        | "contains"
        | "contentSchema"
        | "else"
        | "if"
        | "not"
        | "propertyNames"
        | "then"
        | "unevaluatedItems"
        | "unevaluatedProperties" => Kind::Schema,
        "items" => Kind::SchemaOrList,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Kind::Schemas,
        "$defs" | "definitions" | "dependentSchemas" | "patternProperties" | "properties" => {
            Kind::Named
        }
        "dependencies" => Kind::Dependencies,
        "dependentRequired" => Kind::NamesByName,
        "required" => Kind::Names,
        "type" => Kind::Type,
        "enum" | "examples" => Kind::List,
        "$anchor" | "$comment" | "$dynamicAnchor" | "$dynamicRef" | "$id" | "$ref" | "$schema"
        | "contentEncoding" | "contentMediaType" | "description" | "format" | "pattern"
        | "title" => Kind::Text,
        "deprecated" | "readOnly" | "uniqueItems" | "writeOnly" => Kind::Truth,
        "maximum" | "minimum" => Kind::Number,
        "exclusiveMaximum" | "exclusiveMinimum" => Kind::NumberOrTruth,
        "multipleOf" => Kind::Positive,
        "maxContains" | "maxItems" | "maxLength" | "maxProperties" | "minContains" | "minItems"
        | "minLength" | "minProperties" => Kind::Count,
        _ => return None,
    })
}

/// What is wrong with a schema: where, and what has to be there.
pub(crate) struct Wrong {
    /// The steps to it.
    pub(crate) path: Vec<String>,
    /// The rule.
    pub(crate) rule: &'static str,
}

/// Finds the first thing that makes this no JSON Schema.
///
/// # Errors
/// If there is one.
pub(crate) fn check(schema: &Json<'_>) -> Result<(), Wrong> {
    let Some(keywords) = schema.fields() else {
        return wanted(truth(schema), "must be a JSON Schema: an object, or a truth value");
    };
    keywords.iter().try_for_each(|(keyword, value)| match kind(keyword) {
        Some(kind) => at(keyword, check_kind(kind, value)),
        None => Ok(()),
    })
}

fn check_kind(kind: Kind, value: &Json<'_>) -> Result<(), Wrong> {
    match kind {
        Kind::Schema => check(value),
        Kind::SchemaOrList if matches!(value, Json::List(_)) => each(value, check),
        Kind::SchemaOrList => check(value),
        Kind::Schemas => {
            let is_list = matches!(value, Json::List(items) if !items.is_empty());
            wanted(is_list, "must be a list of at least one schema")?;
            each(value, check)
        }
        Kind::Named => named(value, check),
        Kind::Dependencies => named(value, |value| match value {
            Json::List(_) => check_kind(Kind::Names, value),
            _ => check(value),
        }),
        Kind::NamesByName => named(value, |value| check_kind(Kind::Names, value)),
        Kind::Names => wanted(are_names(value, |_| true), "must be a list of different names"),
        Kind::Type => {
            let is_type = |name: &str| TYPES.contains(&name);
            let is_one = value.text().is_some_and(|name| is_type(&name));
            let rule = "must be array, boolean, integer, null, number, object, string, or a list \
                        of them";
            wanted(is_one || !is_empty(value) && are_names(value, is_type), rule)
        }
        Kind::List => wanted(matches!(value, Json::List(_)), "must be a list"),
        Kind::Text => wanted(value.text().is_some(), "must be a text"),
        Kind::Truth => wanted(truth(value), "must be true or false"),
        Kind::Number => wanted(number(value).is_some(), "must be a number"),
        Kind::NumberOrTruth => wanted(truth(value) || number(value).is_some(), "must be a number"),
        Kind::Positive => {
            wanted(number(value).is_some_and(|it| it > 0.0), "must be a number above 0")
        }
        Kind::Count => {
            let is_count = |it: f64| it >= 0.0 && it.fract() == 0.0;
            wanted(number(value).is_some_and(is_count), "must be a whole number, 0 or more")
        }
    }
}

fn wanted(is_there: bool, rule: &'static str) -> Result<(), Wrong> {
    if is_there { Ok(()) } else { Err(Wrong { path: Vec::new(), rule }) }
}

fn at(step: &str, result: Result<(), Wrong>) -> Result<(), Wrong> {
    result.map_err(|mut wrong| {
        wrong.path.insert(0, step.to_owned());
        wrong
    })
}

fn each(list: &Json<'_>, check: impl Fn(&Json<'_>) -> Result<(), Wrong>) -> Result<(), Wrong> {
    let Json::List(items) = list else { return Ok(()) };
    items.iter().enumerate().try_for_each(|(place, item)| at(&place.to_string(), check(item)))
}

fn named(object: &Json<'_>, check: impl Fn(&Json<'_>) -> Result<(), Wrong>) -> Result<(), Wrong> {
    let Some(fields) = object.fields() else { return wanted(false, "must be an object") };
    fields.iter().try_for_each(|(name, value)| at(name, check(value)))
}

fn are_names(list: &Json<'_>, fits: impl Fn(&str) -> bool) -> bool {
    let Json::List(items) = list else { return false };
    let mut seen = BTreeSet::new();
    items.iter().all(|item| item.text().is_some_and(|name| fits(&name) && seen.insert(name)))
}

fn is_empty(list: &Json<'_>) -> bool {
    matches!(list, Json::List(items) if items.is_empty())
}

fn truth(value: &Json<'_>) -> bool {
    matches!(value, Json::Scalar(raw) if ["true", "false"].contains(&raw.get()))
}

/// Only its size matters, so digits may be lost.
fn number(value: &Json<'_>) -> Option<f64> {
    match value {
        Json::Scalar(raw) if !raw.get().starts_with('"') => raw.get().parse().ok(),
        Json::Scalar(_) | Json::List(_) | Json::Object(_) => None,
    }
}
