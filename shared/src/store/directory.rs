//! Applications and their endpoints: read by everyone, changed by admin.
//!
//! A reader may keep what it read for a while. Receive does, since a deleted application that
//! is still accepted from for half a minute does no harm. Dispatch on Lambda does not: an
//! endpoint that was created before a message must get it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::change::{Change, Changed, change};
use super::table::{Condition, Item, Key, Table, Write, prefix_range};
use super::{StoreError, doc, event_type_settings, keys, write_with};
use crate::domain::application::Application;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::endpoint::Endpoint;
use crate::domain::id::{ApplicationId, EndpointId, OrganisationId, Uid};

/// Most applications that a reader keeps.
const MAX_KEPT: usize = 10_000;

/// Reads applications and endpoints.
#[derive(Clone)]
pub struct Directory {
    table: Arc<dyn Table>,
    kept: Option<Cached>,
}

/// An application with all its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The application.
    pub application: Application,
    /// Its endpoints in order of creation, disabled ones included.
    pub endpoints: Vec<Endpoint>,
}

impl Tenant {
    /// The endpoint with this id or uid.
    pub fn endpoint(&self, reference: &str) -> Option<&Endpoint> {
        match reference.parse() {
            Ok(id) => self.endpoint_by_id(&id),
            Err(_) => self.endpoints.iter().find(|endpoint| {
                endpoint.uid.as_ref().is_some_and(|uid| uid.as_str() == reference)
            }),
        }
    }

    /// The endpoint with this id.
    pub fn endpoint_by_id(&self, id: &EndpointId) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.id == *id)
    }
}

impl Directory {
    /// Reads the table every time.
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table, kept: None }
    }

    /// Keeps what it read for as long as `kept` says.
    pub fn cached(table: Arc<dyn Table>, kept: Cached) -> Self {
        Self { table, kept: Some(kept) }
    }

    /// The application that `org` calls `reference`: an id or a uid.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn application(
        &self,
        org: &OrganisationId,
        reference: &str,
    ) -> Result<Option<Arc<Tenant>>, StoreError> {
        let id = match reference.parse::<ApplicationId>() {
            Ok(id) => Some(id),
            Err(_) => self.resolve(org, reference).await?,
        };
        let Some(id) = id else { return Ok(None) };
        Ok(self.tenant(&id).await?.filter(|tenant| tenant.application.org == *org))
    }

    /// The application with this id and its endpoints, whoever owns it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tenant(&self, app: &ApplicationId) -> Result<Option<Arc<Tenant>>, StoreError> {
        let read = async { Ok(read_tenant(&*self.table, app).await?.map(Arc::new)) };
        match &self.kept {
            Some(kept) => kept.tenants.get_or_find(*app, read).await,
            None => read.await,
        }
    }

    async fn resolve(
        &self,
        org: &OrganisationId,
        uid: &str,
    ) -> Result<Option<ApplicationId>, StoreError> {
        let read = async {
            let item = self.table.get(&keys::application_uid(org, uid)).await?;
            let alias = item.map(|item| doc::decode::<Alias<ApplicationId>>(&item.doc));
            Ok(alias.transpose()?.map(|alias| alias.id))
        };
        match &self.kept {
            Some(kept) => kept.aliases.get_or_find((*org, uid.to_owned()), read).await,
            None => read.await,
        }
    }
}

/// What a [`Directory`] remembers. Clones share their memory.
#[derive(Clone)]
pub struct Cached {
    tenants: Cache<ApplicationId, Arc<Tenant>>,
    aliases: Cache<(OrganisationId, String), ApplicationId>,
}

impl Cached {
    /// A memory that keeps things for `ttl_ms` milliseconds.
    pub fn new(clock: Arc<dyn Clock>, ttl_ms: u64) -> Self {
        Self {
            tenants: Cache::new(clock.clone(), ttl_ms, MAX_KEPT),
            aliases: Cache::new(clock, ttl_ms, MAX_KEPT),
        }
    }

    fn forget(&self, app: &ApplicationId) {
        self.tenants.forget(app);
        self.aliases.forget_where(|_, id| id == app);
    }
}

/// Changes applications and endpoints.
#[derive(Clone)]
pub struct DirectoryEditor {
    pub(super) table: Arc<dyn Table>,
    kept: Option<Cached>,
    outbox: Vec<Write>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited<T> {
    /// It is stored; this is what it is now.
    Done(T),
    /// The uid belongs to another.
    UidTaken,
    /// There is nothing to change.
    Gone,
}

impl DirectoryEditor {
    /// Changes the table, and tells `kept` to forget what changed: the memory of the readers
    /// in the same process.
    pub fn new(table: Arc<dyn Table>, kept: Option<Cached>) -> Self {
        Self { table, kept, outbox: Vec::new() }
    }

    /// An editor that writes these in the same transaction as a change of an endpoint.
    #[must_use]
    pub fn with(&self, outbox: Vec<Write>) -> Self {
        Self { outbox, ..self.clone() }
    }

