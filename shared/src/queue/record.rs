//! What travels in the queues: JSON with a version, the payload inline and untouched.
//!
//! Six kinds: a message that was just accepted, a share of the many endpoints of one, a retry that
//! has come due, a resend that somebody asked for, the outcome of an attempt that the store
//! would not take, and the release of what waits for an endpoint. A retry and a resend name the
//! message; its payload is read from the store. The last two need none.
//!
//! Each kind is written in the first format that had it, so that a dispatcher which is about to
//! be replaced reads as much as possible. What a reader does not know it leaves to a newer one
//! ([`Unread::Unknown`]).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Outgoing, first_forbidden, is_allowed};
use crate::domain::attempt::{Attempt, Trigger};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::machine::Outcome;
use crate::domain::endpoint::Stretch;
use crate::domain::id::{ApplicationId, AttemptId, EndpointId, MessageId};
use crate::domain::json::{is_zero, place_in_json};
use crate::domain::limits::MAX_QUEUE_DELAY_S;
use crate::domain::message::Message;

/// Newest format of the records. Readers accept this and every earlier one.
pub const FORMAT: u8 = 2;
/// The first format: everything but [`Record::Outcome`].
const FIRST_FORMAT: u8 = 1;

/// Why a text is not read as a record. A sentence for the operator, without the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is of a format or kind that this version does not know: a newer one may have written
    /// it, and will read it.
    Unknown(String),
    /// It is no record, and never will be.
    Broken(String),
}

impl Unread {
    /// What is wrong with it.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unknown(reason) | Self::Broken(reason) => reason,
        }
    }
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl From<String> for Unread {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

/// A record, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A message was accepted: deliver it to every endpoint that wants it.
    Accepted {
        /// The message, payload included.
        message: Box<Message>,
        /// It may be in the queue a second time: look what is on record first.
        again: bool,
    },
    /// A message was accepted by a wide application: deliver it to those of a stretch of its
    /// endpoints that want it.
    Share {
        /// The message, payload included.
        message: Box<Message>,
        /// Which endpoints.
        stretch: Stretch,
        /// When whoever cut it received what it is a share of for the first time: until a lease's
        /// length later nobody else can have cut the same.
        since: Timestamp,
        /// It may be in the queue a second time: look what is on record first.
        again: bool,
    },
    /// A retry has come due.
    Retry {
        /// The message's application.
        app: ApplicationId,
        /// The message.
        msg: MessageId,
        /// The endpoint.
        ep: EndpointId,
        /// Which attempt it is, counted from 1.
        attempt: u32,
    },
    /// Somebody asked for another attempt.
    Resend {
        /// The message's application.
        app: ApplicationId,
        /// The message.
        msg: MessageId,
        /// The endpoint.
        ep: EndpointId,
        /// The id that the attempt will have.
        attempt: AttemptId,
        /// It may be in the queue a second time: look what is on record first.
        again: bool,
        /// The moment that the endpoint's rate has kept for it, if it had to wait.
        not_before: Option<Timestamp>,
    },
    /// An attempt that was made and could not be recorded: it is only to be written.
    Outcome {
        /// The message, without its payload.
        message: Box<Message>,
        /// The attempt.
        attempt: Box<Attempt>,
        /// What it came to; nothing for one that was asked for by hand.
        outcome: Option<Outcome>,
    },
    /// An endpoint that did not answer does so again, or a rate was raised: what waits for it goes
    /// out.
    Release {
        /// The endpoint's application.
        app: ApplicationId,
        /// The endpoint; nothing for all of the application's.
        ep: Option<EndpointId>,
        /// Also what waits for a moment that a rate has kept for it: the rate was raised.
        raised: bool,
        /// What was published from then on waits.
        since: Timestamp,
        /// What was published later does not.
        until: Timestamp,
        /// What stands before this in the endpoint's list is on its way.
        from: Option<String>,
    },
}

/// How long after an endpoint answers again, or its rate was raised, what waits for it is looked
/// for, in seconds: until whoever has an older state of it in memory has read it anew, and what was
/// put off on that state stands in its list.
const SETTLE_S: u32 = 5;
/// How far back it is looked for what waits for a rate, in milliseconds: a day.
const RAISED_BACK_MS: u64 = 86_400_000;

impl Record {
    /// The release of what waits for an endpoint that answers again: all that was published since
    /// `since`.
    pub fn release(
        app: ApplicationId,
        ep: EndpointId,
        since: Timestamp,
        now: Timestamp,
    ) -> Outgoing {
        Self::release_from(app, Some(ep), false, (since, now))
    }

    /// The release of what waits for a rate that was raised: an endpoint's, or without one the
    /// application's.
    pub fn release_by_rate(app: ApplicationId, ep: Option<EndpointId>, now: Timestamp) -> Outgoing {
        Self::release_from(app, ep, true, (now.minus_ms(RAISED_BACK_MS), now))
    }

