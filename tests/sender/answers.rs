//! What is read of an answer.

use super::*;

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
async fn headers_that_are_not_as_they_should_be_do_not_take_the_answer_away() {
    let many: String = (0..900).map(|i| format!("x-{i}: {i}\r\n")).collect();
    for odd in [
        "content-security-policy: default-src 'self';\r\n  script-src 'none'\r\n",
        "x-folded:\r\n\ttwice\r\n again\r\n",
        "x-blank : 1\r\n",
        "no colon\r\n",
        "x y: 1\r\n",
        ": no name\r\n",
        "x-line: a\n",
        &many,
    ] {
        let bytes =
            format!("HTTP/1.1 200 OK\r\n{odd}Retry-After: 7\r\ncontent-length: 4\r\n\r\nbody");
        let receiver = Receiver::start([vec![Step::Read, Step::Write(bytes.into())]]).await;
        let outcome = sender().send(request(&receiver.url())).await;
        assert_eq!(answer(outcome), (200, b"body".to_vec(), Some("7".to_owned())), "{odd:.40}");
    }
}

#[tokio::test]
async fn an_answer_whose_headers_cannot_be_read_counts_by_its_status() {
    let many: String = (0..2_000).map(|i| format!("x-{i}: {i}\r\n")).collect();
    let many = many + "\r\n";
    for headers in [
        "x-nul: a\0b\r\n\r\n",
        "content-length: -1\r\n\r\n",
        "content-length: 1\r\ncontent-length: 2\r\n\r\n",
        &many,
    ] {
        for before in ["", "HTTP/1.1 100 Continue\r\n\r\n"] {
            for status in [200, 410, 503] {
                let bytes = format!("{before}HTTP/1.1 {status} X\r\n{headers}");
                let script = vec![Step::Read, Step::Write(bytes.into())];
                let receiver = Receiver::start([script.clone(), script]).await;
                let sender = sender();
                for connections in [1, 2] {
                    let outcome = sender.send(request(&receiver.url())).await;
                    assert_eq!(answer(outcome), (status, vec![], None), "{headers:.40}");
                    // Where such an answer ends nobody knows.
                    assert_eq!(receiver.connections(), connections);
                }
            }
        }
    }
}

#[tokio::test]
async fn endless_headers_do_not_take_the_answer_away() {
    for headers in [b"x-a: b\r\n".repeat(100), vec![b'x'; 4096]] {
        let receiver = Receiver::start([vec![
            Step::Read,
            Step::Write(b"HTTP/1.1 200 OK\r\nx-a: ".to_vec()),
            Step::Forever(headers),
        ]])
        .await;
        let outcome = sender().send(request(&receiver.url())).await;
        assert_eq!(answer(outcome), (200, vec![], None));
        receiver.ended.notified().await;
    }
}

#[tokio::test]
async fn headers_that_tell_why_are_kept_what_tells_most_first_and_none_that_may_be_a_secret() {
    let mut bytes =
        b"HTTP/1.1 401 No\r\nX-Error-Code: E17\r\nServer: nginx\r\nSet-Cookie: sid=7\r\n\
        x-auth-token: t\r\nX-Api-Key: k\r\nwebhook-signature: v1,s\r\nx-csrf: c\r\nDate: now\r\n\
        Content-Security-Policy: default-src\r\nStrict-Transport-Security: max-age=1\r\n\
        Connection: keep-alive\r\nVary: accept\r\nWWW-Authenticate: Bearer error=\"expired\"\r\n\
        X-Odd: a\xffb<i>\r\nRetry-After: 7\r\nCONTENT-TYPE: text/html\r\n"
            .to_vec();
    bytes.extend(
        format!("Location: https://x/{}\r\ncontent-length: 0\r\n\r\n", "\u{e9}".repeat(300))
            .bytes(),
    );
    let receiver = Receiver::start([vec![Step::Read, Step::Write(bytes)]]).await;
    let location = format!("https://x/{}", "\u{e9}".repeat(123));
    let expected = headers(&[
        ("content-type", "text/html"),
        ("retry-after", "7"),
        ("location", &location),
        ("www-authenticate", "Bearer error=\"expired\""),
        ("server", "nginx"),
        ("date", "now"),
        ("x-error-code", "E17"),
        ("x-odd", "a\u{fffd}b<i>"),
    ]);
    assert_eq!(kept(sender().send(request(&receiver.url())).await), expected);
}

#[tokio::test]
async fn however_many_headers_there_are_twenty_and_a_kibibyte_are_kept_at_the_most() {
    let bytes_of = |found: &[(String, String)]| -> usize {
        found.iter().map(|(name, value)| name.len() + value.len()).sum()
    };
    let few: String = (0..900).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let long: String =
        (0..50).map(|n| format!("x-{n}: {}\r\n", "\u{e9}\u{ff}".repeat(90))).collect();
    for (many, count, least) in [(few, 20, 100), (long, 4, 700)] {
        let head =
            format!("HTTP/1.1 500 X\r\n{many}content-type: a/b\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::start([vec![Step::Read, Step::Write(head.into())]]).await;
        let found = kept(sender().send(request(&receiver.url())).await);
        assert_eq!((found[0].0.as_str(), found.len()), ("content-type", count));
        assert!((least..=1_024).contains(&bytes_of(&found)), "{}", bytes_of(&found));
    }
}
