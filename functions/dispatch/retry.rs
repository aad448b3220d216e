//! Later attempts: those that have come due, and those that somebody asked for.

use std::sync::Arc;

use shared::domain::attempt::{Progress, Turn};
use shared::domain::endpoint::Endpoint;
use shared::domain::id::{ApplicationId, AttemptId, EndpointId, MessageId};
use shared::domain::notice::Trigger;
use shared::store::Tenant;

use crate::clearance::Clearance;
use crate::{Dispatcher, Job, Undone};

impl Dispatcher {
    /// A retry that has come due.
    pub(crate) async fn retry(
        &self,
        job: &Job,
        app: ApplicationId,
        msg: MessageId,
        ep: EndpointId,
        number: u32,
    ) -> Result<(), Undone> {
        let _slot = self.slot().await?;
        let deliveries = &self.parts.deliveries;
        let Some(found) = deliveries.delivery(&msg, &ep).await? else { return Ok(()) };
        if found.delivery.attempts >= number || found.delivery.progress != Progress::Pending {
            self.found_done();
        }
        if found.delivery.progress != Progress::Pending {
            return Ok(());
        }
        if found.delivery.attempts + 1 != number {
            // It was made. If this record comes again, whoever made it may have died before
            // sending the next one on its way.
            if job.received.receive_count > 1 && found.delivery.attempts >= number {
                self.follow_up(&found.delivery).await?;
            }
            return Ok(());
        }
        // Before anything else: an attempt that is under way may succeed, so nobody gives up.
        if found.delivery.is_leased(self.parts.ambient.now()) {
            return Err(Undone::Busy);
        }
        let tenant = self.tenant(job, app).await?;
        let (tenant, endpoint) = match endpoint_of(tenant.as_ref(), ep) {
            Some((tenant, endpoint)) if !endpoint.disabled => (tenant, endpoint),
            Some(_) => return self.give_up(&found, "the endpoint is disabled").await,
            None => return self.give_up(&found, "the endpoint was deleted").await,
        };
        let Some(message) = deliveries.message(&msg, self.parts.ambient.now()).await? else {
            return self.give_up(&found, "the message is past its retention").await;
        };
        let policy = self.policy(tenant, endpoint, &message.event_type).await?;
        // A replay opens deliveries by the endpoint's filters alone, and a grant may have ended.
        if let Some(reason) = policy.barred(endpoint, &message) {
            return self.give_up(&found, reason).await;
        }
        self.check_time(job, &policy)?;
        let leased = self.take_over(&found).await?;
        if number > 1 {
            // The first was counted before it was put off.
            self.throttle.take(&policy.rates, self.parts.ambient.now());
        }
        let clearance = match number {
            1 => self.settle_or_go(&message, endpoint, &policy, leased).await?,
            _ => Clearance::Go(Some(Box::new(leased))),
        };
        match clearance {
            Clearance::Done => Ok(()),
            Clearance::Go(held) => {
                self.attempt(&message, endpoint, &policy, number, held.as_deref()).await
            }
        }
    }

    /// An attempt that somebody asked for. It goes out whatever the endpoint's filters say,
    /// but not to a disabled endpoint, nor past what the profile forbids.
    pub(crate) async fn resend(
        &self,
        job: &Job,
        app: ApplicationId,
        msg: MessageId,
        ep: EndpointId,
        id: AttemptId,
        again: bool,
    ) -> Result<(), Undone> {
        let _slot = self.slot().await?;
        let turn = Turn::Manual(id);
        let deliveries = &self.parts.deliveries;
        self.check_first_receive(&job.received)?;
        let repeated = again || job.received.receive_count > 1;
        if repeated && deliveries.attempt(&msg, &ep, turn).await?.is_some() {
            self.found_done();
            return Ok(());
        }
        let tenant = self.tenant(job, app).await?;
        let Some((tenant, endpoint)) = endpoint_of(tenant.as_ref(), ep) else {
            return Ok(());
        };
        if endpoint.disabled {
            return Ok(());
        }
        let Some(message) = deliveries.message(&msg, self.parts.ambient.now()).await? else {
            return Ok(());
        };
        if message.parts > 0 {
            // Its parts are what is sent.
            return Ok(());
        }
        let policy = self.policy(tenant, endpoint, &message.event_type).await?;
        if policy.barred(endpoint, &message).is_some() {
            return Ok(());
        }
        self.check_time(job, &policy)?;
        let (attempt, verdict) = self.send(&message, endpoint, &policy, id, turn).await?;
        let recorded = deliveries.record_manual(&attempt, &message).await?;
        self.tell(&attempt, &message, &recorded, None);
        if verdict.gone {
            self.disable(endpoint, policy.application(), Trigger::Automatic(attempt.at)).await?;
        } else if attempt.ok {
            self.note_success(endpoint).await?;
        }
        Ok(())
    }
}

fn endpoint_of(tenant: Option<&Arc<Tenant>>, ep: EndpointId) -> Option<(&Arc<Tenant>, &Endpoint)> {
    let tenant = tenant?;
    let endpoint = tenant.endpoints.iter().find(|endpoint| endpoint.id == ep)?;
    Some((tenant, endpoint))
}
