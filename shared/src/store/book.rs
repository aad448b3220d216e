//! Finding a profile by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::application::Application;
use crate::domain::clock::Clock;
use crate::domain::endpoint::Endpoint;
use crate::domain::id::OrganisationId;
use crate::domain::profile::Profile;
use crate::domain::profile::catalogue::CatalogueEvent;
use crate::store::cache::Cache;
use crate::store::{ProfileStore, StoreError};

/// The profile of an application that names none, in a deployment that names none.
pub const DEFAULT_PROFILE: &str = "svix";
/// How long a process keeps a stored profile, in milliseconds.
pub const PROFILE_TTL_MS: u64 = 60_000;
/// Most stored profiles that a process keeps.
const MAX_KEPT: usize = 1000;

/// The rules of every built-in profile, by name: `shared/profiles/*.toml` as JSON.
const RULES: &str = include_str!(concat!(env!("OUT_DIR"), "/profile-rules.json"));
/// The events of every built-in profile, by name.
const EVENTS: &str = include_str!(concat!(env!("OUT_DIR"), "/profile-events.json"));

/// All profiles that a process knows or can read. Clones share what was read.
#[derive(Clone)]
pub struct Profiles {
    known: Arc<BTreeMap<String, Arc<Profile>>>,
    file_events: Arc<BTreeMap<String, Vec<CatalogueEvent>>>,
    default: String,
    stored: Option<Stored>,
}

/// Profiles that organisations stored.
#[derive(Clone)]
struct Stored {
    store: ProfileStore,
    /// What was read. That nobody has a name is not remembered: it may be stored at any moment.
    recent: Cache<(OrganisationId, String), Arc<Profile>>,
}

impl Profiles {
    /// The built-in ones.
    pub fn built_in() -> Self {
        let known: BTreeMap<String, Arc<Profile>> =
            serde_json::from_str(RULES).expect("the tests read every built-in profile");
        Self {
            known: Arc::new(known),
            file_events: Arc::default(),
            default: DEFAULT_PROFILE.to_owned(),
            stored: None,
        }
    }

    /// These and more; one of the same name takes the place of a built-in one.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = (Profile, Vec<CatalogueEvent>)>) -> Self {
        let known = Arc::make_mut(&mut self.known);
        let events = Arc::make_mut(&mut self.file_events);
        for (profile, of_profile) in more {
            events.insert(profile.name.clone(), of_profile);
            known.insert(profile.name.clone(), Arc::new(profile));
        }
        self
    }

    /// Reads those that it does not know from the store, and keeps them for
    /// [`PROFILE_TTL_MS`].
    #[must_use]
    pub fn stored_in(mut self, store: ProfileStore, clock: Arc<dyn Clock>) -> Self {
        self.stored = Some(Stored { store, recent: Cache::new(clock, PROFILE_TTL_MS, MAX_KEPT) });
        self
    }

    /// What applications get that name none.
    #[must_use]
    pub fn by_default(mut self, name: Option<String>) -> Self {
        self.default = name.unwrap_or(self.default);
        self
    }

    /// What applications get that name none, by name.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// The profiles that every process of this kind knows, by name.
    pub fn known(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.known.values()
    }

    /// The events of one of those; none for others.
    pub fn events(&self, name: &str) -> Vec<CatalogueEvent> {
        match self.file_events.get(name) {
            Some(events) => events.clone(),
            None => built_in_events(name),
        }
    }

    /// Whether it is one of those.
    pub fn is_known(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// The profile that an organisation calls by this name.
    ///
    /// # Errors
    /// When it has to be read and the store fails.
    pub async fn named(
        &self,
        org: &OrganisationId,
        name: &str,
    ) -> Result<Option<Arc<Profile>>, StoreError> {
        if let Some(known) = self.known.get(name) {
            return Ok(Some(known.clone()));
        }
        let Some(stored) = &self.stored else { return Ok(None) };
        stored.read(org, name).await
    }

    /// The profile that this application names, or the default.
    ///
    /// # Errors
    /// When it has to be read and the store fails, and when nobody has a profile of this name:
    /// to go on without would send something else than was asked for.
    pub async fn of(&self, application: &Application) -> Result<Arc<Profile>, StoreError> {
        let name = application.profile_name().unwrap_or(&self.default);
        self.must(&application.org, name).await
    }

    /// The profile that holds for this endpoint: its own, or its application's.
    ///
    /// # Errors
    /// As [`Profiles::of`].
    pub async fn of_endpoint(
        &self,
        application: &Application,
        endpoint: &Endpoint,
    ) -> Result<Arc<Profile>, StoreError> {
        match &endpoint.profile {
            Some(name) => self.must(&application.org, name).await,
            None => self.of(application).await,
        }
    }

    async fn must(&self, org: &OrganisationId, name: &str) -> Result<Arc<Profile>, StoreError> {
        let found = self.named(org, name).await?;
        found.ok_or_else(|| StoreError::NoProfile(name.to_owned()))
    }
}

impl Stored {
    async fn read(
        &self,
        org: &OrganisationId,
        name: &str,
    ) -> Result<Option<Arc<Profile>>, StoreError> {
        let read = async { Ok(self.store.profile(org, name).await?.map(Arc::new)) };
        self.recent.get_or_find((*org, name.to_owned()), read).await
    }
}

/// The events of a built-in profile. Only who calls this carries the catalogue in its binary.
fn built_in_events(name: &str) -> Vec<CatalogueEvent> {
    let mut all: BTreeMap<String, Vec<CatalogueEvent>> =
        serde_json::from_str(EVENTS).expect("the tests read every built-in profile");
    all.remove(name).unwrap_or_default()
}
