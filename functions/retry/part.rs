//! Which part of the work a run does.

use serde::Deserialize;
use serde_json::Value;
use shared::domain::clock::Timestamp;
use shared::store::keys::DUE_SHARDS;

/// One of several parts: those shards of the index whose number leaves this remainder. What is not
/// in the index, the dead letters, belongs to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Part {
    part: u32,
    parts: u32,
}

impl Part {
    /// Everything.
    pub const WHOLE: Self = Self { part: 0, parts: 1 };

    /// Every one of so many.
    pub fn all(parts: u32) -> impl Iterator<Item = Self> {
        (0..parts).map(move |part| Self { part, parts })
    }

    /// The part that a scheduled event asks for, as `{"part": 1, "parts": 4, "at": "..."}`. Any
    /// other event asks for everything.
    pub fn of(event: &Value) -> Self {
        let asked = Self::deserialize(event).ok().filter(|asked| asked.part < asked.parts);
        asked.unwrap_or(Self::WHOLE)
    }

    /// The minute that an event was scheduled for, if it says so.
    pub fn scheduled(event: &Value) -> Option<Timestamp> {
        Timestamp::parse_rfc3339(event["at"].as_str()?)
    }

    /// The part that is this one's turn in this minute. Where an account has no concurrency for all
    /// of them it may always be the same ones that are refused: so they take turns, and no part of
    /// the index waits for ever.
    #[must_use]
    pub fn in_turn(self, now: Timestamp) -> Self {
        const MINUTE_MS: u64 = 60_000;
        let minute = now.as_ms() / MINUTE_MS % u64::from(self.parts);
        let minute = u32::try_from(minute).unwrap_or(0);
        Self { part: (self.part + minute) % self.parts, ..self }
    }

    /// Its number, from 0.
    pub fn number(self) -> u32 {
        self.part
    }

    /// Whether the dead letters belong to it.
    pub(crate) fn has_dead_letters(self) -> bool {
        self.part == 0
    }

    /// Its shards of the `due` index.
    pub fn shards(self) -> impl Iterator<Item = u32> {
        (0..DUE_SHARDS).filter(move |shard| shard % self.parts == self.part)
    }
}
