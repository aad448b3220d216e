//! The machine that a delivery goes through, without any I/O: what holds after any events in any
//! order. `delivery_model.rs` walks it with all who use it.

use proptest::collection::vec;
use proptest::prelude::*;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::machine::{
    Effect, Event, Notification, Outcome, Refusal, Transition, step,
};
use shared::domain::delivery::{
    Delivery, LEASE_MS, Pending, Plan, QUEUE_GRACE_MS, Reason, SWEEP_AHEAD_MS, State,
};
use shared::domain::limits::MAX_QUEUE_DELAY_S;

use crate::support::deliveries::{START, first};

const MINUTE_MS: u64 = 60_000;

/// An event that may happen to any delivery, some time after the one before it.
fn events() -> impl Strategy<Value = Vec<(u64, Kind)>> {
    let kind = prop_oneof![
        Just(Kind::Leased),
        (1u32..10).prop_map(Kind::Delivered),
        (1u32..10, 0u64..40_000_000).prop_map(|(n, ms)| Kind::Retry(n, ms)),
        (1u32..10).prop_map(Kind::Failed),
        (0u64..4_000_000, any::<bool>()).prop_map(|(ms, counted)| Kind::PutOff(ms, counted)),
        Just(Kind::Claimed),
        Just(Kind::Unclaimed),
        Just(Kind::Barred),
        Just(Kind::Canceled),
        Just(Kind::Recovered),
        Just(Kind::SentByHand),
        Just(Kind::HolderDied),
        (1u32..10).prop_map(Kind::Unwritten),
    ];
    vec((0u64..2 * QUEUE_GRACE_MS, kind), 1..40)
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Leased,
    Delivered(u32),
    Retry(u32, u64),
    Failed(u32),
    PutOff(u64, bool),
    Claimed,
    Unclaimed,
    Barred,
    Canceled,
    Recovered,
    SentByHand,
    HolderDied,
    Unwritten(u32),
}

