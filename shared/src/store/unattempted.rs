//! What waits for an endpoint and had no attempt, found in the endpoint's list.
//!
//! Deliveries stand there only until their first attempt, all in the first of the places that the
//! list may have, among attempts.

use super::history::is_delivery;
use super::table::{Index, Query, prefix_range};
use super::{Deliveries, StoreError, Versioned, keys};
use crate::domain::clock::Timestamp;
use crate::domain::delivery::Delivery;
use crate::domain::id::{AttemptId, EndpointId, Ksuid};

/// A look at a stretch of an endpoint's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Pending deliveries without an attempt, in the order of the walk.
    pub deliveries: Vec<Versioned<Delivery>>,
    /// Where to go on, if there may be more.
    pub next: Option<String>,
}

impl Look {
    /// Where a look begins at what was published from `since` on.
    pub fn start(since: Timestamp) -> String {
        format!("{}{}", AttemptId::PREFIX, Ksuid::first_at(since))
    }
}

impl Deliveries {
    /// Looks through `limit` lines of an endpoint's list for what waits without having had an
    /// attempt, from `since` on, or from where another look ended, up to `until`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unattempted(
        &self,
        ep: &EndpointId,
        (since, until): (Timestamp, Timestamp),
        from: Option<String>,
        limit: usize,
    ) -> Result<Look, StoreError> {
        let from = from.unwrap_or_else(|| Look::start(since));
        let to = Look::start(until).max(from.clone());
        self.look(ep, (from, to), false, limit).await
    }

    /// What waits among the last `limit` lines of an endpoint's list, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_unattempted(
        &self,
        ep: &EndpointId,
        limit: usize,
    ) -> Result<Vec<Versioned<Delivery>>, StoreError> {
        let look = self.look(ep, prefix_range(AttemptId::PREFIX), true, limit).await?;
        Ok(look.deliveries)
    }

    async fn look(
        &self,
        ep: &EndpointId,
        (from, to): (String, String),
        descending: bool,
        limit: usize,
    ) -> Result<Look, StoreError> {
        let pk = keys::unattempted_by_time(ep);
        let query = Query { index: Index::ByTime, pk, from, to, descending, after: None, limit };
        let page = self.table.query(&query).await?;
        let mut deliveries = Vec::new();
        for item in page.items.iter().filter(|item| is_delivery(item)) {
            let delivery = Versioned::<Delivery>::read(item)?;
            if delivery.value.pending().is_some() {
                deliveries.push(delivery);
            }
        }
        // The smallest name after the one that was read last.
        let next = page.next.map(|position| format!("{} ", position.index_key.sk));
        Ok(Look { deliveries, next })
    }
}