    fn release_from(
        app: ApplicationId,
        ep: Option<EndpointId>,
        raised: bool,
        (since, now): (Timestamp, Timestamp),
    ) -> Outgoing {
        let until = now.plus_ms(u64::from(SETTLE_S) * 1000);
        Self::Release { app, ep, raised, since, until, from: None }.outgoing(SETTLE_S)
    }

    /// The record as it goes into a queue, visible after `delay_s` seconds.
    pub fn outgoing(&self, delay_s: u32) -> Outgoing {
        Outgoing { body: self.wire(0), group: self.app().to_string(), delay_s }
    }

    /// The application that it belongs to.
    pub fn app(&self) -> ApplicationId {
        match self {
            Self::Accepted { message, .. }
            | Self::Share { message, .. }
            | Self::Outcome { message, .. } => message.app,
            Self::Retry { app, .. } | Self::Resend { app, .. } | Self::Release { app, .. } => *app,
        }
    }

    /// Reads a record's body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(body: &str) -> Result<Self, Unread> {
        parse(body).map(|(record, _)| record)
    }

    fn wire(&self, redrives: u32) -> String {
        let mut wire = Wire { v: FIRST_FORMAT, redrives, ..Wire::default() };
        match self {
            Self::Accepted { message, again } => {
                wire.kind = "accepted".into();
                wire.again = *again;
                wire.carry(message);
            }
            Self::Share { message, stretch, since, again } => {
                wire.kind = "share".into();
                wire.again = *again;
                wire.carry(message);
                wire.stretch = Some(*stretch);
                wire.since = Some(*since);
            }
            Self::Retry { app, msg, ep, attempt } => {
                wire.kind = "retry".into();
                wire.delivery = Some(DeliveryWire { app: *app, msg: *msg, ep: *ep });
                wire.attempt = Some(*attempt);
            }
            Self::Resend { app, msg, ep, attempt, again, not_before } => {
                wire.kind = "resend".into();
                wire.again = *again;
                wire.delivery = Some(DeliveryWire { app: *app, msg: *msg, ep: *ep });
                wire.resend = Some(*attempt);
                wire.not_before = *not_before;
            }
            Self::Outcome { message, attempt, outcome } => {
                wire.v = FORMAT;
                wire.kind = "outcome".into();
                wire.message = serde_json::to_value(message).ok();
                wire.made = serde_json::to_value(attempt).ok();
                wire.outcome.clone_from(outcome);
            }
            Self::Release { app, ep, raised, since, until, from } => {
                wire.kind = "release".into();
                wire.raised = *raised;
                wire.endpoint = Some(EndpointWire { app: *app, ep: *ep });
                wire.since = Some(*since);
                wire.until = Some(*until);
                wire.from.clone_from(from);
            }
        }
        escaped(serde_json::to_string(&wire).expect("checked JSON can be written"))
    }
}

/// A record from a dead-letter queue, counted once more, and how often it was counted before.
/// It may have been worked on, so it says that it comes again.
///
/// # Errors
/// When the body is not a record that this version reads.
pub fn redriven(body: &str, delay_s: u32) -> Result<(Outgoing, u32), Unread> {
    let (mut record, redrives) = parse(body)?;
    if let Record::Accepted { again, .. }
    | Record::Share { again, .. }
    | Record::Resend { again, .. } = &mut record
    {
        *again = true;
    }
    let outgoing = Outgoing {
        body: record.wire(redrives.saturating_add(1)),
        group: record.app().to_string(),
        delay_s,
    };
    Ok((outgoing, redrives))
}

#[derive(Default, Serialize, Deserialize)]
struct Wire<'a> {
    v: u8,
    kind: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    redrives: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    again: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<serde_json::Value>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stretch: Option<Stretch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryWire>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resend: Option<AttemptId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<EndpointWire>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    raised: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl<'a> Wire<'a> {
    /// Takes a message along, payload included.
    fn carry(&mut self, message: &'a Message) {
        self.message = serde_json::to_value(message).ok();
        self.payload = inline(&message.payload);
        if self.payload.is_none() {
            self.payload64 = Some(STANDARD.encode(&message.payload));
        }
    }

    /// The message that it carries, payload included.
    fn carried(&self, missing: impl Fn(&str) -> String) -> Result<Box<Message>, String> {
        let mut message =
            part::<Message>(&self.message, "message").ok_or_else(|| missing("message"))??;
        message.payload = match (self.payload, &self.payload64) {
            (Some(raw), _) => Bytes::copy_from_slice(raw.get().as_bytes()),
            (None, Some(encoded)) => {
                STANDARD.decode(encoded).map_err(|_| "its payload is not base64".to_owned())?.into()
            }
            (None, None) => return Err(missing("payload")),
        };
        Ok(Box::new(message))
    }
}

/// What tells which reader a text is for, whatever else is in it.
#[derive(Deserialize)]
struct Label {
    v: u64,
}

#[derive(Serialize, Deserialize)]
struct DeliveryWire {
    app: ApplicationId,
    msg: MessageId,
    ep: EndpointId,
}

#[derive(Serialize, Deserialize)]
struct EndpointWire {
    app: ApplicationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ep: Option<EndpointId>,
}

