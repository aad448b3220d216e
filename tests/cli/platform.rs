//! `posthorn up`: what it says while it runs.

use std::io::{Read, Write};
use std::time::Duration;

use dispatch::Next;
use serde_json::json;
use shared::domain::attempt::Attempt;
use shared::host::config::variable;

use super::Place;
use crate::narrator;
use crate::output::Paint;
use crate::variables;

#[test]
fn each_delivery_is_told_in_json_to_whatever_is_no_terminal() {
    let place = Place::new("told");
    let (listener, _) = place.listen(&["--status", "500"]);
    place.json(&["send"]);
    listener.line();
    let told = place.platform.json();
    assert_eq!(told["eventType"], "order.paid");
    assert_eq!((&told["status"], &told["ok"]), (&json!(500), &json!(false)));
    // 5 s, 20% more or less.
    assert!((4..=6).contains(&told["againInSeconds"].as_u64().unwrap()), "{told}");
}

#[test]
fn nothing_that_opens_anything_is_written_where_the_platform_starts() {
    let place = Place::new("tokenless");
    let log = place.directory.join("log");
    let mut command =
        super::posthorn(&place.directory, &["up", "--addr", "127.0.0.1:0", "--data", "another"]);
    command.stderr(std::fs::File::create(&log).unwrap()).env("POSTHORN_LOG", "info");
    let mut second = super::Going::start(command);
    let told = second.line();
    assert!(!told.contains("eyJ"), "{told}");
    assert!(second.end("-TERM"), "it ends in peace when it is asked to");
    // Where nobody looks there are no colours.
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!told.contains('\u{1b}') && !log.contains('\u{1b}'), "{told}{log}");
}

#[test]
fn at_a_terminal_a_delivery_is_one_coloured_line() {
    let attempt: Attempt = serde_json::from_value(json!({
        "id": "atmpt_2xmplWq7RbT4nKc9LsVd1HgYz3F", "msg": "msg_2xmplWq7RbT4nKc9LsVd1HgYz3F",
        "app": "app_2xmplWq7RbT4nKc9LsVd1HgYz3F", "ep": "ep_2xmplWq7RbT4nKc9LsVd1HgYz3F",
        "turn": {"scheduled": 1}, "at": 1_795_662_921_874_u64, "url": "https://a.example/\n\u{1b}[2J",
        "ok": false, "status": 500, "ms": 1, "response": "", "eventType": "order.paid",
    }))
    .unwrap();
    let told = narrator::told(&attempt, Next::Retry(attempt.at.plus_ms(5_001)));
    let plain = narrator::sentence(&told, Paint::new(false));
    assert_eq!(
        plain,
        "03:15:21  order.paid  -> https://a.example/ \\u{1b}[2J  500  1 ms  again in 5 s"
    );
    let coloured = narrator::sentence(&told, Paint::new(true));
    assert!(coloured.contains("\u{1b}[31m500\u{1b}[0m"), "{coloured:?}");
    let told = narrator::told(&attempt, Next::GivenUp("gone"));
    assert!(narrator::sentence(&told, Paint::new(false)).ends_with("1 ms  given up: gone"));
}

#[test]
fn a_variable_that_is_misspelt_is_told_with_the_one_that_was_meant() {
    let names = [
        "POSTHORN_PAYLOAD_RETENTION_DAY",
        "POSTHORN_REFUSED_TARGET",
        "POSTHORN_MAX_ENDPOINTS",
        "POSTHORN_STAGE",
        "POSTHORN_ROOT_SECRET",
        "POSTHORN_TOKEN",
        "POSTHORN_ZZZ",
        "PATH",
    ];
    assert_eq!(
        variables::unheard(names.map(str::to_owned)),
        [
            "POSTHORN_PAYLOAD_RETENTION_DAY means nothing to Posthorn; did you mean \
             POSTHORN_PAYLOAD_RETENTION_DAYS?",
            "POSTHORN_REFUSED_TARGET means nothing to Posthorn; did you mean \
             POSTHORN_REFUSED_TARGETS?",
            "POSTHORN_ZZZ means nothing to Posthorn",
            "For the functions on AWS, not for `up`: POSTHORN_STAGE, POSTHORN_ROOT_SECRET",
        ]
    );
}

#[test]
fn every_variable_that_is_documented_is_known() {
    let source = std::fs::read_to_string("shared/src/host/config.rs").unwrap();
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `POSTHORN_"));
    let documented: Vec<String> =
        rows.map(|row| format!("POSTHORN_{}", row.split('`').next().unwrap())).collect();
    assert_eq!(documented.len(), 22, "{documented:?}");
    let told = variables::unheard(documented);
    assert!(told.iter().all(|told| told.starts_with("For the functions on AWS")), "{told:?}");
}

