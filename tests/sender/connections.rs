//! Which connection a request goes over, and when it is sent once more.

use shared::sender::race::{NEXT_ADDRESS, first_to_answer};
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
async fn what_no_answer_begins_with_is_the_rest_of_an_earlier_one() {
    for rest in ["OK", "0\r\n\r\n", "\r\n<html>", "OKHTTP/1.1 500 X\r\n\r\n"] {
        let receiver = Receiver::start([
            vec![
                Step::Read,
                Step::Write(NO_CONTENT.to_vec()),
                Step::Read,
                Step::Write(rest.into()),
                Step::Settle,
                Step::Close,
            ],
            vec![Step::Read, Step::Write(b"HTTP/1.1 202 X\r\ncontent-length: 0\r\n\r\n".to_vec())],
        ])
        .await;
        let sender = sender();
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
        settle().await;
        assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 202, "{rest}");
        assert_eq!((receiver.connections(), receiver.requests().len()), (2, 3), "{rest}");
    }
}

#[tokio::test]
async fn a_receiver_that_answers_what_cannot_be_read_is_asked_twice_at_most() {
    let babbles = Step::Write(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec());
    let receiver = Receiver::start([
        vec![Step::Read, Step::Write(NO_CONTENT.to_vec()), Step::Read, babbles.clone()],
        vec![Step::Read, babbles],
        vec![Step::Read, Step::Write(NO_CONTENT.to_vec())],
    ])
    .await;
    let sender = sender();
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
    settle().await;
    let reason = failure(sender.send(request(&receiver.url())).await);
    assert_eq!(reason, "invalid HTTP version parsed");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_connection_over_which_a_body_may_come_that_is_none_is_not_kept() {
    for (headers, connections) in [
        ("", 1),
        ("content-length: 0\r\n", 1),
        ("content-length: 2\r\n", 2),
        ("transfer-encoding: chunked\r\n", 2),
    ] {
        let once = || {
            let answer = format!("HTTP/1.1 204 No Content\r\n{headers}\r\n");
            [Step::Read, Step::Write(answer.into())]
        };
        let receiver = Receiver::start([[once(), once()].concat(), once().to_vec()]).await;
        let sender = sender();
        for _ in 0..2 {
            assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204, "{headers}");
            settle().await;
        }
        assert_eq!(receiver.connections(), connections, "{headers}");
    }
}

#[tokio::test]
async fn no_more_connections_are_kept_than_there_is_room_for() {
    let once = || [Step::Read, Step::Write(NO_CONTENT.to_vec())];
    let twice = || [once(), once()].concat();
    let receivers =
        [Receiver::start([twice(), twice()]).await, Receiver::start([twice(), twice()]).await];
    let settings = SenderSettings { most_idle: 1, ..settings() };
    let sender = HttpSender::new(settings).unwrap();
    for _ in 0..2 {
        for receiver in &receivers {
            assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
            settle().await;
        }
    }
    assert_eq!(receivers.each_ref().map(Receiver::connections), [1, 2]);
}

#[tokio::test]
async fn an_endpoint_that_answers_and_never_takes_the_body_keeps_no_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let settings = SenderSettings { body_timeout_ms: 50, ..settings() };
    let sender = HttpSender::new(settings).unwrap();
    // More than the buffers of two sockets take.
    let mut large = request(&url);
    large.body = vec![b'x'; 32 << 20].into();
    let whole = large.body.len();
    let sent = tokio::spawn(async move {
        let outcome = sender.send(large).await;
        (sender, outcome)
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = vec![0; 16];
    stream.read_exact(&mut head).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let (_sender, outcome) = sent.await.unwrap();
    assert_eq!(answer(outcome).0, 200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // What is still in the buffers comes, and nothing behind it.
    let mut came = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        came += read;
    }
    assert!(came < whole, "{came} of {whole}");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_far_away_is_reached_however_many_the_name_has() {
    let begun = tokio::time::Instant::now();
    let far = async |address: usize| {
        tokio::time::sleep(Duration::from_millis(900)).await;
        Ok::<_, &str>(address)
    };
    assert_eq!(first_to_answer(0..16, far, |_| true).await, Ok(0));
    assert_eq!(begun.elapsed(), Duration::from_millis(900));
}

#[tokio::test(start_paused = true)]
async fn the_next_address_is_tried_at_once_or_after_a_while_and_the_first_one_says_why() {
    let begun = tokio::time::Instant::now();
    let took = || begun.elapsed().as_millis();
    let other = async |address: usize| match address {
        0 => std::future::pending().await,
        1 => Err("refused"),
        _ => Ok(address),
    };
    // The second fails at once, so the third does not wait.
    assert_eq!(first_to_answer(0..9, other, |_| false).await, Ok(2));
    assert_eq!(took(), NEXT_ADDRESS.as_millis());
    let failing = async |address: usize| Err::<(), _>(["first", "second", "third"][address]);
    assert_eq!(first_to_answer(0..3, failing, |_| false).await, Err(Some("first")));
    assert_eq!(first_to_answer(0..3, failing, |why| *why == "second").await, Err(Some("second")));
    assert_eq!(first_to_answer(0..0, failing, |_| false).await, Err(None));
    assert_eq!(took(), NEXT_ADDRESS.as_millis());
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
