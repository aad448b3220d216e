//! What leaves on the wire.

use super::*;

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
         X-Custom:   kept inside, not around  \r\n\
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
async fn header_names_leave_in_the_letter_case_in_which_they_were_given() {
    let answers = || vec![Step::Read, Step::Write(NO_CONTENT.to_vec())];
    let receiver = Receiver::start([answers(), answers()].map(|steps| steps)).await;
    let mut request = request(&receiver.url());
    request.headers = headers(&[
        ("content-type", "application/json"),
        ("X-API-key", "1"),
        ("x-Twice", "a"),
        ("X-tWICE", "b"),
        ("Etag", "c"),
    ]);
    for _ in 0..2 {
        assert_eq!(answer(sender().send(request.clone()).await).0, 204);
    }
    for sent in receiver.requests() {
        let sent = text(&sent);
        for line in [
            "content-type: application/json",
            "X-API-key: 1",
            "x-Twice: a",
            "X-tWICE: b",
            "Etag: c",
        ] {
            assert!(sent.contains(&format!("\r\n{line}\r\n")), "{line}: {sent}");
        }
    }
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
