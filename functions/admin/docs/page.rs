//! The pages: an index, a page for each noun and each shape, and what a search finds.

use serde_json::Value;

use super::html::{STYLE, escape, object, prose, put};
use super::sample::LANGUAGES;

/// What the pages are made of.
pub(super) struct Pages<'a> {
    document: &'a Value,
    examples: &'a Value,
    /// Every operation, by noun.
    operations: Vec<Operation<'a>>,
}

/// A method and a path, and what is there.
type Operation<'a> = (&'a str, &'a str, &'a Value);

/// The page at `/`: where to go from here.
pub(super) fn welcome() -> String {
    let mut page = head("Posthorn");
    page += "<body><nav></nav><main><h1>Posthorn is running</h1><ul>\
        <li><a href=/docs>What the API does</a>, with examples\
        <li><a href=/portal>The portal of a customer</a>, to be opened with a link: \
        <code>posthorn portal --open</code>\
        <li><a href=/console>The operator's console</a>: <code>posthorn console --open</code>\
        <li><a href=/api/v1/openapi.json>The description for programs</a> (OpenAPI 3.1)\
        <li><a href=/api/v1/health>Whether it is well</a> (204)</ul>\
        <p>A token for the API: <code>posthorn token --expires 12h</code>. A first event: \
        <code>posthorn listen</code> in one terminal, <code>posthorn send</code> in another.</main>";
    page
}

fn head(title: &str) -> String {
    let mut page = String::from("<!doctype html><html lang=en><meta charset=utf-8>");
    page += "<meta name=viewport content='width=device-width'>";
    put(&mut page, format_args!("<title>{}</title><style>{STYLE}</style>", escape(title)));
    page
}

impl<'a> Pages<'a> {
    /// Pages of this description, with these requests and what they answered.
    pub(super) fn new(document: &'a Value, examples: &'a Value) -> Self {
        let mut operations: Vec<Operation<'_>> = object(&document["paths"])
            .flat_map(|(path, methods)| {
                object(methods).map(move |(method, operation)| (path, method, operation))
            })
            .collect();
        operations.sort_by_key(|(_, _, operation)| operation["tags"][0].as_str());
        Self { document, examples, operations }
    }

    /// Every operation by noun, with its summary.
    pub(super) fn index(&self) -> String {
        let mut page = self.begin("Posthorn API", "");
        put(&mut page, format_args!("<h1>Posthorn API</h1>"));
        put(&mut page, format_args!("<p>{}", prose(&self.document["info"]["description"])));
        page += "<p>For programs: <a href=/api/v1/openapi.json>OpenAPI 3.1</a>. A request carries \
            <code>authorization: Bearer TOKEN</code>; <code>posthorn token</code> makes one. Lists \
            come in pages: <code>limit</code>, and the answer's <code>iterator</code> until it is \
            <code>done</code>.";
        for noun in self.nouns() {
            put(&mut page, format_args!("<h2><a href='?noun={0}'>{0}</a></h2>", escape(noun)));
            self.list(&mut page, self.of(noun));
        }
        page
    }

    /// A noun's operations, whole; nothing if there is no such noun.
    pub(super) fn noun(&self, noun: &str) -> Option<String> {
        let noun = self.nouns().into_iter().find(|known| *known == noun)?;
        let mut page = self.begin(noun, "");
        put(&mut page, format_args!("<h1>{}</h1>", escape(noun)));
        for operation in self.of(noun) {
            self.show(&mut page, operation);
        }
        Some(page)
    }

