//! What to type next, spelled the way that this program was started.

use shared::host::config;

/// A command of this program, as its user would type it: for the directory that was named, if any.
pub(crate) fn command(rest: &str) -> String {
    let mut arguments = std::env::args();
    let typed = arguments.next().unwrap_or_else(|| "posthorn".to_owned());
    let of = directory(arguments).map(|of| format!(" --data {of}")).unwrap_or_default();
    // Set by Cargo for what it runs.
    match config::from_process("CARGO") {
        Some(_) => format!("cargo run -- {rest}{of}"),
        None => format!("{typed} {rest}{of}"),
    }
}

/// The directory that was named with `--data`, as a shell reads it.
fn directory(mut arguments: impl Iterator<Item = String>) -> Option<String> {
    let named = loop {
        let argument = arguments.next()?;
        if argument == "--data" {
            break arguments.next()?;
        }
        if let Some(named) = argument.strip_prefix("--data=") {
            break named.to_owned();
        }
    };
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    Some(match named.chars().all(is_plain) {
        true => named,
        false => format!("'{}'", named.replace('\'', r"'\''")),
    })
}
