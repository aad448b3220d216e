//! What the local platform keeps in its directory for nobody else's eyes, and shows of strangers.

use serde_json::{Value, json};
use shared::domain::clock::Ambient;
use shared::domain::secret::RootSecret;
use shared::embedded::Engine;

use crate::local_data::{check_secret, root_secret};
use crate::support::directory::Directory;
use crate::terminal::{shown, shown_json};

#[test]
fn a_root_secret_is_made_once_and_whole() {
    let scratch = Directory::new();
    let directory = scratch.path().join("kept");
    let first = root_secret(&directory, &Ambient::system()).unwrap();
    let again = root_secret(&directory, &Ambient::system()).unwrap();
    assert_eq!(first.token_key(), again.token_key());
    // Nothing is left beside it.
    let names: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["root-secret"]);
}

#[test]
fn processes_that_start_at_once_agree_on_the_root_secret() {
    let scratch = Directory::new();
    let directory = scratch.path().join("kept");
    let start = || root_secret(&directory, &Ambient::system()).unwrap().token_key();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(start(), keys[0]);
}

#[cfg(unix)]
#[test]
fn a_root_secret_that_others_can_read_is_refused() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    let scratch = Directory::new();
    let directory = scratch.path().join("kept");
    let ambient = Ambient::system();
    root_secret(&directory, &ambient).unwrap();
    let file = directory.join("root-secret");
    for (mode, refused) in [(0o644, true), (0o640, true), (0o602, true), (0o400, false)] {
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let read = root_secret(&directory, &ambient);
        assert_eq!(read.is_err(), refused, "{mode:o}");
        if let Err(reason) = read {
            assert!(reason.contains("chmod 600"), "{reason}");
        }
    }
}

#[test]
fn a_root_secret_that_was_lost_is_not_made_anew() {
    let directory = Directory::new();
    let secret = directory.path().join("root-secret");
    root_secret(directory.path(), &Ambient::system()).unwrap();
    drop(Engine::open(directory.path()).unwrap());
    std::fs::remove_file(&secret).unwrap();
    let reason = root_secret(directory.path(), &Ambient::system()).err().unwrap();
    assert!(reason.contains("root-secret is missing"), "{reason}");
    assert!(!secret.exists(), "whoever looks afterwards sees that it is");
}

#[tokio::test]
async fn another_root_secret_is_told_at_once() {
    let directory = Directory::new();
    let engine = Engine::open(directory.path()).unwrap();
    let secret = |text: &str| RootSecret::new(&text.repeat(32)).unwrap();
    check_secret(&engine, &secret("a")).await.unwrap();
    check_secret(&engine, &secret("a")).await.unwrap();
    let reason = check_secret(&engine, &secret("b")).await.unwrap_err();
    assert!(reason.contains("not the one"), "{reason}");
    // It has not taken the place of the first.
    check_secret(&engine, &secret("a")).await.unwrap();
}

#[test]
fn what_a_stranger_sends_cannot_steer_a_terminal() {
    for (text, expected) in [
        ("{\n\t\"a\": \"\u{e9}\"}", "{\n\t\"a\": \"\u{e9}\"}"),
        ("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}"),
        ("signature verified\rNOT", "signature verified\\u{d}NOT"),
        ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
        ("a\u{202e}b", "a\\u{202e}b"),
    ] {
        assert_eq!(shown(text), expected);
    }
}

#[test]
fn what_programs_read_cannot_steer_a_terminal_either_and_means_the_same() {
    let sent = json!({"\u{9b}31m": "\u{1b}[2J\u{7f}\u{202e}é\n", "b": ["\u{85}"]});
    let line = shown_json(&sent);
    assert_eq!(line, r#"{"b":["\u0085"],"\u009b31m":"\u001b[2J\u007f\u202eé\n"}"#);
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), sent);
    assert_eq!(shown_json(&json!({"a": "é"})), r#"{"a":"é"}"#);
}

#[cfg(unix)]
#[test]
fn a_directory_that_others_can_look_into_is_closed_or_refused() {
    use std::os::unix::fs::PermissionsExt;

    let open = |name: Option<&str>| {
        let directory = Directory::new();
        if let Some(name) = name {
            std::fs::write(directory.path().join(name), "x").unwrap();
        }
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let made = shared::embedded::create_directory(directory.path());
        let mode = std::fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777;
        (made.map_err(|error| error.to_string()), mode)
    };
    let ours = ["posthorn.db", "posthorn.db-wal", "address", "root-secret", "listen-secret"];
    for ours in ours.into_iter().map(Some).chain([None]) {
        assert_eq!(open(ours), (Ok(()), 0o700), "{ours:?}");
    }
    let (refused, mode) = open(Some("thesis.tex"));
    assert!(refused.unwrap_err().contains("`thesis.tex`"));
    assert_eq!(mode, 0o755, "what is not ours is left as it is");
}
