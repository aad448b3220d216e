//! Applications and their endpoints: read by everyone, changed by admin.
//!
//! A reader may keep what it read for a while. Receive does, for [`APPLICATION_TTL_MS`]: a deleted
//! application that is still accepted from for half a minute does no harm, since nobody else gets
//! its name so soon. Dispatch on Lambda does not: an endpoint that was created before a message must
//! get it.
//!
//! An application of more than [`NARROW`] endpoints is wide. It may have thousands, so readers say
//! which of them they need: of a wide one they get those, read one by one or page by page.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::seen::Seen;
use super::table::{Item, Key, Query, Table, prefix_range};
use super::{StoreError, base_query, doc, keys, read_range};
use crate::domain::application::Application;
use crate::domain::clock::Clock;
use crate::domain::endpoint::{Endpoint, NARROW, Stretch};
use crate::domain::id::{ApplicationId, EndpointId, OrganisationId};

/// How long the receive function on Lambda keeps an application that it read, in milliseconds.
pub const APPLICATION_TTL_MS: u64 = 30_000;
/// How long the name of one that was deleted or renamed rests there, in milliseconds: longer by the
/// time that a deletion of the admin function takes at the most.
pub const NAME_REST_MS: u64 = APPLICATION_TTL_MS + 15_000;
/// Most applications that a reader keeps.
const MAX_KEPT: usize = 10_000;
/// Most wide ones that it keeps with all of their endpoints: about 15 MB each.
const MAX_WIDE_KEPT: usize = 16;

/// Endpoints from which on those that are needed are read one by one: so many, of half a kilobyte
/// each, are five read units, as an application and four endpoints are. A batch has up to ten.
const LARGE: usize = 40;

/// One in so many endpoints may have changed for those to be read again one by one, in a call each;
/// otherwise all are, in one.
const ALONE: usize = 4;

/// Processes that may create endpoints of one application at the same time.
const PROCESSES: usize = 16;

/// Reads applications and endpoints.
#[derive(Clone)]
pub struct Directory {
    table: Arc<dyn Table>,
    kept: Option<Cached>,
    narrow: usize,
    wide: Seen,
    large: Seen,
}

/// An application with those of its endpoints that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The application.
    pub application: Application,
    /// Its endpoints in order of creation, disabled ones included. Shared with the same tenant as it
    /// was before one of them changed.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Whether these are all of its endpoints.
    pub is_whole: bool,
}

impl Tenant {
    /// The endpoint with this id or uid.
    pub fn endpoint(&self, reference: &str) -> Option<&Endpoint> {
        match reference.parse() {
            Ok(id) => self.endpoint_by_id(&id),
            Err(_) => self.all().find(|endpoint| {
                endpoint.uid.as_ref().is_some_and(|uid| uid.as_str() == reference)
            }),
        }
    }

    /// The endpoint with this id.
    pub fn endpoint_by_id(&self, id: &EndpointId) -> Option<&Endpoint> {
        self.all().find(|endpoint| endpoint.id == *id)
    }

    fn all(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().map(|endpoint| &**endpoint)
    }
}

/// Which of an application's endpoints a reader needs. It may get more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// None: only the application itself.
    Application,
    /// The one with this id or uid.
    Endpoint(&'a str),
    /// The one with this id.
    EndpointById(EndpointId),
    /// All of them. Of a wide application those are megabytes.
    All,
}

