//! What travels in the queues.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::domain::attempt::{Attempt, Trigger};
use shared::domain::clock::Timestamp;
use shared::domain::delivery::Reason;
use shared::domain::delivery::machine::Outcome;
use shared::domain::endpoint::Stretch;
use shared::domain::id::{
    ApplicationId, AttemptId, EndpointId, Ksuid, MessageId, RANDOM_BYTES, Uid,
};
use shared::domain::limits::{MAX_BATCH_BYTES, MAX_QUEUE_DELAY_S};
use shared::domain::message::{MAX_PAYLOAD_BYTES, Message, NewMessage};
use shared::queue::record::{FORMAT, Record, Unread, delay_until, redriven};
use shared::queue::validate;

use crate::support::still::START;

fn ksuid(byte: u8) -> Ksuid {
    Ksuid::from_parts(START, [byte; RANDOM_BYTES])
}

fn app() -> ApplicationId {
    ApplicationId::from_ksuid(ksuid(1))
}

fn message(payload: impl Into<Bytes>) -> Message {
    let new = NewMessage {
        event_id: Some(Uid::parse("order-1", MessageId::PREFIX).unwrap()),
        channels: vec!["a".to_owned(), "b".to_owned()],
        tags: vec!["invoice".to_owned()],
        deliver_at: Some(Timestamp(1_800_000_060_000)),
        ..NewMessage::of("order.paid", payload)
    };
    let id = MessageId::from_ksuid(ksuid(2));
    Message {
        expires_at: START.plus_ms(1),
        request: Some("0123456789abcdef".to_owned()),
        ..Message::new(new, app(), id.key(), START, 0)
    }
}

fn accepted(payload: impl Into<Bytes>) -> Record {
    Record::Accepted { message: Box::new(message(payload)), again: false }
}

