//! Ports with a will of their own.

use super::*;

/// A network where every request waits until it is let through.
pub(super) struct Gate {
    pub(super) network: Arc<Network>,
    pub(super) entered: Semaphore,
    pub(super) open: Semaphore,
}

impl Gate {
    pub(super) fn new(world: &World) -> Arc<Self> {
        let network = world.network.clone();
        Arc::new(Self { network, entered: Semaphore::new(0), open: Semaphore::new(0) })
    }

    /// Waits until one more request is under way.
    pub(super) async fn entered(&self) {
        self.entered.acquire().await.expect("a gate").forget();
    }

    /// Waits until two more requests are under way.
    pub(super) async fn entered_twice(&self) {
        self.entered.acquire_many(2).await.expect("a gate").forget();
    }

    pub(super) fn let_through(&self, requests: usize) {
        self.open.add_permits(requests);
    }

    pub(super) fn open(&self) {
        self.let_through(1000);
    }
}

#[async_trait]
impl Sender for Gate {
    async fn send(&self, request: Outbound) -> Outcome {
        self.entered.add_permits(1);
        self.open.acquire().await.expect("a gate").forget();
        self.network.send(request).await
    }
}

/// A sender with a bug that one URL brings out.
pub(super) struct Panicking {
    pub(super) network: Arc<Network>,
    pub(super) url: &'static str,
}

impl Panicking {
    pub(super) fn at(url: &'static str, world: &World) -> Arc<Self> {
        Arc::new(Self { network: world.network.clone(), url })
    }
}

#[async_trait]
impl Sender for Panicking {
    async fn send(&self, request: Outbound) -> Outcome {
        assert_ne!(request.url, self.url, "a bug, as the test wants it");
        self.network.send(request).await
    }
}

/// Takes ten seconds for everything.
pub(super) struct Slow {
    pub(super) network: Arc<Network>,
    pub(super) clock: Arc<StillClock>,
}

#[async_trait]
impl Sender for Slow {
    async fn send(&self, request: Outbound) -> Outcome {
        self.clock.advance_ms(10_000);
        self.network.send(request).await
    }
}

/// A table that fails for one partition.
pub(super) struct Broken {
    pub(super) inner: Arc<dyn Table>,
    pub(super) pk: String,
}

impl Broken {
    fn check<'a>(&self, mut keys: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
        match keys.any(|pk| pk == self.pk) {
            true => Err(StoreError::Unavailable("this partition is broken".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Table for Broken {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.check([key.pk.as_str()].into_iter())?;
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        self.check([query.pk.as_str()].into_iter())?;
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.check([write.key().pk.as_str()].into_iter())?;
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.check(writes.iter().map(|write| write.key().pk.as_str()))?;
        self.inner.transact(writes).await
    }
}

/// A network in which every request takes all of its time, and the clock goes with it.
pub(super) struct Hanging {
    pub(super) clock: Arc<StillClock>,
    /// Requests that were begun.
    pub(super) under_way: Semaphore,
}

#[async_trait]
impl Sender for Hanging {
    async fn send(&self, request: Outbound) -> Outcome {
        self.under_way.add_permits(1);
        self.clock.advance_ms(request.timeout_ms);
        tokio::time::sleep(std::time::Duration::from_millis(request.timeout_ms)).await;
        Outcome { duration_ms: request.timeout_ms, ending: Ending::TimedOut }
    }
}

/// A table that never answers about one partition.
pub(super) struct Stuck {
    pub(super) inner: Arc<dyn Table>,
    pub(super) pk: String,
}

#[async_trait]
impl Table for Stuck {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.inner.get(key).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StoreError> {
        match query.pk == self.pk {
            true => std::future::pending().await,
            false => self.inner.query(query).await,
        }
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transacted, StoreError> {
        self.inner.transact(writes).await
    }
}
