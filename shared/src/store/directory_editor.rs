//! Changes of applications and endpoints.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::change::{Change, Changed, PATIENCE, change, change_after, write_all};
use super::directory::{Alias, Cached, endpoint_items, endpoint_of, read_whole};
use super::table::{Condition, Item, Key, Table, Write};
use super::{StoreError, doc, event_type_settings, keys};
use crate::domain::application::Application;
use crate::domain::clock::Timestamp;
use crate::domain::endpoint::{Endpoint, Stretch};
use crate::domain::id::{ApplicationId, EndpointId, OrganisationId, Uid};

/// Endpoints that are removed at the same time with their application.
const PARALLEL_REMOVALS: usize = 32;

/// To whom a name leads that rests: ids begin with the time when they are made, and none was made
/// then.
const NOBODY: &str = "app_000000000000000000000000000";

/// Changes applications and endpoints.
#[derive(Clone)]
pub struct DirectoryEditor {
    pub(super) table: Arc<dyn Table>,
    kept: Option<Cached>,
    outbox: Vec<Write>,
    /// How long nobody may take a name that an application gave up.
    name_rest_ms: u64,
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

impl<T> Edited<T> {
    /// What is stored now, where no uid can be taken: otherwise there was nothing to change.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(stored) => Some(stored),
            Self::UidTaken | Self::Gone => None,
        }
    }
}

impl DirectoryEditor {
    /// Changes the table, and tells `kept` to forget what changed: the memory of the readers
    /// in the same process.
    pub fn new(table: Arc<dyn Table>, kept: Option<Cached>) -> Self {
        Self { table, kept, outbox: Vec::new(), name_rest_ms: 0 }
    }

    /// An editor that lets nobody take a name for so many milliseconds after an application gave it
    /// up.
    #[must_use]
    pub fn resting(self, name_rest_ms: u64) -> Self {
        Self { name_rest_ms, ..self }
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
        self.change(app, None, |item| {
            let old: Application = doc::decode(&item.doc)?;
            let mut new = old.clone();
            let answer = edit(&mut new);
            if new == old {
                return Ok(Change::None(Edited::Done((new, answer))));
            }
            let put = application_item(&new, item.rev + 1)?;
            let mut writes = vec![Write::Put(put, Condition::Revision(item.rev))];
            if old.uid != new.uid {
                let alias = new.uid.as_ref().map(|uid| application_alias(&new.org, uid, new.id));
                writes.extend(renaming(self.freed(&old, now)?, alias.transpose()?, now));
            }
            Ok(Change::Write(writes, Edited::Done((new, answer))))
        })
        .await
    }

    /// Removes an application with its endpoints and names. Its messages fade with their
    /// retention.
    ///
    /// # Errors
    /// When the store fails; some of it may be gone then, and asking again removes the rest.
    pub async fn delete_application(
        &self,
        app: &ApplicationId,
        now: Timestamp,
    ) -> Result<Edited<()>, StoreError> {
        let Some(tenant) = read_whole(&*self.table, app).await? else { return Ok(Edited::Gone) };
        // The application goes last, so that a broken-off deletion can be asked for again.
        self.delete_endpoints(app, &tenant.endpoints).await?;
        let deleted = self.change(app, None, |item| {
            let application: Application = doc::decode(&item.doc)?;
            let writes = removal(item, self.freed(&application, now)?);
            Ok(Change::Write(writes, Edited::Done(())))
        });
        let deleted = deleted.await?;
        // Those that were created meanwhile. Whoever creates one from now on finds no application
        // any more, and takes it back.
        let late = endpoint_items(&*self.table, app, &Stretch::default()).await?;
        let late: Result<Vec<_>, _> = late.iter().map(endpoint_of).collect();
        self.delete_endpoints(app, &late?).await?;
        Ok(deleted)
    }

    async fn delete_endpoints(
        &self,
        app: &ApplicationId,
        endpoints: &[Arc<Endpoint>],
    ) -> Result<(), StoreError> {
        let removals: Vec<_> =
            endpoints.iter().map(|endpoint| self.delete_endpoint(app, &endpoint.id)).collect();
        let mut removals = stream::iter(removals).buffer_unordered(PARALLEL_REMOVALS);
        while let Some(removed) = removals.next().await {
            removed?;
        }
        Ok(())
    }

    /// Stores a new endpoint of an existing application.
    ///
    /// # Errors
    /// When the store fails; it may or may not be stored then.
    pub async fn create_endpoint(&self, endpoint: &Endpoint) -> Result<Edited<()>, StoreError> {
        let app = &endpoint.app;
        let created = self.create(app, birth(endpoint)?).await?;
        if created == Edited::Done(()) && self.table.get(&keys::application(app)).await?.is_none() {
            // It was deleted meanwhile, and nobody would find this any more.
            self.with(Vec::new()).delete_endpoint(app, &endpoint.id).await?;
            return Ok(Edited::Gone);
        }
        Ok(created)
    }

    /// Stores a new endpoint if its application has fewer than `most`, however many are created at
    /// once: each counts anew once another is stored. `None` when there are as many.
    ///
    /// # Errors
    /// When the store fails, or others create endpoints without pause; it may or may not be stored
    /// then.
    pub async fn create_endpoint_within(
        &self,
        endpoint: &Endpoint,
        most: usize,
    ) -> Result<Option<Edited<()>>, StoreError> {
        let app = &endpoint.app;
        let count = |found: Option<Item>| async move {
            let Some(item) = found else { return Ok(Change::None(Some(Edited::Gone))) };
            let there = endpoint_items(&*self.table, app, &Stretch::default()).await?;
            if there.len() >= most {
                return Ok(Change::None(None));
            }
            let rev = item.rev;
            let application = Write::Put(item.revision(rev + 1), Condition::Revision(rev));
            let writes = [application].into_iter().chain(birth(endpoint)?);
            let writes = writes.chain(self.outbox.iter().cloned()).collect();
            Ok(Change::Write(writes, Some(Edited::Done(()))))
        };
        let key = keys::application(app);
        let created = change_after(PATIENCE, &*self.table, &key, count).await;
        self.forget(app);
        Ok(match created? {
            Changed::Done(created) => created,
            Changed::Refused => Some(Edited::UidTaken),
        })
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
        let tell = |_: &Endpoint, _: &Endpoint| Ok(self.outbox.clone());
        self.edit_endpoint_and_tell(app, ep, now, edit, tell).await
    }

