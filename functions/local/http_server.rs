//! A small HTTP/1.1 server: whole requests in, whole responses out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use shared::api::error::{ApiError, Later};
use shared::domain::sync::hold;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::connection::{self, Second, Serving, Stream, WhichLane};
use crate::hearing::Hearing;
use crate::stop::Stop;
use crate::timer::Timer;
use crate::unread::{Patience, Reader, time_for};

/// Largest body that is read, in bytes: twice what the API takes, so that the API itself can
/// say what its limit is.
pub(crate) const MAX_BODY_BYTES: usize = receive::MAX_SPLIT_BYTES + 1;
/// Connections that may wait to be accepted: whoever comes on top of them is not heard, and tries
/// again after a second. The system may make it less (`net.core.somaxconn`, 4096 on Linux).
const WAITING: u32 = 4096;

/// Listens here.
///
/// # Errors
/// When the system refuses.
pub(crate) fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As every server does: otherwise an address is taken for a minute after it was left.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(WAITING)
}

/// Listens to this machine alone, on a port that is free.
///
/// # Errors
/// When there is none.
pub(crate) fn listen_anywhere() -> Result<(TcpListener, SocketAddr), String> {
    let open = || {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    open().map_err(|error: std::io::Error| format!("no port: {error}"))
}

/// What a server bears.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Longest wait for a request's head, and for the next request of a connection.
    pub(crate) head: Duration,
    /// Longest wait for a request's body, beyond what it may take at the least rate.
    pub(crate) body: Duration,
    /// Bytes of a body that must come in a second.
    pub(crate) least_rate: u32,
    /// How long an answer may take to be read.
    pub(crate) answer: Patience,
    /// Bytes that are read of the body of somebody who is not known.
    pub(crate) of_a_stranger: usize,
    /// Connections at once. More wait until one of them ends.
    pub(crate) connections: usize,
    /// Connections at once of one peer that is not this machine. More are closed.
    pub(crate) of_one_peer: usize,
}

impl Limits {
    /// As many connections as leave half of the descriptors to what this process opens itself.
    pub(crate) fn of_this_process() -> Self {
        let connections = half_of_descriptors().min(MOST_CONNECTIONS);
        let (longest, least_rate) = (Duration::from_secs(30), 16 * 1024);
        Self {
            head: longest,
            body: longest,
            least_rate,
            answer: Patience { longest, least_rate },
            of_a_stranger: 64 * 1024,
            connections,
            of_one_peer: connections / 2,
        }
    }
}

/// What systems allow a process that did not ask for more.
const USUAL_DESCRIPTORS: usize = 1024;
/// For the database and whatever else is open.
const SPARE_DESCRIPTORS: usize = 64;
/// Most connections at once, however many descriptors there are.
const MOST_CONNECTIONS: usize = 8192;

/// All that is read of anybody.
pub(crate) const WHOLE: Hearing = Hearing::UpTo(MAX_BODY_BYTES, None);

/// How much is read of somebody, by the head of a request.
pub(crate) type Knows = Arc<dyn Fn(&Parts) -> Hearing + Send + Sync>;

/// Serves until the task is dropped. `answer` gets every request that can be read.
pub(crate) async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    let limits = Limits::of_this_process();
    let door = Door { limits, knows: Arc::new(|_| WHOLE), second: None };
    serve_within(door, listener, Stop::never(), answer).await;
}

/// Who is let in, and where to.
pub(crate) struct Door {
    /// What it bears.
    pub(crate) limits: Limits,
    /// Whose long bodies are read.
    pub(crate) knows: Knows,
    /// Where long requests are read and answered, if not where all others are.
    pub(crate) second: Option<Second>,
}

/// Like [`serve`], through this door. Once it is to stop it takes no more requests, and ends when
/// those that it has are answered.
pub(crate) async fn serve_within<A, F>(door: Door, listener: TcpListener, stop: Stop, answer: A)
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    let Door { limits, knows, second } = door;
    let places = Arc::new(Semaphore::new(limits.connections));
    let peers = Peers::new(limits.of_one_peer);
    loop {
        let accept = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let accepted = tokio::select! {
            () = stop.asked() => break,
            accepted = accept => accepted,
        };
        let Some((place, accepted)) = accepted else { return };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: give connections time to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(guest) = peers.admit(peer.ip()) else { continue };
        // Without it small answers wait for the other side's acknowledgement.
        let _ = stream.set_nodelay(true);
        let (knows, answer) = (knows.clone(), answer.clone());
        let lane = WhichLane::first(second.clone());
        let (timer, stop) = (Timer::here(), stop.clone());
        let reader = Reader::new(limits.answer, timer.clone(), stop.clone());
        let (stream, own) = (Stream::of(stream, lane.clone(), reader), lane.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (knows, answer, lane) = (knows.clone(), answer.clone(), own.clone());
            async move {
                let answer = respond(limits, request, &lane, &*knows, answer).await;
                lane.answered();
                Ok::<_, Infallible>(answer.map(Full::new))
            }
        });
        tokio::spawn(async move {
            let serving = http1::Builder::new()
                .timer(timer)
                .header_read_timeout(limits.head)
                .max_buf_size(connection::MOST_AT_ONCE)
                .serve_connection(TokioIo::new(stream), service);
            connection::serve(serving, lane, stop).await;
            drop((guest, place));
        });
    }
    // Others are refused from now on, and go elsewhere or try again.
    drop(listener);
    let _ = places.acquire_many(limits.connections as u32).await;
}

