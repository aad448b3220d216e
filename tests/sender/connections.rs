//! Which connection a request goes over, and when it is sent once more.

use tokio::runtime::Builder;

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
async fn requests_of_two_runtimes_do_not_share_a_connection() {
    let twice = || {
        let once = [Step::Read, Step::Write(NO_CONTENT.to_vec())];
        [once.clone(), once].concat()
    };
    let receiver = Receiver::start([twice(), twice()]).await;
    let sender = Arc::new(sender());
    let other = Arc::new(Builder::new_current_thread().enable_all().build().unwrap());
    for _ in 0..2 {
        let (other, own, request_there) = (other.clone(), sender.clone(), request(&receiver.url()));
        let there = async move {
            let sent = own.send(request_there).await;
            settle().await;
            sent
        };
        let there = tokio::task::spawn_blocking(move || other.block_on(there));
        assert_eq!(answer(there.await.unwrap()).0, 204);
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
        settle().await;
    }
    assert_eq!((receiver.connections(), receiver.requests().len()), (2, 4));
    Arc::into_inner(other).unwrap().shutdown_background();
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
async fn a_kept_connection_that_ends_without_a_word_does_not_cost_an_attempt() {
    for end in [Step::Close, Step::Reset] {
        let receiver = Receiver::start([
            vec![Step::Read, Step::Write(NO_CONTENT.to_vec()), Step::Read, end],
            vec![Step::Read, Step::Write(b"HTTP/1.1 202 X\r\ncontent-length: 0\r\n\r\n".to_vec())],
        ])
        .await;
        let sender = sender();
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
        settle().await;
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 202);
        assert_eq!(receiver.connections(), 2);
        let requests = receiver.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(text(&requests[2]), text(&requests[1]));
    }
}

#[tokio::test]
async fn a_receiver_that_closes_after_every_answer_gets_every_request() {
    let script = || vec![Step::Read, Step::Write(NO_CONTENT.to_vec()), Step::Close];
    let receiver = Receiver::start((0..50).map(|_| script())).await;
    let sender = sender();
    for looks in 0..50 {
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
        // The close is noticed before, while and after the next request is made.
        for _ in 0..looks {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((receiver.connections(), receiver.requests().len()), (50, 50));
}

#[tokio::test]
async fn a_request_is_sent_twice_at_most() {
    for end in [Step::Close, Step::Reset] {
        let answered = || vec![Step::Read, Step::Write(NO_CONTENT.to_vec())];
        let receiver = Receiver::start([
            [answered(), vec![Step::Read, end.clone()]].concat(),
            vec![Step::Read, end],
            answered(),
        ])
        .await;
        let sender = sender();
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
        settle().await;
        failure(sender.send(request(&receiver.url())).await);
        assert_eq!((receiver.connections(), receiver.requests().len()), (2, 3));
    }
}

#[tokio::test]
async fn a_request_whose_answer_has_begun_is_never_sent_again() {
    for beginning in ["H", "HTTP/1.1 200 OK\r\ncontent-len", "HTTP/1.1 100 Continue\r\n\r\n", "\r"]
    {
        for end in [Step::Close, Step::Reset] {
            let receiver = Receiver::start([
                vec![
                    Step::Read,
                    Step::Write(NO_CONTENT.to_vec()),
                    Step::Read,
                    Step::Write(beginning.into()),
                    // What is not read yet goes down with a reset.
                    Step::Settle,
                    end,
                ],
                vec![Step::Read, Step::Write(NO_CONTENT.to_vec())],
            ])
            .await;
            let sender = sender();
            assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
            settle().await;
            failure(sender.send(request(&receiver.url())).await);
            assert_eq!((receiver.connections(), receiver.requests().len()), (1, 2), "{beginning}");
        }
    }
}

#[tokio::test]
async fn a_kept_connection_that_says_what_cannot_be_read_is_a_failure() {
    let receiver = Receiver::start([
        vec![
            Step::Read,
            Step::Write(NO_CONTENT.to_vec()),
            Step::Read,
            Step::Write(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ],
        vec![Step::Read, Step::Write(NO_CONTENT.to_vec())],
    ])
    .await;
    let sender = sender();
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
    settle().await;
    let reason = failure(sender.send(request(&receiver.url())).await);
    assert_eq!(reason, "invalid HTTP version parsed");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn both_tries_share_the_time_of_one() {
    let receiver = Receiver::start([
        vec![Step::Read, Step::Write(NO_CONTENT.to_vec()), Step::Read, Step::Close],
        vec![Step::Read, Step::Hang],
    ])
    .await;
    let sender = sender();
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
    settle().await;
    let outcome = sender.send(request_within(&receiver.url(), 120)).await;
    assert_eq!(outcome.ending, Ending::TimedOut);
    assert_took(&outcome, 120);
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_to_its_end_is_not_kept() {
    let long = || {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n".to_vec();
        answer.resize(answer.len() + 200_000, b'x');
        vec![Step::Read, Step::Write(answer)]
    };
    let receiver = Receiver::start([long(), long()]).await;
    let sender = sender();
    for connections in [1, 2] {
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 200);
        receiver.ended.notified().await;
        assert_eq!(receiver.connections(), connections);
    }
}

#[tokio::test]
async fn a_connection_is_closed_when_it_has_not_been_used_for_a_while() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let settings = SenderSettings { pool_idle_timeout_ms: 20, ..settings() };
    let sender = HttpSender::new(settings).unwrap();
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
    // Closed by us: the receiver's script goes on until the other side is gone.
    receiver.ended.notified().await;
}

#[test]
fn an_unused_connection_is_closed_before_common_servers_do() {
    // Node keeps one for 5 seconds, which is the shortest of the usual defaults.
    assert!(SenderSettings::default().pool_idle_timeout_ms < 5_000);
}