/// The last share of a message, or one of the middle that may be there a second time.
pub(crate) fn share(again: bool) -> Record {
    let end = |n| Some(EndpointId::from_ksuid(ksuid(n)));
    let stretch = Stretch { after: end(3), until: if again { end(4) } else { None } };
    let message = Box::new(message(r#"{"n":1}"#));
    Record::Share { message, stretch, since: START.plus_ms(1_500), again }
}

fn retry() -> Record {
    let (msg, ep) = (MessageId::from_ksuid(ksuid(2)), EndpointId::from_ksuid(ksuid(3)));
    Record::Retry { app: app(), msg, ep, attempt: 2 }
}

fn resend() -> Record {
    let (msg, ep) = (MessageId::from_ksuid(ksuid(2)), EndpointId::from_ksuid(ksuid(3)));
    Record::Resend {
        app: app(),
        msg,
        ep,
        attempt: AttemptId::from_ksuid(ksuid(4)),
        again: false,
        not_before: None,
    }
}

/// The release of what waits for an endpoint; `from`: a later page of it.
pub(crate) fn release(from: Option<&str>) -> Record {
    let ep = EndpointId::from_ksuid(ksuid(3));
    let until = START.plus_ms(60_000);
    let from = from.map(str::to_owned);
    Record::Release { app: app(), ep: Some(ep), raised: false, since: START, until, from }
}

/// The release of what waits for an application's rate.
pub(crate) fn release_by_rate() -> Record {
    let until = START.plus_ms(60_000);
    Record::Release { app: app(), ep: None, raised: true, since: START, until, from: None }
}

/// The outcome of a first attempt; without one, of an attempt by hand.
pub(crate) fn outcome(outcome: Option<Outcome>) -> Record {
    let message = Message { payload: Bytes::new(), ..message("{}") };
    let id = AttemptId::from_ksuid(ksuid(4));
    let trigger = if outcome.is_some() { Trigger::Scheduled(1) } else { Trigger::Manual(id) };
    let attempt = Attempt {
        id,
        msg: message.id,
        app: app(),
        ep: EndpointId::from_ksuid(ksuid(3)),
        trigger,
        by_hand: false,
        at: START,
        url: "http://127.0.0.1:9/hook".to_owned(),
        ok: true,
        status: 200,
        ms: 12,
        response: "ok".to_owned(),
        headers: Vec::new(),
        event_type: message.event_type.clone(),
        channels: message.channels.clone(),
        tags: message.tags.clone(),
        subject: None,
        spread: shared::domain::spread::Spread::default(),
    };
    Record::Outcome { message: Box::new(message), attempt: Box::new(attempt), outcome }
}

fn body(record: &Record) -> String {
    record.outgoing(0).body
}

fn payload_of(record: &Record) -> &[u8] {
    match record {
        Record::Accepted { message, .. } => &message.payload,
        other => panic!("no payload: {other:?}"),
    }
}

/// The record as JSON, to be changed.
fn wire(record: &Record) -> Value {
    serde_json::from_str(&body(record)).unwrap()
}

/// Asserts that this payload comes out of a record as it went in, and says whether it travelled
/// as base 64.
fn survives(payload: &[u8]) -> bool {
    let record = accepted(payload.to_vec());
    let outgoing = record.outgoing(0);
    validate(std::slice::from_ref(&outgoing)).unwrap();
    let read = Record::parse(&outgoing.body).unwrap();
    assert_eq!(payload_of(&read), payload);
    assert_eq!(read, record);
    outgoing.body.contains("\"payload64\"")
}

#[test]
fn every_kind_of_record_reads_back_as_it_was_written() {
    let mut bare = message(r#"{"n":1}"#);
    bare.event_id = None;
    bare.channels = Vec::new();
    bare.request = None;
    let bare = Record::Accepted { message: Box::new(bare), again: true };
    for record in [
        accepted(r#"{"n":1}"#),
        bare,
        share(false),
        share(true),
        retry(),
        resend(),
        outcome(None),
        release(None),
        release(Some("a")),
        release_by_rate(),
    ] {
        assert_eq!(Record::parse(&body(&record)).unwrap(), record);
    }
}

#[test]
fn a_record_goes_into_the_group_of_its_application_with_the_delay_it_was_given() {
    for record in [accepted("{}"), retry(), resend(), outcome(None), release(None)] {
        assert_eq!(record.app(), app());
        let outgoing = record.outgoing(17);
        assert_eq!(outgoing.group, app().to_string());
        assert_eq!(outgoing.delay_s, 17);
        validate(&[outgoing]).unwrap();
    }
}

#[test]
fn a_payload_keeps_its_white_space_escapes_number_spelling_and_order() {
    let payloads = [
        "{}",
        "{ }",
        "{\"b\": 1,\t\"a\":\r\n 2 }",
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"n":1.0,"m":1.00e+10,"big":123456789012345678901234567890,"neg":-0}"#,
        r#"{"escaped":"\u00e9\u0000\ud83d\ude00\/\n","plain":"é😀/"}"#,
        r#"{"lone":"\ud800","control":"\u0007"}"#,
        r#"{"quote":"\"}","braces":"}{"}"#,
    ];
    for payload in payloads {
        assert!(!survives(payload.as_bytes()), "{payload} travels as it is");
    }
}

#[test]
fn a_deeply_nested_payload_survives() {
    let depth = 10_000;
    let payload = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(!survives(payload.as_bytes()));
}

#[test]
fn characters_that_sqs_refuses_travel_as_base64() {
    for bad in ["\u{FFFE}", "\u{FFFF}", "a\u{FFFE}b"] {
        let payload = format!("{{\"text\":\"{bad}\"}}");
        assert!(survives(payload.as_bytes()), "{payload}");
    }
    // Escaped ones are plain ASCII on the wire.
    assert!(!survives(br#"{"text":"\ufffe\uffff\u0001"}"#));
}

#[test]
fn what_is_not_quite_json_travels_as_base64() {
    let bytes: [&[u8]; 11] = [
        b"",
        b" {}",
        b"{}\n",
        "\u{A0}{}".as_bytes(),
        b"{\"a\":1} {\"b\":2}",
        b"{\"a\"",
        b"{\"control\":\"\x01\x08\x0B\x1F\"}",
        b"{\"raw\":\"a\nb\"}",
        b"\xFF\xFE",
        b"\0",
        b"\xED\xA0\x80",
    ];
    for payload in bytes {
        assert!(survives(payload), "{payload:?}");
    }
}

#[test]
fn a_payload_that_is_the_word_null_survives() {
    survives(b"null");
}

#[test]
fn the_largest_payload_fits_into_a_batch_either_way() {
    for filler in ["x", "\u{FFFE}"] {
        let room = MAX_PAYLOAD_BYTES - r#"{"":""}"#.len();
        let payload = format!("{{\"\":\"{}\"}}", filler.repeat(room / filler.len()));
        survives(payload.as_bytes());
        assert!(accepted(payload).outgoing(0).body.len() < MAX_BATCH_BYTES);
    }
}

#[test]
fn a_record_names_its_format_and_earlier_readers_fields_are_optional() {
    let plain = wire(&accepted("{}"));
    assert_eq!(plain["v"], 1);
    assert_eq!(wire(&outcome(Some(Outcome::Delivered)))["v"], FORMAT);
    assert_eq!(plain["kind"], "accepted");
    for absent in ["again", "redrives", "payload64", "delivery", "attempt", "resend"] {
        assert!(plain.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn a_record_of_a_newer_format_is_refused_and_so_is_format_0() {
    for version in [0, FORMAT + 1, u8::MAX] {
        let mut newer = wire(&retry());
        newer["v"] = json!(version);
        let error = Record::parse(&newer.to_string()).unwrap_err();
        assert!(error.reason().contains(&format!("format {version} ")), "{error}");
        let unknown = matches!(error, Unread::Unknown(_));
        assert_eq!(unknown, version > 0, "{version}");
        assert!(redriven(&newer.to_string(), 0).is_err());
    }
}

#[test]
fn a_record_of_a_newer_format_or_kind_is_left_to_who_knows_it_whatever_is_in_it() {
    let mut of_kind = wire(&retry());
    of_kind["kind"] = json!("tomorrow");
    let newer =
        [json!({"v": 3, "kind": 7, "delivery": "elsewhere"}), json!({"v": 70_000}), of_kind];
    for newer in newer {
        let why = Record::parse(&newer.to_string()).unwrap_err();
        assert!(matches!(why, Unread::Unknown(_)), "{newer}: {why}");
    }
    for broken in [json!({}), json!({"v": "1"}), json!({"v": 1}), json!([3])] {
        let why = Record::parse(&broken.to_string()).unwrap_err();
        assert!(matches!(why, Unread::Broken(_)), "{broken}: {why}");
    }
}

#[test]
fn an_outcome_travels_without_the_payload_and_with_whatever_the_endpoint_answered() {
    for came_to in [
        Some(Outcome::Delivered),
        Some(Outcome::Retry { at: START.plus_ms(5_000) }),
        Some(Outcome::Failed(Reason::Exhausted)),
        Some(Outcome::Failed(Reason::NotAdmitted("the grant has ended".to_owned()))),
    ] {
        let mut record = outcome(came_to);
        if let Record::Outcome { attempt, .. } = &mut record {
            attempt.response = "\u{FFFE}\u{FFFF}\u{0}é😀\"\\".to_owned();
        }
        let outgoing = record.outgoing(0);
        validate(std::slice::from_ref(&outgoing)).unwrap();
        assert_eq!(Record::parse(&outgoing.body).unwrap(), record);
        let (again, _) = redriven(&outgoing.body, 0).unwrap();
        assert_eq!(Record::parse(&again.body).unwrap(), record);
    }
}

#[test]
fn a_field_that_a_newer_writer_added_is_ignored() {
    let mut newer = wire(&retry());
    newer["shard"] = json!({"n": 7});
    assert_eq!(Record::parse(&newer.to_string()).unwrap(), retry());
}

#[test]
fn text_that_is_no_record_is_refused() {
    let texts = [
        "",
        " ",
        "null",
        "[]",
        "{}",
        "\"accepted\"",
        "<xml/>",
        "{\"v\":1}",
        "{\"v\":1,\"kind\":null}",
        "{\"v\":\"1\",\"kind\":\"retry\"}",
        "{\"v\":-1,\"kind\":\"retry\"}",
        "{\"v\":1,\"kind\":\"\"}",
        "{\"v\":1,\"kind\":\"accept\"}",
        "{\"v\":1,\"kind\":\"retry\"}",
        "{\"v\":1,\"kind\":\"resend\"}",
        "{\"v\":1,\"kind\":\"accepted\"}",
    ];
    for text in texts {
        assert!(Record::parse(text).is_err(), "{text}");
        assert!(redriven(text, 0).is_err(), "{text}");
    }
    let whole = body(&accepted("{}"));
    for end in 0..whole.len() {
        assert!(Record::parse(&whole[..end]).is_err(), "{}", &whole[..end]);
    }
    assert!(Record::parse(&format!("{whole}x")).is_err());
}

#[test]
fn a_record_without_one_of_its_parts_is_refused_by_the_parts_name() {
    let parts: [(Record, &str, &str); 10] = [
        (accepted("{}"), "message", "message"),
        (accepted("{}"), "payload", "payload"),
        (accepted(" {}"), "payload64", "payload"),
        (retry(), "delivery", "delivery"),
        (retry(), "attempt", "attempt"),
        (resend(), "delivery", "delivery"),
        (resend(), "resend", "attempt"),
        (release(None), "endpoint", "endpoint"),
        (release(None), "since", "since"),
        (release(None), "until", "until"),
    ];
    for (record, field, name) in parts {
        let mut broken = wire(&record);
        broken.as_object_mut().unwrap().remove(field).unwrap();
        let error = Record::parse(&broken.to_string()).unwrap_err();
        assert!(error.reason().ends_with(&format!("without its {name}")), "{field}: {error}");
    }
}

#[test]
fn a_record_with_a_part_of_the_wrong_kind_is_refused() {
    let mut broken: Vec<Value> = Vec::new();
    let mut break_it = |record: &Record, pointer: &str, value: Value| {
        let mut wire = wire(record);
        *wire.pointer_mut(pointer).unwrap() = value;
        broken.push(wire);
    };
    break_it(&retry(), "/attempt", json!(0));
    break_it(&retry(), "/attempt", json!(-1));
    break_it(&retry(), "/attempt", json!(4_294_967_296_u64));
    break_it(&retry(), "/attempt", json!("2"));
    break_it(&retry(), "/delivery", json!({}));
    break_it(&retry(), "/delivery/ep", json!("msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv"));
    break_it(&retry(), "/delivery/app", json!("app_"));
    break_it(&resend(), "/resend", json!("atmpt_"));
    break_it(&release(None), "/endpoint/ep", json!("ep_"));
    break_it(&release(None), "/since", json!("lately"));
    break_it(&release(Some("a")), "/from", json!(1));
    break_it(&accepted("{}"), "/message", json!("text"));
    break_it(&accepted("{}"), "/message/id", json!("msg_short"));
    break_it(&accepted("{}"), "/message/at", json!("2027-01-15"));
    break_it(&accepted("{}"), "/message/eventType", json!(null));
    break_it(&accepted(" {}"), "/payload64", json!("not base64!"));
    for wire in broken {
        assert!(Record::parse(&wire.to_string()).is_err(), "{wire}");
    }
}

#[test]
fn the_reason_never_repeats_the_payload() {
    let mut broken = wire(&accepted(r#"{"card":"4111111111111111"}"#));
    broken["message"]["id"] = json!("nobody");
    let mut reasons = vec![Record::parse(&broken.to_string()).unwrap_err()];
    broken["kind"] = json!("other");
    reasons.push(Record::parse(&broken.to_string()).unwrap_err());
    let whole = body(&accepted(r#"{"card":"4111111111111111"}"#));
    reasons.push(Record::parse(&whole[..whole.len() - 1]).unwrap_err());
    for reason in reasons {
        assert!(!reason.reason().contains("4111"), "{reason}");
    }
}

#[test]
fn a_redriven_record_counts_and_says_that_it_comes_again() {
    let first = body(&accepted("{ \"n\": 1.0 }"));
    let (second, redrives) = redriven(&first, 3).unwrap();
    assert_eq!(redrives, 0);
    assert_eq!(second.delay_s, 3);
    assert_eq!(second.group, app().to_string());
    let (third, redrives) = redriven(&second.body, 0).unwrap();
    assert_eq!(redrives, 1);
    assert_eq!(redriven(&third.body, 0).unwrap().1, 2);
    let read = Record::parse(&third.body).unwrap();
    assert_eq!(payload_of(&read), b"{ \"n\": 1.0 }");
    assert!(matches!(read, Record::Accepted { again: true, .. }));
}

#[test]
fn redriving_changes_nothing_else_of_a_record() {
    let (outgoing, _) = redriven(&body(&retry()), 0).unwrap();
    assert_eq!(Record::parse(&outgoing.body).unwrap(), retry());
    let (outgoing, _) = redriven(&body(&resend()), 0).unwrap();
    let mut comes_again = resend();
    if let Record::Resend { again, .. } = &mut comes_again {
        *again = true;
    }
    assert_eq!(Record::parse(&outgoing.body).unwrap(), comes_again);
    let (outgoing, _) = redriven(&body(&accepted("{\"\":\"\u{FFFE}\"}")), 0).unwrap();
    let again = Record::Accepted { message: Box::new(message("{\"\":\"\u{FFFE}\"}")), again: true };
    assert_eq!(Record::parse(&outgoing.body).unwrap(), again);
}

#[test]
fn a_count_of_redrives_at_its_limit_does_not_overflow() {
    let mut often = wire(&retry());
    often["redrives"] = json!(u32::MAX);
    let (outgoing, redrives) = redriven(&often.to_string(), 0).unwrap();
    assert_eq!(redrives, u32::MAX);
    assert_eq!(redriven(&outgoing.body, 0).unwrap().1, u32::MAX);
}

#[test]
fn a_delay_is_rounded_up_and_at_most_what_sqs_allows() {
    let delay = |ms: u64| delay_until(START.plus_ms(ms), START);
    assert_eq!([delay(0), delay(1), delay(1000), delay(1001)], [0, 1, 1, 2]);
    assert_eq!(
        [delay(900_000), delay(900_001), delay(u64::MAX)],
        [900, MAX_QUEUE_DELAY_S, MAX_QUEUE_DELAY_S]
    );
    assert_eq!(delay_until(START, START.plus_ms(5000)), 0);
    assert_eq!(delay_until(Timestamp(u64::MAX), Timestamp(0)), MAX_QUEUE_DELAY_S);
}

/// Any JSON, with every character in its strings that JSON allows.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\u{FFF0}-\u{FFFF}\u{0}-\u{20}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_text_survives(json in any_json(), pretty: bool, around in "[ \t\r\n]{0,2}") {
        let text = if pretty { format!("{json:#}") } else { json.to_string() };
        survives(text.as_bytes());
        survives(format!("{around}{text}{around}").as_bytes());
    }

    #[test]
    fn any_bytes_survive(bytes: Vec<u8>) {
        survives(&bytes);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,80}") {
        prop_assert!(Record::parse(&text).is_err());
    }

    #[test]
    fn no_object_makes_the_parser_panic(
        kind in prop_oneof![Just("accepted"), Just("retry"), Just("resend")],
        field in prop_oneof![Just("message"), Just("payload"), Just("delivery"), Just("resend")],
        value in any_json(),
    ) {
        let wire = json!({"v": 1, "kind": kind, field: value});
        prop_assert!(Record::parse(&wire.to_string()).is_err());
    }
}
