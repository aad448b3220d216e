//! The table port: what Posthorn asks of its database, in a few calls.
//!
//! [`Item`]s live under a partition and a sort key. Two sparse indexes order some of them:
//! [`Index::ByTime`] (history lists) and [`Index::Due`] (pending retries). Whatever an item
//! means is in `doc` (versioned JSON) and `body` (bytes); the table does not look inside.
//!
//! Every change is a whole-item put or delete under a [`Condition`]. DynamoDB bills an update
//! by the size of the whole item anyway, and a revision number makes every
//! read-decide-write safe with one kind of condition.
//!
//! Not guaranteed: that a `ByTime` or `Due` query sees a write that has just returned
//! (DynamoDB's indexes lag), nor that an expired item is gone: readers filter on `expires_at`.

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
pub use super::keys::Key;
use crate::domain::clock::Timestamp;

/// Most writes that one transaction may hold (AWS limit: 100 actions; ours are small).
pub const MAX_TRANSACTION: usize = 25;

/// Largest item, in bytes (DynamoDB limit: 400 KB).
pub const MAX_ITEM_BYTES: usize = 400 * 1024;
/// DynamoDB bills writes by this many bytes (AWS pricing).
pub const WRITE_UNIT_BYTES: usize = 1024;
/// What DynamoDB counts for a number of ten digits: two digits a byte and one more.
const EPOCH_NUMBER_BYTES: usize = 6;
/// What DynamoDB counts for a number of up to four digits.
const SMALL_NUMBER_BYTES: usize = 3;

/// One stored thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it lives.
    pub key: Key,
    /// Its place in [`Index::ByTime`], if it has one.
    pub by_time: Option<Key>,
    /// Its place in [`Index::Due`], if it has one.
    pub due: Option<Key>,
    /// When it may disappear. Stored in whole seconds, as DynamoDB's TTL wants it.
    pub expires_at: Option<Timestamp>,
    /// Rises by one with each change; what [`Condition::Revision`] compares.
    pub rev: u64,
    /// The stored form, as JSON with a version in `v`.
    pub doc: String,
    /// Raw bytes that are not part of any index.
    pub body: Option<Bytes>,
}

impl Item {
    /// An item of revision 1 under this key that holds nothing but its document: in no index,
    /// without an end, without a body.
    pub fn new(key: Key, doc: String) -> Self {
        Self { key, by_time: None, due: None, expires_at: None, rev: 1, doc, body: None }
    }

    /// The same with this revision.
    #[must_use]
    pub fn revision(self, rev: u64) -> Self {
        Self { rev, ..self }
    }

    /// The same with this place in [`Index::ByTime`].
    #[must_use]
    pub fn listed(self, by_time: impl Into<Option<Key>>) -> Self {
        Self { by_time: by_time.into(), ..self }
    }

    /// The same with this place in [`Index::Due`].
    #[must_use]
    pub fn due(self, due: impl Into<Option<Key>>) -> Self {
        Self { due: due.into(), ..self }
    }

    /// The same, which may disappear at this moment.
    #[must_use]
    pub fn until(self, expires_at: impl Into<Option<Timestamp>>) -> Self {
        Self { expires_at: expires_at.into(), ..self }
    }

    /// The same with these bytes.
    #[must_use]
    pub fn body(self, body: impl Into<Option<Bytes>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Its size as DynamoDB counts it, in bytes: names and values of all attributes.
    pub fn size(&self) -> usize {
        use super::keys::attribute;
        let text = |name: &str, value: &str| name.len() + value.len();
        let index = |key: &Option<Key>, pk: &str, sk: &str| {
            key.as_ref().map_or(0, |key| text(pk, &key.pk) + text(sk, &key.sk))
        };
        text(attribute::PK, &self.key.pk)
            + text(attribute::SK, &self.key.sk)
            + index(&self.by_time, attribute::TPK, attribute::TSK)
            + index(&self.due, attribute::DPK, attribute::DSK)
            + self.expires_at.map_or(0, |_| attribute::EXPIRES_AT.len() + EPOCH_NUMBER_BYTES)
            + attribute::REV.len()
            + SMALL_NUMBER_BYTES
            + text(attribute::DOC, &self.doc)
            + self.body.as_ref().map_or(0, |body| attribute::BODY.len() + body.len())
    }

    /// Whether its time is over, wherever the cleaner may be.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// No item under this key, or only one that expired before the given moment.
    AbsentAt(Timestamp),
    /// The item is there with exactly this revision.
    Revision(u64),
}

impl Condition {
    /// That an item is still as it was found: with this revision, or not there.
    pub fn unchanged(rev: Option<u64>, now: Timestamp) -> Self {
        rev.map_or(Self::AbsentAt(now), Self::Revision)
    }

