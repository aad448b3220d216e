//! What the commands answer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::{Going, Place, help, posthorn};

#[test]
fn every_command_answers_programs_in_json() {
    let place = Place::new("json");
    let (listener, ready) = place.listen(&[]);
    let endpoint = ready["endpoint"].as_str().unwrap();
    let sent = place.json(&["send", "--event-id", "one"]);
    let message = sent["message"]["id"].as_str().unwrap();
    let delivered = listener.json();
    assert_eq!(delivered["id"], message);
    let mut tail = place.begin(&["tail", "--json", "--from-start", "-n", "1"]);
    assert_eq!(tail.json()["eventType"], "order.paid");
    assert!(tail.child.wait().unwrap().success());
    // The platform says it after it is on record.
    assert_eq!(place.platform.json()["message"], message);
    let attempts = place.json(&["attempt", "list", "--message", message]);
    let attempt = attempts[0]["id"].as_str().unwrap();
    place.json(&["event-type", "create", "kind.b"]);
    let example = json!({"name": "kind.c", "description": "",
        "schemas": {"1": {"type": "object", "examples": [{"order": "1001"}]}}});
    place.json(&["api", "POST", "/event-type", &example.to_string()]);

    let mut asked = BTreeSet::new();
    let mut ask = |arguments: &[&str], what: &str| {
        asked.insert(command(arguments));
        let answer = place.json(arguments);
        assert!(!answer.pointer(what).unwrap_or(&Value::Null).is_null(), "{arguments:?}: {answer}");
    };
    ask(&["app", "create", "Acme", "--uid", "acme"], "/id");
    ask(&["app", "get", "acme"], "/name");
    ask(&["app", "list"], "/1/id");
    ask(&["endpoint", "list"], "/0/url");
    ask(&["endpoint", "get", endpoint], "/url");
    ask(&["endpoint", "secret", endpoint], "/key");
    ask(&["endpoint", "create", "http://127.0.0.1:9/hook", "--app", "acme"], "/id");
    ask(&["endpoint", "disable", endpoint], "/disabled");
    ask(&["endpoint", "enable", endpoint], "/disabled");
    ask(&["endpoint", "recover", endpoint], "/status");
    ask(&["message", "list"], "/0/id");
    ask(&["message", "get", message], "/payload");
    ask(&["attempt", "list", "--endpoint", endpoint], "/0/id");
    ask(&["attempt", "get", message, attempt], "/responseStatusCode");
    ask(&["event-type", "list"], "/0/name");
    ask(&["event-type", "get", "kind.b"], "/name");
    ask(&["event-type", "create", "kind.a"], "/name");
    ask(&["event-type", "delete", "kind.a"], "/deleted");
    ask(&["send"], "/message/id");
    ask(&["trigger", "kind.c"], "/message/payload/order");
    ask(&["inspect", message], "/message/id");
    ask(&["resend", message, "--endpoint", endpoint], "/endpoints/0");
    ask(&["status"], "/process/queued");
    ask(&["api", "GET", "/app"], "/data");
    ask(&["portal"], "/url");
    ask(&["console"], "/url");
    ask(&["token"], "/token");
    ask(&["cost"], "/usd");
    ask(&["bench", "-n", "20", "-c", "2"], "/deliveries");
    ask(&["simulate", "--list"], "/0/name");
    ask(&["demo"], "/verified");
    ask(&["endpoint", "delete", endpoint], "/deleted");
    ask(&["app", "delete", "acme"], "/deleted");
    // Asked above, or in tests of their own: `up`, `listen`, `tail` say a line for each event,
    // `doctor` one for each part of a stack. What `completions` prints is for shells.
    for other in ["up", "listen", "tail", "doctor", "completions", "root-secret"] {
        asked.insert(other.to_owned());
    }
    let all: BTreeSet<String> = help::commands().iter().map(|words| words.join(" ")).collect();
    assert_eq!(asked, all);
}

/// The words of a command that name it.
fn command(arguments: &[&str]) -> String {
    let nouns = ["app", "endpoint", "message", "attempt", "event-type"];
    let words = if nouns.contains(&arguments[0]) { 2 } else { 1 };
    arguments[..words].join(" ")
}

