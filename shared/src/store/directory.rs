//! Applications and their endpoints: read by everyone, changed by admin.
//!
//! A reader may keep what it read for a while. Receive does, since a deleted application that
//! is still accepted from for half a minute does no harm. Dispatch on Lambda does not: an
//! endpoint that was created before a message must get it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::table::{Condition, Item, Key, Table, Transacted, Write, Written, prefix_range};
use super::{StoreError, doc, keys, treatments};
use crate::domain::application::Application;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::endpoint::Endpoint;
use crate::domain::id::{ApplicationId, EndpointId, OrganisationId, Uid};

/// Most applications that a reader keeps.
const MAX_KEPT: usize = 10_000;
/// How often a change starts over when somebody else changed the same item meanwhile.
const MAX_TRIES: u32 = 8;

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
        match reference.parse::<EndpointId>() {
            Ok(id) => self.endpoints.iter().find(|endpoint| endpoint.id == id),
            Err(_) => self.endpoints.iter().find(|endpoint| {
                endpoint.uid.as_ref().is_some_and(|uid| uid.as_str() == reference)
            }),
        }
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
        if let Some(kept) = self.kept.as_ref()
            && let Some(tenant) = kept.tenant(app)
        {
            return Ok(Some(tenant));
        }
        let generation = self.kept.as_ref().map(Cached::generation);
        let Some(tenant) = read_tenant(&*self.table, app).await? else { return Ok(None) };
        let tenant = Arc::new(tenant);
        if let (Some(kept), Some(generation)) = (&self.kept, generation) {
            kept.keep_tenant(&tenant, generation);
        }
        Ok(Some(tenant))
    }

    async fn resolve(
        &self,
        org: &OrganisationId,
        uid: &str,
    ) -> Result<Option<ApplicationId>, StoreError> {
        if let Some(kept) = self.kept.as_ref()
            && let Some(id) = kept.alias(org, uid)
        {
            return Ok(Some(id));
        }
        let generation = self.kept.as_ref().map(Cached::generation);
        let Some(item) = self.table.get(&keys::application_uid(org, uid)).await? else {
            return Ok(None);
        };
        let alias: Alias<ApplicationId> = doc::decode(&item.doc)?;
        if let (Some(kept), Some(generation)) = (&self.kept, generation) {
            kept.keep_alias(org, uid, alias.id, generation);
        }
        Ok(Some(alias.id))
    }
}

/// What a [`Directory`] remembers. Clones share their memory.
#[derive(Clone)]
pub struct Cached {
    clock: Arc<dyn Clock>,
    ttl_ms: u64,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    /// Rises with every change, so that a reader that was overtaken by a change does not keep
    /// what it read before.
    generation: u64,
    tenants: HashMap<ApplicationId, (Timestamp, Arc<Tenant>)>,
    aliases: HashMap<(OrganisationId, String), (Timestamp, ApplicationId)>,
}

impl Cached {
    /// A memory that keeps things for `ttl_ms` milliseconds.
    pub fn new(clock: Arc<dyn Clock>, ttl_ms: u64) -> Self {
        Self { clock, ttl_ms, memory: Arc::default() }
    }

    fn generation(&self) -> u64 {
        self.lock().generation
    }

    fn tenant(&self, app: &ApplicationId) -> Option<Arc<Tenant>> {
        let now = self.clock.now();
        let memory = self.lock();
        let (at, tenant) = memory.tenants.get(app)?;
        (now.since(*at) < self.ttl_ms).then(|| tenant.clone())
    }

    fn keep_tenant(&self, tenant: &Arc<Tenant>, generation: u64) {
        let now = self.clock.now();
        let mut memory = self.lock();
        if memory.generation != generation {
            return;
        }
        if memory.tenants.len() >= MAX_KEPT {
            memory.tenants.clear();
        }
        memory.tenants.insert(tenant.application.id, (now, tenant.clone()));
    }

    fn alias(&self, org: &OrganisationId, uid: &str) -> Option<ApplicationId> {
        let now = self.clock.now();
        let memory = self.lock();
        let (at, id) = memory.aliases.get(&(*org, uid.to_owned()))?;
        (now.since(*at) < self.ttl_ms).then_some(*id)
    }

    fn keep_alias(&self, org: &OrganisationId, uid: &str, id: ApplicationId, generation: u64) {
        let now = self.clock.now();
        let mut memory = self.lock();
        if memory.generation != generation {
            return;
        }
        if memory.aliases.len() >= MAX_KEPT {
            memory.aliases.clear();
        }
        memory.aliases.insert((*org, uid.to_owned()), (now, id));
    }

