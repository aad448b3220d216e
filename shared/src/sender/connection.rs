//! Connections to endpoints: how one is opened, and what travels over it.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::response::Response;
use http::{HeaderMap, Request};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use super::target::{GuardedResolver, LookupError, TargetPolicy};
use super::{Ending, race, reason};
use crate::domain::id::ApplicationId;
use crate::domain::sync::hold;

/// Most headers of an answer, far more than servers send.
const MOST_ANSWER_HEADERS: usize = 1_000;
/// Most addresses of a name that are tried.
const MOST_ADDRESSES: usize = 16;
/// How long a connection that nobody holds any more may take to close: what waits to be sent is
/// sent, and TLS says goodbye, if the other side takes it.
const CLOSING: Duration = Duration::from_secs(1);

/// Where a connection leads, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    tls: bool,
    host: Host,
    port: u16,
}

impl Place {
    /// Of a URL that was judged.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let host = url.host()?.to_owned();
        Some(Self { tls: url.scheme() == "https", host, port: url.port_or_known_default()? })
    }
}

/// Opens connections to addresses that the policy permits.
pub(super) struct Connector {
    pub(super) resolver: GuardedResolver,
    pub(super) policy: Arc<TargetPolicy>,
    pub(super) tls: TlsConnector,
    /// From name resolution to a finished TLS handshake.
    pub(super) patience: Duration,
}

impl Connector {
    /// A new connection to this place; how the request ends when there is none.
    pub(super) async fn open(
        &self,
        place: &Place,
        owner: Option<ApplicationId>,
    ) -> Result<Connection, Ending> {
        let deadline = Instant::now() + self.patience;
        let opened = async {
            let addresses = self.addresses(&place.host, owner).await?;
            let tcp = self.connect(&addresses, place.port).await?;
            let stream = self.secure(tcp, place).await?;
            Connection::over(stream).await
        };
        timeout_at(deadline, opened).await.unwrap_or(Err(Ending::TimedOut))
    }

    async fn addresses(
        &self,
        host: &Host,
        owner: Option<ApplicationId>,
    ) -> Result<Vec<IpAddr>, Ending> {
        let name = match host {
            Host::Ipv4(address) => return Ok(vec![(*address).into()]),
            Host::Ipv6(address) => return Ok(vec![(*address).into()]),
            Host::Domain(name) => name,
        };
        self.resolver.addresses(name, owner).await.map_err(|error| match error {
            LookupError::Refused(text) => Ending::Refused(reason::legible(&text)),
            LookupError::Failed(text) => Ending::Failed(reason::legible(&format!("dns: {text}"))),
            LookupError::Unsent(text) => Ending::Unsent(reason::legible(&format!("dns: {text}"))),
        })
    }

    /// A connection to the first of the addresses that answers.
    async fn connect(&self, addresses: &[IpAddr], port: u16) -> Result<TcpStream, Ending> {
        let begin = async |address: IpAddr| {
            // Cannot happen as long as the URL and the resolver's answers are judged.
            if let Some(reason) = self.policy.refusal(address) {
                return Err(Ending::Refused(format!("{address} is not public: {reason}")));
            }
            let opened = TcpStream::connect(SocketAddr::new(address, port)).await;
            opened.map_err(|error| match reason::is_shortage(&error, address) {
                true => Ending::Unsent(reason::of(&error)),
                false => Ending::Failed(reason::of(&error)),
            })
        };
        let ends = |ending: &Ending| !matches!(ending, Ending::Failed(_));
        let tried = addresses.iter().take(MOST_ADDRESSES).copied();
        let tcp = race::first_to_answer(tried, begin, ends).await.map_err(|ending| {
            ending.unwrap_or_else(|| Ending::Failed("the name has no address".to_owned()))
        })?;
        // Without it a small request waits for the other side's acknowledgement.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }

    async fn secure(&self, tcp: TcpStream, place: &Place) -> Result<Stream, Ending> {
        if !place.tls {
            return Ok(Stream::Plain(tcp));
        }
        let name = match &place.host {
            Host::Domain(name) => ServerName::try_from(name.clone())
                .map_err(|error| Ending::Failed(format!("tls: {error}")))?,
            Host::Ipv4(address) => ServerName::from(IpAddr::from(*address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::from(*address)),
        };
        match self.tls.connect(name, tcp).await {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
            Err(error) => Err(Ending::Failed(reason::of(&error))),
        }
    }
}

/// An open connection, for one request at a time. Dropping it closes it, soon at the latest.
pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    heard: Heard,
    /// Tells its driver that it was dropped.
    _held: oneshot::Sender<()>,
}

/// A request that got no answer over its connection.
pub(super) struct Broken {
    error: hyper::Error,
    /// The beginning of what came instead.
    heard: Vec<u8>,
}

impl Connection {
    async fn over(stream: Stream) -> Result<Self, Ending> {
        let heard = Heard::default();
        let stream = Overheard { stream, heard: heard.clone() };
        let (requests, connection) = http1::Builder::new()
            // Receivers that webhooks reach by other senders get theirs by us: what no program
            // can misread is read.
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .max_headers(MOST_ANSWER_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Ending::Failed(reason::of(&error)))?;
        let (held, dropped) = oneshot::channel();
        // What becomes of the connection is told to whoever waits for an answer over it.
        tokio::spawn(async move {
            if let Either::Right((_, connection)) = select(connection, dropped).await {
                let _ = timeout(CLOSING, connection).await;
            }
        });
        Ok(Self { requests, heard, _held: held })
    }

