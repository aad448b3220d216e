//! What to type next, spelled the way that this program was started.

use std::sync::OnceLock;

use shared::host::config;

/// What was said of which Posthorn is meant, as a shell reads it, after a space.
static OF: OnceLock<String> = OnceLock::new();

/// From now on commands are told with these options, which say which Posthorn was named.
pub(crate) fn tell_for(named: impl Iterator<Item = (&'static str, String)>) {
    let words = named.map(|(option, value)| format!(" {option} {}", quoted(&value)));
    // A process is asked for one command.
    let _ = OF.set(words.collect());
}

/// A command of this program, as its user would type it: for the Posthorn that was named.
pub(crate) fn command(rest: &str) -> String {
    format!("{}{}", of_its_own(rest), OF.get().map_or("", String::as_str))
}

/// The same for one that needs no running Posthorn, and may not have this one's directory.
pub(crate) fn of_its_own(rest: &str) -> String {
    let typed = std::env::args().next().map_or_else(|| "posthorn".to_owned(), |it| quoted(&it));
    // Set by Cargo for what it runs.
    match config::from_process("CARGO") {
        Some(_) => format!("cargo run -- {rest}"),
        None => format!("{typed} {rest}"),
    }
}

/// A value as a shell reads it.
pub(crate) fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-:".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}
