//! Clearance: whether a first attempt may go ahead, and under which lease.

use shared::domain::attempt::{Delivery, Progress, Turn};
use shared::domain::endpoint::Endpoint;
use shared::domain::message::Message;
use shared::store::{Claimed, Consequence, Leased};

use crate::attempt::Verdict;
use crate::policy::Policy;
use crate::{Dispatcher, Job, OnRecord, Receipt, Undone};

/// Whether an attempt may be made.
pub(crate) enum Clearance {
    /// Go ahead, under this lease if there is one.
    Go(Option<Box<Leased>>),
    /// Nothing is left to do.
    Done,
}

impl Dispatcher {
    /// The first attempt to bring a message to an endpoint.
    pub(crate) async fn first(
        &self,
        job: &Job,
        message: &Message,
        endpoint: &Endpoint,
        policy: &Policy,
        on_record: OnRecord<'_>,
    ) -> Result<(), Undone> {
        let _slot = self.slot().await?;
        self.check_time(job, policy)?;
        // One that may be a repetition was counted when it came first.
        if on_record.is_none() && self.put_off(message, policy).await? {
            return Ok(());
        }
        match self.clear_first(message, endpoint, policy, on_record).await? {
            Clearance::Done => Ok(()),
            Clearance::Go(held) => {
                self.attempt(message, endpoint, policy, 1, held.as_deref()).await
            }
        }
    }

    /// Refuses a record that somebody else may still be working on: whoever received it first
    /// has as long as a lease lasts, and SQS remembers when that was.
    pub(crate) fn check_first_receive(&self, receipt: &Receipt) -> Result<(), Undone> {
        let since = self.parts.ambient.now().since(receipt.first_received_at);
        if receipt.receive_count > 1 && since < self.parts.settings.lease_ms {
            return Err(Undone::Busy);
        }
        Ok(())
    }

    /// Whether the first attempt has a moment of its own, which is still to come.
    fn is_put_off(&self, delivery: &Delivery) -> bool {
        delivery.next_at > self.parts.ambient.now()
    }

    async fn clear_first(
        &self,
        message: &Message,
        endpoint: &Endpoint,
        policy: &Policy,
        on_record: OnRecord<'_>,
    ) -> Result<Clearance, Undone> {
        let Some(snapshot) = on_record else {
            if !self.parts.settings.always_lease {
                return Ok(Clearance::Go(None));
            }
            return self.lease_first(message, endpoint).await;
        };
        match snapshot.delivery(&endpoint.id) {
            // It succeeded at once.
            None if snapshot.was_attempted(&endpoint.id) => {
                self.found_done();
                Ok(Clearance::Done)
            }
            None => self.lease_first_checked(message, endpoint, policy).await,
            Some(found) if found.delivery.progress != Progress::Pending => {
                self.found_done();
                Ok(Clearance::Done)
            }
            Some(found) if found.delivery.attempts > 0 || self.is_put_off(&found.delivery) => {
                // It is on record; whether what comes next is on its way is not.
                self.found_done();
                self.follow_up(&found.delivery).await?;
                Ok(Clearance::Done)
            }
            Some(found) => {
                let leased = self.take_over(found).await?;
                self.settle_or_go(message, endpoint, policy, leased).await
            }
        }
    }

    async fn lease_first_checked(
        &self,
        message: &Message,
        endpoint: &Endpoint,
        policy: &Policy,
    ) -> Result<Clearance, Undone> {
        match self.lease_first(message, endpoint).await? {
            Clearance::Go(Some(leased)) => {
                self.settle_or_go(message, endpoint, policy, *leased).await
            }
            other => Ok(other),
        }
    }

    async fn lease_first(
        &self,
        message: &Message,
        endpoint: &Endpoint,
    ) -> Result<Clearance, Undone> {
        let now = self.parts.ambient.now();
        let until = now.plus_ms(self.parts.settings.lease_ms);
        match self.parts.deliveries.lease_first(message, &endpoint.id, now, until).await? {
            Claimed::Mine(leased) => Ok(Clearance::Go(Some(Box::new(leased)))),
            Claimed::Theirs => Err(Undone::Busy),
        }
    }

    /// Leases a delivery whose next attempt nobody is busy with.
    pub(crate) async fn take_over(&self, found: &Leased) -> Result<Leased, Undone> {
        let now = self.parts.ambient.now();
        if found.delivery.is_leased(now) {
            return Err(Undone::Busy);
        }
        let until = now.plus_ms(self.parts.settings.lease_ms);
        match self.parts.deliveries.lease(found, until).await? {
            Claimed::Mine(leased) => Ok(leased),
            Claimed::Theirs => Err(Undone::Busy),
        }
    }

    /// A first attempt that went ahead without a lease leaves no trace before it is recorded.
    /// So whoever leases attempt 1 afterwards looks once more, and brings the delivery in line
    /// with what is there.
    pub(crate) async fn settle_or_go(
        &self,
        message: &Message,
        endpoint: &Endpoint,
        policy: &Policy,
        leased: Leased,
    ) -> Result<Clearance, Undone> {
        let turn = Turn::Scheduled(1);
        let recorded = self.parts.deliveries.attempt(&message.id, &endpoint.id, turn).await?;
        let Some(attempt) = recorded else { return Ok(Clearance::Go(Some(Box::new(leased)))) };
        let consequence = self.consequence(policy, &Verdict::of(attempt), 1);
        if let Claimed::Mine(settled) = self.parts.deliveries.settle(&leased, &consequence).await? {
            if consequence == Consequence::Failed {
                self.was_given_up(&message.id, &endpoint.id, "the attempt is on record");
            }
            self.follow_up(&settled.delivery).await?;
        }
        self.found_done();
        Ok(Clearance::Done)
    }
}
