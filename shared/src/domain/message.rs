//! A message: one event of an application, kept with the exact bytes that were published.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::clock::{Ambient, Timestamp};
use crate::domain::id::{ApplicationId, MessageId, MessageKey, SourceId, Uid};
use crate::domain::json::is_zero;
use crate::domain::spread::Spread;

/// Largest payload, in bytes. It travels inline through SQS (1 MiB) and rests inline in
/// DynamoDB (400 KB an item), so this is what every part of the trip can carry.
pub const MAX_PAYLOAD_BYTES: usize = 350 * 1024;
/// Deepest nesting of a payload, in levels: readers of many languages give up beyond a hundred or
/// so, for a whole list of messages.
pub const MAX_PAYLOAD_DEPTH: usize = 64;
/// Longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 256;
/// Most channels of a message (Svix).
pub const MAX_MESSAGE_CHANNELS: usize = 5;
/// How long a message and its attempts are kept, in days (Svix: 90, which cost three times as much).
pub const DEFAULT_RETENTION_DAYS: u64 = 30;
/// Shortest and longest retention, in days (Svix).
pub const RETENTION_DAYS: std::ops::RangeInclusive<u64> = 5..=90;

/// What a raw payload is unless its publisher says it (Svix).
pub const RAW_CONTENT_TYPE: &str = "application/json";
/// Longest content type, in bytes.
pub const MAX_CONTENT_TYPE: usize = 128;

/// Most tags of a message.
pub const MAX_TAGS: usize = 10;
/// Longest tag, in characters (Svix).
pub const MAX_TAG: usize = 128;
/// Shortest and longest retention, in hours: a publisher that counts in hours may have less
/// than a day's.
pub const RETENTION_HOURS: std::ops::RangeInclusive<u64> = 1..=90 * 24;
/// How far ahead a message may be published, in milliseconds: at least a minute (Svix), so that
/// the sweep is in time, and at most 30 days.
pub const SCHEDULE_AHEAD_MS: std::ops::RangeInclusive<u64> = 60_000..=30 * DAY_MS;

/// The header of a delivery that tells how many deliveries led to its event, where any did.
pub const HOPS_HEADER: &str = "posthorn-hops";
/// Most deliveries that may lead to an event: enough for a chain, not for a circle.
pub const MAX_HOPS: u8 = 4;

/// Hours of a day: retention is said in either.
pub const HOURS_A_DAY: u64 = 24;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = HOURS_A_DAY * HOUR_MS;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id; the `webhook-id` of every attempt.
    pub id: MessageId,
    /// Its application.
    pub app: ApplicationId,
    /// What happened.
    pub event_type: String,
    /// The publisher's own name for the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uid>,
    /// The channels it was published on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// The publisher's labels, for finding it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it is to be delivered, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_at: Option<Timestamp>,
    /// When it was accepted.
    pub at: Timestamp,
    /// When it may be forgotten.
    pub expires_at: Timestamp,
    /// Tells a repeated request from another event of the same name: the start of a hash of
    /// the idempotency key it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The user of the customer whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The event that was too big for one and that this is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<MessageId>,
    /// How many parts it was cut into. It is not sent itself then; its payload tells what it
    /// was cut from.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts: u32,
    /// Whether it was sent to try an endpoint out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// Whether its payload was taken away before its time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expunged: bool,
    /// What the payload is, where the publisher said it: such a payload is no JSON of ours, and is
    /// sent without an envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How many deliveries of ours led to it: an endpoint may be somebody's source.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u8,
    /// The source that it came in at, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    /// Over how many places of the index the messages of its application are spread as it is
    /// stored.
    #[serde(skip)]
    pub spread: Spread,
    /// The exact bytes.
    #[serde(skip)]
    pub payload: Bytes,
}

/// What a publisher says of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewMessage {
    /// What happened.
    pub event_type: String,
    /// The publisher's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uid>,
    /// The channels it is published on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// The publisher's labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The user of the customer whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it is to be delivered, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_at: Option<Timestamp>,
    /// For how many hours it is kept, if the publisher says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_hours: Option<u64>,
    /// What the payload is, if it is raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The exact bytes.
    #[serde(skip)]
    pub payload: Bytes,
}

impl NewMessage {
    /// An event of which only this is said.
    pub fn of(event_type: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { event_type: event_type.into(), payload: payload.into(), ..Self::default() }
    }
}

/// What is stored in place of the payload of a message that was cut into parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The parts in order.
    pub parts: Vec<MessageId>,
    /// SHA-256 of the payload as it was published, in hex: tells whether another request is
    /// about the same thing.
    pub sha256: String,
}

impl Manifest {
    /// The manifest of a message, if it was cut.
    pub fn of(message: &Message) -> Option<Self> {
        (message.parts > 0).then(|| serde_json::from_slice(&message.payload).ok()).flatten()
    }
}

impl Message {
    /// When it may be sent: when its publisher says, or when it was accepted.
    pub fn released_at(&self) -> Timestamp {
        self.deliver_at.unwrap_or(self.at)
    }

    /// The id of one of the parts that it is cut into, from 1 on.
    pub fn part_id(&self, number: u32) -> MessageId {
        MessageId::from_key(self.at, MessageKey::of_part(&self.app, &self.id.key(), number))
    }

    /// The ids of the parts that it was cut into, in order; none if it is one event.
    pub fn part_ids(&self) -> impl Iterator<Item = MessageId> {
        (1..=self.parts).map(|number| self.part_id(number))
    }

    /// The message that an event becomes in this place of an application, accepted at `now`. It
    /// is kept for `usual_hours` unless its publisher says otherwise.
    pub fn new(
        new: NewMessage,
        app: ApplicationId,
        key: MessageKey,
        now: Timestamp,
        usual_hours: u64,
    ) -> Self {
        // What waits for its time is kept as long after it as another one.
        let from = new.deliver_at.unwrap_or(now);
        Self {
            id: MessageId::from_key(now, key),
            app,
            event_type: new.event_type,
            event_id: new.event_id,
            channels: new.channels,
            tags: new.tags,
            deliver_at: new.deliver_at,
            at: now,
            expires_at: from.plus_ms(new.retention_hours.unwrap_or(usual_hours) * HOUR_MS),
            request: None,
            subject: new.subject,
            parent: None,
            parts: 0,
            test: false,
            expunged: false,
            content_type: new.content_type,
            hops: 0,
            source: None,
            spread: Spread::default(),
            payload: new.payload,
        }
    }

    /// A message that is made to try an endpoint out. It is kept as short as may be.
    pub fn test(new: NewMessage, app: ApplicationId, ambient: &Ambient) -> Self {
        let key = MessageKey::new(ambient);
        let hours = RETENTION_DAYS.start() * HOURS_A_DAY;
        Self { test: true, ..Self::new(new, app, key, ambient.now(), hours) }
    }
}

/// Whether this can be a content type: 1 to [`MAX_CONTENT_TYPE`] visible characters of ASCII, and
/// single spaces between them.
pub fn is_content_type(text: &str) -> bool {
    let visible = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    text.len() <= MAX_CONTENT_TYPE && text.split(' ').all(visible)
}

/// Whether this is a tag: 1 to [`MAX_TAG`] of letters, digits and `-_./\#` (Svix).
pub fn is_tag(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./\\#".contains(c);
    (1..=MAX_TAG).contains(&text.len()) && text.chars().all(allowed)
}

/// What to tell somebody whose tag is none.
pub fn tag_rule() -> String {
    format!("must be 1 to {MAX_TAG} letters, digits or one of - _ . / \\ #")
}
