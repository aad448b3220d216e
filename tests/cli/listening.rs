//! `posthorn listen`: a receiver that shows, verifies and passes on.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{Going, PATIENCE, Place, posthorn};

/// An application that takes one webhook and answers 201; where it is, and what it got.
fn application() -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let got = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = String::new();
        let mut part = [0; 4096];
        while !got.ends_with('}') {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "{got}");
            got += std::str::from_utf8(&part[..read]).unwrap();
        }
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\nmine").unwrap();
        got
    });
    (url, got)
}

#[test]
fn what_is_passed_on_is_answered_by_the_application() {
    let place = Place::new("forward");
    let (url, got) = application();
    let (listener, _) = place.listen(&["--forward-to", &url]);
    let sent = place.json(&["send"]);
    let told = listener.json();
    assert_eq!(told["status"], 201);
    assert_eq!(told["forwardedTo"], url.as_str());
    assert_eq!(told["eventType"], "order.paid");
    assert_eq!((&told["attempt"], &told["verified"]), (&1.into(), &true.into()));
    let got = got.join().unwrap();
    assert!(got.starts_with("POST /hook "), "{got}");
    let id = sent["message"]["id"].as_str().unwrap();
    assert!(got.contains(&format!("webhook-id: {id}")), "{got}");
    assert_eq!(place.platform.json()["status"], 201);
    let attempts = place.json(&["attempt", "list", "--message", id]);
    assert_eq!(attempts[0]["response"], "mine");
}

#[test]
fn an_application_that_is_not_there_is_a_bad_gateway_with_the_reason() {
    let place = Place::new("absent");
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (listener, _) = place.listen(&["--forward-to", &format!("http://{gone}/")]);
    place.json(&["send"]);
    let told = listener.json();
    assert_eq!(told["status"], 502);
    assert!(told["failure"].as_str().unwrap().to_lowercase().contains("refused"), "{told}");
}

#[test]
fn who_listens_for_a_type_that_is_not_described_is_told_how_to_describe_it() {
    let place = Place::new("undescribed");
    let ran = place.run(&["listen", "--types", "order.paid,order.lost"]);
    assert!(!ran.status.success());
    let complaint = String::from_utf8(ran.stderr).unwrap();
    assert!(complaint.contains("event-type create order.paid"), "{complaint}");
}

#[test]
fn statuses_are_answered_one_after_another_and_the_last_for_the_rest() {
    let place = Place::new("statuses");
    let (listener, _) = place.listen(&["--status", "500,202"]);
    let statuses: Vec<u64> = (0..3)
        .map(|_| {
            place.json(&["send"]);
            listener.json()["status"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(statuses, [500, 202, 202]);
}

#[test]
fn the_endpoint_is_taken_away_however_a_listener_is_asked_to_end_and_its_secret_stays() {
    let place = Place::new("signals");
    let mut secrets = Vec::new();
    for signal in ["-INT", "-TERM", "-HUP", "-QUIT"] {
        let (mut listener, ready) = place.listen(&[]);
        secrets.push(ready["secret"].clone());
        assert_eq!(place.endpoints().len(), 1);
        assert!(listener.end(signal), "{signal}");
        assert!(place.endpoints().is_empty(), "{signal} leaves an endpoint");
    }
    assert!(secrets.iter().all(|secret| *secret == secrets[0]), "{secrets:?}");
}

#[test]
fn an_address_that_nothing_can_be_passed_on_to_is_refused_before_an_endpoint_is_made() {
    let place = Place::new("nowhere");
    for url in ["http://", "http://a b/", "ftp://a/", "nowhere"] {
        let complaint = place.complains(&["listen", "--forward-to", url]);
        assert!(complaint.contains("--forward-to"), "{url}: {complaint}");
    }
    assert!(place.complains(&["endpoint", "list"]).contains("no application"));
}

#[test]
fn what_a_killed_listener_left_is_taken_away_by_the_next_and_nothing_else_is() {
    let place = Place::new("killed");
    let (mut killed, ready) = place.listen(&[]);
    killed.end("-KILL");
    place.json(&["endpoint", "create", "http://127.0.0.1:9/mine"]);
    let (_second, _) = place.listen(&[]);
    let (_third, _) = place.listen(&[]);
    let urls: Vec<String> =
        place.endpoints().iter().map(|one| one["url"].as_str().unwrap().to_owned()).collect();
    assert_eq!(urls.len(), 3, "{urls:?}");
    assert!(!urls.contains(&ready["url"].as_str().unwrap().to_owned()), "{urls:?}");
}

#[test]
fn a_listener_that_cannot_be_reached_hears_by_way_of_an_inspector() {
    let place = Place::new("relay");
    let (url, got) = application();
    for name in ["order.paid", "order.sent"] {
        place.json(&["event-type", "create", name]);
    }
    let options = ["--relay", "--forward-to", &url, "--types", "order.sent"];
    let (mut listener, ready) = place.listen(&options);
    assert!(ready["url"].as_str().unwrap().contains("/inspect/"), "{ready}");
    place.json(&["send", "--type", "order.paid"]);
    place.json(&["send", "--type", "order.sent"]);
    let told = listener.json();
    assert_eq!((&told["eventType"], &told["verified"]), (&"order.sent".into(), &true.into()));
    assert_eq!(told["status"], 201);
    assert!(got.join().unwrap().contains("webhook-signature: v1,"));
    assert!(listener.end("-TERM"));
    assert!(place.endpoints().is_empty());
}

#[test]
fn tail_waits_while_the_platform_is_away_and_goes_on_when_it_is_back() {
    let mut place = Place::new("away");
    let (_listener, _) = place.listen(&[]);
    place.json(&["send"]);
    let said = place.directory.join("said");
    let mut tail = posthorn(&place.directory, &["tail", "--json", "--from-start", "-n", "2"]);
    tail.stderr(std::fs::File::create(&said).unwrap());
    let mut tail = Going::start(tail);
    let first = tail.json();
    assert!(place.platform.end("-TERM"));
    let began = Instant::now();
    let said = || std::fs::read_to_string(&said).unwrap();
    while !said().contains("waiting until it is back") {
        assert!(began.elapsed() < PATIENCE, "{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    place.start_again();
    place.json(&["send"]);
    assert_ne!(tail.json()["attempt"]["id"], first["attempt"]["id"]);
    assert!(tail.child.wait().unwrap().success());
    assert_eq!(said().lines().count(), 1, "{}", said());
}
