//! The API's description: an OpenAPI 3.1 document made of what the functions say about their
//! operations and of the types that they read and write.
//!
//! The cast: a function [`describe`]s each of its operations; [`document`] joins the
//! descriptions with the routes and the schemas that `schemars` derives. The functions serve
//! the document that `UPDATE_GOLDEN=1 cargo test golden` writes (`functions/admin/openapi.json`);
//! they are built without their feature `description`, and so without anything of this.
//!
//! Not guaranteed: that a schema says every rule. Rules that need the store (a name that is
//! taken) are statuses.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use shared::api::error::{Failure, Invalid};
use shared::domain::right::Right;

mod parts;

pub use parts::{
    PAGE, Parameter, WINDOW, WITH_CONTENT, boolean, choice, integer, moment, name, names, needed,
    page, short, text,
};
pub use shared::api::schema::{
    AttemptStatus, AttemptStatusText, Channels, ContentType, Delays, EmptyObject, EventType,
    EventTypes, JsonObject, MessageChannels, MessageStatus, MessageStatusText, Moment, Name,
    SecretText, SymmetricText, Tags, TargetUrl, TimeoutSeconds, TriggerType, Url, Words,
};

/// Where a document's schemas are.
const SCHEMAS: &str = "/components/schemas";

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Anybody, without a token.
    Anyone,
    /// An organisation's token, or the token of the application that the path names.
    Application,
    /// An organisation's token, or the token of any of its applications.
    Member,
    /// An organisation's token.
    Organisation,
    /// A token of the deployment's own organisation.
    Operator,
}

/// Where an operation is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub id: String,
    /// HTTP method, in capitals.
    pub method: String,
    /// The whole path, parameters in braces.
    pub path: String,
    /// What its caller has to be given; `None` if it needs no token.
    pub right: Option<Right>,
}

/// Where the document keeps the answers that operations share.
const RESPONSES: &str = "#/components/responses/";
/// What every operation with a token may answer: status, name, meaning.
const LATER: [(u16, &str, &str); 2] = [
    (429, "TooManyRequests", "More than can be stored about this at the moment"),
    (503, "Unavailable", "Not at the moment: nothing was done, or it is not known whether it was"),
];

/// What an operation does, takes and answers. Made by [`describe`].
pub struct Description {
    /// The operation's name, as in the table of routes.
    pub id: &'static str,
    /// Who may call it.
    pub caller: Caller,
    summary: &'static str,
    detail: &'static str,
    query: Vec<Parameter>,
    body: Option<(SchemaOf, bool)>,
    answers: Vec<(u16, Option<SchemaOf>, &'static str)>,
    other: Vec<(u16, &'static str, &'static str)>,
}

/// Begins the description of an operation that takes nothing and that either kind of token may
/// call. The summary is a few words in the imperative.
pub fn describe(id: &'static str, summary: &'static str) -> Description {
    Description {
        id,
        caller: Caller::Application,
        summary,
        detail: "",
        query: Vec::new(),
        body: None,
        answers: Vec::new(),
        other: Vec::new(),
    }
}

impl Description {
    /// What a caller has to know beyond the summary.
    pub fn detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }

    /// Who may call it, if not the tokens of organisations and applications alike.
    pub fn caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Its query parameters, besides those that it has already.
    pub fn query(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.query.extend(parameters);
        self
    }

    /// The body that it needs.
    pub fn takes<T: JsonSchema>(mut self) -> Self {
        self.body = Some((schema_of::<T>, true));
        self
    }

    /// The body that it may have.
    pub fn may_take<T: JsonSchema>(mut self) -> Self {
        self.body = Some((schema_of::<T>, false));
        self
    }

    /// A status of success and its JSON body.
    pub fn answers<T: JsonSchema>(mut self, status: u16, meaning: &'static str) -> Self {
        self.answers.push((status, Some(schema_of::<T>), meaning));
        self
    }

    /// A status of success without a body.
    pub fn answers_empty(mut self, status: u16, meaning: &'static str) -> Self {
        self.answers.push((status, None, meaning));
        self
    }

    /// A status of success whose body is not JSON.
    pub fn answers_as(mut self, status: u16, media: &'static str, meaning: &'static str) -> Self {
        self.other.push((status, media, meaning));
        self
    }

    /// A status of failure that is this operation's own. Those that every operation of its kind
    /// has are added by themselves: 400, 401, 403, 429 and 503 with a token, 404 with a name in the
    /// path, 413 and 415 with a body, 422 with a query or a body.
    pub fn fails(mut self, status: u16, meaning: &'static str) -> Self {
        self.answers.push((status, Some(schema_of::<Failure>), meaning));
        self
    }

