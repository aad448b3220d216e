//! Many messages in one call: each is answered for itself, in order, with what a call of its own
//! would have been answered.
//!
//! All are stored side by side, then sent in tens. What was taken is taken, whatever became of the
//! others. The request's `idempotency-key` names each message by its position, so a call that is
//! repeated, after a crash half way say, brings each message once.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{Request, Response, StatusCode, header};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::api::application::ApplicationIn;
use shared::api::error::{self, ApiError, Violation};
#[cfg(feature = "description")]
use shared::api::message::MessageShape;
use shared::api::message::{self, MessageOut};
use shared::api::request;
use shared::domain::application::Application;
use shared::domain::clock::Timestamp;
use shared::domain::id::MessageKey;
use shared::domain::message::Message;
use shared::domain::profile::Profile;
use shared::domain::profile::split::{MAX_PARTS, MAX_PARTS_BYTES, Split};

use crate::caller::{Caller, Options};
use crate::recent::Turn;
use crate::take::{MAX_SHOWN_BYTES, Offered, Prepared, Unsent, busy, is_named, prepare};
use crate::{JsonSchema, Receiver};

/// Most messages of one call: ten full batches of the queue.
pub const MAX_MESSAGES: usize = 100;
/// Largest body, in bytes: a queue's batch holds as much, and its answer, payloads included, is
/// well within the 6 MB that Lambda answers with.
pub const MAX_BATCH_BODY_BYTES: usize = 1024 * 1024;
/// Messages that are stored at the same time: most of the gain, with a share of the connections.
const PARALLEL: usize = 25;

impl Receiver {
    /// Takes every message of a batch that can be taken.
    pub(crate) async fn publish_batch(
        &self,
        request: &Request<Bytes>,
        caller: &Caller,
    ) -> Result<Response<Bytes>, ApiError> {
        let bodies = read(request.body())?;
        let application = &caller.tenant.application;
        let profile = self.profiles.of(application).await?;
        let Options { with_content, hops } = Options::by(request)?;
        let now = self.ambient.now();
        let mut cut = Cut::default();
        let mut named = HashSet::new();
        let prepared = bodies.iter().enumerate().map(|(position, body)| {
            let message = self.read_one(
                body,
                application,
                caller.request.as_deref(),
                position,
                &profile,
                now,
            )?;
            if is_named(&message) && !named.insert(message.id.key()) {
                return Err(twice());
            }
            cut.prepare(Message { hops, ..message }, &profile)
        });
        let prepared: Vec<_> = prepared.collect();
        let _turns = self.turns(&prepared).await?;
        let offered = self.offer_all(prepared).await;
        Ok(answer(self.send_all(offered).await, with_content))
    }

    /// The message at this position, as a call of its own would make it of this body.
    fn read_one(
        &self,
        body: &Bytes,
        application: &Application,
        request: Option<&str>,
        position: usize,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Message, ApiError> {
        let new = message::publish(body, profile.envelope.is_some(), now)?;
        // No header has a line break, so a call of its own has no such name.
        let request = request.map(|name| format!("{name}\n{position}"));
        Ok(self.message(new, application, request.as_deref()))
    }

    /// A turn for each name. All batches ask in the same order, so none waits for one that waits
    /// for it.
    async fn turns(&self, prepared: &[Result<Prepared, ApiError>]) -> Result<Vec<Turn>, ApiError> {
        let messages = prepared.iter().flatten().map(|prepared| &prepared.message);
        let keys: BTreeMap<String, MessageKey> = messages
            .filter(|message| is_named(message))
            .map(|message| (message.id.key().to_string(), message.id.key()))
            .collect();
        let mut turns = Vec::with_capacity(keys.len());
        for key in keys.into_values() {
            turns.push(self.recent.turn(key).await.ok_or_else(busy)?);
        }
        Ok(turns)
    }

    async fn offer_all(
        &self,
        prepared: Vec<Result<Prepared, ApiError>>,
    ) -> Vec<Result<Offered, ApiError>> {
        let offers = prepared.into_iter().map(|prepared| async {
            match prepared {
                Ok(prepared) => self.offer(prepared).await,
                Err(error) => Err(error),
            }
        });
        stream::iter(offers).buffered(PARALLEL).collect().await
    }

    /// Sends what is left to send of all of them; each one's answer, now that it is sent.
    async fn send_all(
        &self,
        offered: Vec<Result<Offered, ApiError>>,
    ) -> Vec<Result<Message, ApiError>> {
        let (mut unsent, mut answers) = (Vec::<Unsent>::new(), Vec::with_capacity(offered.len()));
        for offered in offered {
            let (own, answer) = match offered {
                Ok(Offered { unsent, answer }) => (unsent, answer),
                Err(error) => (Vec::new(), Err(error)),
            };
            answers.push((own.len(), answer));
            unsent.extend(own);
        }
        let mut sent = self.send(unsent).await.into_iter();
        let answers = answers.into_iter().map(|(count, answer)| {
            // One of several parts that is not in the queue is enough. All of them are taken off.
            let sent: Result<Vec<()>, _> =
                sent.by_ref().take(count).collect::<Vec<_>>().into_iter().collect();
            sent.map_err(ApiError::from).and(answer)
        });
        answers.collect()
    }
}

/// The parts of events that are cut: a batch becomes as many as one event may.
#[derive(Default)]
struct Cut {
    parts: usize,
    bytes: usize,
    full: bool,
}

impl Cut {
    fn prepare(&mut self, message: Message, profile: &Profile) -> Result<Prepared, ApiError> {
        let is_cut = |split: &Split| split.types.contains(&message.event_type);
        // Once there is no room, no other one is even cut.
        if self.full && profile.split.as_ref().is_some_and(is_cut) {
            return Err(too_many_parts());
        }
        let prepared = prepare(message, profile)?;
        let Some(parts) = &prepared.parts else { return Ok(prepared) };
        self.parts += parts.len();
        self.bytes += parts.iter().map(Bytes::len).sum::<usize>();
        self.full = self.parts > MAX_PARTS || self.bytes > MAX_PARTS_BYTES;
        match self.full {
            true => Err(too_many_parts()),
            false => Ok(prepared),
        }
    }
}

/// Refuses a body of more than [`MAX_BATCH_BODY_BYTES`].
///
/// # Errors
/// 413.
pub(crate) fn check_size(bytes: usize) -> Result<(), ApiError> {
    if bytes > MAX_BATCH_BODY_BYTES {
        return Err(ApiError::too_large(format!(
            "The body has {bytes} bytes; the limit of a batch is {MAX_BATCH_BODY_BYTES}: publish \
             several."
        )));
    }
    Ok(())
}

/// The bodies of the messages.
///
/// # Errors
/// 422 when the body is not a batch of 1 to [`MAX_MESSAGES`].
pub(crate) fn read(body: &Bytes) -> Result<Vec<Bytes>, ApiError> {
    let explain = || request::explain::<BatchShape>(body);
    if !request::is_object(body) {
        return Err(explain());
    }
    let read: BatchIn<'_> = serde_json::from_slice(body).map_err(|_| explain())?;
    let Bodies(bodies) = read.messages;
    if !(1..=MAX_MESSAGES).contains(&bodies.len()) {
        let rule = format!("must be 1 to {MAX_MESSAGES}");
        return Err(Violation::body("messages", rule).into());
    }
    let slice = |raw: &RawValue| body.slice_ref(raw.get().as_bytes());
    Ok(bodies.into_iter().map(slice).collect())
}

#[derive(Deserialize)]
struct BatchIn<'a> {
    #[serde(borrow)]
    messages: Bodies<'a>,
}