impl Kind {
    fn event(self, now: Timestamp) -> Event {
        let outcome = |number, outcome| Event::Outcome { number, outcome };
        match self {
            Self::Leased => Event::Leased { until: now.plus_ms(LEASE_MS) },
            Self::Delivered(number) => outcome(number, Outcome::Delivered),
            Self::Retry(number, ms) => outcome(number, Outcome::Retry { at: now.plus_ms(ms) }),
            Self::Failed(number) => outcome(number, Outcome::Failed(Reason::Exhausted)),
            Self::PutOff(ms, counted) => Event::PutOff { at: now.plus_ms(ms), counted },
            Self::Claimed => Event::Claimed,
            Self::Unclaimed => Event::Unclaimed,
            Self::Barred => Event::Barred(Reason::EndpointDisabled),
            Self::Canceled => Event::Canceled,
            Self::Recovered => Event::Recovered,
            Self::SentByHand => Event::SentByHand,
            Self::HolderDied => Event::HolderDied,
            Self::Unwritten(number) => {
                Event::Unwritten { number, until: now.plus_ms(QUEUE_GRACE_MS) }
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_the_promises_of_a_delivery_hold(events in events()) {
        let mut delivery = first();
        let mut now = START;
        for (pause_ms, kind) in events {
            now = now.plus_ms(pause_ms);
            let before = delivery.clone();
            let event = kind.event(now);
            match step(&before, event.clone(), now) {
                Err(refusal) => check_refusal(&before, &event, refusal, now)?,
                Ok(next) => {
                    check(&before, &event, &next, now)?;
                    delivery = next.delivery;
                }
            }
        }
    }

    #[test]
    fn a_delivery_is_read_as_it_was_stored(events in events()) {
        let mut delivery = first();
        let mut now = START;
        for (pause_ms, kind) in events {
            now = now.plus_ms(pause_ms);
            if let Ok(next) = step(&delivery, kind.event(now), now) {
                delivery = next.delivery;
            }
            let stored = serde_json::to_string(&delivery).unwrap();
            prop_assert_eq!(serde_json::from_str::<Delivery>(&stored).unwrap(), delivery.clone());
        }
    }
}

fn check(
    before: &Delivery,
    event: &Event,
    next: &Transition,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    let after = &next.delivery;
    prop_assert!(after.attempts >= before.attempts, "an attempt was forgotten");
    prop_assert_eq!((after.msg, after.ep), (before.msg, before.ep));
    // Only an outcome counts an attempt, and each attempt has one.
    if let Event::Outcome { number, .. } = event {
        prop_assert!(*number > before.attempts && after.attempts == *number);
    } else {
        prop_assert_eq!(after.attempts, before.attempts);
    }
    // Nobody ends or moves what a dispatcher may be sending at this moment, except by its outcome
    // or by a success.
    if before.is_leased(now) {
        let allowed = matches!(
            event,
            Event::Outcome { .. }
                | Event::SentByHand
                | Event::Claimed
                | Event::Unclaimed
                | Event::HolderDied
                | Event::Unwritten { .. }
        );
        prop_assert!(allowed, "{event:?} met a lease");
        // Of what is only to be written, nobody thinks that its maker is dead.
        let unwritten = before.pending().is_some_and(|pending| pending.unwritten);
        prop_assert!(!unwritten || *event != Event::HolderDied);
    }
    if let Event::Unwritten { until, .. } = event {
        prop_assert!(after.is_leased(until.minus_ms(1)), "others make it again");
    }
    // What is over comes back by recovery alone, and only if it failed.
    if !before.is_pending() && after.is_pending() {
        prop_assert!(before.is_failed() && *event == Event::Recovered);
    }
    if let Some(pending) = after.pending() {
        check_pending(pending, event, now)?;
    }
    check_effects(after, event, &next.effects, now)
}

/// What is pending has a time at which the sweep looks, whoever dies.
fn check_pending(pending: &Pending, event: &Event, now: Timestamp) -> Result<(), TestCaseError> {
    let latest = pending.next.at().max(now).plus_ms(QUEUE_GRACE_MS);
    prop_assert!(pending.due_at <= latest, "{pending:?} is looked at too late");
    let planned = matches!(event, Event::PutOff { .. } | Event::Outcome { .. } | Event::Recovered);
    if planned {
        let through_queue = pending.next.at().since(now) <= u64::from(MAX_QUEUE_DELAY_S) * 1000;
        prop_assert_eq!(through_queue, matches!(pending.next, Plan::Queue { .. }));
        prop_assert_eq!(pending.lease_until, None);
    }
    Ok(())
}

/// Whatever is planned to go through the queue is sent there, in time and as the right attempt.
fn check_effects(
    after: &Delivery,
    event: &Event,
    effects: &[Effect],
    now: Timestamp,
) -> Result<(), TestCaseError> {
    let enqueued: Vec<_> = effects
        .iter()
        .filter_map(|effect| match *effect {
            Effect::Enqueue { attempt, at } => Some((attempt, at)),
            Effect::Notify(_) | Effect::CountExhausted => None,
        })
        .collect();
    let planned = matches!(
        event,
        Event::PutOff { .. } | Event::Outcome { .. } | Event::Recovered | Event::Claimed
    );
    match after.pending() {
        Some(pending) if planned && matches!(pending.next, Plan::Queue { .. }) => {
            prop_assert_eq!(enqueued, vec![(after.attempts + 1, pending.next.at())]);
        }
        Some(pending) if *event == Event::Claimed => {
            prop_assert_eq!(enqueued, vec![(after.attempts + 1, pending.next.at())]);
            prop_assert!(pending.due_at > now, "another sweep takes it at once");
        }
        _ => prop_assert_eq!(enqueued, vec![]),
    }
    // What is given up is counted, and only that.
    let counted = effects.contains(&Effect::CountExhausted);
    prop_assert_eq!(counted, after.is_failed());
    Ok(())
}

fn check_refusal(
    before: &Delivery,
    event: &Event,
    refusal: Refusal,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    match refusal {
        Refusal::UnderWay { until } => {
            prop_assert!(until > now && before.is_leased(now), "{event:?} was refused");
        }
        Refusal::Over => match event {
            Event::Outcome { number, .. } | Event::Unwritten { number, .. } => {
                prop_assert!(!before.is_pending() || *number <= before.attempts);
            }
            Event::Recovered => prop_assert!(!before.is_failed()),
            Event::SentByHand => prop_assert!(false, "a success always counts"),
            _ => prop_assert!(!before.is_pending(), "{event:?} was refused"),
        },
    }
    Ok(())
}

#[test]
fn an_organisation_is_told_of_the_fourth_failure_of_the_end_and_of_a_late_success() {
    let told = |number, outcome| {
        let before = Delivery { attempts: number - 1, ..first() };
        let next = step(&before, Event::Outcome { number, outcome }, START).unwrap();
        next.effects.into_iter().find_map(|effect| match effect {
            Effect::Notify(notification) => Some(notification),
            Effect::Enqueue { .. } | Effect::CountExhausted => None,
        })
    };
    let retry = Outcome::Retry { at: START.plus_ms(MINUTE_MS) };
    assert_eq!(told(3, retry.clone()), None);
    assert_eq!(told(4, retry.clone()), Some(Notification::Failing));
    assert_eq!(told(5, retry), None);
    assert_eq!(told(8, Outcome::Failed(Reason::Exhausted)), Some(Notification::Exhausted));
    assert_eq!(told(4, Outcome::Delivered), None);
    assert_eq!(told(5, Outcome::Delivered), Some(Notification::Recovered));
}

#[test]
fn what_the_first_format_stored_is_read_with_its_plan_and_its_reason() {
    let ids = first();
    let stored = |more: &str| {
        let text = format!(
            r#"{{"msg":"{}","app":"{}","ep":"{}","attempts":1,"expiresAt":9,{more}}}"#,
            ids.msg, ids.app, ids.ep
        );
        serde_json::from_str::<Delivery>(&text).unwrap()
    };
    let swept = stored(r#""progress":"pending","nextAt":1000000,"dueAt":940000"#);
    assert_eq!(swept.pending().unwrap().next, Plan::Sweep { at: Timestamp(1_000_000) });
    let queued = stored(r#""progress":"pending","nextAt":1000000,"dueAt":1900000"#);
    assert_eq!(queued.pending().unwrap().next, Plan::Queue { at: Timestamp(1_000_000) });
    let failed = |reason: &str| {
        stored(&format!(r#""progress":"failed","nextAt":1,"dueAt":1{reason}"#)).reason().cloned()
    };
    assert_eq!(failed(""), Some(Reason::Exhausted));
    let disabled = failed(r#","reason":"the endpoint is disabled""#);
    assert_eq!(disabled, Some(Reason::EndpointDisabled));
    let barred = failed(r#","reason":"the endpoint has yet to take a test event""#);
    let why = "the endpoint has yet to take a test event";
    assert_eq!(barred, Some(Reason::NotAdmitted(why.to_owned())));
}

#[test]
fn a_plan_beyond_what_the_queue_holds_waits_for_the_sweep_which_looks_a_minute_ahead() {
    let put_off = |ms| {
        let event = Event::PutOff { at: START.plus_ms(ms), counted: true };
        *step(&first(), event, START).unwrap().delivery.pending().unwrap()
    };
    let at = |ms: u64| START.plus_ms(ms);
    let queued = put_off(900_000);
    assert_eq!(queued.next, Plan::Queue { at: at(900_000) });
    assert_eq!(queued.due_at, at(900_000 + QUEUE_GRACE_MS));
    let swept = put_off(900_001);
    assert_eq!(swept.next, Plan::Sweep { at: at(900_001) });
    assert_eq!(swept.due_at, at(900_001).minus_ms(SWEEP_AHEAD_MS));
    assert!(swept.counted && queued.counted);
}

#[test]
fn a_failed_delivery_is_recovered_as_the_attempt_after_its_last() {
    let failed = Delivery { state: State::Failed { reason: Reason::Gone }, attempts: 3, ..first() };
    let next = step(&failed, Event::Recovered, START).unwrap();
    assert_eq!(next.effects, [Effect::Enqueue { attempt: 4, at: START }]);
    let canceled = Delivery { state: State::Canceled, ..first() };
    assert_eq!(step(&canceled, Event::Recovered, START), Err(Refusal::Over));
}
