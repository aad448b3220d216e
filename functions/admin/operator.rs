//! What an operator looks after: records that nobody could process.

use crate::JsonSchema;
#[cfg(feature = "description")]
use description::Moment;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::queue::record::{Record, redriven};
use shared::queue::send_one;

use crate::{Answer, Call};

/// Most parked records that are shown at once.
const MAX_SHOWN: usize = 250;

/// A parked record as the operator sees it: without its text, which may hold a payload.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ParkedOut {
    id: String,
    queue: String,
    reason: String,
    #[schemars(with = "Moment")]
    timestamp: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ParkedList {
    data: Vec<ParkedOut>,
}

impl Call<'_> {
    pub(crate) async fn list_parked(&self) -> Answer {
        self.require_operator()?;
        let parked = self.admin.parking.list(MAX_SHOWN).await?;
        let data = parked.into_iter().map(|parked| ParkedOut {
            id: parked.id,
            queue: parked.queue,
            reason: parked.reason,
            timestamp: parked.at.to_rfc3339(),
        });
        Ok(error::json(StatusCode::OK, &ParkedList { data: data.collect() }))
    }

    /// Sends a parked record back to the queue where its kind belongs.
    pub(crate) async fn redrive_parked(&self, id: &str) -> Answer {
        self.require_operator()?;
        let parked = self.admin.parking.find(id).await?.ok_or_else(ApiError::not_found)?;
        let unreadable = |reason| ApiError::bad_request("unreadable", reason);
        let (outgoing, _) = redriven(&parked.body, 0).map_err(unreadable)?;
        let queue = match Record::parse(&parked.body).map_err(unreadable)? {
            Record::Accepted { .. } => &self.admin.deliveries,
            Record::Retry { .. } | Record::Resend { .. } => &self.admin.retries,
        };
        send_one(&**queue, outgoing).await?;
        self.admin.parking.remove(&parked).await?;
        Ok(error::json(StatusCode::ACCEPTED, &serde_json::Map::new()))
    }

    /// Queues are shared, so what was taken out of them may belong to anybody: only the
    /// deployment's own organisation may look at it.
    fn require_operator(&self) -> Result<(), ApiError> {
        self.require_organisation()?;
        match self.access.organisation() == self.admin.operator {
            true => Ok(()),
            false => Err(ApiError::forbidden()),
        }
    }
}
