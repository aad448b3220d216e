//! The lanes of the local platform: whoever publishes and gets small events does not wait for a
//! thread that copies somebody's megabytes.

use std::collections::HashSet;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::connection::{MOST_AT_ONCE, Second, Stream, WhichLane};
use crate::http_server::{Door, Limits, WHOLE, serve_within};
use crate::lane::{self, LONG, Lane};
use crate::server::{heard, limits, say};
use crate::stop::{Stop, stop};
use crate::timer::Timer;
use crate::unread::Reader;

/// How long a stop that is not heard is waited for: less than the server waits for a request.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST: &str = "first";
const SECOND: &str = "second";

/// Each path that was asked for, and the lane that its request's head was read in.
static HEADS: Mutex<Vec<(String, &'static str)>> = Mutex::new(Vec::new());

/// How many answers have been begun, how many may end, and in which lane the sender of a long
/// body was checked.
struct Gate {
    begun: Semaphore,
    may_end: Semaphore,
    asked: Mutex<Vec<&'static str>>,
}

impl Gate {
    fn of(answers: usize) -> Arc<Self> {
        let (begun, may_end) = (Semaphore::new(0), Semaphore::new(answers));
        Arc::new(Self { begun, may_end, asked: Mutex::default() })
    }
}

/// Where this is called.
fn here() -> &'static str {
    let is_second = std::thread::current().name() == Some("second-lane");
    if is_second { SECOND } else { FIRST }
}

/// A server with two lanes that answers with the lane that the answer was made in. What is posted
/// is short.
async fn serve(lane: &Lane, stop: Stop, gate: Arc<Gate>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let is_short = |head: &Parts| {
        HEADS.lock().unwrap().push((head.uri.path().to_owned(), here()));
        head.method == Method::POST
    };
    let second = Some(Second { lane: lane.handle().clone(), is_short });
    let noted = gate.clone();
    let knows = move |_: &Parts| {
        noted.asked.lock().unwrap().push(here());
        WHOLE
    };
    let limits = Limits { of_a_stranger: LONG, ..limits() };
    let door = Door { limits, knows: Arc::new(knows), second };
    let answer = move |_: Request<Bytes>| {
        let gate = gate.clone();
        async move {
            gate.begun.add_permits(1);
            gate.may_end.acquire().await.unwrap().forget();
            Response::new(Bytes::from_static(here().as_bytes()))
        }
    };
    (addr, tokio::spawn(serve_within(door, listener, stop, answer)))
}

/// The body of the answer to a request of this connection.
async fn ask(stream: &mut TcpStream, method: &str, bytes: usize) -> String {
    ask_for(stream, method, "/", bytes).await
}

async fn ask_for(stream: &mut TcpStream, method: &str, path: &str, bytes: usize) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; bytes]).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(FIRST.as_bytes()) && !heard.ends_with(SECOND.as_bytes()) {
        heard.push(stream.read_u8().await.unwrap());
    }
    let heard = String::from_utf8(heard).unwrap();
    heard.rsplit("\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn a_connection_is_in_the_second_lane_for_long_requests_and_in_the_first_for_short_ones() {
    let lane = Lane::start(lane::BEHIND).unwrap();
    let gate = Gate::of(100);
    let (addr, _) = serve(&lane, Stop::never(), gate.clone()).await;
    let mut stream = say(addr, b"").await;
    for (method, bytes, expected) in [
        ("POST", 5, FIRST),
        ("POST", LONG, FIRST),
        ("POST", LONG + 1, SECOND),
        ("POST", 5, FIRST),
        ("GET", 0, SECOND),
        ("GET", 0, SECOND),
        ("POST", 10 * LONG, SECOND),
        ("POST", 0, FIRST),
    ] {
        assert_eq!(ask(&mut stream, method, bytes).await, expected, "{method} {bytes}");
    }
    // Before anything of their bodies was read.
    assert_eq!(*gate.asked.lock().unwrap(), [SECOND, SECOND]);
}

