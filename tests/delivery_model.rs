//! A small world of one message and one endpoint, walked exhaustively: two dispatchers, a sweeper,
//! an admin, a publisher that asks twice, three attempts, an attempt that the store would not take,
//! and a crash between any two steps. The
//! rules are the real ones (`machine::step`, `clearance`); what is modelled is who calls them when.
//!
//! Left out is what shared/README.md leaves out of its promise: see `is_caveat`.
//!
//! In every state that can be reached: no attempt was sent more often than crashes between its
//! request and its record excuse. From every state, if nothing breaks any more: the delivery comes
//! to an end, or waits with a time.

use std::collections::{BTreeSet, HashSet, VecDeque};

use shared::domain::clock::Timestamp;
use shared::domain::delivery::clearance::{self, Arrival, Clearance, Freshness};
use shared::domain::delivery::machine::{Effect, Event, Outcome, step};
use shared::domain::delivery::{Delivery, LEASE_MS, QUEUE_GRACE_MS, Reason};

use crate::support::deliveries::{START, first};

/// Attempts of the schedule.
const ATTEMPTS: u32 = 3;
const RETRY_MS: u64 = 5_000;
const VISIBILITY_MS: u64 = 180_000;
/// A pause longer than a lease: whoever was busy has been cut off by then.
const PAUSE_MS: u64 = 40_000;
/// A pause after which everything that was claimed is due again.
const LONG_PAUSE_MS: u64 = 16 * 60_000;
/// Most states that are walked. More would be found with more patience, and none so far broke a
/// rule that these did not.
const MOST_STATES: usize = 60_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Accepted {
        again: bool,
    },
    Retry {
        number: u32,
    },
    /// An attempt that is only to be written.
    Outcome {
        number: u32,
        ok: bool,
    },
}

/// A record in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Queued {
    kind: Kind,
    visible_at: Timestamp,
    receives: u32,
    first_received_at: Timestamp,
}

/// How far a dispatcher is with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Received,
    Looked { found: Option<(Delivery, u64)>, attempted: bool },
    Leased { held: (Delivery, u64) },
    Ready { held: Option<(Delivery, u64)>, number: u32 },
    Sent { held: Option<(Delivery, u64)>, number: u32, ok: bool },
    FollowUp { effects: Vec<Effect> },
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Busy {
    record: usize,
    phase: Phase,
}

/// Everything.
#[derive(Clone, Debug)]
struct Model {
    now: Timestamp,
    stored: Option<(Delivery, u64)>,
    recorded: BTreeSet<u32>,
    succeeded: bool,
    /// Records by number; those that were deleted are gone.
    records: Vec<Option<Queued>>,
    dispatchers: [Option<Busy>; 2],
    sent: [u32; 4],
    excused: [u32; 4],
    disabled: bool,
    crashes: u32,
    /// Attempts that the store will not take at first.
    refusals: u32,
    acts: u32,
    pauses: u32,
}

impl Model {
    /// A message was accepted; its publisher lost the answer and asked again.
    fn new() -> Self {
        let accepted = |again, delay_ms| {
            Some(Queued {
                kind: Kind::Accepted { again },
                visible_at: START.plus_ms(delay_ms),
                receives: 0,
                first_received_at: START,
            })
        };
        Self {
            now: START,
            stored: None,
            recorded: BTreeSet::new(),
            succeeded: false,
            records: vec![accepted(false, 0), accepted(true, LEASE_MS)],
            dispatchers: [None, None],
            sent: [0; 4],
            excused: [0; 4],
            disabled: false,
            crashes: 1,
            refusals: 1,
            acts: 1,
            pauses: 4,
        }
    }

    /// Every state that may follow.
    fn next(&self) -> Vec<Self> {
        let mut next = Vec::new();
        for who in 0..2 {
            match &self.dispatchers[who] {
                None => self.receive(who, &mut next),
                Some(busy) => {
                    self.work(who, busy, &mut next);
                    if self.crashes > 0 {
                        next.push(self.crash(who));
                    }
                }
            }
        }
        self.sweep(&mut next);
        self.act(&mut next);
        self.pause(&mut next);
        next
    }

