//! What goes wrong in the API, as the caller sees it: Svix's bodies and statuses.
//!
//! `{"code", "detail"}` for most; 422 with a list of `{"loc", "msg", "type"}` for a body, path
//! or query that breaks a rule; `{}` for our own failures, whose reason is in the log alone. What
//! will pass by itself gets 429 or 503 and a `retry-after`, since publishers' libraries tell by it
//! whether to ask again, and when.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::schema::JsonSchema;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde::Serialize;

use crate::queue::QueueError;
use crate::store::table::MAX_ITEM_BYTES;
use crate::store::{Limit, StoreError};

/// Why a request is not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// A status with a stable code and a sentence.
    Http {
        /// HTTP status.
        status: StatusCode,
        /// Stable, for programs.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// Rules that the request breaks.
    Invalid(Vec<Violation>),
    /// 429 or 503: to be asked again in a moment.
    Later(Later),
    /// Our own failure; the reason is for the log.
    Internal(String),
}

/// Why a request is to be made again in a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Later {
    /// 503: others change the same thing all the time.
    Contended,
    /// 503: as many long bodies are read as there is room for.
    Busy,
    /// 429: more is asked about one application, endpoint or event than one key of the store takes.
    TooMuch,
    /// 503: the store or the queue is not there, or takes no more. The reason is for the log.
    Unavailable(String),
}

/// The body of most errors.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HttpErrorOut")]
pub struct Failure {
    /// Stable, for programs.
    code: &'static str,
    /// For people.
    detail: String,
}

/// The body of a 422.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HTTPValidationError")]
pub struct Invalid {
    /// Every rule that the request breaks.
    detail: Vec<Violation>,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ValidationError")]
pub struct Violation {
    /// Where: `body`, `path`, `query` or `header`, then the field.
    pub loc: Vec<String>,
    /// The rule, and how to keep it.
    pub msg: String,
    /// `value_error`, or `value_error.jsondecode` when the body is not JSON at all.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// Most steps to a field that are told.
const MAX_STEPS: usize = 128;
/// Longest step that is told, in characters: as long as a name may be.
const MAX_STEP: usize = 256;
/// Longest sentence about a field, in characters. Some repeat what was sent.
const MAX_MESSAGE: usize = 1_024;

/// A text of at most so many characters. What a caller sends comes back in errors, and an error is
/// not to be larger than what it is about.
fn shortened(mut text: String, max_chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(max_chars) {
        text.truncate(end);
        text.push('\u{2026}');
    }
    text
}

impl Violation {
    /// A field of the body that breaks a rule; `channels.0` is the first of the channels.
    pub fn body(field: &str, msg: impl Into<String>) -> Self {
        Self::body_at(field.split('.').map(str::to_owned), msg)
    }

    /// The same for a field whose path is at hand in parts, which may have full stops in them.
    /// Without any it is the body as a whole.
    pub fn body_at(path: impl IntoIterator<Item = String>, msg: impl Into<String>) -> Self {
        Self::at("body", path, msg)
    }

    /// A query parameter that breaks a rule.
    pub fn query(field: &str, msg: impl Into<String>) -> Self {
        Self::at("query", [field.to_owned()], msg)
    }

    fn at(place: &str, path: impl IntoIterator<Item = String>, msg: impl Into<String>) -> Self {
        let path = path.into_iter().take(MAX_STEPS).map(|step| shortened(step, MAX_STEP));
        let loc = std::iter::once(place.to_owned()).chain(path).collect();
        Self { loc, msg: shortened(msg.into(), MAX_MESSAGE), kind: "value_error" }
    }
}

impl ApiError {
    /// 401: no token, or one that does not hold.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::http(StatusCode::UNAUTHORIZED, "authentication_failed", detail)
    }

    /// 401: a token that does not hold, or no longer.
    pub fn invalid_token() -> Self {
        Self::unauthenticated("Invalid token")
    }

    /// 403: a good token that does not reach this far.
    pub fn forbidden() -> Self {
        Self::http(
            StatusCode::FORBIDDEN,
            "insufficient access",
            "This token does not give access to this. One that is confined to an application \
             reaches nothing else, and each does only what it was made for.",
        )
    }

    /// 404: nothing there, or nothing that this caller may know of.
    pub fn not_found() -> Self {
        Self::http(StatusCode::NOT_FOUND, "not_found", "Entity not found")
    }

