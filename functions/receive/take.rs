//! Taking messages: first the store, then the queue; or one message in one step, where there is an
//! [intake](shared::work::Intake).
//!
//! [`Receiver::offer`] does all there is to do in the store and says what is left to send;
//! [`Receiver::send`] sends it. So one call that brings many messages writes them side by side,
//! and sends them in tens.

use bytes::Bytes;
use http::Response;
use shared::api::error::{self, ApiError, Later};
use shared::api::message::{self, MessageOut};
use shared::domain::application::Application;
use shared::domain::clock::Timestamp;
use shared::domain::delivery::SECOND_COPY_DELAY_S;
use shared::domain::id::MessageId;
use shared::domain::message::Message;
use shared::domain::metrics::Metric;
use shared::domain::profile::Profile;
use shared::domain::profile::split::{MAX_PARTS, MAX_PARTS_BYTES, TooMuch};
use shared::queue::{Outgoing, QueueError, record::Record, send_all};
use shared::store::{Accepted, Edited, Limit, StoreError};
use tracing::field::display;
use tracing::{Span, debug, info};

use crate::Receiver;

/// Largest payload that is shown to its publisher, in bytes: Lambda answers with 6,291,556 bytes at
/// the most, in which every quotation mark of the answer counts twice.
pub(crate) const MAX_SHOWN_BYTES: usize = 2 * 1024 * 1024;

/// A message whose size is checked, and the payloads that it is cut into, if it is.
pub(crate) struct Prepared {
    pub(crate) message: Message,
    pub(crate) parts: Option<Vec<Bytes>>,
}

/// What a message came to in the store.
pub(crate) struct Offered {
    /// What is to be sent before the answer holds.
    pub(crate) unsent: Vec<Unsent>,
    /// The answer then: what is shown to the publisher.
    pub(crate) answer: Result<Message, ApiError>,
}

/// A message on its way to the queue.
pub(crate) struct Unsent {
    id: MessageId,
    at: Timestamp,
    /// It may be there already.
    again: bool,
    record: Record,
}

impl Unsent {
    fn new(message: Message, again: bool) -> Self {
        let (id, at) = (message.id, message.at);
        Self { id, at, again, record: Record::Accepted { message: Box::new(message), again } }
    }

    /// From now on it says that it may be there already.
    fn come_again(&mut self) {
        self.again = true;
        if let Record::Accepted { again, .. } = &mut self.record {
            *again = true;
        }
    }
}

impl Receiver {
    /// Takes a message, once those of the same name before it are through.
    pub(crate) async fn take(
        &self,
        message: Message,
        profile: &Profile,
        with_content: bool,
    ) -> Result<Response<Bytes>, ApiError> {
        let prepared = prepare(message, profile)?;
        let _turn = match is_named(&prepared.message) {
            true => Some(self.recent.turn(prepared.message.id.key()).await.ok_or_else(busy)?),
            false => None,
        };
        let Offered { unsent, answer } = self.offer_at_once(prepared).await?;
        let told = match unsent.as_slice() {
            [only] => Some(only.id),
            _ => answer.as_ref().ok().map(|message| message.id),
        };
        if let Some(id) = told {
            Span::current().record("message.id", display(id));
        }
        for sent in self.send(unsent).await {
            sent?;
        }
        Ok(show(answer?, with_content))
    }

    /// Stores a message, or its parts.
    pub(crate) async fn offer(&self, prepared: Prepared) -> Result<Offered, ApiError> {
        let Prepared { message, parts } = prepared;
        if let Some(parts) = parts {
            return self.offer_parts(message, parts).await;
        }
        match self.accept(&message).await? {
            Accepted::New => {
                self.metrics.count(Metric::Accepted);
                Ok(Offered { answer: Ok(message.clone()), unsent: to_send(message, false) })
            }
            Accepted::Existing(first) => self.repeat(*first, &message).await,
        }
    }

    /// The same for a message alone: where there is an intake, and it is neither cut nor to wait,
    /// it is sent as well.
    async fn offer_at_once(&self, prepared: Prepared) -> Result<Offered, ApiError> {
        let Prepared { message, parts } = &prepared;
        let Some(intake) = self.intake.as_ref().filter(|_| parts.is_none()) else {
            return self.offer(prepared).await;
        };
        let unsent = to_send(message.clone(), false);
        let [only] = unsent.as_slice() else { return self.offer(prepared).await };
        let make = |write| intake.write_and_send(write, self.outgoing(only));
        match self.inbox.accept_by(message, make).await? {
            Accepted::New => {
                self.metrics.count(Metric::Accepted);
                self.note_sent(only);
                Ok(Offered { unsent: Vec::new(), answer: Ok(prepared.message) })
            }
            Accepted::Existing(first) => self.repeat(*first, message).await,
        }
    }

    /// Stores a message if its place is free. Where the list of its application's messages takes no
    /// more, that is spread wider first.
    pub(crate) async fn accept(&self, message: &Message) -> Result<Accepted, ApiError> {
        let error = match self.inbox.accept(message).await {
            Err(error @ StoreError::Throttled { limit: Limit::List, .. }) => error,
            accepted => return Ok(accepted?),
        };
        let wider = message.spread.wider();
        let widen = |application: &mut Application| {
            application.spread = application.spread.max(wider);
        };
        let widened = self.editor.edit_application(&message.app, self.ambient.now(), widen).await?;
        let Edited::Done((Application { spread, .. }, ())) = widened else {
            return Err(error.into());
        };
        if spread == message.spread {
            return Err(error.into());
        }
        info!(app = %message.app, places = u8::from(spread), "its messages are spread wider");
        let accepted = self.inbox.accept(&Message { spread, ..message.clone() }).await?;
        // Nobody else has its place: an earlier try that got no answer stored it.
        let is_ours = accepted != Accepted::New && !is_named(message);
        Ok(if is_ours { Accepted::New } else { accepted })
    }

