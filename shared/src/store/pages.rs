//! Walking a list: a page is filled by a bounded number of reads, whatever is left out of it.
//!
//! When a bound is reached first the page is short, and its iterator tells where to go on.

use std::collections::VecDeque;

use futures_util::future::try_join_all;

use super::StoreError;
use super::table::{Item, Query, Table};
use crate::domain::clock::Timestamp;

/// Most reads that one page may take, of each place that the list is spread over.
pub(super) const MAX_READS: usize = 10;

/// How to walk a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Most items on the page, at least 1.
    pub limit: usize,
    /// Newest first.
    pub descending: bool,
    /// The iterator of another page: the id that this one begins after.
    pub iterator: Option<String>,
    /// Walk back from the iterator instead of on.
    pub backward: bool,
    /// Nothing from before this moment.
    pub after: Option<Timestamp>,
    /// Nothing from this moment on.
    pub before: Option<Timestamp>,
}

impl Walk {
    /// Oldest first, from the beginning or from where another page ended, whatever its time.
    pub fn onward(limit: usize, iterator: Option<String>) -> Self {
        Self { limit, descending: false, iterator, backward: false, after: None, before: None }
    }

    /// Whether the walk meets the largest sort key first.
    pub(super) fn goes_down(&self) -> bool {
        self.descending != self.backward
    }

    /// How many items a read asks for: one more than wanted tells whether there is more, another
    /// one makes up for the iterator.
    pub(super) fn read_limit(&self) -> usize {
        self.limit + 2
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// What fits, in order.
    pub items: Vec<T>,
    /// The id that the next page begins after; none for the beginning of the list.
    pub iterator: Option<String>,
    /// The id that the page before ends before; none for a page without anything.
    pub prev: Option<String>,
    /// Nothing comes after this page, on the way that the walk goes.
    pub done: bool,
}

impl<T> Listed<T> {
    /// The same page with other items, made of these.
    pub fn map<U>(self, items: impl Fn(T) -> Vec<U>) -> Listed<U> {
        let Self { items: old, iterator, prev, done } = self;
        Listed { items: old.into_iter().flat_map(items).collect(), iterator, prev, done }
    }
}

/// What may end a page before it is full.
pub(super) struct Bounds {
    /// So many bytes of documents.
    pub(super) bytes: usize,
    /// What is left out is nobody's business: iterators name only what is on the page, so at
    /// least one has to be.
    pub(super) hides: bool,
}

/// Fills a page from what `queries` find, which list the same kind of thing in the same order.
/// `name` is an item's id in this list, `read` says what of it is shown, if anything.
pub(super) async fn fill<T>(
    table: &dyn Table,
    queries: Vec<Query>,
    walk: &Walk,
    bounds: &Bounds,
    name: impl Fn(&Item) -> Option<String>,
    read: impl Fn(&Item) -> Result<Option<T>, StoreError>,
) -> Result<Listed<T>, StoreError> {
    let mut found: Vec<(String, T)> = Vec::new();
    let (mut furthest, mut bytes, mut reads) = (None, 0, 0);
    // Whether a full page is the last is worth one read.
    let mut looked_beyond = false;
    let many = queries.len();
    let mut lanes: Vec<Lane> = queries.into_iter().map(|query| Lane::new(query, many)).collect();
    let exhausted = loop {
        let is_full = found.len() == walk.limit || bytes >= bounds.bytes;
        if lanes.iter().any(Lane::is_to_be_read) {
            let is_enough = reads >= MAX_READS && !(bounds.hides && found.is_empty());
            if is_enough || looked_beyond {
                break false;
            }
            looked_beyond = is_full;
            reads += 1;
            read_all(table, &mut lanes, &name).await?;
            continue;
        }
        let Some((id, item)) = next(&mut lanes, walk.goes_down()) else { break true };
        // The bounds of a range are included; the iterator itself was on another page.
        if walk.iterator.as_ref() == Some(&id) {
            continue;
        }
        let shown = read(&item)?;
        // A full page is the last if nothing is shown of what comes behind it.
        if is_full {
            if shown.is_some() {
                break false;
            }
            continue;
        }
        if shown.is_some() || !bounds.hides {
            furthest = Some(id.clone());
        }
        if let Some(value) = shown {
            bytes += item.doc.len();
            found.push((id, value));
        }
    };
    Ok(listed(walk, found, furthest, exhausted))
}

/// One of several places that a list is spread over, read in order.
struct Lane {
    query: Query,
    /// How many items a read asks for when the first one was not enough.
    further: usize,
    /// What was read and not looked at yet.
    ahead: VecDeque<(String, Item)>,
    /// There is nothing more to read.
    read_out: bool,
}

impl Lane {
    /// One of so many. The first read asks for twice its share of the page, which is seldom
    /// exceeded: places are chosen by hash.
    fn new(mut query: Query, lanes: usize) -> Self {
        let further = query.limit;
        query.limit = further.min(2 * further.div_ceil(lanes) + 2);
        Self { query, further, ahead: VecDeque::new(), read_out: false }
    }

    /// Whether it is not known what comes next in it.
    fn is_to_be_read(&self) -> bool {
        self.ahead.is_empty() && !self.read_out
    }
}

/// Reads the next page of each lane of which it is not known what comes next, side by side.
async fn read_all(
    table: &dyn Table,
    lanes: &mut [Lane],
    name: impl Fn(&Item) -> Option<String>,
) -> Result<(), StoreError> {
    let reads = lanes.iter_mut().filter(|lane| lane.is_to_be_read()).map(async |lane| {
        let page = table.query(&lane.query).await?;
        lane.query.limit = lane.further;
        let named = page.items.into_iter().filter_map(|item| Some((name(&item)?, item)));
        lane.ahead.extend(named);
        match page.next {
            Some(next) => lane.query.after = Some(next),
            None => lane.read_out = true,
        }
        Ok(())
    });
    try_join_all(reads).await.map(|_: Vec<()>| ())
}

/// What comes next of all that is ahead.
fn next(lanes: &mut [Lane], descending: bool) -> Option<(String, Item)> {
    let ahead = lanes.iter_mut().filter(|lane| !lane.ahead.is_empty());
    let lane = ahead.reduce(|first, other| {
        let is_later =
            other.ahead.front().map(|(id, _)| id) > first.ahead.front().map(|(id, _)| id);
        if is_later == descending { other } else { first }
    });
    lane?.ahead.pop_front()
}

fn listed<T>(
    walk: &Walk,
    mut found: Vec<(String, T)>,
    furthest: Option<String>,
    exhausted: bool,
) -> Listed<T> {
    let (iterator, prev) = if walk.backward {
        found.reverse();
        // What was examined and is not on the page is of no interest to a walk on either.
        let iterator = found.last().map(|(id, _)| id.clone()).or_else(|| furthest.clone());
        let first = found.first().map(|(id, _)| id.clone());
        // What was left out beyond the first is gone past once: it is not looked at again.
        (iterator, if exhausted { first } else { furthest.or(first) })
    } else {
        let prev = found.first().map(|(id, _)| id.clone()).or_else(|| furthest.clone());
        (furthest.or_else(|| walk.iterator.clone()), prev)
    };
    let items = found.into_iter().map(|(_, value)| value).collect();
    Listed { items, iterator, prev, done: exhausted }
}