#[test]
fn what_up_leaves_to_the_functions_it_does_not_ask_for() {
    let platform = include_str!("../../functions/local/platform.rs");
    let asked_for = [
        (".organisation()", variable::ORGANISATION),
        (".fair_queues()", variable::FAIR_QUEUES),
        (".stage()", variable::STAGE),
        (".always_lease()", variable::FIRST_LEASE),
        (".target_policy()", variable::ALLOW_HTTP),
        (".root_secret()", variable::ROOT_SECRET),
        (".profile()", variable::PROFILE),
        (".retention_days()", variable::RETENTION_DAYS),
        (".publish_url()", variable::PUBLISH_URL),
        (".portal_frames()", variable::PORTAL_FRAMES),
        (".portal_link_s()", variable::PORTAL_LINK_DAYS),
        (".max_endpoints()", variable::MAX_ENDPOINTS),
        (".auto_disable()", variable::AUTO_DISABLE),
        (".taken_answer_bytes()", variable::TAKEN_ANSWER_BYTES),
        (".local_target_policy()", variable::REFUSED_TARGETS),
    ];
    for (call, name) in asked_for {
        let is_told = !variables::unheard([name.to_owned()]).is_empty();
        assert_ne!(platform.contains(call), is_told, "{name}");
    }
}

#[test]
fn the_platform_tells_of_a_variable_that_it_does_not_know_and_starts() {
    let place = Place::new("misspelt");
    let log = place.directory.join("log");
    let mut command =
        super::posthorn(&place.directory, &["up", "--addr", "127.0.0.1:0", "--data", "another"]);
    command
        .stderr(std::fs::File::create(&log).unwrap())
        .env("POSTHORN_PROFILES", "dots")
        .env("POSTHORN_LOG", "dispatch=loud");
    let mut second = super::Going::start(command);
    second.json();
    assert!(second.end("-TERM"));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("POSTHORN_PROFILES means nothing to Posthorn; did you mean POSTHORN_PROFILE?"),
        "{log}"
    );
    assert!(log.contains("POSTHORN_LOG: ") && log.contains("only warnings are logged"), "{log}");
}

#[test]
fn the_platform_does_not_start_with_a_variable_that_says_what_it_cannot() {
    let place = Place::new("unsayable");
    let arguments = ["up", "--addr", "127.0.0.1:0", "--data", "another"];
    let mut command = super::posthorn(&place.directory, &arguments);
    let refused = command.env("POSTHORN_AUTO_DISABLE", "no").output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    let rule = "POSTHORN_AUTO_DISABLE: must be `after-five-days` or `never`, not no";
    assert!(!refused.status.success() && told.contains(rule), "{told}");
}

#[test]
fn a_key_is_taken_out_when_everything_opens_without_it() {
    let mut place = Place::new("retired");
    let (listener, _) = place.listen(&[]);
    // The hint names the platform that was named.
    let rotated = place.says(&["root-secret", "rotate", "--data", ".posthorn"]);
    assert!(rotated.contains("root-secret reseal --data .posthorn"), "{rotated}");
    // It knows the key of before.
    let complaint = place.complains(&["status"]);
    assert!(complaint.contains("started before its root secret was changed"), "{complaint}");
    let keys = place.json(&["root-secret", "show"])["keys"].clone();
    assert_eq!((&keys[0]["inUse"], &keys[1]["inUse"]), (&true.into(), &false.into()), "{keys}");
    assert!(place.platform.end("-TERM"));
    // Nobody has sealed anything anew before.
    let retired = place.says(&["root-secret", "retire"]);
    assert!(retired.contains("opened by no key: 0"), "{retired}");
    assert_eq!(place.says(&["root-secret", "show"]).lines().count(), 1);
    place.start_again();
    let sent = place.json(&["send"]);
    assert_eq!(listener.json()["id"], sent["message"]["id"]);
}

#[test]
fn a_profile_whose_file_is_gone_is_named_to_whoever_needs_it() {
    let place = Place::new("gone");
    let profiles = place.directory.join("profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    std::fs::write(profiles.join("mine.toml"), "name = \"mine\"\ntitle = \"Mine\"\n").unwrap();
    let up = ["up", "--addr", "127.0.0.1:0", "--data", "own"];
    let start = |more: &[&str]| {
        let going =
            super::Going::start(super::posthorn(&place.directory, &[&up[..], more].concat()));
        going.json();
        going
    };
    let run = |arguments: &[&str]| {
        let arguments = [arguments, &["--data", "own"]].concat();
        let ran = super::posthorn(&place.directory, &arguments).output().unwrap();
        (ran.status.success(), String::from_utf8(ran.stderr).unwrap())
    };
    let mut first = start(&["--profiles", "profiles"]);
    let (ok, told) = run(&["app", "create", "Acme", "--uid", "acme", "--profile", "mine"]);
    assert!(ok, "{told}");
    assert!(first.end("-TERM"));
    let mut second = start(&[]);
    let (ok, told) = run(&["send", "--app", "acme", "{}"]);
    assert!(!ok && told.contains("There is no profile `mine`, which applies here"), "{told}");
    let (ok, told) = run(&["api", "PATCH", "/app/acme", "{\"profile\": \"svix\"}"]);
    assert!(ok, "{told}");
    let (ok, told) = run(&["send", "--app", "acme", "{}"]);
    assert!(ok, "{told}");
    assert!(second.end("-TERM"));
}