    fn receive(&self, who: usize, next: &mut Vec<Self>) {
        for (record, queued) in self.records.iter().enumerate() {
            let Some(queued) = queued else { continue };
            if queued.visible_at > self.now || self.is_caveat(record) {
                continue;
            }
            let mut model = self.clone();
            let first_received_at =
                if queued.receives == 0 { self.now } else { queued.first_received_at };
            model.records[record] = Some(Queued {
                receives: queued.receives + 1,
                visible_at: self.now.plus_ms(VISIBILITY_MS),
                first_received_at,
                ..queued.clone()
            });
            model.dispatchers[who] = Some(Busy { record, phase: Phase::Received });
            next.push(model);
            // Which of several records comes first makes little difference; who else is busy does.
            return;
        }
    }

    /// The one case that is not guaranteed: a queue so far behind that the copy which a publisher
    /// caused by asking again is received together with the first one.
    fn is_caveat(&self, record: usize) -> bool {
        let copy = matches!(
            &self.records[record],
            Some(Queued { kind: Kind::Accepted { again: true }, .. })
        );
        let together = |first: &Queued| {
            first.receives == 0 || self.now.since(first.first_received_at) < LEASE_MS
        };
        copy && self.records[0].as_ref().is_some_and(together)
    }

    fn work(&self, who: usize, busy: &Busy, next: &mut Vec<Self>) {
        let Some(record) = &self.records[busy.record] else { return };
        let to = |phase| {
            let mut model = self.clone();
            model.dispatchers[who] = Some(Busy { record: busy.record, phase });
            model
        };
        match &busy.phase {
            Phase::Received => next.push(to(self.received(record))),
            Phase::Looked { found, attempted } => {
                next.push(self.cleared(who, busy, record, found.as_ref(), *attempted));
            }
            Phase::Leased { held } => next.push(self.settled(who, busy, held)),
            Phase::Ready { held, number } => {
                for ok in [true, false] {
                    let mut model = to(Phase::Sent { held: held.clone(), number: *number, ok });
                    model.sent[*number as usize] += 1;
                    next.push(model);
                }
            }
            Phase::Sent { held, number, ok } => {
                next.push(self.record(who, busy, held.as_ref(), *number, *ok));
                if self.refusals > 0 {
                    next.push(self.leave_unwritten(who, busy, *number, *ok));
                }
            }
            Phase::FollowUp { effects } => {
                let mut model = to(Phase::Done);
                model.enqueue(effects);
                next.push(model);
            }
            Phase::Done => {
                let mut model = self.clone();
                model.records[busy.record] = None;
                model.dispatchers[who] = None;
                next.push(model);
            }
        }
    }

    fn arrival(&self, record: &Queued, again: bool) -> Arrival {
        Arrival {
            receive_count: record.receives,
            first_received_at: record.first_received_at,
            visibility_ms: VISIBILITY_MS,
            again,
            released_at: START,
            cut_since: None,
        }
    }

    fn received(&self, record: &Queued) -> Phase {
        let unseen = Phase::Looked { found: None, attempted: false };
        match record.kind {
            Kind::Accepted { again } => {
                if self.disabled {
                    return Phase::Done;
                }
                match self.arrival(record, again).freshness(self.now) {
                    Freshness::First => unseen,
                    Freshness::Late | Freshness::Repeated => Phase::Looked {
                        found: self.stored.clone(),
                        attempted: !self.recorded.is_empty(),
                    },
                }
            }
            Kind::Retry { .. } => Phase::Looked { found: self.stored.clone(), attempted: false },
            // Whatever stands there, or nothing.
            Kind::Outcome { number, ok } => Phase::Sent { held: self.stored.clone(), number, ok },
        }
    }

