//! Remembers what was read or found out.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use futures_util::TryFutureExt;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::sync::hold;

/// Remembers values for a while, a bounded number of them. Clones share their memory.
///
/// A read that began before something was forgotten or changed is not remembered: it may have seen
/// what was there before. So whoever forgets a key after its change sees nothing older from then on.
pub struct Cache<K, V> {
    clock: Arc<dyn Clock>,
    ttl_ms: u64,
    bound: usize,
    memory: Arc<Mutex<Memory<K, V>>>,
}

struct Memory<K, V> {
    /// Rises whenever something is forgotten or changed.
    generation: u64,
    /// Values, and until when each holds.
    values: HashMap<K, (Timestamp, V)>,
}

/// A read that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    generation: u64,
    until: Timestamp,
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), memory: self.memory.clone(), ..*self }
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// A cache of at most `bound` values, each for `ttl_ms` milliseconds from the moment when its
    /// reading began. With 0 it remembers nothing.
    pub fn new(clock: Arc<dyn Clock>, ttl_ms: u64, bound: usize) -> Self {
        let memory = Memory { generation: 0, values: HashMap::new() };
        Self { clock, ttl_ms, bound, memory: Arc::new(Mutex::new(memory)) }
    }

    /// The value under this key, as far as it is remembered.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let now = self.clock.now();
        let memory = hold(&self.memory);
        memory.values.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value.clone())
    }

    /// The value under this key: as it is remembered, or as `read` brings it.
    ///
    /// # Errors
    /// When `read` fails; nothing is remembered then.
    pub fn get_or_read<E>(
        &self,
        key: K,
        read: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<V, E>> {
        // No `async fn`, which would keep room for the reading twice.
        let found = self.get_or_find(key, read.map_ok(Some));
        found.map_ok(|value| value.expect("a read that succeeds brings a value"))
    }

    /// The same where there may be nothing. That there is nothing is not remembered.
    ///
    /// # Errors
    /// When `find` fails; nothing is remembered then.
    pub async fn get_or_find<E>(
        &self,
        key: K,
        find: impl Future<Output = Result<Option<V>, E>>,
    ) -> Result<Option<V>, E> {
        let (begun, found) = self.begin(&key);
        if found.is_some() {
            return Ok(found);
        }
        // On the heap: what is remembered is not to be paid for with more room for reading it.
        let found = Box::pin(find).await?;
        if let Some(value) = &found {
            self.finish(begun, key, value.clone());
        }
        Ok(found)
    }

    /// Begins to read what belongs under this key; with it comes what is remembered, which may have
    /// to be renewed.
    pub fn begin(&self, key: &K) -> (Begun, Option<V>) {
        let (now, memory) = (self.clock.now(), hold(&self.memory));
        let found = memory.values.get(key).filter(|(until, _)| *until > now);
        let until = found.map_or(now.plus_ms(self.ttl_ms), |(until, _)| *until);
        let begun = Begun { generation: memory.generation, until };
        (begun, found.map(|(_, value)| value.clone()))
    }

    /// Remembers what was read, unless that was overtaken, as long as what was there before would
    /// have held.
    pub fn finish(&self, begun: Begun, key: K, value: V) {
        let mut memory = hold(&self.memory);
        if memory.generation == begun.generation && self.ttl_ms > 0 {
            memory.insert(key, value, begun.until, self.clock.now(), self.bound);
        }
    }

    /// Remembers a value until a moment, whatever a read that is under way brings.
    pub fn set(&self, key: K, value: V, until: Timestamp) {
        let mut memory = hold(&self.memory);
        memory.generation += 1;
        memory.insert(key, value, until, self.clock.now(), self.bound);
    }

    /// Changes the value under this key where it is, if there is one; when `keep` says no, it is
    /// forgotten.
    pub fn change(&self, key: &K, keep: impl FnOnce(&mut V) -> bool) {
        let mut memory = hold(&self.memory);
        memory.generation += 1;
        if memory.values.get_mut(key).is_some_and(|(_, value)| !keep(value)) {
            memory.values.remove(key);
        }
    }

    /// Forgets the value under this key.
    pub fn forget(&self, key: &K) {
        let mut memory = hold(&self.memory);
        memory.generation += 1;
        memory.values.remove(key);
    }

    /// Forgets every value that `which` picks.
    pub fn forget_where(&self, which: impl Fn(&K, &V) -> bool) {
        let mut memory = hold(&self.memory);
        memory.generation += 1;
        memory.values.retain(|key, (_, value)| !which(key, value));
    }

    /// How many values it holds, those included whose time is over.
    pub fn len(&self) -> usize {
        hold(&self.memory).values.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Eq + Hash, V> Memory<K, V> {
    fn insert(&mut self, key: K, value: V, until: Timestamp, now: Timestamp, bound: usize) {
        if self.values.len() >= bound && !self.values.contains_key(&key) {
            self.values.retain(|_, (until, _)| *until > now);
        }
        if self.values.len() >= bound && !self.values.contains_key(&key) {
            // Which ones are still wanted is not known: those are read again.
            self.values.clear();
        }
        self.values.insert(key, (until, value));
    }
}