#[tokio::test]
async fn a_body_that_turns_out_to_be_long_goes_on_in_the_second_lane() {
    let lane = Lane::start(lane::BEHIND).unwrap();
    let (addr, _) = serve(&lane, Stop::never(), Gate::of(100)).await;
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for (parts, expected) in [(3, FIRST), (4, FIRST), (5, SECOND)] {
        let mut stream = say(addr, head).await;
        let part = vec![b'x'; LONG / 4];
        for _ in 0..parts {
            let size = format!("{:x}\r\n", part.len());
            stream.write_all(&[size.as_bytes(), &part, b"\r\n"].concat()).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        assert_eq!(answer(&mut stream).await, expected, "{parts} parts");
    }
}

#[tokio::test]
async fn what_follows_a_long_request_begins_in_the_first_lane() {
    let lane = Lane::start(lane::BEHIND).unwrap();
    let (addr, _) = serve(&lane, Stop::never(), Gate::of(100)).await;
    let mut stream = say(addr, b"").await;
    for _ in 0..3 {
        assert_eq!(ask_for(&mut stream, "GET", "/mixed", 0).await, SECOND);
        // The answer is here a moment before the server knows that it has been sent.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ask_for(&mut stream, "POST", "/mixed", 5).await, FIRST);
    let heads = HEADS.lock().unwrap();
    let lanes: Vec<_> =
        heads.iter().filter(|(path, _)| path == "/mixed").map(|(_, at)| *at).collect();
    assert_eq!(lanes, [FIRST; 4]);
}

#[tokio::test]
async fn a_short_request_that_is_there_when_a_long_one_is_answered_is_not_answered_behind_it() {
    let lane = Lane::start(lane::BEHIND).unwrap();
    let (addr, _) = serve(&lane, Stop::never(), Gate::of(100)).await;
    let short = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let both = format!("GET / HTTP/1.1\r\nhost: x\r\n\r\n{short}");
    for _ in 0..20 {
        let mut stream = say(addr, both.as_bytes()).await;
        assert_eq!(answer(&mut stream).await, SECOND);
        assert_eq!(answer(&mut stream).await, FIRST);
    }
}

#[tokio::test]
async fn a_connection_outlives_the_second_lane_that_it_was_in() {
    let lane = Lane::start(lane::BEHIND).unwrap();
    let (addr, _) = serve(&lane, Stop::never(), Gate::of(100)).await;
    let mut stream = say(addr, b"").await;
    assert_eq!(ask(&mut stream, "GET", 0).await, SECOND);
    drop(lane);
    // What ends with the lane ends in its own time.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&mut stream, "POST", 0).await, FIRST);
}

#[tokio::test]
async fn a_stop_finds_connections_in_both_lanes() {
    let lane = Lane::start(lane::BEHIND).unwrap();
    let (stopper, stop) = stop();
    let gate = Gate::of(1);
    let (addr, server) = serve(&lane, stop, gate.clone()).await;
    let mut idle = say(addr, b"").await;
    assert_eq!(ask(&mut idle, "GET", 0).await, SECOND);
    let post = say(addr, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx").await;
    let get = say(addr, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    gate.begun.acquire_many(3).await.unwrap().forget();
    stopper.stop();
    let idle = timeout(PATIENCE, heard(idle)).await.expect("nobody waits for who says nothing");
    assert_eq!(idle, "");
    gate.may_end.add_permits(2);
    assert!(heard(post).await.ends_with(FIRST));
    assert!(heard(get).await.ends_with(SECOND));
    timeout(PATIENCE, server).await.expect("nobody is left").unwrap();
}

#[tokio::test]
async fn no_call_of_the_system_copies_somebodys_megabyte() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (writer, _) = listener.accept().await.unwrap();
    let reading = tokio::spawn(heard(reader));
    let reader = Reader::new(limits().answer, Timer::here(), Stop::never());
    let mut writer = Stream::of(writer, WhichLane::first(None), reader);
    let (short, long) = (vec![b's'; MOST_AT_ONCE / 2], vec![b'l'; 16 * MOST_AT_ONCE]);
    let mut sent = writer.write(&long).await.unwrap();
    assert!((1..=MOST_AT_ONCE).contains(&sent), "{sent}");
    for parts in [
        vec![&short, &short],
        vec![&short, &short, &short],
        vec![&short, &long],
        vec![&long, &short],
        vec![&Vec::new(), &long],
    ] {
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let written = writer.write_vectored(&slices).await.unwrap();
        assert!((1..=MOST_AT_ONCE).contains(&written), "{written}");
        sent += written;
    }
    drop(writer);
    assert_eq!(reading.await.unwrap().len(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_lane_computes_on_half_of_the_processors() {
    let lane = Lane::start(lane::BEHIND).unwrap();
    let (id, mut threads) = (|| std::thread::current().id(), HashSet::new());
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            lane.handle().spawn(async move {
                std::thread::sleep(Duration::from_millis(1));
                id()
            })
        })
        .collect();
    for task in tasks {
        threads.insert(task.await.unwrap());
    }
    let processors = std::thread::available_parallelism().unwrap().get();
    assert_eq!(threads.len(), processors.div_ceil(2));
}
