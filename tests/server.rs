//! The HTTP server of the local platform, and strangers who take their time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::hearing::{Hearing, Room};
use crate::http_server::{Door, Limits, Peers, WHOLE, serve_within};
use crate::stop::{Stop, stop};
use crate::unread::Patience;

/// Less than the limits of these tests, so that no test waits for one of them to pass.
const PATIENCE: Duration = Duration::from_secs(45);

pub(crate) fn limits() -> Limits {
    let long = Duration::from_secs(60);
    Limits {
        head: long,
        body: long,
        least_rate: 1024,
        answer: Patience { longest: long, least_rate: 1024 },
        of_a_stranger: usize::MAX,
        connections: 100,
        of_one_peer: 100,
    }
}

/// A server that answers with the body that came.
async fn echo(limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let knows = |head: &http::request::Parts| match head.headers.get("authorization") {
        Some(token) if token == "Bearer some" => Hearing::UpTo(2_048, None),
        Some(token) if token == "Bearer late" => Hearing::Busy,
        Some(_) => WHOLE,
        None => Hearing::Stranger,
    };
    let door = Door { limits, knows: Arc::new(knows), second: None };
    tokio::spawn(serve_within(
        door,
        listener,
        Stop::never(),
        |request: http::Request<_>| async move {
            let mut response = Response::new(request.into_body());
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        },
    ));
    addr
}

