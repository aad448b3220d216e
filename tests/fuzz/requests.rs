//! Whole requests, in a world of their own.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use shared::api::request::{plain, segments};
use shared::domain::endpoint::MAX_EVENT_TYPE;
use shared::domain::id::is_name;
use shared::domain::json::{at, name_of};
use tokio::runtime::Runtime;

use super::{claim, fuzz_requests, made};
use crate::support::stage::{Play, Stage, routes};
use crate::support::world::{Reply, text};

/// Most bytes of an answer that says what is wrong.
const MOST: usize = 1024 * 1024;

struct Platform {
    runtime: Runtime,
    stage: Stage,
    app: String,
    token: String,
}

impl Platform {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stage = runtime.block_on(Stage::new());
        let app = stage.names["app_id"].clone();
        let token = format!("Bearer {}", stage.world.token());
        Self { runtime, stage, app, token }
    }

    /// A good request to every operation of these methods.
    fn plays(&self, methods: &[&str]) -> Vec<Play> {
        let routes = routes().into_iter().filter(|route| methods.contains(&route.method.as_str()));
        routes.map(|route| self.stage.play(&route)).collect()
    }

    fn send(&self, method: Method, path: &str, body: &str) -> Option<Reply> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", &self.token)
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .ok()?;
        Some(self.runtime.block_on(self.stage.world.send(request)))
    }

    /// An answer that is no failure of ours, and none that is larger than it should be.
    fn ask(&self, method: Method, path: &str, body: &str) -> Result<Reply, String> {
        let reply = self.send(method, path, body).ok_or("is no request")?;
        let status = reply.status.as_u16();
        claim(status < 500, || format!("is answered with {status}"))?;
        claim(status < 400 || reply.bytes.len() <= MOST, || {
            format!("is refused with {} bytes", reply.bytes.len())
        })?;
        if status == 422 {
            let told = reply.body["detail"].as_array().map_or(0, Vec::len);
            claim((1..=20).contains(&told), || format!("is told {told} rules"))?;
        }
        Ok(reply)
    }
}

/// What an answer says, without what it says of this input alone.
fn kind_of(reply: &Reply) -> String {
    let detail = &reply.body["detail"];
    let broken = detail.as_array().into_iter().flatten().take(3);
    let broken: String = broken.map(|one| format!(" {} {}", one["loc"][1], one["msg"])).collect();
    format!("{} {} {}{broken}", class(reply), reply.body["code"], detail.as_str().unwrap_or(""))
}

/// A status in letters, as kinds have no digits.
fn class(reply: &Reply) -> &'static str {
    reply.status.canonical_reason().unwrap_or("?")
}

/// Whether a refusal is asked for once more: every time when something was taken, and for one of
/// eight that were refused, which say the same without looking at anything that could change.
fn asks_again(reply: &Reply, input: &str) -> bool {
    reply.status.is_success() || input.len().is_multiple_of(8)
}

#[test]
fn an_event_is_refused_with_its_reason_or_kept_to_the_byte() {
    let platform = Platform::new();
    let path = format!("/api/v1/app/{}/msg", platform.app);
    fuzz_requests("event", include_str!("corpus/publish"), |input| {
        let reply = platform.ask(Method::POST, &path, input)?;
        if asks_again(&reply, input) {
            let again = platform.ask(Method::POST, &path, input)?;
            let same = reply.status == 202 || again.status == reply.status;
            claim(same, || format!("{} and then {}", reply.status, again.status))?;
        }
        if reply.status != 202 {
            return made(kind_of(&reply));
        }
        // Not every reader takes what is passed on, so the answer is looked into as text.
        let field = |reply: &Reply, pointer: &str| {
            let json = std::str::from_utf8(&reply.bytes).unwrap_or_default();
            at(json, pointer).map(str::to_owned)
        };
        let id = field(&reply, "/id").and_then(|id| name_of(&id)).ok_or("has no id")?;
        let read = format!("{path}/{id}");
        let read = platform.ask(Method::GET, &read, "")?;
        claim(read.status == 200, || format!("is not there: {}", read.status))?;
        let (kept, sent) = (field(&read, "/payload"), at(input.trim(), "/payload"));
        let is_raw = field(&read, "/rawPayload").is_some();
        claim(is_raw || kept.as_deref() == sent, || format!("{sent:?} is kept as {kept:?}"))?;
        made(shape("taken", &read))
    });
}

