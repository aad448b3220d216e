//! Where no request goes.

use super::*;

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
        // What is inside is not the customer's to know.
        assert_eq!(reason, "\"hooks.example.com\" resolves to an address that is not public");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn what_dns64_makes_of_an_address_is_left_out_beside_that_address_and_refused_otherwise() {
    let receiver = Receiver::start([vec![Step::Read, Step::Write(NO_CONTENT.to_vec())]]).await;
    let url = format!("http://hooks.example.com:{}/", receiver.port);
    let resolver = Script::new([Ok(addresses(&["64:ff9b::7f00:1", "127.0.0.1"]))]);
    assert_eq!(answer(resolving(&resolver).send(request(&url)).await).0, 204);
    for others in [&["64:ff9b::7f00:1"][..], &["64:ff9b::a00:1", "127.0.0.1"]] {
        let resolver = Script::new([Ok(addresses(others))]);
        refused(resolving(&resolver).send(request(&url)).await);
    }
    let resolver = Script::new([Ok(addresses(&["64:ff9b::a00:1", "10.0.0.1"]))]);
    refused(resolving(&resolver).send(request(&url)).await);
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