#[test]
fn a_profile_in_a_file_that_could_not_be_stored_is_refused_at_the_start() {
    let place = Place::new("refused");
    let profiles = place.directory.join("profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    let refused = |name: &str, more: &str| {
        let file = profiles.join(format!("{name}.toml"));
        std::fs::write(&file, format!("name = \"{name}\"\ntitle = \"T\"\n{more}")).unwrap();
        let up = ["up", "--addr", "127.0.0.1:0", "--data", "own", "--profiles", "profiles"];
        let ran = super::posthorn(&place.directory, &up).output().unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(!ran.status.success());
        String::from_utf8(ran.stderr).unwrap()
    };
    let told = refused("dots", "");
    assert!(told.contains("dots.toml: `dots` comes with Posthorn: choose another name"), "{told}");
    let event = "[[event]]\ntype = \"a\"\ndescription = \"A.\"\nschema = '[]'\nexample = '1'\n";
    let told = refused("mine", event);
    assert!(told.contains("mine.toml: event `a`: schemas.1: must be a JSON Schema"), "{told}");
}

#[test]
fn what_a_caller_changed_who_hung_up_is_what_others_are_shown() {
    let place = Place::new("hung-up");
    place.says(&["app", "create", "Acme", "--uid", "acme"]);
    for uid in ["hook", "other"] {
        let endpoint = format!(r#"{{"url": "http://127.0.0.1:9/hook", "uid": "{uid}"}}"#);
        place.json(&["api", "POST", "/app/acme/endpoint", &endpoint]);
    }
    let token = place.says(&["token"]);
    let addr = std::fs::read_to_string(place.directory.join(".posthorn/address")).unwrap();
    let ask = |uid: &str, method: &str, body: &str| {
        let mut stream = std::net::TcpStream::connect(addr.trim()).unwrap();
        let head = format!("{method} /api/v1/app/acme/endpoint/{uid} HTTP/1.1\r\nhost: x\r\n");
        let token = format!("authorization: Bearer {}\r\nconnection: close\r\n", token.trim());
        let length = body.len();
        write!(stream, "{head}{token}content-length: {length}\r\n\r\n{body}").unwrap();
        stream
    };
    let description = |mut stream: std::net::TcpStream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let endpoint: serde_json::Value = serde_json::from_str(body).unwrap();
        endpoint["description"].clone()
    };
    for n in 0..100 {
        description(ask("hook", "GET", ""));
        let gone = ask("hook", "PATCH", &format!(r#"{{"description": "{n}"}}"#));
        // Some of them are gone before the change is stored, some after.
        std::thread::sleep(Duration::from_micros(200 * (n % 20)));
        drop(gone);
        std::thread::sleep(Duration::from_millis(20));
        // What was begun before another change is stored when that is.
        description(ask("other", "PATCH", &format!(r#"{{"description": "{n}"}}"#)));
        let shown = description(ask("hook", "GET", ""));
        // A change reads what is stored.
        assert_eq!(shown, description(ask("hook", "PATCH", "{}")), "{n}");
    }
}

#[test]
fn a_source_takes_long_webhooks_at_an_address_that_was_replaced_and_no_stranger_more_than_it_takes()
{
    let place = Place::new("long");
    place.says(&["app", "create", "Acme", "--uid", "acme"]);
    let source = r#"{"name": "s", "type": "generic-webhook", "app": "acme", "verification": {"scheme": "none"}}"#;
    let made = place.json(&["api", "POST", "/ingest/api/v1/source", source]);
    let id = made["id"].as_str().unwrap();
    let rotated = format!("/ingest/api/v1/source/{id}/token/rotate");
    let replaced = place.json(&["api", "POST", &rotated]);
    let addresses = [&made, &replaced].map(|it| it["ingestUrl"].as_str().unwrap().to_owned());
    assert_ne!(addresses[0], addresses[1]);
    let post = |path: &str, length: usize, headers: &str| {
        let addr = std::fs::read_to_string(place.directory.join(".posthorn/address")).unwrap();
        let mut stream = std::net::TcpStream::connect(addr.trim()).unwrap();
        let body = format!("{{\"n\": \"{}\"}}", "x".repeat(length - 9));
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}");
        write!(stream, "{head}content-length: {length}\r\n\r\n").unwrap();
        // It may be refused before it is sent.
        let _ = stream.write_all(body.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    for address in &addresses {
        let path = &address[address.find("/in/").unwrap()..];
        assert_eq!(post(path, 70_000, ""), "202", "{address}");
        assert_eq!(post(path, 524_289, ""), "413", "{address}");
    }
    assert_eq!(post("/inspect/nobody", 524_289, ""), "413");
    assert_eq!(post("/in/nobody", 70_000, ""), "401");
    assert_eq!(post("/api/v1/app/acme/msg", 70_000, ""), "401");
    assert_eq!(post("/api/v1/app/acme/msg", 70_000, "webhook-signature: x\r\n"), "401");
}
