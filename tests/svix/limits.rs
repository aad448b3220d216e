//! The limits, formats and failures of each operation beside those of Svix's server.
//!
//! `svix-limits.json` has their facts: for each query parameter, field that is taken and field
//! that is answered the limits that their schema names, and the statuses of failure. What they
//! take has to be taken here, so a limit of ours may be wider and never narrower; what is
//! answered here has to be what they might answer, so there it is the other way about.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{is_on_purpose, json_schema, resolve, word};
use crate::support::stage::described;

/// Facts about one field, by JSON Schema's keywords; under `each` those of a list's items.
pub(super) type Facts = Map<String, Value>;

#[derive(Deserialize)]
pub(super) struct Theirs {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) query: BTreeMap<String, Facts>,
    #[serde(default)]
    pub(super) takes: BTreeMap<String, Facts>,
    #[serde(default)]
    answers: BTreeMap<String, Facts>,
    #[serde(default)]
    items: BTreeMap<String, Facts>,
    errors: BTreeSet<String>,
}

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// The keywords that are compared.
const KEYWORDS: [&str; 11] = [
    "maxLength",
    "minLength",
    "pattern",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "uniqueItems",
    "enum",
    "default",
    "format",
];

/// What was compared and what differs.
#[derive(Default)]
struct Comparison {
    claims: usize,
    differences: Vec<String>,
}

