//! What each function asks of AWS, in the words of its policy: recorded at the ports, where a
//! call is one call of the SDK.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::queue::{Consumer, Outgoing, Producer, QueueError, Received};
use shared::store::StoreError;
use shared::store::table::{Index, Item, Key, Page, Query, Table, Transacted, Write, Written};

/// Actions on resources, by function.
pub(crate) type Audit = Arc<Mutex<BTreeMap<&'static str, BTreeSet<(String, String)>>>>;

/// A port of one function.
pub(crate) struct Audited<T: ?Sized> {
    inner: Arc<T>,
    function: &'static str,
    /// The logical id of the resource in the template.
    resource: &'static str,
    audit: Audit,
}

impl<T: ?Sized> Audited<T> {
    pub(crate) fn new(
        inner: &Arc<T>,
        function: &'static str,
        resource: &'static str,
        audit: &Audit,
    ) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), function, resource, audit: audit.clone() })
    }

    fn note(&self, action: &str, resource: &str) {
        let mut audit = self.audit.lock().unwrap();
        let of_it = audit.entry(self.function).or_default();
        of_it.insert((action.to_owned(), resource.to_owned()));
    }
}

impl Audited<dyn Table> {
    fn note_write(&self, write: &Write) {
        // A transaction is authorised by the actions of its parts.
        let action = match write {
            Write::Put(..) => "dynamodb:PutItem",
            Write::Delete(..) => "dynamodb:DeleteItem",
        };
        self.note(action, self.resource);
    }
}

#[async_trait]
impl Table for Audited<dyn Table> {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.note("dynamodb:GetItem", "Table");
        self.inner.get(key).await
    }

    async fn glance(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.note("dynamodb:GetItem", "Table");
        self.inner.glance(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        let resource = match query.index {
            Index::Base => "Table",
            Index::ByTime => "Table/index/by_time",
            Index::Due => "Table/index/due",
        };
        self.note("dynamodb:Query", resource);
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.note_write(&write);
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        writes.iter().for_each(|write| self.note_write(write));
        self.inner.transact(writes).await
    }
}

#[async_trait]
impl Producer for Audited<dyn Producer> {
    async fn send(
        &self,
        records: Vec<Outgoing>,
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.note("sqs:SendMessage", self.resource);
        self.inner.send(records).await
    }
}

#[async_trait]
impl Consumer for Audited<dyn Consumer> {
    async fn receive(&self, max: usize, wait_s: u32) -> Result<Vec<Received>, QueueError> {
        self.note("sqs:ReceiveMessage", self.resource);
        self.inner.receive(max, wait_s).await
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.note("sqs:DeleteMessage", self.resource);
        self.inner.delete(receipts).await
    }

    async fn release(&self, receipt: &str, after_s: u32) -> Result<(), QueueError> {
        self.note("sqs:ChangeMessageVisibility", self.resource);
        self.inner.release(receipt, after_s).await
    }
}