    fn cleared(
        &self,
        who: usize,
        busy: &Busy,
        record: &Queued,
        found: Option<&(Delivery, u64)>,
        attempted: bool,
    ) -> Self {
        let mut model = self.clone();
        let delivery = found.map(|(delivery, _)| delivery);
        let (clearance, again) = match record.kind {
            Kind::Accepted { again } => {
                let freshness = self.arrival(record, again).freshness(self.now);
                (clearance::first(freshness, delivery, attempted, self.now), true)
            }
            Kind::Retry { number } => {
                (clearance::later(delivery, number, record.receives, self.now), false)
            }
            Kind::Outcome { .. } => unreachable!("nothing is sent for it"),
        };
        let phase = match clearance {
            Clearance::Send => Phase::Ready { held: None, number: 1 },
            Clearance::LeaseNew => model.lease_new(),
            Clearance::Lease => match found {
                Some(found) if self.disabled && !again => {
                    model.save(found, Event::Barred(Reason::EndpointDisabled));
                    Phase::Done
                }
                Some(found) => model.lease(found),
                None => Phase::Done,
            },
            Clearance::Done => Phase::Done,
            Clearance::FollowUp | Clearance::Wait { .. } => {
                let until = match clearance {
                    Clearance::Wait { until } => Some(until),
                    _ => delivery.and_then(Delivery::next_at),
                };
                let attempt = delivery.map_or(1, |delivery| delivery.attempts + 1);
                let at = until.unwrap_or(self.now);
                Phase::FollowUp { effects: vec![Effect::Enqueue { attempt, at }] }
            }
        };
        model.dispatchers[who] = Some(Busy { record: busy.record, phase });
        model
    }

    fn lease_new(&mut self) -> Phase {
        let until = self.now.plus_ms(LEASE_MS);
        if self.stored.is_some() {
            return Phase::FollowUp { effects: vec![Effect::Enqueue { attempt: 1, at: until }] };
        }
        let leased = step(&first(), Event::Leased { until }, self.now).unwrap().delivery;
        self.stored = Some((leased.clone(), 1));
        Phase::Leased { held: (leased, 1) }
    }

    fn lease(&mut self, found: &(Delivery, u64)) -> Phase {
        let until = self.now.plus_ms(LEASE_MS);
        match self.save(found, Event::Leased { until }) {
            Some(held) => Phase::Leased { held },
            None => {
                let attempt = found.0.attempts + 1;
                Phase::FollowUp { effects: vec![Effect::Enqueue { attempt, at: until }] }
            }
        }
    }

    /// What an event makes of the delivery, if it is still as it was found.
    fn save(&mut self, found: &(Delivery, u64), event: Event) -> Option<(Delivery, u64)> {
        if self.stored.as_ref().map(|(_, rev)| *rev) != Some(found.1) {
            return None;
        }
        let next = step(&found.0, event, self.now).ok()?;
        self.stored = Some((next.delivery, found.1 + 1));
        self.stored.clone()
    }

    /// Whoever leased attempt 1 looks whether it is on record after all.
    fn settled(&self, who: usize, busy: &Busy, held: &(Delivery, u64)) -> Self {
        let mut model = self.clone();
        let phase = match held.0.attempts == 0 && self.recorded.contains(&1) {
            false => Phase::Ready { held: Some(held.clone()), number: held.0.attempts + 1 },
            true => {
                let outcome = self.outcome(1, self.succeeded);
                let settled = step(&held.0, Event::Outcome { number: 1, outcome }, self.now);
                let effects = settled.map(|next| next.effects).unwrap_or_default();
                model.save(
                    held,
                    Event::Outcome { number: 1, outcome: self.outcome(1, self.succeeded) },
                );
                Phase::FollowUp { effects }
            }
        };
        model.dispatchers[who] = Some(Busy { record: busy.record, phase });
        model
    }

    fn outcome(&self, number: u32, ok: bool) -> Outcome {
        match ok {
            true => Outcome::Delivered,
            false if number < ATTEMPTS => Outcome::Retry { at: self.now.plus_ms(RETRY_MS) },
            false => Outcome::Failed(Reason::Exhausted),
        }
    }

    /// The attempt and what follows from it, in one transaction.
    fn record(
        &self,
        who: usize,
        busy: &Busy,
        held: Option<&(Delivery, u64)>,
        number: u32,
        ok: bool,
    ) -> Self {
        let mut model = self.clone();
        let mut effects = Vec::new();
        if model.recorded.insert(number) {
            model.succeeded |= ok;
            let outcome = self.outcome(number, ok);
            // A success without a lease leaves no delivery.
            if held.is_some() || !ok {
                let base = model.stored.clone().unwrap_or_else(|| (first(), 0));
                if let Ok(next) = step(&base.0, Event::Outcome { number, outcome }, self.now) {
                    model.stored = Some((next.delivery, base.1 + 1));
                    effects = next.effects;
                }
            }
        }
        let phase = Phase::FollowUp { effects };
        model.dispatchers[who] = Some(Busy { record: busy.record, phase });
        model
    }

