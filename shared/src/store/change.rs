//! Changing what is stored: read it, decide, write under its revision, and start over when
//! somebody else was faster.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::StoreError;
use super::table::{Item, Key, Table, Transacted, Write, Written};

/// How long a change goes on against others that change the same item.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Longest first pause, and longest of all pauses, in milliseconds. A change takes DynamoDB some
/// ten milliseconds.
pub const PAUSES_MS: (u64, u64) = (8, 256);

/// What shall become of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// Nothing: it is as it should be, or it is not there.
    None(T),
    /// These writes at once. The first is that of the item itself, under the revision that was
    /// read (or absent, if nothing was).
    Write(Vec<Write>, T),
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed<T> {
    /// It is stored, or there was nothing to store.
    Done(T),
    /// The item is unchanged, because the condition of another write did not hold.
    Refused,
}

impl<T> Changed<T> {
    /// What is stored.
    ///
    /// # Errors
    /// [`StoreError::Contended`] when it was refused, which is for changes of which all other writes
    /// are unconditional.
    pub fn done(self) -> Result<T, StoreError> {
        match self {
            Self::Done(stored) => Ok(stored),
            Self::Refused => Err(StoreError::Contended),
        }
    }
}

/// Changes the item under `key` as `decide` says, which may be asked more than once: each time
/// with the item as it is by then.
///
/// # Errors
/// [`StoreError::Contended`] when others were faster for [`PATIENCE`]. When `decide` or the store
/// fails; the change may or may not be stored then.
pub async fn change<T>(
    table: &dyn Table,
    key: &Key,
    decide: impl Fn(Option<Item>) -> Result<Change<T>, StoreError>,
) -> Result<Changed<T>, StoreError> {
    change_within(PATIENCE, table, key, decide).await
}

/// The same with another patience.
///
/// # Errors
/// As [`change`].
pub async fn change_within<T>(
    patience: Duration,
    table: &dyn Table,
    key: &Key,
    decide: impl Fn(Option<Item>) -> Result<Change<T>, StoreError>,
) -> Result<Changed<T>, StoreError> {
    change_after(patience, table, key, |found| std::future::ready(decide(found))).await
}

/// The same where deciding takes more reading, which begins after the item is read: what is written
/// then is written only if nobody who does the same came between.
///
/// # Errors
/// As [`change`].
pub async fn change_after<T, F: Future<Output = Result<Change<T>, StoreError>>>(
    patience: Duration,
    table: &dyn Table,
    key: &Key,
    decide: impl Fn(Option<Item>) -> F,
) -> Result<Changed<T>, StoreError> {
    let deadline = Instant::now() + patience;
    let (mut pause_ms, longest_ms) = PAUSES_MS;
    loop {
        match decide(table.get(key).await?).await? {
            Change::None(value) => return Ok(Changed::Done(value)),
            Change::Write(writes, value) => match write_all(table, writes).await?.as_slice() {
                [] => return Ok(Changed::Done(value)),
                lost if !lost.contains(&0) => return Ok(Changed::Refused),
                _ => {}
            },
        }
        let pause = Duration::from_millis(random_up_to(pause_ms));
        if Instant::now() + pause >= deadline {
            return Err(StoreError::Contended);
        }
        tokio::time::sleep(pause).await;
        pause_ms = longest_ms.min(pause_ms * 2);
    }
}

/// Writes all of these or nothing. Positions of those whose condition did not hold; without any, all
/// are stored.
pub(super) async fn write_all(
    table: &dyn Table,
    mut writes: Vec<Write>,
) -> Result<Vec<usize>, StoreError> {
    // A transaction costs twice a plain write, so one that writes once is none.
    if writes.len() == 1
        && let Some(only) = writes.pop()
    {
        let done = table.write(only).await? == Written::Done;
        return Ok(if done { Vec::new() } else { vec![0] });
    }
    Ok(match table.transact(writes).await? {
        Transacted::Done => Vec::new(),
        Transacted::Lost(lost) => lost,
    })
}

thread_local! {
    /// Where the lengths of pauses come from: each thread has its own.
    static PAUSES: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// Lets the pauses of this thread follow from `seed`, so that what happens on it can be repeated.
pub fn repeat_pauses(seed: u64) {
    PAUSES.set(seed);
}

/// At least 1. Only to keep two that met from meeting again.
fn random_up_to(most: u64) -> u64 {
    // splitmix64: good enough for that.
    let next = PAUSES.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    PAUSES.set(next);
    let mixed = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    1 + (mixed ^ (mixed >> 27)) % most
}