    /// Stores a new application, and notes in it whether its organisation treats event types in
    /// ways of their own.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn create_application(
        &self,
        application: &Application,
    ) -> Result<Edited<()>, StoreError> {
        let now = application.created_at;
        let mut born = application.clone();
        born.has_event_type_settings =
            !born.operational && event_type_settings::any(&*self.table, &born.org).await?;
        let mut writes = vec![Write::Put(application_item(&born, 1)?, Condition::AbsentAt(now))];
        if let Some(uid) = &application.uid {
            let alias = application_alias(&application.org, uid, application.id)?;
            writes.push(Write::Put(alias, Condition::AbsentAt(now)));
        }
        self.create(&application.id, writes).await
    }

    /// Changes an application. `edit` may run more than once; what it answers last is returned.
    ///
    /// # Errors
    /// When the store fails, or others change the same application without pause.
    pub async fn edit_application<A>(
        &self,
        app: &ApplicationId,
        now: Timestamp,
        edit: impl Fn(&mut Application) -> A,
    ) -> Result<Edited<(Application, A)>, StoreError> {
        self.change(app, &keys::application(app), |item| {
            let old: Application = doc::decode(&item.doc)?;
            let mut new = old.clone();
            let answer = edit(&mut new);
            if new == old {
                return Ok(Change::None(Edited::Done((new, answer))));
            }
            let put = application_item(&new, item.rev + 1)?;
            let mut writes = vec![Write::Put(put, Condition::Revision(item.rev))];
            rename(
                &mut writes,
                old.uid.as_ref().map(|uid| keys::application_uid(&new.org, uid.as_str())),
                new.uid.as_ref().map(|uid| application_alias(&new.org, uid, new.id)).transpose()?,
                now,
            );
            Ok(Change::Write(writes, Edited::Done((new, answer))))
        })
        .await
    }

    /// Removes an application with its endpoints and names. Its messages fade with their
    /// retention.
    ///
    /// # Errors
    /// When the store fails; some of it may be gone then, and asking again removes the rest.
    pub async fn delete_application(&self, app: &ApplicationId) -> Result<Edited<()>, StoreError> {
        let Some(tenant) = read_tenant(&*self.table, app).await? else { return Ok(Edited::Gone) };
        // The application goes last, so that a broken-off deletion can be asked for again.
        for endpoint in &tenant.endpoints {
            self.delete_endpoint(app, &endpoint.id).await?;
        }
        self.change(app, &keys::application(app), |item| {
            let application: Application = doc::decode(&item.doc)?;
            let uid = application.uid.as_ref();
            let alias = uid.map(|uid| keys::application_uid(&application.org, uid.as_str()));
            Ok(Change::Write(removal(item, alias), Edited::Done(())))
        })
        .await
    }