    /// The store would not take the attempt: it is left in the queue, and others are kept from
    /// making it again.
    fn leave_unwritten(&self, who: usize, busy: &Busy, number: u32, ok: bool) -> Self {
        let mut model = self.clone();
        model.refusals -= 1;
        model.records.push(Some(Queued {
            kind: Kind::Outcome { number, ok },
            visible_at: self.now.plus_ms(RETRY_MS),
            receives: 0,
            first_received_at: self.now,
        }));
        let until = self.now.plus_ms(QUEUE_GRACE_MS);
        let (found, rev) = self.stored.clone().unwrap_or_else(|| (first(), 0));
        if let Ok(kept) = step(&found, Event::Unwritten { number, until }, self.now) {
            model.stored = Some((kept.delivery, rev + 1));
        }
        model.dispatchers[who] = Some(Busy { record: busy.record, phase: Phase::Done });
        model
    }

    fn enqueue(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Enqueue { attempt, at } = *effect {
                self.records.push(Some(Queued {
                    kind: Kind::Retry { number: attempt },
                    visible_at: at.max(self.now),
                    receives: 0,
                    first_received_at: at,
                }));
            }
        }
    }

    /// The process dies; what it held comes again with time.
    fn crash(&self, who: usize) -> Self {
        let mut model = self.clone();
        model.crashes -= 1;
        model.cut_off(who);
        model
    }

    fn cut_off(&mut self, who: usize) {
        let busy = self.dispatchers[who].take();
        let Some(Busy { record, phase: Phase::Sent { number, .. } }) = busy else { return };
        let kept = matches!(&self.records[record], Some(Queued { kind: Kind::Outcome { .. }, .. }));
        if !kept {
            self.excused[number as usize] += 1;
        }
    }

    fn sweep(&self, next: &mut Vec<Self>) {
        let Some(found) = &self.stored else { return };
        if found.0.pending().is_none_or(|pending| pending.due_at > self.now) {
            return;
        }
        let mut model = self.clone();
        let Ok(claimed) = step(&found.0, Event::Claimed, self.now) else { return };
        model.save(found, Event::Claimed);
        if self.crashes > 0 {
            // It dies before it sends.
            let mut model = model.clone();
            model.crashes -= 1;
            next.push(model);
        }
        model.enqueue(&claimed.effects);
        next.push(model);
    }

    fn act(&self, next: &mut Vec<Self>) {
        if self.acts == 0 {
            return;
        }
        let mut after = self.clone();
        after.acts -= 1;
        if let Some(found) = &self.stored {
            for event in [Event::Canceled, Event::SentByHand] {
                let mut model = after.clone();
                if model.save(found, event).is_some() {
                    next.push(model);
                }
            }
            if let Ok(recovered) = step(&found.0, Event::Recovered, self.now) {
                let mut model = after.clone();
                model.save(found, Event::Recovered);
                model.enqueue(&recovered.effects);
                next.push(model);
            }
        } else if self.recorded.is_empty() {
            // A replay, as on Lambda: what may be under way without a lease is over when its
            // attempt comes.
            let mut model = after.clone();
            let at = START.plus_ms(2 * LEASE_MS).max(self.now.plus_ms(LEASE_MS));
            let event = Event::PutOff { at, counted: false };
            let opened = step(&first(), event, self.now).unwrap();
            model.stored = Some((opened.delivery, 1));
            model.enqueue(&opened.effects);
            next.push(model);
        }
        let mut model = after;
        model.disabled = true;
        next.push(model);
    }

    /// Time passes. Whoever is busy by then was cut off, as every invocation is.
    fn pause(&self, next: &mut Vec<Self>) {
        if self.pauses == 0 {
            return;
        }
        let busy = self.dispatchers.iter().flatten().count();
        if busy > self.crashes as usize {
            return;
        }
        let pauses = [PAUSE_MS, self.long_pause_ms()];
        for pause_ms in pauses {
            let mut model = self.clone();
            model.pauses -= 1;
            model.crashes -= busy as u32;
            model.cut_off(0);
            model.cut_off(1);
            model.now = model.now.plus_ms(pause_ms);
            next.push(model);
        }
    }

    /// What is only to be written is not kept waiting for longer than others are kept away.
    fn long_pause_ms(&self) -> u64 {
        let is_outcome = |record: &Queued| matches!(record.kind, Kind::Outcome { .. });
        match self.records.iter().flatten().any(is_outcome) {
            true => PAUSE_MS,
            false => LONG_PAUSE_MS,
        }
    }

    fn check(&self) {
        for number in 1..=ATTEMPTS as usize {
            assert!(
                self.sent[number] <= 1 + self.excused[number],
                "attempt {number} was sent {} times: {self:#?}",
                self.sent[number]
            );
        }
        let Some((delivery, _)) = &self.stored else { return };
        if delivery.is_failed() {
            assert!(delivery.reason().is_some());
        }
    }

    /// Nothing breaks any more, and nobody interferes: how it ends.
    fn end(mut self) -> Self {
        self.crashes = 0;
        self.acts = 0;
        self.refusals = 0;
        for _ in 0..200 {
            self.pauses = 0;
            let mut next = Vec::new();
            for who in 0..2 {
                match self.dispatchers[who].clone() {
                    None => self.receive(who, &mut next),
                    Some(busy) => self.work(who, &busy, &mut next),
                }
            }
            if next.is_empty() {
                self.sweep(&mut next);
            }
            match next.pop() {
                Some(model) => self = model,
                None if self.is_over() => return self,
                None => self.now = self.now.plus_ms(self.long_pause_ms()),
            }
            self.check();
        }
        self
    }

    fn is_over(&self) -> bool {
        let ended = match &self.stored {
            Some((delivery, _)) => !delivery.is_pending(),
            None => self.succeeded || self.disabled,
        };
        ended && self.records.iter().all(Option::is_none)
    }

    /// What tells states apart.
    fn key(&self) -> String {
        let live: Vec<_> = self.records.iter().flatten().collect();
        format!(
            "{:?}{:?}{:?}{:?}{live:?}{:?}{:?}{:?}{}{}{}{}{}",
            self.now.as_ms(),
            self.stored,
            self.recorded,
            self.succeeded,
            self.dispatchers,
            self.sent,
            self.excused,
            self.disabled,
            self.crashes,
            self.refusals,
            self.acts,
            self.pauses
        )
    }
}

