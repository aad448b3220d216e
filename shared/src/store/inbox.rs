//! Accepting a message: the one write that makes an event ours.
//!
//! The put is conditional on the place being free. The place is random, or a hash of the name
//! that the publisher gave (see [`MessageKey`](crate::domain::id::MessageKey)), so the duplicate check
//! costs nothing.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::scheduled::waiting_item;
use super::table::{Condition, Item, Table, Transacted, Write, Written, prefix_range};
use super::{StoreError, base_query, doc, find_first, keys};
use crate::domain::attempt::Trigger;
use crate::domain::clock::Timestamp;
use crate::domain::id::{MessageId, MessageKey};
use crate::domain::message::{MAX_PAYLOAD_BYTES, Message};

/// Attempts and deliveries of a place that are looked at in one go.
const LOOKED_AT: usize = 8;

/// Accepts messages.
#[derive(Clone)]
pub struct Inbox {
    table: Arc<dyn Table>,
    compress: bool,
}

/// What became of a message that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored.
    New,
    /// Its place was taken by this one.
    Existing(Box<Message>),
}

impl Inbox {
    /// An inbox that deflates payloads where that makes them smaller: DynamoDB bills by the
    /// kilobyte.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table, compress: true }
    }

    /// An inbox that stores payloads as they are: where bytes are cheaper than cycles.
    pub fn uncompressed(table: Arc<dyn Table>) -> Self {
        Self { table, compress: false }
    }

    /// Stores the message if its place is free.
    ///
    /// # Errors
    /// When the store fails; the message may or may not be stored then.
    pub async fn accept(&self, message: &Message) -> Result<Accepted, StoreError> {
        match message.deliver_at {
            Some(at) => self.accept_scheduled(message, at).await,
            None => self.accept_by(message, |write| self.table.write(write)).await,
        }
    }

    /// Stores a message that waits for nothing by way of `make`, which makes this one write.
    ///
    /// # Errors
    /// When the write fails; the message may or may not be stored then.
    pub async fn accept_by<F>(
        &self,
        message: &Message,
        make: impl FnOnce(Write) -> F,
    ) -> Result<Accepted, StoreError>
    where
        F: Future<Output = Result<Written, StoreError>>,
    {
        let item = message_item(message, self.compress)?;
        match make(Write::Put(item, Condition::AbsentAt(message.at))).await? {
            Written::Done => Ok(Accepted::New),
            Written::Lost(Some(item)) => Ok(Accepted::Existing(Box::new(read_message(&item)?))),
            // The item in the way was deleted between the check and the answer.
            Written::Lost(None) => Err(StoreError::Unavailable("the place is in flux".into())),
        }
    }

    /// Stores a message together with what makes it wait.
    async fn accept_scheduled(
        &self,
        message: &Message,
        at: Timestamp,
    ) -> Result<Accepted, StoreError> {
        let item = message_item(message, self.compress)?;
        let (key, free) = (item.key.clone(), Condition::AbsentAt(message.at));
        let waiting = Write::Put(waiting_item(message, at)?, Condition::Always);
        match self.table.transact(vec![Write::Put(item, free), waiting]).await? {
            Transacted::Done => Ok(Accepted::New),
            Transacted::Lost(_) => match self.table.get(&key).await? {
                Some(item) => Ok(Accepted::Existing(Box::new(read_message(&item)?))),
                None => Err(StoreError::Unavailable("the place is in flux".into())),
            },
        }
    }

    /// Whether any attempt or delivery is on record that came of this message by itself, so that it
    /// was in the queue. Those that somebody asked for do not count: they came of what was stored.
    /// Neither do those of an earlier message of the same event, which are past their retention
    /// and not cleaned up yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_outcome(&self, message: &Message) -> Result<bool, StoreError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outcome {
            msg: MessageId,
            // An attempt's; no delivery has it.
            turn: Option<Trigger>,
            #[serde(default)]
            by_hand: bool,
        }
        let (from, _) = prefix_range(keys::ATTEMPT_PREFIX);
        let (_, to) = prefix_range(keys::DELIVERY_PREFIX);
        let pk = keys::message_pk(&message.id.key());
        // As a rule the first one is of this message: there may be ten thousand behind it.
        let found = find_first(&*self.table, base_query(pk, from, to, LOOKED_AT), |item| {
            let outcome: Outcome = doc::decode(&item.doc)?;
            let by_itself = !outcome.by_hand && !matches!(outcome.turn, Some(Trigger::Manual(_)));
            Ok((outcome.msg == message.id && by_itself).then_some(()))
        });
        Ok(found.await?.is_some())
    }
}

/// A stored message, payload included.
pub(super) fn read_message(item: &Item) -> Result<Message, StoreError> {
    let mut message: Message = doc::decode(&item.doc)?;
    if let Some(body) = &item.body {
        message.payload = unpack(body, MAX_PAYLOAD_BYTES)?;
    }
    Ok(message)
}

/// The message in this place, payload included, unless its time is over.
pub(super) async fn find(
    table: &dyn Table,
    place: &MessageKey,
    now: Timestamp,
) -> Result<Option<Message>, StoreError> {
    let item = table.get(&keys::message(place)).await?.filter(|item| !item.is_expired(now));
    item.as_ref().map(read_message).transpose()
}

pub(super) fn message_item(message: &Message, compress: bool) -> Result<Item, StoreError> {
    Ok(Item {
        key: keys::message(&message.id.key()),
        by_time: Some(keys::message_time(&message.app, message.spread, &message.id)),
        due: None,
        expires_at: Some(message.expires_at),
        rev: 1,
        doc: doc::encode(message)?,
        body: Some(pack(&message.payload, compress)),
    })
}

/// How the rest of a stored payload is to be read: its first byte.
const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;
/// Level 3 of 10: most of the gain for a fraction of the time.
const DEFLATE_LEVEL: u8 = 3;

/// These bytes as they are stored.
pub(super) fn pack(payload: &[u8], compress: bool) -> Bytes {
    if compress {
        let deflated = compress_to_vec(payload, DEFLATE_LEVEL);
        if deflated.len() < payload.len() {
            return tagged(DEFLATED, &deflated);
        }
    }
    tagged(PLAIN, payload)
}

fn tagged(tag: u8, bytes: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(bytes.len() + 1);
    out.push(tag);
    out.extend_from_slice(bytes);
    out.into()
}

/// The bytes that were stored, at most `limit` of them.
pub(super) fn unpack(body: &Bytes, limit: usize) -> Result<Bytes, StoreError> {
    let corrupt = |why: &str| StoreError::Corrupt(format!("stored bytes: {why}"));
    match body.first() {
        Some(&PLAIN) => Ok(body.slice(1..)),
        Some(&DEFLATED) => decompress_to_vec_with_limit(&body[1..], limit)
            .map(Bytes::from)
            .map_err(|_| corrupt("it does not inflate")),
        _ => Err(corrupt("it begins with an unknown byte")),
    }
}
