//! Whoever reads what a command says may go away: `posthorn ... | head -1`.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{Place, posthorn};

/// What a shell calls the end of a program by SIGPIPE, which ends most of those that print to a
/// pipe without a reader.
const OF_A_CLOSED_PIPE: i32 = 141;

/// What a command comes to when nobody reads what it says.
fn unread(place: &Place, arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = posthorn(&place.directory, arguments);
    command.stdout(writer).stdin(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn a_command_that_nobody_reads_ends_without_a_word() {
    let place = Place::new("unread");
    let (_listener, _) = place.listen(&[]);
    let sent = place.json(&["send"]);
    let message = sent["message"]["id"].as_str().unwrap();
    assert_eq!(place.platform.json()["message"], message);
    for arguments in [
        &["completions", "bash"] as &[&str],
        &["completions", "zsh"],
        &["cost"],
        &["cost", "--json"],
        &["simulate", "--list"],
        &["simulate", "--list", "--json"],
        &["simulate", "--minutes", "0.1", "--rate", "1"],
        &["bench", "-n", "5", "--own"],
        &["demo"],
        &["app", "list"],
        &["endpoint", "list", "--json"],
        &["message", "get", message],
        &["inspect", message],
        &["status"],
        &["status", "--watch"],
        &["tail", "--from-start"],
        &["console"],
        &["api", "GET", "/app"],
        &["root-secret", "show"],
    ] {
        let ran = unread(&place, arguments);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(
            (ran.status.code(), said.as_str()),
            (Some(OF_A_CLOSED_PIPE), ""),
            "{arguments:?}"
        );
    }
    // What a token opens is told beside it.
    let said = String::from_utf8(unread(&place, &["token"]).stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_listener_that_nobody_reads_takes_its_endpoint_away() {
    let place = Place::new("unheard");
    let ran = unread(&place, &["listen"]);
    assert_eq!(ran.status.code(), Some(OF_A_CLOSED_PIPE));
    assert_eq!(place.endpoints(), Vec::<Value>::new());
}

#[test]
fn a_platform_that_nobody_reads_goes_on_until_it_is_stopped() {
    let mut place = Place::new("server");
    assert!(place.platform.end("-TERM"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = posthorn(&place.directory, &["up", "--addr", "127.0.0.1:0"]);
    let mut platform = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    // It is there as soon as it has written its address anew.
    let address = place.directory.join(".posthorn/address");
    while std::fs::read_to_string(&address).is_ok_and(|old| place.url.ends_with(old.trim())) {
        assert!(platform.try_wait().unwrap().is_none(), "it has ended");
        std::thread::yield_now();
    }
    let (_listener, _) = place.listen(&[]);
    for _ in 0..3 {
        assert!(place.json(&["send"])["message"]["id"].is_string());
    }
    assert!(platform.try_wait().unwrap().is_none(), "it has ended");
    assert!(Command::new("kill").arg(platform.id().to_string()).status().unwrap().success());
    let ended = platform.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn a_complaint_that_nobody_reads_is_still_a_failure() {
    let place = Place::new("complaint");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = posthorn(&place.directory, &["app", "get", "none"]);
    assert_eq!(command.stderr(writer).status().unwrap().code(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_finds_no_room_is_a_failure() {
    let place = Place::new("full");
    let mut command = posthorn(&place.directory, &["app", "list"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = command.stdout(full).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("cannot print"), "{said}");
    assert_eq!(ran.status.code(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn what_was_begun_ends_where_there_is_no_room_for_what_it_says() {
    let place = Place::new("room");
    let made = place.directory.join("made");
    std::fs::create_dir(&made).unwrap();
    for arguments in [&["bench", "-n", "5", "--own"] as &[&str], &["listen"]] {
        let mut command = posthorn(&place.directory, arguments);
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = command.env("TMPDIR", &made).stdout(full).output().unwrap();
        assert_eq!(ran.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(said.matches("cannot print").count(), 1, "{arguments:?}: {said}");
    }
    // Neither a platform on a directory of its own nor an endpoint that nobody answers is left.
    assert_eq!(std::fs::read_dir(&made).unwrap().count(), 0);
    assert_eq!(place.endpoints(), Vec::<Value>::new());
}
