//! What a page about one endpoint shows, with one answer: the endpoint, how it is doing, and its
//! latest deliveries. Asked for one by one these read the application three times and the attempts
//! twice.

use crate::JsonSchema;
use http::StatusCode;
use serde::Serialize;
use shared::api::error::{self, ApiError};
use shared::domain::endpoint::Endpoint;
use shared::store::{Listed, Tenant, Trace, Walk};

use crate::delivery::DeliveryOut;
use crate::endpoint::EndpointOut;
use crate::health::{BEGINNING, EndpointHealth, Latest};
use crate::message::Filter;
use crate::page::{self, Page};
use crate::{Answer, Call};

/// Traces whose messages are listed.
const LISTED: usize = BEGINNING;

/// An endpoint, how it is doing, and what it was last sent.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EndpointOverview {
    endpoint: EndpointOut,
    health: EndpointHealth,
    /// As `GET .../delivery?endpoint_id=...&limit=8` has them, which goes on from the iterator.
    deliveries: Page<DeliveryOut>,
}

impl Call<'_> {
    pub(crate) async fn endpoint_overview(&self, app: &str, ep: &str) -> Answer {
        let (tenant, endpoint) = self.endpoint(app, ep).await?;
        let latest = self.latest_of_one(&tenant, &endpoint).await?;
        let (health, deliveries) = tokio::try_join!(
            self.health_and_next_try(&endpoint, &latest),
            self.latest_deliveries(&tenant, &endpoint, &latest),
        )?;
        let endpoint = EndpointOut::from(endpoint);
        Ok(error::json(StatusCode::OK, &EndpointOverview { endpoint, health, deliveries }))
    }

    /// The beginning of the endpoint's list of deliveries. Where enough was read for its health,
    /// that is not read again.
    async fn latest_deliveries(
        &self,
        tenant: &Tenant,
        endpoint: &Endpoint,
        latest: &Latest,
    ) -> Result<Page<DeliveryOut>, ApiError> {
        let Listed { items, iterator, prev, done } = match latest.beginning.get(..=LISTED) {
            Some(known) => beginning(&known[..LISTED]),
            None => {
                let walk = Walk { descending: true, ..Walk::onward(LISTED, None) };
                let (ep, spread) = (&endpoint.id, endpoint.spread);
                let now = self.admin.ambient.now();
                self.admin.history.trail_of_endpoint(ep, spread, &walk, now, |_| true).await?
            }
        };
        let items = self.newest_of_each(tenant, &items, &Filter::default()).await?;
        Ok(page::of(Listed { items, iterator, prev, done }))
    }
}

/// The first page of a list that goes on after these.
fn beginning(traces: &[Trace]) -> Listed<Trace> {
    let (prev, iterator) = (traces.first().map(Trace::id), traces.last().map(Trace::id));
    Listed { items: traces.to_vec(), iterator, prev, done: false }
}
