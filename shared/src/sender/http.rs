//! The network port over HTTP/1.1.
//!
//! One request runs through four stages, and the first that objects decides the ending:
//! judging the URL, resolving and connecting, waiting for the status line, reading the
//! beginning of the body. Once there is a status line the request is answered, whatever
//! happens to the body. Of the headers, what other programs read is read as well: folded lines,
//! blanks before the colon, and what is no header is passed over.
//!
//! A request is sent once more, over a new connection, when it went over a kept one that ended
//! before the first byte of an answer, or where something came that no answer begins with: servers
//! close what is idle at any time, and some send more than they announced, which says nothing about
//! this request. Whether the receiver acted on the first copy stays unknown, as it does with every
//! request that gets no answer, and it can tell by the id of the message. The end of a new
//! connection, and of an answer that had begun, is [`Ending::Failed`]. Both tries share the
//! request's one timeout.
//!
//! Header names leave in the letter case in which they were given. `accept: */*` is added when the request brings no `accept` of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    TRANSFER_ENCODING,
};
use http::response::Parts;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use crate::domain::headers;
use crate::domain::id::ApplicationId;

use super::connection::{Connection, Connector, Place};
use super::lookup::{LookupLimits, Lookups};
use super::pool::Pool;
use super::reason::legible;
use super::target::{GuardedResolver, Resolver, SystemResolver, TargetPolicy, check_url};
use super::{Ending, Outbound, Outcome, Sender, spelling, tls};

/// Everything about an [`HttpSender`] that can be chosen.
#[derive(Clone, Debug)]
pub struct SenderSettings {
    /// Which targets may be called.
    pub policy: TargetPolicy,
    /// Longest time from name resolution to a finished TLS handshake, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long an unused connection is kept, in milliseconds. Shorter than the 5 seconds of
    /// Node, lest many requests find theirs closed by the receiver.
    pub pool_idle_timeout_ms: u64,
    /// Most unused connections that are kept, however many hosts are called: each takes a
    /// descriptor.
    pub most_idle: usize,
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
            pool_idle_timeout_ms: 4_000,
            // A quarter of what Lambda lets a process open.
            most_idle: 256,
            body_timeout_ms: 1_000,
            excerpt_bytes: 1_024,
            extra_roots: None,
        }
    }
}

