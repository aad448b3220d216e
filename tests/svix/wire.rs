//! The limits of their description on the wire: for each of them a request that keeps it, which is
//! not refused for it, and requests that break it, which are, at the field and by its name.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use description::Route;
use http::Request;
use serde_json::{Map, Value, json};

use super::limits::Theirs as Limits;
use super::{Kinds, Theirs};
use crate::support::stage::{Play, Stage, routes};
use crate::support::world::Reply;

/// What is taken here and not there, or the other way about, on purpose.
const DIFFERENT: &[(&str, &str)] = &[
    // Names of the event types that an endpoint chooses have to be those of some.
    ("eventTypes", "keeps"),
    // A secret of another form is one of another scheme, or refused in words.
    ("secret", "keeps"),
    ("key", "keeps"),
    // A page is of 1 to 250 items.
    ("limit", "keeps"),
    // Longer ones would be called by nobody, and are refused by some proxies.
    ("url", "keeps"),
    // What may be left out may be null as well: it means the same, and Svix's hosted API takes it.
    ("payloadRetentionPeriod", "null"),
    ("featureFlags", "null"),
    // What is no name names nothing, in the query as in a path: 404.
    ("endpoint_id", "breaks"),
];

/// Values of a field or parameter: those that break one of its limits, and those that just keep it.
#[derive(Default)]
struct Values {
    break_it: Vec<Value>,
    keep_it: Vec<Value>,
}

#[tokio::test]
async fn what_breaks_one_of_their_limits_is_refused_at_its_name_and_what_keeps_it_is_not() {
    let limits: Vec<Limits> =
        serde_json::from_str(include_str!("../svix-limits.json")).expect("limits");
    let kinds: Vec<Kinds> =
        serde_json::from_str(include_str!("../svix-kinds.json")).expect("kinds");
    let (mut claims, mut problems) = (0, Vec::new());
    for limits in &limits {
        let same = |it: &&Kinds| (&it.method, &it.path) == (&limits.method, &limits.path);
        let none = BTreeMap::new();
        let kinds = kinds.iter().find(same).map_or(&none, |kinds| &kinds.takes);
        let tried = Tried::of(&limits.id).await;
        for (field, kind) in kinds {
            let no_limits = Map::new();
            let values = in_body(kind, limits.takes.get(field).unwrap_or(&no_limits));
            claims += tried.body(field, values, &mut problems).await;
        }
        for (name, facts) in &limits.query {
            claims += tried.query(name, in_query(facts), &mut problems).await;
        }
        claims += tried.whole(!kinds.is_empty(), &mut problems).await;
    }
    println!("{claims} claims about {} operations on the wire", limits.len());
    assert!(problems.is_empty(), "{} of {claims}: {problems:#?}", problems.len());
    assert!(claims > 900, "{claims}");
}

#[tokio::test]
async fn what_is_answered_has_their_fields_each_of_its_kind_and_their_status() {
    let operations: Vec<Theirs> =
        serde_json::from_str(include_str!("../svix-operations.json")).expect("operations");
    let kinds: Vec<Kinds> =
        serde_json::from_str(include_str!("../svix-kinds.json")).expect("kinds");
    let (mut claims, mut problems) = (0, Vec::new());
    for operation in &operations {
        let tried = Tried::of(&operation.id).await;
        let reply = tried.stage.send(&tried.stage.world.token(), &tried.play).await;
        let status = reply.status.as_u16().to_string();
        // Clients of the line 2.x read the new secret from the answer; and theirs says nothing of
        // what an expunged content is answered with.
        let differs = operation.id == "v1.endpoint.rotate-secret" && status == "200"
            || operation.statuses.is_empty() && status == "204";
        claims += 1;
        if !operation.statuses.contains(&status) && !differs {
            tried.note(&mut problems, "status", &json!(status), &reply);
        }
        let route = &tried.route;
        let same = |it: &&Kinds| (&it.method, &it.path) == (&route.method, &route.path);
        let Some(kinds) = kinds.iter().find(same) else { continue };
        let items = reply.body["data"].as_array().into_iter().flatten();
        let shown = std::iter::once((&reply.body, &kinds.answers));
        for (thing, fields) in shown.chain(items.map(|item| (item, &kinds.items))) {
            for (name, kind) in fields {
                claims += 1;
                if !is_of(kind, thing.get(name)) {
                    tried.note(&mut problems, name, &thing[name], &reply);
                }
            }
        }
        assert!(kinds.items.is_empty() || reply.body["data"][0].is_object(), "{}", operation.id);
    }
    println!("{claims} claims about {} answers", operations.len());
    assert!(problems.is_empty(), "{} of {claims}: {problems:#?}", problems.len());
    assert!(claims > 250, "{claims}");
}

