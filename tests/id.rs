//! Ids, uids and the places of messages.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::json;
use shared::domain::clock::Timestamp;
use shared::domain::id::{
    ApplicationId, AttemptId, EndpointId, KSUID_CHARS, Ksuid, MessageId, MessageKey,
    OrganisationId, RANDOM_BYTES, Uid, is_name,
};

use crate::support::still::{self, START, StillClock};

/// Written in the README of the reference implementation: text and the twenty bytes in it.
const VECTORS: [(&str, &str); 4] = [
    ("0ujtsYcgvSTl8PAuAdqWYSMnLOv", "0669F7EFB5A1CD34B5F99D1154FB6853345C9735"),
    ("0ujzPyRiIAffKhBux4PvQdDqMHY", "066A029C73FC1AA3B2446246D6E89FCD909E8FE8"),
    ("000000000000000000000000000", "0000000000000000000000000000000000000000"),
    ("aWgEPTl1tmebfsQzFP4bxwgy80V", "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"),
];

/// The specification counts seconds from here.
const EPOCH_S: u64 = 1_400_000_000;

/// The last moment that four bytes of seconds can say, in milliseconds.
const LAST_MS: u64 = (EPOCH_S + u32::MAX as u64) * 1000 + 999;

fn app(random: u8) -> ApplicationId {
    ApplicationId::from_ksuid(Ksuid::from_parts(START, [random; RANDOM_BYTES]))
}

#[test]
fn base62_is_that_of_the_specification() {
    for (text, hex) in VECTORS {
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let ksuid = format!("app_{text}").parse::<ApplicationId>().unwrap().ksuid();
        assert_eq!(ksuid.random_part(), bytes[5..], "{text}");
        let seconds = u32::from_be_bytes(bytes[..4].try_into().unwrap());
        let ms = (u64::from(seconds) + EPOCH_S) * 1000 + u64::from(bytes[4]) * 4;
        assert_eq!(ksuid.timestamp(), Timestamp(ms), "{text}");
        assert_eq!(ksuid.to_string(), text);
    }
}

#[test]
fn the_first_vector_was_made_at_the_second_that_the_specification_says() {
    let id: MessageId = "msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap();
    assert_eq!(id.ksuid().timestamp().as_secs() - EPOCH_S, 107_608_047);
}

#[test]
fn every_kind_of_id_has_its_own_prefix_and_refuses_the_others() {
    let (text, _) = VECTORS[0];
    for prefix in ["org_", "app_", "ep_", "msg_", "atmpt_"] {
        let id = format!("{prefix}{text}");
        assert_eq!(id.parse::<OrganisationId>().is_ok(), prefix == "org_", "{id}");
        assert_eq!(id.parse::<ApplicationId>().is_ok(), prefix == "app_", "{id}");
        assert_eq!(id.parse::<EndpointId>().is_ok(), prefix == "ep_", "{id}");
        assert_eq!(id.parse::<MessageId>().is_ok(), prefix == "msg_", "{id}");
        assert_eq!(id.parse::<AttemptId>().is_ok(), prefix == "atmpt_", "{id}");
    }
}

#[test]
fn what_is_not_quite_an_id_is_refused() {
    let (good, _) = VECTORS[0];
    let wrong = [
        String::new(),
        "app_".to_owned(),
        good.to_owned(),
        format!("APP_{good}"),
        format!("app-{good}"),
        format!(" app_{good}"),
        format!("app_{good} "),
        format!("app_{}", &good[1..]),
        format!("app_{good}0"),
        format!("app_{}-", &good[1..]),
        format!("app_{}é", &good[2..]),
        format!("app_app_{good}"),
        // One more than twenty bytes can hold, and the most that 27 digits can say.
        "app_aWgEPTl1tmebfsQzFP4bxwgy80W".to_owned(),
        format!("app_{}", "z".repeat(KSUID_CHARS)),
    ];
    for text in wrong {
        let error = text.parse::<ApplicationId>().unwrap_err();
        assert!(error.to_string().contains("`app_` and 27 characters"), "{text}: {error}");
    }
}

#[test]
fn an_id_travels_through_json_as_its_text() {
    let id = app(7);
    assert_eq!(serde_json::to_value(id).unwrap(), json!(id.to_string()));
    assert_eq!(serde_json::from_value::<ApplicationId>(json!(id.to_string())).unwrap(), id);
    // Escaped, so that it cannot be borrowed from the text.
    let escaped = format!("\"\\u0061{}\"", &id.to_string()[1..]);
    assert_eq!(serde_json::from_str::<ApplicationId>(&escaped).unwrap(), id);
    for wrong in [json!(null), json!(7), json!("app_x"), json!([id.to_string()])] {
        assert!(serde_json::from_value::<ApplicationId>(wrong.clone()).is_err(), "{wrong}");
    }
    assert_eq!(format!("{id:?}"), id.to_string());
}

#[test]
fn new_ids_differ_within_the_same_millisecond() {
    let ambient = still::ambient(&StillClock::new());
    let ids: HashSet<String> = (0..1000).map(|_| AttemptId::new(&ambient).to_string()).collect();
    assert_eq!(ids.len(), 1000);
}

#[test]
fn a_moment_out_of_reach_makes_the_nearest_id_instead_of_a_panic() {
    let first = Ksuid::first_at(Timestamp(0));
    assert_eq!(first.timestamp().as_secs(), EPOCH_S);
    let last = Ksuid::first_at(Timestamp(u64::MAX));
    assert_eq!(last.timestamp().as_secs(), EPOCH_S + u64::from(u32::MAX));
}

