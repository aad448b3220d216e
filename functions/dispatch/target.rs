//! Whom a message goes to: one endpoint, and the settings that hold for this delivery.

use std::sync::Arc;

use shared::domain::application::Application;
use shared::domain::endpoint::Endpoint;
use shared::domain::id::EndpointId;
use shared::domain::message::Message;
use shared::store::{StoreError, Tenant};

use crate::Context;
use crate::job::{Job, NotDone};
use crate::policy::{self, Policy};

/// One message for one endpoint.
pub(crate) struct Target {
    pub(crate) message: Arc<Message>,
    pub(crate) policy: Policy,
    /// The application as it was when this was made.
    tenant: Arc<Tenant>,
    /// Which of its endpoints.
    position: usize,
}

impl Target {
    /// Every endpoint that wants the message and that nothing keeps it from; and why it is not known
    /// of some, whose profile is missing. That is nothing to the others.
    pub(crate) async fn all(
        context: &Context,
        tenant: &Arc<Tenant>,
        message: &Arc<Message>,
    ) -> Result<(Vec<Self>, Option<StoreError>), StoreError> {
        let (mut targets, mut unresolved) = (Vec::new(), None);
        for (position, endpoint) in tenant.endpoints.iter().enumerate() {
            if endpoint.wants(&message.event_type, &message.channels) {
                match Self::at(context, tenant, position, message).await {
                    Ok(target) if target.barred().is_none() => targets.push(target),
                    Ok(_) => {}
                    Err(error @ StoreError::NoProfile(_)) => unresolved = Some(error),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok((targets, unresolved))
    }

    /// The endpoint with this id, whether it wants the message or not. `None` when there is none.
    pub(crate) async fn one(
        context: &Context,
        tenant: &Arc<Tenant>,
        ep: EndpointId,
        message: Message,
    ) -> Result<Option<Self>, StoreError> {
        let position = tenant.endpoints.iter().position(|endpoint| endpoint.id == ep);
        let Some(position) = position else { return Ok(None) };
        Self::at(context, tenant, position, &Arc::new(message)).await.map(Some)
    }

    /// The same as it is by now. `None` when the message is not for this endpoint any more.
    pub(crate) async fn by_now(&self, job: &Job) -> Result<Option<Self>, NotDone> {
        let (message, ep) = (&self.message, self.endpoint().id);
        // Read once for all that wait, where that is possible.
        let whole = match self.tenant.is_whole {
            true => job.tenant(message.app).await?.filter(|tenant| tenant.is_whole),
            false => None,
        };
        let tenant = match whole {
            Some(tenant) => Some(tenant),
            None => job.tenant_with(message.app, ep).await?,
        };
        let Some(tenant) = tenant else { return Ok(None) };
        let wants = |endpoint: &Endpoint| endpoint.wants(&message.event_type, &message.channels);
        let position = tenant.endpoints.iter().position(|it| it.id == ep && wants(it));
        let Some(position) = position else { return Ok(None) };
        let target = Self::at(&job.context, &tenant, position, message).await?;
        Ok(Some(target).filter(|target| target.barred().is_none()))
    }

    async fn at(
        context: &Context,
        tenant: &Arc<Tenant>,
        position: usize,
        message: &Arc<Message>,
    ) -> Result<Self, StoreError> {
        let endpoint = &tenant.endpoints[position];
        let policy = policy::resolve(&context.parts, tenant, endpoint, &message.event_type).await?;
        Ok(Self { message: message.clone(), policy, tenant: tenant.clone(), position })
    }

    /// The endpoint, as it was then.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.tenant.endpoints[self.position]
    }

    /// The application, with those of its endpoints that were read, as they were then.
    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Whose it is.
    pub(crate) fn application(&self) -> &Application {
        &self.tenant.application
    }

    /// Why the profile keeps the message from the endpoint, if it does.
    pub(crate) fn barred(&self) -> Option<&'static str> {
        self.policy.profile.barred(self.application(), self.endpoint(), &self.message)
    }
}
