//! The table on one machine: rows of a SQLite file.
//!
//! The same promises as DynamoDB's, and one more: an index shows a write as soon as it
//! returned.

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;
use super::table::{
    Condition, Index, Item, Key, Page, Position, Query, Table, Transacted, Write, Written,
    check_transaction,
};
use crate::domain::clock::Timestamp;
use crate::embedded::{Engine, EngineError};

/// A [`Table`] in a SQLite file. Clones are the same table.
#[derive(Clone)]
pub struct EmbeddedTable {
    engine: Engine,
}

/// Most expired items that go in one step. Other writes get in between two steps.
const EXPIRED_AT_ONCE: usize = 1_000;

impl EmbeddedTable {
    /// The table of this file.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Deletes all items whose time is over, in steps; how many there were. What DynamoDB's time
    /// to live does by itself. When there is nothing to do nothing is written.
    ///
    /// A step is one write among others, and larger than what they add in the same transaction:
    /// so the items that are left become fewer however many come.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn remove_all_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        let now_s = whole_seconds(now);
        let any = self.engine.read(|connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM items WHERE expires_at <= ?1)")?
                .query_row([now_s], |row| row.get(0))
        })?;
        let mut removed = 0;
        let mut more = any;
        while more {
            let step = self.remove_expired(now, EXPIRED_AT_ONCE).await?;
            removed += step;
            more = step == EXPIRED_AT_ONCE;
        }
        Ok(removed)
    }

    /// Deletes up to `limit` items whose time is over, the oldest first; how many there were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn remove_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let now_s = whole_seconds(now);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let removed = self
            .engine
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "DELETE FROM items WHERE rowid IN (SELECT rowid FROM items \
                         WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
                    )?
                    .execute(params![now_s, limit])
            })
            .await?;
        Ok(removed)
    }
}

#[async_trait]
impl Table for EmbeddedTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.engine.read(|connection| find(connection, key))?)
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        Ok(self.engine.read(|connection| walk(connection, query))?)
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        write.check_size()?;
        let bytes = write.size();
        Ok(self.engine.write_bytes(bytes, move |connection| make(connection, &write)).await?)
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        check_transaction(&writes)?;
        let bytes = writes.iter().map(Write::size).sum();
        let transacted = self
            .engine
            .write_bytes(bytes, move |connection| {
                let mut lost = Vec::new();
                for (position, write) in writes.iter().enumerate() {
                    if !holds(connection, write.key(), write.condition())? {
                        lost.push(position);
                    }
                }
                if !lost.is_empty() {
                    return Ok(Transacted::Lost(lost));
                }
                for write in &writes {
                    apply(connection, write)?;
                }
                Ok(Transacted::Done)
            })
            .await;
        Ok(transacted?)
    }
}

const COLUMNS: &str = "pk, sk, tpk, tsk, dpk, dsk, expires_at, rev, doc";

/// Makes this change within a transaction.
pub(crate) fn make(connection: &Connection, write: &Write) -> rusqlite::Result<Written> {
    if apply(connection, write)? {
        return Ok(Written::Done);
    }
    Ok(Written::Lost(find(connection, write.key())?.map(Box::new)))
}

/// Makes the change if its condition holds; whether it did.
fn apply(connection: &Connection, write: &Write) -> rusqlite::Result<bool> {
    match write {
        // What almost every write is: one statement when nothing is in the way.
        Write::Put(item, Condition::AbsentAt(_)) if insert(connection, item)? => Ok(true),
        Write::Put(item, condition) => {
            let held = holds(connection, &item.key, *condition)?;
            if held {
                replace(connection, item)?;
            }
            Ok(held)
        }
        Write::Delete(key, condition) => {
            let held = holds(connection, key, *condition)?;
            if held {
                connection
                    .prepare_cached("DELETE FROM items WHERE pk = ?1 AND sk = ?2")?
                    .execute(params![key.pk, key.sk])?;
            }
            Ok(held)
        }
    }
}

fn holds(connection: &Connection, key: &Key, condition: Condition) -> rusqlite::Result<bool> {
    if condition == Condition::Always {
        return Ok(true);
    }
    let found: Option<(u64, Option<i64>)> = connection
        .prepare_cached("SELECT rev, expires_at FROM items WHERE pk = ?1 AND sk = ?2")?
        .query_row(params![key.pk, key.sk], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match (condition, found) {
        (Condition::Always, _) | (Condition::AbsentAt(_), None) => true,
        (Condition::AbsentAt(now), Some((_, expires_at))) => {
            expires_at.is_some_and(|at| at <= whole_seconds(now))
        }
        (Condition::Revision(expected), Some((rev, _))) => rev == expected,
        (Condition::Revision(_), None) => false,
    })
}

fn insert(connection: &Connection, item: &Item) -> rusqlite::Result<bool> {
    store(
        connection,
        item,
        "INSERT INTO items (pk, sk, tpk, tsk, dpk, dsk, expires_at, rev, doc, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
    )
    .map(|changed| changed == 1)
}