    /// The statuses of the generic kind that this operation can answer.
    fn common(&self, route: &Route) -> Vec<(u16, Option<SchemaOf>, &'static str)> {
        let mut common: Vec<(u16, Option<SchemaOf>, &'static str)> = Vec::new();
        let failure: Option<SchemaOf> = Some(schema_of::<Failure>);
        if self.caller != Caller::Anyone {
            common.push((401, failure, "No token, or one that does not hold"));
            common.push((400, failure, "A token of nobody"));
            common.push((403, failure, "A token that does not reach this far"));
        }
        if route.path.contains('{') {
            common.push((404, failure, "Nothing there that this token may know of"));
        }
        if self.body.is_some() {
            common.push((413, failure, "More bytes than a body may have"));
            common.push((415, failure, "A body that is compressed"));
        }
        if self.body.is_some() || !self.query.is_empty() {
            let invalid: Option<SchemaOf> = Some(schema_of::<Invalid>);
            common.push((422, invalid, "Rules that the request breaks"));
        }
        if !self.query.is_empty() {
            common.push((400, failure, "A query parameter that does not read"));
        }
        if route.method == "POST" && self.caller != Caller::Anyone {
            common.push((400, failure, "An `idempotency-key` that cannot be one"));
            common.push((409, failure, "The same request is still being answered"));
        }
        common
    }
}

/// The document of these operations. `cost` is what one call costs, by the operation's name.
///
/// # Errors
/// Routes without a description, descriptions without a route, and types that share a name.
pub fn document(
    routes: &[Route],
    descriptions: &[Description],
    cost: impl Fn(&str) -> Option<Value>,
) -> Result<Value, Vec<String>> {
    let mut problems = unmatched(routes, descriptions);
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut read = settings.clone().for_deserialize().into_generator();
    let mut written = settings.for_serialize().into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for description in descriptions {
        for route in routes.iter().filter(|route| route.id == description.id) {
            let mut operation = operation(route, description, &mut read, &mut written);
            if let Some(cost) = cost(description.id) {
                operation["x-cost"] = cost;
            }
            let path = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
            path[route.method.to_lowercase()] = operation;
        }
    }
    let later: Map<String, Value> = LATER
        .into_iter()
        .map(|(_, name, meaning)| (name.to_owned(), later(meaning, &mut written)))
        .collect();
    let mut schemas = read.take_definitions(true);
    for (name, schema) in written.take_definitions(true) {
        match schemas.get(&name) {
            Some(other) if *other != schema => {
                problems.push(format!("{name} reads otherwise than it is written: use two types"));
            }
            _ => drop(schemas.insert(name, schema)),
        }
    }
    schemas.values_mut().for_each(parts::keep_formats);
    schemas.values_mut().for_each(parts::no_null_defaults);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Posthorn",
            "description": parts::ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": later,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of an organisation or of one application.",
                },
            },
        },
    }))
}

/// What one of the two has and the other has not.
fn unmatched(routes: &[Route], descriptions: &[Description]) -> Vec<String> {
    let mut problems = Vec::new();
    for route in routes {
        match descriptions.iter().filter(|description| description.id == route.id).count() {
            1 => {}
            0 => problems.push(format!("{} has a route and no description", route.id)),
            _ => problems.push(format!("{} is described more than once", route.id)),
        }
    }
    for description in descriptions {
        if !routes.iter().any(|route| route.id == description.id) {
            problems.push(format!("{} has a description and no route", description.id));
        }
    }
    problems
}

fn operation(
    route: &Route,
    description: &Description,
    read: &mut SchemaGenerator,
    written: &mut SchemaGenerator,
) -> Value {
    let mut parameters: Vec<Value> = path_parameters(&route.path).map(parts::in_path).collect();
    parameters.extend(description.query.iter().map(Parameter::in_query));
    if route.method == "POST" && description.caller != Caller::Anyone {
        parameters.push(parts::idempotency_key());
    }
    let mut responses = Map::new();
    if description.caller != Caller::Anyone {
        for (status, name, _) in LATER {
            responses.insert(status.to_string(), json!({"$ref": format!("{RESPONSES}{name}")}));
        }
    }
    for (status, schema, meaning) in description.common(route) {
        responses.insert(status.to_string(), response(meaning, schema, written));
    }
    for (status, schema, meaning) in &description.answers {
        responses.insert(status.to_string(), response(meaning, *schema, written));
    }
    for (status, media, meaning) in &description.other {
        let response = json!({"description": meaning, "content": {*media: {}}});
        responses.insert(status.to_string(), response);
    }
    let mut operation = json!({
        "operationId": description.id,
        "summary": description.summary,
        "tags": [tag(&route.id)],
        "x-caller": match description.caller {
            Caller::Anyone => "anyone",
            Caller::Application => "organisation or application",
            Caller::Member => "organisation or any of its applications",
            Caller::Organisation => "organisation",
            Caller::Operator => "operator",
        },
        "responses": responses,
    });
    if let Some(right) = route.right {
        operation["x-capability"] = format!("{right:?}").into();
    }
    if !description.detail.is_empty() {
        operation["description"] = description.detail.into();
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some((schema, required)) = description.body {
        operation["requestBody"] = json!({
            "required": required,
            "content": {"application/json": {"schema": schema(read)}},
        });
    }
    if description.caller != Caller::Anyone {
        operation["security"] = json!([{"token": []}]);
    }
    operation
}

/// An answer that asks for another try.
fn later(meaning: &str, written: &mut SchemaGenerator) -> Value {
    let mut later = response(meaning, Some(schema_of::<Failure>), written);
    later["headers"] = json!({
        "retry-after": {
            "description": "Seconds to wait before the next try.",
            "schema": {"type": "integer", "minimum": 1},
        },
    });
    later
}

fn response(meaning: &str, schema: Option<SchemaOf>, written: &mut SchemaGenerator) -> Value {
    match schema {
        None => json!({"description": meaning}),
        Some(schema) => json!({
            "description": meaning,
            "content": {"application/json": {"schema": schema(written)}},
        }),
    }
}

/// The noun of an operation's name: `v1.message-attempt.get` is one of `message-attempt`.
fn tag(id: &str) -> &str {
    let mut parts = id.split('.');
    let first = parts.next().unwrap_or_default();
    parts.next().unwrap_or(first)
}

/// The names in braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
