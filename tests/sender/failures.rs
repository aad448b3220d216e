//! How a request ends that got no answer.

use serde_json::json;
use shared::queue::Consumer;

use super::*;
use crate::support::world::World;

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
async fn an_endless_status_line_is_a_failure() {
    let head = b"HTTP/1.1 200 ".to_vec();
    let receiver =
        Receiver::start([vec![Step::Read, Step::Write(head), Step::Forever(vec![b'x'; 4096])]])
            .await;
    let outcome = sender().send(request(&receiver.url())).await;
    assert_eq!(failure(outcome), "message head is too large");
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_failure() {
    for (answer, reason) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "invalid HTTP version parsed"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "invalid HTTP status-code parsed"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "invalid HTTP status-code parsed"),
        (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 x\r\n\r\n", "invalid HTTP status-code parsed"),
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

/// A process of its own, which may open few files: in this one, the other tests would notice.
#[cfg(unix)]
#[test]
fn a_shortage_of_our_own_is_no_attempt() {
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "sender::failures::with_no_descriptor_left", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "takes every descriptor of its process; run by a_shortage_of_our_own_is_no_attempt"]
async fn with_no_descriptor_left() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let (sender, port) = (sender(), receiver.port);
    let nameless = resolving(&Script::new([Err("try again".to_owned())]));
    let mut held = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        held.push(file);
    }
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let outcome = sender.send(request(&format!("http://{host}:{port}/"))).await;
        assert!(matches!(&outcome.ending, Ending::Unsent(_)), "{host}: {outcome:?}");
    }
    let outcome = nameless.send(request("http://hooks.example.com/")).await;
    assert!(matches!(&outcome.ending, Ending::Unsent(_)), "{outcome:?}");
    assert_eq!(receiver.connections(), 0);
    drop(held);
    assert_eq!(answer(sender.send(request(&receiver.url())).await).0, 204);
}

#[tokio::test]
async fn what_was_not_sent_leaves_no_attempt_behind_and_is_sent_later() {
    const URL: &str = "https://receiver.example/hook";
    let (world, app) = World::with_application().await;
    world.endpoint_with(&app, json!({"url": URL, "retrySchedule": []})).await;
    world.network.next(URL, Ending::Unsent("Too many open files".to_owned()));
    let msg = world.publish(&app, json!({})).await;

    let batch = world.queues.deliveries.receive(10, 0).await.unwrap();
    let id = batch[0].id.clone();
    assert_eq!(world.dispatcher.handle(batch.clone(), None).await, [id]);
    assert!(world.attempts(&app, &msg).await.is_empty());

    world.live_s(600).await;
    let attempts = world.attempts(&app, &msg).await;
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(attempts[0]["responseStatusCode"], 200);
}