    /// The revision of what is written under this condition.
    pub fn next_revision(self) -> u64 {
        match self {
            Self::Always | Self::AbsentAt(_) => 1,
            Self::Revision(rev) => rev + 1,
        }
    }
}

/// One conditional change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Store the whole item.
    Put(Item, Condition),
    /// Remove it.
    Delete(Key, Condition),
}

impl Write {
    /// The key that is written.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(item, _) => &item.key,
            Self::Delete(key, _) => key,
        }
    }

    /// What must hold.
    pub fn condition(&self) -> Condition {
        match self {
            Self::Put(_, condition) | Self::Delete(_, condition) => *condition,
        }
    }

    /// Refuses an item of more than [`MAX_ITEM_BYTES`]. DynamoDB would refuse it too; this spares
    /// the way, and every adapter counts alike.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub fn check_size(&self) -> Result<(), StoreError> {
        match self.size() {
            bytes if bytes > MAX_ITEM_BYTES => Err(StoreError::TooLarge(bytes)),
            _ => Ok(()),
        }
    }

    /// Bytes of the item that it puts.
    pub fn size(&self) -> usize {
        match self {
            Self::Put(item, _) => item.size(),
            Self::Delete(..) => 0,
        }
    }
}

/// Refuses what no transaction can be: more than [`MAX_TRANSACTION`] writes, two of one key, or one
/// that is too large.
///
/// # Errors
/// [`StoreError::Invalid`] or [`StoreError::TooLarge`].
pub fn check_transaction(writes: &[Write]) -> Result<(), StoreError> {
    if writes.len() > MAX_TRANSACTION {
        return Err(StoreError::Invalid(format!("over {MAX_TRANSACTION} writes at once")));
    }
    let mut keys: Vec<&Key> = writes.iter().map(Write::key).collect();
    keys.sort();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(StoreError::Invalid("two writes of one transaction share a key".into()));
    }
    writes.iter().try_for_each(Write::check_size)
}

/// What became of a single write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Done,
    /// The condition did not hold; the item that stood in the way, if there is one.
    Lost(Option<Box<Item>>),
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transacted {
    /// All of it is stored.
    Done,
    /// None of it is; the positions of the writes whose condition did not hold.
    Lost(Vec<usize>),
}

/// Which order of items to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// The table itself: `pk`, `sk`.
    Base,
    /// History: `tpk`, `tsk`. Items read through it have no `body` and no `due`.
    ByTime,
    /// Pending retries: `dpk`, `dsk`. Items read through it have no `body` and no `by_time`.
    Due,
}

/// A range of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The index to walk.
    pub index: Index,
    /// The partition.
    pub pk: String,
    /// Smallest sort key, included.
    pub from: String,
    /// Largest sort key, included.
    pub to: String,
    /// Walk from the largest sort key down.
    pub descending: bool,
    /// Go on after this item: the `next` of the page before.
    pub after: Option<Position>,
    /// Most items to return, at least 1.
    pub limit: usize,
}

/// Where a page ended: the item's own key, and its key in the index that was walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The item's key in the table.
    pub key: Key,
    /// Its key in the index (the same again for [`Index::Base`]).
    pub index_key: Key,
}

/// One answer to a [`Query`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most `limit` items, in order.
    pub items: Vec<Item>,
    /// Where to go on, if there may be more.
    pub next: Option<Position>,
}

/// A database table with two sparse indexes. Two adapters stand behind it, held to one
/// conformance suite.
#[async_trait]
pub trait Table: Send + Sync {
    /// Reads one item; what was written before is seen.
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;

    /// The same where a write of the last moments may be missed: for what is only shown. DynamoDB
    /// bills half of it.
    async fn glance(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.get(key).await
    }

    /// Reads a range. On [`Index::Base`] what was written before is seen.
    async fn query(&self, query: &Query) -> Result<Page, StoreError>;

    /// One conditional change. An error leaves open whether it happened.
    async fn write(&self, write: Write) -> Result<Written, StoreError>;

    /// Several changes, all or none, each on another key; at most [`MAX_TRANSACTION`].
    /// An error leaves open whether it happened.
    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError>;
}

/// Everything that starts with `prefix`, as the two ends of a range.
pub fn prefix_range(prefix: &str) -> (String, String) {
    // U+10FFFF sorts after every character that our keys use.
    (prefix.to_owned(), format!("{prefix}\u{10FFFF}"))
}