/// Whether a field is there and of this kind.
fn is_of(kind: &str, value: Option<&Value>) -> bool {
    let (kind, may_be_null) = match kind.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    match value {
        None => false,
        Some(Value::Null) => may_be_null,
        Some(Value::Bool(_)) => kind == "boolean",
        Some(Value::Number(number)) => kind == "integer" && !number.is_f64(),
        Some(Value::String(_)) => kind == "string",
        Some(Value::Array(_)) => kind == "array",
        Some(Value::Object(_)) => kind == "object",
    }
}

/// An operation that is tried.
struct Tried {
    route: Route,
    play: Play,
    stage: Stage,
}

impl Tried {
    async fn of(id: &str) -> Self {
        let stage = Stage::new().await;
        let route = routes().into_iter().find(|route| route.id == id).expect(id);
        stage.prepare(id).await;
        Self { play: stage.play(&route), route, stage }
    }

    async fn body(&self, field: &str, values: Values, problems: &mut Vec<String>) -> usize {
        let count = values.break_it.len() + values.keep_it.len();
        for value in values.break_it {
            let reply = self.with(field, &value).await;
            let is_there = at_field(&reply, "body", field);
            let on_purpose = value.is_null() && DIFFERENT.contains(&(field, "null"));
            if (reply.status != 422 || !is_there) && !on_purpose {
                self.note(problems, field, &value, &reply);
            }
        }
        for value in values.keep_it {
            let reply = self.with(field, &value).await;
            let is_refused = reply.status == 422 && at_field(&reply, "body", field);
            if is_refused && !DIFFERENT.contains(&(field, "keeps")) {
                self.note(problems, field, &value, &reply);
            }
        }
        count
    }

    async fn with(&self, field: &str, value: &Value) -> Reply {
        let mut play = self.play.clone();
        if play.body.is_null() {
            play.body = json!({});
        }
        play.body[field] = value.clone();
        self.stage.send(&self.stage.world.token(), &play).await
    }

    async fn query(&self, name: &str, values: Values, problems: &mut Vec<String>) -> usize {
        let count = values.break_it.len() + values.keep_it.len();
        for (value, breaks) in values
            .break_it
            .iter()
            .map(|value| (value, true))
            .chain(values.keep_it.iter().map(|value| (value, false)))
        {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let text: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let mut play = self.play.clone();
            play.path = play.path.split('?').next().unwrap_or_default().to_owned();
            play.path += &format!("?{name}={text}");
            let reply = self.stage.send(&self.stage.world.token(), &play).await;
            let detail = reply.body["detail"].as_str().unwrap_or_default();
            let is_refused = reply.status == 422 && at_field(&reply, "query", name)
                || reply.status == 400 && detail.contains(&format!("`{name}`"));
            let on_purpose = DIFFERENT.contains(&(name, if breaks { "breaks" } else { "keeps" }));
            if breaks != is_refused && !on_purpose {
                self.note(problems, name, value, &reply);
            }
        }
        count
    }

    /// What is none of its requests at all.
    async fn whole(&self, takes_a_body: bool, problems: &mut Vec<String>) -> usize {
        let mut count = 0;
        let twice = format!("{0} {0}", self.play.body);
        let bodies = ["[]", "null", "\"a\"", "{", &twice];
        for body in bodies.iter().filter(|_| takes_a_body) {
            count += 1;
            let reply = self.sent(&self.play.method, body, true).await;
            if reply.status != 422 || reply.body["detail"][0]["loc"] != json!(["body"]) {
                self.note(problems, "body", &json!(body), &reply);
            }
        }
        for (method, token, status) in [("TRACE", true, 405), (&self.play.method, false, 401)] {
            let reply = self.sent(method, "{}", token).await;
            let is_open = self.play.path.starts_with("/api/v1/health") && status == 401;
            count += usize::from(!is_open);
            if reply.status != status && !is_open {
                self.note(problems, method, &json!(token), &reply);
            }
        }
        count
    }

