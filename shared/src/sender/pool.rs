//! Connections that wait for the next request to the same place. Each is driven by the threads of the
//! runtime that opened it, so a request of another runtime, whose threads may be quicker or have less
//! to do, goes over one of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, sleep};

use super::connection::{Connection, Place};
use crate::domain::sync::hold;

/// Connections without a request.
pub(super) struct Pool {
    idle: Arc<Mutex<Idle>>,
    longest: Duration,
    most: usize,
}

#[derive(Default)]
struct Idle {
    /// Of each runtime and place, the one that was used last comes last.
    kept: HashMap<Id, HashMap<Place, Vec<Kept>>>,
    /// How many they are.
    count: usize,
    /// Whether a task is about, in some runtime, that closes what nobody uses.
    swept: bool,
}

struct Kept {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// A pool that closes what has not been used for this long, and keeps so many at the most.
    pub(super) fn new(longest: Duration, most: usize) -> Self {
        Self { idle: Arc::default(), longest, most }
    }

    /// The connection of this runtime to this place that was used last, unless it has ended since.
    pub(super) fn take(&self, place: &Place) -> Option<Connection> {
        let mut idle = hold(&self.idle);
        let Idle { kept, count, .. } = &mut *idle;
        let places = kept.get_mut(&Handle::current().id())?;
        let kept = places.get_mut(place)?;
        let mut found = None;
        while found.is_none()
            && let Some(last) = kept.pop()
        {
            *count -= 1;
            let usable = last.since.elapsed() < self.longest && last.connection.is_ready();
            found = usable.then_some(last.connection);
        }
        if kept.is_empty() {
            places.remove(place);
        }
        found
    }

    /// Keeps a connection that is ready for the next request, if there is room.
    pub(super) fn keep(&self, place: Place, connection: Connection) {
        let mut idle = hold(&self.idle);
        if idle.count >= self.most {
            return;
        }
        idle.count += 1;
        let kept = Kept { connection, since: Instant::now() };
        let places = idle.kept.entry(Handle::current().id()).or_default();
        places.entry(place).or_default().push(kept);
        if !idle.swept {
            idle.swept = true;
            tokio::spawn(sweep(Arc::downgrade(&self.idle), self.longest));
        }
    }
}

/// Closes what nobody uses, until nothing is left.
async fn sweep(idle: Weak<Mutex<Idle>>, longest: Duration) {
    loop {
        sleep(longest).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = hold(&idle);
        idle.kept.retain(|_, places| {
            places.retain(|_, kept| {
                kept.retain(|one| one.since.elapsed() < longest && one.connection.is_ready());
                !kept.is_empty()
            });
            !places.is_empty()
        });
        idle.count = idle.kept.values().flat_map(HashMap::values).map(Vec::len).sum();
        if idle.kept.is_empty() {
            idle.swept = false;
            return;
        }
    }
}
