//! The last hour of the local platform, as the console draws it.

use shared::domain::metrics::{Metric, Metrics};

use crate::minutes::{Hour, Minutes};
use crate::support::still::StillClock;

const MINUTE_MS: u64 = 60_000;

#[test]
fn each_minute_of_the_last_hour_has_its_numbers_and_what_is_older_is_gone() {
    let clock = StillClock::new();
    let minutes = Minutes::new(clock.clone());
    minutes.add(Metric::Accepted, 7);
    clock.advance_ms(MINUTE_MS);
    minutes.count(Metric::Delivered);
    minutes.count(Metric::Failed);
    minutes.count(Metric::Failed);
    clock.advance_ms(57 * MINUTE_MS);
    minutes.add(Metric::Accepted, 2);
    let hour = minutes.hour();
    assert_eq!((hour.accepted.len(), hour.step_ms), (60, MINUTE_MS));
    assert_eq!(hour.accepted[1..], [&[7][..], &[0; 57], &[2]].concat());
    assert_eq!((hour.delivered[2], hour.failed[2]), (1, 2));
    assert_eq!(hour.since, "2027-01-15T07:59:00Z");
    clock.advance_ms(2 * MINUTE_MS);
    minutes.count(Metric::Delivered);
    let hour = minutes.hour();
    assert!(!hour.accepted.contains(&7), "{hour:?}");
    assert_eq!((hour.delivered[0], hour.delivered[59]), (1, 1));
    assert_eq!(minutes.totals().by_name()["Accepted"].sum, 9, "sums are of all time");
}

#[test]
fn percentiles_of_delivery_times_are_at_most_an_eighth_above_what_was_measured() {
    let clock = StillClock::new();
    let told = |times: &[u64]| -> Hour {
        let minutes = Minutes::new(clock.clone());
        times.iter().for_each(|ms| minutes.add(Metric::EndToEndLatency, *ms));
        minutes.hour()
    };
    let nothing = told(&[]);
    assert_eq!((nothing.hour_p50_ms, nothing.p99_ms[59]), (None, None));
    for ms in (0..70_000).step_by(7).chain([0, 1, 15, 16, 17, 31, 32, 1 << 31, u32::MAX.into()]) {
        let p50 = told(&[ms]).hour_p50_ms.unwrap();
        assert!(ms <= p50 && p50 <= ms + ms / 8, "{ms} ms are told as {p50}");
    }
    assert!(told(&[u64::MAX]).hour_p99_ms.is_some());
    let times: Vec<u64> = (1..=1_000).collect();
    let hour = told(&times);
    let (p50, p99) = (hour.p50_ms[59].unwrap(), hour.p99_ms[59].unwrap());
    assert!((500..=563).contains(&p50) && (990..=1_114).contains(&p99), "{p50} and {p99}");
    assert_eq!((hour.hour_p50_ms, hour.hour_p99_ms), (Some(p50), Some(p99)));
}
