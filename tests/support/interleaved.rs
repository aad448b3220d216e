//! Something that happens between a read and what its reader does next.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::store::StoreError;
use shared::store::table::{Item, Key, Page, Query, Table, Transacted, Write, Written};

type Happening = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A table whose next read is followed by something that its reader does not know of.
pub(crate) struct Interleaved {
    inner: Arc<dyn Table>,
    next: Mutex<Option<Happening>>,
}

impl Interleaved {
    pub(crate) fn new(inner: &Arc<dyn Table>) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), next: Mutex::new(None) })
    }

    /// Lets this happen right after the next read.
    pub(crate) fn after_next_read(&self, happening: impl Future<Output = ()> + Send + 'static) {
        *self.next.lock().unwrap() = Some(Box::pin(happening));
    }

    async fn happen(&self) {
        let happening = self.next.lock().unwrap().take();
        if let Some(happening) = happening {
            happening.await;
        }
    }
}

#[async_trait]
impl Table for Interleaved {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let found = self.inner.get(key).await;
        self.happen().await;
        found
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let page = self.inner.query(query).await;
        self.happen().await;
        page
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.inner.transact(writes).await
    }
}
