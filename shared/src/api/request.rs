//! Reading API requests: who asks, the body, the query.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Request, Uri};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use crate::api::error::{ApiError, Violation};
use crate::domain::clock::Timestamp;
use crate::domain::headers::{bearer, single};
use crate::domain::token::{Bearer, Refused, Tokens};

/// Largest request body, in bytes: the largest payload with room for the rest.
pub const MAX_BODY_BYTES: usize = 512 * 1024;

/// The request's bearer token, opened.
///
/// # Errors
/// 401 when there is none or it does not hold, 400 when it holds and opens nothing.
pub fn opened(headers: &HeaderMap, tokens: &Tokens, now: Timestamp) -> Result<Bearer, ApiError> {
    let Some(token) = bearer(headers) else {
        return Err(ApiError::unauthenticated(
            "Missing token: send the header `Authorization: Bearer <token>`.",
        ));
    };
    tokens.open_bearer(token, now).map_err(|refused| match refused {
        Refused::Invalid => ApiError::invalid_token(),
        Refused::NoToken => ApiError::unauthenticated(
            "Invalid token: this is not a JWT. The secret that tokens are made with is not a \
             token itself; `posthorn token` makes one.",
        ),
        Refused::Claims(rule) => ApiError::bad_request("bad_token", format!("Bad token: {rule}.")),
    })
}

/// What the caller calls this request, if it says so: the header `idempotency-key`.
///
/// # Errors
/// 400 when it cannot be one. One that is there twice or not plain text is refused like one that
/// is empty: without it a repeated request would be done twice.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    const NAME: &str = "idempotency-key";
    match headers.contains_key(NAME) {
        false => Ok(None),
        true => check_idempotency_key(single(headers, NAME).unwrap_or_default()).map(Some),
    }
}

/// The key, if it can be one.
///
/// # Errors
/// 400 when it is empty or too long.
pub fn check_idempotency_key(key: &str) -> Result<&str, ApiError> {
    /// Longest key, in characters.
    const MAX: usize = 256;
    if (1..=MAX).contains(&key.len()) {
        return Ok(key);
    }
    Err(ApiError::bad_request(
        "invalid_idempotency_key",
        format!("idempotency-key must be there once and have 1 to {MAX} ASCII characters."),
    ))
}

/// The body as JSON of this shape.
///
/// # Errors
/// 413 when it is too large; 422 when it is missing, not JSON, or of another shape, with the
/// field that is wrong.
pub fn body<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, ApiError> {
    let bytes = request.body();
    check_size(bytes.len())?;
    object(bytes)
}

/// JSON of this shape.
///
/// # Errors
/// 422 as [`body`].
pub fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    match is_object(bytes) {
        true => serde_json::from_slice(bytes).map_err(|_| explain::<T>(bytes)),
        false => Err(explain::<T>(bytes)),
    }
}

/// Whether these bytes can be a JSON object. What reads a struct takes an array of its fields
/// as well, which no caller means.
pub fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// Reads a field that is an object: what is derived would take an array of its fields as well,
/// whose order nobody knows.
///
/// # Errors
/// When it is no object.
pub fn inner<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Inner::deserialize(deserializer).map(|Inner(read)| read)
}

/// The same for one that may be null.
///
/// # Errors
/// When it is neither.
pub fn inner_or_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.map(|Inner(read)| read))
}

struct Inner<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Inner<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }
        deserializer.deserialize_map(Object(PhantomData)).map(Self)
    }
}

/// Refuses a body of more than [`MAX_BODY_BYTES`].
///
/// # Errors
/// 413.
pub fn check_size(bytes: usize) -> Result<(), ApiError> {
    if bytes > MAX_BODY_BYTES {
        return Err(ApiError::too_large(format!(
            "The body has {bytes} bytes; the limit is {MAX_BODY_BYTES}."
        )));
    }
    Ok(())
}

/// Refuses a body that is encoded: what is signed and what is limited are the bytes as they came.
///
/// # Errors
/// 415.
pub fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    match encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        true => Ok(()),
        false => Err(ApiError::encoded()),
    }
}

/// Why this body does not read as a `T`: the slow way, which finds the field.
pub fn explain<T: DeserializeOwned>(bytes: &[u8]) -> ApiError {
    if !is_object(bytes) {
        return match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => Violation::body_at([], "must be a JSON object").into(),
            Err(error) => not_json(&error),
        };
    }
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let error = match serde_path_to_error::deserialize::<_, T>(&mut parser) {
        Ok(_) => match parser.end() {
            Ok(()) => return ApiError::Internal("a body reads on the second try only".into()),
            Err(error) => return not_json(&error),
        },
        Err(error) => error,
    };
    let inner = error.inner();
    // A number where a name is expected is told like bad syntax.
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    if !inner.is_data() && !std::str::from_utf8(bytes).is_ok_and(is_json) {
        return not_json(inner);
    }
    let mut path: Vec<String> = error.path().iter().filter_map(part).collect();
    let message = match inner.is_data() {
        true => plain_words(strip_position(&inner.to_string())),
        false if is_torn(inner) => {
            "must be text: half of a surrogate pair (`\\ud800` to `\\udfff`) is none".to_owned()
        }
        false => "must be of another type: a text, or an object".to_owned(),
    };
    // A missing field is reported at the object that misses it.
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    path.extend(missing.map(|(field, _)| field.to_owned()));
    Violation::body_at(path, message).into()
}

