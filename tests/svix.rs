//! Posthorn's description beside that of Svix's open-source server (API 1.1.1): where both have
//! an operation, what its clients send is taken and what they read is answered.
//!
//! `svix-operations.json` has a line of facts for each of their operations: name, method, path,
//! query parameters, statuses of success, fields of the body that are taken and needed, fields
//! that are answered and those that are answered always. `svix-kinds.json` says of each of those
//! fields what it is: a type of JSON, with `?` where it may be null as well.
//!
//! `svix-elsewhere.json` has what the official libraries have besides and is not here, with the
//! reason: it comes later, or is another product. `.ci/sdk` reads it with the libraries' sources
//! and calls everything else.
//!
//! `svix-limits.json` says what is taken and answered to the letter, and which failures there are:
//! compared with the description, and sent over the wire.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::support::stage::described;

mod limits;
mod wire;

/// What differs on purpose: the operation (`*` for any), and a fact of theirs that is not ours.
/// A `*` in a fact stands for any text.
const DIFFERENT: &[(&str, &str)] = &[
    // Clients of the line 2.x read the new secret from the answer; earlier ones ignore it.
    ("v1.endpoint.rotate-secret", "status 204"),
    // API Gateway says so, before a function is asked.
    ("*", "fails with 429"),
    // Their description has the same failures everywhere. What changes nothing is in nobody's way,
    ("*", "fails with 409 of a reader"),
    // what has no name of its own takes no other's,
    ("v1.endpoint.patch-headers", "fails with 409"),
    ("v1.endpoint.update-headers", "fails with 409"),
    ("v1.event-type.patch", "fails with 409"),
    ("v1.event-type.update", "fails with 409"),
    // and who names or sends nothing names or sends nothing wrong.
    ("*", "fails with 404 without a name in the path"),
    ("*", "fails with 422 without a body or a query"),
    // No token is asked for.
    ("v1.health.get", "fails with 401"),
    ("v1.health.get", "fails with 403"),
    // A page is of 1 to 250 items, so that one is read in a bounded number of steps.
    ("*", "query limit minimum 1 for 0"),
    ("*", "query limit maximum 250 for none"),
    // What is none of a page of this list is refused at once; names may begin with a hyphen.
    ("*", "query iterator pattern *"),
    // A rate of nothing would never deliver; for a new application theirs has the same limit.
    ("*", "takes throttleRate minimum 1 for 0"),
    // People read it; what has no limit does not fit the store in the end.
    ("*", "takes name maxLength 256 for none"),
    ("*", "takes description maxLength 4096 for none"),
    // What proxies and servers commonly take at most.
    ("*", "takes url maxLength 2048 for 65536"),
    // A change may set what a new one may be made with: theirs says so of the latter only.
    ("v1.application.patch", "takes name minLength 1 for none"),
    ("v1.endpoint.patch", "takes url m* for none"),
    ("v1.endpoint.patch", "takes eventTypes minItems 1 for none"),
    ("v1.endpoint.patch", "takes channels m* for none"),
    // Private keys are taken besides, and what is no base64 of 24 to 75 bytes is refused in words.
    ("v1.endpoint.create", "takes secret pattern *"),
    ("v1.endpoint.rotate-secret", "takes key pattern *"),
    // An endpoint may have a key of another scheme, whose public half is shown.
    ("v1.endpoint.get-secret", "answers key pattern none for *"),
    // The stack's parameter says it.
    ("v1.message.create", "takes payloadRetentionPeriod default none for 90"),
    // Null means a day, too.
    ("v1.endpoint.rotate-secret", "takes gracePeriodSeconds default null for 86400"),
    // Beside `deleteHeaders`, of the line 2.x, there may be no others.
    ("v1.endpoint.patch-headers", "takes headers default {} for none"),
    // What was canceled is shown as that.
    ("*", "lists status enum [0,1,2,3,4] for [0,1,2,3]"),
    ("*", "lists statusText enum *\"canceled\"] for *"),
    // One shape for all tasks, and a short one may be over when it is answered.
    ("v1.endpoint.recover", "answers status enum none for [\"running\"]"),
    ("v1.endpoint.recover", "answers task enum none for [\"endpoint.recover\"]"),
];

