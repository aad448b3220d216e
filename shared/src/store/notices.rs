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
        notice: &Notice,
    ) -> Result<Vec<Write>, StoreError> {
        match application.operational {
            true => Ok(Vec::new()),
            false => self.to(&application.org, notice).await,
        }
    }

    /// The same for what concerns the organisation as a whole.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn to(
        &self,
        org: &OrganisationId,
        notice: &Notice,
    ) -> Result<Vec<Write>, StoreError> {
        let Some(listeners) = self.listeners(org).await? else { return Ok(Vec::new()) };
        if !listeners.endpoints.iter().any(|endpoint| endpoint.wants(notice.kind, &[])) {
            return Ok(Vec::new());
        }
        let now = self.ambient.now();
        let new = NewMessage::of(notice.kind, notice.payload().to_string());
        let key = MessageKey::new(&self.ambient);
        let hours = DEFAULT_RETENTION_DAYS * HOURS_A_DAY;
        let message = Message::new(new, application_id(org), key, now, hours);
        Ok(vec![
            Write::Put(inbox::message_item(&message, true)?, Condition::Always),
            Write::Put(scheduled::waiting_item(&message, now)?, Condition::Always),
        ])
    }

    async fn listeners(&self, org: &OrganisationId) -> Result<Option<Arc<Tenant>>, StoreError> {
        let listeners = async { self.directory.tenant(&application_id(org), Need::All).await };
        self.recent.get_or_read(*org, listeners).await
    }
}
