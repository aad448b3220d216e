//! What is said when something is not as it was meant.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;

use serde_json::json;

use super::{Going, PATIENCE, Place, posthorn};

#[test]
fn what_is_not_there_is_named_as_it_was_asked_for() {
    let place = Place::new("missing");
    place.json(&["app", "create", "Acme", "--uid", "acme"]);
    place.json(&["event-type", "create", "order.paid"]);
    for (arguments, said) in [
        (&["endpoint", "get", "ep_x"] as &[&str], "the application acme has no endpoint `ep_x`"),
        (&["endpoint", "delete", "ep_x"], "the application acme has no endpoint `ep_x`"),
        (&["endpoint", "disable", "ep_x"], "the application acme has no endpoint `ep_x`"),
        (&["message", "get", "m-1"], "the application acme has no message `m-1`"),
        (&["inspect", "m-1"], "the application acme has no message `m-1`"),
        (&["attempt", "list", "--message", "m-1"], "the application acme has no message `m-1`"),
        (&["attempt", "list", "--endpoint", "e"], "the application acme has no endpoint `e`"),
        (&["attempt", "get", "m-1", "a"], "the application acme has no message `m-1`"),
        (&["resend", "m-1"], "the application acme has no message `m-1`"),
        (&["event-type", "get", "order.pay"], "did you mean `order.paid`?"),
        (&["event-type", "delete", "order.pay"], "did you mean `order.paid`?"),
        (&["app", "delete", "acm"], "did you mean `acme`?"),
    ] {
        let of_acme = !matches!(arguments[0], "event-type" | "app");
        let more: &[&str] = if of_acme { &["--app", "acme"] } else { &[] };
        let complaint = place.complains(&[arguments, more].concat());
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
        assert!(!complaint.contains("/api/v1"), "{complaint}");
    }
}