/// Whether a text is none because of a surrogate that stands alone.
fn is_torn(error: &serde_json::Error) -> bool {
    let said = error.to_string();
    ["surrogate", "hex escape"].iter().any(|word| said.contains(word))
}

/// A step of the way to a field.
fn part(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// The query parameters of the API that are no lists.
const SINGLE: [&str; 25] = [
    "after",
    "before",
    "channel",
    "endDate",
    "endpoint_id",
    "expunge",
    "get_if_exists",
    "in_payload",
    "include_archived",
    "iterator",
    "limit",
    "order",
    "q",
    "since",
    "startDate",
    "state",
    "status",
    "status_code_class",
    "subject",
    "tag",
    "task",
    "until",
    "with_content",
    "with_msg",
    "with_names",
];

/// Refuses a query that says the same twice: which of both is meant nobody can know.
///
/// # Errors
/// 400 that names the parameter.
pub fn check_query(uri: &Uri) -> Result<(), ApiError> {
    let query = uri.query().unwrap_or_default();
    let mut seen = [false; SINGLE.len()];
    for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
        let Some(place) = SINGLE.iter().position(|single| *single == name) else { continue };
        if std::mem::replace(&mut seen[place], true) {
            return Err(ApiError::bad_query(SINGLE[place], "must be there once"));
        }
    }
    Ok(())
}

/// The value of a query parameter, percent-decoded.
pub fn query_value(request: &Request<Bytes>, name: &str) -> Option<String> {
    query_values(request, name).into_iter().next()
}

/// A query parameter that is `true` or `false`; the default if it is not there.
///
/// # Errors
/// 400 when it is something else.
pub fn query_flag(request: &Request<Bytes>, name: &str, default: bool) -> Result<bool, ApiError> {
    match query_value(request, name).as_deref() {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(ApiError::bad_query(name, "must be `true` or `false`")),
    }
}

/// All values of a query parameter, percent-decoded.
pub fn query_values(request: &Request<Bytes>, name: &str) -> Vec<String> {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// The values of a query parameter that is a list, in any of the spellings of SDKs: repeated, in
/// one value with commas between, or with brackets after the name (`types[]`, `types[0]`).
pub fn query_list(request: &Request<Bytes>, name: &str) -> Vec<String> {
    let query = request.uri().query().unwrap_or_default();
    let is_named = |key: &str| {
        let brackets = key.strip_prefix(name)?;
        let within = brackets.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_place = |place: &str| place.bytes().all(|byte| byte.is_ascii_digit());
        (brackets.is_empty() || within.is_some_and(is_place)).then_some(())
    };
    url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| is_named(key).is_some())
        .flat_map(|(_, value)| value.split(',').map(str::to_owned).collect::<Vec<_>>())
        .filter(|value| !value.is_empty())
        .collect()
}

/// The request with a path in its plain spelling: `%2E` and `.` are one, as RFC 3986 (6.2.2.2) has
/// it for all that need not be encoded. What else is encoded stays so; `%2F` is no slash.
pub fn plain(request: Request<Bytes>) -> Request<Bytes> {
    let path = request.uri().path();
    if !path.contains('%') {
        return request;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(plain) = format!("{}{query}", decode_unreserved(path)).parse() else { return request };
    let (mut head, body) = request.into_parts();
    let mut uri = std::mem::take(&mut head.uri).into_parts();
    uri.path_and_query = Some(plain);
    head.uri = Uri::from_parts(uri).unwrap_or_default();
    Request::from_parts(head, body)
}

/// Nothing is decoded where something is no encoding: what is before a stray `%` would make one of
/// it, and the next reader another path.
fn decode_unreserved(path: &str) -> String {
    let mut parts = path.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).filter(|code| code.bytes().all(|c| c.is_ascii_hexdigit()));
        let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) else {
            return path.to_owned();
        };
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            plain.push(char::from(byte));
            plain.push_str(&part[2..]);
        } else {
            plain.push('%');
            plain.push_str(part);
        }
    }
    plain
}

/// The path's segments, without empty ones: a trailing slash makes no difference.
pub fn segments(path: &str) -> Vec<&str> {
    parts(path).collect()
}

/// The same one by one.
pub fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn not_json(error: &serde_json::Error) -> ApiError {
    let mut violation = Violation::body_at([], format!("not valid JSON: {error}"));
    violation.kind = "value_error.jsondecode";
    violation.into()
}

/// serde_json ends its messages with a position, which the path makes superfluous.
fn strip_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text)
}

/// What serde says of a value of another type, as a rule and in the words of JSON: callers know
/// nothing of our types.
fn plain_words(said: &str) -> String {
    let is_of_a_value = |said: &str| {
        ["invalid type: ", "invalid value: ", "unknown variant "]
            .iter()
            .any(|it| said.starts_with(it))
    };
    match said.rsplit_once(", expected ") {
        Some((value, expected)) if is_of_a_value(value) => {
            let wanted = match expected {
                "a map" => "an object",
                "a sequence" => "a list",
                "a string" => "a text",
                "a boolean" => "true or false",
                "f64" => "a number",
                "u8" => "a whole number from 0 to 255",
                "u16" => "a whole number from 0 to 65535",
                "string or map" => "a text or an object",
                "variant identifier" => "a text: one of the names that there are here",
                "u64" | "usize" => "a whole number, 0 or more",
                "i64" => "a whole number",
                rest if rest.starts_with("struct ") => "an object",
                rest => rest,
            };
            format!("must be {wanted}")
        }
        _ => said.to_owned(),
    }
}
