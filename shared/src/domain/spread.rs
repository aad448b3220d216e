//! Over how many places of an index a list is spread.
//!
//! One partition of DynamoDB takes 1,000 writes a second, and a list in order of time is written
//! at its end alone. So the list of a busy application or endpoint is kept in several, and whoever
//! reads it merges them. The number is kept with the application or the endpoint; it only grows,
//! since what was written under a smaller one is still there.

use serde::{Deserialize, Serialize};

/// A number of places, 1 until more are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub struct Spread(u8);

impl Spread {
    /// The most: 16,000 writes a second.
    pub const MOST: Self = Self(16);

    /// Whether it is in one place, as nearly every list.
    pub fn is_one(&self) -> bool {
        self.0 <= 1
    }

    /// The places, from 0.
    pub fn places(self) -> impl Iterator<Item = u8> {
        0..self.0
    }

    /// The place of something whose name has this hash.
    pub fn place_of(self, hash: u8) -> u8 {
        hash % self.0
    }

    /// Twice as many, as far as there may be more.
    #[must_use]
    pub fn wider(self) -> Self {
        Self(self.0.saturating_mul(2)).min(Self::MOST)
    }
}

impl Default for Spread {
    fn default() -> Self {
        Self(1)
    }
}

impl From<u8> for Spread {
    /// No list is nowhere, and a later version may have spread it wider.
    fn from(places: u8) -> Self {
        Self(places.max(1))
    }
}

impl From<Spread> for u8 {
    fn from(spread: Spread) -> Self {
        spread.0
    }
}