    async fn sent(&self, method: &str, body: &str, token: bool) -> Reply {
        let mut request = Request::builder().method(method).uri(&self.play.path);
        if token {
            let token = format!("Bearer {}", self.stage.world.token());
            request = request.header("authorization", token);
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.stage.world.send(request.body(body).expect("a request")).await
    }

    fn note(&self, problems: &mut Vec<String>, field: &str, value: &Value, reply: &Reply) {
        let value: String = value.to_string().chars().take(60).collect();
        let said: String = reply.body.to_string().chars().take(120).collect();
        problems.push(format!("{}: {field} {value}: {} {said}", self.play.id, reply.status));
    }
}

/// Whether a refusal names this field, or something in it.
fn at_field(reply: &Reply, place: &str, field: &str) -> bool {
    let broken = reply.body["detail"].as_array().into_iter().flatten();
    broken.clone().any(|one| one["loc"][0] == place && one["loc"][1] == field)
}

/// Values of a body's field of this kind.
fn in_body(kind: &str, facts: &Map<String, Value>) -> Values {
    let mut values = Values::default();
    let (kind, may_be_null) = match kind.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let others: &[Value] = match kind {
        "string" => &[json!(7), json!([]), json!({})],
        "integer" => &[json!("7"), json!(1.5), json!([]), json!(true)],
        "boolean" => &[json!("true"), json!(1)],
        "array" => &[json!("a"), json!({}), json!([7]), json!([null])],
        _ => &[json!("a"), json!([]), json!(7)],
    };
    values.break_it.extend(others.iter().cloned());
    if may_be_null { &mut values.keep_it } else { &mut values.break_it }.push(Value::Null);
    match kind {
        "string" => texts(facts, &mut values),
        "integer" => numbers(facts, &mut values),
        "array" => lists(facts, &mut values),
        _ => {}
    }
    values
}

fn texts(facts: &Map<String, Value>, values: &mut Values) {
    if facts.contains_key("pattern") {
        values.break_it.extend(["a b", "", "é", "a/b", "a\u{0}"].map(Value::from));
    }
    if facts.get("minLength").is_some() {
        values.break_it.push("".into());
    }
    if let Some(most) = number(facts, "maxLength") {
        values.break_it.push("a".repeat(most + 1).into());
        values.keep_it.push("a".repeat(most).into());
    }
    match facts.get("format").and_then(Value::as_str) {
        Some("date-time") => {
            values.break_it.extend(["", "x", "2026-01-31", "1769860800"].map(Value::from));
            values.keep_it.push("2027-01-14T13:30:00.25+05:30".into());
        }
        Some("uri") => values.break_it.extend(["", "x", "/hook"].map(Value::from)),
        _ => {}
    }
}

fn numbers(facts: &Map<String, Value>, values: &mut Values) {
    let narrow = facts.get("format").is_some_and(|format| format == "uint16");
    let most = number(facts, "maximum").or(narrow.then_some(usize::from(u16::MAX)));
    if let Some(most) = most {
        values.break_it.push((most + 1).into());
        values.keep_it.push(most.into());
    }
    if let Some(least) = number(facts, "minimum") {
        values.break_it.push((i64::try_from(least).unwrap_or_default() - 1).into());
        // Of nothing at all the comparison of descriptions tells.
        values.keep_it.push(least.max(1).into());
    }
}

fn lists(facts: &Map<String, Value>, values: &mut Values) {
    let some = |n: usize| (0..n).map(|n| format!("a{n}")).collect::<Vec<_>>();
    if let Some(Value::Object(each)) = facts.get("each") {
        let mut items = Values::default();
        texts(each, &mut items);
        values.break_it.extend(items.break_it.into_iter().map(|item| json!([item])));
        values.keep_it.extend(items.keep_it.into_iter().map(|item| json!([item])));
    }
    if let Some(most) = number(facts, "maxItems") {
        values.break_it.push(json!(some(most + 1)));
        values.keep_it.push(json!(some(most)));
    }
    if number(facts, "minItems").is_some() {
        values.break_it.push(json!([]));
        values.break_it.push(json!(["a", "a"]));
    }
}

/// Values of a query parameter.
fn in_query(facts: &Map<String, Value>) -> Values {
    let mut values = Values::default();
    if let Some(Value::Array(known)) = facts.get("enum") {
        values.keep_it.extend(known.iter().cloned());
        values.break_it.extend(["x", "", "7", "-1"].map(Value::from));
    }
    if facts.get("default").is_some_and(Value::is_boolean) {
        values.keep_it.extend([true, false].map(Value::from));
        values.break_it.extend(["x", "", "1", "True"].map(Value::from));
    }
    if facts.get("format").is_some_and(|format| format == "uint64") {
        values
            .break_it
            .extend(["x", "", "-1", "1.5", "0x1", "18446744073709551616"].map(Value::from));
        values.keep_it.extend([1, 250].map(Value::from));
    }
    if let Some(Value::Object(each)) = facts.get("each") {
        let mut items = Values::default();
        texts(each, &mut items);
        // An empty one is none.
        items.break_it.retain(|item| item != "");
        values.break_it.extend(items.break_it);
        values.keep_it.extend(items.keep_it);
    }
    let mut others = Values::default();
    texts(facts, &mut others);
    values.break_it.extend(others.break_it);
    values.keep_it.extend(others.keep_it);
    values
}

fn number(facts: &Map<String, Value>, keyword: &str) -> Option<usize> {
    facts.get(keyword)?.as_u64().and_then(|n| usize::try_from(n).ok())
}

#[test]
fn no_difference_is_listed_twice() {
    let all: BTreeSet<_> = DIFFERENT.iter().collect();
    assert_eq!(all.len(), DIFFERENT.len());
}