pub(crate) async fn say(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Everything that comes until the server closes.
pub(crate) async fn heard(mut stream: TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn a_whole_body_arrives_in_one_part_or_in_many() {
    let addr = echo(limits()).await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 6\r\n\r\n";
    let whole = say(addr, format!("{head}abcdef").as_bytes()).await;
    assert!(heard(whole).await.ends_with("\r\n\r\nabcdef"));
    let mut stream = say(addr, head.as_bytes()).await;
    for part in ["ab", "cd", "ef"] {
        stream.write_all(part.as_bytes()).await.unwrap();
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    assert!(heard(stream).await.ends_with("\r\n\r\nabcdef"));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let addr = echo(Limits { body: Duration::from_millis(50), ..limits() }).await;
    let stream = say(addr, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc").await;
    assert!(heard(stream).await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_body_that_drips_is_not_waited_for() {
    let addr = echo(Limits { body: Duration::from_millis(50), ..limits() }).await;
    let mut stream =
        say(addr, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n").await;
    let (mut read, mut write) = stream.split();
    let drip = async {
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while write.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    };
    let mut answer = [0; 13];
    let answered = read.read_exact(&mut answer);
    tokio::select! {
        () = drip => panic!("closed without an answer"),
        answered = answered => assert_eq!(answered.unwrap(), 13),
    }
    assert_eq!(&answer, b"HTTP/1.1 408 ");
}

#[tokio::test]
async fn a_large_body_may_take_the_time_that_the_least_rate_allows() {
    // Each 100 bytes buy 100 ms, and without that 20 ms would be all.
    let limits = Limits { body: Duration::from_millis(20), least_rate: 1_000, ..limits() };
    let addr = echo(limits).await;
    let head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 600\r\n\r\n";
    let mut stream = say(addr, head).await;
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..6 {
        pace.tick().await;
        stream.write_all(&[b'x'; 100]).await.unwrap();
    }
    assert!(heard(stream).await.starts_with("HTTP/1.1 202 "));
}

#[tokio::test]
async fn of_a_stranger_no_long_body_is_read() {
    let addr = echo(Limits { of_a_stranger: 1_000, ..limits() }).await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let send = async |more: &str| heard(say(addr, format!("{head}{more}").as_bytes()).await).await;
    // It is answered before any of it has come.
    let announced = send("content-length: 1001\r\n\r\n").await;
    assert!(announced.starts_with("HTTP/1.1 401 "), "{announced}");
    let long = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1_001));
    let chunked = send(&format!("transfer-encoding: chunked\r\n\r\n{long}")).await;
    assert!(chunked.starts_with("HTTP/1.1 401 "), "{chunked}");
    let short = send(&format!("content-length: 1000\r\n\r\n{}", "x".repeat(1_000))).await;
    assert!(short.starts_with("HTTP/1.1 202 "), "{short}");
    let known = "authorization: x\r\ncontent-length: 1001\r\n\r\n";
    let known = send(&format!("{known}{}", "x".repeat(1_001))).await;
    assert!(known.starts_with("HTTP/1.1 202 "), "{known}");
    // Where there is no room the caller is to come again.
    let late = send("authorization: Bearer late\r\ncontent-length: 1001\r\n\r\n").await;
    assert!(late.starts_with("HTTP/1.1 503 ") && late.contains("retry-after: "), "{late}");
    // Of some no more is read than what they ask for takes.
    for (length, status) in [(2_048, "202"), (2_049, "413")] {
        let some = format!("authorization: Bearer some\r\ncontent-length: {length}\r\n\r\n");
        let some = send(&format!("{some}{}", "x".repeat(length))).await;
        assert!(some.starts_with(&format!("HTTP/1.1 {status} ")), "{length}: {some}");
    }
}

#[test]
fn long_bodies_of_strangers_have_room_for_so_many_bytes_at_once() {
    let room = Room::new();
    let hear = |length: Option<usize>, most| {
        let request = http::Request::builder();
        let request = match length {
            Some(length) => request.header("content-length", length),
            None => request,
        };
        room.hear(&request.body(()).unwrap().into_parts().0, most)
    };
    let megabyte = 1024 * 1024;
    let fit = |held: &mut Vec<Hearing>, length, most| {
        let before = held.len();
        while let place @ Hearing::UpTo(..) = hear(length, most) {
            held.push(place);
        }
        held.len() - before
    };
    let mut held = Vec::new();
    // Who does not say how much will come may send all that is read.
    assert_eq!(fit(&mut held, None, 4 * megabyte), 16);
    held.clear();
    assert_eq!(fit(&mut held, Some(megabyte / 2), 4 * megabyte), 128);
    held.pop();
    assert_eq!(fit(&mut held, Some(65_537), megabyte), 4);
}

/// A server whose answers are longer than the system takes of what nobody reads.
async fn long_answers(limits: Limits, stop: Stop) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let door = Door { limits, knows: Arc::new(|_| WHOLE), second: None };
    let answer = |_| async { Response::new(bytes::Bytes::from(vec![b'x'; 32 * 1024 * 1024])) };
    (addr, tokio::spawn(serve_within(door, listener, stop, answer)))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_an_answer_holds_a_connection_only_for_so_long() {
    let answer = Patience { longest: Duration::from_secs(1), least_rate: 1_024 * 1_024 };
    let (addr, _server) =
        long_answers(Limits { connections: 1, answer, ..limits() }, Stop::never()).await;
    let mute = say(addr, GET).await;
    // Whoever reads gets all of it, and is served when the connection is free.
    let read = tokio::time::timeout(PATIENCE, heard(say(addr, GET).await)).await;
    assert!(read.expect("a place is free").len() > 32 * 1024 * 1024);
    assert!(heard(mute).await.len() < 32 * 1024 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_an_answer_does_not_hold_up_a_stop() {
    let (stopper, stop) = stop();
    let (addr, server) = long_answers(limits(), stop).await;
    let mute = say(addr, GET).await;
    // It has begun to answer.
    mute.readable().await.unwrap();
    stopper.stop();
    tokio::time::timeout(PATIENCE, server).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let addr = echo(limits()).await;
    let length = receive::MAX_SPLIT_BYTES + 2;
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let stream = say(addr, head.as_bytes()).await;
    assert_eq!(&answered_while_sending(stream, length).await, b"HTTP/1.1 413 ");
}

/// The beginning of the answer to a body of this length, which comes before all of it was sent.
async fn answered_while_sending(mut stream: TcpStream, length: usize) -> [u8; 13] {
    let (mut read, mut write) = stream.split();
    let mut answer = [0; 13];
    let body = vec![b'x'; length];
    let (answered, _) = tokio::join!(read.read_exact(&mut answer), write.write_all(&body));
    answered.unwrap();
    answer
}

#[tokio::test]
async fn a_body_that_says_to_be_too_large_is_refused_before_any_of_it_came() {
    let addr = echo(limits()).await;
    let length = receive::MAX_SPLIT_BYTES + 2;
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let answer = heard(say(addr, head.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Without a length it is counted as it comes.
    let head = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let stream = say(addr, format!("{head}{length:x}\r\n").as_bytes()).await;
    assert_eq!(&answered_while_sending(stream, length).await, b"HTTP/1.1 413 ");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_served_when_others_end() {
    let addr = echo(Limits { connections: 2, ..limits() }).await;
    let idle = [say(addr, b"").await, say(addr, b"").await];
    let request = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let mut waiting = say(addr, request).await;
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 13];
    assert!(futures_util::poll!(Box::pin(waiting.read(&mut answer))).is_pending());
    drop(idle);
    assert!(heard(waiting).await.starts_with("HTTP/1.1 202 "));
}

#[test]
fn one_peer_cannot_have_all_connections() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let peers = Peers::new(2);
    let mut guests = Vec::new();
    for (address, admitted) in [
        ("192.0.2.1", true),
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", false),
        ("192.0.2.2", true),
        // One customer has a whole network of them.
        ("2001:db8::1", true),
        ("2001:db8::2", true),
        ("2001:db8::ffff:1:2:3", false),
        ("2001:db8:0:1::1", true),
    ] {
        let guest = peers.admit(ip(address));
        assert_eq!(guest.is_some(), admitted, "{address}");
        guests.extend(guest);
    }
    // This machine is no stranger.
    let here: Vec<_> = (0..10).map(|_| peers.admit(ip("127.0.0.1"))).collect();
    assert!(here.iter().all(Option::is_some));
    guests.clear();
    assert!(peers.admit(ip("192.0.2.1")).is_some());
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_was_asked_and_takes_nothing_else() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stopper, stop) = stop();
    let (begun, may_end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (noted, gate) = (begun.clone(), may_end.clone());
    let door = Door { limits: limits(), knows: Arc::new(|_| WHOLE), second: None };
    let server =
        tokio::spawn(serve_within(door, listener, stop, move |request: http::Request<_>| {
            let (noted, gate) = (noted.clone(), gate.clone());
            async move {
                noted.add_permits(1);
                gate.acquire().await.unwrap().forget();
                Response::new(request.into_body())
            }
        }));
    let idle = say(addr, b"").await;
    let asked = say(addr, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello").await;
    begun.acquire().await.unwrap().forget();
    stopper.stop();
    assert_eq!(heard(idle).await, "", "nobody waits for who says nothing");
    assert!(!server.is_finished(), "somebody is still to be answered");
    may_end.add_permits(1);
    let answer = heard(asked).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    server.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
}
