//! What descriptions are made of: parameters, and finishing touches to schemas.

use serde_json::{Value, json};
use shared::api::schema::named;
use shared::domain::id::Uid;

/// The document about itself.
pub(super) const ABOUT: &str = "Webhooks from your own AWS account. The operations that Svix's \
    API has as well have its names, paths, fields and statuses, so its SDKs work; those that \
    start with `posthorn.` are Posthorn's own. `x-caller` says who may call an operation, \
    `x-capability` what their token has to be good for, and `x-cost` what one call costs in \
    DynamoDB's units and SQS's requests, measured on a small page. After a 429 or a 503 wait for \
    the seconds of `retry-after`, then repeat the request with the same `idempotency-key`. A 500 \
    is our fault, and its body is `{}`.";

/// A query parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    name: &'static str,
    meaning: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// At most so many characters, and at least one: it has to be there.
    Needed(usize),
    Iterator(&'static str),
    NameIterator,
    /// What it means when it is not there.
    Boolean(bool),
    Moment,
    /// At most so many characters.
    Short(usize),
    /// At least one character, and at most so many.
    Text(usize),
    Name(usize),
    Names,
    Integer(u64, u64),
    Choice(&'static [&'static str]),
    Numbers(&'static [u16]),
}

/// A text of at most `max` characters that has to be there.
pub const fn needed(name: &'static str, max: usize, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Needed(max) }
}

/// `true` or `false`; `false` if it is not there.
pub const fn boolean(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Boolean(false) }
}

/// A moment of RFC 3339.
pub const fn moment(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Moment }
}

/// A text of at most `max` characters.
pub const fn short(name: &'static str, max: usize, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Short(max) }
}

/// A text of one to `max` characters.
pub const fn text(name: &'static str, max: usize, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Text(max) }
}

/// A name of at most `max` characters.
pub const fn name(name: &'static str, max: usize, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Name(max) }
}

/// Several names, with commas between them.
pub const fn names(name: &'static str, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Names }
}

/// A whole number within these bounds.
pub const fn integer(name: &'static str, min: u64, max: u64, meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Integer(min, max) }
}

/// One of these words.
pub const fn choice(
    name: &'static str,
    words: &'static [&'static str],
    meaning: &'static str,
) -> Parameter {
    Parameter { name, meaning, kind: Kind::Choice(words) }
}

const fn numbers(name: &'static str, numbers: &'static [u16], meaning: &'static str) -> Parameter {
    Parameter { name, meaning, kind: Kind::Numbers(numbers) }
}

/// What a list takes whose iterators are names.
pub const PAGE: [Parameter; 3] = [
    integer("limit", 1, 250, "Most items of the page; 50 if it is not said."),
    Parameter {
        name: "iterator",
        meaning: "The `iterator` or `prevIterator` of another page of this list.",
        kind: Kind::NameIterator,
    },
    choice("order", &["ascending", "descending"], "By time of creation."),
];

/// What a list of things takes whose ids start with this.
pub const fn page(prefix: &'static str) -> [Parameter; 3] {
    let [limit, iterator, order] = PAGE;
    [limit, Parameter { kind: Kind::Iterator(prefix), ..iterator }, order]
}

/// What a list of messages or attempts takes as well.
pub const WINDOW: [Parameter; 6] = [
    moment("after", "Nothing from before this moment."),
    moment("before", "Nothing from this moment on."),
    short("tag", 128, "Only what was published with this tag."),
    name("channel", 128, "Only what was published on this channel."),
    names("event_types", "Only these event types, separated by commas."),
    text("subject", 256, "Only what is about this subject."),
];

/// What a list of attempts takes as well.
impl Parameter {
    /// Which attempts, by their status.
    pub const STATUS: Self =
        numbers("status", &[0, 1, 2, 3], "0 success, 1 pending, 2 fail, 3 sending.");
    /// Which attempts, by what the endpoint answered.
    pub const STATUS_CODE_CLASS: Self = numbers(
        "status_code_class",
        &[0, 100, 200, 300, 400, 500],
        "The hundred of the endpoint's HTTP status; 0 when there was none.",
    );
}