impl<S> Serving for http1::Connection<TokioIo<Stream>, S>
where
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// How many connections each peer has. Clones share it.
#[derive(Clone)]
pub(crate) struct Peers {
    most: usize,
    connections: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Peers {
    /// Lets each peer have this many at once.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, connections: Arc::default() }
    }

    /// Lets one more connection of this peer in, unless it has too many; it is counted until
    /// the guest is dropped. This machine may have as many as it likes: a proxy may stand here.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<Guest> {
        let peer = network(address);
        let mut connections = hold(&self.connections);
        let count = connections.entry(peer).or_default();
        if *count >= self.most && !peer.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Guest { peers: self.clone(), peer })
    }
}

/// A connection of a peer.
pub(crate) struct Guest {
    peers: Peers,
    peer: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut connections = hold(&self.peers.connections);
        if let Some(count) = connections.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.peer);
            }
        }
    }
}

/// Whom an address stands for: over IPv6 a customer has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

async fn respond<A, F>(
    limits: Limits,
    request: Request<Incoming>,
    lane: &WhichLane,
    knows: &(dyn Fn(&Parts) -> Hearing + Send + Sync),
    answer: A,
) -> Response<Bytes>
where
    A: Fn(Request<Bytes>) -> F,
    F: Future<Output = Response<Bytes>>,
{
    let (head, body) = request.into_parts();
    lane.begin(&head, body.size_hint().lower()).await;
    match whole(limits, body, lane, || knows(&head)).await {
        Ok(body) => answer(Request::from_parts(head, body)).await,
        Err(refusal) => refusal,
    }
}

/// The body, if it is not too large and comes fast enough; the answer, if not.
async fn whole(
    limits: Limits,
    body: Incoming,
    lane: &WhichLane,
    known: impl Fn() -> Hearing,
) -> Result<Bytes, Response<Bytes>> {
    let expected = body.size_hint().lower();
    // Of what says itself that it is too large nothing is read.
    if expected > MAX_BODY_BYTES as u64 {
        return Err(too_large(MAX_BODY_BYTES));
    }
    let mut hearing = None;
    let mut body = Limited::new(body, MAX_BODY_BYTES);
    let mut deadline = Instant::now() + limits.body;
    // Almost every body comes in one part, which is not copied. Of more each would keep the buffer
    // that it was read into, so they are put together as they come.
    let (mut first, mut together) = (Bytes::new(), Vec::new());
    let mut read = 0;
    loop {
        // Who says that more will come is asked before any of it is read.
        let length = expected.max(read);
        if length > limits.of_a_stranger as u64 {
            match hearing.get_or_insert_with(&known) {
                Hearing::Stranger => return Err(stranger()),
                Hearing::Busy => return Err(last(ApiError::Later(Later::Busy))),
                Hearing::UpTo(most, _) if length > *most as u64 => return Err(too_large(*most)),
                Hearing::UpTo(..) => {}
            }
        }
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(too_large(MAX_BODY_BYTES));
            }
            Ok(Some(Err(_))) => return Err(shared::api::error::empty(StatusCode::BAD_REQUEST)),
            Err(_) => return Err(shared::api::error::empty(StatusCode::REQUEST_TIMEOUT)),
        };
        // Trailers are no data.
        let Ok(part) = frame.into_data() else { continue };
        // What has come buys the time that it may take.
        deadline += time_for(part.len(), limits.least_rate);
        read += part.len() as u64;
        lane.has_read(read).await;
        if first.is_empty() {
            first = part;
            continue;
        }
        if together.is_empty() {
            together.extend_from_slice(&first);
        }
        together.extend_from_slice(&part);
    }
    Ok(if together.is_empty() { first } else { together.into() })
}

/// The answer to somebody who is not known and sends much.
fn stranger() -> Response<Bytes> {
    let detail = "Send a token that holds: without one no more of the body is read.";
    last(ApiError::unauthenticated(detail))
}

/// The answer to a body that is too large for what is asked.
fn too_large(most: usize) -> Response<Bytes> {
    last(ApiError::too_large(format!("The body has more than {most} bytes.")))
}

/// An answer after which nothing else is read that comes over this connection.
fn last(error: ApiError) -> Response<Bytes> {
    let mut response = error.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// How many connections to others leave room for as many from others.
pub(crate) fn half_of_descriptors() -> usize {
    let descriptors = descriptors().map_or(USUAL_DESCRIPTORS, |(now, _)| now);
    (descriptors.saturating_sub(SPARE_DESCRIPTORS) / 2).max(1)
}

/// How many files and sockets this process may have open, where the system tells: now, and at
/// most.
pub(crate) fn descriptors() -> Option<(usize, usize)> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(usize::MAX));
    Some((numbers.next()?, numbers.next()?))
}
