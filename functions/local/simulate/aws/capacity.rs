//! What a table's partitions, its indexes and the whole of it take in a second.

use std::collections::HashMap;

use shared::domain::clock::Timestamp;
use shared::store::Limit;
use shared::store::table::{Index, Item, Key, Write};

use super::bucket::{Bucket, Ceiling};
use super::weather::Weather;

/// Write units a second of one partition, in either capacity mode (docs: "each individual
/// partition is limited to 1,000 write units", warm throughput scenarios).
const PARTITION_WRITES: f64 = 1_000.0;
/// Read units a second of one partition (docs: as above).
const PARTITION_READS: f64 = 3_000.0;
/// DynamoDB counts writes by this many bytes (pricing).
const WRITE_UNIT_BYTES: usize = 1024;
/// DynamoDB counts strong reads by this many bytes, others by twice as many (pricing).
const READ_UNIT_BYTES: usize = 4096;
/// Partitions of which it is remembered what they took; beyond it the idle ones are forgotten.
const MAX_REMEMBERED: usize = 20_000;

/// What was throttled, by what could not follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Throttled {
    /// Writes and reads for a whole table or index.
    pub(crate) table: u64,
    /// Writes and reads for a partition of the table.
    pub(crate) partition: u64,
    /// Writes to the table for a partition of an index.
    pub(crate) index: u64,
}

/// What is left of the capacity of a table.
pub(crate) struct Capacity {
    partitions: HashMap<(Index, String), [Bucket; 2]>,
    writes: [Ceiling; 3],
    reads: [Ceiling; 3],
    /// What was refused so far.
    pub(crate) throttled: Throttled,
    partition_writes: f64,
    partition_reads: f64,
    next_look: usize,
}

/// What a write takes: units by index and partition.
pub(crate) type Demand = Vec<(Index, String, f64)>;

impl Capacity {
    /// Of a table that has taken nothing yet.
    pub(crate) fn new(weather: &Weather, now: Timestamp) -> Self {
        let &Weather { scale, warm_writes, warm_reads, table_quota, .. } = weather;
        let ceiling = |first| Ceiling::new(first * scale, table_quota * scale, now);
        Self {
            partitions: HashMap::new(),
            writes: [ceiling(warm_writes); 3],
            reads: [ceiling(warm_reads); 3],
            partition_writes: PARTITION_WRITES * scale,
            partition_reads: PARTITION_READS * scale,
            throttled: Throttled::default(),
            next_look: MAX_REMEMBERED,
        }
    }

    /// Takes all that writes need, or nothing of it.
    ///
    /// # Errors
    /// What there was not enough of.
    pub(crate) fn write(&mut self, demand: &Demand, now: Timestamp) -> Result<(), Limit> {
        for (index, pk, _) in demand {
            if !self.writes[place(*index)].has(now) {
                self.throttled.table += 1;
                return Err(Limit::Store);
            }
            let most = self.partition_writes;
            if !self.partition(*index, pk, now)[0].has(most, most, now) {
                let (count, limit) = match index {
                    Index::Base => (&mut self.throttled.partition, Limit::Partition),
                    Index::ByTime => (&mut self.throttled.index, Limit::List),
                    Index::Due => (&mut self.throttled.index, Limit::Due),
                };
                *count += 1;
                return Err(limit);
            }
        }
        for (index, pk, units) in demand {
            self.writes[place(*index)].take(*units);
            self.partition(*index, pk, now)[0].take(*units);
        }
        Ok(())
    }

    /// Whether something may be read from a partition now.
    pub(crate) fn may_read(&mut self, index: Index, pk: &str, now: Timestamp) -> bool {
        if !self.reads[place(index)].has(now) {
            self.throttled.table += 1;
            return false;
        }
        let most = self.partition_reads;
        let may = self.partition(index, pk, now)[1].has(most, most, now);
        self.throttled.partition += u64::from(!may);
        may
    }

    /// Takes what was read.
    pub(crate) fn read(&mut self, index: Index, pk: &str, bytes: usize, now: Timestamp) {
        let units = bytes.div_ceil(READ_UNIT_BYTES).max(1) as f64;
        let units = if index == Index::Base { units } else { units / 2.0 };
        self.reads[place(index)].take(units);
        self.partition(index, pk, now)[1].take(units);
    }

    fn partition(&mut self, index: Index, pk: &str, now: Timestamp) -> &mut [Bucket; 2] {
        let (writes, reads) = (self.partition_writes, self.partition_reads);
        if self.partitions.len() > self.next_look {
            self.partitions.retain(|_, [written, read]| {
                !(written.is_full(writes, writes, now) && read.is_full(reads, reads, now))
            });
            self.next_look = MAX_REMEMBERED.max(2 * self.partitions.len());
        }
        let full = || [Bucket::full(writes, now), Bucket::full(reads, now)];
        self.partitions.entry((index, pk.to_owned())).or_insert_with(full)
    }
}

/// What this write takes of the table and its indexes, given what it replaces.
pub(crate) fn demand(old: Option<&Item>, write: &Write, times: f64, demand: &mut Demand) {
    let new = match write {
        Write::Put(item, _) => Some(item),
        Write::Delete(..) => None,
    };
    let size = old.map_or(0, Item::size).max(new.map_or(0, Item::size));
    demand.push((Index::Base, write.key().pk.clone(), times * units(size)));
    for index in [Index::ByTime, Index::Due] {
        let place = |item: Option<&Item>| item.and_then(|item| index_key(item, index)).cloned();
        let projected = |item: Option<&Item>| item.map_or(0.0, |item| units(projection(item)));
        match (place(old), place(new)) {
            (Some(from), Some(to)) if from == to => {
                demand.push((index, to.pk, projected(old).max(projected(new))));
            }
            (from, to) => {
                demand.extend(from.map(|from| (index, from.pk, projected(old))));
                demand.extend(to.map(|to| (index, to.pk, projected(new))));
            }
        }
    }
}

/// An item's key in an index.
pub(crate) fn index_key(item: &Item, index: Index) -> Option<&Key> {
    match index {
        Index::Base => Some(&item.key),
        Index::ByTime => item.by_time.as_ref(),
        Index::Due => item.due.as_ref(),
    }
}

/// Bytes of an item in an index: all but its body.
fn projection(item: &Item) -> usize {
    item.size() - item.body.as_ref().map_or(0, bytes::Bytes::len)
}

fn units(bytes: usize) -> f64 {
    bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as f64
}

fn place(index: Index) -> usize {
    match index {
        Index::Base => 0,
        Index::ByTime => 1,
        Index::Due => 2,
    }
}