impl Directory {
    /// Reads the table every time.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table, kept: None, narrow: NARROW, wide: Seen::default(), large: Seen::default() }
    }

    /// Keeps what it read for as long as `kept` says.
    pub fn cached(table: Arc<dyn Table>, kept: Cached) -> Self {
        Self { kept: Some(kept), ..Self::new(table) }
    }

    /// Takes applications of more than so many endpoints for wide.
    #[must_use]
    pub fn narrow(self, narrow: usize) -> Self {
        Self { narrow, ..self }
    }

    /// The application that `org` calls `reference`, an id or a uid, with the endpoints that are
    /// needed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn application(
        &self,
        org: &OrganisationId,
        reference: &str,
        need: Need<'_>,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let found = match reference.parse() {
            Ok(id) => self.tenant(&id, need).await?,
            Err(_) => self.called(org, reference, need).await?,
        };
        Ok(found.filter(|tenant| tenant.application.org == *org))
    }

    /// The application that has this name.
    async fn called(
        &self,
        org: &OrganisationId,
        uid: &str,
        need: Need<'_>,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let has_it = |tenant: &Arc<Tenant>| {
            tenant.application.uid.as_ref().is_some_and(|own| own.as_str() == uid)
        };
        let Some(id) = self.resolve(org, uid).await? else { return Ok(None) };
        if let Some(found) = self.tenant(&id, need).await?.filter(has_it) {
            return Ok(Some(found));
        }
        // What is kept may be from before it got this name, or from before another did.
        let Some(kept) = &self.kept else { return Ok(None) };
        kept.forget(&id);
        let Some(id) = self.resolve(org, uid).await? else { return Ok(None) };
        Ok(self.tenant(&id, need).await?.filter(has_it))
    }

    /// The application with this id, whoever owns it, with the endpoints that are needed.
    ///
    /// One that is not [wide](NARROW) is read as a whole whatever is needed: that is one call.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tenant(
        &self,
        app: &ApplicationId,
        need: Need<'_>,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        match self.kept_or_read(app, false).await? {
            Some(found) => self.complete(found, need).await,
            None => Ok(None),
        }
    }

    /// The application as it was read, with the endpoints that are needed: those of a wide one are
    /// read now. `None` when it is gone meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn complete(
        &self,
        found: Arc<Tenant>,
        need: Need<'_>,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let app = &found.application.id;
        let id = match need {
            _ if found.is_whole => return Ok(Some(found)),
            Need::Application => return Ok(Some(found)),
            Need::All => return self.kept_or_read(app, true).await,
            Need::EndpointById(id) => Some(id),
            Need::Endpoint(reference) => self.resolve_endpoint(app, reference).await?,
        };
        let endpoint = match id {
            Some(id) => self.endpoint(app, &id).await?,
            None => None,
        };
        let endpoints = endpoint.into_iter().collect();
        Ok(Some(Arc::new(Tenant { endpoints, ..Tenant::clone(&found) })))
    }

    /// The application, with the endpoints of a stretch.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn share(
        &self,
        app: &ApplicationId,
        stretch: &Stretch,
    ) -> Result<Option<Tenant>, StoreError> {
        let key = keys::application(app);
        let reads = (self.table.get(&key), self.endpoints_in(app, stretch));
        let (application, endpoints) = tokio::try_join!(reads.0, reads.1)?;
        let Some(application) = application else { return Ok(None) };
        let application = doc::decode(&application.doc)?;
        Ok(Some(Tenant { application, endpoints, is_whole: false }))
    }

    /// Whether an application has room for one endpoint more, where it may have so many.
    ///
    /// Those of a wide one are counted again when this process was told of a sixteenth of the room
    /// that there was: whoever creates thousands does not read megabytes for each. Not guaranteed
    /// where several processes do so: each may exceed it by a sixteenth of the room that it last
    /// saw.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_room(&self, tenant: &Tenant, most: usize) -> Result<bool, StoreError> {
        if tenant.is_whole {
            return Ok(tenant.endpoints.len() < most);
        }
        let app = &tenant.application.id;
        if self.wide.take_room(app) {
            return Ok(true);
        }
        let room = most.saturating_sub(self.items_in(app, &Stretch::default()).await?.len());
        self.wide.note(app, room / PROCESSES);
        Ok(room > 0)
    }

    async fn endpoints_in(
        &self,
        app: &ApplicationId,
        stretch: &Stretch,
    ) -> Result<Vec<Arc<Endpoint>>, StoreError> {
        self.items_in(app, stretch).await?.iter().map(endpoint_of).collect()
    }

    async fn items_in(
        &self,
        app: &ApplicationId,
        stretch: &Stretch,
    ) -> Result<Vec<Item>, StoreError> {
        endpoint_items(&*self.table, app, stretch).await
    }

    /// The first endpoints of a stretch, in order, or its last ones, the last of them first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn endpoints_at(
        &self,
        app: &ApplicationId,
        stretch: Stretch,
        descending: bool,
        most: usize,
    ) -> Result<Vec<Arc<Endpoint>>, StoreError> {
        let (from, to) = keys::endpoints_in(&stretch);
        let query = base_query(keys::application_pk(app), from, to, most);
        let query = Query { descending, ..query };
        let items = super::read_first(&*self.table, query, |_| true).await?;
        items.iter().map(endpoint_of).collect()
    }

    /// Whether an application was seen to have so many endpoints that whoever needs one of them
    /// had better read that and [the application](Self::head) alone. None is to those who keep what
    /// they read.
    pub fn is_large(&self, app: &ApplicationId) -> bool {
        self.kept.is_none() && self.large.holds(app)
    }

    /// The application without its endpoints.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn head(&self, app: &ApplicationId) -> Result<Option<Tenant>, StoreError> {
        let item = self.table.get(&keys::application(app)).await?;
        let application = item.map(|item| doc::decode(&item.doc)).transpose()?;
        Ok(application.map(Tenant::without_endpoints))
    }

    /// The application, and its endpoints unless they are too many for one call.
    async fn read_narrow(&self, app: &ApplicationId) -> Result<Option<Tenant>, StoreError> {
        if self.wide.holds(app) {
            return self.head(app).await;
        }
        let (_, to) = prefix_range(keys::ENDPOINT_PREFIX);
        // The application, its endpoints, and one more that tells that there are too many.
        let most = 1 + self.narrow + 1;
        let query =
            base_query(keys::application_pk(app), keys::APPLICATION_SK.to_owned(), to, most);
        let items = super::read_first(&*self.table, query, |_| true).await?;
        if items.len() > LARGE {
            self.large.note(app, 0);
        }
        if items.len() < most {
            return Tenant::of(&items);
        }
        let found = Tenant::of(&items[..1])?;
        if found.is_some() {
            self.wide.note(app, 0);
        }
        Ok(found.map(|found| Tenant::without_endpoints(found.application)))
    }

    /// An application as it is kept, but for the endpoints that were changed; or as it is read.
    async fn kept_or_read(
        &self,
        app: &ApplicationId,
        wholly: bool,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let cache = self.kept.as_ref().map(|it| if wholly { &it.wholes } else { &it.tenants });
        let (begun, kept) = cache.map(|cache| cache.begin(app)).unzip();
        let found = match kept.flatten() {
            Some(Kept { tenant, changed }) if changed.is_empty() => return Ok(Some(tenant)),
            Some(kept) => Some(self.renewed(app, kept).await?),
            // On the heap: what is kept is not to be paid for with more room for reading it.
            None if wholly => Box::pin(read_whole(&*self.table, app)).await?,
            None => Box::pin(self.read_narrow(app)).await?,
        };
        let found = found.map(Arc::new);
        if let (Some(cache), Some(begun), Some(tenant)) = (cache, begun, found.clone()) {
            cache.finish(begun, *app, Kept { tenant, changed: Vec::new() });
        }
        Ok(found)
    }

    async fn renewed(&self, app: &ApplicationId, kept: Kept) -> Result<Tenant, StoreError> {
        let mut tenant = Tenant::clone(&kept.tenant);
        for id in kept.changed {
            let now = self.endpoint(app, &id).await?;
            let endpoints = &mut tenant.endpoints;
            match (endpoints.iter().position(|endpoint| endpoint.id == id), now) {
                (Some(place), Some(now)) => endpoints[place] = now,
                (Some(place), None) => drop(endpoints.remove(place)),
                (None, _) => {}
            }
        }
        Ok(tenant)
    }

    async fn endpoint(
        &self,
        app: &ApplicationId,
        ep: &EndpointId,
    ) -> Result<Option<Arc<Endpoint>>, StoreError> {
        let item = self.table.get(&keys::endpoint(app, ep)).await?;
        item.as_ref().map(endpoint_of).transpose()
    }

    async fn resolve_endpoint(
        &self,
        app: &ApplicationId,
        reference: &str,
    ) -> Result<Option<EndpointId>, StoreError> {
        if let Ok(id) = reference.parse() {
            return Ok(Some(id));
        }
        self.named(&keys::endpoint_uid(app, reference)).await
    }

    /// What this name stands for.
    async fn named<T: DeserializeOwned>(&self, alias: &Key) -> Result<Option<T>, StoreError> {
        let item = self.table.get(alias).await?;
        let alias = item.map(|item| doc::decode::<Alias<T>>(&item.doc)).transpose()?;
        Ok(alias.map(|alias| alias.id))
    }

    async fn resolve(
        &self,
        org: &OrganisationId,
        uid: &str,
    ) -> Result<Option<ApplicationId>, StoreError> {
        let key = keys::application_uid(org, uid);
        let read = self.named(&key);
        match &self.kept {
            Some(kept) => kept.aliases.get_or_find((*org, uid.to_owned()), read).await,
            None => read.await,
        }
    }
}