    /// A body's fields; nothing if there is no such shape.
    pub(super) fn shape(&self, name: &str) -> Option<String> {
        let (name, schema) =
            object(&self.document["components"]["schemas"]).find(|(known, _)| *known == name)?;
        let mut page = self.begin(name, "");
        put(&mut page, format_args!("<h1>{}</h1>", escape(name)));
        put(&mut page, format_args!("<p>{}", prose(&schema["description"])));
        page += "<table>";
        for (field, property) in object(&schema["properties"]) {
            let required =
                schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == field));
            let required = if required { "always" } else { "" };
            put(
                &mut page,
                format_args!(
                    "<tr><td><code>{}</code><td>{required}<td>{} {}",
                    escape(field),
                    kind(property),
                    prose(&property["description"])
                ),
            );
        }
        page += "</table>";
        let text = serde_json::to_string_pretty(schema).unwrap_or_default();
        put(&mut page, format_args!("<h2>JSON Schema</h2><pre>{}</pre>", escape(&text)));
        Some(page)
    }

    /// The operations and shapes that have all of these words.
    pub(super) fn found(&self, asked: &str) -> String {
        let lower = asked.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let has = |text: &str| words.iter().all(|word| text.to_lowercase().contains(word));
        let mut page = self.begin("Search", asked);
        put(&mut page, format_args!("<h1>{}</h1>", escape(asked)));
        let fits = |(path, method, operation): &Operation<'_>| {
            let texts = ["operationId", "summary", "description"].map(|name| &operation[name]);
            let texts = texts.map(|text| text.as_str().unwrap_or_default());
            has(&format!("{method} {path} {} {}", tag(&(path, method, operation)), texts.join(" ")))
        };
        let found: Vec<Operation<'_>> = self.operations.iter().copied().filter(fits).collect();
        let shapes: Vec<&str> = object(&self.document["components"]["schemas"])
            .filter(|(name, schema)| {
                let fields: Vec<&str> =
                    object(&schema["properties"]).map(|(name, _)| name).collect();
                has(&format!("{name} {}", fields.join(" ")))
            })
            .map(|(name, _)| name)
            .collect();
        if found.is_empty() && shapes.is_empty() {
            page += "<p>Nothing has all of these words.";
        }
        self.list(&mut page, found.into_iter());
        if !shapes.is_empty() {
            page += "<h2>Bodies</h2><ul>";
        }
        for name in shapes {
            put(&mut page, format_args!("<li><a href='?shape={0}'>{0}</a>", escape(name)));
        }
        page
    }

    /// The beginning of a page, with the search and the nouns beside it.
    fn begin(&self, title: &str, searched: &str) -> String {
        let mut page = head(title);
        page += "<body><nav><a href=/docs><b>Posthorn API</b></a><form action=/docs role=search>";
        put(
            &mut page,
            format_args!(
                "<input type=search name=q maxlength=100 placeholder=Search aria-label=Search \
                 value='{}'></form>",
                escape(searched)
            ),
        );
        for noun in self.nouns() {
            put(&mut page, format_args!("<a href='?noun={0}'>{0}</a>", escape(noun)));
        }
        page + "</nav><main>"
    }

    fn nouns(&self) -> Vec<&str> {
        let mut nouns: Vec<&str> = self.operations.iter().map(tag).collect();
        nouns.dedup();
        nouns
    }

    /// A noun's operations.
    fn of(&self, noun: &str) -> impl Iterator<Item = Operation<'a>> {
        self.operations.iter().copied().filter(move |one| tag(one) == noun)
    }

    /// Operations in a line each, with links.
    fn list<'b>(&self, page: &mut String, operations: impl Iterator<Item = Operation<'b>>) {
        *page += "<ul>";
        for operation in operations {
            let (path, method, described) = operation;
            let id = prose(&described["operationId"]);
            put(
                page,
                format_args!(
                    "<li id='{id}'><a href='?noun={}#{id}'><code>{} {}</code></a> {}",
                    escape(tag(&operation)),
                    method.to_uppercase(),
                    escape(path),
                    prose(&described["summary"])
                ),
            );
        }
        *page += "</ul>";
    }

    /// An operation, whole.
    fn show(&self, page: &mut String, (path, method, operation): Operation<'_>) {
        let id = prose(&operation["operationId"]);
        let method = method.to_uppercase();
        put(page, format_args!("<h3 id='{id}'><code>{method} {}</code></h3>", escape(path)));
        put(page, format_args!("<p><b>{}.</b> ", prose(&operation["summary"])));
        put(page, format_args!("{} ", prose(&operation["description"])));
        put(page, format_args!("Caller: {}.", prose(&operation["x-caller"])));
        if operation["x-capability"].is_string() {
            put(page, format_args!(" Right: {}.", prose(&operation["x-capability"])));
        }
        let cost = &operation["x-cost"];
        if cost.is_object() {
            put(
                page,
                format_args!(
                    " Cost, on a small page: {} write units, {} read units, {} SQS requests.",
                    cost["writeUnits"], cost["readUnits"], cost["sqsRequests"]
                ),
            );
        }
        show_parts(page, self.document, operation);
        let example = &self.examples[operation["operationId"].as_str().unwrap_or_default()];
        if example.is_object() {
            show_example(page, &method, example);
        }
    }
}

fn tag<'a>((_, _, operation): &Operation<'a>) -> &'a str {
    operation["tags"][0].as_str().unwrap_or_default()
}

/// Parameters, body and answers.
fn show_parts(page: &mut String, document: &Value, operation: &Value) {
    *page += "<table>";
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = prose(&parameter["name"]);
        let place = prose(&parameter["in"]);
        let meaning = prose(&parameter["description"]);
        put(page, format_args!("<tr><td><code>{name}</code><td>{place}<td>{meaning}"));
    }
    if operation["requestBody"].is_object() {
        put(page, format_args!("<tr><td>body<td><td>{}", shape(&operation["requestBody"])));
    }
    for (status, response) in object(&operation["responses"]) {
        let shared = response["$ref"].as_str().and_then(|link| document.pointer(&link[1..]));
        let response = shared.unwrap_or(response);
        let meaning = prose(&response["description"]);
        let shape = shape(response);
        put(page, format_args!("<tr><td><code>{status}</code><td>answer<td>{meaning} {shape}"));
    }
    *page += "</table>";
}

/// A request in several languages, and what it answered.
fn show_example(page: &mut String, method: &str, example: &Value) {
    let path = example["path"].as_str().unwrap_or_default();
    for (language, write) in LANGUAGES {
        let open = if language == "curl" { " open" } else { "" };
        let code = escape(&write(method, path, &example["body"]));
        put(
            page,
            format_args!("<details{open}><summary>{language}</summary><pre>{code}</pre></details>"),
        );
    }
    let answer = match &example["answer"] {
        Value::Null => String::new(),
        answer => escape(&serde_json::to_string_pretty(answer).unwrap_or_default()),
    };
    put(page, format_args!("<p>answers {}<pre>{answer}</pre>", example["status"]));
}

/// What a field holds, in a word.
fn kind(property: &Value) -> String {
    let either = property["anyOf"].as_array().into_iter().flatten();
    let named = std::iter::once(property).chain(either).find_map(|one| one["$ref"].as_str());
    if let Some(name) = named.and_then(|link| link.rsplit('/').next()) {
        return link(name);
    }
    let kinds: Vec<&str> = match &property["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    format!("<i>{}</i>", kinds.join(" or "))
}

/// A link to the shape of a JSON body.
fn shape(body: &Value) -> String {
    let schema = &body["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|link| link.rsplit('/').next());
    name.map(link).unwrap_or_default()
}

fn link(name: &str) -> String {
    format!("<a href='?shape={0}'>{0}</a>", escape(name))
}
