//! Publishing notices: as part of the transaction that writes down what they are about.
//!
//! So a notice exists if and only if its cause is on record. It waits in the `due` index like a
//! message whose time has come, and the next sweep puts it in the queue.
//!
//! Whether anybody listens is remembered for a while, so that an organisation without
//! operational endpoints costs next to nothing.
//!
//! Not guaranteed: a notice of what happened while it was remembered that nobody listens,
//! though somebody had just begun to.

use std::sync::Arc;

use super::cache::Cache;
use super::table::{Condition, Table, Write};
use super::{Directory, Need, StoreError, Tenant, inbox, scheduled};
use crate::domain::application::Application;
use crate::domain::clock::Ambient;
use crate::domain::id::{MessageKey, OrganisationId};
use crate::domain::message::{DEFAULT_RETENTION_DAYS, HOURS_A_DAY, Message, NewMessage};
use crate::domain::notice::{Notice, application_id};

/// How long dispatch remembers whether anybody listens, in milliseconds.
pub const LISTENERS_TTL_MS: u64 = 30_000;
/// Most organisations that are remembered.
const MAX_KEPT: usize = 10_000;

/// Publishes notices.
#[derive(Clone)]
pub struct Notices {
    directory: Directory,
    ambient: Ambient,
    /// Who listens; that nobody does is remembered as well.
    recent: Cache<OrganisationId, Option<Arc<Tenant>>>,
}

/// Those who are to hear of something that is still to be decided.
pub struct Listeners {
    /// The application that notices are published to, if there is one.
    tenant: Option<Arc<Tenant>>,
    ambient: Ambient,
}

impl Listeners {
    /// What has to be written together with what these notices say: nothing when nobody wants to know.
    ///
    /// # Errors
    /// When a notice cannot be written down.
    pub fn hear(
        &self,
        notices: impl IntoIterator<Item = Notice>,
    ) -> Result<Vec<Write>, StoreError> {
        let Some(tenant) = &self.tenant else { return Ok(Vec::new()) };
        let is_wanted = |notice: &Notice| {
            tenant.endpoints.iter().any(|endpoint| endpoint.wants(notice.kind, &[]))
        };
        let mut writes = Vec::new();
        for notice in notices.into_iter().filter(is_wanted) {
            let now = self.ambient.now();
            let new = NewMessage::of(notice.kind, notice.payload().to_string());
            let key = MessageKey::new(&self.ambient);
            let hours = DEFAULT_RETENTION_DAYS * HOURS_A_DAY;
            let message = Message::new(new, tenant.application.id, key, now, hours);
            writes.extend([
                Write::Put(inbox::message_item(&message, true)?, Condition::Always),
                Write::Put(scheduled::waiting_item(&message, now)?, Condition::Always),
            ]);
        }
        Ok(writes)
    }
}

impl Notices {
    /// Notices in this table. Who listens is remembered for `ttl_ms` milliseconds.
    pub fn new(table: Arc<dyn Table>, ambient: Ambient, ttl_ms: u64) -> Self {
        let recent = Cache::new(ambient.clock.clone(), ttl_ms, MAX_KEPT);
        Self { directory: Directory::new(table), ambient, recent }
    }

    /// What has to be written together with what the notice says about this application's
    /// endpoints or messages: nothing when nobody wants to know.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn about(
        &self,
        application: &Application,
        notice: Notice,
    ) -> Result<Vec<Write>, StoreError> {
        self.listeners_about(application).await?.hear([notice])
    }

    /// The same for what concerns the organisation as a whole.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn to(&self, org: &OrganisationId, notice: Notice) -> Result<Vec<Write>, StoreError> {
        self.listeners(org).await?.hear([notice])
    }

    /// Who is to hear of this application's endpoints and messages. Nobody hears of those that
    /// listen.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn listeners_about(
        &self,
        application: &Application,
    ) -> Result<Listeners, StoreError> {
        match application.operational {
            true => Ok(self.nobody()),
            false => self.listeners(&application.org).await,
        }
    }

    /// Who is to hear of what concerns the organisation as a whole.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn listeners(&self, org: &OrganisationId) -> Result<Listeners, StoreError> {
        let read = async { self.directory.tenant(&application_id(org), Need::All).await };
        let tenant = self.recent.get_or_read(*org, read).await?;
        Ok(Listeners { tenant, ..self.nobody() })
    }

    /// Nobody: where nothing is told.
    pub fn nobody(&self) -> Listeners {
        Listeners { tenant: None, ambient: self.ambient.clone() }
    }
}
