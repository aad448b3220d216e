//! What leaves on the wire, what is read of the answer, and how every failure ends. The
//! receivers are plain sockets on loopback that play a script.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use shared::domain::answer_headers;
use shared::sender::target::{Resolver, TargetPolicy};
use shared::sender::{Ending, HttpSender, Outbound, Outcome, Sender, SenderSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

mod answers;
mod connections;
mod failures;
mod lookups;
mod requests;
mod targets;
mod tls;

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// What a receiver does with a connection, one after the other.
#[derive(Clone)]
enum Step {
    /// Reads and records one whole request.
    Read,
    Write(Vec<u8>),
    /// Writes until the other side is gone.
    Forever(Vec<u8>),
    /// Writes every 5 ms until the other side is gone.
    Drip(Vec<u8>),
    /// Waits until the other side is gone.
    Hang,
    /// Lets the other side look at what was written.
    Settle,
    Close,
    /// Closes with a TCP reset.
    Reset,
}

/// A socket that plays one script per connection and drops connections that have none.
struct Receiver {
    port: u16,
    /// The n-th entry is the n-th request as it came, over all connections.
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<Mutex<usize>>,
    /// Told when a script has come to its end and its connection is closed.
    ended: Arc<Notify>,
}

impl Receiver {
    async fn start(scripts: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            connections: Arc::default(),
            ended: Arc::default(),
        };
        let mut scripts: VecDeque<_> = scripts.into_iter().collect();
        let (requests, connections) = (receiver.requests.clone(), receiver.connections.clone());
        let ended = receiver.ended.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                let script = scripts.pop_front().unwrap_or_default();
                let (requests, ended) = (requests.clone(), ended.clone());
                tokio::spawn(async move {
                    play(stream, script, &requests).await;
                    ended.notify_one();
                });
            }
        });
        receiver
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn play(mut stream: TcpStream, script: Vec<Step>, requests: &Mutex<Vec<Vec<u8>>>) {
    for step in script {
        match step {
            Step::Read => match read_request(&mut stream).await {
                Some(request) => requests.lock().unwrap().push(request),
                None => return,
            },
            Step::Write(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Step::Forever(bytes) => while stream.write_all(&bytes).await.is_ok() {},
            Step::Drip(bytes) => {
                let mut pace = tokio::time::interval(Duration::from_millis(5));
                while stream.write_all(&bytes).await.is_ok() {
                    pace.tick().await;
                }
            }
            Step::Hang => wait_for_end(&mut stream).await,
            Step::Settle => settle().await,
            Step::Close => return,
            Step::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        }
    }
    // A script that just ends leaves the connection open, as servers do.
    wait_for_end(&mut stream).await;
}

async fn wait_for_end(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if is_whole(&request) {
            return Some(request);
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Whether these bytes are a request with everything that its `content-length` announces.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = text(&request[..end]);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    request.len() == end + 4 + length.unwrap_or("0").parse::<usize>().unwrap()
}

/// A resolver that gives each of its answers once and fails afterwards.
struct Script {
    answers: Mutex<VecDeque<Result<Vec<IpAddr>, String>>>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Vec<IpAddr>, String>>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { answers, asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Script {
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        self.asked.lock().unwrap().push(host.to_owned());
        let next = self.answers.lock().unwrap().pop_front();
        next.unwrap_or_else(|| Err("asked too often".to_owned()))
    }
}

fn settings() -> SenderSettings {
    SenderSettings { policy: TargetPolicy::local(), ..SenderSettings::default() }
}

/// The public internet, with http and every port so that only the address can be the reason.
fn public() -> TargetPolicy {
    TargetPolicy { https_only: false, allowed_ports: None, ..TargetPolicy::default() }
}

fn sender() -> HttpSender {
    HttpSender::new(settings()).unwrap()
}

fn resolving(resolver: &Arc<Script>) -> HttpSender {
    HttpSender::with_resolver(settings(), resolver.clone()).unwrap()
}

fn request(url: &str) -> Outbound {
    request_within(url, 5_000)
}

fn request_within(url: &str, timeout_ms: u64) -> Outbound {
    let body = Bytes::from_static(b"{}");
    Outbound { url: url.to_owned(), headers: Vec::new(), body, timeout_ms, owner: None }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn answer(outcome: Outcome) -> (u16, Vec<u8>, Option<String>) {
    match outcome.ending {
        Ending::Answered { status, excerpt, retry_after, .. } => (status, excerpt, retry_after),
        other => panic!("no answer: {other:?}"),
    }
}

/// What is kept of the answer's headers.
fn kept(outcome: Outcome) -> Vec<(String, String)> {
    match outcome.ending {
        Ending::Answered { headers, .. } => answer_headers::kept(&headers),
        other => panic!("no answer: {other:?}"),
    }
}

fn failure(outcome: Outcome) -> String {
    match outcome.ending {
        Ending::Failed(reason) => reason,
        other => panic!("no failure: {other:?}"),
    }
}

fn refused(outcome: Outcome) -> String {
    match outcome.ending {
        Ending::Refused(reason) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// At least the limit, and not what a missing limit would take.
fn assert_took(outcome: &Outcome, limit_ms: u64) {
    let range = limit_ms..limit_ms + 850;
    assert!(range.contains(&outcome.duration_ms), "{} ms of {limit_ms}", outcome.duration_ms);
}

async fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

/// Lets every task that can run do so, with several looks at the sockets in between, so that the
/// connection pool notices what has happened to its connections.
async fn settle() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}