/// Which fields of what is shown are anything, with what of.
fn shape(what: &str, shown: &Reply) -> String {
    let kind = |value: &Value| match value {
        Value::Null => '-',
        Value::Bool(_) => 'b',
        Value::Number(_) => 'n',
        Value::String(_) => 's',
        Value::Array(_) => 'a',
        Value::Object(_) => 'o',
    };
    let fields = shown.body.as_object().into_iter().flatten();
    format!("{what} {}", fields.map(|(_, value)| kind(value)).collect::<String>())
}

#[test]
fn a_body_is_answered_in_the_same_way_twice() {
    let platform = Platform::new();
    let app = format!("/api/v1/app/{}", platform.app);
    let ep = &platform.stage.names["endpoint_id"];
    let patched =
        [app.clone(), format!("{app}/endpoint/{ep}"), format!("{app}/endpoint/{ep}/headers")];
    fuzz_requests("body", include_str!("corpus/bodies"), |input| {
        let mut kinds = String::new();
        for path in &patched {
            let first = platform.ask(Method::PATCH, path, input)?;
            kinds += &kind_of(&first);
            if !asks_again(&first, input) {
                continue;
            }
            let second = platform.ask(Method::PATCH, path, input)?;
            claim(first.status == second.status, || {
                format!("{path}: {} and then {}", first.status, second.status)
            })?;
            let shown = platform.ask(Method::GET, path, "")?;
            claim(shown.status == 200, || format!("{path} is gone: {}", shown.status))?;
            kinds += &shape("", &shown);
        }
        made(kinds)
    });
}

#[test]
fn no_body_of_any_operation_is_our_fault() {
    let platform = Platform::new();
    let mut plays = platform.plays(&["POST", "PUT", "PATCH"]);
    plays.retain(|play| !play.body.is_null());
    assert!(plays.len() > 40, "{}", plays.len());
    let bodies: Vec<String> = plays.iter().map(|play| play.body.to_string()).collect();
    let mut turn = 0;
    fuzz_requests("body of any operation", &bodies.join("\n=====\n"), |input| {
        // A body as it was made for this operation or another one.
        let play = &plays[turn % plays.len()];
        turn += 1;
        let method = play.method.parse().expect("a method");
        let reply = platform.ask(method, &play.path, input)?;
        made(format!("{} {}", play.id, kind_of(&reply)))
    });
}

#[test]
fn a_webhook_at_a_source_is_refused_or_passed_on_to_the_byte() {
    let platform = Platform::new();
    let source = json!({
        "name": "Any", "type": "generic-webhook", "app": platform.app,
        "verification": {"scheme": "none"},
        "eventType": {"pointer": "/type"}, "eventId": {"pointer": "/id"},
    });
    let made_source =
        platform.ask(Method::POST, "/ingest/api/v1/source", &source.to_string()).expect("a source");
    let path = format!("/in/{}", text(&made_source.body["id"]));
    let raw = |id: &str| format!("/api/v1/app/{}/msg/{id}/raw", platform.app);
    let mut ids = BTreeSet::new();
    fuzz_requests("webhook", include_str!("corpus/webhooks"), |input| {
        let reply = platform.ask(Method::POST, &path, input)?;
        if reply.status != 202 {
            claim([200, 413, 422].contains(&reply.status.as_u16()), || {
                format!("is answered with {}", reply.status)
            })?;
            return made(kind_of(&reply));
        }
        let id = text(&reply.body["id"]);
        // What comes twice under one id is what came first.
        if !ids.insert(id.clone()) {
            return made("once more");
        }
        let kept = platform.ask(Method::GET, &raw(&id), "")?;
        let kept = at(std::str::from_utf8(&kept.bytes).unwrap_or_default(), "/payload")
            .and_then(|text| serde_json::from_str::<String>(text).ok());
        // But for the blanks around it, which are no part of the object.
        let sent = input.trim_matches([' ', '\t', '\r', '\n']);
        claim(kept.as_deref() == Some(sent), || format!("is kept as {kept:?}"))?;
        let kind = text(&reply.body["eventType"]);
        claim(is_name(&kind, MAX_EVENT_TYPE), || format!("is of the type {kind}"))?;
        made(format!("taken {kind}"))
    });
}