fn parse(body: &str) -> Result<(Record, u32), Unread> {
    let wire = read(body)?;
    let missing = |what: &str| format!("a record of kind `{}` without its {what}", wire.kind);
    let delivery = || wire.delivery.as_ref().ok_or_else(|| missing("delivery"));
    let record = match wire.kind.as_str() {
        "accepted" => Record::Accepted { message: wire.carried(missing)?, again: wire.again },
        "share" => Record::Share {
            message: wire.carried(missing)?,
            stretch: wire.stretch.ok_or_else(|| missing("stretch"))?,
            since: wire.since.ok_or_else(|| missing("since"))?,
            again: wire.again,
        },
        "retry" => {
            let DeliveryWire { app, msg, ep } = *delivery()?;
            let attempt = wire.attempt.filter(|n| *n > 0).ok_or_else(|| missing("attempt"))?;
            Record::Retry { app, msg, ep, attempt }
        }
        "resend" => {
            let DeliveryWire { app, msg, ep } = *delivery()?;
            let attempt = wire.resend.ok_or_else(|| missing("attempt"))?;
            let (again, not_before) = (wire.again, wire.not_before);
            Record::Resend { app, msg, ep, attempt, again, not_before }
        }
        "outcome" => {
            let message = part(&wire.message, "message").ok_or_else(|| missing("message"))??;
            let attempt: Attempt =
                part(&wire.made, "attempt").ok_or_else(|| missing("attempt"))??;
            let outcome = wire.outcome.clone();
            if outcome.is_none() && matches!(attempt.trigger, Trigger::Scheduled(_)) {
                return Err(missing("outcome").into());
            }
            Record::Outcome { message: Box::new(message), attempt: Box::new(attempt), outcome }
        }
        "release" => {
            let EndpointWire { app, ep } =
                *wire.endpoint.as_ref().ok_or_else(|| missing("endpoint"))?;
            let since = wire.since.ok_or_else(|| missing("since"))?;
            let until = wire.until.ok_or_else(|| missing("until"))?;
            let (raised, from) = (wire.raised, wire.from.clone());
            Record::Release { app, ep, raised, since, until, from }
        }
        // Whoever writes a new kind may keep the format.
        _ => return Err(Unread::Unknown("its `kind` is not one that this Posthorn reads".into())),
    };
    Ok((record, wire.redrives))
}

/// A record in a format that this version knows. A payload is looked through once.
fn read(body: &str) -> Result<Wire<'_>, Unread> {
    if !body.trim_start().starts_with('{') {
        return Err(Unread::Broken("not a record: not a JSON object".to_owned()));
    }
    let broken = |error| format!("not a record: {}", place_in_json(&error));
    match serde_json::from_str::<Wire<'_>>(body) {
        Ok(wire) => check_format(wire.v.into()).map(|()| wire),
        // What else a newer format holds may have any shape.
        Err(error) => {
            let label: Label = serde_json::from_str(body).map_err(broken)?;
            check_format(label.v)?;
            Err(broken(error).into())
        }
    }
}

fn check_format(format: u64) -> Result<(), Unread> {
    let reason = format!("format {format} is not one that this Posthorn reads");
    match format {
        0 => Err(Unread::Broken(reason)),
        newer if newer > u64::from(FORMAT) => Err(Unread::Unknown(reason)),
        _ => Ok(()),
    }
}

/// A part of a record that is a document of its own; `None` when it is missing.
fn part<T: DeserializeOwned>(
    value: &Option<serde_json::Value>,
    name: &str,
) -> Option<Result<T, String>> {
    let read = |value: &serde_json::Value| {
        T::deserialize(value).map_err(|error| format!("its {name}: {}", place_in_json(&error)))
    };
    value.as_ref().map(read)
}

/// The same JSON without characters that SQS refuses: they can only stand in strings, where they
/// may be escaped.
fn escaped(json: String) -> String {
    if first_forbidden(&json).is_none() {
        return json;
    }
    let mut allowed = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_allowed(c) {
            true => allowed.push(c),
            // U+FFFE and U+FFFF are all that JSON itself does not escape.
            false => allowed.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    allowed
}

/// The payload as part of the record's own JSON: exactly as it is, and without a third more
/// bytes. `None` when it is not JSON, has a character that SQS refuses, or is `null`, which a
/// reader could not tell from no payload.
fn inline(payload: &Bytes) -> Option<&RawValue> {
    let text = std::str::from_utf8(payload).ok()?;
    let untouched = text.trim() == text && text != "null" && first_forbidden(text).is_none();
    untouched.then(|| serde_json::from_str(text).ok()).flatten()
}

/// How long after `now` something is due, as a queue delay: whole seconds, rounded up so that
/// nothing comes early, and at most what SQS allows.
pub fn delay_until(at: Timestamp, now: Timestamp) -> u32 {
    let seconds = at.since(now).div_ceil(1000);
    u32::try_from(seconds).unwrap_or(u32::MAX).min(MAX_QUEUE_DELAY_S)
}
