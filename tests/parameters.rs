//! What a stack may be told: whatever a parameter takes, the functions take as well. What they
//! refuse keeps them from starting, which nobody would see before the deployment is over.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::string::string_regex;
use regex_lite::Regex;
use serde_json::Value;
use shared::host::config::{Environment, variable};

use crate::template::{template, text};

/// Whether a function reads this text in a variable, and why not.
fn read(name: &str, said: &str) -> Result<(), String> {
    let look_up = |asked: &str| (asked == name).then(|| said.to_owned());
    let environment = Environment::new(&look_up);
    match name {
        variable::ORGANISATION => environment.organisation().map(drop),
        variable::PORTAL_FRAMES => environment.portal_frames().map(drop),
        variable::REFUSED_TARGETS => environment.target_policy().map(drop),
        variable::RETENTION_DAYS => environment.retention_days().map(drop),
        variable::TAKEN_ANSWER_BYTES => environment.taken_answer_bytes().map(drop),
        variable::PORTAL_LINK_DAYS => environment.portal_link_s().map(drop),
        variable::MAX_ENDPOINTS => environment.max_endpoints().map(drop),
        _ => panic!("{name}"),
    }
}

/// What the template says of them.
static PARAMETERS: LazyLock<Value> = LazyLock::new(|| template()["Parameters"].clone());

fn pattern(parameter: &str) -> String {
    text(&PARAMETERS[parameter]["AllowedPattern"])
}

/// Whether CloudFormation takes a text: all of it has to match.
fn taken(parameter: &str) -> impl Fn(&str) -> bool {
    let whole = Regex::new(&format!("^(?:{})$", pattern(parameter))).expect("a pattern");
    move |text| whole.is_match(text)
}

/// A text with up to three letters more, fewer or other than it had.
fn nearly(texts: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let letters: Vec<char> = "0123459afgzAFGZ_.:/- ".chars().collect();
    let change = (any::<Index>(), select(letters), 0..3);
    (texts, proptest::collection::vec(change, 0..4)).prop_map(|(text, changes)| {
        let mut letters: Vec<char> = text.chars().collect();
        for (place, letter, how) in changes {
            let place = place.index(letters.len() + 1);
            match how {
                0 => letters.insert(place, letter),
                _ if place == letters.len() => {}
                1 => letters[place] = letter,
                _ => drop(letters.remove(place)),
            }
        }
        letters.into_iter().collect()
    })
}

/// Several targets, or nearly, as the pattern has one of them.
fn targets() -> impl Strategy<Value = String> {
    let pattern = pattern("RefusedTargets");
    let one = pattern.trim_start_matches("( *").trim_start_matches(" *(");
    let one = &one[..one.find("( +|$)").expect("what is between them")];
    let one = string_regex(one).expect("a pattern of one");
    nearly(proptest::collection::vec(one, 0..4).prop_map(|all| all.join(" ")))
}

proptest! {
    #[test]
    fn whatever_may_be_refused_is_understood(text in targets()) {
        let is_taken = taken("RefusedTargets")(&text);
        prop_assert!(!is_taken || read(variable::REFUSED_TARGETS, &text).is_ok(), "{text:?}");
    }

    #[test]
    fn whatever_may_operate_a_stack_is_an_organisation(
        text in nearly(string_regex("org_[0-9A-Za-z]{27}").expect("a pattern"))
    ) {
        let is_taken = taken("Organisation")(&text);
        prop_assert!(!is_taken || read(variable::ORGANISATION, &text).is_ok(), "{text:?}");
    }

    #[test]
    fn whatever_may_frame_the_portal_fits_its_policy(text in "[a-z0-9 .:/*;,-]{0,9}") {
        let is_taken = taken("PortalFrames")(&text);
        prop_assert!(!is_taken || read(variable::PORTAL_FRAMES, &text).is_ok(), "{text:?}");
    }
}

#[test]
fn networks_and_names_can_be_refused_however_they_are_written() {
    let taken = taken("RefusedTargets");
    let check = |text: &str, expected: bool| {
        assert_eq!(taken(text), expected, "{text:?}");
        if expected {
            assert_eq!(read(variable::REFUSED_TARGETS, text), Ok(()));
        }
    };
    for number in 0..=300 {
        check(&format!("{number}.0.2.{number}"), number <= 255);
        check(&format!("10.0.0.0/{number}"), number <= 32);
        check(&format!("2001:db8::/{number}"), number <= 128);
    }
    for before in 0..=9 {
        let group = |count: usize| vec!["a1"; count].join(":");
        // One group alone is a name.
        check(&group(before), before <= 1 || before == 8);
        for after in 0..=9 {
            check(&format!("{}::{}", group(before), group(after)), before + after <= 7);
        }
    }
    for text in ["", " ", ".corp.example", "db", "  a.example   203.0.113.0/24 FD00::/8 ", "a b"] {
        check(text, true);
    }
    for text in [
        "2001:db8:/32",
        "1:2",
        "::::",
        ":::",
        "1::2::3",
        ":1",
        "12345::",
        "01.2.3.4/8",
        "1.2.3",
        "1.2.3.4/",
        "1.2.3.4/08",
        "::/012",
        "::1.2.3.4.5",
        "a.example/24",
        "1::a.example",
        "a,b",
    ] {
        check(text, false);
    }
}

#[test]
fn an_address_of_ipv6_can_be_refused_as_programs_write_it() {
    let taken = taken("RefusedTargets");
    for step in 0..=128_u32 {
        for bits in [u128::MAX, 0x2001_0db8_0000_0000_0001_0000_0000_0001] {
            let bits = bits.checked_shl(step).unwrap_or(0);
            let written = Ipv6Addr::from(bits).to_string();
            // Those that end as IPv4 are refused by what they stand for.
            assert!(written.contains('.') || taken(&written), "{written}");
        }
    }
}

#[test]
fn both_ends_of_every_range_are_understood() {
    for (parameter, name) in [
        ("PayloadRetentionDays", variable::RETENTION_DAYS),
        ("TakenAnswerBytes", variable::TAKEN_ANSWER_BYTES),
        ("PortalLinkDays", variable::PORTAL_LINK_DAYS),
        ("MaxEndpoints", variable::MAX_ENDPOINTS),
    ] {
        for end in ["MinValue", "MaxValue", "Default"] {
            let value = PARAMETERS[parameter][end].to_string();
            assert_eq!(read(name, &value), Ok(()), "{parameter}={value}");
        }
    }
}