#[test]
fn a_path_and_its_query_are_read_the_same_however_they_are_encoded() {
    let platform = Platform::new();
    let mut corpus = include_str!("corpus/paths").replace("APP", &platform.app);
    for play in platform.plays(&["GET"]) {
        corpus += &format!("=====\n{}\n", play.path);
    }
    fuzz_requests("path and query", &corpus, |input| {
        let Ok(request) = Request::builder().uri(input).body(Bytes::new()) else {
            return made("no URI");
        };
        let once = plain(request);
        let path = once.uri().path().to_owned();
        let twice = plain(Request::builder().uri(once.uri().clone()).body(Bytes::new()).unwrap());
        claim(twice.uri() == once.uri(), || format!("{path} becomes {}", twice.uri()))?;
        let slashes = input.split('?').next().unwrap_or_default().matches('/').count();
        // The one URI without a slash is a segment.
        let most = slashes.max(usize::from(path == "*"));
        claim(segments(&path).len() <= most, || format!("has more segments: {path}"))?;
        let first = platform.ask(Method::GET, input, "")?;
        if *once.uri() != *input {
            let plainly = platform.ask(Method::GET, &once.uri().to_string(), "")?;
            claim(first.status == plainly.status, || {
                format!("{} and, plainly, {}", first.status, plainly.status)
            })?;
        }
        let operation = "I".repeat(segments(&path).len().min(9));
        made(format!("{operation} {}", shape(&kind_of(&first), &first)))
    });
}

#[test]
fn a_description_is_refused_or_comes_out_as_it_went_in() {
    import("description in JSON", include_str!("corpus/specs"), |input| {
        format!("{{\"spec\":{input},\"dryRun\":true}}")
    });
}

#[test]
fn a_description_in_yaml_is_refused_or_comes_out_as_it_went_in() {
    import("description in YAML", include_str!("corpus/yaml"), |input| {
        json!({"specRaw": input, "dryRun": true}).to_string()
    });
}

/// Imports what can be, and what comes out of that again: it has to be the same.
fn import(name: &str, corpus: &str, body: impl Fn(&str) -> String) {
    const PATH: &str = "/api/v1/event-type/import/openapi";
    let platform = Platform::new();
    let found = |reply: &Reply| reply.body["data"]["toModify"].clone();
    fuzz_requests(name, corpus, |input| {
        let body = body(input);
        let reply = platform.ask(Method::POST, PATH, &body)?;
        claim([200, 400, 413, 422].contains(&reply.status.as_u16()), || {
            format!("is answered with {}", reply.status)
        })?;
        if asks_again(&reply, input) {
            let again = platform.ask(Method::POST, PATH, &body)?;
            claim(again.bytes == reply.bytes, || "is answered otherwise then".to_owned())?;
        }
        let modified = found(&reply);
        let Some(kinds) = modified.as_array().filter(|_| reply.status == 200) else {
            return made(kind_of(&reply));
        };
        // What was made of it needs nothing of the description any more.
        let mut webhooks = serde_json::Map::new();
        for kind in kinds {
            let schema = &kind["schemas"]["1"];
            let media = json!({"content": {"application/json": {"schema": schema}}});
            let mut post = json!({
                "description": kind["description"], "deprecated": kind["deprecated"],
            });
            if !schema.is_null() {
                post["requestBody"] = media;
            }
            webhooks.insert(text(&kind["name"]), json!({"post": post}));
        }
        let inner = kinds.iter().any(|kind| refers_inward(&kind["schemas"]["1"]));
        let kind = || made(["taken", &keywords(&modified)].concat());
        if inner || !is_exact(&modified) {
            return kind();
        }
        let spec = json!({"spec": {"webhooks": webhooks}, "dryRun": true}).to_string();
        let out = platform.ask(Method::POST, PATH, &spec)?;
        claim(found(&out) == modified, || format!("comes out as {}", found(&out)))?;
        kind()
    });
}

/// The names of fields that are in some JSON, each once: what readers have looked at.
fn keywords(value: &Value) -> String {
    fn collect<'a>(value: &'a Value, names: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    names.insert(name);
                    collect(value, names);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
            _ => {}
        }
    }
    let mut names = BTreeSet::new();
    collect(value, &mut names);
    names.into_iter().filter(|name| name.len() > 2).collect::<Vec<_>>().join(" ")
}

/// Whether a schema has references: within another document they may lead elsewhere.
fn refers_inward(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.contains_key("$ref")
                || fields.contains_key("$dynamicRef")
                || fields.contains_key("discriminator")
                || fields.values().any(refers_inward)
        }
        Value::Array(items) => items.iter().any(refers_inward),
        _ => false,
    }
}

/// Whether every number of some JSON is one that a test can write again.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(fields) => fields.values().all(is_exact),
        _ => true,
    }
}
