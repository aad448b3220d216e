//! User name and password in a URL, which become an `Authorization` header: a URL is shown,
//! stored and logged, and they must not be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::domain::endpoint::MAX_HEADER_BYTES;

/// The header that carries them.
pub const HEADER: &str = "Authorization";

/// Takes user name and password out of a URL and answers with the value of the header that says
/// the same (RFC 7617). A URL without them stays as it is, as does one whose credentials no
/// header can carry or that readers might take apart in different ways.
pub fn take(url: &mut String) -> Option<String> {
    let (plain, userinfo) = split(url)?;
    let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let (name, password) = (decode(name)?, decode(password)?);
    let is_text = |bytes: &[u8]| !bytes.iter().any(u8::is_ascii_control);
    if name.contains(&b':') || !is_text(&name) || !is_text(&password) {
        return None;
    }
    // What is left has to be the same place without them.
    let mut parsed = Url::parse(url).ok()?;
    parsed.set_username("").ok()?;
    parsed.set_password(None).ok()?;
    if Url::parse(&plain).ok()? != parsed {
        return None;
    }
    let pair = [name.as_slice(), b":", &password].concat();
    let value = format!("Basic {}", STANDARD.encode(pair));
    if value.len() > MAX_HEADER_BYTES {
        return None;
    }
    *url = plain;
    Some(value)
}

/// The URL without what stands before the last `@` of its authority, and that.
fn split(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (userinfo, host) = rest[..end].rsplit_once('@')?;
    Some((format!("{scheme}://{host}{}", &rest[end..]), userinfo))
}

/// Percent-decoded; `None` where that is not well-formed.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let code = rest.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        bytes.push(u8::from_str_radix(code?, 16).ok()?);
        rest = &rest[2..];
    }
    Some(bytes)
}
