//! Whose record is next: first come, first served, but for groups that take more than their share.
//!
//! A fair queue puts a noisy tenant behind the others, and says when it takes one for noisy and
//! when no longer (docs: SQS fair queues, "noisy neighbour").

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Share of what is in flight above which a group is noisy.
const NOISY_SHARE: f64 = 0.1;
/// Records in flight below which no group is.
const NOISY_FROM: u64 = 30;

/// Records that can be received, in the order of their turns.
#[derive(Default)]
pub(crate) struct Groups {
    groups: HashMap<Arc<str>, Group>,
    /// Groups with something to receive, by the oldest of it: quiet ones and noisy ones.
    turns: [BTreeSet<(u64, Arc<str>)>; 2],
    ready: usize,
    in_flight: u64,
    arrivals: u64,
}

#[derive(Default)]
struct Group {
    waiting: VecDeque<(u64, u64)>,
    in_flight: u64,
    noisy: bool,
}

impl Groups {
    /// A record can be received.
    pub(crate) fn push(&mut self, group: &Arc<str>, id: u64) {
        self.arrivals += 1;
        self.ready += 1;
        let arrival = self.arrivals;
        self.change(group, |group| group.waiting.push_back((arrival, id)));
    }

    /// The record whose turn it is. It is in flight then.
    pub(crate) fn pop(&mut self) -> Option<u64> {
        let (_, group) = self.turns.iter().find_map(|turns| turns.first())?.clone();
        self.in_flight += 1;
        self.ready -= 1;
        let mut next = None;
        self.change(&group, |group| {
            next = group.waiting.pop_front();
            group.in_flight += 1;
        });
        next.map(|(_, id)| id)
    }

    /// A record is in flight no longer.
    pub(crate) fn landed(&mut self, group: &Arc<str>) {
        self.in_flight -= 1;
        self.change(group, |group| group.in_flight -= 1);
    }

    /// How many can be received.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    /// How many are in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    fn change(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Group)) {
        let group = self.groups.entry(name.clone()).or_default();
        if let Some((arrival, _)) = group.waiting.front() {
            self.turns[usize::from(group.noisy)].remove(&(*arrival, name.clone()));
        }
        change(group);
        let share = group.in_flight as f64 / self.in_flight.max(1) as f64;
        if group.in_flight >= NOISY_FROM && share > NOISY_SHARE {
            group.noisy = true;
        } else if group.waiting.is_empty() {
            group.noisy = false;
        }
        match group.waiting.front() {
            Some((arrival, _)) => {
                self.turns[usize::from(group.noisy)].insert((*arrival, name.clone()));
            }
            None if group.in_flight == 0 => {
                self.groups.remove(name);
            }
            None => {}
        }
    }
}
