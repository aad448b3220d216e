//! Which connection a request goes over, and when it is sent once more.

use super::*;

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
