//! What happened: messages and attempts in order of time, applications in order of creation.
//!
//! Not guaranteed: that a list shows what was written an instant ago (DynamoDB's indexes lag).

use std::cmp::Reverse;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;

use super::pages::{self, Bounds, Listed, MAX_READS, Walk};
use super::table::{Index, Item, Query, Table, prefix_range};
use super::{PAGE, StoreError, base_query, doc, find_first, inbox, keys};
use crate::domain::application::Application;
use crate::domain::attempt::{Attempt, Trigger};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::Delivery;
use crate::domain::endpoint::Endpoint;
use crate::domain::id::{
    ApplicationId, AttemptId, EndpointId, Ksuid, MessageId, MessageKey, OrganisationId, TaskId,
};
use crate::domain::message::Message;
use crate::domain::spread::Spread;
use crate::domain::task::Task;

/// Parts of a message that are read at once.
const PARTS_AT_ONCE: usize = 16;

/// Reads messages and attempts.
#[derive(Clone)]
pub struct History {
    table: Arc<dyn Table>,
}

/// One line of an endpoint's trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// An attempt on record.
    Attempt(Attempt),
    /// A delivery before its first attempt: it waits, or ended without one.
    Unattempted(Delivery),
}

impl Trace {
    /// Its id in the list: the attempt's, or the one that stands for a delivery without any.
    pub fn id(&self) -> String {
        match self {
            Self::Attempt(attempt) => attempt.id.to_string(),
            Self::Unattempted(delivery) => keys::unattempted_name(&delivery.msg),
        }
    }

    /// The message.
    pub fn msg(&self) -> MessageId {
        match self {
            Self::Attempt(attempt) => attempt.msg,
            Self::Unattempted(delivery) => delivery.msg,
        }
    }

    /// Whether it is where a message's deliveries to the endpoint begin: the first attempt by
    /// schedule, or the delivery that has none yet. Each delivery begins once.
    pub fn begins(&self) -> bool {
        match self {
            Self::Attempt(attempt) => attempt.trigger == Trigger::Scheduled(1),
            Self::Unattempted(_) => true,
        }
    }

    /// Whether the endpoint took the message with this attempt.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Attempt(attempt) if attempt.ok)
    }
}

impl History {
    /// History in this table.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }

