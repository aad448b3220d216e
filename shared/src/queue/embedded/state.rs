//! Which record's turn it is, and who holds what: the part of a queue that is in memory.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::domain::clock::Timestamp;

/// Bytes of a body that weigh as much as a record does without any.
const BYTES_PER_WEIGHT: u64 = 4096;

/// Dates that may be of no use before anybody looks for them.
const SPARE_DATES: usize = 1024;

/// What a queue knows of its records.
pub(super) struct State {
    /// What may be held at once, of all groups together.
    most: u64,
    /// All of them, by id.
    pub(super) entries: HashMap<u64, Entry>,
    /// Records that can be received, by group, and the groups in the order of their turns.
    ready: HashMap<Arc<str>, VecDeque<u64>>,
    turns: VecDeque<Arc<str>>,
    /// What weighs all that is held of each group.
    held: HashMap<Arc<str>, u64>,
    /// Groups that have records ready, and so many in somebody's hands that they get no turn.
    resting: HashSet<Arc<str>>,
    /// When records become visible that are not: delayed ones and received ones. Dates of records
    /// that are gone, or have another date by now, stay for a while.
    later: BinaryHeap<Reverse<(Timestamp, u64)>>,
}

/// A record in the queue.
pub(super) struct Entry {
    pub(super) group: Arc<str>,
    /// `None` while it is only in the file.
    pub(super) body: Option<Arc<str>>,
    /// Bytes of it that count as memory.
    pub(super) body_bytes: u64,
    /// What it weighs against others of its group while it is held.
    pub(super) weight: u64,
    pub(super) receives: u32,
    pub(super) first_received_at: Option<Timestamp>,
    /// Set while it is delayed or held: when it becomes visible.
    pub(super) visible_at: Option<Timestamp>,
    /// The receive that holds it.
    pub(super) receipt: Option<u64>,
}

impl Entry {
    /// A record that nobody has received, with a body of so many bytes, which is only in the file.
    pub(super) fn new(group: Arc<str>, bytes: u64) -> Self {
        Self {
            group,
            body: None,
            body_bytes: 0,
            weight: 1 + bytes / BYTES_PER_WEIGHT,
            receives: 0,
            first_received_at: None,
            visible_at: None,
            receipt: None,
        }
    }
}

impl State {
    /// A queue without records, of which so much may be held at once.
    pub(super) fn new(most: u64) -> Self {
        Self {
            most,
            entries: HashMap::new(),
            ready: HashMap::new(),
            turns: VecDeque::new(),
            held: HashMap::new(),
            resting: HashSet::new(),
            later: BinaryHeap::new(),
        }
    }

    /// Takes a record in, to be received now or from `deliver_at` on.
    pub(super) fn add(&mut self, id: u64, mut entry: Entry, deliver_at: Timestamp, now: Timestamp) {
        if deliver_at > now {
            entry.visible_at = Some(deliver_at);
            self.entries.insert(id, entry);
            self.remember(deliver_at, id);
        } else {
            self.make_ready(entry.group.clone(), id);
            self.entries.insert(id, entry);
        }
    }

    /// Takes note of when a record becomes visible. Once most of the dates are of no use any more
    /// they go: a record that is done seldom lives as long as it may be held.
    fn remember(&mut self, at: Timestamp, id: u64) {
        self.later.push(Reverse((at, id)));
        if self.later.len() > 2 * self.entries.len() + SPARE_DATES {
            let entries = &self.entries;
            let counts =
                |at, id| entries.get(&id).is_some_and(|entry| entry.visible_at == Some(at));
            self.later.retain(|Reverse((at, id))| counts(*at, *id));
            self.later.shrink_to(2 * self.later.len() + SPARE_DATES);
        }
    }

    fn make_ready(&mut self, group: Arc<str>, id: u64) {
        let waiting = self.ready.entry(group.clone()).or_default();
        if waiting.is_empty() {
            self.turns.push_back(group);
        }
        waiting.push_back(id);
    }

    /// What may be held of each group that has something: all have the same part.
    fn share(&self) -> u64 {
        (self.most / (self.held.len() as u64).max(1)).max(1)
    }

    /// The next record whose group's turn it is. A group that holds its part already has no turn
    /// until some of it is done, or others are done with theirs.
    pub(super) fn next_ready(&mut self) -> Option<u64> {
        loop {
            let group = self.turns.pop_front()?;
            let share = self.share();
            if self.held.get(&group).is_some_and(|held| *held >= share) {
                self.resting.insert(group);
                continue;
            }
            let Some(waiting) = self.ready.get_mut(&group) else { continue };
            let id = waiting.pop_front();
            if waiting.is_empty() {
                self.ready.remove(&group);
            } else {
                self.turns.push_back(group);
            }
            return id;
        }
    }

    /// Gives a record to the receive with this number, until `visible_at`.
    pub(super) fn hold(&mut self, id: u64, receipt: u64, visible_at: Timestamp) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.visible_at = Some(visible_at);
        entry.receipt = Some(receipt);
        *self.held.entry(entry.group.clone()).or_default() += entry.weight;
        self.remember(visible_at, id);
    }

    /// Takes the record away from whoever holds it; it can be received again from then on.
    pub(super) fn put_off(&mut self, id: u64, visible_at: Timestamp) {
        self.let_go(id);
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.visible_at = Some(visible_at);
        self.remember(visible_at, id);
    }

    /// Takes the record away from whoever holds it, if anybody does. Whether a group has its turns
    /// again.
    pub(super) fn let_go(&mut self, id: u64) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        if entry.receipt.take().is_none() {
            return false;
        }
        let (group, weight) = (entry.group.clone(), entry.weight);
        let Some(held) = self.held.get_mut(&group) else { return false };
        *held = held.saturating_sub(weight);
        let is_done = *held == 0;
        let (waiting, share) = (self.turns.len(), self.share());
        if is_done {
            self.held.remove(&group);
        }
        if self.resting.remove(&group) {
            self.turns.push_back(group);
        }
        // Where there are thousands of groups the part of each seldom grows by this.
        if self.share() > share {
            self.turns.extend(self.resting.drain());
        }
        self.turns.len() > waiting
    }

    /// Makes ready whatever has become visible.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some(Reverse((at, id))) = self.later.peek().copied() {
            if at > now {
                break;
            }
            self.later.pop();
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            // An older date of a record that was held again or released since.
            if entry.visible_at != Some(at) {
                continue;
            }
            entry.visible_at = None;
            let group = entry.group.clone();
            self.let_go(id);
            self.make_ready(group, id);
        }
    }

    /// How many dates are remembered.
    pub(super) fn dates(&self) -> usize {
        self.later.len()
    }

    /// When the next record becomes visible.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.later.peek().map(|Reverse((at, _))| *at)
    }

    /// The record that this receipt still holds.
    pub(super) fn held_by(&self, receipt: &str) -> Option<u64> {
        let (id, receipt) = receipt.split_once('-')?;
        let (id, receipt) = (id.parse().ok()?, receipt.parse().ok()?);
        (self.entries.get(&id)?.receipt == Some(receipt)).then_some(id)
    }
}