    /// 405: a path that takes other methods.
    pub fn wrong_method() -> Self {
        Self::http(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This path does not support this method: the header `allow` lists those that it does.",
        )
    }

    /// 409: the name is taken.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::http(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 409: there is an event type of this name.
    pub fn event_type_exists(name: &str) -> Self {
        let detail = format!("An event type with the name `{name}` exists.");
        Self::http(StatusCode::CONFLICT, "event_type_exists", detail)
    }

    /// 413: too many bytes.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::http(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }

    /// 415: a body that is compressed.
    pub fn encoded() -> Self {
        Self::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "Send the body as it is, without `content-encoding`.",
        )
    }

    /// 400: anything else that the caller has to change.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::http(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 400: a query parameter that does not read as what it has to be. One that reads and
    /// breaks a rule is a [`Violation`].
    pub fn bad_query(name: &str, rule: impl fmt::Display) -> Self {
        Self::bad_request("generic_error", format!("The query parameter `{name}` {rule}."))
    }

    /// The error as an HTTP response. Logs the reason of an internal one.
    pub fn into_response(self) -> Response<Bytes> {
        match self {
            Self::Http { status, code, detail } => json(status, &Failure { code, detail }),
            Self::Invalid(detail) => json(StatusCode::UNPROCESSABLE_ENTITY, &Invalid { detail }),
            Self::Later(later) => later.into_response(),
            Self::Internal(reason) => {
                tracing::error!(reason, "request failed");
                json(StatusCode::INTERNAL_SERVER_ERROR, &serde_json::Map::new())
            }
        }
    }

    fn http(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Http { status, code, detail: shortened(detail.into(), MAX_MESSAGE) }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Contended => Self::Later(Later::Contended),
            StoreError::Throttled { limit: Limit::Partition | Limit::List, .. } => {
                Self::Later(Later::TooMuch)
            }
            StoreError::Unavailable(_) | StoreError::Throttled { .. } => {
                Self::Later(Later::Unavailable(error.to_string()))
            }
            StoreError::TooLarge(bytes) => Self::too_large(format!(
                "What would be stored has {bytes} bytes; at most {MAX_ITEM_BYTES} fit."
            )),
            StoreError::NoProfile(name) => Self::http(
                StatusCode::CONFLICT,
                "profile_missing",
                format!(
                    "There is no profile `{name}`, which applies here: put it back, or have the \
                     application or endpoint, or POSTHORN_PROFILE, name another."
                ),
            ),
            StoreError::Invalid(_) | StoreError::Corrupt(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Unavailable(_) => Self::Later(Later::Unavailable(error.to_string())),
            QueueError::Invalid(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<Violation> for ApiError {
    fn from(violation: Violation) -> Self {
        Self::Invalid(vec![violation])
    }
}

impl Later {
    fn into_response(self) -> Response<Bytes> {
        let (status, code, detail) = match self {
            Self::Contended => (
                StatusCode::SERVICE_UNAVAILABLE,
                "contended",
                "Other requests are changing this: try again.",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "There is no room for a body as long as this at the moment: ask again.",
            ),
            Self::TooMuch => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "More is asked about this than can be stored at the moment: ask again, and more \
                 slowly.",
            ),
            Self::Unavailable(reason) => {
                tracing::error!(reason, "request failed");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "This cannot be done at the moment: ask again. If it was done all the same, \
                     an idempotency-key keeps it from being done twice.",
                )
            }
        };
        let mut response = json(status, &Failure { code, detail: detail.to_owned() });
        response.headers_mut().insert(header::RETRY_AFTER, retry_after().into());
        response
    }
}

/// Seconds to wait: 1, 2 or 3 in turn, so that those who were refused at once do not all come back
/// at once.
fn retry_after() -> u64 {
    const MOST: u64 = 3;
    static TURN: AtomicU64 = AtomicU64::new(0);
    1 + TURN.fetch_add(1, Ordering::Relaxed) % MOST
}

/// A JSON response. Nobody keeps it, since it may carry a secret, or takes it for anything else.
pub fn json<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = serde_json::to_vec(body).unwrap_or_default().into();
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let value = header::HeaderValue::from_static;
    headers.insert(header::CACHE_CONTROL, value("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, value("nosniff"));
    response
}
