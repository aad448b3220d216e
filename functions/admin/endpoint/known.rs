//! Event types that an endpoint chooses must be there (Svix): a typing error would otherwise be
//! an endpoint that never hears of anything.
//!
//! Known is what the organisation described and what the endpoint's profile brings along.
//! Publishing an event that nobody described is allowed all the same.

use std::collections::BTreeMap;

use shared::api::error::{ApiError, Violation};
use shared::domain::endpoint::Endpoint;
use shared::domain::event_type::EventType;
use shared::domain::notice;
use shared::domain::token::Access;
use shared::store::Tenant;

use crate::Call;

/// Up to so many names are looked up one by one; for more, all event types are read.
const FEW: usize = 10;

/// 422 at the field if somebody who is to get notices chooses channels: notices come by none, so
/// none would come.
pub(super) fn check_channels(
    tenant: &Tenant,
    channels: Option<&Vec<String>>,
) -> Result<(), ApiError> {
    match channels {
        Some(_) if tenant.application.operational => {
            let rule = "must be null or left out: operational webhooks come by no channel";
            Err(Violation::body("channels", rule).into())
        }
        _ => Ok(()),
    }
}

impl Call<'_> {
    /// 422 at the field if any of these is no event type, and was not chosen before.
    pub(super) async fn check_known(
        &self,
        tenant: &Tenant,
        (field, chosen): (&str, Option<&Vec<String>>),
        profile: Option<&String>,
        old: Option<&Endpoint>,
    ) -> Result<(), ApiError> {
        let kept = old.and_then(|endpoint| endpoint.event_types.as_ref());
        let is_kept = |name: &&String| kept.is_some_and(|kept| kept.contains(name));
        let mut new: Vec<&String> =
            chosen.into_iter().flatten().filter(|name| !is_kept(name)).collect();
        if new.is_empty() {
            return Ok(());
        }
        // What we have to tell ourselves is in nobody's catalogue.
        if tenant.application.operational {
            new.retain(|name| !notice::TYPES.contains(&name.as_str()));
            let Some(name) = new.first() else { return Ok(()) };
            let there = notice::TYPES.join(", ");
            let rule = format!("must name what there are notices of, and not `{name}`: {there}");
            return Err(Violation::body(field, rule).into());
        }
        let profile = self.effective_profile(&tenant.application, profile).await?;
        let (_, events) = self.profile_and_events(&profile.name).await?;
        let (org, catalogue) = (tenant.application.org, &self.admin.catalogue);
        // What a visitor may not know of is not there for it, even if its profile has it.
        let is_there = |name: &String, described: Option<&EventType>| match described {
            Some(described) => described.is_for(self.flags()),
            None => events.iter().any(|event| event.event_type == *name),
        };
        if new.len() > FEW {
            let all = catalogue.all(&org).await?;
            let described: BTreeMap<_, _> = all.iter().map(|it| (&it.name, it)).collect();
            new.retain(|name| !is_there(name, described.get(name).copied()));
        } else {
            let mut unknown = Vec::new();
            for name in new {
                if !is_there(name, catalogue.find(&org, name).await?.as_ref()) {
                    unknown.push(name);
                }
            }
            new = unknown;
        }
        let Some(name) = new.first() else { return Ok(()) };
        let remedy = match self.access {
            Access::Organisation(_) => "describe it first, with POST /api/v1/event-type",
            Access::Application(..) => "GET /api/v1/event-type lists them",
        };
        let rule = format!("must name existing event types, and `{name}` is not one: {remedy}");
        Err(Violation::body(field, rule).into())
    }
}