impl Tenant {
    /// An application and all of its endpoints, if the first of these is an application.
    fn of(items: &[Item]) -> Result<Option<Self>, StoreError> {
        let Some((first, rest)) = items.split_first() else { return Ok(None) };
        if first.key.sk != keys::APPLICATION_SK {
            return Ok(None);
        }
        let application = doc::decode(&first.doc)?;
        let endpoints = rest.iter().map(endpoint_of).collect::<Result<_, _>>()?;
        Ok(Some(Self { application, endpoints, is_whole: true }))
    }

    fn without_endpoints(application: Application) -> Self {
        Self { application, endpoints: Vec::new(), is_whole: false }
    }
}

pub(super) fn endpoint_of(item: &Item) -> Result<Arc<Endpoint>, StoreError> {
    doc::decode(&item.doc).map(Arc::new)
}

/// What a [`Directory`] remembers. Clones share their memory.
#[derive(Clone)]
pub struct Cached {
    tenants: Cache<ApplicationId, Kept>,
    /// Wide ones with all of their endpoints.
    wholes: Cache<ApplicationId, Kept>,
    aliases: Cache<(OrganisationId, String), ApplicationId>,
}

impl Cached {
    /// A memory that keeps things for `ttl_ms` milliseconds.
    pub fn new(clock: Arc<dyn Clock>, ttl_ms: u64) -> Self {
        Self {
            tenants: Cache::new(clock.clone(), ttl_ms, MAX_KEPT),
            wholes: Cache::new(clock.clone(), ttl_ms, MAX_WIDE_KEPT),
            aliases: Cache::new(clock, ttl_ms, MAX_KEPT),
        }
    }