#[test]
fn a_typo_in_an_applications_name_makes_none_and_is_told_what_was_meant() {
    let place = Place::new("typo");
    place.json(&["app", "create", "Acme", "--uid", "acme"]);
    for command in ["send", "portal", "listen", "tail"] {
        let complaint = place.complains(&[command, "--app", "acm"]);
        assert!(complaint.contains("no application `acm`; did you mean `acme`?"), "{complaint}");
    }
    assert_eq!(place.json(&["app", "list"]).as_array().unwrap().len(), 1);
    let complaint = place.complains(&["trigger", "order.pay"]);
    assert!(complaint.contains("no event type `order.pay`"), "{complaint}");
}

/// Whichever command shows a message shows its payload as it was written.
fn assert_shown(place: &Place, id: &str, payload: &str) {
    let path = format!("/app/local/msg/{id}");
    for get in [
        &["message", "get", id][..],
        &["message", "get", id, "--json"],
        &["api", "GET", &path, "--json"],
    ] {
        assert!(place.says(get).contains(payload), "{get:?}: {}", place.says(get));
    }
}

#[test]
fn what_no_value_can_hold_is_published_and_shown_as_it_came() {
    let place = Place::new("unheld");
    let payload = r#"{"a":"\ud800"}"#;
    let said = place.says(&["send", payload]);
    let id = said.split_whitespace().find(|word| word.starts_with("msg_")).unwrap().to_owned();
    let path = format!("/app/local/msg/{id}");
    assert_shown(&place, &id, payload);
    assert!(place.says(&["api", "GET", &path]).contains("    \"a\": \"\\ud800\"\n"));
}

