//! The environment of `posthorn up`: what in it was probably meant for Posthorn, and is not heard.

use shared::host::config::variable;

use crate::matching;

/// What the commands read beside the knobs of the functions.
const OF_COMMANDS: [&str; 3] = ["POSTHORN_LOG", "POSTHORN_TOKEN", "POSTHORN_URL"];

/// A sentence for each of these names that begins as ours do and is none of them.
pub(crate) fn unheard(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known = || variable::ALL.into_iter().chain(OF_COMMANDS);
    let told = |name: String| {
        let rest = name.strip_prefix(variable::PREFIX)?;
        if known().any(|one| one == name) {
            return None;
        }
        let meant = matching::closest(rest, known().map(|one| &one[variable::PREFIX.len()..]));
        let meant = meant.map(|meant| format!("; did you mean {}{meant}?", variable::PREFIX));
        Some(format!("{name} means nothing to Posthorn{}", meant.unwrap_or_default()))
    };
    names.into_iter().filter_map(told).collect()
}
