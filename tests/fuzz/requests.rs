//! Whole requests, in a world of their own.

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use shared::api::request::{plain, segments};
use shared::domain::json::{at, name_of};
use tokio::runtime::Runtime;

use super::{claim, fuzz};
use crate::support::world::{Reply, World, text};

/// Most bytes of an answer that says what is wrong.
const MOST: usize = 1024 * 1024;

struct Platform {
    runtime: Runtime,
    world: World,
    app: String,
}

impl Platform {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = World::new();
        let app = runtime.block_on(world.application());
        Self { runtime, world, app }
    }

    fn send(&self, method: Method, path: &str, body: &str) -> Option<Reply> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.world.token()))
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .ok()?;
        Some(self.runtime.block_on(self.world.send(request)))
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

#[test]
fn an_event_is_refused_with_its_reason_or_kept_to_the_byte() {
    let platform = Platform::new();
    let path = format!("/api/v1/app/{}/msg", platform.app);
    fuzz("event", include_str!("corpus/publish"), |input| {
        let reply = platform.ask(Method::POST, &path, input)?;
        let again = platform.ask(Method::POST, &path, input)?;
        if reply.status != 202 {
            let same = again.status == reply.status;
            return claim(same, || format!("{} and then {}", reply.status, again.status));
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
        claim(is_raw || kept.as_deref() == sent, || format!("{sent:?} is kept as {kept:?}"))
    });
}

#[test]
fn a_body_is_answered_in_the_same_way_twice() {
    let platform = Platform::new();
    let app = format!("/api/v1/app/{}", platform.app);
    let ep =
        platform.runtime.block_on(platform.world.endpoint(&platform.app, "http://127.0.0.1:9/"));
    let patched =
        [app.clone(), format!("{app}/endpoint/{ep}"), format!("{app}/endpoint/{ep}/headers")];
    fuzz("body", include_str!("corpus/bodies"), |input| {
        for path in &patched {
            let first = platform.ask(Method::PATCH, path, input)?;
            let second = platform.ask(Method::PATCH, path, input)?;
            claim(first.status == second.status, || {
                format!("{path}: {} and then {}", first.status, second.status)
            })?;
            let shown = platform.ask(Method::GET, path, "")?;
            claim(shown.status == 200, || format!("{path} is gone: {}", shown.status))?;
        }
        Ok(())
    });
}

#[test]
fn a_path_and_its_query_are_read_the_same_however_they_are_encoded() {
    let platform = Platform::new();
    let corpus = include_str!("corpus/paths").replace("APP", &platform.app);
    fuzz("path and query", &corpus, |input| {
        let Ok(request) = Request::builder().uri(input).body(Bytes::new()) else { return Ok(()) };
        let once = plain(request);
        let path = once.uri().path().to_owned();
        let twice = plain(Request::builder().uri(once.uri().clone()).body(Bytes::new()).unwrap());
        claim(twice.uri() == once.uri(), || format!("{path} becomes {}", twice.uri()))?;
        let slashes = input.split('?').next().unwrap_or_default().matches('/').count();
        claim(segments(&path).len() <= slashes, || format!("has more segments: {path}"))?;
        let Some(_) = platform.send(Method::GET, input, "") else { return Ok(()) };
        let first = platform.ask(Method::GET, input, "")?;
        let plainly = platform.ask(Method::GET, &once.uri().to_string(), "")?;
        claim(first.status == plainly.status, || {
            format!("{} and, plainly, {}", first.status, plainly.status)
        })
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
    fuzz(name, corpus, |input| {
        let body = body(input);
        let reply = platform.ask(Method::POST, PATH, &body)?;
        claim([200, 400, 413, 422].contains(&reply.status.as_u16()), || {
            format!("is answered with {}", reply.status)
        })?;
        let again = platform.ask(Method::POST, PATH, &body)?;
        claim(again.bytes == reply.bytes, || "is answered otherwise the second time".to_owned())?;
        let modified = found(&reply);
        let Some(kinds) = modified.as_array().filter(|_| reply.status == 200) else {
            return Ok(());
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
        if inner || !is_exact(&modified) {
            return Ok(());
        }
        let spec = json!({"spec": {"webhooks": webhooks}, "dryRun": true}).to_string();
        let out = platform.ask(Method::POST, PATH, &spec)?;
        claim(found(&out) == modified, || format!("comes out as {}", found(&out)))
    });
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
