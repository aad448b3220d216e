//! How a request ends that got no answer.

use super::*;

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
