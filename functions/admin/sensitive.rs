//! Headers whose values nobody is shown who may not change them.

/// Names whose values are never shown: Svix's, and cookies, which let in as well.
const SENSITIVE: [&str; 8] = [
    "authorization",
    "cookie",
    "proxy-authenticate",
    "proxy-authorization",
    "set-cookie",
    "www-authenticate",
    "x-api-key",
    "x-auth-token",
];

/// Whether this is the name of one.
pub(crate) fn is_sensitive(name: &str) -> bool {
    SENSITIVE.iter().any(|sensitive| name.eq_ignore_ascii_case(sensitive))
}