    /// The place of the message is taken: by an earlier try of the same request, or by another
    /// event of the same name.
    pub(crate) async fn repeat(
        &self,
        first: Message,
        message: &Message,
    ) -> Result<Offered, ApiError> {
        let answer = match is_repeated(&first, message) {
            true => Ok(first.clone()),
            false => Err(taken()),
        };
        let unsent = self.unfinished(first).await?;
        if unsent.is_empty() {
            self.metrics.count(Metric::Duplicates);
        }
        Ok(Offered { unsent, answer })
    }

    /// What is left to send of what an earlier try stored, as it may have died before it did so
    /// itself. What was cut is not sent itself, what waits for its time not from here, and of
    /// what was expunged there is nothing to send.
    pub(crate) async fn unfinished(&self, stored: Message) -> Result<Vec<Unsent>, ApiError> {
        let is_never_sent = stored.parts > 0 || stored.deliver_at.is_some() || stored.expunged;
        if is_never_sent
            || self.recent.contains(&stored.id)
            || self.inbox.has_outcome(&stored).await?
        {
            return Ok(Vec::new());
        }
        Ok(to_send(stored, true))
    }

    /// Sends messages in as few calls as may be; for each, in order, whether it is in the queue.
    /// Those of which the queue does not say so are sent once more.
    pub(crate) async fn send(&self, mut unsent: Vec<Unsent>) -> Vec<Result<(), QueueError>> {
        let outgoing = unsent.iter().map(|unsent| self.outgoing(unsent)).collect();
        let mut sent = send_all(&*self.deliveries, outgoing).await;
        let lost = |sent: &Result<(), QueueError>| matches!(sent, Err(QueueError::Unavailable(_)));
        let lost: Vec<usize> = (0..sent.len()).filter(|place| lost(&sent[*place])).collect();
        let once_more = lost.iter().map(|place| {
            unsent[*place].come_again();
            self.outgoing(&unsent[*place])
        });
        let once_more = once_more.collect();
        for (place, result) in lost.into_iter().zip(send_all(&*self.deliveries, once_more).await) {
            sent[place] = result;
        }
        for (unsent, _) in unsent.iter().zip(&sent).filter(|(_, sent)| sent.is_ok()) {
            self.note_sent(unsent);
        }
        sent
    }

    fn note_sent(&self, sent: &Unsent) {
        self.recent.remember(sent.id);
        debug!(message.id = %sent.id, sent.again, "accepted");
    }

    /// A second copy waits until whoever has the first one is done with it: a first attempt takes
    /// no lease, so while it is under way there is nothing to see of it. Whoever has one of an
    /// earlier process's is dead.
    fn outgoing(&self, unsent: &Unsent) -> Outgoing {
        let is_left_over = self.settings.alone_since.is_some_and(|since| unsent.at < since);
        let delay_s = if unsent.again && !is_left_over { SECOND_COPY_DELAY_S } else { 0 };
        unsent.record.outgoing(delay_s)
    }
}

/// Checks the size of a message, and cuts it if its profile says so.
///
/// # Errors
/// 413.
pub(crate) fn prepare(message: Message, profile: &Profile) -> Result<Prepared, ApiError> {
    let split = profile.split.as_ref().filter(|_| message.content_type.is_none());
    let parts = split.map(|split| split.parts(&message.event_type, &message.payload));
    let parts = parts.transpose().map_err(too_much)?.flatten();
    match &parts {
        Some(parts) => parts.iter().try_for_each(|part| message::check_payload(part.len()))?,
        None => message::check_payload(message.payload.len())?,
    }
    Ok(Prepared { message, parts })
}

/// What the sweep puts in the queue when its time has come is not sent from here.
pub(crate) fn to_send(message: Message, again: bool) -> Vec<Unsent> {
    match message.deliver_at {
        Some(_) => Vec::new(),
        None => vec![Unsent::new(message, again)],
    }
}

/// Whether another request may be about the same message.
pub(crate) fn is_named(message: &Message) -> bool {
    message.event_id.is_some() || message.request.is_some()
}

/// Whether a message comes of the request that the first one in its place came of.
pub(crate) fn is_repeated(first: &Message, message: &Message) -> bool {
    message.request.is_some() && first.request == message.request
}

/// The answer to another event of the same name.
pub(crate) fn taken() -> ApiError {
    ApiError::conflict(
        "A message with this eventId exists in this application. It was accepted before and is \
         not sent a second time.",
    )
}

/// The answer while another request publishes under the same name for too long.
pub(crate) fn busy() -> ApiError {
    ApiError::Later(Later::Contended)
}

/// The answer to an event that would become too many.
pub(crate) fn too_much(_: TooMuch) -> ApiError {
    ApiError::too_large(format!(
        "The event would be delivered in more than {MAX_PARTS} parts, or in parts of more than \
         {MAX_PARTS_BYTES} bytes together: publish several."
    ))
}

/// The answer to a message that was taken. Without its content, or where Lambda could not answer
/// with so much, the payload is `{}`.
fn show(message: Message, with_content: bool) -> Response<Bytes> {
    let with_content = with_content && message.payload.len() <= MAX_SHOWN_BYTES;
    error::json(http::StatusCode::ACCEPTED, &MessageOut::of(message, with_content))
}