/// Whether payloads and answers are shown.
pub const WITH_CONTENT: Parameter = Parameter {
    name: "with_content",
    meaning: "Whether payloads and answers are shown; they are unless it is false.",
    kind: Kind::Boolean(true),
};

impl Parameter {
    pub(super) fn in_query(&self) -> Value {
        let schema = match self.kind {
            Kind::Short(max) => json!({"type": "string", "maxLength": max}),
            Kind::Text(max) | Kind::Needed(max) => {
                json!({"type": "string", "minLength": 1, "maxLength": max})
            }
            // Ids of this century start with a digit or a capital; some with a small letter
            // would be too large for what they stand for.
            Kind::Iterator(prefix) => json!({
                "type": "string", "pattern": format!("^-?{prefix}[0-9A-Z][0-9A-Za-z]{{26}}$"),
            }),
            Kind::NameIterator => {
                json!({"type": "string", "pattern": "^[-=]?[a-zA-Z0-9\\-_.]{1,256}$"})
            }
            Kind::Boolean(default) => json!({"type": "boolean", "default": default}),
            Kind::Moment => json!({"type": "string", "format": "date-time"}),
            Kind::Name(max) => named(max),
            Kind::Names => json!({"type": "array", "items": named(Uid::MAX)}),
            Kind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
            Kind::Choice(words) => json!({"type": "string", "enum": words}),
            Kind::Numbers(numbers) => json!({"type": "integer", "enum": numbers}),
        };
        let mut parameter = json!({
            "name": self.name, "in": "query", "description": self.meaning, "schema": schema,
        });
        if matches!(self.kind, Kind::Needed(_)) {
            parameter["required"] = true.into();
        }
        if matches!(self.kind, Kind::Names) {
            parameter["explode"] = false.into();
        }
        parameter
    }
}

/// A parameter of the path.
pub(super) fn in_path(name: &str) -> Value {
    let meaning = match name {
        "app_id" => "The application's id or uid.",
        "endpoint_id" => "The endpoint's id or uid.",
        "msg_id" => "The message's id or event id.",
        "attempt_id" => "The attempt's id.",
        "event_type_name" => "The event type's name.",
        _ => "Its id.",
    };
    json!({
        "name": name, "in": "path", "required": true, "description": meaning,
        "schema": named(Uid::MAX),
    })
}

/// The header that makes a repetition of a request harmless.
pub(super) fn idempotency_key() -> Value {
    json!({
        "name": "idempotency-key", "in": "header",
        "description": "The caller's name for this request. A repetition gets the first answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]([\t -~]*[!-~])?$"},
    })
}

/// Takes out defaults that only say that a field may be left out: `null`, where it is refused.
pub(super) fn no_null_defaults(schema: &mut Value) {
    let takes_null = |field: &Value| {
        let types = &field["type"];
        let any = field["anyOf"].as_array().into_iter().flatten();
        ["type", "anyOf", "$ref"].iter().all(|said| field[said].is_null())
            || types.as_array().is_some_and(|types| types.contains(&json!("null")))
            || any.into_iter().any(|one| one["type"] == "null")
    };
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for field in fields.into_iter().flat_map(serde_json::Map::values_mut) {
        let takes_null = takes_null(field);
        if let Some(field) = field.as_object_mut().filter(|_| !takes_null)
            && field.get("default") == Some(&Value::Null)
        {
            field.remove("default");
        }
    }
}

/// Spells "a text of this format, or null" in two: tools look for the format of a text only where
/// nothing but a text is allowed.
pub(super) fn keep_formats(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let nullable = fields.get("type") == Some(&json!(["string", "null"]));
            if let Some(format) = fields.get("format").cloned().filter(|_| nullable) {
                fields.remove("type");
                fields.remove("format");
                let text = json!({"type": "string", "format": format});
                fields.insert("anyOf".to_owned(), json!([text, {"type": "null"}]));
            }
            fields.values_mut().for_each(keep_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(keep_formats),
        _ => {}
    }
}
