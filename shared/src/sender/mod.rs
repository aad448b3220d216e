//! The network port: one POST to an endpoint, and what came of it.
//!
//! [`HttpSender`] is the one client that talks to addresses chosen by strangers. It never
//! follows a redirect, uses no proxy, asks for no compression, and refuses every address that
//! is not public (see [`target`]).

use ::http::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::id::ApplicationId;

mod connection;
mod http;
pub mod lookup;
mod pool;
pub mod race;
mod reason;
mod refused;
mod spelling;
pub mod target;
pub mod tls;

pub use http::{HttpSender, SenderSettings};

/// How Posthorn introduces itself to endpoints.
pub const USER_AGENT: &str = concat!("Posthorn/", env!("CARGO_PKG_VERSION"));

/// A request that is ready to go: signed, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Where to.
    pub url: String,
    /// All headers but `host` and `content-length`, in order, in the letter case in which they
    /// leave.
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub body: Bytes,
    /// Longest the exchange may take, in milliseconds, from name resolution to the last byte
    /// that we care to read.
    pub timeout_ms: u64,
    /// Whose endpoint it is: what there is little of is shared out among applications.
    pub owner: Option<ApplicationId>,
}

/// What came of a request. Never an error: every ending but [`Ending::Unsent`] is something to
/// record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// How it ended.
    pub ending: Ending,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The endpoint answered.
    Answered {
        /// HTTP status code.
        status: u16,
        /// The beginning of the answer's body.
        excerpt: Vec<u8>,
        /// The answer's `Retry-After` header, as it came.
        retry_after: Option<String>,
        /// All of its headers; [`answer_headers`](crate::domain::answer_headers) says which of them
        /// are worth keeping.
        headers: HeaderMap,
    },
    /// No answer in time.
    TimedOut,
    /// The address is one that we do not call, with the reason.
    Refused(String),
    /// Anything else that kept an answer from coming, with the reason.
    Failed(String),
    /// Nothing was sent, because this machine lacks something (descriptors, local ports,
    /// memory), with the reason. It says nothing about the endpoint and is no attempt.
    Unsent(String),
}

/// Sends requests to endpoints.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Sends one request: once, unless a kept connection ended under it without a word.
    async fn send(&self, request: Outbound) -> Outcome;
}