    /// An organisation's applications.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn applications(
        &self,
        org: &OrganisationId,
        walk: &Walk,
    ) -> Result<Listed<Application>, StoreError> {
        let places = vec![keys::applications_by_time(org)];
        self.page(places, ApplicationId::PREFIX, walk, Timestamp(0), |_: &Application| true).await
    }

    /// An organisation's endpoints that fail, newest first as `walk` says.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn failing_endpoints(
        &self,
        org: &OrganisationId,
        walk: &Walk,
    ) -> Result<Listed<Endpoint>, StoreError> {
        let places = vec![keys::failing_by_time(org)];
        self.page(places, EndpointId::PREFIX, walk, Timestamp(0), |_: &Endpoint| true).await
    }

    /// The message with this id, whichever application it is of.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn message_anywhere(
        &self,
        id: &MessageId,
        now: Timestamp,
    ) -> Result<Option<Message>, StoreError> {
        let found = inbox::find(&*self.table, &id.key(), now).await?;
        Ok(found.filter(|message| message.id == *id))
    }

    /// All that is on record of a message's way: its attempts, newest first, and the deliveries
    /// that did not succeed at once. One call, unless there are megabytes of them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn outcome_of_message(
        &self,
        msg: &MessageId,
    ) -> Result<(Vec<Attempt>, Vec<Delivery>), StoreError> {
        let (from, _) = prefix_range(keys::ATTEMPT_PREFIX);
        let (_, to) = prefix_range(keys::DELIVERY_PREFIX);
        let pk = keys::message_pk(&msg.key());
        let (items, is_all) =
            super::read_range_within(&*self.table, pk, from, to, MAX_READS).await?;
        let (mut attempts, mut deliveries) = (Vec::new(), Vec::new());
        for item in &items {
            if is_delivery(item) {
                deliveries.push(doc::decode::<Delivery>(&item.doc)?);
            } else if item.key.sk.starts_with(keys::ATTEMPT_PREFIX) {
                attempts.push(doc::decode::<Attempt>(&item.doc)?);
            }
        }
        // They stand behind the attempts, which may be very many.
        if !is_all {
            deliveries = self.deliveries_of_message(msg).await?;
        }
        attempts.retain(|attempt| attempt.msg == *msg);
        deliveries.retain(|delivery| delivery.msg == *msg);
        attempts.sort_by_key(|attempt| Reverse(attempt.id));
        Ok((attempts, deliveries))
    }

    /// An organisation's background tasks that `keep` keeps.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tasks(
        &self,
        org: &OrganisationId,
        walk: &Walk,
        now: Timestamp,
        keep: impl Fn(&Task) -> bool,
    ) -> Result<Listed<Task>, StoreError> {
        let places = vec![keys::tasks_by_time(org)];
        self.page(places, TaskId::PREFIX, walk, now, keep).await
    }

    /// An application's messages that `keep` keeps, without their payloads.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn messages(
        &self,
        app: &ApplicationId,
        spread: Spread,
        walk: &Walk,
        now: Timestamp,
        keep: impl Fn(&Message) -> bool,
    ) -> Result<Listed<Message>, StoreError> {
        let places = keys::messages_by_time(app, spread);
        self.page(places, MessageId::PREFIX, walk, now, keep).await
    }

    /// The message that the application calls `reference`: an id or an event id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn message(
        &self,
        app: &ApplicationId,
        reference: &str,
        now: Timestamp,
    ) -> Result<Option<Message>, StoreError> {
        let id = reference.parse::<MessageId>().ok();
        let key = id.map_or_else(|| MessageKey::of_event(app, reference), |id| id.key());
        let found = inbox::find(&*self.table, &key, now).await?;
        Ok(found.filter(|message| message.app == *app && id.is_none_or(|id| id == message.id)))
    }

    /// The attempt of a message with this id, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempt_of_message(
        &self,
        msg: &MessageId,
        id: &AttemptId,
    ) -> Result<Option<Attempt>, StoreError> {
        let (from, to) = prefix_range(keys::ATTEMPT_PREFIX);
        let query = base_query(keys::message_pk(&msg.key()), from, to, PAGE);
        find_first(&*self.table, query, |item| {
            let attempt: Attempt = doc::decode(&item.doc)?;
            Ok((attempt.id == *id && attempt.msg == *msg).then_some(attempt))
        })
        .await
    }

    /// The attempts to deliver a message, newest first: all of them, unless there are more than ten
    /// thousand. Then it is those that [`MAX_READS`] calls find.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempts_of_message(&self, msg: &MessageId) -> Result<Vec<Attempt>, StoreError> {
        self.attempts_in(msg, prefix_range(keys::ATTEMPT_PREFIX)).await
    }

    /// Those of them that were to reach this endpoint.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempts_of_pair(
        &self,
        msg: &MessageId,
        ep: &EndpointId,
    ) -> Result<Vec<Attempt>, StoreError> {
        self.attempts_in(msg, prefix_range(&keys::attempts_to(ep))).await
    }

    async fn attempts_in(
        &self,
        msg: &MessageId,
        (from, to): (String, String),
    ) -> Result<Vec<Attempt>, StoreError> {
        let pk = keys::message_pk(&msg.key());
        let (items, _) = super::read_range_within(&*self.table, pk, from, to, MAX_READS).await?;
        let mut attempts =
            items.iter().map(|item| doc::decode(&item.doc)).collect::<Result<Vec<Attempt>, _>>()?;
        // An earlier message of the same event may have left some that are not cleaned up yet.
        attempts.retain(|attempt| attempt.msg == *msg);
        attempts.sort_by_key(|attempt| Reverse(attempt.id));
        Ok(attempts)
    }

    /// The parts of a message that was cut; none of one that was not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn parts(
        &self,
        message: &Message,
        now: Timestamp,
    ) -> Result<Vec<Message>, StoreError> {
        let ids: Vec<MessageId> = message.part_ids().collect();
        let read =
            ids.into_iter().map(async |id| self.message(&message.app, &id.to_string(), now).await);
        let found: Vec<_> = stream::iter(read).buffered(PARTS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Where a message stands in an endpoint's trail: at the first attempt by schedule, or where
    /// it waits for that, or at the first one by hand, or where it would wait.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn place_in_trail(
        &self,
        msg: &MessageId,
        ep: &EndpointId,
    ) -> Result<String, StoreError> {
        let attempts = self.attempts_of_pair(msg, ep).await?;
        let first = attempts.iter().find(|attempt| attempt.trigger == Trigger::Scheduled(1));
        if let Some(first) = first {
            return Ok(first.id.to_string());
        }
        let deliveries = self.deliveries_of_message(msg).await?;
        let by_hand = match deliveries.iter().find(|delivery| delivery.ep == *ep) {
            Some(delivery) if delivery.is_unattempted() => None,
            _ => attempts.last(),
        };
        let unattempted = || keys::unattempted_name(msg);
        Ok(by_hand.map_or_else(unattempted, |attempt| attempt.id.to_string()))
    }

    /// How far a message is with each endpoint that did not take it at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn deliveries_of_message(
        &self,
        msg: &MessageId,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (from, to) = prefix_range(keys::DELIVERY_PREFIX);
        let items = super::read_range(&*self.table, keys::message_pk(&msg.key()), from, to).await?;
        let mut deliveries = items
            .iter()
            .map(|item| doc::decode(&item.doc))
            .collect::<Result<Vec<Delivery>, _>>()?;
        deliveries.retain(|delivery| delivery.msg == *msg);
        Ok(deliveries)
    }

    /// Attempts to reach an endpoint that `keep` keeps.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn attempts_of_endpoint(
        &self,
        ep: &EndpointId,
        spread: Spread,
        walk: &Walk,
        now: Timestamp,
        keep: impl Fn(&Attempt) -> bool,
    ) -> Result<Listed<Attempt>, StoreError> {
        let read = |item: &Item| match is_delivery(item) {
            true => Ok(None),
            false => doc::decode(&item.doc).map(Some),
        };
        let keep = |attempt: &Option<Attempt>| attempt.as_ref().is_some_and(&keep);
        let places = keys::attempts_by_time(ep, spread);
        let listed = self.page_of(places, AttemptId::PREFIX, walk, now, read, keep).await?;
        Ok(listed.map(|attempt| attempt.into_iter().collect()))
    }

    /// What an endpoint was sent or is to be sent, of which `keep` keeps: its attempts, and the
    /// deliveries that have none yet, each at the time of its message.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn trail_of_endpoint(
        &self,
        ep: &EndpointId,
        spread: Spread,
        walk: &Walk,
        now: Timestamp,
        keep: impl Fn(&Trace) -> bool,
    ) -> Result<Listed<Trace>, StoreError> {
        let read = |item: &Item| match is_delivery(item) {
            true => doc::decode(&item.doc).map(Trace::Unattempted),
            false => doc::decode(&item.doc).map(Trace::Attempt),
        };
        let places = keys::attempts_by_time(ep, spread);
        self.page_of(places, AttemptId::PREFIX, walk, now, read, keep).await
    }

    async fn page<T: DeserializeOwned>(
        &self,
        places: Vec<String>,
        prefix: &str,
        walk: &Walk,
        now: Timestamp,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Listed<T>, StoreError> {
        self.page_of(places, prefix, walk, now, |item| doc::decode(&item.doc), keep).await
    }

    async fn page_of<T>(
        &self,
        places: Vec<String>,
        prefix: &str,
        walk: &Walk,
        now: Timestamp,
        read: impl Fn(&Item) -> Result<T, StoreError>,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Listed<T>, StoreError> {
        let bounds = Bounds { bytes: usize::MAX, hides: false };
        let queries = places.into_iter().map(|pk| window(pk, prefix, walk)).collect();
        pages::fill(&*self.table, queries, walk, &bounds, id_in_index, |item| {
            if item.is_expired(now) {
                return Ok(None);
            }
            Ok(Some(read(item)?).filter(&keep))
        })
        .await
    }
}

/// Deliveries without attempts stand among the attempts.
pub(super) fn is_delivery(item: &Item) -> bool {
    item.key.sk.starts_with(keys::DELIVERY_PREFIX)
}

pub(super) fn id_in_index(item: &Item) -> Option<String> {
    item.by_time.as_ref().map(|key| key.sk.clone())
}

/// The part of the index that the walk asks for.
pub(super) fn window(pk: String, prefix: &str, walk: &Walk) -> Query {
    let first = |at: Timestamp| format!("{prefix}{}", Ksuid::first_at(at));
    let (lowest, highest) = prefix_range(prefix);
    let mut from = walk.after.map_or(lowest, first);
    // No real id is the very first of its moment, so including that one includes none.
    let mut to = walk.before.map_or(highest, first);
    let descending = walk.goes_down();
    if let Some(iterator) = &walk.iterator {
        let end = if descending { &mut to } else { &mut from };
        let further = if descending { *iterator < *end } else { *iterator > *end };
        if further {
            end.clone_from(iterator);
        }
    }
    if from > to {
        to.clone_from(&from);
    }
    let limit = walk.read_limit();
    Query { index: Index::ByTime, pk, from, to, descending, after: None, limit }
}