#[test]
fn the_same_event_has_the_same_place_at_every_time_and_another_in_every_application() {
    let key = MessageKey::of_event(&app(1), "order-1");
    assert!(MessageKey::of_event(&app(1), "order-1") == key);
    let now = MessageId::from_key(START, key);
    let later = MessageId::from_key(START.plus_ms(86_400_000), key);
    assert_ne!(now, later);
    assert!(now.key() == key && later.key() == key);
    assert!(MessageKey::of_event(&app(2), "order-1") != key);
    assert!(MessageKey::of_event(&app(1), "order-2") != key);
}

#[test]
fn places_that_nobody_named_are_all_different() {
    let ambient = still::ambient(&StillClock::new());
    let keys: HashSet<MessageKey> = (0..1000).map(|_| MessageKey::new(&ambient)).collect();
    assert_eq!(keys.len(), 1000);
}

#[test]
fn places_that_nobody_named_lie_in_the_order_in_which_they_came() {
    let clock = StillClock::new();
    let ambient = still::ambient(&clock);
    let keys: Vec<MessageKey> = (0..1000)
        .map(|_| {
            clock.advance_ms(4);
            MessageKey::new(&ambient)
        })
        .collect();
    assert!(keys.is_sorted());
}

#[test]
fn a_place_is_shown_in_hexadecimal() {
    let id: MessageId = "msg_0ujtsYcgvSTl8PAuAdqWYSMnLOv".parse().unwrap();
    assert_eq!(id.key().to_string(), "a1cd34b5f99d1154fb6853345c9735");
}

#[test]
fn a_uid_is_1_to_256_plain_characters_and_does_not_look_like_an_id() {
    let longest = "x".repeat(256);
    for good in ["a", "A-Z_0.9", "-", "-.", "ep_of_an_application", "app", "App_1", &longest] {
        assert_eq!(Uid::parse(good, "app_").unwrap().as_str(), good);
    }
    let too_long = "x".repeat(257);
    for bad in
        ["", " ", "a b", "a/b", "é", "a\n", "a+b", "a:b", ".", "..", "app_", "app_1", &too_long]
    {
        assert!(Uid::parse(bad, "app_").is_err(), "{bad}");
    }
    assert!(Uid::parse("app_1", "").is_ok());
    let looks_like_an_id = Uid::parse("app_1", "app_").unwrap_err();
    assert!(looks_like_an_id.0.contains("must not start with `app_`"), "{looks_like_an_id}");
}

#[test]
fn a_name_has_a_length_of_its_own_choice() {
    assert!(is_name("abc", 3));
    assert!(!is_name("abcd", 3));
    assert!(!is_name("", 3));
}

proptest! {
    #[test]
    fn every_ksuid_reads_back_as_itself(ms in EPOCH_S * 1000..=LAST_MS, random: [u8; 15]) {
        let ksuid = Ksuid::from_parts(Timestamp(ms), random);
        let text = ksuid.to_string();
        prop_assert_eq!(text.len(), KSUID_CHARS);
        let read = format!("ep_{text}").parse::<EndpointId>().unwrap();
        prop_assert!(read.ksuid() == ksuid);
        prop_assert_eq!(ksuid.random_part(), random);
        prop_assert_eq!(ksuid.timestamp(), Timestamp(ms - ms % 4));
    }

    #[test]
    fn ids_sort_by_time_as_values_and_as_text(
        a in EPOCH_S * 1000..=LAST_MS,
        b in EPOCH_S * 1000..=LAST_MS,
        gap in 4..10_000u64,
        first: [u8; 15],
        second: [u8; 15],
    ) {
        for (early, late) in [(a.min(b), a.max(b)), (a.min(LAST_MS - gap), a.min(LAST_MS - gap) + gap)] {
            let early_id = AttemptId::from_ksuid(Ksuid::from_parts(Timestamp(early), first));
            let late_id = AttemptId::from_ksuid(Ksuid::from_parts(Timestamp(late), second));
            if early / 4 < late / 4 {
                prop_assert!(early_id < late_id);
            }
            prop_assert_eq!(early_id < late_id, early_id.to_string() < late_id.to_string());
        }
    }

    #[test]
    fn the_first_id_of_a_moment_comes_before_all_others(
        ms in EPOCH_S * 1000..=LAST_MS,
        random: [u8; 15],
    ) {
        prop_assert!(Ksuid::first_at(Timestamp(ms)) <= Ksuid::from_parts(Timestamp(ms), random));
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_what_it_takes_is_the_one_spelling(text in ".{0,40}") {
        for text in [format!("app_{text}"), text] {
            if let Ok(id) = text.parse::<ApplicationId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn base62_of_27_digits_is_taken_exactly_when_it_fits(text in "[0-9A-Za-z]{27}") {
        let id = format!("msg_{text}").parse::<MessageId>();
        prop_assert_eq!(id.is_ok(), text.as_str() <= "aWgEPTl1tmebfsQzFP4bxwgy80V");
        if let Ok(id) = id {
            prop_assert_eq!(id.ksuid().to_string(), text);
        }
    }

    #[test]
    fn an_event_and_an_idempotency_key_never_share_a_place(a in ".{0,20}", b in ".{0,20}") {
        let (one, other) = (app(1), app(2));
        let (event, key) = (MessageKey::of_event, MessageKey::of_idempotency_key);
        prop_assert!(event(&one, &a) != key(&one, &a));
        prop_assert!(event(&one, &a) != key(&one, &b));
        prop_assert!(event(&one, &a) != event(&other, &a));
        prop_assert!(key(&one, &a) != key(&other, &a));
        prop_assert_eq!(event(&one, &a) == event(&one, &b), a == b);
        prop_assert_eq!(key(&one, &a) == key(&one, &b), a == b);
    }
}