    /// Sends one request; returns when the head of its answer is there.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Broken> {
        self.heard.forget();
        let broken = |error| Broken { error, heard: self.heard.so_far() };
        // Before the driver of a new connection has run for the first time it takes nothing.
        self.requests.ready().await.map_err(broken)?;
        self.requests.send_request(request).await.map_err(broken)
    }

    /// Whether the next request may be sent by then: the last byte of this one has left, which an
    /// endpoint that answers early may never take.
    pub(super) async fn recovers(&mut self, by: Instant) -> bool {
        self.is_ready()
            || timeout_at(by, self.requests.ready()).await.is_ok_and(|ready| ready.is_ok())
    }

    /// Whether a request can be sent at once, as far as we know.
    pub(super) fn is_ready(&self) -> bool {
        self.requests.is_ready()
    }
}

impl Broken {
    /// Whether nothing of an answer came over a connection that had been kept: it ended, or what
    /// came is the rest of an earlier answer, since no answer begins like that.
    pub(super) fn before_any_answer(&self) -> bool {
        match self.heard.is_empty() {
            true => reason::is_end_of_connection(&self.error),
            false => !may_be_answer(&self.heard),
        }
    }

    /// How the request ends if this is the end of it. A status line counts even when what
    /// follows it cannot be read.
    pub(super) fn ending(&self) -> Ending {
        match status_of(&self.heard) {
            Some(status) if self.error.is_parse() => {
                let (excerpt, headers) = (Vec::new(), HeaderMap::new());
                Ending::Answered { status, excerpt, retry_after: None, headers }
            }
            _ => Ending::Failed(reason::of(&self.error)),
        }
    }
}

/// Whether an answer may begin like this. Empty lines before it are passed over.
fn may_be_answer(heard: &[u8]) -> bool {
    let begins = heard.trim_ascii_start();
    begins.iter().zip(b"HTTP/").all(|(found, wanted)| found == wanted)
}

/// The status in these first bytes of an answer, provisional ones passed over.
fn status_of(mut heard: &[u8]) -> Option<u16> {
    loop {
        let line =
            heard.split(|byte| *byte == b'\n').next().filter(|line| line.len() < heard.len())?;
        let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
        let status = std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?;
        match status {
            200..=999 => return Some(status),
            100..=199 => {
                let end = heard.windows(4).position(|window| window == b"\r\n\r\n")?;
                heard = &heard[end + 4..];
            }
            _ => return None,
        }
    }
}

/// How much of an answer is remembered, in bytes: enough for a status line.
const REMEMBERED_BYTES: usize = 512;

/// The first bytes that came since the last request was sent.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn forget(&self) {
        hold(&self.0).clear();
    }

    fn so_far(&self) -> Vec<u8> {
        hold(&self.0).clone()
    }

    fn add(&self, bytes: &[u8]) {
        let mut heard = hold(&self.0);
        let room = REMEMBERED_BYTES - heard.len();
        heard.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that remembers the beginning of what comes in.
struct Overheard {
    stream: Stream,
    heard: Heard,
}

impl AsyncRead for Overheard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        };
        self.heard.add(&buffer.filled()[before..]);
        read
    }
}

impl AsyncWrite for Overheard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