    /// Changes an endpoint, and writes with that what there is to tell of what it was and what it is
    /// now. Both are asked again when somebody else was faster.
    ///
    /// # Errors
    /// As [`Self::edit_endpoint`].
    pub async fn edit_endpoint_and_tell<A>(
        &self,
        app: &ApplicationId,
        ep: &EndpointId,
        now: Timestamp,
        edit: impl Fn(&mut Endpoint) -> A,
        tell: impl Fn(&Endpoint, &Endpoint) -> Result<Vec<Write>, StoreError>,
    ) -> Result<Edited<(Endpoint, A)>, StoreError> {
        self.change(app, Some(ep), |item| {
            let old: Endpoint = doc::decode(&item.doc)?;
            let mut new = old.clone();
            let answer = edit(&mut new);
            if new == old {
                return Ok(Change::None(Edited::Done((new, answer))));
            }
            let put = endpoint_item(&new, item.rev + 1)?;
            let mut writes = vec![Write::Put(put, Condition::Revision(item.rev))];
            if old.uid != new.uid {
                let alias = new.uid.as_ref().map(|uid| endpoint_alias(app, uid, new.id));
                writes.extend(renaming(freed(&old), alias.transpose()?, now));
            }
            writes.extend(tell(&old, &new)?);
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
        self.change(app, Some(ep), |item| {
            let endpoint: Endpoint = doc::decode(&item.doc)?;
            let mut writes = removal(item, freed(&endpoint));
            writes.extend(self.outbox.iter().cloned());
            Ok(Change::Write(writes, Edited::Done(())))
        })
        .await
    }

    /// Changes this application, or this endpoint of it, as `decide` says, if it is there.
    async fn change<T>(
        &self,
        app: &ApplicationId,
        ep: Option<&EndpointId>,
        decide: impl Fn(&Item) -> Result<Change<Edited<T>>, StoreError>,
    ) -> Result<Edited<T>, StoreError> {
        let key = match ep {
            Some(ep) => keys::endpoint(app, ep),
            None => keys::application(app),
        };
        let changed = change(&*self.table, &key, |found| match found {
            Some(item) => decide(&item),
            None => Ok(Change::None(Edited::Gone)),
        });
        let changed = changed.await;
        match (&self.kept, ep) {
            (Some(kept), Some(ep)) => kept.forget_endpoint(app, *ep),
            _ => self.forget(app),
        }
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
        let writes = writes.into_iter().chain(self.outbox.iter().cloned()).collect();
        let lost = write_all(&*self.table, writes).await;
        self.forget(app);
        // Ids are new, so the only condition that can be lost is the uid's.
        Ok(if lost?.is_empty() { Edited::Done(()) } else { Edited::UidTaken })
    }

    /// What frees the name of an application. Others may have read it, and follow it for a while: so
    /// long it leads nowhere, and nobody takes it. What is published under it would otherwise be lost,
    /// or go to whoever had it before.
    fn freed(&self, of: &Application, now: Timestamp) -> Result<Option<Write>, StoreError> {
        let Some(uid) = &of.uid else { return Ok(None) };
        let nobody = NOBODY.parse().expect("an id");
        let alias = application_alias(&of.org, uid, nobody)?;
        Ok(Some(match self.name_rest_ms {
            0 => Write::Delete(alias.key, Condition::Always),
            rest_ms => Write::Put(alias.until(now.plus_ms(rest_ms)), Condition::Always),
        }))
    }

    fn forget(&self, app: &ApplicationId) {
        if let Some(kept) = &self.kept {
            kept.forget(app);
        }
    }
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

/// What stores a new endpoint.
fn birth(endpoint: &Endpoint) -> Result<Vec<Write>, StoreError> {
    let absent = Condition::AbsentAt(endpoint.created_at);
    let mut writes = vec![Write::Put(endpoint_item(endpoint, 1)?, absent)];
    if let Some(uid) = &endpoint.uid {
        let alias = endpoint_alias(&endpoint.app, uid, endpoint.id)?;
        writes.push(Write::Put(alias, absent));
    }
    Ok(writes)
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

/// What frees the name of an endpoint: nobody keeps whom it means.
fn freed(of: &Endpoint) -> Option<Write> {
    let key = keys::endpoint_uid(&of.app, of.uid.as_ref()?.as_str());
    Some(Write::Delete(key, Condition::Always))
}

/// What removes an item as it was read, and frees the name that it had by then: once it is changed
/// or gone, the name may be another's.
fn removal(item: &Item, freed: Option<Write>) -> Vec<Write> {
    let first = Write::Delete(item.key.clone(), Condition::Revision(item.rev));
    std::iter::once(first).chain(freed).collect()
}

/// What a change of name needs: the old name freed, the new one taken.
fn renaming(
    freed: Option<Write>,
    new: Option<Item>,
    now: Timestamp,
) -> impl Iterator<Item = Write> {
    freed.into_iter().chain(new.map(|item| Write::Put(item, Condition::AbsentAt(now))))
}
