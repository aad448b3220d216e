//! The largest and the deepest that a stranger can send, to everything that reads it: what is
//! answered, how large the answer is, and how much memory and how many allocations it took.
//!
//! Time is printed and not judged (`cargo test -- --nocapture worst::`): work that grows faster
//! than what was sent shows in allocations, which are the same on every machine.

use std::fmt::Write as _;
use std::time::Instant;

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use serde_json::{Value, json};
use shared::api::request::MAX_BODY_BYTES;
use tokio::runtime::Runtime;

use crate::support::stage::{Stage, described, routes};
use crate::support::world::{Reply, text};

/// Most bytes of an answer that says what is wrong.
const MAX_ERROR: usize = 1024 * 1024;
/// Most bytes that are allocated altogether, and at once, for each byte of a request, and beside.
const ALLOCATED: (u64, u64) = (100, 48 * 1024 * 1024);
const AT_ONCE: (u64, u64) = (16, 32 * 1024 * 1024);
/// Most allocations for each byte of a request, and beside.
const ALLOCATIONS: (u64, u64) = (3, 20_000);

/// What was found of one request.
struct Found {
    what: String,
    sent: u64,
    reply: Reply,
    taken: AllocationInfo,
    ms: f64,
}

impl Found {
    /// What is wrong with it.
    fn problems(&self) -> Vec<String> {
        let limit = |(each, beside): (u64, u64)| each * self.sent + beside;
        let mut problems = Vec::new();
        let mut hold = |fits: bool, what: String| {
            if !fits {
                problems.push(format!("{}: {what}", self.what));
            }
        };
        let status = self.reply.status.as_u16();
        hold(status < 500, format!("status {status}"));
        hold(status < 400 || self.reply.bytes.len() <= MAX_ERROR, {
            format!("an error of {} bytes", self.reply.bytes.len())
        });
        let AllocationInfo { count_total, bytes_total, bytes_max, .. } = self.taken;
        hold(count_total <= limit(ALLOCATIONS), format!("{count_total} allocations"));
        hold(bytes_total <= limit(ALLOCATED), format!("{bytes_total} bytes allocated"));
        hold(bytes_max <= limit(AT_ONCE), format!("{bytes_max} bytes at once"));
        problems
    }
}

/// A world, and what its requests run on: a thread that does nothing else, so that what is
/// allocated on it is the request's.
struct Bench {
    runtime: Runtime,
    stage: Stage,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stage = runtime.block_on(Stage::new());
        Self { runtime, stage }
    }

    fn ask(&self, what: String, method: &str, path: &str, body: Bytes) -> Found {
        let world = &self.stage.world;
        let sent = body.len() as u64;
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", world.token()))
            .body(body)
            .expect("a request");
        let (begun, mut reply) = (Instant::now(), None);
        let answer = || reply = Some(self.runtime.block_on(world.send(request)));
        let taken = allocation_counter::measure(answer);
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        Found { what, sent, reply: reply.expect("an answer"), taken, ms }
    }
}