#[derive(Deserialize)]
struct Elsewhere {
    why: String,
    operations: Vec<String>,
}

#[test]
fn what_is_said_not_to_be_here_is_not_here_and_has_a_reason_once() {
    let groups: Vec<Elsewhere> =
        serde_json::from_str(include_str!("svix-elsewhere.json")).expect("a list");
    let document = described(&BTreeMap::new());
    let mut here = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let methods = methods.as_object().into_iter().flatten();
        here.extend(methods.map(|(method, _)| format!("{} {}", method.to_uppercase(), bare(path))));
    }
    let mut said = BTreeSet::new();
    for group in &groups {
        assert!(group.why.ends_with('.'), "{}", group.why);
        for operation in &group.operations {
            assert!(!here.contains(operation), "{operation} is here");
            assert!(said.insert(operation), "{operation} is there twice");
        }
    }
    assert!(said.len() > 50, "{}", said.len());
}

/// A path without the names of its parameters.
fn bare(path: &str) -> String {
    let segments = path.split('/').map(|it| if it.starts_with('{') { "{}" } else { it });
    segments.collect::<Vec<_>>().join("/")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Theirs {
    id: String,
    method: String,
    path: String,
    query: BTreeSet<String>,
    statuses: BTreeSet<String>,
    takes: Option<BTreeSet<String>>,
    #[serde(default)]
    needs: BTreeSet<String>,
    #[serde(default)]
    answers: BTreeSet<String>,
    #[serde(default)]
    always: BTreeSet<String>,
    #[serde(default)]
    items: BTreeSet<String>,
    #[serde(default)]
    items_always: BTreeSet<String>,
}

#[test]
fn what_a_client_of_svix_sends_is_taken_and_what_it_reads_is_answered() {
    let theirs: Vec<Theirs> =
        serde_json::from_str(include_str!("svix-operations.json")).expect("facts");
    let document = described(&BTreeMap::new());
    let mut problems = Vec::new();
    for theirs in &theirs {
        let ours = &document["paths"][&theirs.path][theirs.method.to_lowercase()];
        if ours.is_null() {
            problems.push(format!("{}: not there", theirs.id));
            continue;
        }
        for difference in differences(&document, theirs, ours) {
            if !is_on_purpose(&theirs.id, &difference) {
                problems.push(format!("{}: {difference}", theirs.id));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

fn is_on_purpose(operation: &str, difference: &str) -> bool {
    DIFFERENT.iter().any(|(id, known)| [operation, "*"].contains(id) && is_like(difference, known))
}

/// Whether a text is as another one says, in which `*` stands for any text.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| is_like(rest, after)))
        }),
    }
}

#[test]
fn no_difference_is_on_purpose_that_there_is_not() {
    let found = limits::compared();
    for (id, known) in DIFFERENT.iter().filter(|(_, known)| !known.starts_with("status ")) {
        let is_it = |(operation, difference): &(String, String)| {
            [operation.as_str(), "*"].contains(id) && is_like(difference, known)
        };
        assert!(found.iter().any(is_it), "{id}: {known}");
    }
}

#[derive(Deserialize)]
struct Kinds {
    method: String,
    path: String,
    #[serde(default)]
    takes: BTreeMap<String, String>,
    #[serde(default)]
    answers: BTreeMap<String, String>,
    #[serde(default)]
    items: BTreeMap<String, String>,
}

#[test]
fn each_field_is_of_their_kind_and_null_where_theirs_may_be_null() {
    let theirs: Vec<Kinds> = serde_json::from_str(include_str!("svix-kinds.json")).expect("kinds");
    let document = described(&BTreeMap::new());
    let mut problems = Vec::new();
    for theirs in &theirs {
        let ours = &document["paths"][&theirs.path][theirs.method.to_lowercase()];
        let operation = word(&ours["operationId"]);
        let mut differences = Vec::new();
        let mut is_answered = theirs.answers.is_empty();
        let body = json_schema(&document, &ours["requestBody"]);
        kinds("takes", &document, body, &theirs.takes, &mut differences);
        for (status, answer) in ours["responses"].as_object().into_iter().flatten() {
            let answer = json_schema(&document, answer);
            if !status.starts_with('2') || answer.is_null() {
                continue;
            }
            is_answered = true;
            kinds("answers", &document, answer, &theirs.answers, &mut differences);
            let item = &resolve(&document, answer)["properties"]["data"]["items"];
            kinds("lists", &document, item, &theirs.items, &mut differences);
        }
        if !is_answered {
            differences.push("answers nothing".to_owned());
        }
        differences.retain(|difference| !is_on_purpose(&operation, difference));
        problems.extend(differences.into_iter().map(|it| format!("{operation}: {it}")));
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Compares kinds. What is taken may be null where theirs may; what is answered may be null only
/// where theirs may, and is there then.
fn kinds(
    what: &str,
    document: &Value,
    schema: &Value,
    theirs: &BTreeMap<String, String>,
    differences: &mut Vec<String>,
) {
    let schema = resolve(document, schema);
    let required = required(schema);
    for (name, theirs) in theirs {
        let ours = kind_of(document, &schema["properties"][name]);
        let (kind, is_null) = match theirs.strip_suffix('?') {
            Some(kind) => (kind, true),
            None => (theirs.as_str(), false),
        };
        let fits = ours.contains(kind)
            && match what {
                "takes" => !is_null || ours.contains("null"),
                _ => is_null == ours.contains("null") && (!is_null || required.contains(name)),
            };
        if !fits {
            differences.push(format!("{what} {name} as {theirs}"));
        }
    }
}

/// The types of JSON that a field may have.
fn kind_of(document: &Value, field: &Value) -> BTreeSet<String> {
    let field = resolve(document, field);
    let mut kinds: BTreeSet<String> = match &field["type"] {
        Value::Array(types) => types.iter().map(word).collect(),
        one => one.as_str().map(str::to_owned).into_iter().collect(),
    };
    for choice in ["anyOf", "oneOf", "allOf"] {
        for one in field[choice].as_array().into_iter().flatten() {
            kinds.extend(kind_of(document, one));
        }
    }
    kinds
}

fn differences(document: &Value, theirs: &Theirs, ours: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    if ours["operationId"] != theirs.id.as_str() {
        differences.push(format!("is called {}", ours["operationId"]));
    }
    let query = ours["parameters"].as_array().into_iter().flatten();
    let query = query.filter(|parameter| parameter["in"] == "query");
    let query: BTreeSet<String> = query.map(|parameter| word(&parameter["name"])).collect();
    missing("query", &theirs.query, &query, &mut differences);

    let statuses = ours["responses"].as_object().into_iter().flatten().map(|(status, _)| status);
    missing("status", &theirs.statuses, &statuses.cloned().collect(), &mut differences);

    let body = &ours["requestBody"];
    match &theirs.takes {
        None if body["required"] == true => differences.push("needs a body".to_owned()),
        None => {}
        Some(takes) => {
            let schema = json_schema(document, body);
            missing("takes", takes, &properties(document, schema), &mut differences);
            missing("does not need", &required(schema), &theirs.needs, &mut differences);
        }
    }
    for status in &theirs.statuses {
        let schema = json_schema(document, &ours["responses"][status]);
        missing("answers", &theirs.answers, &properties(document, schema), &mut differences);
        missing("always answers", &theirs.always, &required(schema), &mut differences);
        let item = resolve(document, &resolve(document, schema)["properties"]["data"]["items"]);
        missing("lists", &theirs.items, &properties(document, item), &mut differences);
        missing("always lists", &theirs.items_always, &required(item), &mut differences);
    }
    differences
}

fn missing(
    what: &str,
    theirs: &BTreeSet<String>,
    ours: &BTreeSet<String>,
    differences: &mut Vec<String>,
) {
    differences.extend(theirs.difference(ours).map(|name| format!("{what} {name}")));
}

fn json_schema<'a>(document: &'a Value, holder: &'a Value) -> &'a Value {
    resolve(document, &holder["content"]["application/json"]["schema"])
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|link| link.rsplit('/').next()) {
        Some(name) => &document["components"]["schemas"][name],
        None => schema,
    }
}

fn properties(document: &Value, schema: &Value) -> BTreeSet<String> {
    resolve(document, schema)["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

fn required(schema: &Value) -> BTreeSet<String> {
    schema["required"].as_array().into_iter().flatten().map(word).collect()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