/// The first messages of a list: one more than a batch may have tells that it has too many.
struct Bodies<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Bodies<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut bodies = Vec::new();
                while bodies.len() <= MAX_MESSAGES {
                    let Some(body) = list.next_element()? else { return Ok(bodies) };
                    bodies.push(body);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(bodies)
            }
        }
        deserializer.deserialize_seq(List).map(Bodies)
    }
}

/// Events that are published in one call.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "MessageBatchIn")]
#[expect(dead_code, reason = "only its shape matters")]
pub(crate) struct BatchShape {
    /// Each is taken for itself.
    #[schemars(with = "Vec<MessageShape>", length(min = 1, max = MAX_MESSAGES))]
    messages: Vec<IgnoredAny>,
    /// Created on the way, if the path names none. That of a message does not matter.
    #[serde(default, deserialize_with = "request::inner_or_null")]
    application: Option<ApplicationIn>,
}

/// What became of a batch.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageBatchOut")]
pub(crate) struct BatchOut {
    /// How many were not taken.
    failed: usize,
    /// One for each message, in order.
    results: Vec<ResultOut>,
}

/// What became of one message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageBatchResult")]
struct ResultOut {
    /// The status that a call of its own would have been answered with: 202 when it is stored and
    /// will be delivered.
    status: u16,
    /// The message, if it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageOut>,
    /// Why it was not, as the body that a call of its own would have been answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    error: Option<Box<RawValue>>,
}

/// The answer to a batch. Where nothing was taken and all of it may be in a moment, it says so with
/// its own status, as to a single message.
fn answer(answers: Vec<Result<Message, ApiError>>, with_content: bool) -> Response<Bytes> {
    let mut room = MAX_SHOWN_BYTES;
    let (mut results, mut after) = (Vec::with_capacity(answers.len()), None);
    for answer in answers {
        results.push(match answer {
            Ok(message) => {
                let fits = with_content && message.payload.len() <= room;
                room -= if fits { message.payload.len() } else { 0 };
                let message = MessageOut::of(message, fits);
                ResultOut {
                    status: StatusCode::ACCEPTED.as_u16(),
                    message: Some(message),
                    error: None,
                }
            }
            Err(error) => {
                let response = error.into_response();
                after = after.max(response.headers().get(header::RETRY_AFTER).cloned());
                refused(&response)
            }
        });
    }
    let failed = results.iter().filter(|result| result.message.is_none()).count();
    let is_passing = |result: &ResultOut| result.status >= 500 || result.status == 429;
    let status = match results.first() {
        Some(first) if results.iter().all(is_passing) => first.status,
        _ => StatusCode::ACCEPTED.as_u16(),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = error::json(status, &BatchOut { failed, results });
    if let Some(after) = after {
        response.headers_mut().insert(header::RETRY_AFTER, after);
    }
    response
}

fn refused(response: &Response<Bytes>) -> ResultOut {
    let body = String::from_utf8_lossy(response.body()).into_owned();
    let error = RawValue::from_string(body).ok();
    ResultOut { status: response.status().as_u16(), message: None, error }
}

/// The answer to a name that the batch has twice.
fn twice() -> ApiError {
    ApiError::conflict("Another message of this batch has the same eventId.")
}

fn too_many_parts() -> ApiError {
    ApiError::too_large(format!(
        "The events of this batch would be delivered in more than {MAX_PARTS} parts, or in parts \
         of more than {MAX_PARTS_BYTES} bytes together: publish this one in a call of its own."
    ))
}
