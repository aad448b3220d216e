//! How many attempts are under way at once: in all, and of one application.
//!
//! Whoever waits for a slot of its application holds none of the others, so an application whose
//! endpoints hang keeps nobody else waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use shared::domain::id::ApplicationId;
use shared::domain::sync::hold;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Applications beyond this are looked through for those that have nothing under way.
const MAX_KEPT: usize = 1_000;

/// The slots of one process.
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    per_application: usize,
    applications: Mutex<HashMap<ApplicationId, Arc<Semaphore>>>,
}

/// A slot, until it is dropped.
pub(crate) struct Slot {
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

impl Slots {
    /// So many in all, and so many for each application.
    pub(crate) fn new(all: usize, per_application: usize) -> Self {
        let all = Arc::new(Semaphore::new(all));
        Self { all, per_application, applications: Mutex::default() }
    }

    /// Gives out no more, neither to those who wait.
    pub(crate) fn close(&self) {
        // First: an application that comes later has slots of its own, and gets none of these.
        self.all.close();
        let applications = hold(&self.applications);
        applications.values().for_each(|slots| slots.close());
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.all.is_closed()
    }

    /// Waits for a slot. `None` once they are closed.
    pub(crate) async fn take(&self, app: ApplicationId) -> Option<Slot> {
        let own = self.of(app).acquire_owned().await.ok()?;
        let shared = self.all.clone().acquire_owned().await.ok()?;
        Some(Slot { _own: own, _shared: shared })
    }

    fn of(&self, app: ApplicationId) -> Arc<Semaphore> {
        let mut applications = hold(&self.applications);
        if applications.len() > MAX_KEPT {
            applications.retain(|_, slots| Arc::strong_count(slots) > 1);
        }
        let new = || Arc::new(Semaphore::new(self.per_application));
        applications.entry(app).or_insert_with(new).clone()
    }
}
