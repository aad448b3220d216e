//! Walking a list: a page is filled by a bounded number of reads, whatever is left out of it.
//!
//! When a bound is reached first the page is short, and its iterator tells where to go on.

use super::StoreError;
use super::table::{Item, Query, Table};
use crate::domain::clock::Timestamp;

/// Most reads that one page may take.
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

/// Fills a page from what `query` finds. `name` is an item's id in this list, `read` says what of
/// it is shown, if anything.
pub(super) async fn fill<T>(
    table: &dyn Table,
    mut query: Query,
    walk: &Walk,
    bounds: &Bounds,
    name: impl Fn(&Item) -> Option<String>,
    read: impl Fn(&Item) -> Result<Option<T>, StoreError>,
) -> Result<Listed<T>, StoreError> {
    let mut found: Vec<(String, T)> = Vec::new();
    let (mut furthest, mut exhausted, mut bytes, mut reads) = (None, false, 0, 0);
    'reads: while reads < MAX_READS || bounds.hides && found.is_empty() {
        reads += 1;
        let page = table.query(&query).await?;
        for item in &page.items {
            let Some(id) = name(item) else { continue };
            // The bounds of a range are included; the iterator itself was on another page.
            if walk.iterator.as_ref() == Some(&id) {
                continue;
            }
            if found.len() == walk.limit || bytes >= bounds.bytes {
                break 'reads;
            }
            let shown = read(item)?;
            if shown.is_some() || !bounds.hides {
                furthest = Some(id.clone());
            }
            if let Some(value) = shown {
                bytes += item.doc.len();
                found.push((id, value));
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => {
                exhausted = true;
                break;
            }
        }
    }
    Ok(listed(walk, found, furthest, exhausted))
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