#[test]
fn an_empty_name_is_nobodys() {
    let place = Place::new("empty");
    place.listen(&[]);
    for arguments in [
        &["endpoint", "get", ""] as &[&str],
        &["endpoint", "delete", ""],
        &["message", "get", ""],
        &["event-type", "get", ""],
        &["event-type", "delete", ""],
        &["app", "get", ""],
        &["app", "get", "."],
        &["app", "delete", ""],
        &["send", "--app", ""],
        &["portal", "--app", ""],
        &["token", "--app", ""],
        &["endpoint", "list", "--app", ""],
        &["inspect", ""],
        &["resend", ""],
    ] {
        let complaint = place.complains(arguments);
        assert!(complaint.contains("is empty"), "{arguments:?}: {complaint}");
    }
    assert_eq!(place.json(&["app", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_token_that_only_publishes_publishes() {
    let place = Place::new("publisher");
    let (listener, ready) = place.listen(&[]);
    let app = ready["app"].as_str().unwrap_or("local");
    let of_all = place.says(&["token", "--scope", "publish"]);
    let of_one = place.says(&["token", "--scope", "publish", "--app", app]);
    for token in [of_all, of_one] {
        let token = token.trim().lines().last().unwrap();
        let sent = place.json(&["--url", &place.url, "--token", token, "send", "--app", app]);
        assert_eq!(sent["endpoints"], json!(null), "{sent}");
        assert_eq!(listener.json()["id"], sent["message"]["id"]);
    }
}

#[test]
fn who_only_looks_makes_no_application() {
    let place = Place::new("looking");
    for arguments in [
        &["endpoint", "list"] as &[&str],
        &["message", "list"],
        &["attempt", "list", "--endpoint", "ep_x"],
        &["endpoint", "get", "ep_x"],
        &["app", "get", "local"],
    ] {
        let complaint = place.complains(arguments);
        assert!(complaint.contains("there is no application `local` yet"), "{complaint}");
    }
    assert_eq!(place.json(&["app", "list"]), json!([]));
}

#[test]
fn a_message_is_found_whosever_it_is_by_every_command_about_one() {
    let place = Place::new("found");
    place.json(&["app", "create", "Acme", "--uid", "acme"]);
    let (_listener, _) = place.listen(&["--app", "acme"]);
    let sent = place.json(&["send", "--app", "acme"]);
    let message = sent["message"]["id"].as_str().unwrap();
    assert_eq!(place.platform.json()["message"], message);
    assert_eq!(place.json(&["message", "get", message])["id"], message);
    let attempts = place.json(&["attempt", "list", "--message", message]);
    let attempt = attempts[0]["id"].as_str().unwrap();
    assert_eq!(place.json(&["attempt", "get", message, attempt])["id"], attempt);
    assert_eq!(place.json(&["resend", message])["message"], message);
}

#[test]
fn an_event_type_that_is_not_described_leads_to_what_describes_it() {
    let place = Place::new("undescribed");
    place.json(&["event-type", "create", "order.paid"]);
    for arguments in [
        &["endpoint", "create", "http://127.0.0.1:9/", "--types", "order.sent"] as &[&str],
        &["listen", "--types", "order.sent"],
    ] {
        let complaint = place.complains(arguments);
        assert!(complaint.contains(" event-type create order.sent`"), "{complaint}");
        assert!(!complaint.contains("POST"), "{complaint}");
    }
}

#[test]
fn a_listener_that_cannot_begin_leaves_nothing_behind() {
    let place = Place::new("refused");
    let complaint = place.complains(&["listen", "--forward-to", "nowhere"]);
    assert!(complaint.contains("--forward-to nowhere: must begin with http://"), "{complaint}");
    assert_eq!(place.json(&["app", "list"]), json!([]));
}

#[test]
fn what_to_type_next_is_for_the_application_that_was_named() {
    let place = Place::new("named");
    place.json(&["app", "create", "Acme", "--uid", "acme"]);
    place.json(&["event-type", "create", "order.paid"]);
    let said = place.says(&["send", "--app", "acme"]);
    assert!(said.contains(" listen --app acme`"), "{said}");
    let complaint = place.complains(&["trigger", "order.paid", "--app", "acme"]);
    assert!(complaint.contains(" PAYLOAD --app acme`"), "{complaint}");
}

#[test]
fn an_objection_comes_before_what_was_asked() {
    let place = Place::new("objection");
    place.json(&["app", "create", "Acme", "--uid", "acme"]);
    let complaint = place.complains(&["app", "create", "Acme", "--uid", "acme"]);
    let expected = "posthorn: An application with this uid already exists, or had it until a moment ago. \
                    (POST /api/v1/app: 409 Conflict)\n";
    assert_eq!(complaint, expected);
    let complaint = place.complains(&["api", "POST", "/app", "{"]);
    assert!(complaint.starts_with("posthorn: the body: not valid JSON"), "{complaint}");
    let complaint = place.complains(&["app", "list", "-n", "0"]);
    assert!(complaint.contains("must be a number, 1 or more"), "{complaint}");
    let complaint = place.complains(&["api", "DELETE", "/app"]);
    assert!(complaint.starts_with("posthorn: this path takes GET, HEAD, POST ("), "{complaint}");
}

#[test]
fn where_nobody_listens_is_said_in_a_few_words() {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let arguments = ["app", "list", "--url", "http://127.0.0.1:9", "--token", "t"];
    let ran = posthorn(place, &arguments).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.starts_with("posthorn: cannot reach http://127.0.0.1:9: "), "{said}");
    assert!(!said.contains("error sending request"), "{said}");
}

#[test]
fn a_customers_token_is_made_by_the_name_that_the_customer_has() {
    let place = Place::new("uid");
    place.json(&["app", "create", "Acme", "--uid", "acme"]);
    let token = place.json(&["token", "--app", "acme"])["token"].as_str().unwrap().to_owned();
    let seen = place.json(&["api", "GET", "/app/acme", "--url", &place.url, "--token", &token]);
    assert_eq!(seen["uid"], "acme");
    assert!(place.complains(&["token", "--app", "acm"]).contains("did you mean `acme`?"));
}

#[test]
fn either_a_message_or_an_endpoint_is_asked_for() {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ran = posthorn(place, &["attempt", "list"]).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("<--message <MESSAGE>|--endpoint <ENDPOINT>>"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_platform_with_too_few_descriptors_says_so_and_one_with_just_enough_delivers() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join("descriptors");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let limited = |most: u32, arguments: &str| {
        let script = format!("ulimit -n {most} && exec \"$0\" {arguments}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_posthorn")]).current_dir(&directory);
        command
    };
    let mut refused = limited(64, "up --addr 127.0.0.1:0");
    refused.stderr(Stdio::piped());
    let mut up = Going::start(refused);
    assert_eq!(up.lines.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "it started");
    assert!(!up.child.wait().unwrap().success());
    let mut complaint = String::new();
    up.child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert!(complaint.contains("at most 64 files"), "{complaint}");
    assert!(complaint.contains("ulimit -n"), "it says what to do: {complaint}");
    // One customer, who may have a part of what there is.
    let measured = limited(128, "bench --own -n 20 -c 2").output().unwrap();
    let said = String::from_utf8_lossy(&measured.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&measured.stderr);
    assert!(measured.status.success(), "{said}{complaint}");
}

#[test]
fn who_listens_where_a_platform_listened_is_shown_no_token() {
    let mut place = Place::new("squatted");
    assert!(!place.platform.end("-KILL"), "it is killed");
    let addr = place.url.strip_prefix("http://").unwrap();
    let squatter = std::net::TcpListener::bind(addr).unwrap();
    squatter.set_nonblocking(true).unwrap();
    for arguments in [&["status"][..], &["send", "{}"], &["app", "list"]] {
        let said = place.complains(arguments);
        assert!(said.contains("no Posthorn is running on .posthorn"), "{arguments:?}: {said}");
        let caller = squatter.accept().map(|_| ());
        assert_eq!(caller.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "{arguments:?}");
    }
}
