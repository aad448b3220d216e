//! Of whom so many records come at once that the next ones are better worked on behind those of
//! others: what waits for the endpoints of one application may all come due together.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a record counts.
const WINDOW: Duration = Duration::from_secs(1);

/// The records of each application that came lately.
pub(crate) struct Crowds {
    most: u32,
    since: Instant,
    counts: HashMap<String, u32>,
}

impl Crowds {
    /// A crowd is more than `most` records of one application in a second.
    pub(crate) fn above(most: u32, now: Instant) -> Self {
        Self { most, since: now, counts: HashMap::new() }
    }

    /// Counts a record of this application; whether it is one of a crowd.
    pub(crate) fn is_in_one(&mut self, app: &str, now: Instant) -> bool {
        if now.duration_since(self.since) >= WINDOW {
            self.since = now;
            self.counts.clear();
        }
        let count = match self.counts.get_mut(app) {
            Some(count) => count,
            None => self.counts.entry(app.to_owned()).or_default(),
        };
        *count += 1;
        *count > self.most
    }
}