#[test]
fn each_limit_format_and_failure_is_theirs_or_differs_on_purpose() {
    let mut problems = compared();
    problems.retain(|(operation, difference)| !is_on_purpose(operation, difference));
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Every difference, with its operation.
pub(super) fn compared() -> Vec<(String, String)> {
    let theirs: Vec<Theirs> =
        serde_json::from_str(include_str!("../svix-limits.json")).expect("facts");
    let document = described(&BTreeMap::new());
    let (mut claims, mut differences) = (0, Vec::new());
    for theirs in &theirs {
        let ours = &document["paths"][&theirs.path][theirs.method.to_lowercase()];
        assert!(!ours.is_null(), "{} is not there", theirs.id);
        let mut found = Comparison::default();
        compare_query(&mut found, &document, theirs, ours);
        let body = json_schema(&document, &ours["requestBody"]);
        found.fields(Way::In, "takes", &document, body, &theirs.takes);
        for (status, answer) in ours["responses"].as_object().into_iter().flatten() {
            let answer = json_schema(&document, answer);
            if !status.starts_with('2') || answer.is_null() {
                continue;
            }
            found.fields(Way::Out, "answers", &document, answer, &theirs.answers);
            let item = &resolve(&document, answer)["properties"]["data"]["items"];
            found.fields(Way::Out, "lists", &document, item, &theirs.items);
        }
        compare_errors(&mut found, theirs, ours);
        claims += found.claims;
        differences.extend(found.differences.into_iter().map(|it| (theirs.id.clone(), it)));
    }
    println!("{claims} claims about {} operations", theirs.len());
    assert!(claims > 800, "{claims}");
    differences
}

fn compare_query(found: &mut Comparison, document: &Value, theirs: &Theirs, ours: &Value) {
    for (name, facts) in &theirs.query {
        let parameters = ours["parameters"].as_array().into_iter().flatten();
        let parameter = parameters.clone().find(|it| it["in"] == "query" && it["name"] == **name);
        let schema = parameter.map_or(&Value::Null, |parameter| &parameter["schema"]);
        found.field(Way::In, &format!("query {name}"), document, schema, facts);
    }
}

/// Their description has the same failures for every operation. Here an operation has those that
/// can be.
fn compare_errors(found: &mut Comparison, theirs: &Theirs, ours: &Value) {
    for status in &theirs.errors {
        found.claims += 1;
        if ours["responses"][status].is_null() {
            let names_nothing = !theirs.path.contains('{');
            let takes_nothing = theirs.takes.is_empty() && theirs.query.is_empty();
            let why = match status.as_str() {
                "404" if names_nothing => " without a name in the path",
                "422" if takes_nothing => " without a body or a query",
                "409" if theirs.method == "GET" || theirs.method == "DELETE" => " of a reader",
                _ => "",
            };
            found.differences.push(format!("fails with {status}{why}"));
        }
    }
}

impl Comparison {
    fn fields(
        &mut self,
        way: Way,
        what: &str,
        document: &Value,
        schema: &Value,
        theirs: &BTreeMap<String, Facts>,
    ) {
        let schema = resolve(document, schema);
        for (name, facts) in theirs {
            let field = &schema["properties"][name];
            self.field(way, &format!("{what} {name}"), document, field, facts);
        }
    }

    fn field(&mut self, way: Way, what: &str, document: &Value, ours: &Value, theirs: &Facts) {
        let ours = meant(flat(document, ours));
        let theirs = &meant(theirs.clone());
        for keyword in KEYWORDS {
            let (mine, yours) = (ours.get(keyword), theirs.get(keyword));
            if mine.is_none() && yours.is_none() {
                continue;
            }
            self.claims += 1;
            if !fits(way, keyword, mine, yours) {
                let shown = |it: Option<&Value>| it.map_or("none".to_owned(), Value::to_string);
                let (mine, yours) = (shown(mine), shown(yours));
                self.differences.push(format!("{what} {keyword} {mine} for {yours}"));
            }
        }
        if let Some(Value::Object(each)) = theirs.get("each") {
            let items = ours.get("items").unwrap_or(&Value::Null);
            self.field(way, &format!("{what}, each"), document, items, each);
        }
    }
}

/// A field's keywords, with those of what it refers to or may be beside null.
fn flat(document: &Value, field: &Value) -> Facts {
    let target = resolve(document, field);
    let mut facts = target.as_object().cloned().unwrap_or_default();
    for choice in ["anyOf", "oneOf", "allOf"] {
        let choices = target[choice].as_array().into_iter().flatten();
        let mut real = choices.filter(|one| one["type"] != "null");
        if let (Some(only), None) = (real.next(), real.next()) {
            for (keyword, value) in flat(document, only) {
                facts.entry(keyword).or_insert(value);
            }
        }
    }
    for (keyword, value) in field.as_object().into_iter().flatten() {
        facts.entry(keyword).or_insert_with(|| value.clone());
    }
    facts
}

/// The keywords with those that others imply: a width of numbers, a pattern that wants something.
fn meant(mut facts: Facts) -> Facts {
    if facts.get("format").is_some_and(|format| format == "uint16") {
        facts.entry("maximum").or_insert(u16::MAX.into());
        facts.entry("minimum").or_insert(0.into());
    }
    if facts.get("pattern").is_some_and(|pattern| word(pattern).ends_with("+$")) {
        facts.entry("minLength").or_insert(1.into());
    }
    facts
}

fn fits(way: Way, keyword: &str, mine: Option<&Value>, yours: Option<&Value>) -> bool {
    let number = |it: Option<&Value>| it.and_then(Value::as_f64);
    let (narrow, wide) = if way == Way::In { (mine, yours) } else { (yours, mine) };
    match keyword {
        "maxLength" | "maximum" | "maxItems" => match (number(narrow), number(wide)) {
            (Some(narrow), Some(wide)) => narrow >= wide,
            (None, _) => true,
            (Some(_), None) => false,
        },
        "minLength" | "minimum" | "minItems" => match (number(narrow), number(wide)) {
            (Some(narrow), Some(wide)) => narrow <= wide,
            (None, _) => true,
            (Some(narrow), None) => narrow == 0.0,
        },
        // A list that is a set there may have repetitions here, and shows none.
        "uniqueItems" => way == Way::Out || mine.is_none() || mine == yours,
        "enum" => match (values(narrow), values(wide)) {
            (Some(narrow), Some(wide)) => wide.is_subset(&narrow),
            (None, _) => true,
            (Some(_), None) => false,
        },
        // A value that is absent means the same.
        "default" => way == Way::Out || meaning(mine) == meaning(yours),
        "pattern" => narrow.is_none() || pattern(mine) == pattern(yours),
        _ => width(mine) == width(yours) || way == Way::In && mine.is_none(),
    }
}

fn values(list: Option<&Value>) -> Option<BTreeSet<String>> {
    let list = list?.as_array()?.iter().filter(|value| !value.is_null());
    Some(list.map(Value::to_string).collect())
}

/// What leaving a field out means, whether its schema says so or not.
fn meaning(default: Option<&Value>) -> Value {
    match default {
        None | Some(Value::Null) => Value::Null,
        Some(other) => other.clone(),
    }
}

/// Two spellings of one character class.
fn pattern(pattern: Option<&Value>) -> Option<String> {
    pattern.map(|it| word(it).replace("\\-_.", "_.-").replace("\\-", "-"))
}

/// A format without the width of its numbers, which the limits tell.
fn width(format: Option<&Value>) -> Option<String> {
    let format = word(format?);
    (!format.starts_with("int") && !format.starts_with("uint")).then_some(format)
}
