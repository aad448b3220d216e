//! Posthorn's description beside that of Svix's open-source server (API 1.1.1): where both have
//! an operation, what its clients send is taken and what they read is answered.
//!
//! `svix-operations.json` has a line of facts for each of their operations: name, method, path,
//! query parameters, statuses of success, fields of the body that are taken and needed, fields
//! that are answered and those that are answered always. `svix-kinds.json` says of each of those
//! fields what it is: a type of JSON, with `?` where it may be null as well.
//!
//! Statuses of errors are not compared: their description has the same six for each operation.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::support::stage::described;

/// What differs on purpose: the operation (`*` for any), and a fact of theirs that is not ours.
const DIFFERENT: &[(&str, &str)] = &[
    // Clients of the line 2.x read the new secret from the answer; earlier ones ignore it.
    ("v1.endpoint.rotate-secret", "status 204"),
];

/// Operations of theirs that are not there yet.
const NOT_YET: &[&str] = &[];

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
            if !NOT_YET.contains(&theirs.id.as_str()) {
                problems.push(format!("{}: not there", theirs.id));
            }
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
    DIFFERENT.iter().any(|(id, known)| [operation, "*"].contains(id) && *known == difference)
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
