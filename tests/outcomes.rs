//! What becomes of an attempt when the receiver misbehaves: the whole platform with the real
//! way out, against sockets on loopback.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dispatch::Settings;
use serde_json::{Value, json};
use shared::domain::attempt::{EXCERPT_BYTES, TAKEN_EXCERPT_BYTES};
use shared::sender::target::{Resolver, TargetPolicy};
use shared::sender::{HttpSender, SenderSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::world::{Builder, World, text};

/// Longest exchange with a receiver that takes its time, in milliseconds.
const TIMEOUT_MS: u64 = 200;
/// Longest exchange with one that answers or fails at once: long enough for a busy machine.
const PATIENCE_MS: u64 = 15_000;

#[tokio::test]
async fn a_body_of_ten_megabytes_leaves_a_kibibyte_on_record_and_less_of_one_that_took_it() {
    for (status, ok, kept) in [(200, true, TAKEN_EXCERPT_BYTES), (500, false, EXCERPT_BYTES)] {
        let mut head =
            format!("HTTP/1.1 {status} X\r\ncontent-length: 10485760\r\n\r\n").into_bytes();
        head.resize(head.len() + 10 * 1024 * 1024, b'x');
        let receiver = Receiver::start([Act::Answer(head), taken()]).await;
        let trip = Trip::to(&receiver.url(), local()).await;
        assert_eq!(trip.first["responseStatusCode"], status);
        assert_eq!(text(&trip.first["response"]), "x".repeat(kept));
        match ok {
            true => assert_eq!(trip.attempts_later().await.len(), 1),
            false => trip.assert_tried_again().await,
        }
    }
}

#[tokio::test]
async fn a_body_that_drips_is_recorded_as_far_as_it_came() {
    let head = b"HTTP/1.1 503 X\r\ncontent-length: 9000\r\n\r\n".to_vec();
    let receiver = Receiver::start([Act::Drip(head, b"drip ".to_vec()), taken()]).await;
    let trip = Trip::within(TIMEOUT_MS, &receiver.url(), local()).await;
    assert_eq!(trip.first["responseStatusCode"], 503);
    let response = text(&trip.first["response"]);
    assert!(response.starts_with("drip ") && response.len() < 9000, "{response}");
    trip.assert_took_the_time_out();
    trip.assert_tried_again().await;
}

#[tokio::test]
async fn a_head_that_drips_is_no_answer() {
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let receiver = Receiver::start([Act::Drip(head, b"x-a: b\r\n".to_vec()), taken()]).await;
    let trip = Trip::within(TIMEOUT_MS, &receiver.url(), local()).await;
    trip.assert_time_out();
    trip.assert_tried_again().await;
}

#[tokio::test]
async fn silence_is_a_time_out() {
    let receiver = Receiver::start([Act::Hang, taken()]).await;
    let trip = Trip::within(TIMEOUT_MS, &receiver.url(), local()).await;
    trip.assert_time_out();
    trip.assert_tried_again().await;
}

#[tokio::test]
async fn a_reset_is_recorded_as_one() {
    let receiver = Receiver::start([Act::Reset, taken()]).await;
    let trip = Trip::to(&receiver.url(), local()).await;
    trip.assert_no_answer("connection reset");
    trip.assert_tried_again().await;
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_recorded() {
    let receiver = Receiver::start([Act::Answer(Vec::new()), taken()]).await;
    let trip = Trip::to(&receiver.url(), local()).await;
    trip.assert_no_answer("connection closed before message completed");
    trip.assert_tried_again().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_the_answer_standing() {
    let head = b"HTTP/1.1 500 X\r\ncontent-length: 100\r\n\r\nhalf a sent".to_vec();
    let receiver = Receiver::start([Act::Answer(head), taken()]).await;
    let trip = Trip::to(&receiver.url(), local()).await;
    assert_eq!(trip.first["responseStatusCode"], 500);
    assert_eq!(trip.first["response"], "half a sent");
    trip.assert_tried_again().await;
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_recorded() {
    let receiver =
        Receiver::start([Act::Answer(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), taken()]).await;
    let trip = Trip::to(&receiver.url(), local()).await;
    trip.assert_no_answer("invalid HTTP version parsed");
    trip.assert_tried_again().await;
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_recorded() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let trip = Trip::to(&format!("http://{address}/"), local()).await;
    trip.assert_no_answer("connection refused");
    let attempts = trip.attempts_later().await;
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[1]["response"], "connection refused");
}

#[tokio::test]
async fn a_receiver_without_tls_is_recorded() {
    let bytes = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let receiver = Receiver::start([Act::AnswerAnything(bytes)]).await;
    let trip = Trip::to(&format!("https://127.0.0.1:{}/", receiver.port), local()).await;
    assert_eq!(trip.first["responseStatusCode"], 0);
    let response = text(&trip.first["response"]);
    assert!(response.starts_with("tls: "), "{response}");
    assert_eq!(trip.attempts_later().await.len(), 2);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_recorded() {
    let receiver = Receiver::start([taken()]).await;
    let names = Names::new([Err("no such host".to_owned()), Ok(vec![Ipv4Addr::LOCALHOST.into()])]);
    let sender = HttpSender::with_resolver(settings(TargetPolicy::local()), names).unwrap();
    let url = format!("http://hooks.example.com:{}/", receiver.port);
    let trip = Trip::to(&url, sender).await;
    trip.assert_no_answer("dns: no such host");
    trip.assert_tried_again().await;
}

#[tokio::test]
async fn a_redirect_is_recorded_and_never_followed() {
    let elsewhere = Receiver::start([taken()]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = elsewhere.url();
        let head = format!(
            "HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 5\r\n\r\nmoved"
        );
        let receiver = Receiver::start([Act::Answer(head.into()), taken()]).await;
        let trip = Trip::to(&receiver.url(), local()).await;
        assert_eq!(trip.first["responseStatusCode"], status);
        assert_eq!(trip.first["response"], "moved");
        trip.assert_tried_again().await;
        assert_eq!(receiver.connections(), 2);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn an_address_that_is_not_public_is_recorded_and_never_called() {
    let receiver = Receiver::start([taken(), taken()]).await;
    // Whatever protocol and port, so that only the address can be the reason.
    let policy = TargetPolicy { https_only: false, allowed_ports: None, ..TargetPolicy::default() };
    let by_name = Names::new([0; 2].map(|_| Ok(vec![Ipv4Addr::LOCALHOST.into()])));
    let port = receiver.port;
    for (url, resolver) in [
        (format!("http://127.0.0.1:{port}/"), Names::new([])),
        (format!("http://hooks.example.com:{port}/"), by_name),
    ] {
        let sender = HttpSender::with_resolver(settings(policy.clone()), resolver).unwrap();
        let trip = Trip::to(&url, sender).await;
        assert_eq!(trip.first["responseStatusCode"], 0);
        let response = text(&trip.first["response"]);
        assert!(response.starts_with("not called: "), "{response}");
        assert!(response.contains("not public"), "{response}");
        assert_eq!(trip.attempts_later().await.len(), 2, "it may be public the next time");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn by_default_an_endpoint_without_tls_is_not_called() {
    let receiver = Receiver::start([taken()]).await;
    let sender = HttpSender::new(settings(TargetPolicy::default())).unwrap();
    let trip = Trip::to(&receiver.url(), sender).await;
    assert_eq!(trip.first["responseStatusCode"], 0);
    let response = text(&trip.first["response"]);
    assert!(response.starts_with("not called: ") && response.contains("https"), "{response}");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_hold_up_the_others() {
    let hanging = Receiver::start([Act::Hang]).await;
    let healthy = Receiver::start([taken()]).await;
    let world = world(TIMEOUT_MS, local());
    let app = world.application().await;
    world.endpoint(&app, &hanging.url()).await;
    world.endpoint(&app, &healthy.url()).await;
    let msg = world.publish(&app, json!({})).await;
    world.dispatch_all().await;
    let mut outcomes: Vec<_> = world
        .attempts(&app, &msg)
        .await
        .iter()
        .map(|attempt| {
            (attempt["responseStatusCode"].as_u64(), attempt["responseDurationMs"].as_u64())
        })
        .collect();
    outcomes.sort();
    let [(Some(0), Some(hung)), (Some(204), Some(healthy))] = outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert!(hung >= TIMEOUT_MS && healthy < TIMEOUT_MS, "{hung} ms and {healthy} ms");
}

/// One event to one endpoint, after the first attempt.
struct Trip {
    world: World,
    app: String,
    msg: String,
    first: Value,
}

impl Trip {
    async fn to(url: &str, sender: HttpSender) -> Self {
        Self::within(PATIENCE_MS, url, sender).await
    }

    async fn within(timeout_ms: u64, url: &str, sender: HttpSender) -> Self {
        let world = world(timeout_ms, sender);
        let app = world.application().await;
        world.endpoint(&app, url).await;
        let msg = world.publish(&app, json!({"n": 1})).await;
        world.dispatch_all().await;
        let attempts = world.attempts(&app, &msg).await;
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        let first = attempts[0].clone();
        Self { world, app, msg, first }
    }

    /// The attempts after the time for the first retry.
    async fn attempts_later(&self) -> Vec<Value> {
        self.world.advance_s(7);
        self.world.dispatch_all().await;
        self.world.attempts(&self.app, &self.msg).await
    }

    /// The first attempt failed, and the second arrives.
    async fn assert_tried_again(&self) {
        assert_eq!(self.first["status"], 2);
        let attempts = self.attempts_later().await;
        assert_eq!(attempts.len(), 2, "{attempts:?}");
        assert_eq!(attempts[1]["responseStatusCode"], 204, "{}", attempts[1]);
    }

    fn assert_no_answer(&self, reason: &str) {
        assert_eq!(self.first["responseStatusCode"], 0);
        assert_eq!(self.first["response"], reason);
    }

    fn assert_time_out(&self) {
        assert_eq!(self.first["responseStatusCode"], 0);
        let response = text(&self.first["response"]);
        let told =
            response.strip_prefix("no answer within ").and_then(|rest| rest.strip_suffix(" ms"));
        assert_eq!(told.map(str::parse), Some(Ok(self.duration_ms())), "{response}");
        self.assert_took_the_time_out();
    }

    /// At least the time-out, and not what a missing one would take.
    fn assert_took_the_time_out(&self) {
        let took = self.duration_ms();
        assert!((TIMEOUT_MS..TIMEOUT_MS + 750).contains(&took), "{took} ms");
    }

    fn duration_ms(&self) -> u64 {
        self.first["responseDurationMs"].as_u64().expect("a duration")
    }
}

fn world(timeout_ms: u64, sender: HttpSender) -> World {
    let settings = Settings { timeout_ms, ..Settings::default() };
    World::build(Builder { settings, sender: Some(Arc::new(sender)), ..Builder::default() })
}

fn settings(policy: TargetPolicy) -> SenderSettings {
    SenderSettings { policy, ..SenderSettings::default() }
}

/// A sender that may call this machine.
fn local() -> HttpSender {
    HttpSender::new(settings(TargetPolicy::local())).expect("a sender")
}

/// What a receiver does with a connection.
enum Act {
    /// Reads a request, writes these bytes and closes.
    Answer(Vec<u8>),
    /// Reads something, whatever it is, writes these bytes and closes.
    AnswerAnything(Vec<u8>),
    /// Reads a request, writes the first bytes, and then the others every 5 ms.
    Drip(Vec<u8>, Vec<u8>),
    /// Reads a request and says nothing.
    Hang,
    /// Reads a request and closes with a TCP reset.
    Reset,
}

/// The event is taken.
fn taken() -> Act {
    Act::Answer(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec())
}

/// A socket that does one thing per connection.
struct Receiver {
    port: u16,
    connections: Arc<Mutex<usize>>,
}

impl Receiver {
    async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let port = listener.local_addr().expect("an address").port();
        let connections: Arc<Mutex<usize>> = Arc::default();
        let count = connections.clone();
        let mut acts: VecDeque<Act> = acts.into_iter().collect();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().expect("a count") += 1;
                if let Some(act) = acts.pop_front() {
                    tokio::spawn(play(stream, act));
                }
            }
        });
        Self { port, connections }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    fn connections(&self) -> usize {
        *self.connections.lock().expect("a count")
    }
}

/// Plays an act. Errors only mean that the other side has hung up.
async fn play(mut stream: TcpStream, act: Act) {
    match act {
        Act::AnswerAnything(bytes) => {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&bytes).await;
        }
        Act::Answer(bytes) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
        }
        Act::Drip(first, bytes) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(&first).await;
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            while stream.write_all(&bytes).await.is_ok() {
                pace.tick().await;
            }
        }
        Act::Hang => {
            read_request(&mut stream).await;
            let _ = stream.read(&mut [0; 1]).await;
        }
        Act::Reset => {
            read_request(&mut stream).await;
            stream.set_zero_linger().expect("a socket option");
        }
    }
}

async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// Whether these bytes are a request with everything that its `content-length` announces.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
    request.len() == end + 4 + length
}

/// A resolver that gives each of its answers once.
struct Names(Mutex<VecDeque<Result<Vec<IpAddr>, String>>>);

impl Names {
    fn new(answers: impl IntoIterator<Item = Result<Vec<IpAddr>, String>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answers.into_iter().collect())))
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, _host: &str) -> Result<Vec<IpAddr>, String> {
        let next = self.0.lock().expect("the answers").pop_front();
        next.unwrap_or_else(|| Err("asked too often".to_owned()))
    }
}
