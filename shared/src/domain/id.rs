//! Ids: `app_`, `ep_`, `msg_`, `atmpt_`, `org_`, `src_`, `key_`, `integ_`, `qtask_` and 27 characters of KSUID.
//!
//! A KSUID is 20 bytes in base 62: four bytes of seconds since 2014-05-13, one byte of
//! 4-millisecond steps (the millisecond flavour that Svix uses), fifteen random bytes. Ids
//! sort by time of creation, and the time can be read back from them.
//!
//! A caller may also name things itself: a [`Uid`] works wherever an id does.

#[cfg(feature = "description")]
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

#[cfg(feature = "description")]
use crate::domain::schema::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::domain::clock::{Ambient, Timestamp};

/// Characters of a KSUID in base 62.
pub const KSUID_CHARS: usize = 27;
/// Random bytes of a KSUID.
pub const RANDOM_BYTES: usize = 15;

const KSUID_BYTES: usize = 20;
/// Bytes of a KSUID that say when: seconds and steps.
const TIME_BYTES: usize = KSUID_BYTES - RANDOM_BYTES;
/// KSUIDs count from here (KSUID specification), in seconds since the Unix epoch.
const KSUID_EPOCH_S: u64 = 1_400_000_000;
/// The fifth byte of the millisecond flavour counts steps of this many milliseconds.
const STEP_MS: u64 = 4;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Twenty bytes: a time and a random part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ksuid([u8; KSUID_BYTES]);

impl Ksuid {
    /// A KSUID of this moment with this random part.
    pub fn from_parts(at: Timestamp, random: [u8; RANDOM_BYTES]) -> Self {
        let seconds = at.as_secs().saturating_sub(KSUID_EPOCH_S);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let step = (at.as_ms() % 1000) / STEP_MS;
        let mut bytes = [0; KSUID_BYTES];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4] = u8::try_from(step).unwrap_or(u8::MAX);
        bytes[5..].copy_from_slice(&random);
        Self(bytes)
    }

    /// A new one.
    pub fn new(ambient: &Ambient) -> Self {
        Self::from_parts(ambient.now(), ambient.random())
    }

    /// The smallest KSUID of a moment: where a time window begins.
    pub fn first_at(at: Timestamp) -> Self {
        Self::from_parts(at, [0; RANDOM_BYTES])
    }

    /// When it was made, to 4 ms.
    pub fn timestamp(&self) -> Timestamp {
        let seconds = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]);
        let ms = u64::from(self.0[4]) * STEP_MS;
        Timestamp((u64::from(seconds) + KSUID_EPOCH_S) * 1000 + ms)
    }

    /// The part that comes after the time.
    pub fn random_part(&self) -> [u8; RANDOM_BYTES] {
        let mut random = [0; RANDOM_BYTES];
        random.copy_from_slice(&self.0[5..]);
        random
    }

    fn parse(text: &str) -> Option<Self> {
        base62_decode(text).map(Self)
    }
}

impl fmt::Display for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = base62_encode(&self.0);
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

/// What is wrong with an id or a uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidId(pub String);

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidId {}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ksuid);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id.
            pub fn new(ambient: &Ambient) -> Self {
                Self(Ksuid::new(ambient))
            }

            /// The id with this KSUID.
            pub fn from_ksuid(ksuid: Ksuid) -> Self {
                Self(ksuid)
            }

            /// The part after the prefix.
            pub fn ksuid(&self) -> Ksuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .and_then(Ksuid::parse)
                    .map(Self)
                    .ok_or_else(|| InvalidId(format!(
                        "an id here is `{}` and {KSUID_CHARS} characters of base 62", $prefix,
                    )))
            }
        }

        #[cfg(feature = "description")]
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": concat!("^", $prefix, "[0-9A-Za-z]{27}$")})
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// Whoever runs Posthorn: the owner of applications.
    OrganisationId, "org_";
    /// One customer of the organisation.
    ApplicationId, "app_";
    /// One URL of an application.
    EndpointId, "ep_";
    /// One event of an application.
    MessageId, "msg_";
    /// One try to deliver a message to an endpoint.
    AttemptId, "atmpt_";
    /// Another system whose webhooks come in.
    SourceId, "src_";
    /// A backend's token that is on record.
    ApiTokenId, "key_";
    /// Another system that publishes to an application.
    IntegrationId, "integ_";
    /// Work that outlives the request that asked for it.
    TaskId, "qtask_";
}

impl MessageId {
    /// The message's place in the store: what comes after the time, so that the same `eventId`
    /// always leads to the same place.
    pub fn key(&self) -> MessageKey {
        MessageKey(self.0.random_part())
    }

    /// The id of a message that was accepted at this moment in this place.
    pub fn from_key(at: Timestamp, key: MessageKey) -> Self {
        Self(Ksuid::from_parts(at, key.0))
    }
}