    pub(super) fn forget(&self, app: &ApplicationId) {
        self.tenants.forget(app);
        self.wholes.forget(app);
        self.aliases.forget_where(|_, id| id == app);
    }

    /// Sees to it that this endpoint, which was there before, is read again: one that fails is
    /// changed often, and its application may have many.
    pub(super) fn forget_endpoint(&self, app: &ApplicationId, ep: EndpointId) {
        for kept in [&self.tenants, &self.wholes] {
            kept.change(app, |kept| kept.note_changed(ep));
        }
    }
}

/// An application as it was read.
#[derive(Clone)]
struct Kept {
    tenant: Arc<Tenant>,
    /// Those of its endpoints that were changed since.
    changed: Vec<EndpointId>,
}

impl Kept {
    /// Notes an endpoint that was changed; whether those that were are better read alone than
    /// together with all others.
    fn note_changed(&mut self, ep: EndpointId) -> bool {
        if self.tenant.is_whole && !self.changed.contains(&ep) {
            self.changed.push(ep);
        }
        self.changed.len() * ALONE < self.tenant.endpoints.len() || self.changed.is_empty()
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Alias<T> {
    pub(super) id: T,
}

/// What is stored of the endpoints of a stretch.
pub(super) async fn endpoint_items(
    table: &dyn Table,
    app: &ApplicationId,
    stretch: &Stretch,
) -> Result<Vec<Item>, StoreError> {
    let (from, to) = keys::endpoints_in(stretch);
    read_range(table, keys::application_pk(app), from, to).await
}

pub(super) async fn read_whole(
    table: &dyn Table,
    app: &ApplicationId,
) -> Result<Option<Tenant>, StoreError> {
    let (_, to) = prefix_range(keys::ENDPOINT_PREFIX);
    let from = keys::APPLICATION_SK.to_owned();
    Tenant::of(&read_range(table, keys::application_pk(app), from, to).await?)
}