/// Fails with everything that is wrong, and prints what took longest.
fn judge(mut found: Vec<Found>) {
    found.sort_by(|one, other| other.ms.total_cmp(&one.ms));
    let mut table = format!("{} requests; the slowest of them:\n", found.len());
    for one in found.iter().take(12) {
        let (status, ms) = (one.reply.status.as_u16(), one.ms);
        let AllocationInfo { count_total, bytes_total, bytes_max, .. } = one.taken;
        let _ = writeln!(
            table,
            "{ms:8.1} ms {status} {count_total:>9} allocations {bytes_total:>11} B, at once \
             {bytes_max:>10} B: {}",
            one.what
        );
    }
    println!("{table}");
    let problems: Vec<String> = found.iter().flat_map(Found::problems).collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

/// JSON of about so many bytes that asks for much, each of another kind.
fn hostile(bytes: usize) -> Vec<(&'static str, String)> {
    let list = |item: &dyn Fn(usize) -> String, each: usize| {
        let items: Vec<String> = (0..bytes / each).map(item).collect();
        items.join(",")
    };
    let many = |each: &str| each.repeat(bytes / each.len());
    vec![
        ("a long text", format!("\"{}\"", many("x"))),
        ("a text of dots", format!("\"{}\"", many("."))),
        ("many names", format!("[{}]", list(&|n| format!("\"n{n:05}\""), 9))),
        ("one name many times", format!("[{}]", list(&|_| "\"n\"".to_owned(), 4))),
        ("many wrong names", format!("[{}]", list(&|_| "\" \"".to_owned(), 4))),
        ("many numbers", format!("[{}]", list(&|_| "1".to_owned(), 2))),
        ("many objects", format!("[{}]", list(&|_| "{}".to_owned(), 3))),
        ("many fields", format!("{{{}}}", list(&|n| format!("\"f{n:05}\":\"x\""), 13))),
        ("one long name", format!("{{\"{}\":\"x\"}}", many("n"))),
        ("one name of dots", format!("{{\"{}\":\"x\"}}", many("."))),
        ("deep arrays", format!("{}{}", "[".repeat(bytes / 2), "]".repeat(bytes / 2))),
        ("deep objects", format!("{}1{}", "{\"a\":".repeat(bytes / 6), "}".repeat(bytes / 6))),
        ("a long number", many("9")),
        ("deep arrays without an end", many("[")),
    ]
}

/// With this field of an object set to some JSON.
fn with_field(good: &Value, field: &str, json: &str) -> Bytes {
    let mut text = String::from("{");
    for (name, value) in good.as_object().into_iter().flatten() {
        if name != field {
            let _ = write!(text, "{}:{value},", Value::from(name.as_str()));
        }
    }
    let _ = write!(text, "{}:{json}}}", Value::from(field));
    text.into()
}

/// The fields of what an operation takes.
fn fields(document: &Value, operation: &Value) -> Vec<String> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let name = schema["$ref"].as_str().and_then(|link| link.rsplit('/').next());
    let schema = name.map_or(schema, |name| &document["components"]["schemas"][name]);
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[test]
fn no_field_of_any_operation_takes_more_than_its_share_whatever_is_in_it() {
    /// Enough for what grows with the square to stand out by a factor of thousands.
    const BYTES: usize = 64 * 1024;
    let document = described(&std::collections::BTreeMap::new());
    let mut found = Vec::new();
    let hostile = hostile(BYTES);
    let bench = Bench::new();
    for route in routes() {
        let operation = &document["paths"][&route.path][route.method.to_lowercase()];
        let play = bench.stage.play(&route);
        for field in fields(&document, operation) {
            for (kind, json) in &hostile {
                let body = with_field(&play.body, &field, json);
                let what = format!("{} {field}: {kind}", route.id);
                found.push(bench.ask(what, &play.method, &play.path, body));
            }
        }
    }
    assert!(found.len() > 1_000, "{}", found.len());
    judge(found);
}

/// The most that a body may be.
const LARGEST: usize = MAX_BODY_BYTES - 1024;

#[test]
fn no_event_however_large_or_deep_takes_more_than_its_share() {
    let bench = Bench::new();
    let app = bench.stage.names["app_id"].clone();
    let good = json!({"eventType": "test.event", "payload": {}});
    let mut found = Vec::new();
    for field in ["payload", "channels", "tags", "transformationsParams", "application"] {
        for (kind, json) in hostile(LARGEST) {
            let (path, body) = (format!("/api/v1/app/{app}/msg"), with_field(&good, field, &json));
            found.push(bench.ask(format!("publish {field}: {kind}"), "POST", &path, body));
        }
    }
    judge(found);
}

#[test]
fn no_event_that_is_to_be_cut_takes_more_than_its_share() {
    let bench = Bench::new();
    let world = &bench.stage.world;
    let body = json!({"name": "Cut", "profile": "moneyhub"});
    let made = bench.runtime.block_on(world.call("POST", "/api/v1/app", body));
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/api/v1/app/{}/msg", text(&made.body["id"]));
    let kind = shared::store::Profiles::built_in();
    let kind = kind.known().find(|it| it.name == "moneyhub").unwrap().split.clone().unwrap();
    let split: String = kind.path.into();
    let (groups, items) = split.split_once("[].").unwrap();
    let mut found = Vec::new();
    for (what, json) in hostile(4 * 1024 * 1024 - 1024) {
        for payload in [
            json.clone(),
            format!("{{\"{groups}\":{json}}}"),
            format!("{{\"{groups}\":[{{\"{items}\":{json}}}]}}"),
        ] {
            let good = json!({"eventType": kind.types[0]});
            let body = with_field(&good, "payload", &payload);
            let place = payload.len() - json.len();
            found.push(bench.ask(format!("cut at {place}: {what}"), "POST", &path, body));
        }
    }
    judge(found);
}

#[test]
fn no_description_however_it_refers_takes_more_than_its_share() {
    let refer = |link: &str| format!("{{\"$ref\":\"{link}\"}}");
    let join = |count: usize, item: &dyn Fn(usize) -> String| {
        (0..count).map(item).collect::<Vec<String>>().join(",")
    };
    let spec = |schema: &str, rest: &str| {
        let media = format!("{{\"content\":{{\"application/json\":{{\"schema\":{schema}}}}}}}");
        format!("{{\"webhooks\":{{\"x\":{{\"post\":{{\"requestBody\":{media}}}}}}},{rest}}}")
    };
    let all = |links: &dyn Fn(usize) -> String, count: usize, rest: &str| {
        spec(&format!("{{\"anyOf\":[{}]}}", join(count, &|n| refer(&links(n)))), rest)
    };
    let many = 10_000;
    let same = join(many, &|n| format!("\"{n}\":{{\"s\":{{}}}}"));
    let chain = join(many, &|n| format!("\"{n}\":{}", refer(&format!("#/x/{}", n + 1))));
    let webhooks = join(500, &|n| format!("\"w{n}\":{}", refer("#/webhooks/w")));
    let definitions = join(many, &|n| format!("\"{n}\":{{}}"));
    let deep = format!("{}{{}}{}", "{\"items\":".repeat(60), "}".repeat(60));
    let specs = [
        (
            "definitions of one name",
            all(&|n| format!("#/x/{n}/s"), many, &format!("\"x\":{{{same}}}")),
        ),
        (
            "many definitions",
            all(&|n| format!("#/x/{n}"), many, &format!("\"x\":{{{definitions}}}")),
        ),
        ("a chain", spec(&refer("#/x/0"), &format!("\"x\":{{{chain}}}"))),
        ("chains", all(&|_| "#/x/1".to_owned(), many, &format!("\"x\":{{{chain}}}"))),
        ("a long reference", spec(&refer(&format!("#{}", "/x".repeat(LARGEST / 3))), "\"x\":1")),
        ("a reference of escapes", spec(&refer(&"%41~1".repeat(LARGEST / 6)), "\"x\":1")),
        (
            "webhooks that refer to one",
            format!(
                "{{\"webhooks\":{{\"w\":{{\"post\":{{\"description\":\"{}\"}}}},{webhooks}}}}}",
                "d".repeat(LARGEST / 2),
            ),
        ),
        (
            "a deep schema often",
            spec(&format!("{{\"anyOf\":[{}]}}", join(800, &|_| deep.clone())), "\"x\":1"),
        ),
        (
            "names without an end",
            format!("{{\"webhooks\":{{{}}}}}", join(40_000, &|n| format!("\"{n}\":{{}}"))),
        ),
        (
            "wrong names",
            format!(
                "{{\"webhooks\":{{{}}}}}",
                join(400, &|n| format!("\"{n} {}\":{{}}", ".".repeat(1_000)))
            ),
        ),
    ];
    let bench = Bench::new();
    let path = "/api/v1/event-type/import/openapi";
    let mut found = Vec::new();
    for (what, spec) in specs {
        assert!(spec.len() < LARGEST, "{what}: {}", spec.len());
        for dry in [true, false] {
            let body = format!("{{\"dryRun\":{dry},\"spec\":{spec}}}");
            found.push(bench.ask(format!("spec: {what}"), "POST", path, body.into()));
        }
        let raw = json!({"specRaw": spec}).to_string();
        if raw.len() < MAX_BODY_BYTES {
            found.push(bench.ask(format!("specRaw: {what}"), "POST", path, raw.into()));
        }
    }
    for (kind, json) in hostile(LARGEST / 2) {
        let body = json!({"specRaw": json}).to_string();
        found.push(bench.ask(format!("specRaw: {kind}"), "POST", path, body.into()));
        let body = format!("{{\"spec\":{}}}", spec(&json, "\"x\":1"));
        found.push(bench.ask(format!("schema: {kind}"), "POST", path, body.into()));
    }
    judge(found);
}

#[test]
fn no_webhook_of_another_system_takes_more_than_its_share() {
    let bench = Bench::new();
    let world = &bench.stage.world;
    let pointer = "/a".repeat(127);
    let body = json!({
        "name": "S", "type": "generic-webhook", "app": bench.stage.names["app_id"],
        "verification": {"scheme": "none"},
        "eventType": {"pointer": pointer}, "eventId": {"pointer": pointer},
    });
    let made = bench.runtime.block_on(world.call("POST", "/ingest/api/v1/source", body));
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/in/{}", text(&made.body["id"]));
    let mut found = Vec::new();
    for (kind, json) in hostile(LARGEST) {
        let body = with_field(&json!({"type": "t"}), "a", &json);
        found.push(bench.ask(format!("webhook: {kind}"), "POST", &path, body));
    }
    judge(found);
}

#[test]
fn no_profile_takes_more_than_its_share() {
    let bench = Bench::new();
    let mut found = Vec::new();
    for bytes in [128 * 1024, LARGEST / 2] {
        for piece in
            ["a.", "[a.", "[[a]]\n", "a=[", "a={", "x=1\n", "\"\\u0041", "[a]\n", "#\n", "é"]
        {
            for before in ["", "name = \"small\"\ntitle = \"Small\"\n", "a="] {
                let toml = format!("{before}{}", piece.repeat((bytes - 64) / piece.len()));
                let body = json!({"toml": toml}).to_string();
                let what = format!("profile of {bytes}: {before:.4} {piece}");
                found.push(bench.ask(what, "PUT", "/api/v1/profile/small", body.into()));
            }
        }
    }
    judge(found);
}

/// The most that the local server takes of a line; API Gateway takes 10 KiB of all.
const LONGEST_LINE: usize = 50 * 1024;

#[test]
fn no_path_query_or_header_takes_more_than_its_share() {
    let bench = Bench::new();
    let app = &bench.stage.names["app_id"];
    let mut found = Vec::new();
    let mut get = |what: &str, path: String| {
        let body = Bytes::from(vec![b'x'; LONGEST_LINE]);
        found.push(bench.ask(what.to_owned(), "GET", &path, body));
    };
    let line = |piece: &str| piece.repeat(LONGEST_LINE / piece.len());
    get("a path of segments", format!("/api/v1/app{}", line("/a")));
    get("a path of slashes", line("/"));
    get("an encoded path", format!("/api/v1/app/{}", line("%41")));
    get("a path of half escapes", format!("/api/v1/app/{}", line("%")));
    for list in ["msg", "endpoint", "attempt/msg/x", "stats"] {
        let list = format!("/api/v1/app/{app}/{list}?");
        get("event types", format!("{list}event_types={}", line("a,")));
        get("event types, each", format!("{list}{}", line("event_types%5B%5D=a&")));
        get("parameters", format!("{list}{}", line("a&")));
        get("a limit", format!("{list}limit={}", line("9")));
        get("an iterator", format!("{list}iterator={}", line("-")));
        get("an order", format!("{list}order={}", line("%FF")));
        get("a moment", format!("{list}after={}", line("2")));
        get("a flag", format!("{list}with_content={}", line("x")));
    }
    judge(found);
}
