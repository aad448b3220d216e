//! What leaves on the wire, what is read of the answer, and how every failure ends. The
//! receivers are plain sockets on loopback that play a script.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use shared::sender::target::{Resolver, TargetPolicy};
use shared::sender::tls::client_config_with;
use shared::sender::{Ending, HttpSender, Outbound, Outcome, Sender, SenderSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn the_exact_bytes_and_headers_arrive() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let mut request = request(&format!("{}/a%20b/?q=1&q=%C3%A9#frag", receiver.url()));
    request.headers = headers(&[
        ("content-type", "application/json"),
        ("webhook-id", "msg_1"),
        ("webhook-signature", "v1,K5oZ v1,abc="),
        ("X-Custom", "  kept inside, not around  "),
        ("x-twice", "1"),
        ("x-twice", "2"),
    ]);
    request.body = Bytes::from_static(b"{\"a\": 1.0,\r\n\0\xff}");

    assert_eq!(answer(sender().send(request).await).0, 204);

    let port = receiver.port;
    let mut expected = format!(
        "POST /a%20b/?q=1&q=%C3%A9 HTTP/1.1\r\n\
         content-type: application/json\r\n\
         webhook-id: msg_1\r\n\
         webhook-signature: v1,K5oZ v1,abc=\r\n\
         x-custom:   kept inside, not around  \r\n\
         x-twice: 1\r\n\
         x-twice: 2\r\n\
         content-length: 15\r\n\
         accept: */*\r\n\
         host: 127.0.0.1:{port}\r\n\r\n"
    )
    .into_bytes();
    expected.extend_from_slice(b"{\"a\": 1.0,\r\n\0\xff}");
    assert_eq!(text(&receiver.requests()[0]), text(&expected));
    assert_eq!(receiver.requests(), [expected]);
}

#[tokio::test]
async fn an_empty_body_is_sent_with_its_length() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let request = Outbound { body: Bytes::new(), ..request(&receiver.url()) };
    assert_eq!(answer(sender().send(request).await).0, 204);
    assert!(text(&receiver.requests()[0]).contains("content-length: 0\r\n"));
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    let request =
        Outbound { body: body.clone().into(), timeout_ms: 10_000, ..request(&receiver.url()) };
    assert_eq!(answer(sender().send(request).await).0, 204);
    assert!(receiver.requests()[0].ends_with(&body));
}

#[tokio::test]
async fn the_answer_is_told_by_status_excerpt_and_retry_after() {
    for status in [200, 201, 299, 400, 404, 410, 429, 500, 503, 599] {
        let head =
            format!("HTTP/1.1 {status} X\r\nRetry-After: 120\r\ncontent-length: 4\r\n\r\nbody");
        let receiver = Receiver::start([vec![Step::Read, Step::Write(head.into())]]).await;
        let outcome = sender().send(request(&receiver.url())).await;
        assert_eq!(answer(outcome), (status, b"body".to_vec(), Some("120".to_owned())));
    }
}

