//! The environment of `posthorn up`: what in it was probably meant for Posthorn, and is not heard.

use shared::host::config::variable;

use crate::matching;

/// What the commands read beside the knobs of the functions.
const OF_COMMANDS: [&str; 3] = ["POSTHORN_LOG", "POSTHORN_TOKEN", "POSTHORN_URL"];
/// What means something on AWS only. Here the table, the queues, the root secret and the
/// organisation are those of the directory, and endpoints may be anywhere.
const OF_FUNCTIONS: [&str; 13] = [
    variable::TABLE,
    variable::DELIVERIES_QUEUE,
    variable::RETRIES_QUEUE,
    variable::DELIVERIES_DLQ,
    variable::RETRIES_DLQ,
    variable::ROOT_SECRET_ID,
    variable::ROOT_SECRET,
    variable::ORGANISATION,
    variable::FAIR_QUEUES,
    variable::STAGE,
    variable::FIRST_LEASE,
    variable::ALLOW_HTTP,
    variable::ALLOW_LOOPBACK,
];

/// A sentence for each of these names that begins as ours do and is none of them, and one for
/// those that only functions hear.
pub(crate) fn unheard(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known = || variable::ALL.into_iter().chain(OF_COMMANDS);
    let ours = names.into_iter().filter(|name| name.starts_with(variable::PREFIX));
    let (known_names, unknown): (Vec<_>, Vec<_>) =
        ours.partition(|name| known().any(|one| one == name));
    let told = unknown.into_iter().map(|name| {
        let rest = &name[variable::PREFIX.len()..];
        let meant = matching::closest(rest, known().map(|one| &one[variable::PREFIX.len()..]));
        let meant = meant.map(|meant| format!("; did you mean {}{meant}?", variable::PREFIX));
        format!("{name} means nothing to Posthorn{}", meant.unwrap_or_default())
    });
    let mut told: Vec<_> = told.collect();
    let elsewhere = known_names.iter().filter(|name| OF_FUNCTIONS.contains(&name.as_str()));
    let elsewhere: Vec<_> = elsewhere.map(String::as_str).collect();
    if !elsewhere.is_empty() {
        told.push(format!("For the functions on AWS, not for `up`: {}", elsewhere.join(", ")));
    }
    told
}
