//! A request in the languages that people call the API from.

use serde_json::Value;

/// Writes a request: method, path, body (`null` for none).
type Writer = fn(&str, &str, &Value) -> String;

/// Languages and how a request is written in each.
pub(super) const LANGUAGES: [(&str, Writer); 3] =
    [("curl", curl), ("Python", python), ("JavaScript", javascript)];

fn curl(method: &str, path: &str, body: &Value) -> String {
    let mut text = match method {
        "GET" => format!("curl \"$URL{path}\""),
        _ => format!("curl -X {method} \"$URL{path}\""),
    };
    text += " \\\n  -H \"authorization: Bearer $TOKEN\"";
    if !body.is_null() {
        let body = body.to_string().replace('\'', r"'\''");
        text += &format!(" \\\n  -H 'content-type: application/json' \\\n  -d '{body}'");
    }
    text
}

fn python(method: &str, path: &str, body: &Value) -> String {
    let mut text = format!(
        "import requests\n\nanswer = requests.{}(\n    f\"{{URL}}{path}\",\n    \
         headers={{\"authorization\": f\"Bearer {{TOKEN}}\"}},\n",
        method.to_lowercase()
    );
    if !body.is_null() {
        text += &format!("    json={},\n", literal(body));
    }
    text + ")\nanswer.raise_for_status()"
}

fn javascript(method: &str, path: &str, body: &Value) -> String {
    let mut text = format!("const answer = await fetch(`${{URL}}{path}`, {{\n");
    if method != "GET" {
        text += &format!("  method: \"{method}\",\n");
    }
    match body.is_null() {
        true => text += "  headers: { authorization: `Bearer ${TOKEN}` },\n",
        false => {
            text += "  headers: { authorization: `Bearer ${TOKEN}`, \
                     \"content-type\": \"application/json\" },\n";
            text += &format!("  body: JSON.stringify({body}),\n");
        }
    }
    text + "});"
}

/// JSON as Python writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                format!("{}: {}", Value::from(name.as_str()), literal(value))
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}