#[tokio::test]
async fn an_absurd_retry_after_is_dropped() {
    for value in ["9".repeat(65).into_bytes(), vec![0xff]] {
        let mut bytes = b"HTTP/1.1 503 X\r\nretry-after: ".to_vec();
        bytes.extend(value);
        bytes.extend(b"\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::start([vec![Step::Read, Step::Write(bytes)]]).await;
        assert_eq!(answer(sender().send(request(&receiver.url())).await), (503, vec![], None));
    }
}

#[tokio::test]
async fn provisional_answers_are_passed_over() {
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n\
                  HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start([vec![Step::Read, Step::Write(bytes.to_vec())]]).await;
    assert_eq!(answer(sender().send(request(&receiver.url())).await).0, 202);
}

#[tokio::test]
async fn endless_provisional_answers_time_out() {
    let receiver =
        Receiver::start([vec![Step::Read, Step::Forever(b"HTTP/1.1 100 C\r\n\r\n".repeat(500))]])
            .await;
    let outcome = sender().send(request_within(&receiver.url(), 100)).await;
    assert_eq!(outcome.ending, Ending::TimedOut);
    assert_took(&outcome, 100);
}

#[tokio::test]
async fn a_compressed_body_is_left_as_it_is() {
    let bytes =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x8b\x08";
    let receiver = Receiver::start([vec![Step::Read, Step::Write(bytes.to_vec())]]).await;
    let (_, excerpt, _) = answer(sender().send(request(&receiver.url())).await);
    assert_eq!(excerpt, b"\x1f\x8b\x08");
    assert!(!text(&receiver.requests()[0]).contains("accept-encoding"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_never_followed() {
    let other = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    for status in [301, 302, 303, 307, 308] {
        for location in ["http://169.254.169.254/latest", &other.url(), "/again", "http://["] {
            let head = format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            );
            let receiver = Receiver::start([vec![Step::Read, Step::Write(head.into())]]).await;
            let outcome = sender().send(request(&receiver.url())).await;
            assert_eq!(answer(outcome).0, status, "{location}");
            assert_eq!(receiver.requests().len(), 1);
        }
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn only_the_beginning_of_a_body_of_ten_megabytes_is_read() {
    let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n".to_vec();
    bytes.resize(bytes.len() + 10 * 1024 * 1024, b'x');
    let receiver = Receiver::start([vec![Step::Read, Step::Write(bytes)]]).await;
    let (status, excerpt, _) = answer(sender().send(request(&receiver.url())).await);
    assert_eq!((status, excerpt), (200, vec![b'x'; 1024]));
}

#[tokio::test]
async fn the_excerpt_is_as_long_as_set() {
    for (set, expected) in [(0, ""), (3, "abc"), (6, "abcdef"), (9, "abcdef")] {
        let bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                      2\r\nab\r\n4\r\ncdef\r\n0\r\n\r\n";
        let receiver = Receiver::start([vec![Step::Read, Step::Write(bytes.to_vec())]]).await;
        let settings = SenderSettings { excerpt_bytes: set, ..settings() };
        let outcome = HttpSender::new(settings).unwrap().send(request(&receiver.url())).await;
        assert_eq!(answer(outcome).1, expected.as_bytes());
    }
}

#[tokio::test]
async fn an_endless_body_does_not_hold_the_sender() {
    let receiver = Receiver::start([vec![
        Step::Read,
        Step::Write(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        Step::Forever(vec![b'x'; 4096]),
    ]])
    .await;
    let settings = SenderSettings { body_timeout_ms: 5_000, ..settings() };
    let outcome = HttpSender::new(settings).unwrap().send(request(&receiver.url())).await;
    // What ends it is the amount, long before the time for bodies does.
    assert_took(&outcome, 0);
    let (status, excerpt, _) = answer(outcome);
    assert_eq!((status, excerpt), (200, vec![b'x'; 1024]));
    receiver.ended.notified().await;
}

#[tokio::test]
async fn a_dripping_body_is_cut_after_the_time_for_bodies() {
    let receiver = Receiver::start([vec![
        Step::Read,
        Step::Write(b"HTTP/1.1 500 No\r\ncontent-length: 9000\r\n\r\n".to_vec()),
        Step::Drip(b"x".to_vec()),
    ]])
    .await;
    let settings = SenderSettings { body_timeout_ms: 100, ..settings() };
    let outcome = HttpSender::new(settings).unwrap().send(request(&receiver.url())).await;
    assert_took(&outcome, 100);
    let (status, excerpt, _) = answer(outcome);
    assert_eq!(status, 500);
    assert!(!excerpt.is_empty() && excerpt.iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn a_body_gets_no_more_than_what_the_request_has_left() {
    let receiver = Receiver::start([vec![
        Step::Read,
        Step::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec()),
        Step::Hang,
    ]])
    .await;
    let outcome = sender().send(request_within(&receiver.url(), 150)).await;
    assert_took(&outcome, 150);
    assert_eq!(answer(outcome), (200, b"abc".to_vec(), None));
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_the_answer_standing() {
    for end in [Step::Close, Step::Reset] {
        let receiver = Receiver::start([vec![
            Step::Read,
            Step::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec()),
            end,
        ]])
        .await;
        assert_eq!(answer(sender().send(request(&receiver.url())).await).0, 200);
    }
}

#[tokio::test]
async fn a_silent_receiver_times_out() {
    let receiver = Receiver::start([vec![Step::Read, Step::Hang]]).await;
    let outcome = sender().send(request_within(&receiver.url(), 120)).await;
    assert_eq!(outcome.ending, Ending::TimedOut);
    assert_took(&outcome, 120);
    // The connection is closed with the request, so the receiver can see that nobody waits.
    receiver.ended.notified().await;
}

#[tokio::test]
async fn a_dripping_header_times_out() {
    let receiver = Receiver::start([vec![
        Step::Read,
        Step::Write(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Step::Drip(b"x-a: b\r\n".to_vec()),
    ]])
    .await;
    let outcome = sender().send(request_within(&receiver.url(), 120)).await;
    assert_eq!(outcome.ending, Ending::TimedOut);
}

#[tokio::test]
async fn an_endless_header_is_a_failure() {
    for (head, reason) in [
        (b"HTTP/1.1 200 OK\r\nx-a: ".to_vec(), "message head is too large"),
        (b"HTTP/1.1 200 ".to_vec(), "message head is too large"),
    ] {
        let receiver =
            Receiver::start([vec![Step::Read, Step::Write(head), Step::Forever(vec![b'x'; 4096])]])
                .await;
        assert_eq!(failure(sender().send(request(&receiver.url())).await), reason);
    }
    let receiver = Receiver::start([vec![
        Step::Read,
        Step::Write(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Step::Forever(b"x-a: b\r\n".repeat(100)),
    ]])
    .await;
    assert_eq!(failure(sender().send(request(&receiver.url())).await), "message head is too large");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_failure() {
    for (answer, reason) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "invalid HTTP version parsed"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "invalid HTTP status-code parsed"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "invalid HTTP header parsed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "invalid content-length parsed"),
    ] {
        let script = vec![Step::Read, Step::Write(answer.to_vec()), Step::Hang];
        let receiver = Receiver::start([script]).await;
        let outcome = sender().send(request(&receiver.url())).await;
        assert_eq!(failure(outcome), reason, "{}", text(answer));
    }
}

#[tokio::test]
async fn a_reset_connection_is_a_failure() {
    let receiver = Receiver::start([vec![Step::Read, Step::Reset]]).await;
    let outcome = sender().send(request(&receiver.url())).await;
    assert_eq!(failure(outcome), "connection reset");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_closes_without_an_answer_is_a_failure() {
    let receiver = Receiver::start([vec![Step::Read, Step::Close]]).await;
    let outcome = sender().send(request(&receiver.url())).await;
    assert_eq!(failure(outcome), "connection closed before message completed");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    let port = closed_port().await;
    for host in ["127.0.0.1", "localhost"] {
        let outcome = sender().send(request(&format!("http://{host}:{port}/"))).await;
        assert_eq!(failure(outcome), "connection refused");
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_failure() {
    let resolver = Script::new([Err("no such name\r\n\u{1b}[31m".to_owned())]);
    let outcome = resolving(&resolver).send(request("http://hooks.example.com/")).await;
    assert_eq!(failure(outcome), "dns: no such name   [31m");
}

#[tokio::test]
async fn a_resolver_that_hangs_times_out() {
    struct Never;

    #[async_trait]
    impl Resolver for Never {
        async fn resolve(&self, _host: &str) -> Result<Vec<IpAddr>, String> {
            std::future::pending().await
        }
    }

    let sender = HttpSender::with_resolver(settings(), Arc::new(Never)).unwrap();
    let outcome = sender.send(request_within("http://hooks.example.com/", 100)).await;
    assert_eq!(outcome.ending, Ending::TimedOut);
    assert_took(&outcome, 100);
}

#[tokio::test]
async fn a_kept_connection_carries_the_next_request() {
    let receiver = Receiver::start([vec![
        Step::Read,
        Step::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n".to_vec()),
        Step::Write(vec![b'x'; 5000]),
        Step::Read,
        Step::Write(NO_CONTENT.to_vec()),
    ]])
    .await;
    let sender = sender();
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 200);
    settle().await;
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_kept_connection_that_has_closed_is_replaced() {
    let receiver = Receiver::start([
        vec![Step::Read, Step::Write(NO_CONTENT.to_vec()), Step::Close],
        vec![Step::Read, Step::Write(NO_CONTENT.to_vec())],
    ])
    .await;
    let sender = sender();
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
    receiver.ended.notified().await;
    settle().await;
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
    assert_eq!((receiver.connections(), receiver.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_request_that_was_written_is_never_sent_again() {
    for end in [Step::Close, Step::Reset] {
        let receiver = Receiver::start([
            vec![Step::Read, Step::Write(NO_CONTENT.to_vec()), Step::Read, end],
            vec![Step::Read, Step::Write(NO_CONTENT.to_vec())],
        ])
        .await;
        let sender = sender();
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
        settle().await;
        failure(sender.send(request(&receiver.url())).await);
        assert_eq!((receiver.connections(), receiver.requests().len()), (1, 2));
    }
}

#[tokio::test]
async fn a_refused_url_opens_no_connection() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let port = receiver.port;
    let sender = HttpSender::new(SenderSettings { policy: public(), ..settings() }).unwrap();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "localhost.",
        "user@127.0.0.1",
    ] {
        refused(sender.send(request(&format!("http://{host}:{port}/"))).await);
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let url = format!("http://hooks.example.com:{}/", receiver.port);
    for answer in [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["8.8.8.8", "127.0.0.1"],
        &["2606:4700::1", "8.8.8.8", "169.254.169.254"],
    ] {
        let resolver = Script::new([Ok(addresses(answer))]);
        let settings = SenderSettings { policy: public(), ..settings() };
        let sender = HttpSender::with_resolver(settings, resolver.clone()).unwrap();
        let reason = refused(sender.send(request(&url)).await);
        assert!(reason.contains("\"hooks.example.com\" resolves to"), "{reason}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn local_mode_still_refuses_the_rest_of_the_inside() {
    for answer in [&["10.0.0.1"][..], &["127.0.0.1", "169.254.169.254"], &["::ffff:10.0.0.1"]] {
        let resolver = Script::new([Ok(addresses(answer))]);
        refused(resolving(&resolver).send(request("http://hooks.example.com/")).await);
    }
}

#[tokio::test]
async fn the_checked_answer_is_the_one_that_is_called() {
    let receiver =
        Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec()), Step::Close]]).await;
    // The name points elsewhere from its second resolution on.
    let resolver = Script::new([Ok(addresses(&["127.0.0.1"])), Ok(addresses(&["10.0.0.1"]))]);
    let sender = resolving(&resolver);
    let url = format!("http://hooks.example.com:{}/", receiver.port);

    assert_eq!(answer(sender.send(request(&url)).await).0, 204);
    assert_eq!(resolver.asked(), ["hooks.example.com"]);
    assert!(text(&receiver.requests()[0]).contains("host: hooks.example.com:"));

    receiver.ended.notified().await;
    settle().await;
    refused(sender.send(request(&url)).await);
    assert_eq!(resolver.asked().len(), 2);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_header_that_http_does_not_allow_is_a_failure() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    for (name, value) in [
        ("", "v"),
        ("a b", "v"),
        ("a:b", "v"),
        ("a\r\nb", "v"),
        ("\u{e9}", "v"),
        ("x-secret", "s3cret\r\nx-injected: 1"),
        ("x-secret", "s3cret\n"),
        ("x-secret", "s3cret\0"),
    ] {
        let request = Outbound { headers: headers(&[(name, value)]), ..request(&receiver.url()) };
        let reason = failure(sender().send(request).await);
        assert!(reason.contains("header") && !reason.contains("s3cret"), "{reason}");
        assert!(!reason.contains(char::is_control), "{reason:?}");
    }
    for (length, value) in [(70_000, "v"), (60_000, "\n")] {
        let long = headers(&[(&"n".repeat(length), value)]);
        let request = Outbound { headers: long, ..request(&receiver.url()) };
        assert!(failure(sender().send(request).await).len() < 300);
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_header_that_frames_the_request_cannot_be_chosen() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    for name in ["Host", "content-length", "Transfer-Encoding", "connection", "upgrade", "expect"] {
        let request = Outbound { headers: headers(&[(name, "1")]), ..request(&receiver.url()) };
        let reason = failure(sender().send(request).await);
        assert!(reason.contains(&name.to_lowercase()), "{reason}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn more_headers_than_a_request_can_hold_are_a_failure() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let with = |count| {
        let headers = (0..count).map(|i| (format!("x-{i}"), String::new())).collect();
        Outbound { headers, ..request(&receiver.url()) }
    };
    for count in [101, 40_000] {
        assert_eq!(failure(sender().send(with(count)).await), "more than 100 headers");
    }
    assert_eq!(answer(sender().send(with(100)).await).0, 204);
}

#[tokio::test]
async fn the_longest_timeout_is_no_overflow() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let outcome = sender().send(request_within(&receiver.url(), u64::MAX)).await;
    assert_eq!(answer(outcome).0, 204);
}

#[tokio::test]
async fn no_time_at_all_times_out() {
    let receiver = Receiver::start([vec![Step::Read, Step::Hang]]).await;
    let outcome = sender().send(request_within(&receiver.url(), 0)).await;
    assert_eq!(outcome.ending, Ending::TimedOut);
}

#[tokio::test]
async fn no_reason_tells_the_query_or_a_header_value() {
    let resets = Receiver::start([vec![Step::Read, Step::Reset]]).await;
    let closes = Receiver::start([vec![Step::Read, Step::Close]]).await;
    let babbles = Receiver::start([vec![Step::Read, Step::Write(b"s\r\n\r\n".to_vec())]]).await;
    let plain = Receiver::start([vec![Step::Write(b"HTTP/1.1 400 X\r\n\r\n".to_vec())]]).await;
    for base in [
        resets.url(),
        closes.url(),
        babbles.url(),
        plain.url().replace("http:", "https:"),
        format!("http://127.0.0.1:{}", closed_port().await),
        "http://10.0.0.1".to_owned(),
        "ftp://127.0.0.1".to_owned(),
        "http://u:s3cret@127.0.0.1".to_owned(),
    ] {
        let mut request = request(&format!("{base}/s3cret?token=s3cret"));
        request.headers = headers(&[("authorization", "s3cret")]);
        let outcome = sender().send(request).await;
        assert!(matches!(outcome.ending, Ending::Failed(_) | Ending::Refused(_)), "{outcome:?}");
        assert!(!format!("{outcome:?}").contains("s3cret"), "{base}: {outcome:?}");
    }
}

#[tokio::test]
async fn tls_to_a_plain_port_is_a_failure() {
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let receiver = Receiver::start([vec![Step::Write(answer), Step::Hang]]).await;
    let outcome = sender().send(request(&receiver.url().replace("http:", "https:"))).await;
    let reason = failure(outcome);
    assert!(reason.starts_with("tls: "), "{reason}");
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_with_the_time_for_connecting() {
    let receiver = Receiver::start([vec![Step::Hang]]).await;
    let settings = SenderSettings { connect_timeout_ms: 100, ..settings() };
    let sender = HttpSender::new(settings).unwrap();
    let outcome = sender.send(request(&receiver.url().replace("http:", "https:"))).await;
    assert_eq!(outcome.ending, Ending::TimedOut);
    assert_took(&outcome, 100);
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let (port, seen) = tls_receiver();
    let resolver = Script::new([Ok(addresses(&["127.0.0.1"]))]);
    let settings = SenderSettings { extra_roots: Some(certificate_file("trusted")), ..settings() };
    let sender = HttpSender::with_resolver(settings, resolver).unwrap();
    let outcome = sender.send(request(&format!("https://hooks.example.com:{port}/in"))).await;
    assert_eq!(answer(outcome), (200, b"sealed".to_vec(), None));
    let (protocol, request) = seen.join().unwrap().unwrap();
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    assert!(text(&request).starts_with("POST /in HTTP/1.1\r\n"), "{}", text(&request));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_or_another_name_is_a_failure() {
    for (host, extra_roots, reason) in [
        ("hooks.example.com", None, "tls: invalid peer certificate: UnknownIssuer"),
        (
            "other.example.com",
            Some(certificate_file("other-name")),
            "tls: invalid peer certificate: certificate not valid for name \"other.example.com\"",
        ),
    ] {
        let (port, seen) = tls_receiver();
        let resolver = Script::new([Ok(addresses(&["127.0.0.1"]))]);
        let settings = SenderSettings { extra_roots, ..settings() };
        let sender = HttpSender::with_resolver(settings, resolver).unwrap();
        let failed = failure(sender.send(request(&format!("https://{host}:{port}/"))).await);
        assert!(failed.starts_with(reason), "{failed}");
        assert!(seen.join().unwrap().is_err(), "no request may get through");
    }
}

#[test]
fn a_file_without_usable_certificates_is_refused() {
    let file = |name: &str, text: &str| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sender-{name}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let broken = CERTIFICATE.replace("MIIB", "AAAA");
    for (path, problem) in [
        (PathBuf::from("/does/not/exist.pem"), "cannot read the certificates in /does/not"),
        (file("empty", ""), "holds no certificate"),
        (file("key-only", KEY), "holds no certificate"),
        (file("broken", &broken), "holds a certificate that cannot be used"),
    ] {
        let text = client_config_with(&path).expect_err(problem);
        assert!(text.contains(problem), "{text}");
        let settings = SenderSettings { extra_roots: Some(path), ..settings() };
        assert!(HttpSender::new(settings).is_err());
    }
}

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

/// What a TLS receiver saw: the agreed protocol and the request, or why there was none.
type Sealed = std::io::Result<(Option<Vec<u8>>, Vec<u8>)>;

/// Accepts one connection with the certificate below and answers one request.
fn tls_receiver() -> (u16, std::thread::JoinHandle<Sealed>) {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();

    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept()?;
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        let mut request = Vec::new();
        let mut some = [0; 1024];
        while !is_whole(&request) {
            let read = stream.read(&mut some)?;
            request.extend_from_slice(&some[..read]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsealed")?;
        Ok((connection.alpn_protocol().map(<[u8]>::to_vec), request))
    });
    (port, thread)
}

fn certificate_file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sender-{name}.pem"));
    std::fs::write(&path, CERTIFICATE).unwrap();
    path
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
    Outbound { url: url.to_owned(), headers: Vec::new(), body, timeout_ms }
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
        Ending::Answered { status, excerpt, retry_after } => (status, excerpt, retry_after),
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

/// Self-signed for hooks.example.com, 2020 to 2120, used by nothing but these tests.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBbjCCARSgAwIBAgIBATAKBggqhkjOPQQDAjAYMRYwFAYDVQQDDA10ZXN0IHJl
Y2VpdmVyMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAYMRYwFAYD
VQQDDA10ZXN0IHJlY2VpdmVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWg2i
8UAK8mZXFk6p/79X4lc/EmfYQkDzi9BSy5S/ZjHGsw+hDljT8UHLtT64dQqQhGNH
pBMg7IvQfH2+8g1whaNNMEswDAYDVR0TAQH/BAIwADAcBgNVHREEFTATghFob29r
cy5leGFtcGxlLmNvbTAdBgNVHQ4EFgQUzoSudJfEpAB2EciZB0Yn9gn+ENAwCgYI
KoZIzj0EAwIDSAAwRQIgFfLVA0zRthoFia7U+pIyCEQGB6bUZaidfoMQRyRGHPUC
IQCr8ait08Ol/XakM5RQSv/kaKbz7nMZK+dHs28XkAg2sQ==
-----END CERTIFICATE-----
";

/// The certificate's key: public, so it protects nothing.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglr3KGq1ddxh3mdaM
Wo5UuYe5W31gE+0E9AIzkkwrQTmhRANCAARaDaLxQAryZlcWTqn/v1fiVz8SZ9hC
QPOL0FLLlL9mMcazD6EOWNPxQcu1Prh1CpCEY0ekEyDsi9B8fb7yDXCF
-----END PRIVATE KEY-----
";
