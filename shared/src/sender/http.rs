//! The network port over `reqwest`.
//!
//! One request runs through four stages, and the first that objects decides the ending:
//! judging the URL, resolving and connecting, waiting for the status line, reading the
//! beginning of the body. Once there is a status line the request is answered, whatever
//! happens to the body.
//!
//! A request is never sent twice, with one exception that the receiver cannot see: when a kept
//! connection turns out closed before the first byte of the request was written to it, the
//! connection pool takes another one. A connection that dies later ends in
//! [`Ending::Failed`], and it stays unknown whether the receiver acted on the request.
//!
//! Not guaranteed: the spelling of header names. They leave in lower case, which HTTP/1.1
//! declares equal. `accept: */*` is added when the request brings no `accept` of its own.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout_at};

use super::target::{
    GuardedResolver, LookupError, Resolver, SystemResolver, TargetPolicy, check_url,
};
use super::{Ending, Outbound, Outcome, Sender, tls};

/// Everything about an [`HttpSender`] that can be chosen.
#[derive(Clone, Debug)]
pub struct SenderSettings {
    /// Which targets may be called.
    pub policy: TargetPolicy,
    /// Longest time from name resolution to a finished TLS handshake, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long an unused connection is kept, in milliseconds. Short, because a frozen Lambda
    /// function does not notice that its connections are closed.
    pub pool_idle_timeout_ms: u64,
    /// Longest time spent on an answer's body, in milliseconds; the request's own timeout may
    /// cut it shorter.
    pub body_timeout_ms: u64,
    /// How much of an answer's body is kept, in bytes.
    pub excerpt_bytes: usize,
    /// A PEM file with certificate authorities to trust besides the public ones.
    pub extra_roots: Option<PathBuf>,
}

impl Default for SenderSettings {
    fn default() -> Self {
        Self {
            policy: TargetPolicy::default(),
            connect_timeout_ms: 3_000,
            pool_idle_timeout_ms: 20_000,
            body_timeout_ms: 1_000,
            excerpt_bytes: 1_024,
            extra_roots: None,
        }
    }
}

/// Sends over HTTP/1.1, with connections kept between requests. Make one and share it.
pub struct HttpSender {
    client: Client,
    policy: Arc<TargetPolicy>,
    body_timeout: Duration,
    excerpt_bytes: usize,
}

impl HttpSender {
    /// A sender that resolves names as the operating system does.
    ///
    /// # Errors
    ///
    /// The file of extra authorities cannot be used.
    pub fn new(settings: SenderSettings) -> Result<Self, String> {
        Self::with_resolver(settings, Arc::new(SystemResolver))
    }

    /// A sender that resolves names through `resolver`. Its answers are judged like any other.
    ///
    /// # Errors
    ///
    /// The file of extra authorities cannot be used.
    pub fn with_resolver(
        settings: SenderSettings,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, String> {
        let tls = match &settings.extra_roots {
            None => tls::client_config(),
            Some(file) => tls::client_config_with(file)?,
        };
        let policy = Arc::new(settings.policy);
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(GuardedResolver::new(resolver, Arc::clone(&policy)))
            .http1_only()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
            .pool_idle_timeout(Duration::from_millis(settings.pool_idle_timeout_ms))
            .build()
            .map_err(|error| format!("the HTTP client cannot start: {}", last_cause(&error)))?;
        Ok(Self {
            client,
            policy,
            body_timeout: Duration::from_millis(settings.body_timeout_ms),
            excerpt_bytes: settings.excerpt_bytes,
        })
    }

    async fn exchange(&self, request: Outbound, started: Instant) -> Ending {
        let url = match check_url(&request.url, &self.policy) {
            Ok(url) => url,
            Err(reason) => return Ending::Refused(reason),
        };
        let mut headers = match header_map(&request.headers) {
            Ok(headers) => headers,
            Err(reason) => return Ending::Failed(reason),
        };
        // The client leaves it out when the body is empty, and some receivers wait for it.
        headers.insert(CONTENT_LENGTH, request.body.len().into());
        let deadline = started + Duration::from_millis(request.timeout_ms.min(LONGEST_TIMEOUT_MS));
        let pending = self.client.post(url).headers(headers).body(request.body).send();
        match timeout_at(deadline, pending).await {
            Err(_) => Ending::TimedOut,
            Ok(Err(error)) => ending_of(&error),
            Ok(Ok(response)) => self.answered(response, deadline).await,
        }
    }

    async fn answered(&self, response: Response, deadline: Instant) -> Ending {
        // Cannot happen as long as the URL and the resolver's answers are judged. If it does,
        // nothing of the answer may reach whoever registered the endpoint.
        if let Some(reason) = self.peer_refusal(response.remote_addr().map(|peer| peer.ip())) {
            return Ending::Refused(reason);
        }
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let deadline = deadline.min(Instant::now() + self.body_timeout);
        let excerpt = excerpt(response, deadline, self.excerpt_bytes).await;
        Ending::Answered { status, excerpt, retry_after }
    }

    fn peer_refusal(&self, peer: Option<IpAddr>) -> Option<String> {
        match peer {
            None => Some("the connection does not tell its address".to_owned()),
            Some(peer) => self
                .policy
                .refusal(peer)
                .map(|reason| format!("connected to {peer}, which is not public: {reason}")),
        }
    }
}

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, request: Outbound) -> Outcome {
        let started = Instant::now();
        let ending = self.exchange(request, started).await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Outcome { duration_ms, ending }
    }
}