/// Sends over HTTP/1.1, with connections kept between requests. Make one and share it.
pub struct HttpSender {
    connector: Connector,
    pool: Pool,
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
        let lookups = Lookups::new(resolver, LookupLimits::default());
        let connector = Connector {
            resolver: GuardedResolver::new(Arc::new(lookups), Arc::clone(&policy)),
            policy: Arc::clone(&policy),
            tls: TlsConnector::from(Arc::new(tls)),
            patience: Duration::from_millis(settings.connect_timeout_ms),
        };
        Ok(Self {
            connector,
            pool: Pool::new(
                Duration::from_millis(settings.pool_idle_timeout_ms),
                settings.most_idle,
            ),
            policy,
            body_timeout: Duration::from_millis(settings.body_timeout_ms),
            excerpt_bytes: settings.excerpt_bytes,
        })
    }

    async fn exchange(&self, outbound: Outbound, started: Instant) -> Ending {
        let url = match check_url(&outbound.url, &self.policy) {
            Ok(url) => url,
            Err(reason) => return Ending::Refused(reason),
        };
        let timeout_ms = outbound.timeout_ms.min(LONGEST_TIMEOUT_MS);
        let deadline = started + Duration::from_millis(timeout_ms);
        let owner = outbound.owner;
        let names: Vec<String> = outbound.headers.iter().map(|(name, _)| name.clone()).collect();
        let (place, mut request) = match request(&url, outbound) {
            Ok(parts) => parts,
            Err(reason) => return Ending::Failed(reason),
        };
        if let Some(spelling) = spelling::of(names.iter().map(String::as_str)).await {
            *request.extensions_mut() = spelling;
        }
        match timeout_at(deadline, self.answer(&place, owner, request)).await {
            Err(_) => Ending::TimedOut,
            Ok(Err(ending)) => ending,
            Ok(Ok((connection, response))) => {
                self.read(place, connection, response, deadline).await
            }
        }
    }

    /// The head of the answer and the connection that its body comes over.
    async fn answer(
        &self,
        place: &Place,
        owner: Option<ApplicationId>,
        request: Request<Full<Bytes>>,
    ) -> Result<(Connection, Response<Incoming>), Ending> {
        if let Some(mut kept) = self.pool.take(place) {
            match kept.send(request.clone()).await {
                Ok(response) => return Ok((kept, response)),
                Err(broken) if broken.before_any_answer() => {}
                Err(broken) => return Err(broken.ending()),
            }
        }
        let mut fresh = self.connector.open(place, owner).await?;
        let response = fresh.send(request).await.map_err(|broken| broken.ending())?;
        Ok((fresh, response))
    }

    async fn read(
        &self,
        place: Place,
        mut connection: Connection,
        response: Response<Incoming>,
        deadline: Instant,
    ) -> Ending {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let deadline = deadline.min(Instant::now() + self.body_timeout);
        let (Parts { headers, .. }, body) = response.into_parts();
        let (excerpt, whole) = excerpt(body, deadline, self.excerpt_bytes).await;
        // Not left to others: as long as the connection is open the attempt has its slot.
        if whole && !is_followed_by_more(status, &headers) && connection.recovers(deadline).await {
            self.pool.keep(place, connection);
        }
        Ending::Answered { status, excerpt, retry_after, headers }
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

/// Most headers of a request: about what common HTTP servers take, and far below the 24576 at
/// which the map of headers panics.
const MOST_HEADERS: usize = 100;

/// Where the request goes, and what goes there.
fn request(url: &Url, outbound: Outbound) -> Result<(Place, Request<Full<Bytes>>), String> {
    let place = Place::of(url).ok_or("the URL names no host")?;
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let path: Uri = path.parse().map_err(|_| "the URL's path cannot be sent".to_owned())?;
    let mut headers = header_map(&outbound.headers)?;
    // Some receivers wait for it when the body is empty.
    headers.insert(CONTENT_LENGTH, outbound.body.len().into());
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    // With the port, unless it is the scheme's own.
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
    headers.insert(HOST, host.map_err(|_| "the URL's host cannot be sent".to_owned())?);
    let mut request = Request::post(path)
        .body(Full::new(outbound.body))
        .map_err(|error| legible(&error.to_string()))?;
    *request.headers_mut() = headers;
    Ok((place, request))
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    if headers.len() > MOST_HEADERS {
        return Err(format!("more than {MOST_HEADERS} headers"));
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("\"{}\" is not a header name", legible(name)))?;
        if headers::OF_CONNECTIONS.contains(&name.as_str()) {
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

/// Whether bytes may come behind an answer that has no body by its status, but says that it has one.
fn is_followed_by_more(status: u16, headers: &HeaderMap) -> bool {
    let none = headers.get(CONTENT_LENGTH).is_none_or(|length| length.as_bytes() == b"0");
    matches!(status, 204 | 304) && (!none || headers.contains_key(TRANSFER_ENCODING))
}

/// The first bytes of the body, as many as come in time, and whether that was all of it. A body
/// that breaks off, drips or never ends costs the rest of itself, not the answer.
async fn excerpt(mut body: Incoming, deadline: Instant, keep: usize) -> (Vec<u8>, bool) {
    let mut excerpt = Vec::new();
    let mut read = 0;
    while read < MOST_BODY_BYTES {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(None) => return (excerpt, true),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) | Err(_) => break,
        };
        // Trailers are no data.
        let Ok(chunk) = frame.into_data() else { continue };
        read += chunk.len();
        let room = keep - excerpt.len();
        excerpt.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    (excerpt, false)
}
