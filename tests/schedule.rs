//! When a failed delivery is tried again.

use proptest::prelude::*;
use shared::domain::clock::Timestamp;
use shared::domain::schedule::{DEFAULT_DELAYS_S, JITTER_PERCENT, Schedule};

use crate::support::still::START;

/// The random number that leaves a delay of this length as it is: jitter counts from the
/// lower end.
fn no_jitter(delay_s: u64) -> u64 {
    delay_s * 1000 * JITTER_PERCENT / 100
}

/// How long after the failure of attempt `failed` the next one comes, in milliseconds.
fn wait_ms(failed: u32, retry_after: Option<&str>, random: u64) -> Option<u64> {
    let next = Schedule::default().next(failed, START, retry_after, random)?;
    assert!(next >= START);
    Some(next.since(START))
}

#[test]
fn there_are_eight_attempts_with_the_delays_that_svix_has() {
    let schedule = Schedule::default();
    assert_eq!(schedule.attempts(), 8);
    let waits: Vec<u64> = (1..=8)
        .map_while(|failed| {
            let delay_s = DEFAULT_DELAYS_S.get(failed as usize - 1).copied().unwrap_or(1);
            Some(wait_ms(failed, None, no_jitter(delay_s))? / 1000)
        })
        .collect();
    assert_eq!(waits, [5, 300, 1800, 7200, 18_000, 36_000, 36_000]);
    assert_eq!(waits.iter().sum::<u64>(), 99_305, "27.6 hours");
}

#[test]
fn nothing_follows_the_last_attempt_nor_one_that_does_not_exist() {
    for failed in [0, 8, 9, u32::MAX] {
        assert_eq!(wait_ms(failed, None, 0), None, "{failed}");
        assert_eq!(wait_ms(failed, Some("5"), 0), None, "{failed}");
    }
}

#[test]
fn an_empty_schedule_means_a_single_attempt() {
    let schedule = Schedule::new(Vec::new());
    assert_eq!(schedule.attempts(), 1);
    assert_eq!(schedule.next(1, START, None, 0), None);
}

#[test]
fn jitter_reaches_a_fifth_either_way_and_no_further() {
    let (lowest, highest) = (wait_ms(2, None, 0).unwrap(), wait_ms(2, None, 120_000).unwrap());
    assert_eq!((lowest, highest), (240_000, 360_000));
    assert_eq!(wait_ms(2, None, 120_001), Some(240_000), "it begins again");
}

#[test]
fn retry_after_in_seconds_is_obeyed_between_the_delay_and_twice_the_delay() {
    let wait = |seconds: &str| wait_ms(2, Some(seconds), no_jitter(300)).unwrap() / 1000;
    assert_eq!(wait("450"), 450);
    assert_eq!(wait(" 450 "), 450);
    assert_eq!(wait("600"), 600);
    assert_eq!(wait("601"), 600, "it cannot stall us");
    assert_eq!(wait("86400"), 600);
    assert_eq!(wait("299"), 300, "it cannot hurry us");
    assert_eq!(wait("0"), 300);
    assert_eq!(wait("18446744073709551615"), 600, "nor overflow");
}

#[test]
fn retry_after_as_a_date_is_obeyed_within_the_same_limits() {
    assert_eq!(START.to_rfc3339(), "2027-01-15T08:00:00Z");
    let wait = |date: &str| wait_ms(2, Some(date), no_jitter(300)).unwrap() / 1000;
    assert_eq!(wait("Fri, 15 Jan 2027 08:08:20 GMT"), 500);
    assert_eq!(wait("Friday, 15-Jan-27 08:08:20 GMT"), 500);
    assert_eq!(wait("Fri Jan 15 08:08:20 2027"), 500);
    assert_eq!(wait("Fri, 15 Jan 2027 08:00:01 GMT"), 300);
    assert_eq!(wait("Thu, 01 Jan 2015 00:00:00 GMT"), 300, "a date in the past");
    assert_eq!(wait("Sat, 01 Jan 2028 00:00:00 GMT"), 600);
}

#[test]
fn a_retry_after_that_nobody_can_read_is_as_good_as_none() {
    for text in ["", " ", "soon", "-5", "1.5", "1e3", "18446744073709551616", "2027-01-15"] {
        for random in [0, 60_000, 120_000] {
            assert_eq!(wait_ms(2, Some(text), random), wait_ms(2, None, random), "{text}");
        }
    }
}

#[test]
fn retry_after_does_not_undo_jitter() {
    // Whoever asked for the plain delay does not gather all retries at one moment.
    assert_eq!(wait_ms(2, Some("300"), 120_000), Some(360_000));
    assert_eq!(wait_ms(2, Some("300"), 0), Some(300_000));
}

proptest! {
    #[test]
    fn every_random_number_stays_within_the_jitter(failed in 1..=7u32, random: u64) {
        let delay_ms = DEFAULT_DELAYS_S[failed as usize - 1] * 1000;
        let wait = wait_ms(failed, None, random).unwrap();
        prop_assert!((delay_ms * 8 / 10..=delay_ms * 12 / 10).contains(&wait), "{}", wait);
    }

    #[test]
    fn whatever_an_endpoint_asks_for_the_wait_is_from_the_delay_to_twice_the_delay(
        failed in 1..=7u32,
        seconds: u64,
        random: u64,
    ) {
        let delay_ms = DEFAULT_DELAYS_S[failed as usize - 1] * 1000;
        let wait = wait_ms(failed, Some(&seconds.to_string()), random).unwrap();
        prop_assert!((delay_ms..=2 * delay_ms).contains(&wait), "{}", wait);
    }

    #[test]
    fn no_schedule_moment_or_header_overflows(
        delays in proptest::collection::vec(prop_oneof![any::<u64>(), u64::MAX - 2000..=u64::MAX, 0..3u64], 0..4),
        failed: u32,
        now: u64,
        random: u64,
        retry_after in proptest::option::of(prop_oneof![".{0,40}".boxed(), any::<u64>().prop_map(|n| n.to_string()).boxed()]),
    ) {
        let schedule = Schedule::new(delays.clone());
        for failed in [failed, 0, 1, 2, 3] {
            let next = schedule.next(failed, Timestamp(now), retry_after.as_deref(), random);
            let position = (failed as usize).wrapping_sub(1);
            prop_assert_eq!(next.is_some(), position < delays.len());
            prop_assert!(next.is_none_or(|at| at >= Timestamp(now)));
        }
    }
}
