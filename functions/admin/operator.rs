//! What an operator looks after: records that nobody could process.

use std::str::FromStr;

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use futures_util::stream::{self, StreamExt};
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::queue::record::{Record, redriven};
use shared::queue::send_one;
use shared::store::{HeldRecord, Listed};

use crate::{Answer, Call, page};

/// A parked record as the operator sees it: without its text, which may hold a payload.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ParkedOut {
    id: String,
    queue: String,
    reason: String,
    #[schemars(with = "Moment")]
    timestamp: String,
}

/// What became of many parked records.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RedrivenOut {
    /// How many are in their queues again.
    redriven: usize,
    /// The ids of those that do not read, and stay.
    unreadable: Vec<String>,
    /// Where to go on, with the query parameter of this name.
    iterator: Option<String>,
    /// There are no more.
    done: bool,
}

impl From<HeldRecord> for ParkedOut {
    fn from(held: HeldRecord) -> Self {
        Self {
            id: held.id,
            queue: held.parked.queue,
            reason: held.parked.reason,
            timestamp: held.parked.at.to_rfc3339(),
        }
    }
}

impl Call<'_> {
    pub(crate) async fn list_parked(&self) -> Answer {
        Ok(page::respond(self.parked().await?, ParkedOut::from))
    }

    /// Sends a parked record back to the queue where its kind belongs.
    pub(crate) async fn redrive_parked(&self, id: &str) -> Answer {
        self.require_operator()?;
        match self.redrive(id).await? {
            Redriven::Sent => Ok(error::json(StatusCode::ACCEPTED, &serde_json::Map::new())),
            Redriven::Unreadable(why) => Err(ApiError::bad_request("unreadable", why)),
            Redriven::Gone => Err(ApiError::not_found()),
        }
    }

    /// Sends a page of parked records back.
    pub(crate) async fn redrive_all_parked(&self) -> Answer {
        let listed = self.parked().await?;
        let mut redrives = stream::iter(listed.items)
            .map(|held| async move { (self.redrive(&held.id).await, held.id) })
            .buffered(page::AT_ONCE);
        let (iterator, done) = (listed.iterator, listed.done);
        let mut out = RedrivenOut { redriven: 0, unreadable: Vec::new(), iterator, done };
        while let Some((redriven, id)) = redrives.next().await {
            match redriven? {
                Redriven::Sent => out.redriven += 1,
                Redriven::Unreadable(_) => out.unreadable.push(id),
                Redriven::Gone => {}
            }
        }
        Ok(error::json(StatusCode::OK, &out))
    }

    async fn redrive(&self, id: &str) -> Result<Redriven, ApiError> {
        let found = self.admin.parking.find(id, self.admin.ambient.now()).await?;
        let Some(held) = found else { return Ok(Redriven::Gone) };
        let read = redriven(&held.parked.body, 0)
            .and_then(|(outgoing, _)| Ok((Record::parse(&held.parked.body)?, outgoing)));
        let (record, outgoing) = match read {
            Ok(read) => read,
            Err(why) => return Ok(Redriven::Unreadable(why.reason().to_owned())),
        };
        let queue = match record {
            Record::Accepted { .. } => &self.admin.queues.deliveries,
            Record::Share { .. }
            | Record::Retry { .. }
            | Record::Resend { .. }
            | Record::Outcome { .. }
            | Record::Release { .. } => &self.admin.queues.retries,
        };
        send_one(&**queue, outgoing).await?;
        self.admin.parking.remove(&held).await?;
        Ok(Redriven::Sent)
    }

    /// A page of what is parked.
    async fn parked(&self) -> Result<Listed<HeldRecord>, ApiError> {
        self.require_operator()?;
        let walk = page::walk::<Position>(self.request, true)?;
        let parked = self.admin.parking.list(&walk, self.admin.ambient.now()).await?;
        Ok(page::cut(&walk, parked, |held| held.position.clone()))
    }

    /// Queues are shared, so what was taken out of them may belong to anybody: only the
    /// deployment's own organisation may look at it.
    pub(crate) fn require_operator(&self) -> Result<(), ApiError> {
        match self.access.organisation() == self.admin.settings.operator {
            true => Ok(()),
            false => Err(ApiError::forbidden()),
        }
    }
}

enum Redriven {
    Sent,
    /// It stays; the sentence says what is wrong.
    Unreadable(String),
    Gone,
}

/// A place in the list of parked records: the time, and what it is about.
struct Position;

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let time = text.split_once('.').map(|(time, _)| time);
        let reads = time.is_some_and(|time| time.bytes().all(|byte| byte.is_ascii_digit()));
        reads.then_some(Self).ok_or(())
    }
}