    fn forget(&self, app: &ApplicationId) {
        let mut memory = self.lock();
        memory.generation += 1;
        memory.tenants.remove(app);
        memory.aliases.retain(|_, (_, id)| id != app);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        // The memory is whole after every statement, whatever panicked in between.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes applications and endpoints.
#[derive(Clone)]
pub struct DirectoryEditor {
    pub(super) table: Arc<dyn Table>,
    kept: Option<Cached>,
    beside: Vec<Write>,
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
        Self { table, kept, beside: Vec::new() }
    }

    /// An editor that writes these in the same transaction as a change of an endpoint.
    #[must_use]
    pub fn with(&self, beside: Vec<Write>) -> Self {
        Self { beside, ..self.clone() }
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
        born.treated = !born.operational && treatments::any(&*self.table, &born.org).await?;
        let mut writes = vec![Write::Put(application_item(&born, 1)?, Condition::AbsentAt(now))];
        if let Some(uid) = &application.uid {
            let alias = application_alias(&application.org, uid, application.id)?;
            writes.push(Write::Put(alias, Condition::AbsentAt(now)));
        }
        self.commit(&application.id, writes, ()).await
    }

    /// Changes an application. `change` may run more than once.
    ///
    /// # Errors
    /// When the store fails, or others change the same application without pause.
    pub async fn edit_application(
        &self,
        app: &ApplicationId,
        now: Timestamp,
        change: impl Fn(&mut Application),
    ) -> Result<Edited<Application>, StoreError> {
        for _ in 0..MAX_TRIES {
            let Some(item) = self.table.get(&keys::application(app)).await? else {
                return Ok(Edited::Gone);
            };
            let old: Application = doc::decode(&item.doc)?;
            let mut new = old.clone();
            change(&mut new);
            let put = application_item(&new, item.rev + 1)?;
            let mut writes = vec![Write::Put(put, Condition::Revision(item.rev))];
            rename(
                &mut writes,
                old.uid.as_ref().map(|uid| keys::application_uid(&new.org, uid.as_str())),
                new.uid.as_ref().map(|uid| application_alias(&new.org, uid, new.id)).transpose()?,
                now,
            );
            match self.table.transact(writes).await? {
                Transacted::Done => {
                    self.forget(app);
                    return Ok(Edited::Done(new));
                }
                Transacted::Lost(lost) if !lost.contains(&0) => return Ok(Edited::UidTaken),
                Transacted::Lost(_) => {}
            }
        }
        Err(contended())
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
        let mut writes = vec![Write::Delete(keys::application(app), Condition::Always)];
        if let Some(uid) = &tenant.application.uid {
            let alias = keys::application_uid(&tenant.application.org, uid.as_str());
            writes.push(Write::Delete(alias, Condition::Always));
        }
        self.commit(app, writes, ()).await
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
        self.commit(&endpoint.app, writes, ()).await
    }

    /// Changes an endpoint. `change` may run more than once; what it answers last is returned.
    ///
    /// # Errors
    /// When the store fails, or others change the same endpoint without pause.
    pub async fn edit_endpoint<A>(
        &self,
        app: &ApplicationId,
        ep: &EndpointId,
        now: Timestamp,
        change: impl Fn(&mut Endpoint) -> A,
    ) -> Result<Edited<(Endpoint, A)>, StoreError> {
        for _ in 0..MAX_TRIES {
            let Some(item) = self.table.get(&keys::endpoint(app, ep)).await? else {
                return Ok(Edited::Gone);
            };
            let old: Endpoint = doc::decode(&item.doc)?;
            let mut new = old.clone();
            let answer = change(&mut new);
            let put = endpoint_item(&new, item.rev + 1)?;
            let mut writes = vec![Write::Put(put, Condition::Revision(item.rev))];
            rename(
                &mut writes,
                old.uid.as_ref().map(|uid| keys::endpoint_uid(app, uid.as_str())),
                new.uid.as_ref().map(|uid| endpoint_alias(app, uid, new.id)).transpose()?,
                now,
            );
            writes.extend(self.beside.iter().cloned());
            match self.table.transact(writes).await? {
                Transacted::Done => {
                    self.forget(app);
                    return Ok(Edited::Done((new, answer)));
                }
                Transacted::Lost(lost) if !lost.contains(&0) => return Ok(Edited::UidTaken),
                Transacted::Lost(_) => {}
            }
        }
        Err(contended())
    }

    /// Removes an endpoint.
    ///
    /// # Errors
    /// When the store fails; it may or may not be gone then.
    pub async fn delete_endpoint(
        &self,
        app: &ApplicationId,
        ep: &EndpointId,
    ) -> Result<Edited<()>, StoreError> {
        let Some(item) = self.table.get(&keys::endpoint(app, ep)).await? else {
            return Ok(Edited::Gone);
        };
        let endpoint: Endpoint = doc::decode(&item.doc)?;
        let mut writes = vec![Write::Delete(item.key, Condition::Always)];
        if let Some(uid) = &endpoint.uid {
            writes.push(Write::Delete(keys::endpoint_uid(app, uid.as_str()), Condition::Always));
        }
        self.commit(app, writes, ()).await
    }

    async fn commit<T>(
        &self,
        app: &ApplicationId,
        mut writes: Vec<Write>,
        answer: T,
    ) -> Result<Edited<T>, StoreError> {
        writes.extend(self.beside.iter().cloned());
        // A transaction costs twice a plain write, so one that writes once is none.
        let done = match writes.pop() {
            Some(only) if writes.is_empty() => self.table.write(only).await? == Written::Done,
            Some(last) => {
                writes.push(last);
                self.table.transact(writes).await? == Transacted::Done
            }
            None => true,
        };
        self.forget(app);
        // Ids are new, so the only condition that can be lost is the uid's.
        Ok(if done { Edited::Done(answer) } else { Edited::UidTaken })
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
    Ok(Item::new(key, doc::encode(endpoint)?).revision(rev))
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

fn contended() -> StoreError {
    StoreError::Unavailable(format!("changed by others {MAX_TRIES} times in a row"))
}