fn replace(connection: &Connection, item: &Item) -> rusqlite::Result<()> {
    store(
        connection,
        item,
        "INSERT INTO items (pk, sk, tpk, tsk, dpk, dsk, expires_at, rev, doc, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (pk, sk) DO UPDATE SET tpk = excluded.tpk, tsk = excluded.tsk, \
         dpk = excluded.dpk, dsk = excluded.dsk, expires_at = excluded.expires_at, \
         rev = excluded.rev, doc = excluded.doc, body = excluded.body",
    )
    .map(|_| ())
}

fn store(connection: &Connection, item: &Item, sql: &str) -> rusqlite::Result<usize> {
    let part = |key: &Option<Key>| key.clone().map(|key| (key.pk, key.sk)).unzip();
    let (tpk, tsk): (Option<String>, Option<String>) = part(&item.by_time);
    let (dpk, dsk): (Option<String>, Option<String>) = part(&item.due);
    connection.prepare_cached(sql)?.execute(params![
        item.key.pk,
        item.key.sk,
        tpk,
        tsk,
        dpk,
        dsk,
        item.expires_at.map(seconds),
        item.rev,
        item.doc,
        item.body.as_deref(),
    ])
}

fn find(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Item>> {
    connection
        .prepare_cached(
            "SELECT pk, sk, tpk, tsk, dpk, dsk, expires_at, rev, doc, body FROM items \
             WHERE pk = ?1 AND sk = ?2",
        )?
        .query_row(params![key.pk, key.sk], |row| {
            let body: Option<Vec<u8>> = row.get(9)?;
            Ok(Item { body: body.map(Bytes::from), ..read(row)? })
        })
        .optional()
}

fn walk(connection: &Connection, query: &Query) -> rusqlite::Result<Page> {
    let (partition, sort, body) = match query.index {
        Index::Base => ("pk", "sk", ", body"),
        Index::ByTime => ("tpk", "tsk", ""),
        Index::Due => ("dpk", "dsk", ""),
    };
    let (beyond, direction) = if query.descending { ("<", "DESC") } else { (">", "ASC") };
    let after = if query.after.is_some() {
        format!(" AND ({sort}, pk, sk) {beyond} (?5, ?6, ?7)")
    } else {
        String::new()
    };
    let sql = format!(
        "SELECT {COLUMNS}{body} FROM items \
         WHERE {partition} = ?1 AND {sort} BETWEEN ?2 AND ?3{after} \
         ORDER BY {sort} {direction}, pk {direction}, sk {direction} LIMIT ?4"
    );
    // One more than asked for tells whether there is more.
    let limit = i64::try_from(query.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let map = |row: &Row<'_>| {
        let mut item = read(row)?;
        match query.index {
            Index::Base => {
                let body: Option<Vec<u8>> = row.get(9)?;
                item.body = body.map(Bytes::from);
            }
            Index::ByTime => item.due = None,
            Index::Due => item.by_time = None,
        }
        Ok(item)
    };
    let mut items = match &query.after {
        None => statement
            .query_map(params![query.pk, query.from, query.to, limit], map)?
            .collect::<rusqlite::Result<Vec<Item>>>()?,
        Some(Position { key, index_key }) => statement
            .query_map(
                params![query.pk, query.from, query.to, limit, index_key.sk, key.pk, key.sk],
                map,
            )?
            .collect::<rusqlite::Result<Vec<Item>>>()?,
    };
    let more = items.len() > query.limit;
    items.truncate(query.limit);
    let next = if more { items.last().and_then(|item| position(item, query.index)) } else { None };
    Ok(Page { items, next })
}

fn position(item: &Item, index: Index) -> Option<Position> {
    let index_key = match index {
        Index::Base => Some(item.key.clone()),
        Index::ByTime => item.by_time.clone(),
        Index::Due => item.due.clone(),
    };
    index_key.map(|index_key| Position { key: item.key.clone(), index_key })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Item> {
    let pair = |pk: Option<String>, sk: Option<String>| pk.zip(sk).map(|(pk, sk)| Key { pk, sk });
    let expires_at: Option<i64> = row.get(6)?;
    Ok(Item {
        key: Key { pk: row.get(0)?, sk: row.get(1)? },
        by_time: pair(row.get(2)?, row.get(3)?),
        due: pair(row.get(4)?, row.get(5)?),
        expires_at: expires_at.map(|at| Timestamp(u64::try_from(at).unwrap_or(0) * 1000)),
        rev: row.get(7)?,
        doc: doc(row)?,
        body: None,
    })
}

/// The document. One that a fault of the disk has changed beyond text stays one that nobody can
/// decode, so that it stands for itself alone instead of failing the whole page.
fn doc(row: &Row<'_>) -> rusqlite::Result<String> {
    let bytes = row.get_ref(8)?.as_bytes()?;
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{}{}", char::REPLACEMENT_CHARACTER, String::from_utf8_lossy(bytes)),
    })
}

/// Seconds of an expiry, rounded up: nothing is forgotten before its time.
fn seconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_ms().div_ceil(1000)).unwrap_or(i64::MAX)
}

fn whole_seconds(now: Timestamp) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

impl From<EngineError> for StoreError {
    fn from(EngineError(why): EngineError) -> Self {
        Self::Unavailable(why)
    }
}
