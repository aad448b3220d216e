//! Profiles: read, stored, and what they ask of applications and endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::JsonSchema;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::api::application::check_profiles;
use shared::api::error::{self, ApiError};
use shared::api::patch::Field;
use shared::api::request;
use shared::api::rules::Rules;
use shared::domain::application::{Application, Metadata};
use shared::domain::event_type::{EventType, Schemas};
use shared::domain::json::Verbatim;
use shared::domain::profile::catalogue::CatalogueEvent;
use shared::domain::profile::{self, Profile};
use shared::store::{StoreError, StoredProfile, Tenant};
use url::Url;

use crate::event_type::refusal;
use crate::{Answer, Call};

/// Most stored profiles that are listed.
const MAX_LISTED: usize = 250;

#[derive(Serialize, JsonSchema)]
pub(crate) struct ProfileOut {
    #[serde(flatten)]
    profile: Profile,
    events: Vec<CatalogueEvent>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ProfileList {
    data: Vec<ProfileListed>,
}

/// A profile without its events.
#[derive(Serialize, JsonSchema)]
struct ProfileListed {
    #[serde(flatten)]
    profile: Profile,
    /// Whether it was stored: such a one can be replaced, one that comes with Posthorn cannot.
    own: bool,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ProfileIn {
    /// The file's text.
    #[schemars(length(max = MAX_TOML))]
    toml: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantIn {
    event_types: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantOut {
    event_types: Vec<String>,
}

/// What was loaded.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ProfileLoadOut")]
pub(crate) struct LoadOut {
    event_types: Vec<String>,
}

/// Longest profile, in characters: ten times the largest that comes with Posthorn. Reading TOML
/// takes a hundred times its size.
const MAX_TOML: usize = 128 * 1024;

impl Call<'_> {
    pub(crate) async fn list_profiles(&self) -> Answer {
        let mut by_name: BTreeMap<String, ProfileListed> = BTreeMap::new();
        let mut add = |profile: Profile, own| {
            by_name.insert(profile.name.clone(), ProfileListed { profile, own });
        };
        for stored in self.admin.profile_store.list(&self.access.organisation(), MAX_LISTED).await?
        {
            add(stored, true);
        }
        for known in self.admin.profiles.known() {
            add(Profile::clone(known), false);
        }
        Ok(error::json(StatusCode::OK, &ProfileList { data: by_name.into_values().collect() }))
    }

    pub(crate) async fn get_profile(&self, name: &str) -> Answer {
        let (profile, events) = self.profile_and_events(name).await?;
        Ok(error::json(StatusCode::OK, &ProfileOut { profile, events }))
    }

    /// The rules that hold for an application, for its customer as well: the portal shows what can
    /// be chosen.
    pub(crate) async fn application_profile(&self, app: &str) -> Answer {
        let tenant = self.tenant(app).await?;
        let profile = self.effective_profile(&tenant.application, None).await?;
        let (profile, mut events) = self.profile_and_events(&profile.name).await?;
        if self.flags().is_some() {
            let all = self.admin.catalogue.all(&tenant.application.org).await?;
            let hidden = all.iter().filter(|described| !described.is_for(self.flags()));
            let hidden: BTreeSet<&String> = hidden.map(|described| &described.name).collect();
            events.retain(|event| !hidden.contains(&event.event_type));
        }
        Ok(error::json(StatusCode::OK, &ProfileOut { profile, events }))
    }

    /// Stores a profile that is not part of the binary, in place of one of the same name. There
    /// is no way to take one away: deliveries that follow it could not go out.
    pub(crate) async fn put_profile(&self, name: &str) -> Answer {
        let input: ProfileIn = request::body(self.request)?;
        let mut rules = Rules::default();
        rules.text("toml", &input.toml, MAX_TOML);
        rules.check()?;
        let mut rules = Rules::default();
        let read = profile::file::parse("toml", &input.toml);
        let file = match read.and_then(|file| check_events(&file.events).map(|()| file)) {
            Ok(file) => Some(file),
            Err(reason) => {
                rules.broken("toml", reason);
                None
            }
        };
        if self.admin.profiles.is_known(name) {
            rules.broken("toml", format!("`{name}` comes with Posthorn: choose another name"));
        } else if let Some(file) = &file
            && file.profile.name != name
        {
            rules.broken("toml", format!("its name must be that of the path, `{name}`"));
        }
        rules.check()?;
        let file = file.ok_or_else(|| ApiError::Internal("a rule without a sentence".into()))?;
        let stored = StoredProfile { profile: file.profile, events: file.events };
        let org = self.access.organisation();
        let listeners = self.listeners_if(stored.profile.deprecated.is_some()).await?;
        let now = self.admin.ambient.now();
        self.admin.profile_store.put(&org, &stored, now, &listeners).await?;
        let StoredProfile { profile, events } = stored;
        Ok(error::json(StatusCode::OK, &ProfileOut { profile, events }))
    }

    /// Loads a profile's events into the organisation's event types.
    pub(crate) async fn load_profile(&self, name: &str) -> Answer {
        let (profile, events) = self.profile_and_events(name).await?;
        let org = self.access.organisation();
        let (now, nobody) = (self.admin.ambient.now(), self.admin.notices.nobody());
        for event in &events {
            let schemas = schemas(event).map_err(|error| ApiError::Internal(error.to_string()))?;
            let change = |old: Option<EventType>| {
                let mut new = old.unwrap_or_else(|| EventType::new(org, &event.event_type, now));
                new.description.clone_from(&event.description);
                new.archived = false;
                new.schemas = Some(schemas.clone());
                new.group_name = Some(profile.name.clone());
                new.updated_at = now;
                Ok::<_, ApiError>(Some(new))
            };
            self.admin.catalogue.edit(&org, &event.event_type, now, &nobody, change).await??;
        }
        let event_types = events.into_iter().map(|event| event.event_type).collect();
        Ok(error::json(StatusCode::OK, &LoadOut { event_types }))
    }

    /// What needs a grant by the profile of an application, or by one that an endpoint has of its
    /// own.
    async fn opt_in(&self, tenant: &Tenant) -> Result<BTreeSet<String>, ApiError> {
        let profile = self.admin.profiles.of(&tenant.application).await?;
        let mut opt_in: BTreeSet<String> = profile.opt_in.iter().cloned().collect();
        for endpoint in tenant.endpoints.iter().filter(|endpoint| endpoint.profile.is_some()) {
            let own = self.admin.profiles.of_endpoint(&tenant.application, endpoint).await?;
            opt_in.extend(own.opt_in.iter().cloned());
        }
        Ok(opt_in)
    }

    /// Grants opt-in event types to an application, in place of those it had.
    pub(crate) async fn grant_event_types(&self, app: &str) -> Answer {
        let tenant = self.whole_tenant(app).await?;
        let input: GrantIn = request::body(self.request)?;
        let opt_in = self.opt_in(&tenant).await?;
        let mut rules = Rules::default();
        for (position, name) in input.event_types.iter().enumerate() {
            if !opt_in.contains(name) {
                let known: Vec<&str> = opt_in.iter().map(String::as_str).collect();
                let known = known.join(", ");
                rules.broken(
                    &format!("eventTypes.{position}"),
                    format!("`{name}` needs no grant in this application: only [{known}] do"),
                );
            }
        }
        rules.check()?;
        let now = self.admin.ambient.now();
        let edited = self
            .admin
            .editor
            .edit_application(&tenant.application.id, now, |application| {
                application.granted.clone_from(&input.event_types);
                application.updated_at = now;
            })
            .await?;
        let (application, ()) = edited.done().ok_or_else(ApiError::not_found)?;
        Ok(error::json(StatusCode::OK, &GrantOut { event_types: application.granted }))
    }

    /// A profile and the events that it brings along.
    pub(crate) async fn profile_and_events(
        &self,
        name: &str,
    ) -> Result<(Profile, Vec<CatalogueEvent>), ApiError> {
        if let Some(known) = self.admin.profiles.known().find(|known| known.name == name) {
            let events = self.admin.profiles.events(name);
            return Ok((Profile::clone(known), events));
        }
        let stored = self.admin.profile_store.whole(&self.access.organisation(), name).await?;
        let stored = stored.ok_or_else(ApiError::not_found)?;
        Ok((stored.profile, stored.events))
    }

    /// Refuses the name of a profile that nobody has, in the field or in the metadata.
    pub(crate) async fn check_profile(
        &self,
        field: &Field<String>,
        metadata: Option<&Metadata>,
    ) -> Result<(), ApiError> {
        let mut rules = Rules::default();
        let org = self.access.organisation();
        check_profiles(&self.admin.profiles, &org, field, metadata, &mut rules).await?;
        rules.check()
    }

    /// The profile that holds for an endpoint which names this one or none.
    pub(crate) async fn effective_profile(
        &self,
        application: &Application,
        own: Option<&String>,
    ) -> Result<Arc<Profile>, ApiError> {
        match own {
            Some(name) => {
                let named = self.admin.profiles.named(&self.access.organisation(), name).await?;
                named.ok_or_else(|| StoreError::NoProfile(name.clone()).into())
            }
            None => Ok(self.admin.profiles.of(application).await?),
        }
    }
}

/// Whether event types can be made of the events of a profile.
///
/// # Errors
/// Which one cannot be, and why.
pub fn check_events(events: &[CatalogueEvent]) -> Result<(), String> {
    events.iter().try_for_each(|event| {
        let wrong = |why: String| format!("event `{}`: {why}", event.event_type);
        let schemas = schemas(event).map_err(|error| wrong(error.to_string()))?;
        refusal(&event.description, Some(&schemas)).map_or(Ok(()), |why| Err(wrong(why)))
    })
}

fn schemas(event: &CatalogueEvent) -> Result<Schemas, serde_json::Error> {
    Ok(Schemas::from([("1".to_owned(), schema_with_example(event)?)]))
}

/// The schema with the example where JSON Schema has examples, which is where we look for one.
fn schema_with_example(event: &CatalogueEvent) -> Result<Verbatim, serde_json::Error> {
    let schema = event.schema.as_str();
    let Ok(mut fields) = serde_json::from_str::<BTreeMap<String, Verbatim>>(schema) else {
        return serde_json::from_str(schema);
    };
    let example = serde_json::from_str(&format!("[{}]", event.example.as_str()));
    fields.insert("examples".to_owned(), example?);
    Ok(Verbatim::of(&fields))
}

/// Whether a profile's endpoints may have this URL: `https://` where it says so, but for
/// addresses of the machine itself where the deployment allows those.
pub(crate) fn check_https(rules: &mut Rules, profile: &Profile, url: &str, loopback: bool) {
    let Ok(url) = Url::parse(url) else { return };
    let is_local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if profile.endpoints.https_only && url.scheme() != "https" && !(loopback && is_local) {
        rules.broken("url", format!("must be https:// in the profile `{}`", profile.name));
    }
}