/// The place of a message in the store: the part of its id that comes after the time.
///
/// Where the publisher named the event or sent an idempotency key it is a hash of that name and of
/// the application, and "put if absent" is the duplicate check. All others have [a new
/// one](Self::new) each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey([u8; RANDOM_BYTES]);

impl MessageKey {
    /// A place of its own, beside those of the same moment: it begins as the id does, with the
    /// time, and goes on with ten random bytes. In a file that is sorted by place, what comes
    /// together is then written together.
    pub fn new(ambient: &Ambient) -> Self {
        let mut key = [0; RANDOM_BYTES];
        let (time, random) = key.split_at_mut(TIME_BYTES);
        time.copy_from_slice(&Ksuid::first_at(ambient.now()).0[..TIME_BYTES]);
        random.copy_from_slice(&ambient.random::<{ RANDOM_BYTES - TIME_BYTES }>());
        Self(key)
    }

    /// The place of the event that the publisher calls `event_id`.
    pub fn of_event(app: &ApplicationId, event_id: &str) -> Self {
        Self::of("event", app, event_id)
    }

    /// The place of whatever was published under this idempotency key.
    pub fn of_idempotency_key(app: &ApplicationId, key: &str) -> Self {
        Self::of("idempotency-key", app, key)
    }

    /// The place of a part of the event at `parent`, counted from 1.
    pub fn of_part(app: &ApplicationId, parent: &Self, number: u32) -> Self {
        Self::of("part", app, &format!("{parent}#{number}"))
    }

    fn of(kind: &str, app: &ApplicationId, name: &str) -> Self {
        // Kind and application have no zero byte, so no two inputs run into each other.
        let mut hash = Sha256::new();
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(app.to_string().as_bytes());
        hash.update([0]);
        hash.update(name.as_bytes());
        let digest = hash.finalize();
        let mut key = [0; RANDOM_BYTES];
        key.copy_from_slice(&digest[..RANDOM_BYTES]);
        Self(key)
    }
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 2 * RANDOM_BYTES];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

/// A name that the caller gave: 1 to 256 of `[a-zA-Z0-9-_.]`, not dots alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Uid(String);

impl Uid {
    /// Longest uid, in characters (Svix).
    pub const MAX: usize = 256;

    /// Reads a uid of a thing whose ids start with `prefix`.
    ///
    /// # Errors
    /// When it is empty, too long, has another character, nothing but dots, or looks like an id.
    pub fn parse(text: &str, prefix: &str) -> Result<Self, InvalidId> {
        if !is_name(text, Self::MAX) {
            return Err(InvalidId(name_rule(Self::MAX)));
        }
        if !prefix.is_empty() && text.starts_with(prefix) {
            return Err(InvalidId(format!("must not start with `{prefix}`: ids do")));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?))
    }
}

#[cfg(feature = "description")]
impl JsonSchema for Uid {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Uid".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": Uid::MAX, "pattern": r"^[a-zA-Z0-9\-_.]+$"
        })
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` is 1 to `max` of `[a-zA-Z0-9-_.]`: the rule for uids, event type names and
/// channels. Names stand in paths, where clients take dots alone for a way up: whoever deleted the
/// endpoint `..` would delete its application.
pub fn is_name(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text.bytes().any(|b| b != b'.')
}

/// What to tell somebody whose name is none.
pub fn name_rule(max: usize) -> String {
    format!("must be 1 to {max} of the characters a-z, A-Z, 0-9, `-`, `_` and `.`, not dots alone")
}

fn base62_encode(bytes: &[u8; KSUID_BYTES]) -> [u8; KSUID_CHARS] {
    let mut words = [0u32; KSUID_BYTES / 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    }
    // Five digits at a time are as many as the long division can have at once.
    const FIVE_DIGITS: u64 = 62u64.pow(5);
    let mut digits = [b'0'; KSUID_CHARS];
    for digits in digits.rchunks_mut(5) {
        let mut remainder = 0u64;
        for word in &mut words {
            let value = (remainder << 32) | u64::from(*word);
            *word = (value / FIVE_DIGITS) as u32;
            remainder = value % FIVE_DIGITS;
        }
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[(remainder % 62) as usize];
            remainder /= 62;
        }
    }
    digits
}

fn base62_decode(text: &str) -> Option<[u8; KSUID_BYTES]> {
    if text.len() != KSUID_CHARS {
        return None;
    }
    let mut words = [0u32; KSUID_BYTES / 4];
    for digit in text.bytes() {
        let mut carry = u64::from(match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => return None,
        });
        for word in words.iter_mut().rev() {
            let value = u64::from(*word) * 62 + carry;
            *word = value as u32;
            carry = value >> 32;
        }
        // 27 digits can say more than 20 bytes hold.
        if carry != 0 {
            return None;
        }
    }
    let mut bytes = [0; KSUID_BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    Some(bytes)
}