    /// Stores a new endpoint of an existing application.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn create_endpoint(&self, endpoint: &Endpoint) -> Result<Edited<()>, StoreError> {
        let now = endpoint.created_at;
        let mut writes = vec![Write::Put(endpoint_item(endpoint, 1)?, Condition::AbsentAt(now))];
        if let Some(uid) = &endpoint.uid {
            let alias = endpoint_alias(&endpoint.app, uid, endpoint.id)?;
            writes.push(Write::Put(alias, Condition::AbsentAt(now)));
        }
        self.create(&endpoint.app, writes).await
    }

    /// Changes an endpoint. `edit` may run more than once; what it answers last is returned.
    ///
    /// # Errors
    /// When the store fails, or others change the same endpoint without pause.
    pub async fn edit_endpoint<A>(
        &self,
        app: &ApplicationId,
        ep: &EndpointId,
        now: Timestamp,
        edit: impl Fn(&mut Endpoint) -> A,
    ) -> Result<Edited<(Endpoint, A)>, StoreError> {
        self.change(app, &keys::endpoint(app, ep), |item| {
            let old: Endpoint = doc::decode(&item.doc)?;
            let mut new = old.clone();
            let answer = edit(&mut new);
            if new == old {
                return Ok(Change::None(Edited::Done((new, answer))));
            }
            let put = endpoint_item(&new, item.rev + 1)?;
            let mut writes = vec![Write::Put(put, Condition::Revision(item.rev))];
            rename(
                &mut writes,
                old.uid.as_ref().map(|uid| keys::endpoint_uid(app, uid.as_str())),
                new.uid.as_ref().map(|uid| endpoint_alias(app, uid, new.id)).transpose()?,
                now,
            );
            writes.extend(self.outbox.iter().cloned());
            Ok(Change::Write(writes, Edited::Done((new, answer))))
        })
        .await
    }

    /// Removes an endpoint.
    ///
    /// # Errors
    /// When the store fails, or others change the same endpoint without pause; it may or may not
    /// be gone then.
    pub async fn delete_endpoint(
        &self,
        app: &ApplicationId,
        ep: &EndpointId,
    ) -> Result<Edited<()>, StoreError> {
        self.change(app, &keys::endpoint(app, ep), |item| {
            let endpoint: Endpoint = doc::decode(&item.doc)?;
            let alias = endpoint.uid.as_ref().map(|uid| keys::endpoint_uid(app, uid.as_str()));
            let mut writes = removal(item, alias);
            writes.extend(self.outbox.iter().cloned());
            Ok(Change::Write(writes, Edited::Done(())))
        })
        .await
    }

    /// Changes the item under `key` of this application as `decide` says, if it is there.
    async fn change<T>(
        &self,
        app: &ApplicationId,
        key: &Key,
        decide: impl Fn(&Item) -> Result<Change<Edited<T>>, StoreError>,
    ) -> Result<Edited<T>, StoreError> {
        let changed = change(&*self.table, key, |found| match found {
            Some(item) => decide(&item),
            None => Ok(Change::None(Edited::Gone)),
        });
        let changed = changed.await;
        self.forget(app);
        Ok(match changed? {
            Changed::Done(edited) => edited,
            // The only other condition is that of a new name.
            Changed::Refused => Edited::UidTaken,
        })
    }

    async fn create(
        &self,
        app: &ApplicationId,
        writes: Vec<Write>,
    ) -> Result<Edited<()>, StoreError> {
        let mut writes = writes.into_iter();
        let Some(first) = writes.next() else { return Ok(Edited::Done(())) };
        let outbox: Vec<Write> = writes.chain(self.outbox.iter().cloned()).collect();
        let done = write_with(&*self.table, first, &outbox).await;
        self.forget(app);
        // Ids are new, so the only condition that can be lost is the uid's.
        Ok(if done? { Edited::Done(()) } else { Edited::UidTaken })
    }

    fn forget(&self, app: &ApplicationId) {
        if let Some(kept) = &self.kept {
            kept.forget(app);
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Alias<T> {
    id: T,
}

async fn read_tenant(table: &dyn Table, app: &ApplicationId) -> Result<Option<Tenant>, StoreError> {
    let (_, to) = prefix_range(keys::ENDPOINT_PREFIX);
    let from = keys::APPLICATION_SK.to_owned();
    let mut items =
        super::read_range(table, keys::application_pk(app), from, to).await?.into_iter();
    let Some(first) = items.next().filter(|item| item.key.sk == keys::APPLICATION_SK) else {
        return Ok(None);
    };
    let application = doc::decode(&first.doc)?;
    let endpoints =
        items.map(|item| doc::decode(&item.doc)).collect::<Result<Vec<Endpoint>, _>>()?;
    Ok(Some(Tenant { application, endpoints }))
}

fn application_item(application: &Application, rev: u64) -> Result<Item, StoreError> {
    let listed = (!application.operational).then(|| Key {
        pk: keys::applications_by_time(&application.org),
        sk: application.id.to_string(),
    });
    let item = Item::new(keys::application(&application.id), doc::encode(application)?);
    Ok(item.revision(rev).listed(listed))
}

fn endpoint_item(endpoint: &Endpoint, rev: u64) -> Result<Item, StoreError> {
    let key = keys::endpoint(&endpoint.app, &endpoint.id);
    // Failing ones are listed, so that they are found without looking at the others.
    let listed = endpoint.health.failing.map(|failing| Key {
        pk: keys::failing_by_time(&failing.org),
        sk: endpoint.id.to_string(),
    });
    Ok(Item::new(key, doc::encode(endpoint)?).revision(rev).listed(listed))
}

fn application_alias(
    org: &OrganisationId,
    uid: &Uid,
    id: ApplicationId,
) -> Result<Item, StoreError> {
    Ok(Item::new(keys::application_uid(org, uid.as_str()), doc::encode(&Alias { id })?))
}

fn endpoint_alias(app: &ApplicationId, uid: &Uid, id: EndpointId) -> Result<Item, StoreError> {
    Ok(Item::new(keys::endpoint_uid(app, uid.as_str()), doc::encode(&Alias { id })?))
}

/// What removes an item as it was read, and the name that it had by then: once it is changed or
/// gone, the name may be another's.
fn removal(item: &Item, alias: Option<Key>) -> Vec<Write> {
    let first = Write::Delete(item.key.clone(), Condition::Revision(item.rev));
    let alias = alias.map(|key| Write::Delete(key, Condition::Always));
    std::iter::once(first).chain(alias).collect()
}

/// Adds what a change of name needs: the old name freed, the new one taken.
fn rename(writes: &mut Vec<Write>, old: Option<Key>, new: Option<Item>, now: Timestamp) {
    if old.as_ref() == new.as_ref().map(|item| &item.key) {
        return;
    }
    if let Some(key) = old {
        writes.push(Write::Delete(key, Condition::Always));
    }
    if let Some(item) = new {
        writes.push(Write::Put(item, Condition::AbsentAt(now)));
    }
}