/// No request outlives a Lambda invocation, which lasts 15 minutes at most.
const LONGEST_TIMEOUT_MS: u64 = 900_000;

/// Most that is read of an answer's body. Reading past the excerpt lets the connection be kept
/// after answers of ordinary size.
const MOST_BODY_BYTES: usize = 64 * 1024;

/// Longest `Retry-After` that is kept; a date takes 29 characters.
const LONGEST_RETRY_AFTER: usize = 64;

/// Longest reason that is recorded, in characters.
const LONGEST_REASON: usize = 200;

/// Most headers of a request: about what common HTTP servers take, and far below the 24576 at
/// which the map of headers panics.
const MOST_HEADERS: usize = 100;

/// Headers that say how the request is framed or where the connection leads. Given from
/// outside, they could make the receiver see another request than the one that was signed.
const OURS: &[&str] = &[
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

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    if headers.len() > MOST_HEADERS {
        return Err(format!("more than {MOST_HEADERS} headers"));
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("\"{}\" is not a header name", legible(name)))?;
        if OURS.contains(&name.as_str()) {
            return Err(format!("the header \"{name}\" cannot be chosen"));
        }
        let value = HeaderValue::from_str(value).map_err(|_| {
            let name = legible(name.as_str());
            format!("the value of the header \"{name}\" has characters that HTTP does not allow")
        })?;
        map.append(name, value);
    }
    Ok(map)
}

fn retry_after(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    (value.len() <= LONGEST_RETRY_AFTER).then(|| value.to_owned())
}

/// The first bytes of the body, as many as come in time. A body that breaks off, drips or never
/// ends costs the rest of itself, not the answer.
async fn excerpt(mut response: Response, deadline: Instant, keep: usize) -> Vec<u8> {
    let mut excerpt = Vec::new();
    let mut read = 0;
    while read < MOST_BODY_BYTES {
        let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await else { break };
        read += chunk.len();
        let room = keep - excerpt.len();
        excerpt.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    excerpt
}

fn ending_of(error: &reqwest::Error) -> Ending {
    for cause in causes(error) {
        match cause.downcast_ref() {
            Some(LookupError::Refused(reason)) => return Ending::Refused(legible(reason)),
            Some(LookupError::Failed(reason)) => {
                return Ending::Failed(legible(&format!("dns: {reason}")));
            }
            None => {}
        }
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return Ending::Failed(legible(&format!("tls: {error}")));
        }
    }
    if error.is_timeout() {
        return Ending::TimedOut;
    }
    Ending::Failed(last_cause(error))
}

/// The innermost cause in few words. The outer layers only repeat that sending failed, and the
/// outermost would print the URL, whose query may hold a secret.
fn last_cause(error: &reqwest::Error) -> String {
    let Some(cause) = causes(error).skip(1).last() else {
        return "the request could not be made".to_owned();
    };
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::ConnectionReset) => "connection reset".to_owned(),
        Some(io::ErrorKind::BrokenPipe) => "connection closed while sending".to_owned(),
        Some(io::ErrorKind::HostUnreachable) => "host unreachable".to_owned(),
        Some(io::ErrorKind::NetworkUnreachable) => "network unreachable".to_owned(),
        _ => legible(&cause.to_string()),
    }
}

/// An error and what lies behind it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // `io::Error::source` skips the error that it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// Text that may come from the other side, fit for a record and a terminal.
fn legible(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST_REASON).map(plain).collect()
}
