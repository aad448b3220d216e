//! Which headers of an endpoint's answer are kept with an attempt that failed: those that tell why,
//! first those that tell most. What may be a secret is never among them, nor what is meant for
//! browsers or for the connection.
//!
//! Whoever looks at an attempt is not always who set the endpoint up, and an answer may open
//! somebody's session: cookies, tokens and signatures stay out, whatever they are called. What
//! asks for credentials (`www-authenticate`) has none in it, and often says what is wrong.

use http::HeaderMap;

/// Most headers that are kept of an answer.
pub const MAX_ANSWER_HEADERS: usize = 20;
/// Most bytes of their names and values together.
pub const MAX_ANSWER_HEADER_BYTES: usize = 1024;
/// Most bytes of one value. A URL to which one is sent may be longer; its beginning tells enough.
const MAX_VALUE_BYTES: usize = 256;

/// What tells most, in this order, before anything else.
const TELLING: [&str; 20] = [
    "content-type",
    "retry-after",
    "location",
    "www-authenticate",
    "allow",
    "content-encoding",
    "server",
    "x-request-id",
    "request-id",
    "x-correlation-id",
    "x-amzn-requestid",
    "x-amzn-errortype",
    "x-amz-cf-id",
    "cf-ray",
    "cf-mitigated",
    "traceparent",
    "via",
    "x-cache",
    "date",
    "x-powered-by",
];
/// Parts of names of what may be a secret, or opens something.
const SECRET: [&str; 12] = [
    "auth",
    "cookie",
    "credential",
    "csrf",
    "jwt",
    "key",
    "pass",
    "secret",
    "session",
    "signature",
    "token",
    "xsrf",
];
/// What asks for credentials, and has none.
const ASKING: [&str; 2] = ["proxy-authenticate", "www-authenticate"];
/// What is for the connection, whose body we have, or for caches.
const USELESS: [&str; 13] = [
    "accept-ranges",
    "age",
    "alt-svc",
    "cache-control",
    "connection",
    "content-length",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "pragma",
    "transfer-encoding",
    "vary",
];
/// How names begin that only browsers read.
const BROWSERS: [&str; 13] = [
    "access-control-",
    "content-security-policy",
    "cross-origin-",
    "expect-ct",
    "feature-policy",
    "nel",
    "permissions-policy",
    "referrer-policy",
    "report",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-xss-protection",
];

/// Names, in lower case, and values of what is kept, what tells most first; a value that is no
/// text as far as it is one, and one that is too long from its beginning.
pub fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut wanted: Vec<_> = headers.iter().filter(|(name, _)| is_wanted(name.as_str())).collect();
    wanted.sort_by_key(|(name, _)| rank(name.as_str()));
    let mut room = MAX_ANSWER_HEADER_BYTES;
    let mut kept = Vec::new();
    for (name, value) in wanted {
        if kept.len() == MAX_ANSWER_HEADERS {
            break;
        }
        let value = legible(value.as_bytes());
        let Some(left) = room.checked_sub(name.as_str().len() + value.len()) else { continue };
        room = left;
        kept.push((name.as_str().to_owned(), value));
    }
    kept
}

fn is_wanted(name: &str) -> bool {
    let may_be_secret = || SECRET.iter().any(|part| name.contains(part)) && !ASKING.contains(&name);
    let useless =
        || USELESS.contains(&name) || BROWSERS.iter().any(|beginning| name.starts_with(beginning));
    !may_be_secret() && !useless()
}

/// Its place in the order of what tells most.
fn rank(name: &str) -> usize {
    TELLING.iter().position(|telling| *telling == name).unwrap_or(TELLING.len())
}

/// What is not UTF-8 becomes U+FFFD, which is longer than what it stands for.
fn legible(value: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&value[..value.len().min(MAX_VALUE_BYTES)]).into_owned();
    text.truncate(text.floor_char_boundary(MAX_VALUE_BYTES));
    text
}
