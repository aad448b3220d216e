//! The items of a table and of its indexes, which follow with a delay.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use shared::domain::clock::Timestamp;
use shared::store::table::{Condition, Index, Item, Key, Page, Position, Query, Write};

use super::capacity::index_key;

/// DynamoDB ends a page after this many bytes (docs: Query).
const PAGE_BYTES: usize = 1024 * 1024;

/// What is stored.
#[derive(Default)]
pub(crate) struct Items {
    base: BTreeMap<Key, Stored>,
    by_time: BTreeMap<(Key, Key), Arc<Item>>,
    due: BTreeMap<(Key, Key), Arc<Item>>,
    /// Changes of the indexes that nobody sees yet, by when they will be seen.
    to_come: BTreeMap<(Timestamp, u64), Change>,
    changes: u64,
    /// Keys that a transaction is at work on.
    pub(crate) locked: HashMap<Key, u32>,
}

struct Stored {
    item: Arc<Item>,
    /// When its last change is in the indexes: they see the changes of an item in order.
    indexed_at: Timestamp,
}

enum Change {
    Put(Index, Arc<Item>),
    Remove(Index, Key, Key),
}

impl Items {
    /// One item.
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Item>> {
        self.base.get(key).map(|stored| &stored.item)
    }

    /// Whether a condition holds now.
    pub(crate) fn holds(&self, key: &Key, condition: Condition) -> bool {
        match (condition, self.get(key)) {
            (Condition::Always, _) | (Condition::AbsentAt(_), None) => true,
            (Condition::AbsentAt(now), Some(found)) => {
                found.expires_at.is_some_and(|at| at.as_secs() <= now.as_secs())
            }
            (Condition::Revision(rev), Some(found)) => found.rev == rev,
            (Condition::Revision(_), None) => false,
        }
    }

    /// Makes a change, which the indexes show from `seen_at` on.
    pub(crate) fn apply(&mut self, write: Write, now: Timestamp, seen_at: Timestamp) {
        let key = write.key().clone();
        let old = self.base.remove(&key);
        let indexed_at = old.as_ref().map_or(seen_at, |old| old.indexed_at.max(seen_at));
        let new = match write {
            Write::Put(mut item, _) => {
                // Rounded up: nothing is forgotten before its time.
                item.expires_at =
                    item.expires_at.map(|at| Timestamp(at.as_ms().div_ceil(1000) * 1000));
                Some(Arc::new(item))
            }
            Write::Delete(..) => None,
        };
        for index in [Index::ByTime, Index::Due] {
            let from = old.as_ref().and_then(|old| index_key(&old.item, index));
            let to = new.as_ref().and_then(|new| index_key(new, index));
            if let Some(from) = from
                && Some(from) != to
            {
                self.later(indexed_at, Change::Remove(index, from.clone(), key.clone()));
            }
            if let (Some(_), Some(item)) = (to, &new) {
                self.later(indexed_at, Change::Put(index, item.clone()));
            }
        }
        if let Some(item) = new {
            self.base.insert(key, Stored { item, indexed_at });
        }
        self.catch_up(now);
    }

    /// One page of a range.
    pub(crate) fn query(&mut self, query: &Query, now: Timestamp) -> Page {
        self.catch_up(now);
        if query.from > query.to {
            return Page::default();
        }
        let after = query.after.clone();
        match query.index {
            Index::Base => {
                let (from, to) = bounds(query, after.map(|it| it.key), |place| place);
                let range = self.base.range((from, to)).map(|(_, stored)| &stored.item);
                page(query, range)
            }
            Index::ByTime => page(query, indexed(&self.by_time, query)),
            Index::Due => page(query, indexed(&self.due, query)),
        }
    }

    fn later(&mut self, at: Timestamp, change: Change) {
        self.changes += 1;
        self.to_come.insert((at, self.changes), change);
    }

    /// Lets the indexes see what they can see by now.
    fn catch_up(&mut self, now: Timestamp) {
        while let Some(entry) = self.to_come.first_entry() {
            if entry.key().0 > now {
                return;
            }
            match entry.remove() {
                Change::Put(index, item) => {
                    let Some(place) = index_key(&item, index).cloned() else { continue };
                    let key = (place, item.key.clone());
                    self.index(index).insert(key, item);
                }
                Change::Remove(index, place, key) => {
                    self.index(index).remove(&(place, key));
                }
            }
        }
    }

    fn index(&mut self, index: Index) -> &mut BTreeMap<(Key, Key), Arc<Item>> {
        match index {
            Index::Base | Index::ByTime => &mut self.by_time,
            Index::Due => &mut self.due,
        }
    }
}

/// What sorts before and after every key of an item.
const ENDS: [&str; 2] = ["", "\u{10FFFF}"];

/// The ends of a range: those of the query, or where the page before ended.
fn bounds<K>(query: &Query, after: Option<K>, of: impl Fn(Key) -> K) -> (Bound<K>, Bound<K>) {
    let place = |sk: &String| of(Key { pk: query.pk.clone(), sk: sk.clone() });
    let (from, to) = (Bound::Included(place(&query.from)), Bound::Included(place(&query.to)));
    match (after, query.descending) {
        (None, _) => (from, to),
        (Some(after), false) => (Bound::Excluded(after), to),
        (Some(after), true) => (from, Bound::Excluded(after)),
    }
}

fn indexed<'a>(
    index: &'a BTreeMap<(Key, Key), Arc<Item>>,
    query: &Query,
) -> impl DoubleEndedIterator<Item = &'a Arc<Item>> + use<'a> {
    let end = |of: &str| Key { pk: of.to_owned(), sk: String::new() };
    let after = query.after.clone().map(|after| (after.index_key, after.key));
    let (from, to) = bounds(query, after, |place| (place, end(ENDS[0])));
    // Whatever has the last sort key belongs to the range.
    let to = match to {
        Bound::Included((place, _)) => Bound::Included((place, end(ENDS[1]))),
        other => other,
    };
    index.range((from, to)).map(|(_, item)| item)
}

fn page<'a>(query: &Query, range: impl DoubleEndedIterator<Item = &'a Arc<Item>>) -> Page {
    match query.descending {
        false => collect(query, range),
        true => collect(query, range.rev()),
    }
}

fn collect<'a>(query: &Query, range: impl Iterator<Item = &'a Arc<Item>>) -> Page {
    let mut page = Page::default();
    let mut bytes = 0;
    let mut last = None;
    for item in range {
        if page.items.len() == query.limit.max(1) || bytes >= PAGE_BYTES {
            page.next = last.and_then(|last| position(last, query.index));
            break;
        }
        bytes += item.size();
        page.items.push(strip(item, query.index));
        last = Some(&**item);
    }
    page
}

/// An index has neither the body nor the other index's key.
fn strip(item: &Item, index: Index) -> Item {
    match index {
        Index::Base => item.clone(),
        Index::ByTime => Item { body: None, due: None, ..item.clone() },
        Index::Due => Item { body: None, by_time: None, ..item.clone() },
    }
}

fn position(item: &Item, index: Index) -> Option<Position> {
    let index_key = index_key(item, index)?.clone();
    Some(Position { key: item.key.clone(), index_key })
}