#[test]
fn two_dispatchers_a_sweeper_and_an_admin_send_each_attempt_once_whoever_dies() {
    let mut seen = HashSet::new();
    let mut waiting = VecDeque::from([Model::new()]);
    let (mut walked, mut twice, mut unwritten, mut ends) = (0, 0, 0, BTreeSet::new());
    while let Some(model) = waiting.pop_front() {
        model.check();
        walked += 1;
        twice += usize::from(model.sent.iter().any(|sent| *sent > 1));
        unwritten += usize::from(model.refusals == 0);
        if walked % 16 == 0 {
            let ended = model.clone().end();
            assert!(ended.is_over(), "it never ends: {ended:#?} from {model:#?}");
            let state = ended.stored.map(|(delivery, _)| format!("{:?}", delivery.state));
            ends.insert(state.unwrap_or_else(|| "no delivery".to_owned()));
        }
        if seen.len() >= MOST_STATES {
            continue;
        }
        for next in model.next() {
            if seen.insert(next.key()) {
                waiting.push_back(next);
            }
        }
    }
    // The walk is worth nothing if it does not get to where things go wrong.
    assert!(walked > 10_000, "only {walked} states");
    assert!(twice > 30, "only {twice} states in which a crash made an attempt come twice");
    assert!(unwritten > 1_000, "only {unwritten} states with an attempt that was not taken");
    assert!(ends.len() >= 4, "only these ends: {ends:?}");
}
