//! How a rate is given out: no second gets more, whenever it begins, and a backlog gets all of it.

use proptest::prelude::*;
use shared::domain::clock::Timestamp;
use shared::domain::rate::Given;

const START: Timestamp = Timestamp(1_800_000_000_000);

/// The moments that are given to those who ask after these pauses, in milliseconds.
fn moments(rate: u16, pauses: &[u64]) -> Vec<u64> {
    let (mut given, mut now) = (Given::default(), START);
    let ask = |pause: &u64| {
        now = now.plus_ms(*pause);
        let at = given.next(rate, now);
        assert!(at >= now);
        at.as_ms()
    };
    pauses.iter().map(ask).collect()
}

proptest! {
    #[test]
    fn no_second_gets_more_than_the_rate_whenever_it_begins(
        rate in 1..60u16,
        pauses in proptest::collection::vec(prop_oneof![4 => 0..3u64, 2 => 0..90u64, 1 => 0..3_000u64], 1..400),
    ) {
        let moments = moments(rate, &pauses);
        prop_assert!(moments.is_sorted());
        for (first, at) in moments.iter().enumerate() {
            let within = moments[first..].iter().take_while(|later| **later < at + 1_000).count();
            prop_assert!(within <= usize::from(rate), "{within} from {at} on");
        }
    }
}

#[test]
fn a_backlog_gets_all_of_the_rate() {
    for rate in [1, 7, 50, 1_000] {
        let asked = vec![0; usize::from(rate) * 10];
        let moments = moments(rate, &asked);
        for second in 0..10 {
            let is_in = |at: &&u64| (*at - START.as_ms()) / 1_000 == second;
            let within = moments.iter().filter(is_in).count();
            assert_eq!(within, usize::from(rate), "{rate} a second, in second {second}");
        }
    }
}

#[test]
fn a_seconds_worth_goes_out_at_once_and_the_rest_behind_it() {
    let after: Vec<u64> = moments(2, &[0; 5]).iter().map(|moment| moment - START.as_ms()).collect();
    assert_eq!(after, [0, 0, 1_000, 1_500, 2_000]);
}

#[test]
fn what_waits_goes_out_evenly() {
    for rate in [50, 1_000] {
        let at_once = usize::from(rate);
        let moments = moments(rate, &vec![0; at_once * 4]);
        for at in moments[at_once..at_once * 3].iter() {
            let within = |ms: u64| moments.iter().filter(|it| (*at..at + ms).contains(it)).count();
            assert!(within(100) <= at_once / 8, "{rate} a second: {} from {at} on", within(100));
        }
    }
}

#[test]
fn who_asks_more_slowly_than_the_rate_never_waits() {
    let pauses = [0, 400, 600, 1_000, 990, 10];
    let mut now = START.as_ms();
    let asked = pauses.map(|pause| {
        now += pause;
        now
    });
    assert_eq!(moments(2, &pauses), asked);
}

#[test]
fn a_rate_that_is_lowered_holds_for_what_was_given_out_before() {
    let mut given = Given::default();
    for _ in 0..10 {
        assert_eq!(given.next(10, START), START);
    }
    assert_eq!(given.next(2, START), START.plus_ms(1_000));
}

#[test]
fn what_is_remembered_stays_small() {
    let mut given = Given::default();
    for pause in 0..5_000 {
        given.next(10_000, START.plus_ms(pause));
    }
    assert!(serde_json::to_string(&given).unwrap().len() < 600);
}