#[test]
fn a_payload_and_a_schema_are_shown_with_every_digit_and_their_fields_in_order() {
    let place = Place::new("digits");
    let payload = r#"{"z":12345678901234567890123,"b":1.10,"a":[],"c":1e999,"é":{"x":"\"{,:"}}"#;
    let sent = place.says(&["send", payload, "--json"]);
    assert!(sent.contains(&format!(r#""payload":{payload}"#)), "{sent}");
    let id = serde_json::from_str::<Sent>(&sent).unwrap().message.id;
    let path = format!("/app/local/msg/{id}");
    assert_shown(&place, &id, payload);
    let pretty = place.says(&["api", "GET", &path]);
    let lines = r#"  "payload": {
    "z": 12345678901234567890123,
    "b": 1.10,
    "a": [],
    "c": 1e999,
    "é": {
      "x": "\"{,:"
    }
  }"#;
    assert!(pretty.contains(lines), "{pretty}");

    let schema = r#"{"maximum":12345678901234567890123}"#;
    let body = format!(r#"{{"name": "big", "description": "", "schemas": {{"1": {schema}}}}}"#);
    for said in [
        place.says(&["api", "POST", "/event-type", &body, "--json"]),
        place.says(&["event-type", "get", "big"]),
        place.says(&["event-type", "get", "big", "--json"]),
    ] {
        assert!(said.contains(schema), "{said}");
    }
}

#[derive(serde::Deserialize)]
struct Sent {
    message: Named,
}

#[derive(serde::Deserialize)]
struct Named {
    id: String,
}

#[test]
fn an_example_is_that_of_the_latest_version_or_of_the_profile() {
    let place = Place::new("examples");
    let schema = |version: u32| json!({"type": "object", "examples": [{"v": version}]});
    let body = json!({"name": "a.b", "description": "", "schemas": {
        "2": schema(2), "9": schema(9), "10": schema(10), "11": {"type": "object"}}});
    place.json(&["api", "POST", "/event-type", &body.to_string()]);
    assert_eq!(place.json(&["trigger", "a.b"])["message"]["payload"], json!({"v": 10}));
    place.json(&["app", "create", "dots", "--uid", "dots", "--profile", "dots"]);
    let sent = place.json(&["trigger", "app.updated", "--app", "dots"]);
    assert!(sent["message"]["payload"].is_object(), "{sent}");
}

#[test]
fn a_token_for_an_application_at_a_url_is_a_customers_and_publishes_nothing() {
    let place = Place::new("customers");
    place.json(&["app", "create", "Acme", "--uid", "acme"]);
    let token = place.says(&["token"]);
    let named = ["--url", place.url.as_str(), "--token", token.trim()];
    let customers = place.says(&[&["token", "--app", "acme"][..], &named].concat());
    let theirs = ["--url", place.url.as_str(), "--token", customers.trim()];
    let complaint = place.complains(&[&["send", "--app", "acme", "{}"][..], &theirs].concat());
    assert!(complaint.contains("403"), "{complaint}");
    let id = place.json(&["app", "list"])[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/app/{id}/endpoint");
    place.json(&[&["api", "GET", &path][..], &theirs].concat());
}

#[test]
fn what_is_sent_says_for_whom_it_is_and_for_whom_not() {
    let place = Place::new("meant");
    let said = place.says(&["send"]);
    assert!(said.contains("meant for 0 of 0 endpoints"), "{said}");
    assert!(said.contains("posthorn listen` registers an endpoint"), "{said}");
    for name in ["order.paid", "order.sent"] {
        place.json(&["event-type", "create", name]);
    }
    let create = |url: &str, more: &[&str]| {
        place.json(&[&["endpoint", "create", url], more].concat())["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    create("http://127.0.0.1:9/all", &[]);
    create("http://127.0.0.1:9/sent", &["--types", "order.sent"]);
    let off = create("http://127.0.0.1:9/off", &[]);
    place.says(&["endpoint", "disable", &off]);
    let said = place.says(&["send", "--type", "order.paid"]);
    assert!(said.contains("meant for 1 of 3 endpoints"), "{said}");
    assert!(said.contains("\n  to http://127.0.0.1:9/all"), "{said}");
    assert!(said.contains("\n  not to http://127.0.0.1:9/sent"), "{said}");
    assert!(said.contains("\n  not to http://127.0.0.1:9/off"), "{said}");
    let complaint = place.complains(&["send", "notjson"]);
    assert!(complaint.contains("the payload is not JSON"), "{complaint}");
    let complaint = place.complains(&["send", "--type", "no spaces"]);
    assert!(complaint.contains("eventType: "), "{complaint}");
    assert!(!complaint.contains('{'), "{complaint}");
}

#[test]
fn recovering_says_how_much_that_was_and_when_it_was_nothing() {
    let place = Place::new("recover");
    let (listener, ready) = place.listen(&["--status", "410"]);
    let endpoint = ready["endpoint"].as_str().unwrap();
    let said = place.says(&["endpoint", "recover", endpoint]);
    assert!(said.contains("nothing is sent"), "{said}");
    place.json(&["send"]);
    listener.line();
    assert_eq!(place.platform.json()["givenUp"], "gone");
    // It is told when it is on record, and disabled right after.
    while place.json(&["endpoint", "get", endpoint])["disabled"] == json!(false) {}
    place.says(&["endpoint", "enable", endpoint]);
    let said = place.says(&["endpoint", "recover", endpoint, "--since", "1h"]);
    assert!(said.contains("1 message is attempted again"), "{said}");
}

#[test]
fn event_types_are_listed_as_people_count() {
    let place = Place::new("counted");
    for name in ["type_10", "type_2", "type_1", "a.b"] {
        place.json(&["event-type", "create", name]);
    }
    let listed = place.json(&["event-type", "list"]);
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a.b", "type_1", "type_2", "type_10"]);
}

#[test]
fn another_posthorn_is_reached_by_url_and_token() {
    let place = Place::new("reached");
    let token = place.json(&["token", "--expires", "1h"])["token"].as_str().unwrap().to_owned();
    let elsewhere = place.directory.join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let says = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = posthorn(&elsewhere, arguments);
        command.envs(variables.iter().copied());
        let ran = command.output().unwrap();
        let all = [ran.stdout, ran.stderr].concat();
        (ran.status.success(), String::from_utf8(all).unwrap())
    };
    let (_, missing) = says(&["app", "list"], &[]);
    assert!(missing.contains("no Posthorn is running on .posthorn: start one with"), "{missing}");
    let (_, tokenless) = says(&["app", "list", "--url", &place.url], &[]);
    assert!(tokenless.contains("POSTHORN_TOKEN"), "{tokenless}");
    assert!(says(&["send", "--url", &place.url, "--token", &token], &[]).0);
    let variables = [("POSTHORN_URL", place.url.as_str()), ("POSTHORN_TOKEN", token.as_str())];
    let (ok, listed) = says(&["message", "list"], &variables);
    assert!(ok && listed.contains("order.paid"), "{listed}");
    let (ok, made) = says(&["token", "--expires", "1h", "--scope", "read"], &variables);
    assert!(ok, "{made}");
    // What is typed goes before what the environment says.
    let (ok, listed) = says(
        &["message", "list", "--data", place.directory.join(".posthorn").to_str().unwrap()],
        &[("POSTHORN_URL", "http://127.0.0.1:9"), ("POSTHORN_TOKEN", token.as_str())],
    );
    assert!(ok && listed.contains("order.paid"), "{listed}");
    // What to type next is for the same one. The token is nothing to show.
    let (_, sent) = says(&["send", "--url", &place.url, "--token", &token], &[]);
    assert!(sent.contains(&format!(" listen --url {}`", place.url)), "{sent}");
    let (ok, refused) = says(&["bench", "--url", &place.url], &[]);
    assert!(!ok && refused.contains("works on this machine alone"), "{refused}");
}

#[test]
fn a_token_says_for_how_long_it_opens_what() {
    let place = Place::new("token");
    let ran = place.run(&["token"]);
    let told = String::from_utf8(ran.stderr).unwrap();
    assert!(told.contains("everything of the organisation until 20"), "{told}");
    assert!(told.contains("token --expires 1h"), "{told}");
    assert_eq!(String::from_utf8(ran.stdout).unwrap().lines().count(), 1);
    let read = place.run(&["token", "--app", "acme", "--scope", "read"]);
    let told = String::from_utf8(read.stderr).unwrap();
    assert!(!read.status.success() && told.contains("acme"), "{told}");
    place.says(&["app", "create", "Acme", "--uid", "acme"]);
    let told = |arguments: &[&str]| String::from_utf8(place.run(arguments).stderr).unwrap();
    let of_acme = told(&["token", "--app", "acme", "--scope", "publish"]);
    assert!(of_acme.contains("publishes to acme until 20"), "{of_acme}");
    let shorter = "token --app acme --scope publish --expires 1h";
    assert!(of_acme.contains(shorter), "what is advised opens no more: {of_acme}");
    let reading = told(&["token", "--scope", "read"]);
    assert!(reading.contains("reads everything of the organisation until 20"), "{reading}");
    assert!(reading.contains("token --scope read --expires 1h"), "{reading}");
    let short = place.json(&["token", "--expires", "1h"]);
    let long = place.json(&["token"]);
    assert!(short["expiresAt"].as_str() < long["expiresAt"].as_str());
}

#[test]
fn a_command_with_a_misspelt_directory_makes_none() {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join("misspelt");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).unwrap();
    for arguments in [
        &["token"][..],
        &["token", "--app", "acme"],
        &["root-secret", "show"],
        &["root-secret", "rotate"],
        &["root-secret", "retire"],
        &["root-secret", "reseal"],
        &["send"],
        &["status"],
        &["tail"],
        &["listen"],
        &["portal"],
        &["app", "create", "Acme"],
    ] {
        let ran =
            posthorn(&place, &[arguments, &["--data", "misspelt"]].concat()).output().unwrap();
        let complaint = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success(), "{arguments:?}");
        assert!(complaint.contains("misspelt"), "{arguments:?}: {complaint}");
        assert!(!place.join("misspelt").exists(), "{arguments:?} made it");
    }
}

#[test]
fn hints_are_spelled_as_the_program_was_started() {
    let place = Place::new("hints");
    let installed = place.says(&["send"]);
    assert!(!installed.contains("cargo"), "{installed}");
    let mut command = posthorn(&place.directory, &["send"]);
    let by_cargo = command.env("CARGO", "cargo").output().unwrap().stdout;
    let by_cargo = String::from_utf8(by_cargo).unwrap();
    assert!(by_cargo.contains("`cargo run -- listen`"), "{by_cargo}");
}

#[test]
fn a_demonstration_that_is_kept_leaves_a_portal_full_of_it() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
    std::fs::create_dir_all(&directory).unwrap();
    let mut demo = Going::start(posthorn(&directory, &["demo", "--keep", "--json"]));
    let told = demo.json();
    let data = told["data"].as_str().unwrap();
    assert!(told["console"].as_str().unwrap().contains("/console#key="), "{told}");
    let links: BTreeMap<&str, &str> = told["portals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["app"].as_str().unwrap(), one["url"].as_str().unwrap()))
        .collect();
    assert!(links.values().all(|link| link.contains("/portal#key=")), "{told}");
    let listed = posthorn(&directory, &["app", "list", "--data", data, "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let customers: BTreeSet<&str> =
        listed.as_array().unwrap().iter().map(|app| app["uid"].as_str().unwrap()).collect();
    assert_eq!(links.keys().copied().collect::<BTreeSet<_>>(), customers, "a link to each");
    assert_eq!(links.values().collect::<BTreeSet<_>>().len(), customers.len());
    let arguments = ["message", "list", "--app", "client-of-four", "--data", data, "--json"];
    let listed = posthorn(&directory, &arguments).output().unwrap().stdout;
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!(listed[0]["eventType"], "payout.updated");
    assert!(demo.end("-TERM"));
    assert!(!std::path::Path::new(data).exists());
}

#[test]
fn a_demonstration_is_kept_in_the_directory_that_was_named_and_given_once_there() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join("shown");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let demo = ["demo", "--keep", "--data", "kept"];
    let mut going = Going::start(posthorn(&directory, &demo));
    let mut links = 0;
    // The last thing that is said before it waits.
    loop {
        let line = going.line();
        links += usize::from(line.contains("/portal#key="));
        if line.contains("--data kept") {
            break;
        }
    }
    assert_eq!(links, 5, "a link to each customer");
    assert!(going.end("-TERM"));
    assert!(directory.join("kept").join("root-secret").exists());
    let again = posthorn(&directory, &demo).output().unwrap();
    let complaint = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success());
    assert!(complaint.contains("kept has the customer dots already"), "{complaint}");
    assert!(complaint.contains(" up --data kept`"), "{complaint}");
}

#[test]
fn inspecting_a_message_shows_what_is_kept_of_the_headers_of_an_answer() {
    let place = Place::new("inspect");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let answered = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut part = [0; 64 * 1024];
        assert!(stream.read(&mut part).unwrap() > 0);
        let head = "HTTP/1.1 503 No\r\nRetry-After: 7\r\nset-cookie: sid=1\r\n";
        stream
            .write_all(format!("{head}x-b: \u{9b}2J\r\ncontent-length: 0\r\n\r\n").as_bytes())
            .unwrap();
    });
    place.json(&["endpoint", "create", &url]);
    let sent = place.json(&["send"]);
    assert_eq!(place.platform.json()["status"], 503);
    answered.join().unwrap();
    let message = sent["message"]["id"].as_str().unwrap();
    let said = place.says(&["inspect", message]);
    assert!(said.contains("\n      retry-after: 7\n      x-b: \\u{9b}2J\n"), "{said}");
    assert!(!said.contains("sid="), "{said}");
}

#[test]
fn a_message_is_found_by_its_id_whosever_it_is_and_nothing_is_made_to_look_for_it() {
    let place = Place::new("whose");
    place.json(&["app", "create", "Acme", "--uid", "acme"]);
    let sent = place.json(&["send", "--app", "acme"]);
    let message = sent["message"]["id"].as_str().unwrap();
    assert!(place.says(&["inspect", message]).starts_with(message));
    let inspected = place.json(&["inspect", message]);
    assert_eq!(inspected["message"]["id"], message);
    let apps = place.json(&["app", "list"]);
    assert_eq!(apps.as_array().map(Vec::len), Some(1), "{apps}");
}
