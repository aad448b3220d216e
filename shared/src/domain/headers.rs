//! Reading headers of strangers.

use http::{HeaderMap, header};

/// Headers that say how a request is framed or where its connection leads. Given from outside, they
/// could make the receiver see another request than the one that was signed.
pub const OF_CONNECTIONS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The bearer token, if the request has one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "bearer")
}

/// What the request is authorised with, if that is of this scheme, in whatever letter case.
pub fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = single(headers, header::AUTHORIZATION.as_str())?;
    let (named, credentials) = value.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

/// A header that is there exactly once. A repeated one is as good as none: which of the two
/// counts would be a guess.
pub fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() { None } else { first.to_str().ok() }
}
