//! The API's description, as the document and as a page for people. Neither needs a token.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use serde_json::Value;

use crate::openapi::DOCUMENT;

/// The page is our own text without a script; nothing may be loaded into it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
/// A few minutes, so that a new version is soon seen.
const CACHE: &str = "public, max-age=300";
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;\
    padding:0 1rem}code,pre{font:14px ui-monospace,monospace}pre{overflow:auto;padding:.5rem;\
    background:#8881}h3 code{font-size:1rem}table{border-collapse:collapse}\
    td{padding:.1rem .8rem .1rem 0;vertical-align:top}";

/// The document or the page, if the request is for one of them.
pub(crate) fn serve(method: &Method, segments: &[&str]) -> Option<Response<Bytes>> {
    let (media, body) = match (method, segments) {
        (&Method::GET | &Method::HEAD, ["api", "v1", "openapi.json"]) => {
            ("application/json", Bytes::from_static(DOCUMENT.as_bytes()))
        }
        (&Method::GET | &Method::HEAD, ["docs"]) => ("text/html; charset=utf-8", page().into()),
        _ => return None,
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, media),
        (header::CACHE_CONTROL, CACHE),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

/// The document for people.
fn page() -> String {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let mut page = String::from("<!doctype html><html lang=en><meta charset=utf-8>");
    page += "<meta name=viewport content='width=device-width'><title>Posthorn API</title>";
    put(&mut page, format_args!("<style>{STYLE}</style><h1>Posthorn API</h1>"));
    put(&mut page, format_args!("<p>{}", prose(&document["info"]["description"])));
    put(&mut page, format_args!("<p>For programs: <a href=/api/v1/openapi.json>OpenAPI 3.1</a>."));
    let mut tag = "";
    for (path, method, operation) in sorted(&document) {
        if operation["tags"][0] != tag {
            tag = operation["tags"][0].as_str().unwrap_or_default();
            put(&mut page, format_args!("<h2>{}</h2>", escape(tag)));
        }
        show_operation(&mut page, path, method, operation);
    }
    page += "<h2>Shapes</h2>";
    for (name, schema) in object(&document["components"]["schemas"]) {
        put(&mut page, format_args!("<h3 id='{0}'>{0}</h3>", escape(name)));
        put(&mut page, format_args!("<p>{}", prose(&schema["description"])));
        let text = serde_json::to_string_pretty(schema).unwrap_or_default();
        put(
            &mut page,
            format_args!(
                "<details><summary>schema</summary><pre>{}</pre></details>",
                escape(&text)
            ),
        );
        show_properties(&mut page, schema);
    }
    page
}

/// Every operation, by noun.
fn sorted(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut operations: Vec<(&str, &str, &Value)> = object(&document["paths"])
        .flat_map(|(path, methods)| {
            object(methods).map(move |(method, operation)| (path, method, operation))
        })
        .collect();
    operations.sort_by_key(|(_, _, operation)| operation["tags"][0].as_str());
    operations
}

fn show_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let id = prose(&operation["operationId"]);
    let method = method.to_uppercase();
    put(page, format_args!("<h3 id='{id}'><code>{method} {}</code></h3>", escape(path)));
    put(page, format_args!("<p><b>{}.</b> ", prose(&operation["summary"])));
    put(page, format_args!("{} ", prose(&operation["description"])));
    put(page, format_args!("Caller: {}.", prose(&operation["x-caller"])));
    let cost = &operation["x-cost"];
    if cost.is_object() {
        put(
            page,
            format_args!(
                " Cost: {} write units, {} read units, {} SQS requests.",
                cost["writeUnits"], cost["readUnits"], cost["sqsRequests"]
            ),
        );
    }
    *page += "<table>";
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = prose(&parameter["name"]);
        let place = prose(&parameter["in"]);
        let meaning = prose(&parameter["description"]);
        put(page, format_args!("<tr><td><code>{name}</code><td>{place}<td>{meaning}"));
    }
    if operation["requestBody"].is_object() {
        let shape = shape(&operation["requestBody"]);
        put(page, format_args!("<tr><td>body<td><td>{shape}"));
    }
    for (status, response) in object(&operation["responses"]) {
        let meaning = prose(&response["description"]);
        let shape = shape(response);
        put(page, format_args!("<tr><td><code>{status}</code><td>answer<td>{meaning} {shape}"));
    }
    *page += "</table>";
}

fn show_properties(page: &mut String, schema: &Value) {
    *page += "<table>";
    for (name, property) in object(&schema["properties"]) {
        let required =
            schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let required = if required { "always" } else { "" };
        let meaning = prose(&property["description"]);
        put(page, format_args!("<tr><td><code>{}</code><td>{required}<td>{meaning}", escape(name)));
    }
    *page += "</table>";
}

/// A link to the shape of a JSON body.
fn shape(body: &Value) -> String {
    let schema = &body["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|link| link.rsplit('/').next());
    name.map(|name| format!("<a href='#{0}'>{0}</a>", escape(name))).unwrap_or_default()
}

fn object(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A text with code between backticks.
fn prose(text: &Value) -> String {
    let text = escape(text.as_str().unwrap_or_default());
    let mut parts = text.split('`');
    let mut html = parts.next().unwrap_or_default().to_owned();
    for (position, part) in parts.enumerate() {
        html += if position % 2 == 0 { "<code>" } else { "</code>" };
        html += part;
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}

/// Writing to a string cannot fail.
fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}
