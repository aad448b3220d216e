//! Which kinds of items there are: the table at the head of `shared/src/store/keys.rs`. Every
//! item that any test stores must be one of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::store::StoreError;
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};

/// What the keys of one kind look like; braces stand for anything.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pk: &'static str,
    sk: &'static str,
}

/// The rows of the table of keys.
pub(crate) fn kinds() -> Vec<Kind> {
    let source = include_str!("../../shared/src/store/keys.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')));
    cells
        .filter_map(|mut cells| {
            let (name, pk, sk) = (cells.next()?, cells.next()?, cells.next()?);
            (name != "item").then_some(Kind { name, pk, sk })
        })
        .collect()
}

/// The kind of the item under this key.
pub(crate) fn kind_of(key: &Key) -> Option<&'static str> {
    let kinds = kinds();
    let like = |kind: &&Kind| looks_like(kind.pk, &key.pk) && looks_like(kind.sk, &key.sk);
    // Attempts by schedule all look like the first.
    let numbered = |sk: &str| sk.rsplit("#").next().is_some_and(|last| last.len() == 4);
    kinds.iter().find(like).map(|kind| match kind.name {
        "attempt by hand" if numbered(&key.sk) => "attempt by schedule",
        name => name,
    })
}

fn looks_like(pattern: &str, text: &str) -> bool {
    let Some((literal, rest)) = pattern.split_once('{') else { return pattern == text };
    let Some(text) = text.strip_prefix(literal) else { return false };
    let (_, rest) = rest.split_once('}').unwrap_or_default();
    (1..=text.len()).any(|end| text.is_char_boundary(end) && looks_like(rest, &text[end..]))
}

/// Everything that was stored, by key: the last form of each item.
pub(crate) type Stored = Arc<Mutex<BTreeMap<Key, Item>>>;

/// A table that remembers what it was given, and refuses items of no known kind.
pub(crate) struct Watched<T> {
    pub(crate) inner: T,
    pub(crate) stored: Stored,
}

impl<T> Watched<T> {
    fn see(&self, write: &Write) {
        let Write::Put(item, _) = write else { return };
        assert!(
            kind_of(&item.key).is_some(),
            "{:?} is in no row of the table in shared/src/store/keys.rs",
            item.key
        );
        self.stored.lock().unwrap().insert(item.key.clone(), item.clone());
    }
}

#[async_trait]
impl<T: Table> Table for Watched<T> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.inner.get(key).await
    }

    async fn glance(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.inner.glance(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.see(&write);
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        writes.iter().for_each(|write| self.see(write));
        self.inner.transact(writes).await
    }
}
